"""How a constraint moved in training: swings around its tolerance, and overshoot once met."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

LEAST = 8  # records: with fewer, a pattern cannot be told from noise
_SWINGS = 3  # the fewest sign changes of a swing: one and a half periods
_STANDARD_ERRORS = 3.0


def oscillation(
    records: Iterable[Mapping[str, Any]], expression: str, tolerance: float
) -> dict[str, Any] | None:
    """Returns how often the violation D - eps changed sign, and how far it overshot.

        changes = #{ t : [D_t > eps] != [D_t-1 > eps] }          over the last half of training
        noise_changes = 2 n_met n_violated / n                   if records were independent
        overshoot = max_{t >= t_0} max(0, D_t - eps),   t_0 the first t with D_t <= eps

    If the multiplier holds a constraint at its tolerance, D - eps changes sign as noise does. If
    it cycles, it stays on each side for several records and changes sign less often. `swings` is
    true if there are 3 or more changes, but fewer than noise would give by 3 standard errors of the
    runs test. Wald and Wolfowitz "On a Test Whether Two Samples Are from the Same Population."
    Annals of Mathematical Statistics 11, 1940.

    Args:
      records: rows of metrics.jsonl; those of split "train" with a finite D are used.
      expression: the constraint's name.
      tolerance: eps, in the constraint's units.

    Returns:
      JSON-able data, or None if there are fewer than 8 such records. `span` is the range of D over
      the last half; `met_step`, `overshoot` and `overshoot_step` are None if the constraint was
      never met.
    """
    path = [
        (row["step"], value)
        for row in records
        if row["split"] == "train"
        and (value := row.get("constraints", {}).get(expression)) is not None
        and math.isfinite(value)
    ]
    if len(path) < LEAST:
        return None
    steps, values = np.array(path, np.float64).T
    violations = values - tolerance
    late = steps >= steps[-1] / 2
    changes, expected, error = _changes(violations[late] > 0.0)
    found = {
        "expression": expression,
        "from_step": int(steps[late][0]),
        "to_step": int(steps[-1]),
        "records": int(late.sum()),
        "sign_changes": changes,
        "noise_changes": expected,
        "swings": changes >= _SWINGS and changes < expected - _STANDARD_ERRORS * error,
        "met": bool(np.all(violations[late] <= 0.0)),
        "span": float(np.ptp(values[late])),
        "met_step": None,
        "overshoot": None,
        "overshoot_step": None,
    }
    met = np.flatnonzero(violations <= 0.0)
    if len(met):
        worst = met[0] + int(np.argmax(violations[met[0] :]))
        found["met_step"] = int(steps[met[0]])
        found["overshoot"] = max(0.0, float(violations[worst]))
        found["overshoot_step"] = int(steps[worst])
    return found


def sentences(found: Mapping[str, Any] | None) -> list[str]:
    """Returns the result of `oscillation` in sentences, for the certificate's page; [] if None."""
    if found is None:
        return []
    name, changes = found["expression"], found["sign_changes"]
    where = f"in the {found['records']} records of steps {found['from_step']} to {found['to_step']}"
    said = []
    if found["swings"]:
        said.append(
            f"{name} swings around its tolerance: D - eps changed sign {changes} times {where}, "
            f"where independent noise would change it {found['noise_changes']:.0f} times. D spans "
            f"{found['span']:.4g}."
        )
    elif changes >= _SWINGS:
        said.append(
            f"{name} stayed around its tolerance: D - eps changed sign {changes} times {where}, as "
            "often as noise would change it."
        )
    elif changes:
        said.append(f"{name} crossed its tolerance {_times(changes)} {where}.")
    else:
        state = "at most" if found["met"] else "above"
        said.append(f"{name} was {state} its tolerance {where}.")
    if found["met_step"] is None:
        said.append(f"{name} was never met in training.")
    elif found["overshoot"]:
        said.append(
            f"After {name} was first met, at step {found['met_step']}, it exceeded its tolerance "
            f"by up to {found['overshoot']:.4g}, at step {found['overshoot_step']}."
        )
    return said


def _changes(violated: np.ndarray) -> tuple[int, float, float]:
    """Returns the number of sign changes, and its mean and deviation under independence."""
    n, above = len(violated), int(violated.sum())
    changes = int(np.sum(violated[1:] != violated[:-1]))
    # E changes = 2 n_1 n_2 / n,   Var changes = 2 n_1 n_2 (2 n_1 n_2 - n) / (n^2 (n - 1))
    pairs = 2.0 * above * (n - above)
    variance = pairs * (pairs - n) / (n**2 * (n - 1)) if n > 1 else 0.0
    return changes, pairs / n, math.sqrt(max(variance, 0.0))


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
