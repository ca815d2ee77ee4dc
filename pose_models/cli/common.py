"""Options of the command line as arguments of the API, for several commands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pose_models.adaptation import AccuracyWatch
    from pose_models.data.images import Images

_SAME = ("address", "split", "part", "limit", "corrupt", "severity", "occlude", "occluders", "stacked", "crop")
IMAGE_OPTIONS = (*_SAME, "categories", "image_seed")


def chosen_images(options: dict[str, Any]) -> Images:
    """Return the images that `image_options` name; other options are left alone."""
    from pose_models.data.images import Images

    same = {name: options[name] for name in _SAME}
    return Images(categories=options["categories"] or None, seed=options["image_seed"], **same)


def chosen_watch(options: dict[str, Any]) -> AccuracyWatch | None:
    """Return the measurements that `watch_options` ask for."""
    from pose_models.adaptation import AccuracyWatch

    return AccuracyWatch(every=options["watch_every"], limit=options["watch_limit"]) if options["watch"] else None
