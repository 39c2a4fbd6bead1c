"""What the extension binds for `rbd.rados`: its classes and constants, with a stub beside it."""

from .. import _core

# The classes call themselves rbd.rados.X; the constants stand in one list in the extension.
_names = {name: value for name, value in vars(_core.rados).items() if not name.startswith("_")}
_names.update(_names.pop("constants"))
globals().update(_names)
__all__ = list(_names)
