"""The table of measures, and how they are chosen from it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from train.evaluations.subject import Subject
from zoo.errors import InputError, unknown


@dataclasses.dataclass(frozen=True)
class Measure:
    """A named measure.

    Attributes:
      name: on the command line and in evaluation.json.
      says: what it says of a model, in a few words.
      needs: what not every model or dataset has, in a few words; empty if nothing.
      cheap: whether it is measured unless others are asked for.
      images: whether it is of images alone.
      measure: returns a zoo.metrics.Measured.
    """

    name: str
    says: str
    needs: str
    cheap: bool
    measure: Callable[[Subject], Any]
    images: bool = False

    def of(self, subject: Subject) -> Any:
        """Returns the zoo.metrics.Measured of a subject; raises InputError if it has none."""
        shape = subject.dataset.image_shape
        if self.images and len(shape) < 3:
            raise InputError(
                f"{self.name} is of images, and the x of {subject.name} are rows of shape "
                f"{tuple(shape)}: look at distortion and plots/marginals.png."
            )
        return self.measure(subject)


MEASURES: dict[str, Measure] = {}


def measure(
    name: str,
    says: str,
    needs: str = "",
    cheap: bool = True,
    images: bool = False,
    given_class: bool = False,
    log_density: bool = False,
) -> Callable:
    """Enters a function in the table under `name`.

    Args:
      given_class: whether a conditional model's measure is the mean over classes of what it is of
        the model given each.
      log_density: whether it is of -log densities of x, which a table's columns have in their own
        units too.
    """

    def enter(function: Callable[[Subject], Any]) -> Callable[[Subject], Any]:
        found = _over_classes(function) if given_class else function
        found = _in_units(found) if log_density else found
        MEASURES[name] = Measure(name, says, needs, cheap, found, images)
        return function

    return enter


def _over_classes(function: Callable[[Subject], Any]) -> Callable[[Subject], Any]:
    def found(s: Subject) -> Any:
        if not s.conditional:
            return function(s)
        from zoo.metrics.over_classes import averaged

        shares = [len(of_class.images) / len(s.images) for of_class in s.by_class]
        return averaged(shares, [function(of_class) for of_class in s.by_class])

    return found


def _in_units(function: Callable[[Subject], Any]) -> Callable[[Subject], Any]:
    """Returns a measure that says, for a table, what it is in the columns' own units.

    -log p(y) = -log p(x) + log_det   for raw values y; see `zoo.tables.Table`
    """

    def found(s: Subject) -> Any:
        measured, table = function(s), None if s.paired else s.dataset.table
        if table is None or not table.numbers:
            return measured
        raw, more = measured.value + table.log_det, f"log_det {table.log_det:.4g} more"
        return noted(
            measured, f"of standardised values; in the columns' own units {raw:.4g}, {more}"
        )

    return found


def chosen(text: str | None) -> list[Measure]:
    """Returns the measures of a comma-separated list; the cheap ones if there is none.

    Raises:
      InputError: a name is unknown, or the list names nothing.
    """
    if text is None:
        return [m for m in MEASURES.values() if m.cheap]
    if text.strip() == "all":
        return list(MEASURES.values())
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError("--metrics names no metric: --metrics=help lists them.")
    for name in names:
        if name not in MEASURES:
            raise unknown("metric", name, MEASURES)
    return [MEASURES[name] for name in dict.fromkeys(names)]


def listing() -> str:
    """Returns the table of measures as text."""
    width = max(map(len, MEASURES))
    lines = []
    for m in MEASURES.values():
        marks = [f"needs {m.needs}"] if m.needs else []
        marks += [] if m.cheap else ["not by default"]
        marks += ["of images"] if m.images else []
        lines.append(f"  {m.name:{width}}  {m.says}" + (f" ({'; '.join(marks)})" if marks else ""))
    return "\n".join(["Metrics (--metrics=NAME,NAME or all):", *lines])


def noted(measured: Any, *notes: str) -> Any:
    """Returns the measured value with more to be said of it."""
    return dataclasses.replace(measured, notes=(*measured.notes, *notes))
