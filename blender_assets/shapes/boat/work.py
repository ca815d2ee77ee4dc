"""Parametric working boats: fishing boat, container ship. Metres, bow at -y."""

from itertools import pairwise

import numpy as np

from blender_assets.shapes.boat.hull import Hull, boat_shape
from blender_assets.shapes.boat.parts import block, life_ring, rail, tyre_fender
from blender_assets.shapes.mesh import Draft, Solid, cylinder, join, lathe, moved, pair, rounded_box, tube
from blender_assets.shapes.vehicle import Body, Panel
from blender_assets.shapes.vehicle_shell import coachwork


def fishing_boat(rng: np.random.Generator) -> Draft:
    """Make a fishing boat: high bow, bulwarks, wheelhouse, mast with a derrick, gallows at the stern, net drum,
    fenders."""
    long, half = rng.uniform(9.5, 13.0), rng.uniform(1.7, 2.1)
    top = rng.uniform(1.7, 1.95)
    hull = Hull(
        long,
        ((0, 0), (0.06 * long, 0.36 * half), (0.25 * long, 0.88 * half), (0.5 * long, half), (long, rng.uniform(0.7,
        0.85) * half)),
        ((0, top + 1.25), (0.25 * long, top + 0.5), (0.6 * long, top), (long, top + 0.15)),
        ((0, 0.7), (0.08 * long, 0.25), (0.5 * long, 0.1), (long, 0.0)),
        ((0, 1.1), (0.4 * long, 0.62), (long, 0.62)),
        ((0, 0.5), (0.2 * long, 0.6), (long, 0.6)), ((0, 0.09), (long, 0.09)),
        rng.uniform(0.05, 0.1) * long, -0.1, 0.75, ((0.36, "plastic"), (0.86, "paint"), (1.0, "wood")), ("paint",
        "wood"),
    )  # fmt: skip
    y0 = -long / 2
    house_s = rng.choice([0.36, 0.62]) * long
    deck = hull.deck_z(house_s)
    roof = deck + rng.uniform(2.25, 2.5)
    house = Body(
        rng.uniform(2.2, 2.9), 0.56 * half, deck - 0.2, roof, 0.14, 0.09, 0.12, 0.08,
        ((deck + 1.0, 0.0), (roof, rng.uniform(-0.18, 0.25))), reach=0.5, y=y0 + house_s,
    )  # fmt: skip
    glass = (deck + 1.25, roof - 0.3)
    panes = np.linspace(0, 0.56 * half - 0.16, 3)
    panels = [Panel("front", (a + 0.05, b - 0.04), glass, "glass", 0.03) for a, b in pairwise(panes)]
    panels += [
        Panel("side", (0.25, 0.9), glass, "glass", 0.03),
        Panel("side", (house.length - 0.95, house.length - 0.3), (deck + 0.1, roof - 0.25), "wood", 0.03),
        Panel("side", (house.length - 0.82, house.length - 0.43), glass, "glass", 0.045),
        Panel("rear", (0.1, 0.4 * half), glass, "glass", 0.03),
        Panel("front", (0, 0.56 * half), (deck + 1.02, deck + 1.1), "plastic", -0.015),
    ]
    lid = rounded_box((0, house.y - 0.05, roof + 0.1), (1.24 * half, house.length + 0.35, 0.1), 0.04, "paint")
    fenders = [tyre_fender(hull.outside(s * long, 1.36) - [-0.06, 0, 0.05], 0.32) for s in (0.32, 0.5, 0.68)]
    aft = house_s > 0.5 * long
    ring_y = house.y + 0.05 * house.length
    lamp = lathe([(0, -0.12), (0.12, -0.1), (0.14, 0.1), (0, 0.1)], "light", "y", 12)
    return boat_shape(
        hull,
        [
            coachwork(house, panels),
            lid,
            *fenders,
            life_ring((house.half_width + 0.02, ring_y, deck + 0.75), 0.3, "x"),
            pair(moved(lamp, (0.3 * half, house.y - house.length / 2, roof + 0.26))),
            *_mast(
                house.y + (-1.0 if aft else 1.0) * (house.length / 2 + 0.25),
                deck,
                roof + rng.uniform(1.6, 2.4),
                -1.0 if aft else 1.0,
            ),
            *_gear(deck, y0 + (0.4 if aft else 0.66) * long),
            *_gallows(hull),
            rail(hull, (0.03, 0.2 * long), 0.45, 4, 0.06),
            rounded_box((0, long / 2 + 0.12, 0.75), (0.08, 0.5, 1.3), 0.03, "wood", 1),
        ],
    )


def _mast(y: float, deck: float, top: float, facing: float) -> list[Solid]:
    """Make a mast with a derrick boom towards facing * y, stays, a radar and lamps."""
    tip = (0, y + facing * 2.4, top - 1.0)
    return [
        tube([(0, y, deck - 0.2), (0, y, top)], [0.1, 0.06], "paint", 12),
        cylinder((0, y, deck + 1.0), tip, 0.06, "paint", 10),
        cylinder((0, y, top - 0.1), tip, 0.018, "metal", 6),
        pair(cylinder((0.04, y, top - 0.15), (1.15, y - facing * 0.3, deck + 0.2), 0.02, "metal", 6)),
        cylinder((-0.5, y, top - 0.5), (0.5, y, top - 0.5), 0.03, "paint", 8),
        rounded_box((0, y - facing * 0.1, top - 0.25), (0.9, 0.12, 0.1), 0.03, "plastic", 1),
        moved(lathe([(0, 0), (0.08, 0), (0.08, 0.16), (0, 0.2)], "light", "z", 10), (0, y, top - 0.02)),
        cylinder(tip, (0, tip[1], tip[2] - 1.0), 0.016, "metal", 6),
        rounded_box((0, tip[1], tip[2] - 1.1), (0.14, 0.14, 0.24), 0.04, "metal", 1),
    ]


def _gear(deck: float, y: float) -> list[Solid]:
    """Make a net drum, hatch and fish boxes on the working deck around y."""
    drum = [(0, -0.8), (0.5, -0.8), (0.5, -0.72), (0.3, -0.7), (0.3, 0.7), (0.5, 0.72), (0.5, 0.8), (0, 0.8)]
    solids = [
        moved(lathe(drum, "metal", "x", 20), (0, y + 1.3, deck + 0.5)),
        pair(rounded_box((0.9, y + 1.3, deck + 0.25), (0.1, 0.4, 0.7), 0.03, "paint", 1)),
        rounded_box((0, y, deck + 0.12), (1.1, 1.1, 0.36), 0.05, "paint"),
        rounded_box((0, y, deck + 0.32), (1.2, 1.2, 0.06), 0.02, "wood", 1),
    ]
    for x, dy in ((0.95, -0.35), (0.95, 0.35)):
        solids.append(pair(rounded_box((x, y + dy, deck + 0.14), (0.5, 0.6, 0.34), 0.03, "plastic", 1)))
    return solids


def _gallows(hull: Hull) -> list[Solid]:
    """Make a portal over the stern with blocks hanging from it."""
    edge = hull.edge(hull.length - 0.5)
    x, y, z = (float(v) for v in edge)
    legs = [(x - 0.12, y, z - 0.5), (x - 0.2, y + 0.1, z + 1.5)]
    return [
        pair(cylinder(legs[0], legs[1], 0.07, "paint", 10)),
        pair(cylinder((x - 0.14, y - 0.9, z - 0.5), (x - 0.2, y + 0.05, z + 1.2), 0.05, "paint", 8)),
        cylinder((-x + 0.1, y + 0.1, z + 1.5), (x - 0.1, y + 0.1, z + 1.5), 0.07, "paint", 10),
        pair(rounded_box((0.4 * x, y + 0.1, z + 1.32), (0.1, 0.16, 0.32), 0.04, "metal", 1)),
    ]


def container_ship(rng: np.random.Generator) -> Draft:
    """Make a container ship: long hull with a bulbous bow, stacks of containers, deckhouse with bridge wings and a
    funnel."""
    long, half, top = rng.uniform(95, 125), rng.uniform(8.5, 10), rng.uniform(9.5, 11)
    hull = Hull(
        long,
        ((0, 0), (0.04 * long, 0.42 * half), (0.13 * long, 0.9 * half), (0.22 * long, half), (0.88 * long, half),
        (long, 0.82 * half)),
        ((0, top + 4.2), (0.1 * long, top + 3.4), (0.16 * long, top), (0.82 * long, top), (long, top + 0.5)),
        ((0, 0.4), (0.05 * long, 0.0), (0.9 * long, 0.0), (long, 4.5)),
        ((0, 1.4), (0.12 * long, 0.8), (0.25 * long, 0.32), (0.8 * long, 0.32), (long, 0.6)),
        ((0, 1.1), (long, 1.1)), ((0, 0.35), (long, 0.35)),
        0.05 * long, -2.0, 0.6, ((0.42, "plastic"), (0.46, "metal"), (1.0, "paint")), ("paint", "metal"),
    )  # fmt: skip
    y0, deck = -long / 2, top - 1.1
    house_s = rng.uniform(0.8, 0.85) * long
    solids = [
        *_containers(rng, (y0 + 0.17 * long, y0 + house_s - 8.5), 0.92 * half, deck + 1.2),
        *_deckhouse(y0 + house_s, deck, half, rng.uniform(17, 21)),
        moved(
            lathe([(0, -4.6), (1.1, -4.1), (1.75, -2.4), (1.9, 0), (1.6, 4), (0, 7)], "plastic", "y", 20),
            (0, y0 + 0.055 * long, 2.2),
        ),
        *_foredeck(hull, y0, top + 2.6),
        rounded_box(
            (0, (y0 + 0.17 * long + y0 + house_s - 8.5) / 2, deck + 0.55),
            (1.8 * half, house_s - 0.17 * long - 7, 1.3),
            0.1,
            "plastic",
            1,
        ),
        rail(hull, (0.17 * long, 0.97 * long), 1.0, 11, 0.3, 0.09),
        rounded_box((0, long / 2 - 2.6, 3.0), (0.5, 3.2, 5.5), 0.2, "plastic", 1),
    ]
    return boat_shape(hull, solids)


def _containers(rng: np.random.Generator, span: tuple[float, float], half: float, z: float) -> list[Solid]:
    """Make stacks of 12 m containers between two y, their heights drawn; equal on both sides of the middle plane."""
    long, wide, tall = 12.0, 2.44, 2.6
    bays, across = int((span[1] - span[0]) // (long + 0.9)), int((2 * half) // (wide + 0.08))
    start = (span[0] + span[1]) / 2 - bays * (long + 0.9) / 2
    solids = []
    parts = ["paint", "metal", "paint", "wood", "fabric", "plastic"]
    for bay in range(bays):
        y = start + (bay + 0.5) * (long + 0.9)
        level = int(rng.integers(2, 5)) if bay else 2
        for column in range((across + 1) // 2):
            x = (column + 0.5 * (across % 2 == 0)) * (wide + 0.08)
            for k in range(max(1, level - int(rng.random() < 0.3))):
                box = block((x, y, z + (k + 0.5) * (tall + 0.05)), (wide, long, tall), str(rng.choice(parts)))
                solids.append(box if x == 0 else pair(box))
        solids.append(pair(block((half + 0.1, y + long / 2 + 0.42, z + 1.6), (0.5, 0.5, 4.4), "metal")))
        solids.append(block((0, y + long / 2 + 0.42, z + 3.6), (2 * half, 0.5, 0.4), "metal"))
    return solids


def _deckhouse(y: float, deck: float, half: float, height: float) -> list[Solid]:
    """Make a tower of decks with rows of windows, the bridge with its wings, a funnel, a mast and lifeboats."""
    roof = deck + height
    floors = np.arange(deck + 3.4, roof - 4.0, 2.7)
    tower = Body(9.5, 0.74 * half, deck - 0.3, roof - 2.9, 0.3, 0.2, 0.0, 0.1, y=y)
    spots = np.linspace(1.0, 0.62 * half, 3)
    panels = [
        Panel(end, (x - 0.4, x + 0.4), (z, z + 1.0), "glass", 0.1)
        for z in floors
        for x in spots
        for end in ("front", "rear")
    ]
    panels += [Panel("side", (s, s + 0.8), (z, z + 1.0), "glass", 0.1) for z in floors for s in (1.5, 5.0)]
    bridge = Body(6.0, 0.8 * half, roof - 3.1, roof, 0.4, 0.2, 0.3, 0.1, ((roof - 3, 0.0), (roof, -0.5)), y=y - 1.2)
    panes = [Panel("front", (0, 0.8 * half - 0.5), (roof - 1.9, roof - 0.6), "glass", 0.08),
             Panel("side", (0.6, 5.2), (roof - 1.9, roof - 0.6), "glass", 0.08)]  # fmt: skip
    funnel = Body(4.2, 1.7, deck - 0.2, roof - 1.5, 0.9, 0.3, 0.3, 0.0, ((deck, 0), (roof, 0.8)), ((deck, 0), (roof,
    0.2)),
                  reach=1.8, y=y + 7.2)  # fmt: skip
    stripe = [Panel(face, (0, 4.2), (roof - 4.6, roof - 3.2), "metal", 0.0) for face in ("front", "side", "rear")]
    return [
        coachwork(tower, panels),
        coachwork(bridge, panes),
        rounded_box((0, y - 1.5, roof - 2.9), (2 * half, 3.4, 0.3), 0.1, "paint", 1),
        rounded_box((0, y - 3.1, roof - 2.2), (2 * half, 0.2, 1.2), 0.08, "paint", 1),
        coachwork(funnel, stripe),
        pair(cylinder((0.7, y + 7.3, roof - 2), (0.7, y + 7.6, roof - 0.2), 0.45, "metal", 12)),
        tube([(0, y, roof - 0.2), (0, y, roof + 4.5)], [0.35, 0.15], "metal", 10),
        cylinder((-1.8, y, roof + 2.6), (1.8, y, roof + 2.6), 0.14, "metal", 8),
        block((0, y - 0.5, roof + 1.4), (2.6, 0.4, 0.4), "plastic"),
        pair(rounded_box((0.74 * half + 1.2, y + 1.5, deck + 4.5), (2.0, 6.0, 1.9), 0.7, "light", 1)),
        pair(
            join(
                [
                    cylinder(
                        (0.7 * half, y + dy, deck + 3.4), (0.74 * half + 1.2, y + dy, deck + 3.6), 0.18, "metal", 8
                    )
                    for dy in (-0.6, 3.4)
                ]
            )
        ),
    ]


def _foredeck(hull: Hull, y0: float, z: float) -> list[Solid]:
    """Make the mast, the windlass and the anchors on the forecastle."""
    hawse = hull.outside(0.06 * hull.length, 1.33)
    return [
        tube([(0, y0 + 9.0, z - 1.0), (0, y0 + 9.0, z + 8.0)], [0.45, 0.2], "metal", 10),
        cylinder((-1.2, y0 + 9.0, z + 6.0), (1.2, y0 + 9.0, z + 6.0), 0.12, "metal", 8),
        pair(rounded_box((1.6, y0 + 6.5, z + 0.3), (1.2, 1.6, 1.4), 0.3, "metal", 1)),
        pair(moved(rounded_box((0, 0, 0), (0.6, 0.8, 2.4), 0.2, "plastic", 1), hawse)),
    ]
