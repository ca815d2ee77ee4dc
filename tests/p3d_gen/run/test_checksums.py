"""Remembered checksums: whatever is remembered, a file that has changed is noticed, and a healthy one is not blamed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time

import pytest

from p3d_gen.core.errors import AssetError
from p3d_gen.run.checksums import changed_files, checksums

# prints what a process of its own takes for the checksums of a folder's files, and which have changed
_ELSEWHERE = """
import json, sys
from pathlib import Path
from p3d_gen.run.checksums import changed_files, checksums
paths = sorted(Path(sys.argv[1]).iterdir())
recorded = {path: sha256 for path, sha256 in zip(paths, sys.argv[2:], strict=False)}
print(json.dumps([list(checksums(paths).values()), [path.name for path in changed_files(recorded)]]))
"""


@pytest.fixture
def elsewhere(tmp_path):
    """A function that looks at a folder from another process, with a cache that outlives it."""

    def look(folder, *recorded):
        environment = os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")}
        command = [sys.executable, "-c", _ELSEWHERE, str(folder), *recorded]
        return json.loads(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)

    return look


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    for n in range(3):
        (folder / f"{n}.bin").write_bytes(bytes([n]) * 1000)
    return folder


def true_sums(folder):
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())]


def edit(path, content):
    """Change a file so that neither its size nor its time of change tells."""
    times = path.stat()
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_every_edit_is_noticed_here_and_elsewhere(folder, elsewhere):
    for pause_s, content in ((0, b"a"), (2.1, b"b"), (0, b"c"), (2.1, b"d")):
        time.sleep(pause_s)
        before = true_sums(folder)
        assert list(checksums(sorted(folder.iterdir())).values()) == before
        assert elsewhere(folder, *before) == [before, []]
        edit(folder / "1.bin", content * 1000)
        after = true_sums(folder)
        assert list(checksums(sorted(folder.iterdir())).values()) == after
        assert changed_files(dict(zip(sorted(folder.iterdir()), before, strict=True))) == [folder / "1.bin"]
        assert elsewhere(folder, *before) == [after, ["1.bin"]]


def test_what_is_remembered_is_used_but_blames_nobody(folder, elsewhere, tmp_path):
    time.sleep(2.1)
    right = true_sums(folder)
    elsewhere(folder)
    (store,) = (tmp_path / "cache" / "p3dgen" / "checksums").iterdir()
    store.write_text(store.read_text().replace(right[0], "f" * 64))
    sums, changed = elsewhere(folder, *right)
    assert sums == ["f" * 64, *right[1:]]
    assert changed == []
    assert elsewhere(folder)[0] == sums  # looking at one file again does not write
    (folder / "2.bin").unlink()
    (folder / "3.bin").write_bytes(b"3")
    time.sleep(2.1)
    elsewhere(folder)
    assert [name.rpartition("/")[2] for name in json.loads(store.read_text())] == ["0.bin", "1.bin", "3.bin"]


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', '{"a": [1, 2, 3, 4]}', '{"a": [1, 2, 3, "x", "y"]}'])
def test_a_damaged_cache_is_no_cache(folder, elsewhere, tmp_path, content):
    time.sleep(2.1)
    right, _ = elsewhere(folder)
    (store,) = (tmp_path / "cache" / "p3dgen" / "checksums").iterdir()
    whole = store.read_text()
    store.write_text(content)
    assert elsewhere(folder)[0] == right
    assert store.read_text() == whole


def test_a_cache_that_cannot_be_written(folder, elsewhere, tmp_path):
    (tmp_path / "cache").write_text("not a folder")
    assert elsewhere(folder, *true_sums(folder)) == [true_sums(folder), []]


def test_missing_files_are_named(folder):
    with pytest.raises(AssetError, match=r"4\.bin cannot be read: No such file"):
        checksums([folder / "0.bin", folder / "4.bin"])
    assert checksums([]) == {}
