"""Parametric bottles: wine, beer, water, milk, spirits, sparkling wine or sauce."""

import numpy as np
from numpy.typing import ArrayLike

from blender_assets.shapes.bottle.parts import (
    Span,
    beads,
    blown,
    champagne_cork,
    closed_end,
    collar,
    cork,
    crown_cork,
    finished,
    foot,
    label,
    lip,
    rows,
    screw_cap,
    shoulder,
    stopper,
)
from blender_assets.shapes.mesh import Draft, Solid


def bottle(body_type: int, rng: np.random.Generator) -> Draft:
    """Make a bottle in metres, standing on z = 0, its axis on z. All lengths in the makers are in millimetres.

    body_type 0..5: wine, beer, water (ribbed plastic), milk or juice, spirits, sparkling wine or sauce. Labels run
    all round, so that a round bottle looks the same from every azimuth: symmetry order 0; square bottles have 4,
    flasks 2. The teeth of a crown cork and the flutes of a cap, below 2 mm, do not count. Labels are `paint`, as are
    opaque bodies; proportions and closures are drawn from `rng`.
    """
    makers = (_wine, _beer, _water, _milk, _spirits, _sparkling_or_sauce)
    return makers[body_type](rng)


def _shape(
    spans: list[Span], closure: list[Solid], section: ArrayLike, shoulder_height: float, top: float, order: int = 0
) -> Draft:
    """Make the finished bottle.

    section (3,): half width in x, in y, and the radius of the corners of its straight body, which ends at
    `shoulder_height`; top: height of its highest point.
    """
    half = float(np.asarray(section)[0])
    ring = rows(spans[0][1])[-4]
    metre = {
        "mouth": (0, 0, top),
        "body": (0, 0, shoulder_height),
        "body_left": (half, 0, shoulder_height),
        "body_right": (-half, 0, shoulder_height),
        "bottom": (0, 0, 0),
        "bottom_left": (ring[0], 0, ring[3]),
        "bottom_right": (-ring[0], 0, ring[3]),
    }
    keypoints: dict[str, ArrayLike] = {name: np.array(point, float) / 1000 for name, point in metre.items()}
    return Draft(finished([blown(spans), *closure]), keypoints, order)


def _wine(rng: np.random.Generator) -> Draft:
    """Make a wine bottle: high shoulders (Bordeaux) or sloping ones (Burgundy); a foil capsule, or a cork that looks
    out."""
    high, r, neck = rng.uniform(285, 325), rng.uniform(35, 40), rng.uniform(13.5, 14.8)
    bordeaux, start = rng.random() < 0.6, rng.uniform(0.1, 0.14) * high
    low, end, hug = (0.645, 0.75, (0.95, 0.6)) if bordeaux else (0.46, 0.74, (0.4, 0.7))
    stop = rng.uniform(0.36, 0.42) * high
    spans: list[Span] = [
        ("glass", foot((r, r, r), 5, rng.uniform(15, 32))),
        *label("glass", "paint", (r, r, r), start, stop),
    ]
    spans.append(("glass", shoulder((r, low * high), (neck, end * high), hug, 18)))
    if rng.random() < 0.35:
        out = rng.uniform(6, 14)
        spans.append(("glass", lip(neck - 0.6, high, 1.6, 6)))
        return _shape(spans, [cork(9.4, high - 6.5, out + 6.5)], (r, r, r), low * high, high + out)
    sleeve, rim = neck + 0.5, neck + 2.2
    foil = [(sleeve, high - rng.uniform(52, 66)), (sleeve, high - 17), (rim, high - 15), (rim + 0.2, high - 8)]
    foil += [(sleeve + 0.8, high - 6), (sleeve + 0.7, high - 1.2), (sleeve - 0.6, high), (0, high)]
    spans += [("glass", [(neck, foil[0][1])]), (str(rng.choice(["paint", "metal", "plastic"])), foil)]
    return _shape(spans, [], (r, r, r), low * high, high)


def _beer(rng: np.random.Generator) -> Draft:
    """Make a beer bottle with a crown cork: long neck or stubby, of glass or painted aluminium, a label on body and
    neck."""
    high, r = rng.uniform(205, 250), rng.uniform(29, 33)
    long_neck, painted = rng.random() < 0.7, rng.random() < 0.2
    low, end, hug = (0.5, 0.86, (0.32, 0.5)) if long_neck else (0.62, 0.87, (0.5, 0.5))
    body, paper = ("paint", "metal") if painted else ("glass", "paint")
    section = (r, r, r)
    spans: list[Span] = [
        (body, foot((r, r, r), 4, 6)),
        *label(body, paper, section, 0.1 * high, rng.uniform(0.38, 0.45) * high),
    ]
    curve = shoulder((r, low * high), (13.2, end * high), hug, 20)
    spans += collar(body, paper, curve, 11, 16) if rng.random() < 0.7 else [(body, curve)]
    spans.append((body, [(13.1, high - 19), (15.2, high - 17.5), (15.4, high - 13), (13.6, high - 11)]))
    spans.append((body, [(13.2, high - 6), *closed_end(12, high - 2)]))
    return _shape(spans, [crown_cork(13.2, high)], section, low * high, high)


def _water(rng: np.random.Generator) -> Draft:
    """Make a plastic water bottle: ringed body, domed shoulder, a wrap-round label, a carrying ring and a fluted
    cap."""
    high, r = rng.uniform(205, 320), rng.uniform(31, 42)
    waist, rings = rng.uniform(0, 5), int(rng.integers(3, 6))
    part = "plastic" if rng.random() < 0.5 else "paint"
    low, start, stop = rng.uniform(0.66, 0.72) * high, 0.38 * high, rng.uniform(0.56, 0.6) * high
    spans: list[Span] = [("glass", foot(np.full(3, r - 0.5), 9, 9))]
    spans.append(("glass", beads(r, 0.07 * high, start - 3, rings, 1.8, waist)))
    spans += label("glass", "paint", np.full(3, r - 1.2), start, stop)
    spans.append(("glass", beads(r, stop + 3, low, int(rng.integers(1, 3)), 1.5)))
    spans.append(("glass", shoulder((r - 0.4, low + 1), (13.2, high - 26), rng.uniform((0.5, 0.12), (0.75, 0.3)), 16)))
    spans.append(("glass", [(13, high - 23.5), (16.6, high - 22.7), (16.6, high - 20.9), (13, high - 20)]))
    spans.append(("glass", closed_end(13, high - 6)))
    return _shape(spans, [screw_cap(14.6, high - 18.5, 18.5, part)], np.full(3, r), low, high)


def _milk(rng: np.random.Generator) -> Draft:
    """Make a milk or juice bottle with a wide mouth, round or square: an opaque body, or glass with a label; cap or
    open."""
    high, r = rng.uniform(205, 255), rng.uniform(40, 48)
    square, opaque = rng.random() < 0.4, rng.random() < 0.6
    section = np.array([r, r, rng.uniform(0.28, 0.48) * r if square else r])
    low, end, neck = rng.uniform(0.52, 0.62) * high, 0.85 * high, rng.uniform(19, 23)
    body = "paint" if opaque else "glass"
    spans: list[Span] = [(body, foot(section, 7, 7))]
    if opaque:
        for level in (0.12 * high, low - 10):  # an embossed ring below and above
            rise = [(level - 3, 0), (level - 1.5, 1), (level + 1.5, 1), (level + 3, 0)]
            spans.append((body, [(*(section + out), height) for height, out in rise]))
    else:
        spans += label(body, "paint", section, 0.13 * high, rng.uniform(0.42, 0.48) * high)
    spans.append((body, shoulder((*section, low), (neck, neck, neck, end), (0.5, rng.uniform(0.35, 0.55)), 16)))
    if rng.random() < 0.4:
        return _shape([*spans, (body, lip(neck, high, 2.4, 9))], [], section, low, high, 4 if square else 0)
    ring = [(neck, high - 25), (neck + 3, high - 24), (neck + 3, high - 22), (neck, high - 21)]
    spans.append((body, [*ring, *closed_end(neck, high - 8)]))
    cap = screw_cap(neck + 1.6, high - 19, 19, str(rng.choice(["plastic", "metal"])), 36)
    return _shape(spans, [cap], section, low, high, 4 if square else 0)


def _spirits(rng: np.random.Generator) -> Draft:
    """Make a bottle of spirits, square or a flat flask: a label round its four faces, a thick stopper or a metal
    cap."""
    high, flask = rng.uniform(205, 265), rng.random() < 0.5
    half = (rng.uniform(44, 52), rng.uniform(21, 27)) if flask else (rng.uniform(35, 43),) * 2
    section = np.array([*half, rng.uniform(0.24, 0.45) * half[1] + 3])
    low, neck = rng.uniform(0.66, 0.72) * high, rng.uniform(14, 15.5)
    end = low + rng.uniform(0.1, 0.14) * high
    spans: list[Span] = [("glass", foot(section, 5, 5))]
    spans += label("glass", "paint", section, rng.uniform(0.1, 0.2) * high, rng.uniform(0.5, 0.6) * high)
    spans.append(("glass", shoulder((*section, low), (neck, neck, neck, end), (0.85, rng.uniform(0.3, 0.6)), 16)))
    rim = high - rng.uniform(22, 28)
    spans.append(("glass", [(neck, rim - 9), (neck + 2.5, rim - 7.5), (neck + 2.6, rim - 2), (neck + 1.5, rim)]))
    spans.append(("glass", [(0, rim)]))
    part = str(rng.choice(["wood", "metal", "plastic"]))
    closure = stopper(neck + rng.uniform(2.5, 5), rim, high - rim, part)
    return _shape(spans, [closure], section, low, high, 2 if flask else 4)


def _sparkling_or_sauce(rng: np.random.Generator) -> Draft:
    """Make a champagne bottle or a sauce bottle, equally likely."""
    return _sparkling(rng) if rng.random() < 0.5 else _sauce(rng)


def _sparkling(rng: np.random.Generator) -> Draft:
    """Make a champagne bottle: long sloping shoulders, a deep punt, foil from the shoulder up over the bulbous cork."""
    high, r, foil = rng.uniform(300, 325), rng.uniform(42, 46), str(rng.choice(["paint", "metal"]))
    low, rim = rng.uniform(0.37, 0.42) * high, high - 22.4
    curve = shoulder((r, low), (15, 0.84 * high), (0.36, 0.5), 24)
    spans: list[Span] = [
        ("glass", foot((r, r, r), 6, 32)),
        *label("glass", "paint", (r, r, r), 0.11 * high, low - 0.05 * high),
    ]
    begin = int(rng.integers(9, 14))
    spans += [("glass", curve[: begin + 1]), (foil, curve[begin:] + np.array([0.6, 0.6, 0.6, 0]))]
    spans.append((foil, closed_end(15, rim - 4)))
    return _shape(spans, [champagne_cork(15, rim, foil)], (r, r, r), low, high)


def _sauce(rng: np.random.Generator) -> Draft:
    """Make a sauce bottle: a long tapered neck, a label on body and often on the neck, a wide cap; of glass or
    opaque."""
    high, r = rng.uniform(180, 230), rng.uniform(27, 32)
    low, opaque = rng.uniform(0.42, 0.52) * high, rng.random() < 0.5
    body, paper = ("paint", "metal") if opaque else ("glass", "paint")
    curve = shoulder((r, low), (13, high - 30), (0.35, 0.45), 20)
    spans: list[Span] = [(body, foot((r, r, r), 5, 5)), *label(body, paper, (r, r, r), 0.1 * high, low - 6)]
    spans += collar(body, paper, curve, 9, 14) if rng.random() < 0.6 else [(body, curve)]
    spans.append((body, [(13, high - 27), (16, high - 26), (16, high - 24), (13, high - 23)]))
    spans.append((body, closed_end(13, high - 6)))
    cap = screw_cap(rng.uniform(15, 18), high - 22.5, 22.5, str(rng.choice(["plastic", "metal"])), 32)
    return _shape(spans, [cap], (r, r, r), low, high)
