import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import zoo
from zoo.errors import InputError
from zoo.model.joints import SampledJoints
from zoo.model.lagrangian_model import LagrangianModel

TRAINED = ("vae", "beta_vae", "vmi", "infovae_mmd", "aae", "ali", "bigan", "alice")
LEARNED = zoo.Objective(
    alpha_q=1,
    constraints=("KL(q(z)||p(z))", "KL(q(x,z)||p(x,z)) <= 40", "2*MMD(q(z)||p(z)) <= 1e-3"),
    name="learned",
)


def softplus(t):
    return np.logaddexp(0, t)


def terms_by_hand(model, x):
    """Section 0 of the mathematics in NumPy, on the noise of the next training step."""
    joints = model.joints(x, model._step_seed(0, model.step))
    z_q, z_p, x_p = (np.asarray(a, np.float64) for a in (joints.z_q, joints.z_p, joints.x_p))
    mean = np.asarray(joints.posterior.mean(), np.float64)
    scale = np.asarray(joints.posterior.stddev(), np.float64)
    logits = np.asarray(model.decoder.network(joints.z_q), np.float64)
    # -E_q log p(x|z), Bernoulli: sum_i softplus(l_i) - x_i l_i
    rec_x = np.mean(np.sum(softplus(logits) - x * logits, axis=(1, 2, 3)))
    # E_q(x) KL(N(m, s) || N(0, 1)) = sum_i (m_i^2 + s_i^2 - 1) / 2 - log s_i
    rate = np.mean(np.sum((mean**2 + scale**2 - 1) / 2 - np.log(scale), axis=1))
    # -E_p log q(z|x)
    q = model.encoder(x_p.astype(np.float32))
    m, s = np.asarray(q.mean(), np.float64), np.asarray(q.stddev(), np.float64)
    rec_z = np.mean(np.sum(((z_p - m) / s) ** 2 / 2 + np.log(s * np.sqrt(2 * np.pi)), axis=1))

    def js(space):
        critic = model.critics[f"JS_{space}"]
        inputs = {"z": ([z_q], [z_p]), "xz": ([x, z_q], [x_p, z_p])}[space]
        t_q, t_p = (
            np.asarray(critic(part if len(part) > 1 else part[0]), np.float64)
            for part in ([np.float32(a) for a in side] for side in inputs)
        )
        # log 2 - 1/2 [ E_q softplus(-T) + E_p softplus(T) ]
        return np.log(2) - (np.mean(softplus(-t_q)) + np.mean(softplus(t_p))) / 2

    def mmd():
        n, d = z_q.shape
        pairs = np.sum((z_q[:, None] - z_q[None]) ** 2, axis=-1)
        kernel = np.exp(-pairs / (2 * d))
        within = (kernel.sum() - n) / (n * (n - 1))
        # E_p k(z, z') and E_p E_p k for p = N(0, I) and the kernel's s^2 = d
        across = (d / (d + 1)) ** (d / 2) * np.exp(-np.sum(z_q**2, 1) / (2 * (d + 1)))
        return within - 2 * across.mean() + (d / (d + 2)) ** (d / 2)

    return {"REC_x": rec_x, "RATE": rate, "REC_z": rec_z, "js": js, "mmd": mmd}


# The trained column of the family's table.
LOSSES = {
    "vae": lambda t: t["REC_x"] + t["RATE"],
    "beta_vae": lambda t: t["REC_x"] + 4 * t["RATE"],
    "vmi": lambda t: t["REC_z"],
    "infovae_mmd": lambda t: t["REC_x"] + t["RATE"] + 999 * t["mmd"](),
    "aae": lambda t: t["REC_x"] + t["js"]("z"),
    "ali": lambda t: t["js"]("xz"),
    "bigan": lambda t: t["js"]("xz"),
    "alice": lambda t: t["REC_x"] + t["js"]("xz"),
}


@pytest.mark.parametrize("name", TRAINED)
def test_loss_is_the_formula(name, small, images):
    # Without spectral normalisation, whose power iteration moves the critic during the step.
    model = small(name, spectral_norm=False)
    expected = LOSSES[name](terms_by_hand(model, images))
    logs = model.train_on_batch(images, return_dict=True)
    # float32 sums over 64 pixels and 24 examples; 999 times an MMD of about 1e-2.
    assert float(logs["loss"]) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", TRAINED)
def test_behaves_as_a_keras_model(name, small, images, tmp_path):
    model = small(name)
    epochs_seen = []
    callback = keras.callbacks.LambdaCallback(on_epoch_end=lambda e, logs: epochs_seen.append(logs))
    history = model.fit(images, batch_size=8, epochs=2, verbose=0, callbacks=[callback])
    assert len(epochs_seen) == 2
    assert set(model.objective.tractable().affine) < set(history.history)
    assert all(np.isfinite(v).all() for v in history.history.values())
    labelled = model.evaluate(images, np.zeros(24), batch_size=8, return_dict=True, verbose=0)
    plain = model.evaluate(images, batch_size=8, return_dict=True, verbose=0)
    assert labelled == plain
    assert {"loss", "REC_x", "RATE", "mse"} <= set(plain)

    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    assert loaded.evaluate(images, batch_size=8, return_dict=True, verbose=0) == plain
    # Optimizers, critics and the step are saved too: both go on alike.
    for _ in range(2):
        ours = model.train_on_batch(images[:8], return_dict=True)
        theirs = loaded.train_on_batch(images[:8], return_dict=True)
        assert ours == theirs
    for one, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", [*TRAINED, LEARNED])
def test_config_round_trip(name, small):
    model = small(name, compiled=False)
    again = LagrangianModel.from_config(model.get_config())
    assert again.get_config() == model.get_config()
    assert again.objective == model.objective


def test_every_player_moves_only_its_own_variables(small, images):
    model = small("alice", spectral_norm=False)
    before = [np.array(v) for v in model.primal_variables]
    critics = [np.array(v) for v in model.critic_variables]
    x = tf.constant(images)
    with tf.GradientTape(persistent=True) as tape:
        joints = model.joints(x, model._step_seed(0, 0), training=True)
        rec = -tf.reduce_mean(joints.log_p_x_given_z_q)
        t_q = model.critics["JS_xz"]([joints.x_q, joints.z_q])
        t_p = model.critics["JS_xz"]([joints.x_p, joints.z_p])
        exchanged = tf.reduce_mean(tf.nn.softplus(-t_p)) + tf.reduce_mean(tf.nn.softplus(t_q))
        # alpha_q = -1, C_x and JS_xz weigh 1 each: the primal loss is divided by 3.
        primal = (rec + exchanged / 2) / 3
        critic = tf.reduce_mean(tf.nn.softplus(-t_q)) + tf.reduce_mean(tf.nn.softplus(t_p))
    model.compile(
        keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.2), jit_compile=False, run_eagerly=True
    )
    primal_steps = tape.gradient(primal, [v.value for v in model.primal_variables])
    critic_steps = tape.gradient(critic, [v.value for v in model.critic_variables])
    model.train_on_batch(images)
    for variable, old, step in zip(model.primal_variables, before, primal_steps, strict=True):
        np.testing.assert_allclose(variable, old - 0.1 * step, rtol=1e-4, atol=1e-5)
    for variable, old, step in zip(model.critic_variables, critics, critic_steps, strict=True):
        np.testing.assert_allclose(variable, old - 0.2 * step, rtol=1e-4, atol=1e-5)


def test_learned_multipliers_take_the_same_step(small, images):
    model = small(LEARNED)
    before = np.array(model.multipliers.value)
    np.testing.assert_array_equal(before, [1.0, 2.0])
    logs = model.train_on_batch(images, return_dict=True)
    violations = np.array(
        [logs["REC_x"] + logs["RATE"] - 40, logs["MMD_z"] - 1e-3], dtype=np.float32
    )
    # alpha_q and the fixed multiplier weigh 1 each; a slack is a tenth of its tolerance.
    size, scale = 2, np.array([4, 1e-4])
    # mu <- clip(mu + 1e-3 g, 0, 1000),   g = (D - eps) / scale,   lambda = mu size / scale
    mu = np.clip(before * scale / size + 1e-3 * violations / scale, 0, 1000)
    np.testing.assert_allclose(model.multipliers.value, mu * size / scale, rtol=1e-5)
    np.testing.assert_allclose(logs["D: MMD(q(z)||p(z))"], logs["MMD_z"])
    expected = (
        1.0 * logs["REC_x"] + 2.0 * logs["RATE"] + 2.0 * logs["MMD_z"] - 1.0 * 40 - 2.0 * 1e-3
    )
    assert float(logs["loss"]) == pytest.approx(float(expected), rel=1e-5)
    assert "lambda: KL(q(x,z)||p(x,z))" in logs


@pytest.mark.parametrize(
    "constraints",
    [
        ("KL(q(x|z)||p(x|z))", "JS(q(x,z)||p(x,z)) <= 0.05"),
        ("KL(q(x|z)||p(x|z))", "JS(q(z)||p(z)) <= 0.05"),
        ("KL(q(x|z)||p(x|z))", "100*MMD(q(z)||p(z)) <= 1e-3"),
    ],
)
@pytest.mark.parametrize("rule", ["projected", "geco", "pi", "augmented"])
def test_multipliers_of_alice_aae_and_infovae_move(constraints, rule, small, images, tmp_path):
    model = small(zoo.Objective(-1, 0, constraints), multiplier_rule=rule)
    before = np.array(model.multipliers.value)
    model.fit(images, batch_size=8, epochs=3, verbose=0)
    moved = np.array(model.multipliers.value)
    assert np.isfinite(moved).all()
    assert (moved != before).all()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    ours, theirs = (m.train_on_batch(images, return_dict=True) for m in (model, loaded))
    assert ours == theirs


def test_noise_is_a_function_of_seed_and_step(small, images):
    first = small("alice", seed=3).fit(images, batch_size=8, shuffle=False, verbose=0).history
    same = small("alice", seed=3).fit(images, batch_size=8, shuffle=False, verbose=0).history
    other = small("alice", seed=4).fit(images, batch_size=8, shuffle=False, verbose=0).history
    assert first == same
    assert first != other


@pytest.mark.parametrize("name", ["vae", "infovae_mmd", "alice"])
def test_several_steps_per_execution_are_the_same_steps(name, small, images):
    one, three = small(name), small(name, compile={"steps_per_execution": 3})
    for model in (one, three):
        model.fit(images, batch_size=8, shuffle=False, verbose=0)
    for ours, theirs in zip(one.weights, three.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("name", ["vae", "infovae_mmd", "alice"])
def test_xla_computes_the_same_step(name, small, images, monkeypatch):
    # XLA's generator draws other noise than TensorFlow's, so both get the same constants.
    noise = tf.random.stateless_normal([8, 3], [0, 0])
    monkeypatch.setattr(
        SampledJoints, "z_q", property(lambda j: j.posterior.mean() + noise * j.posterior.stddev())
    )
    monkeypatch.setattr(SampledJoints, "z_p", noise[::-1])
    plain, xla = small(name), small(name, compile={"jit_compile": True})
    for model in (plain, xla):
        model.compile(keras.optimizers.SGD(1e-3), jit_compile=model.jit_compile)
        model.train_on_batch(images[:8])
    for ours, theirs in zip(plain.primal_variables, xla.primal_variables, strict=True):
        # One step of gradients of size 1 to 10, whose float32 sums XLA orders differently.
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_samples_reconstructions_and_distributions(small, images):
    model = small("vae")
    assert model.encode(images).batch_shape == (24,)
    assert model.encode(images).event_shape == (3,)
    assert model.decode(np.zeros((5, 3))).event_shape == (8, 8, 1)
    assert model.reconstruct(images).shape == images.shape
    assert model(images).shape == images.shape
    np.testing.assert_array_equal(model.sample(4, seed=1), model.sample(4, seed=1))
    assert not np.array_equal(model.sample(4, seed=1), model.sample(4, seed=2))
    assert model.prior.event_shape == (3,)


def test_loads_in_a_new_process_with_identical_losses(small, images, tmp_path):
    model = small("alice")
    model.fit(images, batch_size=8, epochs=2, verbose=0)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", images)
    here = model.evaluate(images, batch_size=8, return_dict=True, verbose=0)
    script = (
        "import sys, keras, numpy as np, zoo\n"
        "model = keras.saving.load_model(sys.argv[1])\n"
        "x = np.load(sys.argv[2])\n"
        "logs = model.evaluate(x, batch_size=8, return_dict=True, verbose=0)\n"
        "print({name: float(value) for name, value in logs.items()})\n"
    )
    arguments = [str(tmp_path / "model.keras"), str(tmp_path / "images.npy")]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str({name: float(value) for name, value in here.items()})


def test_any_prior(small, images):
    tfd = tfp.distributions
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=tf.zeros(2)),
        tfd.MultivariateNormalDiag(tf.constant([[-1.0] * 3, [1.0] * 3]), tf.ones((2, 3))),
    )
    model = small("vae", prior=mixture)
    assert np.isfinite(model.train_on_batch(images, return_dict=True)["RATE"])
    again = LagrangianModel.from_config(model.get_config())
    np.testing.assert_array_equal(again.prior.log_prob(np.ones(3)), mixture.log_prob(np.ones(3)))


@pytest.mark.parametrize("likelihood", ["bernoulli", "normal", "laplace"])
def test_likelihoods(likelihood, small, images):
    model = small("alice", likelihood=likelihood)
    assert np.isfinite(model.train_on_batch(images, return_dict=True)["loss"])


def test_color_images_and_dcgan():
    model = zoo.build("ali", image_shape=(32, 32, 3), latent_dim=4, network="dcgan")
    model.compile(jit_compile=False)
    x = np.random.default_rng(0).random((4, 32, 32, 3), dtype=np.float32)
    assert np.isfinite(model.train_on_batch(x, return_dict=True)["loss"])


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda b: b("alise"), ["alise", "alice"]),
        (lambda b: b("beta_vae", bta=2), ["bta", "beta"]),
        (lambda b: b("vae", network="mpl"), ["mpl", "mlp"]),
        (lambda b: b("vae", likelihood="bernouli"), ["bernouli", "bernoulli"]),
        (lambda b: b("vae", latent_dim=0), ["latent_dim", "0"]),
        (lambda b: b("geco"), ["best", "give a number"]),
        (lambda b: b(zoo.Objective(alpha_q=-1)), ["RATE", "-1", "Repair"]),
        (lambda b: b("alice", term_options={"JS_z": {}}), ["JS_z"]),
        (lambda b: b("alice", term_options={"JS_xz": {"r2": 1}}), ["r2", "r1_gamma"]),
        (lambda b: b("vae").encode(np.zeros((2, 9, 9, 1))), ["(2, 9, 9, 1)", "batch, 8, 8, 1"]),
        (
            lambda b: b("vae").fit(np.zeros((2, 8, 8)), verbose=0),
            ["(batch, 8, 8)", "(batch, 8, 8, 1)"],
        ),
        (lambda b: b("vae").encode(np.zeros((2, 8, 8, 1), np.int64)), ["int64", "0 and 1"]),
        (lambda b: b("vae").decode(np.zeros((2, 4))), ["(2, 4)", "batch, 3"]),
    ],
)
def test_bad_input_is_one_sentence(call, words, small):
    with pytest.raises(InputError) as caught:
        call(small)
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_structured_bfloat16_model_loads_where_only_the_model_is_imported(tmp_path):
    model = zoo.build(
        "infogan", network="dcgan", latents="categorical(3), noise(2)", precision="bfloat16"
    )
    model.save(tmp_path / "model.keras")
    code = (
        "import keras, zoo, sys; print(keras.saving.load_model(sys.argv[1]).encoder.family.latents)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model.keras"], capture_output=True, text=True
    )
    assert done.stdout.strip() == "categorical(3), noise(2)", done.stderr


def test_bfloat16_trains_as_float32_does(small, images):
    def losses(precision):
        model = small("vae", precision=precision, network_options={"hidden": (64, 64)})
        return [
            float(model.train_on_batch(images[i % 3 * 8 :][:8], return_dict=True)["loss"])
            for i in range(30)
        ]

    # Noise and batches are the same. A product of numbers with 8 bits is off by 2^-8 at most, and
    # so little of the loss that 30 steps of Adam stay within half a percent.
    np.testing.assert_allclose(losses("bfloat16"), losses("float32"), rtol=5e-3)


def test_a_block_of_steps_is_as_many_steps(small, images):
    def trained(blocks):
        model = small(LEARNED, compile={"feed": lambda chosen: tf.gather(images, chosen)})
        order = tf.range(24 * 4) % 24
        data = tf.data.Dataset.from_tensor_slices(tf.reshape(order, [12, 8])).batch(blocks)
        model.fit(data, epochs=1, shuffle=False, verbose=0)
        return model

    one, four = trained(1), trained(4)
    assert int(one.step) == int(four.step) == 12
    for a, b in zip(one.weights, four.weights, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-7)


def test_critics_may_take_more_steps(small, images):
    model = small("ali", compile={"critic_steps": 3})
    model.train_on_batch(images)
    assert int(model.critic_optimizer.iterations) == 3
    assert int(model.optimizer.iterations) == 1
    with pytest.raises(InputError, match="critic_steps is 0"):
        small("ali", compile={"critic_steps": 0})


def test_options_of_one_part_are_stronger():
    model = zoo.build(
        "cyclegan",
        image_shape=(4, 4, 1),
        latent_shape=(6, 6, 1),
        network="mlp",
        likelihood="laplace",
        network_options={"hidden": (5,), "translator.hidden": ()},
    )
    kernels = {
        part: [w.shape for w in of.trainable_variables if len(w.shape) == 2]
        for part, of in {"there": model.encoder, **model.critics}.items()
    }
    assert kernels == {"there": [(16, 36)], "JS_x": [(16, 5), (5, 1)], "JS_z": [(36, 5), (5, 1)]}
    for option in ("widht", "encoder.width", "critic.hidden", "seed", "critic_x.spectral_norm"):
        with pytest.raises(InputError, match=f"Unknown option of 'mlp' '{option}'"):
            zoo.build("vae", network_options={option: 3})
