import keras
import numpy as np
import pytest

from zoo.errors import InputError
from zoo.model.weight_averages import WeightAverages


def test_averages_follow_the_weights():
    weight = keras.Variable([1.0, 2.0])
    averages = WeightAverages(0.75, [weight])
    weight.assign([5.0, 2.0])
    averages.update()
    with averages.in_place():
        # 0.75 1 + 0.25 5
        np.testing.assert_allclose(weight, [2.0, 2.0])
    np.testing.assert_array_equal(weight, [5.0, 2.0])
    with pytest.raises(RuntimeError), averages.in_place():
        raise RuntimeError
    np.testing.assert_array_equal(weight, [5.0, 2.0])


def test_a_decay_of_one_never_moves():
    with pytest.raises(InputError, match="decay is 1"):
        WeightAverages(1.0, [])


def test_samples_are_of_the_averages_and_both_are_saved(small, images, tmp_path):
    model = small("ali", ema=0.9)
    first = model.sample(3)
    model.fit(images, batch_size=12, epochs=2, verbose=0)
    sampled = model.sample(3)
    assert not np.allclose(first, sampled, atol=1e-6)
    assert not np.allclose(sampled, small("ali").sample(3))
    plain = model.decode(model.prior.sample(3, seed=[0, 0])).mean()
    with model.averaged():
        averaged = model.decode(model.prior.sample(3, seed=[0, 0])).mean()
    assert not np.allclose(plain, averaged, atol=1e-6)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.sample(3), sampled)
