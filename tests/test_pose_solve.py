"""Render-and-compare on perfect features, and the two camera rules."""

import math

import pytest
import torch
from torch.nn import functional as F

from p3d_gen import geometry as reference
from pose_models import geometry as g
from pose_models.backbone import STRIDE
from pose_models.evaluate import pose_rule
from pose_models.losses import reconstruction
from pose_models.nmm import ModelSpec, NeuralMeshModel
from pose_models.rasterise import rasterise
from pose_models.solve import PoseScorer, SolveConfig, box_camera, known_camera, solve

SPEC = ModelSpec(
    category="box",
    backbone="test_resnet",
    max_stride=16,
    channels=32,
    vertices=400,
    bank_init="uniform",
    box_lower=(-0.2, -0.45, -0.18),
    box_upper=(0.2, 0.45, 0.18),
    canvas_hw=(160, 256),
    box_fill=0.9,
    clutter=64,
    distance=5.0,
    elevations_rad=(-0.2, 0.5),
    thetas_rad=(0.0, 0.0),
    mode_rotation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
)
CORNERS = torch.from_numpy(reference.box_corners([0.4, 0.9, 0.36])).float()
K = torch.tensor([[1100.0, 0, 130], [0, 1100, 78], [0, 0, 1]])


@pytest.fixture(scope="module")
def model():
    """Vertex features that vary smoothly over the mesh, and one clutter direction."""
    generator = torch.Generator().manual_seed(0)
    made = NeuralMeshModel(SPEC, CORNERS[None], generator).eval()
    waves = torch.randn(3, 31, generator=generator) * 6
    phase = torch.rand(31, generator=generator) * 2 * math.pi
    features = torch.cos(made.mesh.vertices @ waves + phase)
    made.vertex_features = F.normalize(F.pad(features, (0, 1)), dim=1)
    made.push_clutter(torch.eye(32)[31:].expand(8, 32))
    return made


def pose_of(*view_deg, distance=5.0):
    R = g.rotation_cam_obj(torch.tensor([view_deg]).deg2rad())
    return g.pose(R, torch.tensor([[0.0, 0.0, distance]]))


def perfect_features(model, pose):
    """The features (D, h, w) that the model expects of a pose."""
    to_cells = torch.tensor([[1 / STRIDE], [1 / STRIDE], [1.0]])
    points = g.transform(pose, model.mesh.vertices)
    hits = rasterise(points, model.mesh.faces, (K * to_cells)[None], model.map_hw, cull=True)
    cells = model.clutter_mean().repeat(model.map_hw[0] * model.map_hw[1], 1)
    seen = (model.vertex_features[model.mesh.faces[hits.face]] * hits.barycentrics[..., None]).sum(1)
    cells[hits.pixel] = F.normalize(seen, dim=1)
    return cells.T.unflatten(1, model.map_hw)


@pytest.mark.parametrize("view", [(25, 10, 5), (100, 35, -12), (212, -8, 20), (340, 50, 0)])
def test_perfect_features_give_the_pose(model, view):
    pose = pose_of(*view)
    found = solve(model, perfect_features(model, pose), known_camera(pose[0, :3, 3], K), SolveConfig())
    assert g.rotation_error_rad(found.R_cam_obj, pose[0, :3, :3]).rad2deg() < 1.0


def test_the_similarity_volume_equals_the_rendered_feature_map(model):
    """Scores looked up in S equal those of feature maps rendered densely and multiplied cell by cell."""
    image = perfect_features(model, pose_of(30, 10, 0))
    poses = torch.cat([pose_of(30, 10, 0), pose_of(50, 0, 10), pose_of(200, 20, 0)])
    losses = PoseScorer(model, image).losses(poses, K.expand(3, 3, 3))
    clutter = image.flatten(1).T @ model.clutter_mean()
    for pose, loss in zip(poses, losses, strict=True):
        hits = rasterise(
            g.transform(pose[None], model.mesh.vertices),
            model.mesh.faces,
            (K / torch.tensor([[STRIDE], [STRIDE], [1.0]]))[None],
            model.map_hw,
            cull=False,
        )
        rendered = torch.zeros(model.map_hw[0] * model.map_hw[1], 32)
        rendered[hits.pixel] = (model.vertex_features[model.mesh.faces[hits.face]] * hits.barycentrics[..., None]).sum(
            1
        )
        on_mesh = torch.full((len(rendered),), -torch.inf)
        on_mesh[hits.pixel] = (rendered * image.flatten(1).T).sum(1)[hits.pixel]
        assert loss.item() == pytest.approx(reconstruction(on_mesh, clutter).item(), abs=1e-5)
    assert losses.argmin() == 0


def test_box_rule_gives_the_mean_projected_outline_the_box():
    outlines = torch.stack([CORNERS, CORNERS * torch.tensor([0.8, 1.0, 0.7])])
    box = torch.tensor([20.0, 30.0, 220.0, 130.0])
    R = g.random_rotations(30, torch.Generator().manual_seed(1)).float()
    pose, cameras = box_camera(box, outlines, 5.0)(R)
    pixels = torch.stack([g.project(g.transform(pose, points), cameras) for points in outlines])
    low, high = pixels.amin(2).mean(0), pixels.amax(2).mean(0)
    torch.testing.assert_close(torch.cat([low, high], 1), box.expand(30, 4), atol=1e-2, rtol=0)
    torch.testing.assert_close(pose[:, :3, 3], torch.tensor([[0.0, 0.0, 5.0]]).expand(30, 3))


def test_a_pose_is_found_from_its_box_alone(model):
    """Where the image's object is the CAD itself, the box gives the annotated position and scale back."""
    pose = pose_of(40, 12, 0)
    pixels = g.project(g.transform(pose, CORNERS), K)[0]
    box = torch.cat([pixels.amin(0), pixels.amax(0)])
    unknown = torch.full_like(pose[0], torch.nan)
    rule = pose_rule(model, unknown, torch.full((3, 3), torch.nan), box)
    torch.testing.assert_close(rule(pose[:, :3, :3])[1][0], K, atol=0.05, rtol=0)
    found = solve(model, perfect_features(model, pose), rule, SolveConfig())
    assert g.rotation_error_rad(found.R_cam_obj, pose[0, :3, :3]).rad2deg() < 1.0
