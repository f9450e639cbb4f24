"""Runs a configuration to its end: assembly, two phases, and the work between steps.

From Python: `first_phase`, `measure_best` and `second_phase`.
"""

from train.loop.phases import Best, first_phase, measure_best, second_phase

__all__ = ["Best", "first_phase", "measure_best", "second_phase"]
