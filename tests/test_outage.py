"""A cluster fails: no flushed data is lost, nothing hangs, and each fault has its error.

There are three bluestore OSDs, whose data survives a kill -9, and two copies of everything. All
tests share this cluster, which takes longer to start than most of them run.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import errno
import json
import random
import time
from functools import partial
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Type

import pytest

import rbd
import rbd.aio
from rbd import rados
from rbd.testing import LocalCluster
from support import figures
from support.daemons import PATIENCE
from support.location import SOAK, without_stale_cache
from support.traffic import BLOCK, Load

pytestmark = [pytest.mark.timeout(3600 if SOAK else 200)]

#: How often each fault is made under load.
ROUNDS = 3 if SOAK else 1
OSDS = 3
SIZE = 32 << 20
#: The exclusive lock, and the features that need it.
LOCKED = rbd.RBD_FEATURE_EXCLUSIVE_LOCK | rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF
#: When librados looks for restarted OSDs, and for which operations, in seconds.
OPTIONS = ("tick_interval", "timeout")
#: The timeout of a client that must succeed, and of one that must time out, in seconds.
PATIENT, HASTY = 60, 1


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    conf = {
        # Large enough that no OSD is out of space before it has noticed that the pool counts as
        # full.
        "bluestore_block_size": 4 << 30,
        # A dead OSD may have let clients read for this part of the grace for its heartbeat (20 s).
        # Until that ends, the next OSD with the data serves no client.
        "osd_pool_default_read_lease_ratio": 0.05,
    }
    with LocalCluster(osds=OSDS, objectstore="bluestore", conf=conf) as cluster:
        yield cluster


class Client:
    """A connection with a limit for each operation, and an image open over it."""

    def __init__(
        self,
        cluster: LocalCluster,
        name: str,
        limit: int,
        mon_limit: int,
        conf: Dict[str, str],
        **options: Any,
    ) -> None:
        limits = {"rados_osd_op_timeout": str(limit), "rados_mon_op_timeout": str(mon_limit)}
        self.limit = limit
        self.connection = cluster.connect(conf={**limits, **conf})
        self.ioctx = self.connection.open_ioctx("rbd")
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                self.image = rbd.Image(self.ioctx, name, **options)
                break
            except rbd.Timeout:
                # A busy machine may need more time than the client waits for a dead cluster.
                assert time.monotonic() < deadline

    def close(self) -> None:
        with contextlib.suppress(rbd.Error):
            self.image.close()
        self.ioctx.close()
        self.connection.shutdown()


def start_all(cluster: LocalCluster) -> None:
    """Start all OSDs that do not run, at the same time."""
    with concurrent.futures.ThreadPoolExecutor(OSDS) as pool:
        list(pool.map(cluster.start_osd, range(OSDS)))


@pytest.fixture
def name(cluster: LocalCluster, request: pytest.FixtureRequest) -> Iterator[str]:
    """Provide the name of an image for this test."""
    with cluster.connect() as connection, connection.open_ioctx("rbd") as ioctx:
        name = request.node.name
        rbd.RBD().create(ioctx, name, SIZE, 20)
        yield name
        # Whatever a test did, the cluster is complete again before the next test.
        start_all(cluster)
        cluster.wait_clean(PATIENCE)


@pytest.fixture
def other_name(cluster: LocalCluster, name: str) -> str:
    """Provide the name of a second image for this test."""
    with cluster.connect() as connection, connection.open_ioctx("rbd") as ioctx:
        rbd.RBD().create(ioctx, f"{name}-other", SIZE, 20)
    return f"{name}-other"


@pytest.fixture
def open_client(cluster: LocalCluster, name: str) -> Iterator[Callable[..., Client]]:
    clients: List[Client] = []

    def opened(
        limit: int = PATIENT,
        mon_limit: int = PATIENT,
        name: str = name,
        conf: Optional[Dict[str, str]] = None,
        **options: Any,
    ) -> Client:
        clients.append(Client(cluster, name, limit, mon_limit, conf or {}, **options))
        return clients[-1]

    yield opened
    for client in clients:
        client.close()


def check(load: Load, open_client: Callable[..., Client], fault: str, rounds: int = 1) -> None:
    """Check that a new client finds all flushed data, and that no call took too long."""
    load.check(open_client(read_only=True).image)
    figures.note(fault, rounds)
    figures.note("writes acknowledged, flushed and found", load.flushed)
    figures.note("writes and flushes that reported an error", len(load.errors))


def in_time(load: Load, client: Client) -> None:
    """Check that no round took longer than its few operations may, one after the other."""
    assert load.longest < client.limit * 8 + PATIENCE, load.longest


def wait_for_errors(load: Load) -> None:
    deadline = time.monotonic() + PATIENCE
    while not load.errors:
        assert time.monotonic() < deadline, "no error"
        time.sleep(0.01)


def eventually_raises(error: Type[BaseException], call: Callable[[], Any]) -> Any:
    """Return the error that the call raises sooner or later. Another error fails the test."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            call()
        except error as caught:
            return caught
        time.sleep(0.02)
    raise AssertionError(f"no {error.__name__}")


def raise_at_once(*calls: Tuple[Type[BaseException], Callable[[], Any]]) -> None:
    """Make the calls at the same time. Each must raise its error."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        for error, future in [(error, pool.submit(call)) for error, call in calls]:
            with pytest.raises(error):
                future.result(PATIENCE)


# Daemons


def test_killing_an_osd_under_load_loses_nothing(
    cluster: LocalCluster, open_client: Callable[..., Client]
) -> None:
    client = open_client()
    with Load(client.image) as load:
        for number in range(ROUNDS):
            load.go_on(3)
            cluster.kill_osd(number % OSDS)
            load.go_on(3)
            cluster.start_osd(number % OSDS)
            if number + 1 < ROUNDS:
                # The next OSD must not have the only copy of anything.
                cluster.wait_clean(PATIENCE)
        load.go_on(3)
    assert not load.errors, "librbd retries"
    load.flush()
    in_time(load, client)
    client.close()
    check(load, open_client, "kill -9 of an OSD", ROUNDS)


def check_timeouts(client: Client) -> None:
    """Check that every way to read ends with Timeout, and so does opening."""
    image = client.image
    raise_at_once(
        (rbd.Timeout, lambda: image.read(0, SIZE)),
        (rbd.Timeout, lambda: image.read_blocks(range(0, SIZE, 1 << 20), BLOCK)),
        (rbd.Timeout, lambda: rbd.Image(client.ioctx, image.get_name())),
    )


def test_killing_all_osds_under_load_loses_nothing(
    cluster: LocalCluster, open_client: Callable[..., Client], other_name: str
) -> None:
    """A patient client notices nothing. An impatient one gets Timeout until the OSDs are back."""
    patient, hasty = open_client(), open_client(HASTY, name=other_name)
    idle = open_client(HASTY, name=other_name, read_only=True)
    with Load(patient.image) as waiting, Load(hasty.image) as failing:
        for _ in range(ROUNDS):
            waiting.go_on(3)
            for number in range(OSDS):
                cluster.kill_osd(number)
            check_timeouts(idle)
            failing.go_on(1)
            start_all(cluster)
            waiting.go_on(ROUNDS)
            failing.go_on(ROUNDS)
    assert not waiting.errors, "librbd retries"
    assert {type(error) for error in failing.errors} == {rbd.Timeout}, failing.errors
    waiting.flush()
    # The failure of an earlier write may not have been reported yet.
    deadline = time.monotonic() + PATIENCE
    while True:
        with contextlib.suppress(rbd.Timeout):
            failing.flush()
            break
        assert time.monotonic() < deadline
    for load, client in ((waiting, patient), (failing, hasty)):
        in_time(load, client)
        client.close()
    check(waiting, open_client, "all OSDs killed and restarted", ROUNDS)
    failing.check(open_client(read_only=True, name=other_name).image)


def test_a_paused_monitor_delays_only_its_calls(
    cluster: LocalCluster, open_client: Callable[..., Client]
) -> None:
    """Calls that need the monitor time out. Data does not need it."""
    client = open_client(mon_limit=1)
    with Load(client.image) as load:
        load.go_on(2)
        for number in range(ROUNDS):
            cluster.pause_mon()
            try:
                load.go_on(3)
                # The monitor may still do it after it continues.
                raise_at_once(
                    (rbd.Timeout, partial(client.image.create_snap, f"late-{number}")),
                    (rados.TimedOut, partial(client.connection.create_pool, f"late-{number}")),
                    (rados.TimedOut, partial(cluster.connect, timeout=1)),
                )
            finally:
                cluster.resume_mon()
            load.go_on(2)
    assert not load.errors
    load.flush()
    patient = open_client().image
    patient.create_snap("in time")
    names = [snap["name"] for snap in patient.list_snaps()]
    assert "in time" in names
    check(load, open_client, "a paused monitor", ROUNDS)
    for name in names:
        patient.remove_snap(name)


# Space


def used_ratio(cluster: LocalCluster) -> float:
    """Return how full an OSD is; all are alike."""
    # By its socket, because Ceph 14's OSD answers in no other way.
    dump = cluster.command("daemon", "osd.0", "perf", "dump", "--format", "json")
    values = json.loads(dump)["osd"]
    return float(values["stat_bytes_used"] / values["stat_bytes"])


def set_full_ratio(connection: rados.Rados, ratio: float) -> None:
    for kind in ("nearfull", "backfillfull", "full"):
        command = {"prefix": f"osd set-{kind}-ratio", "ratio": ratio}
        result, _, text = connection.mon_command(json.dumps(command), b"")
        assert result == 0, text


def pool_is_full(connection: rados.Rados) -> bool:
    command = {"prefix": "osd dump", "format": "json"}
    _, answer, _ = connection.mon_command(json.dumps(command), b"")
    return any("full" in pool["flags_names"].split(",") for pool in json.loads(answer)["pools"])


def test_a_full_pool_delays_only_writes(
    cluster: LocalCluster, open_client: Callable[..., Client]
) -> None:
    """Writes wait for space until the timeout. Reads continue, and so do writes once there is
    space."""
    wide = open_client()
    wide.image.resize(4 << 30)
    # Without the exclusive lock, whose release must wait for clients that have missed a message.
    wide.image.update_features(LOCKED, False)
    wide.close()
    client = open_client(HASTY)
    image = client.image
    set_full_ratio(client.connection, used_ratio(cluster) + 0.02)
    data = random.Random(1).randbytes(4 << 20)
    written = 0

    def fill() -> None:
        nonlocal written
        image.write(data, written)
        image.flush()
        written += len(data)

    try:
        while not pool_is_full(client.connection):
            with contextlib.suppress(rbd.Timeout):
                fill()
        assert written
        for _ in range(ROUNDS):
            error = eventually_raises(rbd.Timeout, fill)
            assert error.errno == errno.ETIMEDOUT
        assert image.read(0, len(data)) == data
    finally:
        set_full_ratio(client.connection, 0.95)
    deadline = time.monotonic() + PATIENCE
    before = written
    while written == before:
        with contextlib.suppress(rbd.Timeout):
            fill()
        assert time.monotonic() < deadline
    for place in range(0, written, len(data)):
        assert image.read(place, len(data)) == data
    figures.note("a full pool", 1)


def test_the_snapshot_limit_is_an_error(open_client: Callable[..., Client]) -> None:
    image = open_client().image
    image.set_snap_limit(1)
    image.create_snap("one")
    with pytest.raises(rbd.DiskQuotaExceeded):
        image.create_snap("two")
    image.remove_snap("one")
    image.create_snap("two")
    image.remove_snap("two")


# Other clients


def shut_out(client: Client, other: Client) -> None:
    """Wait until the cluster refuses the client, and each OSD knows that."""
    other.connection.blocklist_add(client.connection.get_addrs(), 3600)
    other.connection.wait_for_latest_osdmap()


def fails_when_shut_out(open_client: Callable[..., Client]) -> None:
    client, other = open_client(), open_client(read_only=True)
    image = client.image
    if not rbd.supports("rbd_quiesce_watch") and image.features() & LOCKED:
        # Ceph 14's librbd waits for the lock without a limit.
        image.update_features(image.features() & LOCKED, False)
    with Load(image) as load:
        load.go_on(3)
        shut_out(client, other)
        wait_for_errors(load)
        load.go_on(2)
    assert {type(error) for error in load.errors} == {rbd.ConnectionShutdown}, load.errors
    assert {error.errno for error in load.errors} == {errno.ESHUTDOWN}
    for call in (
        lambda: (image.write(b"x" * BLOCK, 0), image.flush()),
        lambda: (image.write_blocks(b"x" * BLOCK, [0]), image.flush()),
        lambda: image.read(0, SIZE),
        lambda: image.create_snap("late"),
        lambda: rbd.Image(client.ioctx, image.get_name()),
    ):
        eventually_raises(rbd.ConnectionShutdown, call)
    in_time(load, client)
    client.close()
    check(load, open_client, "a client shut out")


def test_a_blocklisted_client_gets_errors(open_client: Callable[..., Client]) -> None:
    """Each call of a blocklisted client says so, and its flushed data is there."""
    for _ in range(ROUNDS):
        fails_when_shut_out(open_client)


def test_a_reader_survives_the_removal_of_its_image(
    cluster: LocalCluster, open_client: Callable[..., Client], name: str
) -> None:
    writer = open_client()
    writer.image.write(b"x" * BLOCK, 0)
    reader = open_client(read_only=True, conf=without_stale_cache())
    with pytest.raises(rbd.ImageBusy):
        rbd.RBD().remove(reader.ioctx, name)
    writer.image.close()
    assert reader.image.read(0, BLOCK) == b"x" * BLOCK
    with cluster.connect() as connection, connection.open_ioctx("rbd") as ioctx:
        rbd.RBD().remove(ioctx, name)
    # Its objects are gone, and a hole reads as zeroes.
    assert reader.image.read(0, BLOCK) == bytes(BLOCK)
    with pytest.raises(rbd.ImageNotFound):
        list(reader.image.watchers_list())
    with pytest.raises(rbd.ImageNotFound):
        rbd.Image(reader.ioctx, name)
    with pytest.raises(rbd.ReadOnlyImage):
        reader.image.write(b"y", 0)
    reader.image.close()


def test_a_client_without_its_exclusive_lock_gets_errors(
    open_client: Callable[..., Client],
) -> None:
    """The former owner of the lock cannot write any more, and its flushed data is there."""
    first, second = open_client(), open_client()
    with Load(first.image) as load:
        load.go_on(3)
        second.image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
        wait_for_errors(load)
        load.go_on(2)
    assert {type(error) for error in load.errors} == {rbd.ReadOnlyImage}, load.errors
    assert second.image.is_exclusive_lock_owner()
    second.image.write(b"s" * BLOCK, SIZE - BLOCK)
    second.image.flush()
    second.image.lock_release()
    first.image.write(b"f" * BLOCK, SIZE - 2 * BLOCK)
    first.image.flush()
    second.image.close()
    found = open_client(read_only=True).image.read(SIZE - 2 * BLOCK, 2 * BLOCK)
    assert found == b"f" * BLOCK + b"s" * BLOCK
    check(load, open_client, "the exclusive lock taken away")


@pytest.mark.parametrize("limit", [2, 5])
def test_a_client_with_a_timeout_finds_osds_that_were_restarted(
    cluster: LocalCluster, name: str, limit: int
) -> None:
    """librados asks for a new map when a call has waited for longer than it may here."""
    conf = {"rados_osd_op_timeout": str(limit)}
    with cluster.connect(conf=conf) as connection, connection.open_ioctx("rbd") as ioctx:
        objects = [f"{name}-{number}" for number in range(16)]
        for absent in objects:
            # From now on, there is a connection to every OSD.
            with pytest.raises(rados.ObjectNotFound):
                ioctx.stat(absent)
        for osd in range(OSDS):
            cluster.kill_osd(osd)
        with pytest.raises(rados.TimedOut):
            ioctx.stat(objects[0])
        for osd in range(OSDS):
            # Of these changes of the map, librados learns of the first one only.
            cluster.start_osd(osd)
        cluster.wait_clean(PATIENCE)
        for absent in objects:
            found_again(ioctx, absent)
    figures.note("connections that found restarted OSDs", 1)


def test_librados_looks_for_restarted_osds_before_a_timeout(
    cluster: LocalCluster, name: str
) -> None:
    def options(connection: rados.Rados) -> List[float]:
        return [float(connection.conf_get(f"objecter_{option}") or 0) for option in OPTIONS]

    with cluster.connect() as connection, connection.open_ioctx("rbd") as ioctx:
        assert options(connection) == [5, 10]
        # As if another library had connected.
        connection.conf_set("rados_osd_op_timeout", "4")
        rbd.Image(ioctx, name, read_only=True).close()
        assert options(connection) == [2, 1]
    for limit, expected in {"60": [5, 10], "30": [5, 7.5], "1": [0.5, 0.25]}.items():
        with cluster.connect(conf={"rados_osd_op_timeout": limit}) as connection:
            assert options(connection) == expected
    mine = {"objecter_tick_interval": "0.5", "objecter_timeout": "0.25"}
    with cluster.connect(conf={"rados_osd_op_timeout": "4", **mine}) as connection:
        assert options(connection) == [0.5, 0.25]


def found_again(ioctx: rados.Ioctx, absent: str) -> None:
    """Ask for an object that is not there until the answer comes."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            ioctx.stat(absent)
        except rados.ObjectNotFound:
            return
        except rados.TimedOut:
            if time.monotonic() > deadline:
                raise


#: Calls that take the exclusive lock. Each waits half a minute for the watch of the closed image.
TAKERS: Dict[str, Callable[[rbd.Image], Any]] = {
    "write": lambda image: image.write(b"after", 0),
    "discard": lambda image: image.discard(0, 4096),
    "lock_acquire": lambda image: image.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE),
    "create_snap": lambda image: image.create_snap("after"),
    "resize": lambda image: image.resize(SIZE + 4096),
    "write_blocks": lambda image: image.write_blocks(b"after", [0]),
    "await": lambda image: asyncio.run(write_awaited(image)),
    "aio_write": lambda image: image.aio_write(b"after", 0, None).wait_for_complete_and_cb(),
}


async def write_awaited(image: rbd.Image) -> None:
    await rbd.aio.AsyncImage(image).write(b"after", 0)


def opened(ioctx: Any, name: str) -> rbd.Image:
    """Open the image once the connection has found the cluster again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return rbd.Image(ioctx, name)
        except rbd.Timeout:
            if time.monotonic() > deadline:
                raise


@pytest.mark.parametrize("taker", TAKERS if SOAK else ["write"])
def test_an_image_closed_during_an_outage_can_be_written_again(
    cluster: LocalCluster, open_client: Callable[..., Client], taker: str
) -> None:
    """Nobody could be told to release the exclusive lock. The connection takes it over."""
    client = open_client(limit=5)
    name = client.image.name
    client.image.write(b"before", 0)
    client.image.flush()
    assert client.image.is_exclusive_lock_owner()
    for osd in range(OSDS):
        cluster.kill_osd(osd)
    with contextlib.suppress(rbd.Timeout):
        client.image.close()
    start_all(cluster)
    cluster.wait_clean(PATIENCE)
    with opened(client.ioctx, name) as image:
        TAKERS[taker](image)
        image.write(b"more", 4096)
        image.flush()
        assert image.is_exclusive_lock_owner()
        assert image.read(4096, 4) == b"more"
    figures.note("images closed during an outage and written again", 1)
