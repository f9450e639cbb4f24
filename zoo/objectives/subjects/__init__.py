"""Subjects of constraints, by kind: one class and one file per kind, listed in `KINDS`."""

from __future__ import annotations

from zoo.objectives.divergences import NATS
from zoo.objectives.reader import Reader
from zoo.objectives.subjects.base import Subject
from zoo.objectives.subjects.comparison import Comparison
from zoo.objectives.subjects.likelihood import LikelihoodTerm

KINDS: tuple[type[Subject], ...] = (LikelihoodTerm, Comparison)


def read(reader: Reader) -> Subject:
    """Takes a subject from a constraint's tokens.

    Raises:
      InputError: the tokens are not a subject; for an unknown name, suggests the nearest.
    """
    kind = next((kind for kind in KINDS if kind.known(reader.peek())), Comparison)
    return kind.read(reader)


def unit(name: str) -> str:
    """Returns the unit of a term ("MMD_z") or of a subject ("MMD(q(z)||p(z))")."""
    found = (kind.unit_of(name) for kind in KINDS)
    return next((unit for unit in found if unit is not None), NATS)


def axis(name: str) -> str:
    """Returns the unit as the label of a plot's axis, such as "nats per example"."""
    found = unit(name)
    return f"{found} per example" if found == NATS else found
