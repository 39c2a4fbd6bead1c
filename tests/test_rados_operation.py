"""Operations of several parts on one object."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from rbd import rados

Ioctx = rados.Ioctx


def test_parts_of_a_write_are_done_in_order(object_ioctx: Ioctx) -> None:
    io = object_ioctx
    with rados.WriteOpCtx() as op:
        op.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
        op.write(b"0123456789")
        op.write(bytearray(b"XX"), 4)
        op.append(b"end")
        op.set_xattr("a", b"v")
        assert io.operate_write_op(op, "o") is None
    assert io.read("o") == b"0123XX6789end"
    assert io.get_xattr("o", "a") == b"v"
    with rados.WriteOpCtx() as op:
        op.zero(1, 2)
        op.truncate(6)
        op.rm_xattr("a")
        io.operate_write_op(op, "o")
    assert io.read("o") == b"0\0\x003XX"
    assert list(io.get_xattrs("o")) == []
    with rados.WriteOpCtx() as op:
        op.write_full(b"short")
        op.writesame(b"ab", 4, 5)
        io.operate_write_op(op, "o")
    assert io.read("o") == b"shortabab"
    with rados.WriteOpCtx() as op:
        op.remove()
        io.operate_write_op(op, "o")
    with pytest.raises(rados.ObjectNotFound):
        io.stat("o")


def test_a_failed_part_undoes_the_operation(object_ioctx: Ioctx) -> None:
    io = object_ioctx
    io.write_full("o", b"12345")
    with rados.WriteOpCtx() as op:
        op.cmpext(b"123x5", 0)
        op.write_full(b"lost")
        with pytest.raises(rados.ExtendMismatch, match="object 'o'") as caught:
            io.operate_write_op(op, "o")
    assert caught.value.offset == 3
    assert caught.value.errno == rados.MAX_ERRNO + 3
    assert io.read("o") == b"12345"
    with rados.WriteOpCtx() as op:
        op.new(rados.LIBRADOS_CREATE_EXCLUSIVE)
        with pytest.raises(rados.ObjectExists):
            io.operate_write_op(op, "o")
    with rados.WriteOpCtx() as op:
        op.new()
        op.new(rados.LIBRADOS_CREATE_IDEMPOTENT)
        io.operate_write_op(op, "o")


def test_a_read_operation_may_compare(object_ioctx: Ioctx) -> None:
    object_ioctx.write_full("o", b"12345")
    with rados.ReadOpCtx() as op:
        op.cmpext(b"345", 2)
        object_ioctx.operate_read_op(op, "o")
    for data, offset in ((b"x2", 0), (b"1x", 1)):
        with rados.ReadOpCtx() as op:
            op.cmpext(data)
            with pytest.raises(rados.ExtendMismatch) as caught:
                object_ioctx.operate_read_op(op, "o")
        assert caught.value.offset == offset
    with rados.ReadOpCtx() as op:
        op.cmpext(b"x")
        with pytest.raises(rados.ObjectNotFound):
            object_ioctx.operate_read_op(op, "gone")


def test_version_time_and_flags_are_honoured(object_ioctx: Ioctx) -> None:
    io = object_ioctx
    io.write("o", b"1")
    version = io.get_last_version()
    with rados.WriteOpCtx() as op:
        op.assert_version(version)
        op.write_full(b"2")
        op.set_flags(rados.LIBRADOS_OP_FLAG_FADVISE_DONTNEED)
        io.operate_write_op(op, "o", mtime=5, flags=rados.LIBRADOS_OPERATION_NOFLAG)
    assert io.stat("o")[1].tm_year == 1970
    with rados.WriteOpCtx() as op:
        op.assert_version(version)
        op.write_full(b"3")
        with pytest.raises(rados.OSError):
            io.operate_write_op(op, "o")
    assert io.read("o") == b"2"
    with rados.WriteOpCtx() as op:
        op.write_full(b"4")
        io.operate_write_op(op, "o", 0, 0)
    assert io.stat("o")[1].tm_year > 2000


def test_an_operation_may_execute_a_method(object_ioctx: Ioctx) -> None:
    with rados.WriteOpCtx() as op:
        op.execute("hello", "record_hello", b"me")
        object_ioctx.operate_write_op(op, "o")
    assert object_ioctx.read("o") == b"Hello, me!"


def test_operations_have_all_stock_forms(object_ioctx: Ioctx) -> None:
    io = object_ioctx
    made = io.create_write_op()
    assert type(made) is rados.WriteOp
    made.write_full(b"x")
    io.operate_write_op(made, "o")
    io.release_write_op(made)
    reading = io.create_read_op()
    assert type(reading) is rados.ReadOp
    reading.cmpext(b"x")
    io.operate_read_op(reading, "o")
    io.release_read_op(reading)
    for cls in (rados.WriteOpCtx, rados.ReadOpCtx):
        assert issubclass(cls, rados.OpCtx)
        with cls(io) as op:
            assert isinstance(op, cls)
        with cls() as op:
            op.release()


@pytest.mark.parametrize("cls", [rados.WriteOp, rados.ReadOp])
def test_calls_in_the_wrong_order_are_refused(object_ioctx: Ioctx, cls: Any) -> None:
    writes = cls is rados.WriteOp
    operate = object_ioctx.operate_write_op if writes else object_ioctx.operate_read_op
    release = object_ioctx.release_write_op if writes else object_ioctx.release_read_op
    op = cls()
    never = (lambda: operate(op, "o"), op.release, lambda: release(op), lambda: op.cmpext(b""))
    for call in never:
        with pytest.raises(rados.InvalidArgumentError, match="never created") as caught:
            call()
        assert caught.value.errno is None
    assert op.create() is op
    with pytest.raises(rados.InvalidArgumentError, match="created already"):
        op.create()
    op.release()
    for call in never:
        with pytest.raises(rados.InvalidArgumentError, match="released"):
            call()
    op.create()
    op.release()


def fail_inside() -> None:
    with rados.WriteOpCtx() as op:
        op.write(b"x")
        raise KeyError


def test_the_block_keeps_the_exception_of_its_body() -> None:
    with pytest.raises(KeyError):
        fail_inside()


def test_zeroing_no_bytes_is_refused() -> None:
    with rados.WriteOpCtx() as op, pytest.raises(rados.InvalidArgumentError, match="at least 1"):
        op.zero(5, 0)


def operate_write(ioctx: Any, operation: Any) -> None:
    ioctx.operate_write_op(operation, "flagged")


def operate_write_later(ioctx: Any, operation: Any) -> None:
    ioctx.operate_aio_write_op(operation, "flagged").wait_for_complete()


def operate_read(ioctx: Any, operation: Any) -> None:
    ioctx.operate_read_op(operation, "flagged")


def operate_read_later(ioctx: Any, operation: Any) -> None:
    ioctx.operate_aio_read_op(operation, "flagged").wait_for_complete()


@pytest.mark.parametrize("operate", [operate_write, operate_write_later])
def test_flags_without_a_part_of_a_write_are_refused(operate: Any, object_ioctx: Ioctx) -> None:
    with rados.WriteOpCtx() as operation:
        refuses_flags(operation)
        operation.write_full(b"data")
        operation.set_flags(rados.LIBRADOS_OP_FLAG_FADVISE_DONTNEED)
        operate(object_ioctx, operation)
        # librados has taken the parts.
        refuses_flags(operation)
        operation.append(b"more")
        operation.set_flags(rados.LIBRADOS_OP_FLAG_FADVISE_DONTNEED)
        operate(object_ioctx, operation)
    assert object_ioctx.read("flagged") == b"datamore"


@pytest.mark.parametrize("operate", [operate_read, operate_read_later])
def test_flags_without_a_part_of_a_read_are_refused(operate: Any, object_ioctx: Ioctx) -> None:
    object_ioctx.write_full("flagged", b"data")
    with rados.ReadOpCtx() as operation:
        refuses_flags(operation)
        operation.cmpext(b"data")
        operation.set_flags(rados.LIBRADOS_OP_FLAG_FADVISE_DONTNEED)
        operate(object_ioctx, operation)
        refuses_flags(operation)
        object_ioctx.get_omap_keys(operation, "", 1)
        operation.set_flags(rados.LIBRADOS_OP_FLAG_FADVISE_DONTNEED)


def refuses_flags(operation: Any) -> None:
    """Flags need a part in the operation: librados would end the process."""
    with pytest.raises(rados.InvalidArgumentError, match="not have any part") as caught:
        operation.set_flags(0)
    assert caught.value.errno is None


def test_an_empty_operation_works(object_ioctx: Ioctx) -> None:
    with rados.WriteOpCtx() as op, rados.ReadOpCtx() as reading:
        object_ioctx.operate_write_op(op, "o")
        object_ioctx.operate_read_op(reading, "o")


def test_wrong_arguments_are_refused(object_ioctx: Ioctx) -> None:
    wrong: Any = object()
    with rados.WriteOpCtx() as op:
        for call in (
            lambda: op.write("text"),  # type: ignore[arg-type]
            lambda: op.set_xattr(3, b""),  # type: ignore[arg-type]
            lambda: op.execute("hello", "x", wrong),
            lambda: object_ioctx.operate_write_op(wrong, "o"),
            lambda: object_ioctx.operate_read_op(op, "o"),  # type: ignore[arg-type]
            lambda: object_ioctx.operate_write_op(op, wrong),
        ):
            with pytest.raises(TypeError):
                call()
        for number in (-1, 2**64):
            for overflow in (
                lambda number=number: op.write(b"", number),
                lambda number=number: op.truncate(number),
                lambda number=number: op.zero(0, number),
                lambda number=number: op.assert_version(number),
                lambda number=number: op.writesame(b"x", number),
            ):
                with pytest.raises(OverflowError):
                    overflow()
        object_ioctx.close()
        with pytest.raises(rados.IoctxStateError):
            object_ioctx.operate_write_op(op, "o")


def test_threads_may_share_an_operation(object_ioctx: Ioctx) -> None:
    op = rados.WriteOp().create()
    errors = []

    def work(number: int) -> None:
        try:
            for _ in range(50):
                op.write(b"x" * 100, number * 100)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    object_ioctx.operate_write_op(op, "o")
    op.release()
    assert object_ioctx.read("o") == b"x" * 400
