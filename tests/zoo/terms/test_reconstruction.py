import numpy as np

from zoo import terms


def test_is_minus_the_mean_log_prob():
    np.testing.assert_allclose(terms.reconstruction([-1.0, -2.0, 6.0]), -1.0)


def test_of_a_table_is_the_cross_entropy(table):
    p_x_given_z = table.p / table.p.sum(0)
    q_z_given_x = table.q / table.q.sum(1, keepdims=True)
    joints = table.joints(
        log_p_x_given_z_q=np.log(p_x_given_z).ravel().astype(np.float32),
        log_q_z_given_x_p=np.log(q_z_given_x).ravel().astype(np.float32),
    )

    rec_x = terms.make("REC_x")(joints)
    np.testing.assert_allclose(rec_x.value, -(table.q * np.log(p_x_given_z)).sum(), rtol=1e-6)
    rec_z = terms.make("REC_z")(joints)
    np.testing.assert_allclose(rec_z.value, -(table.p * np.log(q_z_given_x)).sum(), rtol=1e-6)
    for estimate in (rec_x, rec_z):
        assert estimate.surrogate is estimate.value
        assert estimate.critic_loss is None
