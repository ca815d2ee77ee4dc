"""Stage 1: resolved samples -> a Blender process -> checked pictures and labels -> a sealed shard."""

from __future__ import annotations

import atexit
import functools
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from blender_assets.shapes import Shape, build
from p3d_gen.blender.client import MEMORY_MB, BlenderError, BlenderWorker
from p3d_gen.blender.passes import Passes, read_passes
from p3d_gen.blender.protocol import CountGpusRequest, OccluderMesh, RenderAnswer, RenderRequest, matrix
from p3d_gen.core.cuboid import Cuboid
from p3d_gen.core.errors import AssetError, DataError, RunError
from p3d_gen.core.geometry import transform
from p3d_gen.core.pictures import check_picture
from p3d_gen.core.silhouette import MIN_MASK_IOU
from p3d_gen.core.types import Array, Occluder, RenderSpec
from p3d_gen.render.annotations import Rendered, annotate
from p3d_gen.render.arrange import arrange
from p3d_gen.render.prepare import TIMEOUT_S, ensure_models
from p3d_gen.run.cad_model import CadModel, materials_file, stretched
from p3d_gen.run.cuboids import computed_cuboid, cuboid_content, cuboid_file
from p3d_gen.run.files import compact_json, write_bytes
from p3d_gen.run.ledgers import Failure, Ledger
from p3d_gen.run.prepared import read_models
from p3d_gen.run.shards import Members
from p3d_gen.run.stage import make_shard, tick, worker_number
from p3d_gen.run.store import RunFolder, shared_run
from p3d_gen.spec.inventory import OCCLUDERS
from p3d_gen.spec.sampling import spec

_BYTES_PER_PIXEL = 64  # of all passes, without compression
_BYTES_BESIDE = 2**16
_kept = ExitStack()  # this process's Blender


@dataclass(frozen=True, kw_only=True)
class Supervision:
    """Settings of the Blender processes, see `BlenderWorker`. prepare_timeout_s: longest time for one CAD model.

    Renders do not depend on them, except on `device`: pixels are the same on one build and device.
    """

    timeout_s: float = 600.0
    recycle_after: int = 1000
    memory_mb: int = MEMORY_MB
    device: str = "AUTO"
    prepare_timeout_s: float = TIMEOUT_S

    def worker(self, ordinal: int = 0) -> BlenderWorker:
        """Return a Blender process for renders. ordinal: number of the GPU."""
        return BlenderWorker(
            timeout_s=self.timeout_s,
            recycle_after=self.recycle_after,
            memory_mb=self.memory_mb,
            device=self.device,
            ordinal=ordinal,
        )


@functools.lru_cache(maxsize=1)
def _worker(supervision: Supervision) -> BlenderWorker:
    """Return this process's Blender, kept from one shard to the next; one with other settings is ended."""
    _kept.close()
    return _kept.enter_context(supervision.worker(worker_number()))


@atexit.register
def end_blender() -> None:
    """End the Blender that this process keeps for the next shard."""
    _kept.close()
    _worker.cache_clear()


def count_gpus(supervision: Supervision) -> int:
    """Return the number of GPUs of the device; each needs its own process. RunError if a requested GPU is missing."""
    if supervision.device == "CPU":
        return 0
    with supervision.worker() as worker:
        try:
            return worker.ask(CountGpusRequest()).gpus
        except BlenderError as error:
            raise RunError(str(error)) from None


@functools.lru_cache(maxsize=64)
def _check_picture(path: Path) -> None:
    """Raise AssetError if a texture cannot be decoded to its end: Blender itself would render it black or pink."""
    try:
        check_picture(path)
    except DataError as error:
        raise AssetError(str(error)) from None


@functools.lru_cache(maxsize=32)
def _occluder_shape(category: str, variant: int) -> Shape:
    return build(category, variant)


def _shape_of(run: RunFolder, occluder: Occluder) -> Shape | CadModel:
    if occluder.cad_id:
        return run.load_model(OCCLUDERS, occluder.cad_id)
    return _occluder_shape(occluder.category, occluder.variant)


def _placed(shape: Shape | CadModel, cam_T_obj: Array, cam_T_occluder: Array) -> OccluderMesh:
    """Return an occluder's shape in object axes, placed by its similarity (4, 4) to camera axes."""
    obj_T_occluder = np.linalg.inv(cam_T_obj) @ cam_T_occluder
    return OccluderMesh(
        vertices=transform(obj_T_occluder, shape.vertices),
        faces=shape.faces.astype(np.int64),
        face_part=shape.face_part.astype(np.int16),
        part_names=shape.part_names,
    )


def cuboid_of(run: RunFolder, category: str) -> Cuboid:
    """Return the cuboid around all models of a category, and keep it as RUN/cad/<category>.cuboid.npz."""
    cuboid, path = computed_cuboid(run, category), cuboid_file(run, category)
    content = cuboid_content(cuboid)
    if not path.exists() or path.read_bytes() != content:
        write_bytes(path, content)
    return cuboid


class ShardRenderer:
    """Renderer of one category's samples: its run, Blender process, paths of assets, and cuboid."""

    def __init__(self, run: RunFolder, worker: BlenderWorker, category: str) -> None:
        """Open the assets of a category. The run's models must have been prepared."""
        self._run = run
        self._worker = worker
        self._textures = {asset.id: asset.path for asset in run.inventory.textures}
        self._hdris = {asset.id: asset.path for asset in run.inventory.hdris}
        self._cuboid = cuboid_of(run, category) if "cuboid" in run.manifest.output.members else None

    def request(self, sample: RenderSpec, model: CadModel) -> RenderRequest:
        """Return the request to Blender for a sample. ValueError if its framing, truncation or occlusion is not
        possible."""
        texture = self._textures.get(sample.texture_id)
        if texture:
            _check_picture(texture)
        hdri = self._hdris[sample.environment.hdri_id] if sample.environment else None
        occluder = sample.occluder and _shape_of(self._run, sample.occluder)
        arrangement = arrange(
            sample,
            stretched(model, sample.stretch_xyz),
            model.faces,
            (occluder.vertices, occluder.faces.astype(np.int64)) if occluder else None,
            self._run.objects_may_leave,
        )
        place, manifest = arrangement.cam_T_occluder, self._run.manifest
        cad = self._run.local_model(sample.category, sample.cad_id)
        native = manifest.texture.kind == "native"
        if "keypoints" in manifest.output.members and not model.keypoints:
            raise AssetError(
                f"{sample.cad_id} has no keypoints: put {sample.cad_id}.keypoints.json next to its file, "
                "or remove keypoints from output.members"
            )
        if native:
            self._check_materials(sample.category, sample.cad_id, materials_file(cad))
        height, width = arrangement.camera.image_hw
        return RenderRequest(
            sample=arrangement.sample,
            cam_T_obj=matrix(arrangement.cam_T_obj),
            camera=arrangement.camera,
            occluder=_placed(occluder, arrangement.cam_T_obj, place) if occluder and place is not None else None,
            labels=tuple(manifest.output.members),
            samples=manifest.render.samples,
            denoise=manifest.render.denoise,
            cad=cad,
            native=native,
            texture=texture.resolve() if texture else None,
            hdri=hdri.resolve() if hdri else None,
            target=self._worker.passing_file("passes.exr", _BYTES_PER_PIXEL * height * width + _BYTES_BESIDE),
        )

    def _check_materials(self, category: str, cad_id: str, path: Path) -> None:
        """Raise RunError if the materials of a model are gone; one that has none is rendered in grey."""
        models = read_models(self._run.root) if not path.exists() else None
        if models and models[category][cad_id]["has_materials"]:
            raise RunError(f"{path} is gone: repeat the command, which prepares the model again")

    def _render(self, request: RenderRequest) -> tuple[RenderAnswer, Passes]:
        """Return the render of a request, made by a second attempt if Blender was lost in the first."""
        try:
            answer = self._worker.ask(request)
        except BlenderError:
            answer = self._worker.ask(request)
        return answer, read_passes(request.target, answer.see_through)

    def members(self, sample: RenderSpec, model: CadModel, answer: RenderAnswer, passes: Passes) -> Members:
        """Return the members of one sample from its render. ValueError if picture and pose disagree."""
        manifest = self._run.manifest
        members, labels = annotate(
            Rendered.of(sample, model, passes, answer),
            manifest.output.members,
            self._cuboid,
            manifest.occlusion.level != "none",
            self._run.labels_version,
        )
        if (iou := labels["mask_iou"]) < MIN_MASK_IOU:
            raise ValueError(f"the IoU of the mask and the projected mesh is {iou:.4f}, below {MIN_MASK_IOU}")
        return members | {"json": compact_json(labels)}

    def sample(self, sample: RenderSpec) -> Members:
        """Render one sample, and return its members."""
        model = self._run.load_model(sample.category, sample.cad_id)
        request = self.request(sample, model)
        answer, passes = self._render(request)
        return self.members(request.sample, model, answer, passes)

    def samples(self, specs: Iterable[RenderSpec], failures: list[Failure]) -> Iterator[tuple[str, Members]]:
        """Render samples, and yield those that succeed; the others are appended to `failures`."""
        for sample in specs:
            try:
                members = self.sample(sample)
            except (BlenderError, AssetError, ValueError) as error:
                failures.append(Failure(key=sample.key, reason=str(error)))
            else:
                yield sample.key, members
            tick()


def _samples(
    supervision: Supervision, run: RunFolder, shard: str, failures: list[Failure]
) -> Iterator[tuple[str, Members]]:
    category, indices = run.members_of(shard)
    specs = [spec(run.manifest, run.inventory, category, index) for index in indices]
    yield from ShardRenderer(run, _worker(supervision), category).samples(specs, failures)


def render_shard(run_dir: str, shard: str, supervision: Supervision | None = None) -> Ledger:
    """Render one shard, or return its ledger if it is finished."""
    supervision = supervision or Supervision()
    ensure_models(run_dir, supervision.memory_mb, supervision.prepare_timeout_s)
    return make_shard(shared_run(run_dir), "render", shard, (), functools.partial(_samples, supervision))
