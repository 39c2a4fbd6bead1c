"""The omap of objects, read and written by operations."""

from __future__ import annotations

from typing import Any, List

import pytest

from rbd import rados

Ioctx = rados.Ioctx


@pytest.fixture
def filled(object_ioctx: Ioctx) -> Ioctx:
    with rados.WriteOpCtx() as op:
        object_ioctx.set_omap(op, ("a1", "a2", b"b1", "c1"), (b"x", "text", bytearray(b"z"), b""))
        object_ioctx.operate_write_op(op, "o")
    return object_ioctx


def everything(ioctx: Ioctx, name: str = "o") -> List[Any]:
    with rados.ReadOpCtx() as op:
        found, result = ioctx.get_omap_vals(op, "", "", -1)
        assert result == 0
        ioctx.operate_read_op(op, name)
        return list(found)


def test_entries_are_read_by_range_and_key(filled: Ioctx) -> None:
    assert everything(filled) == [("a1", b"x"), ("a2", b"text"), ("b1", b"z"), ("c1", b"")]
    with rados.ReadOpCtx() as op:
        after, _ = filled.get_omap_vals(op, "a1", "a", 10)
        two, _ = filled.get_omap_vals(op, "", "", 2)
        keys, _ = filled.get_omap_keys(op, "a2", 5)
        some, _ = filled.get_omap_vals_by_keys(op, ("c1", "none", "a1"))
        filled.operate_read_op(op, "o")
        assert list(after) == [("a2", b"text")]
        assert iter(two) is two
        assert next(two) == ("a1", b"x")
        assert two.__next__() == ("a2", b"text")
        for _ in range(2):
            with pytest.raises(StopIteration):
                two.__next__()
        assert list(keys) == [("b1", None), ("c1", None)]
        assert list(some) == [("a1", b"x"), ("c1", b"")]


def test_keys_are_converted_by_the_key_type(filled: Ioctx) -> None:
    with rados.ReadOpCtx() as op:
        raw, _ = filled.get_omap_vals(op, "", "a", 10, omap_key_type=bytes)
        upper, _ = filled.get_omap_keys(op, "", 1, lambda key: key.decode().upper())
        filled.operate_read_op(op, "o")
        assert raw.omap_key_type is bytes
        assert list(raw) == [(b"a1", b"x"), (b"a2", b"text")]
        assert list(upper) == [("A1", None)]
    with rados.WriteOpCtx() as write:
        filled.set_omap(write, [b"\xff"], [b"1"])
        filled.operate_write_op(write, "o")
    assert everything(filled)[-1] == ("\udcff", b"1")


def test_entries_are_removed_and_cleared(filled: Ioctx) -> None:
    with rados.WriteOpCtx() as op:
        filled.remove_omap_keys(op, ("a1", "none"))
        filled.operate_write_op(op, "o")
    assert [key for key, _ in everything(filled)] == ["a2", "b1", "c1"]
    with rados.WriteOpCtx() as op:
        filled.clear_omap(op)
        filled.operate_write_op(op, "o")
    assert everything(filled) == []


@pytest.mark.needs("rados_write_op_omap_rm_range2")
def test_a_range_of_entries_is_removed(filled: Ioctx) -> None:
    with rados.WriteOpCtx() as op:
        filled.remove_omap_range2(op, "a2", "c1")
        filled.operate_write_op(op, "o")
    assert [key for key, _ in everything(filled)] == ["a1", "c1"]


def test_a_comparison_decides_about_the_operation(filled: Ioctx) -> None:
    for value, operator, holds in (
        ("x", rados.LIBRADOS_CMPXATTR_OP_EQ, True),
        (b"y", rados.LIBRADOS_CMPXATTR_OP_EQ, False),
        ("y", rados.LIBRADOS_CMPXATTR_OP_LT, True),
        ("a", rados.LIBRADOS_CMPXATTR_OP_LT, False),
        ("a", rados.LIBRADOS_CMPXATTR_OP_GT, True),
        ("y", rados.LIBRADOS_CMPXATTR_OP_GT, False),
    ):
        with rados.WriteOpCtx() as op:
            op.omap_cmp("a1", value, operator)
            filled.set_omap(op, ("c1",), (b"done",))
            if holds:
                filled.operate_write_op(op, "o")
                assert everything(filled)[-1] == ("c1", b"done")
                continue
            with pytest.raises(rados.OSError) as caught:
                filled.operate_write_op(op, "o")
            assert caught.value.errno == 125


def test_entries_cannot_be_read_before_the_operation(filled: Ioctx) -> None:
    with rados.ReadOpCtx() as op:
        found, _ = filled.get_omap_vals(op, "", "", 10)
        with pytest.raises(rados.InvalidArgumentError, match="once the operation") as caught:
            next(found)
        assert caught.value.errno is None
        filled.operate_read_op(op, "o")
        assert len(list(found)) == 4
    with rados.ReadOpCtx() as op:
        found, _ = filled.get_omap_vals(op, "", "", 10)
    with pytest.raises(rados.InvalidArgumentError):
        list(found)
    with rados.ReadOpCtx() as op:
        found, _ = filled.get_omap_vals(op, "", "", 10)
        with pytest.raises(rados.ObjectNotFound):
            filled.operate_read_op(op, "gone")
        with pytest.raises(rados.InvalidArgumentError):
            list(found)
    with pytest.raises(rados.InvalidArgumentError, match="not belong to an operation"):
        next(rados.OmapIterator(filled, bytes.decode))


def test_entries_outlive_the_operation_and_the_context(filled: Ioctx) -> None:
    with rados.ReadOpCtx() as op:
        found, _ = filled.get_omap_vals(op, "", "", 2)
        filled.operate_read_op(op, "o")
    filled.close()
    assert list(found) == [("a1", b"x"), ("a2", b"text")]


def test_many_entries_are_read_in_pages(object_ioctx: Ioctx) -> None:
    names = [f"{number:05}" for number in range(5000)]
    with rados.WriteOpCtx() as op:
        object_ioctx.set_omap(op, names, [name.encode() * 3 for name in names])
        object_ioctx.operate_write_op(op, "o")
    seen: List[str] = []
    while True:
        with rados.ReadOpCtx() as op:
            found, _ = object_ioctx.get_omap_vals(op, seen[-1] if seen else "", "", 999)
            object_ioctx.operate_read_op(op, "o")
            page = list(found)
        if not page:
            break
        assert all(value == key.encode() * 3 for key, value in page)
        seen += [key for key, _ in page]
    assert seen == names


def test_wrong_arguments_are_refused(filled: Ioctx) -> None:
    wrong: Any = object()
    with rados.WriteOpCtx() as op, rados.ReadOpCtx() as reading:
        with pytest.raises(rados.InvalidArgumentError, match="1 keys and 2 values"):
            filled.set_omap(op, ["a"], [b"1", b"2"])
        with pytest.raises(ValueError, match="NUL"):
            filled.set_omap(op, ["a\0b"], [b"1"])
        for call in (
            lambda: filled.set_omap(op, ["a"], [3]),  # type: ignore[list-item]
            lambda: filled.set_omap(op, [3], [b""]),  # type: ignore[list-item]
            lambda: filled.set_omap(op, wrong, [b""]),
            lambda: filled.set_omap(reading, ["a"], [b""]),  # type: ignore[arg-type]
            lambda: filled.remove_omap_keys(op, 3),  # type: ignore[arg-type]
            lambda: filled.get_omap_vals(op, "", "", 1),  # type: ignore[arg-type]
            lambda: filled.get_omap_vals(reading, wrong, "", 1),
            lambda: filled.get_omap_vals(reading, "", "", 1.5),  # type: ignore[arg-type]
            lambda: op.omap_cmp("a", wrong),
        ):
            with pytest.raises(TypeError):
                call()
        for number in (-2, 2**64):
            with pytest.raises(OverflowError):
                filled.get_omap_vals(reading, "", "", number)
        with pytest.raises(OverflowError):
            op.omap_cmp("a", b"", 256)
