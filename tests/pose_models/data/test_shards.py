"""Shards, photographs, CADs and placement: what is read is what was written, and what is broken is named."""

import hashlib
import json
import shutil

import cv2
import numpy as np
import pytest

from p3d_gen.core import geometry as g
from p3d_gen.core.errors import DataError
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.core.types import Camera
from pose_models.config import AugmentConfig
from pose_models.data.augment import PAD_RGB, Backgrounds, augmented, collate, mirrored, place
from pose_models.data.cads import cad_vertices
from pose_models.data.cars3d import cars3d_samples
from pose_models.data.shards import ShardSamples, read_shard, shard_categories, shard_paths
from tests.helpers.boxes import EXTENT, members, write_run, write_tar


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("run"), train=4, test=1)


@pytest.fixture(scope="module")
def sample(run):
    return next(read_shard(run / "shards" / "box-00000.tar"))


def corner_pixels(sample):
    K = sample.K
    camera = Camera(focal_px=K[0, 0], principal_px=(K[0, 2], K[1, 2]), image_hw=sample.image.shape[:2])
    return g.project(g.transform(sample.cam_T_obj, g.box_corners(EXTENT)), camera)


def mask_centre_and_box(sample):
    rows, columns = (sample.mask >= 128).nonzero()
    return np.array(
        [columns.mean() + 0.5, rows.mean() + 0.5, columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    )


def test_shards_give_back_their_samples(run):
    paths = shard_paths(str(run / "shards"), "box")
    assert shard_paths(str(run / "shards" / "box-*.tar"), "box") == paths
    samples = [s for path in paths for s in read_shard(path)]
    assert shard_categories(str(run / "shards")) == ["box"]
    assert [s.key for s in samples] == [f"box-{i:06d}" for i in range(4)]
    for s in samples:
        assert s.image.shape == (96, 128, 3)
        pixels = corner_pixels(s)
        np.testing.assert_allclose(s.box_xyxy, [*pixels.min(0), *pixels.max(0)], atol=1.6)


@pytest.mark.parametrize("record", ["ledger", "index"])
def test_a_shard_is_compared_with_the_checksum_that_was_recorded(run, tmp_path, record):
    """A few bytes of a picture that are others still decode."""
    path = tmp_path / "shards" / "box-00000.tar"
    path.parent.mkdir()
    content = (run / "shards" / "box-00000.tar").read_bytes()
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    name, value = {
        "ledger": ("box-00000.json", {"sha256": sha256, "count": 4}),
        "index": ("index.json", {"shardlist": [{"url": "other.tar"}, {"url": path.name, "sha256": sha256}]}),
    }[record]
    (path.parent / name).write_text(json.dumps(value))
    assert len(list(read_shard(path))) == len(ShardSamples([path])) == 4
    place = content.index(b"\xff\xda") if b"\xff\xda" in content else 3000  # in the first picture
    path.write_bytes(content[: place + 40] + bytes([content[place + 40] ^ 1]) + content[place + 41 :])
    for read in (lambda: list(read_shard(path)), lambda: ShardSamples([path])):
        with pytest.raises(DataError, match=rf"box-00000.tar is not what .*{name} says: .*p3dgen run --check"):
            read()
    (path.parent / name).write_text("{")
    with pytest.raises(DataError, match=rf"{name} cannot be read"):
        ShardSamples([path])


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # webdataset leaves its file open
def test_any_sample_can_be_read_alone(run):
    """Random access gives what reading in order gives, and what webdataset gives."""
    import webdataset as wds

    path = run / "shards" / "box-00000.tar"
    alone = ShardSamples([path])
    assert len(alone) == 4
    for index, (sample, raw) in enumerate(
        zip(read_shard(path), wds.WebDataset(str(path), shardshuffle=False), strict=True)
    ):
        assert alone[index].key == sample.key == raw["__key__"]
        np.testing.assert_array_equal(alone[index].image, sample.image)
        names = "jpg", "json", "mask.png"
        assert alone.entries[index].read(*names) == {name: raw[name] for name in names}


def test_occluders_come_along_and_follow_the_placement(tmp_path):
    files = members(0, np.random.default_rng([0, 1]))
    front = np.zeros((96, 128), np.uint8)
    front[:, :64] = 255
    write_tar(
        tmp_path / "box-00000.tar", [*files, ("box-000000.occluders.png", cv2.imencode(".png", front)[1].tobytes())]
    )
    sample = next(read_shard(tmp_path / "box-00000.tar"))
    np.testing.assert_array_equal(sample.occluder, front)
    np.testing.assert_array_equal(mirrored(sample).occluder, front[:, ::-1])
    view = place(sample, (96, 128), 0.8)
    edge = view.K[0, 2] + (64 - sample.K[0, 2]) * view.K[0, 0] / sample.K[0, 0]
    assert np.abs((view.occluder[48] > 127).sum() - edge) <= 1
    assert collate([view]).occluder.float().mean() == pytest.approx((view.occluder > 127).mean())


def test_pictures_may_be_png(tmp_path):
    files = members(0, np.random.default_rng([0, 1]))
    pixels = cv2.imdecode(np.frombuffer(files[0][1], np.uint8), cv2.IMREAD_COLOR)
    files[0] = ("box-000000.png", cv2.imencode(".png", pixels)[1].tobytes())
    write_tar(tmp_path / "box-00000.tar", files)
    np.testing.assert_array_equal(next(read_shard(tmp_path / "box-00000.tar")).image, pixels[..., ::-1])


def test_a_sample_tells_the_symmetry_of_its_own_model(tmp_path):
    """An older label, of turns about z only, does not: then that of the category counts."""
    files = [members(index, np.random.default_rng([index, 1])) for index in range(3)]
    extra = ({"symmetry_order": 4}, {"symmetry_order": 2, "symmetries": [[0.0, 0.0, 1.0, 2.0], [1.0, 0.0, 0.0, 2.0]]})
    for each, more in zip(files, extra, strict=False):
        each[1] = (each[1][0], json.dumps(json.loads(each[1][1]) | more).encode())
    write_tar(tmp_path / "box-00000.tar", [file for each in files for file in each])
    found = [sample.symmetry for sample in read_shard(tmp_path / "box-00000.tar")]
    assert found == [None, Symmetry.parse(["x:2", "y:2", "z:2"]).canonical(), None]


def test_missing_shards_name_what_is_there(run, tmp_path):
    with pytest.raises(ValueError, match=r"no car-\*.tar; categories found there: box"):
        shard_paths(str(run / "shards"), "car")
    with pytest.raises(ValueError, match="holds no CATEGORY-NNNNN"):
        shard_paths(str(run / "nowhere" / "*.tar"), "car")
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        shutil.copy(run / "shards" / "box-00000.tar", tmp_path / split)
    with pytest.raises(ValueError, match=r"NNNNN.tar, but .*/train and .*/val do: name one"):
        shard_paths(str(tmp_path), "box")


@pytest.mark.parametrize("keep", [0, 600, 5 * 512, -1024 * 8])
def test_a_cut_shard_is_an_error(tmp_path, keep):
    path = tmp_path / "box-00000.tar"
    write_tar(path, members(0, np.random.default_rng([0, 1])))
    path.write_bytes(path.read_bytes()[:keep].rstrip(b"\0"))
    with pytest.raises(ValueError, match=r"box-00000.tar"):
        list(read_shard(path))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda files: files[:2], "lacks mask.png"),
        (lambda files: [files[0], (files[1][0], b"{"), files[2]], "unreadable JSON"),
        (lambda files: [files[0], (files[1][0], b"{}"), files[2]], "its JSON lacks category"),
        (
            lambda files: [files[0], (files[1][0], files[1][1].replace(b"{", b'{"symmetries": ["q"], ', 1)), files[2]],
            "symmetry 'q' is not a turn: give",
        ),
        (lambda files: [(files[0][0], b"no jpeg"), *files[1:]], "its picture is not a readable picture"),
        (lambda files: [*files[:2], (files[2][0], blank_png(0, (96, 128)))], "its mask is empty"),
        (lambda files: [*files[:2], (files[2][0], blank_png(255, (5, 5)))], "differ"),
    ],
)
def test_a_broken_sample_is_named(tmp_path, spoil, message):
    path = tmp_path / "box-00000.tar"
    write_tar(path, spoil(members(7, np.random.default_rng([0, 1]))))
    with pytest.raises(ValueError, match=rf"(?s)box-000007.*box-00000.tar.*{message}"):
        list(read_shard(path))


def blank_png(value, hw):
    return cv2.imencode(".png", np.full(hw, value, np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    "how",
    [{}, {"zoom": 0.4}, {"zoom": 1.3, "shift_px": (-9.0, 4.0)}, {"roll_rad": 0.4}, {"roll_rad": -0.2, "zoom": 0.5}],
)
def test_placement_moves_pixels_and_label_together(sample, how):
    """The mask's centre and box follow the projected corners through zoom, shift and roll."""
    view = place(sample, (160, 208), 0.7, **how)
    assert view.image.shape == (160, 208, 3)
    redrawn = np.zeros((160, 208), np.uint8)
    hull = cv2.convexHull(np.round(corner_pixels(view) * 16 - 8).astype(np.int32))
    cv2.fillConvexPoly(redrawn, hull, 255, cv2.LINE_8, 4)
    mask = view.mask >= 128
    overlap = (mask & (redrawn > 0)).sum() / (mask | (redrawn > 0)).sum()
    assert overlap > 0.95
    np.testing.assert_allclose(
        mask_centre_and_box(view)[:2], [redrawn.nonzero()[1].mean() + 0.5, redrawn.nonzero()[0].mean() + 0.5], atol=0.5
    )


def test_placement_centres_the_box_and_pads(sample):
    view = place(sample, (160, 208), 0.5)
    left, top, right, bottom = view.box_xyxy
    assert ((left + right) / 2, (top + bottom) / 2) == pytest.approx((104, 80))
    assert max((right - left) / 208, (bottom - top) / 160) == pytest.approx(0.5)
    far = place(sample, (160, 208), 0.1)
    assert tuple(far.image[0, 0]) == PAD_RGB
    assert far.mask[0, 0] == 0


def test_mirroring_equals_the_reference(sample):
    flipped = mirrored(sample)
    camera = Camera(focal_px=480.0, principal_px=tuple(sample.K[:2, 2]), image_hw=(96, 128))
    pose, mirrored_camera = g.hflip(sample.cam_T_obj, camera)
    np.testing.assert_allclose(flipped.cam_T_obj, pose)
    np.testing.assert_allclose(flipped.K, mirrored_camera.K)
    np.testing.assert_array_equal(flipped.mask, sample.mask[:, ::-1])
    np.testing.assert_array_equal(mirrored(flipped).image, sample.image)
    assert mirrored(flipped).box_xyxy == sample.box_xyxy


def test_augmentation_is_keyed_by_its_generator_and_keeps_the_label_true(sample, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((50, 60, 3), 128, np.uint8))
    backgrounds = Backgrounds(tmp_path)

    def view(seed):
        return augmented(
            sample, (96, 128), 0.8, AugmentConfig(occlusion=0), backgrounds, np.random.default_rng([seed, 1])
        )

    np.testing.assert_array_equal(view(1).image, view(1).image)
    assert (view(1).image != view(2).image).any()
    for seed in range(12):
        found = view(seed)
        pixels = corner_pixels(found)
        np.testing.assert_allclose(mask_centre_and_box(found)[2:], [*pixels.min(0), *pixels.max(0)], atol=2.5)


def test_background_replaces_all_but_the_object(sample, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((50, 60, 3), [0, 0, 255], np.uint8))
    plain = AugmentConfig(
        background=1,
        tight=0,
        colour=0,
        hue=0,
        grey=0,
        blur=0,
        jpeg=0,
        low_resolution=0,
        noise=0,
        occlusion=0,
        mirror=False,
    )
    view = augmented(sample, (96, 128), 0.8, plain, Backgrounds(tmp_path), np.random.default_rng([0, 1]))
    assert (np.abs(view.image[view.mask == 0].astype(int) - [255, 0, 0]) <= 1).all()
    assert (view.image[view.mask == 255] != [255, 0, 0]).any(axis=1).mean() > 0.99


def test_a_background_is_blended_in_linear_light_as_a_packed_sample_is(sample, tmp_path):
    from p3d_gen.core.colour import srgb_bytes, srgb_light

    cv2.imwrite(str(tmp_path / "a.png"), np.full((50, 60, 3), [0, 0, 255], np.uint8))
    only = dict.fromkeys(("tight", "colour", "hue", "grey", "blur", "jpeg", "low_resolution", "noise"), 0)
    config = AugmentConfig(background=1, occlusion=0, mirror=False, shift=0, zoom=1, roll_std_deg=0, **only)
    view = augmented(sample, (96, 128), 0.8, config, Backgrounds(tmp_path), np.random.default_rng([0, 1]))
    front = augmented(sample, (96, 128), 0.8, config, None, np.random.default_rng([0, 1])).image
    edge = (view.mask > 0) & (view.mask < 255)
    assert edge.sum() > 50
    share = (view.mask[edge] / 255)[:, None]
    light = share * srgb_light(front[edge]) + (1 - share) * srgb_light(np.array([255, 0, 0], np.uint8))
    np.testing.assert_allclose(view.image[edge].astype(int), srgb_bytes(light).astype(int), atol=1)


def test_a_patch_in_front_hides_a_part_of_the_object(sample):
    config = AugmentConfig(occlusion=1, mirror=False, roll_std_deg=0)
    hidden = []
    for seed in range(8):
        view = augmented(sample, (96, 128), 0.8, config, None, np.random.default_rng([seed, 1]))
        whole = augmented(
            sample, (96, 128), 0.8, config.model_copy(update={"occlusion": 0}), None, np.random.default_rng([seed, 1])
        )
        assert whole.occluder is None
        front = view.occluder > 127
        np.testing.assert_array_equal(view.mask[front], 0)
        np.testing.assert_array_equal(view.mask[~front], whole.mask[~front])
        np.testing.assert_array_equal(view.cam_T_obj, whole.cam_T_obj)
        hidden.append((front & (whole.mask > 127)).sum() / (whole.mask > 127).sum())
    assert 0.02 < np.mean(hidden) < 0.4


def test_empty_or_broken_backgrounds_are_named(tmp_path):
    with pytest.raises(ValueError, match="no picture"):
        Backgrounds(tmp_path)
    (tmp_path / "x.jpg").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"x.jpg"):
        Backgrounds(tmp_path)


def test_batches_mark_what_is_unknown(sample):
    view = place(sample, (96, 128), 0.8)
    batch = collate([view, view])
    assert batch.image.shape == (2, 3, 96, 128)
    assert batch.image.max() <= 1
    assert batch.key == [sample.key] * 2
    assert batch.mask.isfinite().all()


@pytest.fixture
def photographs(tmp_path):
    (tmp_path / "images").mkdir()
    labels = {}
    for number in (1, 2, 3000, 3001, 4000):
        image = np.full((40, 60 + number % 7, 3), 90, np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{number:05d}.jpg"), image)
        labels[f"{number:05d}.jpg"] = {"R_cam_obj_opencv": np.eye(3).tolist()}
    (tmp_path / "annotations.json").write_text(json.dumps(labels))
    return tmp_path


def test_cars3d_split_and_unknowns(photographs):
    assert [s.key for s in cars3d_samples(photographs, "val")] == ["cars3d-03001", "cars3d-04000"]
    assert [s.key for s in cars3d_samples(photographs, "train", 2)] == ["cars3d-00001", "cars3d-00002"]
    first = next(cars3d_samples(photographs, "train"))
    np.testing.assert_array_equal(first.cam_T_obj[:3, :3], np.eye(3))
    assert np.isnan(first.cam_T_obj[:3, 3]).all()
    assert np.isnan(first.K).all()
    assert (first.mask, first.box_xyxy) == (None, (0, 0, 61, 40))
    assert collate([place(first, (32, 48), 0.9)]).mask.isnan().all()


def test_cars3d_errors_name_the_file(photographs):
    (photographs / "images" / "00002.jpg").unlink()
    with pytest.raises(ValueError, match=r"00002.jpg"):
        list(cars3d_samples(photographs, "train"))
    with pytest.raises(DataError, match=r"annotations.json.*convert cars3d"):
        list(cars3d_samples(photographs / "images", "val"))
    (photographs / "annotations.json").write_text('{"00001.jpg": {"azimuth": 3}}')
    with pytest.raises(DataError, match=r"not a file of .*R_cam_obj_opencv"):
        list(cars3d_samples(photographs, "train"))


def test_cads_of_a_run_and_of_a_folder(run, tmp_path):
    np.testing.assert_array_equal(cad_vertices(run / "cad", "box")["box_01"], g.box_corners(EXTENT))
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "a.off").write_text("OFF\n4 2 0\n0 0 0\n3 0 0\n3 4 0\n0 0 12\n3 0 1 2\n3 0 2 3\n")
    vertices = cad_vertices(tmp_path, "box")["a"]
    np.testing.assert_allclose(vertices.max(0), np.array([3, 4, 12]) / 26)
    np.testing.assert_allclose(vertices.min(0), -np.array([3, 4, 12]) / 26)


@pytest.mark.parametrize("suffix", ["obj", "glb", "ply", "off"])
def test_cads_stand_as_their_format_or_a_file_beside_them_says(tmp_path, suffix):
    """A tall box whose front bulges: y up, front z in OBJ and GLB, z up, front -y in the others."""
    import trimesh

    tall, bulge = trimesh.creation.box((2.0, 3.0, 6.0)), trimesh.creation.box((1.0, 1.0, 1.0))
    bulge.apply_translation((0, -2.0, 0))
    mesh = trimesh.util.concatenate([tall, bulge])
    if suffix in ("obj", "glb"):
        mesh.vertices = mesh.vertices[:, [0, 2, 1]] * [1, 1, -1]
    (tmp_path / "box").mkdir()
    mesh.export(tmp_path / "box" / f"a.{suffix}")

    def stands(vertices):
        width, depth, height = np.ptp(vertices, axis=0)
        front = vertices[vertices[:, 1] < vertices[:, 1].min() + 0.01]
        return bool(height > depth > width and np.ptp(front[:, 2]) < height / 2)

    assert stands(cad_vertices(tmp_path, "box")["a"])
    (tmp_path / "box" / "category.toml").write_text('up = "x"\nfront = "y"\n')
    assert not stands(cad_vertices(tmp_path, "box")["a"])
    axes = ("y", "z") if suffix in ("obj", "glb") else ("z", "-y")
    (tmp_path / "box" / "a.toml").write_text('up = "{}"\nfront = "{}"\n'.format(*axes))
    assert stands(cad_vertices(tmp_path, "box")["a"])


def test_missing_and_broken_cads_are_named(tmp_path):
    with pytest.raises(ValueError, match="holds no CAD"):
        cad_vertices(tmp_path, "car")
    (tmp_path / "car").mkdir()
    (tmp_path / "car" / "x.npz").write_bytes(b"no")
    with pytest.raises(ValueError, match=r"x.npz"):
        cad_vertices(tmp_path, "car")


def test_members_that_are_cut_short_are_named(tmp_path):
    path = tmp_path / "box-00000.tar"
    whole = members(7, np.random.default_rng([0, 1]))
    for number, (name, content) in enumerate(whole):
        if not name.endswith("json"):
            cut = (name, content[: len(content) * 3 // 4])
            write_tar(path, [*whole[:number], cut, *whole[number + 1 :]])
            with pytest.raises(ValueError, match=r"box-000007 .* is not a readable picture"):
                list(read_shard(path))
