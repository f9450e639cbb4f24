"""The benchmark's cases, which of them are compared, and the units of the results."""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
from typing import Any

from train.workdirs.config import RunConfig
from zoo.errors import InputError
from zoo.objectives import family
from zoo.objectives.objective import Objective

DATASET = "mnist_5k"
STEPS = 5000  # the length of run that sets the multipliers' speed
LAGVAE, ALICE = "lagvae_min", "alice"
LATENCY = "us/request"


@dataclasses.dataclass(frozen=True)
class Case:
    """One way to run the training step of one model.

    Attributes:
      by: the file of this folder that runs it: "zoo_fit", "bare", "torch_step", "keras_fit",
        "product" or "serving".
      every: steps in an epoch of `fit`; every burst is a multiple of it.
      streamed: images come through tf.data, instead of being gathered in the step.
      idle: the step computes nothing, so that only the host's share is timed.
      channels_last: the memory format of PyTorch's convolutions.
      mmd: the MMD gradient of LagVAE in "zoo_fit" and "torch_step": "posteriors" averages over the
        noise (the zoo's default); "samples" uses samples of both sides and is cheaper.
      dataset: the dataset of the images.
      way: how a request is answered: "exported", "keras", "traced" or "chain".
      hidden, width: sizes of the mlp's layers, and the width of dcgan's first layer.
    """

    by: str
    model: str = "vae"
    network: str = "mlp"
    precision: str = "auto"
    jit: str = "auto"
    every: int = 100
    streamed: bool = False
    idle: bool = False
    channels_last: bool = False
    mmd: str = "posteriors"
    batch_size: int = 128
    latent_dim: int = 16
    dataset: str = DATASET
    way: str = "exported"
    hidden: tuple[int, ...] = (1024, 1024)
    width: int = 32


@dataclasses.dataclass(frozen=True)
class Entry:
    """A case in a match; its ratio is to the fastest of the entries named in `against`."""

    label: str
    case: Case
    against: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Contest:
    """A table of matches. Entries of one match run in turns; matches run one after another.

    unit: "k examples/s", "GFLOP/s", "us/step", "us/request" or "seconds".
    nats: the test -ELBO at which the count of seconds stops.
    """

    title: str
    matches: tuple[tuple[Entry, ...], ...]
    unit: str = "k examples/s"
    nats: float | None = None


def contests(section: str) -> list[Contest]:
    """Returns the tables of a section of SECTIONS.

    Raises:
      InputError: the section needs a package that is not installed.
    """
    return SECTIONS[section]()


def step_flops(case: Case, pixels: int = 784) -> float:
    """Returns the floating-point operations in the products of one step of an mlp autoencoder.

    Every weight of a layer is multiplied and added three times per example: for the output, for the
    weight's gradient and for the input's gradient. The first layer needs no input gradient.
    """
    encoder = (pixels, *case.hidden, 2 * case.latent_dim)
    decoder = (case.latent_dim, *case.hidden, pixels)
    pairs = [*itertools.pairwise(encoder), *itertools.pairwise(decoder)]
    # 6 (weights) - 2 (weights of the first layer)
    weights = 6.0 * sum(a * b for a, b in pairs) - 2.0 * encoder[0] * encoder[1]
    return weights * case.batch_size


def run_config(case: Case) -> RunConfig:
    """Returns the run configuration that `case` measures."""
    objective = family.objective(case.model)
    return RunConfig(
        objective=objective.to_config(),
        dataset=case.dataset,
        network=case.network,
        latent_dim=case.latent_dim,
        steps=STEPS,
        batch_size=case.batch_size,
        precision=case.precision,
        jit=case.jit,
        log_every=case.every,
        checkpoint_every=case.every,
        term_options={"MMD_z": {"embedding": "sampled"}} if case.mmd == "samples" else {},
        best=_assumed(objective),
    )


def _assumed(objective: Objective) -> dict[str, Any]:
    """Returns made-up results of a first phase: 100 nats, and 0 for other divergences."""
    return {
        constraint.expression: {
            "eps_hat": 0.0 if constraint.subject.vector is None else 100.0,
            "noise": 0.0,
        }
        for _, constraint in objective.learned
    }


def _models() -> list[Contest]:
    matches = tuple(
        (Entry(f"{name} {network}", Case("zoo_fit", name, network, every=20)),)
        for network in ("mlp", "dcgan")
        for name in family.names()
    )
    return [Contest("Every model of the family", matches)]


def _overhead() -> list[Contest]:
    matches = []
    for kind, name in (("likelihood", "vae"), ("adversarial", ALICE), ("dual", LAGVAE)):
        bare = f"{name} ({kind}), bare loop"
        matches.append(
            (
                Entry(bare, Case("bare", name)),
                Entry(f"{name} ({kind}), fit", Case("zoo_fit", name), (bare,)),
            )
        )
    return [Contest("fit beside a loop written by hand", tuple(matches))]


def _torch() -> list[Contest]:
    if importlib.util.find_spec("torch") is None:
        raise InputError(
            "PyTorch is not installed: run pip install 'lagrangian-zoo[benchmark]' to compare."
        )
    steps: tuple[tuple[str, Case, tuple[dict[str, Any], ...]], ...] = (
        (LAGVAE, Case("zoo_fit", LAGVAE), ({},)),
        (f"{LAGVAE}, MMD of samples", Case("zoo_fit", LAGVAE, mmd="samples"), ({},)),
        ("vae dcgan", Case("zoo_fit", network="dcgan"), ({}, {"channels_last": True})),
        (ALICE, Case("zoo_fit", ALICE), ({},)),
    )
    matches = []
    for name, fit, variants in steps:
        theirs, ours = [], []
        for precision in ("float32", "bfloat16"):
            case, label = dataclasses.replace(fit, precision=precision), f"{name}, {precision}"
            against = []
            for options in variants:
                against.append(" ".join((f"{label}, torch", *options)))
                step = dataclasses.replace(case, by="torch_step", **options)
                theirs.append(Entry(against[-1], step))
            ours.append(Entry(f"{label}, fit", case, tuple(against)))
        matches.append((*theirs, *ours))
    return [Contest("fit beside PyTorch, eager", tuple(matches))]


def _pipeline() -> list[Contest]:
    default = "Keras fit, tf.data, no XLA"
    match = (
        Entry(default, Case("keras_fit", LAGVAE, precision="float32", jit="off")),
        Entry(
            "Keras fit, tf.data, XLA",
            Case("keras_fit", LAGVAE, precision="float32", jit="on"),
            (default,),
        ),
        Entry("streamed", Case("zoo_fit", LAGVAE, streamed=True), (default,)),
        Entry("resident, float32", Case("zoo_fit", LAGVAE, precision="float32"), (default,)),
        Entry("resident", Case("zoo_fit", LAGVAE), (default,)),
    )
    return [Contest(f"{LAGVAE}: ways to feed it", (match,))]


def _peak() -> list[Contest]:
    matches = []
    for precision in ("float32", "bfloat16"):
        product = f"matrix product, {precision}"
        matches.append(
            (
                Entry(product, Case("product", precision=precision, every=1)),
                Entry(
                    f"{LAGVAE} {precision}, bare loop",
                    Case("bare", LAGVAE, precision=precision),
                    (product,),
                ),
                Entry(
                    f"{LAGVAE} {precision}, fit",
                    Case("zoo_fit", LAGVAE, precision=precision),
                    (product,),
                ),
            )
        )
    idle = (
        Entry("fit, resident", Case("zoo_fit", LAGVAE, idle=True)),
        Entry("fit, streamed", Case("zoo_fit", LAGVAE, idle=True, streamed=True)),
    )
    return [
        Contest("Share of the processor's matrix product", tuple(matches), "GFLOP/s"),
        Contest("The host's share: fit of a step that computes nothing", (idle,), "us/step"),
    ]


def _time() -> list[Contest]:
    def case(by: str, **options: Any) -> Case:
        return Case(by, every=250, dataset="binarized_mnist", **options)

    keras = "vae, Keras fit, tf.data, no XLA"
    match = (
        Entry(keras, case("keras_fit", precision="float32", jit="off")),
        Entry("vae, fit", case("zoo_fit"), (keras,)),
    )
    nats = 105.0
    title = f"From a cold start to a test -ELBO of {nats:g} nats, on binarized_mnist"
    return [Contest(title, (match,), "seconds", nats)]


def _serving() -> list[Contest]:
    ways = {
        "chain": "products of the same sizes, tf.function",
        "keras": "model.encode",
        "traced": "model.encode in a tf.function",
        "exported": "exported encode",
    }
    matches = []
    for size in (1, 32, 256):
        bare = f"{ways['chain']}, batch {size}"
        matches.append(
            tuple(
                Entry(
                    f"{what}, batch {size}",
                    Case("serving", every=1, batch_size=size, way=way),
                    () if way == "chain" else (bare,),
                )
                for way, what in ways.items()
            )
        )
    return [Contest("A request: q(z|x) of images, from array to arrays", tuple(matches), LATENCY)]


SECTIONS = {
    "models": _models,
    "overhead": _overhead,
    "torch": _torch,
    "pipeline": _pipeline,
    "peak": _peak,
    "time": _time,
    "serving": _serving,
}
