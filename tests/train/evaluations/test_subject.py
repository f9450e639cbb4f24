import bars
import numpy as np
import pytest

from train.evaluations.subject import Options, Subject
from zoo.errors import InputError


@pytest.fixture
def dataset(tmp_path):
    return bars.write(tmp_path / "bars.npz")


def _subject(config, tmp_path, **options):
    _, model, dataset = bars.untrained(tmp_path / "run", config)
    return Subject(model, dataset, config, Options(points=40, **options))


def test_parts_agree_in_number_and_order(dataset, tmp_path):
    s = _subject(bars.config(dataset, binarization="none"), tmp_path)
    assert s.images.shape == s.samples.shape == (40, 8, 8, 1)
    assert s.codes.shape == s.drawn_codes.shape == (40, 2)
    # The brightest two rows are the label's.
    rows = s.images[..., 0].reshape(40, 4, 2 * 8).mean(axis=2).argmax(axis=1)
    np.testing.assert_array_equal(rows, s.labels)
    np.testing.assert_array_equal(s.data_classes, s.labels)
    np.testing.assert_allclose(s.codes, s.model.encode(s.images).mean(), atol=1e-5)


def test_samples_are_binary_where_images_are(dataset, tmp_path):
    binary = _subject(bars.config(dataset), tmp_path)
    assert set(np.unique(binary.images)) == set(np.unique(binary.samples)) == {0.0, 1.0}
    grey = _subject(bars.config(dataset, binarization="none"), tmp_path / "grey")
    np.testing.assert_array_equal(grey.samples, grey.sample_means)
    # An untrained decoder's means are near 1/2.
    assert 0.0 < grey.samples.min() < grey.samples.max() < 1.0


def test_the_seed_decides(dataset, tmp_path):
    config = bars.config(dataset)
    _, model, data = bars.untrained(tmp_path / "run", config)
    one, same, other = (Subject(model, data, config, Options(seed=i)) for i in (1, 1, 2))
    np.testing.assert_array_equal(one.samples, same.samples)
    np.testing.assert_array_equal(one.drawn_codes, same.drawn_codes)
    assert np.any(one.samples != other.samples)


def test_labels_may_come_from_another_dataset(dataset, tmp_path):
    bare = bars.write(tmp_path / "bare.npz", labels=False)
    config = bars.config(bare, binarization="none")
    s = _subject(config, tmp_path, labelled=dataset)
    with pytest.raises(InputError, match="--labelled"):
        s.labels  # noqa: B018
    images, labels = s.training_examples
    assert images.shape == (800, 8, 8, 1)
    assert labels.shape == (800,)
    alone = _subject(config, tmp_path / "alone")
    with pytest.raises(InputError, match=r"bare\.npz' has no labels"):
        alone.training_examples  # noqa: B018


def test_labelled_images_must_have_the_same_shape(dataset, tmp_path):
    s = _subject(bars.config(dataset), tmp_path, labelled="mnist_5k")
    with pytest.raises(InputError, match="28, 28, 1"):
        s.training_examples  # noqa: B018


def test_images_that_are_codes_are_translated(dataset, tmp_path):
    config = bars.config(dataset, "cyclegan", pair="rotated", steps=2, batch_size=8)
    s = _subject(config, tmp_path)
    assert s.partners.shape == (40, 8, 8, 1)
    np.testing.assert_allclose(s.samples, s.model.decode(s.partners).mean(), atol=1e-5)
    for part in ("codes", "drawn_codes", "rate_distortion"):
        with pytest.raises(InputError, match="images of a dataset"):
            getattr(s, part)


def test_wrong_options(dataset, tmp_path):
    config = bars.config(dataset)
    _, model, data = bars.untrained(tmp_path / "run", config)
    with pytest.raises(InputError, match="points=3"):
        Subject(model, data, config, Options(points=3))
    with pytest.raises(InputError, match="Unknown split 'tset'"):
        Subject(model, data, config, Options(split="tset"))
