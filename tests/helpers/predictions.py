"""Made predictions for the tests of metrics and reports."""

import numpy as np

from p3d_gen.core.geometry import cam_T_obj, random_rotation
from p3d_gen.core.types import Viewpoint
from pose_models.prediction import Prediction


def rotation(azimuth_deg, elevation_deg=0.0, theta_deg=0.0):
    a, e, t = np.radians([azimuth_deg, elevation_deg, theta_deg])
    return cam_T_obj(Viewpoint(azimuth_rad=a, elevation_rad=e, theta_rad=t, distance=5.0))[:3, :3]


def predicted(key, R_true, R_predicted, **fields):
    known = {"category": "car", "subset": "", "confidence": 0.5, "loss": 0.2, "category_predicted": "car"}
    return Prediction(key=key, R_true=R_true, R_predicted=R_predicted, **{**known, **fields})


def made_predictions(count=60, seed=0, categories=("bottle", "car", "diningtable"), subsets=("",)):
    """Errors of some degrees, one in five a front/back flip, which are less confident."""
    rng = np.random.default_rng([seed, 1])
    found = []
    for i in range(count):
        azimuth, elevation = rng.uniform(0, 360), rng.uniform(-10, 40)
        flip = rng.random() < 0.2
        off = rng.normal((180 * flip, 0), 6)
        category = categories[i % len(categories)]
        found.append(
            predicted(
                f"image-{i:04d}",
                rotation(azimuth, elevation),
                rotation(azimuth + off[0], elevation + off[1]),
                category=category,
                category_predicted=category,
                subset=subsets[i % len(subsets)],
                confidence=float(rng.uniform(0.2, 0.8) - 0.2 * flip),
            )
        )
    return found


def unsolved(key="lost", **fields):
    return predicted(key, random_rotation(np.random.default_rng([8, 1])), np.full((3, 3), np.nan), **fields)
