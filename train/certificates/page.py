"""certificate.md: the certificate as a page of Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from train.certificates import collapse, oscillation, price, slices
from zoo.objectives import subjects
from zoo.objectives.divergences import NATS


def number(value: float | None) -> str:
    """Returns a number with 5 digits, or a dash for None."""
    return "-" if value is None else f"{value:.5g}"


def markdown(certificate: Mapping[str, Any]) -> str:
    """Returns certificate.md for what `train.certificates.certify` returns."""
    from train.certificates import gradients

    parts = [f"# {certificate['model']}: {certificate['verdict']}", certificate["reason"]]
    parts.append(_measured_on(certificate))
    if certificate["constraints"]:
        parts += ["## Constraints", _constraints(certificate["constraints"])]
        parts.append(_methods(certificate["constraints"]))
        parts += ["## Multipliers", _multipliers(certificate["constraints"])]
        parts.append(certificate["convergence"])
        parts.append(
            "The margin is how far below the tolerance training aimed, so that the constraint "
            "holds on held-out data and for a critic trained further."
        )
        parts.append("![Held-out intervals and multipliers](plots/certificate.png)")
        parts += _listed(
            [
                *gradients.sentences(certificate["gradients"]),
                *(
                    said
                    for c in certificate["constraints"]
                    for said in oscillation.sentences(c["oscillation"])
                ),
            ]
        )
    if said := price.sentences(certificate["price"]):
        parts += ["## The price of the constraints", *_listed(said)]
    quantities = {c["expression"]: c["quantity"] for c in certificate["constraints"]}
    if said := slices.sentences(certificate["classes"], quantities):
        parts += ["## Classes", *_listed(said)]
    parts += ["## Information", _information(certificate["information"])]
    parts += collapse.sentences(certificate["collapse"])
    parts += ["## Terms", _terms(certificate["terms"]), _fixed(certificate["fixed"])]
    if certificate["notes"]:
        parts += ["## Notes", "\n".join(f"- {note}." for note in certificate["notes"])]
    return "\n\n".join(part for part in parts if part) + "\n"


def _measured_on(certificate: Mapping[str, Any]) -> str:
    data = certificate["measured_on"]
    left_out = f", {data['left_out']} images left out" if data["left_out"] else ""
    return (
        f"Step {certificate['step']}, on held-out data: {data['batches']} batches of "
        f"{data['batch_size']}{left_out}. Values are nats per example{_units(certificate)}. A "
        "constraint holds if its upper limit is within the tolerance, and is violated if its lower "
        "limit is above it. Each limit has confidence 97.5%."
    )


def _units(certificate: Mapping[str, Any]) -> str:
    """Says which values are not in nats, such as ", `SW_z` in units of squared distance"."""
    found: dict[str, list[str]] = {}
    for name in (*(c["expression"] for c in certificate["constraints"]), *certificate["terms"]):
        unit = subjects.unit(name)
        if unit != NATS:
            found.setdefault(unit, []).append(_code(name))
    return "".join(
        f", {' and '.join(names)} {f'in units of {unit}' if unit else 'without unit'}"
        for unit, names in found.items()
    )


def _constraints(constraints: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for c in constraints:
        name = _cell(c["expression"])
        if c["quantity"] != c["expression"]:
            name += f", as {_cell(c['quantity'])}"
        tolerance = number(c["tolerance_here"])
        if c["best"] is not None:
            best = c["best"] if c["best_here"] is None else c["best_here"]
            tolerance += f" = {c['declared']}, best {number(best)}"
        limits = [number(c[side] and c[side]["limit"]) for side in ("lower", "upper")]
        row = (name, *limits, tolerance, f"**{c['status']}**", _reading(c))
        rows.append((*row, number(c["training_value"])))
    header = ("constraint", "at least", "at most", "tolerance", "status", "estimate", "in training")
    return _table(header, rows)


def _reading(c: Mapping[str, Any]) -> str:
    """Returns the value of training's estimator, and which side of the constraint it bounds."""
    meaning = {"exact": "", "lower": ", a lower bound", "upper": ", an upper bound"}
    return number(c["value"]) + meaning.get(c["side"], ", no bound")


def _methods(constraints: Iterable[Mapping[str, Any]]) -> str:
    """Says how each bound was computed, and its known faults."""
    lines = []
    for c in constraints:
        said = [
            f"{word} {number(c[side]['limit'])} by {c[side]['method']}, on {c[side]['size']} "
            "examples"
            for side, word in (("lower", "at least"), ("upper", "at most"))
            if c[side]
        ]
        said += [c[key] for key in ("loose", "faults", "uninformative") if c[key]]
        if c["upper"] is None and c["side"] != "exact":
            said.append("no upper bound on it exists")
        if c["power"]:
            said.append(c["power"]["sentence"])
        if c["best_here"] is not None:
            said.append(
                f"the tolerance is {c['declared']}; best is {number(c['best_here'])} on these "
                f"images and was {number(c['best'])} on validation data"
            )
        if said:
            lines.append(f"- {_code(c['expression'])}: {'; '.join(said)}.")
    return "\n".join(lines)


def _listed(sentences: Iterable[str]) -> list[str]:
    """Returns sentences as one Markdown list; [] if there are none."""
    lines = [f"- {said}" if said.endswith(".") else f"- {said}." for said in sentences]
    return ["\n".join(lines)] if lines else []


def _multipliers(constraints: Iterable[Mapping[str, Any]]) -> str:
    rows = []
    for c in constraints:
        multiplier = number(c["multiplier"])
        acting = c["acting_multiplier"]
        known = acting is not None and c["multiplier"] is not None
        if known and abs(acting - c["multiplier"]) > 0.01 * abs(acting):
            # The augmented Lagrangian adds a penalty on the violation to lambda.
            multiplier += f", acting {number(acting)}"
        if c["at_clip"]:
            multiplier += f", at its {c['at_clip']} clip"
        state = {None: "-", True: "active", False: "slack"}[c["active"]]
        moved = "-"
        if c["drift"]:
            moved = f"{c['drift']['change']:+.2g} ({c['drift']['share']:.1%})"
        slackness = number(c["complementary_slackness"])
        row = (_cell(c["expression"]), multiplier, state, moved, slackness)
        rows.append((*row, number(c["margin"])))
    header = ("constraint", "lambda", "state", "drift, last tenth", "lambda (D - eps)", "margin")
    return _table(header, rows)


def _information(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "Not estimated: q(z|x) or p(x|z) has no density."
    sentences = [
        f"I_q(x;z) is about **{number(found['estimate'])}** ({_interval(found['interval'])}), from "
        f"{found['points']} images, whose estimate cannot exceed log {found['points']} = "
        f"{number(found['ceiling'])}.",
        f"It is at most RATE = {number(found['rate'])}, and at least H_q(x) - REC_x, where REC_x = "
        f"{number(found['rec_x'])} and H_q(x), the entropy of the data, is not known.",
    ]
    if found["sharing"] is not None and found["sharing"] < 2:
        sentences.insert(1, "The estimate is near its ceiling: I_q may be far larger.")
    return " ".join(sentences)


def _terms(terms: Mapping[str, Mapping[str, Any]]) -> str:
    header = ("term", "held-out value", "95% interval", "coefficient")
    return _table(
        header,
        [
            (name, number(t["value"]), _interval(t["interval"]), number(t["coefficient"]))
            for name, t in terms.items()
        ],
    )


def _fixed(fixed: Sequence[Mapping[str, Any]]) -> str:
    if not fixed:
        return ""
    listed = ", ".join(f"{number(c['multiplier'])} on `{c['expression']}`" for c in fixed)
    return f"Fixed multipliers: {listed}."


def _interval(interval: Sequence[float | None] | None) -> str:
    return "-" if interval is None else " to ".join(map(number, interval))


def _code(expression: str) -> str:
    return f"`{expression}`"


def _cell(expression: str) -> str:
    """Returns an expression as code in a table, with | escaped: it would start a new column."""
    return _code(expression.replace("|", r"\|"))


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
