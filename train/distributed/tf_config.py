"""TF_CONFIG: the processes that train one model, as TensorFlow's launchers name them."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from typing import Any

from train.workdirs import documents
from zoo.errors import InputError

_EXAMPLE = '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", ...'
_JOBS = ("chief", "worker")


@dataclasses.dataclass(frozen=True)
class Task:
    """One of several processes; only the chief, which has index 0, writes files.

    Attributes:
      addresses: "host:port" of all processes, the chief's first.
      index: the number of this process.
    """

    addresses: tuple[str, ...]
    index: int


def read(environment: Mapping[str, str] = os.environ) -> Task | None:
    """Returns this process's task from TF_CONFIG; None if that is not set.

        {"cluster": {"chief": ["a:2222"], "worker": ["b:2222", "c:2222"]},
         "task": {"type": "worker", "index": 0}}

    If no chief is named, worker 0 is the chief.

    Raises:
      InputError: TF_CONFIG has another form.
    """
    text = environment.get("TF_CONFIG", "").strip()
    if not text:
        return None
    try:
        config = documents.parsed(text)
    except ValueError as error:
        raise InputError(f"TF_CONFIG is not JSON ({error}): write it as {_EXAMPLE}.") from None
    cluster, task = _part(config, "cluster"), _part(config, "task")
    for job in cluster:
        if job not in _JOBS:
            raise InputError(
                f"TF_CONFIG's cluster has the job {job!r}: training is synchronous, with "
                "workers and at most one chief."
            )
    addresses: list[str] = []
    for job in _JOBS:
        for address in _addresses(cluster.get(job, []), job):
            if address in addresses:
                raise InputError(f"TF_CONFIG names {address} twice: give each worker another one.")
            addresses.append(address)
    chiefs = len(cluster.get("chief", []))
    if chiefs > 1 or not addresses:
        raise InputError(
            f"TF_CONFIG's cluster has {chiefs} chiefs and {len(addresses) - chiefs} workers: "
            "give at least one worker and at most one chief."
        )
    kind, index = str(task.get("type")), str(task.get("index"))
    if kind not in cluster:
        raise InputError(
            f"TF_CONFIG's task has the type {kind!r}, but its cluster has {', '.join(cluster)}."
        )
    if not index.isdecimal() or int(index) >= len(cluster[kind]):
        raise InputError(
            f"TF_CONFIG's task has the index {index}, but its cluster has {len(cluster[kind])} of "
            f"type {kind}, numbered from 0."
        )
    return Task(tuple(addresses), int(index) + (chiefs if kind == "worker" else 0))


def _part(config: Any, name: str) -> dict[str, Any]:
    part = config.get(name) if isinstance(config, dict) else None
    if not isinstance(part, dict):
        raise InputError(f"TF_CONFIG has no {name}: write it as {_EXAMPLE}.")
    return part


def _addresses(found: Any, job: str) -> list[str]:
    if not isinstance(found, list):
        raise InputError(f"TF_CONFIG's {job} is {found!r}: give a list of host:port.")
    for address in found:
        host, colon, port = address.rpartition(":") if isinstance(address, str) else ("", "", "")
        if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
            raise InputError(f"TF_CONFIG's {job} {address!r} is not host:port.")
    return found
