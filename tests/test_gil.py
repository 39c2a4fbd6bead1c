"""No call of the C library, which may wait for the cluster, blocks Python's other threads."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from typing import Any, Awaitable, Callable, List

import pytest

import rbd
import rbd.aio
from support import fakerbd
from support.fakerbd import Kind, Shim
from support.fakerbd.driving import everything
from support.location import LIMIT, SIZE, Where, open_all

pytestmark = [pytest.mark.timeout(LIMIT + 20), fakerbd.needs_compiler]

# These functions only queue something, or make and free its holder.
AT_ONCE = {
    "rbd_aio_create_completion",
    "rbd_aio_get_return_value",
    "rbd_aio_open",
    "rbd_aio_open_by_id",
    "rbd_aio_open_by_id_read_only",
    "rbd_aio_open_read_only",
    "rbd_aio_release",
    "rbd_version",
}


def call_everything(where: Where) -> List[str]:
    shim = Shim()
    _cluster, ioctx, image = open_all(where)
    driven = everything(shim, ioctx, image)
    assert len(driven) > 100
    shim.watch_lock()
    for one in driven:
        with contextlib.suppress(Exception), shim.fault("*", Kind.ERROR, errno.EIO):
            one()
    # The image belongs to the test, so what follows the first call of each method is called too.
    for one in driven:
        if one.name.startswith("Image."):
            with contextlib.suppress(Exception):
                one()
    image.close()
    return sorted(shim.held() - AT_ONCE)


def test_every_method_releases_the_interpreter_lock(shimmed: Callable[..., Any]) -> None:
    assert shimmed(call_everything) == []


def await_everything(where: Where) -> List[str]:
    shim = Shim()
    _cluster, ioctx, _image = open_all(where)
    buffer = bytearray(4096)

    async def run() -> None:
        async with rbd.aio.open(ioctx, where[3]) as image:
            calls: List[Awaitable[Any]] = [
                image.read(0, 4096),
                image.read(0, SIZE),
                image.readinto(buffer, 0),
                image.write(buffer, 0),
                image.readv([buffer], 0),
                image.writev([buffer], 0),
                image.write_zeroes(0, 4096),
                image.write_same(b"s" * 512, 0, 4096),
                image.compare_and_write(b"s" * 512, b"t" * 512, 0),
                image.discard(0, 4096),
                image.flush(),
            ]
            await asyncio.gather(*calls, return_exceptions=True)

    shim.watch_lock()
    asyncio.run(run())
    assert shim.calls("rbd_get_size") > 0
    return sorted(shim.held() - AT_ONCE)


def test_every_awaited_call_releases_the_interpreter_lock(shimmed: Callable[..., Any]) -> None:
    assert shimmed(await_everything) == []
