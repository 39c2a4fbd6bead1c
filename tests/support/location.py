"""Where an image is, as a process of its own needs it, and what to do there."""

from __future__ import annotations

import datetime
import os
import threading
from typing import Any, Callable, Dict, List, Tuple

import rbd
from support.isolated import PATIENCE

#: The long form: many more rounds of everything.
SOAK = bool(os.environ.get("RBD_SOAK"))
#: How long a process of its own may take, in seconds.
LIMIT = 6 * 3600 if SOAK else 100
SIZE = 8 << 20

#: Configuration file, pool, namespace, image: 8 MiB that begin with 4096 times "A", and a snapshot
#: of that named "snap".
Where = Tuple[str, str, str, str]


def in_utc(stamp: datetime.datetime) -> datetime.datetime:
    """The point in time, which is a naive datetime where Ceph's own module gives one."""
    if rbd.supports("rbd_clone4"):
        assert stamp.utcoffset() == datetime.timedelta(0)
        return stamp
    assert stamp.tzinfo is None
    return stamp.replace(tzinfo=datetime.timezone.utc)


def without_stale_cache() -> Dict[str, str]:
    """Configuration: no cache where librbd's is that of Ceph 14.

    That one goes on giving what was there before compare_and_write, or another client, changed it.
    """
    return {} if rbd.supports("rbd_quiesce_watch") else {"rbd_cache": "false"}


def connect(where: Where) -> Tuple[Any, Any]:
    """A connection of its own, and an ioctx."""
    cluster = rbd.connect(where[0])
    ioctx = cluster.open_ioctx(where[1])
    ioctx.set_namespace(where[2])
    return cluster, ioctx


def open_all(where: Where) -> Tuple[Any, Any, Any]:
    """A connection of its own, an ioctx, and the image."""
    cluster, ioctx = connect(where)
    return cluster, ioctx, rbd.Image(ioctx, where[3])


def raised_by(call: Callable[[], Any]) -> BaseException:
    """What the call raises, which it must."""
    try:
        call()
    except BaseException as error:
        return error
    raise AssertionError("nothing was raised")


def refused(call: Callable[[], Any]) -> None:
    """The call raises what a closed handle raises."""
    error = raised_by(call)
    assert isinstance(error, rbd.InvalidArgument), repr(error)
    assert error.errno is None, error


def belongs_to_parent(call: Callable[[], Any]) -> None:
    """The call is refused as one on a handle that came through fork()."""
    error = raised_by(call)
    assert isinstance(error, rbd.ConnectionShutdown), repr(error)
    assert error.errno is None, error


def in_thread(function: Callable[[], Any]) -> None:
    """Runs it in another thread; what it raises is raised here."""
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


def shrink(image: Any, on_progress: Callable[[int, int], Any]) -> None:
    """A long call that is sure to report progress."""
    image.resize(SIZE * 2)
    image.resize(SIZE, on_progress=on_progress)
