"""An object of a pool that is read and written like a file, under the stock module's name."""

from __future__ import annotations

import functools
import operator
import time

from ._bound import Ioctx
from .exceptions import ObjectStateError

# Importing typing takes long: see rbd/__init__.py.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Callable, Optional, Tuple, TypeVar

    from ..types import AnyBuffer, Text
    from ._bound import XattrIterator

    _Function = TypeVar("_Function", bound=Callable[..., Any])


def set_object_locator(func: _Function) -> _Function:
    """Decorate a method of an Object, so that its I/O context has the object's locator key.

    Parameters
    ----------
    func
        The method. The context gets its own key back when it returns.

    Returns
    -------
    The decorated method.
    """

    @functools.wraps(func)
    def with_locator(self: Object, *args: Any, **kwargs: Any) -> Any:
        if self.locator_key is None:
            return func(self, *args, **kwargs)
        before = self.ioctx.get_locator_key()
        self.ioctx.set_locator_key(self.locator_key)
        try:
            return func(self, *args, **kwargs)
        finally:
            self.ioctx.set_locator_key(before)

    return with_locator  # type: ignore[return-value]


def set_object_namespace(func: _Function) -> _Function:
    """Decorate a method of an Object, so that its I/O context has the object's namespace.

    Parameters
    ----------
    func
        The method. The context gets its own namespace back when it returns.

    Returns
    -------
    The decorated method.
    """

    @functools.wraps(func)
    def with_namespace(self: Object, *args: Any, **kwargs: Any) -> Any:
        if self.nspace is None:
            return func(self, *args, **kwargs)
        before = self.ioctx.get_namespace()
        self.ioctx.set_namespace(self.nspace)
        try:
            return func(self, *args, **kwargs)
        finally:
            self.ioctx.set_namespace(before)

    return with_namespace  # type: ignore[return-value]


def _require_text(name: str, value: object) -> None:
    if not isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be str or bytes, not {type(value).__name__}")
    if (b"\0" if isinstance(value, bytes) else "\0") in value:  # type: ignore[operator]
        raise ValueError(f"{name} must not contain NUL")


class Object:
    """An object of a pool, with a position at which it is read and written.

    It has its own namespace and locator key, which need not be those of its I/O context.

    Parameters
    ----------
    ioctx
        A context of the pool.
    key
        The name of the object.
    locator_key
        The key that places the object; None means its name.
    nspace
        The namespace of the object; None means the default one.

    Examples
    --------
    >>> found = rbd.rados.Object(ioctx, "greeting", nspace=ioctx.get_namespace())
    >>> found.seek(1)
    >>> found.read()
    b'ello'
    """

    ioctx: Ioctx
    key: Text
    locator_key: Optional[Text]
    nspace: Optional[Text]
    # Listings make objects without the constructor. These are the first values of the other
    # attributes.
    offset: int = 0
    state: str = "exists"
    # A context with this object's namespace and key, if the caller's context has others.
    _place: Optional[Ioctx] = None

    def __init__(
        self,
        ioctx: Ioctx,
        key: Text,
        locator_key: Optional[Text] = None,
        nspace: Optional[Text] = None,
    ) -> None:
        if not isinstance(ioctx, Ioctx):
            raise TypeError(f"ioctx must be an rbd.rados.Ioctx, not {type(ioctx).__name__}")
        _require_text("key", key)
        for name, value in (("locator_key", locator_key), ("nspace", nspace)):
            if value is not None:
                _require_text(name, value)
        self.ioctx = ioctx
        self.key = key
        self.locator_key = locator_key
        self.nspace = "" if nspace is None else nspace

    def __str__(self) -> str:
        key, nspace, locator = str(self.key), str(self.nspace), str(self.locator_key)
        return (
            f"rados.Object(ioctx={self.ioctx},key={key},"
            f"nspace={nspace or '--default--'},locator={locator})"
        )

    def require_object_exists(self) -> None:
        """Raise an exception if this object was removed.

        Raises
        ------
        ObjectStateError
            The object was removed by `remove`.
        """
        if self.state != "exists":
            raise ObjectStateError("The object is removed")

    def _context(self) -> Ioctx:
        self.require_object_exists()
        locator = self.locator_key or ""
        if (self.ioctx.nspace, self.ioctx.locator_key) == (self.nspace, locator):
            return self.ioctx
        # The namespace of the caller's context does not change, because other threads may use the
        # context.
        place = self._place
        if place is None:
            place = self.ioctx.dup()
            self._place = place
        place.set_namespace(self.nspace)
        place.set_locator_key(locator)
        return place

    def read(self, length: int = 1024 * 1024) -> bytes:
        """Read from the position, and move the position by the number of bytes read.

        Parameters
        ----------
        length
            The number of bytes to read at most.

        Returns
        -------
        The data, shorter than `length` only at the end of the object.

        Raises
        ------
        ObjectNotFound
            There is no such object.
        ObjectStateError
            The object was removed by `remove`.
        """
        data = self._context().read(self.key, length, self.offset)
        self.offset += len(data)
        return data

    def write(self, string_to_write: AnyBuffer) -> int:
        """Write at the position, and move the position by the number of bytes written.

        Parameters
        ----------
        string_to_write
            The data: any C-contiguous buffer.

        Returns
        -------
        0.

        Raises
        ------
        ObjectStateError
            The object was removed by `remove`.
        """
        result = self._context().write(self.key, string_to_write, self.offset)
        self.offset += memoryview(string_to_write).nbytes  # type: ignore[arg-type]
        return result

    def seek(self, position: int) -> None:
        """Set the position.

        Parameters
        ----------
        position
            The position, in bytes from the object's beginning.

        Raises
        ------
        ObjectStateError
            The object was removed by `remove`.
        """
        self.require_object_exists()
        number = operator.index(position)
        if not 0 <= number < 2**64:
            raise OverflowError(f"position must be 0 to 2**64 - 1, not {number}")
        self.offset = number

    def remove(self) -> None:
        """Remove the object. Later calls raise `ObjectStateError`.

        Raises
        ------
        ObjectNotFound
            There is no such object.
        """
        self._context().remove_object(self.key)
        self.state = "removed"

    def stat(self) -> Tuple[int, time.struct_time]:
        """Return the size and the time of the object.

        Returns
        -------
        A tuple: the size in bytes, and the time of the last change as `time.localtime` returns it.

        Raises
        ------
        ObjectNotFound
            There is no such object.
        """
        return self._context().stat(self.key)

    def get_xattr(self, xattr_name: Text) -> bytes:
        """Return an attribute.

        Parameters
        ----------
        xattr_name
            The name of the attribute.

        Returns
        -------
        The value.

        Raises
        ------
        NoData
            The object does not have the attribute.
        ObjectNotFound
            There is no such object.
        """
        return self._context().get_xattr(self.key, xattr_name)

    def get_xattrs(self) -> XattrIterator:
        """List the attributes.

        Returns
        -------
        An iterator of pairs: the name, and the value in bytes.

        Raises
        ------
        ObjectNotFound
            There is no such object.
        """
        return self._context().get_xattrs(self.key)

    def set_xattr(self, xattr_name: Text, xattr_value: AnyBuffer) -> bool:
        """Set an attribute.

        Parameters
        ----------
        xattr_name
            The name of the attribute.
        xattr_value
            The value: any buffer.

        Returns
        -------
        True.
        """
        return self._context().set_xattr(self.key, xattr_name, xattr_value)

    def rm_xattr(self, xattr_name: Text) -> bool:
        """Remove an attribute, if the object has it.

        Parameters
        ----------
        xattr_name
            The name of the attribute.

        Returns
        -------
        True.
        """
        return self._context().rm_xattr(self.key, xattr_name)
