"""The loop runs while the cluster does not answer."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from typing import Any, Awaitable, Callable, Dict, Iterable, Iterator, List

import pytest

import rbd
import rbd.aio
import rbd.aio.transfer
from rbd.aio._workers import MOST
from rbd.testing import LocalCluster

SIZE = 64 << 20
#: Times in seconds: between ticks, the largest delay of one on a busy machine, and the whole test.
TICK, LATE, WHILE = 0.01, 2.0, 3.0

Call = Callable[[rbd.aio.AsyncImage, Any], Awaitable[Any]]


async def many(calls: Iterable[Awaitable[Any]]) -> None:
    await asyncio.gather(*calls)


async def consume(stream: Any) -> None:
    async for _ in stream:
        pass


async def write_objects(ioctx: Any, count: int, size: int) -> None:
    objects = rbd.aio.AsyncIoctx(ioctx)
    data = b"x" * size
    await many(objects.write_full(f"{size}.{index}", data) for index in range(count))


async def operate(ioctx: Any, count: int, size: int) -> None:
    objects = rbd.aio.AsyncIoctx(ioctx)

    async def one(index: int) -> None:
        with rbd.rados.WriteOpCtx() as op:
            op.write_full(b"x" * size)
            await objects.operate_write_op(op, f"operation.{index}")

    await many(one(index) for index in range(count))


#: More calls than librados allows in flight on a connection, in number or in bytes. It makes the
#: threads wait that submit further calls, of any kind.
MORE: Dict[str, Call] = {
    "many objects": lambda _, ioctx: write_objects(ioctx, 3000, 64),
    "large objects": lambda _, ioctx: write_objects(ioctx, 40, 4 << 20),
    "large operations": lambda _, ioctx: operate(ioctx, 40, 4 << 20),
}

#: One call of each kind that must ask an OSD, and many calls at a time.
CALLS: Dict[str, Call] = {
    "write": lambda image, _: image.write(b"x" * 4096, 0),
    "write across the end": lambda image, _: image.write(b"x" * 4096, 2 * SIZE - 1),
    "many writes": lambda image, _: many(image.write(b"x" * 512, i * 512) for i in range(500)),
    "many batches": lambda image, _: many(image.writev([b"x" * 512], i * 512) for i in range(500)),
    "read": lambda image, _: image.read(0, 4096),
    "large read": lambda image, _: image.read(0, SIZE + (1 << 30)),
    "readinto": lambda image, _: image.readinto(bytearray(4096), 0),
    "readv": lambda image, _: image.readv([bytearray(4096)], 0),
    "writev": lambda image, _: image.writev([b"x" * 4096], 0),
    "read_blocks": lambda image, _: image.read_blocks([0, 8 << 20], 4096),
    "write_blocks": lambda image, _: image.write_blocks(b"x" * 8192, [0, 8 << 20]),
    "discard": lambda image, _: image.discard(0, 4 << 20),
    "write_zeroes": lambda image, _: image.write_zeroes(0, 4 << 20),
    "compare_and_write": lambda image, _: image.compare_and_write(b"y" * 512, b"z" * 512, 0),
    "write_same": lambda image, _: image.write_same(b"x" * 512, 0, 4096),
    "flush": lambda image, _: image.flush(),
    "size": lambda image, _: image.size(),
    "stat": lambda image, _: image.stat(),
    "list_snaps": lambda image, _: image.list_snaps(),
    "create_snap": lambda image, _: image.create_snap("frozen"),
    "resize": lambda image, _: image.resize(SIZE * 2),
    "diff": lambda image, _: image.diff(),
    "metadata_get": lambda image, _: image.metadata_get("none"),
    "on_update": lambda image, _: image.on_update(lambda: None),
    "list_lockers": lambda image, _: image.list_lockers(),
    "digest": lambda image, _: rbd.aio.transfer.digest(image),
    "stream_image": lambda image, _: consume(rbd.aio.transfer.stream_image(image)),
    "open": lambda _, ioctx: rbd.aio.open(ioctx, "frozen")._open(),
    "open at a snapshot": lambda _, ioctx: rbd.aio.open(ioctx, "frozen", "s")._open(),
    "list": lambda _, ioctx: rbd.aio.RBD().list(ioctx),
    "create": lambda _, ioctx: rbd.aio.RBD().create(ioctx, "other", SIZE),
    "group": lambda _, ioctx: rbd.aio.Group(ioctx, "none").list_images(),
    "read an object": lambda _, ioctx: rbd.aio.AsyncIoctx(ioctx).read("object"),
    "write an object": lambda _, ioctx: rbd.aio.AsyncIoctx(ioctx).write_full("object", b"x"),
}


def call_in_threads(ioctx: Any) -> List[threading.Thread]:
    """Use up what librados allows in flight by calls that wait for their results."""
    data = b"x" * (4 << 20)
    return [
        threading.Thread(target=ioctx.write_full, args=(f"thread.{index}", data), daemon=True)
        for index in range(40)
    ]


def submit_in_a_thread(ioctx: Any) -> List[threading.Thread]:
    """Use up what librados allows in flight by calls with callbacks."""

    def submit() -> None:
        for index in range(1500):
            ioctx.aio_write_full(f"callback.{index}", b"x")

    return [threading.Thread(target=submit, daemon=True)]


async def written(objects: rbd.aio.AsyncIoctx, name: str, size: int) -> None:
    """Wait until an object has its whole size."""
    for _ in range(600):
        with contextlib.suppress(rbd.rados.ObjectNotFound):
            if (await objects.stat(name))[0] == size:
                return
        await asyncio.sleep(0.1)
    raise AssertionError(f"{name} was not written")


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


async def ticks(calls: Dict[str, Call], image: Any, ioctx: Any) -> None:
    """Begin each call. The ticker must keep ticking, and each time limit must be kept."""
    loop = asyncio.get_running_loop()
    for name, call in calls.items():
        start = last = loop.time()
        task: asyncio.Task[Any] = asyncio.ensure_future(asyncio.wait_for(call(image, ioctx), 0.3))
        while loop.time() - start < WHILE and not task.done():
            await asyncio.sleep(TICK)
            late, last = loop.time() - last, loop.time()
            assert late < LATE, f"{name} blocked the loop for {late:.1f} seconds"
        assert task.done(), f"{name} did not end in time"
        with contextlib.suppress(asyncio.TimeoutError, rbd.Error, KeyError):
            await task


@pytest.mark.timeout(280)
@pytest.mark.parametrize("changed", [False, True], ids=["same header", "changed header"])
def test_the_loop_runs_while_the_osd_is_stopped(cluster: LocalCluster, changed: bool) -> None:
    async def body() -> None:
        connection = cluster.connect()
        other_connection = cluster.connect()
        ioctx = connection.open_ioctx("rbd")
        other = other_connection.open_ioctx("rbd")
        with contextlib.suppress(rbd.ImageExists):
            rbd.RBD().create(ioctx, "frozen", SIZE)
            with rbd.Image(ioctx, "frozen") as made:
                made.create_snap("s")
        image = await rbd.aio.open(ioctx, "frozen")
        try:
            # From now on the size is known, until the header changes.
            await image.write(b"x" * 4096, 0)
            if changed:
                with rbd.Image(other, "frozen") as elsewhere:
                    elsewhere.metadata_set("changed", "yes")
                    elsewhere.update_features(rbd.RBD_FEATURE_DEEP_FLATTEN, False)
            cluster.pause_osd(0)
            try:
                threads = len(os.listdir("/proc/self/task"))
                await ticks({**MORE, **CALLS}, image, ioctx)
                # Only the calls of the pool have separate threads.
                assert len(os.listdir("/proc/self/task")) - threads < MOST + 16
            finally:
                cluster.resume_osd(0)
            # Everything continues afterwards.
            await asyncio.wait_for(image.read(0, 4096), 60)
            assert await asyncio.wait_for(image.size(), 60) >= SIZE
            # The writes of cancelled tasks were made nevertheless.
            objects = rbd.aio.AsyncIoctx(ioctx)
            for name, size in (("64.2999", 64), (f"{4 << 20}.39", 4 << 20)):
                await written(objects, name, size)
        finally:
            await asyncio.wait_for(image.close(), 60)

    asyncio.run(body())


async def open_with_callback(ioctx: Any) -> None:
    opened = asyncio.Event()
    loop = asyncio.get_running_loop()
    rbd.RBD().aio_open_image(
        lambda *_: loop.call_soon_threadsafe(opened.set), ioctx, "frozen", read_only=True
    )
    await opened.wait()


#: What must not wait for the limits of librados either.
BESIDE: Dict[str, Call] = {
    **{name: CALLS[name] for name in ("read an object", "write an object", "open")},
    "open with a callback": lambda _, ioctx: open_with_callback(ioctx),
}


@pytest.mark.timeout(280)
@pytest.mark.parametrize("more", MORE)
def test_the_loop_runs_at_the_limits_of_the_connection(cluster: LocalCluster, more: str) -> None:
    """No image is open, so the loop submits most calls itself."""

    async def body() -> None:
        with cluster.connect() as connection, connection.open_ioctx("rbd") as ioctx:
            with contextlib.suppress(rbd.ImageExists):
                rbd.RBD().create(ioctx, "frozen", SIZE)
            cluster.pause_osd(0)
            try:
                await ticks({more: MORE[more], **BESIDE}, None, ioctx)
            finally:
                cluster.resume_osd(0)
            assert await asyncio.wait_for(rbd.aio.AsyncIoctx(ioctx).read("object"), 60) == b"x"

    asyncio.run(body())


@pytest.mark.timeout(280)
@pytest.mark.parametrize("made", [call_in_threads, submit_in_a_thread])
def test_the_loop_runs_beside_threads_at_the_limits(
    cluster: LocalCluster, made: Callable[[Any], List[threading.Thread]]
) -> None:
    async def body() -> None:
        with cluster.connect() as connection, connection.open_ioctx("rbd") as ioctx:
            with contextlib.suppress(rbd.ImageExists):
                rbd.RBD().create(ioctx, "frozen", SIZE)
            cluster.pause_osd(0)
            threads = made(ioctx)
            try:
                for thread in threads:
                    thread.start()
                await asyncio.sleep(1)
                await ticks(BESIDE, None, ioctx)
            finally:
                cluster.resume_osd(0)
            for thread in threads:
                await asyncio.to_thread(thread.join, 60)
                assert not thread.is_alive()

    asyncio.run(body())
