"""Rows of named columns as the vectors x that a model is trained on, and back.

    table = zoo.tables.fit(frame)                      # a DataFrame or a dict of arrays
    model = zoo.build("vae", likelihood=table)
    model.compile()
    model.fit(frame)
    table.decode(model.sample(5))                      # {"age": [31.2, ...], "sex": ["f", ...]}

Importing this package needs neither TensorFlow nor pandas.
"""

from zoo.tables.columns import Column
from zoo.tables.fitting import fit
from zoo.tables.table import Table

__all__ = ["Column", "Table", "fit"]
