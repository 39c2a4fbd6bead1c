"""The object that a coroutine of rbd.aio awaits resumes tasks of every kind in their context."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import sys
import threading
import time
import weakref
from typing import Any, Generator, List

import pytest

import rbd
import rbd.aio

BLOCK = 4096
number: contextvars.ContextVar[int] = contextvars.ContextVar("number", default=-1)


class _Step:
    """The object that a coroutine of rbd.aio yields to its caller."""

    def __init__(self, coroutine: Any) -> None:
        self.coroutine = coroutine
        self.given = coroutine.send(None)

    def go_on(self) -> Any:
        with pytest.raises(StopIteration) as ended:
            self.coroutine.send(None)
        return ended.value.value


async def done(awaited: Any) -> None:
    for _ in range(3000):
        if awaited.done():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never completes")


def test_the_awaited_object_follows_the_protocol_of_futures(rbd_image: rbd.Image) -> None:
    async def main() -> None:
        step = _Step(rbd.aio.AsyncImage(rbd_image).write(b"x" * BLOCK, 0))
        given = step.given
        assert asyncio.isfuture(given)
        assert given._asyncio_future_blocking
        assert given.get_loop() is asyncio.get_running_loop()
        assert not given.done()
        assert not given.cancelled()
        with pytest.raises(asyncio.InvalidStateError):
            given.result()
        with pytest.raises(asyncio.InvalidStateError):
            given.exception()
        with pytest.raises(RuntimeError, match="await wasn't used with future"):
            given.__await__().__next__()
        told: List[Any] = []
        removed = told.append
        given.add_done_callback(removed)
        given.add_done_callback(told.append, context=contextvars.copy_context())
        other = [].append
        given.add_done_callback(other)
        assert given.remove_done_callback(other) == 1
        assert given.remove_done_callback(other) == 0
        await done(given)
        assert given.result() == BLOCK
        assert given.exception() is None
        assert not given.cancel()
        await asyncio.sleep(0)
        assert told == [given, given]
        given.add_done_callback(told.append)
        assert len(told) == 2
        await asyncio.sleep(0)
        assert len(told) == 3
        assert step.go_on() == BLOCK

    asyncio.run(main())


def test_an_error_is_kept_until_it_is_requested(rbd_image: rbd.Image) -> None:
    async def main() -> None:
        beyond = rbd_image.size() + BLOCK
        coroutine = rbd.aio.AsyncImage(rbd_image).write(b"x", beyond)
        given = coroutine.send(None)
        await done(given)
        assert isinstance(given.exception(), rbd.InvalidArgument)
        for _ in range(2):
            with pytest.raises(rbd.InvalidArgument):
                given.result()
        with pytest.raises(rbd.InvalidArgument):
            coroutine.send(None)

    asyncio.run(main())


def test_a_tuple_is_one_result(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    """However the coroutine is driven: by a coroutine, by hand, or by `next`."""
    rbd_ioctx.write_full("object", b"12345")

    async def main() -> None:
        objects = rbd.aio.AsyncIoctx(rbd_ioctx)
        size, _modified = await objects.stat("object")
        assert size == 5
        awaited = objects._calls.stat("object")
        while not awaited.done():
            await asyncio.sleep(0.001)
        with pytest.raises(StopIteration) as stopped:
            next(iter(awaited))
        assert stopped.value.value[0] == 5

    asyncio.run(main())
    rbd_ioctx.remove_object("object")


def test_wrong_arguments_are_refused(rbd_image: rbd.Image) -> None:
    async def main() -> None:
        coroutine = rbd.aio.AsyncImage(rbd_image).read(0, 1)
        given = coroutine.send(None)
        for wrong in (
            lambda: given.add_done_callback(),
            lambda: given.add_done_callback(print, contextvars.copy_context()),
            lambda: given.add_done_callback(print, other=1),
            lambda: given.cancel(1, 2),
            lambda: given.cancel(other=1),
            lambda: type(given)(),
        ):
            with pytest.raises(TypeError):
                wrong()
        with pytest.raises(AttributeError):
            del given._asyncio_future_blocking
        await done(given)
        coroutine.close()

    asyncio.run(main())


def test_cancelling_resumes_waiters_later(rbd_image: rbd.Image) -> None:
    async def main() -> None:
        coroutine = rbd.aio.AsyncImage(rbd_image).read(0, BLOCK)
        given = coroutine.send(None)
        told: List[Any] = []
        given.add_done_callback(told.append)
        given.add_done_callback(told.append)
        assert given.cancel(msg="why")
        # As with a future, no callback runs within cancel().
        assert told == []
        assert given.cancelled()
        assert given.done()
        assert not given.cancel()
        for ask in (given.result, given.exception):
            with pytest.raises(asyncio.CancelledError, match="why"):
                ask()
        await asyncio.sleep(0)
        assert told == [given, given]
        with pytest.raises(asyncio.CancelledError):
            coroutine.send(None)

    asyncio.run(main())


def test_each_task_resumes_in_its_own_context(rbd_image: rbd.Image) -> None:
    async def work(image: rbd.aio.AsyncImage, own: int) -> None:
        number.set(own)
        for i in range(20):
            await image.write(bytes([own]) * BLOCK, own * BLOCK)
            assert number.get() == own
            number.set(own)
            assert await image.read(own * BLOCK, BLOCK) == bytes([own]) * BLOCK
            assert number.get() == own
            current = asyncio.current_task()
            assert current is not None
            assert (current in asyncio.all_tasks()) == bool(i + 1)

    async def main() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        await asyncio.gather(*(work(image, own) for own in range(32)))
        assert number.get() == -1

    asyncio.run(main())


def python_tasks(loop: asyncio.AbstractEventLoop, coroutine: Any, **options: Any) -> Any:
    return asyncio.tasks._PyTask(coroutine, loop=loop, **options)  # type: ignore[attr-defined]


def factories() -> List[Any]:
    found = [pytest.param(python_tasks, id="python")]
    eager = getattr(asyncio, "eager_task_factory", None)
    return found + ([pytest.param(eager, id="eager")] if eager else [])


@pytest.mark.parametrize("factory", factories())
def test_tasks_of_other_kinds_can_await(factory: Any, rbd_image: rbd.Image) -> None:
    async def work(image: rbd.aio.AsyncImage, own: int) -> int:
        assert await image.write(bytes([own]) * BLOCK, own * BLOCK) == BLOCK
        with pytest.raises(rbd.InvalidArgument):
            await image.write(b"x", 1 << 40)
        assert await image.read(own * BLOCK, BLOCK) == bytes([own]) * BLOCK
        return own

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(factory)
        image = rbd.aio.AsyncImage(rbd_image)
        tasks = [asyncio.ensure_future(work(image, own)) for own in range(32)]
        assert await asyncio.gather(*tasks) == [*range(32)]
        late = asyncio.ensure_future(work(image, 1))
        await asyncio.sleep(0)
        late.cancel()
        with pytest.raises(asyncio.CancelledError):
            await late

    asyncio.run(main())


def test_a_task_may_cancel_another_one(rbd_image: rbd.Image) -> None:
    async def main() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        ends: List[str] = []
        tasks: List[asyncio.Future[None]] = []

        async def waits() -> None:
            try:
                while True:
                    await image.read(0, BLOCK)
            except asyncio.CancelledError:
                ends.append("cancelled")
                # A cancelled task may still await.
                assert len(await image.read(0, BLOCK)) == BLOCK
                ends.append("cleaned up")
                raise

        async def cancels() -> None:
            for task in tasks:
                await image.read(BLOCK, BLOCK)
                task.cancel()

        tasks.extend(asyncio.ensure_future(waits()) for _ in range(16))
        await cancels()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results)
        assert ends.count("cancelled") == ends.count("cleaned up") == 16

    asyncio.run(main())


def test_shield_wait_and_as_completed_work(rbd_image: rbd.Image) -> None:
    async def main() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        assert await asyncio.shield(image.write(b"abc", 0)) == 3
        tasks = [asyncio.ensure_future(image.read(0, 3)) for _ in range(8)]
        finished, pending = await asyncio.wait(tasks)
        assert not pending
        assert {task.result() for task in finished} == {b"abc"}
        for first in asyncio.as_completed([image.read(0, 3) for _ in range(8)]):
            assert await first == b"abc"

    asyncio.run(main())


@pytest.mark.parametrize("raised", [KeyboardInterrupt, SystemExit])
def test_an_exception_that_ends_the_loop_leaves_it(raised: Any, rbd_image: rbd.Image) -> None:
    loop = asyncio.new_event_loop()
    image = rbd.aio.AsyncImage(rbd_image)

    async def ends() -> None:
        await image.read(0, BLOCK)
        raise raised

    async def reads() -> bytes:
        return await image.read(0, BLOCK)

    try:
        others = [loop.create_task(reads()) for _ in range(16)]
        last = loop.create_task(ends())
        with pytest.raises(raised):
            loop.run_until_complete(asyncio.wait([*others, last]))
        # The other tasks are not lost.
        results = loop.run_until_complete(asyncio.wait_for(asyncio.gather(*others), 60))
        assert [len(result) for result in results] == [BLOCK] * 16
        with pytest.raises(raised):
            last.result()
    finally:
        loop.close()


def test_a_failing_callback_is_reported_to_the_loop(rbd_image: rbd.Image) -> None:
    told: List[Any] = []

    def fail(_: Any) -> None:
        raise ZeroDivisionError

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        coroutine = rbd.aio.AsyncImage(rbd_image).read(0, BLOCK)
        given = coroutine.send(None)
        given.add_done_callback(fail)
        await done(given)
        assert len(given.result()) == BLOCK
        coroutine.close()

    asyncio.run(main())
    assert [type(one["exception"]) for one in told] == [ZeroDivisionError]


def test_a_task_that_nobody_awaits_is_freed(rbd_image: rbd.Image) -> None:
    gone: List[weakref.ref[Any]] = []

    class Local:
        pass

    async def work(image: rbd.aio.AsyncImage) -> None:
        local = Local()
        gone.append(weakref.ref(local))
        await image.read(0, BLOCK)
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        tasks = [asyncio.ensure_future(work(image)) for _ in range(8)]
        await asyncio.sleep(0)
        for task in tasks[:4]:
            task.cancel()

    asyncio.run(main())
    for _ in range(500):
        gc.collect()
        if all(reference() is None for reference in gone):
            return
        time.sleep(0.01)
    pytest.fail("some frames are never freed")


@pytest.mark.parametrize("flight", [1, 2, 3, 4, 5, 33, 200])
def test_every_wake_up_reaches_its_loop(flight: int, rbd_image: rbd.Image) -> None:
    """Each loop sleeps without a limit when it has nothing to do, so a lost wake-up hangs."""
    size = rbd_image.size() // BLOCK
    operations = 3000 // flight + 5
    failures: List[BaseException] = []

    async def work(image: rbd.aio.AsyncImage, own: int) -> None:
        for i in range(operations):
            at = (own * operations + i) % size * BLOCK
            if i % 3:
                await image.write(b"x" * 512, at)
            else:
                await image.read(at, 512)
            if i % 50 == own % 50:
                # The loop also goes to sleep at other moments.
                await asyncio.sleep(0.0001)

    async def main(image: rbd.aio.AsyncImage) -> None:
        tasks = [work(image, own) for own in range(flight)]
        await asyncio.wait_for(asyncio.gather(*tasks), 200)

    def run() -> None:
        try:
            asyncio.run(main(rbd.aio.AsyncImage(rbd_image)))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_other_handles_of_the_loop_also_run(rbd_image: rbd.Image) -> None:
    """Even if many operations complete meanwhile."""

    async def main() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        turns = 0
        ended = False

        async def work(own: int) -> None:
            while not ended:
                await image.write(b"x" * 512, own * BLOCK)

        def tick() -> None:
            nonlocal turns
            turns += 1
            if not ended:
                asyncio.get_running_loop().call_soon(tick)

        tasks = [asyncio.ensure_future(work(own)) for own in range(32)]
        tick()
        for _ in range(200):
            if turns > 100:
                break
            await asyncio.sleep(0.05)
        ended = True
        await asyncio.gather(*tasks)
        assert turns > 100

    asyncio.run(main())


def test_a_program_may_drive_the_coroutine_itself(rbd_image: rbd.Image) -> None:
    """As a generator-based awaitable does, in the middle of a task."""

    class Through:
        def __init__(self, coroutine: Any) -> None:
            self.coroutine = coroutine

        def __await__(self) -> Generator[Any, None, Any]:
            return (yield from self.coroutine.__await__())

    async def main() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        assert await Through(image.write(b"abc", 0)) == 3
        assert await Through(image.read(0, 3)) == b"abc"

    asyncio.run(main())


def test_the_descriptors_of_the_loops_are_closed(rbd_image: rbd.Image) -> None:
    async def main() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        await asyncio.gather(*(image.read(0, 1) for _ in range(64)))

    asyncio.run(main())
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(10):
        asyncio.run(main())
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) <= before


if sys.version_info >= (3, 11):

    def test_timeouts_and_groups_of_tasks_work(rbd_image: rbd.Image) -> None:
        async def reads(image: rbd.aio.AsyncImage) -> None:
            while True:
                await image.read(0, BLOCK)

        async def in_time(image: rbd.aio.AsyncImage) -> None:
            async with asyncio.timeout(0.05):
                await reads(image)

        async def together(image: rbd.aio.AsyncImage) -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(8):
                    group.create_task(reads(image))
                group.create_task(image.write(b"x", 1 << 40))

        async def main() -> None:
            image = rbd.aio.AsyncImage(rbd_image)
            with pytest.raises(TimeoutError):
                await in_time(image)
            with pytest.raises(Exception, match="unhandled errors in a TaskGroup"):
                await together(image)

        asyncio.run(main())
