"""How fast training is, beside other ways to write the same step."""
