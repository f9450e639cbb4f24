"""A table of one's own: wines, standardised and one-hot, in a model that draws new ones."""

import pandas as pd
from sklearn.datasets import load_wine

import zoo


def wines():
    data = load_wine(as_frame=True)
    kinds = data.target.map(dict(enumerate(data.target_names)))
    return data.data[["alcohol", "hue", "proline"]].assign(kind=kinds, dry=data.target > 0)


def trained(frame, epochs):
    table = zoo.tables.fit(frame)
    model = zoo.build("vae", likelihood=table, latent_dim=2, network_options={"hidden": (32,)})
    model.compile(jit_compile=False)
    model.fit(frame, batch_size=32, epochs=epochs, verbose=0)
    return model


if __name__ == "__main__":
    frame = wines()
    model = trained(frame, epochs=100)
    print(pd.DataFrame(model.table.sample(model, 5)))
