"""Files are whole or not there, and shards are the same bytes for the same samples."""

import errno
import os
import tarfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from p3d_gen.core.errors import BusyError, DataError, RunError
from p3d_gen.run.disk import appended_file, lock_file
from p3d_gen.run.files import atomic_file, compact_json, write_bytes, write_json
from p3d_gen.run.remote import place
from p3d_gen.run.shards import read_shard, write_shard

SAMPLES = [("car-000000", {"json": b"{}", "mask.png": b"1"}), ("car-000001", {"json": b"[]", "mask.png": b"22"})]


def test_shard_round_trip(tmp_path):
    path = tmp_path / "new" / "car-00000.tar"
    count, sha256 = write_shard(path, SAMPLES)
    assert count == 2
    assert list(read_shard(path)) == SAMPLES
    assert write_shard(tmp_path / "again.tar", iter(SAMPLES)) == (2, sha256)


def test_empty_shard(tmp_path):
    write_shard(tmp_path / "a.tar", [])
    assert list(read_shard(tmp_path / "a.tar")) == []


def test_nothing_is_left_of_a_write_that_failed(tmp_path):
    def broken():
        yield SAMPLES[0]
        raise KeyError("boom")

    with pytest.raises(KeyError):
        write_shard(tmp_path / "a.tar", broken())
    assert list(tmp_path.iterdir()) == []


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a"
    write_bytes(path, b"old")
    with pytest.raises(KeyError), atomic_file(path) as file:  # noqa: PT012  the state between is the point
        file.write(b"new")
        assert path.read_bytes() == b"old"
        raise KeyError
    assert path.read_bytes() == b"old"


def test_the_leftover_of_a_killed_writer_is_overwritten(tmp_path):
    (tmp_path / ".a.partial").write_bytes(b"a much longer leftover")
    write_bytes(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_two_writers_of_one_file(tmp_path, monkeypatch):
    monkeypatch.setattr("p3d_gen.run.disk._PATIENCE_S", 0.1)
    with atomic_file(tmp_path / "a") as file:
        file.write(b"first")
        with pytest.raises(RunError, match="written by another process"):
            write_bytes(tmp_path / "a", b"second")
    assert (tmp_path / "a").read_bytes() == b"first"


def test_a_writer_that_waits_gets_its_turn(tmp_path):
    """As when two processes begin a run at the same time: both write the same."""
    with ThreadPoolExecutor(1) as pool:
        with atomic_file(tmp_path / "a") as file:
            file.write(b"first")
            second = pool.submit(write_bytes, tmp_path / "a", b"second")
            time.sleep(0.2)
            assert not second.done()
        second.result()
    assert (tmp_path / "a").read_bytes() == b"second"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        write_bytes(tmp_path / "file" / "a", b"x")


@pytest.fixture
def fits():
    """A function that limits the size of files: a write is refused in the kernel just where a full disk refuses it."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_full_disk(tmp_path, fits):
    """A file-size limit fails a write in the kernel just where a full disk does."""
    write_shard(tmp_path / "before.tar", SAMPLES)
    fits(20_000)
    with pytest.raises(RunError, match=r"big\.tar cannot be written.*free some space.*kept") as caught:
        write_shard(tmp_path / "big.tar", [("a", {"bin": bytes(100_000)})])
    assert caught.value.__cause__.errno == errno.EFBIG
    assert [path.name for path in tmp_path.iterdir()] == ["before.tar"]


@pytest.mark.parametrize("root", ["here", "memory://full"])
def test_a_disk_that_is_full_anywhere_in_a_file(tmp_path, fits, root):
    """Also within the last bytes, which are buffered until the file is closed."""
    root = tmp_path if root == "here" else place(root)
    whole = tmp_path / "whole.tar"
    write_shard(whole, SAMPLES)
    for size in [*range(0, whole.stat().st_size, 777), whole.stat().st_size - 1]:
        fits(size)
        with pytest.raises(RunError, match=r"car-0\.tar cannot be written.*free some space.*what is finished is kept"):
            write_shard(root / "car-0.tar", SAMPLES)
        fits(min(size, 99))
        with pytest.raises(RunError, match=r"a\.json cannot be written.*free some space"):
            write_json(root / "a.json", ["x" * 100])
    fits(whole.stat().st_size)
    assert write_shard(root / "car-0.tar", SAMPLES)[0] == 2
    assert not list(tmp_path.glob(".*"))


def test_a_file_to_add_to_on_a_full_disk(tmp_path, fits):
    fits(3)
    with (
        pytest.raises(RunError, match=r"log cannot be written.*free some space"),
        appended_file(tmp_path / "log") as log,
    ):
        log.write(b"a line\n")


@pytest.mark.parametrize("link", [Path.symlink_to, Path.hardlink_to])
def test_nothing_is_written_through_a_link(tmp_path, link):
    """Which somebody else may have put into a folder that is reported here."""
    theirs = tmp_path / "precious.txt"
    theirs.write_text("precious")
    link(tmp_path / ".a.partial", theirs)
    write_bytes(tmp_path / "a", b"new")
    (tmp_path / "b").symlink_to(theirs)
    write_bytes(tmp_path / "b", b"new")
    (tmp_path / "log").symlink_to(theirs)
    with pytest.raises(RunError, match=r"log is a link"):
        appended_file(tmp_path / "log")
    assert theirs.read_text() == "precious"
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes() == b"new"
    assert not (tmp_path / "b").is_symlink()
    assert not (tmp_path / ".a.partial").exists()


def test_what_is_not_a_file_does_not_stop_a_writer(tmp_path):
    os.mkfifo(tmp_path / ".a.partial")
    write_bytes(tmp_path / "a", b"new")
    (tmp_path / ".b.partial").mkdir()
    with pytest.raises(RunError, match=r"\.b\.partial is a folder.*remove it"):
        write_bytes(tmp_path / "b", b"new")


def test_a_claim_is_refused_at_once_and_leaves_the_file_as_it_is(tmp_path):
    path = tmp_path / "a"
    write_bytes(path, b"old")
    start = time.monotonic()
    with atomic_file(path, optional=True), pytest.raises(BusyError), atomic_file(path, wait=False):
        raise AssertionError("there are two writers")
    assert time.monotonic() - start < 1
    assert path.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("keep", [100, 700, 1300])
def test_cut_tar(tmp_path, keep):
    path = tmp_path / "a.tar"
    write_shard(path, SAMPLES)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(DataError, match=r"a\.tar cannot be read.*delete it"):
        list(read_shard(path))


def test_tar_with_something_else_in_it(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        info = tarfile.TarInfo("folder.x")
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
    with pytest.raises(DataError, match="not a file of a sample"):
        list(read_shard(tmp_path / "a.tar"))


def test_json_refuses_what_other_readers_refuse():
    with pytest.raises(ValueError, match="JSON"):
        compact_json({"x": float("nan")})


def test_a_lock_is_one_writers_or_many_readers(tmp_path):
    path = tmp_path / "a"
    path.touch()
    with path.open("rb") as first, path.open("rb") as second, path.open("rb") as third:
        lock_file(first, shared=True)
        lock_file(second, shared=True, wait=False)
        with pytest.raises(BlockingIOError):
            lock_file(third, wait=False)
    with path.open("rb") as alone:
        lock_file(alone, wait=False)
