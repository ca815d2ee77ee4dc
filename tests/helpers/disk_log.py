"""A log of all that processes do to the files below a folder, and the states in which a kill or a power cut leave it.

Only the standard library is imported: other processes load this file by its path, before anything else.
"""

import itertools
import os
import pickle
import stat
from pathlib import Path

FOLDER = "a folder"


def record(root, log):
    """Write down from now on what this process does below `root`; returns a function that ends this."""
    root, log = Path(os.path.abspath(root)), os.path.abspath(log)  # noqa: PTH100
    real = {name: getattr(os, name) for name in ("open", "fsync", "replace", "rename", "unlink", "remove", "mkdir")}

    def below(path):
        path = Path(os.path.abspath(os.fspath(path)))  # noqa: PTH100
        return str(path.relative_to(root)) if path.is_relative_to(root) else None

    def write(*step):
        file = real["open"](log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(file, pickle.dumps(step))
        os.close(file)

    def opened(path, flags, mode=0o777, **others):
        name = None if isinstance(path, int) or others or not flags & os.O_CREAT else below(path)
        is_new = name is not None and not os.path.lexists(path)
        file = real["open"](path, flags, mode, **others)
        if is_new:
            write("create", name, os.fstat(file).st_ino)
        return file

    def fsync(file):
        number = file if isinstance(file, int) else file.fileno()
        real["fsync"](number)
        name, about = below(os.readlink(f"/proc/self/fd/{number}")), os.fstat(number)  # noqa: PTH115
        if name is not None and stat.S_ISDIR(about.st_mode):
            write("sync", name)
        elif name is not None:
            write("content", about.st_ino, os.pread(number, about.st_size, 0))

    def renamed(source, target, **others):
        real["replace"](source, target, **others)
        if below(source) is not None:
            write("rename", below(source), below(target))

    def unlinked(path, **others):
        real["unlink"](path, **others)
        if not others and below(path) is not None:
            write("unlink", below(path))

    def mkdir(path, mode=0o777, **others):
        real["mkdir"](path, mode, **others)
        if not others and below(path) is not None:
            write("mkdir", below(path))

    fakes = (opened, fsync, renamed, renamed, unlinked, unlinked, mkdir)
    for name, fake in zip(real, fakes, strict=True):
        setattr(os, name, fake)

    def stop():
        for name, function in real.items():
            setattr(os, name, function)

    return stop


def steps(log):
    """The steps in a log, in order."""
    with Path(log).open("rb") as file:
        while file.peek(1):
            yield pickle.load(file)


def tree(root):
    """{name: content} of all files below a folder, and {name: FOLDER} of the folders."""
    return {
        str(path.relative_to(root)): FOLDER if path.is_dir() else path.read_bytes()
        for path in sorted(Path(root).rglob("*"))
    }


def lay_down(files, root):
    """Make a tree as `tree` returns it."""
    Path(root).mkdir(parents=True)
    for name, content in sorted(files.items()):
        if content is FOLDER:
            (Path(root) / name).mkdir(exist_ok=True)
        else:
            (Path(root) / name).write_bytes(content)


class Disk:
    """A disk that does the steps of a log. A name lasts once its folder is synced, a content once the file is."""

    def __init__(self):
        self.names, self.lasting, self.contents = {}, {}, {}

    def do(self, step):
        """Do one step."""
        kind, *about = step
        if kind == "create":
            self.names[about[0]] = about[1]
            self.contents[about[1]] = b""
        elif kind == "content":
            self.contents[about[0]] = about[1]
        elif kind == "mkdir":
            self.names[about[0]] = FOLDER
        elif kind == "rename":
            self.names[about[1]] = self.names.pop(about[0])
        elif kind == "unlink":
            del self.names[about[0]]
        else:
            children = {name for name in self.names | self.lasting if os.path.dirname(name) == about[0].strip(".")}  # noqa: PTH120
            self.lasting = {name: node for name, node in self.lasting.items() if name not in children}
            self.lasting |= {name: node for name, node in self.names.items() if name in children}

    def _files(self, names, contents):
        def is_there(name):
            above = os.path.dirname(name)  # noqa: PTH120
            return not above or (names.get(above) is FOLDER and is_there(above))

        return {name: FOLDER if node is FOLDER else contents[node] for name, node in names.items() if is_there(name)}

    def after_a_kill(self):
        """All files as processes see them."""
        return self._files(self.names, self.contents)

    def after_a_power_cut(self):
        """All files that certainly last."""
        return self._files(self.lasting, self.contents)


def states(log):
    """The states (name, files) in which the machine can stop: after each step of a log, and within each content."""
    disk = Disk()
    for number, step in enumerate(itertools.chain([None], steps(log))):
        if step and step[0] == "content":
            disk.do(("content", step[1], step[2][: len(step[2]) // 2]))
            yield f"killed within {number}", disk.after_a_kill()
            yield f"cut within {number}", disk.after_a_power_cut()
        if step:
            disk.do(step)
        yield f"killed after {number}", disk.after_a_kill()
        yield f"cut after {number}", disk.after_a_power_cut()
