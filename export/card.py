"""A model's card: what it is, what it was trained on, how well, and what it can be asked."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
import tensorflow_probability as tfp

from export import columns
from export.signatures import Signatures
from zoo import priors
from zoo.errors import InputError
from zoo.model.lagrangian_model import LagrangianModel
from zoo.objectives import subjects
from zoo.version import __version__

_HALVES = {"model": "p(x|z) and q(z|x)", "encoder": "q(z|x)", "decoder": "p(x|z)"}


def facts(
    model: LagrangianModel,
    name: str | None,
    part: str,
    signatures: Signatures,
    further: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns the card as plain data, all but its table of signatures.

    Args:
      further: facts of the run: `training`, `validation` and `certificate` have places of their
        own in the page.

    Raises:
      InputError: `further` is not JSON, or repeats a fact.
    """
    own = {
        "name": name or model.objective.name,
        "distribution": _HALVES[part],
        "objective": model.objective.to_config(),
        "derivation": model.objective.explain(),
        "latent_shape": list(priors.event_shape(model.prior)),
        "image_shape": list(model.decoder.event_shape),
        **_condition(model),
        "prior": priors.serialise(model.prior),
        "posterior": model.encoder.kind,
        "likelihood": model.decoder.kind,
        "step": int(model.step.numpy()),
        "versions": {
            "lagrangian-zoo": __version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "tensorflow-probability": tfp.__version__,
        },
        "absent": signatures.reasons(part),
        **(signatures.columns.facts() if signatures.columns else {}),
    }
    further = dict(further)
    if repeated := {*own, "signatures"} & set(further):
        raise InputError(f"The card has {sorted(repeated)} itself: rename yours.")
    try:
        json.dumps(further, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(f"The card cannot be written as JSON ({error}): mend it.") from None
    return {**own, **further}


def _condition(model: LagrangianModel) -> dict[str, Any]:
    return {} if model.condition is None else {"condition": model.condition.get_config()}


def page(card: Mapping[str, Any]) -> str:
    """Returns the card as Markdown."""
    shapes = f"{_x(card)} {card['image_shape']}, latents {card['latent_shape']}"
    parts = [
        f"# {card['name']}",
        f"{card['distribution']}, {shapes}, {_given(card)}"
        f"likelihood {card['likelihood']}, posterior {card['posterior']}, {card['step']} steps; "
        f"by {', '.join(f'{name} {version}' for name, version in card['versions'].items())}.",
        "## Signatures",
        _signatures(card["signatures"], [each["input"] for each in card.get("columns", ())]),
        _absent(card["absent"]),
        "Inputs are checked when they come: numbers must be finite, shapes those of the table, "
        "files of the model's size; a request that is wrong is refused with one sentence.",
    ]
    if card.get("columns"):
        parts += columns.page(card)
    if card.get("training"):
        parts += ["## Training", _listed(card["training"])]
    if card.get("validation"):
        parts += [
            "## Validation",
            f"The last record on validation data, at step {card['validation']['step']}:",
            _numbers(card["validation"]),
        ]
    if card.get("certificate"):
        parts.append(f"Its certificate says: {card['certificate']['verdict']} (certificate.md).")
    parts += ["## Objective", f"```\n{card['derivation'].strip()}\n```"]
    return "\n\n".join(part for part in parts if part) + "\n"


def _given(card: Mapping[str, Any]) -> str:
    """Returns what the condition is, for the card's first sentence; nothing without one."""
    condition = card.get("condition")
    if not condition:
        return ""
    if condition["classes"] is not None:
        return f"a condition of {condition['classes']} classes, "
    return f"a condition of shape {condition['shape']}, "


def _x(card: Mapping[str, Any]) -> str:
    """Returns what x is, in a word."""
    if card.get("columns"):
        return f"rows of {len(card['columns'])} column(s), as x"
    return "images" if len(card["image_shape"]) == 3 else "x"


def _signatures(rows: Mapping[str, Any], of_columns: Sequence[str]) -> str:
    header = ("signature", "inputs", "outputs", "what it is")
    body = [
        (
            f"`{name}`",
            _tensors(row["inputs"], of_columns),
            _tensors(row["outputs"], of_columns),
            row["meaning"].replace("|", r"\|"),
        )
        for name, row in rows.items()
        if name != "serving_default"
    ]
    default = next(name for name, row in rows.items() if row == rows["serving_default"])
    sentence = f"`serving_default` is `{default}`. null is any number of examples, or draws."
    return f"{_table(header, body)}\n\n{sentence}"


def _tensors(tensors: Mapping[str, Any], of_columns: Sequence[str]) -> str:
    """Returns names, types and shapes; those of a table's columns, listed below, in two words."""
    together = bool(of_columns) and set(of_columns) <= set(tensors)
    found = [
        f"`{name}` {each['dtype']} {json.dumps(each['shape'])}"
        for name, each in tensors.items()
        if not (together and name in of_columns)
    ]
    return ", ".join(["the columns", *found] if together else found)


def _absent(reasons: Mapping[str, str]) -> str:
    return "\n".join(f"- no `{name}`: {reason}" for name, reason in reasons.items())


def _listed(values: Mapping[str, Any]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in values.items() if value is not None)


def _numbers(record: Mapping[str, Any]) -> str:
    rows = []
    for name, value in record.items():
        for key, number in value.items() if isinstance(value, Mapping) else ((name, value),):
            if isinstance(number, float):
                unit = "" if name in ("mse", "multipliers") else subjects.axis(key)
                rows.append((f"`{key}`".replace("|", r"\|"), f"{number:.4g}", unit))
    return _table(("quantity", "value", "unit"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
