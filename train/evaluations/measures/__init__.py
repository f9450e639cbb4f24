"""The measures of `train.evaluate`, by name; each takes a Subject and returns a Measured.

A measure that a model or its data does not allow raises InputError, whose sentence says why.
"""

# Each of these enters its measures in the table, in this order.
from train.evaluations.measures import densities, judged, pairs  # noqa: F401
from train.evaluations.measures.table import MEASURES, Measure, chosen, listing, noted

__all__ = ["MEASURES", "Measure", "chosen", "listing", "noted"]
