"""I/O contexts of the stock rados module, in use, closed, and shut down."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
from typing import Any, Callable, Tuple

import pytest

import rbd
from support import fakerbd, isolated, stock_rados
from support.fakerbd import Shim
from support.location import (
    LIMIT,
    SIZE,
    SOAK,
    Where,
    connect,
    raised_by,
    refused,
    without_stale_cache,
)
from support.public_surface import candidates, methods, required

pytestmark = [pytest.mark.timeout(LIMIT + 20)]


needs_stock = pytest.mark.skipif(
    stock_rados.rados_file() is None,
    reason=f"no stock rados module for this interpreter ({stock_rados.SUFFIX})",
)


def stock_context(where: Where) -> Tuple[Any, Any]:
    # Ceph 14's cache has a thread for each image, which ends the process within a second after the
    # connection has ended.
    cluster = stock_rados.rados().Rados(conffile=where[0], conf=without_stale_cache())
    cluster.connect()
    ioctx = cluster.open_ioctx(where[1])
    ioctx.set_namespace(where[2])
    return cluster, ioctx


def disconnected(call: Callable[[], Any]) -> None:
    """Check that the call reports a lost connection, also as a closed image."""
    error = raised_by(call)
    assert isinstance(error, rbd.ConnectionShutdown), repr(error)
    assert isinstance(error, rbd.InvalidArgument), repr(error)
    assert error.errno is None, error


def stock_in_use(where: Where) -> None:
    cluster, ioctx = stock_context(where)
    assert where[3] in rbd.RBD().list(ioctx)
    image = rbd.Image(ioctx, where[3])
    # The image keeps what it needs after its owners drop it.
    del cluster, ioctx
    gc.collect()
    assert image.read(0, 4) == b"AAAA"
    assert image.write(b"S" * 512, 512) == 512
    image.close()


def stock_with_own_lock(where: Where) -> None:
    """To break a lock of its own client must not put the connection on the blocklist."""
    cluster, ioctx = stock_context(where)
    with rbd.Image(ioctx, where[3]) as image:
        image.lock_exclusive("mine")
        ((client, cookie, _),) = image.list_lockers()["lockers"]
        image.break_lock(client, cookie)
        assert image.list_lockers() == []
        image.write(b"S", 0)
        image.flush()
    ioctx.close()
    cluster.shutdown()


def stock_closed(where: Where) -> None:
    cluster, ioctx = stock_context(where)
    image = rbd.Image(ioctx, where[3])
    ioctx.close()
    for _ in range(2):
        refused(lambda: rbd.RBD().list(ioctx))
        refused(lambda: rbd.RBD().create(ioctx, "never", SIZE))
        refused(lambda: rbd.Image(ioctx, where[3]))
    # An open image has a separate share of the context.
    assert image.read(0, 4) == b"AAAA"
    image.close()
    cluster.shutdown()


def stock_shut_down(where: Where) -> None:
    cluster, ioctx = stock_context(where)
    images = [rbd.Image(ioctx, where[3], read_only=True) for _ in range(4)]
    cluster.shutdown()
    refused(lambda: rbd.RBD().list(ioctx))
    refused(lambda: rbd.Image(ioctx, where[3]))
    images[0].close()
    with images[1]:
        pass
    images[2] = None
    gc.collect()
    refused(images[0].size)
    # The last one ends with the interpreter.


def stock_shut_down_under_everything(where: Where) -> None:
    """Every later call is refused, and nothing hangs."""
    cluster, ioctx = stock_context(where)
    _connection, ours = connect(where)
    image, late = rbd.Image(ioctx, where[3]), rbd.Image(ioctx, where[3], read_only=True)
    group = rbd.Group(ioctx, "none")
    watch = image.on_update(lambda: None)
    file, array = image.open_file(), rbd.ImageArray(image, "u1", (16,))
    capsule = image.__rbdxx_image__()
    image.write(b"W" * 4096, 0)
    image.flush()
    cluster.shutdown()
    tried = set()
    for name in sorted({*methods(image)} - {"close", "open_file", "require_not_closed"}):
        method = getattr(image, name)
        choices = [candidates(one, ours, image) for one in required(method) or ()]
        for values in itertools.product(*choices):
            error = raised_by(functools.partial(method, *values))
            if not isinstance(error, (TypeError, ValueError)):
                break
        assert isinstance(error, rbd.ConnectionShutdown), (name, values, error)
        tried.add(name)
    assert {"read", "write", "readinto", "size", "flush", "aio_read", "read_blocks"} <= tried
    for call in (
        lambda: file.read(1),
        lambda: array[0],
        lambda: late.read(0, 1),
        lambda: list(late.list_snaps()),
    ):
        disconnected(call)
    refused(lambda: list(group.list_images()))
    watch.close()
    image.close()
    refused(lambda: image.read(0, 1))
    refused(image.size)
    del capsule
    # The other one ends with the interpreter.


async def use_in_loop(where: Where) -> None:
    cluster, ioctx = stock_context(where)
    image = await rbd.aio.open(ioctx, where[3])
    assert await image.read(0, 4) == b"AAAA"
    cluster.shutdown()
    for _ in range(2):
        with pytest.raises(rbd.ConnectionShutdown):
            await image.read(0, 4)
        with pytest.raises(rbd.ConnectionShutdown):
            await image.write(b"x", 0)
    await image.close()


def stock_shut_down_in_a_loop(where: Where) -> None:
    asyncio.run(use_in_loop(where))


def stock_shut_down_and_dropped(where: Where) -> None:
    cluster, ioctx = stock_context(where)
    image = rbd.Image(ioctx, where[3])
    image.write(b"W" * 4096, 0)
    cluster.shutdown()
    del cluster, ioctx, image
    gc.collect()


def stock_shut_down_in_flight(where: Where) -> None:
    """Shut down while calls are under way whose completions never come."""
    cluster, ioctx = stock_context(where)
    image = rbd.Image(ioctx, where[3])
    image.write(b"W" * 4096, 0)
    image.on_update(lambda: None)
    Shim().late(10**8)
    completions = [image.aio_write(b"x" * 4096, at << 16, None) for at in range(16)]
    image.flush()
    cluster.shutdown()
    for completion in completions:
        assert not completion.is_complete()
        disconnected(completion.wait_for_complete_and_cb)
    disconnected(lambda: image.aio_close(None))
    image.close()
    image.close()
    refused(image.size)
    refused(lambda: image.aio_read(0, 1, None))


@needs_stock
@pytest.mark.parametrize(
    "scenario",
    [
        stock_in_use,
        stock_with_own_lock,
        stock_closed,
        stock_shut_down,
        stock_shut_down_under_everything,
        stock_shut_down_in_a_loop,
        stock_shut_down_and_dropped,
    ],
)
def test_a_stock_context_works_until_it_ends(where: Where, scenario: Callable[..., None]) -> None:
    # A second round may have to wait for the lock of an image that the first one left open.
    for _ in range(20 if SOAK else 1):
        isolated.run(scenario, where)


@needs_stock
@fakerbd.needs_compiler
def test_losing_a_stock_context_in_flight_is_safe(shimmed: Callable[..., Any]) -> None:
    shimmed(stock_shut_down_in_flight)
