"""Packed runs with other backgrounds and blends: bytes that stay, several composites of a render, options that are
told."""

import functools
import hashlib
import json

import numpy as np
import pytest

from p3d_gen.core.codecs import decode_image
from p3d_gen.core.composite import composite
from p3d_gen.core.errors import AssetError, RunError
from p3d_gen.core.silhouette import camera_of
from p3d_gen.dataset.schema import label_faults
from p3d_gen.pack.backgrounds import surroundings
from p3d_gen.pack.stage import ResidualFilter, pack_sample, pack_shard
from p3d_gen.report.sheet import write_contact_sheet
from p3d_gen.run.ledgers import read_ledger
from p3d_gen.run.local import run_shards
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import create_run, open_run
from p3d_gen.spec.manifest import parse_manifest
from p3d_gen.spec.sampling import backdrop, packed_key, render_key, spec
from p3d_gen.stylize.judge import write_residuals
from p3d_gen.stylize.stage import stylize_shard
from tests.helpers.assets import MANIFEST, edit, make_assets, save_picture
from tests.helpers.fake_runs import fake_renders

SIZE = {"image_hw": [96, 128]}
PNG = '[output]\nimage_format = "png"\nmembers = ["mask", "depth", "stylized"]\n'


def packed(folder, manifest_path, background="", more="", name="run", residual_filter=None):
    """A packed run of `manifest_path` with more keys of its section background, and more sections."""
    changed = manifest_path.with_name(f"{name}.toml")
    changed.write_text(manifest_path.read_text().replace("[background]\n", f"[background]\n{background}\n") + more)
    run = create_run(folder / name, changed)
    fake_renders(run)
    for stage in (stylize_shard, functools.partial(pack_shard, residual_filter=residual_filter)):
        list(run_shards(stage, str(run.root), run.all_shards(), 1, int))
    return run


def samples_of(run, stage="shards"):
    return {key: members for shard in run.all_shards() for key, members in read_shard(run.tar(stage, shard))}


def labels_of(members):
    return json.loads(members["json"])


def picture_of(members):
    return decode_image(members["png"])


GOLDEN = {
    "soft": {
        "car-000000": "671a95bb739a86bd",
        "car-000001": "2ce6f33f6cb4fb0e",
        "car-000002": "c6e0f41e1a6166a4",
        "chair-000000": "ec614649a75cbc64",
        "chair-000001": "a24933c8fde7ba32",
        "chair-000002": "65e20da82b086429",
    },
    "hard": {
        "car-000000": "8455d8c7ac706109",
        "car-000001": "8e571ae6fcd6dc7c",
        "car-000002": "5af4477e20302b80",
        "chair-000000": "49c4fa46201c3e9f",
        "chair-000001": "a94da72a37ac420a",
        "chair-000002": "7cb70f61710a5eb8",
    },
}


def fingerprint(members, image_format):
    """Of the picture's pixels, and of the names of members and labels in their order, without later ones."""
    labels = labels_of(members)
    names = [name for name in labels if name not in ("symmetries", "diagonal_m")]
    told = [list(members), names, labels["key"], labels["background_id"]]
    return hashlib.sha256(decode_image(members[image_format]).tobytes() + json.dumps(told).encode()).hexdigest()[:16]


def test_samples_stay_what_they_were_before_there_were_options(tmp_path, manifest_path):
    """Numbers from the version before them."""
    soft = packed(tmp_path, manifest_path)
    assert {key: fingerprint(each, "jpg") for key, each in samples_of(soft).items()} == GOLDEN["soft"]
    more = '[occlusion]\nlevel = "L1"\n[output]\nimage_format = "png"\nmembers = ["mask", "occluders", "stylized"]\n'
    hard = packed(tmp_path, manifest_path, 'edge = "hard"', more, name="hard")
    assert {key: fingerprint(each, "png") for key, each in samples_of(hard).items()} == GOLDEN["hard"]


def test_soft_edges_stay_what_they_were():
    fore, back = (rng := np.random.default_rng([0, 1])).integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    coverage = rng.integers(0, 256, (40, 50), dtype=np.uint8)
    image = composite(fore, coverage, back)
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == "a106fcb3818a3405"
    exact = (coverage[..., None] * fore.astype(int) + (255 - coverage[..., None]) * back.astype(int)) / 255
    np.testing.assert_array_equal(image, np.rint(exact))


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """The packed samples of a run without options."""
    root = tmp_path_factory.mktemp("plain")
    make_assets(root / "assets")
    (root / "manifest.toml").write_text(MANIFEST)
    return samples_of(packed(root, root / "manifest.toml", more=PNG))


def test_several_composites_share_everything_but_their_background(tmp_path, manifest_path, plain):
    several = samples_of(packed(tmp_path, manifest_path, "per_render = 3", PNG, name="several"))
    assert set(several) == {f"{key}-b{number}" for key in plain for number in range(3)}
    own = {"key", "background_id", "composite"}
    for key, alone in plain.items():
        group = [several[f"{key}-b{number}"] for number in range(3)]
        np.testing.assert_array_equal(picture_of(group[0]), picture_of(alone))
        for number, members in enumerate(group):
            labels = labels_of(members)
            assert labels["key"] == f"{key}-b{number}"
            assert labels["composite"] == number
            assert label_faults(labels) == []
            assert {k: v for k, v in labels.items() if k not in own} == {
                k: v for k, v in labels_of(alone).items() if k not in own
            }
            assert {k: v for k, v in members.items() if k not in ("json", "png")} == {
                k: v for k, v in alone.items() if k not in ("json", "png")
            }
        assert len({members["png"] for members in group}) == 3
    assert len({labels_of(members)["background_id"] for members in several.values()}) > 1


def test_keys_of_composites():
    one, several = (
        parse_manifest({"categories": ["car"], "samples_per_category": 1, "background": {"per_render": n}}, "m")
        for n in (1, 13)
    )
    assert packed_key(one, "car-000001", 0) == render_key("car-000001") == "car-000001"
    assert packed_key(several, "car-000001", 12) == "car-000001-b12"
    assert render_key("car-000001-b12") == "car-000001"


def test_composites_are_counted_resumed_and_made_alone(tmp_path, manifest_path):
    """And their bytes do not depend on the order of shards."""
    run = packed(tmp_path, manifest_path, "per_render = 3")
    expected, before = samples_of(run), {shard: run.tar("shards", shard).read_bytes() for shard in run.all_shards()}
    for shard in run.all_shards()[1:]:
        run.tar("shards", shard).unlink()
    ticks = []
    ledgers = list(run_shards(pack_shard, str(run.root), run.all_shards()[::-1], 1, lambda: ticks.append(1)))
    assert [ledger.count for ledger in ledgers] == [3, 6, 3, 6]
    assert len(ticks) == 18
    assert before == {shard: run.tar("shards", shard).read_bytes() for shard in run.all_shards()}
    stylized = samples_of(run, "stylize")
    for key, members in samples_of(run, "render").items():
        assert pack_sample(run, members | stylized[key], 2) == expected[f"{key}-b2"]
    assert len(decode_image(write_contact_sheet(run, per_category=3).read_bytes())) == 6 * 222


def test_a_broken_background_fails_its_composites_only(tmp_path, assets, manifest_path):
    (assets / "backgrounds" / "b0.jpg").write_bytes(b"no picture")
    run = packed(tmp_path, manifest_path, "per_render = 4")
    failures = [each for shard in run.all_shards() for each in read_ledger(run, "shards", shard).failures]
    assert failures
    failed = {failure.key for failure in failures}
    assert failed | set(samples_of(run)) == {f"{render}-b{n}" for render in samples_of(run, "render") for n in range(4)}
    assert not failed & set(samples_of(run))
    assert {render_key(key) for key in samples_of(run)} == set(samples_of(run, "render"))


def test_pose_residuals_are_of_composites(tmp_path, manifest_path):
    keys = [f"{name}-{i:06d}-b{n}" for name in ("car", "chair") for i in range(3) for n in range(2)]
    residual = {key: 40.0 if key.endswith("2-b1") else 5.0 for key in keys}
    write_residuals(tmp_path / "r.json", residual, folds=2, by="cad")
    residual_filter = ResidualFilter(files=(tmp_path / "r.json",), max_deg=30)
    run = packed(tmp_path, manifest_path, "per_render = 2", residual_filter=residual_filter)
    assert {key: labels_of(each)["pose_residual_deg"] for key, each in samples_of(run).items()} == {
        key: degrees for key, degrees in residual.items() if degrees < 30
    }
    write_residuals(tmp_path / "r.json", {"car-000000": 1.0}, folds=2, by="cad")
    with pytest.raises(RunError, match="no pose residual of car-000000-b0"):
        packed(tmp_path, manifest_path, "per_render = 2", residual_filter=residual_filter)


MATCHED = "shadow = 0.7\nmatch_colour = 0.5\nmatch_blur = 1.0"


def test_what_is_done_to_match_is_told_and_no_label_changes(tmp_path, manifest_path, plain):
    matched = samples_of(packed(tmp_path, manifest_path, MATCHED, PNG, name="matched"))
    for key, members in matched.items():
        labels, before = labels_of(members), labels_of(plain[key])
        assert label_faults(labels) == []
        done = {name: labels.pop(name) for name in labels.keys() - before.keys()}
        assert done.pop("blur_px") >= 0
        assert done == {"shadow": 0.7, "match_colour": 0.5}
        assert labels == before
        assert {k: v for k, v in members.items() if k not in ("json", "png")} == {
            k: v for k, v in plain[key].items() if k not in ("json", "png")
        }
        assert (picture_of(members) != picture_of(plain[key])).any()
    types = {tuple((name, type(value)) for name, value in labels_of(each).items()) for each in matched.values()}
    assert len(types) == 1


def test_a_shadow_falls_on_the_background_alone(tmp_path, manifest_path, plain):
    shaded = samples_of(packed(tmp_path, manifest_path, "shadow = 0.8", PNG, name="shaded"))
    fell = 0
    for key, members in shaded.items():
        mask = decode_image(members["mask.png"]) > 0
        image, before = picture_of(members), picture_of(plain[key])
        np.testing.assert_array_equal(image[mask], before[mask])
        assert (image <= before).all()
        fell += (image < before).any()
        if labels_of(members)["elevation_rad"] > 0.03:
            assert (image < before).any()
    assert fell


def test_each_category_has_its_own_backgrounds(tmp_path, assets, manifest_path):
    for i in range(3, 9):
        save_picture(assets / "backgrounds" / f"b{i}.jpg", i)
    run = packed(tmp_path, manifest_path, 'draw = "disjoint"\nper_render = 8')
    cars, chairs = ({asset.id for asset in run.inventory.backgrounds_of(name)} for name in ("car", "chair"))
    assert not cars & chairs
    assert {len(cars), len(chairs)} == {4, 5}
    for members in samples_of(run).values():
        labels = labels_of(members)
        assert labels["background_id"] in (cars if labels["category"] == "car" else chairs)
    again = tmp_path / "again.toml"
    again.write_text((tmp_path / "run.toml").read_text().replace("seed = 3", "seed = 4"))
    assert create_run(tmp_path / "again", again).inventory.background_sets == run.inventory.background_sets
    assert open_run(run.root).inventory == run.inventory


def test_backgrounds_by_pattern(tmp_path, manifest_path):
    sets = 'draw = "sets"\nsets.car = ["b0"]\nsets.chair = ["b[12]"]'
    for members in samples_of(packed(tmp_path, manifest_path, sets)).values():
        labels = labels_of(members)
        assert labels["background_id"] in (["b0"] if labels["category"] == "car" else ["b1", "b2"])


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('draw = "sets"\nsets.car = ["b0"]\nsets.chair = ["c*"]', r"background\.sets\.chair = \['c\*'\]: none of"),
        ('draw = "disjoint"', "needs a background for each of 2 categories, and background.source holds 1"),
    ],
)
def test_too_few_backgrounds_are_named(tmp_path, assets, manifest_path, keys, said):
    for name in ("b1.jpg", "b2.jpg"):
        (assets / "backgrounds" / name).unlink()
    edit(manifest_path, ("[background]\n", f"[background]\n{keys}\n"))
    with pytest.raises(AssetError, match=said):
        create_run(tmp_path / "run", manifest_path)


def test_the_light_is_the_background(tmp_path, manifest_path):
    """Each sample is packed before the map that lights it, as its camera sees it."""
    edit(manifest_path, ('source = "assets/backgrounds"', 'draw = "environment"'))
    run = packed(tmp_path, manifest_path, more='[light]\nkind = "hdri"\n' + PNG)
    for members in samples_of(run).values():
        labels = labels_of(members)
        sample = spec(run.manifest, run.inventory, labels["category"], labels["index"])
        assert labels["background_id"] == labels["hdri_id"] == sample.environment.hdri_id
        before = backdrop(run.manifest, run.inventory, labels["category"], labels["index"])
        assert before.environment == sample.environment
        path = run.inventory.background_files[before.background_id]
        scene = surroundings(path, sample.environment, np.array(labels["cam_T_obj"]), camera_of(labels))
        mask = decode_image(members["mask.png"]) > 0
        np.testing.assert_array_equal(picture_of(members)[~mask], scene[~mask])


@pytest.mark.blender
def test_surroundings_are_those_that_blender_shows():
    """In any pose, with the principal point off the middle."""
    from p3d_gen.bench.scenes import Scenes, temporary_run
    from p3d_gen.blender.client import BlenderWorker
    from p3d_gen.blender.passes import read_passes

    with (
        temporary_run(
            ["car"],
            2,
            2,
            cad={"variants": [0, 1]},
            camera=SIZE | {"focal_px": 100.0, "distance": [2.0, 2.0]},
            viewpoint={"distribution": "so3"},
            light={"kind": "hdri", "include": ["city", "sunrise"]},
            background={"draw": "environment"},
            occlusion={"truncation": [0.2, 0.3]},
            render={"samples": 4},
        ) as run,
        BlenderWorker() as worker,
    ):
        scenes = Scenes(run, worker)
        for index in range(2):
            request = scenes.request("car", index)
            opaque = {"render.film_transparent": False, "render.use_border": False}
            answer = scenes.render(request, opaque, write=True).render
            shown = read_passes(request.target)
            empty, colours = shown.index == 0, shown.rgba[..., :3].astype(int)
            before = backdrop(run.manifest, run.inventory, "car", index)
            path = run.inventory.background_files[before.background_id]
            mine = surroundings(path, before.environment, np.array(answer.cam_T_obj), answer.camera)
            apart = np.abs(mine - colours)[empty].mean()
            assert apart < 2  # a camera's filter is wider than a pixel
            for wrong in (np.roll(mine, 4, axis=0), np.roll(mine, 4, axis=1), mine[:, ::-1]):
                assert np.abs(wrong - colours)[empty].mean() > 2 * apart


def test_backdrops_do_not_depend_on_how_many_there_are(run):
    many = run.manifest.model_copy(update={"background": run.manifest.background.model_copy(update={"per_render": 9})})
    for index in range(3):
        first = spec(run.manifest, run.inventory, "car", index)
        drawn = [backdrop(run.manifest, run.inventory, "car", index, number) for number in range(50)]
        assert drawn == [backdrop(many, run.inventory, "car", index, number) for number in range(50)]
        assert (first.background_id, first.background_window) == (drawn[0].background_id, drawn[0].window)
        assert len({each.window for each in drawn}) == 50
        assert {each.background_id for each in drawn} == {"b0", "b1", "b2"}
