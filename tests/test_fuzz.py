"""Mutated manifests, ledgers and shards: a correct result or a clear error, and nothing written outside the run."""

import hashlib
import io
import json
import shutil
import signal
import struct
import tarfile
import traceback
import zipfile
import zlib
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from fake_runs import packed_run

from p3d_gen.cli import main
from p3d_gen.errors import P3DError
from p3d_gen.sampling import spec
from p3d_gen.store import create_run, open_run, read_ledger

FAST, ALL = 200, 1000
PATIENCE_S = 30
MANIFEST = """
seed = 1
categories = ["car", "chair"]
samples_per_category = 2
shard_size = 1

[cad]
source = "embedded"
variants = [0, 2]

[viewpoint]
coverage = "stratified"

[camera]
image_hw = [32, 48]
focal_px = 200.0
distance = [5.0, 6.0]

[background]
source = "backgrounds"
edge = "soft"
shadow = 0.5

[stylize]
resolution = 64
colours = ["red", "blue"]

[output]
members = ["mask", "depth", "normals"]
image_format = "png"
"""
STAGES = ("render", "stylize", "shards")
TRAVERSAL = ("../../outside.png", "/tmp/p3dgen-fuzz-outside.png", "..", ".", "car-000000/../../x.json", "", "\\..\\x")
VALUES = (
    None,
    True,
    -1,
    0,
    1e308,
    10**30,
    "",
    "../../outside",
    "\x00",
    "car",
    [],
    {},
    [[]],
    {"a": None},
    [1, "x", None],
)


# Mutations: (rng, content) -> content


def truncated(rng, content):
    return content[: rng.integers(len(content) + 1)]


def flipped(rng, content):
    """Up to eight bits turned over."""
    changed = bytearray(content)
    for where in rng.integers(len(content), size=rng.integers(1, 9)):
        changed[where] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def reordered(rng, content):
    """Two pieces in each other's place: lines of a text, blocks of a tar."""
    if b"\0" in content:
        pieces = [content[i : i + 512] for i in range(0, len(content), 512)]
    else:
        pieces = content.splitlines(keepends=True)
    i, j = rng.integers(len(pieces), size=2)
    pieces[i], pieces[j] = pieces[j], pieces[i]
    return b"".join(pieces)


def doubled(rng, content):
    """A piece twice."""
    i, j = sorted(rng.integers(len(content) + 1, size=2))
    return content[:j] + content[i:]


RAW = (truncated, flipped, reordered, doubled)


def revalued(rng, content):
    """A value of a JSON text, at any depth, that is another one, gone, or renamed."""
    data = json.loads(content)
    place = data
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = keys[rng.integers(len(keys))]
        if not isinstance(place[key], dict | list) or not place[key] or rng.random() < 0.3:
            break
        place = place[key]
    if rng.random() < 0.2:
        del place[key]
    elif rng.random() < 0.1 and isinstance(place, dict):
        place[f"{key}x"] = place.pop(key)
    else:
        place[key] = VALUES[rng.integers(len(VALUES))]
    return json.dumps(data).encode()


def rekeyed(rng, content):
    """A value of a TOML text that is another one."""
    lines = content.decode().splitlines()
    places = [i for i, line in enumerate(lines) if " = " in line]
    i = places[rng.integers(len(places))]
    values = ("-1", "0", "1e308", "inf", "nan", "9" * 30, '""', '"../../.."', '"${HOME}"', "[]", "[[1]]", "{}", "true",
              "[0, 1000000000]", "[8192, 8192]", "10000000", "1979-05-27", '"\\u0000"', '["car"]', '"car"',
              "1", "3", "0.2", "0.5", "64", "[1, 2]", "[2.0, 3.0]", "[40, 64]", '["car", "boat"]', '["mask"]',
              '"random"', '"hard"', '"jpg"', '["black"]', '"embedded"', "false")  # fmt: skip
    lines[i] = lines[i].partition(" = ")[0] + " = " + values[rng.integers(len(values))]
    return "\n".join(lines).encode()


def renumbered(rng, content):
    """A digit that is another one."""
    places = [i for i, byte in enumerate(content) if chr(byte).isdigit()]
    changed = bytearray(content)
    changed[places[rng.integers(len(places))]] = ord("0") + int(rng.integers(10))
    return bytes(changed)


# Harmful members


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_bomb(side):
    """A PNG that says that it is that wide and high, all zeros as far as they go."""
    zeros = zlib.compressobj(1)
    body = b"".join(zeros.compress(bytes(2**20)) for _ in range(min(side * (side + 1) >> 20, 128) + 1)) + zeros.flush()
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def npz_bomb(gigabytes, honest=True):
    """An npz whose array says that it is that large; where it is honest, it holds as many zeros."""
    buffer, head = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        head, {"descr": "|u1", "fortran_order": False, "shape": (int(gigabytes * 2**30),)}
    )
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name in ("depth", "normals"):
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                file.write(head.getvalue())
                for _ in range(int(gigabytes * 64) if honest else 1):
                    file.write(bytes(2**24))
    return buffer.getvalue()


def pickled():
    buffer = io.BytesIO()
    np.savez(buffer, depth=np.array([{}], object), normals=np.array([{}], object))
    return buffer.getvalue()


def harmful(rng, large):
    """A member that does harm when it is decoded without a look. large: it may take seconds to make."""
    kinds = [
        lambda: ("render.png", png_bomb(100_000)),
        lambda: ("stylized.png", png_bomb(12_000)),
        lambda: ("mask.png", png_bomb(9_000)),
        lambda: ("depth.npz", npz_bomb(40, honest=False)),
        lambda: ("normals.npz", pickled()),
        lambda: ("depth.npz", b"PK\x05\x06" + bytes(18)),
        lambda: ("json", b"[" * 100_000),
        lambda: ("stylize.json", b'{"survival": NaN}'),
    ] + large * [lambda: ("depth.npz", npz_bomb(0.6)), lambda: ("normals.npz", npz_bomb(0.6))]
    return kinds[rng.integers(len(kinds))]()


# Cases


def tar_of(entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def entries_of(path):
    with tarfile.open(path, "r:") as tar:
        return [(info, tar.extractfile(info).read()) for info in tar]


def renamed(rng, entries, large):
    """A member under another name, of another kind, twice, or gone."""
    i = int(rng.integers(len(entries)))
    info, content = entries[i]
    match rng.integers(5):
        case 0:
            info.name = TRAVERSAL[rng.integers(len(TRAVERSAL))] or f"{info.name}/"
        case 1:
            info.type = (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE)[rng.integers(4)]
            info.linkname, info.size, content = "/etc/passwd", 0, b""
            entries[i] = info, content
        case 2:
            entries.insert(int(rng.integers(len(entries))), (info, content))
        case 3:
            del entries[i]
        case 4:
            entries.append(entries.pop(i))
    return entries


def remade(rng, entries, large):
    """A member with other content."""
    i = int(rng.integers(len(entries)))
    info, content = entries[i]
    if rng.random() < 0.3:
        member, content = harmful(rng, large)
        i = next((j for j, (each, _) in enumerate(entries) if each.name.partition(".")[2] == member), i)
        info = entries[i][0]
    elif info.name.endswith("json") and rng.random() < 0.7:
        content = revalued(rng, content)
    else:
        content = RAW[rng.integers(len(RAW))](rng, content)
    info.size = len(content)
    entries[i] = info, content
    return entries


def mutate_shard(rng, run, large):
    """A shard whose ledger says so, as one would make it who means harm, or does not, as a broken disk would."""
    shards = run.all_shards()
    stage, shard = STAGES[rng.integers(3)], shards[rng.integers(len(shards))]
    tar, path = run.tar(stage, shard), run.tar(stage, shard).with_suffix(".json")
    ledger = asdict(read_ledger(run, stage, shard))
    if rng.random() < 0.25:
        content = RAW[rng.integers(len(RAW))](rng, tar.read_bytes())
    else:
        change = renamed if rng.random() < 0.4 else remade
        content = tar_of(change(rng, entries_of(tar), large))
    tar.write_bytes(content)
    if rng.random() < 0.8:
        path.write_text(json.dumps(ledger | {"sha256": hashlib.sha256(content).hexdigest()}))
    return stage


def mutate_text(rng, path):
    content = path.read_bytes()
    change = revalued if rng.random() < 0.6 else RAW[rng.integers(len(RAW))]
    path.write_bytes(change(rng, content))


def mutate_ledger(rng, run, large):
    shards = run.all_shards()
    stage, shard = STAGES[rng.integers(3)], shards[rng.integers(len(shards))]
    mutate_text(rng, run.tar(stage, shard).with_suffix(".json"))
    return stage


def mutate_run(rng, run, large):
    mutate_text(rng, run.root / "run.json")
    return STAGES[rng.integers(3)]


@contextmanager
def patience():
    """TimeoutError where the block hangs."""

    def give_up(*_):
        raise TimeoutError(f"no end after {PATIENCE_S} s")

    signal.signal(signal.SIGALRM, give_up)
    signal.alarm(PATIENCE_S)
    try:
        yield
    finally:
        signal.alarm(0)


def commands(run, out):
    """What may be done with a run, each with the stages before it that may be damaged."""
    return [
        ("status", run, "--json"),
        ("stylize", run, "--workers", 1),
        ("pack", run, "--workers", 1),
        ("verify", run, "--workers", 1),
        ("sheet", run),
        ("report", run, "--samples", 2),
        ("licences", run),
        ("provenance", run),
        ("dataset", "make", run, "--out", out / "dataset", "--split", "train=1"),
        *(("export", kind, run, "--out", out / kind) for kind in ("coco", "bop", "pascal3d", "nemo")),
        ("read", run),
    ]


def forget_after(run, stage, rng):
    """Let stages after a damaged one be made again."""
    if rng.random() < 0.7:
        for later in STAGES[STAGES.index(stage) + 1 :]:
            for ledger in (run / later).glob("*.json"):
                ledger.unlink()


def read_samples(run):
    """Read all packed samples as trainings do: they are there, or a ValueError says what is wrong."""
    from pose_models.data.shards import ShardSamples

    with suppress(ValueError):
        list(ShardSamples(sorted((run / "shards").glob("*.tar"))))


def attempt(arguments):
    """Run a command: it succeeds, or says in a message what is wrong."""
    if arguments[0] == "read":
        read_samples(arguments[1])
        return
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"{arguments}: {type(result.exception).__name__}") from result.exception
    assert result.exit_code in (0, 1, 2), result.output
    assert "Traceback" not in result.output
    assert result.exit_code == 0 or "Error: " in result.output, result.output


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    """A finished run of four samples in four shards."""
    run, ledgers = packed_run(tmp_path_factory.mktemp("sound"), MANIFEST, (40, 60))
    assert all(ledger.count == 1 for ledger in ledgers)
    return run


def files(folder):
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


MUTATE = {"run": mutate_run, "ledger": mutate_ledger, "shard": mutate_shard}
SHARES = {"manifest": 0.3, "run": 0.05, "ledger": 0.25, "shard": 0.4}
NUMBERS = {"manifest": 1, "run": 2, "ledger": 3, "shard": 4}


def damaged_run(rng, target, sound, folder, large):
    """A mutated copy of a run, and a command on it."""
    run = open_run(shutil.copytree(sound.root, folder / "run"))
    stage = MUTATE[target](rng, run, large)
    forget_after(run.root, stage, rng)
    every = commands(run.root, folder / "out")
    attempt(every[rng.integers(len(every))])


def damaged_manifest(rng, sound, folder):
    """A mutated manifest beside the true one's sources, and what is begun with it."""
    path = sound.root.parent / f"manifest-{folder.name}.toml"
    changes = (rekeyed, rekeyed, renumbered, *RAW)
    change = changes[rng.integers(len(changes))]
    try:
        path.write_bytes(change(rng, (sound.root.parent / "manifest.toml").read_bytes()))
        attempt(("assets", "list", path))
        with suppress(P3DError):
            run = create_run(folder / "run", path)
            assert open_run(run.root) == run
            for category in run.manifest.categories:
                assert spec(run.manifest, run.inventory, category, 0).category == category
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize(("cases", "large"), [(FAST, False), pytest.param(ALL, True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("target", SHARES)
def test_what_is_mutated_is_read_rightly_or_refused_in_words(tmp_path, sound, monkeypatch, target, cases, large):
    """Within the patience, with nothing written outside the run and the folder that a command was given."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    before, failed = files(sound.root.parent), []
    for number in range(int(cases * SHARES[target])):
        rng = np.random.default_rng([NUMBERS[target], 1, number])
        folder = tmp_path / "cases" / str(number)
        folder.mkdir(parents=True)
        try:
            with patience():
                if target == "manifest":
                    damaged_manifest(rng, sound, folder)
                else:
                    damaged_run(rng, target, sound, folder, large)
        except Exception as error:
            failed.append(
                f"case {number}: {error!r}\n" + "".join(traceback.format_exception(error.__cause__ or error)[-4:])
            )
        assert {path.name for path in folder.iterdir()} <= {"run", "out"}
        shutil.rmtree(folder)
    assert files(sound.root.parent) == before
    assert {path.name for path in tmp_path.iterdir()} <= {"here", "cases"}
    assert not files(tmp_path)
    assert not Path("/tmp/p3dgen-fuzz-outside.png").exists()
    assert not failed, f"{len(failed)}\n" + "\n".join(failed)
