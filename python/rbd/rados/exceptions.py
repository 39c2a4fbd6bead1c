"""The exceptions of `rbd.rados`, and the map from errno to class.

Each class is an `rbd.Error` too, and the builtin exception of the same meaning if Python has one.
"""

from __future__ import annotations

import builtins
import errno as _errno

from .. import exceptions

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional

__all__ = [
    "MAX_ERRNO",
    "ConnectionShutdown",
    "Error",
    "ExtendMismatch",
    "IOError",
    "InProgress",
    "InterruptedOrTimeoutError",
    "InvalidArgumentError",
    "IoctxStateError",
    "IsConnected",
    "LogicError",
    "NoData",
    "NoSpace",
    "NotConnected",
    "OSError",
    "ObjectBusy",
    "ObjectExists",
    "ObjectNotFound",
    "ObjectStateError",
    "PermissionDeniedError",
    "PermissionError",
    "RadosStateError",
    "TimedOut",
]

#: The largest errno. A comparison reports 4095 plus the offset of the first difference.
MAX_ERRNO = 4095


_errno_to_exception: Dict[int, Any] = {}


class Error(exceptions.Error, Exception):
    """Base of the errors of RADOS calls. `errno` is the positive error number, or None."""

    _classes = _errno_to_exception

    def __init__(self, message: str, errno: Optional[int] = None) -> None:
        super().__init__(message, errno=errno)


class OSError(Error):
    """A call into librados failed."""


class PermissionError(OSError, builtins.PermissionError, code=_errno.EPERM):
    """The client's capabilities do not allow the call (EPERM)."""

    _text = "RADOS permission error (%s)"


class PermissionDeniedError(OSError, builtins.PermissionError, code=_errno.EACCES):
    """The cluster does not accept the key or the capabilities (EACCES)."""

    _text = "RADOS permission denied (%s)"


class ObjectNotFound(OSError, FileNotFoundError, code=_errno.ENOENT):
    """There is no such object, pool, option or file (ENOENT)."""

    _text = "RADOS object not found (%s)"


class ObjectExists(OSError, FileExistsError, code=_errno.EEXIST):
    """There is such an object, pool, lock or snapshot (EEXIST)."""

    _text = "RADOS object exists (%s)"


class ObjectBusy(OSError, code=_errno.EBUSY):
    """Another client holds the lock, or the object is in use (EBUSY)."""

    _text = "RADOS object busy (%s)"


class IOError(OSError, builtins.OSError, code=_errno.EIO):
    """The cluster could not read or write (EIO)."""

    _text = "RADOS I/O error (%s)"


class NoSpace(OSError, code=_errno.ENOSPC):
    """No space is left (ENOSPC)."""

    _text = "RADOS no space (%s)"


class NoData(OSError, code=_errno.ENODATA):
    """The object does not have the attribute (ENODATA)."""

    _text = "RADOS no data (%s)"


class InterruptedOrTimeoutError(OSError, InterruptedError, code=_errno.EINTR):
    """The call was interrupted (EINTR)."""

    _text = "RADOS interrupted or timeout (%s)"


class TimedOut(OSError, TimeoutError, code=_errno.ETIMEDOUT):
    """The cluster did not answer in time (ETIMEDOUT)."""

    _text = "RADOS timed out (%s)"


class NotConnected(OSError, ConnectionError, code=_errno.ENOTCONN):
    """There is no connection, or a watch has failed (ENOTCONN)."""

    _text = "RADOS not connected (%s)"


class ConnectionShutdown(OSError, ConnectionError, code=_errno.ESHUTDOWN):
    """The client was shut down or blocklisted (ESHUTDOWN)."""

    _text = "RADOS connection was shutdown (%s)"


class InProgress(Error, code=_errno.EINPROGRESS):
    """Such a call is in progress already (EINPROGRESS)."""

    _text = "RADOS in progress error (%s)"


class IsConnected(Error, code=_errno.EISCONN):
    """The client is connected already (EISCONN)."""

    _text = "RADOS is connected error (%s)"


class InvalidArgumentError(Error, code=_errno.EINVAL):
    """An argument is not valid here (EINVAL)."""

    _text = "RADOS invalid argument (%s)"


class ExtendMismatch(Error):
    """A comparison found other data, first at `offset`, in bytes from its beginning."""

    _text = "object content does not match (%s)"

    def __init__(self, message: str, errno: Optional[int] = None, offset: int = 0) -> None:
        super().__init__(message, errno=errno)
        self.offset = offset


class LogicError(Error):
    """librados returned a result that cannot be right, or an argument is not a known word."""

    _text = "RADOS logic error (%s)"


class RadosStateError(Error, exceptions.InvalidArgument):
    """The connection is not in the state that the call needs."""

    _text = "RADOS rados state (%s)"


class ObjectStateError(Error):
    """The object was removed."""

    _text = "RADOS object state error (%s)"


class IoctxStateError(Error, exceptions.InvalidArgument):
    """The context is closed."""

    _text = "RADOS Ioctx state error (%s)"


class _KeyNotFound(ObjectNotFound, KeyError):
    """There is no such key in an application's metadata. The stock module raises KeyError."""


class _ConnectionGone(RadosStateError, IoctxStateError):
    """The connection of an open context is shut down."""

    _text = RadosStateError._text


class _Forked(ConnectionShutdown, exceptions.ConnectionShutdown):
    """The connection or context was opened before fork()."""

    _text = ConnectionShutdown._text


def _error(message: str, errno: int) -> Error:
    """Return the exception for a return code of librados. The extension calls it."""
    if errno >= MAX_ERRNO:
        return ExtendMismatch(message, errno=errno, offset=errno - MAX_ERRNO)
    message = exceptions._with_section(message, errno)
    error: Error = _errno_to_exception.get(errno, OSError)(message, errno=errno)
    return error


def _name_as_users_do() -> None:
    """Make tracebacks and pickles show the module name that programs use."""
    for name in __all__:
        if name != "MAX_ERRNO":
            globals()[name].__module__ = "rbd.rados"


_name_as_users_do()
