"""The command, the hashes of what it made, and a free port."""

import functools
import hashlib
import socket
import sys
from pathlib import Path

BIN = Path(sys.executable).parent / "p3dgen"
STAGES = ("render", "stylize", "shards")
HOST = "127.0.0.1"
LOOPBACK = "127.0.0.2"  # Ray takes 127.0.0.1 for this machine's address in the network


def shard_hashes(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.glob("*/*.tar"))
    }


@functools.cache
def free_port(use):
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        return listener.getsockname()[1]
