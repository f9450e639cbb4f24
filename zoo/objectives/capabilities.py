"""Capabilities of conditionals and priors, needs of terms, and the check of one against the other.

A family or a conditional declares its `Capabilities`. A term declares what it needs of each
distribution, and which samples its gradient passes through:

    needs           {"q(z|x)": ("density",)}     REC_z evaluates log q(z|x)
    differentiates  {"x_p"}                      and descends through samples x ~ p(x|z)

`check` compares the two when a model is built, before training. This module needs no TensorFlow,
so that declarations (`Objective.implicit_encoder`) use the same sentences.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from zoo.errors import InputError

ENCODER, DECODER, PRIOR = "q(z|x)", "p(x|z)", "p(z)"

# "density": the log density can be evaluated.
# "score": the log density also has a gradient in the variable.
# "moments": there are a mean and a standard deviation.
# "samples": terms see a true, differentiable sample, not a stand-in such as the mean.
Need = Literal["density", "score", "moments", "samples"]
Needs = Mapping[str, tuple[Need, ...]]

# Which distribution each sample is drawn from.
SAMPLES = {"z_q": ENCODER, "x_p": DECODER, "z_p": PRIOR}

# The terms of an objective that evaluate a density under all options.
OF_DENSITIES: dict[str, Needs] = {
    "REC_x": {DECODER: ("density",)},
    "REC_z": {ENCODER: ("density",)},
}


@dataclasses.dataclass(frozen=True)
class Capabilities:
    """What a distribution can do.

    Attributes:
      name: its name in error sentences: the family, such as "bernoulli".
      has_density: whether its log density can be evaluated.
      has_score: whether the log density has a gradient in the variable.
      has_mean: whether it has a mean.
      has_stddev: whether it has a standard deviation.
      reparameterised: whether gradients pass through its samples to its parameters.
      stand_in: what terms receive in place of a sample, such as "mean"; None for the sample.
      trained: whether it depends on trained variables.
    """

    name: str
    has_density: bool = True
    has_score: bool = True
    has_mean: bool = True
    has_stddev: bool = True
    reparameterised: bool = True
    stand_in: str | None = None
    trained: bool = True

    @property
    def differentiable(self) -> bool:
        """Whether gradients pass through the sample, or through its stand-in."""
        return self.reparameterised or self.stand_in is not None

    def can(self, need: Need) -> bool:
        """Returns whether the distribution meets a need of a term."""
        match need:
            case "density":
                return self.has_density
            case "score":
                return self.has_density and self.has_score
            case "moments":
                return self.has_mean and self.has_stddev
        return self.reparameterised and self.stand_in is None


# What `Objective.implicit_encoder` declares q(z|x) to be.
IMPLICIT_ENCODER = Capabilities("an implicit encoder", has_density=False, has_score=False)


def lacking(term: Any, parts: Mapping[str, Capabilities], posterior: Any, prior: Any) -> str | None:
    """Returns a sentence on the first unmet need of a term; None if all are met.

    Gradients are not checked: a term without them can be evaluated, though not trained.

    Args:
      term: a `zoo.terms.Term`.
      parts: the capabilities of `ENCODER`, `DECODER` and `PRIOR`.
      posterior: q(z|x) at some x, a tfd distribution: the needs may depend on its kind.
      prior: p(z).
    """
    needs, _ = term.asks(posterior, prior)
    return next(_unmet(term.name, needs, parts), None)


def check(
    terms: Iterable[Any], parts: Mapping[str, Capabilities], posterior: Any, prior: Any
) -> None:
    """Raises InputError if a term cannot be trained: names the missing capability and the fix.

    Arguments as in `lacking`, for all trained terms.
    """
    for term in terms:
        needs, differentiates = term.asks(posterior, prior)
        for sentence in _unmet(term.name, needs, parts):
            raise InputError(sentence)
        for sample in sorted(differentiates):
            subject = SAMPLES[sample]
            part = parts[subject]
            if part.trained and not part.differentiable:
                raise InputError(
                    f"{term.name} passes gradients through samples of {subject}, but samples of "
                    f"{part.name} have no gradient and no stand-in: {_WITHOUT_SAMPLES[subject]}."
                )


def refusals(names: Iterable[str], parts: Mapping[str, Capabilities]) -> list[str]:
    """Returns a sentence for each named term that needs a density its distribution lacks.

    Names show only some of the needs; `check` finds the others when a model is built.
    """
    found: list[str] = []
    for name in names:
        needs = {s: n for s, n in OF_DENSITIES.get(name, {}).items() if s in parts}
        found += _unmet(name, needs, parts)
    return found


def _unmet(name: str, needs: Needs, parts: Mapping[str, Capabilities]) -> Iterator[str]:
    for subject, wanted in needs.items():
        part = parts[subject]
        for need in wanted:
            if not part.can(need):
                yield _sentence(name, need, subject, part)


def _sentence(term: str, need: Need, subject: str, part: Capabilities) -> str:
    if need == "samples":
        why = f"those of {part.name} have no gradient"
        if part.stand_in is not None:
            why = f"{part.name} shows their {part.stand_in} instead"
        return (
            f"{term} by Monte Carlo follows samples of {subject}, and {why}: use estimator='auto' "
            "and a prior with a closed-form KL, such as the one of zoo.distributions.latents."
        )
    what = {
        "density": f"log {subject}",
        "score": f"the gradient of log {subject} in its variable",
        "moments": f"the mean and standard deviation of {subject}",
    }[need]
    return f"{term} needs {what}, which {part.name} does not have: {_advice(term, need, subject)}."


def _advice(term: str, need: Need, subject: str) -> str:
    if need == "score":
        return "use estimator='ratio'"
    if need == "moments":
        return "use adaptive_contrast=False"
    if subject == PRIOR:
        return "use a prior with a density, or an objective that needs samples of it alone"
    if subject == DECODER:
        return "use a likelihood with a density, or an objective without it, such as ali"
    if term == "RATE":
        return "declare implicit_encoder, which trains RATE_ratio in place of RATE"
    return f"use an encoder with a density, or an objective without {term}"


_WITHOUT_SAMPLES = {
    DECODER: "use an objective whose form is REC_x and RATE, or give the family a stand_in",
    ENCODER: "use a reparameterised posterior, such as normal, or give the family a stand_in",
    PRIOR: "use a prior whose samples are reparameterised, or one without variables",
}
