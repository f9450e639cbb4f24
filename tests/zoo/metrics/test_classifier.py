import numpy as np
import pytest

from zoo.errors import InputError
from zoo.metrics import classifier
from zoo.metrics.classifier import train_classifier


def _bars(n, seed):
    """Images of 8x8 with a bright bar in one of four places; labels 10, 20, 30, 40."""
    rng = np.random.default_rng(seed)
    place = rng.integers(4, size=n)
    images = rng.uniform(0.0, 0.5, size=(n, 8, 8, 1))
    for image, row in zip(images, place, strict=True):
        image[2 * row : 2 * row + 2] += 0.4
    return images.astype(np.float32), 10 * (place + 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classifiers")
    found = train_classifier(*_bars(400, 0), *_bars(200, 1), steps=100, cache=folder)
    return found, folder


def test_it_learns_and_says_how_well(trained):
    found, _ = trained
    assert found.accuracy.value > 0.95
    assert found.accuracy.size == 200
    images, labels = _bars(700, 2)
    features, classes = found(images)
    assert features.shape == (700, 64)
    assert features.min() >= 0.0
    assert np.mean(classes == labels) > 0.9
    assert f"{found.accuracy.value:.3f}" in found.name


def test_the_seed_decides_everything(trained):
    found, _ = trained
    again = train_classifier(*_bars(400, 0), *_bars(200, 1), steps=100)
    images = _bars(20, 3)[0]
    assert again.fingerprint == found.fingerprint
    # The same sums on the same machine, but threads may share them out otherwise: float32.
    np.testing.assert_allclose(again(images)[0], found(images)[0], rtol=1e-4, atol=1e-5)


def test_it_is_read_where_it_was_saved(trained, monkeypatch):
    found, folder = trained
    monkeypatch.setattr(classifier, "_trained", None)
    again = train_classifier(*_bars(400, 0), *_bars(200, 1), steps=100, cache=folder)
    images = _bars(20, 3)[0]
    np.testing.assert_array_equal(again(images)[0], found(images)[0])
    (path,) = folder.iterdir()
    assert path.name == f"classifier-{found.fingerprint}.weights.h5"


def test_a_damaged_one_is_trained_again(trained, monkeypatch, tmp_path):
    found, folder = trained
    (path,) = folder.iterdir()
    (tmp_path / path.name).write_bytes(path.read_bytes()[:1000])
    monkeypatch.setattr(classifier, "_trained", lambda *args: found.network)
    again = train_classifier(*_bars(400, 0), *_bars(200, 1), steps=100, cache=tmp_path)
    assert again.network is found.network
    assert (tmp_path / path.name).stat().st_size == path.stat().st_size


def test_other_data_or_seeds_are_other_classifiers():
    images, labels = _bars(50, 0)
    name = classifier._fingerprint(images, labels, 0, 100)
    others = [
        classifier._fingerprint(1 - images, labels, 0, 100),
        classifier._fingerprint(images, labels[::-1], 0, 100),
        classifier._fingerprint(images, labels, 1, 100),
        classifier._fingerprint(images, labels, 0, 101),
    ]
    assert len({name, *others}) == 5


def test_wrong_input(trained):
    images, labels = _bars(20, 0)
    with pytest.raises(InputError, match=r"\(19,\)"):
        train_classifier(images, labels[1:], images, labels)
    with pytest.raises(InputError, match="two classes"):
        train_classifier(images, np.full(20, 3), images, labels)
    with pytest.raises(InputError, match="no images"):
        trained[0](images[:0])
