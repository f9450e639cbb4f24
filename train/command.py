"""Shared by all commands: parsing flags, --help, and errors as one sentence."""

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
IMPORT = "A module of yours, such as my_parts, that registers parts for the run."


class RunError(RuntimeError):
    """A run failed although its input was valid; the message is one sentence."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the command; the message is one sentence."""

    def __init__(
        self, number: int, message: str = "Interrupted: run the same command again to continue."
    ):
        super().__init__(message)
        self.number = number


def run(main: Callable[[], int | None], usage: str) -> None:
    """Parses the flags, imports the modules that --import names, calls `main` and exits.

    Exit codes: 0 done; 1 the run failed; 2 the command or its input was wrong; 130 ended by Ctrl-C;
    143 ended by SIGTERM. All except 0 print one sentence on stderr.
    """
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", allow_override=True)
    try:
        extra = flags.FLAGS(sys.argv)[1:]
        if flags.FLAGS.help:
            print(usage.strip(), flags.FLAGS.main_module_help(), sep="\n")
            sys.exit(DONE)
        if extra:
            raise InputError(f"{extra[0]!r} is not a flag: write flags as --model=alice.")
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
    """Accepts folders on the command line without a flag, as the shell expands runs/*.

    Args:
      flag: the multi-string flag that receives the folders.
      but: flags whose value may be the next argument, which is then not a folder.
    """
    sys.argv[1:] = [
        a if a.startswith("-") or before in (f"--{flag}", *but) else f"--{flag}={a}"
        for before, a in itertools.pairwise(sys.argv)
    ]


def import_tensorflow(begin: Callable[[], Any] | None = None) -> Any:
    """Imports TensorFlow and finds its devices, hiding the start-up lines of its C++ code.

    The lines are printed if the import fails. `begin`, which may create devices, is called before
    devices are found, and its result is returned.
    """
    with quiet():
        import tensorflow as tf

        begun = begin() if begin else None
        tf.config.list_logical_devices()
        return begun


def imported() -> list[str]:
    """Returns the modules that --import names, each once; [] if the command has no such flag."""
    names: Any = flags.FLAGS["import"].value if "import" in flags.FLAGS else None
    return list(dict.fromkeys(names or []))


def _say(error: object, code: int) -> int:
    print(" ".join(str(error).split()), file=sys.stderr)
    return code
