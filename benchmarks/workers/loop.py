"""Measures operations per second from asyncio, with many in flight; the stock module is wrapped."""

import array
import asyncio
import itertools
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
    """Return how many operations complete in this many seconds, at most `most`."""
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


async def run_through(image, op, block, flight, places):
    """Return the seconds of `flight` tasks for all places. Each place goes to the next task."""
    data = b"d" * block

    async def read():
        for place in places:
            await image.read(place, block)

    async def write():
        for place in places:
            await image.write(data, place)

    work = read if op == "read" else write
    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(flight)))
    return time.perf_counter() - start


async def latencies(image, op, block, places):
    """Return how many seconds each operation takes, one at a time."""
    data = b"d" * block
    clock = time.perf_counter
    taken = []
    for place in places:
        start = clock()
        if op == "read":
            await image.read(place, block)
        else:
            await image.write(data, place)
        taken.append(clock() - start)
    return taken


async def run_at_once(image, op, block, flight, places):
    """Return the seconds of one awaited batch for all places, `flight` of them at a time."""
    memory = bytearray(b"d") * (len(places) * block)
    start = time.perf_counter()
    if op == "read":
        await image.read_blocks(places, block, memory, queue_depth=flight)
    else:
        await image.write_blocks(memory, places, queue_depth=flight)
    return time.perf_counter() - start


def fixed(image, op, block, flight, count, region, batch):
    """Return the coroutine of a run of `count` operations. It returns the rate and, for one in
    flight, latencies.

    `region`: they go through this many bytes in order, again and again; 0: at random. `batch`: all
    of them are one batch.
    """
    if region:
        places = itertools.islice(itertools.cycle(range(0, region, block)), count)
    else:
        places = iter(offsets(image.size(), block, count))

    async def measure(wrapped):
        if batch:
            at_once = array.array("Q", places)
            return {"value": count / await run_at_once(wrapped, op, block, flight, at_once)}
        if flight > 1:
            return {"value": count / await run_through(wrapped, op, block, flight, places)}
        taken = sorted(await latencies(wrapped, op, block, places))
        return {
            "value": count / sum(taken),
            "median": taken[count // 2],
            "p99": taken[count * 99 // 100],
        }

    return measure


def run(
    which,
    pool,
    names,
    op,
    block,
    flight,
    seconds,
    loop="asyncio",
    burst=0,
    total=None,
    count=0,
    region=0,
    batch=False,
):
    """`total`: bytes to move, in place of a time. `burst`: flush after this many operations.

    `count`: make one run of this many operations instead. `region`, `batch`: see fixed().
    """
    runner = asyncio
    if loop == "uvloop":
        import uvloop as runner
    with opened(which, pool, *names) as images:
        # The places that each task goes through, again and again.
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
        if count:
            measured = fixed(images[0], op, block, flight, count, region, batch)
            return runner.run(measured(wrapped[0]))

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
