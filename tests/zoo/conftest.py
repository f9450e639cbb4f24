"""Small models and images shared by the model's tests."""

import numpy as np
import pytest

import zoo

SMALL = {"image_shape": (8, 8, 1), "latent_dim": 3, "network_options": {"hidden": (16, 16)}}


@pytest.fixture
def images():
    return np.random.default_rng(0).random((24, 8, 8, 1), dtype=np.float32)


@pytest.fixture
def small():
    """Returns a function that builds a small compiled model of an objective."""

    def build(model, compiled=True, **options):
        compile_options = options.pop("compile", {})
        built = zoo.build(model, **{**SMALL, **options})
        if compiled:
            built.compile(**{"jit_compile": False, **compile_options})
        return built

    return build
