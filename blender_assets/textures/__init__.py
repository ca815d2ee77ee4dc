"""Procedural texture bank: patterns named after describable attributes of DTD. Pure numpy and cv2.

Each pattern is a function of a generator and of coordinates u, v in [0, 1) to a field in [0, 1]; the field is mapped
through a drawn palette of three colours. The pattern does not depend on the number of pixels.
"""

from collections.abc import Callable
from zlib import crc32

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_assets.textures import cells, flows, grids, lines, ornaments, spots, weaves
from blender_assets.textures.fields import Array, coordinates, noise

Pattern = Callable[[np.random.Generator, Array, Array], Array]

_FLAT: dict[str, Pattern] = {  # either end of the palette is at 0
    "banded": lines.banded,
    "blotchy": spots.blotchy,
    "bubbly": cells.bubbly,
    "chequered": grids.chequered,
    "cobwebbed": ornaments.cobwebbed,
    "cracked": cells.cracked,
    "crosshatched": lines.crosshatched,
    "crystalline": cells.crystalline,
    "dotted": spots.dotted,
    "fibrous": lines.fibrous,
    "flecked": spots.flecked,
    "freckled": spots.freckled,
    "gauzy": weaves.gauzy,
    "grid": grids.grid,
    "honeycombed": grids.honeycombed,
    "lacelike": ornaments.lacelike,
    "lined": lines.lined,
    "marbled": flows.marbled,
    "meshed": grids.meshed,
    "paisley": ornaments.paisley,
    "polka-dotted": grids.polka_dotted,
    "smeared": flows.smeared,
    "spiralled": ornaments.spiralled,
    "sprinkled": spots.sprinkled,
    "stained": spots.stained,
    "stratified": lines.stratified,
    "striped": lines.striped,
    "swirly": flows.swirly,
    "veined": flows.veined,
    "zigzagged": lines.zigzagged,
}
_RELIEFS: dict[str, Pattern] = {  # dark at 0, where it is low or in shade
    "braided": weaves.braided,
    "bumpy": cells.bumpy,
    "frilly": ornaments.frilly,
    "grooved": lines.grooved,
    "interlaced": weaves.interlaced,
    "knitted": weaves.knitted,
    "matted": weaves.matted,
    "perforated": grids.perforated,
    "pitted": cells.pitted,
    "pleated": lines.pleated,
    "porous": cells.porous,
    "potholed": cells.potholed,
    "scaly": grids.scaly,
    "studded": grids.studded,
    "waffled": grids.waffled,
    "woven": weaves.woven,
    "wrinkled": flows.wrinkled,
}
_PATTERNS = _FLAT | _RELIEFS
ATTRIBUTES = tuple(sorted(_PATTERNS))
STREAM_PATTERN, STREAM_COLOUR = 1, 2
SUPERSAMPLING = 2


def texture(name: str, seed: int, size_px: int) -> NDArray[np.uint8]:
    """Draw the texture number `seed` of an attribute: (size_px, size_px, 3) uint8, sRGB.

    The same three arguments always give the same image; `size_px` changes its sharpness only. Raises ValueError for
    an attribute that is not in `ATTRIBUTES`.
    """
    if name not in _PATTERNS:
        raise ValueError(f"no texture attribute {name!r}; known: {', '.join(ATTRIBUTES)}")
    key = crc32(name.encode())
    side = SUPERSAMPLING * size_px
    field = _PATTERNS[name](np.random.default_rng([seed, STREAM_PATTERN, key]), *coordinates(side))
    rng = np.random.default_rng([seed, STREAM_COLOUR, key])
    image = _coloured(np.clip(field, 0, 1), _palette(rng, name in _RELIEFS)).astype(np.float32)
    image = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)
    shade = 0.92 + 0.16 * noise(rng, *coordinates(size_px), 24, octaves=3)
    return np.asarray(np.round(np.clip(image * shade[..., None], 0, 1) * 255), np.uint8)


def _palette(rng: np.random.Generator, dark_first: bool) -> Array:
    """Draw three sRGB colours (3, 3) in [0, 1]: a dark, a middle and a light one of different hues, or the other way
    round."""
    hue = (rng.uniform(0, 360) + np.array([0.0, rng.uniform(30, 180), rng.uniform(100, 260)])) % 360
    value = np.array([rng.uniform(0.08, 0.4), rng.uniform(0.45, 0.75), rng.uniform(0.8, 1.0)])
    saturation = np.array([rng.uniform(0.3, 0.95), rng.uniform(0.3, 0.95), rng.uniform(0.05, 0.7)])
    hsv = np.stack([hue, saturation, value], axis=1).astype(np.float32)[None]
    colours = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0].astype(float)
    return np.asarray(colours[::-1] if rng.integers(2) and not dark_first else colours)


def _coloured(field: Array, palette: Array) -> Array:
    """Return the image (H, W, 3) of a field (H, W) in [0, 1], interpolated along the palette (3, 3)."""
    at = np.linspace(0, 1, len(palette))
    return np.stack([np.interp(field, at, palette[:, c]) for c in range(3)], axis=-1)
