import dataclasses

import pytest

from zoo.terms import Estimate


def test_of_a_value_is_its_own_surrogate():
    estimate = Estimate.of(3.0)
    assert (estimate.value, estimate.surrogate, estimate.critic_loss) == (3.0, 3.0, None)


def test_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Estimate.of(3.0).value = 4.0
