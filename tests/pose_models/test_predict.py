"""Poses of pictures: canvas and picture agree, JSON and overlays are written, and bad input is named."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner

from p3d_gen.core import geometry as reference
from p3d_gen.core.types import Camera, Viewpoint
from p3d_gen.run.meshes import read_mesh
from pose_models import geometry as g
from pose_models.backbone import BackboneSpec
from pose_models.cli import main
from pose_models.estimator import EstimateConfig
from pose_models.nmm import MeshSpec, ModelSpec, NeuralMeshModel, save_model
from pose_models.predict import checked_box, predict
from pose_models.solve import SolveConfig
from tests.helpers.boxes import EXTENT, draw_box

CORNERS = torch.from_numpy(reference.box_corners(EXTENT)).float()
PICTURE_HW = (110, 150)
BOX = (20.0, 25.0, 120.0, 95.0)
QUICK = EstimateConfig(solve=SolveConfig(steps=2))


def mesh_spec(category, extent):
    half = tuple((np.array(extent) / 2).tolist())
    return MeshSpec(
        category=category,
        vertices=100,
        box_lower=tuple(-x for x in half),
        box_upper=half,
        cads=1,
        distance=5.0,
        elevations_rad=(-0.2, 0.5),
        thetas_rad=(0.0, 0.0),
        mode_rotation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )


@pytest.fixture(scope="module")
def model():
    """Untrained: its answers mean nothing, but they must hang together."""
    meshes = (mesh_spec("box", EXTENT), mesh_spec("plank", (0.9, 0.3, 0.2)))
    spec = ModelSpec(
        backbone=BackboneSpec(name="test_resnet", channels=16),
        bank_init="smooth",
        canvas_hw=(64, 96),
        box_fill=0.9,
        clutter=16,
        meshes=meshes,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        outlines = {"box": CORNERS[None], "plank": CORNERS[None] * torch.tensor([2.0, 0.4, 0.4])}
        return NeuralMeshModel(spec, outlines, torch.Generator().manual_seed(0)).eval()


@pytest.fixture(scope="module")
def picture():
    viewpoint = Viewpoint(azimuth_rad=0.6, elevation_rad=0.3, theta_rad=0.0, distance=5.5)
    camera = Camera(focal_px=480.0, principal_px=(72.0, 56.0), image_hw=PICTURE_HW)
    return draw_box(reference.cam_T_obj(viewpoint), camera, np.random.default_rng([0, 1]))[0]


@pytest.mark.parametrize("distance", [None, 2.5])
def test_every_hypothesis_fills_the_box_in_the_picture_s_own_pixels(model, picture, distance):
    answers = predict([model], [picture, picture], [BOX, None], "box", replace(QUICK, distance=distance))
    whole = (0.0, 0.0, float(PICTURE_HW[1]), float(PICTURE_HW[0]))
    for answer, box in zip(answers, (BOX, whole), strict=True):
        assert answer.box == box
        assert len(answer.hypotheses) == 3
        assert [h.loss for h in answer.hypotheses] == sorted(h.loss for h in answer.hypotheses)
        for hypothesis in answer.hypotheses:
            pose, K = (torch.from_numpy(x) for x in (hypothesis.cam_T_obj, hypothesis.K))
            pixels = g.project(g.transform(pose, CORNERS.double()), K)
            found = torch.cat([pixels.amin(0), pixels.amax(0)])
            torch.testing.assert_close(found, torch.tensor(box, dtype=torch.float64), atol=0.05, rtol=0)
            assert pose[2, 3] == pytest.approx(distance or model.spec.meshes[0].distance)


def test_with_mirroring_the_mirrored_picture_has_the_mirrored_answer(model, picture):
    width = PICTURE_HW[1]
    left, top, right, bottom = BOX
    there = np.ascontiguousarray(picture[:, ::-1]), (width - right, top, width - left, bottom)
    how = replace(QUICK, mirror=True)
    here, mirrored = (predict([model], [p], [box], "box", how)[0] for p, box in ((picture, BOX), there))
    losses = [[h.loss for h in answer.hypotheses] for answer in (here, mirrored)]
    assert len(losses[0]) == 6
    assert losses[0] == sorted(losses[0])
    np.testing.assert_allclose(*losses, atol=1e-4)
    best = mirrored.hypotheses[0]
    back, _ = g.hflip(torch.from_numpy(best.cam_T_obj)[None], torch.from_numpy(best.K)[None], width)
    np.testing.assert_allclose(back[0], here.hypotheses[0].cam_T_obj, atol=1e-3)


def test_the_category_is_inferred_unless_it_is_given(model, picture):
    inferred = predict([model], [picture], [BOX], None, QUICK)[0]
    losses = inferred.category_losses
    assert set(losses) == {"box", "plank"}
    assert inferred.category == min(losses, key=losses.get)
    assert inferred.hypotheses[0].loss == pytest.approx(min(losses.values()))
    for name in losses:
        given = predict([model], [picture], [BOX], name, QUICK)[0]
        assert (given.category, set(given.category_losses)) == (name, {name})
        assert given.hypotheses[0].loss == pytest.approx(losses[name], abs=1e-5)
    with pytest.raises(ValueError, match="knows box, plank, not 'car'"):
        predict([model], [picture], [BOX], "car", QUICK)


def test_the_json_says_the_pose_in_all_its_forms(model, picture):
    fields = predict([model], [picture], [BOX], "box", QUICK)[0].as_dict()
    angles = torch.tensor([fields[f"{name}_deg"] for name in ("azimuth", "elevation", "theta")]).deg2rad()
    torch.testing.assert_close(g.rotation_cam_obj(angles), torch.tensor(fields["R_cam_obj"]), atol=1e-4, rtol=0)
    assert np.array(fields["cam_T_obj"])[:3, :3].tolist() == fields["R_cam_obj"]
    assert {k: fields[k] for k in ("loss", "K", "confidence")} == {
        k: fields["hypotheses"][0][k] for k in ("loss", "K", "confidence")
    }
    json.dumps(fields, allow_nan=False)


def test_an_overlay_shows_box_axes_and_cad(model, picture):
    answer = predict([model], [picture], [BOX], "box", QUICK)[0]
    plain = np.asarray(answer.draw())
    assert plain.shape[1] == 480
    faces = np.array([[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6]])
    with_cad = np.asarray(answer.draw((reference.box_corners(EXTENT), faces)))
    large = cv2.resize(picture, plain.shape[1::-1], interpolation=cv2.INTER_CUBIC)
    assert (plain != large).any(2).mean() > 0.005
    assert (with_cad != plain).any(2).mean() > 0.002


@pytest.mark.parametrize("box", [(10, 10, 10, 20), (30, 10, 20, 20), (200, 0, 300, 50), (-20, 0, 0, 50)])
def test_a_box_must_meet_the_picture(picture, box):
    with pytest.raises(ValueError, match="150 x 110"):
        checked_box(picture, tuple(map(float, box)))


def test_cads_are_read_in_object_axes(tmp_path):
    import trimesh

    trimesh.creation.box((2.0, 4.0, 1.0)).apply_translation((3, 0, 0)).export(tmp_path / "a.off")
    vertices, faces = read_mesh(tmp_path / "a.off")
    assert np.linalg.norm(np.ptp(vertices, axis=0)) == pytest.approx(1)
    np.testing.assert_allclose(vertices.max(0) + vertices.min(0), 0, atol=1e-9)
    np.savez(tmp_path / "a.npz", vertices=vertices, faces=faces)
    assert np.array_equal(read_mesh(tmp_path / "a.npz")[0], vertices)
    with pytest.raises(ValueError, match=r"b\.off"):
        read_mesh(tmp_path / "b.off")


@pytest.fixture(scope="module")
def folder(model, picture, tmp_path_factory):
    root = tmp_path_factory.mktemp("predict")
    save_model(model, root / "model")
    for name in ("a.png", "b.jpg"):
        cv2.imwrite(str(root / name), picture[..., ::-1])
    return root


def call(*words):
    return CliRunner().invoke(main, ["predict", *map(str, words)])


def test_the_command_writes_json_and_overlay(folder, tmp_path):
    options = "--model", folder / "model", "--out", tmp_path / "out", "--device", "cpu"
    result = call(folder / "a.png", folder / "b.jpg", *options, "--category", "box")
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert len(lines) == 2
    assert "a.png: box, azimuth" in lines[0]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.json", "a.png", "b.json", "b.png"]
    written = json.loads((tmp_path / "out" / "a.json").read_text())
    assert written["image"] == str(folder / "a.png")
    assert len(written["hypotheses"]) == 3
    boxed = call(folder / "a.png", *options, "--box", 20, 25, 120, 95)
    assert boxed.exit_code == 0, boxed.output
    assert json.loads((tmp_path / "out" / "a.json").read_text())["box_xyxy"] == list(BOX)


def test_bad_input_to_the_command(folder, tmp_path):
    options = "--model", folder / "model", "--out", tmp_path, "--device", "cpu"
    several = call(folder / "a.png", folder / "b.jpg", *options, "--box", 1, 2, 3, 4)
    assert several.exit_code == 2
    assert "one image" in several.output
    twins = call(folder / "a.png", folder / "a.jpg", *options)
    assert twins.exit_code == 2
    assert "'a'" in twins.output
    missing = call(folder / "c.png", *options)
    assert missing.exit_code == 1
    assert "c.png: no such file" in missing.output


def test_photographs_and_files_of_others_are_not_overwritten(folder, tmp_path):
    photo, options = tmp_path / "a.png", ("--model", folder / "model", "--device", "cpu", "--out", tmp_path)
    photo.write_bytes((folder / "a.png").read_bytes())
    before = photo.read_bytes()
    itself = call(photo, *options)
    assert itself.exit_code == 1
    assert f"{photo} would overwrite {photo}, which this command reads" in itself.output.replace("\n", "")
    others = call(folder / "a.png", *options)
    assert others.exit_code == 1
    assert "a.png exists and was not made by this command" in others.output
    (tmp_path / "a.json").write_text('{"my": "notes"}')
    assert call(folder / "a.png", *options).exit_code == 1
    assert photo.read_bytes() == before
    for _ in range(2):  # its own answers may be made again
        assert call(folder / "b.jpg", *options).exit_code == 0
