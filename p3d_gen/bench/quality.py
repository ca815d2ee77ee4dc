"""Settings of the ray tracer, by time and quality: against a reference of many samples, and the released recipe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from p3d_gen.bench import show
from p3d_gen.bench.scenes import SIDE_PX, Scenes, square, temporary_run
from p3d_gen.blender.client import BlenderWorker
from p3d_gen.blender.protocol import RenderRequest
from p3d_gen.core.types import Picture
from p3d_gen.stylize.edges import canny

REFERENCE_SAMPLES, RELEASED_SAMPLES = 1024, 512
_DEFAULT = "8 samples, denoised"
_CANNY = (150, 200)
_EQUAL_EDGES = 0.95
_PLAIN = {"cycles.use_denoising": False}
_WHOLE_FRAME = {"render.use_border": False, **_PLAIN}
_VARIANTS = {
    f"{samples} samples{', denoised' if denoise else ''}": {"cycles.samples": samples, "cycles.use_denoising": denoise}
    for denoise in (False, True)
    for samples in (1, 4, 8, 16, 32)
}


class Quality(NamedTuple):
    """Seconds of the render call; peak signal-to-noise ratio in dB on the object; agreement of the Canny maps."""

    seconds: float
    psnr: float
    edges: float


def edge_agreement(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return the share of edge pixels of two Canny maps that are within a pixel of the other's; 1 if there are none."""
    one, other = a > 0, b > 0
    near_one, near_other = (binary_dilation(edges, np.ones((3, 3))) for edges in (one, other))
    pixels = np.count_nonzero(one) + np.count_nonzero(other)
    return float(((one & near_other).sum() + (other & near_one).sum()) / pixels) if pixels else 1.0


def _edges(picture: Picture) -> Picture:
    return canny(picture, _CANNY, len(picture), "opencv")


@dataclass(frozen=True)
class _Reference:
    """A scene and its picture with many samples."""

    scenes: Scenes
    request: RenderRequest
    truth: Picture
    mask: NDArray[np.bool_]

    @staticmethod
    def of(scenes: Scenes, request: RenderRequest) -> _Reference:
        _, truth, mask = scenes.picture(request, {"cycles.samples": REFERENCE_SAMPLES, **_PLAIN})
        return _Reference(scenes, request, truth, mask)

    def quality(self, settings: dict[str, Any]) -> Quality:
        """Return the quality of the scene when it is rendered with changed settings."""
        seconds, picture, _ = self.scenes.picture(self.request, settings)
        error = np.mean((picture[self.mask].astype(float) - self.truth[self.mask]) ** 2)
        return Quality(
            seconds,
            float(10 * np.log10(255**2 / max(error, 1e-9))),
            edge_agreement(_edges(picture), _edges(self.truth)),
        )

    def released(self) -> Quality:
        """Return the quality of the released recipe: 512 samples without a denoiser, and a second pass for the mask."""
        picture = self.quality({"cycles.samples": RELEASED_SAMPLES, **_WHOLE_FRAME})
        mask = self.scenes.render(self.request, {"cycles.samples": 1, **_WHOLE_FRAME})
        return picture._replace(seconds=picture.seconds + mask.seconds)


def _mean(qualities: list[Quality]) -> Quality:
    return Quality(*np.mean(qualities, axis=0).tolist())


def settings(scenes_each: int = 1, side_px: int = SIDE_PX) -> dict[str, Any]:
    """Measure numbers of samples and the denoiser against 1024 samples, together with the released recipe."""
    with (
        temporary_run(["car", "chair"], scenes_each, scenes_each, camera=square(side_px)) as run,
        BlenderWorker(timeout_s=3600) as worker,
    ):
        scenes = Scenes(run, worker)
        references = [
            _Reference.of(scenes, scenes.request(category, index))
            for category in run.manifest.categories
            for index in range(scenes_each)
        ]
        table = {name: _mean([ref.quality(changes) for ref in references]) for name, changes in _VARIANTS.items()}
        released = _mean([ref.released() for ref in references])
    rows = [
        *table.items(),
        (f"released recipe: {RELEASED_SAMPLES} samples, mask pass", released),
    ]
    show(
        f"{len(references)} scenes at {side_px} px against {REFERENCE_SAMPLES} samples",
        ("settings", "seconds", "PSNR dB", "edge agreement"),
        [(name, *quality) for name, quality in rows],
    )
    return _released_over(table, released)


def _released_over(table: dict[str, Quality], released: Quality) -> dict[str, Any]:
    """Return the released recipe's time over the default's, and over that of the cheapest settings with equal edges."""
    equal = {name: quality for name, quality in table.items() if quality.edges >= _EQUAL_EDGES}
    cheapest = min(equal, key=lambda name: equal[name].seconds, default="")
    default = table[_DEFAULT]
    return {
        "released_over_default": released.seconds / default.seconds,
        "default_edge_agreement": default.edges,
        "default_psnr_db": default.psnr,
        "released_edge_agreement": released.edges,
        "equal_edges_settings": cheapest,
        "released_over_equal_edges": released.seconds / equal[cheapest].seconds if cheapest else 1.0,
    }
