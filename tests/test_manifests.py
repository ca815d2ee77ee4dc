"""Objects of all manifests that the project ships or makes stay in the frame and fill it: nothing is rendered."""

import ast
import functools
import json
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest

from blender_assets.shapes import build
from p3d_gen.bench import colours, damage_folders, interruptible, scenes, survival
from p3d_gen.catalogue import picture
from p3d_gen.core.categories import CATEGORIES
from p3d_gen.core.geometry import project, transform
from p3d_gen.render.framing import check_in_frame, framed
from p3d_gen.spec.manifest import Manifest
from p3d_gen.spec.parametric import parse_parametric
from p3d_gen.spec.sampling import spec
from p3d_gen.spec.taken import take_inventory

ROOT = Path(__file__).parents[1]
STATED_LENS = re.compile(r'focal_px(": | = )\d')
# Enough to see a camera that is too near; the slow test draws all samples, with all shapes.
SAMPLES, SHAPES = 16, 3


def shipped():
    """The manifests of the folder manifests, by file."""
    for path in sorted((ROOT / "manifests").rglob("*.toml")):
        data = tomllib.loads(path.read_text())
        if "samples_per_category" in data:
            yield str(path.relative_to(ROOT)), data


def calls(text):
    """The arguments of all Manifest(...) in a program, as far as they are written out there."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "p3d.Manifest":
            values = {}
            for word in node.keywords:
                if word.arg and not any(isinstance(part, ast.Name) for part in ast.walk(word.value)):
                    values[word.arg] = ast.literal_eval(word.value)
            yield {"samples_per_category": SAMPLES} | values


def explained():
    """The manifests of the notebooks and pages."""
    for path in sorted((ROOT / "examples").glob("*.ipynb")):
        for cell in json.loads(path.read_text())["cells"]:
            if cell["cell_type"] == "code":
                yield from ((path.name, data) for data in calls("".join(cell["source"])))
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for line in re.findall(r"^.*p3d\.Manifest\(.*\).*$", path.read_text(), re.MULTILINE):
            yield from ((path.name, data) for data in calls(line.strip()))


def of_benchmarks():
    """The manifests that modules of the package hold."""
    yield "bench/interruptible.py", tomllib.loads(interruptible.MANIFEST)
    yield "bench/damage_folders.py", tomllib.loads(damage_folders._MANIFEST.replace("SEED", "0"))
    yield "catalogue/picture.py", tomllib.loads(picture._MANIFEST)
    yield "bench/scenes.py", tomllib.loads(scenes._manifest(CATEGORIES, SAMPLES, SAMPLES, {}))
    for module in (colours, survival):
        text = scenes._manifest(CATEGORIES, SAMPLES, SAMPLES, {"camera": module.CAMERA})
        yield f"bench/{module.__name__.rpartition('.')[2]}.py", tomllib.loads(text)


MANIFESTS = [*shipped(), *explained(), *of_benchmarks()]


def seen(data):
    """The manifest of plain data with the embedded sources: others decide nothing about a frame but the shapes."""
    names = ("seed", "categories", "samples_per_category", "viewpoint", "camera")
    kept = {name: data[name] for name in names if name in data}
    cad = {name: data["cad"][name] for name in ("variants", "stretch") if name in data.get("cad", {})}
    return Manifest(**kept, cad=cad)


@functools.cache
def shape(category, variant):
    return build(category, variant).vertices


def fills(manifest, every=1, shapes=10**6):
    """The share of the frame of each sample; ValueError for one that leaves it."""
    inventory = take_inventory(manifest, ROOT)
    addresses = {asset.id: asset.address for assets in inventory.cads.values() for asset in assets}
    for category in manifest.categories:
        for index in range(0, manifest.samples_per_category, every):
            sample = spec(manifest, inventory, category, index)
            _, variant = parse_parametric(addresses[sample.cad_id])
            vertices = shape(category, variant % shapes) * np.array(sample.stretch_xyz)
            place = framed(sample, vertices)
            check_in_frame(place, vertices)
            pixels = project(transform(place.cam_T_obj, vertices), place.sample.camera)
            yield (np.ptp(pixels, axis=0) / sample.camera.image_hw[::-1]).max()


def sphere_fits(manifest):
    """Whether a camera is so far away that the sphere around the object's box fits into the frame, however it turns."""
    camera = manifest.camera
    if camera.fill:
        return True
    sine = (1 + manifest.cad.stretch) / 2 / camera.distance[0]
    return 2 * camera.fixed_focal_px * np.tan(np.arcsin(sine)) <= min(camera.image_hw)


@pytest.mark.parametrize(("name", "data"), MANIFESTS, ids=lambda value: value if isinstance(value, str) else "")
def test_objects_fit_into_the_frame_and_fill_it(name, data):
    manifest = seen(data)
    every = -(-manifest.samples_per_category // SAMPLES)
    assert 0.4 < np.median(list(fills(manifest, every, SHAPES))) < 0.9


@pytest.mark.slow
@pytest.mark.parametrize(("name", "data"), MANIFESTS, ids=lambda value: value if isinstance(value, str) else "")
def test_each_sample_with_its_own_shape_fits(name, data):
    manifest = seen(data)
    if not sphere_fits(manifest):
        assert min(fills(manifest)) > 0.1


def test_all_manifests_are_looked_at():
    names = [name for name, _ in MANIFESTS]
    assert {"manifests/quickstart.toml", "manifests/stylizer/prior.toml", "README.md", "generating.md"} <= set(names)
    assert {path.name for path in (ROOT / "examples").glob("*.ipynb")} <= set(names)
    holders = {
        str(path.relative_to(ROOT / "p3d_gen"))
        for path in (ROOT / "p3d_gen").rglob("*.py")
        if STATED_LENS.search(path.read_text())
    }
    assert holders == {name for name in names if name.endswith(".py")} - {"bench/scenes.py"}
    assert not [path for path in (ROOT / "pose_models").rglob("*.py") if "samples_per_category" in path.read_text()]


def test_a_camera_that_is_too_near_is_told():
    data = {"categories": ["chair"], "samples_per_category": 24}
    near = {"image_hw": [64, 96], "focal_px": 400, "distance": [5, 6]}
    assert not sphere_fits(seen(data | {"camera": near}))
    with pytest.raises(ValueError, match="leaves the frame"):
        list(fills(seen(data | {"camera": near})))
