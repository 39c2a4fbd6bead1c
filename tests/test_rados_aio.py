"""Asynchronous calls on objects, with callbacks."""

from __future__ import annotations

import errno
import gc
import threading
import time
import weakref
from typing import Any, Callable, Iterator, List

import pytest

import rbd
from rbd import rados
from support import isolated
from support.heard import Heard

pytestmark = pytest.mark.usefixtures("rbd_cluster")


@pytest.fixture
def ioctx(object_ioctx: Any) -> rados.Ioctx:
    object_ioctx.write_full("thing", b"0123456789")
    return object_ioctx  # type: ignore[no-any-return]


def done(completion: rados.Completion) -> int:
    assert completion.wait_for_complete_and_cb() == 0
    assert completion.is_complete()
    assert completion.is_safe()
    return completion.get_return_value()


def test_written_data_is_read_back(ioctx: rados.Ioctx) -> None:
    complete, safe = Heard(), Heard()
    completion = ioctx.aio_write("one", b"hello", 0, complete, safe)
    assert done(completion) == 0
    assert complete.calls == safe.calls == [(completion,)]
    assert complete.threads == ["rbd-callbacks"]
    assert (completion.ioctx, completion.oncomplete, completion.onsafe) == (ioctx, complete, safe)
    assert done(ioctx.aio_append("one", b"!!", oncomplete=complete)) == 0
    read = Heard()
    completion = ioctx.aio_read("one", 100, 0, read)
    assert done(completion) == 7
    assert read.calls == [(completion, b"hello!!")]
    assert done(ioctx.aio_write_full("one", b"short")) == 0
    for length, offset, data in ((5, 0, b"short"), (2, 1, b"ho"), (5, 4, b"t"), (5, 99, b"")):
        read = Heard()
        completion = ioctx.aio_read(b"one", length, offset, oncomplete=read)
        assert done(completion) == len(data)
        assert read.calls == [(completion, data)]
    assert done(ioctx.aio_read("one", 5, 0)) == 5


def test_a_read_of_length_zero_writes_nothing(ioctx: rados.Ioctx) -> None:
    # For a length of 0, librados would read the whole object, and write it beyond the memory.
    read = Heard()
    completion = ioctx.aio_read("thing", 0, 0, read)
    assert done(completion) == 0
    assert read.calls == [(completion, b"")]
    assert done(ioctx.aio_read("none", 0, 0)) == -errno.ENOENT


def test_a_huge_read_is_limited_to_the_object(ioctx: rados.Ioctx) -> None:
    read = Heard()
    completion = ioctx.aio_read("thing", 2**40, 0, read)
    assert done(completion) == 10
    assert read.calls == [(completion, b"0123456789")]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_any_buffer_is_accepted(kind: Callable[[bytes], Any], ioctx: rados.Ioctx) -> None:
    data = kind(bytes(range(256)) * 16)
    assert done(ioctx.aio_write("one", data)) == 0
    assert done(ioctx.aio_append("one", data)) == 0
    assert ioctx.read("one", 8192) == bytes(data) * 2
    assert done(ioctx.aio_write_full("one", data)) == 0
    assert done(ioctx.aio_cmpext("one", data)) == 0
    assert done(ioctx.aio_setxattr("one", "name", data)) == 0
    assert ioctx.get_xattr("one", "name") == bytes(data)


def test_a_buffer_is_held_until_completion(ioctx: rados.Ioctx) -> None:
    buffer = bytearray(1 << 16)
    held = threading.Event()

    def look(_: rados.Completion) -> None:
        try:
            buffer.append(0)
        except BufferError:
            held.set()

    assert done(ioctx.aio_write("one", buffer, 0, look)) == 0
    assert held.is_set()
    buffer.append(0)


def test_a_missing_object_is_an_error(ioctx: rados.Ioctx) -> None:
    for submit, extras in (
        (lambda heard: ioctx.aio_read("none", 5, 0, heard), (None,)),
        (lambda heard: ioctx.aio_stat("none", heard), (None, None)),
        (lambda heard: ioctx.aio_remove("none", heard), ()),
        (lambda heard: ioctx.aio_cmpext("none", b"x", 0, heard), ()),
        (lambda heard: ioctx.aio_rmxattr("none", "name", heard), ()),
    ):
        heard = Heard()
        completion = submit(heard)
        assert done(completion) == -errno.ENOENT
        assert heard.calls == [(completion, *extras)]


def test_stat_returns_size_and_time(ioctx: rados.Ioctx) -> None:
    heard = Heard()
    completion = ioctx.aio_stat("thing", heard)
    assert done(completion) == 0
    assert heard.calls == [(completion, *ioctx.stat("thing"))]
    assert done(ioctx.aio_stat("thing", None)) == 0


def test_a_comparison_returns_the_place_of_a_difference(ioctx: rados.Ioctx) -> None:
    assert done(ioctx.aio_cmpext("thing", b"0123")) == 0
    assert done(ioctx.aio_cmpext("thing", b"45", 4)) == 0
    assert done(ioctx.aio_cmpext("thing", b"01x3")) == -4097


def test_write_same_repeats_its_data(ioctx: rados.Ioctx) -> None:
    assert done(ioctx.aio_writesame("one", b"xy", 6, 1)) == 0
    assert ioctx.read("one") == b"\0xyxyxy"
    for data, length in ((b"xy", 5), (b"", 4)):
        with pytest.raises(rados.InvalidArgumentError, match="object 'one' in pool"):
            ioctx.aio_writesame("one", data, length)


def test_attributes_are_set_and_removed(ioctx: rados.Ioctx) -> None:
    assert done(ioctx.aio_setxattr("thing", "name", b"value")) == 0
    assert ioctx.get_xattr("thing", "name") == b"value"
    assert done(ioctx.aio_rmxattr("thing", "name")) == 0
    with pytest.raises(rados.NoData):
        ioctx.get_xattr("thing", "name")


def test_execute_returns_the_output(ioctx: rados.Ioctx) -> None:
    complete, safe = Heard(), Heard()
    completion = ioctx.aio_execute("thing", "hello", "say_hello", b"bob", 8192, complete, safe)
    assert done(completion) == 11
    assert complete.calls == safe.calls == [(completion, b"Hello, bob!")]
    failed = Heard()
    completion = ioctx.aio_execute("thing", "no_such_class", "x", b"", oncomplete=failed)
    assert done(completion) < 0
    assert failed.calls == [(completion, None)]


def test_execute_with_too_little_room_truncates(ioctx: rados.Ioctx) -> None:
    # rados_aio_exec would write all of the output.
    for room in (0, 2, 10):
        heard = Heard()
        completion = ioctx.aio_execute("thing", "hello", "say_hello", b"bob", room, heard)
        assert done(completion) == -errno.ERANGE
        assert heard.calls == [(completion, None)]
    assert done(ioctx.aio_execute("thing", "hello", "say_hello", b"bob", 11)) == 11


def test_an_object_is_removed(ioctx: rados.Ioctx) -> None:
    assert done(ioctx.aio_remove("thing")) == 0
    with pytest.raises(rados.ObjectNotFound):
        ioctx.stat("thing")


def test_operations_run_asynchronously(ioctx: rados.Ioctx) -> None:
    heard = Heard()
    with rados.WriteOpCtx() as write:
        ioctx.set_omap(write, ("a", "b"), (b"1", b"2"))
        write.write_full(b"body")
        completion = ioctx.operate_aio_write_op(write, "whole", heard, heard, mtime=5)
        assert done(completion) == 0
    assert heard.calls == [(completion,), (completion,)]
    assert ioctx.read("whole") == b"body"
    if rbd.supports("rbd_snap_create2"):
        # Ceph 14's librados does not pass the time on.
        assert ioctx.stat("whole")[1] == time.localtime(5)
    found: List[Any] = []
    with rados.ReadOpCtx() as read:
        entries, _ = ioctx.get_omap_vals(read, "", "", -1)
        with pytest.raises(rados.InvalidArgumentError):
            next(entries)
        completion = ioctx.operate_aio_read_op(read, "whole", lambda _: found.extend(entries))
        assert done(completion) == 0
    assert found == [("a", b"1"), ("b", b"2")]
    with rados.ReadOpCtx() as read:
        entries, _ = ioctx.get_omap_vals(read, "", "", -1)
        assert done(ioctx.operate_aio_read_op(read, "none")) == -errno.ENOENT
        with pytest.raises(rados.InvalidArgumentError):
            next(entries)


def test_an_operation_may_be_released_in_flight(ioctx: rados.Ioctx) -> None:
    completions = []
    for i in range(50):
        write = ioctx.create_write_op()
        ioctx.set_omap(write, (str(i),), (bytes(1000),))
        completions.append(ioctx.operate_aio_write_op(write, "whole"))
        ioctx.release_write_op(write)
    entries = []
    for _ in range(50):
        read = ioctx.create_read_op()
        entries.append(ioctx.get_omap_vals(read, "", "", -1)[0])
        completions.append(ioctx.operate_aio_read_op(read, "whole"))
        ioctx.release_read_op(read)
    assert [done(completion) for completion in completions] == [0] * 100
    assert len(list(entries[-1])) == 50


def test_objects_that_are_not_operations_are_refused(ioctx: rados.Ioctx) -> None:
    with pytest.raises(rados.InvalidArgumentError, match="never created"):
        ioctx.operate_aio_write_op(rados.WriteOp(), "thing")
    with pytest.raises(rados.InvalidArgumentError, match="never created"):
        ioctx.operate_aio_read_op(rados.ReadOp(), "thing")
    released = ioctx.create_write_op()
    released.release()
    with pytest.raises(rados.InvalidArgumentError, match="released"):
        ioctx.operate_aio_write_op(released, "thing")


def test_an_exception_of_a_callback_is_raised_by_the_wait(ioctx: rados.Ioctx) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("on purpose")

    for submit in (
        lambda: ioctx.aio_write("one", b"x", 0, fail),
        lambda: ioctx.aio_write("one", b"x", 0, None, fail),
        lambda: ioctx.aio_read("thing", 5, 0, fail),
    ):
        completion = submit()
        for _ in range(2):
            with pytest.raises(ZeroDivisionError, match="on purpose"):
                completion.wait_for_complete_and_cb()
        assert completion.wait_for_complete() is None
        assert completion.get_return_value() >= 0
    safe = Heard()
    completion = ioctx.aio_write("one", b"x", 0, fail, safe)
    with pytest.raises(ZeroDivisionError):
        completion.wait_for_safe_and_cb()
    assert safe.calls == [(completion,)]


def test_a_callback_submits_and_waits(ioctx: rados.Ioctx) -> None:
    read = Heard()
    inner: List[rados.Completion] = []

    def again(_: rados.Completion) -> None:
        inner.append(ioctx.aio_read("one", 5, 0, read))
        inner[0].wait_for_complete_and_cb()
        assert read.calls == [(inner[0], b"first")]

    assert done(ioctx.aio_write("one", b"first", 0, again)) == 0
    assert done(inner[0]) == 5


def test_waiting_for_itself_returns_inside_a_callback(ioctx: rados.Ioctx) -> None:
    def wait(completion: rados.Completion) -> None:
        assert completion.wait_for_complete() is None
        assert completion.wait_for_complete_and_cb() == 0

    assert done(ioctx.aio_write("one", b"first", 0, wait)) == 0


def test_a_wait_for_completion_ignores_a_busy_callback(ioctx: rados.Ioctx) -> None:
    go_on = threading.Event()
    busy = ioctx.aio_write("one", b"x", 0, lambda _: go_on.wait(300))
    other = ioctx.aio_read("thing", 5, 0, lambda *_: None)
    assert other.wait_for_complete() is None
    assert other.get_return_value() == 5
    ioctx.aio_flush()
    assert ioctx.notify("thing", "x") is True
    assert not go_on.is_set()
    go_on.set()
    assert done(busy) == 0
    assert done(other) == 5


def test_flush_completes_all_writes(ioctx: rados.Ioctx) -> None:
    completions = [ioctx.aio_write(f"part {i}", bytes(4096)) for i in range(32)]
    ioctx.aio_flush()
    assert all(completion.is_complete() for completion in completions)


def test_a_context_lists_its_completions(ioctx: rados.Ioctx) -> None:
    heard, go_on = Heard(), threading.Event()
    first = ioctx.aio_write("one", b"x", 0, lambda _: go_on.wait(60))
    second = ioctx.aio_write("one", b"x", 0, heard)
    third = ioctx.aio_write("one", b"x", 0, None, heard)
    assert second in ioctx.complete_completions
    assert third not in ioctx.complete_completions
    assert third in ioctx.safe_completions
    go_on.set()
    for completion in (first, second, third):
        done(completion)
    assert ioctx.complete_completions == ioctx.safe_completions == []


def test_a_completion_without_a_call_is_refused(ioctx: rados.Ioctx) -> None:
    completion = rados.Completion(ioctx, None, print)
    assert (completion.oncomplete, completion.onsafe) == (None, print)
    assert not completion.is_complete()
    assert not completion.is_safe()
    assert completion.get_return_value() == 0
    for wait in (
        completion.wait_for_complete,
        completion.wait_for_safe,
        completion.wait_for_complete_and_cb,
        completion.wait_for_safe_and_cb,
    ):
        with pytest.raises(rados.InvalidArgumentError, match="does not belong to a call"):
            wait()
    with pytest.raises(TypeError):
        rados.Completion(None, None, None)
    with pytest.raises(TypeError, match=r"ioctx must be an rbd\.rados\.Ioctx, not int"):
        rados.Completion(3, None, None)
    with pytest.raises(TypeError):
        rados.Completion(ioctx, 5, None)


def calls(ioctx: rados.Ioctx) -> Iterator[Callable[..., Any]]:
    """Return each call, as a function of an object's name and callbacks."""
    write, read = ioctx.create_write_op(), ioctx.create_read_op()
    yield lambda name, **more: ioctx.aio_write(name, b"x", **more)
    yield lambda name, **more: ioctx.aio_write_full(name, b"x", **more)
    yield lambda name, **more: ioctx.aio_append(name, b"x", **more)
    yield lambda name, **more: ioctx.aio_read(name, 1, 0, **more)
    yield lambda name, **more: ioctx.aio_writesame(name, b"x", 1, **more)
    yield lambda name, **more: ioctx.aio_remove(name, **more)
    yield lambda name, oncomplete=None: ioctx.aio_stat(name, oncomplete)
    yield lambda name, **more: ioctx.aio_cmpext(name, b"x", **more)
    yield lambda name, **more: ioctx.aio_setxattr(name, "a", b"x", **more)
    yield lambda name, **more: ioctx.aio_rmxattr(name, "a", **more)
    yield lambda name, **more: ioctx.aio_execute(name, "hello", "say_hello", b"", **more)
    yield lambda name, **more: ioctx.operate_aio_write_op(write, name, **more)
    yield lambda name, **more: ioctx.operate_aio_read_op(read, name, **more)


def test_wrong_arguments_are_refused(ioctx: rados.Ioctx) -> None:
    for call in calls(ioctx):
        for bad in (None, 5, ["thing"]):
            with pytest.raises(TypeError):
                call(bad)
        with pytest.raises(ValueError, match="NUL"):
            call("a\0b")
        with pytest.raises(TypeError, match="oncomplete must be callable or None, not int"):
            call("thing", oncomplete=5)
    for bad in ("text", None, 5, memoryview(bytes(64))[::2]):
        for submit in (
            lambda bad: ioctx.aio_write("one", bad),
            lambda bad: ioctx.aio_write_full("one", bad),
            lambda bad: ioctx.aio_append("one", bad),
            lambda bad: ioctx.aio_writesame("one", bad, 4),
            lambda bad: ioctx.aio_cmpext("one", bad),
            lambda bad: ioctx.aio_setxattr("one", "a", bad),
            lambda bad: ioctx.aio_execute("one", "hello", "say_hello", bad),
        ):
            with pytest.raises((TypeError, BufferError)):
                submit(bad)
    for number in (-1, 2**64):
        for submit in (
            lambda number: ioctx.aio_write("one", b"x", number),
            lambda number: ioctx.aio_read("one", number, 0),
            lambda number: ioctx.aio_read("one", 1, number),
            lambda number: ioctx.aio_writesame("one", b"x", number),
            lambda number: ioctx.aio_cmpext("one", b"x", number),
            lambda number: ioctx.aio_execute("one", "hello", "say_hello", b"", number),
        ):
            with pytest.raises(OverflowError):
                submit(number)
    with pytest.raises(TypeError):
        ioctx.aio_read("one", 1, 0, onsafe=print)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        ioctx.operate_aio_write_op(ioctx.create_read_op(), "one")  # type: ignore[arg-type]
    with pytest.raises(rados.ObjectNotFound):
        ioctx.stat("one")


def test_a_closed_context_is_refused(rbd_cluster: Any, object_ioctx: Any) -> None:
    with rbd_cluster.connect() as cluster:
        ioctx = cluster.open_ioctx(object_ioctx.get_pool_name())
        all_calls = list(calls(ioctx))
        ioctx.close()
        for call in all_calls:
            with pytest.raises(rados.IoctxStateError):
                call("thing")
        with pytest.raises(rados.IoctxStateError):
            ioctx.aio_flush()
        ioctx = cluster.open_ioctx(object_ioctx.get_pool_name())
        all_calls = list(calls(ioctx))
    for call in all_calls:
        with pytest.raises(rados.RadosStateError):
            call("thing")
    with pytest.raises(rados.RadosStateError):
        ioctx.aio_flush()


def test_close_waits_for_calls_and_callbacks(rbd_cluster: Any, object_ioctx: Any) -> None:
    with rbd_cluster.connect() as cluster:
        heard = Heard()
        ioctx = cluster.open_ioctx(object_ioctx.get_pool_name())
        ioctx.set_namespace(object_ioctx.get_namespace())
        completions = [ioctx.aio_write("one", bytes(4096), i, heard) for i in range(20)]
        ioctx.close()
        assert len(heard.calls) == 20
        assert [done(completion) for completion in completions] == [0] * 20


def test_a_context_may_be_closed_in_a_callback(rbd_cluster: Any, object_ioctx: Any) -> None:
    with rbd_cluster.connect() as cluster:
        ioctx = cluster.open_ioctx(object_ioctx.get_pool_name())
        ioctx.set_namespace(object_ioctx.get_namespace())
        submitted = threading.Event()

        def close(_: Any) -> None:
            submitted.wait(60)
            ioctx.close()

        completions = [ioctx.aio_write("one", b"x", 0, close) for _ in range(2)]
        submitted.set()
        assert [done(completion) for completion in completions] == [0, 0]
        assert ioctx.state == "closed"


def test_shutdown_waits_for_calls_in_flight(rbd_cluster: Any, object_ioctx: Any) -> None:
    cluster = rbd_cluster.connect()
    ioctx = cluster.open_ioctx(object_ioctx.get_pool_name())
    ioctx.set_namespace(object_ioctx.get_namespace())
    completions = [ioctx.aio_write("one", bytes(4096), i) for i in range(20)]
    cluster.shutdown()
    del cluster
    assert [done(completion) for completion in completions] == [0] * 20


def test_cycles_are_collected(ioctx: rados.Ioctx) -> None:
    class Owner:
        completion: rados.Completion

        def heard(self, *_: Any) -> None:
            raise ZeroDivisionError

    owner = Owner()
    owner.completion = ioctx.aio_write("one", b"x", 0, owner.heard)
    with pytest.raises(ZeroDivisionError):
        owner.completion.wait_for_complete_and_cb()
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def leave_in_flight(conffile: str, pool: str, namespace: str) -> None:
    cluster = rados.Rados(conffile=conffile)
    cluster.connect()
    ioctx = cluster.open_ioctx(pool)
    ioctx.set_namespace(namespace)
    for i in range(64):
        ioctx.aio_write("one", bytes(1 << 16), i << 16, lambda completion: None)
        ioctx.aio_read("one", 1 << 16, 0, lambda completion, data: None)


def test_the_interpreter_exits_with_calls_in_flight(rbd_cluster: Any, object_ioctx: Any) -> None:
    isolated.run(
        leave_in_flight,
        str(rbd_cluster.conffile),
        object_ioctx.get_pool_name(),
        object_ioctx.get_namespace(),
    )


def many_threads(conffile: str, pool: str, namespace: str) -> None:
    cluster = rados.Rados(conffile=conffile)
    cluster.connect()
    failures: List[BaseException] = []

    def work(number: int) -> None:
        try:
            with cluster.open_ioctx(pool) as ioctx:
                ioctx.set_namespace(namespace)
                for i in range(50):
                    data = bytes([i]) * 512
                    done(ioctx.aio_write_full(f"thread {number}", data))
                    heard = Heard()
                    done(ioctx.aio_read(f"thread {number}", 512, 0, heard))
                    assert heard.calls[0][1] == data
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cluster.shutdown()
    assert not failures, failures


def test_many_threads_share_a_context(rbd_cluster: Any, object_ioctx: Any) -> None:
    isolated.run(
        many_threads,
        str(rbd_cluster.conffile),
        object_ioctx.get_pool_name(),
        object_ioctx.get_namespace(),
        timeout=200,
    )
