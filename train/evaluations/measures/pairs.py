"""Measures of translations, for models whose z is an image with a known true partner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from train.evaluations.measures.table import measure
from train.evaluations.subject import Subject


def _pairs(direction: str) -> Callable[[Subject], Any]:
    def found(s: Subject) -> Any:

        from zoo.distributions.probes import decoded_mean, encoded_mean
        from zoo.metrics.measured import Measured
        from zoo.metrics.pairing import pairing

        what, z, x = "An error of translations", s.partners, s.images
        with s.model.averaged():
            if direction == "x_to_z":
                p = pairing(lambda x: encoded_mean(s.model, x, what), x, z, s.options.seed)
            else:
                p = pairing(lambda z: decoded_mean(s.model, z, what), z, x, s.options.seed)
        return Measured(
            p.ratio,
            None,
            p.points,
            "mean absolute error to the true partner / mean absolute error to another's partner",
            (
                f"errors are {p.true_error:.4g} and {p.random_error:.4g} per pixel",
                f"the nearest of all partners is the true one for {p.retrieval:.1%}; by chance it "
                f"would be {p.chance:.2%}",
            ),
            units="ratio",
        )

    return found


for _direction in ("x_to_z", "z_to_x"):
    measure(f"pairing_{_direction}", "error to true partners / error to others", "true partners")(
        _pairs(_direction)
    )
