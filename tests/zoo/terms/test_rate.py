import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from zoo import terms
from zoo.errors import InputError
from zoo.objectives import capabilities
from zoo.objectives.capabilities import Capabilities

tfd = tfp.distributions

RNG = np.random.default_rng(1)
MEAN, SCALE = RNG.normal(size=[6, 3]), RNG.uniform(0.2, 2.0, size=[6, 3])
PRIOR_MEAN, PRIOR_SCALE = RNG.normal(size=3), RNG.uniform(0.5, 2.0, size=3)
# KL(N(m, s^2) || N(n, t^2)) = sum log(t/s) + (s^2 + (m - n)^2) / (2 t^2) - 1/2
KL = np.sum(
    np.log(PRIOR_SCALE / SCALE)
    + (SCALE**2 + (MEAN - PRIOR_MEAN) ** 2) / (2 * PRIOR_SCALE**2)
    - 0.5,
    axis=1,
)


def independent(mean, scale):
    return tfd.Independent(tfd.Normal(tf.cast(mean, tf.float32), np.float32(scale)), 1)


def multivariate(mean, scale):
    return tfd.MultivariateNormalDiag(np.float32(mean), np.float32(scale))


@pytest.mark.parametrize("posterior", [independent, multivariate])
@pytest.mark.parametrize("prior", [independent, multivariate])
def test_closed_form_of_diagonal_normals(posterior, prior):
    q, p = posterior(MEAN, SCALE), prior(PRIOR_MEAN, PRIOR_SCALE)
    np.testing.assert_allclose(terms.rate(q, p), KL.mean(), rtol=1e-5)


def test_closed_form_registered_with_tfp():
    q = tfd.MultivariateNormalTriL(np.float32(MEAN), tf.linalg.diag(np.float32(SCALE)))
    p = multivariate(PRIOR_MEAN, PRIOR_SCALE)
    np.testing.assert_allclose(terms.rate(q, p), KL.mean(), rtol=1e-5)


def test_is_zero_when_the_code_ignores_the_example():
    q = independent(np.zeros([6, 3]) + PRIOR_MEAN, np.zeros([6, 3]) + PRIOR_SCALE)
    np.testing.assert_allclose(terms.rate(q, independent(PRIOR_MEAN, PRIOR_SCALE)), 0.0, atol=1e-6)


def test_monte_carlo_agrees_with_the_closed_form():
    n = 20_000
    q, p = independent(MEAN, SCALE), independent(PRIOR_MEAN, PRIOR_SCALE)
    z = q.sample(n, seed=2)
    estimates = q.log_prob(z) - p.log_prob(z)
    monte_carlo = terms.rate(q, p, z, estimator="monte_carlo")
    # A mean of 6 n independent values: 4 standard errors.
    tolerance = 4 * np.std(estimates, axis=0).max() / np.sqrt(6 * n)
    np.testing.assert_allclose(monte_carlo, KL.mean(), atol=tolerance)


def test_auto_falls_back_to_monte_carlo():
    q = independent(MEAN, SCALE)
    p = tfd.Independent(tfd.StudentT(3.0, np.zeros(3, np.float32), 1.0), 1)
    z = q.sample(seed=3)
    expected = np.mean(q.log_prob(z) - p.log_prob(z))
    np.testing.assert_allclose(terms.rate(q, p, z), expected, rtol=1e-6)


def test_term_weighs_the_closed_form_by_the_data(fake_joints):
    weights = np.float32([0.5, 0.1, 0.1, 0.1, 0.2, 0.0])
    joints = fake_joints(
        posterior=independent(MEAN, SCALE),
        prior=multivariate(PRIOR_MEAN, PRIOR_SCALE),
        data_weights=weights,
    )
    estimate = terms.make("RATE")(joints)
    np.testing.assert_allclose(estimate.value, weights @ KL, rtol=1e-5)
    assert estimate.surrogate is estimate.value


def test_term_by_monte_carlo_is_exact_on_a_table(table):
    q_z_given_x, p_z = table.q / table.q.sum(1, keepdims=True), table.p.sum(0)
    rate = (table.q * np.log(q_z_given_x / p_z)).sum()
    joints = table.joints(
        posterior=tfd.Categorical(probs=np.float32(q_z_given_x)),
        prior=tfd.Categorical(probs=np.float32(p_z)),
        log_q_z_given_x_q=np.float32(np.log(q_z_given_x)).ravel(),
        log_p_z_q=np.float32(np.log(np.broadcast_to(p_z, [3, 4]))).ravel(),
    )
    for estimator in ("auto", "closed_form", "monte_carlo"):
        value = terms.make("RATE", estimator=estimator)(joints).value
        np.testing.assert_allclose(value, rate, rtol=1e-5)


def test_monte_carlo_is_refused_where_samples_have_no_gradient(fake_joints):
    q = tfd.OneHotCategorical(np.float32(MEAN), dtype=tf.float32)
    p = tfd.OneHotCategorical(np.float32(PRIOR_MEAN), dtype=tf.float32)
    z = q.sample(seed=4)
    joints = fake_joints(
        posterior=q, prior=p, z_q=z, log_q_z_given_x_q=q.log_prob(z), log_p_z_q=p.log_prob(z)
    )
    parts = {
        "q(z|x)": Capabilities("onehot", reparameterised=False),
        "p(z)": Capabilities("the prior"),
    }
    term = terms.make("RATE", estimator="monte_carlo")
    with pytest.raises(InputError, match="those of onehot have no gradient: use estimator='auto'"):
        capabilities.check([term], parts, q, p)
    capabilities.check([terms.make("RATE")], parts, q, p)
    # The closed form has a gradient, and so has the function with samples of one's own a value.
    np.testing.assert_allclose(terms.make("RATE")(joints).value, np.mean(q.kl_divergence(p)), 1e-5)
    expected = np.mean(q.log_prob(z) - p.log_prob(z))
    np.testing.assert_allclose(terms.rate(q, p, z, estimator="monte_carlo"), expected, rtol=1e-5)


def test_closed_form_gradient_under_xla():
    mean = tf.Variable(np.float32(MEAN))

    def gradient():
        with tf.GradientTape() as tape:
            rate = terms.rate(independent(mean, SCALE), multivariate(PRIOR_MEAN, PRIOR_SCALE))
        return tape.gradient(rate, mean)

    # d RATE / d m = (m - n) / t^2, over a mean of 6
    expected = (MEAN - PRIOR_MEAN) / PRIOR_SCALE**2 / 6
    np.testing.assert_allclose(gradient(), expected, rtol=1e-5)
    compiled = tf.function(gradient, jit_compile=True)()
    np.testing.assert_allclose(compiled, expected, rtol=1e-5)


def test_refusals():
    q = independent(MEAN, SCALE)
    p = tfd.Independent(tfd.StudentT(3.0, np.zeros(3, np.float32), 1.0), 1)
    with pytest.raises(InputError, match="no closed-form KL between Independent"):
        terms.rate(q, p, estimator="closed_form")
    with pytest.raises(InputError, match="pass z="):
        terms.rate(q, p)
    with pytest.raises(InputError, match="Unknown estimator 'montecarlo': did you mean"):
        terms.make("RATE", estimator="montecarlo")
