"""The wall between this program and Blender: every request, every answer, and the JSON lines that carry them.

Both processes import this module, so it imports no Blender.
"""

from __future__ import annotations

import base64
import functools
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Generic, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from p3d_gen.core.types import Array, Camera, RenderSpec


class ProtocolError(Exception):
    """A message that does not have the fields of its class: the two processes do not run the same code."""


class Message:
    """Base of all that crosses the wall. An unknown field, a wrong type and a non-finite number are refused."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, revalidate_instances="always"
    )


@dataclass(frozen=True)
class Ready(Message):
    """The first message of a process: it has started, and waits for requests."""


@dataclass(frozen=True)
class Refusal(Message):
    """The answer to a request that Blender could not fulfil."""

    reason: str


A = TypeVar("A", bound=Message)


@dataclass(frozen=True)
class Advance(Message):
    """Precedes the answer to a long request: the share of the work that is done, from 0 to 1."""

    done: float


class Request(Message, Generic[A]):
    """Base of all requests; A is the class of the answer."""


def _encoded_array(array: NDArray[Any]) -> str:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return base64.b64encode(buffer.getvalue()).decode()


def _decoded_array(value: object) -> NDArray[Any]:
    """Return the array of a base64 text; an array is returned as it is."""
    if isinstance(value, np.ndarray):
        return value
    if not isinstance(value, str):
        raise ValueError("neither an array nor a text")
    content: NDArray[Any] = np.load(io.BytesIO(base64.b64decode(value, validate=True)), allow_pickle=False)
    return content


_Carried = (PlainValidator(_decoded_array), PlainSerializer(_encoded_array))
Row = tuple[float, float, float, float]
Matrix = tuple[Row, Row, Row, Row]


def matrix(array: Array) -> Matrix:
    """Return a (4, 4) array as nested tuples."""
    a, b, c, d = ((float(w), float(x), float(y), float(z)) for w, x, y, z in array)
    return a, b, c, d


@dataclass(frozen=True, kw_only=True, eq=False)
class OccluderMesh:
    """The occluder's triangles where they stand: vertices (V, 3) in object axes, faces (F, 3), face_part (F,) as
    indices of part_names."""

    vertices: Annotated[NDArray[np.float64], *_Carried]
    faces: Annotated[NDArray[np.int64], *_Carried]
    face_part: Annotated[NDArray[np.int16], *_Carried]
    part_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class RenderAnswer(Message):
    """Pose (4x4) and camera as the scene has them, not as they were requested.

    see_through: true if light may pass a surface of the scene.
    """

    cam_T_obj: Matrix
    camera: Camera
    see_through: bool = False


@dataclass(frozen=True, kw_only=True)
class RenderRequest(Request[RenderAnswer]):
    """Render a resolved sample into the multilayer EXR `target`: linear premultiplied RGBA, planar z, object index.

    cam_T_obj: the pose. camera: the sample's, after truncation.
    occluder: the mesh in front of the object, if there is one.
    labels: names of the passes to write besides: `normals` (in world axes), `nocs` (positions in object axes) and
        `parts` (material index); other names are ignored.
    samples, denoise: the quality of the picture.
    cad: the prepared model. native: use the model's own materials. texture, hdri: picture files, if there are any.
    """

    sample: RenderSpec
    cam_T_obj: Matrix
    camera: Camera
    occluder: OccluderMesh | None
    labels: tuple[str, ...]
    samples: int
    denoise: bool
    cad: Path
    native: bool
    texture: Path | None
    hdri: Path | None
    target: Path


@dataclass(frozen=True, kw_only=True)
class TimedAnswer(Message):
    """seconds: duration of the render call alone. cpu_seconds: processor time of all threads in it."""

    render: RenderAnswer
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, kw_only=True)
class TimedRequest(Request[TimedAnswer]):
    """Render with changed settings, and time it.

    settings: values by attribute path below Blender's scene, for example `cycles.samples`.
    write: write the picture to its target.
    """

    render: RenderRequest
    settings: dict[str, bool | int | float | str]
    write: bool


@dataclass(frozen=True)
class Done(Message):
    """The answer to a request whose result is a file."""


@dataclass(frozen=True, kw_only=True)
class PrepareRequest(Request[Done]):
    """Normalise the CAD model at the address `source` into the npz `target`, see `CadModel`.

    up, front: the source's axes, or "auto" for those of its format. symmetry: that of the category, for models that
    state none. keypoints: the names that the category knows. unit_m: the metres that 1 in the file is stated to mean,
    None for what the file says. root: the folder of models that it comes from;
    pictures outside it are left out. None: all pictures are taken. max_faces: reduce it to so many, None to keep all.
    """

    source: str
    target: Path
    up: str
    front: str
    symmetry: tuple[str, ...] = ()
    keypoints: tuple[str, ...] = ()
    unit_m: float | None = None
    root: Path | None = None
    max_faces: int | None = None


@dataclass(frozen=True, kw_only=True)
class SurveyAnswer(Message):
    """The state of a CAD model's file.

    faces, vertices: their numbers in the file. unused: vertices of no face. same_way: edges of the cleaned surface
    that both of their faces run through in the same direction, a sign of inconsistent winding. up, front: the axes
    that the file or its format states. diagonal: of its box, in its own units.
    """

    faces: int
    vertices: int
    unused: int
    same_way: int
    up: str
    front: str
    diagonal: float


@dataclass(frozen=True, kw_only=True)
class SurveyRequest(Request[SurveyAnswer]):
    """Look at the file at the address `source` without preparing it."""

    source: str


@dataclass(frozen=True, kw_only=True)
class ExportAnswer(Message):
    """The answer to an export: a line about each material of which the file does not hold everything."""

    lost: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ExportRequest(Request[ExportAnswer]):
    """Write the prepared model `cad` with its own materials to the GLB file `target`."""

    cad: Path
    target: Path


@dataclass(frozen=True, kw_only=True)
class ImportRequest(Request[Done]):
    """Render the file `source` as Blender imports it, from the camera and in the light of `render`.

    Nothing of its scene is changed: camera and light go to where the object stands.
    """

    source: Path
    render: RenderRequest


@dataclass(frozen=True, kw_only=True)
class LooksRequest(Request[Done]):
    """Write models with all kinds of materials, in all formats that Blender writes, into `folder`."""

    folder: Path


@dataclass(frozen=True, kw_only=True)
class CountGpusAnswer(Message):
    """gpus: the number of GPUs that renders can be spread over."""

    gpus: int


@dataclass(frozen=True, kw_only=True)
class CountGpusRequest(Request[CountGpusAnswer]):
    """Count the GPUs of the worker's device."""


_ANSWERS = (RenderAnswer, TimedAnswer, Done, SurveyAnswer, ExportAnswer, CountGpusAnswer, Refusal, Ready, Advance)
_REQUESTS = (
    RenderRequest,
    TimedRequest,
    PrepareRequest,
    SurveyRequest,
    ExportRequest,
    ImportRequest,
    LooksRequest,
    CountGpusRequest,
)
MESSAGES: dict[str, type[Message]] = {each.__name__: each for each in (*_ANSWERS, *_REQUESTS)}


@functools.cache
def _adapter(name: str) -> TypeAdapter[Any]:
    return TypeAdapter(MESSAGES[name])


def _error(name: str, error: ValidationError) -> ProtocolError:
    faults = (f"{'.'.join([name, *map(str, fault['loc'])])}: {fault['msg']}" for fault in error.errors())
    return ProtocolError("; ".join(faults))


def encode(message: Message) -> bytes:
    """Return a message as a line of JSON, {class name: fields}. ProtocolError names the fields that do not fit."""
    name = type(message).__name__
    adapter = _adapter(name)
    try:
        checked = adapter.validate_python(message)
    except ValidationError as error:
        raise _error(name, error) from None
    return json.dumps({name: adapter.dump_python(checked, mode="json")}).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message of a line of JSON. ProtocolError names the fields that do not fit."""
    content = json.loads(line)
    if not isinstance(content, dict) or len(content) != 1 or (name := next(iter(content))) not in MESSAGES:
        raise ProtocolError(f"not a message of the protocol: {line[:100]!r}")
    try:
        message: Message = _adapter(name).validate_json(json.dumps(content[name]))
    except ValidationError as error:
        raise _error(name, error) from None
    return message


def decode_answer(line: bytes, request: Request[A]) -> A | Refusal:
    """Return the answer to a request. ProtocolError if it is the answer to another one."""
    (expected,) = get_args(type(request).__orig_bases__[0])  # type: ignore[attr-defined]  # of every generic class
    answer = decode(line)
    if not isinstance(answer, expected | Refusal):
        raise ProtocolError(f"{type(request).__name__} was answered by {type(answer).__name__}")
    return answer
