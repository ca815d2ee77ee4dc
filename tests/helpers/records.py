"""Records that a run keeps, changed by hand as somebody would who means it: their seals are right again."""

import json

from p3d_gen.run.files import sealed_json, unsealed


def edit_record(path, without=(), **changes):
    """Change entries of a record, and leave some out."""
    value = unsealed(path.read_bytes()) | changes
    path.write_bytes(sealed_json({name: each for name, each in value.items() if name not in without}))


def unseal(path, without=()):
    """Write a record without its seal, as version 0.1.0 did, and without the entries that it did not know."""
    value = unsealed(path.read_bytes())
    path.write_text(json.dumps({name: each for name, each in value.items() if name not in without}))
