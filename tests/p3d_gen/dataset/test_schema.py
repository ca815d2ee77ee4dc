"""The schema is that of what is packed, and its documents are current."""

import json
from pathlib import Path
from typing import get_args

import pytest
from click.testing import CliRunner
from jsonschema import Draft202012Validator

from p3d_gen.cli import main
from p3d_gen.dataset.schema import MEMBERS, document, json_schema, label_faults
from p3d_gen.spec.manifest import Member
from tests.helpers.dataset_runs import labels_of, make_assets, packed_run, run_samples

DOCS = Path(__file__).parents[3] / "docs"
ALL = '[occlusion]\nlevel = "L1"\n[output]\nmembers = ["mask", "amodal", "occluders", "depth", "normals", '
ALL += '"keypoints", "cuboid", "render", "edges", "stylized"]\n'


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    """Packed samples with few labels and with many."""
    root = tmp_path_factory.mktemp("runs")
    make_assets(root)
    few, many = packed_run(root / "few", samples=2), packed_run(root / "many", samples=2, more=ALL)
    return [members for run in (few, many) for members in run_samples(run).values()]


def faults(labels):
    """By the JSON Schema, and by the reader of this package."""
    validator = Draft202012Validator(json_schema())
    return [error.message for error in validator.iter_errors(labels)], label_faults(labels)


def test_packed_samples_are_of_the_schema(samples):
    keys, members = set(), set()
    for sample in samples:
        assert faults(labels_of(sample)) == ([], [])
        keys |= labels_of(sample).keys()
        members |= sample.keys()
    assert keys >= set(json_schema()["required"])
    assert members <= set(MEMBERS)
    assert len(members) == 11


def test_what_is_required_is_what_the_smallest_run_holds(samples):
    later = {"symmetries", "diagonal_m"}  # version 0.1.0 did not write them
    assert sorted(json_schema()["required"]) == sorted(labels_of(samples[0]).keys() - later)


@pytest.mark.parametrize("key", ["key", "category", "cam_T_obj", "focal_px", "image_hw", "bbox3d_xy", "survival"])
def test_both_readers_refuse_the_same(samples, key):
    labels = labels_of(samples[0])
    wrong = [labels | {key: value} for value in (None, [], {}, True)]
    wrong += [{k: v for k, v in labels.items() if k != key}, labels | {"unknown": 1}, labels | {"stylizer_x": None}, []]
    for each in wrong:
        assert all(faults(each)), each
    assert faults(labels | {"stylizer_base": "x", "stylizer_steps": 3, "stylizer_eta": 0.5}) == ([], [])


def test_every_member_that_a_manifest_may_ask_for_is_described():
    for member in get_args(Member):
        assert member == "keypoints" or any(name.startswith(f"{member}.") for name in MEMBERS)


def test_every_label_is_described():
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    assert all(each["description"] for each in schema["properties"].values())
    for name in (*schema["properties"], *MEMBERS):
        assert f"| `{name}` |" in document()


def test_the_documents_are_current():
    for name, arguments in (("schema.json", []), ("schema.md", ["--document"])):
        printed = CliRunner().invoke(main, ["dataset", "schema", *arguments]).output
        assert (DOCS / name).read_text() == printed, f"p3dgen dataset schema {' '.join(arguments)} > docs/{name}"
    assert json.loads((DOCS / "schema.json").read_text()) == json_schema()
