"""Text and files as this program writes them, to be mangled, and as an attacker would."""

import dataclasses
import io
import json
import struct
import zipfile
import zlib

import numpy as np

from train.workdirs.config import RunConfig
from zoo.objectives import family

LEARNED = "MMD(q(z)||p(z))"
CONSTRAINTS = [
    *("KL", "JS", "MMD", "W1", "REC_x", "RATE", "(", "q", "p", "(z)", "(x,z)", "(x|z)", "||", ")"),
    *("KL(q(z)||p(z))", "JS(q(x,z)||p(x,z))", LEARNED, " <= ", "best", " + ", "0.5*", "1e-4", "4"),
    *("9" * 5000, "1/0", "1e99999", "-1", "nan", "(" * 500),
]
LATENTS = [
    *("code", ": ", "categorical", "uniform", "noise", "normal", "(10)", "(0)", "(", ")", ", "),
    *(
        "categorical(10)",
        "noise(62)",
        "code: categorical(4)",
        f"({'9' * 5000})",
        "(70000)",
        "(\u0661)",
    ),
]
EVALUATION = {
    "model": "vae",
    "step": 10,
    "dataset": "mnist_5k",
    "metrics": {
        name: {
            "value": 1.5,
            "interval": [1.0, None],
            "size": 10,
            "estimator": "mean",
            "units": "nats",
            "ceiling": None,
            "notes": ["few"],
            "seconds": 0.1,
            "split": "test",
            "seed": 0,
        }
        for name in ("rate", "distortion", "mi")
    },
    "skipped": {"fid": "no labels"},
}
CERTIFICATE = {
    "model": "vae",
    "verdict": "feasible",
    "terms": {"REC_x": {"value": 2.0}, "RATE": {"value": 1.0}, "MMD_z": {"value": None}},
    "constraints": [{"expression": LEARNED, "value": 0.1}],
    "information": {"estimate": 0.5},
}


def configs():
    """Configurations as config.json holds them."""
    vae = RunConfig(family.objective("vae").to_config(), steps=10)
    alice = family.objective("alice", l="0.02")
    learned = family.objective("lagvae_max")
    best = {"eps_hat": 1.0, "eps": 2.0, "noise": 0.1, "tolerance": "best + 1"}
    return [
        json.loads(config.to_json())
        for config in (
            vae,
            RunConfig(
                alice.to_config(), epochs=2, ema=0.9, term_options={"JS_xz": {"r1_gamma": 1.0}}
            ),
            dataclasses.replace(
                vae,
                objective=learned.to_config(),
                best={c.expression: best for _, c in learned.learned},
                latents="categorical(3), noise(2)",
                best_from="runs/best",
            ),
        )
    ]


def records():
    """Lines of metrics.jsonl."""
    return [
        {
            "step": step,
            "split": split,
            "loss": 3.0 - 0.1 * step,
            "mse": 0.1,
            "skipped": 0,
            "terms": {"REC_x": 2.0, "MMD_z": 0.1},
            "constraints": {LEARNED: 0.1},
            "multipliers": {LEARNED: 1.0 + 0.01 * step},
            "seconds": 0.1,
        }
        for step in (10, 20, 30)
        for split in ("train", "validation")
    ]


def bomb_of_pixels():
    """A PNG file of 100 bytes that says it has 60000 x 60000 pixels."""

    def chunk(kind, content):
        return (
            struct.pack(">I", len(content))
            + kind
            + content
            + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    parts = (b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def arrays():
    """Names and contents of .npy and .npz files that no array of images is written as."""

    def npy(header, content=b""):
        text = header.encode().ljust(118) + b"\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content

    def npz(*members):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members:
                archive.writestr(name, content)
        return file.getvalue()

    pickled, many = io.BytesIO(), "{'descr': '|u1', 'fortran_order': False, 'shape': (%s,), }"
    np.save(pickled, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    executed = npy("__import__('os').system('touch executed')")
    return [
        ("a.npy", pickled.getvalue()),
        ("a.npz", npz(("x.npy", pickled.getvalue()))),
        ("a.npy", npy(many % 10**15)),
        ("a.npy", npy(many % (-(10**15)))),
        ("a.npy", npy(many % 10**30)),
        ("a.npz", npz(("x.npy", npy(many % 10**12, b"0")))),
        ("a.npz", npz(("x", b"no array"))),
        ("a.npz", npz(("../../outside/bait", b"no array"))),
        ("a.npy", executed),
        ("a.npz", npz(("x.npy", executed))),
        ("a.npy", npy("{'descr': [('a', 'O')], 'fortran_order': False, 'shape': (1,), }")),
    ]
