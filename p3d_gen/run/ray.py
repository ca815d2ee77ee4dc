"""The engine on a Ray cluster: every shard is a task, on whichever node has what it needs.

All nodes need this package, the manifest's sources under the same paths, and the run folder: on a shared disk under the
same path, or under a URL.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import os
import secrets
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from p3d_gen.core.errors import BusyError, DependencyError, P3DError, RunError
from p3d_gen.run.ledgers import Ledger
from p3d_gen.run.remote import in_this_process_only
from p3d_gen.run.scratch import ScratchFolder
from p3d_gen.run.stage import Stage, enter
from p3d_gen.run.turns import Turns
from p3d_gen.run.versions import COMMAND_VARIABLE, command

_TRIES = 4
_PATIENCE_S = 10.0
_IN_FLIGHT = 1000
_GLANCE_S = 0.5
_LOOPBACK = "127.0.0.1"
_SHORT_FOLDER = Path("/tmp")
_SESSIONS = "r"  # which Ray opens to all users; the folder above it is this user's alone
_held: list[ScratchFolder] = []  # until this process ends
_SOCKET_CHARS = 108 - len("/r/session_2000-01-01_00-00-00_000000_1234567/sockets/plasma_store.10") - 1
# Without this Ray replaces the loopback address by this machine's address in the network, and listens to all of it.
_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
# The stages choose among all GPUs by their number: a process that has used one of them cannot be shown another.
_ENVIRONMENT = {"RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES": "1"}


@dataclass(frozen=True, kw_only=True)
class Needs:
    """Processors and GPUs that Ray sets aside for each shard that is being made."""

    cpus: float = 1.0
    gpus: float = 0.0


def _check_answer(address: str) -> None:
    """Raise RunError at once if nobody listens: Ray itself tries for minutes."""
    host, _, port = address.rpartition("//")[2].rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_PATIENCE_S).close()
    except (OSError, ValueError) as error:
        raise RunError(
            f"no Ray cluster answers at {address} ({error}): correct --address or RAY_ADDRESS; "
            "`ray start --head` starts a cluster"
        ) from None


def _scratch() -> ScratchFolder:
    """Return a folder for Ray's files, which Ray leaves where they are. Its sockets must have short names."""
    folder = ScratchFolder()
    if len(os.fsencode(folder.path)) <= _SOCKET_CHARS:
        return folder
    folder.close()
    return ScratchFolder(_SHORT_FOLDER)


@functools.cache
def connect(address: str | None) -> ModuleType:
    """Return the package ray, connected to the cluster at `address` until this process ends.

    address: None stands for RAY_ADDRESS in the environment. If that is not set, a cluster of this machine alone is
    started, which ends with this process. DependencyError if Ray is not installed, RunError if no cluster answers.
    """
    if importlib.util.find_spec("ray") is None:
        raise DependencyError("--engine ray needs the package ray, which is not installed: pip install 'p3dgen[ray]'")
    address = address or os.environ.get("RAY_ADDRESS")
    if address and ":" in address:
        _check_answer(address)
    if not address:  # other users of this machine reach Ray's ports, and whoever talks to them runs what he likes
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32), **_ALONE}
    import ray  # which reads the environment

    alone = {"address": "local", "include_dashboard": False, "_node_ip_address": _LOOPBACK}
    if not address:
        _held.append(_scratch())
        alone["_temp_dir"] = str(_held[-1].path / _SESSIONS)
    environment = {"env_vars": {**_ENVIRONMENT, COMMAND_VARIABLE: command()}}
    try:
        ray.init(
            **({"address": address} if address else alone),
            runtime_env=environment,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # Ray also raises bare Exceptions if one of its processes does not start
        where = f"Ray cannot join the cluster {address}" if address else "Ray cannot be started on this machine"
        raise RunError(f"{where}: {error}; `ray status` says more of a cluster") from error
    return ray


def _check_reach(ray: ModuleType, run_dir: str, needs: Needs) -> None:
    """Raise RunError if no node could ever make a shard: Ray would wait for one in silence."""
    if in_this_process_only(run_dir):
        raise RunError(f"{run_dir} is seen by this process alone: use --engine local, or a folder that all nodes share")
    wanted = {"CPU": needs.cpus, "GPU": needs.gpus}
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(all(node.get(kind, 0) >= number for kind, number in wanted.items()) for node in nodes):
        raise RunError(
            f"no node of the Ray cluster has {needs.cpus:g} processors and {needs.gpus:g} GPUs, which one shard takes: "
            "add such a node, or ask for less by --num-cpus and --num-gpus"
        )


def _gpu_number(assigned: Sequence[Any], visible: str | None) -> int:
    """Return the place of the GPU that Ray has assigned among those that this process sees; 0 if it has assigned
    none."""
    if not assigned:
        return 0
    return visible.split(",").index(str(assigned[0])) if visible else int(assigned[0])


def _make(stage: Stage, run_dir: str, shard: str) -> Ledger:
    import ray

    enter(lambda: None, _gpu_number(ray.get_gpu_ids(), os.environ.get("CUDA_VISIBLE_DEVICES")))
    return stage(run_dir, shard)


def _ledger(ray: ModuleType, reference: Any) -> Ledger | str:
    """Return the ledger of a task that has ended, or Ray's reason for having lost it. The stage's own error is raised
    as it is."""
    try:
        ledger: Ledger = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, P3DError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        return str(error).strip().partition("\n")[0]
    return ledger


def run_shards_on_ray(
    stage: Stage,
    run_dir: str,
    shards: Sequence[str],
    *,
    address: str | None,
    needs: Needs,
    at_once: int | None,
    on_news: Callable[[str], None],
) -> Iterator[Ledger]:
    """Yield the ledger of each shard as it is finished, in any order.

    address: see `connect`. at_once: largest number of shards made at the same time; None: as many as the cluster has
    room for. If the worker or node of a shard is lost, the shard is made again elsewhere, up to four times in all, and
    `on_news` is told. An error of the stage itself stops the run and is raised here, as with the local engine.
    """
    ray = connect(address)
    _check_reach(ray, run_dir, needs)
    task = ray.remote(num_cpus=needs.cpus, num_gpus=needs.gpus, max_retries=0, max_calls=0)(_make)
    turns, lost = Turns(shards), Counter[str]()
    running: dict[Any, str] = {}
    try:
        while turns or running:
            while len(running) < (at_once or _IN_FLIGHT) and (shard := turns.next()):
                running[task.remote(stage, run_dir, shard)] = shard
            if not running:
                time.sleep(_GLANCE_S)
                continue
            for reference in ray.wait(list(running), timeout=_GLANCE_S if turns else None)[0]:
                shard = running.pop(reference)
                try:
                    outcome = _ledger(ray, reference)
                except BusyError:
                    turns.put_off(shard)
                    continue
                if isinstance(outcome, Ledger):
                    yield outcome
                    continue
                lost[shard] += 1
                if lost[shard] == _TRIES:
                    raise RunError(
                        f"Ray lost {shard} {_TRIES} times, at last so: {outcome}; see to the cluster's nodes (out of "
                        "memory?) and run the same command again: finished shards are kept"
                    )
                on_news(f"{shard} was lost and is made again: {outcome}")
                turns.again(shard)
    finally:
        for reference in running:
            ray.cancel(reference)
