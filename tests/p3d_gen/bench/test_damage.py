"""The damage census: what it damages, the list of data and views that it goes by, and its figures."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from p3d_gen.bench.damage_folders import Specimen, Uses
from p3d_gen.bench.damages import DAMAGES, Case, cases_of, files_of, inflict
from p3d_gen.bench.forked import Server
from p3d_gen.cli import main
from p3d_gen.run.kept import KEPT_FILES, kept_file

ROOT = Path(__file__).parents[3]
OLD = ROOT / "tests" / "data" / "v0.1.0"


@pytest.fixture
def specimen(tmp_path):
    for folder in ("run", "twin"):
        shutil.copytree(OLD / "run", tmp_path / folder)
    (tmp_path / "twin" / "run.json").write_text("{}")
    return Specimen(name="run", kind="run", root=tmp_path / "run", twin=tmp_path / "twin", uses=Uses(check=(), use=()))


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damage_changes_the_files_that_it_names_and_no_others(specimen, tmp_path, damage):
    before = {name: (specimen.root / name).read_bytes() for name in files_of(specimen.root)}
    for case in cases_of(specimen, [damage], one_of_each=True):
        folder = shutil.copytree(specimen.root, tmp_path / "copy" / case.name.replace("/", "-"))
        names = inflict(case, folder)
        after = {name: (folder / name).read_bytes() for name in files_of(folder)}
        changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
        assert changed == set(names), case
        assert damage == "duplicate" or all(kept_file("run", name) == case.kind for name in names)
        again = shutil.copytree(specimen.root, tmp_path / "again" / case.name.replace("/", "-"))
        inflict(case, again)
        assert {name: (again / name).read_bytes() for name in files_of(again)} == after


def test_a_disk_that_rots_leaves_the_times(specimen):
    for damage in ("flip", "truncate", "swap", "replace"):
        path = specimen.root / "run.json"
        times = path.stat().st_mtime_ns
        inflict(Case(specimen=specimen, name="run.json", damage=damage, seed=1), specimen.root)
        assert path.stat().st_mtime_ns == times


def test_every_file_is_data_or_view_and_the_page_lists_them():
    rows = [
        f"| {kind.folder} | `{kind.pattern}` | {'data' if kind.is_data else 'view'} | {kind.holds} |"
        for kind in KEPT_FILES
    ]
    page = (ROOT / "docs" / "files.md").read_text()
    listed = [line for line in page.splitlines() if " | data | " in line or " | view | " in line]
    assert listed == rows
    with pytest.raises(ValueError, match=r"no command keeps notes\.txt in a run"):
        kept_file("run", "notes.txt")


def test_a_forked_command_is_the_command(tmp_path):
    """Its status, output, folder and exceptions."""
    with Server("p3dgen") as server:
        told = server.run(["dataset", "check", "nowhere"], tmp_path)
        assert told.returncode == 2
        assert "nowhere" in told.stderr
        told = server.run(["dataset", "schema"], tmp_path)
        assert told.returncode == 0
        assert json.loads(told.stdout)["type"] == "object"
        (tmp_path / "run.json").write_text("{")
        told = server.run(["verify", "."], tmp_path)
        assert (told.returncode, "run.json is damaged" in told.stderr) == (1, True)


def test_a_slice_of_the_census(tmp_path):
    """A bit in the first file of each kind of a real run, and of a dataset of it."""
    words = ["bench", "damage", "--out", str(tmp_path), "--one-of-each", "--damage", "flip"]
    result = CliRunner().invoke(main, [*words, "--folder", "dataset"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["cases"] == 7
    assert figures["undetected"] == figures["misblamed"] == figures["tracebacks"] == 0
    entries = [json.loads(line) for line in (tmp_path / "cases.jsonl").read_text().splitlines()]
    assert {entry["outcome"] for entry in entries if entry["file"] != "README.md"} == {"named"}
    assert all(entry["answers"] for entry in entries)
    assert not any((tmp_path / "cases").iterdir())


@pytest.mark.slow
def test_the_whole_census(tmp_path):
    result = CliRunner().invoke(main, ["bench", "damage", "--out", str(tmp_path)])
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["cases"] >= 300
    assert figures["undetected"] == figures["misblamed"] == figures["tracebacks"] == 0, result.stdout
