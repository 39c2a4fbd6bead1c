"""Handles close in any order, from any thread, in collected cycles, and in callbacks.

Each scenario runs in a separate process (isolated.py) in Python's development mode, because a fault
here is a crash or a hang.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import gc
import itertools
import os
import random
import threading
import time
from pathlib import Path
from typing import Any, ClassVar, Iterator, List

import pytest

import rbd
import rbd.aio
from support import isolated
from support.location import LIMIT, SIZE, SOAK, Where, connect, in_thread, open_all, refused, shrink

ROUNDS = 1000 if SOAK else 10

pytestmark = [pytest.mark.timeout(LIMIT + 20)]


# Order and threads


def close_in_every_order(where: Where) -> int:
    done = 0
    for order in itertools.permutations(range(4)):
        for elsewhere in (False, True):
            cluster, ioctx, image = open_all(where)
            second = rbd.Image(ioctx, where[3], read_only=True)
            enders = [cluster.shutdown, ioctx.close, image.close, second.close]
            for index in order:
                in_thread(enders[index]) if elsewhere else enders[index]()
            for index in order:
                enders[index]()
            refused(image.size)
            refused(lambda ioctx=ioctx: rbd.RBD().list(ioctx))  # type: ignore[misc]
            refused(cluster.get_fsid)
            done += 1
    return done


def test_handles_close_in_every_order(where: Where) -> None:
    # There are 48 orders in a round.
    isolated.repeat(close_in_every_order, where, rounds=ROUNDS // 48 + 1, timeout=LIMIT)


def drop_in_every_order(where: Where) -> int:
    orders = list(itertools.permutations(range(3)))
    for order in orders:
        things: List[Any] = list(open_all(where))
        for index in order:
            things[index] = None
            gc.collect()
    return len(orders)


def test_handles_may_be_dropped_in_every_order(where: Where) -> None:
    isolated.repeat(drop_in_every_order, where, rounds=ROUNDS // 6 + 1, timeout=LIMIT)


def children_outlive_parents(where: Where) -> None:
    cluster, ioctx, image = open_all(where)
    cluster.shutdown()
    ioctx.close()
    del cluster, ioctx
    gc.collect()
    assert image.read(8, 4) == b"AAAA"
    image.write(b"B", 0)
    image.flush()
    image.close()


def test_an_image_outlives_its_connection(where: Where) -> None:
    isolated.repeat(children_outlive_parents, where, rounds=ROUNDS, timeout=LIMIT)


def close_under_load(where: Where) -> int:
    """Threads read and write while another one closes. Each call completes or is refused."""
    _cluster, ioctx = connect(where)
    finished = 0
    for _ in range(10):
        image = rbd.Image(ioctx, where[3])
        started = threading.Barrier(5)
        failures: List[BaseException] = []

        def load(
            image: Any = image,
            started: threading.Barrier = started,
            failures: List[BaseException] = failures,
        ) -> None:
            nonlocal finished
            chooser = random.Random(threading.get_ident())
            buffer = bytearray(4096)
            started.wait(30)
            try:
                while True:
                    offset = chooser.randrange(SIZE // 4096) * 4096
                    chooser.choice(
                        [
                            functools.partial(image.read, offset, 4096),
                            functools.partial(image.readinto, buffer, offset),
                            functools.partial(image.write, buffer, offset),
                            image.size,
                            image.flush,
                            image.list_snaps,
                        ]
                    )()
                    finished += 1
            except rbd.InvalidArgument as error:
                if error.errno is not None:
                    failures.append(error)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        started.wait(30)
        time.sleep(random.random() * 0.02)
        image.close()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive()
        assert not failures, failures
    assert finished
    return 10


def test_closing_under_load_completes_or_refuses_calls(where: Where) -> None:
    isolated.repeat(close_under_load, where, rounds=ROUNDS // 10, timeout=LIMIT)


def close_by_many(where: Where) -> int:
    cluster, ioctx = connect(where)
    for _ in range(10):
        image = rbd.Image(ioctx, where[3], read_only=True)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for future in [pool.submit(image.close) for _ in range(8)]:
                future.result(30)
    cluster.shutdown()
    return 10


def test_many_threads_may_close_at_once(where: Where) -> None:
    isolated.repeat(close_by_many, where, rounds=ROUNDS // 10, timeout=LIMIT)


# Garbage collection


class Knot:
    """Part of a reference cycle that holds an image and uses it when it is collected."""

    seen: ClassVar[List[Any]] = []

    def __init__(self, image: Any) -> None:
        self.image = image
        self.me = self

    def __del__(self) -> None:
        self.seen.append(self.image.size())
        self.image.close()
        with contextlib.suppress(rbd.InvalidArgument):
            self.image.size()
            self.seen.append("a closed image was used")


def collect_cycles(where: Where) -> int:
    _cluster, ioctx = connect(where)
    rounds = 10
    Knot.seen.clear()
    for _ in range(rounds):
        Knot(rbd.Image(ioctx, where[3], read_only=True))
        gc.collect()
    assert Knot.seen == [SIZE] * rounds, Knot.seen
    # In a thread that is inside another call when the collector runs.
    image = rbd.Image(ioctx, where[3])
    for index in range(rounds):
        Knot(rbd.Image(ioctx, where[3], read_only=True))
        image.diff_iterate(0, SIZE, None, lambda *_: gc.collect())
        assert len(Knot.seen) == rounds + index + 1
    return rounds


def test_images_in_cycles_are_collected(where: Where) -> None:
    isolated.repeat(collect_cycles, where, rounds=ROUNDS // 10, timeout=LIMIT)


# Callbacks


def one_thread_behind_all_others() -> None:
    """Give all threads one processor, and librbd's first I/O thread the lowest priority.

    So the other threads overtake it when it wakes them up in the middle of its work.
    """
    processor = {min(os.sched_getaffinity(0))}
    tasks = Path("/proc/self/task")
    behind: List[int] = []
    while not behind:
        # A thread takes its name only when it runs for the first time.
        threads = [int(entry.name) for entry in tasks.iterdir()]
        names = {thread: (tasks / str(thread) / "comm").read_text().strip() for thread in threads}
        behind = [t for t in threads if names[t] in ("io_context_pool", "fn-radosclient")]
    for thread in threads:
        os.sched_setaffinity(thread, processor)
    os.sched_setscheduler(min(behind), os.SCHED_IDLE, os.sched_param(0))


def close_right_after_opening(where: Where, how: str, rounds: int) -> int:
    """librbd reports that an image is open before each of its threads has released it."""
    cluster, ioctx = connect(where)
    one_thread_behind_all_others()
    options = {"snapshot": "snap", "read_only": True}
    # That thread waits for the machine's other processes too.
    end = time.monotonic() + LIMIT / 4

    def turns() -> Iterator[int]:
        return itertools.takewhile(lambda _: time.monotonic() < end, range(rounds))

    async def opened() -> int:
        done = 0
        for _ in turns():
            async with rbd.aio.open(ioctx, where[3], **options):
                done += 1
        return done

    def called_back() -> int:
        images: List[Any] = []
        for _ in turns():
            rbd.RBD().aio_open_image(
                lambda _, image: images.append(image), ioctx, where[3], **options
            ).wait_for_complete_and_cb()
            images[-1].close()
        return len(images)

    def plain() -> int:
        done = 0
        for _ in turns():
            rbd.Image(ioctx, where[3], **options).close()
            done += 1
        return done

    if how == "asyncio":
        done = asyncio.run(opened())
    else:
        done = {"called back": called_back, "plain": plain}[how]()
    cluster.shutdown()
    return done


@pytest.mark.parametrize("how", ["plain", "called back", "asyncio"])
def test_an_image_may_be_closed_right_after_opening(where: Where, how: str) -> None:
    rounds = 10 * ROUNDS if SOAK else 500
    isolated.repeat(close_right_after_opening, where, how, rounds, rounds=1, timeout=LIMIT)


def close_clones_right_after_opening(where: Where, rounds: int) -> int:
    """Several threads: the one that opened the parent may have to wait for a processor."""
    cluster, ioctx = connect(where)
    rbd.RBD().clone(ioctx, where[3], "snap", ioctx, "clone", clone_format=2)
    with rbd.Image(ioctx, "clone") as clone:
        for size in (SIZE, SIZE // 2, SIZE // 4):
            # Each snapshot has another part of the parent.
            clone.resize(size)
            clone.create_snap(f"of {size}")

    def close_each(_: int) -> int:
        for snapshot in (None, f"of {SIZE}", f"of {SIZE // 2}", f"of {SIZE // 4}"):
            rbd.Image(ioctx, "clone", snapshot=snapshot, read_only=True).close()
            image = rbd.Image(ioctx, "clone", read_only=True)
            image.set_snap(snapshot)
            image.close()
        asyncio.run(open_and_close_clone(ioctx))
        return 9

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        done = sum(pool.map(close_each, range(rounds)))
    cluster.shutdown()
    return done


async def open_and_close_clone(ioctx: Any) -> None:
    async with rbd.aio.open(ioctx, "clone", read_only=True):
        pass


def test_a_clone_may_be_closed_right_after_opening(where: Where) -> None:
    rounds = ROUNDS if SOAK else 25
    isolated.repeat(close_clones_right_after_opening, where, rounds, rounds=1, timeout=LIMIT)


def close_in_callbacks(where: Where) -> int:
    cluster, ioctx = connect(where)
    for _ in range(10):
        image = rbd.Image(ioctx, where[3])
        seen: ClassVar[List[Any]] = []

        def extent(
            offset: int, length: int, exists: bool, image: Any = image, seen: Any = seen
        ) -> None:
            seen.append(exists)
            image.close()

        image.diff_iterate(0, SIZE, None, extent)
        assert seen
        refused(image.size)

        image = rbd.Image(ioctx, where[3])

        def progress(done: int, total: int, image: Any = image, seen: Any = seen) -> int:
            seen.append(total)
            image.close()
            image.close()
            return 0

        shrink(image, progress)
        assert seen[1:]
        refused(image.size)

        # The callback may close the context of the call itself.
        name = f"{where[3]}-callback"
        rbd.RBD().create(ioctx, name, SIZE)
        other = cluster.open_ioctx(where[1])
        other.set_namespace(where[2])

        def removing(done: int, total: int, other: Any = other) -> None:
            other.close()

        rbd.RBD().remove(other, name, on_progress=removing)
        refused(lambda other=other: rbd.RBD().list(other))  # type: ignore[misc]
    return 10


def test_an_image_may_be_closed_in_a_callback(where: Where) -> None:
    isolated.repeat(close_in_callbacks, where, rounds=ROUNDS // 10, timeout=LIMIT)


def shut_down_in_callback(where: Where) -> None:
    cluster, ioctx, image = open_all(where)

    def progress(done: int, total: int) -> None:
        image.close()
        ioctx.close()
        cluster.shutdown()

    shrink(image, progress)
    refused(image.size)
    refused(cluster.get_fsid)


def test_a_connection_may_be_shut_down_in_a_callback(where: Where) -> None:
    isolated.repeat(shut_down_in_callback, where, rounds=ROUNDS, timeout=LIMIT)
