"""Signals make nothing hang and lose nothing. Ctrl-C ends the calls that can be ended."""

from __future__ import annotations

import array
import asyncio
import builtins
import os
import signal
import struct
import subprocess
import sys
import threading
import time
from statistics import median
from typing import Any, Callable, Dict, List

import pytest

import rbd
import rbd.aio
import rbd.transfer
from support import figures, isolated
from support.location import LIMIT, SIZE, SOAK, Where, connect, open_all, raised_by, refused, shrink
from support.stream_files import Endless, Sink

#: The number of interruptions of each of the fourteen long calls.
ROUNDS = 75 if SOAK else 1
CLOSES = 1000 if SOAK else 1

pytestmark = [pytest.mark.timeout(LIMIT + 20)]


def endless(
    image: Any, parent: Any, clone: Any, ioctx: Any, name: str
) -> Dict[str, Callable[[], Any]]:
    """Return calls that take many seconds unless they are stopped. Images are large and empty."""
    offsets = array.array("Q", bytes(8 * 20_000_000))
    wrapped = rbd.aio.AsyncImage(image)

    async def read_on() -> None:
        while True:
            await asyncio.gather(*(wrapped.read(0, 4096) for _ in range(16)))

    def wait() -> None:
        release = threading.Event()
        try:
            image.aio_flush(lambda _: release.wait(60)).wait_for_complete_and_cb()
        finally:
            release.set()

    return {
        "resize": lambda: image.resize(4096),
        "resize with on_progress": lambda: image.resize(4096, on_progress=lambda *_: 0),
        "sparsify": lambda: image.sparsify(4096),
        "read_blocks": lambda: image.read_blocks(offsets, 1),
        "write_blocks": lambda: image.write_blocks(bytes(len(offsets)), offsets),
        "asyncio": lambda: interrupted_run(read_on()),
        "wait_for_complete_and_cb": wait,
        "flatten": clone.flatten,
        "flatten with on_progress": lambda: clone.flatten(on_progress=lambda *_: 0),
        "rollback": lambda: parent.rollback_to_snap("base"),
        "rollback with on_progress": lambda: parent.rollback_to_snap(
            "base", on_progress=lambda *_: 0
        ),
        "export_image": lambda: rbd.transfer.export_image(image, Sink()),
        "export_diff": lambda: rbd.transfer.export_diff(image, Sink()),
        "import_image": lambda: rbd.transfer.import_image(Endless(), ioctx, name),
    }


def interrupted_run(endless: Any) -> None:
    """Run as asyncio.run(), which before Python 3.11 may wait forever for a task that it cancels.

    There a signal's exception may come while a task is being woken, which then never wakes.
    """
    if sys.version_info >= (3, 11):
        asyncio.run(endless)
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)
    try:
        loop.run_until_complete(endless)
    finally:
        loop.close()


#: Sends Ctrl-C to its parent a moment after each line that it reads, and prints the time.
SENDER = """
import os, random, signal, struct, sys, time
for line in sys.stdin.buffer:
    time.sleep(0.05 + random.random() * 0.1)
    sys.stdout.buffer.write(struct.pack("d", time.monotonic()))
    sys.stdout.buffer.flush()
    os.kill(os.getppid(), signal.SIGINT)
"""


def interrupt(where: Where, rounds: int) -> Dict[str, List[float]]:
    """Interrupt calls that can be ended. Return how long each took to end, in seconds."""
    cluster, ioctx = connect(where)
    name = f"{where[3]}-large"
    # So many objects that going through them takes seconds. None of them exists.
    size = 32 << 30
    features = rbd.RBD_FEATURE_LAYERING
    rbd.RBD().create(ioctx, name, size, 20, features=features)
    rbd.RBD().create(ioctx, f"{name}-parent", size // 4, 20, features=features)
    waits: Dict[str, List[float]] = {}
    sender = subprocess.Popen(
        [sys.executable, "-c", SENDER],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with sender, rbd.Image(ioctx, name) as large, rbd.Image(ioctx, f"{name}-parent") as parent:
        parent.create_snap("base")
        parent.protect_snap("base")
        rbd.RBD().clone(ioctx, f"{name}-parent", "base", ioctx, f"{name}-clone", features, order=20)
        clone = rbd.Image(ioctx, f"{name}-clone")
        for kind, call in endless(large, parent, clone, ioctx, f"{name}-imported").items():
            for _ in range(rounds):
                waits.setdefault(kind, []).append(interrupted(call, sender))
                if large.size() != size:
                    large.resize(size)
                if f"{name}-imported" in rbd.RBD().list(ioctx):
                    rbd.RBD().remove(ioctx, f"{name}-imported")
                assert large.read(0, 4) == bytes(4), kind
                assert clone.parent_info()[2] == "base", kind
        clone.close()
        rbd.RBD().remove(ioctx, f"{name}-clone")
        parent.unprotect_snap("base")
        parent.remove_snap("base")
    for one in (name, f"{name}-parent"):
        rbd.RBD().remove(ioctx, one)
    cluster.shutdown()
    return waits


def interrupted(call: Callable[[], Any], sender: Any) -> float:
    """Send Ctrl-C a moment after the call has begun. Return how long the call then takes, in
    seconds.

    The signal comes from another process, so that no thread of this one has to run for it.
    """
    sender.stdin.write(b"\n")
    error = raised_by(call)
    ended = time.monotonic()
    assert isinstance(error, KeyboardInterrupt), repr(error)
    (sent,) = struct.unpack("d", sender.stdout.read(8))
    return float(ended - sent)


def test_ctrl_c_ends_long_calls(where: Where) -> None:
    waits = isolated.run(interrupt, where, ROUNDS, timeout=LIMIT)
    figures.note("Ctrl-C in long calls", sum(map(len, waits.values())))
    for kind, seconds in waits.items():
        if SOAK:
            figures.note(f"{kind}: median ms until Ctrl-C", round(1000 * median(seconds), 1))
        # A busy machine makes one late, but not most.
        assert median(seconds) < 0.5 or not SOAK, (kind, sorted(seconds))


def close_in_signal_handler(where: Where) -> None:
    """A handler runs inside the long call, and closes the image that the call uses."""
    _cluster, ioctx, image = open_all(where)
    handled = []

    def handler(*_: Any) -> None:
        image.close()
        handled.append(True)

    signal.signal(signal.SIGUSR1, handler)

    def progress(done: int, total: int) -> None:
        os.kill(os.getpid(), signal.SIGUSR1)

    shrink(image, progress)
    refused(image.size)
    # Also while librbd waits for the answer of a callback, which does not come before the signal.
    image = rbd.Image(ioctx, where[3])
    timer = threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGUSR1))
    handled.clear()

    def slow(*_: int) -> None:
        if timer.ident is None:
            timer.start()
        while not handled:
            time.sleep(0.001)

    shrink(image, slow)
    timer.join()
    assert handled
    # Also in a batch.
    image = rbd.Image(ioctx, where[3])
    handled.clear()
    timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    assert image.read_blocks([0] * 50_000, 1) == b"A" * 50_000
    timer.join()
    assert handled
    refused(image.size)


def test_a_signal_handler_may_close_the_image(where: Where) -> None:
    isolated.repeat(close_in_signal_handler, where, rounds=CLOSES, timeout=LIMIT)


def handlers_run_during_io(where: Where) -> int:
    """Signals in the middle of blocking calls disturb none of them."""
    _cluster, _ioctx, image = open_all(where)
    handled = 0

    def handler(*_: Any) -> None:
        nonlocal handled
        handled += 1

    signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
    data = b"J" * 65536
    for index in range(100):
        assert image.write(data, index % 8 * 65536) == len(data)
        assert image.read(index % 8 * 65536, len(data)) == data
        image.resize(SIZE + index % 2 * SIZE)
    signal.setitimer(signal.ITIMER_REAL, 0, 0)
    return handled


def test_signals_disturb_no_call(where: Where) -> None:
    assert isolated.run(handlers_run_during_io, where) > 0


def interrupt_the_first_call(where: Where, begun: bool, name: str) -> None:
    """A signal's exception comes while the thread for callbacks starts."""
    raised = getattr(builtins, name)
    _cluster, _ioctx, image = open_all(where)
    start = threading.Thread.start

    def interrupted_start(thread: threading.Thread) -> None:
        if begun:
            start(thread)
        raise raised

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", interrupted_start)
        assert isinstance(raised_by(lambda: image.aio_flush(None)), raised)
    called = threading.Event()
    image.aio_read(0, 4, lambda *_: called.set())
    # Nobody waits for the completion: a wait would run the callback too.
    assert called.wait(10)
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("rbd-callbacks") == 1, names


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("name", ["KeyboardInterrupt", "TimeoutError"])
def test_a_signal_in_the_first_asynchronous_call_is_raised(
    where: Where, begun: bool, name: str
) -> None:
    isolated.run(interrupt_the_first_call, where, begun, name)


#: Continues as Python with signals ignored and blocked, as the starter of the tests may have them.
DEAF = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
#: Prints whether a process can be interrupted.
HEARS = """
import signal
assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
assert not signal.pthread_sigmask(signal.SIG_BLOCK, [])
"""


def test_processes_of_tests_receive_signals() -> None:
    subprocess.run([sys.executable, "-c", HEARS], check=True)


def test_processes_of_tests_receive_signals_under_nohup() -> None:
    test = f"{__file__}::{test_processes_of_tests_receive_signals.__name__}"
    command = [sys.executable, "-c", DEAF, "-m", "pytest", "-q", "-p", "no:cacheprovider", test]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
