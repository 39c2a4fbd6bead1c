"""Handles inherited through fork() are refused in the child, and the parent is not affected."""

from __future__ import annotations

import asyncio
import concurrent.futures
import multiprocessing
import os
import signal
import sys
import threading
import time
import weakref
from pathlib import Path
from statistics import median
from typing import Any, Dict, List

import pytest

import rbd
import rbd.aio
from support import fakerbd, figures, isolated
from support.isolated import fork
from support.location import (
    LIMIT,
    SIZE,
    SOAK,
    Where,
    belongs_to_parent,
    held_up,
    open_all,
    shrink,
)

ROUNDS = 1000 if SOAK else 5
#: The number of children that are forked beside one set of handles.
FORKS = 5

pytestmark = [pytest.mark.timeout(LIMIT + 20)]


def use_inherited(where: Where, cluster: Any, ioctx: Any, image: Any) -> None:
    for call in (
        image.size,
        lambda: image.read(0, 1),
        lambda: image.write(b"x", 0),
        lambda: image.resize(SIZE),
        lambda: rbd.RBD().list(ioctx),
        lambda: rbd.Image(ioctx, where[3]),
        ioctx.get_pool_name,
        cluster.get_fsid,
        lambda: cluster.open_ioctx(where[1]),
    ):
        belongs_to_parent(call)
    image.close()
    ioctx.close()
    cluster.shutdown()
    # The child may make a new connection.
    mine = open_all(where)
    assert mine[2].read(100, 1) == b"A"
    mine[2].close()
    mine[0].shutdown()


def fork_with_open_handles(where: Where) -> int:
    cluster, ioctx, image = open_all(where)
    for _ in range(FORKS):
        assert fork(lambda: use_inherited(where, cluster, ioctx, image)) == 0
        # The parent's handles work as before.
        assert image.read(100, 1) == b"A"
    return FORKS


def test_a_child_refuses_inherited_handles(where: Where) -> None:
    isolated.repeat(fork_with_open_handles, where, rounds=ROUNDS // FORKS, timeout=LIMIT)


def fork_and_exit(where: Where, rounds: int) -> None:
    """Each child exits normally with the handles that it inherited."""
    things = open_all(where)
    for _ in range(rounds):
        pid = os.fork()
        if not pid:
            return
        deadline = time.monotonic() + 30
        while not (ended := os.waitpid(pid, os.WNOHANG))[0]:
            assert time.monotonic() < deadline, "the child hung at exit"
            time.sleep(0.01)
        assert ended[1] == 0, ended
        assert things[2].read(100, 1) == b"A"


def test_a_child_exits_with_inherited_handles(where: Where) -> None:
    isolated.run(
        fork_and_exit,
        where,
        ROUNDS,
        watched=False,
        # Python 3.9's development mode itself crashes if a forked child exits.
        development=sys.version_info >= (3, 10),
        timeout=LIMIT,
    )
    figures.note("fork and exit", ROUNDS)


def fork_beside_a_call(where: Where) -> None:
    """The child's exit does not wait for other threads' calls, because it does not have those
    threads."""
    image = open_all(where)[2]
    ended, reading = threading.Event(), threading.Event()

    def read_on() -> None:
        while not ended.is_set():
            reading.wait()
            image.read(0, SIZE)

    thread = threading.Thread(target=read_on)
    thread.start()
    waits: Dict[bool, List[float]] = {False: [], True: []}
    # In turn, so that a busy machine slows both down.
    for beside in [False, True] * 9:
        (reading.set if beside else reading.clear)()
        time.sleep(0.05)
        start = time.monotonic()
        pid = os.fork()
        if not pid:
            ended.set()
            reading.set()
            return
        assert os.waitpid(pid, 0)[1] == 0
        waits[beside].append(time.monotonic() - start)
    ended.set()
    reading.set()
    thread.join()
    # A wait for the calls would take a second.
    assert median(waits[True]) < median(waits[False]) + 0.7, waits


def test_a_child_forked_beside_a_call_exits_at_once(where: Where) -> None:
    isolated.run(fork_beside_a_call, where, watched=False, development=sys.version_info >= (3, 10))


def fork_in_callback(where: Where) -> None:
    """In a fork inside a long call, the child learns that the call belongs to the parent."""
    _cluster, _ioctx, image = open_all(where)
    parent = os.getpid()
    children: List[int] = []

    def progress(done: int, total: int) -> None:
        if not children:
            children.append(os.fork())

    error = None
    try:
        shrink(image, progress)
    except rbd.ConnectionShutdown as caught:
        error = caught
    if os.getpid() != parent:
        os._exit(7 if error is not None and error.errno is None else 8)
    assert error is None
    deadline = time.monotonic() + 20
    while not (ended := os.waitpid(children[0], os.WNOHANG))[0]:
        if time.monotonic() > deadline:
            os.kill(children[0], signal.SIGKILL)
            raise AssertionError("the child hung in the call")
        time.sleep(0.01)
    assert os.waitstatus_to_exitcode(ended[1]) == 7
    assert image.size() == SIZE


def test_a_fork_in_a_callback_leaves_the_call_to_the_parent(where: Where) -> None:
    isolated.repeat(fork_in_callback, where, rounds=ROUNDS, timeout=LIMIT)


def fork_under_load(where: Where) -> int:
    """Other threads are in the middle of calls, and hold locks, when the process forks."""
    _cluster, _ioctx, image = open_all(where)
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            image.write(b"E" * 4096, 8192)
            image.read(0, 4096)

    threads = [threading.Thread(target=load) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(FORKS):
            assert fork(lambda: (belongs_to_parent(image.size), image.close())) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join(30)
    return FORKS


def test_a_fork_under_load_does_not_hang(where: Where) -> None:
    isolated.repeat(fork_under_load, where, rounds=ROUNDS // FORKS, timeout=LIMIT)


INHERITED: List[Any] = []


def fork_while_loading(where: Where) -> None:
    """A child that is forked while another thread loads librbd can use librbd."""
    thread = threading.Thread(target=rbd.library_info)
    begun = time.monotonic()
    thread.start()
    time.sleep(0.5)
    assert thread.is_alive(), time.monotonic() - begun
    assert fork(rbd.library_info) == 0
    thread.join()


@fakerbd.needs_compiler
def test_a_child_forked_while_librbd_loads_can_use_it(shim_library: Path, where: Where) -> None:
    info = rbd.library_info()
    env = {
        "RBD_LIBRARY": str(shim_library),
        "RADOS_LIBRARY": info.rados_path,
        "FAKERBD_REAL": info.path,
        "FAKERBD_SLOW": "3000",
    }
    isolated.run(fork_while_loading, where, env=env)


def read_in_loop(where: Where) -> None:
    _cluster, ioctx, image = open_all(where)

    async def read() -> bytes:
        async with rbd.aio.open(ioctx, where[3]) as opened:
            return await opened.read(0, 4)

    assert asyncio.run(read()) == b"AAAA"
    image.close()


def fork_beside_a_loop(where: Where) -> None:
    """A child that is forked while another thread looks up its loop's queue can use loops."""
    looking, over = threading.Event(), threading.Event()

    class Slow(weakref.WeakKeyDictionary):  # type: ignore[type-arg]
        def get(self, *arguments: Any) -> Any:
            if threading.current_thread() is thread:
                looking.set()
                over.wait()
            return super().get(*arguments)

    rbd.aio._queue._queues = Slow()
    thread = threading.Thread(target=read_in_loop, args=(where,))
    thread.start()
    assert looking.wait(30)
    try:
        assert fork(lambda: read_in_loop(where)) == 0
    finally:
        over.set()
        thread.join()


def test_a_child_forked_beside_a_loop_has_loops(where: Where) -> None:
    isolated.run(fork_beside_a_loop, where)


def fork_while_reading_a_file(where: Where) -> None:
    cluster, ioctx, image = open_all(where)
    file: Any = image.open_file("rb", 0)
    with held_up(lambda: file.read(4), type(file._snapshot), "after_read"):
        assert fork(lambda: belongs_to_parent(lambda: file.read(4))) == 0
    assert file.read(4) == b"AAAA"
    file.close()
    image.close()
    ioctx.close()
    cluster.shutdown()


def test_a_child_forked_while_a_file_is_read_is_refused(where: Where) -> None:
    isolated.run(fork_while_reading_a_file, where)


def fork_while_connecting(where: Where) -> None:
    os.environ["CEPH_CONF"] = where[0]
    address = "/".join(part for part in where[1:] if part)

    def use() -> None:
        with rbd.open(address) as file:
            assert file.read(4) == b"AAAA"

    with held_up(use, rbd, "connect"):
        assert fork(use) == 0
    # The child does not use the connection that the parent has now.
    use()
    assert fork(use) == 0


def test_a_child_forked_while_an_address_connects_has_addresses(where: Where) -> None:
    isolated.run(fork_while_connecting, where)


def pool_task(where: Where, inherits: bool) -> bytes:
    """The task of a worker process: inherited handles are refused, a new connection works."""
    assert bool(INHERITED) == inherits
    for image in INHERITED:
        belongs_to_parent(image.size)
    cluster, _ioctx, image = open_all(where)
    try:
        return bytes(image.read(100, 2))
    finally:
        image.close()
        cluster.shutdown()


def work_in_pools(where: Where, method: str, tasks: int) -> None:
    INHERITED.append(open_all(where)[2])
    context = multiprocessing.get_context(method)
    arguments = (where, method == "fork")
    with context.Pool(2) as pool:
        results = [pool.apply_async(pool_task, arguments) for _ in range(tasks)]
        assert [result.get(LIMIT) for result in results] == [b"AA"] * tasks
        pool.close()
        pool.join()
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        futures = [executor.submit(pool_task, *arguments) for _ in range(tasks)]
        assert [future.result(LIMIT) for future in futures] == [b"AA"] * tasks
    for _ in range(tasks // 4):
        process = context.Process(target=pool_task, args=arguments)
        process.start()
        process.join(40)
        assert process.exitcode == 0
    INHERITED[0].close()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_of_multiprocessing_connect_for_themselves(where: Where, method: str) -> None:
    tasks = ROUNDS // 2 if SOAK else 4
    isolated.run(work_in_pools, where, method, tasks, timeout=LIMIT)
    figures.note(f"tasks in processes, {method}", 2 * tasks + tasks // 4)
