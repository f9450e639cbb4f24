"""The terms of a form that are not named NAME_space, and what each compares by samples."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NamedTerm:
    """A term of a form that is not a divergence NAME_space.

    Attributes:
      name: the term's name in `zoo.terms`.
      compares: what a critic of its density ratio sees, "x", "z" or "xz"; "" where no samples are
        compared.
      likelihood: whether it is minus a mean log likelihood.
      same_images: whether the images are the same on both sides of the ratio.
    """

    name: str
    compares: str = ""
    likelihood: bool = False
    same_images: bool = False

    @property
    def compares_images(self) -> bool:
        """Whether it compares data with decoded images by samples."""
        return "x" in self.compares and not self.same_images


# In the order in which forms are printed.
NAMED_TERMS = {
    term.name: term
    for term in (
        NamedTerm("REC_x", likelihood=True),
        NamedTerm("REC_z", likelihood=True),
        NamedTerm("RATE"),
        NamedTerm("RATE_ratio", "xz", same_images=True),
        NamedTerm("RATE_p", "xz"),
        NamedTerm("J_pq", "xz"),
        NamedTerm("Dz_qp", "z"),
        NamedTerm("Dx_qp", "x"),
        NamedTerm("Dx_pq", "x"),
        NamedTerm("Dz_pq", "z"),
    )
}
