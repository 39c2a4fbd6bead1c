"""Operations per second from asyncio, so many in flight; the stock module's wrapped as usual."""

import asyncio
import statistics
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


async def move(images, everywhere, op, block, seconds, most):
    """How many operations are done in so many seconds, at most `most`."""
    data = b"d" * block
    done = 0

    def stop():
        nonlocal most
        most = 0

    async def work(number, places):
        nonlocal done
        image = images[number % len(images)]
        while True:
            if op == "read":
                for place in places:
                    if done >= most:
                        return
                    done += 1
                    await image.read(place, block)
            else:
                for place in places:
                    if done >= most:
                        return
                    done += 1
                    await image.write(data, place)

    clock = asyncio.get_running_loop().call_later(seconds, stop)
    await asyncio.gather(*(work(number, places) for number, places in enumerate(everywhere)))
    clock.cancel()
    return done


def run(which, pool, names, op, block, flight, seconds, loop="asyncio", burst=0, total=None):
    """`total`: bytes to move, in place of so many seconds. `burst`: flush after so many."""
    runner = asyncio
    if loop == "uvloop":
        import uvloop as runner
    with opened(which, pool, *names) as images:
        # What each of those in flight goes through, again and again.
        size = images[0].size()
        everywhere = [offsets(size, block, 1024, number) for number in range(flight)]
        if op == "write":
            for image in images:
                image.flush()
        if which == "stock":
            wrapped = [Stock(image) for image in images]
        else:
            import rbd.aio

            wrapped = [rbd.aio.AsyncImage(image) for image in images]

        async def measure():
            before = peak()
            most = burst or (total // block if total else 1 << 60)
            rates = []
            done = 0
            taken = 0.0
            end = time.perf_counter() + seconds
            while not done or (burst and time.perf_counter() < end):
                start = time.perf_counter()
                limit = 3600 if burst or total else seconds
                moved = await move(wrapped, everywhere, op, block, limit, most)
                took = time.perf_counter() - start
                taken += took
                done += moved
                if burst:
                    rates.append(moved / took)
                    for image in images:
                        image.flush()
            rate = statistics.median(rates) if burst else done / taken
            return {"value": rate, "grown": peak() - before}

        return runner.run(measure())


if __name__ == "__main__":
    main(run)
