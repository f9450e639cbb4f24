"""The derivation of a tractable form as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.objectives.affine import Affine, Number, number_text
from zoo.objectives.algebra import TractableForm, kl_vector, tractable
from zoo.objectives.declaration import Declaration
from zoo.objectives.named_terms import NAMED_TERMS
from zoo.objectives.vectors import BASIS, Vector, information


def weighted_text(coefficients: Mapping[str, Number], separator: str = " ") -> str:
    """Returns the text of sum_k c_k name_k: "REC_x + (l1 + 1) RATE - H_q(x)"."""
    order = {name: float(index) for index, name in enumerate(NAMED_TERMS)}
    others = order["Dx_pq"] - 0.5  # other divergences are printed before Dx_pq and Dz_pq
    text = ""
    for name in sorted(coefficients, key=lambda n: (order.get(n, others), n)):
        value = coefficients[name]
        negative = _is_minus(value)
        magnitude = -value if negative else value
        body = name if magnitude == 1 else f"{_factor(magnitude)}{separator}{name}"
        if text:
            text += f" {'-' if negative else '+'} {body}"
        else:
            text = f"-{body}" if negative else body
    return text or "0"


def _is_minus(number: Number) -> bool:
    if isinstance(number, Affine):
        return number.constant <= 0 and all(slope < 0 for _, slope in number.slopes)
    return number < 0


def _factor(number: Number) -> str:
    text = number_text(number)
    return f"({text})" if " " in text else text


def form_text(form: TractableForm) -> str:
    """Returns the text of the trained form, without its constant."""
    return weighted_text(form.affine)


def constraints_text(objective: Declaration) -> list[str]:
    """Returns the text of each constraint with its multiplier or tolerance."""
    lines = []
    for constraint in objective.constraints:
        multiplier = objective.multiplier(constraint)
        text = constraint.expression
        if multiplier != 1:
            text = f"{_factor(multiplier)}*{text}"
        lines.append(f"{text} <= {constraint.at_most}" if constraint.learned else text)
    return lines


def effective_alpha(form: TractableForm) -> tuple[Number, Number]:
    """Returns the invariants alpha_q = c[RATE] - c[REC_x], alpha_p = c[RATE_p] - c[REC_z]."""
    c = form.affine
    return c["RATE"] + c["RATE_ratio"] - c["REC_x"], c["RATE_p"] - c["REC_z"]


def _vector_text(target: Vector) -> str:
    return weighted_text(
        {f"E_{e}[log {atom}]": x for (e, atom), x in zip(BASIS, target, strict=True) if x}
    )


def explain(objective: Declaration) -> str:
    """Returns the derivation from the declaration to the trained form, one step per paragraph."""
    form = tractable(objective)
    lines = [objective.name, "", "1. Declared"]
    preference = {"I_q(x;z)": objective.alpha_q, "I_p(x;z)": objective.alpha_p}
    lines.append(f"   minimise   {weighted_text({n: a for n, a in preference.items() if a})}")
    for text in constraints_text(objective) or ["no constraint"]:
        lines.append(f"   with       {text}")

    lines += ["", "2. Expanded over the basic terms"]
    for name, alpha, side in (
        ("I_q(x;z)", objective.alpha_q, "q"),
        ("I_p(x;z)", objective.alpha_p, "p"),
    ):
        if alpha:
            lines.append(f"   {name} = {_vector_text(information(side))}")
    for constraint in objective.constraints:
        expansion = constraint.subject.vector
        if expansion is None:
            described = constraint.subject.describes
            what = f" ({described})" if described else ""
            lines.append(f"   {constraint.expression} is not a KL: it is added as it is{what}")
        else:
            lines.append(f"   {constraint.expression} = {_vector_text(expansion)}")
    lines.append(f"   sum of the KL part = {_vector_text(kl_vector(objective))}")

    lines += ["", "3. Elementary nulls added (chain rule, entropies of the data and the prior)"]
    for null, weight in form.nulls.items():
        lines.append(f"   {_factor(weight)} * ({null})")
    if not form.nulls:
        lines.append("   none")

    lines += ["", "4. Trained", f"   {form_text(form)}"]
    if form.constant:
        lines.append(f"   up to the constant {weighted_text(form.constant)}")
    if objective.reverse_rate:
        lines.append("   using J_pq = REC_z + RATE_p - H_p(z)")
    if objective.implicit_encoder:
        lines.append("   RATE by density ratio, RATE_ratio: the encoder has no density")
    for term, estimator in objective.estimators.items():
        if term not in form.affine:
            continue
        lines.append(f"   {term} by {estimator}")

    alpha_q, alpha_p = effective_alpha(form)
    lines += [
        "",
        "5. Judged",
        f"   class        {form.hardness}",
        f"   preference   c[RATE] - c[REC_x] = {number_text(alpha_q)} on I_q,  "
        f"-c[REC_z] = {number_text(alpha_p)} on I_p",
        f"   complete     {', '.join(form.complete) or 'no'}",
        f"   admissible   {'yes' if form.admissible else 'no'}",
    ]
    lines += [f"   refused      {sentence}" for sentence in form.refusals]
    if form.repair:
        lines.append(f"   repair       {form.repair}")
        lines.append(f"                giving {form_text(tractable(form.repair.objective))}")
    lines += [f"   note         {sentence}" for sentence in form.notes]
    return "\n".join(lines)


def as_json(objective: Declaration) -> dict[str, Any]:
    """Returns the declaration and its derivation as JSON-able data; numbers are exact strings."""
    form = tractable(objective)
    alpha_q, alpha_p = effective_alpha(form)
    repair = form.repair
    return {
        **objective.to_config(),
        "effective_alpha_q": number_text(alpha_q),
        "effective_alpha_p": number_text(alpha_p),
        "hardness": form.hardness,
        "trained": form_text(form),
        "coefficients": {name: number_text(c) for name, c in form.affine.items()},
        "constant": {name: number_text(c) for name, c in form.constant.items()},
        "nulls": {name: number_text(c) for name, c in form.nulls.items()},
        "admissible": form.admissible,
        "refusals": list(form.refusals),
        "repair": None
        if repair is None
        else {
            "raises": {name: number_text(by) for name, by in repair.raises},
            "reverse_rate": repair.reverse_rate,
            "objective": repair.objective.to_config(),
        },
        "complete": list(form.complete),
        "notes": list(form.notes),
    }
