"""Operations per second from asyncio, so many in flight; the stock module's wrapped as usual."""

import asyncio
import time

from common import main, offsets, opened, peak


class Stock:
    """The stock module's aio calls as coroutines."""

    def __init__(self, image):
        self._image = image

    async def read(self, offset, length):
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def done(completion, data):
            loop.call_soon_threadsafe(future.set_result, data)

        self._image.aio_read(offset, length, done)
        return await future

    async def write(self, data, offset):
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def done(completion):
            loop.call_soon_threadsafe(future.set_result, None)

        self._image.aio_write(data, offset, done)
        return await future


async def measure(images, size, op, block, flight, seconds, most):
    data = b"d" * block
    end = 0.0
    done = 0

    async def work(number):
        nonlocal done
        image = images[number % len(images)]
        places = offsets(size, block, 1024, number)
        while True:
            if op == "read":
                for place in places:
                    await image.read(place, block)
                    done += 1
                    if done >= most or time.perf_counter() > end:
                        return
            else:
                for place in places:
                    await image.write(data, place)
                    done += 1
                    if done >= most or time.perf_counter() > end:
                        return

    before = peak()
    start = time.perf_counter()
    end = start + (seconds or 3600)
    await asyncio.gather(*(work(number) for number in range(flight)))
    return {"value": done / (time.perf_counter() - start), "grown": peak() - before}


def run(which, pool, names, op, block, flight, seconds, loop="asyncio", total=None):
    """`total`: bytes to move, in place of so many seconds."""
    most = total // block if total else 1 << 60
    with opened(which, pool, *names) as images:
        size = images[0].size()
        if op == "write":
            for image in images:
                image.flush()
        if which == "stock":
            wrapped = [Stock(image) for image in images]
        else:
            import rbd.aio

            wrapped = [rbd.aio.AsyncImage(image) for image in images]
        runner = asyncio
        if loop == "uvloop":
            import uvloop as runner
        return runner.run(measure(wrapped, size, op, block, flight, seconds, most))


if __name__ == "__main__":
    main(run)
