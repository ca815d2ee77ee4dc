"""Parametric screens: flat television, monitor, tube television, tube monitor, curved screen, wall screen."""

from dataclasses import replace

import numpy as np

from blender_assets.shapes.mesh import Draft, Solid, cylinder, lathe, moved, pair, rotation_about, rounded_box, tube
from blender_assets.shapes.tvmonitor.parts import (
    Case,
    base_plate,
    bowed,
    buttons,
    flat_case,
    glass,
    neck,
    rear_box,
    shell,
    slots,
    tilted,
    tube_case,
)


def tvmonitor(body_type: int, rng: np.random.Generator) -> Draft:
    """Make a screen in metres, standing on z = 0, the glass at -y, mirror-symmetric in x; its case is mostly paint.

    body_type 0..5: flat television on feet, monitor on a stand, tube television, tube monitor, curved wide screen,
    flat screen with loudspeakers at its sides on a wall mount. Proportions and details are drawn from `rng`.
    """
    makers = (_flat, _monitor, _tube_television, _tube_monitor, _curved, _wall)
    return makers[body_type](rng)


def _panel(
    rng: np.random.Generator, wide: tuple[float, float], shape: float, lift: float, thick: float, bezel: float
) -> Case:
    """Draw a slim case: range of its width, the picture's width by height, height above the ground, thickness,
    bezel."""
    half = float(rng.uniform(*wide)) / 2
    chin = bezel * float(rng.uniform(1.0, 2.6))
    tall = 2 * (half - bezel) / shape + bezel + chin
    return Case(half, lift, lift + tall, -thick / 2, thick / 2, (bezel, chin, bezel), float(rng.uniform(0.004, 0.014)))


def _screen(case: Case) -> list[Solid]:
    """Make a slim case with its glass, the maker's sign, the lamp of the switch."""
    z, y = case.low + 0.5 * case.bezel[1], case.front
    size = min(0.45 * case.bezel[1], 0.016)
    sign = rounded_box((0, y - 0.0005, z), (0.05 + case.half * 0.06, 0.003, size), 0.001, "metal", 1)
    lamp = pair(cylinder((0.85 * case.half, y + 0.003, z), (0.85 * case.half, y - 0.001, z), 0.25 * size, "light", 10))
    return [flat_case(case, "paint"), glass(case, 0.002), sign, lamp]


def _flat(rng: np.random.Generator) -> Draft:
    """Make a large flat television: narrow frame, box of electronics behind, on two splayed feet or on a pedestal."""
    case = _panel(rng, (0.9, 1.3), 16 / 9, float(rng.uniform(0.05, 0.09)), 0.034, float(rng.uniform(0.008, 0.025)))
    tall = case.high - case.low
    box = rear_box(case, 0.7 * case.half, case.low + 0.06 * tall, case.low + 0.6 * tall, float(rng.uniform(0.02, 0.04)))
    solids = [*_screen(case), *box]
    if rng.random() < 0.5:
        x, part = 0.72 * case.half, str(rng.choice(["metal", "plastic"]))
        reach = float(rng.uniform(0.1, 0.14))
        legs = [
            tube([(x, 0, case.low + 0.03), (x, 0, case.low - 0.012), (x + 0.02, s * reach, 0.008)], 0.009, part, 10)
            for s in (-1, 1)
        ]
        solids += [pair(leg) for leg in legs]
        solids += [
            pair(rounded_box((x + 0.02, s * reach, 0.006), (0.03, 0.035, 0.012), 0.004, "rubber", 1)) for s in (-1, 1)
        ]
    else:
        solids.append(base_plate(0.42 * case.half, 0.12, 0.012, 0.0, "plastic", bool(rng.integers(2))))
        solids.append(neck((0, 0.01, 0.008), (0, 0.012, case.low + 0.1), (0.12, 0.08), 0.013, "metal"))
        solids.append(rounded_box((0, 0.025, case.low + 0.07), (0.26, 0.04, 0.12), 0.012, "plastic", 1))
    return Draft(solids, {**case.corners()})


def _monitor(rng: np.random.Generator) -> Draft:
    """Make a computer monitor: slim tilted case on a neck and a plate; some have the computer in a broad chin."""
    shape = float(rng.choice([16 / 9, 16 / 10, 4 / 3, 5 / 4]))
    all_in_one = rng.random() < 0.3
    case = _panel(
        rng,
        (0.36, 0.44) if shape < 1.5 else (0.48, 0.62),
        shape,
        float(rng.uniform(0.1, 0.16)),
        0.03,
        float(rng.uniform(0.008, 0.022)),
    )
    if all_in_one:
        case = replace(case, bezel=(case.bezel[0], 0.085, case.bezel[2]), low=case.low, high=case.high + 0.06)
    tall, middle = case.high - case.low, (case.low + case.high) / 2
    solids = _screen(case)
    solids += rear_box(case, 0.62 * case.half, middle - 0.3 * tall, middle + 0.3 * tall, 0.022)
    solids += [
        rounded_box((x, case.back - 0.006, case.low - 0.001), (0.014, 0.01, 0.006), 0.002, "metal", 1)
        for x in (-0.06, -0.03, 0.0, 0.03, 0.06)
    ]
    turn, pivot = rotation_about("x", -np.radians(float(rng.uniform(2, 12)))), (0, 0.03, middle)
    corners = {name: turn @ (point - pivot) + pivot for name, point in case.corners().items()}
    head = [tilted(solid, pivot, turn) for solid in solids]
    part = str(rng.choice(["metal", "plastic", "paint"]))
    plate = base_plate(
        float(rng.uniform(0.1, 0.15)), float(rng.uniform(0.085, 0.11)), 0.014, 0.06, part, bool(rng.integers(2))
    )
    rear = 0.075
    stand = [
        plate,
        neck((0, rear + 0.015, 0.01), (0, rear, middle + 0.03), (float(rng.uniform(0.035, 0.06)), 0.03), 0.013, part),
    ]
    stand += [cylinder((-0.045, rear - 0.01, middle), (0.045, rear - 0.01, middle), 0.02, "plastic", 16)]
    stand += [rounded_box((0, 0.05, middle), (0.12, 0.036, 0.12), 0.012, "plastic", 2)]
    return Draft([*head, *stand], {**corners})


def _tube_television(rng: np.random.Generator) -> Draft:
    """Make a television with a picture tube: deep tapered case, bulging glass, grilles, knobs or buttons, often an
    aerial."""
    half, lift = float(rng.uniform(0.26, 0.36)), float(rng.uniform(0.012, 0.03))
    below, side = float(rng.uniform(0.045, 0.1)), float(rng.uniform(0.03, 0.045))
    speakers = rng.random() < 0.5
    outer = half + (0.075 if speakers else 0.0)
    tall = 2 * (half - side) * 3 / 4 + below + side
    depth = float(rng.uniform(0.4, 0.5))
    rear = (0.55 * half, lift + 0.05, lift + 0.72 * tall)
    edge = side + (0.075 if speakers else 0.0)
    case = Case(
        outer, lift, lift + tall, -depth / 2, depth / 2, (edge, below, side), float(rng.uniform(0.015, 0.035)), rear
    )
    part = str(rng.choice(["paint", "wood"], p=[0.75, 0.25]))
    solids = [tube_case(case, case.front + float(rng.uniform(0.1, 0.16)), part), glass(case, 0.012, 0.022)]
    y, z = case.front, lift + 0.5 * below
    if speakers:
        solids += [
            pair(s) for s in slots((outer - 0.045, y, case.middle), 16, (0.055, 0.008, 0.008), (0, 0, 0.8 * tall / 17))
        ]
    else:
        solids += [pair(s) for s in slots((0.6 * half, y, z), 10, (0.006, 0.008, 0.5 * below), (0.018, 0, 0))]
    solids += buttons(y, z, 5, 0.03)
    solids += [
        pair(rounded_box((0.7 * half, sy, 0.5 * lift), (0.05, 0.05, lift + 0.01), 0.006, "rubber", 1))
        for sy in (y + 0.04, y + 0.16)
    ]
    solids += _tube_rear(case)
    if rng.random() < 0.5:
        solids += _aerial(case, float(rng.uniform(0.25, 0.45)))
    return Draft(solids, {**case.corners()})


def _tube_rear(case: Case) -> list[Solid]:
    """Make vents and sockets on the tapered rear of a tube's case, and the foot under it."""
    assert case.rear is not None
    half, low, high = case.rear
    vents = slots((0, case.back, high - 0.06), 9, (0.01, 0.008, 0.06), (0.13 * half, 0, 0))
    plate = rounded_box((0, case.back + 0.002, low + 0.05), (0.9 * half, 0.012, 0.05), 0.004, "plastic", 1)
    holes = [
        cylinder((x, case.back, low + 0.05), (x, case.back + 0.014, low + 0.05), 0.008, "metal", 10)
        for x in (-0.05, 0.0, 0.05)
    ]
    foot = rounded_box((0, case.back - 0.06, (low + 0.02) / 2), (1.2 * half, 0.05, low + 0.02), 0.01, "plastic", 1)
    return [*vents, plate, *holes, foot]


def _aerial(case: Case, length: float) -> list[Solid]:
    """Make two telescopic rods in a V on a small base on top of the case."""
    y, z = case.front + 0.1, case.high
    base = [(0, -0.02), (0.05, -0.02), (0.05, 0.0), (0.04, 0.015), (0.015, 0.024), (0, 0.024)]
    foot = moved(lathe(base, "plastic", "z", 20), (0, y, z + 0.01))
    tip = (0.75 * length, y + 0.05, z + 0.03 + 0.7 * length)
    path = np.array([(0.008, y, z + 0.025), tip])
    rods = [
        tube([path[0], path[0] + s * (path[1] - path[0])], r, "metal", 8)
        for s, r in ((0.4, 0.0045), (0.7, 0.0035), (1.0, 0.0025))
    ]
    return [
        foot,
        *(pair(rod) for rod in rods),
        pair(cylinder(path[1] - [0, 0, 0.004], path[1] + [0, 0, 0.004], 0.005, "metal", 8)),
    ]


def _tube_monitor(rng: np.random.Generator) -> Draft:
    """Make a computer monitor with a picture tube: nearly cubic, rounded case on a swivel foot."""
    half, lift = float(rng.uniform(0.17, 0.235)), float(rng.uniform(0.055, 0.075))
    side, below = float(rng.uniform(0.022, 0.032)), float(rng.uniform(0.04, 0.06))
    tall = 2 * (half - side) * 3 / 4 + below + side
    depth = 2 * half * float(rng.uniform(0.92, 1.05))
    rear = (float(rng.uniform(0.5, 0.62)) * half, lift + 0.12 * tall, lift + 0.78 * tall)
    case = Case(
        half, lift, lift + tall, -depth / 2, depth / 2, (side, below, side), float(rng.uniform(0.01, 0.028)), rear
    )
    solids = [tube_case(case, case.front + 0.28 * depth, "paint"), glass(case, 0.01, 0.014)]
    y, z = case.front, lift + 0.45 * below
    solids += buttons(y, z, int(rng.choice([3, 5, 7])), 0.024)
    solids.append(rounded_box((0, y - 0.0005, lift + tall - 0.5 * side), (0.05, 0.003, 0.006), 0.001, "metal", 1))
    solids += [
        pair(s)
        for s in slots(
            (0.62 * half, case.front + 0.2 * depth, case.high), 8, (0.006, 0.1 * depth, 0.006), (0.016, 0, 0)
        )
    ]
    dome = [
        (0, 0),
        (0.62 * half, 0),
        (0.64 * half, 0.006),
        (0.62 * half, 0.016),
        (0.4 * half, 0.022),
        (0.36 * half, lift + 0.02),
        (0, lift + 0.02),
    ]
    solids.append(moved(lathe(dome, "paint", "z", 32), (0, case.front + 0.42 * depth, 0)))
    assert case.rear is not None
    solids += slots((0, case.back, case.rear[2] - 0.04), 9, (0.008, 0.008, 0.04), (0.14 * case.rear[0], 0, 0))
    solids.append(
        rounded_box((0, case.back + 0.002, case.rear[1] + 0.04), (0.8 * case.rear[0], 0.012, 0.035), 0.004, "metal", 1)
    )
    return Draft(solids, {**case.corners()})


def _curved(rng: np.random.Generator) -> Draft:
    """Make a wide curved monitor on a neck with two splayed legs."""
    case = _panel(
        rng, (0.7, 0.95), float(rng.choice([21 / 9, 16 / 9, 32 / 10])), float(rng.uniform(0.12, 0.17)), 0.032, 0.01
    )
    bow, middle = float(rng.uniform(0.05, 0.1)) * case.half / 0.4, (case.low + case.high) / 2
    tall = case.high - case.low
    spine = [(0.5 * case.half, middle - 0.3 * tall, middle + 0.3 * tall, 0.05, case.back - 0.006)]
    spine += [(0.46 * case.half, middle - 0.26 * tall, middle + 0.26 * tall, 0.05, case.back + 0.025)]
    spine += [(0.3 * case.half, middle - 0.14 * tall, middle + 0.14 * tall, 0.04, case.back + 0.034)]
    parts = [*_screen(case), shell(spine, "plastic")]
    parts += [
        pair(s) for s in slots((0.6 * case.half, case.back, case.high - 0.05), 10, (0.008, 0.006, 0.03), (0.018, 0, 0))
    ]
    solids = [bowed(solid, bow, case.half) for solid in parts]
    corners = {name: point - [0, bow, 0] for name, point in case.corners().items()}
    part, rear = str(rng.choice(["metal", "plastic"])), case.back + 0.055
    reach = float(rng.uniform(0.2, 0.28))
    leg = [(0.0, rear + 0.02, 0.03), (0.5 * reach, rear - 0.4 * reach, 0.02), (reach, rear - 0.85 * reach, 0.011)]
    solids.append(pair(tube(leg, [0.016, 0.013, 0.01], part, 12, 0.7)))
    solids.append(tube([(0, rear, 0.03), (0, rear + 0.09, 0.012)], [0.016, 0.01], part, 12))
    solids += [neck((0, rear + 0.01, 0.015), (0, rear, middle + 0.05), (0.035, 0.028), 0.014, part)]
    solids += [cylinder((0, case.back + 0.02, middle), (0, rear + 0.004, middle), 0.04, "plastic", 20)]
    return Draft(solids, {**corners})


def _wall(rng: np.random.Generator) -> Draft:
    """Make a flat screen with a loudspeaker on either side, on a wall bracket; some stand on a low pedestal instead."""
    case = _panel(rng, (0.75, 1.1), 16 / 9, 0.07, float(rng.uniform(0.05, 0.075)), float(rng.uniform(0.025, 0.045)))
    tall, wide = case.high - case.low, float(rng.uniform(0.07, 0.11))
    x, y = case.half + 0.008 + wide / 2, case.front
    middle = (case.low + case.high) / 2
    cabinet = rounded_box((x, 0.004, middle), (wide, case.back - case.front, 0.84 * tall), 0.014, "plastic", 2)
    cones = [
        (0, -0.012),
        (0.24, -0.01),
        (0.3, -0.003),
        (0.82, -0.013),
        (0.9, -0.016),
        (1, -0.013),
        (1, 0.01),
        (0, 0.01),
    ]
    speaker = [
        cabinet,
        rounded_box((x - wide / 2 - 0.005, 0.01, middle), (0.03, 0.03, 0.5 * tall), 0.006, "plastic", 1),
    ]
    for share, size in ((-0.27, 0.38), (0.0, 0.26), (0.27, 0.38)):
        cone = np.array(cones) * [size * wide, 1]
        speaker.append(moved(lathe(cone, "rubber", "y", 24), (x, y + 0.004, middle + share * tall)))
    solids = [*_screen(case), *(pair(s) for s in speaker)]
    solids += rear_box(case, 0.6 * case.half, middle - 0.3 * tall, middle + 0.3 * tall, 0.02)
    if rng.random() < 0.6:
        solids += _bracket(case, middle)
    else:
        solids.append(base_plate(0.5 * case.half, 0.13, 0.015, 0.0, "plastic", bool(rng.integers(2))))
        solids.append(neck((0, 0.0, 0.01), (0, 0.0, case.low + 0.02), (0.14, 0.1), 0.02, "plastic"))
    return Draft(solids, {**case.corners()})


def _bracket(case: Case, middle: float) -> list[Solid]:
    """Make a wall plate behind the case with two rails."""
    y = case.back + 0.02
    rails = pair(rounded_box((0.1, y + 0.012, middle), (0.025, 0.024, 0.34), 0.005, "metal", 1))
    return [rails, rounded_box((0, y + 0.03, middle), (0.36, 0.014, 0.2), 0.004, "metal", 1)]
