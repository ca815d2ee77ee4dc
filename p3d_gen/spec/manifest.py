"""The manifest: the description of a run, in TOML, validated into frozen data.

It decides what is made. Command-line flags decide where and how fast.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, PrivateAttr, ValidationError, model_validator

from p3d_gen.core.categories import BUILTIN
from p3d_gen.core.digest import digest
from p3d_gen.core.errors import ManifestError, did_you_mean
from p3d_gen.spec.camera import CameraSection
from p3d_gen.spec.category_section import CategorySection
from p3d_gen.spec.materials import is_colour
from p3d_gen.spec.scene_sections import (
    Background,
    Cad,
    Light,
    Occlusion,
    Render,
    Texture,
    ViewpointSection,
)
from p3d_gen.spec.sections import EMBEDDED, Category, Section, list_faults, load_section, validated
from p3d_gen.spec.stylize import Stylize

Member = Literal[
    "mask",
    "amodal",
    "occluders",
    "depth",
    "normals",
    "nocs",
    "parts",
    "keypoints",
    "cuboid",
    "render",
    "edges",
    "stylized",
]


class Output(Section):
    """The members of a packed sample.

    members: the members next to the image and the JSON labels. Only the labels that are named here are rendered.
    image_format: the file format of the image.
    jpeg_quality: the JPEG quality of the image, from 1 to 100.
    """

    members: tuple[Member, ...] = ("mask", "depth")
    image_format: Literal["jpg", "png"] = "jpg"
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 95

    @model_validator(mode="after")
    def _check(self) -> Output:
        if len(set(self.members)) < len(self.members):
            raise ValueError(f"a member is named twice in {list(self.members)}")
        return self


class Manifest(Section):
    """Everything that decides the bytes of a run. Paths are relative to the manifest and may contain ${VARIABLES}.

    seed: seed of all random draws.
    categories: the categories of the run, built-in ones or one's own.
    category: definitions of one's own categories, and changes to built-in ones, by name.
    samples_per_category: number of samples of each category.
    shard_size: number of samples in a shard, the unit of work and of files.
    cad, viewpoint, camera, render, texture, light, occlusion, background, stylize, output: see their sections.
    """

    later: ClassVar[tuple[str, ...]] = ("category",)

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    categories: Annotated[tuple[Category, ...], Field(min_length=1)]
    samples_per_category: Annotated[int, Field(ge=1, le=10_000_000)]
    shard_size: Annotated[int, Field(ge=1, le=100_000)] = 100
    category: dict[Category, CategorySection] = Field(default_factory=dict)
    cad: Cad = Cad()
    viewpoint: ViewpointSection = ViewpointSection()
    camera: CameraSection = CameraSection()
    render: Render = Render()
    texture: Texture = Texture()
    light: Light = Light()
    occlusion: Occlusion = Occlusion()
    background: Background = Background()
    stylize: Stylize = Stylize()
    output: Output = Output()
    _base_dir: Path | None = PrivateAttr(default=None)

    def __init__(self, **values: Any) -> None:
        """Check the values. ManifestError lists all that is wrong; lists stand for tuples, dicts for sections."""
        try:
            super().__init__(**values)
        except ValidationError as invalid:
            raise ManifestError(
                f"this is not a valid manifest:\n{list_faults(Manifest, invalid, 'manifest')}"
            ) from None

    # pydantic then calls this method only for Manifest(...), not for files, whose errors name the file
    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined]

    def _check_names(self) -> None:
        """Raise ValueError for the name of a category that is nowhere defined: most are slips of the pen."""
        unknown = [name for name in self.categories if name not in BUILTIN]
        if unknown and self.cad.source == EMBEDDED:
            raise ValueError(
                f"categories: {unknown[0]!r} has no embedded shapes, and cad.source names no folder of CAD models"
                f"{did_you_mean(unknown[0], BUILTIN)}"
            )
        for key, names in (
            ("category", tuple(self.category)),
            ("viewpoint.elevation", tuple(self.viewpoint.elevation)),
            ("background.sets", tuple(self.background.sets)),
            *self.stylize.names_of_categories(),
        ):
            check_categories(key, names, self.categories)

    @property
    def base_dir(self) -> Path:
        """Return the folder in which relative paths start: that of the manifest's file, or the current one."""
        return self._base_dir or Path.cwd()

    @model_validator(mode="after")
    def _check(self) -> Manifest:
        if len(set(self.categories)) < len(self.categories):
            raise ValueError(f"a category is named twice in {list(self.categories)}")
        self._check_names()
        if "occluders" in self.output.members and self.occlusion.level == "none":
            raise ValueError("output.members names occluders, but occlusion.level is 'none'")
        if self.background.draw == "environment" and self.light.kind != "hdri":
            raise ValueError("background.draw = 'environment' needs a map as light: set light.kind to 'hdri'")
        without = [name for name in self.categories if self.background.sets and name not in self.background.sets]
        if without:
            raise ValueError(f"background.sets names no backgrounds of {without}")
        unknown = [colour for colour in self.stylize.colours if not is_colour(colour)]
        if self.texture.kind == "realistic" and unknown:
            raise ValueError(f"stylize.colours {unknown}: realistic paint needs colours of CSS, or #rrggbb")
        return self


def check_categories(key: str, names: Iterable[str], categories: Iterable[str]) -> None:
    """Raise ValueError if a key of the table `key` is not a category of the run, nor a built-in one."""
    known = {*categories, *BUILTIN}
    for name in names:
        if name not in known:
            raise ValueError(f"{key}.{name}: categories does not hold {name!r}{did_you_mean(name, known)}")


def manifest_hash(manifest: Manifest) -> str:
    """Return the sha256 of the validated manifest, defaults included; the form of the TOML text does not matter."""
    return digest(manifest.model_dump(mode="json"))


def _resolve(source: str, base_dir: Path, key: str) -> Path:
    names: list[str] = re.findall(r"\$\{(\w+)\}", source)
    if unset := [name for name in names if name not in os.environ]:
        raise ManifestError(f"{key} = {source!r} needs the environment variable {unset[0]}, which is not set")
    return base_dir / Path(re.sub(r"\$\{(\w+)\}", lambda m: os.environ[m[1]], source)).expanduser()


def resolve_folder(source: str, base_dir: Path, key: str) -> Path:
    """Return the existing folder that a manifest's `source` means. Raise ManifestError, which names the `key`."""
    folder = _resolve(source, base_dir, key)
    if not folder.is_dir():
        raise ManifestError(f"{key} = {source!r}: there is no folder {folder}")
    return folder


def resolve_file(source: str, base_dir: Path, key: str) -> Path:
    """Return the existing file that a manifest's `source` means. Raise ManifestError, which names the `key`."""
    file = _resolve(source, base_dir, key)
    if not file.is_file():
        raise ManifestError(f"{key} = {source!r}: there is no file {file}")
    return file


def parse_manifest(data: dict[str, Any], origin: str) -> Manifest:
    """Return the manifest of plain data. `origin` says where it stands, in the ManifestError that lists every fault."""
    return validated(Manifest, data, origin, "manifest", ManifestError)


def load_manifest(path: str | Path) -> Manifest:
    """Read the manifest of a TOML file. Raise ManifestError with file, key, value and the nearest valid key."""
    manifest = load_section(Manifest, Path(path), "manifest", ManifestError)
    manifest._base_dir = Path(path).parent.resolve()
    return manifest
