import numpy as np
import pytest

from zoo.errors import InputError
from zoo.metrics.coverage import coverage


def _data(n=1000, classes=10, seed=0):
    """Ten classes at the corners of a simplex, each spread around its own."""
    labels = np.arange(n) % classes
    features = 6 * np.eye(classes)[labels]
    return features + np.random.default_rng(seed).normal(size=features.shape), labels


def _distance(features):
    differences = features[:, None] - features
    n = len(features)
    return np.sqrt((differences**2).sum(axis=-1)).sum() / (n * (n - 1))


def test_it_is_the_formulas():
    f, c = _data(60, seed=1)
    f, c = f[c < 7], c[c < 7]
    g, d = _data(80)
    found = coverage(f, c, g, d)
    assert found.diversity.value == pytest.approx(_distance(f) / _distance(g))
    assert found.entropy.value == pytest.approx(np.log(7))
    assert found.data_entropy == pytest.approx(np.log(10))
    assert found.reached == 0.7
    within = [_distance(f[c == k]) / _distance(g[d == k]) for k in range(7)]
    assert found.within == pytest.approx(np.mean(within))
    assert not found.collapsed


def test_other_draws_of_the_data_cover_it():
    found = coverage(*_data(seed=1), *_data(seed=2))
    assert found.reached == 1.0
    assert found.diversity.interval[0] < 1.0 < found.diversity.interval[1]
    # 100 of each class and 10 features: the mean distance is good to about 1%.
    assert found.within == pytest.approx(1.0, abs=0.05)
    assert not found.collapsed


def test_intervals_of_diversity_cover_the_truth():
    # Distances of normals scale with them: the ratio is 0.7.
    hits = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        f, g = 0.7 * rng.normal(size=(150, 5)), rng.normal(size=(150, 5))
        found = coverage(f, np.zeros(150), g, np.zeros(150))
        hits += found.diversity.interval[0] <= 0.7 <= found.diversity.interval[1]
    assert hits >= 90


def test_three_classes_of_ten_are_a_collapse():
    f, c = _data()
    found = coverage(f[c < 3], c[c < 3], f, c)
    # H = log 3 = 1.10 < log(10) / 2 = 1.15
    assert found.collapsed
    assert found.verdict.startswith("collapsed")


def test_one_image_is_a_collapse():
    f, c = _data()
    found = coverage(np.repeat(f[:1], 100, axis=0), np.repeat(c[:1], 100), f, c)
    assert found.collapsed
    assert found.entropy.value == 0.0
    assert found.diversity.value == 0.0
    assert found.reached == 0.1


def test_one_image_to_a_class_is_seen_within_classes():
    f, c = _data()
    found = coverage(np.repeat(f[:10], 20, axis=0), np.repeat(c[:10], 20), f, c)
    assert found.reached == 1.0
    assert found.within == pytest.approx(0.0, abs=1e-12)


def test_a_class_that_comes_by_mistake_is_not_reached():
    f, c = _data()
    kept = c < 5
    kept[np.flatnonzero(c == 7)[:2]] = True  # 0.4% of the samples
    assert coverage(f[kept], c[kept], f, c).reached == 0.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sample_features": np.zeros((3, 10)), "sample_classes": np.zeros(3)}, r"\(3, 10\)"),
        ({"sample_classes": np.zeros(7)}, r"\(7,\)"),
        ({"sample_features": np.full((1000, 10), np.nan)}, "diverged"),
        ({"data_features": np.zeros((1000, 10))}, "same features"),
    ],
)
def test_wrong_input(change, words):
    f, c = _data()
    given = {
        "sample_features": f,
        "sample_classes": c,
        "data_features": f,
        "data_classes": c,
    }
    with pytest.raises(InputError, match=words):
        coverage(**{**given, **change})
