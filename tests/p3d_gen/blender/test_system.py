"""What is said where Blender cannot be loaded."""

import sys

import pytest

from p3d_gen.blender import system
from p3d_gen.blender.system import missing_bpy, missing_system_packages


def test_libraries_that_are_missing_are_named_on_linux_only(monkeypatch):
    monkeypatch.setattr(system, "BLENDER_LIBRARIES", {"libc.so.6": "libc6", "libnosuch.so.9": "libnosuch9"})
    monkeypatch.setattr(sys, "platform", "linux")
    assert missing_system_packages() == ["libnosuch9"]
    monkeypatch.setattr(sys, "platform", "darwin")
    assert missing_system_packages() == []


def test_the_python_that_has_bpy_is_told_to_install_it():
    assert "is not installed: pip install 'p3dgen[render]'" in missing_bpy((3, 11), "CPython")


@pytest.mark.parametrize(("python", "implementation"), [((3, 12), "CPython"), ((3, 11), "PyPy")])
def test_another_python_is_told_which_one_has_bpy(python, implementation):
    message = missing_bpy(python, implementation)
    assert f"there is no bpy for {implementation} 3.{python[1]}: make an environment with CPython 3.11" in message
