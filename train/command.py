"""What every command line here shares: flags, --help, and errors as one sentence."""

from __future__ import annotations

import importlib
import itertools
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable
from typing import Any

from absl import flags

from zoo.errors import InputError

DONE, FAILED, WRONG_INPUT = 0, 1, 2


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
    """Parses the flags, calls `main` and exits.

    Exit codes: 0 done; 2 the command or its input was wrong; 1 the run failed; 130 and 143 Ctrl-C
    and SIGTERM ended it. All but the first print one sentence on stderr.
    """
    flags.DEFINE_multi_string(
        "import", [], "Import a module of your own first.", allow_override=True
    )
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", allow_override=True)
    try:
        extra = flags.FLAGS(sys.argv)[1:]
        if flags.FLAGS.help:
            print(usage.strip(), flags.FLAGS.main_module_help(), sep="\n")
            sys.exit(DONE)
        if extra:
            raise InputError(f"{extra[0]!r} is not a flag: write flags like --model=alice.")
        import_modules(flags.FLAGS["import"].value)
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


def import_modules(names: Iterable[str]) -> None:
    """Imports modules that the command line names, from where Python looks or this folder.

    Raises:
      InputError: there is no such module, or it raised an error.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # they may import TensorFlow
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise InputError(
                    f"--import={name} imports {error.name}, which is missing."
                ) from error
            raise InputError(
                f"--import={name}: there is no module {name}.py in {os.getcwd()} or on PYTHONPATH."
            ) from None
        except Exception as error:  # a user's module may raise anything
            where = traceback.extract_tb(error.__traceback__)[-1]
            raise InputError(
                f"--import={name} failed at {where.filename}:{where.lineno} "
                f"({type(error).__name__}: {error})."
            ) from error


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
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    shown = os.dup(2)
    with tempfile.TemporaryFile() as lines:
        os.dup2(lines.fileno(), 2)
        try:
            import tensorflow as tf

            begun = begin() if begin else None
            tf.config.list_logical_devices()
            return begun
        except InputError:
            raise
        except BaseException:
            lines.seek(0)
            os.write(shown, lines.read())
            raise
        finally:
            os.dup2(shown, 2)
            os.close(shown)


def _say(error: object, code: int) -> int:
    print(" ".join(str(error).split()), file=sys.stderr)
    return code
