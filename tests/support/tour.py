"""Uses the whole package on one connection, and closes everything again.

    python tour.py ROUNDS

With LeakSanitizer in the process (`./dev sanitize python`), the leaks of the rounds are searched at
the end. That happens while the interpreter still lives, because the interpreter itself frees
little.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import io
import sys
import threading
from typing import Any, Callable, List

import rbd
import rbd.aio
import rbd.array
import rbd.transfer
from rbd.testing import LocalCluster

SIZE = 8 << 20
BLOCK = 4096


def tolerant(call: Callable[[], Any]) -> None:
    """Make a call that this Ceph, or the state of this cluster, may refuse."""
    with contextlib.suppress(rbd.Error):
        call()


def data(image: Any) -> None:
    """Move data in every way."""
    buffer = bytearray(BLOCK)
    offsets = [index * BLOCK for index in range(16)]
    image.write(b"A" * BLOCK, 0)
    image.writev([buffer, buffer], BLOCK)
    image.write_same(b"x" * 512, 0, BLOCK)
    image.write_blocks(bytes(16 * BLOCK), offsets)
    image.readinto(buffer, 0)
    image.readv([buffer], 0)
    image.read_blocks(offsets, BLOCK)
    image.compare_and_write(bytes(512), b"B" * 512, 0)
    with contextlib.suppress(rbd.CompareMismatch):
        image.compare_and_write(b"C" * 512, b"D" * 512, 0)
    image.discard(1 << 20, 1 << 20)
    image.write_zeroes(2 << 20, 1 << 20)
    with contextlib.suppress(rbd.InvalidArgument):
        image.read(SIZE * 2, 1)
    image.read_iterate(0, SIZE, lambda *_: None)
    with image.open_file("r+b") as file:
        file.write(b"E")
    disk = rbd.array.ImageArray(image, "u1", SIZE, mode="r+")
    disk[:BLOCK] = 7
    assert disk[0] == 7
    waited = [
        image.aio_read(0, BLOCK, lambda *_: None),
        image.aio_write(b"F" * BLOCK, 0, lambda _: None),
        image.aio_discard(3 << 20, 1 << 16, lambda _: None),
        image.aio_flush(lambda _: None),
    ]
    for completion in waited:
        completion.wait_for_complete_and_cb()
    image.flush()


async def in_a_loop(image: Any) -> None:
    """Move data in asyncio, with one cancelled call."""
    wrapped = rbd.aio.AsyncImage(image)
    await asyncio.gather(*(wrapped.read(index * BLOCK, BLOCK) for index in range(16)))
    await wrapped.write(b"G" * BLOCK, 0)
    task = asyncio.ensure_future(wrapped.read(0, BLOCK))
    await asyncio.sleep(0)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def about(image: Any) -> None:
    """Ask an image about itself, and change its settings."""
    for ask in (image.stat, image.id, image.features, image.flags, image.op_features, image.size):
        ask()
    for ask in (image.stripe_unit, image.overlap, image.get_name, image.create_timestamp):
        ask()
    image.metadata_set("key", "value")
    image.metadata_get("key")
    list(image.metadata_list())
    image.metadata_remove("key")
    image.config_set("rbd_cache", "true")
    image.config_get("rbd_cache")
    list(image.config_list())
    image.config_remove("rbd_cache")
    list(image.watchers_list())
    with image.on_update(lambda: None):
        image.resize(SIZE * 2, on_progress=lambda *_: 0)
        image.resize(SIZE)
    image.sparsify(BLOCK)


def locks(image: Any) -> None:
    """Use both kinds of locks. Afterwards librbd does not take the exclusive lock by itself."""
    image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    list(image.lock_get_owners())
    image.lock_release()
    image.lock_exclusive("cookie")
    image.list_lockers()
    image.unlock("cookie")


def snapshots(calls: Any, ioctx: Any, image: Any, name: str) -> None:
    """Use snapshots, differences, clones, copies and streams."""
    image.create_snap("one")
    image.write(b"H" * BLOCK, BLOCK)
    image.create_snap("two")
    list(image.list_snaps())
    image.diff_iterate(0, SIZE, "one", lambda *_: None)
    image.diff(from_snapshot="one")
    image.rollback_to_snap("one")
    image.set_snap("one")
    image.read(0, BLOCK)
    image.set_snap(None)
    image.protect_snap("one")
    calls.clone(ioctx, name, "one", ioctx, f"{name}-clone")
    list(image.list_children2())
    list(image.list_descendants())
    with rbd.Image(ioctx, f"{name}-clone") as clone:
        clone.get_parent_image_spec()
        clone.flatten(on_progress=lambda *_: 0)
    calls.remove(ioctx, f"{name}-clone")
    image.unprotect_snap("one")
    image.copy(ioctx, f"{name}-copy")
    calls.remove(ioctx, f"{name}-copy")
    stream = io.BytesIO()
    rbd.transfer.export_image(image, stream)
    stream.seek(0)
    rbd.transfer.import_image(stream, ioctx, f"{name}-import")
    calls.remove(ioctx, f"{name}-import")
    stream = io.BytesIO()
    rbd.transfer.export_diff(image, stream)
    stream.truncate(len(stream.getvalue()) - 1)
    stream.seek(0)
    with contextlib.suppress(rbd.Error, ValueError):
        rbd.transfer.import_diff(stream, image)
    for snapshot in ("one", "two"):
        image.remove_snap(snapshot)


def around(calls: Any, cluster: Any, ioctx: Any, name: str) -> None:
    """Use trash, groups, migration and the pool."""
    calls.trash_move(ioctx, name)
    (one,) = [one for one in calls.trash_list(ioctx) if one["name"] == name]
    calls.trash_get(ioctx, one["id"])
    calls.trash_restore(ioctx, one["id"], name)
    calls.group_create(ioctx, f"{name}-group")
    group = rbd.Group(ioctx, f"{name}-group")
    group.add_image(ioctx, name)
    list(group.list_images())
    group.create_snap("snap")
    list(group.list_snaps())
    group.remove_snap("snap")
    group.remove_image(ioctx, name)
    list(calls.group_list(ioctx))
    calls.group_remove(ioctx, f"{name}-group")
    calls.migration_prepare(ioctx, name, ioctx, name)
    calls.migration_status(ioctx, name)
    calls.migration_execute(ioctx, name, on_progress=lambda *_: 0)
    calls.migration_commit(ioctx, name)
    list(calls.config_list(ioctx))
    calls.pool_metadata_set(ioctx, name, "value")
    list(calls.pool_metadata_list(ioctx))
    calls.pool_metadata_remove(ioctx, name)
    calls.pool_stats_get(ioctx)
    calls.namespace_create(ioctx, f"{name}-space")
    calls.namespace_list(ioctx)
    calls.namespace_remove(ioctx, f"{name}-space")
    calls.list(ioctx)
    list(calls.list2(ioctx))
    # The other thread uses the pool's mode too.
    tolerant(lambda: calls.mirror_mode_set(ioctx, rbd.RBD_MIRROR_MODE_IMAGE))
    tolerant(lambda: calls.mirror_site_name_get(cluster))
    tolerant(lambda: list(calls.mirror_peer_list(ioctx)))
    tolerant(lambda: calls.mirror_image_status_summary(ioctx))
    with rbd.Image(ioctx, name) as image:
        tolerant(image.mirror_image_get_info)
        tolerant(image.mirror_image_get_status)
        tolerant(image.group)
    tolerant(lambda: calls.mirror_mode_set(ioctx, rbd.RBD_MIRROR_MODE_DISABLED))


def failures(calls: Any, ioctx: Any, image: Any) -> None:
    """Make calls that are refused, here and by the cluster, and callbacks that raise."""
    for call in (
        lambda: rbd.Image(ioctx, "not there"),
        lambda: calls.remove(ioctx, "not there"),
        lambda: image.remove_snap("not there"),
        lambda: image.resize(-1),
        lambda: image.write("text", 0),
        lambda: image.diff_iterate(0, SIZE, None, lambda *_: 1 // 0),
        lambda: image.read_iterate(0, SIZE, lambda *_: 1 // 0),
        lambda: image.resize(SIZE * 2, on_progress=lambda *_: 1 // 0),
    ):
        with contextlib.suppress(
            rbd.Error, OverflowError, TypeError, ValueError, ZeroDivisionError
        ):
            call()


def once(conffile: str, name: str) -> None:
    """Make one whole round."""
    calls = rbd.RBD()
    with rbd.connect(conffile) as cluster, cluster.open_ioctx("rbd") as ioctx:
        cluster.get_fsid()
        calls.create(ioctx, name, SIZE)
        with rbd.Image(ioctx, name) as image:
            data(image)
            asyncio.run(in_a_loop(image))
            about(image)
            snapshots(calls, ioctx, image, name)
            failures(calls, ioctx, image)
        with rbd.Image(ioctx, name) as image:
            locks(image)
        around(calls, cluster, ioctx, name)
        calls.remove(ioctx, name)
    gc.collect()


def rounds(conffile: str, number: int) -> None:
    """Make this many rounds, in each of two threads at once."""
    failed: List[BaseException] = []

    def go(name: str) -> None:
        try:
            for _ in range(number):
                once(conffile, name)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=go, args=(f"tour-{index}",)) for index in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed:
        raise error


def main() -> int:
    with LocalCluster() as cluster:
        rounds(cluster.conffile, int(sys.argv[1]))
    gc.collect()
    try:
        look = ctypes.CDLL(None).__lsan_do_recoverable_leak_check
    except AttributeError:
        print("this process has no LeakSanitizer", file=sys.stderr)
        return 2
    return int(look() != 0)


if __name__ == "__main__":
    sys.exit(main())
