"""Sources: layouts of CAD folders, texture splits, parametric shapes, and the listing that guards a resumed run."""

from __future__ import annotations

from pathlib import Path

import pytest

from blender_assets.shapes import LIBRARY_VERSION
from p3d_gen.core.categories import CATEGORIES
from p3d_gen.core.errors import AssetError
from p3d_gen.spec.layouts import LAYOUTS, SYNSETS, category_models, recognise
from p3d_gen.spec.manifest import parse_manifest
from p3d_gen.spec.parametric import parse_parametric, parse_parametric_range
from p3d_gen.spec.recorded import recorded_inventory
from p3d_gen.spec.taken import take_inventory
from tests.helpers.assets import save_picture, wedge

TREES = {
    "folder": ("car/a.obj", "car/b.glb"),
    "pascal3d": ("CAD/car/01.off", "CAD/car/02.off"),
    "objectnet3d": ("CAD/off/car/01.off", "CAD/off/car/02.off"),
    "shapenet": ("02958343/1a04/models/model_normalized.obj", "02958343/fe77/models/model_normalized.obj"),
    "shapenet_v1": ("02958343/1a04/model.obj", "02958343/fe77/model.obj"),
}
IDS = {
    "folder": ("a", "b"),
    "pascal3d": ("01", "02"),
    "objectnet3d": ("01", "02"),
    "shapenet": ("1a04", "fe77"),
    "shapenet_v1": ("1a04", "fe77"),
}
AXES = {
    "folder": ("y", "z"),
    "pascal3d": ("z", "-y"),
    "objectnet3d": ("z", "-y"),
    "shapenet": ("y", "-z"),
    "shapenet_v1": ("y", "x"),
}


def plant(root: Path, names: tuple[str, ...]) -> Path:
    """A folder with a wedge model at each of the names."""
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        wedge().export(root / name)
    return root


def cads(tmp_path, categories=("car",), **cad):
    """The CADs that a manifest with this `cad` section may draw, by category."""
    return inventory(tmp_path, categories, cad=cad).cads


def inventory(tmp_path, categories=("car",), **sections):
    backgrounds = tmp_path / "backgrounds"
    save_picture(backgrounds / "b.jpg", 1)
    data = {"categories": list(categories), "samples_per_category": 1, "background": {"source": str(backgrounds)}}
    return take_inventory(parse_manifest({**data, **sections}, "m.toml"), tmp_path)


@pytest.mark.parametrize("tree", TREES)
def test_layouts_are_recognised_and_state_their_axes(tmp_path, tree):
    root = plant(tmp_path / "cad", TREES[tree])
    assert recognise(root) == tree.removesuffix("_v1")
    for layout in ("auto", tree.removesuffix("_v1")):
        found = cads(tmp_path, source="cad", layout=layout)["car"]
        assert tuple(asset.id for asset in found) == IDS[tree]
        assert [asset.path for asset in found] == [root / name for name in TREES[tree]]
        assert {(asset.up, asset.front) for asset in found} == {AXES[tree]}


def test_every_category_has_a_place_in_every_layout(tmp_path):
    for number, (layout, patterns) in enumerate(LAYOUTS.items()):
        for pattern in patterns:
            root = tmp_path / f"{number}{patterns.index(pattern)}"
            for category in CATEGORIES:
                folder = pattern.folders(root, category)[-1]
                glob = pattern.glob.format(category=category)
                path = folder / glob.replace("*", "m" if pattern.depth or pattern.suffixes == (".blend",) else "m.off")
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
                assert [(model.id, model.path) for model in category_models(root, layout, category)] == [("m", path)]


def test_synsets_are_unique():
    synsets = [synset for several in SYNSETS.values() for synset in several]
    assert len(set(synsets)) == len(synsets)
    assert tuple(SYNSETS) == CATEGORIES


def test_a_release_and_its_inner_folders_give_the_same_ids(tmp_path):
    root = plant(tmp_path / "ObjectNet3D", ("CAD/off/car/01.off", "CAD/off/bus/01.off"))
    (root / "CAD" / "off" / "car" / "01.mat").touch()
    ids = {
        category: [model.id for model in category_models(folder, "objectnet3d", category)]
        for folder in (root, root / "CAD", root / "CAD" / "off")
        for category in ("car", "bus")
    }
    assert ids == {"car": ["01"], "bus": ["01"]}
    release = plant(tmp_path / "PASCAL3D+_release1.1", TREES["pascal3d"])
    assert len(cads(tmp_path, source=str(release / "CAD"), layout="pascal3d")["car"]) == 2
    assert len(cads(tmp_path, source=str(release), layout="ood_cv")["car"]) == 2


def test_the_first_synset_with_models_counts(tmp_path):
    root = plant(tmp_path / "cad", ("04530566/ship/models/model_normalized.obj",))
    assert [a.id for a in cads(tmp_path, ["boat"], source="cad")["boat"]] == ["ship"]
    plant(root, ("02858304/punt/models/model_normalized.obj",))
    assert [a.id for a in cads(tmp_path, ["boat"], source="cad")["boat"]] == ["punt"]


def test_the_manifests_axes_go_before_the_layouts(tmp_path):
    plant(tmp_path / "cad", TREES["pascal3d"])
    assert {(a.up, a.front) for a in cads(tmp_path, source="cad", up="y", front="x")["car"]} == {("y", "x")}


def failure(tmp_path, categories=("car",), **sections):
    with pytest.raises(AssetError) as caught:
        inventory(tmp_path, categories, **sections)
    return str(caught.value)


def test_a_layout_that_does_not_match_says_what_is_there(tmp_path):
    plant(tmp_path / "cad", TREES["pascal3d"])
    message = failure(tmp_path, cad={"source": "cad", "layout": "shapenet"})
    assert "no CAD model of 'car' in the layout 'shapenet'" in message
    assert "02958343/*/models/model_normalized.obj" in message
    assert "it has the layout 'pascal3d': set cad.layout to that" in message
    message = failure(tmp_path, ["bus"], cad={"source": "cad", "layout": "pascal3d"})
    assert "'bus'" in message
    assert "it holds CAD. Name another folder" in message


def test_folders_without_or_with_several_layouts(tmp_path):
    (tmp_path / "cad" / "vans").mkdir(parents=True)
    message = failure(tmp_path, cad={"source": "cad"})
    assert "holds no CAD model of car; it holds vans. Name another folder" in message
    assert "shapenet: 02958343/*/models/model_normalized.obj, 02958343/*/model.obj" in message
    plant(tmp_path / "cad", TREES["pascal3d"] + TREES["folder"])
    message = failure(tmp_path, cad={"source": "cad"})
    assert "in the layouts folder and pascal3d: name one as cad.layout" in message
    assert [a.id for a in cads(tmp_path, source="cad", layout="folder")["car"]] == ["a", "b"]


def test_a_category_that_is_missing_is_named(tmp_path):
    plant(tmp_path / "cad", TREES["folder"])
    assert "no CAD model of 'bus' in the layout 'folder'" in failure(tmp_path, ["car", "bus"], cad={"source": "cad"})


def test_ids_are_unique_and_hold_no_dot(tmp_path):
    plant(tmp_path / "cad", ("car/a.obj", "car/a.off"))
    assert "a.obj differ in their suffix only" in failure(tmp_path, cad={"source": "cad"})
    (tmp_path / "cad" / "car" / "a.off").rename(tmp_path / "cad" / "car" / "b.1.off")
    assert [asset.id for asset in cads(tmp_path, source="cad")["car"]] == ["a", "b_1"]
    plant(tmp_path / "cad", ("car/b_1.off",))
    assert "b_1.off and " in failure(tmp_path, cad={"source": "cad"})
    assert "both get the id 'b_1'; rename one of them" in failure(tmp_path, cad={"source": "cad"})


def test_quarantine_keeps_the_first_of_two_models_with_one_id(tmp_path, caplog):
    plant(tmp_path / "cad", ("car/a.obj", "car/a.off", "car/b.1.off", "car/b_1.off", "car/c.off"))
    kept = cads(tmp_path, source="cad", quarantine=True)["car"]
    assert [asset.path.name for asset in kept] == ["a.obj", "b.1.off", "c.off"]
    assert all(f"{name} is left out: it and " in caplog.text for name in ("a.off", "b_1.off"))


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (("car/one/model.obj", "car/two/scene.gltf"), {"one": "car/one/model.obj", "two": "car/two/scene.gltf"}),
        # 3D-FUTURE and GSO: several files of a model, or deeper folders
        (("car/a/raw_model.obj", "car/a/normalized_model.obj"), {"a": "car/a/normalized_model.obj"}),
        (("car/a/meshes/model.obj", "car/a/meshes/model.ply"), {"a": "car/a/meshes/model.obj"}),
        # ABO: many models in each of a few folders
        (
            ("car/0/a.glb", "car/0/b.glb", "car/1/c.glb"),
            {"0_a": "car/0/a.glb", "0_b": "car/0/b.glb", "1": "car/1/c.glb"},
        ),
        # folders beside models hold parts of them
        (("car/a.obj", "car/parts/wheel.obj"), {"a": "car/a.obj"}),
        (("car/.hidden/model.obj", "car/v1.2/model.obj"), {"v1_2": "car/v1.2/model.obj"}),
    ],
)
def test_models_in_folders_of_their_own(tmp_path, names, ids):
    root = tmp_path / "cad"
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    assert {asset.id: asset.path for asset in cads(tmp_path, source="cad")["car"]} == {
        name: root / path for name, path in ids.items()
    }


def test_a_folder_of_the_released_models(tmp_path):
    root = tmp_path / "cad"
    root.mkdir()
    for name in ("car_0007", "car_a.b", "chair_1"):
        (root / f"{name}.blend").touch()
    assert recognise(root) == "p3d_diffusion"
    models = cads(tmp_path, ("car", "chair"), source="cad")
    assert [(asset.id, asset.up, asset.front, asset.axes_from) for asset in models["car"]] == [
        ("0007", "z", "y", "layout"),
        ("a_b", "z", "y", "layout"),
    ]
    assert [asset.id for asset in models["chair"]] == ["1"]
    plant(root, ("car/a.off",))  # such files beside folders of categories are no release
    assert [asset.id for asset in cads(tmp_path, source="cad")["car"]] == ["a"]


def test_who_states_the_axes(tmp_path):
    """The manifest goes before a model's own file, that before its folder's, then come the layout and the format."""
    root = plant(tmp_path / "cad", ("car/a.obj", "car/b.off", "car/c.stl"))

    def stated(**cad):
        return {a.id: (a.up, a.front, a.axes_from) for a in cads(tmp_path, source="cad", **cad)["car"]}

    plain = ("z", "-y", "format")
    assert stated() == {"a": ("y", "z", "format"), "b": plain, "c": plain}
    (root / "car" / "category.toml").write_text('up = "z"\nfront = "x"\nwords = ["auto"]\n')
    (root / "car" / "b.toml").write_text('up = "x"\nfront = "y"\n')
    by_folder = ("z", "x", "side file")
    assert stated() == {"a": by_folder, "b": ("x", "y", "side file"), "c": by_folder}
    assert stated(up="y", front="x") == dict.fromkeys("abc", ("y", "x", "manifest"))
    (root / "car" / "b.toml").write_text('up = "x"\n')  # refused when it is prepared, as a broken model is
    assert stated()["b"] == plain


def test_axes_are_part_of_a_run_unless_an_older_version_began_it(tmp_path):
    root = plant(tmp_path / "cad", ("car/a.obj", "car/b.off"))
    size = {name: (root / "car" / name).stat().st_size for name in ("a.obj", "b.off")}
    now = inventory(tmp_path, cad={"source": "cad"})
    assert now.listing()["cad/car"] == [f"a.obj {size['a.obj']} up y front z", f"b.off {size['b.off']}"]
    former = now.listing() | {"cad/car": [f"a.obj {size['a.obj']}", f"b.off {size['b.off']}"]}
    manifest = parse_manifest(
        {
            "categories": ["car"],
            "samples_per_category": 1,
            "background": {"source": str(tmp_path / "backgrounds")},
            "cad": {"source": "cad"},
        },
        "m.toml",
    )
    for listing, axes in ((now.listing(), ("y", "z")), (former, ("z", "-y"))):
        recorded = recorded_inventory(manifest, tmp_path, listing)
        assert recorded.listing() == listing
        assert not recorded.lacking
        assert (recorded.cads["car"][0].up, recorded.cads["car"][0].front) == axes
    assert recorded_inventory(manifest, None, now.listing()).cads["car"][0].id == "a"
    (root / "car" / "a.toml").write_text('up = "z"\nfront = "x"\n')
    assert "cad" in recorded_inventory(manifest, tmp_path, now.listing()).lacking


@pytest.mark.parametrize("suffix", [".usd", ".USDA", ".usdc", ".usdz", ".blend", ".gltf", ".ply", ".stl"])
def test_suffixes_of_models(tmp_path, suffix):
    path = tmp_path / "cad" / "car" / f"m{suffix}"
    path.parent.mkdir(parents=True)
    path.touch()
    (path.parent / "m.mtl").touch()
    assert [asset.path for asset in cads(tmp_path, source="cad")["car"]] == [path]


def test_embedded_models_are_parametric_shapes(tmp_path):
    made = cads(tmp_path, source="embedded", variants=[15, 18])["car"]
    assert [asset.id for asset in made] == ["car_00015", "car_00016", "car_00017"]
    assert made[2].address == "parametric:car?variant=17"
    assert made[2].is_parametric
    with pytest.raises(ValueError, match="there is no file of it"):
        _ = made[2].path
    assert len(inventory(tmp_path).cads["car"]) == 6
    assert [a.id for a in cads(tmp_path, source="embedded", include=["*3"])["car"]] == ["car_00003"]
    assert "none of ['car_00000'" in failure(tmp_path, cad={"source": "embedded", "include": ["x"]})
    assert "have their own" in failure(tmp_path, cad={"source": "embedded", "up": "y", "front": "z"})


def test_a_category_that_the_library_does_not_make(tmp_path, monkeypatch):
    monkeypatch.setattr("p3d_gen.spec.taken.PARAMETRIC_CATEGORIES", ("aeroplane", "chair"))
    assert "no shapes of 'car', only of aeroplane, chair: name a folder" in failure(tmp_path)


def test_parametric_addresses():
    assert parse_parametric("parametric:car?variant=17") == ("car", 17)
    assert parse_parametric_range("parametric:car?variant=17") == ("car", range(17, 18))
    assert parse_parametric_range("parametric:car?variant=2..4") == ("car", range(2, 5))
    with pytest.raises(AssetError, match="stands for 3 shapes"):
        parse_parametric("parametric:car?variant=2..4")


@pytest.mark.parametrize("address", ["parametric:car", "parametric:car?variant=-1", "parametric:car?variant=4..2", "x"])
def test_addresses_that_are_none(address):
    with pytest.raises(AssetError, match="write parametric:car"):
        parse_parametric(address)


def test_listing_knows_files_by_size_and_shapes_by_version(tmp_path, monkeypatch):
    root = plant(tmp_path / "cad", TREES["folder"])
    cad = {"source": "cad"}
    before = inventory(tmp_path, cad=cad).listing()
    assert before["cad/car"][0] == f"a.obj {(root / 'car' / 'a.obj').stat().st_size} up y front z"
    assert inventory(tmp_path, cad=cad).listing() == before
    (root / "car" / "a.obj").write_bytes((root / "car" / "a.obj").read_bytes() + b"\n")
    assert inventory(tmp_path, cad=cad).listing() != before
    made = inventory(tmp_path).listing()
    assert made["cad/car"][1] == f"car_00001 parametric:car?variant=1 version {LIBRARY_VERSION}"
    monkeypatch.setattr("p3d_gen.spec.inventory.LIBRARY_VERSION", LIBRARY_VERSION + 1)
    assert inventory(tmp_path).listing() != made


@pytest.fixture
def dtd(tmp_path):
    """A DTD release: four pictures; one is in the first train list, one in the second, one in the first test list."""
    root = tmp_path / "dtd"
    for name in ("banded/banded_0002", "banded/banded_0004", "dotted/dotted_0001", "dotted/dotted_0002"):
        save_picture(root / "images" / f"{name}.jpg", 1)
    (root / "labels").mkdir()
    (root / "labels" / "train1.txt").write_text("banded/banded_0002.jpg\n")
    (root / "labels" / "train2.txt").write_text("dotted/dotted_0001.jpg\nbanded/banded_0002.jpg\n")
    (root / "labels" / "test1.txt").write_text("dotted/dotted_0002.jpg\n")
    (root / "labels" / "labels_joint_anno.txt").write_text("banded/banded_0004.jpg banded\n")
    return root


def textures(tmp_path, **texture):
    return [asset.id for asset in inventory(tmp_path, texture=texture).textures]


@pytest.mark.parametrize("source", ["dtd", "dtd/images"])
def test_splits_of_dtd(tmp_path, dtd, source):
    assert len(textures(tmp_path, source=source)) == 4
    train, test = ["banded/banded_0002"], ["dotted/dotted_0002"]
    assert textures(tmp_path, source=source, split=["train"]) == train
    assert textures(tmp_path, source=source, split=["test", "train"]) == train + test
    message = failure(tmp_path, texture={"source": source, "split": ["val"]})
    assert "texture.split: there is no" in message
    assert "labels/val.txt; name a DTD release" in message


def test_a_single_list_file_and_lists_of_other_pictures(tmp_path, dtd):
    (dtd / "labels" / "val.txt").write_text("dotted/dotted_0002.jpg\n")
    assert textures(tmp_path, source="dtd", split=["val"]) == ["dotted/dotted_0002"]
    (dtd / "labels" / "val.txt").write_text("dotted/dotted_0009.jpg\n")
    assert "holds none of the 1 listed" in failure(tmp_path, texture={"source": "dtd", "split": ["val"]})


def test_any_tree_of_pictures_is_a_texture_source(tmp_path):
    for name in ("top.png", "a/b/deep.jpeg", "a/flat.jpg"):
        save_picture(tmp_path / "pictures" / name, 1)
    assert textures(tmp_path, source="pictures") == ["a/b/deep", "a/flat", "top"]
    assert "labels" in failure(tmp_path, texture={"source": "pictures", "split": ["train"]})
    (tmp_path / "none").mkdir()
    assert "holds no .jpeg, .jpg, .png file" in failure(tmp_path, texture={"source": "none"})


@pytest.mark.parametrize("kind", ["naive", "native", "realistic"])
def test_surfaces_without_pictures_need_no_textures(tmp_path, kind):
    assert textures(tmp_path, kind=kind, source="gone") == []


def test_models_with_hidden_names_are_passed_over(tmp_path):
    plant(tmp_path / "cad", ("car/a.obj", "car/._b.obj"))
    assert [asset.id for asset in cads(tmp_path, source="cad")["car"]] == ["a"]
    plant(tmp_path / "net", ("02958343/1a04/models/model_normalized.obj", "02958343/.old/models/model_normalized.obj"))
    assert [asset.id for asset in cads(tmp_path, source="net")["car"]] == ["1a04"]


def test_folders_of_models_may_be_links(tmp_path):
    plant(tmp_path / "disk", ("a.obj",))
    (tmp_path / "cad").mkdir()
    (tmp_path / "cad" / "car").symlink_to("../disk")
    assert [asset.id for asset in cads(tmp_path, source="cad")["car"]] == ["a"]


def test_a_list_of_pictures_may_begin_with_a_byte_order_mark(tmp_path):
    save_picture(tmp_path / "dtd" / "images" / "dotted" / "a.jpg", 1)
    (tmp_path / "dtd" / "labels").mkdir()
    (tmp_path / "dtd" / "labels" / "train1.txt").write_text("dotted/a.jpg\n", encoding="utf-8-sig")
    textures = inventory(tmp_path, texture={"source": "dtd", "split": ["train"]}).textures
    assert [asset.id for asset in textures] == ["dotted/a"]
