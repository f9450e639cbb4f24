import numpy as np

import zoo
from train.figures import pictures


def test_a_grid_with_one_value_of_the_code_in_each_column():
    model = zoo.build(
        "infogan",
        image_shape=(4, 4, 1),
        latents="noise(2), code: categorical(3), other: categorical(30)",
        network_options={"hidden": (8,)},
    )
    assert [block.name for block in pictures._codes(model)] == ["code"]
    (code,) = pictures._codes(model)
    images = pictures.by_value(model, code)
    z = np.array(model.prior.sample(9, seed=[0, 0]))
    z[:, 2:5] = np.tile(np.eye(3), (3, 1))
    # float32 products in batches of one size
    np.testing.assert_allclose(images, model.decode(z).mean(), atol=1e-6)
    assert pictures._codes(zoo.build("vae", image_shape=(4, 4, 1), latent_dim=2)) == []


def test_rows_of_classes():
    options = {"image_shape": (4, 4, 1), "network_options": {"hidden": (8,)}, "condition": 2}
    model = zoo.build("infogan", latents="noise(2), code: categorical(3)", **options)
    (code,) = pictures._codes(model)
    images = pictures.by_value(model, code)
    z = np.array(model.prior.sample(9, seed=[0, 0]))
    z[:, 2:5] = np.tile(np.eye(3), (3, 1))
    wanted = model.decode(z, condition=[0, 0, 0, 1, 1, 1, 0, 0, 0]).mean()
    np.testing.assert_allclose(images, wanted, atol=1e-6)
    model = zoo.build("vae", **options, latent_dim=2)
    rows = pictures.of_each_class(model)
    assert rows.shape == (20, 4, 4, 1)
    z = model.prior.sample(10, seed=[0, 0])
    np.testing.assert_allclose(rows[10:], model.decode(z, condition=1).mean(), atol=1e-6)
