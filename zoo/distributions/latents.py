"""Latents made of named blocks, such as a categorical code, a uniform style and noise.

    latents = parse("code: categorical(10), style: uniform(2), noise(62)")

`latents.prior` and `latents.posterior` are p(z) and the family of q(z|x). The kinds are

    categorical(n)  one of n values, a one-hot vector     p uniform        q OneHotCategorical
    uniform(n)      n numbers from -1 to 1                p Uniform        q truncated Normal
    normal(n)       n numbers                             p N(0, 1)        q Normal
    noise(n)        n numbers independent of x            p N(0, 1)        q = p for every x
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import errors, priors
from zoo.distributions.blocks import Blocks
from zoo.distributions.likelihoods import Likelihood, Normal, is_positive
from zoo.distributions.replicas import ALONE, Replica
from zoo.distributions.truncated_normal import TruncatedNormal

tfd = tfp.distributions

_EXAMPLE = "'code: categorical(10), noise(62)'"
_LARGEST, _DIGITS = 2**16, 10  # limits of a block's size, and of its number of digits
_BLOCK = re.compile(r"(?:([A-Za-z_]\w*)\s*:\s*)?(\w+)\s*\(\s*(\d+)\s*\)")


@dataclasses.dataclass(frozen=True)
class Block:
    """A named part of z: the elements from `start` to before `stop`."""

    name: str
    kind: str
    size: int
    start: int

    @property
    def stop(self) -> int:
        return self.start + self.size


@dataclasses.dataclass(frozen=True)
class Latents:
    """A latent z = [z_1, z_2, ...] of named blocks; made by `parse`, and `str` returns its text."""

    blocks: tuple[Block, ...]

    @property
    def dim(self) -> int:
        """K, the length of z."""
        return self.blocks[-1].stop

    @property
    def prior(self) -> Any:
        """p(z) = prod_b p(z_b), a tfd.Blockwise with event shape [K]."""
        return tfd.Blockwise([_PRIORS[block.kind](block.size) for block in self.blocks])

    @property
    def posterior(self) -> BlockPosterior:
        """The family of q(z|x), with its default options."""
        return BlockPosterior(str(self))

    def __str__(self) -> str:
        usual = _default_names([block.kind for block in self.blocks])
        return ", ".join(
            ("" if block.name == name else f"{block.name}: ") + f"{block.kind}({block.size})"
            for block, name in zip(self.blocks, usual, strict=True)
        )


def parse(text: str) -> Latents:
    """Returns the latents that `text` declares, blocks of the form "name: kind(size)".

    A block without a name is named by its kind, with a number if there are several of that kind:
    "categorical(10), categorical(10)" are categorical_1 and categorical_2.

    Raises InputError for text of another form, an unknown kind, a size that is too small, or two
    blocks with one name.
    """
    if not isinstance(text, str) or not text.strip():
        raise errors.InputError(f"The latents are {text!r}: declare blocks, as in {_EXAMPLE}.")
    declared = []
    for item in text.split(","):
        match = _BLOCK.fullmatch(item.strip())
        if match is None:
            raise errors.InputError(
                f"{item.strip()!r} declares no block of latents: write 'name: kind(size)', as in "
                f"{_EXAMPLE}."
            )
        name, kind, size = match[1], match[2], int(match[3][:_DIGITS])
        if size > _LARGEST:
            raise errors.InputError(f"{item.strip()!r} is too large: {_LARGEST} is the most.")
        if kind not in _PRIORS:
            raise errors.unknown("kind of latents", kind, _PRIORS)
        least = 2 if kind == "categorical" else 1
        if size < least:
            raise errors.InputError(f"{item.strip()!r} is too small: {kind} takes {least} or more.")
        declared.append((name, kind, size))
    usual = _default_names([kind for _, kind, _ in declared])
    blocks: list[Block] = []
    for (name, kind, size), default in zip(declared, usual, strict=True):
        start = blocks[-1].stop if blocks else 0
        blocks.append(Block(name or default, kind, size, start))
    names = Counter(block.name for block in blocks)
    if repeated := [name for name, times in names.items() if times > 1]:
        raise errors.InputError(
            f"Several blocks of the latents are called {repeated[0]!r}: give each another name."
        )
    return Latents(tuple(blocks))


def _default_names(kinds: Sequence[str]) -> list[str]:
    names = []
    for index, kind in enumerate(kinds):
        alone = kinds.count(kind) == 1
        names.append(kind if alone else f"{kind}_{kinds[: index + 1].count(kind)}")
    return names


@keras.saving.register_keras_serializable("zoo")
class BlockPosterior(Likelihood):
    """q(z|x) over the blocks of a latent, independent given x.

        log q(z|x) = sum_b log q(z_b|x)
        categorical  softmax of n logits
        uniform      Normal of location tanh(m), scale floor + 10 sigmoid(r - log 9), truncated
        normal       Normal("per_element"): mean m, a scale from r
        noise        q(z_b|x) = p(z_b)

    The network's outputs follow the order of the blocks: n logits for a categorical block; n m,
    then n r for a uniform or normal block; nothing for noise.

    The uniform block's posterior is truncated to the support of its prior, because RATE would
    otherwise be infinite. Its scale starts at 1 and is at most 10, where the posterior is uniform
    to half a percent.

    With q(noise|x) = p(noise) the noise cancels from RATE, and REC_z rewards information only on
    the other blocks c:

        REC_z = -E_p[log q(z|x)] = -E_p[log q(c|x)] + H(noise)

    This is minus the bound L_I of Chen et al. "InfoGAN." NeurIPS 2016, eq. 5, up to the constants
    H(noise) and H(c). Per example, -log p(noise) adds variance.

    Decoders and critics receive a relaxed sample, through which gradients reach the logits:
    RelaxedOneHotCategorical at `temperature` (Maddison et al. 2017; Jang et al. 2017), a point
    inside the simplex, where the prior has no mass. So with a categorical block REC_x is
    -E log p(x|relaxed z), which tends to -E_q log p(x|z) as the temperature goes to 0; at a
    positive temperature REC_x + RATE is not a bound on -log p(x). A divergence between q and p on z
    compares relaxed codes with one-hot ones: it is smallest if q(z|x) is almost certain. RATE is
    the closed form, without relaxation.

    Args:
      latents: the text of the latents, as for `parse`.
      temperature: temperature of relaxed samples, above 0; near 0 they are one-hot, and their
        gradients very noisy.
      floor: the smallest scale.

    Raises:
      InputError: `parse` refuses the text, all blocks are noise, or an option is not positive.
    """

    name = "blocks"

    def __init__(self, latents: str, temperature: float = 2.0 / 3.0, floor: float = 0.01) -> None:
        for option, value in (("temperature", temperature), ("floor", floor)):
            if not is_positive(value):
                raise errors.InputError(f"{option} is {value!r}: give a positive number.")
        self.latents = parse(latents)
        self.temperature = float(temperature)
        self.floor = float(floor)
        self._families = [
            _family(block, self.temperature, self.floor) for block in self.latents.blocks
        ]
        self._counts = [
            family.params_shape((block.size,))[0]
            for family, block in zip(self._families, self.latents.blocks, strict=True)
        ]
        if not sum(self._counts):
            raise errors.InputError(
                f"The latents {latents!r} are noise alone: add a block that x says something about."
            )

    @property
    def reads(self) -> str:
        return f"{sum(self._counts)} numbers"

    @property
    def stand_in(self) -> str | None:
        relaxed = any(family.stand_in for family in self._families)
        return "relaxation" if relaxed else None

    def params_shape(self, event_shape: Sequence[int]) -> tuple[int, ...]:
        if tuple(event_shape) != (self.latents.dim,):
            raise errors.InputError(
                f"The latents '{self.latents}' have shape ({self.latents.dim},) where "
                f"{tuple(event_shape)} is needed: change one of them."
            )
        return (sum(self._counts),)

    def event_shape(self, params_shape: Sequence[int]) -> tuple[int, ...] | None:
        return (self.latents.dim,) if tuple(params_shape) == (sum(self._counts),) else None

    def distribution(self, params: tf.Tensor, raw_scale: tf.Tensor | None = None) -> Any:
        parts = tf.split(params, self._counts, axis=-1)
        return Blocks([f.distribution(part) for f, part in zip(self._families, parts, strict=True)])

    def relaxed_sample(
        self, distribution: Any, seed: tf.Tensor, replica: Replica = ALONE
    ) -> tf.Tensor:
        """Returns each block's relaxed sample, side by side."""
        seeds = tf.unstack(tfp.random.split_seed(seed, len(self._families)))
        drawn = zip(self._families, distribution.distributions, seeds, strict=True)
        samples = [f.relaxed_sample(d, block_seed, replica) for f, d, block_seed in drawn]
        return tf.concat(samples, axis=-1)

    def get_config(self) -> dict[str, Any]:
        return {
            "latents": str(self.latents),
            "temperature": self.temperature,
            "floor": self.floor,
        }


def _family(block: Block, temperature: float, floor: float) -> Likelihood:
    match block.kind:
        case "categorical":
            return _Categorical(temperature)
        case "uniform":
            return _Uniform(floor)
        case "normal":
            return Normal("per_element", floor)
    return _Noise(block.size)


class _Categorical(Likelihood):
    """A one-hot vector of n values, parametrised by logits."""

    name = "categorical"
    stand_in = "relaxation"

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def distribution(self, params: tf.Tensor, raw_scale: tf.Tensor | None = None) -> Any:
        return tfd.OneHotCategorical(logits=params, dtype=tf.float32)

    def relaxed_sample(
        self, distribution: Any, seed: tf.Tensor, replica: Replica = ALONE
    ) -> tf.Tensor:
        relaxed = tfd.RelaxedOneHotCategorical(self.temperature, logits=distribution.logits)
        return replica.drawn(relaxed, seed)


class _Uniform(Likelihood):
    """Normal elements truncated to [-1, 1], parametrised by locations and then scales."""

    name = "uniform"
    params_per_element = 2

    def __init__(self, floor: float) -> None:
        self.floor = floor

    def distribution(self, params: tf.Tensor, raw_scale: tf.Tensor | None = None) -> Any:
        location, offset = tf.split(params, 2, axis=-1)
        scale = self.floor + 10.0 * tf.sigmoid(offset - math.log(9.0))
        elements = TruncatedNormal(tf.tanh(location), scale, -1.0, 1.0)
        return tfd.Independent(elements, reinterpreted_batch_ndims=1)


class _Noise(Likelihood):
    """The prior for every x; it reads no outputs."""

    name = "noise"
    params_per_element = 0

    def __init__(self, size: int) -> None:
        self.size = size

    def distribution(self, params: tf.Tensor, raw_scale: tf.Tensor | None = None) -> Any:
        zeros = tf.zeros([tf.shape(params)[0], self.size])
        elements = tfd.Normal(zeros, tf.ones_like(zeros))
        return tfd.Independent(elements, reinterpreted_batch_ndims=1)


_PRIORS: dict[str, Callable[[int], Any]] = {
    "categorical": lambda n: tfd.OneHotCategorical(logits=tf.zeros(n), dtype=tf.float32),
    "uniform": lambda n: tfd.Independent(
        tfd.Uniform(-tf.ones(n), tf.ones(n)), reinterpreted_batch_ndims=1
    ),
    "normal": priors.standard_normal,
    "noise": priors.standard_normal,
}
