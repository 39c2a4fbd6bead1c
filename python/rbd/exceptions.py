"""The exceptions of `rbd`, and the maps from errno to class.

Each class derives directly from `rbd.OSError` (itself an `rbd.Error`) and, if Python has a builtin
exception of the same meaning, from that too: ``except FileNotFoundError`` catches `ImageNotFound`.
This module imports nothing from the package, so that every other module can import it.
"""

from __future__ import annotations

import builtins
import errno as _errno

# Type checkers treat the name as true. To import typing would take half of the time of `import
# rbd`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, ClassVar, Dict, Optional, Tuple, Type

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


# The maps from errno to class. Each class enters itself: see Error.
errno_to_exception: Dict[int, Any] = {}
_of_groups: Dict[int, Any] = {}
_of_renamed_groups: Dict[int, Any] = {}


class Error(Exception):
    """Base of all exceptions of this package.

    A class that stands for an errno names it in its declaration, which puts the class into the map
    of its hierarchy: `class NoSpace(OSError, code=errno.ENOSPC)`. `classes` names another map.
    """

    # The text that the class puts around its message.
    _text = "%s"
    # The errno that the class stands for.
    _code: Optional[int] = None
    # The map that a class with a code enters.
    _classes: ClassVar[Dict[int, Any]] = {}
    errno: Optional[int] = None

    def __init_subclass__(
        cls,
        *,
        code: Optional[int] = None,
        classes: Optional[Dict[int, Any]] = None,
        **others: Any,
    ) -> None:
        super().__init_subclass__(**others)
        if code is not None:
            cls._code = code
            (cls._classes if classes is None else classes)[code] = cls

    def __init__(self, *args: object, errno: Optional[int] = None) -> None:
        super().__init__(*((self._text % (args[0],), *args[1:]) if args else ()))
        self.errno = errno

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.errno is None else f"[errno {self.errno}] {text}"

    def __reduce__(self) -> Tuple[Any, ...]:
        # Does not call the class, because a derived class may take other arguments.
        return _rebuild, (type(self), self.args), self.__dict__


def _rebuild(cls: Type[Error], args: Tuple[Any, ...]) -> Error:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class OSError(Error):
    """A call into librbd failed, or could not be made.

    `errno` is the positive error number, or None if the failure has none. `str()` is
    ``[errno N] MESSAGE``, or just the message if errno is None.

    `index` is the number of the failed operation in its batch. `offset` is the place in the image
    that the error is about, in bytes. Both are None for errors of other kinds.
    """

    _classes = errno_to_exception
    index: Optional[int] = None
    offset: Optional[int] = None

    def __init__(self, message: str, errno: Optional[int] = None) -> None:
        super().__init__(message, errno=errno)


class PermissionError(OSError, builtins.PermissionError, code=_errno.EPERM):
    """The client's capabilities do not allow the operation (EPERM)."""

    _text = "RBD permission error (%s)"


class ImageNotFound(OSError, FileNotFoundError, code=_errno.ENOENT):
    """There is no image, snapshot or other object with this name (ENOENT)."""

    _text = "RBD image not found (%s)"


class ObjectNotFound(OSError, FileNotFoundError, code=_errno.ENOENT, classes=_of_groups):
    """There is no such group or group snapshot (ENOENT of a group call)."""

    _text = "RBD object not found (%s)"


class IOError(OSError, builtins.OSError, code=_errno.EIO):
    """The cluster could not read or write the data (EIO)."""

    _text = "RBD I/O error (%s)"


class NoSpace(OSError, code=_errno.ENOSPC):
    """No space is left (ENOSPC)."""

    _text = "RBD insufficient space available (%s)"


class ImageExists(OSError, FileExistsError, code=_errno.EEXIST):
    """There is an image, a snapshot or another object with this name (EEXIST)."""

    _text = "RBD image already exists (%s)"


class ObjectExists(OSError, FileExistsError, code=_errno.EEXIST, classes=_of_groups):
    """There is a group or a group snapshot with this name (EEXIST of a group call)."""

    _text = "RBD object already exists (%s)"


class InvalidArgument(OSError, code=_errno.EINVAL):
    """An argument is not valid here (EINVAL), or the object is closed (errno None)."""

    _text = "RBD invalid argument (%s)"


class ReadOnlyImage(OSError, code=_errno.EROFS):
    """The image is open read-only, or set to a snapshot (EROFS)."""

    _text = "RBD read-only image (%s)"


class ImageBusy(OSError, code=_errno.EBUSY):
    """The image or snapshot is in use: another client has it open, it is protected, or it has
    clones (EBUSY)."""

    _text = "RBD image is busy (%s)"


class ImageHasSnapshots(OSError, code=_errno.ENOTEMPTY):
    """The image still has snapshots (ENOTEMPTY)."""

    _text = "RBD image has snapshots (%s)"


class ImageMemberOfGroup(OSError, code=_errno.EMLINK):
    """The image is a member of a group (EMLINK)."""

    _text = "RBD image is member of group (%s)"


class FunctionNotSupported(OSError, NotImplementedError, code=_errno.ENOSYS):
    """The loaded librbd, or the image's features, cannot do this (ENOSYS)."""

    _text = "RBD function not supported (%s)"


class OperationNotSupported(OSError, code=_errno.EOPNOTSUPP):
    """The operation is not supported on this image in its present state (EOPNOTSUPP)."""

    _text = "RBD operation not supported (%s)"


class ArgumentOutOfRange(OSError, code=_errno.EDOM):
    """An argument is outside the range that librbd accepts (EDOM)."""

    _text = "RBD arguments out of range (%s)"


class ConnectionShutdown(OSError, code=_errno.ESHUTDOWN):
    """The client was shut down or blocklisted (ESHUTDOWN).

    errno is None if the handle came through fork(), or if the stock module's connection under
    an open image was shut down.
    """

    _text = "RBD connection was shutdown (%s)"


class Timeout(OSError, TimeoutError, code=_errno.ETIMEDOUT):
    """The cluster did not answer in the time that is configured (ETIMEDOUT)."""

    _text = "RBD operation timeout (%s)"


class DiskQuotaExceeded(OSError, code=_errno.EDQUOT):
    """A quota or the image's snapshot limit is reached (EDQUOT)."""

    _text = "RBD disk quota exceeded (%s)"


class OperationCanceled(OSError, code=_errno.ECANCELED):
    """A progress callback asked to stop (ECANCELED)."""

    _text = "RBD operation canceled (%s)"


class IncompleteWriteError(OSError):
    """Fewer bytes were written than the call asked for; errno is None."""

    _text = "RBD incomplete write (%s)"


class LogicError(OSError):
    """librbd has returned what it must never return; errno is None."""

    _text = "RBD logic error (%s)"


class _NotText(InvalidArgument, TypeError):
    """A value that is not text. The stock module raises InvalidArgument for it."""


class CompareMismatch(OSError):
    """compare_and_write found other data (EILSEQ).

    `offset` is the offset in the image, in bytes, of the first difference.
    """

    # Not in the map, because EILSEQ means something else in every other call.
    _code = _errno.EILSEQ
    _text = "RBD compare mismatch (%s)"


class _Disconnected(ConnectionShutdown, InvalidArgument):
    """The connection under an open image is shut down, so the image counts as closed."""


class LibraryNotFound(ImportError, Error):
    """librbd or librados could not be loaded; the message says what to install."""


class StreamError(Error, ValueError):
    """An export or diff stream is damaged.

    `position` is the offset in the stream, in bytes, at which it stops making sense.
    """

    def __init__(self, message: str, position: int = 0) -> None:
        super().__init__(message)
        self.position = position


class _AbsentFunction(FunctionNotSupported, AttributeError):
    """An instance raises this for a method that librbd lacks, so that hasattr() returns False."""


class _GroupNotFound(ImageNotFound, ObjectNotFound, code=_errno.ENOENT, classes=_of_renamed_groups):
    """Raised for the renaming of a group. The stock module raises one of the two and documents the
    other."""


class _GroupExists(ImageExists, ObjectExists, code=_errno.EEXIST, classes=_of_renamed_groups):
    """As _GroupNotFound."""


# Only two codes differ for calls on groups.
group_errno_to_exception: Dict[int, Any] = {**errno_to_exception, **_of_groups}
_rename_errno_to_exception: Dict[int, Any] = {**errno_to_exception, **_of_renamed_groups}


def make_ex(
    ret: int, msg: str, exception_map: Dict[int, Type[OSError]] = errno_to_exception
) -> OSError:
    """Return the exception for a return code of librbd.

    Parameters
    ----------
    ret
        The code, positive or negative.
    msg
        The message.
    exception_map
        The classes by errno.

    Returns
    -------
    An exception of the class that stands for the code, or an `rbd.OSError` if none does.
    """
    code = abs(ret)
    return exception_map.get(code, OSError)(msg, errno=code)


# The extension makes its errors by these functions and by the classes above.
# cpp/bindings/support/errors.cpp names them.


#: The sections of the manual that help with an errno of any call.
_SECTIONS = {
    _errno.EPERM: '"Permissions" in the manual, docs/errors.md',
    _errno.EACCES: '"Permissions" in the manual, docs/errors.md',
    _errno.ESHUTDOWN: '"After an outage" in the manual, docs/errors.md',
}


def _with_section(message: str, errno: int) -> str:
    """Return a message that names the section of the manual, unless it names a section already."""
    if errno not in _SECTIONS or " in the manual, " in message:
        return message
    return f"{message}; see {_SECTIONS[errno]}"


def _image_error(message: str, errno: int) -> OSError:
    return make_ex(errno, _with_section(message, errno))


def _group_error(message: str, errno: int) -> OSError:
    return make_ex(errno, _with_section(message, errno), group_errno_to_exception)


def _group_rename_error(message: str, errno: int) -> OSError:
    return make_ex(errno, _with_section(message, errno), _rename_errno_to_exception)


def _name_as_users_do() -> None:
    """Make tracebacks and pickles show the module name that programs and the stock module use."""
    for name in __all__:
        if name != "make_ex":
            globals()[name].__module__ = "rbd"


_name_as_users_do()
