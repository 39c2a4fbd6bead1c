"""Data in librbd's cache that cannot be saved when the image is closed."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import ctypes
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

import rbd
import rbd.aio
from rbd.testing import LocalCluster
from support import isolated
from support.capsules import functions, lent_by
from support.client_keys import key_of

BLOCK = 4096
SIZE = 8 << 20
# Writes return as soon as their data is in the cache.
CONF = {
    "rbd_cache": "true",
    "rbd_cache_writethrough_until_flush": "false",
    "rbd_cache_max_dirty_age": "60",
}
if rbd.library_info().version >= (1, 16, 0):
    # Ceph 14 does not know other policies.
    CONF["rbd_cache_policy"] = "writeback"
Call = Callable[[rbd.Image], Any]


def completed(submit: Callable[[Callable[[Any], None]], Any]) -> None:
    """Wait for a call with a callback, and raise its error."""
    done = threading.Event()
    results = []

    def note(completion: Any) -> None:
        results.append(completion.get_return_value())
        done.set()

    submit(note)
    assert done.wait(60)
    if results[0] < 0:
        raise rbd.OSError("completed", errno=-results[0])


def opened_without_waiting(ioctx: Any, name: str) -> rbd.Image:
    images: List[rbd.Image] = []

    def submit(note: Callable[[Any], None]) -> None:
        def opened(completion: Any, image: rbd.Image) -> None:
            images.append(image)
            note(completion)

        rbd.RBD().aio_open_image(opened, ioctx, name)

    completed(submit)
    return images[0]


async def awaited_write(image: rbd.Image) -> None:
    await rbd.aio.AsyncImage(image).write(b"lost", 0)


async def awaited_discard(image: rbd.Image) -> None:
    await rbd.aio.AsyncImage(image).discard(0, image.size())


async def awaited_flush(image: rbd.Image) -> None:
    await rbd.aio.AsyncImage(image).flush()


async def awaited_write_and_flush(image: rbd.Image) -> None:
    disk = rbd.aio.AsyncImage(image)
    await disk.write(b"data", 0)
    await disk.flush()


async def awaited_close(image: rbd.Image) -> None:
    disk = rbd.aio.AsyncImage(image)
    closes = [asyncio.create_task(disk.close()) for _ in range(2)]
    await asyncio.wait(closes)
    errors = [close.exception() for close in closes]
    assert all(errors), errors
    await closes[0]


async def left(image: rbd.Image) -> None:
    async with rbd.aio.AsyncImage(image):
        pass


WRITES: Dict[str, Call] = {
    "write": lambda image: image.write(b"lost", 0),
    "write_blocks": lambda image: image.write_blocks(b"lost" * 2, [0, 8]),
    "aio_write": lambda image: completed(lambda note: image.aio_write(b"lost", 0, note)),
    "awaited": lambda image: asyncio.run(awaited_write(image)),
}
if rbd.supports("rbd_aio_writev"):
    WRITES["writev"] = lambda image: image.writev([b"lo", b"st"], 0)
FLUSHES: Dict[str, Call] = {
    "flush": lambda image: image.flush(),
    "aio_flush": lambda image: completed(image.aio_flush),
    "awaited flush": lambda image: asyncio.run(awaited_flush(image)),
}
CLOSES: Dict[str, Call] = {
    "close": lambda image: image.close(),
    "with": lambda image: image.__exit__(None, None, None),
    "aio_close": lambda image: completed(image.aio_close),
    "awaited close": lambda image: asyncio.run(awaited_close(image)),
    "async with": lambda image: asyncio.run(left(image)),
}


#: Changes that leave zeroes. librbd reports them before the cluster has them, with some caches.
CLEARINGS: Dict[str, Call] = {
    "discard": lambda image: image.discard(0, image.size()),
    "aio_discard": lambda image: completed(lambda note: image.aio_discard(0, SIZE, note)),
    "awaited discard": lambda image: asyncio.run(awaited_discard(image)),
}
if rbd.supports("rbd_write_zeroes"):
    CLEARINGS["write_zeroes"] = lambda image: image.write_zeroes(0, image.size())
    CLEARINGS["aio_write_zeroes"] = lambda image: completed(
        lambda note: image.aio_write_zeroes(0, SIZE, note)
    )

CHANGES = {**WRITES, **CLEARINGS}
#: Calls that save what was written before.
SAVINGS: Dict[str, Call] = {
    "create_snap": lambda image: image.create_snap("new"),
    "lock_release": lambda image: image.lock_release(),
}
MIRROR_SAVINGS: Dict[str, Call] = {
    "mirror_image_create_snapshot": lambda image: image.mirror_image_create_snapshot(),
    "mirror_image_demote": lambda image: image.mirror_image_demote(),
    "aio_mirror_image_create_snapshot": lambda image: completed(
        lambda note: image.aio_mirror_image_create_snapshot(0, lambda done, _: note(done))
    ),
    "aio_mirror_image_demote": lambda image: completed(image.aio_mirror_image_demote),
}
if rbd.supports("rbd_aio_mirror_image_create_snapshot"):
    SAVINGS.update(MIRROR_SAVINGS)


class Frozen:
    """An image over its own connection, with Ceph's defaults, on a cluster of its own."""

    def __init__(self, cluster: LocalCluster, name: str) -> None:
        self.cluster = cluster
        self.name = name
        self.other = cluster.connect()
        with self.other.open_ioctx(cluster.pools[0]) as ioctx:
            rbd.RBD().create(ioctx, name, SIZE)
        self.connection = cluster.connect()
        self.image = rbd.Image(self.connection.open_ioctx(cluster.pools[0]), name)

    @contextlib.contextmanager
    def shut_out(self) -> Iterator[None]:
        """Freeze the OSD for the block, and put the client on the blocklist before it goes on."""
        self.cluster.pause_osd(0)
        try:
            yield
            self.other.blocklist_add(self.connection.get_addrs(), 60)
        finally:
            self.cluster.resume_osd(0)

    def content(self) -> bytes:
        with self.other.open_ioctx(self.cluster.pools[0]) as ioctx:
            # The OSD answers this call once it knows the blocklist.
            rbd.RBD().list(ioctx)
            with rbd.Image(ioctx, self.name, read_only=True) as image:
                return image.read(0, SIZE)

    def close(self) -> None:
        with contextlib.suppress(rbd.Error):
            self.image.close()
        self.connection.shutdown()
        self.other.shutdown()


@pytest.fixture(scope="module")
def own_cluster() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


@pytest.fixture
def frozen(own_cluster: LocalCluster, request: pytest.FixtureRequest) -> Iterator[Frozen]:
    made = Frozen(own_cluster, request.node.name)
    yield made
    made.close()


@pytest.fixture(scope="module")
def powerless(own_cluster: LocalCluster) -> str:
    """Provide the key of client.powerless, who may not write to the pool of data."""
    own_cluster.create_pool("data")
    caps = ["mon", "profile rbd", "osd", "profile rbd pool=rbd, allow r pool=data"]
    with own_cluster.connect() as cluster:
        return key_of(cluster, "client.powerless", caps)


@contextlib.contextmanager
def borrowed(image: rbd.Image) -> Iterator[Tuple[int, Dict[str, int]]]:
    """Use an image as another extension does: yield its address and the C functions."""
    lent = lent_by(capsule := image.__rbdxx_image__())
    assert lent.contents.acquire(lent) == 0
    yield lent.contents.image, functions(lent)
    lent.contents.release(lent)
    del capsule


@pytest.fixture
def victim(rbd_cluster: Any, rbd_ioctx: Any) -> Iterator[Tuple[rbd.Image, Callable[[], None]]]:
    """Provide an image over its own connection, and a function that puts that on the blocklist."""
    rbd.RBD().create(rbd_ioctx, "victim", SIZE)
    with rbd.connect(rbd_cluster.conffile, conf=CONF) as cluster:
        ioctx = cluster.open_ioctx(rbd_ioctx.get_pool_name())
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        image = rbd.Image(ioctx, "victim")
        image.write(b"kept" * (BLOCK // 4), 0)
        image.flush()

        def block() -> None:
            with rbd.Image(rbd_ioctx, "victim", read_only=True) as seen:
                for watcher in seen.watchers_list():
                    with rbd_cluster.connect() as other:
                        other.blocklist_add(watcher["addr"], 60)
                        # The OSD answers this call once it knows the blocklist.
                        with other.open_ioctx(rbd_ioctx.get_pool_name()) as ioctx:
                            rbd.RBD().list(ioctx)

        yield image, block
        with contextlib.suppress(rbd.Error):
            image.close()


@pytest.mark.parametrize(
    ("write", "close"),
    [*((write, "close") for write in WRITES), *(("write", close) for close in CLOSES)],
)
def test_a_close_reports_data_that_is_lost(
    victim: Tuple[rbd.Image, Callable[[], None]], rbd_ioctx: Any, write: str, close: str
) -> None:
    image, block = victim
    WRITES[write](image)
    block()
    with pytest.raises(rbd.Error):
        CLOSES[close](image)
    assert image.closed
    with rbd.Image(rbd_ioctx, "victim", read_only=True) as seen:
        assert seen.read(0, 4) == b"kept"


def raised_by_each(image: rbd.Image, change: Call) -> List[rbd.Error]:
    """Change, flush and close an image. Return the errors."""
    errors = []
    for call in (change, lambda image: image.flush(), lambda image: image.close()):
        try:
            call(image)
        except rbd.Error as error:
            errors.append(error)
        # librbd notices what has failed.
        time.sleep(0.2)
    return errors


@pytest.mark.needs("rbd_quiesce_watch")
@pytest.mark.parametrize("way", CHANGES)
def test_no_change_is_lost_without_an_error(frozen: Frozen, way: str) -> None:
    """The client is shut out while the cluster does not answer."""
    image = frozen.image
    image.write(b"kept" * (SIZE // 4), 0)
    image.flush()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        with frozen.shut_out():
            errors = pool.submit(raised_by_each, image, CHANGES[way])
            # A cache may take the change.
            time.sleep(0.3)
        assert errors.result() or frozen.content()[:4] != b"kept"


@pytest.mark.needs("rbd_quiesce_watch")
@pytest.mark.parametrize(
    ("way", "opened"),
    [*((way, rbd.Image) for way in CHANGES), ("write", opened_without_waiting)],
)
def test_no_change_without_rights_goes_without_an_error(
    own_cluster: LocalCluster, powerless: str, way: str, opened: Callable[..., rbd.Image]
) -> None:
    with own_cluster.connect() as cluster, cluster.open_ioctx(own_cluster.pools[0]) as ioctx:
        name = f"powerless {way} {opened.__name__}"
        rbd.RBD().create(ioctx, name, SIZE, data_pool="data")
        with rbd.Image(ioctx, name) as image:
            image.write(b"kept" * (SIZE // 4), 0)
    connection = own_cluster.connect(name="client.powerless", conf={"key": powerless})
    with connection, connection.open_ioctx(own_cluster.pools[0]) as ioctx:
        image = opened(ioctx, name)
        # From now on, a cache may take changes. librbd reads its options again.
        image.flush()
        image.metadata_set("conf_rbd_readahead_max_bytes", "0")
        errors = raised_by_each(image, CHANGES[way])
    assert errors
    assert {type(error) for error in errors} <= {rbd.PermissionError, rbd.OSError}


def mirror(ioctx: rbd.rados.Ioctx, name: str) -> None:
    """Enable mirroring of an image by snapshots, which are for somebody."""
    rbd.RBD().mirror_mode_set(ioctx, rbd.RBD_MIRROR_MODE_IMAGE)
    if not list(rbd.RBD().mirror_peer_list(ioctx)):
        rbd.RBD().mirror_peer_add(ioctx, "elsewhere", "client.mirror")
    with rbd.Image(ioctx, name) as image:
        image.mirror_image_enable(rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT)


def errors_without_rights(conffile: str, pool: str, name: str, key: str, way: str) -> None:
    """Tell the errors of a call that saves what was written, and of a flush."""
    cluster = rbd.connect(conffile, name="client.powerless", conf={**CONF, "key": key})
    image = rbd.Image(cluster.open_ioctx(pool), name)
    image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    image.write(b"lost", 0)
    errors = []
    for call in (SAVINGS[way], lambda image: image.flush()):
        try:
            call(image)
        except rbd.Error as error:
            errors.append(type(error).__name__)
    isolated.answer_and_leave(errors)


@pytest.mark.needs("rbd_quiesce_watch")
@pytest.mark.parametrize("way", SAVINGS)
def test_a_call_that_flushes_reports_what_cannot_be_saved(
    own_cluster: LocalCluster, powerless: str, way: str
) -> None:
    """librbd's own flush there ignores the failure, or no call returns after it."""
    with own_cluster.connect() as cluster, cluster.open_ioctx(own_cluster.pools[0]) as ioctx:
        rbd.RBD().create(ioctx, f"saved by {way}", SIZE, data_pool="data")
        if way in MIRROR_SAVINGS:
            mirror(ioctx, f"saved by {way}")
    where = (own_cluster.conffile, own_cluster.pools[0], f"saved by {way}")
    assert isolated.run(errors_without_rights, *where, powerless, way) == ["PermissionError"] * 2


@pytest.mark.needs("rbd_quiesce_watch")
@pytest.mark.parametrize(("policy", "cache"), [("writearound", "false"), ("writeback", "true")])
def test_only_the_cache_that_forgets_failures_is_off(
    rbd_cluster: Any, rbd_ioctx: Any, policy: str, cache: str
) -> None:
    rbd.RBD().create(rbd_ioctx, "cached", SIZE)
    connection = rbd_cluster.connect(conf={"rbd_cache": "true", "rbd_cache_policy": policy})
    with connection, connection.open_ioctx(rbd_ioctx.get_pool_name()) as ioctx:
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        rbd.Image(ioctx, "cached", read_only=True).close()
        assert connection.conf_get("rbd_cache") == "true"
        rbd.Image(ioctx, "cached").close()
        assert connection.conf_get("rbd_cache") == cache


def test_a_close_reports_what_a_borrower_may_have_lost(
    victim: Tuple[rbd.Image, Callable[[], None]],
) -> None:
    image, block = victim
    with borrowed(image) as (raw, functions):
        kind = ctypes.CFUNCTYPE(
            ctypes.c_ssize_t, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_size_t, ctypes.c_char_p
        )
        assert kind(functions["rbd_write"])(raw, 0, 4, b"lost") == 4
    block()
    with pytest.raises(rbd.Error, match="not saved"):
        image.close()


def test_the_exception_of_the_body_is_kept(
    victim: Tuple[rbd.Image, Callable[[], None]],
) -> None:
    image, block = victim
    image.write(b"lost", 0)
    block()
    with pytest.raises(ZeroDivisionError), image:
        raise ZeroDivisionError
    assert image.closed


def test_a_close_without_writes_reports_nothing(
    victim: Tuple[rbd.Image, Callable[[], None]],
) -> None:
    image, block = victim
    block()
    image.close()


def test_a_close_after_a_refused_write_reports_nothing(
    victim: Tuple[rbd.Image, Callable[[], None]],
) -> None:
    image, block = victim
    with pytest.raises(rbd.InvalidArgument):
        image.write(b"refused", image.size())
    block()
    image.close()


@pytest.mark.parametrize(
    ("write", "flush"),
    [*((write, "flush") for write in WRITES), *(("write", flush) for flush in FLUSHES)],
)
def test_a_close_after_a_flush_reports_nothing(
    victim: Tuple[rbd.Image, Callable[[], None]], rbd_ioctx: Any, write: str, flush: str
) -> None:
    image, block = victim
    WRITES[write](image)
    FLUSHES[flush](image)
    block()
    image.close()
    with rbd.Image(rbd_ioctx, "victim", read_only=True) as seen:
        assert seen.read(0, 4) == b"lost"


def test_a_close_after_awaited_writes_and_flushes_reports_nothing(
    victim: Tuple[rbd.Image, Callable[[], None]],
) -> None:
    image, block = victim
    for _ in range(100):
        asyncio.run(awaited_write_and_flush(image))
    block()
    image.close()


@pytest.mark.needs("rbd_quiesce_watch")
@pytest.mark.parametrize("flush", FLUSHES)
def test_a_close_after_a_failed_flush_reports_data_that_is_lost(
    victim: Tuple[rbd.Image, Callable[[], None]], flush: str
) -> None:
    image, block = victim
    image.write(b"lost", 0)
    block()
    with pytest.raises(rbd.Error):
        FLUSHES[flush](image)
    with pytest.raises(rbd.Error, match="not saved"):
        image.close()


@pytest.mark.needs("rbd_quiesce_watch")
@pytest.mark.parametrize("flush", FLUSHES)
def test_a_close_after_a_failed_flush_of_nothing_reports_nothing(
    victim: Tuple[rbd.Image, Callable[[], None]], flush: str
) -> None:
    image, block = victim
    block()
    with contextlib.suppress(rbd.Error):
        FLUSHES[flush](image)
    image.close()


@pytest.mark.parametrize("features", [rbd.RBD_FEATURE_LAYERING, None])
def test_a_close_after_writes_keeps_the_data(rbd_ioctx: Any, features: Any) -> None:
    rbd.RBD().create(rbd_ioctx, "kept", 8 << 20, features=features)
    for write in (
        lambda image: image.close(),
        lambda image: asyncio.run(rbd.aio.AsyncImage(image).close()),
    ):
        image = rbd.Image(rbd_ioctx, "kept")
        image.write(b"data", 0)
        write(image)
        assert image.closed
        with rbd.Image(rbd_ioctx, "kept") as seen:
            assert seen.read(0, 4) == b"data"
            seen.write(bytes(4), 0)


def test_a_close_does_not_take_the_lock_back(rbd_cluster: Any, rbd_ioctx: Any) -> None:
    rbd.RBD().create(rbd_ioctx, "passed", 8 << 20)
    with rbd_cluster.connect() as cluster:
        ioctx = cluster.open_ioctx(rbd_ioctx.get_pool_name())
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        first = rbd.Image(rbd_ioctx, "passed")
        first.write(b"first", 0)
        with rbd.Image(ioctx, "passed") as second:
            second.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
            second.write(b"second", 0)
            first.close()
            assert second.is_exclusive_lock_owner()
            assert second.read(0, 6) == b"second"
