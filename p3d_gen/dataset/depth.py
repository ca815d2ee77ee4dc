"""Depth in 16 bits, under a name that no reader decodes by itself: default decoders cut 16-bit PNGs to 8 bits.

The member `depth.png16` is a 16-bit PNG; its numbers times the label `depth16_step` are planar z in box diagonals, 0
where the object is not. With webdataset and datasets:

    wds.WebDataset(urls).decode(wds.handle_extension("depth.png16", decode_depth16), "rgb8")
    load_dataset(folder).map(lambda sample: {"depth": decode_depth16(sample["depth.png16"])})
"""

from __future__ import annotations

import json

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.codecs import decode_npz
from p3d_gen.run.files import compact_json
from p3d_gen.run.shards import Members

MEMBER, STEP = "depth.png16", "depth16_step"
_MOST = 65535


def encode_depth16(depth: NDArray[np.float32]) -> tuple[bytes, float]:
    """Return depth (H, W) as a 16-bit PNG, and its step.

    The step is the smallest power of two with which the largest depth fits. Numbers are off by at most half a step,
    2^-17 to 2^-16 of that depth.
    """
    largest = float(depth.max())
    step = 2.0 ** int(np.ceil(np.log2(largest / _MOST))) if largest > 0 else 1.0
    written, content = cv2.imencode(".png", np.rint(depth / step).astype(np.uint16))
    assert written
    return content.tobytes(), step


def decode_depth16(content: bytes) -> NDArray[np.uint16]:
    """Return the numbers (H, W) of a 16-bit PNG; times the step they are depth."""
    numbers = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if numbers is None or numbers.dtype != np.uint16 or numbers.ndim != 2:
        raise ValueError(f"{MEMBER} is not a 16-bit grey PNG")
    return np.asarray(numbers, dtype=np.uint16)


def with_depth16(members: Members) -> Members:
    """Return a sample's members with the depth in 16 bits in place of `depth.npz`."""
    png, step = encode_depth16(decode_npz(members["depth.npz"])["depth"])
    kept = {name: content for name, content in members.items() if name not in ("depth.npz", "json")}
    return kept | {MEMBER: png, "json": compact_json(json.loads(members["json"]) | {STEP: step})}
