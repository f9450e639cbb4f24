import os
import threading

import pytest

from export import versions
from zoo.errors import InputError

PARTS = ("encoder", "decoder")


def writer(content):
    def write(folder):
        folder.mkdir()
        (folder / "file").write_text(content)

    return write


def failing(folder):
    folder.mkdir()
    (folder / "half").write_text("half")
    raise RuntimeError("interrupted")


def tree(folder):
    """Every path below `folder` with its content."""
    return {
        str(path.relative_to(folder)): path.read_text() if path.is_file() else None
        for path in folder.rglob("*")
    }


def publish(out, content="x"):
    return versions.publish(out, {part: writer(f"{part} {content}") for part in PARTS})


def test_versions_increase_and_stay(tmp_path):
    out = tmp_path / "exports" / "alice"
    for number in (1, 2, 3):
        found = publish(out, number)
        assert found == {part: out / part / str(number) for part in PARTS}
    assert tree(out) == {
        **dict.fromkeys(PARTS),
        **{f"{part}/{n}": None for part in PARTS for n in (1, 2, 3)},
        **{f"{part}/{n}/file": f"{part} {n}" for part in PARTS for n in (1, 2, 3)},
    }


def test_the_next_version_is_free_for_every_part(tmp_path):
    (tmp_path / "encoder" / "2").mkdir(parents=True)
    (tmp_path / "decoder" / "7").mkdir(parents=True)
    (tmp_path / "decoder" / "notes").mkdir()
    (tmp_path / "decoder" / "9").write_text("a file takes its number too")
    assert versions.next_version(tmp_path, PARTS) == 10
    assert versions.next_version(tmp_path, ["encoder"]) == 3
    assert versions.next_version(tmp_path / "new", PARTS) == 1


@pytest.mark.parametrize("broken", PARTS)
def test_a_failure_leaves_everything_as_it_was(tmp_path, broken):
    publish(tmp_path / "out")
    before = tree(tmp_path)
    writers = {part: failing if part == broken else writer("new") for part in PARTS}
    with pytest.raises(RuntimeError, match="interrupted"):
        versions.publish(tmp_path / "out", writers)
    assert tree(tmp_path) == before


def test_a_failure_in_a_new_folder_leaves_none(tmp_path):
    with pytest.raises(RuntimeError, match="interrupted"):
        versions.publish(tmp_path / "exports" / "alice", {"encoder": failing})
    assert tree(tmp_path) == {}


def test_the_parts_appear_together(tmp_path, monkeypatch):
    """If the second part cannot take its place, the first gives its own up again."""
    publish(tmp_path)
    before = tree(tmp_path)
    rename = os.rename

    def refuse(source, target):
        if str(target).endswith("decoder/2"):
            raise OSError("refused")
        rename(source, target)

    monkeypatch.setattr(versions.os, "rename", refuse)
    with pytest.raises(OSError, match="refused"):
        publish(tmp_path)
    assert tree(tmp_path) == before


def test_a_version_taken_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    publish(tmp_path, "first")
    following = versions.next_version
    answers = iter([1])
    monkeypatch.setattr(versions, "next_version", lambda *a: next(answers, None) or following(*a))
    assert publish(tmp_path, "second")["decoder"] == tmp_path / "decoder" / "2"
    assert (tmp_path / "encoder" / "1" / "file").read_text() == "encoder first"
    assert (tmp_path / "encoder" / "2" / "file").read_text() == "encoder second"


def test_exports_at_once_all_arrive(tmp_path):
    threads = [threading.Thread(target=publish, args=(tmp_path, n)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    pairs = []
    for number in range(1, 9):
        encoder, decoder = (
            (tmp_path / part / str(number) / "file").read_text().removeprefix(f"{part} ")
            for part in PARTS
        )
        assert encoder == decoder
        pairs.append(encoder)
    assert sorted(pairs) == [str(n) for n in range(8)]
    assert sorted(os.listdir(tmp_path)) == ["decoder", "encoder"]


@pytest.mark.parametrize("in_the_way", ["exports", "exports/alice", "exports/alice/decoder"])
def test_a_file_in_the_way(tmp_path, in_the_way):
    (tmp_path / in_the_way).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / in_the_way).write_text("mine")
    before = tree(tmp_path)
    with pytest.raises(InputError, match=f"{in_the_way} is not a folder; name another"):
        publish(tmp_path / "exports" / "alice")
    assert tree(tmp_path) == before


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    # os.access, because nothing is forbidden to root, who may run this test.
    monkeypatch.setattr(versions.os, "access", lambda path, mode: path != tmp_path)
    with pytest.raises(InputError, match="is not writable; name another"):
        publish(tmp_path / "exports")
    assert tree(tmp_path) == {}
