"""What spans what, in exact arithmetic: the toolboxes of [U] definition 2 and ranks of vectors."""

from collections.abc import Sequence

from zoo.objectives.affine import rational
from zoo.objectives.vectors import BASIS, Vector, information, kl, vector

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
