"""Data in librbd's cache that cannot be saved when the image is closed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import Any, Callable, Dict, Iterator, Tuple

import pytest

import rbd
import rbd.aio

BLOCK = 4096
# Writes return as soon as their data is in the cache.
CONF = {
    "rbd_cache": "true",
    "rbd_cache_writethrough_until_flush": "false",
    "rbd_cache_max_dirty_age": "60",
}
if rbd.library_info().version >= (1, 16, 0):
    # Ceph 14 does not know other policies.
    CONF["rbd_cache_policy"] = "writeback"
Call = Callable[[rbd.Image], Any]


def completed(submit: Callable[[Callable[[Any], None]], Any]) -> None:
    """Wait for a call with a callback, and raise its error."""
    done = threading.Event()
    results = []

    def note(completion: Any) -> None:
        results.append(completion.get_return_value())
        done.set()

    submit(note)
    assert done.wait(60)
    if results[0] < 0:
        raise rbd.OSError("completed", errno=-results[0])


async def awaited_write(image: rbd.Image) -> None:
    await rbd.aio.AsyncImage(image).write(b"lost", 0)


async def awaited_flush(image: rbd.Image) -> None:
    await rbd.aio.AsyncImage(image).flush()


async def awaited_write_and_flush(image: rbd.Image) -> None:
    disk = rbd.aio.AsyncImage(image)
    await disk.write(b"data", 0)
    await disk.flush()


async def awaited_close(image: rbd.Image) -> None:
    disk = rbd.aio.AsyncImage(image)
    closes = [asyncio.create_task(disk.close()) for _ in range(2)]
    await asyncio.wait(closes)
    errors = [close.exception() for close in closes]
    assert all(errors), errors
    await closes[0]


async def left(image: rbd.Image) -> None:
    async with rbd.aio.AsyncImage(image):
        pass


WRITES: Dict[str, Call] = {
    "write": lambda image: image.write(b"lost", 0),
    "write_blocks": lambda image: image.write_blocks(b"lost" * 2, [0, 8]),
    "aio_write": lambda image: completed(lambda note: image.aio_write(b"lost", 0, note)),
    "awaited": lambda image: asyncio.run(awaited_write(image)),
}
if rbd.supports("rbd_aio_writev"):
    WRITES["writev"] = lambda image: image.writev([b"lo", b"st"], 0)
FLUSHES: Dict[str, Call] = {
    "flush": lambda image: image.flush(),
    "aio_flush": lambda image: completed(image.aio_flush),
    "awaited flush": lambda image: asyncio.run(awaited_flush(image)),
}
CLOSES: Dict[str, Call] = {
    "close": lambda image: image.close(),
    "with": lambda image: image.__exit__(None, None, None),
    "aio_close": lambda image: completed(image.aio_close),
    "awaited close": lambda image: asyncio.run(awaited_close(image)),
    "async with": lambda image: asyncio.run(left(image)),
}


@pytest.fixture
def victim(rbd_cluster: Any, rbd_ioctx: Any) -> Iterator[Tuple[rbd.Image, Callable[[], None]]]:
    """Provide an image over its own connection, and a function that puts that on the blocklist."""
    rbd.RBD().create(rbd_ioctx, "victim", 8 << 20)
    with rbd.connect(rbd_cluster.conffile, conf=CONF) as cluster:
        ioctx = cluster.open_ioctx(rbd_ioctx.get_pool_name())
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        image = rbd.Image(ioctx, "victim")
        image.write(b"kept" * (BLOCK // 4), 0)
        image.flush()

        def block() -> None:
            with rbd.Image(rbd_ioctx, "victim", read_only=True) as seen:
                for watcher in seen.watchers_list():
                    with rbd_cluster.connect() as other:
                        other.blocklist_add(watcher["addr"], 60)
                        # The OSD answers this call once it knows the blocklist.
                        with other.open_ioctx(rbd_ioctx.get_pool_name()) as ioctx:
                            rbd.RBD().list(ioctx)

        yield image, block
        with contextlib.suppress(rbd.Error):
            image.close()


@pytest.mark.parametrize(
    ("write", "close"),
    [*((write, "close") for write in WRITES), *(("write", close) for close in CLOSES)],
)
def test_a_close_reports_data_that_is_lost(
    victim: Tuple[rbd.Image, Callable[[], None]], rbd_ioctx: Any, write: str, close: str
) -> None:
    image, block = victim
    WRITES[write](image)
    block()
    with pytest.raises(rbd.Error):
        CLOSES[close](image)
    assert image.closed
    with rbd.Image(rbd_ioctx, "victim", read_only=True) as seen:
        assert seen.read(0, 4) == b"kept"


def test_the_exception_of_the_body_is_kept(
    victim: Tuple[rbd.Image, Callable[[], None]],
) -> None:
    image, block = victim
    image.write(b"lost", 0)
    block()
    with pytest.raises(ZeroDivisionError), image:
        raise ZeroDivisionError
    assert image.closed


def test_a_close_without_writes_reports_nothing(
    victim: Tuple[rbd.Image, Callable[[], None]],
) -> None:
    image, block = victim
    block()
    image.close()


def test_a_close_after_a_refused_write_reports_nothing(
    victim: Tuple[rbd.Image, Callable[[], None]],
) -> None:
    image, block = victim
    with pytest.raises(rbd.InvalidArgument):
        image.write(b"refused", image.size())
    block()
    image.close()


@pytest.mark.parametrize(
    ("write", "flush"),
    [*((write, "flush") for write in WRITES), *(("write", flush) for flush in FLUSHES)],
)
def test_a_close_after_a_flush_reports_nothing(
    victim: Tuple[rbd.Image, Callable[[], None]], rbd_ioctx: Any, write: str, flush: str
) -> None:
    image, block = victim
    WRITES[write](image)
    FLUSHES[flush](image)
    block()
    image.close()
    with rbd.Image(rbd_ioctx, "victim", read_only=True) as seen:
        assert seen.read(0, 4) == b"lost"


def test_a_close_after_awaited_writes_and_flushes_reports_nothing(
    victim: Tuple[rbd.Image, Callable[[], None]],
) -> None:
    image, block = victim
    for _ in range(100):
        asyncio.run(awaited_write_and_flush(image))
    block()
    image.close()


@pytest.mark.parametrize("flush", FLUSHES)
def test_a_close_after_a_failed_flush_reports_data_that_is_lost(
    victim: Tuple[rbd.Image, Callable[[], None]], flush: str
) -> None:
    image, block = victim
    image.write(b"lost", 0)
    block()
    with pytest.raises(rbd.Error):
        FLUSHES[flush](image)
    with pytest.raises(rbd.Error, match="not saved"):
        image.close()


@pytest.mark.parametrize("flush", FLUSHES)
def test_a_close_after_a_failed_flush_of_nothing_reports_nothing(
    victim: Tuple[rbd.Image, Callable[[], None]], flush: str
) -> None:
    image, block = victim
    block()
    with contextlib.suppress(rbd.Error):
        FLUSHES[flush](image)
    image.close()


@pytest.mark.parametrize("features", [rbd.RBD_FEATURE_LAYERING, None])
def test_a_close_after_writes_keeps_the_data(rbd_ioctx: Any, features: Any) -> None:
    rbd.RBD().create(rbd_ioctx, "kept", 8 << 20, features=features)
    for write in (
        lambda image: image.close(),
        lambda image: asyncio.run(rbd.aio.AsyncImage(image).close()),
    ):
        image = rbd.Image(rbd_ioctx, "kept")
        image.write(b"data", 0)
        write(image)
        assert image.closed
        with rbd.Image(rbd_ioctx, "kept") as seen:
            assert seen.read(0, 4) == b"data"
            seen.write(bytes(4), 0)


def test_a_close_does_not_take_the_lock_back(rbd_cluster: Any, rbd_ioctx: Any) -> None:
    rbd.RBD().create(rbd_ioctx, "passed", 8 << 20)
    with rbd_cluster.connect() as cluster:
        ioctx = cluster.open_ioctx(rbd_ioctx.get_pool_name())
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        first = rbd.Image(rbd_ioctx, "passed")
        first.write(b"first", 0)
        with rbd.Image(ioctx, "passed") as second:
            second.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
            second.write(b"second", 0)
            first.close()
            assert second.is_exclusive_lock_owner()
            assert second.read(0, 6) == b"second"
