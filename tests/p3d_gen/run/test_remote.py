"""Run folders under URLs: on a real S3 server they hold the bytes that a local folder holds, and no half file."""

import hashlib
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest
from click.testing import CliRunner
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from p3d_gen.cli import main
from p3d_gen.core.errors import DataError, DependencyError, RunError
from p3d_gen.run.files import atomic_file, file_sha256, read_json, write_bytes, write_json
from p3d_gen.run.ledgers import read_ledger
from p3d_gen.run.remote import is_remote, local_copy, place
from p3d_gen.run.shards import read_shard, write_shard
from p3d_gen.run.store import create_run, open_run
from tests.helpers.assets import edit
from tests.helpers.commands import HOST, STAGES, free_port
from tests.helpers.fake_runs import fake_renders

SAMPLES = [("car-000000", {"json": b"{}", "mask.png": b"1"}), ("car-000001", {"json": b"[]", "mask.png": b"22"})]


def invoke(*arguments):
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def remote_files(run_dir):
    """Path in the run -> sha256, but for what holds times."""
    root = place(run_dir)
    return {
        str(path).removeprefix(str(root)).strip("/"): file_sha256(path)
        for path in root.rglob("*")
        if path.suffix in (".tar", ".npz", ".jpg")
    }


def member_sums(shard):
    """Member -> sha256 of a shard: which of them differs tells more than that its tar does."""
    return {
        f"{key}.{name}": hashlib.sha256(content).hexdigest()
        for key, members in read_shard(shard)
        for name, content in members.items()
    }


def test_local_places_are_plain_paths():
    assert place("runs/x") == Path("runs/x")
    assert place("file:///runs/x") == Path("/runs/x")
    assert not is_remote(place("/runs/x"))


def test_places_that_cannot_be(monkeypatch):
    monkeypatch.setitem(sys.modules, "gcsfs", None)
    with pytest.raises(DependencyError, match=r"gs://lab/run needs a driver.*pip install 'p3dgen\[gs\]'"):
        place("gs://lab/run")
    with pytest.raises(RunError, match=r"s4://lab/run is not a folder.*did you mean 's3'"):
        place("s4://lab/run")
    for secret in ("s3cret", "s3/cr/et"):
        with pytest.raises(RunError, match=r"^s3://\*\*\*@lab/run: this address holds a password.*AWS_ACCESS_KEY_ID"):
            place(f"s3://AKIA:{secret}@lab/run")


def test_shard_round_trip_in_memory():
    path = place("memory://round/trip") / "car-00000.tar"
    count, sha256 = write_shard(path, SAMPLES)
    assert (count, file_sha256(path)) == (2, sha256)
    assert list(read_shard(path)) == SAMPLES
    assert list(read_shard(path, only="json")) == [(key, {"json": m["json"]}) for key, m in SAMPLES]


def test_nothing_is_left_of_a_remote_write_that_failed():
    def broken():
        yield SAMPLES[0]
        raise KeyError("boom")

    root = place("memory://failed")
    with pytest.raises(KeyError):
        write_shard(root / "a.tar", broken())
    assert not root.exists()


def test_the_old_remote_file_stays_until_the_new_one_is_whole():
    path = place("memory://old") / "a"
    write_bytes(path, b"old")
    with atomic_file(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_a_copy_is_fetched_once_for_each_version(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    path, beside = (place("memory://copy") / name for name in ("a.npz", "a.blend"))
    write_bytes(path, b"first")
    write_bytes(beside, b"beside")
    first = local_copy(path, beside)
    assert first == local_copy(path, beside)
    assert (first.read_bytes(), first.with_suffix(".blend").read_bytes()) == (b"first", b"beside")
    write_bytes(path, b"second")
    assert local_copy(path).read_bytes() == b"second"
    assert first.read_bytes() == b"first"
    assert local_copy(first) == first


class Shelf(DirFileSystem):
    """A folder under a protocol of its own, whose uploads are seen while they come, as those of SFTP are."""

    protocol = "shelf"
    sep = "/"

    def __init__(self, **options):
        super().__init__(path=options["folder"], fs=LocalFileSystem())


def test_where_uploads_are_seen_a_file_takes_its_name_at_the_end(tmp_path, monkeypatch):
    from upath import UPath

    fsspec.register_implementation("shelf", Shelf, clobber=True)
    seen = []
    real = Shelf.put_file
    monkeypatch.setattr(Shelf, "put_file", lambda self, local, path: seen.append(path) or real(self, local, path))
    with pytest.warns(UserWarning, match="shelf"):
        root = UPath("shelf://run", folder=str(tmp_path))
    write_json(root / "sub" / "a.json", [1])
    assert [re.sub(r"\.[0-9a-f]{8}\.", ".", Path(path).name) for path in seen] == [".a.json.partial"]
    assert read_json(root / "sub" / "a.json") == [1]
    assert [path.name for path in (tmp_path / "run" / "sub").iterdir()] == ["a.json"]


def test_a_run_in_memory(manifest_path):
    run = create_run(place("memory://lab/run"), manifest_path)
    assert open_run("memory://lab/run") == run == create_run(place("memory://lab/run"), manifest_path)
    fake_renders(run)
    for command in ("stylize", "pack"):
        invoke(command, "memory://lab/run", "--workers", 1)
    assert {path.suffix for path in (run.root / "shards").iterdir()} == {".tar", ".json"}


def test_stages_on_s3_make_the_bytes_that_they_make_here(tmp_path, manifest_path, bucket):
    here, there = create_run(tmp_path / "here", manifest_path), create_run(place(f"{bucket}/run"), manifest_path)
    for run, workers in ((here, 1), (there, 2)):
        fake_renders(run)
        invoke("stylize", run.root, "--workers", 1, "--name", "other", "--min-survival", 0)
        invoke("pack", run.root, "--workers", 1, "--name", "other")
        invoke("stylize", run.root, "--workers", 1)
        said = invoke("pack", run.root, "--workers", workers)
    assert f"contact sheet: {bucket}/run/contact_sheet.jpg" in said
    local = {
        str(path.relative_to(here.root)): file_sha256(path)
        for path in here.root.rglob("*")
        if path.suffix in (".tar", ".npz", ".jpg")
    }
    assert remote_files(f"{bucket}/run") == local
    before = read_ledger(there, "shards", "car-00000")
    invoke("pack", there.root, "--workers", 1)
    assert read_ledger(open_run(f"{bucket}/run"), "shards", "car-00000") == before
    there.tar("shards", "car-00000").unlink()
    assert read_ledger(there, "shards", "car-00000") is None
    invoke("pack", there.root, "--workers", 1)
    assert remote_files(f"{bucket}/run") == local
    assert "4 of 4" in invoke("status", there.root)
    assert f"{bucket}/run/report.html" in invoke("report", there.root)
    assert "6 samples" in invoke("verify", there.root)


def test_a_damaged_remote_shard_is_named(bucket):
    path = place(f"{bucket}/a.tar")
    write_shard(path, SAMPLES)
    content = path.read_bytes()
    path.fs.pipe_file(path.path, content[:1536])
    with pytest.raises(DataError, match=r"s3://lab/a\.tar cannot be read.*delete it"):
        list(read_shard(path))


def test_of_two_writers_of_a_remote_shard_the_last_one_wins(bucket):
    path = place(f"{bucket}/a.tar")
    with atomic_file(path) as slow:
        slow.write(b"half")
        _, sha256 = write_shard(path, SAMPLES)
        assert file_sha256(path) == sha256
        slow.seek(0)
        slow.write(b"whole")
    assert path.read_bytes() == b"whole"


def test_a_server_that_does_not_answer_is_an_error(bucket, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{HOST}:{free_port('closed')}")
    fsspec.filesystem("s3").clear_instance_cache()
    result = CliRunner().invoke(main, ["pack", f"{bucket}/run"])
    assert result.exit_code == 1
    assert "s3://lab/run/run.json cannot be reached" in result.output


def test_what_is_not_there_is_an_error(bucket, manifest_path):
    result = CliRunner().invoke(main, ["pack", f"{bucket}/none"])
    assert "s3://lab/none is not a run folder" in result.output
    with pytest.raises(RunError, match=r"s3://other/run/run\.json cannot be written.*make the bucket first"):
        create_run(place("s3://other/run"), manifest_path)


WRITER = """
import sys
from p3d_gen.run.shards import write_shard
from p3d_gen.run.remote import place

def samples():
    for number in range(40):
        yield f"car-{number:06d}", {"bin": bytes(5_000_000)}

write_shard(place(sys.argv[1]), samples())
"""


def test_sigkill_in_the_middle_of_an_upload_leaves_nothing_half(bucket):
    path = place(f"{bucket}/run/car-00000.tar")
    writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)])
    while not path.fs.list_multipart_uploads("lab"):
        assert writer.poll() is None
        time.sleep(0.02)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert not path.exists()
    write_shard(path, SAMPLES)
    assert [key for key, _ in read_shard(path)] == ["car-000000", "car-000001"]


@pytest.mark.blender
def test_rendering_to_s3(tmp_path, manifest_path, bucket):
    """Models are prepared and fetched, materials and all; several processes prepare them at once."""
    edit(manifest_path, ("samples_per_category = 3", "samples_per_category = 1"), ('["car", "chair"]', '["car"]'))
    invoke("run", manifest_path, "--out", tmp_path / "here", "--workers", 1)
    invoke("run", manifest_path, "--out", f"{bucket}/run", "--workers", 1)
    there = remote_files(f"{bucket}/run")
    assert len(there) == 6
    for stage in STAGES:
        shard = f"{stage}/car-00000.tar"
        assert member_sums(place(f"{bucket}/run") / shard) == member_sums(tmp_path / "here" / shard)
    for name, sha256 in there.items():
        assert file_sha256(tmp_path / "here" / name) == sha256
    assert json.loads((place(f"{bucket}/run") / "render" / "car-00000.json").read_text())["count"] == 1
    assert "1 samples" in invoke("verify", f"{bucket}/run")
