"""Parametric motorbikes: naked road bike, sport bike, cruiser, scooter, dirt bike, tourer."""

import numpy as np

from blender_assets.shapes.mesh import Draft
from blender_assets.shapes.motorbike.faired import sport, tourer
from blender_assets.shapes.motorbike.light import dirt_bike, scooter
from blender_assets.shapes.motorbike.road import cruiser, naked


def motorbike(body_type: int, rng: np.random.Generator) -> Draft:
    """Make a motorbike in metres, standing on z = 0, front at -y; tank, fairing and mudguards are paint.

    body_type 0..5: naked road bike, sport bike, cruiser, scooter, dirt bike, tourer. Proportions and details are
    drawn from `rng`. Mirror-symmetric in x, except metal and plastic: chain, exhaust, brake, stand.
    """
    makers = (naked, sport, cruiser, scooter, dirt_bike, tourer)
    return makers[body_type](rng)
