import numpy as np
import pytest

from train.data.splits import Split, fixed_permutation, held_out_sizes, stretched, with_held_out
from zoo.errors import InputError


def numbered(size):
    """Images that are their own index, in two bytes."""
    index = np.arange(size)
    images = np.stack([index // 256, index % 256], axis=-1).astype(np.uint8)
    return Split(images.reshape(size, 1, 2, 1), index)


def indices(split):
    return split.images[:, 0, 0, 0].astype(int) * 256 + split.images[:, 0, 1, 0]


@pytest.mark.parametrize(
    ("size", "held_out"), [(3, 1), (19, 1), (50, 5), (1234, 123), (60000, 5000)]
)
def test_carves_a_tenth_each_without_overlap(size, held_out):
    splits = with_held_out({"train": numbered(size)}, "numbers")
    assert list(splits) == ["train", "validation", "test"]
    assert splits["validation"].size == splits["test"].size == held_out
    everything = np.concatenate([indices(split) for split in splits.values()])
    assert sorted(everything) == list(range(size))
    for split in splits.values():
        np.testing.assert_array_equal(split.labels, indices(split))


def test_carving_is_always_the_same_and_keeps_what_is_given():
    given = {"train": numbered(100), "test": numbered(7)}
    first, second = with_held_out(given, "numbers"), with_held_out(given, "numbers")
    np.testing.assert_array_equal(indices(first["validation"]), indices(second["validation"]))
    assert first["test"] is given["test"]
    assert first["train"].size == 90
    complete = {**given, "validation": numbered(5)}
    assert with_held_out(complete, "numbers")["train"] is complete["train"]


def test_the_fixed_permutation_never_changes():
    # Written down: another permutation would move held-out images into training data.
    assert fixed_permutation(10).tolist() == [2, 8, 4, 9, 1, 6, 7, 3, 0, 5]


def test_too_few_images_to_split():
    with pytest.raises(InputError, match=r"'few' has 2 image.*at least 3"):
        held_out_sizes(2, set(), "few")
    assert held_out_sizes(2, {"test"}, "few") == {"validation": 1}
    assert held_out_sizes(1, {"test", "validation"}, "few") == {}


def test_images_of_0_and_1_become_black_and_white():
    zero_one = Split(np.array([0, 1], np.uint8).reshape(2, 1, 1, 1))
    dark = Split(np.zeros((2, 1, 1, 1), np.uint8))
    splits = stretched({"train": dark, "test": zero_one})
    assert splits["test"].images.max() == 255
    assert splits["test"].binary
    grey = Split(np.array([0, 2], np.uint8).reshape(2, 1, 1, 1))
    kept = stretched({"train": zero_one, "test": grey})
    assert kept["train"].images.max() == 1
    assert not kept["test"].binary


@pytest.mark.parametrize(
    ("values", "binary"), [([0.0, 1.0], True), ([0.0, 0.5], False), ([1.0, 1.0], True)]
)
def test_float_images_are_binary_if_they_are_0_and_1(values, binary):
    assert Split(np.array(values, np.float32).reshape(2, 1, 1, 1)).binary is binary


def test_as_float_scales_uint8_only():
    split = Split(np.array([0, 51, 255], np.uint8).reshape(3, 1, 1, 1))
    # 51 / 255 is 0.2 up to float32 rounding.
    np.testing.assert_allclose(split.as_float().ravel(), [0, 0.2, 1], rtol=1e-7)
    floats = np.array([0.25], np.float32).reshape(1, 1, 1, 1)
    assert Split(floats).as_float() is floats
