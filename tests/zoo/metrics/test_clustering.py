import itertools

import numpy as np
import pytest

from zoo.errors import InputError
from zoo.metrics.clustering import cluster_accuracy


def test_it_is_the_best_over_all_matchings():
    rng = np.random.default_rng(0)
    codes, labels = rng.integers(4, size=200), rng.integers(4, size=200)
    codes[:80] = (labels[:80] + 1) % 4
    every = [np.mean(np.array(m)[codes] == labels) for m in itertools.permutations(range(4))]
    found = cluster_accuracy(codes, labels)
    assert found.value == pytest.approx(max(every))
    assert found.interval[0] < found.value < found.interval[1]


def test_the_interval_allows_for_the_choice_of_the_matching():
    # Codes that know nothing of the labels: a tenth agrees, and the best matching finds a third.
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(100):
        found = cluster_accuracy(rng.integers(10, size=60), rng.integers(10, size=60))
        assert found.value > 0.15
        low, high = found.interval
        assert 0.0 <= low <= found.value <= high <= 1.0
        hits += low <= 0.1 <= high
    assert hits >= 90


def test_sorted_examples_have_the_same_interval():
    labels = np.arange(400) % 10
    codes = np.where(np.random.default_rng(0).random(400) < 0.8, labels, 3)
    low, high = cluster_accuracy(codes, labels).interval
    order = np.argsort(labels, kind="stable")
    again = cluster_accuracy(codes[order], labels[order]).interval
    assert again == pytest.approx((low, high), abs=0.02)
    assert high - low < 0.1


def test_other_names_of_the_classes_are_as_good():
    labels = np.arange(100) % 10
    assert cluster_accuracy((labels * 3 + 1) % 10, labels).value == 1.0
    assert cluster_accuracy(np.eye(10)[labels], labels + 5).value == 1.0


def test_one_value_finds_one_class():
    assert cluster_accuracy(np.zeros(100), np.arange(100) % 10).value == pytest.approx(0.1)


def test_values_without_a_class_are_wrong():
    labels = np.repeat([0, 1], 50)
    codes = np.arange(100) % 50 % 5 + 10 * labels  # ten values, five of each class
    assert cluster_accuracy(codes, labels).value == pytest.approx(0.2)


def test_wrong_input():
    with pytest.raises(InputError, match="3 codes and 2 labels"):
        cluster_accuracy([1, 2, 3], [1, 2])
    with pytest.raises(InputError, match="0 codes"):
        cluster_accuracy([], [])
