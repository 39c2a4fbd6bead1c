"""What the workers share. They run with this package or with the stock module, on Python 3.9."""

import contextlib
import json
import random
import re
import sys
import time


def peak():
    """The most memory that this process has had, in bytes."""
    with open("/proc/self/status") as status:
        return int(re.search(r"VmHWM:\s*(\d+)", status.read()).group(1)) * 1024


def modules(which):
    """The modules rados and rbd."""
    import rbd

    if which == "stock":
        import rados
    else:
        from rbd import rados
    return rados, rbd


@contextlib.contextmanager
def connected(which, pool):
    """A pool of a connection of its own; CEPH_CONF says where."""
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
    """Open images of a connection of their own."""
    _, rbd = modules(which)
    with connected(which, pool) as ioctx:
        images = [rbd.Image(ioctx, name, **options) for name in names]
        try:
            yield images
        finally:
            for image in images:
                image.close()


def offsets(size, block, count=8192, seed=1):
    """Random multiples of `block` below `size`."""
    chance = random.Random(seed)
    return [chance.randrange(size // block) * block for _ in range(count)]


def timed(call, clock=time.perf_counter):
    """How many seconds a call takes."""
    start = clock()
    call()
    return clock() - start


def main(run):
    """Runs `run(**arguments)` with what the command line says; prints what it answers."""
    print(json.dumps(run(**json.loads(sys.argv[1]))))
