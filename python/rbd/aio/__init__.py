"""Images in asyncio: many calls in flight, and no call that blocks the loop.

    async with rbd.aio.connect() as cluster, cluster.open_ioctx("rbd") as ioctx:
        await rbd.aio.RBD().create(ioctx, "vm1", 1 << 30)
        async with rbd.aio.open(ioctx, "vm1") as image:
            data = await image.read(0, 4096)
            await asyncio.gather(*(image.write(block, at) for at, block in blocks.items()))
            await image.create_snap("now")

Each method of `rbd.Image`, `rbd.RBD` and `rbd.Group`, and each function of `rbd.transfer`, is here
under its name, with its parameters and its errors, to be awaited. Reads, writes, flushes,
opening and closing take no thread: librbd completes each call in a thread of its own and puts it
into a queue, and the event loop takes all that have completed, when the queue's descriptor becomes
readable. The rest has no asynchronous form in librbd, and runs in a few threads that do not keep
the interpreter from ending. What is a listing there is a list here.

There is one queue for each loop, for any number of images. An `AsyncImage` can be used from any
loop, and from several loops in several threads at a time. The loop must have `add_reader`: the
standard one does, and uvloop.
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
