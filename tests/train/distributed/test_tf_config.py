"""TF_CONFIG as launchers write it, and what is wrong with others in one sentence."""

import json

import pytest
from commands import run

from train.distributed import tf_config
from zoo.errors import InputError


def of(cluster, job="worker", index=0):
    return {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": job, "index": index}})}


def test_it_is_read():
    assert tf_config.read({}) is None
    assert tf_config.read({"TF_CONFIG": " "}) is None
    task = tf_config.read(of({"worker": ["a:1", "b:2"]}, index=1))
    assert (task.addresses, task.index) == (("a:1", "b:2"), 1)
    cluster = {"worker": ["b:2", "c:2"], "chief": ["a:1"]}
    assert tf_config.read(of(cluster, "chief")).index == 0
    task = tf_config.read(of(cluster, "worker", "1"))
    assert (task.addresses, task.index) == (("a:1", "b:2", "c:2"), 2)


WORKERS = {"worker": ["a:1", "b:2"]}


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"TF_CONFIG": "{"}, ["JSON", "cluster"]),
        ({"TF_CONFIG": "[]"}, ["no cluster"]),
        ({"TF_CONFIG": '{"cluster": {"worker": ["a:1"]}}'}, ["no task"]),
        (of({**WORKERS, "ps": ["c:1"]}), ["'ps'", "synchronous"]),
        (of(WORKERS, "evaluator"), ["'evaluator'", "worker"]),
        (of(WORKERS, index=2), ["index 2", "2 of type worker"]),
        (of(WORKERS, index=-1), ["index -1"]),
        (of(WORKERS, index=None), ["index None"]),
        (of({"worker": ["a:1", "a:1"]}), ["a:1 twice"]),
        (of({"worker": ["a"]}), ["'a' is not host:port"]),
        (of({"worker": ["a:99999"]}), ["a:99999"]),
        (of({"worker": "a:1"}), ["list of host:port"]),
        (of({"worker": []}), ["0 workers"]),
        (of({"chief": ["a:1", "b:1"]}, "chief"), ["2 chiefs"]),
    ],
)
def test_what_is_wrong_is_one_sentence(environment, words):
    with pytest.raises(InputError) as raised:
        tf_config.read(environment)
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_the_command_says_so_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "nonsense")
    done = run("--model=vae", "--workdir=run", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "TF_CONFIG is not JSON" in done.stderr
    assert list(tmp_path.iterdir()) == []
