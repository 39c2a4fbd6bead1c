"""The watchers of an image, and notifications of its changes."""

from __future__ import annotations

import errno
import gc
import threading
import time
from typing import Any, Callable, Iterator, List

import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster
from support import fakerbd, isolated
from support.daemons import eventually
from support.fakerbd import Kind, Shim
from support.location import Where, open_all

quiesces = pytest.mark.needs("rbd_quiesce_watch")


@pytest.fixture
def other(
    rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> Iterator[rbd.Image]:
    """Provide the image, opened by another client."""
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_cluster.pools[0]) as ioctx:
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        with rbd.Image(ioctx, rbd_image.name) as image:
            yield image


@pytest.fixture
def unraisable(monkeypatch: pytest.MonkeyPatch) -> List[Any]:
    """Collect exceptions of callbacks that have no caller."""
    caught: List[Any] = []
    monkeypatch.setattr("sys.unraisablehook", lambda what: caught.append(what.exc_value))
    return caught


def test_watchers_are_listed(
    rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    watchers = rbd_image.watchers_list()
    assert isinstance(watchers, rbd.WatcherIterator)
    (mine,) = list(watchers)
    assert list(watchers) == [mine]
    assert set(mine) == {"addr", "id", "cookie"}
    assert ":" in mine["addr"]
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_cluster.pools[0]) as ioctx:
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        with rbd.Image(ioctx, rbd_image.name) as other:
            both = list(rbd_image.watchers_list())
            assert len(both) == 2
            assert mine in both
            assert cluster.get_instance_id() in [watcher["id"] for watcher in both]
            assert both == list(rbd.WatcherIterator(other))
        with rbd.Image(ioctx, rbd_image.name, read_only=True) as reader:
            # A client that only reads does not watch.
            assert list(reader.watchers_list()) == [mine]


def test_a_closed_image_is_refused(rbd_image: rbd.Image) -> None:
    watchers = rbd_image.watchers_list()
    rbd_image.close()
    assert len(list(watchers)) == 1
    with pytest.raises(rbd.InvalidArgument) as error:
        rbd_image.watchers_list()
    assert error.value.errno is None


def test_a_wrong_type_is_refused() -> None:
    with pytest.raises(TypeError):
        rbd.WatcherIterator("image")


def test_a_callback_runs_for_each_change(rbd_image: rbd.Image, other: rbd.Image) -> None:
    changed = threading.Event()
    threads = set()

    def callback() -> None:
        threads.add(threading.current_thread().name)
        changed.set()

    watch = rbd_image.on_update(callback)
    assert isinstance(watch, rbd.Watch)
    for change in (
        lambda: other.resize(16 << 20),
        lambda: other.create_snap("one"),
        lambda: rbd_image.create_snap("two"),
        lambda: other.remove_snap("two"),
    ):
        changed.clear()
        change()
        assert changed.wait(30)
    assert threads == {"rbd-callbacks"}
    assert rbd_image.size() == 16 << 20
    watch.close()
    watch.close()
    assert watch.closed
    changed.clear()
    other.create_snap("three")
    assert not changed.wait(0.2)


def test_a_dropped_watch_continues(rbd_image: rbd.Image, other: rbd.Image) -> None:
    changed = threading.Event()
    rbd_image.on_update(changed.set)
    gc.collect()
    other.create_snap("one")
    assert changed.wait(30)


def test_a_watch_ends_with_its_image(rbd_image: rbd.Image, other: rbd.Image) -> None:
    changed: List[int] = []
    with rbd_image.on_update(lambda: changed.append(1)) as watch:
        assert not watch.closed
        rbd_image.close()
        assert watch.closed
        other.create_snap("one")
        assert not changed
    watch.close()
    watches = [rbd_image.on_update]
    if rbd.supports("rbd_quiesce_watch"):
        watches.append(rbd_image.on_quiesce)
    for call in watches:
        with pytest.raises(rbd.InvalidArgument) as caught:
            call(print)
        assert caught.value.errno is None


def test_callbacks_may_use_and_close_the_watched_image(
    rbd_image: rbd.Image, other: rbd.Image
) -> None:
    sizes: List[int] = []

    def callback() -> None:
        sizes.append(rbd_image.size())
        watch.close()
        rbd_image.close()

    watch = rbd_image.on_update(callback)
    other.resize(12 << 20)
    assert eventually(lambda: rbd_image.closed)
    assert sizes == [12 << 20]


def test_an_exception_in_an_update_is_reported(
    rbd_image: rbd.Image, other: rbd.Image, unraisable: List[Any]
) -> None:
    def callback() -> None:
        raise ValueError("of the callback")

    with rbd_image.on_update(callback):
        other.create_snap("one")
        assert eventually(lambda: bool(unraisable))
    assert {str(error) for error in unraisable} == {"of the callback"}


def test_callbacks_are_released_with_their_watch(rbd_image: rbd.Image) -> None:
    class Callback:
        def __call__(self) -> None:
            pass

    def alive() -> int:
        gc.collect()
        return sum(isinstance(one, Callback) for one in gc.get_objects())

    watches = [rbd_image.on_update(Callback()) for _ in range(3)]
    if rbd.supports("rbd_quiesce_watch"):
        watches.append(rbd_image.on_quiesce(Callback(), Callback()))
    assert alive() >= 3
    watches[0].close()
    del watches
    rbd_image.close()
    assert eventually(lambda: alive() == 0)


@quiesces
def test_quiesce_runs_before_each_snapshot(rbd_image: rbd.Image, other: rbd.Image) -> None:
    steps: List[str] = []
    done = threading.Event()

    def unquiesce() -> None:
        steps.append("unquiesce")
        done.set()

    with rbd_image.on_quiesce(lambda: steps.append("quiesce"), unquiesce):
        other.create_snap("one")
        assert done.wait(30)
        assert steps == ["quiesce", "unquiesce"]
        other.create_snap("two", rbd.RBD_SNAP_CREATE_SKIP_QUIESCE)
    other.create_snap("three")
    assert steps == ["quiesce", "unquiesce"]


@quiesces
def test_each_quiesce_callback_is_optional(rbd_image: rbd.Image, other: rbd.Image) -> None:
    quiesced, unquiesced = threading.Event(), threading.Event()
    with rbd_image.on_quiesce(quiesced.set), rbd_image.on_quiesce(None, unquiesced.set):
        other.create_snap("one")
        assert quiesced.is_set()
        assert unquiesced.wait(30)


@quiesces
def test_a_quiesce_callback_may_write_if_it_has_the_lock(
    rbd_image: rbd.Image, other: rbd.Image
) -> None:
    def quiesce() -> None:
        assert rbd_image.is_exclusive_lock_owner()
        rbd_image.write(b"quiesced", 0)
        rbd_image.flush()
        seen.append(rbd_image.read(0, 8))

    seen: List[bytes] = []
    rbd_image.write(b"before", 0)
    with rbd_image.on_quiesce(quiesce):
        other.create_snap("one")
    assert seen == [b"quiesced"]
    other.set_snap("one")
    assert other.read(0, 8) == b"quiesced"


@quiesces
def test_a_quiesce_that_waits_for_the_lock_fails_the_snapshot(
    rbd_image: rbd.Image, other: rbd.Image
) -> None:
    def quiesce() -> None:
        assert rbd_image.read(0, 4) == b"last"
        rbd_image.flush()
        flushed.append(True)

    flushed: List[bool] = []
    rbd_image.write(b"first", 0)
    # A client that takes a snapshot keeps the lock meanwhile.
    other.write(b"last", 0)
    with rbd_image.on_quiesce(quiesce, timeout=0.3):
        with pytest.raises(rbd.ImageBusy):
            other.create_snap("one")
        assert eventually(lambda: bool(flushed))
        assert not other.snap_exists("one")
        # Now the flush has taken the lock.
        other.create_snap("one")
    assert flushed == [True, True]
    other.create_snap("two")


@quiesces
def test_a_late_answer_does_not_count_for_the_next_quiesce(
    rbd_image: rbd.Image, other: rbd.Image
) -> None:
    def quiesce() -> None:
        starts.append(1)
        if len(starts) == 1:
            assert release.wait(30)
        else:
            time.sleep(0.2)
        ends.append(1)

    starts: List[int] = []
    ends: List[int] = []
    release = threading.Event()
    with rbd_image.on_quiesce(quiesce, timeout=0.5):
        with pytest.raises(rbd.ImageBusy):
            other.create_snap("one")
        assert (starts, ends) == ([1], [])
        release.set()
        other.create_snap("one")
        assert ends == [1, 1]


@quiesces
@pytest.mark.parametrize("code", [errno.ETIMEDOUT, errno.ERESTART])
def test_an_errno_that_librbd_would_misread_is_replaced(
    rbd_image: rbd.Image, other: rbd.Image, unraisable: List[Any], code: int
) -> None:
    def refuse() -> None:
        raise OSError(code, "not now")

    # The client that has the lock takes the snapshot, and asks itself.
    rbd_image.write(b"x", 0)
    with rbd_image.on_quiesce(refuse), pytest.raises(rbd.ImageBusy):
        other.create_snap("one")
    assert [error.errno for error in unraisable] == [code]


@quiesces
@pytest.mark.parametrize("timeout", [0, -1, float("nan"), "1", []])
def test_wrong_timeouts_are_refused(rbd_image: rbd.Image, timeout: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        rbd_image.on_quiesce(print, timeout=timeout)
    rbd_image.on_quiesce(print, timeout=None).close()
    rbd_image.on_quiesce(print, timeout=float("inf")).close()


class Refusal(Exception):
    errno = errno.EBUSY


@quiesces
def test_a_failing_quiesce_fails_the_snapshot(
    rbd_image: rbd.Image, other: rbd.Image, unraisable: List[Any]
) -> None:
    def refuse() -> None:
        raise Refusal("not now")

    with rbd_image.on_quiesce(refuse):
        with pytest.raises(rbd.ImageBusy):
            other.create_snap("one")
        assert not other.snap_exists("one")
        other.create_snap("one", rbd.RBD_SNAP_CREATE_IGNORE_QUIESCE_ERROR)
    assert other.snap_exists("one")
    assert [type(error) for error in unraisable] == [Refusal] * 2


@pytest.mark.parametrize("callback", [None, 5, "text"])
def test_wrong_callbacks_are_refused(rbd_image: rbd.Image, callback: Any) -> None:
    with pytest.raises(TypeError):
        rbd_image.on_update(callback)
    if callback is not None and rbd.supports("rbd_quiesce_watch"):
        with pytest.raises(TypeError):
            rbd_image.on_quiesce(callback)
        with pytest.raises(TypeError):
            rbd_image.on_quiesce(None, callback)


def end_while_watching(where: Where) -> None:
    """The process ends with open watches whose callbacks are running."""
    _cluster, _ioctx, image = open_all(where)
    _more, _again, other = open_all(where)
    called = threading.Event()
    image.on_update(called.set)
    if rbd.supports("rbd_quiesce_watch"):
        image.on_quiesce(lambda: None)
    other.create_snap("last")
    assert called.wait(30)
    other.remove_snap("last")


def test_the_interpreter_exits_while_watching(where: Where) -> None:
    isolated.run(end_while_watching, where)


class Stop(Exception):
    """Raised by the body of a with statement."""


def fail_to_end(where: Where) -> None:
    """librbd reports an error for the end of a watch."""
    shim = Shim()
    _cluster, _ioctx, image = open_all(where)
    with shim.fault("rbd_update_unwatch", Kind.AFTER, errno.EIO):
        with pytest.raises(Stop), image.on_update(lambda: None) as watch:
            raise Stop
        assert watch.closed
        with pytest.raises(rbd.IOError), image.on_update(lambda: None):
            pass
    image.close()


@fakerbd.needs_compiler
def test_a_failing_end_keeps_the_exception_of_the_body(
    shimmed: Callable[..., Any],
) -> None:
    shimmed(fail_to_end)


def lacking(where: Where) -> None:
    _cluster, _ioctx, image = open_all(where)
    with pytest.raises(rbd.FunctionNotSupported, match="rbd_update_unwatch"):
        image.on_update(print)
    assert not hasattr(image, "on_quiesce")


def test_a_library_without_watches_lacks_the_methods(shimmed: Callable[..., Any]) -> None:
    shimmed(lacking, missing="rbd_update_unwatch,rbd_quiesce_watch")
