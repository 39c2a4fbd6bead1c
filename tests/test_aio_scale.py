"""Many images and many coroutines in one process."""

from __future__ import annotations

import asyncio
import contextlib
import random
import statistics
import time
from typing import Any, List

import pytest

import rbd
import rbd.aio
from support import figures, memory_usage
from support.location import SOAK

IMAGES, COROUTINES = 32, 10_000
SIZE = 16 << 20
BLOCK = 4096
#: The time of the main part and of each comparison, in seconds.
LONG, SHORT = (600.0, 60.0) if SOAK else (6.0, 2.0)


async def mixed(
    images: List[rbd.aio.AsyncImage], coroutines: int, seconds: float, waits: List[float]
) -> float:
    """Make calls in this many coroutines. Return how many calls a second there were."""
    end = time.monotonic() + seconds
    counts = [0]

    async def one(number: int) -> None:
        choice = random.Random(number)
        image = images[number % len(images)]
        data = bytes([number % 256]) * BLOCK
        # At least one each, even on a slow machine.
        first = True
        while first or time.monotonic() < end:
            first = False
            offset = choice.randrange(SIZE // BLOCK) * BLOCK
            start = time.monotonic()
            if choice.random() < 0.5:
                assert await image.write(data, offset) == BLOCK
            else:
                assert len(await image.read(offset, BLOCK)) == BLOCK
            waits.append(time.monotonic() - start)
            counts[0] += 1

    begin = time.monotonic()
    await asyncio.gather(*(one(number) for number in range(coroutines)))
    return counts[0] / (time.monotonic() - begin)


@pytest.mark.timeout(1500 if SOAK else 280)
def test_many_coroutines_on_many_images_need_little_memory(rbd_ioctx: Any) -> None:
    names = [f"scale-{number}" for number in range(IMAGES)]

    async def body() -> None:
        images_of = rbd.aio.RBD()
        await asyncio.gather(*(images_of.create(rbd_ioctx, name, SIZE) for name in names))
        async with contextlib.AsyncExitStack() as stack:
            images = [
                await stack.enter_async_context(rbd.aio.open(rbd_ioctx, name)) for name in names
            ]
            few = await mixed(images, 32, SHORT, [])
            await mixed(images, COROUTINES, LONG / 10, [])
            waits: List[float] = []
            before = memory_usage.now()
            many = await mixed(images, COROUTINES, LONG, waits)
            growth = memory_usage.now() - before
            waits.sort()
            longest, median = waits[-1], statistics.median(waits)
            figures.note("calls of 10,000 coroutines on 32 images", len(waits))
            print(f"{few:.0f} and {many:.0f} calls a second, {longest / median:.1f}, {growth} KiB")
            # The list of waiting times grows itself: 40 bytes for each call. So do the caches of
            # Ceph 14, which hold 32 MiB for each image.
            caches = 0 if rbd.supports("rbd_quiesce_watch") else IMAGES * min(SIZE, 32 << 20) >> 10
            assert growth < (64 << 10) * memory_usage.LEEWAY + 48 * len(waits) // 1024 + caches
            if SOAK:
                assert many >= 0.9 * few
                assert longest <= 20 * median
        await asyncio.gather(*(images_of.remove(rbd_ioctx, name) for name in names))

    asyncio.run(body())
