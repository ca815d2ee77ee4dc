"""Parametric chairs: dining chair, arm chair, office chair, lounge chair, cantilever chair, ladder-back chair."""

import numpy as np

from blender_assets.shapes.chair.parts import (
    bend,
    bent,
    chair_keypoints,
    corner,
    cushion,
    finial,
    flat_bar,
    nearest,
    panel,
    square_leg,
    star_base,
    swept_post,
    upholstered,
    woven_seat,
)
from blender_assets.shapes.mesh import (
    Draft,
    cylinder,
    join,
    moved,
    pair,
    rotation_about,
    rounded_box,
    smooth_path,
    tube,
)


def chair(body_type: int, rng: np.random.Generator) -> Draft:
    """Make a chair in metres, standing on z = 0; the sitter looks to -y, the back rest is at +y.

    body_type 0..5: slatted dining chair, upholstered arm chair, office swivel chair, lounge chair,
    cantilever tube chair, ladder-back. Mirror-symmetric in x; proportions are drawn from `rng`.
    """
    makers = (_dining, _arm_chair, _office, _lounge, _cantilever, _ladder_back)
    return makers[body_type](rng)


def _dining(rng: np.random.Generator) -> Draft:
    """Make a wooden dining chair with upright slats between two rails of the back."""
    w, d, h = rng.uniform(0.42, 0.47), rng.uniform(0.41, 0.45), rng.uniform(0.44, 0.46)
    top, lean, slats = rng.uniform(0.86, 0.98), rng.uniform(0.07, 0.11), int(rng.integers(4, 7))
    x, front, rear = w / 2 - 0.025, -d / 2 + 0.03, d / 2 - 0.02
    seat = moved(panel((w, d, 0.035), 0.014, "wood"), (0, 0, h))
    legs = pair(square_leg((x, front, h - 0.01), (x, front, 0), 0.042, 0.028, "wood"))
    path = smooth_path([(x, rear + 0.03, 0), (x, rear, 0.22), (x, rear, h), (x, rear + lean, top)], 14)
    posts = pair(swept_post(path, 0.034, 0.038, "wood"))

    def back(z: float) -> float:
        return float(np.interp(z, path[:, 2], path[:, 1]))

    rails = []
    for z, tall in ((top - 0.035, 0.075), (h + 0.13, 0.04)):
        rails.append(moved(rounded_box((0, 0, 0), (2 * x, 0.022, tall), 0.008, "wood", 2), (0, back(z), z)))
    uprights = []
    for k in range(slats):
        at = (k + 0.5) / slats * 2 - 1
        low, high = h + 0.13, top - 0.05
        ends = [(at * (x - 0.02), back(z), z) for z in np.linspace(low, high, 6)]
        uprights.append(swept_post(np.array(ends), 0.026, 0.013, "wood"))
    aprons = [
        rounded_box((0, front, h - 0.045), (2 * x, 0.02, 0.06), 0.004, "wood", 1),
        rounded_box((0, rear, h - 0.045), (2 * x, 0.02, 0.06), 0.004, "wood", 1),
        pair(rounded_box((x, (front + rear) / 2, h - 0.045), (0.02, rear - front, 0.06), 0.004, "wood", 1)),
        pair(cylinder((x, front, 0.16), (x, rear, 0.18), 0.011, "wood", 10)),
        cylinder((-x, 0, 0.17), (x, 0, 0.17), 0.011, "wood", 10),
    ]
    pad = [moved(cushion((w - 0.05, d - 0.07, 0.045), 0.012, "fabric"), (0, -0.01, h + 0.035))]
    keypoints = chair_keypoints(
        corner(posts, (1, 0, 1)), corner(seat, (1, 1, 0)), corner(seat, (1, -1, 0)), path[0], (x, front, 0)
    )
    return Draft([seat, legs, posts, *rails, *uprights, *aprons, *(pad if rng.integers(2) else [])], keypoints)


def _arm_chair(rng: np.random.Generator) -> Draft:
    """Make an upholstered arm chair: thick seat cushion, padded back, broad arm rests, short wooden legs."""
    w, d = rng.uniform(0.76, 0.88), rng.uniform(0.78, 0.86)
    top, arm, arm_w = rng.uniform(0.84, 1.0), rng.uniform(0.58, 0.66), rng.uniform(0.12, 0.17)
    clear = 0.13
    inner = w - 2 * arm_w
    base = rounded_box((0, 0, clear + 0.09), (w - 0.04, d - 0.06, 0.18), 0.03, "fabric", 3)
    seat = moved(cushion((inner + 0.01, d - 0.2, 0.17), 0.03, "fabric"), (0, -0.1, clear + 0.26))
    lean = rotation_about("x", -0.2)
    back_h = top - clear - 0.1
    shell = moved(
        rounded_box((0, 0, back_h / 2), (w - 0.05, 0.13, back_h), 0.05, "fabric", 4),
        (0, d / 2 - 0.13, clear + 0.1),
        lean,
    )
    pillow = cushion((inner, back_h - 0.16, 0.15), 0.035, "fabric")
    upright = moved(pillow, (0, 0, 0), rotation_about("x", np.pi / 2))
    pillow = moved(moved(upright, (0, -0.11, back_h * 0.5 + 0.1)), (0, d / 2 - 0.13, clear + 0.1), lean)
    side = rounded_box((0, 0, 0), (arm_w, d - 0.1, arm - clear - 0.04), 0.05, "fabric", 4)
    arms = pair(moved(side, (w / 2 - arm_w / 2, -0.03, (arm + clear + 0.04) / 2)))
    roll = cylinder(
        (w / 2 - arm_w / 2, -d / 2 + 0.01, arm - 0.04),
        (w / 2 - arm_w / 2, d / 2 - 0.12, arm - 0.04),
        arm_w * 0.56,
        "fabric",
        24,
    )
    foot_x, foot_y = w / 2 - 0.07, (d / 2 - 0.1) * 1.06
    legs = [
        pair(square_leg((w / 2 - 0.09, y / 1.06, clear + 0.02), (foot_x, y, 0), 0.06, 0.035, "wood"))
        for y in (-foot_y, foot_y)
    ]
    keypoints = chair_keypoints(
        corner(shell, (1, 0, 1)),
        nearest(pillow, (inner / 2, d / 2 - 0.3, clear + 0.345)),
        corner(seat, (1, -1, 1)),
        (foot_x, foot_y, 0),
        (foot_x, -foot_y, 0),
    )
    return Draft([base, seat, shell, pillow, arms, pair(roll), *legs], keypoints)


def _office(rng: np.random.Generator) -> Draft:
    """Make a swivel chair: five-star base on castors, gas column, padded seat and back, plastic arm rests."""
    h, w, back_h = rng.uniform(0.46, 0.52), rng.uniform(0.48, 0.53), rng.uniform(0.5, 0.68)
    reach = rng.uniform(0.3, 0.34)
    metal = "metal" if rng.integers(2) else "plastic"
    plate = rounded_box((0, 0.02, h - 0.045), (0.2, 0.28, 0.05), 0.015, "plastic", 2)
    seat = moved(cushion((w, 0.48, 0.09), 0.015, "fabric"), (0, -0.02, h + 0.02))
    lever = smooth_path([(0, 0.1, h - 0.045), (0, 0.24, h - 0.045), (0, 0.29, h + 0.02), (0, 0.31, h + 0.3)], 16)
    bar = flat_bar(lever, 0.035, 0.012, metal)
    pad = moved(cushion((w - 0.05, back_h, 0.07), 0.012, "fabric"), rotation=rotation_about("x", np.pi / 2))
    back = moved(bent(pad, 0.06, w / 2), (0, 0.28, h + 0.12 + back_h / 2))
    back = moved(moved(back, (0, -0.28, -h)), (0, 0.28, h), rotation_about("x", -0.12))
    x = w / 2 + 0.05
    arm = smooth_path([(0.08, 0.03, h - 0.04), (x - 0.02, 0.03, h - 0.04), (x, 0.03, h + 0.02), (x, 0.02, h + 0.2)], 18)
    rest = rounded_box((x, -0.01, h + 0.215), (0.07, 0.25, 0.032), 0.014, "plastic", 2)
    base = star_base(h - 0.03, reach, metal)
    keypoints = chair_keypoints(
        corner(back, (1, 0, 1)),
        corner(seat, (1, 1, 0)),
        corner(seat, (1, -1, 0)),
        nearest(base, (0.59 * reach, 0.81 * reach, 0)),
        nearest(base, (0.95 * reach, -0.31 * reach, 0)),
    )
    arms = pair(join([tube(arm, 0.016, "plastic", 10), rest]))
    return Draft([base, plate, seat, bar, back, arms], keypoints)


def _lounge(rng: np.random.Generator) -> Draft:
    """Make a low lounge chair: a curved upholstered shell on four splayed wooden legs, without arm rests."""
    w, h, tilt = rng.uniform(0.6, 0.7), rng.uniform(0.34, 0.39), rng.uniform(0.42, 0.58)
    length, wing_depth = rng.uniform(0.62, 0.74), rng.uniform(0.05, 0.11)
    rise = length * np.cos(tilt)
    knots = [(0, -0.36, h + 0.02), (0, -0.3, h + 0.045), (0, -0.05, h), (0, 0.17, h - 0.02), (0, 0.27, h + 0.06)]
    knots += [
        (0, 0.3 + 0.5 * length * np.sin(tilt), h + 0.1 + 0.5 * rise),
        (0, 0.3 + length * np.sin(tilt), h + 0.1 + rise),
    ]
    path = smooth_path(knots, 40)
    shell = upholstered(path, w, 0.085, wing_depth)
    head = moved(cushion((w * 0.55, 0.17, 0.08), 0.015, "fabric"), rotation=rotation_about("x", np.pi / 2 - tilt))
    spot = path[-6]
    head = moved(head, (0, spot[1] - 0.06, spot[2] + 0.01))
    frame = [pair(rounded_box((w * 0.3, -0.04, h - 0.055), (0.035, 0.5, 0.04), 0.01, "wood", 2))]
    frame += [rounded_box((0, y, h - 0.06), (w * 0.6, 0.035, 0.04), 0.01, "wood", 2) for y in (-0.24, 0.16)]
    legs = [
        pair(
            tube(
                [(w * 0.3, y, h - 0.05), (w * 0.36, y * 1.2, (h - 0.05) / 2), (w * 0.42, y * 1.4, 0.0)],
                [0.024, 0.019, 0.013],
                "wood",
                16,
            )
        )
        for y in (-0.24, 0.2)
    ]
    keypoints = chair_keypoints(
        corner(shell, (1, 0, 1)),
        nearest(shell, (w / 2, *path[24, 1:])),
        corner(shell, (1, -1, 0)),
        (w * 0.42, 0.28, 0),
        (w * 0.42, -0.336, 0),
    )
    return Draft([shell, head, *frame, *legs], keypoints)


def _cantilever(rng: np.random.Generator) -> Draft:
    """Make a cantilever chair: one bent steel tube, no rear legs, seat and back of fabric or wood."""
    w, h, d = rng.uniform(0.44, 0.5), rng.uniform(0.44, 0.47), rng.uniform(0.44, 0.5)
    top, lean, part = rng.uniform(0.82, 0.92), rng.uniform(0.07, 0.12), str(rng.choice(["fabric", "wood"]))
    x, r, front, rear = w / 2, 0.0125, -d / 2, d / 2 - 0.02
    side = [
        (x, rear + lean, top),
        (x, rear + 0.3 * lean, h + 0.14),
        *bend((x, rear, h + 0.06), (x, rear, h), (x, rear - 0.06, h)),
    ]
    side += bend((x, front + 0.08, h), (x, front, h), (x, front, h - 0.08))
    side += bend((x, front, r + 0.08), (x, front, r), (x, front + 0.08, r))
    side += bend((x, rear - 0.06, r), (x, rear, r), (x - 0.06, rear, r))
    left = [(-a, b, c) for a, b, c in side[::-1]]
    frame = tube(np.array(side + left), r, "metal", 14)
    seat = moved(cushion((w - 0.01, d - 0.03, 0.035), 0.008, part), (0, 0.0, h + 0.012))
    pad = moved(cushion((w - 0.005, 0.3, 0.03), 0.004, part), rotation=rotation_about("x", np.pi / 2))
    slope = np.arctan2(0.7 * lean, top - h - 0.14)
    middle_z = top - 0.14
    y = rear + lean - slope * 0.14 - 0.012
    back = moved(bent(pad, -0.025, w / 2), (0, y - 0.025, middle_z), rotation_about("x", -slope))
    braces = [cylinder((-x, yy, h), (x, yy, h), 0.008, "metal", 10) for yy in (front + 0.1, rear - 0.08)]
    arms = []
    if rng.integers(2):
        rest = smooth_path(
            [
                (x + 0.005, rear + 0.5 * lean, h + 0.2),
                (x + 0.02, rear - 0.1, h + 0.21),
                (x + 0.02, front + 0.12, h + 0.2),
                (x + 0.015, front + 0.06, h + 0.16),
                (x, front + 0.05, h),
            ],
            26,
        )
        arms = [pair(tube(rest, 0.011, "metal", 12))]
    keypoints = chair_keypoints(
        corner(back, (1, 0, 1)),
        corner(seat, (1, 1, 0)),
        corner(seat, (1, -1, 0)),
        nearest(frame, (x, rear, 0)),
        nearest(frame, (x, front, 0)),
    )
    return Draft([frame, seat, back, *braces, *arms], keypoints)


def _ladder_back(rng: np.random.Generator) -> Draft:
    """Make a tall ladder-back chair: turned round posts with finials, curved rungs, a woven seat, some with arms."""
    w, d, h = rng.uniform(0.46, 0.52), rng.uniform(0.4, 0.45), rng.uniform(0.43, 0.46)
    top, rungs = rng.uniform(1.05, 1.18), int(rng.integers(4, 6))
    x, xr, front, rear = w / 2, w / 2 - 0.045, -d / 2, d / 2
    lean = rng.uniform(0.05, 0.09)
    z = np.linspace(0, top, 16)
    path = np.column_stack([np.full(16, xr), rear + lean * np.clip((z - h) / (top - h), 0, 1) ** 1.4, z])
    posts = pair(tube(path, 0.017, "wood", 16))
    finials = pair(moved(finial(), path[-1]))
    arms = bool(rng.integers(2))
    front_top = h + 0.2 if arms else h + 0.035
    legs = pair(cylinder((x, front, 0), (x, front, front_top), 0.018, "wood", 16))
    parts = [posts, finials, legs]
    for k in range(rungs):
        level = h + 0.14 + k * (top - h - 0.2) / (rungs - 1)
        y = float(np.interp(level, path[:, 2], path[:, 1]))
        tall = 0.055 + 0.02 * k / (rungs - 1)
        rung = moved(cushion((2 * xr, tall, 0.014), 0.0, "wood"), rotation=rotation_about("x", np.pi / 2))
        parts.append(moved(bent(rung, 0.03, xr), (0, y + 0.03, level)))
    for level in (0.13, 0.26):
        parts.append(cylinder((-x, front, level), (x, front, level), 0.011, "wood", 10))
        parts.append(pair(cylinder((x, front, level + 0.03), (xr, rear, level + 0.03), 0.011, "wood", 10)))
    parts.append(cylinder((-xr, rear, 0.2), (xr, rear, 0.2), 0.011, "wood", 10))
    parts += [cylinder((-at, y, h), (at, y, h), 0.013, "wood", 10) for at, y in ((x, front), (xr, rear))]
    parts.append(pair(cylinder((x, front, h), (xr, rear, h), 0.013, "wood", 10)))
    seat = woven_seat(x, xr, front, rear, h)
    if arms:
        rest = smooth_path([(xr, rear + 0.01, h + 0.22), (x - 0.01, 0.0, h + 0.225), (x, front - 0.03, h + 0.21)], 14)
        parts.append(pair(tube(rest, 0.019, "wood", 14)))
    keypoints = chair_keypoints(
        path[-1] + (0.017, 0, 0), corner(seat, (1, 1, 0)), corner(seat, (1, -1, 0)), path[0], (x, front, 0)
    )
    return Draft([*parts, seat], keypoints)
