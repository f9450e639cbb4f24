"""A model constrained relative to its best, trained by plain `fit`."""

import zoo
from train.certificates import HeldOutMargins
from train.loop import first_phase, measure_best, second_phase


def trained(x, validation, epochs, objective="lagvae_max", **options):
    """Returns what the first phase reached, the second's model, and what its `fit` returned."""
    objective = zoo.objective(objective)  # KL(q(x,z)||p(x,z)) <= best + 4, and MMD
    neutral = first_phase(objective, **options)
    neutral.fit(x, batch_size=128, epochs=epochs, verbose=0)
    best = measure_best(objective, neutral, validation)
    for expression, eps in best.tolerances.items():
        print(f"{expression} <= {best.declared[expression]} = {eps:.4g}")
    model = second_phase(best, steps=epochs * len(x) // 128, **options)
    margins = HeldOutMargins(validation, training=x, best=best)
    history = model.fit(x, batch_size=128, epochs=epochs, verbose=0, callbacks=[margins])
    return best, model, history
