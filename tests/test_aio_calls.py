"""Calls of rbd.aio that run in threads: results, callbacks, errors, cancelling."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any, Awaitable, Callable, List, Tuple

import pytest

import rbd
import rbd.aio
import rbd.aio.transfer
from rbd.aio import _twins, _workers
from support import isolated
from support.left_behind import forget_the_killed

SIZE = 8 << 20
LIMIT = 60.0


def run(body: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(body(), LIMIT)

    return asyncio.run(bounded())


def test_a_whole_program_runs_in_asyncio(rbd_cluster: Any, rbd_ioctx: rbd.rados.Ioctx) -> None:
    pool = rbd_ioctx.get_pool_name()

    async def body() -> None:
        async with rbd.aio.connect(rbd_cluster.conffile) as cluster:
            assert pool in await cluster.list_pools()
            async with cluster.open_ioctx(pool) as ioctx:
                images = rbd.aio.RBD()
                await images.create(ioctx, "whole", SIZE)
                assert "whole" in await images.list(ioctx)
                async with rbd.aio.open(ioctx, "whole") as image:
                    assert await image.size() == SIZE
                    await image.create_snap("s")
                    snapshots = await image.list_snaps()
                    assert isinstance(snapshots, list)
                    assert [one["name"] for one in snapshots] == ["s"]
                    await image.metadata_set("k", "v")
                    assert await image.metadata_list() == [("k", "v")]
                    await image.remove_snap("s")
                await images.group_create(ioctx, "whole group")
                group = rbd.aio.Group(ioctx, "whole group")
                await group.add_image(ioctx, "whole")
                assert [one["name"] for one in await group.list_images()] == ["whole"]
                await images.group_remove(ioctx, "whole group")
                await images.remove(ioctx, "whole")
                assert "whole" not in await images.list(ioctx)
            with pytest.raises(rbd.Error):
                await cluster.open_ioctx("no such pool")
        with pytest.raises(rbd.Error):
            await cluster.get_fsid()

    run(body)


def test_errors_equal_those_of_the_synchronous_form(rbd_image: rbd.Image) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        for call, error in (
            (lambda: image.create_snap(7), TypeError),
            (lambda: image.resize(-1), OverflowError),
            (lambda: image.create_snap("a\0b"), ValueError),
            (lambda: image.remove_snap("none"), rbd.ImageNotFound),
            (lambda: image.metadata_get("none"), KeyError),
            (lambda: image.resize(SIZE, on_progress=7), TypeError),
            (lambda: image.no_such_method(), AttributeError),
            (lambda: image.on_update(None), TypeError),
        ):
            with pytest.raises(error):
                await call()

    run(body)


def test_progress_runs_in_the_loop(rbd_image: rbd.Image) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        await image.resize(256 << 20)
        seen: List[Tuple[int, int]] = []
        here = threading.get_ident()

        def report(done: int, total: int) -> None:
            assert threading.get_ident() == here
            asyncio.get_running_loop()
            seen.append((done, total))

        await image.resize(SIZE, on_progress=report)
        assert seen
        assert seen == sorted(seen)

        def refuse(done: int, total: int) -> None:
            raise ZeroDivisionError

        await image.resize(256 << 20)
        with pytest.raises(ZeroDivisionError):
            await image.resize(SIZE, on_progress=refuse)
        # The resize may have ended before it was refused. This one takes longer than a loop is
        # late.
        await image.resize(64 << 30)
        with pytest.raises(rbd.OperationCanceled):
            await image.resize(SIZE, on_progress=lambda *_: -rbd.ECANCELED)
        extents: List[Tuple[int, int, bool]] = []
        await image.write(b"x", 0)
        await image.diff_iterate(0, SIZE, None, lambda *extent: extents.append(extent))
        assert extents == list(await image.diff())

    run(body)


def test_cancelling_stops_a_long_call(rbd_image: rbd.Image) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        await image.resize(8 << 30)
        started = asyncio.Event()

        async def slowly(done: int, total: int) -> None:
            started.set()
            await asyncio.sleep(0.05)

        task = asyncio.ensure_future(image.resize(SIZE, on_progress=slowly))
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        # librbd has stopped the call: it releases the image, and has not completed its work.
        assert await image.size() > 0
        await image.resize(SIZE)

    run(body)
    assert rbd_image.size() == SIZE


FULL = 64 << 20
ORDER = 16  # many small objects, for many reports


@pytest.fixture
def full(rbd_ioctx: Any) -> Any:
    """Provide the ioctx of an image "full" of data, and of a clone of it to flatten."""
    rbd.RBD().create(rbd_ioctx, "full", FULL, order=ORDER)
    with rbd.Image(rbd_ioctx, "full") as image:
        image.write_blocks(b"d" * FULL, range(0, FULL, 1 << ORDER), queue_depth=16)
        image.create_snap("s")
        image.protect_snap("s")
    rbd.RBD().clone(rbd_ioctx, "full", "s", rbd_ioctx, "clone", order=ORDER)
    yield rbd_ioctx
    rbd.RBD().remove(rbd_ioctx, "clone")
    with rbd.Image(rbd_ioctx, "full") as image:
        image.unprotect_snap("s")
        image.remove_snap("s")
    rbd.RBD().remove(rbd_ioctx, "full")


async def cancel(call: Awaitable[Any], after: float = 0.05) -> None:
    """Begin a call and cancel it. The task must end at once."""
    task = asyncio.ensure_future(call)
    await asyncio.sleep(after)
    assert not task.done(), "it was over too soon to be cancelled"
    task.cancel()
    start = asyncio.get_running_loop().time()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert asyncio.get_running_loop().time() - start < 10


async def idle() -> None:
    """Wait until no thread is in a call any more."""
    workers = rbd.aio._workers._workers  # type: ignore[attr-defined]
    for _ in range(600):
        if len(workers._idle) == len(workers._threads):
            return
        await asyncio.sleep(0.05)
    pytest.fail("a thread is still in a call")


def test_cancelling_stops_a_call_that_heeds_it_without_a_callback(full: Any) -> None:
    async def body() -> None:
        async with rbd.aio.open(full, "clone") as image:
            await cancel(image.flatten())
            await idle()
            # It is still a clone: librbd stopped before the end.
            assert await image.overlap() == FULL
        async with rbd.aio.open(full, "full") as image:
            await cancel(image.sparsify(4096))
            await idle()

    run(body)


def test_cancelling_abandons_a_call_that_does_not_heed_it(full: Any) -> None:
    """The thread is free within a second, and no close waits for the call, which continues."""

    async def body() -> None:
        async with rbd.aio.open(full, "full") as image:
            await cancel(image.copy(full, "copied"))
            await idle()
        for _ in range(1200):
            await asyncio.sleep(0.05)
            with contextlib.suppress(rbd.Error):
                async with rbd.aio.open(full, "copied", read_only=True) as copy:
                    if await copy.read(FULL - 4096, 4096) == b"d" * 4096:
                        break
        else:
            pytest.fail("the copy never ends")
        await asyncio.sleep(0.5)  # librbd closes its own handle of the copy
        await rbd.aio.RBD().remove(full, "copied")

    run(body)


def test_a_cancelled_transfer_cleans_up(full: Any, tmp_path: Path) -> None:
    async def body() -> None:
        target = tmp_path / "exported"
        async with rbd.aio.open(full, "full") as image:
            await cancel(rbd.aio.transfer.export_image(image, target), 0.02)
            await idle()
            assert list(tmp_path.iterdir()) == []
            await rbd.aio.transfer.export_image(image, target)
            await cancel(rbd.aio.transfer.digest(image), 0.02)
        await cancel(rbd.aio.transfer.import_image(target, full, "imported", order=ORDER), 0.1)
        await idle()
        # Removing the partial image takes longer than a cancelled call may.
        assert "imported" not in await rbd.aio.RBD().list(full)

        async def endless() -> Any:
            while True:
                yield b"z" * (1 << 20)

        async def stuck() -> Any:
            yield b"z" * (1 << 20)
            await asyncio.sleep(1000)

        for source in (endless, stuck):
            await cancel(rbd.aio.transfer.import_image(source(), full, "imported"), 0.3)
            await idle()
            assert "imported" not in await rbd.aio.RBD().list(full)

    run(body)


def test_one_cancellation_is_raised_once(rbd_image: rbd.Image) -> None:
    """The clean-up of a cancelled call is not cancelled too."""
    done: List[str] = []

    def blocking(image: rbd.Image) -> None:
        try:
            while True:
                image.resize(SIZE * 2)
                image.resize(SIZE)
        finally:
            end = time.monotonic() + 1.5
            while time.monotonic() < end:
                image.resize(SIZE * 2)
                image.resize(SIZE)
            done.append("cleaned up")

    async def body() -> None:
        await cancel(rbd.aio._twins.call(blocking, (rbd_image,), {}, {}))  # type: ignore[attr-defined]
        await idle()
        assert done == ["cleaned up"]

    run(body)
    assert rbd_image.size() == SIZE


def test_an_image_opened_for_a_cancelled_task_is_closed(
    rbd_cluster: Any, rbd_image: rbd.Image
) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        for _ in range(10):
            for call in (
                image.on_update(lambda: None),
                rbd.aio.connect(rbd_cluster.conffile)._open(),
            ):
                task = asyncio.ensure_future(call)
                await asyncio.sleep(0)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task
        del task, call
        for _ in range(400):
            gc.collect()
            if not any(
                isinstance(one, (rbd.Watch,)) and not one.closed for one in gc.get_objects()
            ):
                break
            await asyncio.sleep(0.05)
        # Every thread of the calls is idle or has ended.
        assert await image.size() == SIZE

    run(body)


def test_a_failing_group_of_tasks_leaves_nothing_open(rbd_ioctx: Any) -> None:
    rbd.RBD().create(rbd_ioctx, "grouped", 64 << 20)

    async def work(image: rbd.aio.AsyncImage, number: int) -> None:
        while True:
            await image.write(b"x" * 4096, number * 4096)
            await image.read_blocks(range(0, 1 << 20, 4096), 4096)
            await image.stat()

    async def body() -> None:
        async def fail() -> None:
            await asyncio.sleep(0.1)
            raise ZeroDivisionError

        async with rbd.aio.open(rbd_ioctx, "grouped") as image:
            tasks = [asyncio.ensure_future(work(image, i)) for i in range(16)]
            with pytest.raises(ZeroDivisionError):
                await asyncio.gather(fail(), *tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
        await rbd.aio.RBD().remove(rbd_ioctx, "grouped")

    run(body)


def test_updates_can_be_iterated(rbd_ioctx: Any, rbd_image: rbd.Image) -> None:
    async def body() -> None:
        image = await rbd.aio.open(rbd_ioctx, rbd_image.get_name())
        heard = 0
        async with image.updates() as updates:
            await asyncio.get_running_loop().run_in_executor(None, rbd_image.create_snap, "one")
            heard += await updates.__anext__()
            assert heard >= 1
            waits = asyncio.ensure_future(updates.__anext__())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await updates.__anext__()
            rbd_image.create_snap("two")
            assert await waits >= 1
        assert len([one async for one in updates]) <= 1

        async def count() -> int:
            return sum([number async for number in image.updates()])

        task = asyncio.ensure_future(count())
        await asyncio.sleep(0.3)
        await image.close()
        assert await task >= 0

    run(body)
    rbd_image.remove_snap("one")
    rbd_image.remove_snap("two")


@pytest.mark.needs("rbd_quiesce_watch")
def test_a_quiesce_callback_can_be_a_coroutine(rbd_ioctx: Any, rbd_image: rbd.Image) -> None:
    async def body() -> None:
        calls: List[str] = []

        async def quiesce() -> None:
            await asyncio.sleep(0.01)
            calls.append("quiesce")

        async def unquiesce() -> None:
            calls.append("unquiesce")

        async with rbd.aio.open(rbd_ioctx, rbd_image.get_name()) as image:
            async with await image.on_quiesce(quiesce, unquiesce):
                await image.create_snap("quiet")
                for _ in range(200):
                    if len(calls) == 2:
                        break
                    await asyncio.sleep(0.05)
                assert calls == ["quiesce", "unquiesce"]
            await image.remove_snap("quiet")

    run(body)


def test_more_calls_than_threads_all_complete(rbd_image: rbd.Image) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        assert await asyncio.gather(*(image.size() for _ in range(1000))) == [SIZE] * 1000
        names = [one for one in threading.enumerate() if one.name == "rbd-aio"]
        assert 0 < len(names) <= 64

    run(body)


def test_the_interpreter_exits_with_calls_in_threads(rbd_cluster: Any, rbd_ioctx: Any) -> None:
    rbd.RBD().create(rbd_ioctx, "left", 1 << 30)
    head = isolated.connecting(rbd_cluster, rbd_ioctx)
    text = """
        import asyncio, rbd.aio
        async def main():
            image = await rbd.aio.open(ioctx, "left")
            for _ in range(100):
                asyncio.ensure_future(image.list_snaps())
            asyncio.ensure_future(image.resize(8 << 20))
            await asyncio.sleep(0)
        loop = asyncio.new_event_loop()
        loop.run_until_complete(main())
        print("end")
    """
    ended = subprocess.run(
        [sys.executable, "-c", head + textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    with rbd_cluster.connect() as cluster:
        forget_the_killed(cluster, rbd_ioctx, "left")
    assert (ended.returncode, ended.stdout) == (0, "end\n"), ended.stderr


def test_awaited_batches_move_all_blocks(rbd_image: rbd.Image) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        data = os.urandom(256 * 4096)
        offsets = list(range(0, len(data), 4096))
        assert await image.write_blocks(data, offsets, queue_depth=8) == len(data)
        assert await image.read_blocks(offsets, 4096) == data
        out = bytearray(len(data))
        assert await image.read_blocks(offsets, 4096, out) is out
        assert out == data
        assert await image.read_blocks([], 4096) == b""
        with pytest.raises(rbd.InvalidArgument) as caught:
            await image.read_blocks([0, SIZE, 4096], 4096)
        assert caught.value.index == 1
        assert caught.value.offset == SIZE
        with pytest.raises(rbd.IncompleteWriteError) as incomplete:
            await image.write_blocks(b"x" * 8192, [0, SIZE - 100])
        assert incomplete.value.index == 1
        for call, error in (
            (lambda: image.read_blocks([-1], 4096), OverflowError),
            (lambda: image.read_blocks([0], 0), ValueError),
            (lambda: image.read_blocks([0], 4096, bytes(4096)), (TypeError, BufferError)),
            (lambda: image.write_blocks(b"abc", [0, 1]), ValueError),
            (lambda: image.read_blocks([0], 4096, queue_depth=0), ValueError),
        ):
            with pytest.raises(error):
                await call()

    run(body)


@pytest.mark.parametrize("writes", [False, True], ids=["read", "write"])
def test_a_cancelled_batch_stops_and_releases_its_memory(
    writes: bool, rbd_image: rbd.Image
) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        count = 400_000
        memory = bytearray(b"x" * count * 512)
        offsets = [i % (SIZE // 512) * 512 for i in range(count)]
        if writes:
            await cancel(image.write_blocks(memory, offsets, queue_depth=4))
        else:
            await cancel(image.read_blocks(offsets, 512, memory, queue_depth=4))
        for _ in range(600):
            try:
                memory.append(0)
                break
            except BufferError:
                await asyncio.sleep(0.05)
        else:
            pytest.fail("the memory is held")
        if not writes:
            assert memory[-512:-1] == b"x" * 511  # nobody has read so far
        assert len(await image.read(0, 10)) == 10

    run(body)


def test_batches_do_not_use_threads_of_the_pool(rbd_image: rbd.Image) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        calls = []
        for i in range(300):
            calls += [
                image.write_blocks(bytes([i % 256]) * 1024, [i * 1024, i * 1024 + 512]),
                image.read_blocks([0, 512], 512),
                image.readv([bytearray(10), bytearray(20)], 4096),
                image.writev([b"y" * 512, b"y" * 512], SIZE // 2 + i * 1024),
            ]
        before = len([one for one in threading.enumerate() if one.name == "rbd-aio"])
        results = await asyncio.gather(*calls)
        after = len([one for one in threading.enumerate() if one.name == "rbd-aio"])
        assert after <= before
        assert results[0::4] == results[3::4] == [1024] * 300
        assert results[2::4] == [30] * 300
        assert await image.read(1024, 1024) == b"\1" * 1024

    run(body)


def test_a_batch_on_a_closed_image_is_refused(rbd_image: rbd.Image) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        left = asyncio.ensure_future(image.write_blocks(bytes(1 << 20), range(0, 1 << 20, 512)))
        await asyncio.sleep(0)
        # The close waits for the batch.
        await image.close()
        assert await left == 1 << 20
        for call in (
            lambda: image.read_blocks([0], 512),
            lambda: image.write_blocks(b"x", [0]),
            lambda: image.readv([bytearray(1)], 0),
            lambda: image.writev([b"x"], 0),
            lambda: image.writev([], 0),
        ):
            with pytest.raises(rbd.InvalidArgument):
                await call()

    run(body)


def test_a_write_batch_on_a_read_only_image_is_refused(
    rbd_ioctx: Any, rbd_image: rbd.Image
) -> None:
    async def body() -> None:
        async with rbd.aio.open(rbd_ioctx, rbd_image.get_name(), read_only=True) as image:
            for call in (
                lambda: image.write_blocks(b"x" * 1024, [0, 512]),
                lambda: image.writev([b"x"], 0),
                lambda: image.write(b"x", 0),
            ):
                with pytest.raises(rbd.ReadOnlyImage):
                    await call()
            assert len(await image.read_blocks([0, 512], 512)) == 1024

    run(body)


def test_a_loop_can_be_closed_during_a_batch(rbd_image: rbd.Image) -> None:
    async def body() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        tasks.append(asyncio.ensure_future(image.read_blocks([0] * 5000, 4096)))
        tasks.append(asyncio.ensure_future(image.stat()))
        await asyncio.sleep(0)

    tasks: List[asyncio.Task[Any]] = []
    loop = asyncio.new_event_loop()
    loop.run_until_complete(body())
    loop.close()
    for task in tasks:
        # Nobody awaits the task any more, which asyncio would report.
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    tasks.clear()
    gc.collect()
    assert rbd_image.size() == SIZE


def test_four_loops_in_four_threads_share_an_image(rbd_image: rbd.Image) -> None:
    image = rbd.aio.AsyncImage(rbd_image)
    failures: List[BaseException] = []

    async def body() -> None:
        for i in range(20):
            await asyncio.gather(
                image.write(b"x" * 512, i * 512),
                image.stat(),
                image.read_blocks(range(0, 8192, 512), 512),
                image.size(),
            )

    def one() -> None:
        try:
            run(body)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


class _Cycle(_twins.Twin):
    """An object that only the garbage collector destroys, which drops it in a thread."""

    __slots__ = ("itself",)


def collect_everywhere(calls: int) -> int:
    """Run the collector at random lines of the module of the threads."""
    chosen = random.Random(1)
    collecting = False

    def trace(frame: Any, event: str, argument: Any) -> Any:
        nonlocal collecting
        if frame.f_code.co_filename != _workers.__file__:
            return None
        if not collecting and chosen.random() < 0.3:
            collecting = True
            garbage = _Cycle(object())
            garbage.itself = garbage
            del garbage
            gc.collect()
            collecting = False
        return trace

    async def body() -> int:
        return sum([await _twins.call(lambda: 1, (), {}, {}) for _ in range(calls)])

    threading.settrace(trace)
    sys.settrace(trace)
    try:
        return asyncio.run(body())
    finally:
        sys.settrace(None)
        threading.settrace(None)  # type: ignore[arg-type]


def test_the_garbage_collector_may_run_during_a_call() -> None:
    """It drops objects in threads, and may run while a call is being given to one."""
    assert isolated.run(collect_everywhere, 200, timeout=60) == 200
