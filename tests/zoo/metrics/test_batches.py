"""Data sets as batches."""

import numpy as np

from zoo.metrics.batches import in_batches, in_full_batches


def test_an_array_is_cut_and_batches_are_kept():
    x = np.arange(10)[:, None]
    assert [len(part) for part in in_batches(x, 4)] == [4, 4, 2]
    assert np.array_equal(np.concatenate(list(in_batches(x, 4))), x)
    given = [x[:3], x[3:]]
    assert in_batches(given, 4) is given


def test_full_batches_have_one_shape():
    x = np.arange(10)[:, None]
    for given in (x, [x[:7], x[7:]]):
        found = list(in_full_batches(given, 4))
        assert {part.shape for part, _ in found} == {(4, 1)}
        assert {part.dtype for part, _ in found} == {np.dtype(np.float32)}
        assert np.array_equal(np.concatenate([part[:count] for part, count in found]), x)
    # the last is filled with copies of its last image
    part, count = found[-1]
    assert count == 3
    assert part[3] == part[2]
