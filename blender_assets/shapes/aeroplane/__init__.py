"""Parametric aeroplanes: airliner, high-wing propeller, low-wing propeller, fighter, business jet, biplane."""

import numpy as np

from blender_assets.shapes.aeroplane.frame import Airframe
from blender_assets.shapes.aeroplane.jets import airliner, business_jet, fighter
from blender_assets.shapes.aeroplane.parts import Pane, WingSection, fuselage, gear_leg, propeller, wing
from blender_assets.shapes.mesh import Draft, curve, cylinder, join, lathe, moved, pair, rounded_box


def aeroplane(body_type: int, rng: np.random.Generator) -> Draft:
    """Make an aeroplane in metres, nose at -y, mirror-symmetric in x, drawn from `rng`; the dominant part is `paint`.

    body_type 0..5: airliner, high-wing propeller, low-wing propeller, fighter, business jet, biplane.
    """
    makers = (airliner, _high_wing, _low_wing, fighter, business_jet, _biplane)
    return makers[body_type](rng)


def _high_wing(rng: np.random.Generator) -> Draft:
    """Make a four-seat propeller aircraft with a strutted wing on top of the cabin."""
    length, span = float(rng.uniform(7.4, 8.2)), float(rng.uniform(5.2, 5.9))
    roof, blades = float(rng.uniform(2.2, 2.35)), int(rng.integers(2, 4))
    top = [(0, 1.5), (0.3, 1.66), (1.45, 1.74), (1.6, 1.78), (2.3, roof), (3.7, roof), (4.6, 1.95), (length, 1.72)]
    bottom = [(0, 1.2), (0.3, 0.98), (1.4, 0.86), (3.6, 0.88), (length, 1.5)]
    wide = [(0, 0.3), (0.4, 0.48), (1.5, 0.56), (2.8, 0.58), (4, 0.46), (length, 0.05)]
    windows = [Pane((1.68, 2.22), (0, 62)), Pane((2.3, 2.95), (52, 82)), Pane((3.05, 3.6), (52, 82))]
    body = fuselage(length, top, bottom, wide, 0.35, windows, 3.2)
    sections = [
        WingSection(0.0, 2.15, roof + 0.04, 1.62, 0.13),
        WingSection(0.5 * span, 2.15, roof + 0.1, 1.62, 0.13),
        WingSection(span, 2.4, roof + 0.17, 1.1, 0.12),
    ]
    tail = [WingSection(0.0, length - 1.15, 1.62, 1.2, 0.09), WingSection(1.7, length - 0.85, 1.62, 0.75, 0.09)]
    upright = [
        WingSection(1.55, length - 1.5, 0, 1.5, 0.08),
        WingSection(1.95, length - 0.95, 0, 1.0, 0.09),
        WingSection(2.85, length - 0.55, 0, 0.6, 0.09),
    ]
    y = -length / 2
    strut = cylinder((0.5, y + 2.6, 0.98), (0.46 * span, y + 2.75, roof + 0.06), 0.045, "paint", 10)
    prop = moved(propeller(0.95, blades), (0, y + 0.02, 1.35))
    legs = [
        pair(gear_leg((0.4, y + 3.1, 1.0), (1.2, y + 3.1), 0.24, False)),
        gear_leg((0, y + 0.75, 1.0), (0, y + 0.7), 0.2, False),
    ]
    frame = Airframe(length, sections, tail, upright, top, bottom, (y + 0.7, 0.0))
    return frame.shape([body, pair(strut), prop, *legs])


def _low_wing(rng: np.random.Generator) -> Draft:
    """Make a low-wing propeller aircraft with a bubble canopy, and a second engine on each wing for some draws."""
    length, span = float(rng.uniform(7.2, 8.4)), float(rng.uniform(4.6, 5.4))
    canopy, blades = float(rng.uniform(2.0, 2.15)), int(rng.integers(2, 5))
    top = [(0, 1.35), (0.3, 1.52), (1.9, 1.62), (2.1, 1.64), (2.75, canopy), (3.3, canopy), (4.6, 1.66), (length, 1.5)]
    bottom = [(0, 1.1), (0.35, 0.9), (2, 0.78), (4, 0.84), (length, 1.34)]
    wide = [(0, 0.26), (0.5, 0.46), (2.4, 0.56), (3.5, 0.52), (5, 0.34), (length, 0.05)]
    windows = [Pane((2.15, 2.66), (0, 58)), Pane((2.72, 3.3), (0, 62)), Pane((3.36, 4.3), (0, 56))]
    body = fuselage(length, top, bottom, wide, 0.35, windows, 2.4)
    sections = [WingSection(0.0, 2.05, 0.98, 1.75, 0.14), WingSection(span, 2.45, 0.98 + 0.11 * span, 0.95, 0.12)]
    tail = [WingSection(0.0, length - 1.15, 1.45, 1.15, 0.09), WingSection(1.65, length - 0.8, 1.5, 0.65, 0.09)]
    upright = [
        WingSection(1.35, length - 1.7, 0, 1.7, 0.07),
        WingSection(1.75, length - 1.1, 0, 1.1, 0.09),
        WingSection(2.65, length - 0.5, 0, 0.55, 0.09),
    ]
    y = -length / 2
    prop = moved(propeller(0.92, blades), (0, y + 0.02, 1.225))
    legs = [
        pair(gear_leg((1.15, y + 2.7, 1.05), (1.15, y + 2.7), 0.25, False)),
        gear_leg((0, y + 0.9, 1.0), (0, y + 0.85), 0.21, False),
    ]
    frame = Airframe(length, sections, tail, upright, top, bottom, (y + 0.85, 0.0))
    return frame.shape([body, prop, *legs])


def _biplane(rng: np.random.Generator) -> Draft:
    """Make a biplane with a radial engine, open cockpit, struts between the wings and a tail wheel."""
    length, span = float(rng.uniform(6.2, 7.0)), float(rng.uniform(3.9, 4.5))
    upper, blades = float(rng.uniform(2.45, 2.6)), int(rng.integers(2, 4))
    top = [(0, 1.85), (0.5, 1.98), (2.2, 2.02), (3.4, 2.1), (4.1, 2.02), (length, 1.72)]
    bottom = [(0, 1.15), (0.5, 1.02), (2, 0.98), (4, 1.12), (length, 1.48)]
    wide = [(0, 0.38), (0.4, 0.46), (2, 0.46), (3.5, 0.42), (length, 0.05)]
    body = fuselage(length, top, bottom, wide, 0.12, [Pane((2.62, 3.2), (0, 48))], 2.3, "plastic")
    y = -length / 2
    low = [WingSection(0.0, 1.55, 1.1, 1.15, 0.12), WingSection(0.94 * span, 1.6, 1.1 + 0.04 * span, 1.0, 0.12)]
    high = [WingSection(0.0, 1.15, upper, 1.15, 0.12), WingSection(span, 1.2, upper + 0.02 * span, 1.0, 0.12)]
    tail = [WingSection(0.0, length - 1.0, 1.62, 1.0, 0.08), WingSection(1.35, length - 0.75, 1.62, 0.65, 0.08)]
    upright = [
        WingSection(1.55, length - 1.2, 0, 1.2, 0.08),
        WingSection(2.1, length - 0.75, 0, 0.8, 0.08),
        WingSection(2.5, length - 0.5, 0, 0.5, 0.08),
    ]
    struts = []
    for x, dy in ((0.78 * span, 0.0), (0.78 * span, 0.55), (0.3, 0.05), (0.3, 0.6)):
        foot_z = 1.12 if x > 1 else 1.85
        struts.append(cylinder((x, y + 1.8 + dy, foot_z), (x, y + 1.45 + dy, upper), 0.03, "wood", 8))
    screen = rounded_box((0, y + 2.5, 2.12), (0.5, 0.03, 0.24), 0.012, "glass", 1)
    cowl = lathe(
        [(0.2, 0.02), (0.42, -0.1), (0.5, -0.02), (0.52, 0.15), (0.5, 0.5), (0.3, 0.5), (0.2, 0.02)], "metal", "y"
    )
    prop = moved(propeller(0.95, blades), (0, y - 0.06, 1.5))
    legs = [pair(gear_leg((0.35, y + 1.5, 1.05), (0.75, y + 1.2), 0.32, False))]
    legs += [gear_leg((0, y + length - 0.6, 1.5), (0, y + length - 0.35), 0.13, False, 1.02)]
    cowl = moved(cowl, (0, y + 0.05, 1.5))
    frame = Airframe(length, high, tail, upright, top, bottom, (y + 0.8, float(curve(0.8, bottom))))
    return frame.shape([body, wing(low, length), pair(join(struts)), screen, cowl, prop, *legs])
