"""The flags of `train.run`, in the order in which a run is thought of."""

from __future__ import annotations

from absl import flags

from train import command
from train.workdirs.config import (
    LR_SCHEDULES,
    ON_NAN,
    PRECISIONS,
    RULES,
    STRATEGIES,
    SWITCH,
)

# The objective
flags.DEFINE_string("model", None, "A model of the family; `python -m zoo` lists them.")
flags.DEFINE_multi_string("set", [], "A parameter of the model, e.g. beta=4.")
flags.DEFINE_string("alpha_q", None, "Weight of I_q(x;z); replaces --model.")
flags.DEFINE_string("alpha_p", None, "Weight of I_p(x;z); replaces --model.")
flags.DEFINE_multi_string(
    "constraint",
    [],
    "A constraint, e.g. '0.5*JS(q(x,z)||p(x,z))' or 'MMD(q(z)||p(z)) <= 5e-4'; replaces --model.",
)
flags.DEFINE_multi_string("import", [], command.IMPORT)
flags.DEFINE_bool(
    "implicit_encoder",
    False,
    "Samples of q(z|x) have no density: RATE_ratio replaces RATE. For --constraint.",
)
flags.DEFINE_bool(
    "reverse_rate",
    False,
    "Estimate RATE_p by density ratio, so that alpha_p may be positive. For --constraint.",
)

# The data
flags.DEFINE_string(
    "dataset",
    "mnist_5k",
    "mnist_5k, a TFDS name, a folder of images, .npz or .npy of images [N, H, W, C] or vectors "
    "[N, D], or .csv or .parquet of named columns. Vectors and columns of numbers are standardised "
    "by the training rows; texts and booleans are categories.",
)
flags.DEFINE_string("data_dir", None, "Folder of TFDS data; the default is TFDS_DATA_DIR.")
flags.DEFINE_multi_string("categorical", [], "Table column of whole numbers to read as categories.")
flags.DEFINE_multi_string("drop", [], "Table column to leave out.")
flags.DEFINE_string("label_column", None, "Table column of labels, which are not part of x.")
flags.DEFINE_string(
    "split_column",
    None,
    "Table column that says train, validation or test. Without it a tenth of the rows each is "
    "held out for validation and for test.",
)
flags.DEFINE_bool("skip_bad", False, "Leave out image files that cannot be read, and count them.")
flags.DEFINE_string(
    "pair",
    None,
    "Translate between --dataset and this second set of images, which z then is: rotated, tilted, "
    "edges or coloured (made of the same images), or a name or folder as in --dataset.",
)
flags.DEFINE_string(
    "condition",
    None,
    "Condition c that encoder, decoder and critics read: label, if there are any.",
)
flags.DEFINE_string(
    "binarization",
    "auto",
    "How grey images become binary: dynamic (drawn anew at each visit), static (x >= 0.5) or none; "
    "auto: dynamic under a Bernoulli likelihood.",
)

# The parts of the model
flags.DEFINE_string(
    "network",
    "auto",
    "mlp or dcgan; where z is images resnet, unet, similarity or mlp; or your own, my_parts:name.",
)
flags.DEFINE_multi_string(
    "network_option", [], "An option of the network, e.g. hidden=[64,64] or critic_x.width=64."
)
flags.DEFINE_integer("latent_dim", 16, "Length of z.")
flags.DEFINE_string(
    "latents", None, "z as named blocks, e.g. 'categorical(10), noise(62)'; replaces --latent_dim."
)
flags.DEFINE_string(
    "prior",
    "standard_normal",
    "p(z): standard_normal; mixture:K (K learned normals); mixture:K:equal (with weights 1/K); "
    "vamp:K (the posteriors at K learned pseudo-inputs).",
)
flags.DEFINE_integer("noise_dim", 64, "Length of the noise that an implicit encoder reads.")
flags.DEFINE_string(
    "likelihood",
    "auto",
    "p(x|z): bernoulli, normal, laplace, table or your own, my_parts:name. auto: bernoulli for "
    "images; table, a likelihood for each column, for columns and vectors.",
)
flags.DEFINE_string(
    "likelihood_scale",
    None,
    "Scale of the likelihood: a number, learned (one for all) or per_element (from the network).",
)

# The critics
flags.DEFINE_bool(
    "spectral_norm",
    None,
    "Normalise critics spectrally. Default: critics of images or pairs under a learned multiplier, "
    "or with at least ten times the weight of REC_x.",
)
flags.DEFINE_bool("share_features", False, "Put the encoder on the features of the critic of x.")
flags.DEFINE_float(
    "r1_gamma",
    None,
    "Weight of R1. Default: 10, or 30 for pairs, where critics alone judge samples; 0.1 beside two "
    "reconstructions; else 0.",
)
flags.DEFINE_float("gradient_penalty", 0.0, "Weight of the penalty on gradient norms other than 1.")
flags.DEFINE_multi_string(
    "term_option", [], "An option of a term's estimator, e.g. MMD_z.kernel=imq."
)
flags.DEFINE_integer(
    "critic_steps",
    None,
    "Critic steps for each step of encoder and decoder. Default: 1; 3 where a learned multiplier "
    "follows a critic of codes.",
)
flags.DEFINE_integer(
    "history", 0, "Generated images in the replay buffer of each critic of images."
)

# Training
flags.DEFINE_integer("steps", None, "Length of the run in batches; the default is 5000.")
flags.DEFINE_integer("epochs", None, "Length of the run in passes over the training data.")
flags.DEFINE_integer("batch_size", 128, "Examples in a batch, over all replicas.")
flags.DEFINE_float(
    "learning_rate", None, "Adam's rate for encoder and decoder; the default depends on the model."
)
flags.DEFINE_float("critic_learning_rate", None, "Adam's rate for critics.")
flags.DEFINE_enum(
    "lr_schedule",
    "auto",
    LR_SCHEDULES,
    "constant, or cosine: down to 2% over the first --steps. auto: cosine for encoder and decoder "
    "where a learned multiplier follows a critic of codes, else constant.",
)
flags.DEFINE_float("ema", None, "Decay of moving averages of the weights, used for samples.")
flags.DEFINE_integer("seed", 0, "Seed of weights, data order and noise.")
flags.DEFINE_enum(
    "precision", "auto", PRECISIONS, "Precision of matrix products; auto: by the processor."
)
flags.DEFINE_enum("jit", "auto", SWITCH, "Compile the step with XLA; auto: by the network.")
flags.DEFINE_string(
    "steps_per_execution", "auto", "Steps that run without a look at the host; divides --log_every."
)
flags.DEFINE_enum(
    "strategy",
    "auto",
    STRATEGIES,
    "Replicas. auto: multiworker if TF_CONFIG names several workers, mirrored with several GPUs.",
)

# Learned multipliers
flags.DEFINE_enum(
    "rule",
    "auto",
    RULES,
    "How learned multipliers move. auto: augmented if an alpha is negative, else projected.",
)
flags.DEFINE_string(
    "slack", None, "Tolerance of the first learned constraint: 'best + SLACK', in nats."
)
flags.DEFINE_integer(
    "warmup_steps", None, "Length of the first phase, which measures best; the default is --steps."
)
flags.DEFINE_string("best_from", None, "Workdir of a first phase that has been run already.")

# Records
flags.DEFINE_string("workdir", None, "Folder of the run; the default is runs/MODEL-DATASET.")
flags.DEFINE_integer("log_every", 100, "Steps between records in metrics.jsonl.")
flags.DEFINE_integer(
    "checkpoint_every", 1000, "Steps between checkpoints; a multiple of --log_every."
)
flags.DEFINE_integer(
    "keep",
    3,
    "Number of newest checkpoints kept. The best is kept too: with fixed multipliers and no critic "
    "that of least validation loss, with learned multipliers the last that met every tolerance.",
)
flags.DEFINE_enum(
    "on_nan",
    "stop",
    ON_NAN,
    "After a non-finite step: stop, or restore the weights and skip the batch.",
)
