"""Search for poses of shapes that look the same from several sides: no pose is tried or reported twice."""

import math

import pytest
import torch

from p3d_gen.core.symmetry import Symmetry
from pose_models import geometry as g
from pose_models.adapt.uda_poses import apart
from pose_models.bench.solve import CAR_EXTENT, random_poses, rendered
from pose_models.metrics import symmetry_error_rad
from pose_models.nmm import MeshSpec, NeuralMesh, initial_features
from pose_models.predict import _modes
from pose_models.solve import PRESETS, SolveConfig, distinct, known_camera, solve, spread, starting_views
from tests.helpers.solve_scene import HW

GROUPS = {"half": ["z:2"], "box": ["x:2", "y:2"], "round": ["z:0"], "can": ["z:0", "x:2"], "ball": ["z:0", "x:0"]}
COUNTS = {"half": 72, "box": 72, "round": 12, "can": 12, "ball": 1}
COUNT = 6


def symmetric_mesh(symmetry, extent=CAR_EXTENT, **more):
    """A cuboid whose features are the mean of smooth ones over the group."""
    half = tuple(side / 2 for side in extent)
    spec = MeshSpec(
        category="thing",
        vertices=400,
        box_lower=tuple(-side for side in half),
        box_upper=half,
        cads=1,
        distance=5.0,
        elevations_rad=(-0.2, 0.7),
        thetas_rad=(-0.2, 0.2),
        mode_rotation=(1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0),
    )
    corners = torch.cartesian_prod(*(torch.tensor((-side, side)) for side in half))
    mesh = NeuralMesh(spec, corners[None], symmetry=symmetry, **more)
    turned = torch.cat([mesh.mesh.vertices @ torch.tensor(turn).float().T for turn in symmetry.group])
    features = initial_features(turned, 32, torch.Generator().manual_seed(0), "smooth")
    mesh.vertex_features = torch.nn.functional.normalize(features.unflatten(0, (len(symmetry.group), -1)).sum(0), dim=1)
    return mesh


@pytest.mark.parametrize("name", GROUPS)
def test_of_views_that_show_the_same_one_is_tried(name):
    symmetry, config = Symmetry.parse(GROUPS[name]), SolveConfig()
    everything = starting_views(config, Symmetry.NONE, any_pose=False)
    views = starting_views(config, symmetry, any_pose=False)
    assert len(everything) == 144
    assert len(views) == COUNTS[name]
    R, all_R = (g.rotation_cam_obj(each.double()) for each in (views, everything))
    between = symmetry_error_rad(R[:, None], R[None], symmetry) + 9 * torch.eye(len(R))
    assert between.min() > 1e-3
    # every rotation of the whole grid has its like
    assert symmetry_error_rad(all_R[:, None], R[None], symmetry).amin(dim=1).max() < 1e-3


def test_the_grid_for_any_pose_is_near_to_every_rotation():
    views = starting_views(SolveConfig(), Symmetry.NONE, any_pose=True)
    R = g.random_rotations(300, torch.Generator().manual_seed(3)).double()
    nearest = g.rotation_error_rad(R[:, None], g.rotation_cam_obj(views.double())[None]).amin(dim=1)
    assert nearest.rad2deg().max() < 32
    box = Symmetry.parse(GROUPS["box"])
    fewer = starting_views(SolveConfig(), box, any_pose=True)
    assert len(fewer) == len(views) / 4
    near = symmetry_error_rad(R[:, None], g.rotation_cam_obj(fewer.double())[None], box).amin(dim=1)
    assert near.rad2deg().max() < 32


@pytest.mark.parametrize("name", ["half", "box"])
def test_perfect_features_of_a_symmetric_shape_give_its_pose(name):
    symmetry = Symmetry.parse(GROUPS[name])
    mesh = symmetric_mesh(symmetry)
    poses = random_poses(COUNT, torch.Generator().manual_seed(1))
    K = torch.tensor([[1000.0, 0, 120], [0, 1000, 72], [0, 0, 1]]).repeat(COUNT, 1, 1)
    features, clutter = rendered(mesh, poses, K, HW, 0.0, torch.Generator().manual_seed(2))
    rule = known_camera(poses[:, :3, 3], K)
    solved = solve(mesh, clutter, features, rule, SolveConfig())
    assert symmetry_error_rad(solved.R_cam_obj, poses[:, :3, :3], symmetry).rad2deg().max() < 1.5
    twice = solve(mesh, clutter, features, rule, SolveConfig(symmetry=False))
    for i in range(COUNT):
        kept = _modes(solved.hypotheses_cam_T_obj[i], mesh)
        R = solved.hypotheses_cam_T_obj[i, kept, :3, :3]
        apart_deg = symmetry_error_rad(R[:, None], R[None], symmetry).rad2deg() + 180 * torch.eye(len(R))
        assert kept[0] == 0
        assert apart_deg.min() >= 2 - 1e-3
    # without its symmetry known a shape is found twice: as it is, and turned
    R = twice.hypotheses_cam_T_obj[..., :3, :3]
    far = g.rotation_error_rad(R, R[:, :1]).rad2deg() > 150
    alike = symmetry_error_rad(R, R[:, :1], symmetry).rad2deg() < 2
    assert (far & alike).any(dim=1).sum() >= COUNT - 1


def test_an_object_in_any_pose_is_found_upside_down():
    mesh = symmetric_mesh(Symmetry.NONE, any_pose=True)
    R = g.random_rotations(COUNT, torch.Generator().manual_seed(7)).float()
    poses = g.pose(R, torch.tensor([0.0, 0.0, 5.0]).expand(COUNT, 3))
    K = torch.tensor([[800.0, 0, 120], [0, 800, 72], [0, 0, 1]]).repeat(COUNT, 1, 1)
    features, clutter = rendered(mesh, poses, K, HW, 0.0, torch.Generator().manual_seed(2))
    rule = known_camera(poses[:, :3, 3], K)
    error = g.rotation_error_rad(solve(mesh, clutter, features, rule, SolveConfig()).R_cam_obj, R).rad2deg()
    assert error.max() < 2


def test_starts_lie_apart_whatever_turn_shows_the_same():
    symmetry = Symmetry.parse(GROUPS["can"])
    R = g.random_rotations(200, torch.Generator().manual_seed(1))
    losses = torch.rand(3, 200, generator=torch.Generator().manual_seed(5))
    chosen = spread(R, losses, 4, math.radians(30), symmetry)
    assert torch.equal(chosen[:, 0], losses.argmin(1))
    for row in chosen:
        between = symmetry_error_rad(R[row][:, None], R[row][None], symmetry).rad2deg() + 180 * torch.eye(4)
        assert between.min() >= 30 - 0.01
    assert spread(R, losses, 4, math.radians(30), Symmetry.parse(GROUPS["ball"])).shape == (3, 1)


def test_hypotheses_of_an_adaptation_lie_apart_too():
    turn = torch.eye(4)
    turn[:3, :3] = g.rot_z(torch.tensor(math.pi))
    poses = random_poses(1, torch.Generator().manual_seed(0))[None] @ torch.stack([torch.eye(4), turn])
    losses = torch.tensor([[0.2, 0.1]])
    plain = apart(poses, poses[..., :3, :3], losses, 2, math.radians(30))
    aware = apart(poses, poses[..., :3, :3], losses, 2, math.radians(30), Symmetry.parse(["z:2"]))
    assert plain[2].tolist() == [[pytest.approx(0.1), pytest.approx(0.2)]]
    assert aware[2].tolist() == [[pytest.approx(0.1), math.inf]]


def test_distinct_keeps_the_first_of_each():
    R = g.rot_z(torch.tensor([0.0, 180.0, 5.0, 91.0, 271.0, 179.5], dtype=torch.float64).deg2rad())
    assert distinct(R, Symmetry.NONE, math.radians(2)) == [0, 1, 2, 3, 4]
    assert distinct(R, Symmetry.parse(["z:2"]), math.radians(2)) == [0, 2, 3]
    assert distinct(R, Symmetry.parse(["z:0"]), math.radians(2)) == [0]


def test_the_released_search_is_as_it_was():
    assert not PRESETS["released"].symmetry
