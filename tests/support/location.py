"""The location of an image, as a separate process needs it, and what to do there."""

from __future__ import annotations

import contextlib
import datetime
import os
import threading
from typing import Any, Callable, Dict, Iterator, List, Tuple

import rbd
from support.isolated import PATIENCE

#: The long form: many more rounds of everything.
SOAK = bool(os.environ.get("RBD_SOAK"))
#: The time that a separate process may take, in seconds.
LIMIT = 6 * 3600 if SOAK else 100
SIZE = 8 << 20

#: Configuration file, pool, namespace and image. The image has 8 MiB that begin with 4096 times
#: "A", and a snapshot of that named "snap".
Where = Tuple[str, str, str, str]


def in_utc(stamp: datetime.datetime) -> datetime.datetime:
    """Return the point in time with a time zone. Ceph's own module returns a naive datetime at
    times."""
    if rbd.supports("rbd_clone4"):
        assert stamp.utcoffset() == datetime.timedelta(0)
        return stamp
    assert stamp.tzinfo is None
    return stamp.replace(tzinfo=datetime.timezone.utc)


def without_stale_cache() -> Dict[str, str]:
    """Return options without a cache, if librbd has the cache of Ceph 14.

    That cache returns old data after compare_and_write, or after a write by another client.
    """
    return {} if rbd.supports("rbd_quiesce_watch") else {"rbd_cache": "false"}


def connect(where: Where) -> Tuple[Any, Any]:
    """Return a new connection and an ioctx."""
    cluster = rbd.connect(where[0])
    ioctx = cluster.open_ioctx(where[1])
    ioctx.set_namespace(where[2])
    return cluster, ioctx


def open_all(where: Where) -> Tuple[Any, Any, Any]:
    """Return a new connection, an ioctx, and the image."""
    cluster, ioctx = connect(where)
    return cluster, ioctx, rbd.Image(ioctx, where[3])


def raised_by(call: Callable[[], Any]) -> BaseException:
    """Return what the call raises. It must raise."""
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def refused(call: Callable[[], Any]) -> None:
    """Check that the call raises what a closed handle raises."""
    error = raised_by(call)
    assert isinstance(error, rbd.InvalidArgument), repr(error)
    assert error.errno is None, error


def belongs_to_parent(call: Callable[[], Any]) -> None:
    """Check that the call is refused as one on a handle from before fork()."""
    error = raised_by(call)
    assert isinstance(error, rbd.ConnectionShutdown), repr(error)
    assert error.errno is None, error


def in_thread(function: Callable[[], Any]) -> None:
    """Run a function in another thread. Its exception is raised here."""
    failures: List[BaseException] = []

    def body() -> None:
        try:
            function()
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(30 * PATIENCE)
    assert not thread.is_alive()
    if failures:
        raise failures[0]


@contextlib.contextmanager
def held_up(call: Callable[[], Any], where: Any, name: str) -> Iterator[None]:
    """Run `call` in another thread, which does not leave the function `where.name` before the end
    of the body."""
    function = getattr(where, name)
    entered, over = threading.Event(), threading.Event()

    def slow(*arguments: Any, **options: Any) -> Any:
        if threading.current_thread() is thread:
            entered.set()
            over.wait()
        return function(*arguments, **options)

    thread = threading.Thread(target=call)
    setattr(where, name, slow)
    thread.start()
    try:
        assert entered.wait(30 * PATIENCE)
        yield
    finally:
        over.set()
        thread.join()
        setattr(where, name, function)


def shrink(image: Any, on_progress: Callable[[int, int], Any]) -> None:
    """Make a long call that is certain to report progress."""
    image.resize(SIZE * 2)
    image.resize(SIZE, on_progress=on_progress)
