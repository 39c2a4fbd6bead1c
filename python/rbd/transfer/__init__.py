"""Streams of whole images and of differences, byte for byte those of the `rbd` command.

    rbd.transfer.export_image(image, "vm1.raw")
    rbd.transfer.export_diff(image, "monday.diff", from_snapshot="sunday")

Each call takes on_progress=, progress=, checksum= and queue_depth=, and returns the stream's digest
if a checksum was asked for. Its memory is bounded, whatever the image's size.
"""

from __future__ import annotations

from .diff_export import export_diff
from .diff_import import import_diff
from .image_digest import digest
from .image_export import export_image
from .image_import import import_image
from .inspection import DiffDescription, StreamDescription, describe, verify
from .local import apply_diff
from .merge import merge_diff

__all__ = [
    "DiffDescription",
    "StreamDescription",
    "apply_diff",
    "describe",
    "digest",
    "export_diff",
    "export_image",
    "import_diff",
    "import_image",
    "merge_diff",
    "verify",
]
