"""The bytes of objects, by the calls of an I/O context and by Object."""

from __future__ import annotations

import array
import mmap
import time
from typing import Any, Callable, List, Tuple

import pytest

from rbd import rados

Ioctx = rados.Ioctx

#: Each call, with valid arguments.
CALLS: Any = [
    ("read", ("o", 8, 0)),
    ("readinto", ("o", bytearray(4), 0)),
    ("write", ("o", b"data", 0)),
    ("write_full", ("o", b"data")),
    ("append", ("o", b"data")),
    ("writesame", ("o", b"ab", 4, 0)),
    ("trunc", ("o", 4)),
    ("stat", ("o",)),
    ("remove_object", ("o",)),
    ("cmpext", ("o", b"data", 0)),
    ("execute", ("o", "hello", "say_hello", b"bob", 100)),
]


def test_written_data_is_read_back(object_ioctx: Ioctx) -> None:
    io = object_ioctx
    assert io.write("o", b"hello") == 0
    assert io.append("o", b" world") == 0
    assert io.read("o") == b"hello world"
    assert io.read("o", 3, 2) == b"llo"
    assert io.read("o", 100, 6) == b"world"
    assert io.read("o", offset=11) == b""
    assert io.write_full(key="o", data=b"new") == 0
    assert io.write("o", b"X", 5) == 0
    assert io.read("o") == b"new\0\0X"
    assert io.trunc("o", 4) == 0
    assert io.read("o") == b"new\0"
    assert io.writesame("o", b"ab", 6, 1) is None
    assert io.read("o") == b"nababab"
    assert io.remove_object("o") is True
    with pytest.raises(rados.ObjectNotFound):
        io.read("o")


def test_a_length_beyond_any_object_is_limited(object_ioctx: Ioctx) -> None:
    object_ioctx.write_full("o", b"short")
    assert object_ioctx.read("o", 2**31 - 1) == b"short"


@pytest.mark.parametrize(
    "make",
    [bytes, bytearray, memoryview, lambda data: array.array("H", data)],
    ids=["bytes", "bytearray", "memoryview", "array"],
)
def test_any_buffer_is_accepted(object_ioctx: Ioctx, make: Callable[[bytes], Any]) -> None:
    data = make(b"some data!")
    object_ioctx.write_full("o", data)
    object_ioctx.append("o", data)
    object_ioctx.write("o", data, 20)
    assert object_ioctx.read("o") == b"some data!" * 3
    assert object_ioctx.cmpext("o", data, 10) == 0
    assert object_ioctx.set_xattr("o", "a", data) is True
    assert object_ioctx.get_xattr("o", "a") == b"some data!"


def test_readinto_fills_a_buffer(object_ioctx: Ioctx) -> None:
    object_ioctx.write_full("o", b"0123456789")
    memory = mmap.mmap(-1, 16)
    assert object_ioctx.readinto("o", memory) == 10
    assert memory[:11] == b"0123456789\0"
    part = memoryview(bytearray(8))
    assert object_ioctx.readinto("o", part[2:6], 3) == 4
    assert bytes(part) == b"\0\x003456\0\0"
    assert object_ioctx.readinto("o", bytearray(3), offset=10) == 0
    with pytest.raises(TypeError, match="read-only"):
        object_ioctx.readinto("o", b"fixed")
    with pytest.raises(BufferError):
        object_ioctx.readinto("o", memoryview(bytearray(8))[::2])
    memory.close()


def test_stat_returns_size_and_time(object_ioctx: Ioctx) -> None:
    before = int(time.time())
    object_ioctx.write("o", b"12345")
    size, modified = object_ioctx.stat("o")
    assert size == 5
    assert isinstance(modified, time.struct_time)
    assert before - 5 <= time.mktime(modified) <= time.time() + 5


def test_stat_is_in_local_time(object_ioctx: Ioctx, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        object_ioctx.write("o", b"x")
        heard: List[Any] = []
        object_ioctx.aio_stat("o", lambda *told: heard.extend(told)).wait_for_complete_and_cb()
        for modified in (object_ioctx.stat("o")[1], heard[2]):
            assert abs(time.mktime(modified) - time.time()) < 3600
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_read_of_length_zero_is_empty(object_ioctx: Ioctx) -> None:
    object_ioctx.write("o", b"12345")
    assert object_ioctx.read("o", 0) == b""
    assert object_ioctx.read("o", 0, 99) == b""
    assert object_ioctx.readinto("o", bytearray()) == 0
    with pytest.raises(rados.ObjectNotFound):
        object_ioctx.read("none", 0)


def test_a_comparison_returns_the_place_of_a_difference(object_ioctx: Ioctx) -> None:
    object_ioctx.write_full("o", b"12345")
    assert object_ioctx.cmpext("o", b"12345") == 0
    assert object_ioctx.cmpext("o", b"34", 2) == 0
    assert object_ioctx.cmpext("o", b"12x") == -rados.MAX_ERRNO - 2
    # The stock module takes this one for a failure of the call.
    assert object_ioctx.cmpext("o", b"x2345") == -rados.MAX_ERRNO


def test_execute_returns_the_output(object_ioctx: Ioctx) -> None:
    object_ioctx.write_full("o", b"")
    assert object_ioctx.execute("o", "hello", "say_hello", b"bob") == (11, b"Hello, bob!")
    with pytest.raises(rados.Error, match=r"'hello.no_such' on object 'o'"):
        object_ioctx.execute("o", "hello", "no_such", b"")


def test_errors_name_the_object(object_ioctx: Ioctx) -> None:
    where = f"object 'gone' in pool 'rbd', namespace '{object_ioctx.get_namespace()}'"
    for call in (
        lambda: object_ioctx.read("gone"),
        lambda: object_ioctx.stat("gone"),
        lambda: object_ioctx.remove_object("gone"),
        lambda: object_ioctx.readinto("gone", bytearray(1)),
    ):
        with pytest.raises(rados.ObjectNotFound) as caught:
            call()
        assert where in str(caught.value)
        assert caught.value.errno == 2
        assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_a_closed_context_is_refused(
    object_ioctx: Ioctx, method: str, arguments: Tuple[Any, ...]
) -> None:
    object_ioctx.close()
    with pytest.raises(rados.IoctxStateError) as caught:
        getattr(object_ioctx, method)(*arguments)
    assert caught.value.errno is None


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_a_shut_down_connection_is_refused(
    rbd_cluster: Any, method: str, arguments: Tuple[Any, ...]
) -> None:
    client = rbd_cluster.connect()
    ioctx = client.open_ioctx(rbd_cluster.pools[0])
    client.shutdown()
    with pytest.raises(rados.RadosStateError):
        getattr(ioctx, method)(*arguments)
    ioctx.close()


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_wrong_arguments_are_refused(
    object_ioctx: Ioctx, method: str, arguments: Tuple[Any, ...]
) -> None:
    object_ioctx.write_full("o", b"still here")
    call = getattr(object_ioctx, method)
    for i, right in enumerate(arguments):
        wrong: Any = [(TypeError, object())]
        if isinstance(right, int):
            wrong += [(OverflowError, -1), (OverflowError, 2**64), (TypeError, 1.0)]
        elif isinstance(right, str):
            wrong += [(ValueError, "a\0b"), (TypeError, 3)]
        else:
            wrong += [(TypeError, "text"), (BufferError, memoryview(bytes(8))[::2])]
        for error, value in wrong:
            with pytest.raises(error):
                call(*arguments[:i], value, *arguments[i + 1 :])
    for keyword in ({"nonsense": 1}, {"key": "twice"}):
        with pytest.raises(TypeError):
            call(*arguments, **keyword)
    with pytest.raises(TypeError):
        call()
    assert object_ioctx.read("o") == b"still here"


def test_names_may_have_any_characters(object_ioctx: Ioctx) -> None:
    for name in ("ünïcode", b"bytes", "\udc80", "a/b c"):
        object_ioctx.write_full(name, b"x")
        assert object_ioctx.read(name) == b"x"


def test_an_object_has_a_position(object_ioctx: Ioctx) -> None:
    one = rados.Object(object_ioctx, "o")
    assert (one.state, one.offset) == ("exists", 0)
    assert one.write(b"hello world") == 0
    assert one.offset == 11
    one.seek(6)
    assert one.read(3) == b"wor"
    assert one.read() == b"ld"
    assert one.read() == b""
    assert one.stat()[0] == 11
    assert one.set_xattr("a", b"v") is True
    assert one.get_xattr("a") == b"v"
    assert list(one.get_xattrs()) == [("a", b"v")]
    assert one.rm_xattr("a") is True
    assert "key=o,nspace=--default--,locator=None" in str(rados.Object(object_ioctx, "o"))
    one.remove()
    for call in (one.read, one.stat, one.remove, lambda: one.write(b""), lambda: one.seek(0)):
        with pytest.raises(rados.ObjectStateError, match="removed"):
            call()


def test_an_object_has_a_separate_namespace_and_key(object_ioctx: Ioctx) -> None:
    own = rados.Object(object_ioctx, "o", locator_key="key", nspace="elsewhere")
    own.write(b"there")
    with pytest.raises(rados.ObjectNotFound):
        object_ioctx.read("o")
    # The namespace and key of the caller's context do not change.
    assert (object_ioctx.nspace, object_ioctx.locator_key) != ("elsewhere", "key")
    other = object_ioctx.dup()
    other.set_namespace("elsewhere")
    other.set_locator_key("key")
    assert other.read("o") == b"there"
    own.remove()
    other.close()


def test_an_object_of_a_closed_context_is_refused(object_ioctx: Ioctx) -> None:
    one = rados.Object(object_ioctx, "o", nspace="elsewhere")
    one.write(b"x")
    one.remove()
    two = rados.Object(object_ioctx, "o", nspace="elsewhere")
    object_ioctx.close()
    with pytest.raises(rados.IoctxStateError):
        two.read()


def test_decorators_set_the_place_of_the_object(object_ioctx: Ioctx) -> None:
    class Mine(rados.Object):
        @rados.set_object_namespace
        @rados.set_object_locator
        def where(self) -> Tuple[str, str]:
            """Return the namespace and the key."""
            return self.ioctx.get_namespace(), self.ioctx.get_locator_key()

    before = object_ioctx.get_namespace()
    assert Mine(object_ioctx, "o", "k", "n").where() == ("n", "k")
    assert (object_ioctx.get_namespace(), object_ioctx.get_locator_key()) == (before, "")
    assert Mine.where.__doc__ == "Return the namespace and the key."
