"""`p3dgen bench fidelity`: models in their own materials against Blender's own import of the same files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from p3d_gen.bench import show
from p3d_gen.blender.client import BlenderError, BlenderWorker
from p3d_gen.blender.passes import read_colours
from p3d_gen.blender.protocol import ImportRequest, LooksRequest, PrepareRequest, RenderRequest, matrix
from p3d_gen.core.categories import CategoryDefinition
from p3d_gen.core.colour import srgb_bytes, srgb_light
from p3d_gen.core.errors import DataError
from p3d_gen.core.folders import files_below
from p3d_gen.core.geometry import cam_T_obj
from p3d_gen.core.types import Camera, Lamp, RenderSpec, Viewpoint, Window
from p3d_gen.render.prepare import prepare_request
from p3d_gen.run.cad_model import load_cad
from p3d_gen.run.scratch import ScratchFolder
from p3d_gen.spec.inventory import Asset
from p3d_gen.spec.layouts import CAD_SUFFIXES

_NOT_BLENDERS = (".off",)
_EQUAL_DB = 99.0
_BORDER_PX = 2
_GREY = srgb_light(np.array([64], np.uint8))[0]
_VIEWPOINT = Viewpoint(azimuth_rad=0.7, elevation_rad=0.45, theta_rad=0.0, distance=3.0)
_LAMPS = (
    Lamp(position=(-2.0, -4.0, 4.0), size=2.0, irradiance=3.0),
    Lamp(position=(4.0, -1.0, 1.5), size=3.0, irradiance=1.0),
)
_FILL = 0.95  # of the frame, by the ball around the object


@dataclass(frozen=True, kw_only=True)
class Fidelity:
    """The result of one model.

    state: "" if it was compared, else `refused` (Blender renders it, the project does not prepare it), `failed` (one of
        its two renders failed) or `unread` (Blender does not read it either).
    psnr_db: None if it was not compared. notes: warnings of its preparation, or the reason of the state.
    """

    name: str
    state: str
    psnr_db: float | None
    notes: str


def psnr_db(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """Return the likeness of two pictures over the pixels that either covers and a border, in front of the same grey.

    first, second: linear premultiplied colours (H, W, 4). 99 dB stands for equal pictures.
    """
    covered = binary_dilation((first[..., 3] > 0) | (second[..., 3] > 0), iterations=_BORDER_PX)
    if not covered.any():
        raise DataError("both pictures are empty")
    one, other = (srgb_bytes(each[..., :3] + (1 - each[..., 3:]) * _GREY)[covered] for each in (first, second))
    error = float(np.mean((one.astype(np.float64) - other) ** 2))
    return _EQUAL_DB if error == 0 else float(min(_EQUAL_DB, 10 * np.log10(255**2 / error)))


def _request(cad: Path, target: Path, size: int, samples: int) -> RenderRequest:
    """Return the request that renders a prepared model in its own materials."""
    half_angle = np.arcsin(0.5 / _VIEWPOINT.distance)
    camera = Camera(
        focal_px=_FILL * size / 2 / float(np.tan(half_angle)),
        principal_px=(size / 2, size / 2),
        image_hw=(size, size),
    )
    sample = RenderSpec(
        key="fidelity",
        category="",
        index=0,
        cad_id=cad.stem,
        stretch_xyz=(1.0, 1.0, 1.0),
        viewpoint=_VIEWPOINT,
        camera=camera,
        truncation=None,
        occluder=None,
        texture_id="",
        materials=(),
        lamps=_LAMPS,
        environment=None,
        sun=None,
        background_id="",
        background_window=Window(u=0.0, v=0.0, scale=1.0, flip=False),
        colour="",
        render_seed=1,
    )
    return RenderRequest(
        sample=sample,
        cam_T_obj=matrix(cam_T_obj(_VIEWPOINT)),
        camera=camera,
        occluder=None,
        labels=(),
        samples=samples,
        denoise=False,
        cad=cad,
        native=True,
        texture=None,
        hdri=None,
        target=target,
    )


class Comparison:
    """Renders models both ways with one Blender process, into `folder`."""

    def __init__(self, worker: BlenderWorker, folder: Path, size: int, samples: int) -> None:
        """Keep the options. size: of the square pictures, in pixels."""
        self._worker, self._folder, self._size, self._samples = worker, folder, size, samples

    def _reference(self, model: Path, request: RenderRequest) -> NDArray[np.float32]:
        self._worker.ask(ImportRequest(source=model.absolute(), render=request))
        return read_colours(request.target)

    def compare(self, model: Path, name: str) -> Fidelity:
        """Render a model both ways."""
        cad, target = self._folder / "model.npz", self._folder / "picture.exr"
        request = _request(cad, target, self._size, self._samples)
        for old in self._folder.glob("model*"):
            old.unlink()
        try:
            self._worker.ask(_preparation(model, cad))
        except BlenderError as error:
            state = "refused" if self._is_rendered(model, request) else "unread"
            return Fidelity(name=name, state=state, psnr_db=None, notes=str(error))
        warnings = "; ".join(load_cad(cad).warnings)
        try:
            self._worker.ask(request)
            own = read_colours(target)
            reference = self._reference(model, request)
        except BlenderError as error:
            state = "unread" if model.suffix.lower() in _NOT_BLENDERS else "failed"
            return Fidelity(name=name, state=state, psnr_db=None, notes=str(error))
        return Fidelity(name=name, state="", psnr_db=psnr_db(own, reference), notes=warnings)

    def _is_rendered(self, model: Path, request: RenderRequest) -> bool:
        try:
            self._reference(model, request)
        except BlenderError:
            return False
        return True


def _preparation(model: Path, target: Path) -> PrepareRequest:
    asset = Asset(id=model.stem, address=str(model.absolute()))
    return prepare_request(CategoryDefinition(name="model"), asset, target)


def _models(folder: Path | None, worker: BlenderWorker, scratch: Path) -> list[tuple[Path, str]]:
    """Return models with their names: those below a folder, or those that the project makes. DataError if none."""
    if folder is None:
        folder = scratch / "looks"
        folder.mkdir()
        worker.ask(LooksRequest(folder=folder))
    models = files_below(folder, CAD_SUFFIXES)
    if not models:
        raise DataError(f"{folder} holds no CAD model: name a folder with {', '.join(CAD_SUFFIXES)} files")
    return [(model, str(model.relative_to(folder))) for model in models]


def measure(folder: Path | None, size: int, samples: int) -> dict[str, object]:
    """Compare the models below a folder, or those that the project makes, and print a table; returns the figures."""
    with ScratchFolder() as scratch, BlenderWorker() as worker:
        comparison = Comparison(worker, scratch, size, samples)
        results = [comparison.compare(model, name) for model, name in _models(folder, worker, scratch)]
    rows = [
        (each.name, f"{each.psnr_db:.1f}" if each.psnr_db is not None else each.state, each.notes)
        for each in sorted(results, key=lambda each: (each.psnr_db is not None, each.psnr_db))
    ]
    show(f"own materials against Blender's import, {size} px, {samples} samples", ("model", "PSNR, dB", "notes"), rows)
    figures = [each.psnr_db for each in results if each.psnr_db is not None]
    counts = {state: sum(each.state == state for each in results) for state in ("failed", "refused", "unread")}
    return {
        "worst_psnr_db": min(figures, default=None),
        "median_psnr_db": float(np.median(figures)) if figures else None,
        "models": len(results),
        **counts,
        "psnr_db": {each.name: each.psnr_db for each in results if each.psnr_db is not None},
    }
