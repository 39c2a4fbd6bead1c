"""Measures the nanoseconds of one call on an object, or of one entry, over a librados without I/O.

This is the processor time of the thread: there is nothing to wait for.
"""

import statistics
import time

from common import main, modules, timed


def calls(rados, ioctx, length):
    """Return the calls, each as a function that makes it for `count` objects or entries."""
    read, write = ioctx.read, ioctx.write
    data = bytes(length)

    def make_read(count):
        for _ in range(count):
            read("object", length, 0)

    def make_write(count):
        for _ in range(count):
            write("object", data, 0)

    # The shim determines how many entries there are.
    def take_objects(count):
        for _ in ioctx.list_objects():
            pass

    def take_omap(count):
        with rados.ReadOpCtx() as op:
            entries, _ = ioctx.get_omap_vals(op, "", "", count)
            ioctx.operate_read_op(op, "object")
            for _ in entries:
                pass

    return {"read": make_read, "write": make_write, "list": take_objects, "omap": take_omap}


def run(which, pool, call, count, length):
    rados, _ = modules(which)
    cluster = rados.Rados(conffile="")
    cluster.connect()
    ioctx = cluster.open_ioctx(pool)
    make = calls(rados, ioctx, length)[call]
    make(count)
    times = [timed(lambda: make(count), time.thread_time) for _ in range(5)]
    ioctx.close()
    cluster.shutdown()
    return {"value": statistics.median(times) / count * 1e9}


if __name__ == "__main__":
    main(run)
