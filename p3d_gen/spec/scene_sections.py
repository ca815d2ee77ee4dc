"""The sections of a manifest that describe the scene: CAD models, camera, surface, light, occlusion and background."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from p3d_gen.core.categories import BUILTIN, CategoryDefinition
from p3d_gen.spec.sections import (
    EMBEDDED,
    BuiltinCategory,
    Category,
    LengthUnit,
    Positive,
    Range,
    Section,
    Unit,
    metres,
    ordered,
)

Axis = Literal["auto", "x", "-x", "y", "-y", "z", "-z"]
Share = Annotated[float, Field(ge=0, le=0.8)]
MIN_FACES = 100  # of cad.max_faces: fewer hold the shape of nothing
_OCCLUDERS = tuple(name for name, definition in BUILTIN.items() if definition.occluder)


class TruncatedNormal(Section):
    """A normal distribution in degrees, truncated at both ends: no value outside of them is ever drawn.

    mean_deg, std_deg: mean and standard deviation of the distribution before it is truncated, in degrees.
    min_deg, max_deg: lowest and highest value that is drawn, in degrees.
    """

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
    """The CAD models that are rendered.

    source: `embedded` for the parametric shapes that come with the package, or the path of a folder of CAD models.
    variants: the numbers of the parametric shapes that are used, [first, one after the last].
    layout: the layout of the folder; `auto` recognises every layout.
    include: glob patterns for names of models; a model is used if its name matches at least one of them.
    up, front: the axes of the folder's models that point up and to the front, such as "z" and "-y". "auto" stands for
    those that a model's side file states, else its layout, else its file format.
    quarantine: true to leave out models that cannot be used, instead of stopping at the first one. The reasons are
    written to RUN/cad/models.json. Of models with the same id only the first is used, with a warning.
    stretch: largest relative change of a model's size along each of its axes. Each sample draws one factor per axis,
    uniformly from 1 - stretch to 1 + stretch.
    unit: the length that 1 in the folder's files means: "m", "dm", "cm", "mm", "in", "ft", "unknown", or metres. By
    default that which a model's side file states, else what its file says; OBJ, STL, PLY and OFF files say none.
    max_faces: models with more triangles are reduced to so many. RUN/cad/models.json says by how much their silhouettes
    agree with those of the whole model, and a warning names those below an IoU of 0.98.
    """

    later: ClassVar[tuple[str, ...]] = ("unit", "max_faces")

    source: str = EMBEDDED
    variants: tuple[Annotated[int, Field(ge=0)], Annotated[int, Field(ge=1, le=1_000_000)]] = (0, 6)
    layout: Literal["auto", "folder", "pascal3d", "objectnet3d", "shapenet", "ood_cv", "p3d_diffusion"] = "auto"
    include: tuple[str, ...] = ("*",)
    up: Axis = "auto"
    front: Axis = "auto"
    quarantine: bool = False
    stretch: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    unit: LengthUnit | None = None
    max_faces: Annotated[int, Field(ge=MIN_FACES)] | None = None

    @property
    def unit_m(self) -> float | None:
        """Return the metres that 1 in the files means, None if that is not stated."""
        return metres(self.unit)

    @model_validator(mode="after")
    def _check(self) -> Cad:
        if (self.up == "auto") != (self.front == "auto"):
            raise ValueError("give both up and front, or neither")
        if self.up != "auto" and self.up[-1] == self.front[-1]:
            raise ValueError(f"up {self.up!r} and front {self.front!r} lie on one axis")
        if self.variants[0] >= self.variants[1]:
            raise ValueError(
                f"variants runs from {self.variants[0]} to {self.variants[1]}, which is none: raise the second number"
            )
        return self


class ViewpointSection(Section):
    """The distribution of viewpoints.

    distribution: `so3` is uniform over all rotations. `pascal3d` draws the azimuth uniformly, and the elevation and the
    in-plane angle from truncated normals; categories whose pose is `any` get `so3` instead. `empirical` draws from the
    viewpoints of the file `source`.
    coverage: `random` draws every sample independently. `stratified` takes the points of a low-discrepancy sequence, so
    that any consecutive samples cover the distribution evenly.
    elevation: the truncated normal of the elevation by category, in place of the category's default.
    theta: the truncated normal of the in-plane angle.
    source: the path of a CSV or JSON file of viewpoints, for the distribution `empirical`.
    jitter_deg: standard deviation in degrees of a random rotation that is added to each viewpoint of the file.
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

    def elevation_of(self, definition: CategoryDefinition) -> TruncatedNormal:
        """Return the truncated normal of a category's elevation."""
        return self.elevation.get(definition.name) or _normal(*definition.elevation_deg)

    def distribution_of(self, definition: CategoryDefinition) -> str:
        """Return the distribution of a category's viewpoints: `so3` in place of `pascal3d` if it has any pose."""
        is_any = definition.pose == "any" and self.distribution == "pascal3d"
        return "so3" if is_any else self.distribution


class Texture(Section):
    """The surface of the object.

    kind: `dtd` wraps a picture of `source` around the CAD by smart UV: 3D-consistent prior noise. `naive` is untextured
    grey. `native` keeps the CAD's own materials. `realistic` draws a physically based material for each part of the CAD
    (paint, glass, rubber, ...), with the paint in the colour of the prompt.
    source: `embedded` for the pictures that come with the package, or the path of a DTD release or of any folder tree
    of pictures.
    split: the splits of a DTD release whose pictures are used, by its list files `labels/<split>1.txt`; empty for all.
    roughness: range of the uniform draw of the roughness, for dtd and naive.
    metallic: range of the uniform draw of the metallic share, for dtd and naive.
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
    """The light on the object.

    kind: `area` places three lamps near the camera, each at a random offset of up to 3 units per axis. `hdri` takes an
    environment map of `source`, turned about z by a uniform angle. `sun` is a clear sky with the sun at a uniform
    azimuth.
    source: `embedded` for the maps that come with Blender, or the path of a folder of environment maps (*.hdr, *.exr).
    include: glob patterns for names of maps; a map is used if its name matches at least one of them.
    strength: range of the uniform draw of a factor on the brightness.
    sun_elevation_deg: range of the uniform draw of the sun's elevation, in degrees.
    """

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
    """The parts of the object that other objects or the frame hide, as shares of its silhouette.

    level: the share that other objects hide, as in the occluded benchmarks: 20 to 40 % for `L1`, 40 to 60 % for `L2`,
    60 to 80 % for `L3`.
    source: `embedded` for the parametric shapes that come with the package, or the path of a folder of CAD models that
    stand in front of the object: in any layout, of any categories, in materials that are drawn for their parts.
    occluders: the categories whose embedded shapes stand in front of the object.
    truncation: range of the share that the frame cuts off; [0, 0] keeps the object centred.
    probability: the probability that a sample is occluded, and that it is cut off.
    """

    later: ClassVar[tuple[str, ...]] = ("source",)

    level: Literal["none", "L1", "L2", "L3"] = "none"
    source: str = EMBEDDED
    occluders: Annotated[tuple[BuiltinCategory, ...], Field(min_length=1)] = _OCCLUDERS
    truncation: tuple[Share, Share] = (0.0, 0.0)
    probability: Unit = 1.0

    @model_validator(mode="after")
    def _check(self) -> Occlusion:
        ordered("truncation", *self.truncation)
        if self.source != EMBEDDED and self.level == "none":
            raise ValueError("source names occluders, but level is 'none': give a level, or leave source out")
        if self.source != EMBEDDED and self.occluders != _OCCLUDERS:
            raise ValueError("occluders are embedded shapes, and source names a folder: leave one of them out")
        return self


class Background(Section):
    """The backgrounds behind the object.

    source: `embedded` for the environment maps that come with Blender, or the path of any folder tree of pictures or
    environment maps. A map is seen through a virtual camera.
    draw: `any` draws from all backgrounds, whatever the category. `disjoint` deals the backgrounds out to the
    categories (the paper's spurious backgrounds). `sets` draws from the category's own set. `environment` shows the map
    that lights the sample, as the sample's camera sees it, instead of a background.
    sets: glob patterns by category, for `draw = "sets"`; a category's set is the backgrounds whose names match.
    per_render: number of composites that are packed of each render, each on its own background.
    edge: `soft` blends the edge by the render's alpha, in linear light. `hard` cuts along the mask, as the paper does.
    match_colour: strength with which the object's colours are moved to the mean and the spread of the background's,
    from 0 for not at all to 1 for completely.
    match_blur: strength with which an object that is sharper than its background is blurred, from 0 for not at all to
    1 until both are equally sharp.
    shadow: strength of the contact shadow, from 0 for none to 1 for all the light of an even sky that the object hides
    from the ground.
    shadow_softness: height above the ground at which the object seems to hover, in box diagonals; a greater height
    gives a softer shadow.
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
            raise ValueError("per_render above 1 would pack the same picture again: draw = 'environment' has only one")
        return self


class Render(Section):
    """The quality of the renders.

    samples: number of Cycles samples per pixel.
    denoise: true to remove noise with Open Image Denoise.
    """

    samples: Annotated[int, Field(ge=1, le=4096)] = 8
    denoise: bool = True
