"""Imports the user's modules that are named on the command line: --import=my_parts."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterable, Sequence

from zoo.errors import InputError
from zoo.quiet import quiet

_loaded: list[str] = []


def load(names: Iterable[str]) -> tuple[str, ...]:
    """Imports modules, which register their parts, and returns their names without duplicates.

    Raises:
      InputError: a name is not a module name, or the module is not found or raises an error.
    """
    found = tuple(dict.fromkeys(names))
    for name in found:
        if not is_name(name) or name.endswith(".py"):
            base = os.path.basename(name).removesuffix(".py")
            hint = f": did you mean --import={base}?" if is_name(base) else "."
            raise InputError(f"--import={name} is not the name of a module{hint}")
    if found:
        with quiet():  # most modules import TensorFlow
            import tensorflow  # noqa: F401
    for name in found:
        try:
            importlib.import_module(name)
        except (Exception, SystemExit) as error:
            raise InputError(_failure(name, error)) from error
        if name not in _loaded:
            _loaded.append(name)
    return found


def is_name(name: str) -> bool:
    """Whether `name` is a valid module name: "my_parts", or "my_package.parts"."""
    return all(part.isidentifier() for part in name.split("."))


def belongs(module: str) -> bool:
    """Whether `load` imported `module`, or a package that contains it."""
    return any(module == name or module.startswith(f"{name}.") for name in _loaded)


def missing(names: Sequence[str]) -> list[str]:
    """Returns the names of modules that are not imported, without importing them."""
    return [name for name in names if name not in sys.modules]


def needed(names: Sequence[str], source: str) -> InputError:
    """Returns the error of a file that needs modules, which are not imported from its text."""
    flags = " ".join(f"--import={name}" for name in names)
    modules = f"the module{'s' if len(names) > 1 else ''} {' and '.join(names)}"
    return InputError(f"{source} needs {modules}: add {flags}, if that is code you trust.")


def _failure(name: str, error: BaseException) -> str:
    absent = error.name if isinstance(error, ModuleNotFoundError) else None
    if absent and (name == absent or name.startswith(f"{absent}.")):
        return (
            f"--import={name}: there is no module {absent!r} in {os.getcwd()} or among the "
            "installed packages; run the command in the folder that holds it."
        )
    where = ""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "importlib" not in f.filename and f.filename != __file__]
    if own:
        where = f" in {os.path.basename(own[0].filename)}, line {own[0].lineno}"
    if isinstance(error, InputError):
        return f"--import={name} failed{where}: {error}"
    said = f": {error}" if str(error) else ""
    return f"--import={name} raised {type(error).__name__}{where}{said}."
