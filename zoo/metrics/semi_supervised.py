"""Semi-supervised classification error from codes with few labels."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.svm import SVC

from zoo.errors import InputError
from zoo.metrics.measured import Measured, around

_COSTS = (0.1, 1.0, 10.0, 100.0)
_WIDTHS = (0.25, 1.0, 4.0)  # times 1 / (K Var[z])
_FOLDS = 5


def semi_supervised_error(
    codes: Any,
    labels: Any,
    test_codes: Any,
    test_labels: Any,
    labelled: int = 1000,
    repeats: int = 5,
    seed: int = 0,
) -> Measured:
    """Measures the test error of a support vector machine with few labelled codes.

    It is the M1 + SVM of Kingma et al. 2014 and [V] section 5.2: codes are learned without labels;
    then an SVM with the kernel exp(-g |z - z'|^2) is trained on `labelled` of them, equally many of
    each class. Its cost and g are chosen by 5-fold cross-validation on these codes; the test codes
    are classified once, at the end. This is repeated with other labelled examples; the value is the
    mean error, with the standard error

        sqrt( s^2 / R + e (1 - e) / N_test ),   s the spread of the R errors

    Args:
      codes: [N, K], such as means of q(z|x), of training images.
      labels: [N].
      test_codes, test_labels: [N_test, K], [N_test].
      labelled: the number of labels for the SVM, divisible by the number of classes.
      repeats: R, 2 or more.
      seed: seed of the choice of labelled examples.

    Returns:
      The error, a share.

    Raises:
      InputError: a class has too few labelled examples, or codes are not finite.
    """
    codes, test_codes = np.asarray(codes, np.float64), np.asarray(test_codes, np.float64)
    labels, test_labels = np.asarray(labels), np.asarray(test_labels)
    for z, y in ((codes, labels), (test_codes, test_labels)):
        if z.ndim != 2 or len(z) != len(y) or not len(z):
            raise InputError(
                f"Codes have shape {z.shape} and their labels {y.shape}: give codes [N, K] and "
                "a label to each."
            )
        if not np.isfinite(z).all():
            raise InputError("A code is not finite: the model has diverged, train it again.")
    if repeats < 2:
        raise InputError(f"repeats is {repeats}: the spread of errors needs 2 or more.")
    classes, counts = np.unique(labels, return_counts=True)
    each = labelled // len(classes)
    if len(classes) < 2 or each < 2 or each > counts.min():
        raise InputError(
            f"{labelled} labels in {len(classes)} classes are {each} for each, and the smallest "
            f"class has {counts.min()}: give 2 or more for each class, and no more than it has."
        )
    rng = np.random.default_rng(seed)
    errors, chosen = [], []
    for _ in range(repeats):
        picked = np.concatenate(
            [rng.choice(np.flatnonzero(labels == k), each, replace=False) for k in classes]
        )
        machine = _machine(codes[picked], labels[picked], int(rng.integers(2**31)))
        errors.append(float(np.mean(machine.predict(test_codes) != test_labels)))
        chosen.append(machine.best_params_["C"])
    error, spread = float(np.mean(errors)), float(np.var(errors, ddof=1))
    # s^2 / R + e (1 - e) / N_test
    variance = spread / repeats + error * (1 - error) / len(test_labels)
    low, high = around(error, math.sqrt(variance), repeats - 1)
    return Measured(
        error,
        (max(low, 0.0), min(high, 1.0)),
        len(test_labels),
        f"test error of an SVM on codes with {each * len(classes)} labels, the mean of {repeats} "
        "choices of them",
        (f"costs chosen by cross-validation: {', '.join(f'{c:g}' for c in chosen)}",),
        units="share",
    )


def _machine(codes: np.ndarray, labels: np.ndarray, seed: int) -> Any:
    """Returns an SVM fitted with the best cost and width by cross-validation."""
    variance = codes.var()
    width = 1.0 / (codes.shape[1] * variance) if variance > 0 else 1.0
    folds = min(_FOLDS, int(np.unique(labels, return_counts=True)[1].min()))
    search = GridSearchCV(
        SVC(),
        {"C": list(_COSTS), "gamma": [factor * width for factor in _WIDTHS]},
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
    )
    return search.fit(codes, labels)
