"""The pairing that planted maps between images have."""

import numpy as np
import pytest
import tensorflow as tf

from zoo.errors import InputError
from zoo.metrics.pairing import Pairing, pairing


def images(n, seed=0, shape=(6, 6, 1)):
    return np.random.default_rng(seed).random((n, *shape), dtype=np.float32)


def turned(x):
    return np.rot90(x, axes=(1, 2))


def test_the_true_map_finds_every_partner():
    x = images(40)
    found = pairing(turned, x, turned(x))
    assert found.true_error == 0
    # |u - v| of two uniforms is 1/3 on average, with a variance of 1/18: over 40 x 36 pixels a
    # standard error of 0.006, five of which are allowed.
    assert found.random_error == pytest.approx(1 / 3, abs=0.03)
    assert found.ratio == 0
    assert found.retrieval == 1
    assert (found.points, found.chance) == (40, 1 / 40)


def test_the_definitions_restated():
    x, z = images(30), images(30, seed=1, shape=(6, 6, 3))
    made = np.repeat(x, 3, axis=-1)
    found = pairing(lambda x: tf.repeat(x, 3, axis=-1), x, z, seed=2)
    errors = np.abs(made[:, None].astype(float) - z[None]).mean(axis=(2, 3, 4))
    # float32 differences, added in float64
    assert found.true_error == pytest.approx(np.diag(errors).mean(), abs=1e-6)
    assert found.retrieval == np.mean(errors.argmin(axis=1) == np.arange(30))
    order = np.random.default_rng(2).permutation(30)
    others = [errors[i, j] for i, j in zip(order, np.roll(order, -1), strict=True)]
    assert found.random_error == pytest.approx(np.mean(others), abs=1e-6)
    assert found.ratio == found.true_error / found.random_error


def test_a_map_that_errs_by_a_known_amount():
    x = images(50)
    z = np.clip(x, 0, 0.75)
    found = pairing(lambda x: np.clip(x, 0, 0.75) + 0.125, x, z)
    # a shift by an eighth, exact in float32 but for sums of it
    assert found.true_error == pytest.approx(0.125, abs=1e-6)
    assert found.retrieval == 1


def test_chance():
    # Translations that have nothing to do with their images.
    x = images(400)
    found = pairing(lambda x: images(len(x), seed=9), x, images(400, seed=1), seed=3)
    # 14400 pixels in either mean: a ratio of 1 give or take 0.7 sqrt(2) / 120 = 0.008
    assert found.ratio == pytest.approx(1, abs=0.04)
    # 400 trials of 1 in 400: one hit expected, more than six once in ten thousand.
    assert found.retrieval <= 6 / 400


def test_one_image_for_all_finds_nobody():
    x = images(20)
    found = pairing(np.zeros_like, x, x)
    assert found.ratio == pytest.approx(1)
    assert found.retrieval in (0, 1 / 20)  # the darkest partner is always the nearest
    # Where partners are all the same too, any is as near: that is chance, not a find.
    same = pairing(np.zeros_like, x, np.zeros_like(x))
    assert same.ratio == 1
    assert same.retrieval == pytest.approx(1 / 20)


def test_a_permuted_pairing_is_noticed():
    x = images(30)
    found = pairing(lambda x: x, x, np.roll(x, 1, axis=0))
    assert found.retrieval == 0
    assert found.true_error == pytest.approx(1 / 3, abs=0.03)


@pytest.mark.parametrize("n", [2, 3, 17])
def test_the_random_partner_is_always_anothers(n):
    x = np.arange(n, dtype=np.float32)[:, None]
    found = [pairing(lambda z: z, x, x, seed=seed) for seed in range(20)]
    assert all(each.true_error == 0 for each in found)
    # A cycle's steps: each at least 1.
    assert all(each.random_error >= 1 for each in found)


def test_batches_are_as_good_as_an_array():
    x, z = images(300), images(300, seed=1)
    whole = pairing(turned, x, z)
    assert pairing(turned, iter([x[:290], x[290:]]), [z[:7], z[7:]]) == whole
    assert pairing(turned, tf.constant(x), z) == whole
    assert pairing(turned, x, z, seed=1) != whole


@pytest.mark.parametrize(
    ("x", "z", "message"),
    [
        (images(1), images(1), "are 1 pairs for a pairing: give two"),
        ([], [], "are 0 pairs for a pairing: give two"),
        (images(3), images(4), r"shape \(3, 6, 6, 1\) and their partners \(4, 6, 6, 1\)"),
        (images(3), images(3, shape=(6, 6, 3)), r"partners \(3, 6, 6, 3\): give as many"),
    ],
)
def test_what_has_no_pairing(x, z, message):
    with pytest.raises(InputError, match=message):
        pairing(lambda x: x, x, z)


def test_nothing_to_tell_apart():
    assert Pairing(0.0, 0.0, 0.5, 2).ratio == 1
