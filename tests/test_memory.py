"""Memory, descriptors and handles do not grow with the number of calls."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import mmap
import os
import resource
import sys
import threading
from pathlib import Path
from typing import Any, Callable, Dict, List

import pytest

import rbd
import rbd.aio
from support import fakerbd, figures, isolated, memory_usage
from support.fakerbd import Shim
from support.fakerbd.driving import balance
from support.location import LIMIT, SIZE, SOAK, Where, connect, open_all

pytestmark = [pytest.mark.timeout(LIMIT + 20), fakerbd.needs_compiler]

#: The number of calls, and that of calls that take a round of calls to the cluster.
OFTEN, SELDOM = (100_000, 100_000) if SOAK else (400, 20)
#: The memory that may change by itself (arenas, caches of librbd), in KiB.
SLACK = 8192
BLOCK = 4096


def counts(shim: Shim) -> List[Any]:
    """Count librbd's handles by kind, descriptors, threads, and objects of this package."""
    gc.collect()
    objects = sum(type(one).__module__.startswith("rbd") for one in gc.get_objects())
    return [balance(shim), len(os.listdir("/proc/self/fd")), threading.active_count(), objects]


def waited(completions: List[rbd.Completion]) -> None:
    for completion in completions:
        completion.wait_for_complete_and_cb()


def often(image: Any) -> Dict[str, Callable[[int], Any]]:
    """Return calls that move data or ask for little. Each is made at least this many times."""
    buffer = bytearray(BLOCK)
    vectors = [bytearray(BLOCK // 2), bytearray(BLOCK // 2)]
    offsets = [index * BLOCK for index in range(100)]
    blocks = bytes(BLOCK * 100)
    wrapped = rbd.aio.AsyncImage(image)

    async def gather(start: Callable[[int], Any]) -> None:
        await asyncio.gather(*(start(index * BLOCK) for index in range(100)))

    def each(call: Callable[[], Any]) -> Callable[[int], None]:
        def run(count: int) -> None:
            for _ in range(count):
                call()

        return run

    def hundreds(call: Callable[[], Any]) -> Callable[[int], None]:
        return lambda count: each(call)(max(count // 100, 1))

    def refused() -> None:
        with contextlib.suppress(rbd.InvalidArgument):
            image.write(b"x", SIZE + 1)

    def differs() -> None:
        with contextlib.suppress(rbd.CompareMismatch):
            image.compare_and_write(b"1" * 512, b"2" * 512, SIZE - 512)

    return {
        "read": each(lambda: image.read(0, BLOCK)),
        "readinto": each(lambda: image.readinto(buffer, 0)),
        "readv": each(lambda: image.readv(vectors, 0)),
        "write": each(lambda: image.write(buffer, 0)),
        "writev": each(lambda: image.writev(vectors, 0)),
        "write_same": each(lambda: image.write_same(b"x" * 512, 0, BLOCK)),
        "compare_and_write": each(differs),
        "discard": each(lambda: image.discard(1 << 20, 1 << 16)),
        "a write that fails": each(refused),
        "size": each(image.size),
        "stat": each(image.stat),
        "list_snaps": each(lambda: list(image.list_snaps())),
        "read_blocks": hundreds(lambda: image.read_blocks(offsets, BLOCK)),
        "write_blocks": hundreds(lambda: image.write_blocks(blocks, offsets)),
        "aio_read": hundreds(
            lambda: waited([image.aio_read(at, BLOCK, lambda *_: None) for at in offsets])
        ),
        "aio_write": hundreds(
            lambda: waited([image.aio_write(buffer, at, lambda _: None) for at in offsets])
        ),
        "asyncio read": hundreds(lambda: asyncio.run(gather(lambda at: wrapped.read(at, BLOCK)))),
        "asyncio write": hundreds(
            lambda: asyncio.run(gather(lambda at: wrapped.write(buffer, at)))
        ),
    }


def seldom(where: Where, ioctx: Any, image: Any) -> Dict[str, Callable[[], Any]]:
    """Return calls that take longer."""
    name = where[3]

    def reconnect() -> None:
        cluster, ioctx = connect(where)
        ioctx.close()
        cluster.shutdown()

    def not_there() -> None:
        with contextlib.suppress(rbd.ImageNotFound):
            rbd.Image(ioctx, "not there")

    def open_and_drop() -> None:
        rbd.Image(ioctx, name, read_only=True)

    return {
        "open and close": lambda: rbd.Image(ioctx, name).close(),
        "open and drop": open_and_drop,
        "open what is not there": not_there,
        "diff": image.diff,
        "diff_iterate": lambda: image.diff_iterate(0, SIZE, None, lambda *_: None),
        "list": lambda: rbd.RBD().list(ioctx),
        "metadata": lambda: (image.metadata_set("key", "value"), image.metadata_get("key")),
        "set_snap": lambda: (image.set_snap("snap"), image.set_snap(None)),
        "connect": reconnect,
    }


def stays(where: Where, many: int, few: int) -> Dict[str, List[Any]]:
    """Make calls of each kind. Return how many, the growth in KiB, and counts before and after."""
    shim = Shim()
    _cluster, ioctx = connect(where)
    image = rbd.Image(ioctx, where[3])
    runs: Dict[str, Any] = {name: (many, run) for name, run in often(image).items()}
    for name, call in seldom(where, ioctx, image).items():
        runs[name] = (few, lambda count, call=call: [call() and None for _ in range(count)])
    found: Dict[str, List[Any]] = {}
    for name, (count, run) in runs.items():
        run(max(count // 10, 100 if count == many else 5))
        image.flush()
        before, memory = counts(shim), memory_usage.now()
        run(count)
        image.flush()
        found[name] = [count, memory_usage.now() - memory, before, counts(shim)]
        print(name, found[name], file=sys.stderr, flush=True)
    return found


def test_repeated_calls_do_not_take_more_memory(shimmed: Callable[..., Any]) -> None:
    found = shimmed(stays, OFTEN, SELDOM, timeout=LIMIT, development=False)
    grown = {name: kib for name, (_, kib, _, _) in found.items() if kib > SLACK}
    assert not grown, f"KiB: {grown}"
    for name, (count, _, before, after) in found.items():
        assert after == before, name
        figures.note("operations", count)
    figures.note("kinds of them", len(found))
    figures.note("growth of the kind that grew most, KiB", max(one[1] for one in found.values()))


def too_much(where: Where) -> int:
    """A process that needs more memory than it may have gets an error, and survives."""
    _cluster, _ioctx, image = open_all(where)
    image.resize(1 << 40)
    wrapped = rbd.aio.AsyncImage(image)
    huge = 1 << 34
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + (1 << 30), resource.RLIM_INFINITY))
    requests: List[Callable[[], Any]] = [
        lambda: image.read(0, huge),
        lambda: image.aio_read(0, huge, lambda *_: None),
        lambda: image.read_blocks(range(0, huge, 1 << 20), 1 << 20),
        lambda: asyncio.run(wrapped.read(0, huge)),
        lambda: image.open_file("rb").read(huge),
    ]
    for request in requests:
        with pytest.raises(MemoryError):
            request()
        assert image.read(100, 4) == b"AAAA"
    return len(requests)


def test_a_process_at_its_memory_limit_gets_errors(where: Where) -> None:
    assert isolated.run(too_much, where, development=False) > 3


def own_peak() -> int:
    return memory_usage.peak()


def test_a_process_does_not_count_its_parent_s_memory() -> None:
    """The tool of other tests must not count a parent's memory as its child's."""
    size = 600 << 20
    # A process that has run other tests already holds as much.
    before = memory_usage.now()
    ballast = mmap.mmap(-1, size)
    for at in range(0, size, mmap.PAGESIZE):
        ballast[at] = 1
    assert memory_usage.peak() > before + (size >> 11)
    assert isolated.run(own_peak) < size >> 11
    ballast.close()
    memory_usage.forget_peak()
    assert memory_usage.peak() < before + (size >> 11)
