"""The manifest: what a run makes, as TOML, validated into frozen data. It says what; flags say where and how fast."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from p3d_gen.core.categories import ELEVATION_DEG, Category
from p3d_gen.core.digest import digest
from p3d_gen.core.errors import ManifestError
from p3d_gen.spec.materials import is_colour
from p3d_gen.spec.sections import EMBEDDED, Positive, Range, Section, Unit, load_section, ordered, validated
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
Axis = Literal["auto", "x", "-x", "y", "-y", "z", "-z"]
Side = Annotated[int, Field(ge=32, le=8192)]
Share = Annotated[float, Field(ge=0, le=0.8)]


class TruncatedNormal(Section):
    """A normal distribution in degrees, cut at both ends (not clipped: values outside are drawn again)."""

    mean_deg: float
    std_deg: Positive
    min_deg: float
    max_deg: float

    @model_validator(mode="after")
    def _check(self) -> TruncatedNormal:
        if not self.min_deg < self.max_deg:
            raise ValueError(f"min_deg {self.min_deg} must be below max_deg {self.max_deg}")
        return self


def _normal(mean: float, std: float, low: float, high: float) -> TruncatedNormal:
    return TruncatedNormal(mean_deg=mean, std_deg=std, min_deg=low, max_deg=high)


class Cad(Section):
    """Where CAD models come from.

    source: `embedded`, the parametric shapes numbered `variants` (first, and the one after the last), or a folder.
    layout: how the folder is laid out; `auto` recognises each of them.
    include: glob patterns on the model's name; models that match none are left out.
    up, front: the source's own axes; "auto" is those of the layout or, for glTF, of the format.
    quarantine: leave out models that cannot be used, with their reason in RUN/cad/models.json, instead of stopping.
    stretch: each axis of a sample's model is scaled by its own uniform draw from 1 - stretch to 1 + stretch.
    """

    source: str = EMBEDDED
    variants: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1, le=1_000_000)]] = (0, 6)
    layout: Literal["auto", "folder", "pascal3d", "objectnet3d", "shapenet", "ood_cv"] = "auto"
    include: tuple[str, ...] = ("*",)
    up: Axis = "auto"
    front: Axis = "auto"
    quarantine: bool = False
    stretch: Annotated[float, Field(ge=0, le=0.5)] = 0.0

    @model_validator(mode="after")
    def _check(self) -> Cad:
        if (self.up == "auto") != (self.front == "auto"):
            raise ValueError("give both up and front, or neither")
        if self.up != "auto" and self.up[-1] == self.front[-1]:
            raise ValueError(f"up {self.up!r} and front {self.front!r} lie on one axis")
        if self.variants[0] >= self.variants[1]:
            raise ValueError(f"variants runs from {self.variants[0]} to {self.variants[1]}: that is none")
        return self


class ViewpointSection(Section):
    """Distribution of the camera's rotation.

    so3: uniform over all rotations. pascal3d: azimuth uniform, elevation and in-plane angle truncated normals;
    `elevation` overrides single categories. empirical: the viewpoints of the file `source`, each turned by a rotation
    about a random axis whose angle is normal with `jitter_deg`.
    coverage: `random` draws independently; `stratified` draws from a low-discrepancy sequence, so that any run of
    consecutive samples covers the distribution evenly.
    """

    distribution: Literal["pascal3d", "so3", "empirical"] = "pascal3d"
    coverage: Literal["random", "stratified"] = "random"
    elevation: dict[Category, TruncatedNormal] = Field(default_factory=dict)
    theta: TruncatedNormal = _normal(0, 5, -15, 15)
    source: str = ""
    jitter_deg: Annotated[float, Field(ge=0, le=90)] = 5.0

    @model_validator(mode="after")
    def _check(self) -> ViewpointSection:
        if (self.distribution == "empirical") != bool(self.source):
            raise ValueError("the distribution 'empirical' needs a source, a file of viewpoints; the others take none")
        return self

    def elevation_of(self, category: str) -> TruncatedNormal:
        """The truncated normal of a category's elevation."""
        return self.elevation.get(category) or _normal(*ELEVATION_DEG[category])  # type: ignore[call-overload]


class CameraSection(Section):
    """One pinhole camera; the object stands on its optical axis, `distance` box diagonals away."""

    image_hw: tuple[Side, Side] = Field(
        default=(640, 800), description="two integers [height, width], for example [128, 128]"
    )
    focal_px: Positive = 3000.0
    distance: Range = (5.0, 5.0)

    @model_validator(mode="after")
    def _check(self) -> CameraSection:
        ordered("distance", *self.distance)
        if self.distance[0] < 1.0:
            raise ValueError(f"distance {self.distance[0]} lies within the object, whose box diagonal is 1")
        return self


class Texture(Section):
    """What the object's surface looks like.

    dtd: 3D-consistent prior noise, a picture of `source` wrapped on the CAD by smart UV. naive: untextured grey.
    native: the CAD's own materials. realistic: a physically based material for each of the CAD's parts (paint, glass,
    rubber, ...), drawn for each sample, the paint in the prompt's colour.
    source: `embedded`, a DTD folder (`split` names which of its list files
    `labels/<split>1.txt` may be used), or any
    folder tree of pictures. roughness, metallic: ranges of the uniform draw for dtd and naive.
    """

    kind: Literal["dtd", "naive", "native", "realistic"] = "dtd"
    source: str = EMBEDDED
    split: tuple[Literal["train", "val", "test"], ...] = ()
    roughness: tuple[Unit, Unit] = (0.15, 0.9)
    metallic: tuple[Unit, Unit] = (0.0, 0.5)

    @model_validator(mode="after")
    def _check(self) -> Texture:
        ordered("roughness", *self.roughness)
        ordered("metallic", *self.metallic)
        return self


class Light(Section):
    """area: three lamps near the camera, each off by up to 3 units per axis. hdri: an environment map of `source`
    (`*.hdr`, `*.exr`), turned about z by a uniform angle. sun: the sun at a uniform azimuth and an elevation drawn
    from `sun_elevation_deg`, and a clear sky. `strength` scales all. include: glob patterns on a map's name; maps that
    match none are left out."""

    kind: Literal["area", "hdri", "sun"] = "area"
    source: str = EMBEDDED
    include: tuple[str, ...] = ("*",)
    strength: Range = (0.7, 1.3)
    sun_elevation_deg: tuple[Annotated[float, Field(ge=2, le=90)], Annotated[float, Field(ge=2, le=90)]] = (10.0, 70.0)

    @model_validator(mode="after")
    def _check(self) -> Light:
        ordered("strength", *self.strength)
        ordered("sun_elevation_deg", *self.sun_elevation_deg)
        return self


class Occlusion(Section):
    """How much of the object is hidden, as shares of its silhouette.

    level: L1 hides 20 to 40 %, L2 40 to 60 %, L3 60 to 80 % behind other objects, as the occluded benchmarks do.
    occluders: the categories whose embedded shapes stand in front. truncation: the range of the share that the frame
    cuts off; (0, 0) keeps the object centred. probability: of a sample to be occluded or cut at all.
    """

    level: Literal["none", "L1", "L2", "L3"] = "none"
    occluders: Annotated[tuple[Category, ...], Field(min_length=1)] = ("bottle", "chair", "sofa", "tvmonitor")
    truncation: tuple[Share, Share] = (0.0, 0.0)
    probability: Unit = 1.0

    @model_validator(mode="after")
    def _check(self) -> Occlusion:
        ordered("truncation", *self.truncation)
        return self


class Background(Section):
    """Pictures (any folder tree of images) or environment maps seen through a virtual camera.

    draw: `any` draws from all of them, independently of the category. `disjoint` deals them out to the categories, each
    to one (the paper's spurious backgrounds). `sets` gives each category those whose names match its glob patterns in
    `sets`. `environment` takes none of them: the map that lights the sample is seen by the sample's own camera, as
    bright as it shines.
    per_render: how many composites are packed of each render, each on its own background.
    edge: `soft` blends by the render's alpha, in linear light; `hard` cuts by the mask as the paper does.
    match_colour: how far the object's mean and spread of colour go to those of its background, from 0 to 1.
    match_blur: how far an object that is sharper than its background is blurred to match it, from 0 to 1.
    shadow: how much of a clear sky's light the object takes from the ground that it stands on, from 0 to 1 (all that
    it hides). shadow_softness: as if it hovered so high, in box diagonals.
    """

    source: str = EMBEDDED
    draw: Literal["any", "disjoint", "sets", "environment"] = "any"
    sets: dict[Category, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    per_render: Annotated[int, Field(ge=1, le=1000)] = 1
    edge: Literal["soft", "hard"] = "soft"
    match_colour: Unit = 0.0
    match_blur: Unit = 0.0
    shadow: Unit = 0.0
    shadow_softness: Annotated[float, Field(ge=0.005, le=0.5)] = 0.02

    @model_validator(mode="after")
    def _check(self) -> Background:
        if (self.draw == "sets") != bool(self.sets):
            raise ValueError("draw = 'sets' needs glob patterns in sets; the others take none")
        if self.draw == "environment" and self.source != EMBEDDED:
            raise ValueError("draw = 'environment' takes the maps of light.source: leave source out")
        if self.draw == "environment" and self.per_render > 1:
            raise ValueError("per_render above 1 would pack the same picture again: draw = 'environment' has but one")
        return self


class Render(Section):
    """Cycles samples per pixel, and whether Open Image Denoise cleans them."""

    samples: Annotated[int, Field(ge=1, le=4096)] = 8
    denoise: bool = True


class Output(Section):
    """What a packed sample holds beside its image and its JSON labels. Only the labels named here are rendered."""

    members: tuple[Member, ...] = ("mask", "depth")
    image_format: Literal["jpg", "png"] = "jpg"
    jpeg_quality: Annotated[int, Field(ge=1, le=100)] = 95

    @model_validator(mode="after")
    def _check(self) -> Output:
        if len(set(self.members)) < len(self.members):
            raise ValueError(f"a member is named twice in {list(self.members)}")
        return self


class Manifest(Section):
    """Everything that decides the bytes of a run. Paths may hold ${VARIABLES} and are relative to the manifest."""

    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    categories: Annotated[tuple[Category, ...], Field(min_length=1)]
    samples_per_category: Annotated[int, Field(ge=1, le=10_000_000)]
    shard_size: Annotated[int, Field(ge=1, le=100_000)] = 100
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

    @property
    def base_dir(self) -> Path:
        """The folder where relative paths start: that of the manifest's file, or the current one if it has none."""
        return self._base_dir or Path.cwd()

    @model_validator(mode="after")
    def _check(self) -> Manifest:
        if len(set(self.categories)) < len(self.categories):
            raise ValueError(f"a category is named twice in {list(self.categories)}")
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


def manifest_hash(manifest: Manifest) -> str:
    """The sha256 of the validated manifest, defaults included; the form of the TOML text does not matter."""
    return digest(manifest.model_dump(mode="json"))


def _resolve(source: str, base_dir: Path, key: str) -> Path:
    names: list[str] = re.findall(r"\$\{(\w+)\}", source)
    if unset := [name for name in names if name not in os.environ]:
        raise ManifestError(f"{key} = {source!r} needs the environment variable {unset[0]}, which is not set")
    return base_dir / Path(re.sub(r"\$\{(\w+)\}", lambda m: os.environ[m[1]], source)).expanduser()


def resolve_folder(source: str, base_dir: Path, key: str) -> Path:
    """The existing folder that a manifest's `source` means; `key` names it in the error."""
    folder = _resolve(source, base_dir, key)
    if not folder.is_dir():
        raise ManifestError(f"{key} = {source!r}: there is no folder {folder}")
    return folder


def resolve_file(source: str, base_dir: Path, key: str) -> Path:
    """The existing file that a manifest's `source` means; `key` names it in the error."""
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
