"""Commands as people type them, in processes of their own."""

import json
import os
import subprocess
import sys


def run(*flags, cwd, module="train.run"):
    """Returns the finished process of `python -m MODULE FLAGS`."""
    return subprocess.run(
        [sys.executable, "-m", module, *flags],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )


def metrics(folder):
    """Returns the records of a run without the time they took."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]
