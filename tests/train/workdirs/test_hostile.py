"""Input that nobody should write: a small version of tests/hostile.py."""

import hostile
import mangling
import pytest
import strange_checkpoints
from attempts import tried
from commands import run

KINDS = hostile.kinds()
SLOW = {"checkpoint": 30, "image folder": 60, "metrics.jsonl": 40}


@pytest.mark.parametrize("name", KINDS)
def test_it_ends_in_one_sentence_and_writes_nothing(name):
    found = tried(KINDS[name], SLOW.get(name, 100))
    assert found.tracebacks == []
    assert found.outside == []
    assert found.refused > found.tried / 8


@pytest.mark.parametrize(
    ("module", "name", "content"),
    [
        ("train.certify", "config.json", b"[" * 100_000),
        ("train.evaluate", "config.json", b'{"objective": {}, "objective": {}}'),
        ("train.compare", "evaluation.json", b'{"model": "vae\\n", "metrics": {"x": 1}}'),
        ("export.run", "checkpoints", None),
    ],
)
def test_commands_say_so_and_exit_with_2(module, name, content, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    if content is None:
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "step-00000001.zip").write_bytes(strange_checkpoints.checkpoint())
        (folder / name).symlink_to(tmp_path / "elsewhere")
    else:
        (folder / name).write_bytes(content)
    flags = ["run"] if module == "train.compare" else ["--workdir=run"]
    flags += ["--out=out"] if module == "export.run" else []
    done = run(*flags, cwd=tmp_path, module=module)
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("\n") == 1
    assert name in done.stderr
    assert sorted(path.name for path in folder.iterdir()) == [name]
    assert {path.name for path in tmp_path.iterdir()} <= {"run", "elsewhere"}


def test_a_mangled_command_line(tmp_path):
    for flags in (
        ["--model=vae", f"--latents={'categorical(' * 50}"],
        ["--model=beta_vae", f"--set=beta={mangling.HUGE}"],
        ["--alpha_q=1/0", "--constraint=KL(\n"],
        ["--model=vae", "--dataset=~nobody_has_this_name/x.npy"],
        ["--model=vae", f"--workdir={'x' * 5000}"],
    ):
        done = run(*flags, cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        assert done.stderr.count("\n") == 1
        assert list(tmp_path.iterdir()) == []
