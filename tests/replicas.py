"""Trains on several replicas and on one, on the same global batches, and compares what comes out.

    PYTHONPATH=.:tests python tests/replicas.py [case ...]

prints, for every kind of term, the largest difference of any weight, optimizer's moment,
multiplier and logged value from those of one process: of two logical devices under
MirroredStrategy, and of two and three processes on loopback under MultiWorkerMirroredStrategy.
"""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

BATCH, STEPS = 12, 6


@dataclasses.dataclass(frozen=True)
class Case:
    """A model: a name of the family or constraints beside REC_x, and options of `zoo.build`."""

    model: str | tuple[str, ...]
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    critic_steps: int = 1
    shape: tuple[int, int, int] = (8, 8, 1)


def _mmd(**options: Any) -> Case:
    return Case(("50*MMD(q(z)||p(z))",), {"term_options": {"MMD_z": options}})


LATENTS = "code: categorical(4), style: uniform(2), noise(3)"
NORMAL = {"likelihood": "normal"}
CASES = {
    "vae": Case("vae"),
    "vae, bfloat16": Case("vae", {"precision": "bfloat16"}),
    "alice": Case("alice", {"spectral_norm": True, "ema": 0.9}),
    "alice, normal, R1": Case("alice", {**NORMAL, "term_options": {"JS_xz": {"r1_gamma": 1.0}}}),
    "lagvae_min": Case("lagvae_min", {"e1": 40, "e2": 0.001}),
    "JS learned, augmented": Case(
        ("JS(q(x,z)||p(x,z)) <= 0.05",), {"multiplier_rule": "augmented"}
    ),
    "infovae_mmd": Case("infovae_mmd"),
    "MMD_z, median": _mmd(bandwidth="median"),
    "MMD_z, imq by samples": _mmd(kernel="imq", estimator="v"),
    "MMD_z, linear": _mmd(estimator="linear"),
    "MMD_xz": Case(("50*MMD(q(x,z)||p(x,z))",), NORMAL),
    "SW_z": Case(("5*SW(q(z)||p(z))",)),
    "SW_x": Case(("5*SW(q(x)||p(x))",), NORMAL),
    "infovae_stein": Case("infovae_stein"),
    "infovae_kl": Case("infovae_kl"),
    "as_vae": Case("as_vae", NORMAL),
    "infobigan": Case("infobigan"),
    "avb": Case(
        "avb", {"noise_dim": 4, "term_options": {"RATE_ratio": {"adaptive_contrast": True}}}
    ),
    "a condition": Case(("JS(q(x,z)||p(x,z))", "50*MMD(q(z)||p(z))"), {**NORMAL, "condition": 3}),
    "vae, learned mixture": Case("vae", {"prior": "mixture:3"}),
    "aae, VampPrior": Case("aae", {"prior": "vamp:3"}),
    **{name: Case((f"{name}(q(z)||p(z))",)) for name in ("FKL", "RKL", "CHI2", "H2", "TV")},
    "W1_x, penalty": Case(("W1(q(x)||p(x))",), NORMAL),
    "infogan": Case("infogan", {"latents": LATENTS, "history": 20}, critic_steps=2),
    "infogan, batch normalisation": Case(
        "infogan",
        {
            "latents": LATENTS,
            "network": "dcgan",
            "network_options": {"width": 4, "decoder.normalization": "batch"},
        },
        shape=(28, 28, 1),
    ),
}


def images(shape: Sequence[int]) -> np.ndarray:
    """Returns the images of all steps, [STEPS * BATCH, *shape]."""
    return np.random.default_rng(0).random((STEPS * BATCH, *shape), dtype=np.float32)


def trained(case: Case) -> dict[str, np.ndarray]:
    """Trains under the present strategy; returns all that a checkpoint holds, and the logs."""
    import keras
    import tensorflow as tf

    import zoo
    from zoo.batch import Batch

    model = case.model
    if not isinstance(model, str):
        model = zoo.Objective(-1, 0, ("KL(q(x|z)||p(x|z))", *model))
    options = {"latent_dim": 3, "network_options": {"hidden": (16, 16)}, **case.options}
    with tf.distribute.get_strategy().scope():
        built = zoo.build(model, image_shape=case.shape, **options)
        # A larger epsilon than Adam's 1e-7: the step of a weight whose gradient is rounding noise
        # about zero would be that noise over its own size.
        built.compile(
            keras.optimizers.Adam(1e-3, epsilon=1e-3),
            keras.optimizers.Adam(2e-4, beta_1=0.5, epsilon=1e-3),
            critic_steps=case.critic_steps,
            jit_compile=False,
            steps_per_execution=2,
        )
    data = tf.data.Dataset.from_tensor_slices(images(case.shape))
    if built.condition is not None:
        labels = tf.data.Dataset.range(STEPS * BATCH).map(lambda i: i % built.condition.classes)
        data = tf.data.Dataset.zip((data, labels)).map(lambda x, c: Batch(x, c=c))
    data = data.batch(BATCH, drop_remainder=True)
    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
    logs = built.fit(data.with_options(options), verbose=0, shuffle=False).history
    groups = {
        "weights": built.weights,
        "optimizers": built.optimizer.variables + built.critic_optimizer.variables,
    }
    found = {
        f"{group}/{index}": np.array(variable)
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }
    return {**found, **{f"logs/{name}": np.array(values) for name, values in logs.items()}}


def difference(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> float:
    """Returns the largest difference of two numbers at one place, over the array's largest.

    Or over 0.01 where that is more: a smaller array is the rounding of others.
    """
    assert set(one) == set(other)
    found = [0.0]
    for name, a in one.items():
        b = other[name]
        np.testing.assert_array_equal(np.isfinite(a), np.isfinite(b), name)
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        largest = max(np.max(np.abs(a), initial=0.0), 0.01)
        found.append(float(np.max(np.abs(a - b), initial=0.0) / largest))
    return max(found)


def environments(workers: int) -> list[dict[str, str]]:
    """Returns each worker's environment, with free ports of this machine."""
    sockets = [socket.socket() for _ in range(workers)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    hosts = [f"127.0.0.1:{one.getsockname()[1]}" for one in sockets]
    for one in sockets:
        one.close()
    cluster = {"worker": hosts}
    return [
        {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "TF_CONFIG": json.dumps(
                {"cluster": cluster, "task": {"type": "worker", "index": index}}
            ),
        }
        for index in range(workers)
    ]


def start(kind: str, count: int, out: Path, cases: Sequence[str]) -> list[subprocess.Popen]:
    """Starts what trains `cases` on `count` "devices" of a process, or on as many "workers"."""
    places = environments(count)
    if kind == "devices":
        places = places[:1]
        del places[0]["TF_CONFIG"]
    processes = []
    for index, environment in enumerate(places):
        with (out / f"{kind}-{count}-{index}.txt").open("w") as words:
            processes.append(
                subprocess.Popen(
                    [sys.executable, __file__, "--train", kind, str(count), str(out), *cases],
                    env=environment,
                    stdout=words,
                    stderr=words,
                )
            )
    return processes


def compared(
    cases: Sequence[str], places: Sequence[tuple[str, int]]
) -> dict[str, dict[str, float]]:
    """Returns of each case the largest difference of each place from one device of one process."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        started = [start(kind, count, out, cases) for kind, count in (("devices", 1), *places)]
        for process in itertools.chain(*started):
            assert process.wait(timeout=1800) == 0, "".join(
                path.read_text()[-3000:] for path in out.glob("*.txt")
            )
        return {
            name: {
                f"{count} {kind}": difference(
                    np.load(out / f"devices-1-{index}.npz"),
                    np.load(out / f"{kind}-{count}-{index}.npz"),
                )
                for kind, count in places
            }
            for index, name in enumerate(cases)
        }


def _train(kind: str, count: int, out: Path, cases: Sequence[str]) -> None:
    import tensorflow as tf

    chief = True
    strategy = tf.distribute.get_strategy()
    if kind == "workers":
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        chief = strategy.cluster_resolver.task_id == 0
    elif count > 1:
        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            cpu, [tf.config.LogicalDeviceConfiguration()] * count
        )
        strategy = tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(count)])
    for index, name in enumerate(cases):
        with strategy.scope():
            found = trained(CASES[name])
        if chief:
            np.savez(out / f"{kind}-{count}-{index}.npz", **found)


def main(cases: Sequence[str]) -> int:
    places = (("devices", 2), ("workers", 2), ("workers", 3))
    found = compared(cases or list(CASES), places)
    print("| case |", " | ".join(f"{count} {kind}" for kind, count in places), "|")
    print("|---" * (len(places) + 1) + "|")
    for name, differences in found.items():
        print(f"| {name} |", " | ".join(f"{value:.1e}" for value in differences.values()), "|")
    return 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--train"]:
        _train(sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]), sys.argv[5:])
    else:
        sys.exit(main(sys.argv[1:]))
