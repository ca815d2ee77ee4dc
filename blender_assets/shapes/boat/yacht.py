"""Parametric motor yacht: deckhouse, flying bridge, radar arch, rails. Metres, bow at -y."""

import numpy as np

from blender_assets.shapes.boat.hull import Hull, boat_shape
from blender_assets.shapes.boat.parts import rail, steering_wheel, wind_screen
from blender_assets.shapes.mesh import Array, Draft, Solid, cylinder, lathe, loft, moved, pair, rounded_box
from blender_assets.shapes.vehicle import Body, Panel
from blender_assets.shapes.vehicle_shell import coachwork


def _port_lights(hull: Hull, places: Array, drop: float) -> list[Solid]:
    """Make oval windows in the hull at distances s, `drop` below the sheer."""
    pane = lathe([(0, 0.03), (0.13, 0.025), (0.14, -0.05), (0, -0.05)], "glass", "x", 14)
    rim = lathe([(0, 0.02), (0.165, 0.015), (0.17, -0.05), (0, -0.05)], "metal", "x", 14)
    solids = []
    for s in places:
        edge = hull.edge(float(s))
        turns = np.linspace(0.4, np.pi / 2, 60)
        line = hull.outside(float(s), turns)
        at = line[np.abs(line[:, 2] - edge[2] + drop).argmin()]
        for disc in (pane, rim):
            solids.append(pair(moved(Solid(disc.vertices * [1, 1.9, 0.8], disc.faces, disc.face_part), at)))
    return solids


def motor_yacht(rng: np.random.Generator) -> Draft:
    """Make a motor yacht with a glazed deckhouse, an open flying bridge above it, a radar arch and a bathing
    platform."""
    long, half = rng.uniform(11.5, 15.0), rng.uniform(1.9, 2.3)
    top = rng.uniform(1.75, 2.0)
    hull = Hull(
        long,
        ((0, 0), (0.08 * long, 0.42 * half), (0.3 * long, 0.88 * half), (0.6 * long, half), (long, 0.92 * half)),
        ((0, top + 0.75), (0.35 * long, top + 0.3), (0.7 * long, top), (long, top - 0.1)),
        ((0, 0.85), (0.15 * long, 0.35), (0.4 * long, 0.05), (long, 0.0)),
        ((0, 1.6), (0.4 * long, 0.9), (long, 0.55)),
        ((0, 0.1), (0.74 * long, 0.1), (0.75 * long, 0.6), (long, 0.6)),
        ((0, 0.08), (0.74 * long, 0.08), (0.75 * long, 0.16), (long, 0.16)),
        0.14 * long, -0.3, 0.65, ((0.3, "plastic"), (0.9, "paint"), (1.0, "metal")), ("paint", "wood"),
    )  # fmt: skip
    y0 = -long / 2
    deck, house_long, rake = top, 0.46 * long, rng.uniform(1.2, 1.9)
    roof = deck + rng.uniform(1.75, 1.95)
    house = Body(
        house_long, 0.78 * half, deck - 0.5, roof, 0.55, 0.16, 0.5, 0.05, ((deck, 0.0), (deck + 0.5, 0.25),
        (roof, rake)), ((deck, 0.0), (deck + 0.6, 0.0), (roof, 0.12)), ((deck - 0.5, 0.0), (deck + 0.6, 0.02), (roof,
        0.26)), 1.8,
        y=y0 + 0.53 * long,
    )  # fmt: skip
    glass = (deck + 0.72, roof - 0.28)
    panels = [
        Panel("front", (0.05, 0.72 * half), glass, "glass", 0.02),
        Panel("side", (0.9, 0.3 * house_long), glass, "glass", 0.02),
        Panel("side", (0.32 * house_long, 0.62 * house_long), glass, "glass", 0.02),
        Panel("side", (0.64 * house_long, house_long - 0.35), glass, "glass", 0.02),
        Panel("rear", (0.0, 0.6 * half), (deck - 0.3, roof - 0.3), "glass", 0.03),
    ]
    nose = Body(
        0.34 * long, 0.55 * half, deck - 0.1, deck + 0.62, 0.7, 0.22, 0.6, 0.05, ((deck - 0.1, 0.0), (deck + 0.7, 0.9)),
        side=((deck, 0.0), (deck + 0.7, 0.15)), reach=2.0, y=y0 + 0.27 * long,
    )  # fmt: skip
    bridge_y = house.y + 0.12 * long
    bridge = Body(
        0.4 * long, 0.74 * half, roof - 0.12, roof + 0.58, 0.4, 0.08, 0.3, 0.0, ((roof, 0.0), (roof + 0.6, 0.35)),
        side=((roof, 0.0), (roof + 0.6, -0.06)), y=bridge_y,
    )  # fmt: skip
    slab = rounded_box((0, bridge_y + 0.04 * long, roof + 0.02), (1.56 * half, 0.5 * long, 0.14), 0.06, "paint")
    arch = _arch(bridge_y + 0.12 * long, roof + 0.4, 0.7 * half, rng.uniform(1.0, 1.3))
    extras = [
        *_bridge_fittings(bridge_y, long, half, roof),
        pair(
            cylinder(
                (0.72 * half, bridge_y + 0.26 * long, hull.deck_z(0.9 * long) - 0.1),
                (0.72 * half, bridge_y + 0.26 * long, roof + 0.02),
                0.04,
                "metal",
                8,
            )
        ),
        rail(hull, (0.03, 0.72 * long), 0.68, 10, 0.1),
        rounded_box((0, long / 2 + 0.4, 0.72), (1.7 * half, 1.0, 0.1), 0.04, "wood"),
        rounded_box((0, long / 2 - 0.1, 0.6), (1.3 * half, 0.7, 0.2), 0.05, "plastic", 1),
        rounded_box((0, long / 2 - 0.5, hull.deck_z(long) + 0.25), (1.5 * half, 0.5, 0.5), 0.1, "fabric"),
        pair(rounded_box((0.8 * half, long / 2 + 0.06, 1.15), (0.22, 0.1, 0.1), 0.03, "taillight", 1)),
        cylinder((0, y0 + 0.2, top + 0.7), (0, y0 - 0.2, top + 0.62), 0.07, "metal", 10),
    ]
    return boat_shape(
        hull,
        [
            coachwork(house, panels),
            coachwork(nose, []),
            coachwork(bridge, []),
            slab,
            *arch,
            *extras,
            *_port_lights(hull, np.array([0.22, 0.3, 0.38, 0.46]) * long, 0.62),
        ],
    )


def _bridge_fittings(y: float, long: float, half: float, roof: float) -> list[Solid]:
    """Make the seat, console, wheel and wind screen of the flying bridge around y, on the deckhouse's roof."""
    z = roof + 0.62
    return [
        rounded_box((0, y + 0.02 * long, z + 0.12), (1.0 * half, 0.5, 0.26), 0.08, "fabric"),
        rounded_box((0, y + 0.02 * long + 0.28, z + 0.36), (1.0 * half, 0.14, 0.5), 0.06, "fabric"),
        rounded_box((0, y - 0.1 * long, z + 0.1), (0.9 * half, 0.3, 0.36), 0.08, "plastic"),
        steering_wheel((0, y - 0.1 * long + 0.3, z + 0.2), 0.2, -0.4),
        wind_screen(0.68 * half, y - 0.18 * long, roof + 0.55, 0.4, 0.9, 0.25),
    ]


def _arch(y: float, z: float, half: float, tall: float) -> list[Solid]:
    """Make a radar arch over the flying bridge with a scanner, an aerial and a mast light."""
    outline = [
        (half, 0.0, z),
        (half * 1.02, 0.35, z + 0.5 * tall),
        (half * 0.92, 0.62, z + 0.94 * tall),
        (half * 0.5, 0.7, z + tall),
    ]
    outline += [(0.0, 0.72, z + 1.02 * tall)]
    path = np.array(outline + [(-a, b, c) for a, b, c in outline[-2::-1]])
    rings = []
    for k, (x, dy, h) in enumerate(path):
        inner = np.array([x * 0.9, 0, h - 0.09 * min(k, len(path) - 1 - k, 3) / 3])
        outer = np.array([x, 0, h])
        wide = 0.42 if k in (0, len(path) - 1) else 0.28
        rings.append(
            [np.array([0, y + dy + s * wide, 0]) + p for p, s in ((outer, -1), (outer, 1), (inner, 1), (inner, -1))]
        )
    dome = [(0, 0.0), (0.3, 0.0), (0.32, 0.12), (0.24, 0.26), (0, 0.32)]
    top = z + 1.0 * tall
    return [
        loft(np.array(rings), "paint"),
        moved(lathe(dome, "plastic", "z", 20), (0, y + 0.7, top)),
        pair(cylinder((0.45 * half, y + 0.7, top - 0.06), (0.45 * half, y + 1.0, top + 1.1), 0.018, "plastic", 6)),
        cylinder((0, y + 0.95, top - 0.05), (0, y + 0.95, top + 0.6), 0.025, "metal", 6),
        moved(lathe([(0, 0), (0.05, 0), (0.05, 0.1), (0, 0.12)], "light", "z", 10), (0, y + 0.95, top + 0.58)),
    ]
