"""Render shards without Blender, lopsided bodies shaded by their normals with labels that are true, and a stylizer of
known faults."""

from __future__ import annotations

import cv2
import numpy as np

from p3d_gen.blender.passes import OBJECT_INDEX, OCCLUDER_INDEX, Passes
from p3d_gen.core.geometry import cam_T_obj
from p3d_gen.core.silhouette import ray_cast
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.pack.stage import pack_shard
from p3d_gen.render.annotations import Rendered, annotate
from p3d_gen.render.stage import cuboid_of
from p3d_gen.run.cad_model import CadModel, load_cad, save_cad
from p3d_gen.run.files import compact_json
from p3d_gen.run.ledgers import seal, stage_inputs
from p3d_gen.run.local import run_shards
from p3d_gen.run.store import create_run
from p3d_gen.spec.sampling import spec
from p3d_gen.stylize.diffusion import Stylized
from p3d_gen.stylize.stage import stylize_shard
from tests.helpers.assets import save_picture, wedge


def body(stretch):
    """A normalised CAD model that no rotation or mirror maps to itself."""
    mesh = wedge()
    vertices = np.asarray(mesh.vertices) * (1.0, stretch, 1.0)
    vertices = vertices - (vertices.max(axis=0) + vertices.min(axis=0)) / 2
    vertices /= np.linalg.norm(np.ptp(vertices, axis=0))
    faces = np.asarray(mesh.faces, dtype=np.int32)
    return CadModel(
        vertices=vertices,
        faces=faces,
        uv=np.zeros((len(faces), 3, 2), np.float32),
        native_uv=np.zeros((len(faces), 3, 2), np.float32),
        face_part=np.zeros(len(faces), np.uint8),
        part_names=("",),
        keypoints={},
        symmetry=Symmetry.of_order(1),
    )


def prepare_bodies(run):
    """The run's CAD models."""
    for category, cads in run.inventory.cads.items():
        for i, cad in enumerate(cads):
            save_cad(run.cad_file(category, cad.id), body(1.0 + 0.4 * i))


def fake_passes(vertices, faces, pose, camera, occluded):
    """What Blender would have drawn: each face in its own shade, where there are occluders one on the right."""
    depth, face = ray_cast(vertices, faces, pose, camera)
    whole = face >= 0
    normals = np.cross(*np.moveaxis(np.diff(vertices[faces], axis=1), 1, 0))
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
    rgb = np.rint(127.5 + 110 * normals[face]).astype(np.uint8) * whole[..., None]
    hidden = whole & (np.indices(whole.shape)[1] > camera.image_hw[1] * 0.6) & occluded
    return Passes(
        rgba=np.dstack([rgb, whole.astype(np.uint8) * 255]).astype(np.uint8),
        index=np.where(hidden, OCCLUDER_INDEX, np.where(whole, OBJECT_INDEX, 0)).astype(np.uint8),
        depth=depth.astype(np.float32),
        normals=(normals[face] * whole[..., None]).astype(np.float32),
        positions=None,
        parts=None,
    )


def fake_render(run, category, index):
    """The key and the members of one sample as the render stage would give them."""
    sample = spec(run.manifest, run.inventory, category, index)
    model = load_cad(run.cad_file(category, sample.cad_id))
    vertices = model.vertices * sample.stretch_xyz
    pose = cam_T_obj(sample.viewpoint)
    occluded = run.manifest.occlusion.level != "none"
    passes = fake_passes(vertices, model.faces, pose, sample.camera, occluded)
    shot = Rendered(sample=sample, model=model, vertices=vertices, passes=passes, cam_T_obj=pose, camera=sample.camera)
    cuboid = cuboid_of(run, category) if "cuboid" in run.manifest.output.members else None
    members, labels = annotate(shot, run.manifest.output.members, cuboid, occluded, run.labels_version)
    return sample.key, members | {"json": compact_json(labels)}


def fake_renders(run):
    """Seal all render shards of a run."""
    prepare_bodies(run)
    for shard in run.all_shards():
        category, indices = run.members_of(shard)
        samples = [fake_render(run, category, index) for index in indices]
        seal(run, "render", shard, stage_inputs(run, "render"), samples, [])


class Noisy:
    """A stylizer that shows the render under noise, as strong as the seed will have it: cheap, and of a label survival
    that differs from seed to seed."""

    provenance = {"base": "noise", "steps": 1}  # noqa: RUF012  read only
    halvings = 0

    def __init__(self, settings, base_dir, device):
        pass

    def __call__(self, requests, image_hw):
        return [self.picture(request, image_hw) for request in requests]

    @staticmethod
    def picture(request, image_hw):
        rng = np.random.default_rng([request.seed, 1])
        share, noise = rng.random(), rng.integers(0, 256, (*image_hw, 3))
        init = cv2.resize(request.init, image_hw[::-1], interpolation=cv2.INTER_AREA)
        return Stylized(picture=np.rint((1 - share) * init + share * noise).astype(np.uint8), fault="")


def packed_run(folder, manifest, background_hw):
    """A run of a manifest's text, packed before three backgrounds, and the ledgers of stylizing and packing."""
    for i in range(3):
        save_picture(folder / "backgrounds" / f"b{i}.jpg", i, background_hw)
    (folder / "manifest.toml").write_text(manifest)
    run = create_run(folder / "run", folder / "manifest.toml")
    fake_renders(run)
    stages = (stylize_shard, pack_shard)
    return run, [ledger for stage in stages for ledger in run_shards(stage, str(run.root), run.all_shards(), 1, int)]
