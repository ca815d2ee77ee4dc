"""Shards that a Ray cluster makes are those of this machine, whatever becomes of its nodes."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from p3d_gen.cli import main
from p3d_gen.pack.stage import pack_shard
from p3d_gen.run.local import run_shards
from p3d_gen.run.ray import _gpu_number, connect
from p3d_gen.run.store import create_run
from p3d_gen.stylize.stage import stylize_shard
from tests.helpers.assets import edit
from tests.helpers.commands import BIN, LOOPBACK, free_port, shard_hashes
from tests.helpers.fake_runs import fake_renders


def soon(is_true, patience_s=30):
    """Wait for something to become true."""
    end = time.monotonic() + patience_s
    while not is_true() and time.monotonic() < end:
        time.sleep(0.05)
    return is_true()


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def stylized(root, manifest_path):
    """A run that is ready to be packed."""
    run = create_run(root, manifest_path)
    fake_renders(run)
    list(run_shards(stylize_shard, str(run.root), run.all_shards(), 1, int))
    return run


def node(number):
    """A node with one processor that starts as few processes as it can."""
    ports = ("metrics_agent_port", "runtime_env_agent_port", "metrics_export_port", "dashboard_agent_listen_port")
    return {
        "num_cpus": 1,
        "node_ip_address": LOOPBACK,
        "object_store_memory": 80 * 2**20,
        "include_dashboard": False,
        "include_log_monitor": False,
        "no_monitor": True,
        **{port: free_port((number, port)) for port in ports},
    }


@pytest.fixture(scope="module")
def cluster():
    """Three nodes on this machine."""
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args=node(0))
    for number in (1, 2):
        nodes.add_node(**node(number))
    yield nodes
    connect(nodes.address).shutdown()
    connect.cache_clear()
    nodes.shutdown()


def writes_into(raylet, folder):
    """Whether a worker of a node has a file of a folder open."""
    for worker in psutil.Process(raylet.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            if any(Path(file.path).parent == folder for file in worker.open_files()):
                return True
    return False


def kill_in_the_middle(cluster, packed):
    """Kill a node without a word while it makes a shard, once another shard is finished."""

    def kill():
        while not stop.wait(0.01):
            for node in list(cluster.worker_nodes):
                if list(packed.glob("*.json")) and writes_into(node.all_processes["raylet"][0], packed):
                    cluster.remove_node(node, allow_graceful=False)
                    return

    stop = threading.Event()
    thread = threading.Thread(target=kill)
    thread.start()
    return stop, thread


@pytest.mark.slow
def test_a_node_that_dies_in_the_middle_changes_no_byte(tmp_path, manifest_path, cluster):
    edit(
        manifest_path,
        ("samples_per_category = 3", "samples_per_category = 20"),
        ("shard_size = 2", "shard_size = 4"),
        ('source = "assets/backgrounds"', 'source = "assets/backgrounds"\nper_render = 100'),
    )
    here = stylized(tmp_path / "here", manifest_path)
    shutil.copytree(here.root, tmp_path / "there")
    list(run_shards(pack_shard, str(here.root), here.all_shards(), 1, int))
    stop, killer = kill_in_the_middle(cluster, tmp_path / "there" / "shards")
    result = invoke("pack", tmp_path / "there", "--shards", "0-9", "--engine", "ray", "--address", cluster.address)
    stop.set()
    killer.join()
    assert result.exit_code == 0, result.output
    assert "was lost and is made again: Task failed because the node" in result.stderr
    assert "pack: 4000 samples in 10 shards, 0 failed" in result.output
    assert shard_hashes(tmp_path / "there") == shard_hashes(here.root)
    assert not list((tmp_path / "there" / "shards").glob(".*.partial"))


@pytest.mark.slow
def test_an_error_of_the_stage_is_the_same_as_here(tmp_path, manifest_path, cluster):
    run = stylized(tmp_path / "run", manifest_path)
    run.tar("stylize", "car-00001").unlink()
    here = invoke("pack", run.root, "--workers", 1)
    there = invoke("pack", run.root, "--engine", "ray", "--address", cluster.address)
    assert here.exit_code == there.exit_code == 1
    assert there.output.splitlines()[-1] == here.output.splitlines()[-1]
    assert "car-00001.tar is not there: run `p3dgen stylize` first" in there.output


@pytest.mark.slow
def test_what_no_node_has_is_an_error(tmp_path, manifest_path, cluster):
    run = stylized(tmp_path / "run", manifest_path)
    result = invoke("pack", run.root, "--engine", "ray", "--address", cluster.address, "--num-cpus", 2)
    assert result.exit_code == 1
    assert "no node of the Ray cluster has 2 processors and 0 GPUs" in result.output


@pytest.mark.slow
@pytest.mark.blender
def test_all_stages_on_a_cluster_of_this_machine_alone(tmp_path, manifest_path):
    scratch = Path(tempfile.mkdtemp(dir="/tmp", prefix="p"))  # Ray's sockets need a short name
    environment = {**os.environ, "TMPDIR": str(scratch)}
    for name, engine in (("here", ["--workers", "1"]), ("there", ["--engine", "ray"])):
        command = [BIN, "run", manifest_path, "--out", tmp_path / name, *engine]
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
    assert soon(lambda: not list(scratch.iterdir()))
    scratch.rmdir()
    assert shard_hashes(tmp_path / "there") == shard_hashes(tmp_path / "here")
    assert "--engine ray" in json.loads((tmp_path / "there" / "shards" / "car-00000.json").read_text())["command"]


def test_ray_that_is_not_there(run, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    result = invoke("stylize", run.root, "--engine", "ray")
    assert result.exit_code == 1
    assert "pip install 'p3dgen[ray]'" in result.output


def test_no_cluster_at_the_address(run):
    result = invoke("stylize", run.root, "--engine", "ray", "--address", f"{LOOPBACK}:{free_port('closed')}")
    assert result.exit_code == 1
    assert "no Ray cluster answers at 127.0.0.2" in result.output


def test_options_of_ray_are_for_ray(run):
    result = invoke("stylize", run.root, "--num-gpus", 1)
    assert result.exit_code == 2
    assert "--num-gpus is for --engine ray" in result.output


@pytest.mark.parametrize(
    ("assigned", "visible", "number"),
    [([], None, 0), (["2"], None, 2), (["5"], "4,5", 1), (["GPU-b"], "GPU-a,GPU-b", 1)],
)
def test_a_gpu_is_known_by_its_place(assigned, visible, number):
    assert _gpu_number(assigned, visible) == number
