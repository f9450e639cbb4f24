"""From a declaration to what is trained, by exact linear algebra ([U] appendix B, corrected).

An objective is a vector over 20 basic terms E_p[log .], E_q[log .]. Ten elementary nulls are
constant in the parameters. The eight terms below, with the nulls, span every KL objective, and
uniquely: so the form that is trained is the solution of one linear system.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache

from zoo.errors import InputError
from zoo.objectives.affine import Affine, Number, exact, rational, variable
from zoo.objectives.objective import Constraint, Objective

ATOMS = tuple(f"{side}({v})" for side in "pq" for v in ("x,z", "x|z", "z|x", "x", "z"))
BASIS = tuple((expectation, atom) for expectation in "pq" for atom in ATOMS)

Vector = tuple[Number, ...]


def vector(**parts: Mapping[str, int]) -> Vector:
    """Returns sum of parts: vector(p={"q(x)": -1}) is -E_p[log q(x)]."""
    return tuple(Fraction(parts.get(e, {}).get(atom, 0)) for e, atom in BASIS)


def combine(*weighted: tuple[Number, Vector]) -> Vector:
    """Returns sum_k weight_k vector_k."""
    total: list[Number] = [Fraction(0)] * len(BASIS)
    for weight, part in weighted:
        for index, entry in enumerate(part):
            if entry:
                total[index] = total[index] + weight * entry
    return tuple(total)


def kl(direction: str, space: str) -> Vector:
    """KL(a(s)||b(s)) = E_a[log a(s) - log b(s)]; a conditional is averaged under a."""
    a, b = tuple(direction)
    variables = "x,z" if space == "xz" else space
    return vector(**{a: {f"{a}({variables})": 1, f"{b}({variables})": -1}})


def information(side: str) -> Vector:
    """I_s(x;z) = E_s[log s(x,z) - log s(x) - log s(z)]."""
    return vector(**{side: {f"{side}(x,z)": 1, f"{side}(x)": -1, f"{side}(z)": -1}})


# Chain rule, both ways, under both expectations; and the entropies of the data and the prior.
NULLS: dict[str, Vector] = {
    f"E_{e}[log {s}(x,z) - log {s}({one}) - log {s}({other}|{one})]": vector(
        **{e: {f"{s}(x,z)": 1, f"{s}({one})": -1, f"{s}({other}|{one})": -1}}
    )
    for e in "pq"
    for s in "pq"
    for one, other in ("xz", "zx")
} | {
    "E_q[log q(x)]": vector(q={"q(x)": 1}),
    "E_p[log p(z)]": vector(p={"p(z)": 1}),
}
_ENTROPY = {"E_q[log q(x)]": "H_q(x)", "E_p[log p(z)]": "H_p(z)"}

TERMS: dict[str, Vector] = {
    "REC_x": vector(q={"p(x|z)": -1}),
    "RATE": vector(q={"q(z|x)": 1, "p(z)": -1}),
    "Dz_qp": kl("qp", "z"),
    "Dx_qp": kl("qp", "x"),
    "REC_z": vector(p={"q(z|x)": -1}),
    "J_pq": kl("pq", "xz"),
    "Dx_pq": kl("pq", "x"),
    "Dz_pq": kl("pq", "z"),
}
KL_TERM = {
    "KL(q(z)||p(z))": "Dz_qp",
    "KL(p(z)||q(z))": "Dz_pq",
    "KL(q(x)||p(x))": "Dx_qp",
    "KL(p(x)||q(x))": "Dx_pq",
    "KL(p(x,z)||q(x,z))": "J_pq",
}
MARGINAL_TERMS = ("Dz_qp", "Dx_qp", "Dx_pq", "Dz_pq")
# Terms that compare data with what is decoded by samples, for want of a density of either;
# RATE_ratio has the same images on both sides.
RATIOS_OF_IMAGES = (
    *(
        name
        for name, target in TERMS.items()
        if any(c and atom[2:] in ("x)", "x,z)") for (_, atom), c in zip(BASIS, target, strict=True))
    ),
    "RATE_p",
)

KL_EXPRESSIONS: dict[str, Vector] = {
    "I_q(x;z)": information("q"),
    "I_p(x;z)": information("p"),
} | {
    f"KL({a}({v})||{b}({v}))": kl(a + b, "xz" if v == "x,z" else v)
    for v in ("x,z", "x", "z", "z|x", "x|z")
    for a, b in ("pq", "qp")
}

_LIKELIHOOD_BASED = [
    vector(**{e: {atom: 1}}) for e in "pq" for atom in ("p(x|z)", "p(x,z)", "p(z)", "q(z|x)")
]
_MARGINAL_KLS = [kl(direction, space) for direction in ("pq", "qp") for space in "xz"]
_JOINT_KLS = [kl("pq", "xz"), kl("qp", "xz")]
TOOLBOXES: dict[str, list[Vector]] = {
    "likelihood-based": _LIKELIHOOD_BASED,
    "unary": _LIKELIHOOD_BASED + _MARGINAL_KLS,
    "binary": _LIKELIHOOD_BASED + _MARGINAL_KLS + _JOINT_KLS,
}


def rank(vectors: Sequence[Vector]) -> int:
    """Returns the dimension of the span, in exact rational arithmetic."""
    rows = [[rational(entry) for entry in row] for row in vectors]
    found = 0
    for column in range(len(BASIS)):
        pivot = next((r for r in range(found, len(rows)) if rows[r][column]), None)
        if pivot is None:
            continue
        rows[found], rows[pivot] = rows[pivot], rows[found]
        for r in range(found + 1, len(rows)):
            factor = rows[r][column] / rows[found][column]
            if factor:
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[found], strict=True)]
        found += 1
    return found


def intersection_dimension(first: Sequence[Vector], second: Sequence[Vector]) -> int:
    """dim(A and B) = dim A + dim B - dim(A + B)."""
    return rank(first) + rank(second) - rank([*first, *second])


@lru_cache(maxsize=1)
def _decomposition() -> tuple[tuple[Fraction, ...], ...]:
    """Returns the left inverse of the matrix [eight terms | ten nulls]."""
    columns = [*TERMS.values(), *NULLS.values()]
    size = len(BASIS)
    unit = [[Fraction(int(i == j)) for j in range(size)] for i in range(size)]
    rows = [[rational(c[i]) for c in columns] + unit[i] for i in range(size)]
    for column in range(len(columns)):
        pivot = next(r for r in range(column, size) if rows[r][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        scale = rows[column][column]
        rows[column] = [entry / scale for entry in rows[column]]
        for r in range(size):
            if r != column and (factor := rows[r][column]):
                rows[r] = [a - factor * b for a, b in zip(rows[r], rows[column], strict=True)]
    return tuple(tuple(row[len(columns) :]) for row in rows[: len(columns)])


def decompose(target: Vector) -> tuple[dict[str, Number], dict[str, Number]]:
    """Writes a KL objective as the eight terms plus elementary nulls; the solution is unique."""
    solution: list[Number] = []
    for row in _decomposition():
        total: Number = Fraction(0)
        for factor, entry in zip(row, target, strict=True):
            if factor and entry:
                total = total + factor * entry
        solution.append(total)
    terms = dict(zip(TERMS, solution[: len(TERMS)], strict=True))
    return terms, dict(zip(NULLS, solution[len(TERMS) :], strict=True))


def kl_vector(objective: Objective) -> Vector:
    """Returns the part of the Lagrangian that is made of KLs, over the 20 basic terms."""
    parts: list[tuple[Number, Vector]] = [
        (objective.alpha_q, information("q")),
        (objective.alpha_p, information("p")),
    ]
    for constraint in objective.constraints:
        part = constraint_vector(constraint)
        if part is not None:
            parts.append((objective.multiplier(constraint), part))
    return combine(*parts)


def constraint_vector(constraint: Constraint) -> Vector | None:
    """Returns the constraint over the basic terms, or None if it is a divergence other than KL."""
    if not constraint.space:
        return TERMS[constraint.divergence]
    if constraint.divergence == "KL":
        return kl(constraint.direction, constraint.space)
    return None


class Coefficients(dict):
    """Exact coefficients by term name; a term that is absent has coefficient 0."""

    def __missing__(self, name: str) -> Fraction:
        return Fraction(0)


def is_negative(number: Number) -> bool:
    """Whether a number is negative, or affine and negative somewhere on multipliers >= 0."""
    if isinstance(number, Affine):
        return number.constant < 0 or any(slope < 0 for _, slope in number.slopes)
    return number < 0


@dataclass(frozen=True)
class Repair:
    """The smallest change of multipliers that makes an objective admissible; alpha is untouched."""

    raises: tuple[tuple[str, Number], ...]
    reverse_rate: bool
    objective: Objective
    text: str

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class TractableForm:
    """What is trained, and whether it may be: objective = sum_i c_i term_i + constant.

    Attributes:
      affine: term name -> coefficient, affine in the learned multipliers.
      constant: "H_q(x)", "H_p(z)" or a learned multiplier times its eps -> coefficient.
      nulls: the elementary nulls the derivation adds, with coefficients.
      hardness: "likelihood-based", "unary", "binary" or "not computable".
      refusals: one sentence for each reason why it cannot be trained; empty if admissible.
      repair: the offered change of multipliers, or None.
      complete: which of the constraint sets C1, C2, C3 of [I] eq. 9-11 the constraints contain.
      notes: what a user should know and no number shows.
    """

    objective: Objective
    affine: Coefficients
    constant: Mapping[str, Number]
    nulls: Mapping[str, Number]
    hardness: str
    refusals: tuple[str, ...]
    complete: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def admissible(self) -> bool:
        """Whether nothing is trained to maximise a divergence or minimise a likelihood."""
        return not self.refusals

    def require_admissible(self) -> None:
        """Raises InputError, with the reasons and the repair, unless the form is admissible."""
        if not self.admissible:
            mend = f" Repair: {self.repair}." if self.repair else ""
            reasons = " ".join(self.refusals)
            raise InputError(f"{self.objective.name} cannot be trained: {reasons}{mend}")

    @cached_property
    def coefficients(self) -> Coefficients:
        """Term name -> exact coefficient, at the first value of each learned multiplier."""
        return Coefficients({name: self.at_initial(c) for name, c in self.affine.items()})

    @cached_property
    def repair(self) -> Repair | None:
        """The multipliers to raise, or None if nothing is wrong or nothing helps."""
        from zoo.objectives import repair

        return None if self.admissible else repair.repair(self)

    def at_initial(self, number: Number) -> Number:
        if isinstance(number, Affine):
            return number.at(self.objective.initial_multipliers)
        return exact(number)


def tractable(objective: Objective) -> TractableForm:
    """Derives the unique form on the terms that can be estimated.

        alpha_q I_q + alpha_p I_p + sum of weighted KLs  =  sum of eight terms + constant

    [U] appendix B; divergences other than KL are added as they are.
    """
    from zoo.objectives import admissibility

    terms, nulls = decompose(kl_vector(objective))
    coefficients = Coefficients({name: c for name, c in terms.items() if c})
    constant = {h: -1 * nulls[null] for null, h in _ENTROPY.items() if nulls[null]}

    rec_z = coefficients["REC_z"]
    if objective.reverse_rate and is_negative(rec_z):
        # c J_pq - c REC_z = c RATE_p - c H_p(z), for the part that is negative
        c = -1 * (rec_z.constant if isinstance(rec_z, Affine) and rec_z.constant < 0 else rec_z)
        coefficients["REC_z"] = rec_z + c
        coefficients["J_pq"] = coefficients["J_pq"] - c
        coefficients["RATE_p"] = c
        constant["H_p(z)"] = constant.get("H_p(z)", Fraction(0)) - c
    if objective.implicit_encoder and "RATE" in coefficients:
        coefficients["RATE_ratio"] = coefficients.pop("RATE")
    for constraint in objective.constraints:
        if constraint_vector(constraint) is None and "|" not in constraint.space:
            weight = objective.multiplier(constraint)
            coefficients[constraint.term] = coefficients[constraint.term] + weight
    coefficients = Coefficients({name: c for name, c in coefficients.items() if c})
    for symbol, constraint in objective.learned:
        constant[f"{symbol} e{symbol[1:]}"] = Fraction(-1)
        if constraint.expression == "KL(q(x,z)||p(x,z))":  # eps bounds -ELBO = KL + H_q(x)
            constant["H_q(x)"] = constant.get("H_q(x)", Fraction(0)) + variable(symbol)
    return TractableForm(
        objective=objective,
        affine=coefficients,
        constant={name: c for name, c in constant.items() if c},
        nulls={name: -1 * c for name, c in nulls.items() if c},
        hardness=admissibility.hardness(objective, coefficients),
        refusals=admissibility.refusals(objective, coefficients),
        complete=admissibility.complete(objective),
        notes=admissibility.notes(objective),
    )
