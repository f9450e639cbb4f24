"""The command: flags, what it prints, and how a signal ends it."""

import os
import signal
import socket
import subprocess
import sys
import time

import linear_autoencoder as served
import pytest
import urllib3
from commands import run


def started(*flags):
    """Returns the process of `python -m export.serve FLAGS` and its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "export.serve", "--port=0", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    line = process.stdout.readline()
    assert line, process.stderr.read()
    return process, line.split()[0], line.split()[1:]


def test_it_serves_until_a_signal_and_answers_what_it_has_begun(tmp_path):
    served.write(tmp_path, "model", 1)
    served.write(tmp_path, "model", 2)
    process, address, names = started(f"--models={tmp_path}", "--all_versions")
    assert address.startswith("http://127.0.0.1:")
    assert names == ["model/1", "model/2"]
    body = b'{"signature_name": "decode", "instances": [[0, 0, 0]]}'
    head = b"POST /v1/models/model:predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(head % len(body) + body[:20])
        assert urllib3.request("GET", address + "/health").status == 200
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, int(port)), timeout=5)
        connection.sendall(body[20:])
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert process.wait(20) == 0
    assert process.stderr.read() == ""


def test_help_is_there_before_tensorflow(tmp_path):
    before = time.monotonic()
    done = run("--help", cwd=tmp_path, module="export.serve")
    assert done.returncode == 0
    assert "--models=exports/alice" in done.stdout
    assert "--max_batch" in done.stdout
    assert time.monotonic() - before < 60


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--models is missing"),
        (("--models=nowhere",), "--models=nowhere is not a folder"),
        (("--models=.",), "has no NAME/VERSION/saved_model.pb"),
        (("--models=.", "--port=99999"), "port"),
        (("--models=.", "--max_batch=0"), "max_batch"),
        (("--models=out", "--port=TAKEN"), "Address already in use"),
        (("--models=out", "--host=999.1.1.1"), "--host=999.1.1.1"),
    ],
)
def test_wrong_input_is_one_sentence(tmp_path, flags, message):
    (tmp_path / "out" / "model" / "1").mkdir(parents=True)
    (tmp_path / "out" / "model" / "1" / "saved_model.pb").write_text("not reached")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = run(*(f.replace("TAKEN", port) for f in flags), cwd=tmp_path, module="export.serve")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert message in done.stderr
