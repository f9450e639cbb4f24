"""Several runs compared: repeats with other seeds, and pairs that differ in one tolerance."""

from __future__ import annotations

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from train.certificates import envelope
from train.workdirs.config import RunConfig

# Each seed may have a neutral run in a different folder.
_OF_A_SEED = {"seed", "best_from"}
_FEW = 4  # seeds: with fewer, Student's interval exceeds 4 standard errors to each side


@dataclasses.dataclass(frozen=True)
class _Run:
    path: str
    config: RunConfig
    certificate: Mapping[str, Any]

    @property
    def constraints(self) -> dict[str, Mapping[str, Any]]:
        return {c["expression"]: c for c in self.certificate["constraints"]}


def aggregate(runs: Iterable[tuple[Any, Any, Mapping[str, Any]]]) -> dict[str, Any]:
    """Groups certified runs by configuration, and compares the groups.

    Runs that differ only in the seed are one group, with means over seeds and Student's intervals.
    Two groups that differ only in one declared tolerance, and are neighbours along it, are checked
    against the envelope theorem, see `train.certificates.envelope.slope`. For every other pair of
    groups the fields in which they differ are listed.

    Args:
      runs: (folder, RunConfig or its dict, certificate.json's dict) of each run.

    Returns:
      JSON-able {"groups", "slopes", "differences"}; `markdown` makes it readable. A group has
      model, runs, seeds, verdicts (verdict -> count), constraints, information and notes. A
      constraint has value, tolerance, violation D - eps and multiplier, each {"mean", "interval",
      "count"} over the seeds where it is not null.

    Raises:
      InputError: a dict is not a run's configuration.
    """
    groups: list[list[_Run]] = []
    for path, config, certificate in runs:
        known = config if isinstance(config, RunConfig) else RunConfig(**config)
        run = _Run(str(path), known, certificate)
        for group in groups:
            if set(_differing(group[0], run)) <= _OF_A_SEED:
                group.append(run)
                break
        else:
            groups.append([run])
    along: dict[str, list[tuple[int, int]]] = {}
    differences = []
    for i, j in itertools.combinations(range(len(groups)), 2):
        one, other = groups[i][0], groups[j][0]
        expression = _one_tolerance(one, other)
        if expression is None:
            differences.append({"runs": [one.path, other.path], "fields": _differing(one, other)})
        else:
            along.setdefault(expression, []).append((i, j))
    return {
        "groups": [_group(group) for group in groups],
        "slopes": [
            _slope(expression, groups[i], groups[j])
            for expression, pairs in along.items()
            for i, j in _neighbours(pairs, [_tolerance(group, expression) for group in groups])
        ],
        "differences": differences,
    }


def markdown(found: Mapping[str, Any]) -> str:
    """Returns the result of `aggregate` as a page of Markdown."""
    parts = []
    for group in found["groups"]:
        seeds = ", ".join(map(str, group["seeds"]))
        counted = ", ".join(f"{n} {verdict}" for verdict, n in group["verdicts"].items())
        parts.append(f"## {group['model']}, seed{'s' * (len(group['seeds']) > 1)} {seeds}")
        parts.append(f"Runs: {', '.join(map(_code, group['runs']))}. Verdicts: {counted}.")
        if group["constraints"]:
            parts.append(_table(group["constraints"]))
        parts.append(f"I_q(x;z): {_shown(group['information'])} nats.")
        parts += [" ".join(group["notes"])] if group["notes"] else []
    if found["slopes"]:
        parts.append("## Along a tolerance")
        for of in found["slopes"]:
            one, other = (", ".join(map(_code, runs)) for runs in of["runs"])
            parts.append(f"{one} and {other}: {envelope.sentence(of)}")
    if found["differences"]:
        parts.append("## Other differences")
        parts.append("\n".join(f"- {_difference(of)}" for of in found["differences"]))
    return "\n\n".join(parts) + "\n"


def _differing(one: _Run, other: _Run) -> list[str]:
    """Returns the fields in which two runs differ, such as objective.constraints."""
    fields = [text.partition(":")[0] for text in one.config.differences(other.config)]
    if "objective" in fields:
        ours, theirs = one.config.objective, other.config.objective
        names = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
        at = fields.index("objective")
        fields[at : at + 1] = [f"objective.{name}" for name in names]
    if one.certificate["step"] != other.certificate["step"]:
        fields.append("step")  # not in the configuration, because a run may be extended
    return fields


def _one_tolerance(one: _Run, other: _Run) -> str | None:
    """Returns the constraint whose declared tolerance is the only difference between two runs."""
    fields = set(_differing(one, other)) - _OF_A_SEED
    # The parameters of a declaration repeat its tolerances under other names.
    if not fields <= {"objective.constraints", "objective.parameters"}:
        return None
    pairs = list(
        itertools.zip_longest(one.config.declared.constraints, other.config.declared.constraints)
    )
    if any(
        a is None
        or b is None
        or (a.expression, a.weight, a.learned) != (b.expression, b.weight, b.learned)
        for a, b in pairs
    ):
        return None
    moved = [a.expression for a, b in pairs if a.at_most != b.at_most]
    return moved[0] if len(moved) == 1 else None


def _neighbours(
    pairs: Sequence[tuple[int, int]], tolerances: Sequence[float | None]
) -> list[tuple[int, int]]:
    """Returns the pairs of groups that are neighbours: no linked group has a tolerance between."""
    linked = {frozenset(pair) for pair in pairs}

    def between(i: int, j: int) -> bool:
        low, high = sorted((tolerances[i] or 0.0, tolerances[j] or 0.0))
        return any(
            {frozenset((i, k)), frozenset((j, k))} <= linked and low < (at or 0.0) < high
            for k, at in enumerate(tolerances)
        )

    return [pair for pair in pairs if not between(*pair)]


def _tolerance(group: Sequence[_Run], expression: str) -> float | None:
    values = [run.constraints.get(expression, {}).get("tolerance") for run in _distinct(group)]
    return envelope.student(values)["mean"]


def _distinct(group: Sequence[_Run]) -> list[_Run]:
    """Returns the first run of each seed: runs with one seed are not independent repeats."""
    return list({run.config.seed: run for run in reversed(group)}.values())[::-1]


def _slope(expression: str, one: Sequence[_Run], other: Sequence[_Run]) -> dict[str, Any]:
    ends = [_distinct(group) for group in (one, other)]
    found = envelope.slope(expression, *([run.certificate for run in end] for end in ends))
    return {"runs": [[run.path for run in end] for end in ends], **found}


def _group(group: Sequence[_Run]) -> dict[str, Any]:
    runs = _distinct(group)

    def mean(read: Callable[[_Run], float | None]) -> dict[str, Any]:
        return envelope.student([read(run) for run in runs])

    def constraint(name: str) -> dict[str, Any]:
        def violation(run: _Run) -> float | None:
            c = run.constraints[name]
            return None if c["value"] is None else c["value"] - c["tolerance"]

        return {
            "expression": name,
            "value": mean(lambda run: run.constraints[name]["value"]),
            "tolerance": mean(lambda run: run.constraints[name]["tolerance"]),
            "multiplier": mean(lambda run: run.constraints[name]["multiplier"]),
            "violation": mean(violation),
            "statuses": dict(Counter(run.constraints[name]["status"] for run in runs)),
        }

    return {
        "model": runs[0].certificate["model"],
        "runs": [run.path for run in group],
        "seeds": [run.config.seed for run in runs],
        "verdicts": dict(Counter(run.certificate["verdict"] for run in runs)),
        "constraints": [constraint(name) for name in runs[0].constraints],
        "information": mean(lambda run: (run.certificate["information"] or {}).get("estimate")),
        "notes": _notes(len(runs), len(group)),
    }


def _notes(seeds: int, runs: int) -> list[str]:
    notes = []
    if seeds < runs:
        notes.append("Runs with the same seed are not independent: only the first counts.")
    if seeds == 1:
        return [*notes, "One seed gives no interval: train more runs with other values of --seed."]
    if seeds < _FEW:
        notes.append(
            f"{seeds} seeds are few: an interval reaches {envelope.quantile(seeds):.1f} standard "
            f"errors to each side; with 5 seeds it reaches {envelope.quantile(5):.1f}."
        )
    notes.append("Intervals are 95% over seeds; all seeds share the held-out images.")
    return notes


def _table(constraints: Iterable[Mapping[str, Any]]) -> str:
    header = ("constraint", "held-out value", "tolerance", "D - eps", "lambda", "status")
    rows = [
        (
            _code(c["expression"]),
            *(_shown(c[field]) for field in ("value", "tolerance", "violation", "multiplier")),
            ", ".join(f"{count} {status}" for status, count in c["statuses"].items()),
        )
        for c in constraints
    ]
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _difference(of: Mapping[str, Any]) -> str:
    one, other = map(_code, of["runs"])
    return (
        f"{one} and {other} differ in {', '.join(of['fields'])}: they are neither repeats nor a "
        "pair along one tolerance."
    )


def _shown(mean: Mapping[str, Any]) -> str:
    """Returns a mean, with its interval unless that is missing or a single point."""
    if mean["mean"] is None:
        return "-"
    text = f"{mean['mean']:.4g}"
    if mean["interval"] is None or mean["interval"][0] == mean["interval"][1]:
        return text
    low, high = mean["interval"]
    return f"{text} ({low:.4g} to {high:.4g})"


def _code(text: str) -> str:
    """Returns text as code, with | escaped: it would start a new column of a table."""
    return "`" + text.replace("|", r"\|").replace("`", "'") + "`"
