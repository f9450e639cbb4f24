"""Three violations of two constraints, the numbers of every step worked out by hand."""

import numpy as np
import pytest

from zoo import multipliers

# Slacks 2 and 0.01: g = (1, -1), (-1, 3), (2, 0), and with smoothing 1/2
#                   xi = (1, -1), ( 0, 1), (1, 0.5).
VIOLATIONS = np.float32([[2.0, -0.01], [-2.0, 0.03], [4.0, 0.0]])


@pytest.fixture
def three_steps():
    """Returns a function: rule -> its effective multipliers before each step and values after."""

    def take(name, **options):
        rule = multipliers.get(name, rate=0.1, **options)
        # mu = (2, 1)
        rule.start([1.0, 100.0], [2.0, 0.01])
        effective, values = [], []
        for violation in VIOLATIONS:
            effective.append(rule.effective(violation).numpy())
            rule.update(violation)
            values.append(rule.value.numpy())
        return np.array(effective), np.array(values)

    return take
