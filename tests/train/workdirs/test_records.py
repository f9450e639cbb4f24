import math

import pytest

from train.workdirs import records
from zoo.errors import InputError

ROW = b'{"step": 1, "split": "train", "loss": NaN, "terms": {"RATE": 1.5}}'


def test_a_last_line_cut_short_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(ROW + b"\n" + ROW[:20])
    (row,) = records.read(path)
    assert row["terms"] == {"RATE": 1.5}
    assert row["multipliers"] == row["constraints"] == {}
    assert math.isnan(row["loss"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"[]", "it is"),
        (b'{"step": 1}', "no 'split'"),
        (b'{"step": -1, "split": "train"}', "step -1"),
        (b'{"step": 99999999999999999999, "split": "train"}', "step 99"),
        (b'{"step": 1, "split": "other"}', "other"),
        (
            b'{"step": 1, "split": "train", "terms": {"RATE": "x"}}',
            r"it\['terms'\]\['RATE'\] is 'x'",
        ),
        (b'{"step": 1, "split": "train", "multipliers": []}', r"it\['multipliers'\] is"),
        (b"\xff", "utf-8"),
    ],
)
def test_a_line_that_is_no_record_is_named(line, words, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(ROW + b"\n" + line + b"\n" + ROW + b"\n")
    with pytest.raises(InputError, match=rf"Line 2 of .*metrics\.jsonl is not a record .*{words}"):
        records.read(path)
