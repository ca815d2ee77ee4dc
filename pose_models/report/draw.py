"""The drawing that the pictures share: text, antialiased lines, poses on images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import Image, ImageDraw

from p3d_gen.core.geometry import box_corners, transform
from p3d_gen.core.lettering import drawable, font
from p3d_gen.core.types import Array, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Colour = tuple[int, int, int]
INK: Colour = (30, 34, 40)
FAINT: Colour = (120, 126, 134)
_SUBPIXEL_BITS = 4
_NEAREST_DEPTH = 0.05


def blank(height: int, width: int, colour: Colour) -> Picture:
    """Make a picture (height, width, 3) of one colour."""
    return np.full((height, width, 3), colour, dtype=np.uint8)


def text_width(text: str, size: int) -> float:
    """Return the pixels that a line of text takes."""
    return float(font(size).getlength(drawable(text)))


def fitted(text: str, size: int, width: float) -> str:
    """Shorten the text in its middle if it is wider than `width` pixels."""
    if text_width(text, size) <= width:
        return text
    for kept in range(len(text) - 1, 0, -1):
        short = text[: (kept + 1) // 2].rstrip() + "..." + text[len(text) - kept // 2 :].lstrip()
        if text_width(short, size) <= width:
            return short
    return "..."


def write_texts(picture: Picture, texts: Sequence[tuple[float, float, str, str]], size: int, colour: Colour) -> None:
    """Write lines of text into a picture, each as (x, y, text, anchor): anchor as Pillow names it, "lt" for x, y at
    the left top, "mm" in the middle, "rm" right middle."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for x, y, text, anchor in texts:
        draw.text((x, y), drawable(text), font=font(size), fill=colour, anchor=anchor)
    picture[:] = np.asarray(image)


def polyline(picture: Picture, points: Array, colour: Colour, thickness: int = 2) -> None:
    """Draw an antialiased line through continuous pixel coordinates (N, 2), x then y."""
    fixed = np.rint((points - 0.5) * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.polylines(picture, [fixed], False, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)


def enlarged(image: Picture, K: Array, scale: float) -> tuple[Picture, Array]:
    """Scale an image and its intrinsics (3, 3) by about `scale`; the sides are rounded to pixels."""
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)
    stretch = np.diag([width / image.shape[1], height / image.shape[0], 1.0])
    return resized, np.asarray(stretch @ K)


def draw_pose(image: Picture, K: Array, cam_T_obj: Array, box: Array) -> Picture | None:
    """Draw an object's box and axes on a copy of an image (H, W, 3); None if the box reaches behind the camera.

    The front face is yellow; the axes start at the box's centre: x red, y green, z blue.

    K (3, 3), its two focal lengths may differ; cam_T_obj (4, 4); box (2, 3): its lower and upper corner in obj axes.
    ValueError where pose or K is not finite.
    """
    from p3d_gen.report.sheet import draw_labels

    if not (np.isfinite(cam_T_obj).all() and np.isfinite(K).all()):
        raise ValueError("a pose can only be drawn with its translation and camera: those of the solver's rule")
    lower, upper = box
    centred = cam_T_obj @ np.block([[np.eye(3), ((lower + upper) / 2)[:, None]], [0.0, 0.0, 0.0, 1.0]])
    # the axes reach 0.2 of the extent beyond the box
    if transform(centred, 1.4 * box_corners(upper - lower))[:, 2].min() < _NEAREST_DEPTH:
        return None
    # K goes into the pose, because a rule that knows only the image's box has two focal lengths.
    pixels_T_obj = np.block([[K, np.zeros((3, 1))], [0.0, 0.0, 0.0, 1.0]]) @ centred
    labels = {
        "focal_px": 1.0,
        "principal_px": [0.0, 0.0],
        "image_hw": list(image.shape[:2]),
        "cam_T_obj": pixels_T_obj.tolist(),
        "object_extent_xyz": (upper - lower).tolist(),
    }
    return draw_labels(image, labels)


def rendered(figure: Figure) -> Picture:
    """Render a figure of matplotlib to pixels, without a window or any state of pyplot."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
