"""Images in asyncio."""

from __future__ import annotations

import asyncio
import gc
import os
import random
from typing import Any, Awaitable, Callable, Iterator

import pytest

import rbd
import rbd.aio
from support.optional_tools import proof

SIZE = 8 << 20
BLOCK = 4096

Body = Callable[[rbd.aio.AsyncImage], Awaitable[Any]]
Run = Callable[[Body], Any]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(
    request: pytest.FixtureRequest, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> Iterator[Run]:
    """Run a coroutine function in a new loop, with the image opened in it."""
    if request.param == "uvloop":
        uvloop = proof("uvloop")
        new_loop = uvloop.new_event_loop
    else:
        new_loop = asyncio.new_event_loop

    async def opened(body: Body) -> Any:
        async with rbd.aio.open(rbd_ioctx, rbd_image.get_name()) as image:
            return await body(image)

    def run(body: Body) -> Any:
        loop = new_loop()
        try:
            return loop.run_until_complete(asyncio.wait_for(opened(body), 100))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()

    yield run
    gc.collect()


def test_written_data_is_read_back(run: Run, rbd_image: rbd.Image) -> None:
    data = os.urandom(10000)

    async def body(image: rbd.aio.AsyncImage) -> None:
        assert await image.write(data, 100) == 10000
        assert await image.read(100, 10000) == data
        into = bytearray(5000)
        assert await image.readinto(into, 100) == 5000
        assert into == data[:5000]
        assert await image.flush() is None

    run(body)
    assert rbd_image.read(100, 10000) == data


def test_every_data_call_works_awaited(run: Run, rbd_image: rbd.Image) -> None:
    async def body(image: rbd.aio.AsyncImage) -> None:
        assert await image.writev([b"abc", b"", b"defg"], 10) == 7
        parts = [bytearray(2), bytearray(5)]
        assert await image.readv(parts, 10) == 7
        assert parts == [b"ab", b"cdefg"]
        assert await image.readv([], 0) == await image.writev([], 0) == 0
        assert await image.write_same(b"xy" * 256, 1024, 2048) == 2048
        assert await image.read(1024, 2049) == b"xy" * 1024 + b"\0"
        assert await image.compare_and_write(b"xy" * 256, b"zz" * 256, 2048) == 512
        # Read through another handle: Ceph 14's cache returns what it read before.
        assert rbd_image.read(2048, 512) == b"zz" * 256
        # librbd discards whole units of 64 KiB, or whole objects.
        assert await image.discard(0, 1 << 20) == 1 << 20
        assert await image.read(0, 4096) == bytes(4096)

    run(body)


@pytest.mark.needs("rbd_aio_write_zeroes")
def test_written_zeroes_are_read_back(run: Run) -> None:
    async def body(image: rbd.aio.AsyncImage) -> None:
        await image.write(b"x" * 8192, 0)
        assert await image.write_zeroes(4096, 4096) == 4096
        assert await image.read(0, 8192) == b"x" * 4096 + bytes(4096)

    run(body)


def test_a_failed_comparison_names_the_first_difference(run: Run, rbd_image: rbd.Image) -> None:
    async def body(image: rbd.aio.AsyncImage) -> None:
        await image.write(b"a" * 512, 0)
        with pytest.raises(rbd.CompareMismatch) as caught:
            await image.compare_and_write(b"a" * 100 + b"b" * 412, b"c" * 512, 0)
        assert caught.value.offset == 100
        with pytest.raises(rbd.CompareMismatch) as blocking:
            rbd_image.compare_and_write(b"a" * 100 + b"b" * 412, b"c" * 512, 0)
        assert str(caught.value) == str(blocking.value)
        assert "the data differs from offset 100" in str(caught.value)
        assert await image.read(0, 512) == b"a" * 512

    run(body)


def test_many_awaited_calls_overlap(run: Run) -> None:
    content = random.Random(3).randbytes(SIZE)

    async def body(image: rbd.aio.AsyncImage) -> None:
        offsets = range(0, SIZE, BLOCK)
        written = await asyncio.gather(
            *(image.write(content[at : at + BLOCK], at) for at in offsets)
        )
        assert written == [BLOCK] * len(offsets)
        blocks = await asyncio.gather(*(image.read(at, BLOCK) for at in offsets))
        assert b"".join(blocks) == content

    run(body)


def test_calls_at_the_end_of_the_image_are_short_or_refused(run: Run, rbd_image: rbd.Image) -> None:
    async def body(image: rbd.aio.AsyncImage) -> None:
        assert await image.read(SIZE - 50, 100) == bytes(50)
        assert await image.read(SIZE - 5, 1 << 62) == bytes(5)
        into = bytearray(b"x" * 100)
        assert await image.readinto(into, SIZE - 50) == 50
        assert into == bytes(50) + b"x" * 50
        for beyond in (
            image.read(SIZE + 1, 1),
            image.write(b"x", SIZE + 1),
            image.readv([bytearray(1)], SIZE + 1),
            image.writev([b"x"], SIZE + 1),
        ):
            with pytest.raises(rbd.InvalidArgument) as caught:
                await beyond
            assert caught.value.errno == 22
            assert rbd_image.get_name() in str(caught.value)
        for across in (image.write(b"y" * 100, SIZE - 50), image.writev([b"y" * 100], SIZE - 50)):
            with pytest.raises(rbd.IncompleteWriteError) as incomplete:
                await across
            assert incomplete.value.errno is None
            assert "wrote only 50 out of 100 bytes" in str(incomplete.value)
        assert await image.read(SIZE - 50, 50) == b"y" * 50

    run(body)


def test_bad_arguments_are_refused(run: Run) -> None:
    async def body(image: rbd.aio.AsyncImage) -> None:
        for call, error in (
            (lambda: image.read(-1, 1), OverflowError),
            (lambda: image.read(0, -1), OverflowError),
            (lambda: image.read(0, 1 << 64), OverflowError),
            (lambda: image.read("0", 1), TypeError),
            (lambda: image.write("text", 0), TypeError),
            (lambda: image.write(memoryview(b"abcd")[::2], 0), BufferError),
            (lambda: image.readinto(b"bytes", 0), TypeError),
            (lambda: image.readv([b"bytes"], 0), TypeError),
            (lambda: image.writev(5, 0), TypeError),
            (lambda: image.discard(-1, 1), OverflowError),
            (lambda: image.compare_and_write(b"a", b"bc", 0), ValueError),
            (lambda: image.write_same(b"abc", 0, 512), rbd.InvalidArgument),
        ):
            with pytest.raises(error):
                await call()

    run(body)


def test_an_error_does_not_affect_other_calls(run: Run) -> None:
    async def body(image: rbd.aio.AsyncImage) -> None:
        offsets = [i * BLOCK if i % 3 else SIZE + i for i in range(60)]
        results = await asyncio.gather(
            *(image.write(b"z" * BLOCK, at) for at in offsets), return_exceptions=True
        )
        for at, result in zip(offsets, results):
            if at < SIZE:
                assert result == BLOCK
                assert await image.read(at, BLOCK) == b"z" * BLOCK
            else:
                assert isinstance(result, rbd.InvalidArgument)

    run(body)


def test_cancelling_keeps_buffers_in_use(run: Run) -> None:
    async def body(image: rbd.aio.AsyncImage) -> None:
        buffers = [bytearray(1 << 16) for _ in range(32)]
        tasks = [
            asyncio.ensure_future(image.readinto(buffer, i << 16))
            for i, buffer in enumerate(buffers)
        ]
        await asyncio.sleep(0)  # let them start
        for task in tasks:
            task.cancel()
        held = 0
        for buffer in buffers:
            try:
                buffer.append(1)
            except BufferError:
                held += 1
        assert held, "every read had completed before it could be cancelled"
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        while held:
            await asyncio.sleep(0.001)
            held = 0
            for buffer in buffers:
                try:
                    buffer.append(1)
                except BufferError:
                    held += 1

    run(body)


def test_timeouts_of_asyncio_end_a_wait(run: Run) -> None:
    async def body(image: rbd.aio.AsyncImage) -> None:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(image.read(0, 1 << 20), 0)
        assert await asyncio.wait_for(image.read(0, 4), 60) == bytes(4)

    run(body)


def test_calls_are_coroutines_for_tasks(run: Run) -> None:
    async def body(image: rbd.aio.AsyncImage) -> None:
        task = asyncio.create_task(image.write(b"abc", 0))
        assert await task == 3
        assert asyncio.iscoroutine(coroutine := image.read(0, 3))
        assert await coroutine == b"abc"

    run(body)


def test_closing_waits_for_calls_in_flight(run: Run, rbd_image: rbd.Image) -> None:
    async def body(image: rbd.aio.AsyncImage) -> None:
        tasks = [asyncio.ensure_future(image.write(b"q" * BLOCK, i * BLOCK)) for i in range(64)]
        await asyncio.sleep(0)
        await image.close()
        assert image.closed
        assert await asyncio.gather(*tasks) == [BLOCK] * 64
        for late in (image.read(0, 1), image.flush(), image.write(b"", 0), image.readv([], 0)):
            with pytest.raises(rbd.InvalidArgument) as caught:
                await late
            assert caught.value.errno is None
        await image.close()

    run(body)
    assert rbd_image.read(0, 64 * BLOCK) == b"q" * (64 * BLOCK)


def test_closing_may_be_repeated_and_cancelled(run: Run) -> None:
    async def body(image: rbd.aio.AsyncImage) -> None:
        first = asyncio.ensure_future(image.close())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(image.close(), image.close())
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(rbd.InvalidArgument):
            image.image.size()

    run(body)


def test_open_takes_names_snapshots_and_ids(
    run: Run, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    rbd_image.write(b"abc", 0)
    rbd_image.create_snap("s")
    rbd_image.write(b"xyz", 0)
    name = rbd_image.get_name()

    async def body(_: rbd.aio.AsyncImage) -> None:
        image = await rbd.aio.open(rbd_ioctx, name)
        assert isinstance(image, rbd.aio.AsyncImage)
        assert isinstance(image.image, rbd.Image)
        assert image.image.size() == SIZE
        assert not image.closed
        await image.close()
        async with rbd.aio.open(rbd_ioctx, name, "s") as image:
            assert await image.read(0, 3) == b"abc"
            with pytest.raises(rbd.ReadOnlyImage):
                await image.write(b"q", 10)
        async with rbd.aio.open(rbd_ioctx, image_id=rbd_image.id(), read_only=True) as image:
            assert await image.read(0, 3) == b"xyz"
        with pytest.raises(rbd.ImageNotFound, match="no such image"):
            await rbd.aio.open(rbd_ioctx, "no such image")
        with pytest.raises(rbd.ImageNotFound):
            async with rbd.aio.open(rbd_ioctx, name, snapshot="no such snapshot"):
                pass
        with pytest.raises(rbd.InvalidArgument):
            await rbd.aio.open(rbd_ioctx)
        with pytest.raises(TypeError):
            await rbd.aio.open("no ioctx", name)
        wrapped = rbd.aio.AsyncImage(rbd.Image(rbd_ioctx, name))
        async with wrapped:
            assert await wrapped.read(0, 3) == b"xyz"
        assert wrapped.image.closed

    run(body)
    rbd_image.remove_snap("s")


def test_the_exception_of_the_body_is_raised(
    run: Run, rbd_ioctx: Any, rbd_image: rbd.Image
) -> None:
    async def body(_: rbd.aio.AsyncImage) -> None:
        with pytest.raises(ZeroDivisionError):
            async with rbd.aio.open(rbd_ioctx, rbd_image.get_name()) as image:
                raise ZeroDivisionError
        assert image.closed

    run(body)


def test_a_cancelled_opening_closes_the_image(run: Run, rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "cancelled", SIZE)

    async def body(_: rbd.aio.AsyncImage) -> None:
        task = asyncio.ensure_future(rbd.aio.open(rbd_ioctx, "cancelled")._open())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        for _ in range(200):
            try:
                rbd.RBD().remove(rbd_ioctx, "cancelled")  # busy while it is open
                return
            except rbd.ImageBusy:
                await asyncio.sleep(0.05)
        pytest.fail("the image stays open")

    run(body)


def test_a_call_without_a_running_loop_is_refused(rbd_image: rbd.Image) -> None:
    coroutine = rbd.aio.AsyncImage(rbd_image).read(0, 1)
    with pytest.raises(RuntimeError, match="no running event loop"):
        coroutine.send(None)


@pytest.mark.parametrize(
    "image", [None, 7, "image", rbd.RBD()], ids=lambda image: type(image).__name__
)
def test_only_images_are_wrapped(image: Any) -> None:
    with pytest.raises(TypeError, match=r"image must be an rbd\.Image"):
        rbd.aio.AsyncImage(image)


def test_one_image_works_in_consecutive_loops(rbd_image: rbd.Image) -> None:
    """Also if a later loop has the address of one that has ended."""
    wrapped = rbd.aio.AsyncImage(rbd_image)
    rbd_image.write(b"x" * 10, 0)

    async def read() -> bytes:
        return await asyncio.wait_for(wrapped.read(0, 10), 30)

    for _ in range(20):
        assert asyncio.run(read()) == b"x" * 10
        gc.collect()
