"""A conditional model of a user's own networks, in a file of their own: my_condition.py."""

from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest

import zoo
from zoo.errors import InputError

HERE = Path(__file__).parent
SHAPE = (8, 8, 1)


@pytest.fixture
def mine(monkeypatch):
    """The user's module, imported."""
    monkeypatch.syspath_prepend(str(HERE))
    import my_condition

    return my_condition


def data():
    """Images that are bright on the left or on the right, by their class."""
    rng = np.random.default_rng(0)
    c = np.arange(256) % 2
    x = 0.1 * rng.random((256, *SHAPE), dtype=np.float32)
    x[c == 0, :, :4] += 0.8
    x[c == 1, :, 4:] += 0.8
    return x, c


def test_a_users_file_is_short():
    assert len((HERE / "my_condition.py").read_text().splitlines()) <= 30


def build(mine, name):
    keras.utils.set_random_seed(0)
    critics = {"JS_xz": mine.critic_xz(SHAPE, 2, condition_shape=(2,))}
    return zoo.build(
        name,
        SHAPE,
        condition=2,
        latent_dim=2,
        encoder=mine.encoder(SHAPE, 4, condition_shape=(2,)),
        decoder=mine.decoder(2, SHAPE, 1, condition_shape=(2,)),
        critics=critics if name == "alice" else None,
    )


def test_samples_are_of_the_class_asked_for(mine):
    model = build(mine, "vae")
    model.compile(model.adam(0.01))
    x, c = data()
    model.fit(x, c, batch_size=64, epochs=25, verbose=0)
    for label in range(2):
        samples = model.sample(20, condition=label).numpy()
        left, right = samples[:, :, :4].mean(), samples[:, :, 4:].mean()
        assert (left > right + 0.3) == (label == 0)
    assert model.evaluate(x, c, verbose=0, return_dict=True)["mse"] < 0.05


def test_a_critic_reads_it(mine):
    model = build(mine, "alice")
    model.compile()
    x, c = data()
    model.fit(x, c, batch_size=64, verbose=0)
    of_right, of_wrong = (model.term_values(x, [0, 0], c=given) for given in (c, 1 - c))
    assert np.isfinite(float(of_right["JS_xz"]))
    assert float(of_right["JS_xz"]) != float(of_wrong["JS_xz"])


def test_the_functions_are_a_network_by_name(mine, monkeypatch):
    parts = SimpleNamespace(encoder=mine.encoder, decoder=mine.decoder, critic_xz=mine.critic_xz)
    monkeypatch.setattr(mine, "parts", parts, raising=False)
    model = zoo.build("alice", SHAPE, 2, "my_condition:parts", condition=3)
    assert model.sample(3).shape == (3, *SHAPE)
    parts.encoder = lambda image_shape, outputs: None
    with pytest.raises(InputError, match="The encoder of the my_condition:parts network reads no"):
        zoo.build("alice", SHAPE, 2, "my_condition:parts", condition=3)
