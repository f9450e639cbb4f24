"""The evaluation of trained models, and the comparison of several."""
