"""A sheet of single images: the worst and the typical ones, each with its true and its predicted pose."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from p3d_gen.core.geometry import viewpoint_of
from p3d_gen.core.types import Array, Picture
from pose_models.data.sample import PoseSample
from pose_models.evaluation import Evaluated, placed
from pose_models.geometry import rotation_error_rad
from pose_models.prediction import Prediction
from pose_models.report.draw import FAINT, INK, blank, draw_pose, enlarged, fitted, write_texts

_PANEL_HEIGHT, _NARROWEST_PANEL, _WIDEST_PANEL = 230, 304, 420  # the longest angles fit under the narrowest
_GAP, _MARGIN, _CAPTION, _LEGEND, _HEADING = 4, 16, 22, 20, 40
_PAPER, _DARK = (255, 255, 255), (54, 58, 64)


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """One image (H, W, 3) uint8 RGB on the canvas of the model, and there the true and the predicted pose (4, 4), each
    with its camera K (3, 3). All are finite: if a source knows only the rotation, translation and K are those that
    the solver's rule gives for it. A predicted pose that is all NaN means that none was found. box (2, 3): lower and
    upper corner of the category's box in obj axes."""

    image: Picture
    cam_T_obj_true: Array
    K_true: Array
    cam_T_obj_predicted: Array
    K_predicted: Array
    box: Array
    caption: str


def worst_and_typical(errors_rad: Sequence[float], count: int) -> tuple[list[int], list[int]]:
    """Choose the worst and the typical images.

    Returns the indices of the `count` images with the greatest errors, worst first, and of those whose errors are
    nearest to the median, ascending. NaN counts as pi. Fewer if there are fewer images.
    """
    errors = np.nan_to_num(np.asarray(errors_rad, dtype=np.float64), nan=np.pi)
    worst = np.argsort(-errors, kind="stable")[:count]
    typical = np.argsort(np.abs(errors - np.median(errors)), kind="stable")[:count]
    return worst.tolist(), typical[np.argsort(errors[typical], kind="stable")].tolist()


def caption(prediction: Prediction, error_rad: float) -> str:
    """Write key, error and confidence in one line, and the category if it was mistaken."""
    name = f"{prediction.subset}/{prediction.key}" if prediction.subset else prediction.key
    taken = prediction.category_predicted
    mistaken = f"   taken for {taken}" if taken != prediction.category else ""
    outcome = f"error {math.degrees(error_rad):.1f}°" if prediction.solved else "no pose found"
    return f"{name}   {outcome}   confidence {prediction.confidence:.2f}{mistaken}"


def evaluated_cases(samples: Iterable[PoseSample], evaluated: Sequence[Evaluated]) -> dict[tuple[str, str], Case]:
    """Return the cases of the samples among `evaluated`, by (subset, key)."""
    wanted = {(e.prediction.subset, e.prediction.key): e for e in evaluated}
    shown: dict[tuple[str, str], Case] = {}
    for sample in samples:
        name = sample.subset, sample.key
        if name not in wanted:
            continue
        one = wanted.pop(name)
        batch = placed([sample], one.estimator)
        true_pose, true_K = one.estimator.camera(batch)
        error = rotation_error_rad(*(torch.from_numpy(R) for R in (one.prediction.R_predicted, one.prediction.R_true)))
        shown[name] = Case(
            image=(batch.image[0].permute(1, 2, 0) * 255).round().byte().numpy(),
            cam_T_obj_true=true_pose[0].cpu().double().numpy(),
            K_true=true_K[0].cpu().double().numpy(),
            cam_T_obj_predicted=one.cam_T_obj,
            K_predicted=one.K,
            box=one.estimator.boxes[sample.category].double().numpy(),
            caption=caption(one.prediction, float(error)),
        )
        if not wanted:
            break
    return shown


def _angles(cam_T_obj: Array) -> str:
    view = viewpoint_of(cam_T_obj)
    azimuth, elevation, theta = (
        round(math.degrees(angle)) for angle in (view.azimuth_rad, view.elevation_rad, view.theta_rad)
    )
    return f"azimuth {azimuth % 360}°, elevation {elevation}°, in-plane {theta}°"


def _panel(case: Case, cam_T_obj: Array, K: Array, name: str, width: int) -> Picture:
    """Draw the image with one pose, centred in a panel, and its angles beneath."""
    panel = blank(_PANEL_HEIGHT + _LEGEND, width, _PAPER)
    panel[:_PANEL_HEIGHT] = _DARK
    height, wide = case.image.shape[:2]
    image, K = enlarged(case.image, K, min(_PANEL_HEIGHT / height, width / wide))
    known = bool(np.isfinite(cam_T_obj).all())
    drawn = draw_pose(image, K, cam_T_obj, case.box) if known else None
    legend = f"{name}: {_angles(cam_T_obj)}" if known else f"{name}: none found"
    if known and drawn is None:
        legend += " (behind the camera)"
    shown = image if drawn is None else drawn
    top, left = (_PANEL_HEIGHT - shown.shape[0]) // 2, (width - shown.shape[1]) // 2
    panel[top : top + shown.shape[0], left : left + shown.shape[1]] = shown
    write_texts(panel, [(2, _PANEL_HEIGHT + _LEGEND / 2, fitted(legend, 12, width - 4), "lm")], 12, FAINT)
    return panel


def _tile(case: Case, panel_width: int) -> Picture:
    """Draw the true and the predicted pose side by side under the caption."""
    pair = [
        _panel(case, case.cam_T_obj_true, case.K_true, "true", panel_width),
        blank(_PANEL_HEIGHT + _LEGEND, _GAP, _PAPER),
        _panel(case, case.cam_T_obj_predicted, case.K_predicted, "predicted", panel_width),
    ]
    pictures = np.hstack(pair)
    head = blank(_CAPTION, pictures.shape[1], _PAPER)
    write_texts(head, [(2, _CAPTION / 2, fitted(case.caption, 14, pictures.shape[1] - 4), "lm")], 14, INK)
    return np.vstack([head, pictures])


def _grid(tiles: Sequence[Picture], columns: int) -> Picture:
    height, width = tiles[0].shape[:2]
    rows = -(-len(tiles) // columns)
    sheet = blank(rows * (height + _MARGIN), columns * (width + _MARGIN) + _MARGIN, _PAPER)
    for i, tile in enumerate(tiles):
        top, left = i // columns * (height + _MARGIN), _MARGIN + i % columns * (width + _MARGIN)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def case_sheet(sections: Mapping[str, Sequence[Case]], columns: int = 2) -> Picture:
    """Draw the cases, `columns` side by side, under the name of their section.

    The true pose is on the left of each, the predicted one on the right. ValueError if there is no case, or a true pose
    is not finite.
    """
    cases = [case for section in sections.values() for case in section]
    if not cases:
        raise ValueError("no case to show")
    unknown = next((case for case in cases if not np.isfinite(case.cam_T_obj_true).all()), None)
    if unknown is not None:
        raise ValueError(
            f"{unknown.caption}: its true pose is not finite; give it the translation of the solver's rule"
        )
    widths = [_PANEL_HEIGHT * case.image.shape[1] / case.image.shape[0] for case in cases]
    panel_width = min(_WIDEST_PANEL, max(_NARROWEST_PANEL, math.ceil(max(widths))))
    parts = []
    for name, section in sections.items():
        if section:
            grid = _grid([_tile(case, panel_width) for case in section], columns)
            heading = blank(_HEADING, grid.shape[1], _PAPER)
            write_texts(heading, [(_MARGIN + 2, _HEADING / 2, fitted(name, 20, grid.shape[1] - 40), "lm")], 20, INK)
            parts += [heading, grid]
    return np.vstack(parts)
