"""The contestants of the section `serving` answer alike; how fast is for its users to see."""

import multiprocessing
import threading

import numpy as np
import pytest

from train.benchmark import cases, latency, report, rounds, serving
from train.benchmark.cases import Case, Contest, Entry

WAYS = ("keras", "traced", "exported", "chain")


def case(way, batch_size=2):
    return Case("serving", way=way, hidden=(4, 4), latent_dim=3, batch_size=batch_size, every=1)


@pytest.mark.parametrize("way", WAYS)
def test_each_answers_with_mean_and_stddev(way):
    uses, ask = serving.prepare(case(way))
    answer = ask()
    assert {name: value.shape for name, value in answer.items()} == {
        "mean": (2, 3),
        "stddev": (2, 3),
    }
    assert uses["precision"] == "float32"


def test_those_of_the_model_answer_the_same():
    keras, *others = (serving.prepare(case(way))[1]() for way in WAYS[:3])
    for other in others:
        for name, value in keras.items():
            # The same kernels; a graph's rewrites change the last bits.
            np.testing.assert_allclose(other[name], value, rtol=0, atol=1e-5)


def test_the_section_has_every_way_at_three_sizes():
    (contest,) = cases.contests("serving")
    assert contest.unit == cases.LATENCY
    assert [entry.case.batch_size for match in contest.matches for entry in match] == [
        *(4 * [1] + 4 * [32] + 4 * [256])
    ]
    for match in contest.matches:
        assert {entry.case.way for entry in match} == set(WAYS)
        labels = [entry.label for entry in match if entry.case.way == "chain"]
        assert all(entry.against in (tuple(labels), ()) for entry in match)


def test_requests_are_timed_one_by_one(monkeypatch):
    asked = []
    module = type("module", (), {"prepare": lambda case: ({"jit": False}, lambda: asked.append(1))})
    monkeypatch.setattr(latency.importlib, "import_module", lambda name: module)
    monkeypatch.setattr(latency, "answering", lambda connection: threading.Lock())
    ours, theirs = multiprocessing.Pipe()
    for count in (5, 3, 0):
        ours.send(count)
    latency.serve(case("chain"), theirs)
    assert ours.recv() == ("ready", {"jit": False})
    for count in (5, 3):
        kind, times, megabytes = ours.recv()
        assert kind == "asked"
        assert len(times) == count
        assert min(times) > 0
        assert megabytes > 0
    assert len(asked) == 5 + 3 + 2 * latency._LEAD


class Fake(latency.Answering):
    """A contestant whose requests take 1 to 100 us, or twice as long."""

    def __init__(self, entry):
        self.entry, self.uses = entry, {"jit": False, "precision": "float32"}
        self.uses["steps_per_execution"] = 1
        self.refused = self.failed = None
        self.megabytes = self.start_seconds = 0.0
        self.rates, self.slow = [], []

    def run(self, steps):
        self._times = np.arange(1, 101) * 1e-6 * (2 if self.entry.against else 1)
        return float(self._times.sum())

    def close(self):
        pass


def test_medians_and_percentiles_of_each_round(monkeypatch):
    monkeypatch.setattr(latency, "SETTLE", 0.0)
    match = (Entry("chain", case("chain")), Entry("exported", case("exported"), ("chain",)))
    chain, exported = rounds.play(match, cases.LATENCY, 3, 1.0, Fake)
    # of 1, 2, ..., 100: the median is 50.5, the 99th percentile 99.01
    assert chain.rates == pytest.approx([50.5] * 3)
    assert chain.slow == pytest.approx([99.01] * 3)
    assert exported.ratio == pytest.approx(2.0)
    row = report.as_json(Contest("a", (match,), cases.LATENCY), [chain, exported])["rows"][1]
    assert row["99%"]["median"] == pytest.approx(198.02)


def test_processes_answer_in_turns():
    match = (Entry("chain", case("chain")), Entry("traced", case("traced"), ("chain",)))
    chain, traced = rounds.play(match, cases.LATENCY, 2, 0.01, latency.Answering)
    assert (chain.failed, traced.failed) == (None, None)
    assert len(chain.rates) == len(traced.slow) == 2
    assert min(chain.rates) > 0
    assert all(slow >= middle for slow, middle in zip(traced.slow, traced.rates, strict=True))
    assert traced.against == "chain"
