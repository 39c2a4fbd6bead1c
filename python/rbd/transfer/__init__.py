"""Streams of whole images and of differences, byte for byte those of the `rbd` command.

    rbd.transfer.export_image(image, "vm1.raw")
    rbd.transfer.export_diff(image, "monday.diff", from_snapshot="sunday")

Each call takes on_progress=, progress=, checksum= and queue_depth=, and returns the stream's digest
if a checksum was asked for. Its memory is bounded, whatever the image's size.
"""

from __future__ import annotations

# Type checkers treat the name as true. Each function's module is imported at its first use.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, List

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

_MODULES = {
    "DiffDescription": "inspection",
    "StreamDescription": "inspection",
    "apply_diff": "local",
    "describe": "inspection",
    "digest": "image_digest",
    "export_diff": "diff_export",
    "export_image": "image_export",
    "import_diff": "diff_import",
    "import_image": "image_import",
    "merge_diff": "merge",
    "verify": "inspection",
}

# Type checkers must not see it: they would accept any name in the module.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name in _MODULES:
            module = import_module(f".{_MODULES[name]}", __name__)
            return globals().setdefault(name, getattr(module, name))
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted({*globals(), *__all__})
