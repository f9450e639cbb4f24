"""Gives everything that reads input what nobody should write, and counts what becomes of it.

    PYTHONPATH=.:tests python tests/hostile.py [examples]

prints a table: of each kind of input how many were tried, how many were refused in one sentence,
how many happened to be right, how many ended in another exception, and how many times anything was
written outside of where it should be. The examples are the same in every run.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path

import mangling
import numpy as np
import strange_checkpoints
import strangers
from attempts import Kind, tried
from hypothesis import strategies as st
from PIL import Image

import zoo
from train import data
from train.certificates import convergence
from train.evaluations import comparison, evaluation
from train.figures import plots
from train.loop import restoring
from train.workdirs import checkpoints
from train.workdirs.config import RunConfig, parse_network_options, parse_term_options
from train.workdirs.workdir import Workdir
from zoo.objectives import family

# What is read


def read_config(content: bytes, run: Path) -> None:
    (run / "config.json").write_bytes(content)
    config = Workdir(run).config()
    assert config is not None
    config.to_json()
    Workdir(run).check(config)
    _ = config.eps_hat, config.noise, config.declared.tractable().affine


def read_constraint(text: str, run: Path) -> None:
    objective = zoo.Objective(alpha_q=-1, constraints=["KL(q(x|z)||p(x|z))", text])
    again = zoo.Objective.from_config(objective.to_config())
    again.tractable().require_admissible()
    assert again.constraints == objective.constraints


def read_set(parts: tuple[str, list[str]], run: Path) -> None:
    model, texts = parts
    objective = family.objective(model, **family.parse_parameters(texts))
    objective.tractable().require_admissible()
    RunConfig(objective.to_config(), steps=1).to_json()


def read_latents(text: str, run: Path) -> None:
    from zoo.distributions import latents

    found = latents.parse(text)
    assert latents.parse(str(found)) == found
    _ = found.posterior


def read_term_option(texts: list[str], run: Path) -> None:
    options = parse_term_options(texts)
    RunConfig(family.objective("wae_mmd").to_config(), steps=1, term_options=options).to_json()


def read_network_option(texts: list[str], run: Path) -> None:
    options = parse_network_options(texts)
    RunConfig(family.objective("vae").to_config(), steps=1, network_options=options).to_json()


def read_array(parts: tuple[str, bytes], run: Path) -> None:
    name, content = parts
    (run / name).write_bytes(content)
    data.load(str(run / name))


def read_name(name: str, run: Path) -> None:
    data.check_name(name, run)


def read_images(parts: tuple[list[tuple[str, bytes]], bool], run: Path) -> None:
    files, skip_bad = parts
    for name in ("1.png", "2.png", "3.png", "4.png"):
        (run / name).write_bytes(pictures()[0])
    for name, content in files:
        with contextlib.suppress(OSError, ValueError):  # names that no file can have
            (run / name).write_bytes(content)
    data.load(str(run), skip_bad=skip_bad)


def read_checkpoint(content: bytes, run: Path) -> None:
    workdir = Workdir(run)
    (run / "config.json").write_text(strange_checkpoints.CONFIG.to_json())
    workdir.checkpoints.mkdir()
    suffix = "keras" if b"metadata.json" in content else "zip"
    (workdir.checkpoints / f"step-00000001.{suffix}").write_bytes(content)
    path = workdir.latest_checkpoint()
    assert path is not None
    restoring.load(workdir, path)
    checkpoints.means(path)


def read_records(content: bytes, run: Path) -> None:
    (run / "metrics.jsonl").write_bytes(content)
    rows = Workdir(run).records()
    checkpoints.best_step(rows, {}, adversarial=False)
    checkpoints.best_step(rows, {strangers.LEARNED: 1.0}, adversarial=True)
    convergence.drift(rows, strangers.LEARNED)
    plots.terms(rows, run / "terms.png")


def read_results(parts: tuple[bytes, bytes], run: Path) -> None:
    (run / evaluation.FILE).write_bytes(parts[0])
    (run / "certificate.json").write_bytes(parts[1])
    (run / "again").mkdir()
    for name in (evaluation.FILE, "certificate.json"):
        (run / "again" / name).write_bytes((run / name).read_bytes())
    runs = comparison.read([run, run / "again"])
    comparison.markdown(runs)
    comparison.plot_information(runs, run / "information.png")
    comparison.plot_rate_distortion(runs, run / "rate.png")


# What is tried


def packed(arrays: dict[str, np.ndarray], save: Callable[..., None]) -> bytes:
    file = io.BytesIO()
    save(file, **arrays) if save is not np.save else save(file, arrays["images"])
    return file.getvalue()


@functools.cache
def pictures() -> list[bytes]:
    """Image files: the first of them as they should be."""
    image = Image.fromarray(np.arange(36, dtype=np.uint8).reshape(6, 6))
    found = []
    for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "PPM"):
        file = io.BytesIO()
        image.save(file, kind)
        found.append(file.getvalue())
    return [
        *found,
        strangers.bomb_of_pixels(),
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    ]


def kinds() -> dict[str, Kind]:
    """Returns what is tried, by name."""
    images = np.random.default_rng(0).integers(0, 256, (20, 6, 6), dtype=np.uint8)
    grey = images.astype(np.float32) / 255
    files = [
        *[("a.npy", packed({"images": a}, np.save)) for a in (images, grey, images.astype(">i8"))],
        (
            "a.npz",
            packed({"x_train": images, "x_test": images, "y_train": np.arange(20)}, np.savez),
        ),
        ("a.npz", packed({"x": grey}, np.savez_compressed)),
        *strangers.arrays(),
    ]
    names = st.sampled_from(["a.npy", "a.npz"])
    file_bases = [content for _, content in files]
    image_bases = pictures()
    image_names = st.sampled_from(
        ["a.png", "b.jpg", "c\n.gif", "d.bmp", "x" * 250 + ".png", "\udcff.png", "$e$.jpeg"]
    )
    pictured = st.sampled_from(image_bases) | mangling.edited(image_bases) | st.binary(max_size=99)
    whole = strange_checkpoints.checkpoint()
    hostile = [content for _, content in strange_checkpoints.checkpoints(whole)]
    old = strange_checkpoints.keras_checkpoint()
    build = json.loads(strange_checkpoints.members(whole)["build.json"])
    records = strangers.records()
    lines = [b"\n".join(map(mangling.dumped, records)), *map(mangling.dumped, records)]
    evaluated = mangling.dumped(strangers.EVALUATION)
    certificate = mangling.dumped(strangers.CERTIFICATE)
    parameters = [(m, p) for m in family.names() for p in family.get(m).defaults]
    numbers = mangling.texts(["best", "+", "*", "1", "1/3", "1e-4", "1e999999999", "1/0", "nan"])
    return {
        "config.json": Kind(mangling.documents(strangers.configs()), read_config),
        "--constraint": Kind(mangling.texts(strangers.CONSTRAINTS), read_constraint),
        "--set": Kind(
            st.tuples(st.sampled_from(parameters), numbers).map(
                lambda drawn: (drawn[0][0], [f"{drawn[0][1]}={drawn[1]}"])
            )
            | st.tuples(st.sampled_from(family.names()) | st.text(), st.lists(st.text())),
            read_set,
        ),
        "--latents": Kind(mangling.texts(strangers.LATENTS), read_latents),
        "--term_option": Kind(
            st.lists(mangling.texts(["MMD_z", ".kernel", "=imq", "=[[", "REC_x.", "=1e999"])),
            read_term_option,
        ),
        "--network_option": Kind(
            st.lists(mangling.texts(["hidden", "=[64,64]", "=", "[" * 5000, "{", '"', "=NaN"])),
            read_network_option,
        ),
        "--dataset": Kind(
            mangling.texts(["mnist", "mnist_5k", "/", "..", "~", "~nobody/", ".npy", "x" * 300]),
            read_name,
        ),
        ".npy, .npz": Kind(
            st.sampled_from(files) | st.tuples(names, mangling.edited(file_bases)), read_array
        ),
        "image folder": Kind(
            st.tuples(st.lists(st.tuples(image_names, pictured), max_size=4), st.booleans()),
            read_images,
        ),
        "checkpoint": Kind(
            st.sampled_from(hostile)
            | mangling.edited([whole, old])
            | mangling.values([build]).map(lambda b: strange_checkpoints.with_build(whole, b))
            | mangling.values([strange_checkpoints.config_of(old)]).map(
                lambda c: strange_checkpoints.with_config(old, c)
            ),
            read_checkpoint,
        ),
        "metrics.jsonl": Kind(
            mangling.edited(lines)
            | st.lists(mangling.values(records).map(mangling.dumped)).map(b"\n".join),
            read_records,
        ),
        "evaluation.json, certificate.json": Kind(
            st.tuples(mangling.documents([strangers.EVALUATION]), st.just(certificate))
            | st.tuples(st.just(evaluated), mangling.documents([strangers.CERTIFICATE])),
            read_results,
        ),
    }


def main(examples: int) -> int:
    rows = {}
    for name, kind in kinds().items():
        rows[name] = tried(kind, examples)
        print(f"{name}: {rows[name].tried}", file=sys.stderr)
        # Each place once.
        for words, times in collections.Counter(rows[name].tracebacks).most_common(5):
            print(f"{times} times: {words}", file=sys.stderr)
        for words in rows[name].outside[:5]:
            print(f"outside: {words}", file=sys.stderr)
    print("| input | tried | refused in a sentence | were right | tracebacks | wrote outside |")
    print("|---|---|---|---|---|---|")
    for name, row in rows.items():
        counts = row.tried, row.refused, row.accepted, len(row.tracebacks), len(row.outside)
        print(f"| {name} | {' | '.join(map(str, counts))} |")
    return int(any(row.tracebacks or row.outside for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000))
