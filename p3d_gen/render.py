"""Stage 1: resolved samples -> a Blender process -> checked pictures and labels -> a sealed shard."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import distance_transform_edt

from p3d_gen.assets.environment import srgb_bytes
from p3d_gen.assets.sources import Asset
from p3d_gen.blender.client import BlenderError, BlenderWorker
from p3d_gen.engines import make_shard, tick
from p3d_gen.errors import AssetError, RunError
from p3d_gen.files import Members, compact_json
from p3d_gen.images import encode_npz, encode_png, mask_bytes
from p3d_gen.labels import MIN_MASK_IOU, camera_of, mask_box, mask_iou, silhouette
from p3d_gen.sampling import spec
from p3d_gen.store import Failure, Ledger, Run
from p3d_gen.types import Array, RenderSpec

_OBJECT = 1.0
_SOLID = np.float32(0.5)


@dataclass(frozen=True, kw_only=True)
class Passes:
    """The layers of one render. rgba: straight 8-bit sRGB (H, W, 4). mask (H, W): the object covers the pixel's
    centre. depth (H, W): planar z in box diagonals, 0 outside the mask."""

    rgba: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    depth: NDArray[np.float32]


def _straight(premultiplied: NDArray[np.float32], alpha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Straight colours (H, W, 3). The denoiser spreads a little light past the silhouette, so a pixel that is covered
    by less than half takes the colour of the nearest that is covered by more, and one not covered is black."""
    solid = alpha >= _SOLID
    if not solid.any():
        return np.zeros_like(premultiplied)
    nearest = distance_transform_edt(~solid, return_distances=False, return_indices=True)
    colours = premultiplied / np.maximum(alpha, _SOLID)[..., None]
    return np.where(alpha[..., None] > 0, colours[tuple(nearest)], np.float32(0))


def read_passes(path: Path) -> Passes:
    """The passes of Blender's multilayer EXR, whose colours are linear and premultiplied.

    RunError where it is missing or cut: Blender itself says nothing when it cannot write.
    """
    try:
        channels: dict[str, Any] = OpenEXR.File(str(path), separate_channels=True).channels()
    except Exception as error:  # OpenEXR raises several types of its own
        raise RunError(f"Blender wrote no whole picture to {path} ({error}): is the disk full?") from None
    layers = {name.partition(".")[2]: channel.pixels for name, channel in channels.items()}
    alpha = np.clip(layers["Combined.A"], 0.0, 1.0)
    straight = _straight(np.stack([layers[f"Combined.{c}"] for c in "RGB"], axis=-1), alpha)
    mask = layers["IndexOB.X"] == _OBJECT
    return Passes(
        rgba=np.dstack([srgb_bytes(straight), np.rint(alpha * 255).astype(np.uint8)]),
        mask=mask,
        depth=np.where(mask, layers["Depth.Z"], 0.0).astype(np.float32),
    )


@functools.lru_cache(maxsize=64)
def _check_picture(path: Path) -> None:
    """AssetError where a texture cannot be decoded to its end: Blender itself would render it black or pink."""
    try:
        with Image.open(path) as picture:
            picture.load()
    except (OSError, ValueError, SyntaxError) as error:
        raise AssetError(f"{path} is not a readable picture: {error}") from None


@functools.lru_cache(maxsize=16)
def load_cad(path: Path) -> tuple[Array, NDArray[np.int32]]:
    """Vertices (V, 3) and faces (F, 3) of a normalised CAD model."""
    with np.load(path) as arrays:
        return arrays["vertices"], arrays["faces"]


def prepare_cads(
    run: Run,
    worker: BlenderWorker,
    wanted: Iterable[tuple[str, Asset]],
    on_model: Callable[[], None] = lambda: None,
) -> None:
    """Normalise and unwrap the CAD models (category, asset) that the run has not yet; AssetError lists the broken."""
    broken = []
    for category, asset in wanted:
        target = run.cad_file(category, asset.id)
        cad = run.manifest.cad
        try:
            if not target.exists():
                worker.ask(
                    {
                        "op": "prepare",
                        "source": str(asset.path),
                        "target": str(target),
                        "up": cad.up,
                        "front": cad.front,
                    }
                )
        except BlenderError as error:
            broken.append(f"  {asset.path}: {error}")
        on_model()
    if broken:
        raise AssetError(
            "these CAD models cannot be used; mend them, or leave them out by cad.include:\n" + "\n".join(broken)
        )


def _labels(sample: RenderSpec, answer: dict[str, Any], passes: Passes, vertices: Array, iou: float) -> dict[str, Any]:
    """The JSON labels of a sample; README.md documents every key."""
    view, light = sample.viewpoint, sample.environment
    return {
        "key": sample.key,
        "category": sample.category,
        "index": sample.index,
        "cad_id": sample.cad_id,
        "azimuth_rad": view.azimuth_rad,
        "elevation_rad": view.elevation_rad,
        "theta_rad": view.theta_rad,
        "distance": view.distance,
        "cam_T_obj": answer["cam_T_obj"],
        "focal_px": answer["focal_px"],
        "principal_px": answer["principal_px"],
        "image_hw": list(sample.camera.image_hw),
        "object_extent_xyz": np.ptp(vertices, axis=0).tolist(),
        "bbox_xyxy": list(mask_box(passes.mask)),
        "mask_iou": iou,
        "texture_id": sample.texture_id,
        "hdri_id": light.hdri_id if light else "",
        "background_id": sample.background_id,
        "colour": sample.colour,
        "prompt": sample.prompt,
        "stylize_seed": sample.stylize_seed,
    }


class _ShardRenderer:
    """What a shard's samples share: the run, the process, and the paths of the assets."""

    def __init__(self, run: Run, worker: BlenderWorker) -> None:
        self._run = run
        self._worker = worker
        self._textures = {asset.id: asset.path for asset in run.inventory.textures}
        self._hdris = {asset.id: asset.path for asset in run.inventory.hdris}

    def _render(self, sample: RenderSpec) -> tuple[dict[str, Any], Passes]:
        texture = self._textures.get(sample.texture_id)
        if texture:
            _check_picture(texture)
        hdri = self._hdris[sample.environment.hdri_id] if sample.environment else None
        target = self._worker.scratch / "passes.exr"
        request = {
            "op": "render",
            "spec": asdict(sample),
            "samples": self._run.manifest.render.samples,
            "denoise": self._run.manifest.render.denoise,
            "cad": str(self._run.cad_file(sample.category, sample.cad_id)),
            "texture": str(texture.resolve()) if texture else "",
            "hdri": str(hdri.resolve()) if hdri else "",
            "target": str(target),
        }
        return self._worker.ask(request), read_passes(target)

    def sample(self, sample: RenderSpec) -> Members:
        """The members of one sample; ValueError where picture and pose disagree."""
        answer, passes = self._render(sample)
        vertices, faces = load_cad(self._run.cad_file(sample.category, sample.cad_id))
        camera = camera_of(answer | {"image_hw": sample.camera.image_hw})
        iou = mask_iou(silhouette(vertices, faces, np.array(answer["cam_T_obj"]), camera), passes.mask)
        if iou < MIN_MASK_IOU:
            raise ValueError(f"the mask and the projected mesh agree to IoU {iou:.4f} only, below {MIN_MASK_IOU}")
        return {
            "render.png": encode_png(passes.rgba),
            "mask.png": encode_png(mask_bytes(passes.mask)),
            "depth.npz": encode_npz(depth=passes.depth),
            "json": compact_json(_labels(sample, answer, passes, vertices, iou)),
        }

    def samples(self, specs: Iterable[RenderSpec], failures: list[Failure]) -> Iterator[tuple[str, Members]]:
        """The samples that could be made; the others are appended to `failures`. A lost process is tried again."""
        for sample in specs:
            try:
                try:
                    members = self.sample(sample)
                except BlenderError:
                    members = self.sample(sample)
            except (BlenderError, AssetError, ValueError) as error:
                failures.append(Failure(key=sample.key, reason=str(error)))
            else:
                yield sample.key, members
            tick()


def _samples(run: Run, shard: str, failures: list[Failure]) -> Iterator[tuple[str, Members]]:
    category, indices = run.members_of(shard)
    specs = [spec(run.manifest, run.inventory, category, index) for index in indices]
    used = {sample.cad_id for sample in specs}
    with BlenderWorker() as worker:
        prepare_cads(run, worker, [(category, cad) for cad in run.inventory.cads[category] if cad.id in used])
        yield from _ShardRenderer(run, worker).samples(specs, failures)


def render_shard(run_dir: str, shard: str) -> Ledger:
    """Render one shard, or return its ledger where it is finished already."""
    return make_shard(run_dir, "render", shard, (), _samples)
