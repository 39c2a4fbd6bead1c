"""Awaited writes know where the image ends, without asking the cluster each time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from typing import Any, Awaitable, Callable, Iterator

import pytest

import rbd
import rbd.aio
from support import isolated

SIZE = 8 << 20
BLOCK = 4096
LIMIT = 60.0


def run(body: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(body(), LIMIT)

    return asyncio.run(bounded())


@pytest.fixture
def elsewhere(rbd_cluster: Any, rbd_ioctx: Any, rbd_image: rbd.Image) -> Iterator[rbd.Image]:
    """Provide the same image, opened by another client."""
    pool = rbd_ioctx.get_pool_name()
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(pool) as ioctx:
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        with rbd.Image(ioctx, rbd_image.get_name()) as image:
            yield image


async def written(image: rbd.aio.AsyncImage, size: int) -> None:
    """Return what a write at the end of an image of this size must report."""
    assert await image.write(b"w" * BLOCK, size - BLOCK) == BLOCK
    assert await image.write_blocks(b"b" * 2 * BLOCK, [0, size - BLOCK]) == 2 * BLOCK
    assert await image.writev([b"v" * BLOCK, b"v" * BLOCK], size - 2 * BLOCK) == 2 * BLOCK
    with pytest.raises(rbd.IncompleteWriteError, match=f"wrote only {BLOCK} out of {3 * BLOCK}"):
        await image.write(b"w" * 3 * BLOCK, size - BLOCK)
    with pytest.raises(rbd.IncompleteWriteError) as caught:
        await image.write_blocks(b"b" * 4 * BLOCK, [0, size - BLOCK])
    assert caught.value.index == 1
    with pytest.raises(rbd.IncompleteWriteError):
        await image.writev([b"v" * BLOCK, b"v" * BLOCK], size - BLOCK)
    for call in (
        lambda: image.write(b"w", size),
        lambda: image.write_blocks(b"b", [size]),
        lambda: image.writev([b"v"], size),
        lambda: image.write(b"w", (1 << 64) - 1),
    ):
        with pytest.raises(rbd.InvalidArgument):
            await call()


def test_writes_see_the_size_that_others_set(elsewhere: rbd.Image, rbd_image: rbd.Image) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        await written(image, SIZE)
        for size in (SIZE * 2, SIZE // 2, SIZE, SIZE // 4, SIZE * 3):
            elsewhere.resize(size)
            await written(image, size)

    run(body)


def test_writes_see_the_size_that_this_handle_sets(rbd_image: rbd.Image) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        for size in (SIZE * 2, SIZE // 2, SIZE, SIZE // 4, SIZE * 3):
            await image.resize(size)
            await written(image, size)
        await image.create_snap("large")
        await image.resize(SIZE)
        await written(image, SIZE)
        await image.rollback_to_snap("large")
        await written(image, SIZE * 3)
        await image.resize(SIZE)
        await written(image, SIZE)
        # Nothing can be written to a snapshot. Afterwards the handle works as before.
        await image.set_snap("large")
        with pytest.raises(rbd.ReadOnlyImage):
            await image.write(b"x", 0)
        await image.set_snap(None)
        await written(image, SIZE)
        await image.remove_snap("large")

    run(body)


def test_large_reads_end_at_the_present_size(elsewhere: rbd.Image, rbd_image: rbd.Image) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        for size in (SIZE, SIZE * 2, SIZE // 2):
            elsewhere.resize(size)
            for length in (size, size + 1, 65 << 20, 1 << 50, (1 << 64) - 1):
                assert len(await image.read(0, length)) == size
                assert len(await image.read(size - 3, length)) == 3
                with pytest.raises(rbd.InvalidArgument):
                    await image.read(size, length)

    run(body)


def write_while_it_shrinks(conffile: str, pool: str, namespace: str, name: str) -> None:
    async def body(image: rbd.aio.AsyncImage, elsewhere: rbd.Image) -> None:
        loop = asyncio.get_running_loop()
        ended = False

        async def write(number: int) -> None:
            while not ended:
                with contextlib.suppress(rbd.IncompleteWriteError, rbd.InvalidArgument):
                    assert await image.write(b"x" * 2 * BLOCK, SIZE - BLOCK - number * 512)
                # On a busy machine, writes with short pauses delay a resize for minutes.
                await asyncio.sleep(0.05)

        tasks = [asyncio.ensure_future(write(number)) for number in range(16)]
        for size in (SIZE // 2, SIZE * 2) * 2:
            await loop.run_in_executor(None, elsewhere.resize, size)
        ended = True
        await asyncio.gather(*tasks)
        await written(image, SIZE * 2)

    with contextlib.ExitStack() as stack:
        images = []
        for _ in range(2):
            ioctx = stack.enter_context(rbd.connect(conffile)).open_ioctx(pool)
            ioctx.set_namespace(namespace)
            images.append(stack.enter_context(rbd.Image(ioctx, name)))
        run(lambda: body(rbd.aio.AsyncImage(images[0]), images[1]))


# With an object map, librbd would end the process, because it truncates the write before it learns
# the new size.
@pytest.mark.rbd_image(features=rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK)
def test_writes_to_a_shrinking_image_are_whole_or_refused(
    rbd_cluster: Any, rbd_ioctx: Any, rbd_image: rbd.Image
) -> None:
    """Each write is complete, incomplete or refused, and the data of each is as expected."""
    place = (rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace(), rbd_image.get_name())
    rbd_image.close()
    outcome = isolated.finish(
        isolated.start(write_while_it_shrinks, str(rbd_cluster.conffile), *place, development=False)
    )
    assert outcome.status == 0, str(outcome)


def test_concurrent_first_writes_find_the_size(rbd_ioctx: Any) -> None:
    """None of the writes knows the size."""
    rbd.RBD().create(rbd_ioctx, "first", SIZE, order=20)

    async def body() -> None:
        for _ in range(10):
            image = await rbd.aio.open(rbd_ioctx, "first")
            tasks = [
                asyncio.ensure_future(call)
                for i in range(100)
                for call in (
                    image.write(bytes([i]) * 512, i * 512),
                    image.write_blocks(bytes([i]) * 512, [100 * 512 + i * 512]),
                    image.write(b"x" * 512, SIZE - 511 + i),
                )
            ]
            await asyncio.sleep(0)
            # They complete before the close does.
            await image.close()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert results[0::3] == results[1::3] == [512] * 100
            assert {type(one) for one in results[2::3]} == {rbd.IncompleteWriteError}
        with rbd.Image(rbd_ioctx, "first") as image:
            assert image.read(0, 51200) == b"".join(bytes([i]) * 512 for i in range(100))
            assert image.read(51200, 51200) == image.read(0, 51200)

    run(body)
    rbd.RBD().remove(rbd_ioctx, "first")


def test_a_write_cancelled_before_the_size_is_known_frees_its_memory(rbd_ioctx: Any) -> None:
    """The memory is free once librbd has completed the write."""
    rbd.RBD().create(rbd_ioctx, "cancelled", SIZE, order=20)
    buffers = [bytearray(BLOCK) for _ in range(64)]

    async def body() -> None:
        image = await rbd.aio.open(rbd_ioctx, "cancelled")
        for i, buffer in enumerate(buffers):
            for call in (
                image.write(buffer, i * BLOCK),
                image.write_blocks(buffer, [i * BLOCK]),
                image.writev([buffer], i * BLOCK),
            ):
                task = asyncio.ensure_future(call)
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        await image.close()

    run(body)
    end = time.monotonic() + LIMIT
    for buffer in buffers:
        while True:
            try:
                buffer.append(0)
                break
            except BufferError:
                assert time.monotonic() < end
                time.sleep(0.01)
    rbd.RBD().remove(rbd_ioctx, "cancelled")


@pytest.mark.needs("rbd_encryption_load")
def test_writes_see_the_size_after_encryption_is_loaded(rbd_ioctx: Any) -> None:
    secret = os.urandom(8).hex()
    rbd.RBD().create(rbd_ioctx, "encrypted", 64 << 20)

    async def body() -> None:
        async with rbd.aio.open(rbd_ioctx, "encrypted") as image:
            await written(image, 64 << 20)
            await image.encryption_format(rbd.RBD_ENCRYPTION_FORMAT_LUKS1, secret)
            size = await image.size()
            assert size < 64 << 20
            await written(image, size)
        async with rbd.aio.open(rbd_ioctx, "encrypted") as image:
            await image.write(b"", 0)
            await image.encryption_load(rbd.RBD_ENCRYPTION_FORMAT_LUKS1, secret)
            await written(image, size)

    run(body)
    rbd.RBD().remove(rbd_ioctx, "encrypted")


def test_writes_see_changes_by_another_user_of_the_handle(rbd_image: rbd.Image) -> None:
    """Nothing reports what the other module does to the handle."""

    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        await written(image, SIZE)
        capsule = rbd_image.__rbdxx_image__()
        await written(image, SIZE)
        del capsule
        await image.resize(SIZE * 2)
        await written(image, SIZE * 2)

    run(body)
