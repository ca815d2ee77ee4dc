"""Writes the embedded textures of `blender_assets/`: `python -m blender_assets.textures.build_assets [--out DIR]`."""

import argparse
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from blender_assets.textures import ATTRIBUTES, texture

DEFAULT_OUT = Path(__file__).resolve().parents[1]
TEXTURES_EACH = 2
TEXTURE_PX = 256
JPEG_QUALITY = 85


def jpeg_bytes(image: NDArray[np.uint8]) -> bytes:
    """Encode an sRGB image (H, W, 3) uint8 as JPEG of quality 85."""
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    if not done:
        raise ValueError(f"OpenCV cannot encode an image of shape {image.shape} as JPEG")
    return bytes(data)


def files() -> dict[str, bytes]:
    """Make every generated file of `blender_assets/`: path relative to it, with forward slashes -> content."""
    return {
        f"textures/{name}/{name}_{seed:04d}.jpg": jpeg_bytes(texture(name, seed, TEXTURE_PX))
        for name in ATTRIBUTES
        for seed in range(TEXTURES_EACH)
    }


def write(out: Path) -> int:
    """Write every generated file below a folder, each complete or not at all; returns their total size in bytes."""
    total = 0
    for name, data in files().items():
        path = out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        partial.unlink(missing_ok=True)
        with partial.open("xb") as stream:  # which follows no link
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
        total += len(data)
    return total


def main() -> None:
    """Run the command line of this module."""
    parser = argparse.ArgumentParser(prog="python -m blender_assets.textures.build_assets", description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder to write to (default: %(default)s)")
    out = parser.parse_args().out
    print(f"{out}: {write(out):,} bytes")


if __name__ == "__main__":
    main()
