"""Images in asyncio: many calls in flight, and no call that blocks the loop.

    async with rbd.aio.connect() as cluster, cluster.open_ioctx("rbd") as ioctx:
        await rbd.aio.RBD().create(ioctx, "vm1", 1 << 30)
        async with rbd.aio.open(ioctx, "vm1") as image:
            data = await image.read(0, 4096)
            await asyncio.gather(*(image.write(block, at) for at, block in blocks.items()))
            await image.create_snap("now")

Each method of `rbd.Image`, `rbd.RBD` and `rbd.Group`, and each function of `rbd.transfer`, has an
awaitable form here, with the same name, parameters and exceptions. Reads, writes, flushes, opening
and closing do not occupy a thread: librbd completes each call in one of its threads and puts it
into a queue, and the event loop takes all completed calls once the queue's descriptor is readable.
The other calls have no asynchronous form in librbd. They run in a few threads, which do not keep
the interpreter from ending. A call that returns an iterator there returns a list here.

There is one queue for each loop, for any number of images. An `AsyncImage` can be used from any
loop, and from several loops in several threads at a time. The loop must have `add_reader`, as
asyncio's own loop and uvloop do.
"""

from __future__ import annotations

from .cluster import AsyncRados, connect
from .group import Group
from .image import AsyncImage, open
from .images import RBD
from .ioctx import AsyncIoctx
from .watch import AsyncWatch, Updates

__all__ = [
    "RBD",
    "AsyncImage",
    "AsyncIoctx",
    "AsyncRados",
    "AsyncWatch",
    "Group",
    "Updates",
    "connect",
    "open",
]
