"""Samples of a run made again through all stages, and compared bit by bit with those in the run."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from p3d_gen.blender.client import BlenderError
from p3d_gen.core.codecs import decode_image, decode_npz
from p3d_gen.core.errors import AssetError, RunError, did_you_mean
from p3d_gen.core.types import RenderSpec
from p3d_gen.pack.stage import pack_around, pack_sample
from p3d_gen.render.stage import ShardRenderer, Supervision
from p3d_gen.run.files import write_bytes
from p3d_gen.run.ledgers import Failure, Remarks, upstream_ledger
from p3d_gen.run.shards import Members, read_shard
from p3d_gen.run.store import RunFolder
from p3d_gen.run.versions import changed
from p3d_gen.spec.sampling import packed_key, render_key, sample_key, spec
from p3d_gen.stylize.stage import stylized
from p3d_gen.stylize.stylization import Stylization

_SHOWN_LABELS = 4


@dataclass(frozen=True, kw_only=True)
class ReplayedSample:
    """A sample made again.

    made: "<stage>/<key>" -> members, as far as the stages came. differences: from the run's sample, none if both are
    the same to the bit. build: the versions that differ from those that made the run, "" if all are the same.
    """

    key: str
    shard: str
    made: dict[str, Members]
    differences: tuple[str, ...]
    build: str


def find_sample(run: RunFolder, key: str) -> tuple[str, str, int]:
    """Return the shard, the category and the index of the key of a render or composite. RunError if the run has no such
    key."""
    category, _, number = render_key(key).rpartition("-")
    if category not in run.manifest.categories:
        raise RunError(f"{run.root} has no sample {key!r}{did_you_mean(category, run.manifest.categories)}")
    index = int(number) if number.isdecimal() else -1
    if not 0 <= index < run.manifest.samples_per_category or sample_key(category, index) != render_key(key):
        last = sample_key(category, run.manifest.samples_per_category - 1)
        raise RunError(f"{run.root} has no sample {key!r}: they run from {sample_key(category, 0)} to {last}")
    return run.shards(category)[index // run.manifest.shard_size], category, index


def _picture_difference(stored: bytes, made: bytes, rounding: float) -> str:
    a, b = decode_image(stored).astype(int), decode_image(made).astype(int)
    if a.shape != b.shape:
        return f"is {a.shape} in the run, {b.shape} now"
    apart = np.abs(a - b)
    if apart.mean() <= rounding:
        return ""
    pixels = np.count_nonzero(apart.reshape(*a.shape[:2], -1).any(axis=-1))
    return f"differs in {pixels} of {a.shape[0] * a.shape[1]} pixels, by {apart.max()} of 255 at most"


def _arrays_difference(stored: bytes, made: bytes) -> str:
    a, b = decode_npz(stored), decode_npz(made)
    if {name: x.shape for name, x in a.items()} != {name: x.shape for name, x in b.items()}:
        return "holds other arrays"
    apart = {name: float(np.abs(a[name].astype(float) - b[name].astype(float)).max()) for name in a}
    return "differs: " + ", ".join(f"{name} by {largest:.3g} at most" for name, largest in apart.items())


def _json_difference(stored: bytes, made: bytes) -> str:
    a, b = json.loads(stored), json.loads(made)
    names = [name for name in a | b if a.get(name) != b.get(name)]
    told = [f"{name} is {a.get(name)!r} in the run, {b.get(name)!r} now" for name in names[:_SHOWN_LABELS]]
    more = [f"{len(names) - _SHOWN_LABELS} more labels"] if len(names) > _SHOWN_LABELS else []
    return "differs: " + ("; ".join(told + more) or "its labels stand in another order")


def _member_difference(member: str, stored: bytes, made: bytes, rounding: float) -> str:
    if member.endswith("json"):
        return _json_difference(stored, made)
    if member.endswith("npz"):
        return _arrays_difference(stored, made)
    return _picture_difference(stored, made, rounding)


def differences(stored: Members, made: Members, rounding: float = -1.0) -> Iterator[str]:
    """Describe the differences between the members of a sample and those made again, one text for each member that
    differs.

    rounding: pictures count as the same if their pixels differ by no more than that on average. Damaged members raise
    the errors of their decoders.
    """
    for member in stored | made:
        if member not in made or member not in stored:
            yield f"{member} is there {'in the run' if member in stored else 'now'} only"
        elif stored[member] != made[member]:
            told = _member_difference(member, stored[member], made[member], rounding)
            yield from [f"{member} {told}"] if told else []


def composed(run: RunFolder, number: int, members: Members, packed: Members) -> Members:
    """Make composite `number` of a render, from the members of its render and stylized picture.

    If the run's own composite, `packed`, has a pose residual from `p3dgen pack --residuals`, that is taken over: no
    stage makes it.
    """
    return pack_sample(run, members, number, _residual(members, packed))


def _residual(members: Members, packed: Members) -> dict[str, Any]:
    theirs, mine = json.loads(packed["json"]), json.loads(members["stylize.json"])
    given = {"pose_residual_deg"} & (theirs.keys() - mine.keys())
    return {name: theirs[name] for name in given}


def composed_around(run: RunFolder, number: int, members: Members, packed: Members) -> Members:
    """Make what `composed` makes, except the picture, whose background is not there."""
    return pack_around(run, members, number, _residual(members, packed), json.loads(packed["json"]))


def _stored(run: RunFolder, stage: str, shard: str, keys: Sequence[str]) -> dict[str, Members]:
    """Return those of the samples that the run holds; RunError if it holds none."""
    ledger = upstream_ledger(run, stage, shard)
    there = dict(read_shard(run.tar(stage, shard), keys=keys)) if ledger.count else {}
    if not there:
        reasons = [failure.reason for failure in ledger.failures if failure.key in keys]
        raise RunError(f"{run.tar(stage, shard)} holds no {keys[0]}, which failed: {', '.join(reasons[:1])}")
    return there


def _batch(run: RunFolder, stylization: Stylization, shard: str, key: str) -> list[str]:
    """Return the keys of the samples that were stylized in one call with this one: its last bits depend on them."""
    keys = [key for key, _ in read_shard(run.tar("render", shard), only="json")]
    first = keys.index(key) // stylization.settings.batch * stylization.settings.batch
    return keys[first : first + stylization.settings.batch]


def _restylized(
    run: RunFolder, stylization: Stylization, shard: str, key: str, render: Members, device: str
) -> Members:
    """Stylize the sample again, with its neighbours as the run has them. ValueError if its picture is refused."""
    batch = dict(read_shard(run.tar("render", shard), keys=_batch(run, stylization, shard, key))) | {key: render}
    failures: list[Failure] = []
    made = dict(stylized(run, stylization, batch.items(), failures, device, Remarks()))
    if key not in made:
        raise ValueError(next(failure.reason for failure in failures if failure.key == key))
    return made[key]


def _makings(
    run: RunFolder, stylization: Stylization, shard: str, sample: RenderSpec, renderer: ShardRenderer, device: str
) -> Iterator[tuple[str, str, Members, Members]]:
    """Yield, stage by stage: the stage, the key, the members that the run holds, and the same made again."""
    key = sample.key
    stored = {stage: _stored(run, stage, shard, (key,))[key] for stage in ("render", stylization.stage)}
    composites = {packed_key(run.manifest, key, n): n for n in range(run.manifest.background.per_render)}
    packed = _stored(run, stylization.packed, shard, tuple(composites))
    background = json.loads(stored["render"]["json"])["background_id"]  # packing draws it again
    render = renderer.sample(replace(sample, background_id=background))
    yield "render", key, stored["render"], render
    picture = _restylized(run, stylization, shard, key, render, device)
    yield stylization.stage, key, stored[stylization.stage], picture
    for one, theirs in packed.items():
        yield stylization.packed, one, theirs, composed(run, composites[one], render | picture, theirs)


def _replay(run: RunFolder, stylization: Stylization, key: str, renderer: ShardRenderer, device: str) -> ReplayedSample:
    shard, category, index = find_sample(run, key)
    sample = spec(run.manifest, run.inventory, category, index)
    key = sample.key
    made: dict[str, Members] = {}
    changes: list[str] = []
    try:
        for stage, one, theirs, mine in _makings(run, stylization, shard, sample, renderer, device):
            made[f"{stage}/{one}"] = mine
            where = stage if one == key else f"{stage} {one}"
            changes += [f"{where}: {told}" for told in differences(theirs, mine)]
    except (BlenderError, AssetError, ValueError) as error:
        changes.append(f"it cannot be made again: {error}")
    ledgers = [upstream_ledger(run, stage, shard) for stage in ("render", stylization.stage, stylization.packed)]
    build = changed({name: version for ledger in ledgers for name, version in ledger.made_with.items()})
    return ReplayedSample(key=key, shard=shard, made=made, differences=tuple(changes), build=build)


def replay_samples(
    run: RunFolder,
    stylization: Stylization,
    keys: Iterable[str],
    supervision: Supervision | None = None,
    device: str = "auto",
) -> Iterator[ReplayedSample]:
    """Make samples again: by Blender, by the stylization's own pipeline in the same batches, and composited.

    keys: of renders, or of any of their composites, all of which are made. supervision: of the Blender process;
    device: of the stylizer. RunError if the run does not hold a sample, or its shards are not what their ledgers say.
    """
    with (supervision or Supervision()).worker() as worker:
        for key in keys:
            _, category, _ = find_sample(run, key)
            yield _replay(run, stylization, key, ShardRenderer(run, worker, category), device)


def write_members(folder: Path, replay: ReplayedSample) -> int:
    """Write the members as FOLDER/<stage>/<key>.<member>; return the number of files."""
    files = {f"{path}.{member}": content for path, made in replay.made.items() for member, content in made.items()}
    for name, content in files.items():
        write_bytes(folder / name, content)
    return len(files)
