"""Ceph block device images.

A drop-in superset of the `rbd` module that Ceph ships. It can be installed into any virtual
environment, and works with the librbd that it finds at run time, which it loads at the first call.
`rbd.rados`, `rbd.aio`, `rbd.transfer` and `rbd.testing` are imported at their first use.
"""

from __future__ import annotations

import os as _os

from . import _core
from . import exceptions as _exceptions
from ._core import (
    RBD,
    ChildIterator,
    Completion,
    ConfigImageIterator,
    ConfigPoolIterator,
    Extents,
    Group,
    GroupImageIterator,
    GroupSnapIterator,
    Image,
    ImageIterator,
    LockOwnerIterator,
    MetadataIterator,
    MirrorImageInfoIterator,
    MirrorImageInstanceIdIterator,
    MirrorImageStatusIterator,
    MirrorPeerIterator,
    PoolMetadataIterator,
    SnapIterator,
    TrashIterator,
    Watch,
    WatcherIterator,
    supports,
)
from .exceptions import *  # noqa: F403

# Type checkers treat the name as true. To import typing would take half of the time of `import
# rbd`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import Any, List, Mapping, Optional, Union

    from . import _constants, rados, testing
    from . import aio as aio
    from . import array as array
    from . import files as files
    from . import plot as plot
    from . import spec as spec
    from . import transfer as transfer
    from . import types as types
    from ._constants import *  # noqa: F403
    from ._library import LibraryInfo as LibraryInfo
    from .array import ImageArray as ImageArray
    from .files import open as open

# The extension has the only list of the constants. A program may look for them in this module's
# dict.
globals().update(_core.constants)

__version__: str = _core.__version__

#: The numbers of "no owner" and of the administrator of a pool. RADOS ignores them now.
ANONYMOUS_AUID = 0xFFFFFFFFFFFFFFFF
ADMIN_AUID = 0

_LAZY = ("aio", "array", "files", "fs", "plot", "rados", "spec", "testing", "transfer", "types")
# A star import must not hide the builtin open(), and must not need numpy, so __all__ leaves out the
# first two.
_LAZY_NAMES = {"ImageArray": "array", "open": "files", "LibraryInfo": "_library"}

__all__ = [
    "ADMIN_AUID",
    "ANONYMOUS_AUID",
    "RBD",
    "ChildIterator",
    "Completion",
    "ConfigImageIterator",
    "ConfigPoolIterator",
    "Extents",
    "Group",
    "GroupImageIterator",
    "GroupSnapIterator",
    "Image",
    "ImageIterator",
    "LibraryInfo",
    "LockOwnerIterator",
    "MetadataIterator",
    "MirrorImageInfoIterator",
    "MirrorImageInstanceIdIterator",
    "MirrorImageStatusIterator",
    "MirrorPeerIterator",
    "PoolMetadataIterator",
    "SnapIterator",
    "TrashIterator",
    "Watch",
    "WatcherIterator",
    "connect",
    "get_cmake_dir",
    "get_include",
    "get_pkgconfig_dir",
    "library_info",
    "rados",
    "supports",
    "testing",
]
__all__ += _exceptions.__all__
if TYPE_CHECKING:
    __all__ += _constants.__all__
else:
    __all__ += _core.constants


def library_info() -> LibraryInfo:
    """Return path, version and missing functions of librbd, and load it if nothing has yet.

    Raises
    ------
    LibraryNotFound
        librbd cannot be loaded.
    """
    from ._library import LibraryInfo

    return LibraryInfo(*_core.library_info())


def get_include() -> str:
    """Return the directory of the C++ headers: `#include <rbdxx/rbdxx.hpp>`."""
    return _os.path.join(_os.path.dirname(_core.__file__), "include")


def get_cmake_dir() -> str:
    """Return the directory for CMake's `rbdxx_DIR`: find_package(rbdxx CONFIG) then finds rbdxx."""
    return _os.path.join(_os.path.dirname(_core.__file__), "cmake")


def get_pkgconfig_dir() -> str:
    """Return the directory for `PKG_CONFIG_PATH`: pkg-config and Meson then find rbdxx."""
    return _os.path.join(_os.path.dirname(_core.__file__), "lib", "pkgconfig")


def connect(
    conffile: Union[str, os.PathLike[str], None] = None,
    *,
    name: Optional[str] = None,
    conf: Optional[Mapping[str, str]] = None,
    timeout: Optional[float] = None,
) -> rados.Rados:
    """Connect to a cluster.

    Parameters
    ----------
    conffile
        The configuration file; None searches as librados does, `CEPH_CONF` included.
    name
        The full name of the client; None means 'client.admin'.
    conf
        Options that override those of the file.
    timeout
        How many seconds to wait for the cluster; None leaves that to the configuration.

    Returns
    -------
    The connection. It is a context manager, which shuts the connection down.

    Raises
    ------
    rados.ObjectNotFound
        There is no such configuration file, or it names no monitor.
    rados.PermissionDeniedError
        The cluster does not accept the client's key.
    rados.TimedOut
        No monitor has answered in time.

    Examples
    --------
    >>> cluster = rbd.connect()
    >>> ioctx = cluster.open_ioctx("rbd")
    """
    from . import rados

    path = "" if conffile is None else conffile
    cluster = rados.Rados(name=name, conffile=path, conf=conf)
    try:
        cluster.connect(timeout=0 if timeout is None else timeout)
    except BaseException:
        cluster.shutdown()
        raise
    return cluster


# Type checkers must not see it: they would accept any name in the module.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        from importlib import import_module

        if name in _LAZY:
            return import_module(f".{name}", __name__)
        if name in _LAZY_NAMES:
            module = import_module(f".{_LAZY_NAMES[name]}", __name__)
            return globals().setdefault(name, getattr(module, name))
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> List[str]:
    return sorted({*globals(), *_LAZY, *_LAZY_NAMES})
