"""What the fuzz tests do to manifests, ledgers and shards."""

import hashlib
import io
import json
import struct
import tarfile
import zipfile
import zlib
from dataclasses import asdict

import numpy as np

from p3d_gen.run.files import sealed_json
from p3d_gen.run.ledgers import read_ledger
from tests.helpers.commands import STAGES

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
        path.write_bytes(sealed_json(ledger | {"sha256": hashlib.sha256(content).hexdigest()}))
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
