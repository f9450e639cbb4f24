"""A model as two SavedModels with named signatures, encoder and decoder."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from export import versions
from zoo import likelihoods, priors
from zoo.conditionals import ImplicitConditional
from zoo.errors import InputError
from zoo.model import LagrangianModel
from zoo.version import __version__

PARTS = ("encoder", "decoder")
CARD = Path("assets.extra", "model.json")

# signature -> its function of named tensors, and the specifications of those
Signatures = dict[str, tuple[Callable[..., dict[str, tf.Tensor]], list[tf.TensorSpec]]]


def export_model(
    model: LagrangianModel,
    out: str | os.PathLike[str],
    name: str | None = None,
    card: Mapping[str, Any] | None = None,
) -> dict[str, Path]:
    """Writes q(z|x) to OUT/encoder/VERSION and p(x|z) to OUT/decoder/VERSION.

        encoder  encode         image [B, H, W, C] in [0, 1]    -> mean, stddev [B, K] of q(z|x)
                 encode_sample  image, noise [B, K] ~ N(0, I)   -> z = mean + stddev * noise
        decoder  decode         z [B, K]                        -> image [B, H, W, C] = E[x|z]

    All tensors are float32; `serving_default` is `encode` and `decode`. The graphs are
    deterministic and draw nothing: the noise of a sample is the caller's. `encode_sample` is
    there if the posterior is normal. Each holds a card, `assets.extra/model.json`: objective
    and derivation, shapes, prior, training step, signatures and software versions.

    VERSION is the next number that neither part has; nothing is overwritten, and both parts
    appear whole or, after a failure, not at all.

    Args:
      model: any model of the family, trained or not.
      out: the folder, made if it is missing.
      name: the card's name for the model; the objective's if None.
      card: further facts for the card, JSON-able.

    Returns:
      {"encoder": folder, "decoder": folder}.

    Raises:
      InputError: `out` cannot be written, or `card` is not JSON or repeats a fact of the card.
    """
    facts = {"name": name or model.objective.name, **_facts(model)}
    parts = {"encoder": ("q(z|x)", _encoder(model)), "decoder": ("p(x|z)", _decoder(model))}
    own = {*facts, "distribution", "signatures"}
    extra = dict(card or {})
    if repeated := own & set(extra):
        raise InputError(f"The card has {sorted(repeated)} itself: rename yours.")
    try:
        json.dumps(extra, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"The card cannot be written as JSON ({error}): mend it.") from None

    def writer(part: str) -> Callable[[Path], None]:
        distribution, signatures = parts[part]

        def write(folder: Path) -> None:
            table = _save(signatures, folder)
            content = {**facts, "distribution": distribution, "signatures": table, **extra}
            path = folder / CARD
            path.parent.mkdir()
            path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", "utf-8")

        return write

    return versions.publish(Path(out), {part: writer(part) for part in PARTS})


def _encoder(model: LagrangianModel) -> Signatures:
    image = tf.TensorSpec((None, *model.decoder.event_shape), tf.float32, name="image")

    def encode(image: tf.Tensor) -> dict[str, tf.Tensor]:
        posterior = model.encoder(image)
        return {"mean": posterior.mean(), "stddev": posterior.stddev()}

    signatures: Signatures = {"encode": (encode, [image])}
    if isinstance(model.encoder, ImplicitConditional):
        network = model.encoder.network
        size: tuple[int, ...] = (model.encoder.noise_dim,)

        def encode_sample(image: tf.Tensor, noise: tf.Tensor) -> dict[str, tf.Tensor]:
            # z = network([x, e])
            return {"z": network([image, noise])}
    elif isinstance(model.encoder.family, likelihoods.Normal):
        size = model.encoder.event_shape

        def encode_sample(image: tf.Tensor, noise: tf.Tensor) -> dict[str, tf.Tensor]:
            posterior = model.encoder(image)
            # z = mean + stddev * noise
            return {"z": posterior.mean() + posterior.stddev() * noise}
    else:
        return signatures
    noise = tf.TensorSpec((None, *size), tf.float32, name="noise")
    signatures["encode_sample"] = (encode_sample, [image, noise])
    return signatures


def _decoder(model: LagrangianModel) -> Signatures:
    z = tf.TensorSpec((None, *model.encoder.event_shape), tf.float32, name="z")

    def decode(z: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"image": model.decoder.mean(z)}

    return {"decode": (decode, [z])}


def _save(signatures: Signatures, folder: Path) -> dict[str, Any]:
    """Writes one SavedModel, whose default is the first signature; returns the table of them."""
    archive = keras.export.ExportArchive()
    table = {}
    for name, (function, inputs) in signatures.items():
        traced = archive.add_endpoint(name, function, inputs).get_concrete_function()
        table[name] = {
            "inputs": {spec.name: _described(spec) for spec in inputs},
            "outputs": {key: _described(x) for key, x in traced.structured_outputs.items()},
        }
    table["serving_default"] = table[next(iter(signatures))]
    archive.write_out(str(folder), verbose=False)
    return table


def _described(tensor: tf.TensorSpec) -> dict[str, Any]:
    return {"dtype": tensor.dtype.name, "shape": tensor.shape.as_list()}


def _facts(model: LagrangianModel) -> dict[str, Any]:
    return {
        "objective": model.objective.to_config(),
        "derivation": model.objective.explain(),
        "latent_shape": list(priors.event_shape(model.prior)),
        "image_shape": list(model.decoder.event_shape),
        "prior": priors.serialise(model.prior),
        "posterior": model.encoder.kind,
        "likelihood": model.decoder.kind,
        "step": int(model.step.numpy()),
        "versions": {
            "lagrangian-zoo": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "tensorflow-probability": tfp.__version__,
        },
    }
