"""Long random sequences of calls leave an image as a plain model in memory says.

hypothesis makes the sequences and shortens those that fail. After each step, the content, the sizes
and the snapshots of every image are compared; some steps compare differences.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
from collections import deque
from pathlib import Path
from typing import Any, Callable, Deque, Dict, Iterator, List, Optional, Tuple, Type

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import rbd
from rbd.testing import Cluster
from support import figures, luks
from support.client_keys import key_of
from support.image_and_model import (
    FILE_KINDS,
    WAYS,
    WHOLE_READS,
    Disk,
    FileStep,
    apart,
    call_each,
)
from support.image_model import KINDS, SECTOR, Layout, Model, Step, at_snapshot
from support.librbd_log import LibrbdLog
from support.location import LIMIT, SOAK, without_stale_cache
from support.luks import LUKS1, LUKS2

pytestmark = [
    pytest.mark.timeout(LIMIT + 20),
    pytest.mark.needs("rbd_write_zeroes", "rbd_diff_iterate2", "rbd_compare_and_write"),
]

OBJECT = 1 << 16
LARGEST = 8 * OBJECT
GRANULARITY = 4096
SNAPSHOTS = 3
#: The number of sequences, and their most steps: of one client, and of two.
LENGTHS = [(600, 100), (300, 60)] if SOAK else [(8, 40), (4, 25)]
DISKS = 3
#: The rights of a client that may write what describes an image, and read its data.
DENIED = [
    "mon",
    "profile rbd",
    "osd",
    ", ".join(
        [
            "allow r class-read class-write",
            "allow rwx object_prefix rbd_header",
            "allow rwx object_prefix rbd_object_map",
        ]
    ),
]
#: Discards of less than 64 KiB count too; a broken cluster ends the test.
CONF = {"rbd_discard_granularity_bytes": str(GRANULARITY), "rados_osd_op_timeout": "60"}

_numbers = itertools.count()

layouts = st.sampled_from(
    [
        Layout(features=features, stripe_unit=unit, stripe_count=count)
        for features in (None, rbd.RBD_FEATURE_LAYERING)
        for unit, count in ((OBJECT, 1), (4096, 3), (OBJECT, 2))
    ]
)
# The edges of objects, sectors and the image.
places = st.one_of(
    st.integers(0, 8).map(lambda number: number * OBJECT),
    st.integers(0, LARGEST // SECTOR).map(lambda number: number * SECTOR),
    st.integers(0, LARGEST),
)
lengths = st.one_of(
    st.sampled_from([0, SECTOR, 4096, OBJECT, 2 * OBJECT]), st.integers(1, 3 * OBJECT)
)
steps = st.builds(Step, st.sampled_from(KINDS), places, lengths, st.integers(0, 9999))


def encryption_formats() -> List[Optional[int]]:
    """Return the encryption formats of a few images: without cryptsetup, each opening takes a
    second."""
    if not rbd.supports("rbd_encryption_format"):
        return [None]
    return [None, LUKS1, None, LUKS2] if luks.is_cheap() else [None, None, None, None, LUKS1]


file_steps = st.builds(FileStep, st.sampled_from(FILE_KINDS), places, lengths, st.integers(0, 9999))
formats = st.deferred(lambda: st.sampled_from(encryption_formats()))
ways = st.sampled_from(sorted(WAYS))
numbers = st.integers(0, 99)


def noted_rule(**drawn: Any) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A rule whose calls are recorded, because failures of two clients do not always repeat."""

    def decorate(method: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(method)
        def call(self: Images, **arguments: Any) -> None:
            self.history.append(f"{method.__name__}({arguments})")
            method(self, **arguments)

        return rule(**drawn)(call)

    return decorate


class Images(RuleBasedStateMachine):
    """The rules of both machines, for some images that each have one or more handles."""

    ioctxs: List[Any]
    compared = 0
    log: Optional[LibrbdLog] = None

    def __init__(self) -> None:
        super().__init__()
        self.disks: List[Disk] = []
        self.history: Deque[str] = deque(maxlen=100)
        self.names = (f"model-{number}" for number in _numbers)

    def disk(self, number: int) -> Disk:
        return self.disks[number % len(self.disks)]

    def snapshot_of(self, disk: Disk, number: int) -> Optional[str]:
        """Return a snapshot of the image; None if it has none."""
        names = list(disk.model.snapshots)
        return names[number % len(names)] if names else None

    def places_are_told(self, disk: Disk) -> bool:
        """Return whether librbd reports the right places. Ceph 14 does not for a striped image."""
        return disk.model.layout.stripe_count == 1 or rbd.supports("rbd_quiesce_watch")

    def publish(self, disk: Disk, client: int) -> None:
        """Make one client's changes visible to the others."""
        if len(disk.images) > 1:
            disk.image(client).flush()

    def create_one(self, layout: Layout, size: int, encryption: Optional[int]) -> None:
        if encryption is not None:
            # The header is not a whole number of sets of stripes.
            layout = layout._replace(stripe_unit=OBJECT, stripe_count=1)
        name = next(self.names)
        self.disks.append(Disk.create(name, layout, size, self.ioctxs, GRANULARITY, encryption))

    @precondition(lambda self: len(self.disks) < DISKS)
    @noted_rule(disk=numbers, number=numbers, layout=layouts)
    def clone(self, disk: int, number: int, layout: Layout) -> None:
        parent = self.disk(disk)
        name = self.snapshot_of(parent, number)
        if parent.encryption is not None:
            layout = layout._replace(stripe_unit=OBJECT, stripe_count=1)
        if name is not None:
            made = parent.clone(name, next(self.names), layout)
            if made is not None:
                self.disks.append(made)

    @noted_rule(disk=numbers)
    def flatten(self, disk: int) -> None:
        self.disk(disk).flatten()

    @noted_rule(
        disk=numbers, client=numbers, way=ways, made=st.lists(steps, min_size=1, max_size=8)
    )
    def change(self, disk: int, client: int, way: str, made: List[Step]) -> None:
        self.disk(disk).make(client, way, made)
        self.publish(self.disk(disk), client)

    @noted_rule(
        disk=numbers, client=numbers, inside=st.integers(0, OBJECT), beyond=st.integers(1, OBJECT)
    )
    def write_across_the_end(self, disk: int, client: int, inside: int, beyond: int) -> None:
        self.disk(disk).write_across_the_end(client, inside, beyond)
        self.publish(self.disk(disk), client)

    @noted_rule(disk=numbers, client=numbers, offset=places, length=lengths)
    def read(self, disk: int, client: int, offset: int, length: int) -> None:
        chosen = self.disk(disk)
        chosen.read_parts(client, min(offset, max(chosen.model.size - 1, 0)), length)

    @noted_rule(
        disk=numbers,
        client=numbers,
        mode=st.sampled_from(["r+b", "a+b"]),
        buffering=st.sampled_from([-1, 0, 5000]),
        growing=st.booleans(),
        made=st.lists(file_steps, max_size=8),
    )
    def write_file(
        self,
        disk: int,
        client: int,
        mode: str,
        buffering: int,
        growing: bool,
        made: List[FileStep],
    ) -> None:
        self.disk(disk).write_file(client, mode, buffering, growing, made)
        self.publish(self.disk(disk), client)

    @noted_rule(disk=numbers, client=numbers, size=places)
    def resize(self, disk: int, client: int, size: int) -> None:
        self.disk(disk).resize(client, size)
        self.publish(self.disk(disk), client)

    @noted_rule(disk=numbers, client=numbers, size=places, snapshot=st.booleans())
    def regrow(self, disk: int, client: int, size: int, snapshot: bool) -> None:
        """Shrink the image for a while. Each difference must have the lost data."""
        chosen = self.disk(disk)
        model = chosen.model
        before = model.size
        chosen.resize(client, min(size, before))
        if snapshot:
            self.snapshot(disk=disk, client=client)
        chosen.resize(client, before)
        self.publish(chosen, client)
        if self.places_are_told(chosen):
            for since in [None, *model.snapshots]:
                for whole_object in (False, True):
                    region = (0, model.size)
                    model.compare_diff(chosen.image(client), since, None, region, whole_object)

    @noted_rule(disk=numbers, client=numbers)
    def snapshot(self, disk: int, client: int) -> None:
        chosen = self.disk(disk)
        if len(chosen.model.snapshots) < SNAPSHOTS:
            name = f"snap-{next(_numbers)}"
            chosen.image(client).create_snap(name)
            chosen.model.snapshot(name)

    @noted_rule(disk=numbers, client=numbers, number=numbers)
    def rollback(self, disk: int, client: int, number: int) -> None:
        chosen = self.disk(disk)
        name = self.snapshot_of(chosen, number)
        if name is not None:
            chosen.image(client).rollback_to_snap(name)
            chosen.model.rollback(name)

    @noted_rule(disk=numbers, client=numbers, number=numbers)
    def remove_snapshot(self, disk: int, client: int, number: int) -> None:
        name = self.snapshot_of(self.disk(disk), number)
        if name is not None:
            self.disk(disk).remove_snapshot(client, name)

    @noted_rule(
        disk=numbers,
        client=numbers,
        number=numbers,
        way=st.sampled_from(sorted(WHOLE_READS)),
        read_only=st.booleans(),
    )
    def read_removed_snapshot(
        self, disk: int, client: int, number: int, way: str, read_only: bool
    ) -> None:
        name = self.snapshot_of(self.disk(disk), number)
        if name is not None:
            self.disk(disk).read_removed(client, name, way, read_only)

    @noted_rule(
        disk=numbers,
        client=numbers,
        since=st.none() | numbers,
        until=st.none() | numbers,
        offset=places,
        length=st.none() | lengths,
        whole_object=st.booleans(),
    )
    def diff(
        self,
        disk: int,
        client: int,
        since: Optional[int],
        until: Optional[int],
        offset: int,
        length: Optional[int],
        whole_object: bool,
    ) -> None:
        chosen = self.disk(disk)
        image, model = chosen.image(client), chosen.model
        names = list(model.snapshots)
        last = None if until is None else self.snapshot_of(chosen, until)
        older = names if last is None else names[: names.index(last)]
        first = older[since % len(older)] if since is not None and older else None
        size = len(model.at(last))
        if not self.places_are_told(chosen):
            return
        region = (0, size)
        if length is not None:
            # At the end there is nothing.
            offset %= size + 1
            region = (offset, length if offset < size else 0)
        with at_snapshot(image, last):
            model.compare_diff(image, first, last, region, whole_object)

    @noted_rule(disk=numbers, client=numbers, number=numbers)
    def refuse_writes(self, disk: int, client: int, number: int) -> None:
        name = self.snapshot_of(self.disk(disk), number)
        if name is not None:
            self.disk(disk).refuse_writes(client, name)

    @noted_rule(disk=numbers, client=numbers)
    def reopen(self, disk: int, client: int) -> None:
        self.disk(disk).reopen(client)

    @invariant()
    def compare(self) -> None:
        type(self).compared += 1
        if self.log:
            self.log.moved()
        try:
            for disk in self.disks:
                disk.compare()
        except AssertionError as error:
            if self.log:
                self.log.write("an image differs")
            raise AssertionError("\n".join([f"{disk.name}: {error}", *self.history])) from error

    def teardown(self) -> None:
        # Clones come after their parents in the list.
        for disk in reversed(self.disks):
            disk.remove()


class Alone(Images):
    """One client, with encryption."""

    @initialize(first=layouts, size=st.integers(0, LARGEST), encryption=formats)
    def create(self, first: Layout, size: int, encryption: Optional[int] = None) -> None:
        self.create_one(first, size, encryption)


class Together(Images):
    """Two clients with separate connections use the same two images at once, and clones."""

    #: Shuts a client out, and puts the ioctx of its next connection into `ioctxs`.
    shut_out: Callable[[int], None]
    #: The ioctx of a client that may not write data.
    denied: Any

    @initialize(first=layouts, size=st.integers(0, LARGEST), encryption=formats)
    def create(self, first: Layout, size: int, encryption: Optional[int]) -> None:
        self.create_one(first, size, None)
        self.create_one(first, size, encryption)

    @noted_rule(disk=numbers, made=st.lists(st.tuples(numbers, file_steps), max_size=6))
    def grow_at_once(self, disk: int, made: List[Tuple[int, FileStep]]) -> None:
        if self.disk(disk).encryption is None:
            self.disk(disk).grow_by_two(made)
        for client in range(2):
            self.publish(self.disk(disk), client)

    @noted_rule(disk=numbers, client=st.integers(0, 1), made=st.lists(steps, max_size=6))
    def lose_client(self, disk: int, client: int, made: List[Step]) -> None:
        self.disk(disk).lose(client, made, lambda: self.shut_out(client))
        for one in self.disks:
            one.images[client].close()  # what was flushed needs no saving
            one.ioctxs[client] = self.ioctxs[client]
            one.images[client] = one.open(client)

    @noted_rule(disk=numbers, made=st.lists(steps, max_size=3), pause=st.sampled_from([0.0, 0.01]))
    def write_without_rights(self, disk: int, made: List[Step], pause: float) -> None:
        self.disk(disk).deny(self.denied, made, pause)

    @noted_rule(
        disks=st.tuples(numbers, numbers),
        made=st.tuples(st.lists(steps, max_size=6), st.lists(steps, max_size=6)),
    )
    def change_at_once(self, disks: Any, made: Any) -> None:
        """The first client writes below some offset, the second one above it."""
        done: List[Any] = []
        threads = []
        for client in range(2):
            chosen = self.disk(disks[client])
            middle = LARGEST // 2
            bounds = (middle, None) if client else (0, middle)
            todo = apart(chosen.model, made[client], *bounds)

            def work(client: int = client, disk: Disk = chosen, todo: List[Step] = todo) -> None:
                call_each(disk.image(client), disk.model, todo)
                disk.image(client).flush()
                done.append((disk, todo))

            threads.append(threading.Thread(target=work))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(done) == 2
        for disk, todo in done:
            for step in todo:
                disk.model.apply(step)


class Clients:
    """Two connections to the same place, with an ioctx each."""

    def __init__(
        self, cluster: Cluster, ioctx: rbd.rados.Ioctx, log: Optional[LibrbdLog] = None
    ) -> None:
        self.cluster = cluster
        self.log = log
        self.place = (ioctx.get_pool_name(), ioctx.get_namespace())
        self.connections: List[rbd.rados.Rados] = []
        self.current: List[rbd.rados.Rados] = []
        self.ioctxs = [self.connect(number) for number in range(2)]

    def connect(self, number: int) -> rbd.rados.Ioctx:
        connection, ioctx = self.open_connection()
        self.current[number:] = [connection, *self.current[number + 1 :]]
        return ioctx

    def open_connection(
        self, name: Optional[str] = None, conf: Optional[Dict[str, str]] = None
    ) -> Tuple[rbd.rados.Rados, rbd.rados.Ioctx]:
        log = self.log.conf if self.log else {}
        connection = self.cluster.connect(
            name=name, conf={**CONF, **without_stale_cache(), **log, **(conf or {})}
        )
        self.connections.append(connection)
        ioctx = connection.open_ioctx(self.place[0])
        ioctx.set_namespace(self.place[1])
        return connection, ioctx

    def connect_denied(self) -> rbd.rados.Ioctx:
        """Connect as a client that may change everything of an image but its data."""
        key = key_of(self.current[0], "client.denied", DENIED)
        connection, ioctx = self.open_connection("client.denied", {"key": key})
        self.current.append(connection)
        return ioctx

    def shut_out(self, number: int) -> None:
        """Put a client on the blocklist, and another one in its place."""
        for connection in self.connections:
            if connection not in self.current:
                # Its images have been closed since.
                connection.shutdown()
        self.connections = list(self.current)
        address = self.current[number].get_addrs()
        self.ioctxs[number] = self.connect(number)
        self.current[number].blocklist_add(address, 3600)
        # The OSD answers this call once it knows the blocklist.
        rbd.RBD().list(self.ioctxs[number])


@pytest.fixture
def clients(rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx, tmp_path: Path) -> Iterator[Clients]:
    with LibrbdLog(tmp_path) if SOAK else contextlib.nullcontext() as log:
        made = Clients(rbd_cluster, rbd_ioctx, log)
        yield made
        for connection in made.connections:
            connection.shutdown()


def run(machine: Type[Images], lengths: Tuple[int, int]) -> None:
    examples, length = lengths
    machine.compared = 0
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=length,
            deadline=None,
            # The short form is always the same; the long one is always new.
            derandomize=not SOAK,
            database=None,
            # Shortening a failure takes longer than a test may.
            phases=[Phase.generate, *([Phase.shrink] if SOAK else [])],
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    name = machine.__name__.lower()
    figures.note(f"sequences, {name}", examples)
    figures.note(f"steps after which all was compared, {name}", machine.compared)


def test_one_client_s_images_equal_the_model(clients: Clients) -> None:
    machine = type("Alone", (Alone,), {"ioctxs": clients.ioctxs[:1]})
    run(machine, LENGTHS[0])


def test_two_clients_images_equal_the_model(clients: Clients) -> None:
    members = {
        "ioctxs": clients.ioctxs,
        "shut_out": staticmethod(clients.shut_out),
        "denied": clients.connect_denied(),
        "log": clients.log,
    }
    machine = type("Together", (Together,), members)
    run(machine, LENGTHS[1])


def test_differences_from_the_model_are_reported(rbd_image: rbd.Image) -> None:
    model = Model(Layout(), bytes(rbd_image.size()), GRANULARITY, clone=False)
    model.compare(rbd_image)
    rbd_image.write(b"x", 3 * SECTOR)
    rbd_image.create_snap("changed")
    model.snapshot("changed")
    told = r"^8388608 bytes for 8388608; .* be: \[3\], and a second later \[3\]$"
    with pytest.raises(AssertionError, match=told):
        model.compare(rbd_image)
    model.put(3 * SECTOR, b"x")
    with pytest.raises(AssertionError, match=told):
        model.compare(rbd_image)
