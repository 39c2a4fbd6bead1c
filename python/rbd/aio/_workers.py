"""The threads that run calls without an asynchronous form in librbd, for any number of loops.

There are few of them. They start on demand, and end when no call has come for a while. They are
daemons: the exit of the interpreter does not wait for them.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import contextvars
import inspect
import os
import sys
import threading
from typing import Any, Awaitable, Callable, Deque, List, Mapping, Optional, Sequence

from .. import _core

#: The most threads. Each may have to wait for the cluster, and does nothing else meanwhile.
MOST = 64
# The time that a thread waits for another call, in seconds.
_IDLE_SECONDS = 10.0
# The interval in which a thread that waits for the loop checks whether it must end, in seconds.
_LOOK_SECONDS = 0.05


class _Workers:
    def __init__(self) -> None:
        # The garbage collector may run between any two steps of a method here, and drop() with it,
        # which calls submit() in the same thread. So each look at a deque also changes it.
        self._lock = threading.RLock()
        self._jobs: Deque[Callable[[], object]] = collections.deque()
        # An entry for each thread.
        self._threads: Deque[None] = collections.deque()
        # A lock for each idle thread, which waits until it is released.
        self._idle: Deque[threading.Lock] = collections.deque()

    def submit(self, job: Callable[[], object]) -> None:
        """Make a thread call `job`, which must not raise. Raises RuntimeError without threads."""
        with self._lock:
            self._jobs.append(job)
            with contextlib.suppress(IndexError):
                self._idle.pop().release()
                return
            if len(self._threads) >= MOST:
                return
            self._threads.append(None)
        try:
            threading.Thread(target=self._run, name="rbd-aio", daemon=True).start()
        except BaseException:
            with self._lock:
                self._threads.pop()
                if self._threads:
                    return  # another thread takes it
                self._jobs.remove(job)
            raise

    def withdraw(self, job: Callable[[], object]) -> None:
        """Remove a job that no thread has begun."""
        with self._lock, contextlib.suppress(ValueError):
            self._jobs.remove(job)

    def _run(self) -> None:
        woken = threading.Lock()
        woken.acquire()
        while True:
            job = self._next(woken)
            if job is None:
                return
            job()
            # Drop what the job refers to now, and not when the next job comes.
            del job

    def _next(self, woken: threading.Lock) -> Optional[Callable[[], object]]:
        """Wait for a job. Return None to end the thread."""
        waits = True
        while True:
            with self._lock:
                # Idle before the look for a job, so that submit() wakes it if it comes in between.
                self._idle.append(woken)
                if self._jobs or not waits:
                    self._leave_idle(woken)
                    with contextlib.suppress(IndexError):
                        return self._jobs.popleft()
                    self._threads.pop()
                    return None
            waits = woken.acquire(timeout=_IDLE_SECONDS)
            if not waits:
                self._leave_idle(woken)

    def _leave_idle(self, woken: threading.Lock) -> None:
        with self._lock:
            try:
                self._idle.remove(woken)
            except ValueError:
                woken.acquire()  # submit() has released it


_workers = _Workers()


def _start_anew() -> None:
    # A child process has none of the threads, and may have inherited a lock that one of them held.
    global _workers
    _workers = _Workers()


os.register_at_fork(after_in_child=_start_anew)


def drop(*subjects: object) -> None:
    """Drop references in a thread, because dropping the last reference may close an object."""
    if sys.is_finalizing():
        return
    kept = list(subjects)
    try:
        _workers.submit(kept.clear)
    except RuntimeError:
        return  # the interpreter is ending


def discard(result: object) -> None:
    """Close the result of a call in a thread. Nobody waits for the result any more."""
    if _closer(result) is not None:
        _workers.submit(lambda: _close(result))


def _closer(result: object) -> Any:
    return getattr(result, "shutdown", None) or getattr(result, "close", None)


def _close(result: object) -> None:
    close = _closer(result)
    # No caller is left to raise an exception in.
    with contextlib.suppress(Exception):
        if close is not None:
            close()


class Call:
    """A call of a function in a thread. A loop waits for its result."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        function: Callable[..., Any],
        args: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> None:
        self.loop = loop
        self.future: asyncio.Future[Any] = loop.create_future()
        # A request to end the call. The call checks for it whenever it checks for signals.
        self.cancellation = _core._Cancellation()
        self._context = contextvars.copy_context()
        self._function: Any = function
        self._args: Any = args
        self._kwargs: Any = kwargs

    def _run(self) -> None:
        result: Any = None
        error: Optional[BaseException] = None
        if not self.cancellation.cancelled:
            _core._heed(self.cancellation)
            try:
                result = self._function(*self._args, **self._kwargs)
                # An iteration over a listing may ask the cluster.
                if type(result).__name__.endswith("Iterator") and hasattr(result, "__iter__"):
                    result = list(result)
            except BaseException as raised:
                error = raised
            finally:
                _core._heed(None)
        # Objects that the call used must be destroyed in this thread, not in the loop's.
        self._function = self._args = self._kwargs = None
        try:
            self.loop.call_soon_threadsafe(self._deliver, result, error)
        except RuntimeError:  # the loop is closed
            _close(result)
        finally:
            del error

    def _deliver(self, result: Any, error: Optional[BaseException]) -> None:
        if self.future.done():
            discard(result)
        elif error is None:
            self.future.set_result(result)
        elif isinstance(error, StopIteration):
            self.future.set_exception(RuntimeError(f"a callback raised {error!r}"))
        else:
            self.future.set_exception(error)

    async def result(self) -> Any:
        """Return the result of the call, or raise its exception. If cancelled, ask it to end."""
        job = self._run
        _workers.submit(job)
        try:
            return await self.future
        except asyncio.CancelledError:
            future = self.future
            if future.done() and not future.cancelled() and future.exception() is None:
                discard(future.result())
            self.cancellation.cancel()
            _workers.withdraw(job)
            raise

    def in_loop(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function for the thread of this call, which runs `function` in the loop."""

        def asked(*arguments: Any) -> Any:
            return ask(self.loop, self._context, self.cancellation, function, arguments)

        return asked


def ask(
    loop: asyncio.AbstractEventLoop,
    context: contextvars.Context,
    cancellation: _core._Cancellation,
    function: Callable[..., Any],
    arguments: Sequence[Any],
) -> Any:
    """Call a function or a coroutine function in the loop from another thread. Wait for its result.

    Raises CancelledError if the loop is closed, or if the call of this thread is cancelled.
    """
    done = threading.Event()
    answer: List[Any] = []
    failure: List[BaseException] = []

    def complete(task: asyncio.Future[Any]) -> None:
        try:
            answer.append(task.result())
        except BaseException as raised:
            failure.append(raised)
        done.set()

    def begin() -> None:
        try:
            result = function(*arguments)
            if inspect.isawaitable(result):
                task = loop.create_task(_awaited(result))
                tasks.append(task)
                task.add_done_callback(complete)
                return
            answer.append(result)
        except BaseException as raised:
            failure.append(raised)
        done.set()

    tasks: List[asyncio.Task[Any]] = []
    try:
        loop.call_soon_threadsafe(begin, context=context)
        while not done.wait(_LOOK_SECONDS):
            if cancellation.cancelled:
                # Marks the request as seen, so that the call's cleanup does not raise it again.
                cancellation.check()
                raise asyncio.CancelledError
            if loop.is_closed():
                raise asyncio.CancelledError
            # The loop's work for the result may need something that librbd's waiting thread holds.
            cancellation.yield_to_library()
    except RuntimeError:
        raise asyncio.CancelledError from None
    except asyncio.CancelledError:
        if tasks and not loop.is_closed():
            loop.call_soon_threadsafe(tasks[0].cancel)
        raise
    try:
        if failure:
            raise failure[0]
        return answer[0]
    finally:
        failure.clear()


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable
