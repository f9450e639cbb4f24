"""Good and bad requests from many clients at once: no good one may be lost.

    PYTHONPATH=.:tests python tests/load.py [requests] [clients] [folder of models]

starts `python -m export.serve` on the models, or on an untrained vae for MNIST, and prints
how many requests were good and bad, how many of them were answered otherwise than they
should be, requests per second, and the time of the good ones. Everything stays on loopback.
"""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import io
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import urllib3
from PIL import Image

from export.remote.rest import Rest

LEAVES = 0  # instead of a status: the client closes the connection in the middle of its request


@dataclasses.dataclass
class Case:
    """A request, the status it should have, and the outputs if it is a good one."""

    method: str
    path: str
    body: bytes
    status: int
    outputs: Any = None


@dataclasses.dataclass
class Load:
    """What came of a load; seconds of each good request."""

    good: int = 0
    lost: list[str] = dataclasses.field(default_factory=list)
    bad: int = 0
    misjudged: list[str] = dataclasses.field(default_factory=list)
    seconds: list[float] = dataclasses.field(default_factory=list)
    elapsed: float = 0.0


def cases(address: str) -> list[Case]:
    """Returns the good requests, each answered alone first, and after them the bad ones."""
    http = urllib3.PoolManager(retries=False)
    models = json.loads(http.request("GET", f"{address}/v1/models").data)["models"]
    found = {}
    for model in models:
        for name, signature in Rest(address, model["name"], None, 0, 60).signatures().items():
            found.setdefault(name, (f"/v1/models/{model['name']}:predict", signature))
    path, encode = found["encode"]
    (images, spec), chance = next(iter(encode.inputs.items())), np.random.default_rng(0)
    shape = tuple(spec.shape[1:])
    x = chance.random((3, *shape)).round(3)
    decode_path, decode = found["decode"]
    (z, z_spec) = next(iter(decode.inputs.items()))
    code = chance.normal(size=(2, *z_spec.shape[1:])).round(3)

    def body(**content: Any) -> bytes:
        return json.dumps(content).encode()

    def named(signature: str, values: Sequence[Any], rows: bool) -> bytes:
        return body(signature_name=signature, **{"instances" if rows else "inputs": values})

    good = [
        Case("GET", path.removesuffix(":predict"), b"", 200),
        Case("POST", path, named("encode", x.tolist(), True), 200),
        Case("POST", path, named("encode", {images: x[:1].tolist()}, False), 200),
        Case(
            "POST", decode_path, named("decode", [{z: each} for each in code.tolist()], True), 200
        ),
    ]
    bad = [
        Case("POST", path, b'{"instances": [', 400),
        Case("POST", path, b'{"instances": [NaN]}', 400),
        Case("POST", path, b"[" * 5000, 400),
        Case("POST", path, named("encode", x[:, 1:].tolist(), True), 400),
        Case("POST", path, named("encode", [["a"]], True), 400),
        Case("POST", decode_path, named("decode", code[:, 1:].tolist(), False), 400),
        Case("POST", path, named("nothing", [1], True), 404),
        Case("POST", "/v1/models/nothing:predict", named("encode", [1], True), 404),
        Case("POST", path.replace(":", "/versions/999:"), named("encode", [1], True), 404),
        Case("GET", path, b"", 405),
        Case("POST", path, b"x" * (8 << 20), 413),
        Case("POST", path, named("encode", x.tolist(), True), LEAVES),
    ]
    if "encode_bytes" in found:
        png = _png((x[0] * 255).astype(np.uint8))
        for content, status in [(png, 200), (png[: len(png) // 2], 400), (b"no image", 400)]:
            value = {"b64": base64.b64encode(content).decode()}
            case = Case("POST", path, named("encode_bytes", [value], True), status)
            (good if status == 200 else bad).append(case)
    for case in good:
        case.outputs = _flat(http.request(case.method, address + case.path, body=case.body).data)
    return good + bad


def bombard(address: str, requests: int, clients: int) -> Load:
    """Sends requests from as many threads as there are clients, seven of ten of them good."""
    known = cases(address)
    good = [case for case in known if case.status == 200]
    bad = [case for case in known if case.status != 200]
    chance = random.Random(0)
    order = [chance.choice(good if chance.random() < 0.7 else bad) for _ in range(requests)]
    pool = urllib3.PoolManager(maxsize=clients, block=True, retries=False, timeout=60)
    load, lock, left = Load(), threading.Lock(), iter(order)

    def client() -> None:
        while True:
            with lock:
                case = next(left, None)
            if case is None:
                return
            since = time.perf_counter()
            wrong = _wrong(pool, address, case)
            taken = time.perf_counter() - since
            with lock:
                if case.status == 200:
                    load.good += 1
                    load.seconds.append(taken)
                    load.lost += [wrong] if wrong else []
                else:
                    load.bad += 1
                    load.misjudged += [wrong] if wrong else []

    threads = [threading.Thread(target=client) for _ in range(clients)]
    since = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    load.elapsed = time.perf_counter() - since
    return load


def _wrong(pool: urllib3.PoolManager, address: str, case: Case) -> str | None:
    """Returns what is wrong with the answer to a request, if something is."""
    if case.status == LEAVES:
        host, port = address.removeprefix("http://").split(":")
        head = f"POST {case.path} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(case.body)}\r\n\r\n"
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(head.encode() + case.body[: len(case.body) // 2])
        return None
    try:
        reply = pool.request(case.method, address + case.path, body=case.body or None)
    except urllib3.exceptions.HTTPError as error:
        return f"{case.status} {case.path}: {error}"
    if reply.status != case.status:
        return f"{case.status} {case.path}: {reply.status} {reply.data[:200]!r}"
    if case.status != 200:
        content = json.loads(reply.data)
        return None if isinstance(content.get("error"), str) else f"{case.path}: {content}"
    outputs = _flat(reply.data)
    # The kernels may split a batch otherwise beside other work: the last bits of float32 differ.
    same = outputs.shape == case.outputs.shape and np.allclose(outputs, case.outputs, 0, 1e-4)
    return None if same else f"{case.path}: other outputs than alone"


def _flat(content: bytes) -> np.ndarray:
    """Returns every number of a JSON text, in order."""
    numbers: list[float] = []

    def visit(value: Any) -> None:
        if isinstance(value, dict):
            value = [value[key] for key in sorted(value)]
        if isinstance(value, list):
            for item in value:
                visit(item)
        elif isinstance(value, int | float):
            numbers.append(value)

    visit(json.loads(content))
    return np.array(numbers)


def _png(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(content, "PNG")
    return content.getvalue()


@contextlib.contextmanager
def serving(models: Path) -> Iterator[str]:
    """Runs `python -m export.serve` on a free port; gives its address."""
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "export.serve",
            f"--models={models}",
            "--port=0",
            "--max_body=1000000",
        ],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, "the server did not start"
            yield line.split()[0]
        finally:
            process.terminate()
            assert process.wait(60) == 0, "the server did not end as it should"


def untrained(folder: Path) -> None:
    """Exports an untrained vae for MNIST."""
    import zoo
    from export.saved_models import export_model

    export_model(zoo.build("vae", image_shape=(28, 28, 1), latent_dim=16, network="mlp"), folder)


def main(requests: int, clients: int, models: str | None) -> int:
    with contextlib.ExitStack() as stack:
        if models is None:
            models = stack.enter_context(tempfile.TemporaryDirectory())
            untrained(Path(models))
        address = stack.enter_context(serving(Path(models)))
        load = bombard(address, requests, clients)
    for wrong in sorted({*load.lost, *load.misjudged})[:20]:
        print(wrong, file=sys.stderr)
    p50, p99 = np.percentile(load.seconds, [50, 99]) * 1000
    print("| good | lost | bad | answered otherwise | requests/s | p50 | p99 |")
    print("|---|---|---|---|---|---|---|")
    print(
        f"| {load.good} | {len(load.lost)} | {load.bad} | {len(load.misjudged)} "
        f"| {requests / load.elapsed:.0f} | {p50:.1f} ms | {p99:.1f} ms |"
    )
    return int(bool(load.lost or load.misjudged))


if __name__ == "__main__":
    given = sys.argv[1:]
    sys.exit(
        main(
            int(given[0]) if given else 10_000,
            int(given[1]) if len(given) > 1 else 32,
            given[2] if len(given) > 2 else None,
        )
    )
