import errno
import fcntl
import os
import signal
import subprocess
import sys

import pytest

from train.workdirs.lock import Lock
from zoo.errors import InputError

HOLD = """
import pathlib, sys, time
from train.workdirs.lock import Lock
lock = Lock(pathlib.Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_the_second_names_the_first_and_the_kernel_releases_what_was_killed(tmp_path):
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    with holder:
        assert holder.stdout.readline() == b"held\n"
        lock = Lock(path)
        with pytest.raises(InputError, match=f"Process {holder.pid} is training in --workdir="):
            lock.acquire()
        assert not lock.held
        holder.send_signal(signal.SIGKILL)
    lock.acquire()
    assert lock.held
    assert path.read_text() == f"{os.getpid()}\n"


def test_it_is_free_once_closed(tmp_path):
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    first.acquire()
    first.acquire()
    with pytest.raises(InputError, match=str(os.getpid())):
        second.acquire()
    first.close()
    second.acquire()
    assert second.held
    assert not first.held


def test_a_place_that_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="nowhere/lock cannot be written"):
        Lock(tmp_path / "nowhere" / "lock").acquire()


def test_a_file_system_without_locks_is_said_and_used(tmp_path, monkeypatch, capsys):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", flock)
    lock = Lock(tmp_path / "lock")
    lock.acquire()
    assert lock.held
    assert f"{lock.path} cannot be locked (No locks available)." in capsys.readouterr().err
    assert lock.path.read_text() == f"{os.getpid()}\n"
    lock.close()
    assert not lock.held


def test_closing_twice_and_before_it_is_held(tmp_path):
    lock = Lock(tmp_path / "lock")
    lock.close()
    lock.acquire()
    lock.close()
    lock.close()
    assert not lock.held
