"""Tolerances relative to the best measured value: eps = eps_hat + slack ([U] section 6)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from zoo.errors import InputError
from zoo.objectives.affine import exact
from zoo.objectives.critic_defaults import ratio_estimates
from zoo.objectives.declaration import Constraint
from zoo.objectives.derivation import effective_alpha
from zoo.objectives.objective import Objective

_NONE = Fraction(0)
# The slack of a tolerance without one, as a share of the tolerance or of the divergence's largest
# value. From a cold start JS is log 2: in units of 0.1 * 0.05 its violation winds multipliers up.
_SHARE = 0.1
# Replaces the largest value, in nats, of a KL by a critic, which is unbounded.
_NAT = 1.0


def needs_best(objective: Objective) -> bool:
    """Whether a tolerance needs a `best`, the value without preference, measured first."""
    return any(c.at_most is not None and c.at_most.needs_best for c in objective.constraints)


def neutral(objective: Objective) -> Objective:
    """Returns the neutral objective: the same constraints without an information preference.

        theta* = argmin sum_j lambda_j D_j,   eps_hat = D(theta*)           [U] eq. 19-20

    A run of it measures eps_hat. If the learned constraints imply consistency (C1, C2 or C3), it
    has these alone, at their initial multipliers. Otherwise it has all constraints, alpha such that
    the form prefers no information, and the repair: VAE + MMD for an AAE with a bounded divergence,
    VAE for GECO.

    Raises:
      InputError: neither is admissible.
    """
    fixed = tuple(
        Constraint(c.expression, c.weight) if c.learned else c for c in objective.constraints
    )
    learned = tuple(f for f, c in zip(fixed, objective.constraints, strict=True) if c.learned)
    name = f"{objective.name}_neutral"
    alone = replace(
        objective,
        alpha_q=_NONE,
        alpha_p=_NONE,
        constraints=learned,
        name=name,
        parameters={},
        edits=(),
    )
    form = alone.tractable()
    if form.admissible and form.complete:
        return alone
    whole = replace(alone, constraints=fixed)
    alpha_q, alpha_p = effective_alpha(whole.tractable())
    whole = replace(whole, alpha_q=-1 * alpha_q, alpha_p=-1 * alpha_p)
    form = whole.tractable()
    if form.repair:
        whole = form.repair.objective
    whole.tractable().require_admissible()
    return whole


def resolved(objective: Objective, best: Mapping[str, float]) -> Objective:
    """Returns the objective with every tolerance a number.

    Args:
      best: eps_hat of each learned constraint, by its expression.

    Raises:
      InputError: a measured value is missing.
    """
    constraints = []
    for constraint in objective.constraints:
        if constraint.at_most is not None and constraint.at_most.needs_best:
            if constraint.expression not in best:
                raise InputError(f"No best of {constraint.expression} was measured.")
            eps = constraint.at_most.at(constraint.reachable(best[constraint.expression]))
            constraint = Constraint(constraint.expression, constraint.weight, eps)
        constraints.append(constraint)
    return replace(objective, constraints=tuple(constraints))


def slacks(objective: Objective, best: Mapping[str, float]) -> list[float]:
    """Returns each learned constraint's slack gamma = eps - eps_hat, the unit of its violation.

    If the tolerance is a number and nothing was measured, or if gamma is not positive, the slack is
    a tenth of the tolerance or of the divergence's largest value, whichever is larger. For KLs by a
    critic, which have no largest value, one nat takes its place.
    """
    found = []
    for _, constraint in objective.learned:
        assert constraint.at_most is not None
        reached = best.get(constraint.expression)
        reached = None if reached is None else constraint.reachable(reached)
        if reached is not None and constraint.at_most.at(reached) > reached:
            found.append(constraint.at_most.at(reached) - reached)
        else:
            eps = abs(constraint.at_most.at(reached or 0.0))
            subject = constraint.subject
            largest = subject.range[1] if math.isfinite(subject.range[1]) else 0.0
            by_critic = subject.critic and not subject.lipschitz
            if (by_critic and not largest) or ratio_estimates(objective, constraint):
                largest = _NAT
            found.append(_SHARE * (max(eps, largest) or 1.0))
    return found


def with_slack(objective: Objective, slack: str) -> Objective:
    """Returns the objective with "best + slack" on its first learned constraint.

    Raises:
      InputError: the slack is not a positive number, or no constraint is learned.
    """
    amount = exact(slack)
    if not isinstance(amount, Fraction) or amount <= 0:
        raise InputError(f"--slack={slack} must be positive.")
    for index, constraint in enumerate(objective.constraints):
        if constraint.learned:
            changed = Constraint(
                constraint.expression, constraint.weight, f"best + {float(amount)!r}"
            )
            constraints = list(objective.constraints)
            constraints[index] = changed
            return replace(objective, constraints=tuple(constraints))
    raise InputError(f"--slack={slack} needs a learned constraint; {objective.name} has none.")
