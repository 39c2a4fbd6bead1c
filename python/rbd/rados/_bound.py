"""The classes and constants of the extension for `rbd.rados`. Their stub is _bound.pyi."""

from .. import _core

# The names of the classes begin with rbd.rados. The extension has the only list of the constants.
_names = {name: value for name, value in vars(_core.rados).items() if not name.startswith("_")}
_names.update(_names.pop("constants"))
globals().update(_names)
__all__ = list(_names)
