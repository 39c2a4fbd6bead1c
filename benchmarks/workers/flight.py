"""Measures calls on objects per second, with many in flight, over a librados without I/O.

They go through aio_* and its callbacks, or through asyncio, for which the stock module is wrapped.
"""

import asyncio
import statistics
import threading
import time

from common import main, modules


def through_callbacks(ioctx, op, block, flight, count):
    """Make `count` calls, each submitted by the callback of an earlier one."""
    data = b"d" * block
    finished = threading.Event()
    left = count
    under_way = 0

    def submit():
        nonlocal left, under_way
        left -= 1
        under_way += 1
        if op == "read":
            ioctx.aio_read("object", block, 0, done)
        else:
            ioctx.aio_write("object", data, 0, done)

    def done(*_):
        nonlocal under_way
        with lock:
            under_way -= 1
            if left > 0:
                submit()
            elif under_way == 0:
                finished.set()

    lock = threading.RLock()
    for _ in range(flight):
        with lock:
            if left > 0:
                submit()
    finished.wait()


class Stock:
    """The stock module's aio calls as coroutines."""

    def __init__(self, ioctx):
        self._ioctx = ioctx

    async def read(self, name, length, offset):
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def done(completion, data):
            loop.call_soon_threadsafe(future.set_result, data)

        self._ioctx.aio_read(name, length, offset, done)
        return await future

    async def write(self, name, data, offset):
        loop = asyncio.get_running_loop()
        future = loop.create_future()

        def done(completion):
            loop.call_soon_threadsafe(future.set_result, None)

        self._ioctx.aio_write(name, data, offset, done)
        return await future


async def through_asyncio(objects, op, block, flight, count):
    """Make `count` calls, each awaited by one of `flight` tasks."""
    data = b"d" * block
    left = count

    async def work():
        nonlocal left
        while left > 0:
            left -= 1
            if op == "read":
                await objects.read("object", block, 0)
            else:
                await objects.write("object", data, 0)

    await asyncio.gather(*(work() for _ in range(flight)))


def run(which, pool, how, op, block, flight, count):
    rados, _ = modules(which)
    cluster = rados.Rados(conffile="")
    cluster.connect()
    ioctx = cluster.open_ioctx(pool)
    if how == "callbacks":

        def make():
            through_callbacks(ioctx, op, block, flight, count)
    else:
        if which == "stock":
            objects = Stock(ioctx)
        else:
            import rbd.aio

            objects = rbd.aio.AsyncIoctx(ioctx)

        def make():
            asyncio.run(through_asyncio(objects, op, block, flight, count))

    make()
    rates = []
    for _ in range(5):
        start = time.perf_counter()
        make()
        rates.append(count / (time.perf_counter() - start))
    ioctx.close()
    cluster.shutdown()
    return {"value": statistics.median(rates)}


if __name__ == "__main__":
    main(run)
