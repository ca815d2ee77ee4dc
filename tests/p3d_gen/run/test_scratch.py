"""Nothing is left of a process that ends in any way: no temporary folder, and no child."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from p3d_gen.core.errors import RunError
from p3d_gen.run.processes import start_child
from p3d_gen.run.scratch import ScratchFolder, sweep
from tests.helpers.commands import BIN

HOLDER = """
import sys, time
from pathlib import Path
from p3d_gen.run.scratch import ScratchFolder
folder = ScratchFolder(Path(sys.argv[1]))
(folder.path / "sub").mkdir()
(folder.path / "sub" / "file").write_text("x")
print(folder.path, flush=True)
time.sleep(float(sys.argv[2]))
"""
# A child that is started by a thread which has ended, and outlives it.
PARENT = """
import os, sys, threading, time
from p3d_gen.run.processes import start_child
code = "import sys, time; from p3d_gen.run.processes import die_with_parent; die_with_parent(int(sys.argv[1]));"
code += "print(0, flush=True); time.sleep(600)"
children = []
def start(): children.append(start_child([sys.executable, "-c", code, str(os.getpid())], stdout=-1))
thread = threading.Thread(target=start)
thread.start()
thread.join()
children[0].stdout.readline()
time.sleep(0.5)
print(children[0].pid, children[0].poll(), flush=True)
time.sleep(600)
"""
INTERRUPTED = """
import os, sys
from pathlib import Path
from p3d_gen.run.scratch import ScratchFolder
def interrupt(event, arguments):
    if event == "subprocess.Popen":
        raise KeyboardInterrupt
sys.addaudithook(interrupt)
try:
    ScratchFolder(Path(sys.argv[1]))
except KeyboardInterrupt:
    print("interrupted", os.listdir(sys.argv[1]))
"""


def holder(parent, seconds=600):
    """Start a process with a scratch folder, in a process group of its own; returns both."""
    command = [sys.executable, "-c", HOLDER, str(parent), str(seconds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with process.stdout as said:
        return process, Path(said.readline().strip())


def guards(folder):
    return [each for each in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(each.info["cmdline"] or ())]


def soon(is_true, patience_s=30):
    """Wait for something to become true."""
    end = time.monotonic() + patience_s
    while not is_true() and time.monotonic() < end:
        time.sleep(0.05)
    return is_true()


def test_a_folder_is_removed_when_it_is_closed(tmp_path):
    with ScratchFolder(tmp_path) as folder:
        (folder / "sub").mkdir()
        assert list(tmp_path.iterdir()) == [folder]
        assert guards(tmp_path)
    assert not list(tmp_path.iterdir())
    assert soon(lambda: not guards(tmp_path))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("kill", [os.kill, os.killpg])
def test_a_folder_is_removed_when_its_process_is_killed(tmp_path, kill, number):
    process, folder = holder(tmp_path)
    assert (folder / "sub" / "file").exists()
    kill(process.pid, number)
    process.wait()
    assert soon(lambda: not list(tmp_path.iterdir()))
    assert soon(lambda: not guards(tmp_path))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the files that a process has open")
def test_agents_of_ray_that_write_into_a_folder_end_with_its_process(tmp_path):
    process, folder = holder(tmp_path)
    code = "import sys, time; log = open(sys.argv[1], 'w'); print(0, flush=True); time.sleep(600)"
    places = {"agent": folder / "log", "reader": folder / "sub" / "log", "other": tmp_path / "log"}
    names = {"agent": "ray::DashboardAgent", "reader": "another program", "other": "ray::DashboardAgent"}
    children = {
        each: subprocess.Popen(
            [sys.executable, "-c", code, str(path), names[each]], stdout=subprocess.PIPE, start_new_session=True
        )
        for each, path in places.items()
    }
    try:
        for child in children.values():
            child.stdout.readline()
        process.kill()
        process.wait()
        assert soon(lambda: not folder.exists())
        assert children["agent"].wait(10) == -signal.SIGKILL
        assert [each for each, child in children.items() if child.poll() is None] == ["reader", "other"]
    finally:
        for child in children.values():
            child.kill()
            child.wait()
            child.stdout.close()


def test_a_folder_is_removed_when_its_process_just_ends(tmp_path):
    process, _ = holder(tmp_path, 0)
    assert process.wait() == 0
    assert soon(lambda: not list(tmp_path.iterdir()))


def test_a_folder_is_removed_if_its_process_is_interrupted_before_it_is_guarded(tmp_path):
    done = subprocess.run([sys.executable, "-c", INTERRUPTED, tmp_path], capture_output=True, text=True)
    assert done.stdout == "interrupted []\n"


def test_what_a_killed_guard_left_is_swept_by_the_next_process(tmp_path):
    (dead, left), (alive, kept) = holder(tmp_path), holder(tmp_path)
    for guard in (*guards(left), *guards(kept)):
        guard.kill()
    dead.kill()
    dead.wait()
    (tmp_path / "p3dgen-of-somebody").mkdir()
    assert left.exists()
    with ScratchFolder(tmp_path) as mine:
        assert set(tmp_path.iterdir()) == {mine, kept, tmp_path / "p3dgen-of-somebody"}
        sweep(tmp_path)
        assert mine.exists()
    alive.kill()
    alive.wait()


def test_several_at_once_do_not_sweep_each_other(tmp_path):
    made, barrier = [], threading.Barrier(8)

    def make():
        barrier.wait()
        made.extend(ScratchFolder(tmp_path) for _ in range(5))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 40
    assert all(folder.path.is_dir() for folder in made)
    for folder in made:
        folder.close()
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    with pytest.raises(RunError, match=r"no temporary folder can be made in .*/missing: .*set TMPDIR"):
        ScratchFolder(tmp_path / "missing")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parents")
def test_a_child_dies_with_its_parent_and_not_with_a_thread():
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    with parent.stdout as said:
        pid, state = said.readline().split()
    assert state == "None"
    child = psutil.Process(int(pid))
    parent.kill()
    parent.wait()
    assert soon(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_children_are_started_with_the_arguments_of_popen():
    child = start_child(["/bin/sh", "-c", "echo $WORD"], stdout=subprocess.PIPE, env={"WORD": "here"})
    assert child.communicate()[0] == b"here\n"


@pytest.mark.blender
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_run_ends_soon_with_all_its_processes(tmp_path, manifest_path, number):
    """The signal reaches the first process alone, in the middle of renders that would take minutes."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    manifest_path.write_text(manifest_path.read_text().replace("samples = 1", "samples = 4096\ndenoise = false"))
    run = subprocess.Popen(
        [BIN, "render", manifest_path, "--out", tmp_path / "run", "--workers", "2", "--device", "cpu"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(scratch)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # shells let jobs ignore it
    )
    try:
        assert soon(lambda: len(list((tmp_path / "run").glob("render/.*.partial"))) == 2, 300)
        time.sleep(1)
        children = psutil.Process(run.pid).children(recursive=True)
        assert len(children) > 3
        run.send_signal(number)
        _, errors = run.communicate(timeout=60)
    finally:
        run.kill()
    assert (run.returncode, errors.splitlines()[-1].endswith("repeat the command to resume.")) == (128 + number, True)
    assert soon(lambda: not any(child.is_running() for child in children))
    assert soon(lambda: not list(scratch.iterdir()))
