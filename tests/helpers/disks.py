"""A command on a disk that it may not write to."""

import os
import shlex
import subprocess

from tests.helpers.commands import BIN


def read_only(folder, *command):
    """Run p3dgen with a folder that cannot be written; return the exit status and all that it printed.

    root may write everywhere, so that its folder is mounted read-only, in a namespace of its own.
    """
    line = [str(BIN), *map(str, command)]
    if os.geteuid():
        modes = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
        for path, mode in modes.items():
            path.chmod(mode & ~0o222)
    else:
        place = shlex.quote(str(folder))
        mount = f"mount --bind {place} {place} && mount -o remount,ro,bind {place} && exec {shlex.join(line)}"
        line, modes = ["unshare", "-m", "sh", "-c", mount], {}
    try:
        done = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    return done.returncode, done.stdout
