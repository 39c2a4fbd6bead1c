"""The callbacks of asynchronous calls: their thread, what they may do, and their end."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import threading
import weakref
from typing import Any, List, Optional

import pytest

import rbd
from support import isolated
from support.daemons import eventually
from support.location import Where, open_all

SIZE = 8 << 20


def test_callbacks_run_in_one_python_thread(rbd_image: rbd.Image) -> None:
    threads = set()
    completions = [
        rbd_image.aio_write(b"x", i, lambda _: threads.add(threading.current_thread()))
        for i in range(50)
    ]
    for completion in completions:
        completion.wait_for_complete_and_cb()
    (thread,) = threads
    assert thread is not threading.main_thread()
    assert thread.daemon


def test_a_callback_starts_the_next_call(rbd_image: rbd.Image) -> None:
    done = threading.Event()
    order: List[int] = []

    def step(completion: rbd.Completion) -> None:
        order.append(completion.get_return_value())
        if len(order) < 20:
            rbd_image.aio_write(b"y" * 512, len(order) * 512, step)
        else:
            done.set()

    rbd_image.aio_write(b"y" * 512, 0, step)
    assert done.wait(60)
    assert order == [0] * 20
    assert rbd_image.read(0, 20 * 512) == b"y" * (20 * 512)


def start_again(where: Where) -> None:
    """If a thread cannot be started now, a later call starts it."""
    cluster, _ioctx, image = open_all(where)

    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    called: List[Any] = []
    for _ in range(2):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(threading.Thread, "start", fails)
            for call in (
                lambda: image.aio_read(0, 4, lambda *_: called.append("too early")),
                lambda: image.on_update(lambda: called.append("too early")),
            ):
                with pytest.raises(RuntimeError, match="can't start new thread"):
                    call()
    completion = image.aio_read(0, 4, lambda _, data: called.append(data))
    completion.wait_for_complete_and_cb()
    image.aio_flush(
        lambda _: called.append(threading.current_thread() is threading.main_thread())
    ).wait_for_complete_and_cb()
    assert called == [b"AAAA", False]
    image.close()
    cluster.shutdown()


def test_a_thread_that_cannot_be_started_is_started_later(where: Where) -> None:
    isolated.run(start_again, where)


def wait_at_the_end(where: Where) -> None:
    """Python starts no threads while it ends. Then the waiting thread runs the callbacks."""
    cluster, _ioctx, image = open_all(where)

    def fails(_: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    called: List[Any] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(threading.Thread, "start", fails)
        completion = image.aio_read(0, 4, lambda _, data: called.append(data))
        completion.wait_for_complete_and_cb()
        assert called == [b"AAAA"]
        image.close()
    cluster.shutdown()


def test_waiting_at_the_end_of_the_interpreter_delivers_callbacks(where: Where) -> None:
    isolated.run(wait_at_the_end, where)


def test_waiting_inside_a_callback_returns(rbd_image: rbd.Image) -> None:
    order: List[str] = []

    def outer(completion: rbd.Completion) -> None:
        completion.wait_for_complete_and_cb()  # the call itself: returns at once
        inner = rbd_image.aio_read(0, 4, lambda _, data: order.append(data.decode()))
        inner.wait_for_complete_and_cb()
        order.append("outer")

    rbd_image.write(b"data", 0)
    rbd_image.aio_flush(outer).wait_for_complete_and_cb()
    assert order == ["data", "outer"]


def test_an_image_can_be_closed_inside_a_callback(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "closing", SIZE)
    image = rbd.Image(rbd_ioctx, "closing")
    removed: List[bool] = []

    def finish(_: rbd.Completion) -> None:
        image.close()
        rbd.RBD().remove(rbd_ioctx, "closing")  # busy while it is open
        removed.append(True)

    image.aio_flush(finish).wait_for_complete_and_cb()
    assert removed == [True]
    assert "closing" not in rbd.RBD().list(rbd_ioctx)


def test_closing_inside_a_callback_waits_for_the_other_calls(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "closing", SIZE)
    image = rbd.Image(rbd_ioctx, "closing")
    order: List[str] = []

    def close(_: rbd.Completion) -> None:
        for i in range(10):
            image.aio_write(b"x" * 4096, i * 4096, lambda _: order.append("written"))
        image.close()
        order.append("closed")

    image.aio_flush(close).wait_for_complete_and_cb()
    assert order == ["written"] * 10 + ["closed"]
    with pytest.raises(rbd.InvalidArgument):
        image.size()


def test_closing_waits_for_calls_in_flight_and_their_callbacks(
    rbd_ioctx: rbd.rados.Ioctx,
) -> None:
    rbd.RBD().create(rbd_ioctx, "closing", SIZE)
    image = rbd.Image(rbd_ioctx, "closing")
    called: List[int] = []
    for i in range(64):
        image.aio_write(b"x" * 4096, i * 4096, lambda done: called.append(done.get_return_value()))
    image.close()
    assert called == [0] * 64


def test_a_dropped_image_is_closed_and_nothing_leaks(rbd_ioctx: rbd.rados.Ioctx) -> None:
    class Derived(rbd.Image):
        pass

    def fail(*_: Any) -> None:
        raise ValueError("kept by the completion")

    rbd.RBD().create(rbd_ioctx, "dropped", SIZE)
    image = Derived(rbd_ioctx, "dropped")
    completions = [image.aio_read(0, 10, fail), image.aio_flush(lambda _, image=image: None)]
    completions[1].wait_for_complete_and_cb()
    with pytest.raises(ValueError, match="kept"):
        completions[0].wait_for_complete_and_cb()
    gone = weakref.ref(image)
    del image
    # In a free-threaded interpreter, another thread's release counts a moment later.
    assert eventually(lambda: gone() is None), "a completion that is done keeps the image"
    rbd.RBD().remove(rbd_ioctx, "dropped")  # would be busy while a watcher is left
    del completions
    gc.collect()


def test_completions_do_not_leak(rbd_image: rbd.Image) -> None:
    def fail(completion: rbd.Completion, _: Optional[bytes]) -> None:
        kept.add(completion)  # a cycle: completion, exception, traceback, frame, completion
        raise ZeroDivisionError

    kept: Any = None

    def once() -> None:
        nonlocal kept
        kept = set()
        completion = rbd_image.aio_read(0, 10, fail)
        with pytest.raises(ZeroDivisionError):
            completion.wait_for_complete_and_cb()

    def alive() -> int:
        gc.collect()
        return sum(type(thing) is rbd.Completion for thing in gc.get_objects())

    before = alive()
    for _ in range(50):
        once()
    kept = None
    assert alive() <= before + 1  # the thread may still hold the last one


def script(cluster: Any, ioctx: Any, text: str) -> subprocess.CompletedProcess[str]:
    """Run a program whose way to end is tested. A hang ends the test."""
    head = "import os, sys, time\n" + isolated.connecting(cluster, ioctx)
    return subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", "-c", head + textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_interpreter_exits_with_calls_in_flight(
    rbd_cluster: Any, rbd_ioctx: rbd.rados.Ioctx, where: Where
) -> None:
    ended = script(
        rbd_cluster,
        rbd_ioctx,
        f"""
        image = rbd.Image(ioctx, {where[3]!r})
        def again(completion, *_):
            image.aio_write(b"x" * 4096, 0, again)
        for i in range(16):
            again(None)
            image.aio_read(0, 1 << 20, lambda *_: None)
        print("end")
        """,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\n", "")


def test_calls_in_flight_at_the_end_are_delivered(
    rbd_cluster: Any, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    ended = script(
        rbd_cluster,
        rbd_ioctx,
        f"""
        image = rbd.Image(ioctx, {rbd_image.get_name()!r})
        for i in range(16):
            image.aio_write(b"x" * 4096, i * 4096, lambda c: print(c.get_return_value()))
        """,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "0\n" * 16, "")
    assert rbd_image.read(0, 65536) == b"x" * 65536


def test_a_forked_child_runs_its_own_callbacks(
    rbd_cluster: Any, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    ended = script(
        rbd_cluster,
        rbd_ioctx,
        f"""
        import warnings
        warnings.simplefilter("ignore")  # newer Pythons warn of forks beside threads
        def use(cluster):
            ioctx = cluster.open_ioctx({rbd_ioctx.get_pool_name()!r})
            ioctx.set_namespace({rbd_ioctx.get_namespace()!r})
            image = rbd.Image(ioctx, {rbd_image.get_name()!r})
            got = []
            done = image.aio_read(0, 4, lambda _, data: got.append(data))
            done.wait_for_complete_and_cb()
            assert got == [bytes(4)], got
            return image
        image = use(cluster)
        pending = image.aio_read(0, 4, None)
        child = os.fork()
        if child == 0:
            for call in (pending.wait_for_complete_and_cb, lambda: image.aio_flush(None)):
                try:
                    call()
                except rbd.ConnectionShutdown as error:
                    assert error.errno is None
                else:
                    os._exit(3)
            fresh = use(rbd.connect({str(rbd_cluster.conffile)!r}))
            fresh.close()
            sys.exit(0)
        _, status = os.waitpid(child, 0)
        assert status == 0, status
        use(cluster).close()
        print("end")
        """,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\n", "")


def test_a_signal_ends_the_wait_for_a_callback(
    rbd_cluster: Any, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    ended = script(
        rbd_cluster,
        rbd_ioctx,
        f"""
        import _thread, threading
        image = rbd.Image(ioctx, {rbd_image.get_name()!r})
        release = threading.Event()
        done = image.aio_flush(lambda _: release.wait())
        threading.Timer(0.3, _thread.interrupt_main).start()
        try:
            done.wait_for_complete_and_cb()
        except KeyboardInterrupt:
            print("interrupted")
        release.set()
        done.wait_for_complete_and_cb()
        image.close()
        """,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "interrupted\n", "")


def test_the_interpreter_exits_beside_threads_in_calls(
    rbd_cluster: Any, rbd_ioctx: rbd.rados.Ioctx, where: Where
) -> None:
    ended = script(
        rbd_cluster,
        rbd_ioctx,
        f"""
        import threading
        image = rbd.Image(ioctx, {where[3]!r})
        def work():
            while True:
                image.write(b"x" * 4096, 0)
                image.read(0, 4096)
                image.read_blocks([0, 4096], 4096)
                image.size()
        for i in range(4):
            threading.Thread(target=work, daemon=True).start()
        time.sleep(0.5)
        print("end")
        """,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "end\n", "")
