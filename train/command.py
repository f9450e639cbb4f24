"""What every command line here shares: flags, --help, and errors as one sentence."""

from __future__ import annotations

import itertools
import signal
import sys
from collections.abc import Callable
from typing import Any

from absl import flags

from zoo import imports
from zoo.errors import InputError
from zoo.quiet import quiet

DONE, FAILED, WRONG_INPUT = 0, 1, 2
IMPORT = "A module of yours, such as my_parts, that registers what a run is made of."


class RunError(RuntimeError):
    """A run failed although its input was right; the message is one sentence."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the command; the message is one sentence."""

    def __init__(
        self, number: int, message: str = "Interrupted: run the same command again to continue."
    ):
        super().__init__(message)
        self.number = number


def run(main: Callable[[], int | None], usage: str) -> None:
    """Parses the flags, imports the modules that --import names, calls `main` and exits.

    Exit codes: 0 done; 2 the command or its input was wrong; 1 the run failed; 130 and 143 Ctrl-C
    and SIGTERM ended it. All but the first print one sentence on stderr.
    """
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", allow_override=True)
    try:
        extra = flags.FLAGS(sys.argv)[1:]
        if flags.FLAGS.help:
            print(usage.strip(), flags.FLAGS.main_module_help(), sep="\n")
            sys.exit(DONE)
        if extra:
            raise InputError(f"{extra[0]!r} is not a flag: write flags like --model=alice.")
        imports.load(imported())
        code = main()
    except (flags.Error, InputError) as error:
        sys.exit(_say(error, WRONG_INPUT))
    except RunError as error:
        sys.exit(_say(error, FAILED))
    except Interrupted as error:
        sys.exit(_say(error, 128 + error.number))
    except KeyboardInterrupt:
        sys.exit(_say(Interrupted(signal.SIGINT), 128 + signal.SIGINT))
    sys.exit(code or DONE)


def name_folders(flag: str, but: tuple[str, ...] = ()) -> None:
    """Lets folders stand for themselves on the command line, as a shell writes runs/*.

    Args:
      flag: the multi-string flag that they are given to.
      but: flags whose value may stand in the next argument.
    """
    sys.argv[1:] = [
        a if a.startswith("-") or before in (f"--{flag}", *but) else f"--{flag}={a}"
        for before, a in itertools.pairwise(sys.argv)
    ]


def import_tensorflow(begin: Callable[[], Any] | None = None) -> Any:
    """Imports TensorFlow and finds its devices, without the start-up lines of its C++ side.

    They are printed after all if the import fails. Devices that `begin` makes exist from the
    start: it is called first, and what it returns is returned.
    """
    with quiet():
        import tensorflow as tf

        begun = begin() if begin else None
        tf.config.list_logical_devices()
        return begun


def imported() -> list[str]:
    """Returns the modules that --import names, each once; none where a command has no such flag."""
    names: Any = flags.FLAGS["import"].value if "import" in flags.FLAGS else None
    return list(dict.fromkeys(names or []))


def _say(error: object, code: int) -> int:
    print(" ".join(str(error).split()), file=sys.stderr)
    return code
