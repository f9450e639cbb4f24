"""What an exported model is asked and must answer, by the Keras model and NumPy."""

import io

import numpy as np
import tensorflow as tf
from PIL import Image
from scipy import special, stats

import zoo
from zoo import priors
from zoo.distributions.conditionals import ImplicitConditional
from zoo.objectives import tolerances

DRAWS = 4
LATENTS = "code: categorical(4), style: uniform(2), noise(2)"
SMALL = {"image_shape": (6, 6, 1), "latent_dim": 3, "network_options": {"hidden": (8, 8)}}
TRANSLATING = {
    "image_shape": (8, 8, 1),
    "latent_shape": (8, 8, 3),
    "network": "resnet",
    "network_options": {"width": 2, "blocks": 1},
    "likelihood": "laplace",
}
OPTIONS = {"cyclegan": TRANSLATING, "discogan": TRANSLATING, "infogan": {"latents": LATENTS}}


def build(name, **options):
    """Returns a small model of the family, whose tolerances are relative to a best of 0."""
    objective = zoo.objective(name) if isinstance(name, str) else name
    best = {constraint.expression: 0.0 for _, constraint in objective.learned}
    options = OPTIONS.get(name, {}) | options
    if "network" not in options:
        options = SMALL | options
    if "latents" in options:
        options.pop("latent_dim", None)
    return zoo.build(tolerances.resolved(objective, best), **options)


def inputs(model, batch, noise_size=None):
    """Returns what the signatures are given: images, z, noise, and draws of it."""
    random = np.random.default_rng(batch)
    size = noise_size or posterior_noise(model)
    pixels = random.integers(0, 256, (batch, *model.decoder.event_shape), dtype=np.uint8)
    shape = model.encoder.event_shape
    return {
        **_condition(model, batch),
        "pixels": pixels,
        "images": np.float32(pixels) / np.float32(255),
        "z": random.random((batch, *shape), np.float32),
        "noise": random.standard_normal((batch, size), np.float32),
        "prior_noise": random.standard_normal((batch, shape[0]), np.float32),
        "draws": random.standard_normal((batch, DRAWS, size), np.float32),
    }


def _condition(model, batch):
    if model.condition is None:
        return {}
    if model.condition.classes is not None:
        return {"condition": np.arange(batch) % model.condition.classes}
    shape = (batch, *model.condition.shape)
    return {"condition": np.random.default_rng(1).random(shape, np.float32)}


def posterior_noise(model):
    if isinstance(model.encoder, ImplicitConditional):
        return model.encoder.noise_dim
    return model.encoder.event_shape[0]


def png(pixels):
    """Returns the PNG file of an image [H, W, C] of whole numbers."""
    file = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(file, "PNG")
    return file.getvalue()


def request(name, given):
    """Returns the tensors that a signature takes, by its name."""
    base, _, form = name.rpartition("_")
    base, form = (base, form) if form in ("uint8", "bytes") else (name, None)
    if base == "decode":
        if form is None:
            return {"z": given["z"], **conditions(given)}
        pixels = np.uint8(given["z"] * 255)
        if form == "uint8":
            return {"z": pixels}
        return {"z_bytes": np.array([png(image) for image in pixels], object)}
    found = {}
    if form == "uint8":
        found["images"] = given["pixels"]
    elif form == "bytes":
        found["image_bytes"] = np.array([png(image) for image in given["pixels"]], object)
    elif base != "generate":
        found["images"] = given["images"]
    if base in ("encode_sample", "elbo"):
        found["noise"] = given["noise"]
    if base == "generate":
        found["noise"] = given["prior_noise"]
    if base == "log_likelihood":
        found["noise"] = given["draws"]
    return {**found, **conditions(given)}


def conditions(given):
    return {name: given[name] for name in ("condition",) if name in given}


def answer(model, name, given):
    """Returns what a signature must answer."""
    base, _, form = name.rpartition("_")
    base, form = (base, form) if form in ("uint8", "bytes") else (name, None)
    x, noise = given["images"], given["noise"]
    c = conditions(given).values()
    if base == "encode":
        posterior = model.encode(x, *c)
        return {"mean": posterior.mean(), "stddev": posterior.stddev()}
    if base == "encode_sample":
        return {"z": code(model, x, noise, *c)}
    if base == "decode":
        z = given["z"] if form is None else np.float32(np.uint8(given["z"] * 255)) / 255
        return {"images": model.decode(z, *c).mean()}
    if base == "generate":
        with model.averaged():
            z = drawn(model.prior, given["prior_noise"])
            return {"images": model.decode(z, *c).mean()}
    if base == "reconstruct":
        return {"images": model.reconstruct(x, *c)}
    posterior = model.encode(x, *c)
    if base == "elbo":
        # ELBO = log p(x|z) - KL(q(z|x)||p(z))
        kl = posterior.kl_divergence(model.prior)
        return {"elbo": model.decode(code(model, x, noise, *c), *c).log_prob(x) - kl}
    if base == "anomaly_score":
        score = -model.decode(posterior.mean(), *c).log_prob(x)
        if model.encoder.has_density and not priors.is_data(model.prior):
            score += posterior.kl_divergence(model.prior)
        return {"score": score}
    assert base == "log_likelihood"
    log_w = []
    for draw in range(DRAWS):
        z = code(model, x, given["draws"][:, draw], *c)
        log_joint = model.decode(z, *c).log_prob(x) + model.prior.log_prob(z)
        log_w.append(log_joint - posterior.log_prob(z))
    log_w = np.stack(log_w, axis=1)
    # log 1/S sum_s w_s
    log_likelihood = special.logsumexp(log_w, axis=1) - np.log(DRAWS)
    return {"log_likelihood": log_likelihood, "log_weights": log_w}


def code(model, x, noise, *condition):
    """Returns z ~ q(z|x) as a function of normal noise."""
    if isinstance(model.encoder, ImplicitConditional):
        return model.encoder.network([x, *condition, noise])
    return drawn(model.encode(x, *condition), noise)


def drawn(distribution, noise):
    """Returns a sample as a function of normal noise, float32."""
    kind = type(distribution).__name__
    if kind in ("Blocks", "Blockwise"):
        parts, start = [], 0
        for block in distribution.distributions:
            size = block.event_shape[0]
            parts.append(drawn(block, noise[..., start : start + size]))
            start += size
        return np.concatenate(parts, axis=-1)
    if kind == "OneHotCategorical":
        gumbel = -np.log(-np.log(special.ndtr(np.float64(noise))))
        index = np.argmax(distribution.logits_parameter() + gumbel, axis=-1)
        return np.eye(noise.shape[-1], dtype=np.float32)[index]
    elements = distribution.distribution
    match type(elements).__name__:
        case "Normal":
            return np.float32(elements.loc + elements.scale * noise)
        case "Uniform":
            u = special.ndtr(np.float64(noise))
            return np.float32(elements.low + (elements.high - elements.low) * u)
        case "TruncatedNormal":
            loc, scale = np.float64(elements.loc), np.float64(elements.scale)
            low, high = (-1.0 - loc) / scale, (1.0 - loc) / scale
            u = special.ndtr(np.float64(noise))
            return np.float32(stats.truncnorm.ppf(u, low, high, loc, scale))
    raise AssertionError(elements)


def as_numpy(answers):
    return {name: np.asarray(tf.convert_to_tensor(value)) for name, value in answers.items()}
