"""Measures the seconds of opening an image, after another one was opened."""

import statistics

from common import main, modules, timed


def run(which, pool, name, count):
    rados, rbd = modules(which)
    cluster = rados.Rados(conffile="")
    cluster.connect()
    ioctx = cluster.open_ioctx(pool)
    images = []

    def once():
        images.append(rbd.Image(ioctx, name, read_only=True))

    times = []
    for _ in range(count + 1):
        times.append(timed(once))
        images.pop().close()
    ioctx.close()
    cluster.shutdown()
    return {"value": statistics.median(times[1:])}


if __name__ == "__main__":
    main(run)
