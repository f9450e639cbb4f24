import keras
import numpy as np
import pytest

from zoo.errors import InputError
from zoo.metrics import inception


def test_features_are_those_of_the_weights(tmp_path):
    network = keras.applications.InceptionV3(include_top=False, weights=None, pooling="avg")
    path = tmp_path / "inception.weights.h5"
    network.save_weights(path)
    images = np.random.default_rng(0).random((3, 28, 28, 1), dtype=np.float32)
    found = inception.inception_features(path)(images)
    assert found.shape == (3, inception.FEATURES)
    resized = keras.ops.image.resize(np.repeat(images, 3, axis=3), (299, 299))
    # float32 through 94 convolutions
    np.testing.assert_allclose(found, network(2 * resized - 1), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("content", [None, b"", b"PK not weights"])
def test_wrong_files_are_named(content, tmp_path):
    path = tmp_path / "wrong.weights.h5"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"wrong\.weights\.h5"):
        inception.inception_features(path)
