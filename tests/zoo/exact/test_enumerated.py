"""The one train_step on tables, against finite differences, convex programs and a counterexample.

Learned multipliers move without smoothing here, since nothing is noisy.
"""

import functools

import keras
import numpy as np
import pytest
from convex import Program
from scipy.optimize import brentq, minimize_scalar
from tabular import Tables, random_tables

import zoo
from zoo import multipliers
from zoo.errors import InputError
from zoo.exact import enumerated


def fit(model, steps, critic_rate=6.0):
    """Trains by Adam with a rate that decays by a hundred; returns what was measured."""
    rate = keras.optimizers.schedules.CosineDecay(0.05, steps, alpha=0.01)
    model.compile(
        keras.optimizers.Adam(rate, beta_2=0.99),
        keras.optimizers.SGD(critic_rate),
        steps_per_execution=steps // 20,
        jit_compile=False,
    )
    measured = enumerated.Convergence()
    model.fit(
        model.data(),
        steps_per_epoch=steps // 20,
        epochs=20,
        shuffle=False,
        verbose=0,
        callbacks=[measured],
    )
    return measured


# Exact terms, and the step


def model_of(tables, objective, **options):
    return enumerated.build(
        objective, tables.q_x, tables.p_z, tables.encoder, tables.decoder.T, **options
    )


def on_space(tables, space):
    """Returns q and p on a space, flat."""
    joints = (tables.joint(side) for side in "qp")
    axis = {"xz": (), "x": 1, "z": 0}[space]
    return tuple(joint.sum(axis) for joint in joints)


def mmd(tables, space):
    """(q - p)' K (q - p) on one-hot points (side by side, for both), s2 = dim."""
    points = np.eye(4), np.eye(3)
    if space == "xz":
        points = np.repeat(points[0], 3, axis=0), np.tile(points[1], (4, 1))
        points = np.concatenate(points, axis=1)
    else:
        points = points["xz".index(space)]
    distances = ((points[:, None] - points) ** 2).sum(-1)
    kernel = np.exp(-distances / (2 * points.shape[1]))
    q, p = on_space(tables, space)
    return (q - p).ravel() @ kernel @ (q - p).ravel()


def train_critics(model, tables):
    """Puts the optimal T = log q/p in the critics' tables."""
    product = tables.q_x[:, None] * tables.p_z
    for name, critic in model.critics.items():
        if name in ("RATE_ratio", "RATE_p"):
            q, p = tables.joint("q" if name == "RATE_ratio" else "p"), product
        else:
            q, p = on_space(tables, zoo.terms.critic_space(name))
        table = critic.weights[0]
        table.assign(np.log(q / p).reshape(table.shape))


EVERY_TERM = zoo.Objective(
    alpha_p=-1,
    constraints=(
        "KL(q(x,z)||p(x,z))",
        "KL(p(z|x)||q(z|x))",
        "KL(p(x,z)||q(x,z))",
        *(f"KL({a}({s})||{b}({s}))" for s in "xz" for a, b in ("qp", "pq")),
        *(
            f"{d}(q({s})||p({s}))"
            for d in ("MMD", "JS", "FKL", "RKL", "CHI2", "H2")
            for s in ("x", "z", "x,z")
        ),
    ),
)


@pytest.mark.parametrize("seed", range(3))
def test_every_term_is_exact(seed):
    tables = random_tables(seed)
    model = model_of(tables, EVERY_TERM)
    train_critics(model, tables)
    values = model.term_values(None, None)
    assert len(values) == 26
    for name, value in values.items():
        exact = mmd(tables, name[4:]) if name.startswith("MMD") else tables.term(name)
        # float32 sums of a dozen numbers of size 1.
        np.testing.assert_allclose(value, exact, atol=2e-6, err_msg=name)


def test_weights_are_probabilities():
    tables = random_tables(0)
    joints = model_of(tables, "vae").joints()
    np.testing.assert_allclose(joints.q_weights, tables.joint("q").ravel(), rtol=1e-5)
    np.testing.assert_allclose(joints.p_weights, tables.joint("p").ravel(), rtol=1e-5)
    np.testing.assert_allclose(joints.expect_data(joints.x_q[:, 1]), tables.q_x[1], rtol=1e-5)


def softmax(logits, axis):
    powers = np.exp(logits - logits.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def declared(objective, tables, learned):
    """alpha_q I_q + alpha_p I_p + sum lambda_j D_j, from the definitions."""
    total = float(objective.alpha_q) * tables.information("q")
    total += float(objective.alpha_p) * tables.information("p")
    learned = iter(learned)
    for c in objective.constraints:
        weight = next(learned) if c.learned else float(c.weight)
        total += weight * (mmd(tables, "z") if c.term == "MMD_z" else tables.constraint(c))
    return total


OBJECTIVES = {
    name: zoo.objective(name) for name in zoo.names() if not zoo.objective(name).learned
} | {
    "reverse rate": zoo.Objective(
        alpha_p=0.5,
        constraints=("KL(q(x,z)||p(x,z))", "0.5*KL(p(x)||q(x))"),
        reverse_rate=True,
    ),
    "f-divergences": zoo.Objective(
        constraints=(
            "KL(q(x,z)||p(x,z))",
            "FKL(p(z)||q(z))",
            "RKL(q(x)||p(x))",
            "CHI2(q(z)||p(z))",
            "CHI2(p(x,z)||q(x,z))",
            "H2(q(x,z)||p(x,z))",
        )
    ),
    "lagvae_max": zoo.objective("lagvae_max", e1=1.5, e2="0.01"),
    "lagvae_min": zoo.objective("lagvae_min", e1=1.5, e2="0.01"),
    "lagrangian alice": zoo.Objective(
        alpha_q=-1, constraints=("KL(q(x|z)||p(x|z))", "JS(q(x,z)||p(x,z)) <= 0.05")
    ),
}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_step_descends_the_declared_lagrangian(name):
    objective, tables = OBJECTIVES[name], random_tables(5)
    model = model_of(tables, objective, multiplier_rule="projected")
    train_critics(model, tables)
    learned = model.lagrangian.initial_multipliers.astype(np.float64)
    model.compile(keras.optimizers.SGD(1.0), keras.optimizers.SGD(0.0), run_eagerly=True)
    logits = [np.log(tables.encoder), np.log(tables.decoder.T)]

    def lagrangian(moved):
        encoder, decoder = softmax(moved[0], 1), softmax(moved[1], 1).T
        return declared(objective, Tables(tables.q_x, tables.p_z, encoder, decoder), learned)

    before = [v.numpy() for v in model.primal_variables]
    model.train_on_batch(np.eye(4, dtype=np.float32))
    # |alpha| + the fixed multipliers + the learned ones in slacks
    size = (model.lagrangian.fixed_size or 1.0) + learned @ np.array(model.slacks)
    for which, (variable, old) in enumerate(zip(model.primal_variables, before, strict=True)):
        slope = np.zeros_like(logits[which])
        for cell in np.ndindex(slope.shape):
            moved = [table.copy() for table in logits]
            for sign in (1, -1):
                moved[which][cell] = logits[which][cell] + sign * 1e-5
                slope[cell] += sign * lagrangian(moved) / 2e-5
        # Logits of size 1 in float32: a step has an absolute error of some 1e-7.
        np.testing.assert_allclose(variable - old, -slope / size, atol=1e-6)


def test_the_step_is_the_models_own():
    assert enumerated.TabularModel.train_step is zoo.LagrangianModel.train_step


# The measure of convergence


def test_kkt_restated():
    tables, objective = random_tables(3), OBJECTIVES["lagvae_max"]
    model = model_of(tables, objective, slacks=(0.5, 0.01))
    measured = model.kkt()
    learned = [1.0, 100.0]

    def lagrangian(encoder, decoder):
        return declared(objective, Tables(tables.q_x, tables.p_z, encoder, decoder.T), learned)

    best = 0.0
    parts = [tables.encoder, tables.decoder.T]
    here = lagrangian(*parts)
    for which, table in enumerate(parts):
        for row in range(len(table)):
            ends = []
            for vertex in np.eye(table.shape[1]):
                moved = [part.copy() for part in parts]
                moved[which][row] += 1e-6 * (vertex - table[row])
                ends.append((here - lagrangian(*moved)) / 1e-6)
            best += max(ends)
    # Steps of 1e-6 err by 1e-6 times a curvature of some hundreds.
    assert measured.stationarity == pytest.approx(best, rel=1e-3)
    violations = [tables.term("REC_x") + tables.term("RATE") - 1.5, mmd(tables, "z") - 0.01]
    np.testing.assert_allclose(measured.violations, violations, atol=1e-6)
    # -I_q + C_x = REC_x - H_q(x), without the constant
    assert measured.objective == pytest.approx(tables.term("REC_x"), abs=1e-6)
    assert measured.gap == pytest.approx(measured.stationarity - learned @ np.array(violations))
    # size = |alpha_q| + the weight of C_x
    g = np.array(violations) / (0.5, 0.01)
    mu = np.array(learned) * (0.5, 0.01) / 2
    residual = max(best / 2, *g, *np.abs(mu * g))
    assert measured.residual == pytest.approx(residual, rel=1e-3)


def test_kkt_needs_no_critic():
    tables = random_tables(4)
    model = model_of(tables, OBJECTIVES["lagrangian alice"])
    # The critic guesses: as training reads it JS is 0.
    np.testing.assert_allclose(model.term_values(None, None)["JS_xz"], 0.0, atol=1e-6)
    measured = model.kkt()
    np.testing.assert_allclose(measured.violations, [tables.term("JS_xz") - 0.05], atol=1e-6)
    train_critics(model, tables)
    assert model.kkt().stationarity == pytest.approx(measured.stationarity)


def test_the_worst_of_the_last_tenth_counts():
    def reading(stationarity):
        none = np.zeros(0)
        return enumerated.KKT(0.0, none, none, stationarity, 2.0, none)

    measured = enumerated.Convergence()
    with pytest.raises(InputError, match="Nothing has been measured"):
        measured.converged(1.0)
    measured.readings = [reading(stationarity) for stationarity in [9.0] * 18 + [0.4, 0.2]]
    assert measured.residual == 0.2
    assert measured.converged(0.2)
    assert not measured.converged(0.19)
    measured.readings[-1] = reading(np.nan)
    assert not measured.converged(np.inf)


# Convex problems: the decoder held

Q_X, P_Z = np.array([0.15, 0.25, 0.25, 0.35]), np.array([0.5, 0.3, 0.2])
DECODER = np.array([[0.55, 0.25, 0.1, 0.1], [0.1, 0.5, 0.3, 0.1], [0.05, 0.15, 0.3, 0.5]])
# p(z|x), where the first phase of [U] section 6 ends: -ELBO is at its least, 1.473.
BAYES = (P_Z[:, None] * DECODER / (P_Z @ DECODER)).T
E1, E2 = 1.52, 5e-4

# What settles in 1000 steps. GECO's rate is on log mu, and mu is near 0.1 here.
RULES = {
    "augmented": {"rate": 0.3, "penalty": 10.0},
    "geco": {"rate": 0.4},
    "pi": {"rate": 0.05, "proportional": 5.0},
    "projected": {"rate": 0.05},
}


def convex(objective, at_most):
    return Program(Q_X, P_Z, DECODER, objective, at_most)


def lagvae(alpha):
    """min alpha RATE or min |alpha| REC_x, the bounds of [U] eq. 13, subject to both constraints"""
    return convex({"RATE" if alpha > 0 else "REC_x": abs(alpha)}, {"-ELBO": E1, "MMD_z": E2})


@functools.cache
def trained_lagvae(alpha, rule):
    model = enumerated.build(
        zoo.objective("lagvae_min" if alpha > 0 else "lagvae_max", a1=abs(alpha), e1=E1, e2=E2),
        Q_X,
        P_Z,
        BAYES,
        DECODER,
        fixed_decoder=True,
        multiplier_rule=multipliers.get(rule, **RULES[rule], smoothing=0.0),
        slacks=(0.2, 0.01),
    )
    return model, fit(model, 1000)


def assert_solved(model, measured, solution):
    """Primal value, tables, multipliers and no gap.

    float32 and 1000 steps leave less than a tenth of these tolerances, mostly a hundredth.
    """
    size, reached = model.lagrangian.fixed_size, measured.readings[-1]
    assert reached.objective == pytest.approx(solution.value, abs=2e-5 * size)
    np.testing.assert_allclose(model.tables()[0], solution.encoder, atol=2e-4)
    np.testing.assert_allclose(reached.multipliers, solution.multipliers, rtol=1e-3)
    np.testing.assert_array_less(reached.violations, 1e-5)
    # L is convex in the tables: f - min_theta L(theta, lambda) is at most this.
    assert abs(reached.gap) < 5e-4 * size
    assert measured.converged(1e-3)


def test_the_solver_finds_the_closed_form():
    for objective in ({"RATE": 1}, {"REC_x": 1}, {"RATE": 2, "REC_x": 0.5}):
        problem = convex(objective, {"-ELBO": E1})
        ours, exact = problem.solution, problem.closed_form
        assert ours.value == pytest.approx(exact.value, abs=1e-9)
        np.testing.assert_allclose(ours.encoder, exact.encoder, atol=1e-6)
        np.testing.assert_allclose(ours.multipliers, exact.multipliers, rtol=1e-5)


@pytest.mark.parametrize("alpha", [1, -1])
@pytest.mark.parametrize("rule", multipliers.names())
def test_every_rule_reaches_the_convex_solution(alpha, rule):
    model, measured = trained_lagvae(alpha, rule)
    solution = lagvae(alpha).solution
    # Both constraints bind.
    assert (solution.multipliers > 1).all()
    assert_solved(model, measured, solution)
    np.testing.assert_allclose(model.tables()[1], DECODER, rtol=1e-6)


@pytest.mark.parametrize(("alpha", "rule"), [(1, "projected"), (-1, "augmented")])
def test_alpha_scales_the_multipliers_and_leaves_the_tables(alpha, rule):
    model, measured = trained_lagvae(7 * alpha, rule)
    assert_solved(model, measured, lagvae(7 * alpha).solution)
    one, one_measured = trained_lagvae(alpha, rule)
    np.testing.assert_allclose(model.tables()[0], one.tables()[0], atol=5e-4)
    multiplier, one_multiplier = (m.readings[-1].multipliers for m in (measured, one_measured))
    np.testing.assert_allclose(multiplier, 7 * one_multiplier, rtol=2e-3)


def test_a_critics_constraint_reaches_the_convex_solution():
    eps = 0.002
    problem = convex({"REC_x": 1, "RATE": 1}, {"JS_z": eps})
    # Without the constraint JS is four times as large.
    assert problem.term("JS_z", BAYES)[0] > 4 * eps
    model = enumerated.build(
        zoo.Objective(constraints=("KL(q(x,z)||p(x,z))", f"JS(q(z)||p(z)) <= {eps}")),
        Q_X,
        P_Z,
        BAYES,
        DECODER,
        fixed_decoder=True,
        multiplier_rule=multipliers.get("augmented", **RULES["augmented"], smoothing=0.0),
        slacks=[0.02],
    )
    measured = fit(model, 1000)
    assert_solved(model, measured, problem.solution)
    critic = np.ravel(model.critics["JS_z"].weights[0])
    np.testing.assert_allclose(critic, np.log(Q_X @ model.tables()[0] / P_Z), atol=1e-3)


# The counterexample to strong duality: 2 x 2, the decoder free, alpha_q = -1

TOLERANCE = 0.15
# -ELBO = KL(q(x,z)||p(x,z)) + H_q(x)
ENTROPY = np.log(2)


def binary_entropy(a):
    return -sum(t * np.log(np.maximum(t, 1e-300)) for t in (a, 1 - a))


@functools.cache
def frontier():
    """Pairs (KL - eps, I_q) that no q(z|x) on a fine grid dominates, p(x|z) being q(x|z).

    With q(x) = (1/2, 1/2), p(z) = (.8, .2) and a, b = q(z=1|x=0), q(z=1|x=1), m = (a + b) / 2:

        I_q = H(m) - (H(a) + H(b)) / 2,   KL(q(x,z)||p(x,z)) = KL(q(z)||p(z))
    """
    a, b = np.meshgrid(*[np.linspace(0, 1, 1001)] * 2)
    m = (a + b) / 2
    information = np.ravel(binary_entropy(m) - (binary_entropy(a) + binary_entropy(b)) / 2)
    # KL(q(z)||p(z)) = -H(m) - m log .2 - (1 - m) log .8
    kl = np.ravel(-binary_entropy(m) - m * np.log(0.2) - (1 - m) * np.log(0.8))
    order = np.argsort(kl)
    information, kl = information[order], kl[order]
    kept = information >= np.maximum.accumulate(information)
    return kl[kept] - TOLERANCE, information[kept]


def best_dual(c):
    """max_lambda min_theta L_c: the dual optimum, with the penalty c (in nats per squared nat)."""
    over, information = frontier()

    def dual(multiplier):
        penalised = (np.maximum(0, multiplier + c * over) ** 2 - multiplier**2) / (2 * c)
        return np.min(-information + penalised)

    return -minimize_scalar(lambda t: -dual(t), bounds=(0, 6), method="bounded").fun


def test_the_counterexample_has_a_gap():
    # The best table has one deterministic row: a = 0, b = 2 m, KL = eps.
    def over(m):
        return -binary_entropy(m) - m * np.log(0.2) - (1 - m) * np.log(0.8) - TOLERANCE

    m = brentq(over, 0.2, 0.5)
    primal = binary_entropy(m) - binary_entropy(2 * m) / 2
    feasible, information = frontier()
    assert information[feasible <= 0].max() == pytest.approx(primal, abs=2e-3)
    assert primal == pytest.approx(0.508, abs=5e-4)
    # c near 0 is the ordinary dual.
    assert -best_dual(1e-6) == pytest.approx(0.536, abs=5e-4)
    # L's curvature along m at lambda = 1.966, -7.61, and the slope 1.155 of KL there make
    # c = 7.61 / 1.155^2 = 5.71 the least that makes the optimum a local minimum ...
    h = 1e-4
    i, d = (
        np.array([f(m - h), f(m), f(m + h)])
        for f in (lambda t: binary_entropy(t) - binary_entropy(2 * t) / 2, over)
    )
    slope = (d[2] - d[0]) / (2 * h)
    multiplier = (i[2] - i[0]) / (d[2] - d[0])
    curvature = np.array([1, -2, 1]) @ (multiplier * d - i) / h**2
    assert multiplier == pytest.approx(1.966, abs=1e-3)
    assert -curvature / slope**2 == pytest.approx(5.71, abs=0.01)
    # ... but the global one, without a gap, only from c = 15.5: at c = 10 the table of two
    # deterministic rows is lower, and descent has to start on the right side of it.
    assert -best_dual(10.0) > primal + 0.002
    assert -best_dual(20.0) == pytest.approx(primal, abs=2e-4)


def counterexample(rule, slack=1.0, **options):
    """Trains from tables with q(z) = p(z) and lambda = 2: warm, as after the first phase."""
    encoder = np.array([[0.9, 0.1], [0.7, 0.3]])
    joint = encoder / 2
    eps = TOLERANCE + ENTROPY
    model = enumerated.build(
        zoo.Objective(
            alpha_q=-1,
            constraints=(
                "KL(q(x|z)||p(x|z))",
                zoo.Constraint("KL(q(x,z)||p(x,z))", weight=2, at_most=eps),
            ),
        ),
        [0.5, 0.5],
        [0.8, 0.2],
        encoder,
        (joint / joint.sum(0)).T,
        multiplier_rule=multipliers.get(rule, **options),
        slacks=[slack],
    )
    return model, fit(model, 2000)


def information(reading):
    """I_lower = H_q(x) - REC_x; it is I_q where the decoder is q(x|z)."""
    return ENTROPY - reading.objective


def rules_penalty(c, slack=1.0, size=2.0):
    """c (lambda's own, nats per squared nat) in the rule's units: mu and g, so c slack^2 / size.

    size = |alpha_q| + the weight of C_x.
    """
    return c * slack**2 / size


@pytest.mark.parametrize("c", [10, 20])
def test_augmented_lagrangian_closes_the_gap(c):
    model, measured = counterexample("augmented", rate=0.1, smoothing=0.0, penalty=rules_penalty(c))
    reached = measured.readings[-1]
    assert measured.converged(1e-4)
    assert information(reached) == pytest.approx(0.508, abs=5e-4)
    np.testing.assert_allclose(reached.violations, [0.0], atol=1e-3)
    np.testing.assert_allclose(reached.multipliers, [1.966], rtol=1e-3)
    encoder, decoder = model.tables()
    joint = encoder / 2
    np.testing.assert_allclose(decoder, (joint / joint.sum(0)).T, atol=1e-3)


def test_so_does_the_default_rule_with_the_tolerance_for_its_slack():
    model, measured = counterexample(multipliers.default(-1, 0), slack=TOLERANCE, horizon=2000)
    assert rules_penalty(1, slack=TOLERANCE) * 15.5 < model.multipliers.penalty
    assert measured.converged(1e-2)
    assert information(measured.readings[-1]) == pytest.approx(0.508, abs=1e-3)


@pytest.mark.parametrize(
    ("rule", "options"),
    [("projected", {}), ("geco", {}), ("augmented", {"penalty": rules_penalty(5)})],
)
def test_without_enough_penalty_it_is_reported_as_not_converged(rule, options):
    _, measured = counterexample(rule, rate=0.1, smoothing=0.0, **options)
    # Thousands of times what it is with enough, although the primal steps have become small.
    assert not measured.converged(1e-2)
    assert abs(information(measured.readings[-1]) - 0.508) > 5e-3
    # It goes round: multiplier and information swing over the second half.
    half = measured.readings[10:]
    assert np.ptp([reading.multipliers[0] for reading in half]) > 1
    assert np.ptp([information(reading) for reading in half]) > 0.2


# A Keras model like the others


def test_saves_and_goes_on(tmp_path):
    tables = random_tables(1)
    model = model_of(tables, OBJECTIVES["lagrangian alice"], fixed_decoder=True)
    model.compile(jit_compile=False)
    model.fit(model.data(), steps_per_epoch=3, shuffle=False, verbose=0)
    model.save(tmp_path / "tables.keras")
    loaded = keras.saving.load_model(tmp_path / "tables.keras")
    # The decoder is still held.
    assert len(loaded.primal_variables) == 1
    assert loaded.kkt().residual == model.kkt().residual
    for each in (model, loaded):
        each.fit(model.data(), steps_per_epoch=2, shuffle=False, verbose=0)
    for one, other in zip(model.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_starts_at_random_tables_without_any():
    tables = [enumerated.build("vae", [0.5, 0.5], P_Z, seed=seed).tables() for seed in (1, 1, 2)]
    assert [table.shape for table in tables[0]] == [(2, 3), (3, 2)]
    np.testing.assert_array_equal(tables[0][0], tables[1][0])
    assert np.abs(tables[0][0] - tables[2][0]).max() > 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"q_x": [0.5, 0.6]}, "q_x is .*give probabilities above 0 that sum to 1"),
        ({"p_z": [1.0, 0.0]}, "p_z is .*give probabilities above 0"),
        ({"encoder": np.full((2, 3), 1 / 3)}, r"encoder has shape \(2, 3\) where \(2, 2\)"),
        ({"decoder": np.ones((2, 2))}, r"decoder is (.|\n)*sum to 1"),
        ({"model": "vea"}, "did you mean 'vae'"),
        ({"multiplier_rule": "newton"}, "Unknown multiplier rule"),
        ({"term_options": {"JS_z": {}}}, "remove what is given for 'JS_z'"),
    ],
)
def test_refusals(options, message):
    with pytest.raises(InputError, match=message):
        enumerated.build(**{"model": "vae", "q_x": [0.5, 0.5], "p_z": [0.5, 0.5], **options})
