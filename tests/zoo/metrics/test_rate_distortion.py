"""Rate and distortion of a linear Gaussian model, and of the zoo's."""

import pytest
import tensorflow as tf
from linear_gaussian import LinearGaussian

from zoo.errors import InputError
from zoo.metrics import rate_distortion


def within(found, truth, errors=4):
    low, high = found.interval
    return abs(found.value - truth) < errors * (high - low) / 2 / 1.96


def test_closed_form():
    model = LinearGaussian(spread=1.3, shift=0.4, widen=1.5)
    found = rate_distortion(model, model.data(3000))
    assert within(found.rate, model.rate)
    assert within(found.distortion, model.distortion)
    # -ELBO = -log p(x) + KL(q(z|x)||p(z|x))
    assert within(found.bound, model.rate + model.distortion)
    assert found.bound.value == pytest.approx(found.rate.value + found.distortion.value)
    assert found.bound.size == 3000
    assert found.bound.value > -model.log_likelihood


def test_of_a_model(small, images):
    model = small("vae", compiled=False)
    found = rate_distortion(model, images)
    values = model.term_values(tf.constant(images), [0, 0])
    # RATE has a closed form; REC_x has other noise here.
    assert found.rate.value == pytest.approx(float(values["RATE"]), rel=1e-5)
    assert found.distortion.value == pytest.approx(float(values["REC_x"]), rel=0.1)


def test_no_images():
    with pytest.raises(InputError, match="are no images for"):
        rate_distortion(LinearGaussian(), [])
