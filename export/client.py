"""Gets the codes of a folder of images from a server, and writes them to an .npz file.

    python -m export.client --model=model --images=FOLDER --out=codes.npz
    python -m export.client --server=HOST:8500 --grpc --model=model --images=FOLDER --out=codes.npz

The file contains the signature's outputs (`mean` and `stddev` [N, K] for `encode_bytes`), and
`files` in the same order. The server is TensorFlow Serving or export.serve, which has no gRPC.
"""

from __future__ import annotations

import importlib.util
import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags

from export.remote.server import Server
from train import command
from train.data.folder import image_files
from train.workdirs.workdir import write_atomically
from zoo.errors import InputError


def main() -> int:
    given = flags.FLAGS
    for name in ("model", "images", "out"):
        if not getattr(given, name):
            raise InputError(f"--{name} is missing: add it; --help explains it.")
    root, out = Path(given.images), Path(given.out)
    check_writable(out)
    if not root.is_dir():
        raise InputError(f"--images={root} is not a folder: name a folder of images.")
    files = image_files(root)
    server = connected(given)

    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from export.remote.codes import codes

    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    progress = Progress(
        *columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal
    )
    with progress:
        task = progress.add_task("images", total=len(files))
        found = codes(
            server,
            given.signature,
            files,
            given.batch_size,
            given.skip_bad,
            lambda count: progress.advance(task, count),
            given.condition,
        )
    for file, reason in found.skipped:
        print(f"{file} is left out: {reason}", file=sys.stderr)
    arrays: dict[str, Any] = found.arrays(root)
    content = io.BytesIO()
    np.savez(content, **arrays)
    try:
        write_atomically(out, content.getvalue())
    except OSError as error:
        raise command.RunError(f"{out} cannot be written ({error}).") from error
    print(out, *(f"{name}{list(array.shape)}" for name, array in arrays.items()))
    return command.DONE


def check_writable(out: Path) -> None:
    """Raises InputError unless `out` is an .npz file that can be written."""
    if out.suffix != ".npz":
        raise InputError(f"--out={out} must end in .npz: name a file such as codes.npz.")
    if not out.parent.is_dir():
        raise InputError(f"--out={out} cannot be written: there is no folder {out.parent}.")
    if out.is_dir():
        raise InputError(f"--out={out} is a folder: name a file.")


def connected(given: flags.FlagValues) -> Server:
    """Returns the server that the flags name.

    Raises:
      InputError: its address is malformed, or a package for gRPC is missing.
    """
    options = (given.model, given.model_version, given.retries, given.timeout)
    if not given.grpc:
        server = given.server or "http://localhost:8501"
        if not server.startswith(("http://", "https://")):
            raise InputError(f"--server={server} must start with http://, or use --grpc.")
        from export.remote.rest import Rest

        return Rest(server, *options)
    server = given.server or "localhost:8500"
    if "/" in server:
        raise InputError(f"--server={server} must be HOST:PORT with --grpc.")
    if importlib.util.find_spec("tensorflow_serving") is None:
        raise InputError("gRPC needs tensorflow-serving-api: pip install -e '.[grpc]'")
    command.import_tensorflow()
    from export.remote.grpc import Grpc

    return Grpc(server, *options)


if __name__ == "__main__":
    flags.DEFINE_string(
        "server", None, "The address; default http://localhost:8501, with --grpc localhost:8500."
    )
    flags.DEFINE_string("model", None, "The model's name: the folder above its versions.")
    flags.DEFINE_integer("model_version", None, "The model's version; default the newest.", 0)
    flags.DEFINE_string("signature", "encode_bytes", "A signature whose only input is images.")
    flags.DEFINE_integer(
        "condition", None, "The class of all images, for a model with a condition.", 0
    )
    flags.DEFINE_string("images", None, "The folder of images; subfolders are included.")
    flags.DEFINE_string("out", None, "The .npz file to write.")
    flags.DEFINE_integer("batch_size", 64, "Images in a request.", 1)
    flags.DEFINE_bool("skip_bad", False, "Leave out images that are unreadable or rejected.")
    flags.DEFINE_bool("grpc", False, "Use gRPC instead of REST.")
    flags.DEFINE_integer("retries", 5, "Repeats of a request while the server is unavailable.", 0)
    flags.DEFINE_float("timeout", 60.0, "Seconds to wait for one answer.", 0.001)
    command.run(main, __doc__)
