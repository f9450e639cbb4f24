"""The measures of `train.evaluate`, by name; each takes a Subject and returns a Measured.

A measure that does not apply to the model or its data raises InputError with the reason.
"""

# Importing a module adds its measures to the table, in this order.
from train.evaluations.measures import densities, judged, pairs  # noqa: F401
from train.evaluations.measures.table import MEASURES, Measure, chosen, listing, noted

__all__ = ["MEASURES", "Measure", "chosen", "listing", "noted"]
