"""Every change of an image releases an exclusive lock that an outage has left behind."""

from __future__ import annotations

import asyncio
import concurrent.futures
import errno
import io
import time
from typing import Any, Callable, Dict, List, Optional, Tuple

import pytest

import rbd
import rbd.aio
import rbd.rados
from rbd import transfer
from rbd.testing import Cluster
from support.checksums import crc32c
from support.daemons import eventually
from support.left_behind import COOKIE, is_there, leave_behind, lock_header

SIZE = 64 << 20
BLOCK = 1 << 16
LOCKED = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK
OBJECT_MAP = rbd.RBD_FEATURE_OBJECT_MAP
BEFORE, AFTER, ZEROES = b"b" * BLOCK, b"a" * BLOCK, bytes(BLOCK)


def finish(image: rbd.Image, method: str, *arguments: Any) -> None:
    """Call one of the aio_* methods. Its completion is not complete before it has succeeded."""
    results: List[Any] = []
    completion = getattr(image, method)(*arguments, lambda _, *more: results.append(more))
    while not completion.is_complete():
        assert completion.get_return_value() == 0
        time.sleep(0.001)
    assert completion.get_return_value() == 0
    completion.wait_for_complete_and_cb()
    assert len(results) == 1


def wait(image: rbd.Image, method: str, *arguments: Any) -> None:
    async def call() -> None:
        opened = rbd.aio.AsyncImage(image)
        await getattr(opened, method)(*arguments)

    asyncio.run(call())


def restore(image: rbd.Image) -> None:
    data = b"w" + (0).to_bytes(8, "little") + BLOCK.to_bytes(8, "little") + AFTER
    size = b"s" + SIZE.to_bytes(8, "little")
    transfer.import_diff(io.BytesIO(b"rbd diff v1\n" + size + data + b"e"), image)


def assign(image: rbd.Image) -> None:
    rbd.ImageArray(image, "u1", (BLOCK,), mode="r+")[:] = ord("a")


def write_file(image: rbd.Image) -> None:
    with image.open_file("r+b") as file:
        file.write(AFTER)


#: Every way to change an image, with the block at its beginning afterwards.
WAYS: Dict[str, Tuple[Callable[[rbd.Image], Any], bytes]] = {
    "write": (lambda image: image.write(AFTER, 0), AFTER),
    "discard": (lambda image: image.discard(0, BLOCK), ZEROES),
    "write_same": (lambda image: image.write_same(b"a" * 512, 0, BLOCK), AFTER),
    "write_blocks": (lambda image: image.write_blocks(AFTER, range(0, BLOCK, 512)), AFTER),
    "writev": (lambda image: image.writev([AFTER[:1000], AFTER[1000:]], 0), AFTER),
    "aio_write": (lambda image: finish(image, "aio_write", AFTER, 0), AFTER),
    "aio_discard": (lambda image: finish(image, "aio_discard", 0, BLOCK), ZEROES),
    "aio_write_zeroes": (lambda image: finish(image, "aio_write_zeroes", 0, BLOCK), ZEROES),
    "aio_write_with_crc32c": (
        # The checksum of "a"s, begun with all bits set and not inverted at the end.
        lambda image: finish(image, "aio_write_with_crc32c", AFTER, 0, crc32c(AFTER)),
        AFTER,
    ),
    "aio_compare_and_writev": (
        lambda image: finish(image, "aio_compare_and_writev", [b"b" * 512], [b"a" * 512], 0),
        AFTER[:512] + BEFORE[512:],
    ),
    "await write": (lambda image: wait(image, "write", AFTER, 0), AFTER),
    "await writev": (lambda image: wait(image, "writev", [AFTER], 0), AFTER),
    "await discard": (lambda image: wait(image, "discard", 0, BLOCK), ZEROES),
    "await write_zeroes": (lambda image: wait(image, "write_zeroes", 0, BLOCK), ZEROES),
    "await write_same": (lambda image: wait(image, "write_same", b"a" * 512, 0, BLOCK), AFTER),
    "await compare_and_write": (
        lambda image: wait(image, "compare_and_write", b"b" * 512, b"a" * 512, 0),
        AFTER[:512] + BEFORE[512:],
    ),
    "write_zeroes": (lambda image: image.write_zeroes(0, BLOCK), ZEROES),
    "compare_and_write": (
        lambda image: image.compare_and_write(b"b" * 512, b"a" * 512, 0),
        AFTER[:512] + BEFORE[512:],
    ),
    "flush": (lambda image: image.flush(), BEFORE),
    "aio_flush": (lambda image: finish(image, "aio_flush"), BEFORE),
    "await flush": (lambda image: wait(image, "flush"), BEFORE),
    "resize": (lambda image: image.resize(SIZE * 2), BEFORE),
    "sparsify": (lambda image: image.sparsify(4096), BEFORE),
    "update_features": (lambda image: image.update_features(OBJECT_MAP, True), BEFORE),
    "metadata_set": (lambda image: image.metadata_set("key", "value"), BEFORE),
    "metadata_remove": (lambda image: image.metadata_remove("there"), BEFORE),
    "create_snap": (lambda image: image.create_snap("new"), BEFORE),
    "remove_snap": (lambda image: image.remove_snap("there"), BEFORE),
    "remove_snap2": (lambda image: image.remove_snap2("there", 0), BEFORE),
    "remove_snap_by_id": (
        lambda image: image.remove_snap_by_id(image.snap_get_id("there")),
        BEFORE,
    ),
    "rename_snap": (lambda image: image.rename_snap("there", "here"), BEFORE),
    "protect_snap": (lambda image: image.protect_snap("there"), BEFORE),
    "unprotect_snap": (lambda image: image.unprotect_snap("protected"), BEFORE),
    "flatten": (lambda image: image.flatten(), BEFORE),
    "rebuild_object_map": (lambda image: image.rebuild_object_map(), BEFORE),
    "set_snap_limit": (lambda image: image.set_snap_limit(7), BEFORE),
    "rollback_to_snap": (lambda image: image.rollback_to_snap("there"), ZEROES),
    "import_diff": (restore, AFTER),
    "array": (assign, AFTER),
    "file": (write_file, AFTER),
}
NEEDS = {
    "write_zeroes": "rbd_write_zeroes",
    "compare_and_write": "rbd_compare_and_write",
    "remove_snap_by_id": "rbd_snap_get_id",
    "aio_write_zeroes": "rbd_aio_write_zeroes",
    "await write_zeroes": "rbd_aio_write_zeroes",
    "aio_write_with_crc32c": "rbd_aio_write_with_crc32c",
    "aio_compare_and_writev": "rbd_aio_compare_and_writev",
}


def in_group(ioctx: rbd.rados.Ioctx, name: str) -> rbd.Group:
    rbd.RBD().group_create(ioctx, name)
    group = rbd.Group(ioctx, name)
    group.add_image(ioctx, name)
    group.create_snap("old")
    return group


def move_to_trash(ioctx: rbd.rados.Ioctx, name: str) -> str:
    """Move the image to the trash, and leave its lock behind there."""
    with rbd.Image(ioctx, name, read_only=True) as image:
        image_id = image.id()
    rbd.RBD().trash_move(ioctx, name)
    lock_header(ioctx, f"rbd_header.{image_id}")
    return image_id


#: Every way to change an image by its name, after a preparation before the outage. The result of
#: the preparation is the second argument.
BY_NAME: Dict[str, Tuple[Callable[..., Any], Callable[..., Any]]] = {
    "rename": (lambda *_: None, lambda ioctx, name, _: rbd.RBD().rename(ioctx, name, "new")),
    "remove": (lambda *_: None, lambda ioctx, name, _: rbd.RBD().remove(ioctx, name)),
    "trash_move": (lambda *_: None, lambda ioctx, name, _: rbd.RBD().trash_move(ioctx, name)),
    "trash_remove": (move_to_trash, lambda ioctx, _, found: rbd.RBD().trash_remove(ioctx, found)),
    "migration_prepare": (
        lambda *_: None,
        lambda ioctx, name, _: rbd.RBD().migration_prepare(ioctx, name, ioctx, "migrated"),
    ),
    "Group.create_snap": (in_group, lambda _ioctx, _name, group: group.create_snap("new")),
    "Group.rollback_to_snap": (
        in_group,
        lambda _ioctx, _name, group: group.rollback_to_snap("old"),
    ),
}


def enable(image: rbd.Image) -> None:
    image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)


def demote(image: rbd.Image) -> None:
    enable(image)
    image.mirror_image_demote()


#: Every way to change what an image is, after a preparation before the outage.
STATES: Dict[str, Tuple[Callable[[rbd.Image], None], Callable[[rbd.Image], Any]]] = {
    "encryption_format": (
        lambda image: None,
        lambda image: image.encryption_format(rbd.RBD_ENCRYPTION_FORMAT_LUKS1, "secret"),
    ),
    "mirror_image_enable": (lambda image: None, enable),
    "mirror_image_demote": (enable, lambda image: image.mirror_image_demote()),
    "mirror_image_promote": (demote, lambda image: image.mirror_image_promote(False)),
    "mirror_image_create_snapshot": (enable, lambda image: image.mirror_image_create_snapshot()),
    "aio_mirror_image_demote": (enable, lambda image: finish(image, "aio_mirror_image_demote")),
    "aio_mirror_image_promote": (
        demote,
        lambda image: finish(image, "aio_mirror_image_promote", False),
    ),
    "aio_mirror_image_create_snapshot": (
        enable,
        lambda image: finish(image, "aio_mirror_image_create_snapshot", 0),
    ),
}


def create(ioctx: rbd.rados.Ioctx, name: str) -> str:
    """Make an image of one block with a lock left behind. Return the object that has the lock."""
    features = LOCKED | (OBJECT_MAP if name == "rebuild_object_map" else 0)
    if name == "flatten":
        rbd.RBD().create(ioctx, "parent", SIZE)
        with rbd.Image(ioctx, "parent") as parent:
            parent.create_snap("there")
            parent.protect_snap("there")
        rbd.RBD().clone(ioctx, "parent", "there", ioctx, name, features=features)
    else:
        rbd.RBD().create(ioctx, name, SIZE, features=features)
    with rbd.Image(ioctx, name) as image:
        image.create_snap("there")
        if name == "unprotect_snap":
            image.create_snap("protected")
            image.protect_snap("protected")
        image.metadata_set("there", "value")
        image.write(BEFORE, 0)
    return leave_behind(ioctx, name)


def take(image: rbd.Image, ioctx: rbd.rados.Ioctx, header: str) -> str:
    """Put a lock of the handle's own watch on its image. Return the lock's cookie.

    That is so after an outage if the handle did not learn that it got the lock, or if the closed
    handle's watch had the same number.
    """
    assert not is_there(ioctx, header), "the lock for closed images is in the way"
    (watcher,) = image.watchers_list()
    cookie = f"auto {watcher['cookie']}"
    lock_header(ioctx, header, cookie)
    return cookie


@pytest.mark.parametrize("own", [False, True], ids=["closed", "own"])
def test_every_change_releases_a_lock_left_behind(rbd_ioctx: rbd.rados.Ioctx, own: bool) -> None:
    """The lock belongs to a closed handle, or to the very handle that does not know it."""

    def problem(way: str) -> Optional[str]:
        write, expected = WAYS[way]
        header = create(rbd_ioctx, way)
        cookie = COOKIE
        if own:
            assert is_there(rbd_ioctx, header)
        with rbd.Image(rbd_ioctx, way) as image:
            if own:
                cookie = take(image, rbd_ioctx, header)
            write(image)
            image.flush()
            found = image.read(0, BLOCK)
            # Some changes need no lock on some releases.
            image.write(AFTER, SIZE - BLOCK)
        there = is_there(rbd_ioctx, header, cookie)
        if found != expected:
            return f"{way}: {found[:8]!r}"
        if there:
            return f"{way}: the lock is still there"
        return None

    ways = [way for way in WAYS if way not in NEEDS or rbd.supports(NEEDS[way])]
    # Each of them waits.
    with concurrent.futures.ThreadPoolExecutor(len(ways)) as pool:
        outcomes = list(pool.map(problem, ways))
    assert [outcome for outcome in outcomes if outcome] == []


@pytest.mark.needs("rbd_encryption_format", "rbd_mirror_image_create_snapshot")
@pytest.mark.parametrize("own", [False, True], ids=["closed", "own"])
def test_every_change_of_state_releases_a_lock_left_behind(
    new_pool: rbd.rados.Ioctx, own: bool
) -> None:
    rbd.RBD().mirror_mode_set(new_pool, rbd.RBD_MIRROR_MODE_IMAGE)
    # Mirror snapshots are for somebody.
    rbd.RBD().mirror_peer_add(new_pool, "elsewhere", "client.mirror")

    def problem(way: str) -> Optional[str]:
        before, change = STATES[way]
        rbd.RBD().create(new_pool, way, SIZE, features=LOCKED)
        with rbd.Image(new_pool, way) as image:
            before(image)
            header = f"rbd_header.{image.id()}"
        cookie = COOKIE
        if not own:
            leave_behind(new_pool, way)
        with rbd.Image(new_pool, way) as image:
            if own:
                cookie = take(image, new_pool, header)
            try:
                change(image)
            except rbd.Error as error:
                return f"{way}: {error!r}"
            if way == "mirror_image_enable":
                state = image.mirror_image_get_info()["state"]
                assert state == rbd.RBD_MIRROR_IMAGE_ENABLED
            if way.endswith("create_snapshot"):
                (snap,) = [
                    snap
                    for snap in image.list_snaps()
                    if snap["namespace"] == rbd.RBD_SNAP_NAMESPACE_TYPE_MIRROR
                ][1:]
                assert snap["mirror"]["complete"]
        there = is_there(new_pool, header, cookie)
        return f"{way}: the lock is still there" if there else None

    ways = [way for way in STATES if rbd.supports(f"rbd_{way}") or not way.startswith("aio_")]
    with concurrent.futures.ThreadPoolExecutor(len(ways)) as pool:
        outcomes = list(pool.map(problem, ways))
    assert [outcome for outcome in outcomes if outcome] == []


def test_every_change_by_name_releases_a_lock_left_behind(new_pool: rbd.rados.Ioctx) -> None:
    def problem(way: str) -> Optional[str]:
        before, change = BY_NAME[way]
        rbd.RBD().create(new_pool, way, SIZE, features=LOCKED)
        with rbd.Image(new_pool, way, read_only=True) as image:
            header = f"rbd_header.{image.id()}"
        found = before(new_pool, way)
        if way != "trash_remove":
            leave_behind(new_pool, way)
        try:
            change(new_pool, way, found)
        except rbd.Error as error:
            return f"{way}: {error!r}"
        if way == "rename" and not rbd.supports("rbd_quiesce_watch"):
            # Ceph 14 renames without the lock.
            return None
        return f"{way}: the lock is still there" if is_there(new_pool, header) else None

    with concurrent.futures.ThreadPoolExecutor(len(BY_NAME)) as pool:
        outcomes = list(pool.map(problem, BY_NAME))
    assert [outcome for outcome in outcomes if outcome] == []


def test_the_lock_of_another_handle_stays(rbd_ioctx: rbd.rados.Ioctx) -> None:
    """A call that fails for a snapshot with the same name is not taken for a lock left behind."""
    rbd.RBD().create(rbd_ioctx, "two", SIZE, features=LOCKED)
    with rbd.Image(rbd_ioctx, "two") as owner, rbd.Image(rbd_ioctx, "two") as other:
        owner.create_snap("there")
        owner.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
        with pytest.raises(rbd.ImageExists):
            other.create_snap("there")
        assert owner.is_exclusive_lock_owner()
        owner.write(AFTER, 0)
        assert len(owner.list_lockers()["lockers"]) == 1


def test_many_calls_release_a_lock_at_once(rbd_ioctx: rbd.rados.Ioctx) -> None:
    """All refused calls recover, from threads and loops alike."""
    header = create(rbd_ioctx, "many")

    async def run(image: rbd.Image) -> None:
        opened = rbd.aio.AsyncImage(image)
        await asyncio.gather(*(opened.write(AFTER, at * BLOCK) for at in range(500)))

    with rbd.Image(rbd_ioctx, "many") as image:
        completions = [image.aio_write(AFTER, at * BLOCK, None) for at in range(500, 600)]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for at in range(600, 608):
                pool.submit(image.write, AFTER, at * BLOCK)
            asyncio.run(run(image))
        for completion in completions:
            completion.wait_for_complete_and_cb()
            assert completion.get_return_value() == 0
        assert image.read(0, 608 * BLOCK) == AFTER * 608
    assert not is_there(rbd_ioctx, header)


def test_closing_waits_for_the_recovery(rbd_ioctx: rbd.rados.Ioctx) -> None:
    header = create(rbd_ioctx, "closed")
    image = rbd.Image(rbd_ioctx, "closed")
    called: List[int] = []
    completion = image.aio_write(AFTER, 0, lambda done: called.append(done.get_return_value()))
    # By then the call is refused. A close in between may leave it so.
    time.sleep(0.5)
    image.close()
    completion.wait_for_complete_and_cb()
    assert called in ([0], [-errno.EINVAL])
    with rbd.Image(rbd_ioctx, "closed") as again:
        assert again.read(0, BLOCK) == (BEFORE if called[0] else AFTER)
    is_there(rbd_ioctx, header)


def test_another_client_s_lock_stays(
    rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    """The client that is refused for the lock learns that at once."""
    name = "theirs"
    rbd.RBD().create(rbd_ioctx, name, SIZE, features=LOCKED)
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_ioctx.get_pool_name()) as ioctx:
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        with rbd.Image(ioctx, name) as theirs, rbd.Image(rbd_ioctx, name) as image:
            theirs.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
            for call in (
                lambda: wait(image, "write", AFTER, 0),
                lambda: wait(image, "writev", [AFTER], 0),
                lambda: wait(image, "discard", 0, BLOCK),
            ):
                with pytest.raises(rbd.ReadOnlyImage):
                    call()
            completion = image.aio_write(AFTER, 0, None)
            completion.wait_for_complete_and_cb()
            assert completion.is_complete()
            assert completion.get_return_value() == -errno.EROFS
            for blocking in (
                lambda: image.write_blocks(AFTER, [0]),
                lambda: image.writev([AFTER], 0),
                lambda: restore(image),
            ):
                with pytest.raises(rbd.ReadOnlyImage, match="holds the exclusive lock"):
                    blocking()
            assert theirs.is_exclusive_lock_owner()


def resizable(data: bytearray) -> bool:
    try:
        data.append(0)
    except BufferError:
        return False
    return True


def test_a_cancelled_write_keeps_its_buffer_during_recovery(rbd_ioctx: rbd.rados.Ioctx) -> None:
    """The write continues without a waiter, and its buffer is kept."""
    header = create(rbd_ioctx, "cancelled")
    data = bytearray(AFTER)

    async def run(image: rbd.Image) -> None:
        task = asyncio.ensure_future(rbd.aio.AsyncImage(image).write(data, 0))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(BufferError):
            data.append(0)

    image = rbd.Image(rbd_ioctx, "cancelled")
    asyncio.run(run(image))
    image.close()
    assert eventually(lambda: resizable(data))
    is_there(rbd_ioctx, header)
