"""Compares the speed of training with other implementations of the same step.

python -m train.benchmark --only=overhead
"""

from __future__ import annotations

import json
import sys
from typing import Any

from absl import flags
from rich.console import Console

from train import command
from train.benchmark import cases, latency, reach, report, rounds
from zoo.errors import InputError, unknown

_FLAGS = flags.FLAGS
flags.DEFINE_list("only", [], "Sections to run: " + ", ".join(cases.SECTIONS) + "; default all.")
flags.DEFINE_bool("json", False, "Print JSON instead of tables.")
flags.DEFINE_integer("rounds", 7, "Timed bursts of each case.")
flags.DEFINE_float("seconds", 1.0, "Length of a burst, in seconds.")


def main() -> int:
    for name in _FLAGS.only:
        if name not in cases.SECTIONS:
            raise unknown("section", name, cases.SECTIONS)
    for name, value in (("rounds", _FLAGS.rounds), ("seconds", _FLAGS.seconds)):
        if not value > 0:
            raise InputError(f"--{name}={value} must be positive.")
    sections = {name: _contests(name) for name in _FLAGS.only or cases.SECTIONS}
    console = Console()
    console = Console(width=max(console.width, report.WIDTH) if not console.is_terminal else None)
    about = report.machine(_FLAGS.rounds, _FLAGS.seconds)
    found: dict[str, Any] = {"machine": about, "sections": {}}
    if not _FLAGS.json:
        report.show_machine(console, about)
    broken = []
    for name, contests in sections.items():
        tables = found["sections"][name] = []
        for contest in contests:
            results = _play(contest)
            tables.append(report.as_json(contest, results))
            broken += [result.label for result in results if result.failed]
            if not _FLAGS.json:
                report.show(console, contest, results)
    if _FLAGS.json:
        print(json.dumps(found, indent=2))
    if broken:
        raise command.RunError(f"These cases failed: {', '.join(broken)}; --json prints why.")
    return command.DONE


def _contests(name: str) -> list[cases.Contest]:
    """Returns a section's tables; [], with a message, if it cannot run and --only is not given."""
    try:
        return cases.contests(name)
    except InputError as error:
        if name in _FLAGS.only:
            raise
        print(error, file=sys.stderr)
        return []


def _play(contest: cases.Contest) -> list[rounds.Result]:
    results = []
    for match in contest.matches:
        print("; ".join(entry.label for entry in match), "...", file=sys.stderr, flush=True)
        if contest.unit == cases.LATENCY:
            kind = latency.Answering
            results += rounds.play(match, contest.unit, _FLAGS.rounds, _FLAGS.seconds, kind)
        elif contest.nats is None:
            results += rounds.play(match, contest.unit, _FLAGS.rounds, _FLAGS.seconds)
        else:
            results += reach.race(match, contest.nats)
    return results


if __name__ == "__main__":
    command.run(main, __doc__)
