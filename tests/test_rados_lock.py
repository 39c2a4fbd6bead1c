"""Locks on objects."""

from __future__ import annotations

import time
from typing import Any

import pytest

from rbd import rados

Ioctx = rados.Ioctx


def test_an_exclusive_lock_excludes_others(object_ioctx: Ioctx) -> None:
    io = object_ioctx
    assert io.lock_exclusive("o", "lock", "cookie") is None
    with pytest.raises(rados.ObjectExists, match="exclusive lock 'lock' on object 'o' in pool"):
        io.lock_exclusive("o", "lock", "cookie")
    with pytest.raises(rados.ObjectBusy):
        io.lock_exclusive("o", "lock", "another")
    io.lock_exclusive("o", "lock", "cookie", desc="renewed", duration=60, flags=1)
    with pytest.raises(rados.ObjectNotFound):
        io.unlock("o", "lock", "another")
    assert io.unlock("o", "lock", "cookie") is None
    io.lock_exclusive("o", "lock", "another")


def test_shared_locks_need_the_same_tag(object_ioctx: Ioctx) -> None:
    io = object_ioctx
    io.lock_shared("o", "lock", "", "tag", "described", None, 0)
    io.lock_shared("o", "lock", "second", tag="tag")
    with pytest.raises(rados.ObjectBusy):
        io.lock_shared("o", "lock", "third", "another tag")
    found = io.list_lockers("o", "lock")
    assert (found["tag"], found["exclusive"]) == ("tag", False)
    # The first of them is empty.
    assert sorted(cookie for _, cookie, _ in found["lockers"]) == ["", "second"]
    assert all(client.startswith("client.") for client, _, _ in found["lockers"])
    assert all(address for _, _, address in found["lockers"])


def test_many_lockers_are_all_listed(object_ioctx: Ioctx) -> None:
    cookies = [f"{number:03}" + "x" * 50 for number in range(60)]
    for cookie in cookies:
        object_ioctx.lock_shared("o", "lock", cookie, "t")
    found = object_ioctx.list_lockers("o", "lock")
    assert sorted(cookie for _, cookie, _ in found["lockers"]) == cookies


def test_a_lock_can_be_broken(object_ioctx: Ioctx) -> None:
    io = object_ioctx
    io.lock_exclusive("o", "lock", "cookie")
    found = io.list_lockers("o", "lock")
    assert found["exclusive"] is True
    ((client, cookie, _),) = found["lockers"]
    assert cookie == "cookie"
    with pytest.raises(rados.ObjectNotFound, match=r"from 'client\.0'"):
        io.break_lock("o", "lock", "client.0", "cookie")
    io.break_lock("o", "lock", client, cookie)
    assert io.list_lockers("o", "lock")["lockers"] == []


def test_a_lock_ends_after_its_duration(object_ioctx: Ioctx) -> None:
    object_ioctx.lock_exclusive("o", "lock", "cookie", duration=0.1)
    deadline = time.monotonic() + 60
    while True:
        try:
            object_ioctx.lock_exclusive("o", "lock", "another")
            break
        except rados.ObjectBusy:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_wrong_arguments_are_refused(object_ioctx: Ioctx) -> None:
    io: Any = object_ioctx
    for call in (
        lambda: io.lock_exclusive("o", "lock", 3),
        lambda: io.lock_exclusive("o", "lock", "c", duration="1"),
        lambda: io.lock_shared("o", "lock", "c"),
        lambda: io.unlock("o", None, "c"),
        lambda: io.list_lockers("o", 3),
    ):
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError, match="duration must be a number of seconds, not nan"):
        io.lock_exclusive("o", "lock", "c", duration=float("nan"))
    for duration in (-1, float("inf"), 1e300):
        with pytest.raises(OverflowError):
            io.lock_exclusive("o", "lock", "c", duration=duration)
    with pytest.raises(OverflowError):
        io.lock_exclusive("o", "lock", "c", flags=256)
    with pytest.raises(ValueError, match="NUL"):
        io.lock_exclusive("o", "lo\0ck", "c")
    io.close()
    with pytest.raises(rados.IoctxStateError):
        io.lock_exclusive("o", "lock", "c")
