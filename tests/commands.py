"""Commands as people type them, in processes of their own."""

import json
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

# Importing these takes most of the time of a command that does little.
_LIBRARIES = ["tensorflow", "tensorflow_probability", "keras"]
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(_LIBRARIES)


def run(*flags, cwd, module="train.run", alone=False):
    """Returns the finished process of `python -m MODULE FLAGS`.

    It is forked from one that has imported TensorFlow, and nothing of the zoo; `from_scratch` is
    for tests of the start itself. `alone`: nothing of these tests is on its path.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        state = dict(os.environ), str(cwd), str(out), str(err)
        process = _SERVER.Process(target=_typed, args=(module, flags, alone, *state))
        process.start()
        process.join()
        texts = [path.read_text() if path.exists() else "" for path in (out, err)]
    return subprocess.CompletedProcess([module, *flags], process.exitcode, *texts)


def from_scratch(*flags, cwd, module="train.run"):
    """Returns the finished process of `python -m MODULE FLAGS`, started as people start it."""
    return subprocess.run(
        [sys.executable, "-m", module, *flags],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )


def _typed(module, flags, alone, environment, cwd, out, err):
    for number, path in ((1, out), (2, err)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    if alone:
        tests = Path(__file__).parent
        sys.path[:] = [p for p in sys.path if tests not in (Path(p), *Path(p).parents)]
    sys.path.insert(0, cwd)
    sys.argv = [module, *map(str, flags)]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def metrics(folder):
    """Returns the records of a run without the time they took."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
