"""Connections, contexts and derived objects close in any order, in any thread, and after fork().

Each scenario runs in a separate process, because a fault here is a crash or a hang.
"""

from __future__ import annotations

import functools
import gc
import itertools
import os
import random
import sys
import threading
from typing import Any, Callable, Dict, List, Sequence

import pytest

from rbd import rados
from support import isolated
from support.location import LIMIT, Where, belongs_to_parent, connect, in_thread

pytestmark = [pytest.mark.timeout(LIMIT + 20)]


def opened(where: Where) -> Dict[str, Any]:
    """Return a connection, a context, an object, and one of each thing that is made from them."""
    cluster, ioctx = connect(where)
    ioctx.set_namespace("contracts")
    for name in ("a", "b", "c"):
        ioctx.write_full(name, b"data")
    ioctx.set_xattr("a", "x", b"1")
    write = rados.WriteOp().create()
    write.write_full(b"later")
    read = rados.ReadOp().create()
    entries, _ = ioctx.get_omap_vals(read, "", "", -1)
    listing = ioctx.list_objects()
    next(listing)
    pairs: Any = None

    def heard(*_: Any) -> None:
        # Refers to its own objects, as programs' callbacks do.
        assert pairs is not None

    pairs = [ioctx, heard]
    return {
        "cluster": cluster,
        "ioctx": ioctx,
        "listing": listing,
        "write": write,
        "read": read,
        "entries": entries,
        "attributes": ioctx.get_xattrs("a"),
        "object": rados.Object(ioctx, "b"),
        "watch": ioctx.watch("c", heard, heard),
        "log": rados.MonitorLog(cluster, "warn", heard, None),
        "completion": ioctx.aio_read("a", 4, 0, heard),
    }


def refuse(call: Callable[[], Any]) -> None:
    with pytest.raises(rados.Error) as caught:
        call()
    assert caught.value.errno is None


ENDS: Dict[str, Callable[[Dict[str, Any]], Any]] = {
    "cluster": lambda things: things["cluster"].shutdown(),
    "ioctx": lambda things: things["ioctx"].close(),
    "listing": lambda things: things.pop("listing"),
    "write": lambda things: things["write"].release(),
    "read": lambda things: things["read"].release(),
    "watch": lambda things: things["watch"].close(),
    "completion": lambda things: things.pop("completion"),
    "log": lambda things: things.pop("log"),
}

REFUSED: Dict[str, Callable[[Dict[str, Any]], Any]] = {
    "read": lambda things: things["ioctx"].read("a"),
    "list": lambda things: things["ioctx"].list_objects(),
    "entries": lambda things: next(things["entries"]),
    "object": lambda things: things["object"].read(),
    "write": lambda things: things["ioctx"].operate_write_op(things["write"], "a"),
    "operate": lambda things: things["ioctx"].operate_read_op(things["read"], "a"),
    "aio_read": lambda things: things["ioctx"].aio_read("a", 4, 0, None),
    "aio_operate": lambda things: things["ioctx"].operate_aio_write_op(things["write"], "a"),
    "aio_flush": lambda things: things["ioctx"].aio_flush(),
    "watch": lambda things: things["ioctx"].watch("c", print),
    "check": lambda things: things["watch"].check(),
    "notify": lambda things: things["ioctx"].notify("c"),
    "command": lambda things: things["cluster"].mon_command("{}", b""),
    "log": lambda things: things["cluster"].monitor_log("warn", print),
}


def close_in_order(where: Where, order: Sequence[str]) -> None:
    things = opened(where)
    listing = things["listing"]
    completion = things["completion"]
    for index, name in enumerate(order):
        if index % 2:
            in_thread(lambda: ENDS[name](things))  # noqa: B023 - it has ended by then
        else:
            ENDS[name](things)
    for call in REFUSED.values():
        refuse(functools.partial(call, things))
    refuse(functools.partial(next, listing))
    completion.wait_for_complete_and_cb()
    assert completion.get_return_value() == 4
    assert list(things["attributes"]) == [("x", b"1")]


def close_in_every_order(where: Where) -> int:
    names = sorted(ENDS)
    # Each thing is closed before and after every other. All the 40,320 orders would show no more.
    chosen = random.Random(1)
    orders = [
        [*pair, *chosen.sample(left, len(left))]
        for pair in itertools.permutations(names, 2)
        for left in [[name for name in names if name not in pair]]
    ]
    for order in orders:
        close_in_order(where, order)
    return len(orders)


def test_things_close_in_every_order(where: Where) -> None:
    outcome = isolated.run(close_in_every_order, where, timeout=LIMIT)
    assert outcome == len(ENDS) * (len(ENDS) - 1)


def drop_everything(where: Where) -> None:
    for _ in range(5):
        things = opened(where)
        names: List[str] = sorted(things)
        for name in names:
            del things[name]
            gc.collect()
    # In a cycle, too.
    things = opened(where)
    things["ioctx"].things = things
    things["cluster"].things = things
    del things
    gc.collect()


def test_things_may_be_dropped(where: Where) -> None:
    isolated.run(drop_everything, where, timeout=LIMIT)


def close_under_way(where: Where) -> None:
    for _ in range(5):
        things = opened(where)
        ioctx = things["ioctx"]
        wrong: List[BaseException] = []

        def work(ioctx: Any = ioctx, wrong: Any = wrong) -> None:
            try:
                while True:
                    ioctx.write_full("a", b"x" * 4096)
                    ioctx.read("a")
                    list(ioctx.list_objects())
            except rados.IoctxStateError:
                pass
            except BaseException as error:
                wrong.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        ioctx.close()
        for thread in threads:
            thread.join()
        assert not wrong
        things["cluster"].shutdown()


def test_closing_while_calls_are_under_way_is_safe(where: Where) -> None:
    isolated.run(close_under_way, where, timeout=LIMIT)


def fork_with_everything(where: Where) -> None:
    things = opened(where)
    ioctx = things["ioctx"]
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            for call in (
                lambda: ioctx.read("a"),
                lambda: ioctx.write("a", b"x"),
                lambda: ioctx.list_objects(),
                lambda: next(things["listing"]),
                lambda: ioctx.get_xattr("a", "x"),
                lambda: ioctx.operate_write_op(things["write"], "a"),
                lambda: ioctx.lock_exclusive("a", "l", "c"),
                lambda: ioctx.create_self_managed_snap(),
                things["object"].read,
                things["cluster"].list_pools,
                lambda: ioctx.aio_read("a", 4, 0, None),
                lambda: ioctx.aio_write("a", b"x"),
                ioctx.aio_flush,
                lambda: ioctx.operate_aio_read_op(things["read"], "a"),
                lambda: ioctx.watch("c", print),
                things["watch"].check,
                things["watch"].close,
                lambda: ioctx.notify("c"),
                lambda: things["cluster"].mon_command("{}", b""),
                lambda: things["cluster"].monitor_log("warn", print),
                lambda: things["cluster"].service_daemon_update({}),
            ):
                with pytest.raises(rados.ConnectionShutdown) as caught:
                    call()
                assert caught.value.errno is None
                belongs_to_parent(call)
            things.clear()
            gc.collect()
            cluster, mine = connect(where)
            mine.set_namespace("contracts")
            assert mine.read("a") == b"data"
            mine.close()
            cluster.shutdown()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert ioctx.read("a") == b"data"
    assert len(list(things["listing"])) == 2
    ioctx.close()


def test_a_child_refuses_inherited_things(where: Where) -> None:
    isolated.run(fork_with_everything, where, timeout=LIMIT)


def leave_everything_open(where: Where) -> None:
    things = opened(where)
    # Held until the very end.
    sys.modules["kept"] = things  # type: ignore[assignment]


def test_the_interpreter_exits_with_everything_open(where: Where) -> None:
    isolated.run(leave_everything_open, where, timeout=LIMIT)


def print_nothing(*_: Any) -> None:
    """Do nothing; a callback."""


def flat(where: Where) -> None:
    """Check that objects made by the calls are freed."""
    things = opened(where)
    ioctx = things["ioctx"]

    def once() -> None:
        ioctx.write_full("a", b"data")
        assert ioctx.read("a") == b"data"
        list(ioctx.list_objects())
        list(ioctx.get_xattrs("a"))
        ioctx.aio_read("a", 4, 0, print_nothing).wait_for_complete_and_cb()
        ioctx.aio_write_full("a", bytearray(b"data")).wait_for_complete()
        ioctx.aio_flush()
        with ioctx.watch("a", print_nothing):
            assert ioctx.notify("a", "hello")
        with pytest.raises(rados.ObjectNotFound):
            ioctx.watch("none", print_nothing)
        things["cluster"].mon_command('{"prefix": "osd ls"}', b"")
        with rados.WriteOpCtx() as op, rados.ReadOpCtx() as reading:
            ioctx.set_omap(op, ["k"], [b"v"])
            ioctx.operate_write_op(op, "a")
            entries, _ = ioctx.get_omap_vals(reading, "", "", -1)
            ioctx.operate_read_op(reading, "a")
            list(entries)
        with pytest.raises(rados.ObjectNotFound):
            ioctx.read("none")

    for _ in range(20):
        once()
    gc.collect()
    before = (sys.getrefcount(ioctx), len(gc.get_objects()))
    for _ in range(50):
        once()
    gc.collect()
    after = (sys.getrefcount(ioctx), len(gc.get_objects()))
    assert after[0] == before[0]
    assert after[1] - before[1] < 20


def test_repeated_calls_keep_nothing(where: Where) -> None:
    isolated.run(flat, where, timeout=LIMIT)
