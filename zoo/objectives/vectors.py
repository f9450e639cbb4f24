"""KL objectives as vectors of exact numbers: basis, named terms and elementary nulls.

An objective is a vector over 20 basic terms E_p[log .], E_q[log .] ([U] appendix B, corrected). Ten
elementary nulls are constant in the parameters. Every KL objective is a unique combination of the
eight terms below and the nulls.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache

from zoo.objectives.affine import Number, rational

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


@lru_cache
def kl(direction: str, space: str) -> Vector:
    """KL(a(s)||b(s)) = E_a[log a(s) - log b(s)]; a conditional is averaged under a."""
    a, b = tuple(direction)
    variables = "x,z" if space == "xz" else space
    return vector(**{a: {f"{a}({variables})": 1, f"{b}({variables})": -1}})


def information(side: str) -> Vector:
    """I_s(x;z) = E_s[log s(x,z) - log s(x) - log s(z)]."""
    return vector(**{side: {f"{side}(x,z)": 1, f"{side}(x)": -1, f"{side}(z)": -1}})


# The chain rule in both orders under both expectations, and the entropies of data and prior.
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
ENTROPIES = {"E_q[log q(x)]": "H_q(x)", "E_p[log p(z)]": "H_p(z)"}

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
    """Returns the unique coefficients of a KL objective on the eight terms and on the nulls."""
    solution: list[Number] = []
    for row in _decomposition():
        total: Number = Fraction(0)
        for factor, entry in zip(row, target, strict=True):
            if factor and entry:
                total = total + factor * entry
        solution.append(total)
    terms = dict(zip(TERMS, solution[: len(TERMS)], strict=True))
    return terms, dict(zip(NULLS, solution[len(TERMS) :], strict=True))
