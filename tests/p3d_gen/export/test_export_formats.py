"""Exports, read back by the formats' own rules and tools: picture, mask, box, pose and camera are the labels'."""

import json

import cv2
import numpy as np
import pytest
import trimesh
from click.testing import CliRunner
from scipy.io import loadmat

from p3d_gen.cli import main
from p3d_gen.core.categories import BUILTIN, CATEGORIES
from p3d_gen.core.codecs import decode_image, decode_npz
from p3d_gen.core.errors import RunError
from p3d_gen.core.geometry import box_corners, project, rotation_error_rad, transform
from p3d_gen.core.silhouette import camera_of
from p3d_gen.dataset.build import make_dataset
from p3d_gen.dataset.source_runs import open_sources
from p3d_gen.dataset.splits import Recipe
from p3d_gen.export import FORMATS, export
from p3d_gen.export.inputs import open_input
from pose_models.data.crop import crop_annotated
from pose_models.data.datasets import open_dataset
from pose_models.data.shards import decode, shard_entries
from tests.helpers.dataset_runs import labels_of, make_assets, packed_run, run_samples, samples_of, tree

MORE = '[occlusion]\nlevel = "L1"\ntruncation = [0.0, 0.3]\nprobability = 0.7\n'
MORE += '[output]\nmembers = ["mask", "amodal", "depth", "keypoints", "cuboid"]\n'
SPLITS = ("train", "test")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    make_assets(root)
    return packed_run(root / "a", samples=8, more=MORE)


@pytest.fixture(scope="module")
def dataset(run):
    folder = run.root.with_name("d")
    make_dataset(folder, open_sources([str(run.root)]), Recipe(shares=dict.fromkeys(SPLITS, 1.0), shard_samples=3))
    return folder


@pytest.fixture(scope="module")
def exports(dataset):
    """The folder of each format's export."""
    folders = {name: dataset.with_name(name) for name in FORMATS}
    for name, out in folders.items():
        export(name, open_input(dataset), out)
    return folders


def written(dataset, split):
    return samples_of(sorted((dataset / split).glob("*.tar")))


def vertices(dataset, labels):
    return np.load(dataset / "cad" / labels["category"] / f"{labels['cad_id']}.npz")["vertices"]


@pytest.mark.parametrize("split", SPLITS)
def test_coco_by_pycocotools(dataset, exports, split, capsys):
    from pycocotools.coco import COCO

    out, expected = exports["coco"], written(dataset, split)
    coco = COCO(out / "annotations" / f"{split}.json")
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == list(CATEGORIES)
    images = coco.loadImgs(coco.getImgIds())
    assert [image["file_name"] for image in images] == [f"{key}.jpg" for key in expected]
    for image, members in zip(images, expected.values(), strict=True):
        labels = labels_of(members)
        assert (out / "images" / split / image["file_name"]).read_bytes() == members["jpg"]
        assert [image["height"], image["width"]] == labels["image_hw"]
        (found,) = coco.loadAnns(coco.getAnnIds(imgIds=[image["id"]]))
        mask = decode_image(members["mask.png"]) > 0
        np.testing.assert_array_equal(coco.annToMask(found), mask)
        x0, y0, x1, y1 = labels["bbox_xyxy"]
        assert found["bbox"] == [x0, y0, x1 - x0, y1 - y0]
        assert found["area"] == mask.sum()
        (category,) = coco.loadCats([found["category_id"]])
        assert category["name"] == labels["category"]
        assert found["cam_T_obj"] == labels["cam_T_obj"]
        points = {
            name: (x, y, seen)
            for name, (x, y, seen) in zip(category["keypoints"], np.reshape(found["keypoints"], (-1, 3)), strict=True)
            if seen
        }
        assert found["num_keypoints"] == len(points)
        stored = zip(labels["keypoint_names"], labels["keypoints_xy"], labels["keypoints_visibility"], strict=True)
        assert points == {name: (x - 0.5, y - 0.5, seen) for name, (x, y), seen in stored if seen}
    capsys.readouterr()


def test_coco_scores_its_own_truth_as_perfect(exports, capsys):
    from pycocotools import mask as rle
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    coco = COCO(exports["coco"] / "annotations" / "train.json")
    found = [
        {k: each[k] for k in ("image_id", "category_id", "bbox")}
        | {"score": 1.0, "segmentation": rle.encode(np.asfortranarray(coco.annToMask(each)))}
        for each in coco.dataset["annotations"]
    ]
    for kind in ("bbox", "segm"):
        evaluation = COCOeval(coco, coco.loadRes(found), kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        assert evaluation.stats[0] == pytest.approx(1.0)
    capsys.readouterr()


@pytest.mark.parametrize("split", SPLITS)
def test_pascal3d_by_the_reader_of_pose_models(dataset, exports, split):
    expected = written(dataset, split)
    out = exports["pascal3d"]
    if split == "test":  # the benchmark calls it so
        for path in out.glob("Image_sets/*_test.txt"):
            (path.parent / path.name.replace("_test", "_val")).write_bytes(path.read_bytes())
    opened = open_dataset(f"pascal3d:{out}", split="train" if split == "train" else "val")
    found = {sample.key.split("-", 1)[1]: sample for category in opened.categories for sample in opened.read(category)}
    assert found.keys() == expected.keys()
    for key, sample in found.items():
        labels = labels_of(expected[key])
        np.testing.assert_allclose(sample.cam_T_obj, labels["cam_T_obj"], atol=1e-6)
        np.testing.assert_allclose(sample.K, camera_of(labels).K, atol=1e-9)
        assert list(sample.box_xyxy) == labels["bbox_xyxy"]
        assert (out / "Images" / f"{sample.category}_imagenet" / f"{key}.JPEG").read_bytes() == expected[key]["jpg"]


def test_pascal3d_as_nemos_code_reads_it(dataset, exports):
    """Plain loadmat, field by field, as the published conversions index it; keypoints and models included."""
    for key, members in written(dataset, "train").items():
        labels = labels_of(members)
        place = f"{labels['category']}_imagenet"
        record = loadmat(exports["pascal3d"] / "Annotations" / place / f"{key}.mat")["record"]
        first = record["objects"][0, 0]
        assert record["imgsize"][0, 0][0].tolist() == [96, 64, 3]
        np.testing.assert_array_equal(first["bbox"][0, 0][0], labels["bbox_xyxy"])
        view = first["viewpoint"][0, 0]
        assert [view["px"][0, 0][0, 0], view["py"][0, 0][0, 0]] == labels["principal_px"]
        azimuth = np.radians(view["azimuth"][0, 0][0, 0])
        assert np.cos(azimuth - labels["azimuth_rad"]) == pytest.approx(1, abs=1e-9)
        assert bool(first["occluded"][0, 0][0, 0]) == (labels["occluded_share"] > 0)
        number = first["cad_index"][0, 0][0, 0]
        mesh = trimesh.load(exports["pascal3d"] / "CAD" / labels["category"] / f"{number:02.0f}.off", process=False)
        np.testing.assert_allclose(mesh.vertices, vertices(dataset, labels), atol=1e-8)
        anchors = first["anchors"][0, 0]
        assert anchors.dtype.names == BUILTIN[labels["category"]].keypoints
        for name in anchors.dtype.names:
            status = anchors[name][0, 0]["status"][0, 0][0, 0]
            location = anchors[name][0, 0]["location"][0, 0]
            if name not in labels["keypoint_names"]:
                assert (status, location.size) == (5, 0)
                continue
            at = labels["keypoint_names"].index(name)
            assert status == {2: 1, 1: 2, 0: 4}[labels["keypoints_visibility"][at]]
            if status == 1:
                np.testing.assert_array_equal(location[0], labels["keypoints_xy"][at])


def bop_scene(folder):
    """A scene by the rules of the BOP toolkit's loader: image ids are integers, matrices are row by row."""

    def load(name):
        return {int(image): value for image, value in json.loads((folder / f"{name}.json").read_text()).items()}

    cameras, truths, infos = load("scene_camera"), load("scene_gt"), load("scene_gt_info")
    assert cameras.keys() == truths.keys() == infos.keys()
    for image, camera in cameras.items():
        ((truth,), (info,)) = truths[image], infos[image]
        depth = cv2.imread(str(folder / "depth" / f"{image:06d}.png"), cv2.IMREAD_UNCHANGED)
        assert depth.dtype == np.uint16
        yield {
            "rgb": (folder / "rgb" / f"{image:06d}.jpg").read_bytes(),
            "K": np.array(camera["cam_K"]).reshape(3, 3),
            "R": np.array(truth["cam_R_m2c"]).reshape(3, 3),
            "t": np.array(truth["cam_t_m2c"]).reshape(3, 1),
            "object": truth["obj_id"],
            "depth_mm": depth * camera["depth_scale"],
            "mask": decode_image((folder / "mask" / f"{image:06d}_000000.png").read_bytes()) > 0,
            "visible": decode_image((folder / "mask_visib" / f"{image:06d}_000000.png").read_bytes()) > 0,
            "info": info,
        }


@pytest.mark.parametrize("split", SPLITS)
def test_bop_by_its_loaders_rules(dataset, exports, split):
    out, expected = exports["bop"], written(dataset, split)
    models = {int(k): v for k, v in json.loads((out / "models" / "models_info.json").read_text()).items()}
    found = [shot for scene in sorted((out / split).iterdir()) for shot in bop_scene(scene)]
    assert [shot["info"]["key"] for shot in found] == list(expected)
    for shot in found:
        members = expected[shot["info"]["key"]]
        labels, pose = labels_of(members), np.array(labels_of(members)["cam_T_obj"])
        model = models[shot["object"]]
        assert (model["category"], model["cad_id"]) == (labels["category"], labels["cad_id"])
        assert shot["rgb"] == members["jpg"]
        np.testing.assert_array_equal(shot["K"], camera_of(labels).K)
        assert rotation_error_rad(shot["R"], pose[:3, :3]) < 1e-9
        np.testing.assert_allclose(shot["t"].ravel(), pose[:3, 3] * 1000)
        points = trimesh.load(out / "models" / f"obj_{shot['object']:06d}.ply", process=False).vertices
        # s p = K [R t] p_model, in mm, is where the labels project the model to
        in_image = shot["K"] @ (shot["R"] @ points.T + shot["t"])
        pixels = project(transform(pose, vertices(dataset, labels)), camera_of(labels))
        np.testing.assert_allclose((in_image[:2] / in_image[2]).T, pixels, atol=1e-3)
        np.testing.assert_array_equal(shot["visible"], decode_image(members["mask.png"]) > 0)
        np.testing.assert_array_equal(shot["mask"], decode_image(members["amodal.png"]) > 0)
        depth = decode_npz(members["depth.npz"])["depth"] * 1000
        np.testing.assert_allclose(shot["depth_mm"], depth, atol=0.051)
        x, y, width, height = shot["info"]["bbox_visib"]
        assert [x, y, x + width + 1, y + height + 1] == labels["bbox_xyxy"]
        assert shot["info"]["visib_fract"] == labels["visible_share"]
        assert shot["info"]["px_count_visib"] == shot["visible"].sum()
        assert shot["info"]["px_count_all"] >= shot["mask"].sum()


def test_bop_models_are_in_mm_with_their_symmetries(dataset, exports):
    models = {int(k): v for k, v in json.loads((exports["bop"] / "models" / "models_info.json").read_text()).items()}
    assert len(models) == len(list((dataset / "cad").glob("*/*.npz")))
    for number, info in models.items():
        mesh = trimesh.load(exports["bop"] / "models" / f"obj_{number:06d}.ply", process=False)
        low, size = mesh.vertices.min(axis=0), np.ptp(mesh.vertices, axis=0)
        np.testing.assert_allclose([info[f"min_{a}"] for a in "xyz"], low, atol=1e-3)
        np.testing.assert_allclose([info[f"size_{a}"] for a in "xyz"], size, atol=1e-3)
        assert np.linalg.norm(size) == pytest.approx(1000)
        distances = np.linalg.norm(mesh.vertices[:, None] - mesh.vertices[None], axis=2)
        assert info["diameter"] == pytest.approx(distances.max(), abs=1e-3)
        order = int(info["cad_id"][1:])
        assert ("symmetries_continuous" in info) == (order == 0)
        for i, turn in enumerate(info.get("symmetries_discrete", []), start=1):
            angle = 2 * np.pi * i / order
            np.testing.assert_allclose(np.reshape(turn, (4, 4))[0, :2], [np.cos(angle), -np.sin(angle)], atol=1e-12)
        assert len(info.get("symmetries_discrete", [])) == max(order - 1, 0)
    targets = json.loads((exports["bop"] / "test_targets_bop19.json").read_text())
    assert len(targets) == len(written(dataset, "test"))


def test_nemo_as_its_code_reads_it(dataset, exports):
    """Pictures, lists and npz of its training set, against the crop of pose_models, which was written from NeMo's."""
    root = exports["nemo"] / "train"
    expected, seen = written(dataset, "train"), []
    entries = {entry.key: entry for path in sorted((dataset / "train").glob("*.tar")) for entry in shard_entries(path)}
    for listed in sorted(root.glob("lists/*/mesh*.txt")):
        category = listed.parent.name
        for name in listed.read_text().split():
            key = name.split(".")[0]
            seen.append(key)
            labels = labels_of(expected[key])
            crop = crop_annotated(decode(entries[key]), (64, 96), 5.0)
            picture = decode_image((root / "images" / category / name).read_bytes())
            assert np.abs(picture.astype(int) - crop.image).mean() < 3  # a JPEG of a JPEG
            found = np.load(root / "annotations" / category / f"{key}.npz")
            for angle in ("azimuth", "elevation", "theta"):
                assert np.cos(found[angle] - labels[f"{angle}_rad"]) == pytest.approx(1, abs=1e-9)
            assert found["distance"] == pytest.approx(labels["distance"])
            np.testing.assert_array_equal(found["principal"], labels["principal_px"])
            y0, y1, x0, x1, height, width = found["box_obj"]
            assert (height, width) == picture.shape[:2]
            wanted = np.clip(crop.box_xyxy, 0, [96, 64, 96, 64])
            np.testing.assert_allclose([x0, y0, x1, y1], wanted, atol=0.51)
            assert int(found["cad_index"]) == int(listed.stem[4:])
            points = dict(zip(labels["keypoint_names"], labels["keypoints_xyz"], strict=True))
            for name_, row_column, visible in zip(
                BUILTIN[category].keypoints, found["cropped_kp_list"], found["visible"], strict=True
            ):
                if visible:
                    pixel = crop.K @ (crop.cam_T_obj[:3, :3] @ points[name_] + crop.cam_T_obj[:3, 3])
                    np.testing.assert_allclose(row_column[::-1], pixel[:2] / pixel[2], atol=1e-6)
    assert sorted(seen) == sorted(expected)


def test_nemos_3d_annotations_are_the_cuboids_vertices(dataset, exports):
    root, count = exports["nemo"], 0
    entries = {entry.key: entry for path in (dataset / "train").glob("*.tar") for entry in shard_entries(path)}
    for listed in sorted((root / "train").glob("lists3D_single/*/mesh01.txt")):
        category = listed.parent.name
        mesh = trimesh.load(root / "CAD_single" / category / "01.off", process=False)
        for name in listed.read_text().split():
            key = name.split(".")[0]
            found = np.load(root / "train" / "annotations3D_single" / category / f"{key}.npz")
            crop = crop_annotated(decode(entries[key]), (64, 96), 5.0)
            pixels = crop.K @ (crop.cam_T_obj[:3, :3] @ mesh.vertices.T + crop.cam_T_obj[:3, 3:])
            np.testing.assert_allclose(found["cropped_kp_list"][:, ::-1], (pixels[:2] / pixels[2]).T, atol=1e-3)
            np.testing.assert_array_equal(
                found["visible"], decode_npz(entries[key].read("cuboid.npz")["cuboid.npz"])["visible"].astype(int)
            )
            count += 1
    assert count == len(written(dataset, "train"))


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_begun_goes_on_and_ends_in_the_same_bytes(dataset, exports, name, tmp_path):
    export(name, open_input(dataset), tmp_path / "e")
    wanted = {path: content for path, content in tree(exports[name]).items() if "_val.txt" not in path}
    assert tree(tmp_path / "e") == wanted
    for path in sorted(wanted)[::3]:
        (tmp_path / "e" / path).unlink()
    export(name, open_input(dataset), tmp_path / "e")
    assert tree(tmp_path / "e") == wanted


def test_a_run_is_the_split_train(run, tmp_path):
    result = CliRunner().invoke(main, ["export", "coco", str(run.root), "--out", str(tmp_path / "coco")])
    assert result.exit_code == 0, result.output
    content = json.loads((tmp_path / "coco" / "annotations" / "train.json").read_text())
    assert [each["file_name"] for each in content["images"]] == [f"{key}.jpg" for key in run_samples(run)]


def test_other_folders_are_refused(run, dataset, exports, tmp_path):
    with pytest.raises(RunError, match="holds another export: choose another --out"):
        export("coco", open_input(run.root), exports["coco"])
    with pytest.raises(RunError, match="is not empty and not an export"):
        export("coco", open_input(run.root), dataset)
    with pytest.raises(RunError, match="is neither a run nor a dataset"):
        open_input(tmp_path)


def test_what_a_format_has_no_place_for_is_refused(run, tmp_path):
    other = packed_run(
        run.root.with_name("other"), samples=1, more='[output]\nimage_format = "png"\nmembers = ["mask", "depth"]\n'
    )
    export("pascal3d", open_input(other.root), tmp_path / "p")  # PNGs become JPEGs
    (picture,) = (tmp_path / "p" / "Images" / "car_imagenet").iterdir()
    original = run_samples(other)[picture.stem]
    assert np.abs(decode_image(picture.read_bytes()).astype(int) - decode_image(original["png"])).mean() < 6
    bare = packed_run(run.root.with_name("bare"), samples=1, more="[output]\nmembers = []\n")
    with pytest.raises(RunError, match=r"has no mask\.png: name mask in output\.members"):
        export("coco", open_input(bare.root), tmp_path / "c")
    with pytest.raises(RunError, match=r"has no depth: name depth in output\.members"):
        export("bop", open_input(bare.root), tmp_path / "b")
    stretched = packed_run(run.root.with_name("stretched"), samples=1, cad="stretch = 0.1")
    with pytest.raises(RunError, match="its model is stretched, and BOP's models are rigid"):
        export("bop", open_input(stretched.root), tmp_path / "s")


def test_corners_of_the_box_are_where_the_labels_say(dataset):
    """The labels that exports are compared with hold together themselves."""
    for members in written(dataset, "train").values():
        labels = labels_of(members)
        corners = box_corners(np.array(labels["object_extent_xyz"]))
        pixels = project(transform(np.array(labels["cam_T_obj"]), corners), camera_of(labels))
        np.testing.assert_allclose(pixels, labels["bbox3d_xy"], atol=1e-9)
