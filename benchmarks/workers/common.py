"""Helpers of the workers. They run with this package or the stock module, on Python 3.9.

Some rows count the time of the whole process, so this module imports little: json, random and re
would take as long to import as the package itself.
"""

import contextlib
import sys
import time


def peak():
    """Return the largest memory that this process has had, in bytes."""
    with open("/proc/self/status") as status:
        (kib,) = (line.split()[1] for line in status if line.startswith("VmHWM:"))
    return int(kib) * 1024


def modules(which):
    """Return the modules rados and rbd."""
    import rbd

    if which == "stock":
        import rados
    else:
        from rbd import rados
    return rados, rbd


@contextlib.contextmanager
def connected(which, pool):
    """Yield a pool of a new connection. CEPH_CONF names the cluster."""
    rados, _ = modules(which)
    cluster = rados.Rados(conffile="")
    cluster.connect()
    ioctx = cluster.open_ioctx(pool)
    try:
        yield ioctx
    finally:
        ioctx.close()
        cluster.shutdown()


@contextlib.contextmanager
def opened(which, pool, *names, **options):
    """Yield open images of a new connection."""
    _, rbd = modules(which)
    with connected(which, pool) as ioctx:
        images = [rbd.Image(ioctx, name, **options) for name in names]
        try:
            yield images
        finally:
            for image in images:
                image.close()


def offsets(size, block, count=8192, seed=1):
    """Return random multiples of `block` below `size`."""
    import random

    chance = random.Random(seed)
    return [chance.randrange(size // block) * block for _ in range(count)]


def timed(call, clock=time.perf_counter):
    """Return how many seconds a call takes."""
    start = clock()
    call()
    return clock() - start


def main(run):
    """Run `run(**arguments)` with the arguments of the command line, and print its result.

    Both are Python literals.
    """
    print(repr(run(**eval(sys.argv[1]))))
