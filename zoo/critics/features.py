"""q(z|x) on the features of a critic of images."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from zoo.distributions.conditionals import Conditional
from zoo.errors import InputError
from zoo.networks.construction import LOGIT
from zoo.networks.own import is_functional


@keras.saving.register_keras_serializable("zoo")
class FeatureConditional(Conditional):
    """A Conditional whose network reads h(x), the input of a critic's last layer, instead of x.

        T(x) = w' h(x) + b,   q(z|x) = family(network(h(x)))

    The layers of h belong to the critic, which alone trains and saves them. In Chen et al.
    "InfoGAN." NeurIPS 2016, section 6, D and Q also share all layers but the last, but Q trains
    them as well. Call `read` before the first call.

    Args:
      network: [B, F] -> the family's parameters, F features.
      family, event_shape: as for `Conditional`.
      critic: the name of the critic's term, such as "JS_x".
    """

    def __init__(self, network: Any, family: Any, event_shape: Any, critic: str, **kwargs: Any):
        super().__init__(network, family, event_shape, **kwargs)
        self.critic = critic
        self._features: Callable[[], keras.Model] | None = None

    def read(self, critics: Mapping[str, keras.Model]) -> None:
        """Connects the encoder to the features of its critic.

        Raises:
          InputError: no such critic of x exists, or its features do not fit the network.
        """
        if self.critic not in critics:
            raise InputError(
                f"The encoder reads the features of the critic of {self.critic!r}, and the critics "
                f"are {sorted(critics)}: change one of them."
            )
        features = features_of(critics[self.critic])
        if features.output_shape != self.network.input_shape:
            raise InputError(
                f"The critic of {self.critic!r} has features {features.output_shape} where the "
                f"encoder's network takes {self.network.input_shape}: make them equal."
            )
        # In a function, so that Keras does not track the critic's layers here and save them twice.
        self._features = lambda: features

    @property
    def features(self) -> keras.Model:
        """The network x -> h(x)."""
        if self._features is None:
            raise InputError(f"The encoder has no critic yet: call read with {self.critic!r}.")
        return self._features()

    @property
    def condition_shape(self) -> tuple[int, ...]:
        return tuple(self.features.input_shape[1:])

    def call(self, inputs: Any, training: bool = False) -> Any:
        features: tf.Tensor = self.features(inputs, training=training)
        return super().call(features, training=training)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "critic": self.critic}


def features_of(critic: keras.Model) -> keras.Model:
    """Returns the network from a critic's input to the input of its last layer, the logit.

    Raises:
      InputError: the critic does not have one input and one logit per example.
    """
    names = [layer.name for layer in critic.layers] if is_functional(critic) else []
    if LOGIT not in names or len(critic.inputs) != 1 or critic.output_shape != (None,):
        raise InputError(
            f"The critic {critic.name!r} has no features to share: it needs one input and one "
            f"logit per example, of a layer called {LOGIT!r}."
        )
    return keras.Model(critic.input, critic.get_layer(LOGIT).input, name="features")
