"""Event loops: consecutive ones, parallel ones, and their end."""

from __future__ import annotations

import asyncio
import gc
import importlib.util
import json
import os
import random
import secrets
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path
from typing import Any, Iterator, List

import pytest

import rbd
import rbd.aio
from support import isolated
from support.daemons import eventually
from support.location import Where
from support.optional_tools import proof

SIZE = 8 << 20
BLOCK = 4096


def test_consecutive_loops_work(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    async def once(i: int) -> bytes:
        async with rbd.aio.open(rbd_ioctx, rbd_image.get_name()) as image:
            await image.write(b"%d" % i, 0)
            return await image.read(0, 1)

    async def again(image: rbd.aio.AsyncImage) -> bytes:
        return await image.read(0, 1)

    shared = rbd.aio.AsyncImage(rbd_image)
    for i in range(5):
        assert asyncio.run(once(i)) == b"%d" % i
        # Ceph 14 returns what it has read, even if another client writes.
        rbd_image.invalidate_cache()
        assert asyncio.run(again(shared)) == b"%d" % i


def set_pool(cluster: rbd.rados.Rados, pool: str, option: str, value: int) -> None:
    request = {"prefix": "osd pool set", "pool": pool, "var": option, "val": str(value)}
    code, _, text = cluster.mon_command(json.dumps(request), b"")
    assert code == 0, text


@pytest.fixture
def stuck_image(rbd_cluster: Any, rbd_ioctx: rbd.rados.Ioctx) -> Iterator[str]:
    """Provide an image whose data cannot be read, because the pool has too few copies."""
    name = pool = f"stuck-{secrets.token_hex(4)}"
    rbd_cluster.create_pool(pool)
    with rbd_cluster.connect() as cluster:
        rbd.RBD().create(rbd_ioctx, name, SIZE, data_pool=pool)
        with rbd.Image(rbd_ioctx, name) as image:
            image.write(bytes(BLOCK), 0)
        set_pool(cluster, pool, "size", 2)
        set_pool(cluster, pool, "min_size", 2)
        yield name
        set_pool(cluster, pool, "min_size", 1)
        rbd.RBD().remove(rbd_ioctx, name)
        cluster.delete_pool(pool)


def test_a_call_that_blocks_the_loop_does_not_wait_for_a_later_submission(
    rbd_cluster: Any, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image, stuck_image: str
) -> None:
    called: List[str] = []

    async def read_or_close(image: rbd.aio.AsyncImage) -> None:
        await image.read(0, BLOCK)
        if called:
            # Waits for the other task's second read.
            called.append("close")
            rbd_image.close()
        else:
            called.append("read")
            assert len(await image.read(0, BLOCK)) == BLOCK

    async def main() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        async with rbd.aio.open(rbd_ioctx, stuck_image) as stuck:
            waiting: List[asyncio.Future[bytes]] = []
            while not waiting:
                first = asyncio.ensure_future(stuck.read(0, BLOCK))
                done, _ = await asyncio.wait([first], timeout=1)
                waiting += [] if done else [first]
            # With so many in flight, the loop does not submit a read at once.
            waiting += [asyncio.ensure_future(stuck.read(0, BLOCK)) for _ in range(9)]
            tasks = [asyncio.ensure_future(read_or_close(image)) for _ in range(2)]
            await asyncio.sleep(0)
            # The loop gets both results at once.
            time.sleep(0.5)
            await asyncio.gather(*tasks)
            assert called == ["read", "close"]
            with rbd_cluster.connect() as cluster:
                set_pool(cluster, stuck_image, "min_size", 1)
            assert await asyncio.gather(*waiting) == [bytes(BLOCK)] * 10

    asyncio.run(main())


class Interrupted(asyncio.SelectorEventLoop):
    """A loop in which Ctrl-C comes at the worst moment: while a future schedules its callbacks."""

    armed = False

    def call_soon(self, *arguments: Any, **options: Any) -> Any:
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt
        return super().call_soon(*arguments, **options)


def test_an_exception_of_a_signal_handler_leaves_the_loop(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"A" * BLOCK, 0)
    wrapped = rbd.aio.AsyncImage(rbd_image)
    loop = Interrupted()

    async def read(arm: bool) -> bytes:
        waited = [asyncio.ensure_future(wrapped.read(0, BLOCK)) for _ in range(16)]
        await asyncio.sleep(0)
        loop.armed = arm
        return b"".join(await asyncio.gather(*waited))

    with pytest.raises(KeyboardInterrupt):
        loop.run_until_complete(read(True))
    # Other calls in flight are not lost.
    assert loop.run_until_complete(read(False)) == b"A" * BLOCK * 16
    # One task is left that nothing wakes any more. asyncio itself has lost it.
    loop.set_exception_handler(lambda *_: None)
    loop.close()


def test_each_thread_may_have_a_loop(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    shared = rbd.aio.AsyncImage(rbd_image)
    failures: List[BaseException] = []

    async def work(thread: int) -> None:
        async with rbd.aio.open(rbd_ioctx, rbd_image.get_name(), read_only=True) as own:
            for i in range(10):
                at = (thread * 10 + i) * BLOCK
                await shared.write(bytes([thread + 1]) * BLOCK, at)
                both = await asyncio.gather(own.read(at, BLOCK), shared.read(at, BLOCK))
                assert both[1] == bytes([thread + 1]) * BLOCK

    def run(thread: int) -> None:
        try:
            asyncio.run(work(thread))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_anyio_works_on_asyncio(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    """Its groups, scopes and time limits, on its asyncio back end."""
    anyio = proof("anyio")
    name = rbd_image.get_name()

    async def main() -> None:
        async with rbd.aio.open(rbd_ioctx, name) as image:
            async with anyio.create_task_group() as group:
                for number in range(16):
                    group.start_soon(image.write, bytes([number]) * 512, number * 512)
                group.start_soon(image.create_snap, "s")
            assert await image.read(0, 16 * 512) == b"".join(bytes([i]) * 512 for i in range(16))
            assert await image.read_blocks([512, 1024], 512) == b"\1" * 512 + b"\2" * 512
            assert await anyio.to_thread.run_sync(image.image.size) == SIZE

            with anyio.move_on_after(0.05) as scope:
                while True:
                    await image.read(0, 512)
            assert scope.cancelled_caught
            with anyio.move_on_after(0.05) as scope:
                await image.read_blocks([0] * 400_000, 512, queue_depth=4)
            assert scope.cancelled_caught

            async def list_for_ever() -> None:
                with anyio.fail_after(0.05):
                    while True:
                        await image.list_snaps()

            with pytest.raises(TimeoutError):
                await list_for_ever()

            # A cancelled scope cancels each await in it, also that of the clean-up.
            async with anyio.create_task_group() as group:
                group.cancel_scope.cancel()
                with anyio.CancelScope(shield=True):
                    await image.remove_snap("s")
                    await image.flush()
            assert await image.list_snaps() == []

    anyio.run(main, backend="asyncio")


def test_a_loop_may_end_with_calls_in_flight(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "left", SIZE)
    buffers = [bytearray(1 << 16) for _ in range(32)]
    tasks: List[asyncio.Future[int]] = []

    async def leave() -> rbd.aio.AsyncImage:
        image = await rbd.aio.open(rbd_ioctx, "left")
        tasks.extend(
            asyncio.ensure_future(image.readinto(buffer, i << 16))
            for i, buffer in enumerate(buffers)
        )
        await asyncio.sleep(0)
        return image

    image = asyncio.run(leave())
    image.image.close()  # waits for librbd, not for the closed loop
    assert image.closed
    rbd.RBD().remove(rbd_ioctx, "left")


def test_calls_in_flight_are_freed_after_their_loop_ends(rbd_image: rbd.Image) -> None:
    """Its buffers are free once librbd has completed the calls, even if the image is open
    elsewhere."""
    buffers = [bytearray(1 << 20) for _ in range(8)]

    async def leave() -> None:
        image = rbd.aio.AsyncImage(rbd_image)
        for buffer in buffers:
            task = asyncio.ensure_future(image.write(buffer, 0))
            await asyncio.sleep(0)
            task.cancel()

    asyncio.run(leave())

    def free() -> bool:
        try:
            for buffer in buffers:
                buffer.append(0)
        except BufferError:
            return False
        return True

    assert eventually(free)
    # The next loop has a new queue.
    asyncio.run(leave_again(rbd_image))


async def leave_again(image: rbd.Image) -> None:
    assert await rbd.aio.AsyncImage(image).read(0, 4) == bytes(4)


def test_loops_and_images_are_freed(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "leaking", SIZE)
    gone: List[weakref.ref[Any]] = []

    async def use() -> None:
        async with rbd.aio.open(rbd_ioctx, "leaking") as image:
            gone.append(weakref.ref(image))
            gone.append(weakref.ref(asyncio.get_running_loop()))
            await asyncio.gather(*(image.read(i, 1) for i in range(100)))

    descriptors = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        asyncio.run(use())
    gc.collect()
    assert [reference() for reference in gone] == [None] * len(gone)
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    rbd.RBD().remove(rbd_ioctx, "leaking")


def test_importing_rbd_imports_few_modules() -> None:
    text = """
import os, sys
before = {*sys.modules}
import rbd
print(*sorted({*sys.modules} - before))
assert "librbd" not in open("/proc/self/maps").read()
rbd.aio
assert "asyncio" in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    imported = {*done.stdout.split()}
    assert {name for name in imported if name.startswith("rbd")} == {
        "rbd",
        "rbd._core",
        "rbd.exceptions",
    }
    # Each of these takes as long as all modules of the package.
    assert not imported & {"asyncio", "collections", "inspect", "numpy", "re", "typing"}


def test_lazily_imported_names_exist(rbd_cluster: Any) -> None:
    info = rbd.library_info()
    assert isinstance(info, rbd.LibraryInfo)
    assert info._fields == ("path", "version", "missing", "rados_path")
    assert "LibraryInfo" in dir(rbd)


def test_the_interpreter_exits_with_calls_in_flight(
    rbd_cluster: Any, rbd_ioctx: rbd.rados.Ioctx, where: Where
) -> None:
    head = isolated.connecting(rbd_cluster, rbd_ioctx)
    text = f"""
        import asyncio, rbd.aio
        async def main():
            global image
            image = await rbd.aio.open(ioctx, {where[3]!r})
            for i in range(64):
                asyncio.ensure_future(image.write(b"x" * 4096, i * 4096))
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
    assert (ended.returncode, ended.stdout) == (0, "end\n")
    assert "Traceback" not in ended.stderr


def test_the_example_of_copying_works(
    rbd_cluster: Any, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    path = Path(__file__).parents[1] / "examples" / "copy_async.py"
    if not path.exists():
        pytest.skip("the examples are not beside the tests")
    spec = importlib.util.spec_from_file_location("copy_async", path)
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    content = random.Random(9).randbytes(3 << 20)
    rbd_image.write(content, 1 << 20)
    rbd.RBD().create(rbd_ioctx, "copied", SIZE)

    async def copy() -> None:
        async with rbd.aio.open(rbd_ioctx, "copied") as target:
            source = rbd.aio.AsyncImage(rbd_image)
            await example.copy(source, target, depth=8, block=100_000)

    asyncio.run(copy())
    with rbd.Image(rbd_ioctx, "copied") as copied:
        assert copied.read(0, SIZE) == bytes(1 << 20) + content + bytes(4 << 20)
