"""The section of a report on colours: those of the prompts, and those that a part of the pictures shows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from p3d_gen.core.codecs import decode_image
from p3d_gen.core.types import Array
from p3d_gen.report.collect import Ledgers, SampleRows
from p3d_gen.report.gallery import by_chance, members_of_samples
from p3d_gen.report.page import Figure, PageSection
from p3d_gen.report.svg import colour_plane, edges_of, histogram, named_bars
from p3d_gen.run.shards import Members
from p3d_gen.run.store import RunFolder
from p3d_gen.stylize.edges import on_grey
from p3d_gen.stylize.stylization import Stylization

_MEASURED = 300


@dataclass(frozen=True, kw_only=True)
class _Looks:
    """Mean colours of samples: of the object's pixels as CIE L*a*b* (N, 3) and 8-bit RGB (N, 3), and the mean
    lightness L* of the whole pictures (N,)."""

    lab: Array
    rgb: NDArray[np.uint8]
    picture: Array


def _lab(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(cv2.cvtColor((rgb / 255).astype(np.float32), cv2.COLOR_RGB2LAB))


def _picture(members: Members, image_format: str) -> NDArray[np.uint8]:
    """Return the latest picture (H, W, 3) of a sample."""
    name = next(each for each in (image_format, "stylized.png", "render.png") if each in members)
    picture = decode_image(members[name])
    return on_grey(picture[..., :3], picture[..., 3]) if name == "render.png" else picture


def _measure(samples: list[Members], image_format: str) -> _Looks:
    objects, means, whole = [], [], []
    for members in samples:
        picture, mask = _picture(members, image_format), decode_image(members["mask.png"]) > 0
        objects.append(picture[mask].mean(axis=0))
        lab = _lab(picture)
        means.append(lab[mask].mean(axis=0))
        whole.append(lab[..., 0].mean())
    return _Looks(
        lab=np.array(means, dtype=np.float64),
        rgb=np.rint(objects).astype(np.uint8),
        picture=np.array(whole, dtype=np.float64),
    )


def _measured(run: RunFolder, stylization: Stylization, ledgers: Ledgers, labels: SampleRows) -> dict[str, _Looks]:
    """Return the mean colours of some samples of each category, chosen by chance."""
    everything = [(category, each) for category, samples in labels.items() for each in samples]
    chosen = sorted(everything, key=lambda item: by_chance(item[1]["key"]))[:_MEASURED]
    members = members_of_samples(run, stylization, ledgers, {each["key"]: each for _, each in chosen})
    kept: dict[str, list[Members]] = {category: [] for category in labels}
    for category, each in chosen:
        kept[category].append(members[each["key"]])
    return {
        category: _measure(samples, run.manifest.output.image_format) for category, samples in kept.items() if samples
    }


def looks_section(
    run: RunFolder, stylization: Stylization, ledgers: Ledgers, labels: SampleRows, colours: Sequence[str]
) -> PageSection:
    """Return the section on colour and brightness: requested, and measured in the pictures."""
    looks = _measured(run, stylization, ledgers, labels)
    lightness = {category: (each.lab[:, 0], each.picture) for category, each in looks.items()}
    edges = edges_of(np.concatenate([values for pair in lightness.values() for values in pair]))
    figures = []
    for category, each in looks.items():
        used = Counter(sample["colour"] for sample in labels[category])
        requested = {name: used[name] for name in colours}
        charts = (
            ("requested colours", named_bars(f"{category}: requested colours", requested)),
            ("mean colour of the object", colour_plane(f"{category}: mean colours", each.lab, each.rgb)),
            ("lightness of the object", histogram(f"{category}: lightness of the object", each.lab[:, 0], edges)),
            ("lightness of the picture", histogram(f"{category}: lightness of the picture", each.picture, edges)),
        )
        figures.append(Figure(title=category, charts=charts))
    measured, total = sum(len(each.picture) for each in looks.values()), sum(map(len, labels.values()))
    part = "all samples" if measured == total else f"{measured} of {total} samples, chosen by chance"
    return PageSection(
        title="Colour and brightness",
        text=f"The colours of the prompts, and those of the pictures, measured on {part}: the mean of the object's "
        "pixels in CIE L*a*b*, and the lightness L* of object and picture, from 0, black, to 100, white.",
        figures=tuple(figures),
    )
