"""The program's own loss on enumerable x and z: its gradient is that of the declared Lagrangian.

Tables stand for networks: q(z|x) = softmax(theta_q), p(x|z) = softmax(theta_p). Expectations are
sums over all pairs, through which gradients flow, so both sides are exact up to float32.
"""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import zoo
from zoo import terms
from zoo.model.lagrangian import Lagrangian

NX, NZ = 4, 3
# Sums of a dozen float32 numbers of size 1: rounding is below 1e-6, gradients a few times that.
TOLERANCE = 2e-5


class Tables:
    """q(x), p(z) fixed; q(z|x) and p(x|z) from logits."""

    def __init__(self, seed):
        random = np.random.default_rng(seed)
        self.q_x = tf.constant(random.dirichlet(np.ones(NX)), tf.float32)
        self.p_z = tf.constant(random.dirichlet(np.ones(NZ)), tf.float32)
        self.theta_q = tf.Variable(random.normal(size=(NX, NZ)), dtype=tf.float32)
        self.theta_p = tf.Variable(random.normal(size=(NZ, NX)), dtype=tf.float32)

    @property
    def variables(self):
        return [self.theta_q, self.theta_p]

    @property
    def q(self):
        return self.q_x[:, None] * tf.nn.softmax(self.theta_q)

    @property
    def p(self):
        return tf.transpose(self.p_z[:, None] * tf.nn.softmax(self.theta_p))


class EnumeratedJoints:
    """Every pair (x, z) once, with its exact weight under q and under p."""

    condition = None

    def __init__(self, tables):
        self.tables = tables
        self.q_weights, self.p_weights = (tf.reshape(t, [-1]) for t in (tables.q, tables.p))
        x, z = np.divmod(np.arange(NX * NZ), NZ)
        self.x_q = self.x_p = tf.one_hot(x, NX)
        self.z_q = self.z_p = tf.one_hot(z, NZ)
        self.prior = tfp.distributions.Categorical(probs=tables.p_z)
        self.posterior = tfp.distributions.Categorical(logits=tables.theta_q)
        q_z_given_x = tf.nn.log_softmax(tables.theta_q)
        p_x_given_z = tf.transpose(tf.nn.log_softmax(tables.theta_p))
        self.log_p_x_given_z_q = tf.reshape(p_x_given_z, [-1])
        self.log_q_z_given_x_q = self.log_q_z_given_x_p = tf.reshape(q_z_given_x, [-1])
        self.log_p_z_q = tf.reshape(tf.math.log(tables.p_z)[None] + tf.zeros([NX, 1]), [-1])

    def expect_q(self, values):
        return tf.reduce_sum(tf.reshape(self.tables.q, [-1]) * values)

    def expect_p(self, values):
        return tf.reduce_sum(tf.reshape(self.tables.p, [-1]) * values)

    def expect_data(self, values):
        return tf.reduce_sum(self.tables.q_x * values)

    def gathered(self, *values):
        return values

    def samples(self, space):
        names = {"x": ("x_q", "x_p"), "z": ("z_q", "z_p")}
        q = tuple(getattr(self, names[v][0]) for v in space)
        p = tuple(getattr(self, names[v][1]) for v in space)
        return q, p


def marginals(tables, space):
    axis = {"x": 1, "z": 0}.get(space)
    if axis is None:
        return tables.q, tables.p
    return tf.reduce_sum(tables.q, axis), tf.reduce_sum(tables.p, axis)


def optimal_critic(tables, name):
    """T = log q/p, held fixed as a trained critic is while the others move."""
    space = terms.critic_space(name)
    q, p = marginals(tables, space)
    if name == "RATE_ratio":
        p = tables.q_x[:, None] * tables.p_z
    table = tf.stop_gradient(tf.math.log(q) - tf.math.log(p))

    def critic(inputs, training=False):
        del training
        if space == "xz":
            return tf.einsum("nx,xz,nz->n", inputs[0], table, inputs[1])
        return tf.linalg.matvec(inputs, table)

    return critic


def kl(a, b):
    return tf.reduce_sum(a * (tf.math.log(a) - tf.math.log(b)))


def js(a, b):
    m = (a + b) / 2
    return (kl(a, m) + kl(b, m)) / 2


def mmd(tables):
    q, p = marginals(tables, "z")
    return terms.mmd_weighted(tf.eye(NZ), q, p)


def declared(objective, tables, multipliers):
    """The left side, from the definitions alone."""
    q, p = tables.q, tables.p
    total = 0.0
    for joint, alpha in ((q, objective.alpha_q), (p, objective.alpha_p)):
        independent = tf.reduce_sum(joint, 1, keepdims=True) * tf.reduce_sum(joint, 0)
        total += float(alpha) * kl(joint, independent)
    learned = iter(multipliers)
    for constraint in objective.constraints:
        subject = constraint.subject
        a, b = (q, p) if subject.direction == "qp" else (p, q)
        if subject.space in ("x", "z"):
            axis = 1 if subject.space == "x" else 0
            a, b = tf.reduce_sum(a, axis), tf.reduce_sum(b, axis)
        elif "|" in subject.space:
            axis = 1 if subject.space == "z|x" else 0
            given = tf.reduce_sum(a, axis, keepdims=True)
            b = given * b / tf.reduce_sum(b, axis, keepdims=True)
        value = {"KL": kl, "JS": js, "MMD": lambda *_: mmd(tables)}[subject.facts.name](a, b)
        if constraint.learned:
            total += next(learned) * (value - float(constraint.at_most.offset))
        else:
            total += float(constraint.weight) * value
    return total


def programs_loss(objective, tables, multipliers):
    """sum_i c_i(lambda) surrogate_i - sum_j lambda_j eps_j, as train_step composes it."""
    lagrangian = Lagrangian(objective.tractable())
    joints = EnumeratedJoints(tables)
    surrogates = {}
    for name in lagrangian.terms:
        if terms.critic_space(name):
            options = {"surrogate": "saturating"} if name.startswith("JS") else {}
            term = terms.make(name, critic=optimal_critic(tables, name), **options)
            surrogates[name] = term(joints, training=False).surrogate
        elif name == "MMD_z":
            surrogates[name] = mmd(tables)
        else:
            surrogates[name] = terms.make(name)(joints).surrogate
    return lagrangian.value(surrogates, tf.constant(multipliers, tf.float32))


def fixed_tolerances(objective):
    """LagVAE and GECO with numbers for their tolerances."""
    constraints = tuple(
        zoo.Constraint(c.expression, c.weight, 0.1) if c.learned else c
        for c in objective.constraints
    )
    return dataclasses.replace(objective, constraints=constraints)


OBJECTIVES = {name: fixed_tolerances(zoo.objective(name)) for name in zoo.names()} | {
    "beta 1/3": zoo.objective("beta_vae", beta="1/3"),
    "cycle": zoo.objective("cyclegan", l1=2, l2="1/2"),
    "unseen": zoo.Objective(
        alpha_q=Fraction(-1, 2),
        alpha_p=-2,
        constraints=(
            "0.75*KL(q(x,z)||p(x,z))",
            "2*KL(p(z|x)||q(z|x))",
            "KL(q(z)||p(z))",
            "KL(q(x|z)||p(x|z))",
            "0.5*JS(q(x,z)||p(x,z))",
            "JS(q(x)||p(x))",
        ),
    ).raised("KL(q(z)||p(z))", Fraction(-1, 2)),
}
# The constrained quantity of GECO is a likelihood, not a divergence of the tables.
OBJECTIVES.pop("geco")


def test_the_family_is_covered():
    assert set(zoo.names()) - set(OBJECTIVES) == {"geco"}


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_gradient_is_that_of_the_lagrangian(name, seed):
    objective, tables = OBJECTIVES[name], Tables(seed)
    multipliers = [1.5, 0.25, 2.0][: len(objective.learned)]
    with tf.GradientTape() as tape:
        ours = programs_loss(objective, tables, multipliers)
    found = tape.gradient(ours, tables.variables, unconnected_gradients="zero")
    with tf.GradientTape() as tape:
        theirs = declared(objective, tables, multipliers)
    expected = tape.gradient(theirs, tables.variables, unconnected_gradients="zero")
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, atol=TOLERANCE)


@pytest.mark.parametrize("seed", [0, 1])
def test_violations_are_the_slopes_in_the_multipliers(seed):
    objective, tables = OBJECTIVES["lagvae_min"], Tables(seed)
    lagrangian, joints = Lagrangian(objective.tractable()), EnumeratedJoints(tables)
    values = {name: terms.make(name)(joints).value for name in ("REC_x", "RATE")}
    values["MMD_z"] = mmd(tables)
    multipliers = tf.Variable([1.0, 2.0])
    with tf.GradientTape() as tape:
        loss = lagrangian.value(values, multipliers)
    slopes = tape.gradient(loss, multipliers)
    np.testing.assert_allclose(lagrangian.violations(values), slopes, atol=1e-6)
    # D_1 - eps_1, with the joint KL through -ELBO
    expected = values["REC_x"] + values["RATE"] - 0.1
    np.testing.assert_allclose(slopes[0], expected, atol=1e-6)


def test_size_is_alpha_plus_multipliers():
    lagrangian = Lagrangian(OBJECTIVES["lagvae_max"].tractable())
    # |alpha_q| 1, C_x weight 1, l1 2, l2 3
    assert float(lagrangian.size(tf.constant([2.0, 3.0]))) == 7.0
