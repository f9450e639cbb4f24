"""Logs of `fit` and `evaluate`: running means of loss and terms, constraints, multipliers."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from zoo import terms
from zoo.model.players import Players
from zoo.model.running_means import RunningMeans


class LoggedModel(Players):
    """A model whose logs are means over the examples of an epoch."""

    _terms: dict[str, terms.Term]
    _batches: keras.metrics.Metric
    _means: RunningMeans

    @property
    def metrics(self) -> list[Any]:
        skipped = [self._skipped] if self.on_nan == "skip" else []
        return [self._batches, self._means, *skipped]

    def training_logs(self) -> dict[str, Any]:
        """Returns the logs of the steps since the last reset, as scalars."""
        logs = self._logs(("loss", *self._terms))
        return logs if self.on_nan == "stop" else {**logs, "skipped": self._skipped.result()}

    def with_constraints(self, terms_read: Mapping[str, Any]) -> dict[str, Any]:
        """Returns logs of terms, with the value and multiplier of each learned constraint."""
        logs = dict(terms_read)
        if self.lagrangian.learned:
            reached = self.lagrangian.constraint_values(logs)
            multipliers_now = self.multipliers.value
            for index, constraint in enumerate(self.lagrangian.learned):
                logs[f"D: {constraint.expression}"] = reached[index]
                logs[f"lambda: {constraint.expression}"] = multipliers_now[index]
        return logs

    def _track(self, values: Mapping[str, Any], examples: Any) -> None:
        """Adds the values of one batch of `examples` examples to the means."""
        self._means.update_state(values, examples)

    def _logs(self, names: Iterable[str]) -> dict[str, Any]:
        means = self._means.result()
        return self.with_constraints({name: means[name] for name in names})

    @functools.cached_property
    def _skipped(self) -> keras.metrics.Metric:
        return keras.metrics.Sum(name="skipped", dtype="int64")
