"""The errata of the papers as negative tests: the formula as printed fails, the mended one holds.

    [U] Zhao, Song & Ermon, The Information Autoencoding Family, UAI 2018
    [I] its first version, submitted to ICLR 2018
    [V] Zhao, Song & Ermon, InfoVAE, 2017/2018

Two objectives are equivalent if their difference is one number over all encoders and decoders of
one q(x) and p(z): `tabular.spread` of the difference is then 0 to rounding.
"""

from fractions import Fraction

import numpy as np
import pytest
import spans
import tabular

import zoo
from zoo import Constraint, Objective
from zoo.objectives import family, vectors
from zoo.objectives.derivation import effective_alpha

SAME = 1e-11  # spread of a difference that is a constant: rounding of sums of order 10
DIFFERS = 1e-2  # spread of one that is not, over 8 random models


def equivalent(first, second):
    """Whether two functions of the tables differ by a constant; anything between is a mistake."""
    spread = tabular.spread(lambda tables: first(tables) - second(tables), seed=7)
    assert spread < SAME or spread > DIFFERS
    return spread < SAME


def kl(direction, space):
    return lambda tables: tables.kl(direction, space)


C_x, C_z = kl("qp", "x|z"), kl("pq", "z|x")


def test_vmi_is_minus_the_expected_log_posterior():
    """[U] theorem 3, [I] theorem 1: -I_p + C_z = E_p[log q(z|x)] lacks a minus."""

    def declared(t):
        return -t.information("p") + C_z(t)

    assert not equivalent(declared, lambda t: t.mean_log("p", "q", "z|x"))
    assert equivalent(declared, lambda t: -t.mean_log("p", "q", "z|x"))
    assert zoo.objective("vmi").tractable().affine == {"REC_z": 1}


@pytest.mark.parametrize(("beta", "lam"), [(0.5, 2.0), (-1.0, 3.0), (1.0, 5.0)])
@pytest.mark.parametrize("divergence", ["KL", "JS", "MMD"])
def test_last_coefficient_of_infovae(beta, lam, divergence):
    """[U] appendix A: the last coefficient is lambda + beta - 1, not lambda - beta - 1."""

    def infovae(t):  # [V] eq. 6
        d = t.divergence(divergence, "qp", "z")
        return t.term("REC_x") + (1 - beta) * t.term("RATE") + (beta + lam - 1) * d

    def lagrangian(last):
        return lambda t: (
            -beta * t.information("q")
            + C_x(t)
            + (1 - beta) * t.kl("qp", "z")
            + last * t.divergence(divergence, "qp", "z")
        )

    printed, mended = lam - beta - 1, lam + beta - 1
    assert not equivalent(lagrangian(printed), infovae)
    assert equivalent(lagrangian(mended), infovae)
    if divergence == "KL":  # and then the KLs add up to [V] eq. 5
        assert equivalent(
            lagrangian(mended),
            lambda t: -beta * t.information("q") + C_x(t) + lam * t.kl("qp", "z"),
        )


@pytest.mark.parametrize("alpha", [-0.5, -1.0, 0.25])
def test_sign_of_infobigans_likelihood(alpha):
    """[U] theorem 5, [I] theorem 3: the last term is plus alpha_2 E_p[log q(z|x)]."""
    l5, l6 = 2.0, 0.5

    def declared(t):
        return alpha * t.information("p") + C_z(t) + l5 * t.kl("pq", "x") + l6 * t.kl("qp", "x")

    def tractable(sign):
        return lambda t: (
            (alpha + 1) * t.kl("pq", "xz")
            + (l5 - alpha - 1) * t.kl("pq", "x")
            + l6 * t.kl("qp", "x")
            + sign * alpha * t.mean_log("p", "q", "z|x")
        )

    assert not equivalent(declared, tractable(-1))
    assert equivalent(declared, tractable(+1))
    # As printed, a model that maximises information (alpha < 0) would minimise its likelihood.
    form = zoo.objective("infobigan", a2=alpha, l5=l5, l6=l6).tractable()
    assert form.coefficients["REC_z"] == -Fraction(alpha)


def as_vae(conditionals, alpha):
    return Objective(alpha, alpha, ["KL(q(x,z)||p(x,z))", "KL(p(x,z)||q(x,z))", *conditionals])


def pu_et_al(t):
    """Pu et al. 2017: REC_x + REC_z + KL(q(x,z)||p(x)p(z)) + KL(p(x,z)||q(x)q(z))."""
    return (
        t.term("REC_x")
        + t.term("REC_z")
        + t.to_product("q", t.marginal("p", "x"), t.p_z)
        + t.to_product("p", t.q_x, t.marginal("q", "z"))
    )


def test_as_vae_has_its_conditionals_the_wrong_way_round():
    """[U] appendix A: as printed it is trained to maximise KL(q(x)||p(x)) and KL(p(z)||q(z))."""
    form = as_vae(["KL(p(x|z)||q(x|z))", "KL(q(z|x)||p(z|x))"], -1).tractable()
    assert form.coefficients["Dx_qp"] == form.coefficients["Dz_pq"] == -1
    assert not form.admissible
    assert "training would maximise Dx_qp" in " ".join(form.refusals)
    turned = as_vae(["KL(q(x|z)||p(x|z))", "KL(p(z|x)||q(z|x))"], -1).tractable()
    assert turned.admissible
    assert turned.affine == {"REC_x": 2, "REC_z": 1, "RATE": 1, "J_pq": 1}


def test_as_vae_prefers_no_information():
    """[U] table 1: Pu et al.'s objective has alpha = (0, 0), not (-1, -1)."""
    printed = as_vae(["KL(p(x|z)||q(x|z))", "KL(q(z|x)||p(z|x))"], -1)
    turned = as_vae(["KL(q(x|z)||p(x|z))", "KL(p(z|x)||q(z|x))"], -1)
    mended = as_vae(["KL(q(x)||p(x))", "KL(p(z)||q(z))"], 0)
    for objective in (printed, turned):
        assert not equivalent(lambda t, o=objective: tabular.lagrangian(o, t), pu_et_al)
    assert equivalent(lambda t: tabular.lagrangian(mended, t), pu_et_al)
    assert zoo.objective("as_vae").tractable().affine == mended.tractable().affine
    assert effective_alpha(mended.tractable()) == (0, 0)


def test_vae_gan_is_by_larsen():
    """[U] table 1 cites the adversarial autoencoder's paper for VAE-GAN."""
    assert "Larsen" in family.get("vae_gan").source
    assert "Makhzani" not in family.get("vae_gan").source
    assert "Makhzani" in family.get("aae").source


def test_second_gap_of_the_information_is_under_the_encoders_marginal():
    """[U] eq. 13: I_q - lower bound = E_q(z) KL(q(x|z)||p(x|z)), printed with E_p(z)."""

    def gap(t):
        return t.information("q") - (t.mean_log("q", "p", "x|z") + t.entropy_x)

    for t in tabular.models_of(2):
        assert gap(t) == pytest.approx(C_x(t), abs=1e-12)
        assert abs(gap(t) - under_prior(t)) > 1e-4
    assert not equivalent(gap, under_prior)
    # And the objective knows the mended one: the lower bound is a raised multiplier on C_x.
    bounded = Objective(alpha_q=-1).bounded()
    assert [str(c) for c in bounded.constraints] == ["KL(q(x|z)||p(x|z))"]


def under_prior(t):
    """E_p(z) KL(q(x|z)||p(x|z))."""
    ratio = np.log(t.density("q", "x|z") / t.density("p", "x|z"))
    return float(np.sum(t.p_z * t.density("q", "x|z") * ratio))


def elbo(t):
    """[U] eq. 4."""
    return t.mean_log("q", "p", "x|z") - t.term("RATE")


def test_the_joint_divergence_is_minus_the_elbo():
    """[U] eq. 20: lambda_1 KL = lambda_1 times MINUS the ELBO, up to a constant."""
    l1, l2 = 1.0, 100.0

    def dual(t):
        return l1 * t.kl("qp", "xz") + l2 * t.term("MMD_z")

    assert not equivalent(dual, lambda t: l1 * elbo(t) + l2 * t.term("MMD_z"))
    assert equivalent(dual, lambda t: -l1 * elbo(t) + l2 * t.term("MMD_z"))


def dual_ascent(project):
    """Algorithm 1 on: minimise theta^2 subject to theta^2 <= 1, which is slack at the optimum 0."""
    theta, multiplier, path = 0.5, 1.0, []
    for _ in range(100):
        theta -= 0.1 * (2 * theta + multiplier * 2 * theta)
        multiplier += 0.1 * (theta**2 - 1)
        if project:
            multiplier = max(multiplier, 0.0)
        path.append((abs(theta), multiplier))
    return path


def test_multipliers_must_be_projected():
    """[U] algorithm 1 omits lambda >= 0: a slack constraint's violation gets rewarded."""
    path = dual_ascent(project=False)
    # (1 + lambda) theta^2 with lambda < -1 is minimised by leaving the feasible set.
    assert min(multiplier for _, multiplier in path) < -1
    assert max(theta for theta, _ in path) > 1
    path = dual_ascent(project=True)
    assert min(multiplier for _, multiplier in path) == 0
    assert max(theta for theta, _ in path) < 1
    assert path[-1][0] < 1e-6


def lagvae(alpha, l1):
    """[U] eq. 18 at one constraint: alpha times the bound of I_q, plus l1 KL(q(x,z)||p(x,z))."""

    def value(t):
        upper, lower = t.term("RATE"), t.mean_log("q", "p", "x|z") + t.entropy_x
        return alpha * (upper if alpha > 0 else lower) + l1 * t.kl("qp", "xz")

    return value


def appendix_d(alpha, l1):
    """[U] appendix D at one constraint with eps = 1."""

    def value(t):
        if alpha < 0:
            return l1 * t.term("REC_x") + (l1 - alpha) * t.term("RATE")
        return (l1 + alpha) * t.term("REC_x") + l1 * t.term("RATE")

    return value


@pytest.mark.parametrize("alpha", [-1.5, -1.0, 1.0, 2.0])
def test_appendix_d_has_the_opposite_sign_of_alpha(alpha):
    """[U] appendix D minimises information for alpha_1 < 0, which eq. 17-18 maximise."""
    assert not equivalent(lagvae(alpha, 3.0), appendix_d(alpha, 3.0))
    assert equivalent(lagvae(alpha, 3.0), appendix_d(-alpha, 3.0))


def test_dividing_by_a_negative_tolerance_flips_the_constraint():
    """[U] appendix D: D / eps - 1 does not measure D <= eps if eps < 0, as for densities."""
    epsilon = -500.0
    for value, violated in ((-400.0, True), (-600.0, False)):
        printed, mended = value / epsilon - 1, value - epsilon
        assert (printed > 0) != violated
        assert (mended > 0) == violated
    epsilon = 90.0  # where both agree
    assert 100 / epsilon - 1 > 0
    assert 100 - epsilon > 0


def test_beta_vae_is_neutral_at_one():
    """[I] section 2.5: "neutral when beta = 0"; it is at beta = 1, and 0 maximises information."""
    for beta, alpha_q in ((0, -1), (1, 0), (4, 3)):
        form = zoo.objective("beta_vae", beta=beta).tractable()
        assert effective_alpha(form) == (alpha_q, 0)
    neutral = zoo.objective("beta_vae", beta=1).tractable()
    assert neutral.affine == zoo.objective("vae").tractable().affine


def mmd_vae(alpha, *more):
    """[I] section 3.4: alpha I_q + C_x + lambda MMD(q(z)||p(z))."""
    return Objective(alpha, constraints=["KL(q(x|z)||p(x|z))", "10*MMD(q(z)||p(z))", *more])


@pytest.mark.parametrize("alpha", [Fraction(-1, 2), Fraction(0), Fraction(1)])
def test_mmd_vae_is_computable_only_at_minus_one(alpha):
    """[I] section 3.4: elsewhere KL(q(z)||p(z)) is left with coefficient -(alpha + 1)."""
    form = mmd_vae(alpha).tractable()
    assert form.coefficients["Dz_qp"] == -(alpha + 1)
    assert not form.admissible
    mended = mmd_vae(alpha, Constraint("KL(q(z)||p(z))", alpha + 1)).tractable()
    assert mended.admissible
    assert mended.affine == {"REC_x": 1, "RATE": alpha + 1, "MMD_z": 10}
    assert form.repair.raises == (("KL(q(z)||p(z))", alpha + 1),)
    assert mmd_vae(-1).tractable().affine == {"REC_x": 1, "MMD_z": 10}
    assert not mmd_vae(-2).tractable().admissible  # RATE would be maximised


def test_decoding_bounds_the_information_from_below():
    """[I] appendix C.1: -E_q[log p(x|z)] = I_q - C_x is wrong, and it is no upper bound."""

    def lower(t):
        return t.mean_log("q", "p", "x|z") + t.entropy_x

    def rest(t):
        return t.information("q") - C_x(t)

    assert not equivalent(lambda t: -t.mean_log("q", "p", "x|z"), rest)
    for t in tabular.models_of(9, count=50):
        assert lower(t) == pytest.approx(rest(t), abs=1e-12)
        assert lower(t) < t.information("q")


def test_importance_sampling_is_under_the_encoder():
    """[I] appendix C.2: log p(x) = log E_q(z|x)[p(x,z) / q(z|x)], printed with E_p(z|x)."""
    t = tabular.random_tables(11)
    ratio = t.joint("p") / t.encoder
    log_p_x = np.log(t.marginal("p", "x"))
    printed = np.log(np.sum(t.density("p", "z|x") * ratio, axis=1))
    mended = np.log(np.sum(t.encoder * ratio, axis=1))
    np.testing.assert_allclose(mended, log_p_x, rtol=0, atol=1e-12)
    assert np.min(np.abs(printed - log_p_x)) > 1e-3
    assert np.all(printed > log_p_x)  # by Jensen: as printed it flatters the model


def test_the_elbo_averages_the_decoder_under_the_encoders_marginal():
    """[V] section 4: -ELBO = KL(q(z)||p(z)) + E_q(z) KL(q(x|z)||p(x|z)), printed with E_p(z)."""

    def negative_elbo(t):
        return -elbo(t)

    assert not equivalent(negative_elbo, lambda t: t.kl("qp", "z") + under_prior(t))
    assert equivalent(negative_elbo, lambda t: t.kl("qp", "z") + C_x(t))


def infovae_gain(t, a, lam, strength):
    """[V] proposition 2: what is maximised, with D = strength * KL(q(z)||p(z)), a strict one."""
    d = strength * t.kl("qp", "z")
    return -(t.term("REC_x") + (1 - a) * t.term("RATE") + (a + lam - 1) * d)


@pytest.mark.parametrize(("a", "lam", "optimal"), [(0.0, 0.2, False), (0.0, 1.2, True)])
def test_proposition_2_needs_a_plus_l_above_one(a, lam, optimal):
    """[V] proposition 2 asks for a < 1 and lambda > 0 only: with a + lambda < 1 it is false.

    At I_q = 0 a consistent model ignores z. So does one whose q(z|x) is the same wrong r(z), and
    (a + lambda - 1) D(r||p) < 0 rewards it.
    """
    data = tabular.random_tables(3)

    def ignoring_z(r):
        ones = np.ones((len(data.q_x), len(data.p_z)))
        return tabular.Tables(data.q_x, data.p_z, r * ones, data.q_x[:, None] * ones)

    consistent, wrong = ignoring_z(data.p_z), ignoring_z(data.p_z[::-1])
    assert consistent.kl("qp", "xz") == pytest.approx(0, abs=1e-12)
    assert wrong.information("q") == pytest.approx(consistent.information("q"), abs=1e-12)
    best = infovae_gain(consistent, a, lam, strength=10.0)
    assert (infovae_gain(wrong, a, lam, strength=10.0) < best) == optimal
    # With KL for D the program refuses it outright.
    assert zoo.objective("infovae_kl", a=a, l=lam).tractable().admissible == optimal


def stein_direction(z):
    """[V] appendix B, p = N(0, 1): phi(z_i) = mean_j k(z_i,z_j) dlog p(z_j) + d_j k(z_j,z_i)."""
    difference = z[:, None] - z[None, :]  # z_i - z_j
    kernel = np.exp(-(difference**2) / 2)
    return np.mean(kernel * -z[None, :] + difference * kernel, axis=1)


def fitted_kl(z):
    """KL of the Gaussian with the sample's moments to N(0, 1)."""
    return (np.var(z) + np.mean(z) ** 2 - 1 - np.log(np.var(z))) / 2


@pytest.mark.parametrize(("mean", "scale"), [(2.0, 1.0), (0.0, 2.0), (-1.0, 0.5)])
def test_stein_surrogate_needs_a_minus(mean, scale):
    """[V] appendix B: descent on z' stop(phi) moves z by -phi and raises KL(q(z)||p(z))."""
    quantiles = (np.arange(200) + 0.5) / 200
    z = mean + scale * np.log(quantiles / (1 - quantiles)) * np.sqrt(3) / np.pi
    step = 0.05 * stein_direction(z)
    printed, mended = z - step, z + step  # gradient of z' phi, and of -z' phi, descended
    assert fitted_kl(printed) > fitted_kl(z) > fitted_kl(mended)


def printed_column(expectation, space):
    """A column of [I] appendix B's T matrices, the same in both blocks of each.

    T_ulf: -log p(x) + log q(x) and -log p(z) + log q(z);  T_blf: log p(x,z) - log q(x,z).
    """
    sign = 1 if space == "xz" else -1
    atom = "x,z" if space == "xz" else space
    return vectors.vector(**{expectation: {f"p({atom})": sign, f"q({atom})": -sign}})


@pytest.mark.parametrize(
    ("expectation", "space", "flipped"),
    [
        ("p", "x", True),
        ("p", "z", True),
        ("q", "x", False),
        ("q", "z", False),
        ("p", "xz", False),
        ("q", "xz", True),
    ],
)
def test_signs_of_the_printed_toolboxes(expectation, space, flipped):
    """The p-block of T_ulf and the q-block of T_blf hold MINUS the divergences they stand for."""
    column = printed_column(expectation, space)
    direction = "pq" if expectation == "p" else "qp"
    divergence = vectors.kl(direction, space)
    assert (column != divergence) == flipped
    if flipped:
        assert column == vectors.combine((-1, divergence))
    t = tabular.random_tables(6)
    value = sum(
        float(c) * t.mean_log(e, atom[0], atom[2:-1].replace(",", ""))
        for (e, atom), c in zip(vectors.BASIS, column, strict=True)
    )
    assert (value < 0) == flipped


def test_flipped_signs_do_not_show_in_the_dimensions():
    """A flipped column spans the same line: the printed matrices give the printed 17 and 18."""
    unary = [
        *spans.TOOLBOXES["likelihood-based"],
        *(printed_column(e, space) for e in "pq" for space in "xz"),
    ]
    binary = [*unary, printed_column("p", "xz"), printed_column("q", "xz")]
    nulls = list(vectors.NULLS.values())
    expressible = [*spans.KL_EXPRESSIONS.values(), *nulls]
    for printed, name, dimension in ((unary, "unary", 17), (binary, "binary", 18)):
        mended = spans.TOOLBOXES[name]
        assert spans.rank([*printed, *mended]) == spans.rank(printed) == spans.rank(mended)
        assert spans.intersection_dimension([*printed, *nulls], expressible) == dimension


def test_decoding_is_not_jointly_concave():
    """[U] lemma 2, second half: E_q[log p(x|z)] is not, with encoder and decoder free."""
    q_x, p_z = np.array([0.5, 0.5]), np.array([0.5, 0.5])

    def model(agree):
        table = np.array([[agree, 1 - agree], [1 - agree, agree]])
        return tabular.Tables(q_x, p_z, table, table)

    def lower_bound(t):
        return t.mean_log("q", "p", "x|z") + t.entropy_x

    # One labels z = x, the other z = 1 - x: both decode well, their average knows nothing.
    first, second = model(0.95), model(0.05)
    average = tabular.Tables(
        q_x,
        p_z,
        (first.encoder + second.encoder) / 2,
        (first.decoder + second.decoder) / 2,
    )
    assert lower_bound(average) == pytest.approx(0, abs=1e-12)
    assert lower_bound(first) == pytest.approx(lower_bound(second), abs=1e-12)
    assert lower_bound(first) > 0.4
    # With either side fixed it is concave: linear in the encoder, logarithms in the decoder.
    for fixed in ("encoder", "decoder"):
        for seed in range(20):
            a, b = (tabular.random_tables(seed + k, 2, 2) for k in (0, 100))
            other = getattr(a, fixed)
            a, b, middle = (
                tabular.Tables(q_x, p_z, **{"encoder": e, "decoder": d, fixed: other})
                for e, d in (
                    (a.encoder, a.decoder),
                    (b.encoder, b.decoder),
                    ((a.encoder + b.encoder) / 2, (a.decoder + b.decoder) / 2),
                )
            )
            assert lower_bound(middle) >= (lower_bound(a) + lower_bound(b)) / 2 - 1e-12


def test_strong_duality_fails_when_information_is_maximised():
    """[U] theorem 2 for alpha <= 0: a duality gap with 2 values of x and of z.

    maximise E_q[log p(x|z)] + H_q(x) subject to KL(q(x,z)||p(x,z)) <= 0.15. The best decoder of
    any encoder is p(x|z) = q(x|z), for the bound and for the constraint: I_q(x;z) and
    KL(q(z)||p(z)) are left, functions of q(z=0|x) = m + d and m - d.
    """
    epsilon, p0 = 0.15, 0.8

    def entropy(probability):
        p, r = np.clip(probability, 1e-300, 1), np.clip(1 - probability, 1e-300, 1)
        return -(probability * np.log(p) + (1 - probability) * np.log(r))

    m = np.linspace(0, 1, 10001)
    d = np.minimum(m, 1 - m) * np.linspace(0, 1, 21)[:, None]
    information = np.max(entropy(m) - (entropy(m + d) + entropy(m - d)) / 2, axis=0)
    divergence = -entropy(m) - m * np.log(p0) - (1 - m) * np.log(1 - p0)
    primal = information[divergence <= epsilon].max()
    # The dual: max over theta of I - lambda (KL - eps), least over lambda >= 0.
    multipliers = np.linspace(0, 3, 301)[:, None]
    dual = np.min(np.max(information - multipliers * (divergence - epsilon), axis=1))
    assert primal == pytest.approx(0.508, abs=1e-3)
    assert dual == pytest.approx(0.536, abs=1e-3)
    # That the best decoder is q(x|z), on tables:
    for t in tabular.models_of(1, x=2, z=2):
        best = tabular.Tables(t.q_x, t.p_z, t.encoder, t.density("q", "x|z"))
        assert best.term("REC_x") < t.term("REC_x")
        assert best.kl("qp", "xz") == pytest.approx(t.kl("qp", "z"), abs=1e-12)
        assert best.kl("qp", "xz") < t.kl("qp", "xz")
        assert best.entropy_x - best.term("REC_x") == pytest.approx(t.information("q"), abs=1e-12)


def test_the_bound_is_convex_when_information_is_minimised():
    """[U] lemma 2, first half: the rate is convex in the encoder, so alpha >= 0 is as stated."""
    for seed in range(50):
        a, b = (tabular.random_tables(seed + k) for k in (0, 1000))
        a, b, middle = (
            tabular.Tables(a.q_x, a.p_z, encoder, a.decoder)
            for encoder in (a.encoder, b.encoder, (a.encoder + b.encoder) / 2)
        )
        assert middle.term("RATE") <= (a.term("RATE") + b.term("RATE")) / 2 + 1e-12
