"""Code that a program may write: both type checkers must accept each line."""

from __future__ import annotations

import asyncio
import ctypes
import io
import mmap
from typing import Dict, List, Optional, Tuple

import numpy as np
from typing_extensions import assert_type

import rbd
import rbd.aio
import rbd.transfer
from rbd import rados
from rbd.types import AnyIoctx, ImageStat, LockerList, SnapshotEntry


class Pointer:
    """An ioctx of a program that calls the C library through ctypes."""

    io = ctypes.c_void_p()


def progress(done: int, total: int) -> Optional[int]:
    return -rbd.ECANCELED if done > total else None


def pool(ioctx: rados.Ioctx, pointer: Pointer) -> AnyIoctx:
    tool = rbd.RBD()
    tool.create(ioctx, "a", 1 << 30, features=rbd.RBD_FEATURE_LAYERING)
    tool.create(ioctx=pointer, name=b"b", size=1, order=22, journal_pool="j")
    tool.clone(ioctx, "a", "s", ioctx, "c")
    tool.clone(p_ioctx=ioctx, p_name="a", p_snapname="s", c_ioctx=ioctx, c_name="c")
    tool.remove(ioctx, "a", on_progress=progress)
    assert_type(tool.list(ioctx), List[str])
    assert_type([image["name"] for image in tool.list2(ioctx)], List[str])
    assert_type(tool.mirror_peer_get_attributes(ioctx, "uuid"), Dict[str, str])
    assert_type(tool.migration_status(ioctx, "a")["source_pool_id"], int)
    return ioctx if tool.namespace_exists(ioctx, "n") else pointer


def image(ioctx: rados.Ioctx) -> None:
    with rbd.Image(ioctx, "a", read_only=True) as opened:
        assert_type(opened, rbd.Image)
        assert_type(opened.name, Optional[str])
        assert_type(opened.stat(), ImageStat)
        assert_type(opened.read(0, 10), bytes)
        for target in (bytearray(4), memoryview(bytearray(4)), mmap.mmap(-1, 4)):
            assert_type(opened.readinto(target, 0), int)
        opened.write(np.zeros(8), np.int64(3))
        assert_type(opened.read_blocks([0, 1], 512), bytearray)
        grid = np.zeros((2, 512), np.uint8)
        assert_type(opened.read_blocks(np.array([0, 1]), 512, grid).shape, Tuple[int, int])
        for offset, length, exists in opened.diff(from_snapshot="s"):
            opened.diff_iterate(offset, length, None, lambda *extent: None, exists)
        for snapshot in opened.list_snaps():
            assert_type(snapshot, SnapshotEntry)
            assert_type(snapshot["id"], int)
        lockers = opened.list_lockers()
        if isinstance(lockers, dict):
            assert_type(lockers, LockerList)
        assert_type(opened.open_file(), io.BufferedReader)
        assert_type(opened.open_file("r+b"), io.BufferedRandom)
    by_id = rbd.Image(ioctx, image_id="1234")
    by_id.aio_read(0, 4, lambda completion, data: print(completion.get_return_value(), data))
    rbd.transfer.export_image(by_id, "a.raw", on_progress=progress)


async def awaited(ioctx: rados.Ioctx) -> Tuple[bytes, int]:
    async with rbd.aio.open(ioctx, "a") as opened:
        return await asyncio.gather(opened.read(0, 4096), opened.write(bytearray(4), 0))


def errors(ioctx: rados.Ioctx) -> Optional[int]:
    try:
        rbd.Image(ioctx, "a")
    except (rbd.ImageNotFound, FileNotFoundError) as error:
        return error.errno
    return None
