"""Pose inference by render-and-compare, batched over images and hypotheses."""

from pose_models.solve.cameras import CameraRule, box_camera, camera_rule, known_camera
from pose_models.solve.category import Candidate, candidates, infer_category
from pose_models.solve.config import PRESETS, SolveConfig
from pose_models.solve.scoring import Scorer
from pose_models.solve.solver import (
    ConfidenceForm,
    Solutions,
    confidence,
    distinct,
    solve,
    spread,
    starting_views,
)
from pose_models.solve.views import View, batch_camera, solve_views, views_of

__all__ = [
    "PRESETS",
    "CameraRule",
    "Candidate",
    "ConfidenceForm",
    "Scorer",
    "Solutions",
    "SolveConfig",
    "View",
    "batch_camera",
    "box_camera",
    "camera_rule",
    "candidates",
    "confidence",
    "distinct",
    "infer_category",
    "known_camera",
    "solve",
    "solve_views",
    "spread",
    "starting_views",
    "views_of",
]
