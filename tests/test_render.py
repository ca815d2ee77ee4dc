"""The render stage with Blender itself: label truth, every CAD format, and what bad input and dead processes cost."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import asdict

import numpy as np
import pytest
import trimesh
from conftest import save_picture, wedge
from PIL import Image

from p3d_gen.assets.sources import Asset, take_inventory
from p3d_gen.blender.client import BlenderError, BlenderWorker
from p3d_gen.engines import run_shards
from p3d_gen.errors import AssetError
from p3d_gen.files import read_shard
from p3d_gen.geometry import cam_T_obj, project, transform
from p3d_gen.images import decode_image, decode_npz
from p3d_gen.labels import mask_box, mask_iou, silhouette
from p3d_gen.render import load_cad, prepare_cads, render_shard
from p3d_gen.sampling import spec
from p3d_gen.store import create_run
from p3d_gen.types import Camera, Viewpoint

pytestmark = pytest.mark.blender


@pytest.fixture(scope="module")
def worker():
    with BlenderWorker(timeout_s=120) as blender:
        yield blender


def rendered(run, shard="car-00000"):
    ledger = render_shard(str(run.root), shard)
    return ledger, dict(read_shard(run.tar("render", shard)))


def edit(path, *changes):
    text = path.read_text()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text)


def test_labels_are_true(run):
    ledger, samples = rendered(run)
    assert (ledger.count, ledger.failures) == (2, ())
    for key, members in samples.items():
        labels = json.loads(members["json"])
        vertices, faces = load_cad(run.cad_file("car", labels["cad_id"]))
        height, width = labels["image_hw"]
        x, y = labels["principal_px"]
        camera = Camera(focal_px=labels["focal_px"], principal_px=(x, y), image_hw=(height, width))
        pose = np.array(labels["cam_T_obj"])
        view = Viewpoint(**{k: labels[k] for k in ("azimuth_rad", "elevation_rad", "theta_rad", "distance")})
        np.testing.assert_allclose(pose, cam_T_obj(view), atol=1e-5)
        mask = decode_image(members["mask.png"]) == 255
        assert mask.any()
        assert mask_iou(silhouette(vertices, faces, pose, camera), mask) >= 0.98
        assert labels["mask_iou"] >= 0.98
        pixels = project(transform(pose, vertices), camera)
        box = np.array(mask_box(mask))
        np.testing.assert_allclose(box, [*pixels.min(axis=0), *pixels.max(axis=0)], atol=1.0)
        np.testing.assert_allclose(labels["bbox_xyxy"], box)
        depth = decode_npz(members["depth.npz"])["depth"]
        assert (depth[~mask] == 0).all()
        z = transform(pose, vertices)[:, 2]
        assert z.min() - 1e-4 <= depth[mask].min() <= depth[mask].max() <= z.max() + 1e-4
        assert np.ptp(vertices, axis=0).tolist() == labels["object_extent_xyz"]
        assert labels["key"] == key


def test_a_wrong_focal_length_would_be_seen(run):
    """The released recipe renders at 2925 px and labels 3000: the box check catches that scale error."""
    _, samples = rendered(run)
    members = next(iter(samples.values()))
    labels = json.loads(members["json"])
    vertices, faces = load_cad(run.cad_file("car", labels["cad_id"]))
    wrong = Camera(focal_px=labels["focal_px"] * 3000 / 2925, principal_px=(48.0, 32.0), image_hw=(64, 96))
    mask = decode_image(members["mask.png"]) == 255
    assert mask_iou(silhouette(vertices, faces, np.array(labels["cam_T_obj"]), wrong), mask) < 0.98


def test_alpha_and_colour_agree_with_the_mask(run):
    _, samples = rendered(run)
    for members in samples.values():
        rgba, mask = decode_image(members["render.png"]), decode_image(members["mask.png"]) == 255
        assert (rgba[..., 3][mask] >= 64).mean() > 0.95
        assert (rgba[..., 3][~mask] < 192).mean() > 0.95
        assert rgba[..., :3][mask].std() > 5  # the texture is on it
        assert (rgba[..., :3][rgba[..., 3] == 0] == 0).all()


def test_bytes_do_not_depend_on_workers_or_order(tmp_path, manifest_path, run):
    other = create_run(tmp_path / "other", manifest_path)
    ticks = []
    serial = {
        ledger.shard: ledger.sha256 for ledger in run_shards(render_shard, str(run.root), run.all_shards(), 1, int)
    }
    parallel = {
        ledger.shard: ledger.sha256
        for ledger in run_shards(render_shard, str(other.root), other.all_shards()[::-1], 2, lambda: ticks.append(1))
    }
    assert serial == parallel
    assert len(ticks) == 6
    again = {
        ledger.shard: ledger.sha256 for ledger in run_shards(render_shard, str(run.root), run.all_shards(), 1, int)
    }
    assert again == serial


def test_environment_light_and_no_texture(tmp_path, manifest_path):
    edit(manifest_path, ('source = "assets/textures"', 'kind = "naive"\n[light]\nkind = "hdri"'))
    ledger, samples = rendered(create_run(tmp_path / "run", manifest_path))
    assert ledger.count == 2
    labels = json.loads(next(iter(samples.values()))["json"])
    assert labels["texture_id"] == ""
    assert labels["hdri_id"] in {"city", "courtyard", "forest", "interior", "night", "studio", "sunrise", "sunset"}


def export(path, mesh):
    """`mesh` in the frame that the format's convention says: glTF has y up and front z."""
    if path.suffix == ".glb":
        mesh = mesh.copy()
        mesh.apply_transform([[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])
    if path.suffix == ".blend":
        save_blend(path, mesh)
    else:
        mesh.export(path)


def save_blend(path, mesh):
    """A .blend whose mesh object is moved and scaled, so that its world matrix matters."""
    np.savez(path.with_suffix(".npz"), vertices=mesh.vertices, faces=mesh.faces)
    script = (
        "import bpy, numpy as np\n"
        f"a = np.load({str(path.with_suffix('.npz'))!r})\n"
        "bpy.ops.wm.read_factory_settings(use_empty=True)\n"
        "m = bpy.data.meshes.new('m')\n"
        "m.from_pydata((a['vertices'] / 2 - 1).tolist(), [], a['faces'].tolist())\n"
        "o = bpy.data.objects.new('o', m)\n"
        "o.location, o.scale = (2, 2, 2), (2, 2, 2)\n"
        "bpy.context.scene.collection.objects.link(o)\n"
        f"bpy.ops.wm.save_as_mainfile(filepath={str(path)!r})\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, stdout=subprocess.DEVNULL)


def prepared(run, worker, path):
    prepare_cads(run, worker, [("car", Asset(id=path.stem, path=path))])
    return run.cad_file("car", path.stem)


@pytest.mark.parametrize("suffix", [".off", ".obj", ".ply", ".stl", ".glb", ".blend"])
def test_every_format_gives_the_same_normalised_model(run, worker, tmp_path, suffix):
    path = tmp_path / f"model{suffix}"
    mesh = wedge()
    export(path, mesh)
    vertices, faces = load_cad(prepared(run, worker, path))
    assert np.linalg.norm(np.ptp(vertices, axis=0)) == pytest.approx(1.0)
    np.testing.assert_allclose(vertices.min(axis=0), -vertices.max(axis=0), atol=1e-9)
    centre, scale = mesh.bounds.mean(axis=0), np.linalg.norm(mesh.extents)
    expected = trimesh.Trimesh((mesh.vertices - centre) / scale, mesh.faces, process=False)
    ours = trimesh.Trimesh(vertices, faces, process=False)
    np.testing.assert_allclose(ours.bounds, expected.bounds, atol=1e-6)
    np.testing.assert_allclose(ours.triangles_center.mean(axis=0), expected.triangles_center.mean(axis=0), atol=1e-6)
    assert ours.area == pytest.approx(expected.area, rel=1e-5)


def test_uv_fill_the_unit_square_and_doubles_are_merged(run, worker, tmp_path):
    mesh = wedge()
    doubled = trimesh.util.concatenate([mesh, trimesh.Trimesh(mesh.vertices, mesh.faces[:, ::-1], process=False)])
    doubled.export(tmp_path / "doubled.off")
    with np.load(prepared(run, worker, tmp_path / "doubled.off")) as arrays:
        assert len(arrays["faces"]) == len(mesh.faces)
        uv = arrays["uv"]
    assert uv.shape == (len(mesh.faces), 3, 2)
    assert uv.min() >= -1e-6
    assert uv.max() <= 1 + 1e-6
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    assert np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum() / 2 > 0.2  # of the square is used


def test_stated_axes(tmp_path, worker, manifest_path):
    mesh = wedge()
    mesh.apply_transform([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1]])  # z -> x, x -> y, y -> z
    mesh.export(tmp_path / "turned.off")
    edit(manifest_path, ('source = "assets/cad"', 'source = "assets/cad"\nup = "x"\nfront = "-z"'))
    vertices, _ = load_cad(prepared(create_run(tmp_path / "r", manifest_path), worker, tmp_path / "turned.off"))
    np.testing.assert_allclose(np.ptp(vertices, axis=0), wedge().extents / np.linalg.norm(wedge().extents), atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.off", b""),
        ("text.obj", b"this is no model\n"),
        ("cut.off", b"OFF\n8 12 0\n0 0 0\n"),
        ("flat.off", b"OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n"),
        ("nan.off", b"OFF\n3 1 0\nnan 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"),
        ("bad.glb", b"glTFxxxx"),
        ("bad.blend", b"BLENDER?"),
    ],
)
def test_broken_models_are_named_with_a_reason(run, worker, tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(AssetError, match=rf"(?s)cannot be used.*{name}: \w"):
        prepared(run, worker, tmp_path / name)
    assert not run.cad_file("car", name.split(".")[0]).exists()
    (tmp_path / "good.off").write_text(wedge().export(file_type="off"))
    assert prepared(run, worker, tmp_path / "good.off").exists()  # the process lives on


def test_an_unreadable_texture_fails_its_samples_only(tmp_path, assets, manifest_path):
    good = (assets / "textures" / "banded" / "banded_0001.jpg").read_bytes()
    (assets / "textures" / "banded" / "banded_0001.jpg").write_bytes(good[: len(good) // 2])
    edit(manifest_path, ("samples_per_category = 3", "samples_per_category = 8"), ("shard_size = 2", "shard_size = 8"))
    ledger, samples = rendered(create_run(tmp_path / "run", manifest_path))
    assert len(ledger.failures) + ledger.count == 8
    assert ledger.count > 0
    assert ledger.failures
    assert all("banded_0001.jpg is not a readable picture" in failure.reason for failure in ledger.failures)
    assert not {failure.key for failure in ledger.failures} & set(samples)


def request(run, target, **changes):
    sample = asdict(spec(run.manifest, run.inventory, "car", 0))
    cad = run.cad_file("car", sample["cad_id"])
    return {
        "op": "render",
        "spec": sample | changes,
        "samples": 1,
        "denoise": False,
        "cad": str(cad),
        "texture": "",
        "hdri": "",
        "target": str(target),
    }


def test_a_killed_process_is_an_error_and_the_next_request_starts_another(run, worker, tmp_path):
    prepare_cads(run, worker, [("car", cad) for cad in run.inventory.cads["car"]])
    worker._process.send_signal(signal.SIGSEGV)
    worker._process.wait()
    worker.ask(request(run, tmp_path / "a.exr"))
    assert (tmp_path / "a.exr").exists()


def test_a_process_that_dies_in_a_request(run, tmp_path):
    """The error tells the exit status, and the next request starts another process."""
    with BlenderWorker() as worker:
        prepare_cads(run, worker, [("car", cad) for cad in run.inventory.cads["car"]])
        os.kill(worker._process.pid, signal.SIGSTOP)
        threading.Timer(0.3, os.kill, (worker._process.pid, signal.SIGKILL)).start()
        with pytest.raises(BlenderError, match="ended with status -9"):
            worker.ask(request(run, tmp_path / "a.exr"))
        worker.ask(request(run, tmp_path / "a.exr"))


def test_a_hang_is_ended(run, tmp_path):
    with BlenderWorker(timeout_s=1.0) as worker:
        with pytest.raises(BlenderError, match="no answer in 1 s"):
            worker.ask(request(run, tmp_path / "a.exr"))  # importing bpy alone takes longer than this process is given
        assert worker._process is None


def test_an_object_outside_the_picture_is_refused(run, worker, tmp_path):
    prepare_cads(run, worker, [("car", cad) for cad in run.inventory.cads["car"]])
    camera = {"focal_px": 400.0, "principal_px": [900.0, 32.0], "image_hw": [64, 96]}
    with pytest.raises(BlenderError, match="outside the picture"):
        worker.ask(request(run, tmp_path / "a.exr", camera=camera))


def test_principal_point_off_centre_is_read_back(run, worker, tmp_path):
    prepare_cads(run, worker, [("car", cad) for cad in run.inventory.cads["car"]])
    camera = {"focal_px": 400.0, "principal_px": [30.0, 40.0], "image_hw": [64, 96]}
    answer = worker.ask(request(run, tmp_path / "a.exr", camera=camera))
    assert answer["principal_px"] == pytest.approx([30.0, 40.0], abs=1e-4)
    assert answer["focal_px"] == pytest.approx(400.0, abs=1e-4)


def test_real_cads_have_true_labels(tmp_path, data_dir):
    """Every category of the real CAD models: the stored pose projects each model onto its mask."""
    categories = sorted(path.name for path in (data_dir / "cad_pascal3d").iterdir())
    manifest = tmp_path / "real.toml"
    manifest.write_text(
        f"categories = {categories}\nsamples_per_category = 2\nshard_size = 2\n"
        f'[viewpoint]\ndistribution = "so3"\n'
        f'[cad]\nsource = "{data_dir}/cad_pascal3d"\n[camera]\nimage_hw = [128, 160]\nfocal_px = 700\n'
        f'[render]\nsamples = 1\n[texture]\nsource = "{data_dir}/dtd10"\n'
        f'[background]\nsource = "{data_dir}/backgrounds"\n'
    )
    run = create_run(tmp_path / "run", manifest)
    ledgers = list(run_shards(render_shard, str(run.root), run.all_shards(), 2, int))
    assert [failure for ledger in ledgers for failure in ledger.failures] == []
    ious = [
        json.loads(members["json"])["mask_iou"]
        for shard in run.all_shards()
        for _, members in read_shard(run.tar("render", shard))
    ]
    assert len(ious) == 2 * len(categories)
    assert min(ious) >= 0.98


def test_inventory_ids(assets, manifest_path, run):
    inventory = take_inventory(run.manifest, manifest_path.parent)
    assert [asset.id for asset in inventory.textures] == ["banded/banded_0001", "dotted/dotted_0001"]
    save_picture(assets / "textures" / "dotted" / "dotted_0002.png", 9)
    assert len(take_inventory(run.manifest, manifest_path.parent).textures) == 3
    with Image.open(inventory.backgrounds[0].path) as picture:
        assert picture.size == (120, 90)
