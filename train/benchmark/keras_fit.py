"""The step of two models in plain Keras: tf.data input and Keras's default settings."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from train.benchmark import bare
from train.benchmark.cases import LAGVAE, STEPS, Case, run_config
from train.benchmark.turns import Turns
from train.loop import assembly
from zoo.errors import unknown


def prepare(case: Case) -> tuple[dict[str, Any], Callable[[Iterator[int]], None]]:
    """Builds the model; returns its settings and a function that trains in bursts.

    Raises:
      InputError: the model has no step here.
    """
    uses, train, _ = with_held_out(case)
    return uses, train


def with_held_out(
    case: Case,
) -> tuple[dict[str, Any], Callable[[Iterator[int]], None], Callable[[], float]]:
    """Returns the results of `prepare` and a function for the test -ELBO, nats per example."""
    config = run_config(case)
    dataset = assembly.load_dataset(config)
    images = dataset.split("train").images
    model = model_of(case, images[0].shape)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), jit_compile=case.jit == "on")

    def read(x: tf.Tensor) -> tf.Tensor:
        grey = tf.cast(x, tf.float32) / 255.0
        return tf.cast(tf.random.uniform(tf.shape(grey)) < grey, tf.float32)

    batches = (
        tf.data.Dataset.from_tensor_slices(images)
        .shuffle(len(images))
        .repeat()
        .batch(case.batch_size, drop_remainder=True)
        .map(read, num_parallel_calls=tf.data.AUTOTUNE)
        .prefetch(tf.data.AUTOTUNE)
    )

    def train(bursts: Iterator[int]) -> None:
        model.fit(
            batches,
            epochs=sys.maxsize,
            steps_per_epoch=case.every,
            verbose=0,
            callbacks=[Turns(bursts, case.every)],
        )

    def held_out() -> float:
        test = assembly.once(dataset, config, "test")
        found = model.evaluate(test, return_dict=True, verbose=0)
        return float(found["REC_x"] + found["RATE"])

    uses = {
        "data": "streamed",
        "jit": bool(model.jit_compile),
        "precision": "float32",
        "steps_per_execution": 1,
    }
    return uses, train, held_out


class Vae(keras.Model):
    """`bare.Vae` with Keras layers, optimizer and metrics."""

    names: tuple[str, ...] = bare.Vae.names

    def __init__(self, case: Case, image_shape: tuple[int, ...]):
        super().__init__()
        self.encoder = _mlp(image_shape, *case.hidden, 2 * case.latent_dim)
        self.decoder = _mlp((case.latent_dim,), *case.hidden, math.prod(image_shape))
        self.trackers = [keras.metrics.Mean(name=n) for n in ("loss", *self.names)]
        self.seeds = keras.random.SeedGenerator(0)

    @property
    def metrics(self) -> list[Any]:
        return self.trackers

    def terms(self, x: tf.Tensor, training: bool) -> tuple[tf.Tensor, ...]:
        """Returns the terms called `names`, nats per example."""
        mean, raw = tf.split(self.encoder(x, training=training), 2, axis=1)
        scale = bare.FLOOR + tf.nn.softplus(bare.RAW_SCALE + raw)
        z = mean + scale * keras.random.normal(tf.shape(mean), seed=self.seeds)
        logits = self.decoder(z, training=training)
        distortion = bare.distortion(logits, tf.reshape(x, tf.shape(logits)))
        return distortion, bare.rate(mean, scale), *self.others(mean, scale, z)

    def others(self, mean: tf.Tensor, scale: tf.Tensor, z: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return ()

    def loss_of(self, terms: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the loss to report and the loss to differentiate."""
        loss = terms[0] + terms[1]
        return loss, loss

    def after(self, terms: Sequence[tf.Tensor]) -> None:
        """Updates the multipliers, in models that have them."""

    def train_step(self, x: tf.Tensor) -> dict[str, Any]:
        with tf.GradientTape() as tape:
            terms = self.terms(x, training=True)
            loss, primal = self.loss_of(terms)
        gradients = tape.gradient(primal, self.trainable_variables)
        self.optimizer.apply_gradients(zip(gradients, self.trainable_variables, strict=True))
        self.after(terms)
        return self._track(loss, terms)

    def test_step(self, x: tf.Tensor) -> dict[str, Any]:
        terms = self.terms(x, training=False)
        return self._track(self.loss_of(terms)[0], terms)

    def _track(self, loss: tf.Tensor, terms: Sequence[tf.Tensor]) -> dict[str, Any]:
        for tracker, value in zip(self.trackers, (loss, *terms), strict=True):
            tracker.update_state(value)
        return {tracker.name: tracker.result() for tracker in self.trackers}


class LagVae(Vae):
    """`bare.LagVae`, likewise."""

    names = bare.LagVae.names

    def __init__(self, case: Case, image_shape: tuple[int, ...]):
        super().__init__(case, image_shape)
        self.mu, self.average = self._weight([2.0, 0.025]), self._weight([0.0, 0.0])

    def _weight(self, values: list[float]) -> Any:
        start = keras.initializers.Constant(values)
        return self.add_weight(shape=(len(values),), initializer=start, trainable=False)

    def others(self, mean: tf.Tensor, scale: tf.Tensor, z: tf.Tensor) -> tuple[tf.Tensor, ...]:
        return (bare.mmd_to_standard_normal(mean, scale, z),)

    def loss_of(self, terms: Sequence[tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
        size = bare.LagVae.size
        multipliers = self.mu * size / bare.LagVae.slacks
        loss = terms[1] + tf.reduce_sum(multipliers * self._violations(terms))
        return loss, loss / (size + tf.reduce_sum(multipliers * bare.LagVae.slacks))

    def after(self, terms: Sequence[tf.Tensor]) -> None:
        g = self._violations(terms) / bare.LagVae.slacks
        self.average.assign(0.9 * self.average + 0.1 * g)
        self.mu.assign(tf.clip_by_value(self.mu + 20.0 / STEPS * self.average, 0.0, 1e3))

    def _violations(self, terms: Sequence[tf.Tensor]) -> tf.Tensor:
        return tf.stack([terms[0] + terms[1], terms[2]]) - bare.LagVae.tolerances


MODELS: dict[str, type[Vae]] = {"vae": Vae, LAGVAE: LagVae}


def model_of(case: Case, image_shape: tuple[int, ...]) -> Vae:
    """Returns the model of `case`; raises InputError if the model has no step here."""
    if case.model not in MODELS:
        raise unknown("model in plain Keras", case.model, MODELS)
    return MODELS[case.model](case, image_shape)


def _mlp(shape: tuple[int, ...], *sizes: int) -> keras.Sequential:
    *hidden, outputs = sizes
    dense = [keras.layers.Dense(units, activation="softplus") for units in hidden]
    head = keras.layers.Dense(outputs)
    return keras.Sequential([keras.Input(shape), keras.layers.Flatten(), *dense, head])
