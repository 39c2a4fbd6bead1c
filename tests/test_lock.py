"""Advisory locks and the exclusive lock, between two clients."""

from __future__ import annotations

import time
from typing import Any, Iterator, List, Tuple

import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster
from support.refusals import Calls, refuses_closed_image, refuses_wrong_types, with_arguments

EXCLUSIVE_LOCK = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK
locking = pytest.mark.rbd_image(features=EXCLUSIVE_LOCK)


@pytest.fixture
def other(
    rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> Iterator[rbd.Image]:
    """Provide the image of rbd_image, opened by another client."""
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_ioctx.get_pool_name()) as ioctx:
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        with rbd.Image(ioctx, rbd_image.name) as image:
            yield image


def cookies(image: rbd.Image) -> List[str]:
    found = image.list_lockers()
    return sorted(cookie for _, cookie, _ in found["lockers"]) if found else []


# Advisory locks


@locking
@pytest.mark.parametrize("take", [("lock_exclusive", "c"), ("lock_shared", "c", "tag")])
def test_advisory_locks_exist_beside_the_exclusive_lock(
    rbd_image: rbd.Image, other: rbd.Image, take: Tuple[str, ...]
) -> None:
    method, *arguments = take
    getattr(rbd_image, method)(*arguments)
    # Every client that writes waits, also the holder of the advisory lock.
    writes = [image.aio_write(b"x", at, None) for at, image in enumerate((rbd_image, other))]
    time.sleep(0.3)
    assert not any(write.is_complete() for write in writes)
    rbd_image.unlock("c")
    for write in writes:
        write.wait_for_complete_and_cb()
        assert write.get_return_value() == 0
    with pytest.raises(rbd.ImageBusy):
        getattr(rbd_image, method)(*arguments)


def test_an_unlocked_image_has_no_lockers(rbd_image: rbd.Image) -> None:
    assert rbd_image.list_lockers() == []


def test_an_exclusive_lock_excludes_others(rbd_image: rbd.Image, other: rbd.Image) -> None:
    rbd_image.lock_exclusive("mine")
    found = other.list_lockers()
    assert sorted(found) == ["exclusive", "lockers", "tag"]
    assert (found["tag"], found["exclusive"]) == ("", True)
    ((client, cookie, address),) = found["lockers"]
    assert client.startswith("client.")
    assert cookie == "mine"
    assert ":" in address
    with pytest.raises(rbd.ImageExists) as same:
        rbd_image.lock_exclusive(cookie="mine")
    assert same.value.errno == 17
    with pytest.raises(rbd.ImageBusy):
        rbd_image.lock_exclusive("another")
    with pytest.raises(rbd.ImageBusy):
        other.lock_exclusive("mine")
    with pytest.raises(rbd.ImageBusy):
        other.lock_shared("mine", "tag")
    rbd_image.unlock("mine")
    other.lock_exclusive("theirs")
    assert cookies(rbd_image) == ["theirs"]
    other.unlock(cookie="theirs")
    assert rbd_image.list_lockers() == []


def test_shared_locks_need_the_same_tag(rbd_image: rbd.Image, other: rbd.Image) -> None:
    rbd_image.lock_shared("a", "tag")
    other.lock_shared(cookie="b", tag="tag")
    found = rbd_image.list_lockers()
    assert (found["tag"], found["exclusive"]) == ("tag", False)
    assert cookies(other) == ["a", "b"]
    assert len({client for client, _, _ in found["lockers"]}) == 2
    with pytest.raises(rbd.ImageExists):
        other.lock_shared("b", "tag")
    with pytest.raises(rbd.ImageBusy):
        other.lock_shared("c", "another tag")
    with pytest.raises(rbd.ImageBusy):
        other.lock_exclusive("c")
    rbd_image.unlock("a")
    other.unlock("b")


def test_many_long_and_empty_cookies_are_listed(rbd_image: rbd.Image) -> None:
    # Each of the four returned lists needs a buffer of another size.
    names = ["", "ä", "x" * 2000, *(f"cookie-{i}" for i in range(60))]
    tag = "t" * 3000
    for name in names:
        rbd_image.lock_shared(name, tag)
    found = rbd_image.list_lockers()
    assert found["tag"] == tag
    assert cookies(rbd_image) == sorted(names)
    assert all(client.startswith("client.") and address for client, _, address in found["lockers"])
    for name in names:
        rbd_image.unlock(name)
    assert rbd_image.list_lockers() == []


def test_names_may_be_bytes(rbd_image: rbd.Image) -> None:
    rbd_image.lock_shared(b"cookie", b"tag")
    assert cookies(rbd_image) == ["cookie"]
    rbd_image.unlock("cookie")


def test_another_clients_lock_can_be_broken(rbd_image: rbd.Image, other: rbd.Image) -> None:
    other.lock_exclusive("theirs")
    ((client, cookie, _),) = rbd_image.list_lockers()["lockers"]
    with pytest.raises(rbd.ImageNotFound):
        rbd_image.break_lock(client, "no such cookie")
    with pytest.raises(rbd.ImageNotFound):
        rbd_image.break_lock(client="client.999999999", cookie=cookie)
    with pytest.raises(rbd.InvalidArgument) as error:
        rbd_image.break_lock("nobody", cookie)
    assert error.value.errno == 22
    rbd_image.break_lock(client=client, cookie=cookie)
    assert rbd_image.list_lockers() == []


def test_unlocking_an_unlocked_image_is_an_error(rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.ImageNotFound) as error:
        rbd_image.unlock("mine")
    assert error.value.errno == 2
    assert rbd_image.name in str(error.value)


# The exclusive lock


@locking
def test_an_acquired_lock_is_kept(rbd_image: rbd.Image, other: rbd.Image) -> None:
    assert rbd_image.is_exclusive_lock_owner() is False
    assert list(rbd_image.lock_get_owners()) == []
    rbd_image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    assert rbd_image.is_exclusive_lock_owner() is True
    assert other.is_exclusive_lock_owner() is False
    (owner,) = other.lock_get_owners()
    assert sorted(owner) == ["mode", "owner"]
    assert owner["mode"] == rbd.RBD_LOCK_MODE_EXCLUSIVE
    assert ":" in owner["owner"]
    with pytest.raises(rbd.ReadOnlyImage):
        other.lock_acquire(lock_mode=rbd.RBD_LOCK_MODE_EXCLUSIVE)
    with pytest.raises(rbd.ReadOnlyImage):
        other.write(b"x", 0)
    rbd_image.lock_release()
    other.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    assert other.is_exclusive_lock_owner() is True
    other.lock_release()
    assert list(rbd_image.lock_get_owners()) == []


@locking
def test_read_only_handles_cannot_list_lock_owners(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    """librbd's error is that of a wrong argument. The text says which handle is needed."""
    rbd_image.create_snap("s")
    with (
        rbd.Image(rbd_ioctx, rbd_image.name, read_only=True) as reader,
        rbd.Image(rbd_ioctx, rbd_image.name, "s") as snapshot,
    ):
        for image in (reader, snapshot):
            if not rbd.supports("rbd_snap_create2"):
                assert len(list(image.lock_get_owners())) <= 1
                continue
            with pytest.raises(rbd.InvalidArgument, match="open for writing"):
                image.lock_get_owners()
    rbd_image.remove_snap("s")


@locking
@pytest.mark.parametrize("kept", [False, True])
def test_a_rollback_refused_for_a_lock_names_the_lock(
    rbd_image: rbd.Image, other: rbd.Image, kept: bool
) -> None:
    rbd_image.create_snap("s")
    if kept:
        rbd_image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    else:
        rbd_image.write(b"x", 0)
    (owner,) = other.lock_get_owners()
    with pytest.raises(rbd.ReadOnlyImage, match="holds the exclusive lock") as error:
        other.rollback_to_snap("s")
    assert owner["owner"] in str(error.value)
    if not kept:
        # The remedy that the error names.
        other.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
        other.rollback_to_snap("s")
        other.lock_release()
    rbd_image.remove_snap("s")


@locking
def test_a_write_refused_for_a_lock_names_the_lock(rbd_image: rbd.Image, other: rbd.Image) -> None:
    rbd_image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    for call in (
        lambda: other.write(b"x", 0),
        lambda: other.discard(0, 1),
        lambda: other.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE),
    ):
        with pytest.raises(rbd.ReadOnlyImage, match="holds the exclusive lock"):
            call()


@locking
def test_a_read_only_image_is_refused_as_read_only(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    with rbd.Image(rbd_ioctx, rbd_image.name, read_only=True) as reader:
        with pytest.raises(rbd.ReadOnlyImage) as error:
            reader.write(b"x", 0)
        assert "lock" not in str(error.value)


def test_breaking_an_own_lock_does_not_blocklist_the_client(rbd_image: rbd.Image) -> None:
    rbd_image.lock_exclusive("mine")
    ((client, cookie, _),) = rbd_image.list_lockers()["lockers"]
    rbd_image.break_lock(client, cookie)
    assert rbd_image.list_lockers() == []
    rbd_image.write(b"x", 0)
    rbd_image.flush()


@locking
def test_another_clients_exclusive_lock_can_be_broken(
    rbd_image: rbd.Image, other: rbd.Image
) -> None:
    other.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    (owner,) = rbd_image.lock_get_owners()
    with pytest.raises(rbd.ImageBusy):
        rbd_image.lock_break(rbd.RBD_LOCK_MODE_EXCLUSIVE, "127.0.0.1:0/1")
    with pytest.raises(rbd.OperationNotSupported):
        rbd_image.lock_break(rbd.RBD_LOCK_MODE_SHARED, owner["owner"])
    rbd_image.lock_break(lock_mode=rbd.RBD_LOCK_MODE_EXCLUSIVE, lock_owner=owner["owner"])
    assert list(rbd_image.lock_get_owners()) == []
    rbd_image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    assert rbd_image.is_exclusive_lock_owner() is True


@locking
def test_lock_acquire_refuses_an_unknown_mode(rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.OperationNotSupported):
        rbd_image.lock_acquire(rbd.RBD_LOCK_MODE_SHARED)


@locking
def test_releasing_a_lock_that_is_not_held_is_an_error(rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.InvalidArgument) as error:
        rbd_image.lock_release()
    assert error.value.errno == 22


@pytest.mark.rbd_image(features=rbd.RBD_FEATURE_LAYERING)
def test_an_image_without_the_feature_refuses_the_exclusive_lock(rbd_image: rbd.Image) -> None:
    assert rbd_image.is_exclusive_lock_owner() is False
    for call in (
        lambda: rbd_image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE),
        rbd_image.lock_release,
        rbd_image.lock_get_owners,
        lambda: rbd_image.lock_break(rbd.RBD_LOCK_MODE_EXCLUSIVE, "127.0.0.1:0/1"),
    ):
        with pytest.raises(rbd.InvalidArgument):
            call()


@locking
def test_the_owner_iterator_outlives_its_image(rbd_image: rbd.Image) -> None:
    rbd_image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    owners = rbd_image.lock_get_owners()
    assert isinstance(owners, rbd.LockOwnerIterator)
    rbd_image.close()
    # The iterator lists when it is made: it can be read twice, and outlives the image.
    assert list(owners) == list(owners)
    assert len(owners) == 1


# Bad input

CALLS: Calls = [
    ("list_lockers", ()),
    ("lock_exclusive", ("cookie",)),
    ("lock_shared", ("cookie", "tag")),
    ("unlock", ("cookie",)),
    ("break_lock", ("client.1", "cookie")),
    ("is_exclusive_lock_owner", ()),
    ("lock_acquire", (rbd.RBD_LOCK_MODE_EXCLUSIVE,)),
    ("lock_release", ()),
    ("lock_get_owners", ()),
    ("lock_break", (rbd.RBD_LOCK_MODE_EXCLUSIVE, "127.0.0.1:0/1")),
]


@pytest.mark.parametrize(("method", "arguments"), CALLS)
def test_a_closed_image_is_refused(
    rbd_image: rbd.Image, method: str, arguments: Tuple[Any, ...]
) -> None:
    refuses_closed_image(rbd_image, method, arguments)


@pytest.mark.parametrize(("method", "arguments"), with_arguments(CALLS))
def test_wrong_types_are_refused(
    rbd_image: rbd.Image, method: str, arguments: Tuple[Any, ...]
) -> None:
    refuses_wrong_types(rbd_image, method, arguments)
    with pytest.raises(TypeError):
        getattr(rbd_image, method)()
    assert rbd_image.list_lockers() == []


@pytest.mark.parametrize("bad", ["a\0b", b"\0"])
def test_a_name_must_not_contain_nul(rbd_image: rbd.Image, bad: Any) -> None:
    with pytest.raises(ValueError, match="NUL"):
        rbd_image.lock_exclusive(bad)
    assert rbd_image.list_lockers() == []


def test_the_owner_iterator_needs_an_image() -> None:
    with pytest.raises(TypeError):
        rbd.LockOwnerIterator(3)


@pytest.mark.parametrize("size", [20 << 20, 2 << 20])
def test_a_handle_without_the_lock_has_the_new_size_after_its_resize(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image, size: int
) -> None:
    rbd_image.write(b"x", 0)
    assert rbd_image.is_exclusive_lock_owner()
    with rbd.Image(rbd_ioctx, rbd_image.get_name()) as other:
        other.resize(size)
        # librbd cuts writes at the end that it knows.
        assert other.write(b"end", size - 3) == 3
        assert other.read(size - 4, 9) == b"\0end"
