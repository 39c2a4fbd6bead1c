"""The exceptions of `rbd`, and the one map from errno to class.

Each class derives directly from `rbd.OSError` (itself an `rbd.Error`) and, where Python has a
builtin of the same meaning, from that too: ``except FileNotFoundError`` catches `ImageNotFound`.
This module imports nothing of the package, so that everything else may import it.
"""

from __future__ import annotations

import builtins
import errno as _errno

# Both type checkers take it for true; typing itself would be half of the time of `import rbd`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Dict, Optional, Tuple, Type

__all__ = [
    "ArgumentOutOfRange",
    "CompareMismatch",
    "ConnectionShutdown",
    "DiskQuotaExceeded",
    "Error",
    "FunctionNotSupported",
    "IOError",
    "ImageBusy",
    "ImageExists",
    "ImageHasSnapshots",
    "ImageMemberOfGroup",
    "ImageNotFound",
    "IncompleteWriteError",
    "InvalidArgument",
    "LibraryNotFound",
    "LogicError",
    "NoSpace",
    "OSError",
    "ObjectExists",
    "ObjectNotFound",
    "OperationCanceled",
    "OperationNotSupported",
    "PermissionError",
    "ReadOnlyImage",
    "StreamError",
    "Timeout",
    "make_ex",
]


class Error(Exception):
    """Base of everything that `rbd` raises on its own account."""


class OSError(Error):
    """A call into librbd failed, or could not be made.

    `errno` is the positive error number, or None where the failure has none. `str()` is
    ``[errno N] MESSAGE``, or just the message where errno is None.
    """

    # What the class puts around the message it is given.
    _text = "%s"
    errno: Optional[int]

    def __init__(self, message: str, errno: Optional[int] = None) -> None:
        super().__init__(self._text % (message,))
        self._message = message
        self.errno = errno

    def __str__(self) -> str:
        text = str(self.args[0]) if self.args else ""
        return text if self.errno is None else f"[errno {self.errno}] {text}"

    def __reduce__(self) -> Tuple[Any, ...]:
        return _rebuild, (type(self), self._message, self.errno), self.__dict__


def _rebuild(cls: Type[OSError], message: str, errno: Optional[int]) -> OSError:
    return cls(message, errno=errno)


class PermissionError(OSError, builtins.PermissionError):
    """The client's capabilities do not allow the operation (EPERM)."""

    _text = "RBD permission error (%s)"


class ImageNotFound(OSError, FileNotFoundError):
    """There is no such image, snapshot or other thing that was named (ENOENT)."""

    _text = "RBD image not found (%s)"


class ObjectNotFound(OSError, FileNotFoundError):
    """There is no such group or group snapshot (ENOENT of a group call)."""

    _text = "RBD object not found (%s)"


class IOError(OSError, builtins.OSError):
    """The cluster could not read or write the data (EIO)."""

    _text = "RBD I/O error (%s)"


class NoSpace(OSError):
    """No space is left (ENOSPC)."""

    _text = "RBD insufficient space available (%s)"


class ImageExists(OSError, FileExistsError):
    """An image, snapshot or other thing of that name exists already (EEXIST)."""

    _text = "RBD image already exists (%s)"


class ObjectExists(OSError, FileExistsError):
    """A group or group snapshot of that name exists already (EEXIST of a group call)."""

    _text = "RBD object already exists (%s)"


class InvalidArgument(OSError):
    """An argument makes no sense here (EINVAL), or the object is closed (errno None)."""

    _text = "RBD invalid argument (%s)"


class ReadOnlyImage(OSError):
    """The image is open read-only, or set to a snapshot (EROFS)."""

    _text = "RBD read-only image (%s)"


class ImageBusy(OSError):
    """The image or snapshot is in use: open elsewhere, protected, or a parent (EBUSY)."""

    _text = "RBD image is busy (%s)"


class ImageHasSnapshots(OSError):
    """The image still has snapshots (ENOTEMPTY)."""

    _text = "RBD image has snapshots (%s)"


class ImageMemberOfGroup(OSError):
    """The image is a member of a group (EMLINK)."""

    _text = "RBD image is member of group (%s)"


class FunctionNotSupported(OSError, NotImplementedError):
    """The loaded librbd, or the image's features, cannot do this (ENOSYS)."""

    _text = "RBD function not supported (%s)"


class OperationNotSupported(OSError):
    """The operation is not supported on this image in its present state (EOPNOTSUPP)."""

    _text = "RBD operation not supported (%s)"


class ArgumentOutOfRange(OSError):
    """An argument is outside the range that librbd accepts (EDOM)."""

    _text = "RBD arguments out of range (%s)"


class ConnectionShutdown(OSError):
    """The client was shut down or blocklisted (ESHUTDOWN).

    errno is None where the handle came through fork(), or where the stock module's connection under
    an open image was shut down.
    """

    _text = "RBD connection was shutdown (%s)"


class Timeout(OSError, TimeoutError):
    """The cluster did not answer in the time that is configured (ETIMEDOUT)."""

    _text = "RBD operation timeout (%s)"


class DiskQuotaExceeded(OSError):
    """A quota or the image's snapshot limit is reached (EDQUOT)."""

    _text = "RBD disk quota exceeded (%s)"


class OperationCanceled(OSError):
    """A progress callback asked to stop (ECANCELED)."""

    _text = "RBD operation canceled (%s)"


class IncompleteWriteError(OSError):
    """Less was written than was asked for; errno is None."""

    _text = "RBD incomplete write (%s)"


class LogicError(OSError):
    """librbd answered what it must not; errno is None."""

    _text = "RBD logic error (%s)"


class _NotText(InvalidArgument, TypeError):
    """What is no name stands where one is due: the stock module says InvalidArgument."""


class CompareMismatch(OSError):
    """compare_and_write found other data (EILSEQ).

    `offset` is where in the image, in bytes, the first difference is.
    """

    _text = "RBD compare mismatch (%s)"
    offset: Optional[int] = None


class _Disconnected(ConnectionShutdown, InvalidArgument):
    """The connection under an open image is shut down: as good as closed."""


class LibraryNotFound(ImportError, Error):
    """librbd or librados could not be loaded; the message says what to install."""


class StreamError(Error, ValueError):
    """An export or diff stream is damaged.

    `position` is the offset in the stream, in bytes, at which it stops making sense.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position

    def __reduce__(self) -> Tuple[Any, ...]:
        return type(self), (str(self), self.position)


class _AbsentFunction(FunctionNotSupported, AttributeError):
    """What an instance raises for a method that librbd lacks, so that hasattr() is False."""


class _GroupNotFound(ImageNotFound, ObjectNotFound):
    """Renaming a group: the stock module raises the one and documents the other."""


class _GroupExists(ImageExists, ObjectExists):
    """As _GroupNotFound."""


# The one map of return codes; everything that turns a code into a class uses it.
errno_to_exception: Dict[int, Type[OSError]] = {
    _errno.EPERM: PermissionError,
    _errno.ENOENT: ImageNotFound,
    _errno.EIO: IOError,
    _errno.ENOSPC: NoSpace,
    _errno.EEXIST: ImageExists,
    _errno.EINVAL: InvalidArgument,
    _errno.EROFS: ReadOnlyImage,
    _errno.EBUSY: ImageBusy,
    _errno.ENOTEMPTY: ImageHasSnapshots,
    _errno.EMLINK: ImageMemberOfGroup,
    _errno.ENOSYS: FunctionNotSupported,
    _errno.EDOM: ArgumentOutOfRange,
    _errno.ESHUTDOWN: ConnectionShutdown,
    _errno.ETIMEDOUT: Timeout,
    _errno.EDQUOT: DiskQuotaExceeded,
    _errno.EOPNOTSUPP: OperationNotSupported,
    _errno.ECANCELED: OperationCanceled,
}

# Where calls on groups differ.
group_errno_to_exception: Dict[int, Type[OSError]] = {
    **errno_to_exception,
    _errno.ENOENT: ObjectNotFound,
    _errno.EEXIST: ObjectExists,
}

rename_errno_to_exception: Dict[int, Type[OSError]] = {
    **errno_to_exception,
    _errno.ENOENT: _GroupNotFound,
    _errno.EEXIST: _GroupExists,
}


def make_ex(
    ret: int, msg: str, exception_map: Dict[int, Type[OSError]] = errno_to_exception
) -> OSError:
    """The exception for a librbd return code of either sign, with `msg` as its message.

    A code without a class of its own gives an `rbd.OSError` with that errno.
    """
    code = abs(ret)
    return exception_map.get(code, OSError)(msg, errno=code)


def _closed(message: str, subject: int) -> BaseException:
    """The exception for the use of a closed image (0), ioctx (1) or cluster (2)."""
    if subject == 0:
        return InvalidArgument(message)
    from . import rados

    return (rados.IoctxStateError if subject == 1 else rados.RadosStateError)(message)


def _from_core(kind: str, code: int, message: str, *details: int) -> BaseException:
    """The exception for a failure in the extension, whose C++ type is `kind`."""
    if kind == "errno":
        return make_ex(code, message)
    if kind == "group":
        return make_ex(code, message, group_errno_to_exception)
    if kind == "rename":
        return make_ex(code, message, rename_errno_to_exception)
    if kind == "rados":
        from . import rados

        return rados._make_ex(code, message)
    if kind == "batch":
        error = make_ex(code, message) if code else IncompleteWriteError(message)
        error.index, error.offset = details  # type: ignore[attr-defined]
        return error
    if kind == "mismatch":
        mismatch = CompareMismatch(message, errno=code)
        (mismatch.offset,) = details
        return mismatch
    if kind == "missing":
        return FunctionNotSupported(message, errno=code)
    if kind == "absent":
        return _AbsentFunction(message, errno=code)
    if kind == "disconnected" and details == (0,):
        return _Disconnected(message)
    if kind in ("closed", "disconnected"):
        return _closed(message, *details)
    simple: Dict[str, Type[Error]] = {
        "argument": InvalidArgument,
        "not_text": _NotText,
        "forked": ConnectionShutdown,
        "incomplete": IncompleteWriteError,
        "logic": LogicError,
        "library": LibraryNotFound,
    }
    return simple[kind](message)


def _name_as_users_do() -> None:
    """Tracebacks and pickles name the exceptions as programs do, and as the stock module does."""
    for name in __all__:
        if name != "make_ex":
            globals()[name].__module__ = "rbd"


_name_as_users_do()
