"""Lower and upper bounds on divergences, for certificates (verdicts on constraints)."""

from zoo.bounds.bound import Bound

__all__ = ["Bound"]
