"""The queue of a loop: one for each loop, for any number of images."""

from __future__ import annotations

import asyncio
import os
import threading
import weakref

from .. import _core

# Both references are weak: a loop keeps its queue until the loop is closed. Then the queue is
# destroyed. Operations in flight are freed when librbd has completed them.
_queues: weakref.WeakKeyDictionary[
    asyncio.AbstractEventLoop, weakref.ReferenceType[_core._LoopQueue]
] = weakref.WeakKeyDictionary()
_queues_lock = threading.Lock()


def _forget_the_lock() -> None:
    # A child process may have inherited a lock held by a thread that the child does not have.
    global _queues_lock
    _queues_lock = threading.Lock()


os.register_at_fork(after_in_child=_forget_the_lock)


def queue_of(loop: asyncio.AbstractEventLoop) -> _core._LoopQueue:
    """Return the loop's queue. The first call makes it, and makes the loop read it."""
    with _queues_lock:
        reference = _queues.get(loop)
        queue = None if reference is None else reference()
        if queue is None:
            queue = _core._LoopQueue()
            loop.add_reader(queue.fileno(), queue.drain)
            _queues[loop] = weakref.ref(queue)
        return queue
