"""Snapshots of pools, and self-managed ones."""

from __future__ import annotations

import datetime
import threading
from typing import Any, List

import pytest

from rbd import rados

Ioctx = rados.Ioctx


def test_threads_share_the_snapshots(new_pool: Ioctx) -> None:
    names = [f"snap-{number}" for number in range(40)]
    for name in names:
        new_pool.create_snap(name)
    found = new_pool.list_snaps()
    seen: List[str] = []
    start = threading.Barrier(4)

    def take() -> None:
        start.wait()
        seen.extend(snap.name for snap in found)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == sorted(names)


def test_a_pool_has_snapshots(new_pool: Ioctx) -> None:
    io = new_pool
    assert list(io.list_snaps()) == []
    io.write_full("o", b"before")
    before = datetime.datetime.now() - datetime.timedelta(seconds=5)
    assert io.create_snap("first") is None
    with pytest.raises(rados.ObjectExists, match="'first' of pool"):
        io.create_snap("first")
    io.write_full("o", b"after")
    io.create_snap("second")
    found = io.list_snaps()
    assert iter(found) is found
    assert {snap.name for snap in found} == {"first", "second"}
    assert {snap.name for snap in rados.SnapIterator(io)} == {"first", "second"}
    snap = io.lookup_snap("first")
    assert isinstance(snap, rados.Snap)
    assert (snap.ioctx, snap.name) == (io, "first")
    assert before <= snap.get_timestamp() <= datetime.datetime.now()
    assert f"name=first,snap_id={snap.snap_id}" in str(snap)
    io.set_read(snap.snap_id)
    assert io.read("o") == b"before"
    # A duplicate context reads from the same snapshot.
    assert io.dup().read("o") == b"before"
    io.set_read(rados.LIBRADOS_SNAP_HEAD)
    assert io.read("o") == b"after"
    io.snap_rollback("o", "first")
    assert io.read("o") == b"before"
    io.remove_snap("first")
    for call in (
        lambda: io.lookup_snap("first"),
        lambda: io.remove_snap("first"),
        lambda: io.snap_rollback("o", "first"),
    ):
        with pytest.raises(rados.ObjectNotFound, match="'first'"):
            call()
    with pytest.raises(rados.ObjectNotFound):
        snap.get_timestamp()


def test_self_managed_snapshots_keep_old_data(new_pool: Ioctx) -> None:
    io = new_pool
    io.write_full("o", b"1")
    first = io.create_self_managed_snap()
    io.set_self_managed_snap_write([first])
    io.write_full("o", b"2")
    second = io.create_self_managed_snap()
    assert second > first
    io.set_self_managed_snap_write((first, second))
    io.write_full("o", b"3")
    for snap_id, data in ((first, b"1"), (second, b"2"), (rados.LIBRADOS_SNAP_HEAD, b"3")):
        io.set_read(snap_id)
        assert io.read("o") == data
    io.rollback_self_managed_snap("o", first)
    assert io.read("o") == b"1"
    # A duplicate writes with the same snapshots.
    with io.dup() as other:
        other.write_full("new", b"x")
    io.remove_self_managed_snap(second)
    io.remove_self_managed_snap(first)
    io.set_self_managed_snap_write([])
    with pytest.raises(rados.InvalidArgumentError):
        io.create_snap("of the pool")


def test_wrong_arguments_are_refused(new_pool: Ioctx) -> None:
    io: Any = new_pool
    for call in (
        lambda: io.create_snap(3),
        lambda: io.set_read("first"),
        lambda: io.set_self_managed_snap_write(3),
        lambda: io.set_self_managed_snap_write(["x"]),
        lambda: rados.SnapIterator(None),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            call()
    for number in (-1, 2**64):
        for overflow in (io.set_read, io.remove_self_managed_snap):
            with pytest.raises(OverflowError):
                overflow(number)
        with pytest.raises(OverflowError):
            io.set_self_managed_snap_write([number])
    io.close()
    with pytest.raises(rados.IoctxStateError):
        io.list_snaps()
