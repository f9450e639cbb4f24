from pathlib import Path

from export import table

README = Path(__file__).parents[2] / "README.md"


def test_the_readme_holds_the_table():
    assert table.markdown() in README.read_text(encoding="utf-8")


def test_names_of_other_forms():
    assert table.form_input("images", "bytes") == "image_bytes"
    assert table.form_input("images", "uint8") == "images"
    assert table.form_input("z", "bytes") == "z_bytes"


def test_every_part_has_its_default():
    for part, name in table.DEFAULT.items():
        assert part in table.SIGNATURES[name].parts
    assert set(table.NAMES.values()) == set(table.DEFAULT)
