import numpy as np

from zoo.metrics import class_shares


def _squares(counts):
    shares = counts / counts.sum(axis=-1, keepdims=True)
    return np.sum(shares**2, axis=-1)


def test_shares_have_half_an_example_more_in_each_class():
    np.testing.assert_allclose(class_shares.shares([3, 0, 1]), [3.5 / 5.5, 0.5 / 5.5, 1.5 / 5.5])


def test_intervals_cover_the_truth():
    p = np.array([0.6, 0.3, 0.1])
    truth, hits = np.sum(p**2), 0
    for seed in range(100):
        counts = np.random.default_rng(seed).multinomial(400, p)
        low, high = class_shares.interval(_squares, counts, seed)
        hits += low <= truth <= high
    assert hits >= 90


def test_an_interval_holds_the_value_where_few_classes_are_seen():
    counts = np.array([500, 0, 0, 0])
    low, high = class_shares.interval(_squares, counts)
    assert low <= 1.0 <= high


def test_the_seed_decides():
    counts = np.array([30, 50, 20])
    assert class_shares.interval(_squares, counts, 1) == class_shares.interval(_squares, counts, 1)
    assert class_shares.interval(_squares, counts, 1) != class_shares.interval(_squares, counts, 2)
