"""Tables and vectors in files: splits, statistics of training rows, a sentence for each fault."""

import builtins

import numpy as np
import pandas as pd
import pytest

from train import data
from train.data import TableOptions, tables
from zoo.errors import InputError

random = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "age": random.integers(20, 60, 60),
        "town": random.choice(["a", "b", "c"], 60),
        "grade": random.integers(1, 4, 60),
        "well": random.integers(0, 2, 60).astype(bool),
    }
)


def saved(folder, frame=FRAME, name="mine.csv"):
    path = folder / name
    frame.to_csv(path, index=False) if name.endswith(".csv") else frame.to_parquet(path)
    return str(path)


@pytest.mark.parametrize("name", ["mine.csv", "mine.parquet"])
def test_three_splits_with_the_statistics_of_training_rows(tmp_path, name):
    found = data.load(saved(tmp_path, name=name))
    assert found.image_shape == (2 + 3 + 2,) == found.table.shape
    assert found.binarization == "none"
    assert [found.split(each).size for each in data.SPLITS] == [48, 6, 6]
    train = found.split("train").images
    np.testing.assert_allclose(train[:, :2].mean(axis=0), 0, atol=1e-6)
    ages = np.concatenate(
        [found.table.decode(found.split(each).images)["age"] for each in data.SPLITS]
    )
    np.testing.assert_allclose(np.sort(ages), np.sort(FRAME["age"]), rtol=1e-5)
    again = data.load(saved(tmp_path, name=name))
    np.testing.assert_array_equal(again.split("test").images, found.split("test").images)
    assert again.table == found.table


def test_batches_are_rows(tmp_path):
    found = data.load(saved(tmp_path))
    batch = next(iter(found.batches("train", 8, seed=0)))
    assert batch.shape == (8, 7)
    resident = found.resident_batches("train", 8, seed=0)
    numbers = next(iter(resident.chunks(0, 1)))
    np.testing.assert_array_equal(resident({k: v[0] for k, v in numbers.items()}), batch)


def test_options(tmp_path):
    split = np.repeat(["train", "validation", "test"], 20)
    path = saved(tmp_path, FRAME.assign(split=split))
    options = TableOptions(("grade",), ("age",), "town", "split")
    found = data.load(path, columns=options)
    assert found.table.names == ["grade", "well"]
    assert found.table.columns[0].categories == (1, 2, 3)
    assert [found.split(each).size for each in data.SPLITS] == [20, 20, 20]
    np.testing.assert_array_equal(
        found.split("test").labels, FRAME["town"][40:].map({"a": 0, "b": 1, "c": 2})
    )
    whole = data.load(path, columns=TableOptions(label_column="grade", drop=("split",)))
    assert set(whole.split("train").labels) == {1, 2, 3}


def test_every_category_has_a_training_row(tmp_path):
    rare = FRAME.assign(town=["rare" if i == 31 else "common" for i in range(60)])
    for row in range(60):  # wherever it is carved
        moved = rare.iloc[np.roll(np.arange(60), row)]
        towns = data.load(saved(tmp_path, moved)).table.columns[1].categories
        assert towns == ("common", "rare")


def test_a_held_out_category_is_refused(tmp_path):
    split = np.repeat(["train", "validation", "test"], 20)
    frame = FRAME.assign(split=split, town=["a"] * 10 + ["b"] * 45 + ["c"] * 5)
    with pytest.raises(
        InputError, match=r"'town' of the test rows of .* has the category 'c' in ro"
    ):
        data.load(saved(tmp_path, frame), columns=TableOptions(split_column="split"))


TEXTS = {
    "empty": ("", "mine.csv is empty: save a table with a header and rows"),
    "blank": ("\n\n", "is empty"),
    "header": ("a,b\n", "has a header and no rows"),
    "twice": ("a,b,a\n1,2,3\n", "two columns called 'a': rename one"),
    "unnamed": (",a\n0,1\n1,2\n", "Column 1 of .* has no name: .*index=False"),
    "headless": ("1,2\n3,4\n", "holds numbers and no names: put a header above it"),
    "ragged": ("a,b\n1,2\n1,2,3,4\n", "cannot be read as a csv file .*save it again"),
    "semicolons": ("a;b\n1;2\n", "are separated by ';': save it with commas between them"),
    "missing": ("a,b\n1,2\n,3\n4,5\n", "Column 'a' of .* has no value in 1 of 3 rows, first in"),
    "infinite": ("a,b\n1,2\ninf,3\n4,5\n", "Column 'a' of .* is infinite in 1 row"),
    "mixed": ("a,b\n1,2\nx,3\n", r"at least 3 are needed"),
    "few": ("a,b\n1,2\n2,3\n", r"has 2 row\(s\) to make train and validation and test from"),
    "constant": ("a,b\n" + "1,2\n2,2\n" * 9, "Column 'b' of .* is 2.0 in every training row"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_files_that_are_refused(tmp_path, name):
    text, message = TEXTS[name]
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message) as error:
        data.load(str(path))
    assert "mine.csv" in str(error.value)
    assert "\n" not in str(error.value)


def test_what_pandas_keeps_apart_of_a_parquet_file(tmp_path):
    path = str(tmp_path / "mine.parquet")
    FRAME.assign(name=[f"n{i}" for i in range(60)]).set_index("name").to_parquet(path)
    with pytest.raises(InputError, match=r"'name' of .* another category in each of its 48 train"):
        data.load(path)
    assert data.load(path, columns=TableOptions(drop=("name",))).table.names == list(FRAME)


def test_bytes_that_are_no_table(tmp_path):
    for name in ("mine.csv", "mine.parquet"):
        (tmp_path / name).write_bytes(bytes(range(256)) * 4)
        with pytest.raises(InputError, match=r"cannot be read as a .* file"):
            data.load(str(tmp_path / name))
    with pytest.raises(InputError, match=r"There is no file none\.csv"):
        data.load("none.csv")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TableOptions(drop=("agee",)), "Unknown column of .* 'agee': did you mean 'age'"),
        (TableOptions(drop=tuple(FRAME)), "All columns of .* are left out"),
        (TableOptions(split_column="town"), "'town' of .* holds '.': each row must say train, val"),
        (TableOptions(label_column="height"), "Unknown column of"),
    ],
)
def test_options_that_do_not_fit(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        data.load(saved(tmp_path), columns=options)


def test_options_of_tables_are_for_tables_alone(tmp_path):
    with pytest.raises(InputError, match=r"--drop is for the columns of a \.csv or \.parquet"):
        data.load("mnist_5k", columns=TableOptions(drop=("a",)))
    with pytest.raises(InputError, match="--binarization=static is for images"):
        data.load(saved(tmp_path), binarization="static")


@pytest.mark.parametrize(("missing", "name"), [("pandas", "mine.csv"), ("pyarrow", "m.parquet")])
def test_a_missing_package_is_named(tmp_path, monkeypatch, missing, name):
    path = saved(tmp_path, name=name)
    read = builtins.__import__

    def without(module, *args, **kwargs):
        if module.split(".")[0] == missing:
            raise ImportError(f"No module named {missing!r}")
        return read(module, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    if missing == "pyarrow":

        def unreadable(path):
            raise ImportError("Missing optional dependency 'pyarrow'.")

        monkeypatch.setattr(pd, "read_parquet", unreadable)
    with pytest.raises(InputError, match=f"read by {missing}, which is not installed: run pip in"):
        data.load(path)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8"])
def test_vectors_are_standardised_unless_another_likelihood_is_chosen(tmp_path, dtype):
    vectors = random.integers(0, 200, (50, 3)).astype(dtype)
    np.savez(tmp_path / "mine.npz", x_train=vectors, x_test=vectors[:9], y_test=np.arange(9))
    found = data.load(str(tmp_path / "mine.npz"))
    (column,) = found.table.columns
    assert (column.name, column.vector, found.image_shape) == ("x", True, (3,))
    np.testing.assert_allclose(found.split("train").images.std(axis=0), 1, rtol=1e-5)
    back = found.table.decode(found.split("test").images)["x"]
    np.testing.assert_allclose(back, vectors[:9], atol=1e-3)
    np.testing.assert_array_equal(found.split("test").labels, np.arange(9))
    as_they_are = data.load(str(tmp_path / "mine.npz"), standardise=False)
    assert as_they_are.table is None
    np.testing.assert_array_equal(as_they_are.split("test").images, vectors[:9].astype("float32"))


def test_vectors_that_are_refused(tmp_path):
    path = tmp_path / "mine.npy"
    for values, message in (
        ([[1.0, np.nan]] * 9, r"at index \[0, 1\] is nan: correct it, or leave out that row"),
        ([[1.0, 2.0], [2.0, 2.0]] * 9, "Element 1 of column 'x' .* or give --likelihood=normal"),
        (np.zeros((0, 3)), "holds no numbers"),
        (np.array([["a", "b"]]), "vectors must be numbers"),
    ):
        np.save(path, np.array(values))
        with pytest.raises(InputError, match=message):
            data.load(str(path))


def test_labels_are_no_fractions(tmp_path):
    path = saved(tmp_path, FRAME.assign(share=random.random(60)))
    with pytest.raises(InputError, match=r"'share' of .* holds fractions: labels are"):
        data.load(path, columns=tables.Options(label_column="share"))


def test_labels_are_a_condition(tmp_path):
    path = saved(tmp_path)
    found = data.load(path, columns=TableOptions(label_column="town"))
    assert found.conditions == {"label": 3}
    assert found.labels == ("a", "b", "c")
    assert found.summary.endswith("labels: 0 a, 1 b, 2 c")
    x, _, c = next(iter(found.given("label").batches("train", 8, seed=0))).parts()
    assert x.shape == (8, 4)
    assert set(c.numpy()) <= {0, 1, 2}
    numbered = data.load(path, columns=TableOptions(label_column="grade"))
    assert numbered.conditions == {"label": 4}
    assert numbered.labels == ()
    assert numbered.summary == numbered.table.summary()


def test_conditions_that_no_table_has(tmp_path):
    with pytest.raises(InputError, match=r"are: none, as a table .*--label_column"):
        data.load(saved(tmp_path)).given("label")
    years = saved(tmp_path, FRAME.assign(year=FRAME["grade"] + 2000))
    found = data.load(years, columns=TableOptions(label_column="year"))
    with pytest.raises(InputError, match="labels up to 2003, and 48 training rows: number"):
        found.given("label")
