"""The benchmark's contestants do the same work; how fast is for its users to see."""

import functools
import importlib
import importlib.util
import io
import json
import math
import types
from statistics import median

import numpy as np
import pytest
import tensorflow as tf
from commands import run
from rich.console import Console

import zoo
from train.benchmark import bare, cases, child, product, reach, report, rounds
from train.benchmark.cases import ALICE, LAGVAE, Case, Contest, Entry
from train.benchmark.rounds import Result
from train.loop import assembly
from zoo.errors import InputError

HIDDEN, WIDTH, LATENT, BATCH = (8, 8), 2, 3, 6
HAS_TORCH = importlib.util.find_spec("torch") is not None
TORCH_CASES = [
    Case("torch_step", name, network, precision, channels_last=last)
    for name, network, precision, last in (
        (LAGVAE, "mlp", "float32", False),
        (LAGVAE, "mlp", "bfloat16", False),
        ("vae", "dcgan", "bfloat16", True),
        (ALICE, "mlp", "float32", False),
    )
    if HAS_TORCH
]
TORCH_STEPS = [
    ("vae", "posteriors"),
    (LAGVAE, "posteriors"),
    (LAGVAE, "samples"),
    (ALICE, "posteriors"),
]


def tiny(case):
    sizes = {"hidden": HIDDEN, "width": WIDTH, "latent_dim": LATENT, "batch_size": BATCH}
    return cases.dataclasses.replace(case, every=2, **sizes)


@pytest.fixture
def tiny_networks(monkeypatch):
    """Makes every model that is built a small one."""
    build = zoo.build

    def small(*arguments, network="mlp", **options):
        options["network_options"] = {"mlp": {"hidden": HIDDEN}, "dcgan": {"width": WIDTH}}[network]
        return build(*arguments, network=network, **options)

    monkeypatch.setattr(zoo, "build", small)


@pytest.mark.parametrize(
    "case",
    [
        Case("zoo_fit", "vae", "dcgan", "float32", jit="off"),
        Case("zoo_fit", LAGVAE, precision="float32", jit="on"),
        Case("zoo_fit", LAGVAE, precision="float32", jit="off", streamed=True),
        Case("zoo_fit", LAGVAE, precision="float32", jit="off", idle=True),
        Case("zoo_fit", LAGVAE, precision="float32", jit="off", idle=True, streamed=True),
        Case("keras_fit", LAGVAE, precision="float32", jit="off"),
        Case("bare", "vae", precision="bfloat16", jit="on"),
        Case("bare", LAGVAE, precision="float32", jit="off"),
        Case("bare", ALICE, precision="float32", jit="off"),
        *TORCH_CASES,
    ],
    ids=lambda case: "-".join(
        [case.by, case.model, case.network, case.precision, case.jit]
        + ["streamed"] * case.streamed
        + ["idle"] * case.idle
    ),
)
def test_every_kind_of_case_runs_bursts(case, tiny_networks):
    asked = iter([2, 4, 2])
    uses, train = importlib.import_module(f"train.benchmark.{case.by}").prepare(tiny(case))
    train(asked)
    assert next(asked, None) is None
    assert uses["precision"] == case.precision
    assert uses["data"] == ("streamed" if case.streamed or case.by == "keras_fit" else "resident")
    assert uses["steps_per_execution"] == (2 if case.by in ("zoo_fit", "bare") else 1)
    if case.by != "torch_step":
        assert uses["jit"] == (case.jit == "on")


def test_a_step_of_the_peak_is_one_product():
    uses, train = product.prepare(Case("product", precision="float32"), size=16)
    train(iter([1, 2]))
    # 16 * 16 sums of 16 products
    assert uses["flops"] == 2 * 16**3


def pairs(weights):
    """Groups kernels and biases by layers."""
    return [(weights[i], weights[i + 1]) for i in range(0, len(weights), 2)]


class Reference:
    """The zoo's model on one batch, and what the others must be given to do the same."""

    def __init__(self, name, mmd="posteriors"):
        case = Case("zoo_fit", name, precision="float32", jit="off", mmd=mmd)
        config = cases.run_config(tiny(case))
        self.model = assembly.build_model(config, (28, 28, 1), cases.STEPS)
        self.x = np.random.default_rng(0).random((BATCH, 28, 28, 1), dtype=np.float32)
        joints = self.model.joints(self.x, self.model._step_seed(0, self.model.step))
        posterior = joints.posterior
        self.e = ((joints.z_q - posterior.mean()) / posterior.stddev()).numpy()
        self.z_p = joints.z_p.numpy()

    def parts(self):
        """Returns the weights of encoder, decoder and critic."""
        parts = {"encoder": self.model.encoder, "decoder": self.model.decoder}
        for critic in self.model.critics.values():
            parts["critic"] = critic
        return {name: pairs(part.get_weights()) for name, part in parts.items()}

    def moments(self):
        """Returns Adam's first moments of every player, which after one step are gradients."""
        optimizers = [self.model.optimizer]
        optimizers += [self.model.critic_optimizer] if self.model.critics else []
        return [m.numpy() for optimizer in optimizers for m in optimizer._momentums]


# Float32 sums of up to 784 numbers in another order.
CLOSE = {"rtol": 1e-3, "atol": 1e-5}


@pytest.mark.parametrize("name", ["vae", LAGVAE, ALICE])
def test_a_bare_step_is_the_zoos(name, tiny_networks):
    reference = Reference(name)
    step = bare.step_of(tiny(Case("bare", name)), 784, "float32")
    for part, weights in reference.parts().items():
        for variables, values in zip(getattr(step, part), weights, strict=True):
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value)
    step(tf.reshape(reference.x, [BATCH, 784]), reference.e, reference.z_p)
    logs = reference.model.train_step(reference.x)

    loss, *terms = step.totals.numpy()
    np.testing.assert_allclose(terms, [logs[n] for n in step.names], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(loss, logs["loss"], rtol=1e-4)
    for part, weights in reference.parts().items():
        for variables, values in zip(getattr(step, part), weights, strict=True):
            for variable, value in zip(variables, values, strict=True):
                np.testing.assert_allclose(variable, value, **CLOSE)
    optimizers = [step.adam, step.critic_adam] if name == ALICE else [step.adam]
    found = [m for adam in optimizers for m in adam.moments]
    for ours, theirs in zip(reference.moments(), found, strict=True):
        np.testing.assert_allclose(theirs, ours, **CLOSE)
    if name == LAGVAE:
        np.testing.assert_allclose(step.mu, reference.model.multipliers.mu, rtol=1e-4)


@pytest.mark.parametrize(("name", "mmd"), TORCH_STEPS if HAS_TORCH else [])
def test_a_torch_step_is_the_zoos(name, mmd, tiny_networks):
    import torch
    from torch import nn

    from train.benchmark import torch_step

    reference = Reference(name, mmd)
    step = torch_step.step_of(tiny(Case("torch_step", name, precision="float32", mmd=mmd)))

    def linears(part):
        return [layer for layer in getattr(step, part) if isinstance(layer, nn.Linear)]

    for part, weights in reference.parts().items():
        for layer, (kernel, bias) in zip(linears(part), weights, strict=True):
            layer.weight.data.copy_(torch.from_numpy(kernel.T.copy()))
            layer.bias.data.copy_(torch.from_numpy(bias))
    x = torch.from_numpy(np.moveaxis(reference.x, 3, 1).copy())
    step(x, torch.from_numpy(reference.e), torch.from_numpy(reference.z_p))
    logs = reference.model.train_step(reference.x)

    np.testing.assert_allclose(step.total.numpy(), logs["loss"], rtol=1e-4)
    optimizers = [step.adam, step.critic_adam] if name == ALICE else [step.adam]
    states = [state for adam in optimizers for state in adam.state.values()]
    for ours, theirs in zip(reference.moments(), states, strict=True):
        np.testing.assert_allclose(theirs["exp_avg"].numpy().T, ours, **CLOSE)
    for part, weights in reference.parts().items():
        for layer, (kernel, bias) in zip(linears(part), weights, strict=True):
            for ours, theirs in ((kernel.T, layer.weight), (bias, layer.bias)):
                # PyTorch adds epsilon after the correction of the moments, Keras before it, which
                # tells where gradients are not well above 1e-7 / sqrt(1 - beta_2).
                clear = np.abs(theirs.grad.numpy()) > 3e-4
                np.testing.assert_allclose(theirs.detach().numpy()[clear], ours[clear], **CLOSE)
    if name == LAGVAE:
        np.testing.assert_allclose(step.mu, reference.model.multipliers.mu, rtol=1e-4)


def test_the_keras_model_has_the_same_step(tiny_networks):
    from train.benchmark import keras_fit

    reference = Reference(LAGVAE)
    model = keras_fit.LagVae(tiny(Case("keras_fit", LAGVAE)), (28, 28, 1))
    model.compile(optimizer="adam", jit_compile=False)
    for part in ("encoder", "decoder"):
        weights = [w for pair in reference.parts()[part] for w in pair]
        getattr(model, part).set_weights(weights)
    logs = model.train_step(reference.x)
    expected = reference.model.train_step(reference.x)
    # Keras draws other noise, which moves a sum over 784 pixels by little at first.
    np.testing.assert_allclose(logs["REC_x"], expected["REC_x"], rtol=0.05)
    # RATE has no noise.
    np.testing.assert_allclose(logs["RATE"], expected["RATE"], rtol=1e-4)


@pytest.mark.parametrize("case", [c for c in TORCH_CASES if c.network == "dcgan"])
def test_torch_has_a_dcgan_of_the_same_size(case, tiny_networks):
    from train.benchmark import torch_step

    step = torch_step.step_of(tiny(case))
    config = cases.run_config(tiny(Case("zoo_fit", "vae", "dcgan", "float32")))
    model = assembly.build_model(config, (28, 28, 1), cases.STEPS)
    for ours, theirs in ((model.encoder, step.encoder), (model.decoder, step.decoder)):
        sizes = sorted(math.prod(v.shape) for v in ours.trainable_variables)
        assert sizes == sorted(p.numel() for p in theirs.parameters())


def test_operations_are_those_of_the_layers():
    case = Case("bare", LAGVAE, hidden=(5,), latent_dim=2, batch_size=3)
    # 7 -> 5 -> 4 and 2 -> 5 -> 7, each weight in three products of two operations, but the
    # first layer's in two.
    assert cases.step_flops(case, pixels=7) == 3 * 2 * (2 * 35 + 3 * (20 + 10 + 35))


def test_processes_take_turns_and_one_that_cannot_says_why():
    entries = (
        Entry("bare", tiny(Case("bare", "vae", precision="float32", jit="off"))),
        Entry("again", tiny(Case("bare", "vae", precision="float32", jit="off")), ("bare",)),
        Entry("no such step", tiny(Case("bare", "aae"))),
    )
    results = rounds.play(entries, "k examples/s", rounds=2, seconds=0.01)
    assert [len(r.rates) for r in results] == [2, 2, 0]
    assert results[1].against == "bare"
    assert len(results[1].ratios) == 2
    assert all(rate > 0 for rate in results[0].rates)
    assert "'aae'" in results[2].refused

    contest = Contest("Title", (entries,))
    table = json.loads(json.dumps(report.as_json(contest, results)))
    assert table["unit"] == "k examples/s"
    first, second, third = table["rows"]
    assert first["case"] == "bare"
    assert first["precision"] == "float32"
    assert set(first["rate"]) == {"median", "min", "max", "rounds"}
    assert second["ratio"]["to"] == "bare"
    assert third == {"case": "no such step", "refused": results[2].refused}
    printed = io.StringIO()
    report.show(Console(file=printed, width=report.WIDTH), contest, results)
    assert "no such step: not measured" in printed.getvalue()


def test_a_race_ends_at_the_bound():
    case = tiny(Case("keras_fit", "vae", precision="float32", jit="off"))
    entries = (
        Entry("theirs", case),
        Entry("ours", case, ("theirs",)),
        Entry("no such model", tiny(Case("keras_fit", "aae"))),
    )
    theirs, ours, none = reach.race(entries, nats=1e6)
    for result in (theirs, ours):
        assert result.uses["steps"] == case.every
        assert 0 < result.uses["bound"] <= 1e6
        assert 0 < result.start_seconds < result.rates[0]
    assert ours.against == "theirs"
    assert ours.ratio == pytest.approx(theirs.rates[0] / ours.rates[0])
    assert "'aae'" in none.refused

    (result,) = reach.race(entries[:1], nats=-1.0, most=2 * case.every)
    assert f"after {2 * case.every} steps, not -1" in result.refused
    assert result.rates == ()


def test_the_bound_of_held_out_images_is_the_models(tiny_networks):
    from train.benchmark import zoo_fit

    _, train, held_out = zoo_fit.with_held_out(tiny(Case("zoo_fit", "vae", jit="off")))
    found = []

    def bursts():
        yield 2
        found.append(held_out())

    train(bursts())
    # an untrained decoder: about log 2 nats for each of 784 pixels
    assert found == [pytest.approx(784 * math.log(2), rel=0.1)]


def test_a_ratio_is_of_medians_and_to_the_fastest():
    def played(label, rates, against=()):
        entry = Entry(label, Case("bare"), against)
        return types.SimpleNamespace(
            entry=entry,
            rates=rates,
            slow=[],
            alive=True,
            uses={},
            megabytes=1.0,
            start_seconds=1.0,
        )

    ours = played("ours", [4.0, 6.0, 9.0], ("slow", "fast"))
    others = [played("slow", [1.0, 1.0, 9.0]), played("fast", [2.0, 3.0, 3.0])]
    result = rounds._result(ours, [*others, ours])
    assert result.against == "fast"
    assert result.ratio == median([4.0, 6.0, 9.0]) / 3.0
    assert result.ratios == (2.0, 2.0, 3.0)


@pytest.mark.parametrize(
    ("unit", "uses", "rate"),
    [
        ("k examples/s", {}, 128 / 2e-3 / 1e3),
        ("us/step", {}, 2000),
        ("GFLOP/s", {}, cases.step_flops(Case("bare", LAGVAE)) / 2e-3 / 1e9),
        ("GFLOP/s", {"flops": 5e9}, 5 / 2e-3),
    ],
)
def test_rates_are_of_a_step_of_two_milliseconds(unit, uses, rate):
    one = types.SimpleNamespace(entry=Entry("a", Case("bare", LAGVAE)), uses=uses)
    assert rounds.Child._rate(one, unit, 2e-3) == pytest.approx(rate)


def test_bursts_report_what_is_not_the_lead():
    sent, asked = [], iter([4, 6, 0])
    connection = types.SimpleNamespace(recv=functools.partial(next, asked), send=sent.append)
    assert list(child.bursts(connection, lead=2)) == [2, 4, 2, 6]
    assert len(sent) == 2
    seconds, megabytes = sent[0]
    assert 0 <= seconds < 10
    assert megabytes > 1


def test_a_broken_case_is_told_from_one_that_cannot_be():
    contest = Contest("Title", ())
    rows = report.as_json(contest, [Result("a", failed="Traceback\nValueError: no")])["rows"]
    assert rows == [{"case": "a", "failed": "Traceback\nValueError: no"}]


@pytest.mark.parametrize("section", [s for s in cases.SECTIONS if s != "torch" or HAS_TORCH])
def test_sections_compare_what_they_run(section):
    for contest in cases.contests(section):
        assert contest.unit in ("k examples/s", "GFLOP/s", "us/step", cases.LATENCY, "seconds")
        assert (contest.unit == "seconds") == (contest.nats is not None)
        for match in contest.matches:
            labels = [entry.label for entry in match]
            assert len(set(labels)) == len(labels)
            for entry in match:
                assert set(entry.against) < set(labels)


def test_every_model_is_measured_on_both_networks():
    (contest,) = cases.contests("models")
    measured = {(e.case.model, e.case.network) for match in contest.matches for e in match}
    assert measured == {(name, n) for name in zoo.names() for n in ("mlp", "dcgan")}


def test_without_torch_a_sentence_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="benchmark"):
        cases.contests("torch")


def test_what_the_numbers_depend_on_is_told():
    about = json.loads(json.dumps(report.machine(7, 1.0)))
    assert about["cores"] >= 1
    assert isinstance(about["amx"], bool)
    assert about["packages"]["tensorflow"] == tf.__version__
    assert about["rounds"] == 7


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--only=overheat"], ["overheat", "overhead"]),
        (["--rounds=0"], ["--rounds=0", "positive"]),
        (["overhead"], ["overhead", "not a flag"]),
    ],
)
def test_wrong_commands_say_one_sentence(flags, words, tmp_path):
    done = run(*flags, cwd=tmp_path, module="train.benchmark")
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1
    for word in words:
        assert word in done.stderr
