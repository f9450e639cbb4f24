"""Weights with which `train` runs models whose declared ones leave nothing to see on images.

A declared weight is 1 unless said otherwise, and terms are in nats per example: a hundred of REC_x,
or sixteen codes of REC_z, outweigh a divergence of at most log 2 between samples or codes.
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
    """Returns a model's parameters: those given, and its recipe's for the rest."""
    return {**RECIPES.get(model or "", {}), **given}


def said(model: str | None, given: Mapping[str, str]) -> str | None:
    """Returns a sentence about what the recipe chose, None if it chose nothing."""
    chosen = {k: v for k, v in RECIPES.get(model or "", {}).items() if k not in given}
    if not model or not chosen:
        return None
    declared = family.get(model).defaults
    now = " and ".join(f"{name}={value}" for name, value in chosen.items())
    then = " ".join(f"--set {name}={declared[name]}" for name in chosen)
    return f"{model} with {now}; as declared: {then}"
