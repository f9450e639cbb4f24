"""A table of an exported model's signatures, with their tensors and what they compute.

python -m export.table
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

NAMES = {"both": "model", "encoder": "encoder", "decoder": "decoder"}
DEFAULT = {"model": "encode", "encoder": "encode", "decoder": "decode"}

# Symbols for sizes: an image, a latent, the noise of a sample from q(z|x) and from p(z), the number
# of draws, and the noise of a row. The caller chooses the batch size B and the draws S.
X, Z, N, M, S, D = "H, W, C", "Z", "N", "M", "S", "D"
B = "B"
_SIZES = {
    B: "examples",
    X: "an image",
    Z: "a latent: K, or H', W', C' where z is an image",
    N: "the noise of z ~ q(z|x): K, or what the encoder takes",
    M: "the noise of z ~ p(z): K, or more for a mixture",
    S: "draws for each example",
    D: "the elements of a row: one for a number, as many as there are for categories",
}


@dataclasses.dataclass(frozen=True)
class Signature:
    """A signature: the SavedModels that have it, and its named tensors with symbolic shapes.

    Attributes:
      parts: the names of the SavedModels that have it.
      image: the input that is an image, which may also be given as uint8 or as an encoded file.
      rows: whether only models of a table have it.
    """

    name: str
    parts: tuple[str, ...]
    inputs: Mapping[str, Sequence[str]]
    outputs: Mapping[str, Sequence[str]]
    meaning: str
    image: str | None = "images"
    rows: bool = False


_IMAGES, _NOISE = {"images": (B, X)}, {"noise": (B, N)}
SIGNATURES = {
    each.name: each
    for each in (
        Signature(
            "encode",
            ("model", "encoder"),
            _IMAGES,
            {"mean": (B, Z), "stddev": (B, Z)},
            "mean and standard deviation of q(z|x)",
        ),
        Signature(
            "encode_sample",
            ("model", "encoder"),
            {**_IMAGES, **_NOISE},
            {"z": (B, Z)},
            "z ~ q(z|x) where noise ~ N(0, I)",
        ),
        Signature(
            "decode",
            ("model", "decoder"),
            {"z": (B, Z)},
            {"images": (B, X)},
            "E[x|z]",
            image="z",
        ),
        Signature(
            "generate",
            ("model", "decoder"),
            {"noise": (B, M)},
            {"images": (B, X)},
            "E[x|z] at z ~ p(z) where noise ~ N(0, I); of the averaged weights, if there are any",
            image=None,
        ),
        Signature(
            "sample",
            ("model", "decoder"),
            {"noise": (B, M), "noise_x": (B, D)},
            {"images": (B, X)},
            "a row x ~ p(x|z) at z ~ p(z) where both noises are N(0, I); of the averaged weights, "
            "if there are any",
            image=None,
            rows=True,
        ),
        Signature(
            "reconstruct",
            ("model",),
            _IMAGES,
            {"images": (B, X)},
            "E[x|z] at the mean of q(z|x)",
        ),
        Signature(
            "elbo",
            ("model",),
            {**_IMAGES, **_NOISE},
            {"elbo": (B,)},
            "log p(x|z) - KL(q(z|x)||p(z)) at z ~ q(z|x) where noise ~ N(0, I); a KL without a "
            "closed form is log q(z|x) - log p(z)",
        ),
        Signature(
            "log_likelihood",
            ("model",),
            {**_IMAGES, "noise": (B, S, N)},
            {"log_likelihood": (B,), "log_weights": (B, S)},
            "log 1/S sum_s w_s, with w = p(x|z) p(z) / q(z|x) at z ~ q(z|x) where noise ~ N(0, I)",
        ),
        Signature(
            "anomaly_score",
            ("model",),
            _IMAGES,
            {"score": (B,)},
            "-log p(x|z) at the mean of q(z|x), plus KL(q(z|x)||p(z)) if that has a closed form; "
            "deterministic, larger for what is less likely",
        ),
    )
}
FORMS = {
    "uint8": ("{}", "uint8", "pixels from 0 to 255"),
    "bytes": ("{}_bytes", "string", "PNG or JPEG files of the model's size, never resized"),
}


def form_input(name: str, form: str) -> str:
    """Returns the name of the input for images in `form`, such as image_bytes for images."""
    singular = {"images": "image"}.get(name, name)
    return FORMS[form][0].format(singular if form == "bytes" else name)


def markdown() -> str:
    """Returns the table in Markdown."""
    rows = [("signature", "SavedModels", "inputs", "outputs", "what it is")]
    for each in SIGNATURES.values():
        rows.append(
            (
                f"`{each.name}`",
                ", ".join(each.parts),
                _tensors(each.inputs),
                _tensors(each.outputs),
                each.meaning.replace("|", "\\|"),
            )
        )
    with_images = [each for each in SIGNATURES.values() if each.image]
    for form, (_, dtype, meaning) in FORMS.items():
        names = ", ".join(f"`{each.name}_{form}`" for each in with_images)
        first, second = (form_input(name, form) for name in ("images", "z"))
        shape = "[B]" if form == "bytes" else f"[B, {X}]"
        rows.append(
            (
                names,
                "as above",
                f"`{first}` {dtype} {shape} for `images`, the others as above",
                "as above",
                f"as above, of {meaning}; `decode_{form}`, of `{second}`, where z is an image",
            )
        )
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    sizes = "; ".join(f"{symbol}: {what}" for symbol, what in _SIZES.items() if symbol != B)
    return "\n".join(
        (
            *lines,
            "",
            "float32 unless said; B examples, as many as the caller likes; pixels in [0, 1]; nats. "
            "Vectors [B, D] are `x` in place of `images`. Tables have one tensor for each column, "
            "of raw values, float64, string, bool or int64 [B]; only they have `sample`. "
            + sizes[0].upper()
            + sizes[1:]
            + ".",
        )
    )


def _tensors(tensors: Mapping[str, Sequence[str]]) -> str:
    return ", ".join(f"`{name}` [{', '.join(shape)}]" for name, shape in tensors.items())


if __name__ == "__main__":
    print(markdown())
