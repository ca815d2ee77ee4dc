"""Manifests: what is accepted, and that every fault is named with its remedy."""

import pytest

from p3d_gen.core.categories import BUILTIN
from p3d_gen.core.errors import ManifestError
from p3d_gen.spec.manifest import Manifest, load_manifest, manifest_hash, parse_manifest, resolve_folder

SMALL = {"categories": ["car"], "samples_per_category": 2}


def fault(**changes):
    with pytest.raises(ManifestError) as caught:
        parse_manifest({**SMALL, **changes}, "m.toml")
    assert "m.toml" in str(caught.value)
    return str(caught.value)


def test_defaults_are_complete():
    manifest = parse_manifest(SMALL, "m.toml")
    for category in BUILTIN.values():
        assert manifest.viewpoint.elevation_of(category).std_deg > 0
    car = manifest.viewpoint.elevation_of(BUILTIN["car"])
    assert (car.mean_deg, car.std_deg, car.min_deg, car.max_deg) == (5, 8, -15, 50)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sead": 1}, "unknown key 'sead'; did you mean 'seed'?"),
        ({"camera": {"focal": 3}}, "unknown key 'camera.focal'; did you mean 'focal_px'?"),
        ({"categories": ["char"]}, "did you mean 'chair'?"),
        ({"categories": ["car", "car"]}, "named twice"),
        ({"categories": "car"}, "categories = 'car': must be a list, such as ['car']"),
        ({"categories": []}, "categories = []: must be a list of 1 values or more"),
        (
            {"camera": {"image_hw": 128}},
            "camera.image_hw = 128: must be two integers [height, width], for example [128",
        ),
        ({"camera": {"image_hw": [128]}}, "camera.image_hw = [128]: must be two integers [height, width]"),
        ({"camera": {"image_hw": [128, "x"]}}, "camera.image_hw.1 = 'x': must be a valid integer"),
        ({"camera": 3}, "camera = 3: must be a table of keys and values"),
        ({"light": {"strength": [1, 2, 3]}}, "light.strength = [1, 2, 3]: must be a list of 2 values"),
        ({"cad": {"up": "q"}}, "cad.up = 'q' is not known; valid names: -x,"),
        ({"samples_per_category": 0}, "samples_per_category = 0"),
        ({"camera": {"distance": [6, 5]}}, "camera: distance runs from 6.0 to 5.0"),
        ({"camera": {"distance": [0.5, 5]}}, "may lie within the object"),
        ({"camera": {"focal_px": float("nan")}}, "camera.focal_px = nan"),
        ({"light": {"kind": "hrdi"}}, "light.kind = 'hrdi'"),
        ({"light": {"strength": [2, 1]}}, "light: strength runs"),
        ({"texture": {"roughness": [0.2, 1.5]}}, "texture.roughness.1 = 1.5"),
        ({"texture": {"metallic": [0.5, 0.1]}}, "texture: metallic runs"),
        ({"viewpoint": {"theta": {"mean_deg": 0, "std_deg": 1, "min_deg": 5, "max_deg": 5}}}, "must be below"),
        ({"viewpoint": {"elevation": {"car": {"std": 1}}}}, "did you mean 'std_deg'?"),
        ({"stylize": {"prompt": "{color} car"}}, "'color'; valid fields: {colour}, {category}, {word}"),
        ({"stylize": {"prompt": "{colour"}}, "expected '}'"),
        ({"stylize": {"prompt": "{colour:>1000000000}"}}, "'colour:>1000000000'; valid fields: {colour}"),
        ({"stylize": {"prompt": "{colour:{word}}"}}, "'colour:{word}'; valid fields"),
        ({"stylize": {"prompt": "{colour!r:>9}"}}, "'colour!r:>9'; valid fields"),
        ({"stylize": {"prompt": "{word.__class__}"}}, "'word.__class__'; valid fields"),
        ({"stylize": {"prompt": "{word[0]}"}}, "'word[0]'; valid fields"),
        ({"stylize": {"prompt": "{0}"}}, "'0'; valid fields"),
        ({"stylize": {"resolution": 100}}, "stylize.resolution = 100"),
        ({"stylize": {"canny": {"thresholds": [200, 100]}}}, "stylize.canny: thresholds runs"),
        ({"stylize": {"canny": {"per_category": {"car": [9, 1]}}}}, "stylize.canny: thresholds runs"),
        ({"stylize": {"canny": {"threshold": [1, 2]}}}, "did you mean 'thresholds'?"),
        ({"stylize": {"control": [{}, {"wieghts": "x/y"}]}}, "'stylize.control.1.wieghts'; did you mean 'weights'?"),
        ({"stylize": {"control": []}}, "stylize.control"),
        ({"stylize": {"control": [{"image": "annotator"}]}}, "needs the annotator's name"),
        ({"stylize": {"control": [{"image": "cany"}]}}, "did you mean 'canny'?"),
        ({"stylize": {"control": [{"interval": [0.5, 0.5]}]}}, "holds no step"),
        ({"stylize": {"speed": {"dtype": "float8"}}}, "did you mean 'float32'?"),
        ({"stylize": {"form": "image", "steps": 2, "strength": 0.3}}, "strength 0.3 of 2 steps is none"),
        ({"stylize": {"words": {"kar": ["x"]}}}, "stylize.words.kar"),
        ({"stylize": {"min_survival": 1.5}}, "stylize.min_survival = 1.5"),
        ({"stylize": {"colours": []}}, "stylize.colours"),
        ({"output": {"members": ["mask", "mask"]}}, "named twice"),
        ({"output": {"members": ["msk"]}}, "did you mean 'mask'?"),
        ({"output": {"members": ["occluders"]}}, "occlusion.level is 'none'"),
        ({"cad": {"up": "y"}}, "both up and front"),
        ({"cad": {"variants": [3, 3]}}, "which is none"),
        ({"cad": {"stretch": 0.9}}, "cad.stretch = 0.9"),
        ({"cad": {"layout": "shapnet"}}, "did you mean 'shapenet'?"),
        ({"viewpoint": {"distribution": "empirical"}}, "needs a source"),
        ({"viewpoint": {"source": "list.csv"}}, "the others take none"),
        ({"light": {"kind": "sun", "sun_elevation_deg": [40, 20]}}, "sun_elevation_deg runs"),
        ({"occlusion": {"level": "L4"}}, "occlusion.level = 'L4'"),
        ({"occlusion": {"occluders": ["sofas"]}}, "did you mean 'sofa'?"),
        ({"occlusion": {"truncation": [0.5, 0.1]}}, "truncation runs"),
        ({"occlusion": {"truncation": [0.5, 0.9]}}, "occlusion.truncation.1 = 0.9"),
        ({"texture": {"kind": "realistic"}, "stylize": {"colours": ["reddish"]}}, "['reddish']: realistic paint needs"),
        ({"cad": {"up": "y", "front": "-y"}}, "lie on one axis"),
        ({"background": {"draw": "disjunct"}}, "did you mean 'disjoint'?"),
        ({"background": {"draw": "sets"}}, "needs glob patterns in sets"),
        ({"background": {"sets": {"car": ["*"]}}}, "the others take none"),
        ({"background": {"draw": "sets", "sets": {"chair": ["*"]}}}, "background.sets names no backgrounds of ['car']"),
        ({"background": {"draw": "sets", "sets": {"car": []}}}, "background.sets.car"),
        ({"background": {"draw": "environment"}}, "set light.kind to 'hdri'"),
        ({"background": {"draw": "environment", "source": "x"}}, "leave source out"),
        ({"background": {"draw": "environment", "per_render": 2}}, "the same picture again"),
        ({"background": {"per_render": 0}}, "background.per_render = 0"),
        ({"background": {"match_colour": 1.5}}, "background.match_colour = 1.5"),
        ({"background": {"match_color": 0.5}}, "did you mean 'match_colour'?"),
        ({"background": {"shadow_softness": 0}}, "background.shadow_softness = 0"),
    ],
)
def test_faults_name_key_value_and_remedy(changes, said):
    assert said in fault(**changes)


def test_a_wrong_item_is_one_fault():
    said = "'cra' has no embedded shapes, and cad.source names no folder of CAD models; did you mean 'car'?"
    assert fault(categories=["cra"]) == f"m.toml is not a valid manifest:\n  the manifest: categories: {said}"


def test_all_faults_are_listed_at_once():
    message = fault(sead=1, samples_per_category=-1)
    assert "sead" in message
    assert "samples_per_category" in message


def test_missing_key():
    with pytest.raises(ManifestError, match="'categories' is missing"):
        parse_manifest({}, "m.toml")


def test_files_that_are_no_manifest(tmp_path):
    with pytest.raises(ManifestError, match=r"none\.toml cannot be read"):
        load_manifest(tmp_path / "none.toml")
    path = tmp_path / "bad.toml"
    path.write_text("seed = = 1")
    with pytest.raises(ManifestError, match=r"bad\.toml is not TOML.*line 1"):
        load_manifest(path)
    path.write_bytes(b"seed = 1\n# \xff\xfe")
    with pytest.raises(ManifestError, match=r"is not TOML: line 2 is not UTF-8 text; save the file as UTF-8"):
        load_manifest(path)


def test_hash_ignores_the_form_of_the_text():
    spelled_out = parse_manifest({**SMALL, "seed": 0, "camera": {"focal_px": 3000}}, "m.toml")
    assert manifest_hash(spelled_out) == manifest_hash(parse_manifest(SMALL, "m.toml"))
    assert manifest_hash(parse_manifest({**SMALL, "seed": 1}, "m.toml")) != manifest_hash(spelled_out)


@pytest.mark.parametrize("background", [{}, {"draw": "sets", "sets": {"car": ["a*"]}, "per_render": 4, "shadow": 0.5}])
def test_manifest_survives_json(background):
    manifest = parse_manifest({**SMALL, "background": background}, "m.toml")
    assert Manifest.model_validate(manifest.model_dump(mode="json")) == manifest


def test_folders(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    assert resolve_folder("here", tmp_path, "k") == tmp_path / "here"
    monkeypatch.setenv("P3D_TEST_ROOT", str(tmp_path))
    assert resolve_folder("${P3D_TEST_ROOT}/here", tmp_path / "x", "k") == tmp_path / "here"
    with pytest.raises(ManifestError, match=r"k = 'gone': there is no folder .*gone"):
        resolve_folder("gone", tmp_path, "k")
    with pytest.raises(ManifestError, match="environment variable P3D_UNSET"):
        resolve_folder("${P3D_UNSET}/x", tmp_path, "k")


def test_a_byte_order_mark_changes_nothing(tmp_path):
    text = 'categories = ["car"]\nsamples_per_category = 1\n'
    (tmp_path / "plain.toml").write_text(text, encoding="utf-8")
    (tmp_path / "marked.toml").write_text(text, encoding="utf-8-sig")
    assert load_manifest(tmp_path / "marked.toml") == load_manifest(tmp_path / "plain.toml")
