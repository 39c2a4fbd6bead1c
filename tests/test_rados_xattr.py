"""The extended attributes of objects."""

from __future__ import annotations

from typing import Any

import pytest

from rbd import rados

Ioctx = rados.Ioctx


def test_attributes_are_set_read_and_listed(object_ioctx: Ioctx) -> None:
    io = object_ioctx
    assert io.set_xattr("o", "b", b"v\0w") is True
    assert io.set_xattr("o", "a", bytearray()) is True
    assert io.get_xattr("o", "b") == b"v\0w"
    assert io.get_xattr("o", "a") == b""
    found = io.get_xattrs("o")
    assert (found.ioctx, found.oid) == (io, b"o")
    assert iter(found) is found
    assert next(found) == ("a", b"")
    assert list(found) == [("b", b"v\0w")]
    with pytest.raises(StopIteration):
        next(found)
    assert list(rados.XattrIterator(io, "o")) == [("a", b""), ("b", b"v\0w")]
    assert io.rm_xattr("o", "a") is True
    assert list(io.get_xattrs("o")) == [("b", b"v\0w")]


def test_a_long_value_is_read_whole(object_ioctx: Ioctx) -> None:
    value = bytes(range(256)) * 100
    object_ioctx.set_xattr("o", "long", value)
    assert object_ioctx.get_xattr("o", "long") == value


def test_iterating_outlives_the_context(object_ioctx: Ioctx) -> None:
    object_ioctx.set_xattr("o", "a", b"1")
    found = object_ioctx.get_xattrs("o")
    object_ioctx.close()
    assert list(found) == [("a", b"1")]


def test_missing_attributes_and_objects_are_errors(object_ioctx: Ioctx) -> None:
    object_ioctx.write_full("o", b"")
    with pytest.raises(rados.NoData, match="attribute 'none' of object 'o' in pool"):
        object_ioctx.get_xattr("o", "none")
    for call in (
        lambda: object_ioctx.get_xattr("gone", "a"),
        lambda: object_ioctx.get_xattrs("gone"),
        lambda: object_ioctx.rm_xattr("gone", "a"),
    ):
        with pytest.raises(rados.ObjectNotFound, match="'gone'"):
            call()
    wrong: Any = object()
    for refused in (
        lambda: object_ioctx.set_xattr("o", "a", "text"),  # type: ignore[arg-type]
        lambda: object_ioctx.set_xattr("o", wrong, b""),
        lambda: object_ioctx.get_xattrs(wrong),
        lambda: rados.XattrIterator(wrong, "o"),
    ):
        with pytest.raises(TypeError):
            refused()
    with pytest.raises(ValueError, match="NUL"):
        object_ioctx.get_xattr("o", "a\0b")
    object_ioctx.close()
    with pytest.raises(rados.IoctxStateError):
        object_ioctx.get_xattr("o", "a")
