"""The schema of a packed sample: its members, and the keys of its labels with types, units and meaning.

`p3dgen dataset schema` prints it as JSON Schema and as a document; docs/schema.json and docs/schema.md are those.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from p3d_gen.dataset.markdown import markdown

_STYLIZER = "stylizer_"
_MATRIX_ROW = Annotated[list[float], Field(min_length=4, max_length=4)]
Share = Annotated[float, Field(ge=0, le=1)]
Two = Annotated[list[float], Field(min_length=2, max_length=2)]
Three = Annotated[list[float], Field(min_length=3, max_length=3)]
Box = Annotated[list[float], Field(min_length=4, max_length=4)]
Matrix = Annotated[list[_MATRIX_ROW], Field(min_length=4, max_length=4)]
Size = Annotated[int, Field(ge=1)]

MEMBERS: dict[str, str] = {
    "jpg": "the composite, RGB",
    "png": "the same, without loss, in place of jpg",
    "mask.png": "8 bit, 255 where the object is seen at the pixel's centre",
    "amodal.png": "8 bit, 255 on the whole silhouette within the frame, whatever hides it",
    "occluders.png": "8 bit, 255 where an occluder is seen",
    "depth.npz": "depth, float32 (H, W): planar z in box diagonals, 0 where the object is not",
    "depth.png16": "the same in 16 bits: a PNG whose numbers times the label depth16_step are planar z",
    "normals.npz": "normals, int16 (H, W, 3): unit shading normals in camera axes times 32767 (the author's own with "
    "texture.kind = 'native'), 0 where the object is not",
    "nocs.npz": "nocs, uint16 (H, W, 3): (object coordinates / stretch + 0.5) times 65535, 0 where the object is not",
    "parts.png": "8 bit, 0 for none, else 1 + the index in part_names",
    "cuboid.npz": "pixels, float32 (R, 2), and visible, bool (R,), of the vertices of cad/<category>.cuboid.npz",
    "render.png": "the render, RGBA with straight alpha",
    "edges.png": "the (first) control picture, at the ControlNet's size",
    "stylized.jpg": "the stylised picture, RGB",
    "stylized.png": "the same, without loss, in place of stylized.jpg",
    "json": "the labels",
}


class PackedLabels(TypedDict):
    """The labels of one packed sample, its member `json`. Keys are there in all samples of a dataset, or in none."""

    __pydantic_config__ = ConfigDict(title="Labels", extra="forbid", allow_inf_nan=False)  # type: ignore[misc]

    key: Annotated[str, Field(description="the sample's key", pattern=r"^[^./]+$")]
    category: Annotated[
        str, Field(description="such as car; dataset.json defines one's own", pattern=r"^[a-z][a-z0-9_]*$")
    ]
    index: Annotated[int, Field(ge=0, description="which sample of its run and category")]
    cad_id: Annotated[str, Field(description="its CAD model, among those of the category")]
    azimuth_rad: Annotated[float, Field(description="PASCAL3D+ viewpoint: 0 sees the front, pi/2 from +x")]
    elevation_rad: Annotated[float, Field(description="PASCAL3D+ viewpoint: above the object's xy plane")]
    theta_rad: Annotated[float, Field(description="in-plane angle; positive turns the content counter-clockwise")]
    distance: Annotated[float, Field(gt=0, description="camera centre to object origin, in box diagonals")]
    cam_T_obj: Annotated[Matrix, Field(description="4x4, row by row: object axes to OpenCV camera axes")]
    focal_px: Annotated[float, Field(gt=0, description="focal length; pixels are square")]
    principal_px: Annotated[Two, Field(description="x, y of the principal point; pixel (i, j) covers [i, i + 1)")]
    image_hw: Annotated[list[Size], Field(min_length=2, max_length=2, description="height, width")]
    stretch_xyz: Annotated[Three, Field(description="factors on the CAD model's axes")]
    object_extent_xyz: Annotated[Three, Field(description="size of the stretched box, centred on the origin")]
    symmetry_order: Annotated[
        int, Field(ge=0, description="turns about z that change nothing unless stretched: 1 none, 0 any")
    ]
    symmetries: NotRequired[
        Annotated[
            list[Box],
            Field(
                min_length=1,
                description="x, y, z, n: turns by 1/n about that axis change nothing unless stretched; n 1 none, 0 any",
            ),
        ]
    ]
    diagonal_m: NotRequired[
        Annotated[float, Field(ge=0, description="diagonal of the stretched box in metres, 0 if its CAD has no unit")]
    ]
    bbox_xyxy: Annotated[Box, Field(description="2D box of the mask, continuous pixels")]
    amodal_bbox_xyxy: Annotated[Box, Field(description="2D box of the whole silhouette, also beyond the frame")]
    bbox3d_xy: Annotated[
        list[Two],
        Field(min_length=8, max_length=8, description="the 3D box's corners in pixels; bits 0, 1, 2: +x, +y, +z"),
    ]
    visible_share: Annotated[Share, Field(description="of the whole silhouette: what is seen")]
    occluded_share: Annotated[Share, Field(description="of the part within the frame: what the occluder hides")]
    truncated_share: Annotated[Share, Field(description="of the whole silhouette: what lies outside the frame")]
    mask_iou: Annotated[Share, Field(description="agreement of the mask with the mesh projected by the labels")]
    texture_id: Annotated[str, Field(description="its texture, empty without one")]
    hdri_id: Annotated[str, Field(description="the environment map that lights it, empty without one")]
    occluder: Annotated[str, Field(description="what stands before it, empty without one")]
    background_id: Annotated[str, Field(description="its background")]
    colour: Annotated[str, Field(description="that the prompt names; of realistic paint, too")]
    prompt: Annotated[str, Field(description="what the stylizer was asked for")]
    negative_prompt: Annotated[str, Field(description="what it was asked to avoid")]
    stylize_seed: Annotated[int, Field(ge=0, description="of the stylised picture")]
    attempts: Annotated[int, Field(ge=1, description="number of pictures generated for this sample, this one included")]
    survival: Annotated[Share, Field(description="label survival: how well the picture shows the labelled pose")]
    edge_precision: Annotated[Share, Field(description="the share of its edges that the label predicts")]
    edge_recall: Annotated[Share, Field(description="the share of the predicted edges that it shows")]
    silhouette: Annotated[Share, Field(description="the same for the contour")]
    stylizer: Annotated[str, Field(description="what made the stylised picture")]
    part_names: NotRequired[Annotated[list[str], Field(min_length=1, description="the CAD's material slots")]]
    keypoint_names: NotRequired[Annotated[list[str], Field(min_length=1, description="their names")]]
    keypoints_xyz: NotRequired[Annotated[list[Three], Field(min_length=1, description="in object axes")]]
    keypoints_xy: NotRequired[Annotated[list[Two], Field(min_length=1, description="in pixels")]]
    keypoints_visibility: NotRequired[
        Annotated[
            list[Annotated[int, Field(ge=0, le=2)]],
            Field(min_length=1, description="0 outside the frame, 1 hidden, 2 seen"),
        ]
    ]
    pose_residual_deg: NotRequired[
        Annotated[float, Field(ge=0, le=180, description="angle between the label and what a pose model sees")]
    ]
    pose_model: NotRequired[Annotated[str, Field(description="the sha256 of that pose model's files")]]
    composite: NotRequired[Annotated[int, Field(ge=0, description="which of its render's, where those are several")]]
    shadow: NotRequired[Annotated[Share, Field(description="strength of the contact shadow on the background")]]
    match_colour: NotRequired[Annotated[Share, Field(description="how far the object's colours went to those behind")]]
    blur_px: NotRequired[Annotated[float, Field(ge=0, description="std of the blur that matched object to background")]]
    depth16_step: NotRequired[Annotated[float, Field(gt=0, description="box diagonals per number of depth.png16")]]


_labels = cache(lambda: TypeAdapter(PackedLabels))


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of the labels."""
    schema = _labels().json_schema()
    made_by = {
        "type": ["string", "number"],
        "description": "what made the stylised picture: weights, settings, versions",
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "patternProperties": {f"^{_STYLIZER}": made_by},
    }


def label_faults(labels: Any) -> list[str]:
    """List the faults of a sample's labels against the schema, as 'key: reason'."""
    if not isinstance(labels, dict):
        return [f"{type(labels).__name__} where an object belongs"]
    own = {key: value for key, value in labels.items() if not key.startswith(_STYLIZER)}
    faults = [
        f"{key}: {type(value).__name__}"
        for key, value in labels.items()
        if key not in own and (isinstance(value, bool) or not isinstance(value, str | int | float))
    ]
    try:
        _labels().validate_python(own, strict=True)
    except ValidationError as error:
        faults += [f"{'.'.join(map(str, fault['loc'])) or 'labels'}: {fault['msg']}" for fault in error.errors()]
    return faults


def _type_of(schema: dict[str, Any]) -> str:
    """Return a property's type in words."""
    if "enum" in schema:
        return "string"
    if schema["type"] != "array":
        return str(schema["type"])
    least, most = schema.get("minItems"), schema.get("maxItems")
    return f"{most if least == most else 'n'} x {_type_of(schema['items'])}"


def document() -> str:
    """Return the schema as a Markdown document."""
    schema = json_schema()
    rows = [
        (name, _type_of(each), name in schema["required"], each["description"])
        for name, each in schema["properties"].items()
    ]
    return markdown("schema.md.j2", {"members": MEMBERS, "labels": rows})
