"""The processor that Cycles renders on."""

from __future__ import annotations

import bpy

BACKENDS = ("OPTIX", "CUDA", "HIP", "ONEAPI", "METAL")


def _gpus(backend: str) -> list[bpy.types.PropertyGroup]:
    """Return the GPUs of a backend; none if this build of Blender does not know it."""
    preferences = bpy.context.preferences.addons["cycles"].preferences
    try:
        preferences.compute_device_type = backend
    except TypeError:
        return []
    return [device for device in preferences.get_devices_for_type(backend) if device.type == backend]


def _wanted_gpus(wanted: str) -> list[bpy.types.PropertyGroup]:
    """Return the GPUs of a backend, or for "AUTO" of the first backend that has one; none for "CPU"."""
    backends = {"AUTO": BACKENDS, "CPU": ()}.get(wanted, (wanted,))
    gpus = next((gpus for backend in backends if (gpus := _gpus(backend))), [])
    if not gpus and wanted in BACKENDS:
        raise ValueError(f"Blender finds no {wanted} device here: leave --render-device out, or say cpu")
    return gpus


def count_gpus(wanted: str) -> int:
    """Return the number of GPUs that `use_device` can choose from."""
    return len(_wanted_gpus(wanted))


def use_device(wanted: str, ordinal: int) -> None:
    """Let Cycles use one device. ValueError if there is no such device.

    wanted: "CPU", a backend, or "AUTO" for the first backend that has a GPU, else the CPU.
    ordinal: number of the GPU; it wraps around if there are fewer.
    """
    gpus = _wanted_gpus(wanted)
    for number, gpu in enumerate(gpus):
        gpu.use = number == ordinal % len(gpus)
    bpy.context.scene.cycles.device = "GPU" if gpus else "CPU"
