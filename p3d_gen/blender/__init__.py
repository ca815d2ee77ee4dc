"""Blender in a process of its own: `client` runs here, `worker` and the modules that import bpy run there."""
