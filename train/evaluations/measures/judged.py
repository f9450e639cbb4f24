"""Measures by labels: classes of samples and of codes, as a classifier or a machine sees them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from train.evaluations.measures.table import measure, noted
from train.evaluations.subject import Subject
from zoo.errors import InputError

LABELLED = (100, 1000)


@measure("class_mismatch", "KL between the classes of data and samples, [V]", "labels", images=True)
def _class_mismatch(s: Subject) -> Any:
    from zoo.metrics.class_mismatch import class_mismatch

    found = class_mismatch(s.judged_samples[1], s.data_classes, s.options.seed)
    return noted(found, _judge(s))


@measure(
    "condition_accuracy",
    "share of samples of the class asked for",
    "a condition and labels",
    images=True,
)
def _condition_accuracy(s: Subject) -> Any:
    from zoo.metrics.measured import Measured

    if not s.conditional or s.model.condition.classes is None:
        raise InputError(f"{s.name} has no condition: train it with --condition=label.")
    right = s.judged_samples[1] == s.conditions
    found = Measured.of_mean(right, "share of samples whose judged class is c", units="share")
    return noted(found, _judge(s))


@measure("classifier_accuracy", "of the classifier that judges samples", "labels", images=True)
def _classifier_accuracy(s: Subject) -> Any:
    return s.classifier.accuracy


@measure("class_entropy", "entropy of the classes of samples", "labels", images=True)
def _class_entropy(s: Subject) -> Any:
    found = s.coverage
    share = f"samples reach {found.reached:.0%} of the classes"
    return noted(found.entropy, found.verdict, share, _judge(s, means=True))


@measure("diversity", "distance of two samples over that of two data", "labels", images=True)
def _diversity(s: Subject) -> Any:
    found = s.coverage
    within = "" if found.within is None else f"within a class it is {found.within:.3g}"
    return noted(found.diversity, found.verdict, *filter(None, [within]), _judge(s, means=True))


@measure("fid", "Frechet distance of samples and data", "labels or --inception", images=True)
def _fid(s: Subject) -> Any:
    from zoo.metrics.frechet import frechet_distance

    of_samples, of_data, network = s.features
    return noted(frechet_distance(of_samples, of_data, s.options.seed), _seen(s, network))


@measure("kid", "kernel distance of samples and data", "labels or --inception", images=True)
def _kid(s: Subject) -> Any:
    from zoo.metrics.kid import kernel_distance

    of_samples, of_data, network = s.features
    return noted(kernel_distance(of_samples, of_data), _seen(s, network))


def _semi_supervised(labelled: int) -> Callable[[Subject], Any]:
    def found(s: Subject) -> Any:
        from zoo.metrics.semi_supervised import semi_supervised_error

        images, labels = s.training_examples
        test_images, test_labels = s.held_out_examples
        codes, test_codes = s.codes_of(images), s.codes_of(test_images)
        return semi_supervised_error(
            codes, labels, test_codes, test_labels, labelled, seed=s.options.seed
        )

    return found


for _count in LABELLED:
    measure(f"semi_supervised_{_count}", f"error of an SVM on codes, {_count} labels", "labels")(
        _semi_supervised(_count)
    )


@measure("cluster_accuracy", "agreement of a code with labels", "a categorical code and labels")
def _cluster_accuracy(s: Subject) -> Any:
    from zoo.metrics.clustering import cluster_accuracy

    latents = getattr(getattr(s.model.encoder, "family", None), "latents", None)
    blocks = [block for block in latents.blocks if block.kind == "categorical"] if latents else []
    if not blocks:
        raise InputError(
            f"{s.name} has no categorical code: train it with --latents='categorical(10), ...'."
        )
    images, labels = s.held_out_examples
    codes = s.codes_of(images)
    found = {b.name: cluster_accuracy(codes[:, b.start : b.stop], labels) for b in blocks}
    best = max(found, key=lambda name: found[name].value)
    return noted(found[best], f"of the block {best!r}, the best of {len(blocks)}")


def _judge(s: Subject, means: bool = False) -> str:
    return _seen(s, s.classifier.name, means)


def _seen(s: Subject, network: str, means: bool = False) -> str:
    means = s.model.decoder.has_mean and (means or s.dataset.binarization == "none")
    kind = "means E[x|z]" if means else "draws x ~ p(x|z)"
    return f"samples are {kind}, judged by {network}"
