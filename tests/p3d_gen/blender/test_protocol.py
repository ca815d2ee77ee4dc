"""The wall to Blender: what crosses it arrives as it was sent, and what does not fit is refused by name."""

import json
import subprocess
import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from p3d_gen.blender import protocol
from p3d_gen.blender.protocol import (
    MESSAGES,
    Advance,
    CountGpusAnswer,
    CountGpusRequest,
    Done,
    ExportAnswer,
    ExportRequest,
    ImportRequest,
    LooksRequest,
    OccluderMesh,
    PrepareRequest,
    ProtocolError,
    Ready,
    Refusal,
    RenderAnswer,
    RenderRequest,
    SurveyAnswer,
    SurveyRequest,
    TimedAnswer,
    TimedRequest,
    decode,
    decode_answer,
    encode,
)
from p3d_gen.core.types import (
    Camera,
    Environment,
    Framing,
    Lamp,
    Material,
    Occluder,
    RenderSpec,
    Sun,
    Truncation,
    Viewpoint,
    Window,
)

TEXTS = ("", "car", "a b\n\t\"'", "Škoda 車", "/tmp/x.glb", "parametric:car?variant=3")


class Draw:
    """Messages with random content of the right types."""

    def __init__(self, seed):
        self.rng = np.random.default_rng([seed, 1])

    def number(self):
        return float(self.rng.standard_normal() * 10.0 ** self.rng.integers(-300, 300))

    def numbers(self, count):
        return tuple(self.number() for _ in range(count))

    def count(self):
        return int(self.rng.integers(0, 2**40))

    def flag(self):
        return bool(self.rng.integers(2))

    def text(self):
        return str(self.rng.choice(TEXTS))

    def path(self):
        return Path("/some") / f"{self.count()} ü.npz"

    def maybe(self, value):
        return value if self.flag() else None

    def several(self, make):
        return tuple(make() for _ in range(self.rng.integers(0, 4)))

    def camera(self):
        height, width = self.rng.integers(1, 8192, 2).tolist()
        return Camera(focal_px=self.number(), principal_px=self.numbers(2), image_hw=(height, width))

    def material(self):
        roughness, metallic, coat, emission = self.numbers(4)
        return Material(
            part=self.text(),
            base_rgb=self.numbers(3),
            roughness=roughness,
            metallic=metallic,
            coat=coat,
            emission=emission,
        )

    def lamp(self):
        return Lamp(position=self.numbers(3), size=self.number(), irradiance=self.number())

    def occluder(self):
        depth, size, direction_rad, hides = self.numbers(4)
        return Occluder(
            category=self.text(),
            variant=self.count(),
            turn=self.numbers(9),
            depth=depth,
            size=size,
            direction_rad=direction_rad,
            hides=hides,
            materials=self.several(self.material),
        )

    def framing(self):
        right, down = self.numbers(2)
        return Framing(solved="focal", fill=self.number(), offset=(right, down))

    def sample(self):
        azimuth_rad, elevation_rad, theta_rad, distance = self.numbers(4)
        sun_azimuth_rad, sun_elevation_rad, irradiance, sky_radiance = self.numbers(4)
        u, v, scale = self.numbers(3)
        return RenderSpec(
            key=self.text(),
            category=self.text(),
            index=self.count(),
            cad_id=self.text(),
            stretch_xyz=self.numbers(3),
            viewpoint=Viewpoint(
                azimuth_rad=azimuth_rad, elevation_rad=elevation_rad, theta_rad=theta_rad, distance=distance
            ),
            camera=self.camera(),
            framing=self.maybe(self.framing()),
            truncation=self.maybe(Truncation(direction_rad=self.number(), cuts=self.number())),
            occluder=self.maybe(self.occluder()),
            texture_id=self.text(),
            materials=self.several(self.material),
            lamps=self.several(self.lamp),
            environment=self.maybe(Environment(hdri_id=self.text(), turn_rad=self.number(), radiance=self.number())),
            sun=self.maybe(
                Sun(
                    azimuth_rad=sun_azimuth_rad,
                    elevation_rad=sun_elevation_rad,
                    irradiance=irradiance,
                    sky_radiance=sky_radiance,
                )
            ),
            background_id=self.text(),
            background_window=Window(u=u, v=v, scale=scale, flip=self.flag()),
            colour=self.text(),
            render_seed=self.count(),
        )

    def mesh(self):
        vertices, faces = self.rng.integers(1, 50, 2)
        return OccluderMesh(
            vertices=self.rng.standard_normal((vertices, 3)),
            faces=self.rng.integers(0, vertices, (faces, 3)),
            face_part=self.rng.integers(0, 9, faces).astype(np.int16),
            part_names=self.several(self.text),
        )

    def render(self):
        return RenderRequest(
            sample=self.sample(),
            cam_T_obj=tuple(self.numbers(4) for _ in range(4)),
            camera=self.camera(),
            occluder=self.maybe(self.mesh()),
            labels=self.several(self.text),
            samples=self.count(),
            denoise=self.flag(),
            cad=self.path(),
            native=self.flag(),
            texture=self.maybe(self.path()),
            hdri=self.maybe(self.path()),
            target=self.path(),
        )

    def rendered(self):
        return RenderAnswer(cam_T_obj=tuple(self.numbers(4) for _ in range(4)), camera=self.camera())

    def messages(self):
        """One of every class."""
        settings = {"a.b": self.flag(), "c": self.count(), "d": self.number(), "e": self.text()}
        return [
            self.render(),
            self.rendered(),
            TimedRequest(render=self.render(), settings=settings, write=self.flag()),
            TimedAnswer(render=self.rendered(), seconds=self.number(), cpu_seconds=self.number()),
            PrepareRequest(
                source=self.text(), target=self.path(), up=self.text(), front=self.text(), keypoints=(self.text(),)
            ),
            SurveyRequest(source=self.text()),
            SurveyAnswer(
                **{name: self.count() for name in ("faces", "vertices", "unused", "same_way")},
                **{"up": self.text(), "front": self.text(), "diagonal": self.number()},
            ),
            ImportRequest(source=self.path(), render=self.render()),
            LooksRequest(folder=self.path()),
            ExportRequest(cad=self.path(), target=self.path()),
            ExportAnswer(lost=(self.text(), self.text())),
            Done(),
            Ready(),
            Advance(self.number()),
            CountGpusRequest(),
            CountGpusAnswer(gpus=self.count()),
            Refusal(self.text()),
        ]


def check_same(sent, arrived):
    """Equal values of equal types, all the way down."""
    assert type(arrived) is type(sent)
    if isinstance(sent, np.ndarray):
        assert arrived.dtype == sent.dtype
        np.testing.assert_array_equal(arrived, sent)
    elif is_dataclass(sent):
        for field in fields(sent):
            check_same(getattr(sent, field.name), getattr(arrived, field.name))
    elif isinstance(sent, tuple):
        assert len(arrived) == len(sent)
        for mine, theirs in zip(sent, arrived, strict=True):
            check_same(mine, theirs)
    else:
        assert arrived == sent


@pytest.mark.parametrize("seed", range(20))
def test_every_message_arrives_as_it_was_sent(seed):
    messages = Draw(seed).messages()
    assert {type(message).__name__ for message in messages} == set(MESSAGES)
    for message in messages:
        line = encode(message)
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
        check_same(message, decode(line))
        assert encode(decode(line)) == line


def test_unknown_fields_are_refused_at_any_depth():
    line = json.loads(encode(Draw(1).render()))
    for path in ((), ("sample",), ("sample", "viewpoint"), ("camera",)):
        changed = json.loads(json.dumps(line))
        inner = changed["RenderRequest"]
        for name in path:
            inner = inner[name]
        inner["zoom"] = 1
        with pytest.raises(ProtocolError) as error:
            decode(json.dumps(changed).encode())
        assert str(error.value) == f"{'.'.join(['RenderRequest', *path, 'zoom'])}: Unexpected keyword argument"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"samples": 1.5}, "samples"),
        ({"samples": "8"}, "samples"),
        ({"denoise": 1}, "denoise"),
        ({"labels": "nocs"}, "labels"),
        ({"camera": None}, "camera"),
        ({"target": 3}, "target"),
    ],
)
def test_wrong_types_are_refused_on_both_sides(changes, field):
    request = Draw(1).render()
    with pytest.raises(ProtocolError, match=rf"RenderRequest\.{field}: "):
        encode(replace(request, **changes))
    line = json.loads(encode(request))
    line["RenderRequest"] |= changes
    with pytest.raises(ProtocolError, match=rf"RenderRequest\.{field}: "):
        decode(json.dumps(line).encode())


def test_missing_fields_and_broken_arrays_are_refused():
    line = json.loads(encode(replace(Draw(1).render(), occluder=Draw(2).mesh())))
    line["RenderRequest"]["occluder"]["faces"] = "AAAA"
    del line["RenderRequest"]["camera"]["focal_px"]
    with pytest.raises(ProtocolError) as error:
        decode(json.dumps(line).encode())
    assert "RenderRequest.camera.focal_px: " in str(error.value)
    assert "RenderRequest.occluder.faces: " in str(error.value)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_non_finite_numbers_are_refused(number):
    answer = TimedAnswer(render=Draw(1).rendered(), seconds=number, cpu_seconds=0.0)
    with pytest.raises(ProtocolError, match=r"TimedAnswer\.seconds: Input should be a finite number"):
        encode(answer)


@pytest.mark.parametrize("line", [b"[]", b"{}", b'{"Dome": {}}', b'{"Done": {}, "Refusal": {}}', b"3"])
def test_other_lines_are_no_messages(line):
    with pytest.raises(ProtocolError, match="not a message of the protocol"):
        decode(line)


def test_an_answer_belongs_to_its_request():
    request = SurveyRequest(source="a.glb")
    answer = SurveyAnswer(faces=1, vertices=3, unused=0, same_way=0, up="z", front="-y", diagonal=2.5)
    assert decode_answer(encode(answer), request) == answer
    assert decode_answer(encode(Refusal("ValueError: no")), request) == Refusal("ValueError: no")
    with pytest.raises(ProtocolError, match="SurveyRequest was answered by Done"):
        decode_answer(encode(Done()), request)


def test_the_protocol_loads_no_blender():
    code = f"import sys, {protocol.__name__}; print('bpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
