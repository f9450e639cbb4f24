import numpy as np
import pytest

import zoo
from train.certificates import held_out

SMALL = {"image_shape": (8, 8, 1), "latent_dim": 3, "network_options": {"hidden": (16, 16)}}


@pytest.fixture(scope="module")
def model():
    constraints = ("KL(q(z)||p(z))", "KL(q(x,z)||p(x,z)) <= 40", "MMD(q(z)||p(z)) <= 1e-3")
    built = zoo.build(zoo.Objective(1, 0, constraints), **SMALL)
    built.compile(jit_compile=False)
    return built


@pytest.fixture
def batches():
    images = np.random.default_rng(0).random((50, 8, 8, 1), dtype=np.float32)
    return [images[i : i + 8] for i in range(0, 50, 8)]


def test_measurements_are_those_of_the_batches(model, batches):
    found = held_out.measure(model, batches)
    rows = []
    for index, x in enumerate(batches[:-1]):  # the last holds two images only
        values = model.term_values(x, [0, index])
        rows.append([values["REC_x"] + values["RATE"], values["MMD_z"]])
    table = np.array(rows, np.float64)
    np.testing.assert_allclose(found.mean, table.mean(0), rtol=1e-5)
    np.testing.assert_allclose(found.deviation, table.std(0, ddof=1), rtol=1e-4)
    np.testing.assert_allclose(found.error, table.std(0, ddof=1) / np.sqrt(6), rtol=1e-4)
