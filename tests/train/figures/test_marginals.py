import numpy as np
import pytest
from PIL import Image

from train.figures import marginals
from zoo.errors import InputError

random = np.random.default_rng(0)


def rows(n, shift):
    return {
        "height": random.normal(170 + shift, 10, n),
        "town": random.choice(["a", "b", "a_town_with_a_long_name"], n).astype(object),
        "well": random.integers(0, 2, n).astype(bool),
        "embedding": random.normal(0, 1, (n, 3)),
    }


def test_each_column_and_each_element_has_a_panel(tmp_path):
    found = list(marginals._panels(rows(50, 0), rows(40, 5)))
    names = ["height", "town", "well", "embedding[0]", "embedding[1]", "embedding[2]"]
    assert [name for name, *_ in found] == names
    marginals.marginals(rows(50, 0), rows(40, 5), tmp_path / "m.png")
    assert len(np.unique(np.asarray(Image.open(tmp_path / "m.png")))) > 10
    assert [path.name for path in tmp_path.iterdir()] == ["m.png"]


def test_extremes_and_many_columns(tmp_path):
    wide = {f"a{i}": np.array([0.0, 1e12, np.inf, -1e-12]) for i in range(40)}
    marginals.marginals(wide, wide, tmp_path / "m.png")
    one = {"a": np.zeros(3)}
    marginals.marginals(one, one, tmp_path / "one.png")


def test_other_columns_are_refused(tmp_path):
    for data, samples in (({}, {}), ({"a": np.zeros(2)}, {"b": np.zeros(2)})):
        with pytest.raises(InputError, match="Data have the columns"):
            marginals.marginals(data, samples, tmp_path / "m.png")
