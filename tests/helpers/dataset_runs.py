"""Small finished runs to make datasets of, without Blender."""

import json
from dataclasses import replace

import pytest

from p3d_gen.core.categories import BUILTIN
from p3d_gen.core.symmetry import Symmetry
from p3d_gen.pack.stage import pack_shard
from p3d_gen.run.cad_model import save_cad
from p3d_gen.run.ledgers import seal, stage_inputs
from p3d_gen.run.local import run_shards
from p3d_gen.run.shards import read_shard
from p3d_gen.run.store import create_run
from p3d_gen.stylize.stage import stylize_shard
from tests.helpers.assets import MANIFEST, save_picture, wedge
from tests.helpers.fake_runs import body, fake_render

# both libraries leave the closing of their files to the garbage collector
LEAKY_READER = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")


def make_assets(root, cads=5, textures=4, backgrounds=5):
    """Models of two categories, textures and backgrounds, in root/assets."""
    for category in ("car", "chair"):
        for i in range(cads):
            path = root / "assets" / "cad" / category / f"m{i}.off"
            path.parent.mkdir(parents=True, exist_ok=True)
            wedge().export(path)
    for i in range(textures):
        save_picture(root / "assets" / "textures" / "dotted" / f"dotted_{i:04d}.jpg", i)
    for i in range(backgrounds):
        save_picture(root / "assets" / "backgrounds" / f"b{i}.jpg", i, (90, 120))


def render(run):
    """Seal all render shards, of models with keypoints; all but the first model lack one."""
    for category, cads in run.inventory.cads.items():
        for i, cad in enumerate(cads):
            model = body(1.0 + 0.1 * i)
            names = BUILTIN[category].keypoints
            points = dict(zip(names, model.vertices, strict=False))
            if i:
                del points[names[0]]
            save_cad(run.cad_file(category, cad.id), replace(model, keypoints=points, symmetry=Symmetry.of_order(i)))
    for shard in run.all_shards():
        category, indices = run.members_of(shard)
        samples = [fake_render(run, category, index) for index in indices]
        seal(run, "render", shard, stage_inputs(run, "render"), samples, [])


def packed_run(folder, seed=3, samples=12, more="", cad=""):
    """A finished run in a new folder, of the assets beside it. more: sections to add to its manifest;
    cad: a key of its section cad."""
    text = (
        MANIFEST.replace("seed = 3", f"seed = {seed}")
        .replace("shard_size = 2", "shard_size = 5")
        .replace("[cad]", f"[cad]\n{cad}")
    )
    manifest = folder.with_suffix(".toml")
    manifest.write_text(text.replace("samples_per_category = 3", f"samples_per_category = {samples}") + more)
    run = create_run(folder, manifest)
    render(run)
    for stage in (stylize_shard, pack_shard):
        ledgers = list(run_shards(stage, str(run.root), run.all_shards(), 1, int))
        assert sum(ledger.count for ledger in ledgers) == 2 * samples
    return run


def samples_of(paths):
    """{key: members} of some tars."""
    return {key: members for path in paths for key, members in read_shard(path)}


def run_samples(run):
    """{key: members} of a run's packed shards."""
    return samples_of(run.tar("shards", shard) for shard in run.all_shards())


def labels_of(members):
    return json.loads(members["json"])


def tree(root):
    """{path: bytes} of all files under a folder."""
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
