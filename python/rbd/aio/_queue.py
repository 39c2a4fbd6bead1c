"""The queue of a loop: one for each, for any number of images."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref

from .. import _core

# Weakly both: a loop keeps the queue that it reads until it is closed. Then the queue is gone, and
# what was in flight in it is freed once librbd is done with it.
_queues: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, weakref.ReferenceType[_core._LoopQueue]
] = weakref.WeakKeyDictionary()
_queues_lock = threading.Lock()


def _forget_the_lock() -> None:
    # A child may have inherited it from a thread that it does not have.
    global _queues_lock
    _queues_lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_the_lock)


def queue_of(loop: asyncio.AbstractEventLoop) -> _core._LoopQueue:
    """Return the loop's queue; the first call makes it and has the loop read it."""
    with _queues_lock:
        reference = _queues.get(loop)
        queue = None if reference is None else reference()
        if queue is None:
            queue = _core._LoopQueue()
            loop.add_reader(queue.fileno(), queue.drain)
            _queues[loop] = weakref.ref(queue)
        return queue
