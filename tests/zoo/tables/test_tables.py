"""Columns to x and back, statistics and sentences; in NumPy and in a graph alike."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import zoo
from zoo.errors import InputError
from zoo.tables import Column, Table, tensors

random = np.random.default_rng(0)
ROWS = {
    "age": random.integers(20, 60, 50),
    "sex": random.choice(["f", "m"], 50),
    "height": random.normal(170, 10, 50),
    "well": random.integers(0, 2, 50).astype(bool),
    "grade": random.integers(1, 5, 50),
    "embedding": random.normal(3, 2, (50, 4)),
}
TABLE = zoo.tables.fit(ROWS, categorical=["grade"])


def test_numbers_come_first_standardised_and_categories_are_one_hot():
    x = TABLE.encode(ROWS)
    assert x.shape == (50, *TABLE.shape) == (50, 1 + 1 + 4 + 2 + 2 + 4)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x[:, :6].mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(x[:, :6].std(axis=0), 1, atol=1e-5)
    for column in TABLE.categorical:
        part = x[:, TABLE.places[column.name]]
        np.testing.assert_array_equal(part.sum(axis=1), 1)
        np.testing.assert_array_equal(
            np.array(column.categories)[part.argmax(1)], ROWS[column.name]
        )


def test_rows_come_back():
    back = TABLE.decode(TABLE.encode(ROWS))
    assert list(back) == list(ROWS)
    for name, values in ROWS.items():
        if np.asarray(values).dtype.kind == "f" or name == "age":
            np.testing.assert_allclose(back[name], values, rtol=1e-5)
        else:
            np.testing.assert_array_equal(back[name], values)


def test_log_det_is_the_sum_of_log_deviations():
    numbers = [ROWS["age"], ROWS["height"], *ROWS["embedding"].T]
    assert TABLE.log_det == pytest.approx(sum(np.log(np.std(each)) for each in numbers))
    assert zoo.tables.fit({"sex": ROWS["sex"]}).log_det == 0


def test_other_rows_have_the_statistics_of_the_first():
    one = {name: values[:1] for name, values in ROWS.items()}
    np.testing.assert_array_equal(TABLE.encode(one), TABLE.encode(ROWS)[:1])
    with_others = {**ROWS, "name": ["n"] * 50}
    np.testing.assert_array_equal(TABLE.encode(with_others), TABLE.encode(ROWS))


def test_a_graph_says_the_same():
    raw = {name: tf.constant(values) for name, values in ROWS.items()}
    x = tf.function(lambda rows: tensors.encode(TABLE, rows))(raw)
    np.testing.assert_allclose(x, TABLE.encode(ROWS), atol=1e-6)
    back = tf.function(lambda x: tensors.decode(TABLE, x))(x)
    wanted = TABLE.decode(x)
    assert list(back) == list(wanted)
    for name, values in back.items():
        if values.dtype == tf.string:
            assert [v.decode() for v in values.numpy()] == wanted[name].tolist()
        else:
            np.testing.assert_allclose(values, wanted[name], rtol=1e-12)
    for column in TABLE.columns:
        assert back[column.name].dtype == tensors.dtype(column)
    with pytest.raises(tf.errors.InvalidArgumentError, match="Column sex holds a category"):
        tensors.encode(TABLE, {**raw, "sex": tf.constant(["x"] * 50)})
    with pytest.raises(tf.errors.InvalidArgumentError, match="Column height must be finite"):
        tensors.encode(TABLE, {**raw, "height": tf.constant([np.nan] * 50)})


def test_a_config_is_json_and_comes_back():
    text = json.dumps(TABLE.to_config())
    assert Table.from_config(json.loads(text)) == TABLE
    assert TABLE.difference(TABLE) is None
    assert "mean" in TABLE.difference(zoo.tables.fit({**ROWS, "age": ROWS["age"] + 1}, ["grade"]))


def test_frames_of_any_type_are_read_alike():
    frame = pd.DataFrame({name: ROWS[name] for name in ("age", "sex", "height", "well", "grade")})
    wanted = zoo.tables.fit(frame, ["grade"])
    nullable = frame.convert_dtypes()
    categories = frame.assign(sex=frame["sex"].astype("category"))
    arrow = frame.convert_dtypes(dtype_backend="pyarrow")
    for each in (nullable, categories, arrow, frame.to_dict("list")):
        assert zoo.tables.fit(each, ["grade"]) == wanted
        np.testing.assert_array_equal(wanted.encode(each), wanted.encode(frame))


BAD = {
    "missing number": ({"a": [1.0, np.nan, 3.0]}, r"Column 'a' .* no value in 1 of 3 rows.*row 2"),
    "missing text": ({"a": ["x", None, "y"]}, r"no value in 1 of 3 rows, first in row 2: fill"),
    "infinite": ({"a": [1.0, 2.0, -np.inf]}, r"Column 'a' of the data is infinite in 1 row.*row 3"),
    "constant": ({"a": [2, 2, 2]}, r"Column 'a' of the data is 2.0 in every training row: leave"),
    "nearly constant": ({"a": 1e9 + np.array([0, 1e-7, 0])}, "in every training row"),
    "one category": ({"a": ["x", "x"]}, r"'x' in every training row: leave the column out"),
    "mixed": ({"a": [1, "x", 2.0]}, r"several kinds.*float \(2.0\) and int \(1\) and str \('x'\)"),
    "mixed truth": ({"a": [True, "x", 2.0]}, r"bool \(True\)"),
    "lists": ({"a": pd.Series([[1], [2]])}, r"list \(\[1\]\)"),
    "dates": ({"a": pd.to_datetime(["2020-01-01", "2021-01-01"])}, "dates or durations: make num"),
    "date objects": ({"a": [datetime.date(2020, 1, 1)] * 2}, r"date \(datetime.date\(2020, 1, 1\)"),
    "complex": ({"a": np.array([1j, 2j])}, "is of type complex128: leave it out"),
    "identifiers": ({"a": [f"n{i}" for i in range(50)]}, "another category in each of its 50 tr"),
    "cardinality": ({"a": [f"n{i}" for i in range(501)] * 2}, "501 categories, and at most 500"),
    "huge": ({"a": [1e308, -1e308, 1e308]}, "numbers too large to standardise"),
    "lengths": ({"a": [1, 2], "b": [1, 2, 3]}, "different lengths"),
    "no rows": ({"a": np.zeros(0)}, "columns but no rows in the data"),
    "no columns": ({}, "There are no columns in the data"),
    "no name": ({" ": [1, 2]}, "A column of the data is called ' '"),
    "number as name": (pd.DataFrame([[1, 2], [3, 4]]), "A column of the data is called 0"),
    "twice": (pd.DataFrame([[1, 2], [3, 4]], columns=["a", "a"]), "two columns called 'a': rename"),
    "cube": ({"a": np.zeros((2, 2, 2))}, r"Column 'a' of the data has shape \(2, 2, 2\)"),
    "an array": (np.zeros((2, 2)), "A table is a DataFrame or a dict of columns, and the data is"),
    "element": ({"a": np.array([[1.0, 2.0], [2.0, 2.0]])}, "Element 1 of column 'a' .* is 2.0 in"),
}


@pytest.mark.parametrize("name", BAD)
def test_one_sentence_names_column_and_fix(name):
    data, message = BAD[name]
    with pytest.raises(InputError, match=message) as error:
        zoo.tables.fit(data)
    assert str(error.value).endswith(".")
    assert "\n" not in str(error.value)


def test_fractions_are_no_categories_and_unknown_columns_none():
    with pytest.raises(InputError, match=r"'height' of the data is .* in row 1: categories are"):
        zoo.tables.fit(ROWS, ["height"])
    with pytest.raises(InputError, match="Unknown column of the data 'heigt': did you mean 'heig"):
        zoo.tables.fit(ROWS, ["heigt"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sex": ["f", "x"]}, "has the category 'x' in row 2, which no training row has"),
        ({"age": ["1", "2"]}, "holds object where training data had numbers of type float64"),
        ({"well": [0, 1]}, "holds float64 where training data had categories of type bool"),
        ({"embedding": np.zeros((2, 3))}, r"has shape \(2, 3\) where training data had 4 number"),
        ({"height": [1.0, np.nan]}, "has no value in 1 of 2 rows"),
    ],
)
def test_held_out_rows_that_do_not_fit(change, message):
    two = {name: values[:2] for name, values in ROWS.items()}
    with pytest.raises(InputError, match=message):
        TABLE.encode({**two, **change})
    del two["sex"]
    with pytest.raises(InputError, match="Unknown column of the data 'sex'"):
        TABLE.encode(two)


@pytest.mark.parametrize(
    "config",
    [
        {"name": "a", "mean": [0.0], "stddev": [0.0]},
        {"name": "a", "mean": [0.0], "stddev": []},
        {"name": "a", "mean": [float("nan")], "stddev": [1.0]},
        {"name": "a", "mean": [0.0, 1.0], "stddev": [1.0, 1.0]},
        {"name": "a", "categories": ["x"]},
        {"name": "a", "categories": ["x", "x"]},
        {"name": "a", "categories": ["x", 1]},
        {"name": "a", "categories": list(range(501))},
        {"name": "a"},
    ],
)
def test_a_column_of_a_strangers_config_is_checked(config):
    with pytest.raises(InputError):
        Column.from_config(config)
    with pytest.raises(InputError, match="Two columns are called 'a'"):
        Table((Column("a", (0.0,), (1.0,)), Column("a", categories=("x", "y"))))
