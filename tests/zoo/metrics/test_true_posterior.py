"""Samples of p(z|x) against the normal that it is."""

import numpy as np
import pytest
from linear_gaussian import LinearGaussian

from zoo.errors import InputError
from zoo.metrics import posterior_by_hmc, posterior_by_resampling

S = 600


def check(model, x, z):
    mean = (x - model.b) @ model.gain.T
    # Five standard errors of a mean and of a standard deviation over samples of z, of which
    # resampling repeats some: 1.5 for that
    scale = np.sqrt(model.v)
    np.testing.assert_allclose((z.mean(axis=0) - mean) / scale, 0, atol=1.5 * 5 / np.sqrt(S))
    np.testing.assert_allclose(z.std(axis=0) / scale, 1, rtol=0, atol=1.5 * 5 / np.sqrt(2 * S))
    correlation = np.mean(np.prod((z - mean) / scale, axis=2), axis=0)
    np.testing.assert_allclose(correlation, 0, atol=1.5 * 5 / np.sqrt(S))


def test_resampling():
    model = LinearGaussian(widen=1.3, shift=0.2)
    x = model.data(5)
    found = posterior_by_resampling(model, x, samples=S, draws=4000)
    assert found.z.shape == (S, 5, 2)
    check(model, x, found.z)
    # Of the encoder's own draws that would fail: it is moved by half a deviation.
    with pytest.raises(AssertionError):
        check(model, x, model.encode(x).sample(S).numpy())
    assert np.all(found.effective > 1000)
    assert found.acceptance is None
    assert found.notes == ()


def test_hamiltonian():
    # q(z|x) is off by three deviations: resampling repeats a handful of draws.
    model = LinearGaussian(noise=0.3, shift=0.8)
    x = model.data(3)
    start = posterior_by_resampling(model, x, samples=S, draws=300)
    assert "repeat a few draws" in start.notes[0]
    found = posterior_by_hmc(model, x, samples=S, moves=60, draws=300, jit_compile=False)
    assert len(np.unique(found.z[:, 0, 0])) > 0.9 * S > len(np.unique(start.z[:, 0, 0]))
    check(model, x, found.z)
    assert np.all((found.acceptance > 0.4) & (found.acceptance < 0.9))


def test_of_a_model(small, images):
    model = small("vae", compiled=False)
    found = posterior_by_hmc(model, images[:2], 4, moves=4, draws=16, jit_compile=False)
    assert found.z.shape == (4, 2, 3)
    assert np.all(np.isfinite(found.z))


def test_what_is_refused():
    model = LinearGaussian()
    with pytest.raises(InputError, match="samples is 0"):
        posterior_by_resampling(model, model.data(2), samples=0)
    with pytest.raises(InputError, match="are no images for"):
        posterior_by_resampling(model, model.data(2)[:0])
    with pytest.raises(InputError, match="moves is 0"):
        posterior_by_hmc(model, model.data(2), moves=0)
