"""The benchmark of the rasteriser: its methods agree, and its last line holds all figures. No times are checked."""

import json

import pytest
import torch
from click.testing import CliRunner

from pose_models.bench import raster
from pose_models.bench.raster import RasterCase, dense, pytorch3d_dense, scene, scoring
from pose_models.cli.bench import bench

CPU = torch.device("cpu")
SMALL = RasterCase(poses=2, side=8, channels=3)


def test_the_two_methods_and_the_reference_agree():
    of = scene(SMALL, CPU)
    rendered, _ = dense(of)
    assert (rendered != 0).any()
    torch.testing.assert_close(rendered, dense(of, "reference")[0], atol=1e-4, rtol=0)
    # The similarity volume has forgotten the image: it is found again from the volume and the vertices.
    image = of.similarity[0] @ torch.linalg.pinv(of.vertex_features.T)
    scores = (rendered.flatten(2).mT * image).sum(-1)
    torch.testing.assert_close(scoring(of)[0].sum(), scores.sum(), atol=1e-3, rtol=1e-4)


def test_pytorch3d_renders_the_same_maps():
    pytest.importorskip("pytorch3d._C", reason="PyTorch3D is not installed: the extra [pytorch3d]")
    of = scene(SMALL, CPU)
    torch.testing.assert_close(pytorch3d_dense(of)[0], dense(of)[0], atol=4e-4, rtol=0)


def test_the_last_line_is_all_figures_as_json(monkeypatch):
    monkeypatch.setattr(raster, "CASES", (SMALL, RasterCase(poses=1, side=8, channels=2)))
    monkeypatch.setenv("COLUMNS", "120")
    result = CliRunner().invoke(bench, ["raster", "--device", "cpu", "--seconds", "0"], catch_exceptions=False)
    assert result.exit_code == 0
    figures = json.loads(result.stdout.splitlines()[-1])
    assert figures["device"] == "cpu, 1 thread"
    assert figures["dense_over_reference"] == figures["dense_poses_per_s"] / figures["reference_poses_per_s"]
    assert (figures["dense_over_pytorch3d"] is None) == (figures["pytorch3d_poses_per_s"] is None)
    assert (figures["scoring_over_pytorch3d"] is None) == (figures["pytorch3d_poses_per_s"] is None)
    assert [(case["poses"], case["side"], case["channels"]) for case in figures["cases"]] == [(2, 8, 3), (1, 8, 2)]
    assert all(case["scoring_forward_poses_per_s"] > 0 for case in figures["cases"])
