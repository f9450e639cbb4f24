"""Codes of a folder of images, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from export.remote import images
from export.remote.server import RefusedError, Server
from export.tensors import Signature, Spec
from zoo.errors import InputError, unknown


@dataclass
class Codes:
    """A signature's outputs for the accepted files, in order, and the files that were skipped."""

    files: list[Path] = field(default_factory=list)
    outputs: list[dict[str, np.ndarray]] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)

    def arrays(self, root: Path) -> dict[str, np.ndarray]:
        """Returns every output [N, ...], and `files` [N] relative to `root`."""
        names = [file.relative_to(root).as_posix() for file in self.files]
        joined = {
            name: np.concatenate([part[name] for part in self.outputs]) for name in self.outputs[0]
        }
        return {**joined, "files": np.array(names)}


def image_input(server: Server, name: str, condition: int | None = None) -> tuple[str, Spec]:
    """Returns the name and Spec of a signature's image input.

    It must be the only input, except for the condition, a class, if that is given.

    Raises:
      InputError: there is no such signature, or it has other inputs.
    """
    try:
        signatures = server.signatures()
    except RefusedError as error:
        raise InputError(f"The server rejects --model: {error}") from None
    if name not in signatures:
        raise unknown("--signature", name, signatures)
    if not _takes_images(signatures[name]):
        inputs = ", ".join(f"{key} {spec}" for key, spec in signatures[name].inputs.items())
        fitting = sorted(key for key, each in signatures.items() if _takes_images(each))
        raise InputError(
            f"--signature={name} takes {inputs}, not images only: "
            f"name one of {', '.join(fitting) or 'another model'}."
        )
    takes = "condition" in signatures[name].inputs
    if takes and condition is None:
        raise InputError(f"--signature={name} takes a condition: add the class, as --condition=3.")
    if not takes and condition is not None:
        raise InputError(f"--signature={name} takes no condition: leave out --condition.")
    return _variable(signatures[name])


def _variable(signature: Signature) -> tuple[str, Spec]:
    """Returns the first input that is not the condition."""
    return next((n, spec) for n, spec in signature.inputs.items() if n != "condition")


def _takes_images(signature: Signature) -> bool:
    condition = signature.inputs.get("condition")
    if len(signature.inputs) != (1 if condition is None else 2):
        return False
    if condition is not None and (condition.dtype.kind != "i" or condition.shape != (None,)):
        return False
    _, spec = _variable(signature)
    rank = 1 if spec.is_bytes else 4
    return spec.shape is not None and len(spec.shape) == rank


def codes(
    server: Server,
    signature: str,
    files: Sequence[Path],
    batch_size: int,
    skip_bad: bool = False,
    advance: Callable[[int], None] = lambda count: None,
    condition: int | None = None,
) -> Codes:
    """Returns a signature's outputs for images, requested from a server in batches.

    A batch that the server rejects is halved until the image at fault is found.

    Args:
      advance: called after each batch with the number of files done.
      condition: the class of all images, if the signature takes a condition.

    Raises:
      InputError: an image is unreadable or rejected and skip_bad is false, or all images are.
      RunError: the server does not answer.
    """
    name, spec = image_input(server, signature, condition)
    found = Codes()

    def refused(file: Path, reason: str) -> None:
        if not skip_bad:
            raise InputError(reason)
        found.skipped.append((file, reason))

    def ask(batch: list[tuple[Path, np.ndarray | bytes]]) -> None:
        try:
            inputs = {name: images.stacked([payload for _, payload in batch])}
            if condition is not None:
                inputs["condition"] = np.full(len(batch), condition, np.int64)
            outputs = server.predict(signature, inputs)
        except RefusedError as error:
            if len(batch) == 1:
                file = batch[0][0]
                refused(
                    file,
                    f"The server rejects the image {file} ({str(error).rstrip('.')}): repair or "
                    "remove it, or use --skip_bad to leave such files out.",
                )
                return
            ask(batch[: len(batch) // 2])
            ask(batch[len(batch) // 2 :])
            return
        found.files += [file for file, _ in batch]
        found.outputs.append(outputs)

    for group in _groups(files, batch_size):
        batch = []
        for file in group:
            try:
                batch.append((file, images.payload(file, spec)))
            except InputError as error:
                refused(file, str(error))
        if batch:
            ask(batch)
        advance(len(group))
    if not found.files:
        raise InputError(f"None of the images is accepted: {found.skipped[0][1]}")
    return found


def _groups(files: Sequence[Path], size: int) -> Iterator[Sequence[Path]]:
    for start in range(0, len(files), size):
        yield files[start : start + size]
