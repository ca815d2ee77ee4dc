"""Protocols: manifests that name what exists, plans in which shared steps are run once, the papers' figures."""

import re
from pathlib import Path

import pytest

from p3d_gen.core.errors import ManifestError
from pose_models.cli import main
from pose_models.data.crop import CROPS
from pose_models.data.datasets import KINDS
from pose_models.data.images import Images
from pose_models.protocols.manifest import load_protocol
from pose_models.protocols.planner import ProtocolRequest, make_plan
from tests.helpers.boxes import write_run
from tests.helpers.protocol_folders import PROTOCOLS, anything

MANIFESTS = sorted(PROTOCOLS.glob("*.toml"))


def published(name, row, column="", group=""):
    (found,) = (row_ for row_ in load_protocol(PROTOCOLS / f"{name}.toml").rows if row_.name == row)
    (entry,) = (each for each in found.published if (each.column, each.group) == (column, group))
    return entry.acc_pi_6, entry.acc_pi_18, entry.median_deg


# Manifests


def test_every_table_of_the_papers_has_a_manifest():
    tables = {(p.paper.name.split()[0], p.paper.table) for path in MANIFESTS if (p := load_protocol(path)).paper}
    assert tables == {("Robust", f"Table {i}") for i in (1, 2, 3, 4, 5)} | {
        ("Source-Free", f"Table {i}") for i in (1, 2, 3)
    }


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_every_step_is_a_command_that_takes_its_options(path):
    protocol = load_protocol(path)
    plan = make_plan(protocol, anything(protocol, seeds=[0]), main)  # lets every command parse its arguments
    assert {cell.row for cell in plan.cells} == {row.name for row in protocol.rows if row.steps}
    assert {step for row in protocol.rows for step in row.steps} == set(protocol.steps)
    assert protocol.kind in KINDS
    assert protocol.images.get("crop", "nemo") in CROPS
    assert protocol.seeds == (0, 1, 2)
    assert {"transductive", "disjoint"} <= set(protocol.settings)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_transductive_adapts_to_what_it_evaluates_and_disjoint_to_none_of_it(path):
    settings = load_protocol(path).settings
    assert settings["transductive"].adapt == settings["transductive"].evaluate
    adapt, evaluate = settings["disjoint"].adapt, settings["disjoint"].evaluate
    assert adapt["split"] != evaluate["split"] or (adapt["part"], evaluate["part"]) == ("0/2", "1/2")


def test_published_figures():
    assert published("cc3d_table1", "CC3D", "7 labels") == (79.1, 56.6, 16.2)
    assert published("cc3d_table1", "NeMo", "50 labels") == (69.3, 45.7, 22.1)
    assert published("cc3d_table1", "NVSM", "20 labels") == (61.7, 34.0, 28.7)
    assert published("cc3d_table1", "NeMo, all labels", "all labels") == (89.3, 66.7, 7.7)
    assert published("cc3d_table2", "CC3D") == (76.3, 41.4, 15.5)
    assert published("cc3d_table2", "CC3D + 50 %") == (90.7, 71.4, 6.9)
    assert published("cc3d_table3", "CC3D") == (48.2, 14.8, None)
    assert published("cc3d_table3", "CC3D", group="weather") == (44.5, None, None)
    assert published("cc3d_table3", "P3D + NeMo + 10 %") == (55.2, 26.3, None)
    assert published("cc3d_table4", "without both") == (70.6, 46.5, 23.6)
    assert published("cc3d_table5_ood_cv", "CC3D, spurious backgrounds") == (42.7, 16.4, 45.7)
    assert published("3duda_table1", "3DUDA", group="weather") == (83.1, 90.7, None)
    assert published("3duda_table1", "DMNT") == (50.0, 23.6, None)
    assert published("3duda_table2", "3DUDA", "snow") == ((84.0, 88.8), (58.5, 66.7), None)
    assert published("3duda_table3", "3DUDA", "L2 + speckle noise") == (60.6, 38.9, None)


# Plans


def test_steps_that_rows_share_are_run_once():
    protocol = load_protocol(PROTOCOLS / "cc3d_table2.toml")
    plan = make_plan(protocol, anything(protocol), main)
    names = [job.name for job in plan.jobs]
    assert len(names) == len(set(names)) == len({job.digest for job in plan.jobs})
    assert sum(job.step == "synthetic" for job in plan.jobs) == 3
    assert sum(job.step == "cc3d" for job in plan.jobs) == 2 * 3
    # A row without adaptation is evaluated once for both settings, which evaluate the same images.
    assert sum(job.name.startswith("nemo+evaluate") for job in plan.jobs) == 3
    order = {name: place for place, name in enumerate(names)}
    assert all(order[job.after.name] < order[job.name] for job in plan.jobs if job.after)


def test_adaptation_and_evaluation_see_the_same_changed_images():
    protocol = load_protocol(PROTOCOLS / "3duda_table3.toml")
    plan = make_plan(
        protocol, anything(protocol, seeds=[1], settings=["disjoint"], columns=["L1 + speckle noise"]), main
    )
    adapted, evaluated = (next(job for job in plan.jobs if job.step == step) for step in ("3duda", "evaluate"))
    images = ("corrupt", "occlude", "stacked", "severity", "crop", "split")
    assert [adapted.options[name] for name in images] == [evaluated.options[name] for name in images]
    assert (adapted.options["part"], evaluated.options["part"]) == ("0/2", "1/2")
    assert "seed" not in evaluated.options  # it would draw other noise than the adaptation saw


def test_models_of_several_categories_are_made_one_by_one():
    protocol = load_protocol(PROTOCOLS / "3duda_table1.toml")
    plan = make_plan(protocol, anything(protocol, seeds=[0], categories=["car", "bus"]), main)
    parts = {job.step: job.parts for job in plan.jobs}
    assert parts == {"res50": (), "nemo": ("bus", "car"), "3duda": ("bus", "car"), "evaluate": ()}


def test_a_wrong_manifest_names_key_value_and_the_nearest(tmp_path):
    text = (PROTOCOLS / "cc3d_table4.toml").read_text()
    path = tmp_path / "p.toml"
    for old, new, said in (
        ('steps = ["plain"]', 'steps = ["plane"]', "unknown step 'plane'; did you mean 'plain'"),
        ('steps = ["plain"]', 'steps = ["plain"]\nquoted = "no"', "needs steps, or the reason why it is quoted"),
        ('"{plain}"', '"{plains}"', "names {plains}, which is unknown"),
        ("seeds =", "seed =", "unknown key 'seed'; did you mean 'seeds'"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        with pytest.raises(ManifestError, match=r"p.toml is not a valid protocol") as error:
            load_protocol(path)
        assert said in str(error.value)


def test_what_a_command_does_not_take_is_said_before_anything_is_run(tmp_path):
    text = (PROTOCOLS / "cc3d_table4.toml").read_text()
    path = tmp_path / "p.toml"
    for old, new, said in (
        ("vertices = 1000", "vertexes = 1000", "has no option 'vertexes'; did you mean 'vertices'"),
        ("vertices = 1000", "vertices = 3", "row 'CC3D', step 'stylized': Invalid value for '--vertices'"),
        ('"adapt cc3d"', '"adapt cc3"', "no command 'adapt cc3'; did you mean 'cc3d'"),
        ('["stylized", "cc3d"]', '["cc3d"]', "starts from a model, and no step comes before it"),
        ('["stylized", "cc3d"]', '["stylized", "plain"]', "starts afresh: put it first"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        protocol = load_protocol(path)
        with pytest.raises(ValueError, match=re.escape(said)):
            make_plan(protocol, anything(protocol), main)


def test_a_request_that_does_not_fit_is_named():
    protocol = load_protocol(PROTOCOLS / "cc3d_table4.toml")
    for request, said in (
        (
            ProtocolRequest(manifest=Path("/p.toml"), data=Path("/d")),
            "reads the renders 'stylized': give --shards stylized=FOLDER",
        ),
        (anything(protocol, rows=["without bot"]), "no row 'without bot'; did you mean 'without both'"),
        (anything(protocol, settings=["disjunct"]), "no setting 'disjunct'; did you mean 'disjoint'"),
        (anything(protocol, categories=["cars"]), "no category 'cars'; did you mean 'car'"),
        (
            anything(protocol, changes={"stylised.steps": "3"}),
            "--set stylised.steps: no step that is run has this option",
        ),
    ):
        with pytest.raises(ValueError, match=re.escape(said)):
            make_plan(protocol, request, main)


# Parts of a dataset, and stacked changes


def test_parts_share_no_image_and_make_the_whole(tmp_path):
    run = write_run(tmp_path, train=20, test=1)
    address = f"shards:{run / 'shards'}"
    halves = [[s.key for s in Images(address=address, part=(i, 2)).read()] for i in (0, 1)]
    everything = [s.key for s in Images(address=address).read()]
    assert sorted(halves[0] + halves[1]) == everything
    assert 5 <= len(halves[0]) <= 15
    assert [s.key for s in Images(address=address, part=(1, 2), limit=2).read()] == halves[1][:2]
    with pytest.raises(ValueError, match=r"part 2/2: parts are counted from 0"):
        Images(address=address, part=(2, 2))


def test_stacked_images_are_occluded_and_then_corrupted(tmp_path):
    run = write_run(tmp_path, train=2, test=1)
    given = {"address": f"shards:{run / 'shards'}", "corrupt": ("contrast", "fog"), "occlude": ("L1",)}
    apart = {(s.key, s.subset) for s in Images(**given).read()}
    assert {subset for _, subset in apart} == {"contrast", "fog", "L1"}
    stacked = list(Images(**given, stacked=True).read())
    assert [s.subset for s in stacked] == ["L1+contrast", "L1+fog"] * 2
    assert all(s.occluder is not None and s.occluder.any() for s in stacked)
    with pytest.raises(ValueError, match="give both an occlusion and a corruption"):
        Images(address="x", occlude=("L1",), stacked=True)
