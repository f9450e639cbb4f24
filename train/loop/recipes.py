"""Default weights for training on images, where the declared ones give poor samples.

A declared weight is 1 unless stated otherwise, and terms are in nats per example. So a REC_x of a
hundred nats, or a REC_z of sixteen codes, outweighs a divergence of at most log 2 between samples
or codes.
"""

from __future__ import annotations

from collections.abc import Mapping

from zoo.objectives import family

RECIPES = {
    "wae_mmd": {"l": "1000"},
    "wae_gan": {"l": "10"},
    "alice": {"l": "1/50"},
    "infogan": {"l": "1/20"},
    "infobigan": {"a2": "-1/20"},
    "cyclegan": {"l1": "1/80", "l2": "1/80"},
    "discogan": {"l1": "1/80", "l2": "1/80"},
}


def parameters(model: str | None, given: Mapping[str, str]) -> dict[str, str]:
    """Returns a model's parameters: those given, completed by its recipe."""
    return {**RECIPES.get(model or "", {}), **given}


def said(model: str | None, given: Mapping[str, str]) -> str | None:
    """Returns a sentence about the parameters that the recipe sets; None if it sets none."""
    chosen = {k: v for k, v in RECIPES.get(model or "", {}).items() if k not in given}
    if not model or not chosen:
        return None
    declared = family.get(model).defaults
    now = " and ".join(f"{name}={value}" for name, value in chosen.items())
    then = " ".join(f"--set {name}={declared[name]}" for name in chosen)
    return f"{model} with {now}; as declared: {then}"
