"""What parts can do against what terms need: refused when built, exactly where training would fail.

Every model of the family with four likelihoods, each normal but for what it lacks. Where building
is not refused all terms have values, and gradients that reach encoder and decoder as they do with
the complete likelihood; where it is, some term raises or reaches less.
"""

import functools
import re

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

import zoo
from zoo import terms
from zoo.distributions import likelihoods, probes
from zoo.errors import InputError
from zoo.model import lagrangian_model
from zoo.objectives import capabilities, tolerances

tfd = tfp.distributions

IMAGES = np.random.default_rng(0).random((6, 2, 2, 1), dtype=np.float32)
SMALL = {"image_shape": (2, 2, 1), "latent_dim": 2, "network_options": {"hidden": (4,)}}


class Pixels(tfd.Normal):
    """Normal elements without what is named in `lacks`."""

    lacks = "nothing"

    def _mean(self):
        return self._unless("mean", super()._mean)

    def _log_prob(self, x):
        return self._unless("density", lambda: super(Pixels, self)._log_prob(x))

    def _sample_n(self, n, seed=None):
        drawn = super()._sample_n(n, seed)
        return tf.stop_gradient(drawn) if self.lacks == "gradient" else drawn

    def _unless(self, lacking, function):
        if self.lacks == lacking:
            raise NotImplementedError
        return function()


class Lacking(likelihoods.Likelihood):
    def __init__(self, lacks="nothing", stand_in=None):
        self.name = f"without_{lacks}"
        self.lacks = lacks
        self._stand_in = stand_in

    @property
    def reparameterised(self):
        return False if self.lacks == "gradient" else None

    @property
    def stand_in(self):
        return self._stand_in

    def distribution(self, params, raw_scale=None):
        elements = Pixels(params, 0.5)
        elements.lacks = self.lacks
        return tfd.Independent(elements, len(params.shape) - 1)

    def get_config(self):
        return {"lacks": self.lacks, "stand_in": self._stand_in}


LACKS = ("nothing", "mean", "gradient", "density")
# What the term that is refused is called; None where the model trains.
WANTED = {
    "vae": (None, None, None, "REC_x"),
    "beta_vae": (None, None, None, "REC_x"),
    "vmi": (None, None, "REC_z", None),
    "infovae_mmd": (None, None, None, "REC_x"),
    "aae": (None, None, None, "REC_x"),
    "vae_gan": (None, None, "JS_x", "REC_x"),
    "infogan": (None, None, "REC_z", None),
    "ali": (None, None, "JS_xz", None),
    "alice": (None, None, "JS_xz", "REC_x"),
    "infobigan": (None, None, "Dx_qp", None),
    "cyclegan": (None, None, "REC_z", "REC_x"),
    "avb": (None, None, None, "REC_x"),
    "as_vae": (None, None, "Dx_qp", "REC_x"),
    "lagvae_min": (None, None, None, "REC_x"),
}


@functools.cache
def objective(name):
    """Returns the named objective, its tolerances numbers."""
    declared = zoo.objective(name)
    best = {c.expression: 0.0 for _, c in declared.learned}
    return tolerances.resolved(declared, best)


def refused(name, family, **options):
    """Returns the sentence that building is refused with, None if it is not."""
    try:
        zoo.build(objective(name), likelihood=family, **SMALL, **options)
    except InputError as error:
        return str(error)
    return None


def reached(name, family):
    """Returns which players each term's gradient reaches, whether building is refused or not.

    None for a term that raises.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lagrangian_model, "check", lambda *_: None)
        model = zoo.build(objective(name), likelihood=family, **SMALL)
    players = {"encoder": model.encoder, "decoder": model.decoder}
    found = {}
    for term, each in model._terms.items():
        with tf.GradientTape(persistent=True) as tape:
            try:
                surrogate = each(model.joints(tf.constant(IMAGES), [0, 1])).surrogate
            except (NotImplementedError, InputError):
                found[term] = None
                continue
        found[term] = {
            player
            for player, part in players.items()
            if any(g is not None for g in tape.gradient(surrogate, part.trainable_variables))
        }
    return found


@functools.cache
def complete(name):
    return reached(name, Lacking())


def first_term(sentence):
    return None if sentence is None else sentence.split()[0]


@pytest.mark.parametrize("name", WANTED)
def test_what_is_refused_and_what_trains(name):
    found = tuple(first_term(refused(name, Lacking(lacks))) for lacks in LACKS)
    assert found == WANTED[name]


@pytest.mark.parametrize("lacks", LACKS)
@pytest.mark.parametrize("name", zoo.names())
def test_refused_exactly_where_a_step_would_fail(name, lacks):
    family = Lacking(lacks)
    sentence = refused(name, family)
    if sentence is None:
        assert reached(name, family) == complete(name)
        return
    assert family.name in sentence
    assert first_term(sentence) in complete(name)
    found = reached(name, family)[first_term(sentence)]
    assert found is None or found < complete(name)[first_term(sentence)]


@pytest.mark.parametrize("lacks", LACKS)
@pytest.mark.parametrize("name", ["vae", "vmi", "ali", "infogan", "avb"])
def test_what_is_built_is_evaluated_and_drawn(name, lacks):
    if refused(name, Lacking(lacks)):
        pytest.skip("refused, as other tests see")
    model = zoo.build(objective(name), likelihood=Lacking(lacks), **SMALL)
    model.compile(run_eagerly=True)
    model.fit(IMAGES, batch_size=6, verbose=0)
    found = model.evaluate(IMAGES, batch_size=6, verbose=0, return_dict=True)
    assert np.isfinite(list(found.values())).all()
    assert ("mse" in found) == (lacks != "mean")
    assert ("REC_x" in found) == (lacks != "density")
    assert model.sample(3).shape == model.reconstruct(IMAGES[:3]).shape == (3, 2, 2, 1)


def test_a_stand_in_trains_what_has_no_gradient():
    for name in zoo.names():
        assert refused(name, Lacking("gradient", stand_in="mean")) is None


@pytest.mark.parametrize(
    ("name", "lacks", "sentence"),
    [
        (
            "vae_gan",
            "gradient",
            "JS_x passes gradients through samples of p(x|z), but samples of without_gradient "
            "have no gradient and no stand-in: use an objective whose form is REC_x and RATE, or "
            "give the family a stand_in.",
        ),
        (
            "vae",
            "density",
            "REC_x needs log p(x|z), which without_density does not have: use a likelihood with a "
            "density, or an objective without it, such as ali.",
        ),
    ],
)
def test_the_sentence(name, lacks, sentence):
    assert refused(name, Lacking(lacks)) == sentence


@pytest.mark.parametrize(
    ("name", "posterior", "options", "sentence"),
    [
        ("vae", Lacking("gradient"), {}, r"REC_x passes gradients through samples of q\(z\|x\)"),
        ("vmi", Lacking("density"), {}, r"REC_z needs log q\(z\|x\), which without_density does"),
        ("vae", likelihoods.Bernoulli(), {}, "RATE by Monte Carlo .* bernoulli shows their mean"),
        ("aae", likelihoods.Bernoulli(), {}, None),
        ("vae", likelihoods.Normal(shows="mean"), {}, None),
        (
            "vae",
            likelihoods.Normal(shows="mean"),
            {"term_options": {"RATE": {"estimator": "monte_carlo"}}},
            "RATE by Monte Carlo follows samples of .*normal shows their mean instead: use est",
        ),
        (
            "infovae_mmd",
            likelihoods.Normal(),
            {
                "term_options": {"MMD_z": {"embedding": "closed_form"}},
                "prior": tfd.Independent(tfd.Laplace(tf.zeros(2), 1.0), 1),
            },
            "prior has no closed-form embedding: use embedding='sampled'",
        ),
        (
            "infovae_stein",
            likelihoods.Normal(),
            {"prior": tfd.OneHotCategorical(logits=tf.zeros(2), dtype=tf.float32)},
            "Dz_qp needs the gradient .* which the OneHotCategorical prior does not have: use est",
        ),
    ],
)
def test_encoders_and_priors(name, posterior, options, sentence):
    found = refused(name, Lacking(), posterior=posterior, **options)
    assert found is None if sentence is None else re.search(sentence, found), found


def test_what_is_read_off_leaves_nothing_in_a_graph():
    decoder = zoo.build(objective("vae"), likelihood=Lacking("mean"), **SMALL).decoder
    alone = type(decoder).from_config(decoder.get_config())

    @tf.function(autograph=False)
    def has_mean():
        assert not alone.has_mean
        return tf.constant(0)

    assert not any(
        "Random" in op.type for op in has_mean.get_concrete_function().graph.get_operations()
    )


def test_what_is_read_off_a_distribution():
    cauchy = probes.read(tfd.Independent(tfd.Cauchy(tf.zeros((1, 2)), 1.0), 1), "cauchy")
    # Its mean is nan, which is none.
    assert (cauchy.has_mean, cauchy.has_density, cauchy.reparameterised) == (False, True, True)
    counts = probes.read(tfd.Independent(tfd.Poisson(tf.ones((1, 2))), 1), "counts")
    assert (counts.has_mean, counts.has_density, counts.reparameterised) == (True, True, False)

    class Nothing(tfd.Normal):
        def _mean(self):
            raise NotImplementedError

        def _sample_n(self, n, seed=None):
            raise NotImplementedError

    with pytest.raises(InputError, match="A nothing distribution has neither samples nor a mean"):
        probes.read(Nothing(tf.zeros(1), 1.0), "nothing")


def test_an_implicit_encoder_is_a_case():
    form = zoo.Objective(
        alpha_p=-1, constraints="KL(p(z|x)||q(z|x))", implicit_encoder=True
    ).tractable()
    assert form.refusals == (
        "REC_z needs log q(z|x), which an implicit encoder does not have: use an encoder with a "
        "density, or an objective without REC_z.",
    )
    # RATE becomes RATE_ratio by declaration, which needs samples alone.
    assert refused("avb", Lacking()) is None


def test_a_term_of_ones_own_differentiates_what_its_space_compares():
    class Energy(terms.Term):
        registered = "ENERGY"
        spaces = ("x", "z", "xz")

        def __init__(self, space):
            self.space = space

        def __call__(self, joints, training=True): ...

    assert Energy("x").asks(None, None) == ({}, frozenset({"x_p", "z_p"}))
    parts = {
        capabilities.ENCODER: capabilities.Capabilities("q"),
        capabilities.DECODER: capabilities.Capabilities("p", reparameterised=False),
        capabilities.PRIOR: capabilities.Capabilities("r", reparameterised=False, trained=False),
    }
    capabilities.check([Energy("z")], parts, None, None)
    with pytest.raises(InputError, match="ENERGY_xz passes gradients through samples of p"):
        capabilities.check([Energy("xz")], parts, None, None)
    learned = parts | {capabilities.PRIOR: capabilities.Capabilities("r", reparameterised=False)}
    with pytest.raises(InputError, match=r"samples of p\(z\), but samples of r have no gradient"):
        capabilities.check([Energy("z")], learned, None, None)
