"""Shards under URLs: read as they are on a disk, from an S3 server and from web servers with and without ranges."""

import http.server
import re
import shutil
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from p3d_gen.core.errors import DataError, P3DError
from p3d_gen.run.remote import answers_ranges, place
from p3d_gen.run.shards import read_shard
from pose_models.cli import main
from pose_models.data.datasets import open_dataset
from pose_models.data.shards import ShardSamples, entry_labels, shard_categories, shard_paths
from tests.helpers.boxes import write_run
from tests.helpers.commands import HOST


class Plain(http.server.SimpleHTTPRequestHandler):
    """Sends whole files only, as `python -m http.server` does."""

    def log_message(self, *arguments):
        """Say nothing."""


class Ranges(Plain):
    """Sends parts of files too, as most web servers do."""

    def do_GET(self):
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers.get("Range", ""))
        path = Path(self.translate_path(self.path))
        if not match or not path.is_file():
            super().do_GET()
            return
        with path.open("rb") as file:
            file.seek(int(match[1]))
            content = file.read(int(match[2]) + 1 - int(match[1]))
        self.send_response(206)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = write_run(tmp_path_factory.mktemp("served") / "run", train=4, test=1)
    shutil.copy(run / "shards" / "box-00000.tar", run / "shards" / "box-00001.tar")
    return run


@pytest.fixture(params=[Plain, Ranges])
def web(run, request):
    """The address of the folder that holds the run."""
    server = http.server.ThreadingHTTPServer((HOST, 0), partial(request.param, directory=run.parent))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{HOST}:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def s3_run(bucket, run):
    fs = place(f"{bucket}/x").fs
    fs.put(str(run), "lab/run", recursive=True)
    return f"{bucket}/run"


def assert_same(here, there):
    assert [entry.key for entry in here.entries] == [entry.key for entry in there.entries]
    for ours, theirs in zip(here, there, strict=True):
        np.testing.assert_array_equal(ours.image, theirs.image)
        np.testing.assert_array_equal(ours.mask, theirs.mask)
        np.testing.assert_array_equal(ours.cam_T_obj, theirs.cam_T_obj)
    assert entry_labels(there.entries[0]) == entry_labels(here.entries[0])


def test_samples_of_a_web_server_are_those_of_the_disk(run, web):
    here = shard_paths(str(run / "shards"), "box")
    for address in (f"{web}/run", f"{web}/run/shards", f"{web}/run/shards/box-{{00000..00001}}.tar"):
        paths = shard_paths(address, "box")
        assert [str(path) for path in paths] == [f"{web}/run/shards/{path.name}" for path in here]
        assert shard_categories(address) == ["box"]
    assert list(read_shard(paths[0])) == list(read_shard(here[0]))
    samples = ShardSamples(paths)
    assert all(bool(entry.held) != answers_ranges(paths[0]) for entry in samples.entries)
    assert_same(ShardSamples(here), samples)


def test_a_damaged_shard_of_a_web_server_is_named(run, web):
    tar = run / "shards" / "cut-00000.tar"
    for kept in (600, -1024, -10240):
        tar.write_bytes((run / "shards" / "box-00000.tar").read_bytes()[:kept])
        with pytest.raises(P3DError, match=r"run/shards/cut-00000\.tar cannot be rea.*"):
            ShardSamples(shard_paths(f"{web}/run/shards/cut-00000.tar", "cut"))
    tar.unlink()
    with pytest.raises(DataError, match=r"cut-00000\.tar does not exist"):
        ShardSamples(shard_paths(f"{web}/run/shards/cut-00000.tar", "cut"))


def test_samples_of_s3_are_those_of_the_disk(run, s3_run):
    here = shard_paths(str(run), "box")
    for address in (s3_run, f"{s3_run}/shards", f"{s3_run}/shards/box-*.tar"):
        assert_same(ShardSamples(here), ShardSamples(shard_paths(address, "box")))
    (sample, *_) = open_dataset(s3_run, split="val").read("box")
    assert sample.key == "box-000000"
    with pytest.raises(DataError, match=r"s3://lab/none does not exist"):
        shard_paths("s3://lab/none", "box")


def test_a_shard_that_changes_while_it_is_read_is_named(s3_run):
    samples = ShardSamples(shard_paths(s3_run, "box"))
    path = place(samples.entries[0].shard)
    path.fs.pipe_file(path.path, path.read_bytes()[:5000])
    with pytest.raises(P3DError, match=r"s3://lab/run/shards/box-00000\.tar"):
        samples[3]


def test_training_from_s3_is_training_from_the_disk(tmp_path, run, s3_run):
    weights = []
    for name, shards in (("here", run), ("there", s3_run)):
        words = [
            "train",
            "--shards",
            shards,
            "--out",
            tmp_path / name,
            "--steps=2",
            "--backbone=test_resnet",
            "--weights=none",
        ]
        words += ["--batch", 2, "--image-size", 64, "--vertices", 100, "--device", "cpu", "--workers", 1]
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert result.exit_code == 0, result.output
        weights.append((tmp_path / name / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]
