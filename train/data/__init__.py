"""Datasets by name: embedded digits, TFDS, folders of images, arrays, and tables of columns.

    dataset = load("mnist_5k", binarization="dynamic")
    for x in dataset.batches("train", batch_size=128, seed=0):    # [128, 28, 28, 1] in {0, 1}
        ...

TensorFlow is imported only by `batches` and to load a TFDS dataset.
"""

from train.data.dataset import BINARIZATIONS, Dataset, resolve_binarization
from train.data.loading import MEMORY_LIMIT, check_name, load
from train.data.pairs import PairedDataset, check_pair, load_pair
from train.data.splits import SPLITS, Split, StreamedSplit
from train.data.tables import Options as TableOptions

__all__ = [
    "BINARIZATIONS",
    "MEMORY_LIMIT",
    "SPLITS",
    "Dataset",
    "PairedDataset",
    "Split",
    "StreamedSplit",
    "TableOptions",
    "check_name",
    "check_pair",
    "load",
    "load_pair",
    "resolve_binarization",
]
