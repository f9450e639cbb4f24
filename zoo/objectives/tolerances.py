"""Tolerances relative to what is reachable: eps = eps_hat + slack ([U] section 6)."""

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
# Of a tolerance given as a number, which names no slack of its own, or of the largest value there
# can be: from a cold start JS is log 2, and counting that in tenths of 0.05 winds multipliers up.
_SHARE = 0.1
# What stands for the largest value of a KL by a critic, in nats, where there is none.
_NAT = 1.0


def needs_best(objective: Objective) -> bool:
    """Whether a tolerance is relative to a best that must be measured first."""
    return any(c.at_most is not None and c.at_most.needs_best for c in objective.constraints)


def neutral(objective: Objective) -> Objective:
    """Returns the objective without its information preference, whose constraints are measured.

        theta* = argmin sum_j lambda_j D_j,   eps_hat = D(theta*)           [U] eq. 19-20

    The learned constraints alone, at their first multipliers, where they imply consistency
    (C1, C2 or C3); otherwise all constraints with alpha set so that the form prefers no
    information, repaired: VAE + MMD for an AAE with its divergence bounded, VAE for GECO.

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
            eps = constraint.at_most.at(best[constraint.expression])
            constraint = Constraint(constraint.expression, constraint.weight, eps)
        constraints.append(constraint)
    return replace(objective, constraints=tuple(constraints))


def slacks(objective: Objective, best: Mapping[str, float]) -> list[float]:
    """Returns each learned constraint's slack gamma = eps - eps_hat, the unit of its violation.

    Where the tolerance is a number and nothing was measured, or where the slack is not positive:
    a tenth of the tolerance, or of the largest value the divergence can have if that is more; of
    one nat for KLs by a critic, which have none.
    """
    found = []
    for _, constraint in objective.learned:
        assert constraint.at_most is not None
        reached = best.get(constraint.expression)
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
