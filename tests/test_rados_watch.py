"""Watches of an object, and notifies."""

from __future__ import annotations

import datetime
import errno
import gc
import itertools
import os
import sys
import threading
import time
import weakref
from typing import Any, Dict, Iterator, List, Optional, Tuple

import pytest

from rbd import rados
from support import isolated
from support.heard import Heard


@pytest.fixture
def ioctx(object_ioctx: Any) -> rados.Ioctx:
    object_ioctx.write_full("thing", b"x")
    return object_ioctx  # type: ignore[no-any-return]


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    raised: List[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: raised.append(what.exc_value))
    return raised


Answers = Tuple[int, Optional[List[Any]], Optional[List[Any]]]


def notify(ioctx: rados.Ioctx, **more: Any) -> Answers:
    heard = Heard()
    completion = ioctx.aio_notify("thing", heard, **more)
    completion.wait_for_complete_and_cb()
    ((told, result, acks, timeouts),) = heard.calls
    assert told is completion
    assert completion.get_return_value() == result
    return result, acks, timeouts


def until(true: Any) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_watch_hears_notifies(rbd_cluster: Any, ioctx: rados.Ioctx) -> None:
    heard = Heard()
    with ioctx.watch("thing", heard) as watch:
        assert watch.get_id() != 0
        assert datetime.timedelta(0) <= watch.check() < datetime.timedelta(minutes=5)
        assert ioctx.notify("thing", "hello") is True
        assert ioctx.notify(b"thing", b"bytes", 20000) is True
        assert ioctx.notify("thing") is True
    client = heard.calls[0][1]
    ids = [call[0] for call in heard.calls]
    assert len(set(ids)) == 3
    assert [call[1:] for call in heard.calls] == [
        (client, heard.calls[0][2], data) for data in (b"hello", b"bytes", None)
    ]
    assert set(heard.threads) == {"rbd-callbacks"}


def test_a_watch_learns_who_notifies(rbd_cluster: Any, ioctx: rados.Ioctx) -> None:
    heard = Heard("reply")
    with ioctx.watch("thing", heard) as watch, rbd_cluster.connect() as other:
        with other.open_ioctx(ioctx.get_pool_name()) as there:
            there.set_namespace(ioctx.get_namespace())
            result, acks, timeouts = notify(there, msg="x")
        assert heard.calls[0][1:3] == (other.get_instance_id(), watch.get_id())
        assert (result, timeouts) == (0, [])
        assert acks is not None
        assert [(ack[1], ack[2]) for ack in acks] == [(watch.get_id(), b"reply")]


@pytest.mark.parametrize(
    ("reply", "told"),
    [("text", b"text"), (b"bytes", b"bytes"), (bytearray(b"more"), b"more"), (None, ""), ("", "")],
)
def test_replies_reach_the_notifier(reply: Any, told: Any, ioctx: rados.Ioctx) -> None:
    with ioctx.watch("thing", Heard(reply)):
        result, acks, timeouts = notify(ioctx)
    assert (result, timeouts) == (0, [])
    assert acks is not None
    assert [ack[2] for ack in acks] == [told]


def test_several_watches_reply(ioctx: rados.Ioctx) -> None:
    with ioctx.watch("thing", Heard("one")) as one, ioctx.watch("thing", Heard("two")) as two:
        _, acks, _ = notify(ioctx)
        assert acks is not None
        assert {ack[1]: ack[2] for ack in acks} == {one.get_id(): b"one", two.get_id(): b"two"}


def test_a_notify_without_watches_succeeds(ioctx: rados.Ioctx) -> None:
    assert ioctx.notify("thing", "x") is True
    assert notify(ioctx) == (0, [], [])


@pytest.mark.parametrize("reply", [ZeroDivisionError("on purpose"), 5, object()])
def test_a_callback_that_fails_acknowledges(
    reply: Any, ioctx: rados.Ioctx, unraisable: List[Any]
) -> None:
    with ioctx.watch("thing", Heard(reply)):
        result, acks, _ = notify(ioctx, timeout_ms=60000)
        assert result == 0
        assert acks is not None
        assert [ack[2] for ack in acks] == [""]
    expected = ZeroDivisionError if isinstance(reply, ZeroDivisionError) else TypeError
    assert [type(error) for error in unraisable] == [expected]


def test_a_callback_may_notify(ioctx: rados.Ioctx) -> None:
    # It runs in the only thread that can call it again.
    heard: List[Any] = []

    def answer(notify_id: int, notifier: int, watch: int, data: Optional[bytes]) -> str:
        heard.append(data)
        if data == b"first":
            assert ioctx.notify("thing", "second", 60000) is True
        return "done"

    with ioctx.watch("thing", answer):
        assert ioctx.notify("thing", "first", 60000) is True
    assert heard == [b"first", b"second"]


def test_a_callback_may_close_its_watch(ioctx: rados.Ioctx) -> None:
    watches: List[rados.Watch] = []
    watches.append(ioctx.watch("thing", lambda *_: watches[0].close()))
    assert ioctx.notify("thing", "x", 60000) is True
    assert watches[0].get_id() == 0
    assert notify(ioctx) == (0, [], [])


def test_a_notify_without_a_reply_times_out(ioctx: rados.Ioctx) -> None:
    go_on = threading.Event()

    def dawdle(*_: Any) -> None:
        go_on.wait(100)

    with ioctx.watch("thing", dawdle) as watch:
        with pytest.raises(
            rados.TimedOut, match="error notifying object 'thing' in pool"
        ) as caught:
            # librados would take less than a second for the cluster's default.
            ioctx.notify("thing", "x", 500)
        assert caught.value.errno == errno.ETIMEDOUT
        go_on.set()
        assert watch.check()


def test_a_missing_object_is_an_error(ioctx: rados.Ioctx) -> None:
    with pytest.raises(rados.ObjectNotFound, match="error watching object 'none' in pool"):
        ioctx.watch("none", print)
    with pytest.raises(rados.ObjectNotFound, match="error notifying object 'none' in pool"):
        ioctx.notify("none", "x", 1000)
    heard = Heard()
    completion = ioctx.aio_notify("none", heard)
    completion.wait_for_complete_and_cb()
    assert heard.calls == [(completion, -errno.ENOENT, None, None)]


def test_a_closed_watch_hears_nothing(ioctx: rados.Ioctx) -> None:
    heard = Heard()
    watch = ioctx.watch("thing", heard)
    watch.close()
    watch.close()
    assert watch.get_id() == 0
    with pytest.raises(rados.IoctxStateError, match="watch of object 'thing' in pool"):
        watch.check()
    assert notify(ioctx) == (0, [], [])
    assert heard.calls == []


def test_removing_the_object_ends_its_watch(ioctx: rados.Ioctx) -> None:
    failed = Heard()
    watch = ioctx.watch("thing", print, failed)
    number = watch.get_id()
    ioctx.remove_object("thing")
    until(lambda: failed.calls)
    assert failed.calls == [(number, -errno.ENOTCONN)]
    assert failed.threads == ["rbd-callbacks"]
    with pytest.raises(rados.NotConnected):
        watch.check()
    watch.close()


def test_an_exception_of_an_error_callback_is_reported(
    ioctx: rados.Ioctx, unraisable: List[Any]
) -> None:
    with ioctx.watch("thing", print, Heard(ZeroDivisionError())):
        ioctx.remove_object("thing")
        until(lambda: unraisable)
    assert isinstance(unraisable[0], ZeroDivisionError)


def test_a_dropped_watch_ends(ioctx: rados.Ioctx) -> None:
    watch = ioctx.watch("thing", Heard("x"))
    del watch
    gc.collect()
    assert notify(ioctx) == (0, [], [])


def test_cycles_are_collected(ioctx: rados.Ioctx) -> None:
    class Owner:
        watch: rados.Watch

        def heard(self, *_: Any) -> str:
            return "reply"

    owner = Owner()
    owner.watch = ioctx.watch("thing", owner.heard, owner.heard)
    assert ioctx.notify("thing", "x", 60000)
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None
    assert notify(ioctx) == (0, [], [])


def test_a_watch_outlives_its_context(rbd_cluster: Any, ioctx: rados.Ioctx) -> None:
    with rbd_cluster.connect() as cluster:
        heard = Heard("there")
        with cluster.open_ioctx(ioctx.get_pool_name()) as own:
            own.set_namespace(ioctx.get_namespace())
            watch = own.watch("thing", heard)
        _, acks, _ = notify(ioctx)
        assert acks is not None
        assert [ack[2] for ack in acks] == [b"there"]
        watch.close()


def test_shutdown_ends_a_watch(rbd_cluster: Any, ioctx: rados.Ioctx) -> None:
    cluster = rbd_cluster.connect()
    own = cluster.open_ioctx(ioctx.get_pool_name())
    own.set_namespace(ioctx.get_namespace())
    heard = Heard("there")
    watch = own.watch("thing", heard)
    cluster.shutdown()
    with pytest.raises(rados.RadosStateError):
        watch.check()
    with pytest.raises(rados.RadosStateError):
        own.watch("thing", heard)
    with pytest.raises(rados.RadosStateError):
        own.notify("thing")
    # A notifier does not wait for a watch that has ended.
    assert ioctx.notify("thing", "x", 60000) is True
    assert heard.calls == []
    watch.close()
    assert watch.get_id() == 0


def leave_watching(conffile: str, pool: str, namespace: str, shuts_down: bool) -> None:
    cluster = rados.Rados(conffile=conffile)
    cluster.connect()
    ioctx = cluster.open_ioctx(pool)
    ioctx.set_namespace(namespace)
    globals()["kept"] = [ioctx.watch("thing", lambda *_: "reply") for _ in range(3)]
    ioctx.notify("thing", "x", 60000)
    if shuts_down:
        cluster.shutdown()


@pytest.mark.parametrize("shuts_down", [True, False])
def test_the_interpreter_exits_with_open_watches(
    shuts_down: bool, rbd_cluster: Any, ioctx: rados.Ioctx
) -> None:
    isolated.run(
        leave_watching,
        str(rbd_cluster.conffile),
        ioctx.get_pool_name(),
        ioctx.get_namespace(),
        shuts_down,
    )


def watch_and_fork(conffile: str, pool: str, namespace: str) -> None:
    cluster = rados.Rados(conffile=conffile)
    cluster.connect()
    ioctx = cluster.open_ioctx(pool)
    ioctx.set_namespace(namespace)
    watch = ioctx.watch("thing", lambda *_: "parent")
    child = os.fork()
    if child == 0:
        status = 1
        try:
            for call in (watch.close, watch.check, lambda: ioctx.notify("thing")):
                try:
                    call()
                except rados.Error:
                    continue
                os._exit(2)
            del watch
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    _, acks, _ = notify(ioctx)
    assert acks is not None
    assert [ack[2] for ack in acks] == [b"parent"]
    watch.close()
    cluster.shutdown()


def test_a_child_refuses_an_inherited_watch(rbd_cluster: Any, ioctx: rados.Ioctx) -> None:
    isolated.run(
        watch_and_fork, str(rbd_cluster.conffile), ioctx.get_pool_name(), ioctx.get_namespace()
    )


def open_and_drop(conffile: str, pool: str, namespace: str) -> None:
    cluster = rados.Rados(conffile=conffile)
    cluster.connect()
    stop = threading.Event()
    failures: List[BaseException] = []

    def guarded(work: Any) -> None:
        try:
            with cluster.open_ioctx(pool) as ioctx:
                ioctx.set_namespace(namespace)
                work(ioctx)
        except BaseException as error:
            failures.append(error)

    def watch(ioctx: rados.Ioctx) -> None:
        for i in range(20):
            watching = ioctx.watch("thing", lambda *_: b"x" * 100)
            if i % 2:
                watching.close()
            del watching
        stop.set()

    def shout(ioctx: rados.Ioctx) -> None:
        while not stop.is_set():
            ioctx.notify("thing", "x", 60000)

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (watch, shout, shout)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    cluster.shutdown()
    assert not failures, failures


def test_watches_may_be_dropped_during_a_notify(rbd_cluster: Any, ioctx: rados.Ioctx) -> None:
    isolated.run(
        open_and_drop,
        str(rbd_cluster.conffile),
        ioctx.get_pool_name(),
        ioctx.get_namespace(),
        timeout=200,
    )


def close_in_order(where: List[str], order: Tuple[str, ...]) -> None:
    cluster = rados.Rados(conffile=where[0])
    cluster.connect()
    ioctx = cluster.open_ioctx(where[1])
    ioctx.set_namespace(where[2])
    things: Dict[str, Any] = {
        "cluster": cluster,
        "ioctx": ioctx,
        "watch": ioctx.watch("thing", lambda *_: "reply"),
        "completion": ioctx.aio_write("other", bytes(4096)),
    }
    del cluster, ioctx
    ends = {
        "cluster": lambda: things["cluster"].shutdown(),
        "ioctx": lambda: things["ioctx"].close(),
        "watch": lambda: things["watch"].close(),
        "completion": lambda: things["completion"].wait_for_complete_and_cb(),
    }
    for number, name in enumerate(order):
        if number % 2:
            thread = threading.Thread(target=ends[name])
            thread.start()
            thread.join()
        else:
            ends[name]()
        if number % 3:
            del things[name]


def close_in_every_order(*where: str) -> None:
    for order in itertools.permutations(("cluster", "ioctx", "watch", "completion")):
        close_in_order(list(where), order)


def test_watches_close_in_every_order(rbd_cluster: Any, ioctx: rados.Ioctx) -> None:
    isolated.run(
        close_in_every_order,
        str(rbd_cluster.conffile),
        ioctx.get_pool_name(),
        ioctx.get_namespace(),
        timeout=100,
    )


def test_the_constructor_opens_a_watch(ioctx: rados.Ioctx) -> None:
    heard = Heard("made")
    with rados.Watch(ioctx, "thing", heard, None, 30):
        _, acks, _ = notify(ioctx)
    assert acks is not None
    assert [ack[2] for ack in acks] == [b"made"]


def names(ioctx: rados.Ioctx) -> Iterator[Any]:
    yield lambda name: ioctx.watch(name, print)
    yield lambda name: ioctx.notify(name)
    yield lambda name: ioctx.aio_notify(name, None)


def test_wrong_arguments_are_refused(ioctx: rados.Ioctx) -> None:
    for call in names(ioctx):
        for bad in (None, 5, ["thing"]):
            with pytest.raises(TypeError):
                call(bad)
        with pytest.raises(ValueError, match="NUL"):
            call("a\0b")
    for bad in (None, 5, "print"):
        with pytest.raises(TypeError, match="callback must be callable, not"):
            ioctx.watch("thing", bad)
    with pytest.raises(TypeError, match="error_callback must be callable, not int"):
        ioctx.watch("thing", print, 5)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        ioctx.watch("thing", print, None, "5")  # type: ignore[arg-type]
    for number in (-1, 2**32):
        with pytest.raises(OverflowError):
            ioctx.watch("thing", print, None, number)
    for bad in (None, 5, ["x"]):
        with pytest.raises(TypeError):
            ioctx.notify("thing", bad)
        with pytest.raises(TypeError):
            ioctx.aio_notify("thing", None, bad)
    for number in (-1, 2**64):
        with pytest.raises(OverflowError):
            ioctx.notify("thing", "x", number)
    with pytest.raises(TypeError, match="oncomplete must be callable or None"):
        ioctx.aio_notify("thing", 5)  # type: ignore[arg-type]


def test_a_closed_context_is_refused(rbd_cluster: Any, ioctx: rados.Ioctx) -> None:
    with rbd_cluster.connect() as cluster:
        closed = cluster.open_ioctx(ioctx.get_pool_name())
        closed.close()
        for call in names(closed):
            with pytest.raises(rados.IoctxStateError):
                call("thing")
