"""The functions behind an exported model's signatures, as `export.table` lists them."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from export import inputs, table, transports
from export.columns import IMAGES, VECTORS, Columns
from zoo import priors
from zoo.distributions.blocks import Blocks, block_sizes
from zoo.distributions.conditionals import ImplicitConditional
from zoo.errors import InputError
from zoo.model.lagrangian_model import LagrangianModel
from zoo.terms.rate import rate

Tensors = dict[str, tf.Tensor]


@dataclasses.dataclass(frozen=True)
class Served:
    """One signature of one model: a function of the tensors that `inputs` specifies, in order."""

    function: Callable[..., Tensors]
    inputs: tuple[tf.TensorSpec, ...]
    meaning: str
    image_shape: tuple[int, ...] | None
    examples: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of a table's columns


class Signatures:
    """What a model can be asked when it is exported.

    Functions are deterministic: the noise of a sample is the caller's. Each checks its inputs when
    it runs, as `export.inputs` says. Of a model with a condition each takes one more input,
    `condition`: classes, int64 [B], or floats of its shape.

    Attributes:
      absent: signature -> why this model has none, a sentence.
    """

    def __init__(self, model: LagrangianModel):
        self.model = model
        self.columns = None if model.table is None else Columns(model.table)
        # As it is now: a VampPrior's components are numbers in the graph, and need no encoder.
        self.prior = _without_draws(model.prior)
        with model.averaged():
            self._generating_prior = _without_draws(model.prior)
        self.translates = priors.is_data(model.prior)
        self.absent: dict[str, str] = {}
        self._has_kl = self._closed_form()
        self._sizes: dict[str, Any] = {
            table.X: model.decoder.event_shape,
            table.Z: model.encoder.event_shape,
            table.B: (None,),
            table.S: (None,),
            table.N: self._size("encode_sample", self._posterior_noise),
            table.M: self._size("generate", self._prior_noise),
            table.D: model.decoder.event_shape[-1:],
        }
        for name in ("elbo", "log_likelihood"):
            reason = self._no_densities() or self.absent.get("encode_sample")
            if reason:
                self.absent[name] = reason
        if "generate" in self.absent:
            self.absent["sample"] = self.absent["generate"]
        self._without_moments()
        if not model.decoder.has_density:
            self.absent["anomaly_score"] = "p(x|z) has no density."
        self._generator = self._averaged_decoder()

    def of(self, part: str) -> dict[str, Served]:
        """Returns the signatures of the SavedModel called `part`, the default one first.

        Raises:
          InputError: it has none.
        """
        found = {}
        for row in table.SIGNATURES.values():
            if part not in row.parts or row.name in self.absent or not self._has(row):
                continue
            found[row.name] = self._served(row)
            for form in table.FORMS:
                if self._takes(row, form):
                    found[f"{row.name}_{form}"] = self._served(row, form)
        default = table.DEFAULT[part]
        if not found:
            raise InputError(f"Nothing of the {part} can be served: {self.absent[default]}")
        if default not in found:
            default = next(iter(found))
        return {default: found.pop(default), **found}

    def reasons(self, part: str) -> dict[str, str]:
        """Returns `absent` for one SavedModel, with the forms of images it cannot have."""
        rows = [row for row in table.SIGNATURES.values() if part in row.parts and self._has(row)]
        found = {row.name: self.absent[row.name] for row in rows if row.name in self.absent}
        for row in rows:
            shape = self._image_shape(row)
            if row.name not in found and shape and not self._takes(row, "bytes"):
                found[f"{row.name}_bytes"] = (
                    f"PNG and JPEG files have 1 or 3 channels, and these images have {shape[-1]}."
                )
        return found

    # The functions

    def encode(self, images: tf.Tensor, condition: Any = None) -> Tensors:
        posterior = self.model.encoder(_read(images, condition))
        return {"mean": posterior.mean(), "stddev": posterior.stddev()}

    def encode_sample(self, images: tf.Tensor, noise: tf.Tensor, condition: Any = None) -> Tensors:
        read = _read(images, condition)
        if isinstance(self.model.encoder, ImplicitConditional):
            # z = network([x, e])
            inputs = [*read, noise] if isinstance(read, list) else [read, noise]
            return {"z": tf.cast(self.model.encoder.network(inputs), tf.float32)}
        return {"z": transports.sample(self.model.encoder(read), noise)}

    def decode(self, z: tf.Tensor, condition: Any = None) -> Tensors:
        return {"images": self.model.decoder.mean(_read(z, condition))}

    def generate(self, noise: tf.Tensor, condition: Any = None) -> Tensors:
        z = transports.sample(self._generating_prior, noise)
        return {"images": self._generator.mean(_read(z, condition))}

    def sample(self, noise: tf.Tensor, noise_x: tf.Tensor, condition: Any = None) -> Tensors:
        z = transports.sample(self._generating_prior, noise)
        return {"images": transports.sample(self._generator(_read(z, condition)), noise_x)}

    def reconstruct(self, images: tf.Tensor, condition: Any = None) -> Tensors:
        z = self.model.encoder.mean(_read(images, condition))
        return {"images": self.model.decoder.mean(_read(z, condition))}

    def elbo(self, images: tf.Tensor, noise: tf.Tensor, condition: Any = None) -> Tensors:
        posterior = self.model.encoder(_read(images, condition))
        z = transports.sample(posterior, noise)
        kl = rate(posterior, self.prior, z, expect=tf.identity)
        # ELBO = log p(x|z) - KL(q(z|x)||p(z))
        return {"elbo": self.model.decoder(_read(z, condition)).log_prob(images) - kl}

    def log_likelihood(self, images: tf.Tensor, noise: tf.Tensor, condition: Any = None) -> Tensors:
        def weights(example: tuple[tf.Tensor, ...]) -> tf.Tensor:
            x, e = example[0][tf.newaxis], example[1]
            c = None if condition is None else example[2][tf.newaxis]
            posterior = self.model.encoder(_read(x, c))
            z = transports.sample(posterior, e)
            every = None if c is None else tf.repeat(c, tf.shape(z)[0], axis=0)
            # log w = log p(x|z) + log p(z) - log q(z|x)
            log_p = self.model.decoder(_read(z, every)).log_prob(x)
            log_joint = log_p + self.prior.log_prob(z)
            return log_joint - posterior.log_prob(z)

        # One image after another: memory is that of S decoded images, whatever B is.
        log_w = tf.map_fn(
            weights,
            (images, noise) if condition is None else (images, noise, condition),
            fn_output_signature=tf.TensorSpec([None], tf.float32),
        )
        log_s = tf.math.log(tf.cast(tf.shape(noise)[1], tf.float32))
        # log p(x) ~= log 1/S sum_s w_s
        return {"log_likelihood": tf.reduce_logsumexp(log_w, axis=1) - log_s, "log_weights": log_w}

    def anomaly_score(self, images: tf.Tensor, condition: Any = None) -> Tensors:
        posterior = self.model.encoder(_read(images, condition))
        # score = -log p(x|E[z|x]) + KL(q(z|x)||p(z))
        score = -self.model.decoder(_read(posterior.mean(), condition)).log_prob(images)
        if self._has_kl:
            score += rate(posterior, self.prior, estimator="closed_form", expect=tf.identity)
        return {"score": score}

    # How they are served

    def _served(self, row: table.Signature, form: str | None = None) -> Served:
        image, shape = row.image or "", self._image_shape(row)
        names = {name: self._shown(name) for name in row.inputs}
        specs = {
            name: self._spec(names[name], sizes)
            for name, sizes in row.inputs.items()
            if not (self.columns and name == IMAGES)
        }
        columns = self.columns if self.columns and IMAGES in row.inputs else None
        of_columns = columns.specs if columns else []
        if columns:
            del names[IMAGES]
        if self.model.condition is not None:
            names["condition"], specs["condition"] = "condition", self._condition_spec()
        if form:
            names[image] = table.form_input(image, form)
        if form == "uint8":
            specs[image] = tf.TensorSpec(specs[image].shape, tf.uint8, names[image])
        elif form == "bytes":
            specs[image] = tf.TensorSpec([None], tf.string, names[image])
        function = getattr(self, row.name)

        taken = (*of_columns, *specs.values())

        def served(*tensors: tf.Tensor) -> Tensors:
            given = dict(zip((spec.name for spec in taken), tensors, strict=True))
            checked = inputs.checked(given, taken)
            found = dict(zip(names, checked[len(of_columns) :], strict=True))
            if columns:
                found[IMAGES] = columns.encode(checked[: len(of_columns)])
            if form == "uint8":
                found[image] = inputs.from_uint8(found[image])
            elif form == "bytes" and shape:
                found[image] = inputs.from_files(found[image], shape)
            if self.model.condition is not None:
                classes = self.model.condition.classes
                below = inputs.below("condition", found["condition"], classes)
                found["condition"] = self.model.condition.encoded(below)
            return self._raw(function(**found))

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        served.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
            [inspect.Parameter(spec.name, kind) for spec in taken]
        )
        examples = columns.examples if columns else {}
        return Served(served, taken, self._meaning(row, form), shape, examples)

    def _raw(self, outputs: Tensors) -> Tensors:
        """Returns outputs as they are served: x under its name, or as columns."""
        if self.columns and IMAGES in outputs:
            rest = {name: value for name, value in outputs.items() if name != IMAGES}
            return {**self.columns.decode(outputs[IMAGES]), **rest}
        return {self._shown(name): value for name, value in outputs.items()}

    def _shown(self, name: str) -> str:
        """Returns the name of a tensor: x where what is called images is none."""
        return VECTORS if name == IMAGES and not self._of_images else name

    def _has(self, row: table.Signature) -> bool:
        """Whether a signature is for such models."""
        return self.columns is not None or not row.rows

    @property
    def _of_images(self) -> bool:
        return len(self.model.decoder.event_shape) == 3

    def _spec(self, name: str, shape: Sequence[str]) -> tf.TensorSpec:
        sizes = [size for symbol in shape for size in self._sizes[symbol]]
        return tf.TensorSpec(sizes, tf.float32, name)

    def _condition_spec(self) -> tf.TensorSpec:
        condition = self.model.condition
        assert condition is not None
        if condition.classes is not None:
            return tf.TensorSpec([None], tf.int64, "condition")
        return tf.TensorSpec([None, *condition.shape], tf.float32, "condition")

    def _meaning(self, row: table.Signature, form: str | None) -> str:
        meaning = row.meaning
        if row.name == "anomaly_score":
            meaning = "-log p(x|z) at the mean of q(z|x)"
            meaning += ", plus KL(q(z|x)||p(z))" if self._has_kl else ""
        if self.columns and self.columns.table.categorical and meaning.startswith("E[x|z]"):
            meaning = meaning.replace("E[x|z]", "E[x|z] of numbers and the likeliest categories", 1)
        if self.model.condition is not None:
            for one, given in (("(z|x)", "(z|x,c)"), ("(x|z)", "(x|z,c)"), ("[x|z]", "[x|z,c]")):
                meaning = meaning.replace(one, given)
        return meaning if form is None else f"{meaning}; of {table.FORMS[form][2]}"

    def _image_shape(self, row: table.Signature) -> tuple[int, ...] | None:
        if row.image == "z":
            return self.model.encoder.event_shape if self.translates else None
        return self.model.decoder.event_shape if row.image and self._of_images else None

    def _takes(self, row: table.Signature, form: str) -> bool:
        shape = self._image_shape(row)
        return shape is not None and (form != "bytes" or shape[-1] in inputs.FILE_CHANNELS)

    # What the model can be asked

    def _size(self, name: str, find: Callable[[], int]) -> tuple[int, ...]:
        try:
            return (find(),)
        except InputError as error:
            self.absent[name] = str(error)
            return ()

    def _posterior_noise(self) -> int:
        if isinstance(self.model.encoder, ImplicitConditional):
            return self.model.encoder.noise_dim
        if self.translates:
            raise InputError("z is an image, and what the decoder takes for it is its mean.")
        return transports.noise_size(self.model.encoder(self._an_image()))

    def _prior_noise(self) -> int:
        if self.translates:
            raise InputError("p(z) is a data set: decode its images.")
        return transports.noise_size(self.prior)

    def _no_densities(self) -> str | None:
        if self.translates:
            return "p(z) is a data set and has no density."
        if not self.model.encoder.has_density:
            return "q(z|x) is implicit and has no density."
        if not self.model.encoder.capabilities.reparameterised and not self._has_kl:
            return "q(z|x) is discrete, with no density to set beside that of p(z)."
        return None if self.model.decoder.has_density else "p(x|z) has no density."

    def _without_moments(self) -> None:
        """Enters what cannot be served of conditionals without a mean."""
        encoder, decoder = self.model.encoder.capabilities, self.model.decoder.capabilities
        if not (encoder.has_mean and encoder.has_stddev):
            self.absent["encode"] = (
                f"q(z|x), of the family {encoder.name}, has no mean and standard deviation."
            )
        if not encoder.has_mean:
            for name in ("reconstruct", "anomaly_score"):
                self.absent[name] = f"q(z|x), of the family {encoder.name}, has no mean."
        if not decoder.has_mean:
            for name in ("decode", "generate", "reconstruct"):
                self.absent[name] = (
                    f"p(x|z), of the family {decoder.name}, has no mean; model.sample and "
                    "model.reconstruct draw from it in Python."
                )

    def _closed_form(self) -> bool:
        try:
            posterior = self.model.encoder(self._an_image())
            rate(posterior, self.prior, estimator="closed_form", expect=tf.identity)
        except InputError:
            return False
        return True

    def _an_image(self) -> Any:
        """Returns what the encoder reads of one example."""
        condition = self.model.condition
        c = None if condition is None else tf.zeros((1, *condition.shape))
        return _read(tf.zeros((1, *self.model.encoder.condition_shape)), c)

    def _averaged_decoder(self) -> Any:
        """Returns the decoder that `model.sample` uses, with weights of its own if averaged."""
        decoder = self.model.decoder
        if self.model.averages is None:
            return decoder
        try:
            copy = type(decoder).from_config(decoder.get_config())
        except (TypeError, NotImplementedError) as error:  # of a user's own subclass
            raise InputError(
                f"The decoder's network {decoder.network.name!r} cannot be copied, which the "
                "export of averaged weights (--ema) needs: register its class with "
                "keras.saving.register_keras_serializable, and give it get_config."
            ) from error
        with self.model.averaged():
            copy.set_weights(decoder.get_weights())
        return copy


def _read(variable: tf.Tensor, condition: Any) -> Any:
    """Returns what a conditional reads: the variable, and the condition beside it if any."""
    return variable if condition is None else [variable, condition]


def _without_draws(prior: Any) -> Any:
    """Returns an equal distribution: a tfd.Blockwise splits seeds even for its log density."""
    return prior if block_sizes(prior) is None else Blocks(prior.distributions)


def described(tensors: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns name -> {"dtype", "shape"} of tensors or their specifications, as plain data."""
    return {
        name: {"dtype": each.dtype.name, "shape": each.shape.as_list()}
        for name, each in tensors.items()
    }
