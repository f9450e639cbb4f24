"""The squared error of known reconstructions."""

import numpy as np
import pytest
from linear_gaussian import LinearGaussian

from zoo.errors import InputError
from zoo.metrics import squared_error


def test_the_definition_restated():
    model = LinearGaussian(shift=0.3)
    x = model.data(300)
    code = x @ model.a.T + model.offset
    expected = np.mean((x - code @ model.w.T - model.b) ** 2)
    found = squared_error(model, x)
    # float32 pixels
    assert found.value == pytest.approx(expected, rel=1e-5)
    assert (found.size, found.units) == (300, "per element")
    assert squared_error(model, [x[:50], x[50:]]).value == pytest.approx(expected, rel=1e-5)


def test_of_a_model(small, images):
    model = small("vae", compiled=False)
    expected = np.mean((images - model.reconstruct(images).numpy()) ** 2)
    assert squared_error(model, images).value == pytest.approx(expected, rel=1e-5)


def test_no_images():
    with pytest.raises(InputError, match="are no images for"):
        squared_error(LinearGaussian(), [])
