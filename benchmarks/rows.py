"""The rows of the table: measures, contenders and goals."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Dict, List, Mapping, Tuple

from . import images, streams
from .peers import (
    Lacking,
    always,
    fio,
    fio_rate,
    fio_run,
    program,
    qemu_convert,
    qemu_img,
    qemu_name,
    rbd_command,
    stock,
)
from .place import MIB, Place

OURS = "rbd"
STOCK = "stock module"
FIO = "fio"

Measure = Callable[[Place], float]


@dataclass(frozen=True)
class Contender:
    name: str
    measure: Measure
    lacking: Lacking = always


@dataclass(frozen=True)
class Row:
    name: str
    what: str
    unit: str
    # The first is this package; the others are its peers.
    contenders: Tuple[Contender, ...]
    # The ratio to a peer that is the goal: at most for times and memory, at least for rates.
    goals: Mapping[str, float] = field(default_factory=dict)

    @property
    def more_is_better(self) -> bool:
        return self.unit.endswith("/s")

    def met(self, peer: str, ratio: float) -> bool:
        """Return whether a ratio to a peer reaches the goal."""
        goal = self.goals[peer]
        return ratio >= goal if self.more_is_better else ratio <= goal


def _call(which: str, call: str, foreign: bool = False) -> Measure:
    def measure(place: Place) -> float:
        name = images.full(place)
        count = place.scale.calls
        told: Dict[str, Any] = {
            "name": name,
            "call": call,
            "count": count,
            "length": 4096,
            "foreign": foreign,
        }
        return float(place.worker(which, "calls", place.shimmed(which), **told)["value"])

    return measure


def _call_row(call: str, goals: Mapping[str, float], ctypes: bool = True) -> Row:
    contenders = [Contender(OURS, _call("ours", call))]
    if ctypes:
        contenders.append(Contender(STOCK, _call("stock", call), stock))
        contenders.append(Contender("ctypes", _call("ours", call, foreign=True)))
    else:
        # The stock module does not have this call; a program would use its read().
        contenders.append(Contender(STOCK + " read", _call("stock", "read"), stock))
    length = "" if call == "size" else " of 4 KiB"
    return Row(f"call-{call}", f"one {call}(){length}, stubbed", "ns", tuple(contenders), goals)


def _object_call(which: str, call: str) -> Measure:
    def measure(place: Place) -> float:
        count = place.scale.calls // 5
        env = {**place.shimmed(which, objects=True), "RBD_SHIM_ENTRIES": str(count)}
        told = place.worker(which, "objects", env, call=call, count=count, length=4096)
        return float(told["value"])

    return measure


def _object_row(call: str, what: str, goal: float) -> Row:
    contenders = (
        Contender(OURS, _object_call("ours", call)),
        Contender(STOCK, _object_call("stock", call), stock),
    )
    return Row(f"object-{call}", f"{what}, stubbed", "ns", contenders, {STOCK: goal})


def _flight_row(how: str, op: str, goal: float) -> Row:
    def of(which: str) -> Measure:
        def measure(place: Place) -> float:
            told = {"how": how, "op": op, "block": 4096, "flight": 32}
            count = place.scale.calls // 5
            env = place.shimmed(which, objects=True)
            return float(place.worker(which, "flight", env, count=count, **told)["value"])

        return measure

    through = "aio_*" if how == "callbacks" else "rbd.aio"
    what = f"{op} of 4 KiB of an object through {through}, 32 in flight, stubbed"
    contenders = (Contender(OURS, of("ours")), Contender(STOCK, of("stock"), stock))
    return Row(f"object-{how}-{op}", what, "1/s", contenders, {STOCK: goal})


def blocks(
    place: Place, op: str, *, block: int = 4096, depth: int = 32, seconds: float, **other: Any
) -> Dict[str, Any]:
    told = {"name": images.full(place), "op": op, "block": block, "depth": depth, **other}
    told.update(seconds=seconds, most=place.scale.batch)
    env = place.writeback if other.get("burst") else None
    return place.worker("ours", "blocks", env, **told)


def loop(
    place: Place,
    which: str,
    op: str,
    *,
    block: int = 4096,
    flight: int = 32,
    seconds: float,
    **other: Any,
) -> Dict[str, Any]:
    told: Dict[str, Any] = {"names": [images.full(place)], **other}
    told.update(op=op, block=block, flight=flight, seconds=seconds)
    env = place.writeback if other.get("burst") or other.get("region") else None
    return place.worker(which, "loop", env, **told)


def _rates(op: str, burst: bool) -> Tuple[Measure, Measure, Measure, Measure]:
    """Return blocks per second of read_blocks or write_blocks, rbd.aio, fio and stock."""

    def told(place: Place) -> Dict[str, Any]:
        return {"seconds": place.scale.seconds, "burst": place.scale.burst if burst else 0}

    return (
        lambda place: float(blocks(place, op, **told(place))["value"]),
        lambda place: float(loop(place, "ours", op, **told(place))["value"]),
        lambda place: fio_rate(place, images.full(place), op, **told(place)),
        lambda place: float(loop(place, "stock", op, **told(place))["value"]),
    )


def _rate_rows(op: str, how: str, aio_goals: Mapping[str, float], burst: bool = False) -> List[Row]:
    batch, aio, by_fio, by_stock = _rates(op, burst)
    name = f"{op}-burst" if burst else op
    return [
        Row(
            f"batch-{name}",
            f"{op}_blocks, 4 KiB, queue depth 32{how}",
            "blocks/s",
            (Contender(OURS, batch), Contender(FIO, by_fio, fio)),
            {FIO: 1.0},
        ),
        Row(
            f"aio-{name}",
            f"rbd.aio {op}, 4 KiB, 32 in flight{how}",
            "blocks/s",
            (
                Contender(OURS, aio),
                Contender(FIO, by_fio, fio),
                Contender(STOCK, by_stock, stock),
            ),
            aio_goals,
        ),
    ]


def _run(which: str, op: str, field: str, flight: int = 32, batch: bool = False) -> Measure:
    """Return the measure of a run of a fixed number of operations.

    Reads are at random offsets. Writes go through a region in order, into the cache. `batch`: this
    package makes one awaited batch.
    """

    def run(place: Place, count: int) -> float:
        told = {"count": count, "region": place.scale.region if op == "write" else 0}
        image = images.full(place)
        if which == FIO:
            return fio_run(place, image, op, flight=flight, **told)[field]
        return float(loop(place, which, op, flight=flight, seconds=0, batch=batch, **told)[field])

    def measure(place: Place) -> float:
        if flight == 1:
            return run(place, place.scale.singles)
        if field != "processor":
            return run(place, place.scale.run)
        # The time of one operation, without the start and the end of the process.
        few = place.scale.run // 20
        return (run(place, place.scale.run + few) - run(place, few)) / place.scale.run

    return measure


def _run_row(
    name: str, what: str, unit: str, op: str, field: str, goals: Mapping[str, float], flight: int
) -> Row:
    contenders = [
        Contender(OURS, _run("ours", op, field, flight)),
        Contender(FIO, _run(FIO, op, field, flight), fio),
        Contender(STOCK, _run("stock", op, field, flight), stock),
    ]
    return Row(name, what, unit, tuple(contenders), goals)


def _run_rows() -> List[Row]:
    rows = []
    for op, how, goals in (
        ("read", "at random", {FIO: 0.95, STOCK: 1.75}),
        ("write", "in a row into the cache", {FIO: 0.9, STOCK: 3.5}),
    ):
        what = f"rbd.aio {op}, 4 KiB, 32 in flight, {how}, a run"
        rows += [
            _run_row(f"aio-run-{op}", f"{what} of 20,000", "blocks/s", op, "value", goals, 32),
            _run_row(
                f"aio-run-{op}-processor",
                "the same: processor time of the process for one",
                "s",
                op,
                "processor",
                {FIO: 1.1},
                32,
            ),
        ]
    for op, how, goal in (("read", "at random", 1.1), ("write", "in a row into the cache", 1.3)):
        what = f"await {op}_blocks, 4 KiB, queue depth 32, {how}"
        for name, told, unit, measured, least in (
            (f"aio-batch-{op}", f"{what}, a run of 20,000", "blocks/s", "value", goal),
            (
                f"aio-batch-{op}-processor",
                "the same: processor time of the process for one",
                "s",
                "processor",
                0.8,
            ),
        ):
            contenders = (
                Contender(OURS, _run("ours", op, measured, batch=True)),
                Contender(FIO, _run(FIO, op, measured), fio),
            )
            rows.append(Row(name, told, unit, contenders, {FIO: least}))
    for latency, which in (("median", "median"), ("p99", "99th percentile")):
        rows.append(
            _run_row(
                f"aio-latency-{latency}",
                f"rbd.aio read, 4 KiB, one at a time: {which}",
                "s",
                "read",
                latency,
                {FIO: 1.15},
                1,
            )
        )
    return rows


def _diff(which: str, call: str) -> Measure:
    def measure(place: Place) -> float:
        env = {**place.shimmed(which), "RBD_SHIM_EXTENTS": str(place.scale.extents)}
        told = {"name": images.full(place), "call": call}
        return float(place.worker(which, "extents", env, **told)["value"])

    return measure


def _diff_row(call: str, what: str, goals: Mapping[str, float]) -> Row:
    peer = Contender(STOCK, _diff("stock", "diff_iterate"), stock)
    return Row(
        call.replace("_", "-"), what, "s", (Contender(OURS, _diff("ours", call)), peer), goals
    )


def _import(which: str) -> Measure:
    return lambda place: float(place.worker(which, "importing")["value"])


def _stream(call: str, field: str, **options: Any) -> Measure:
    def measure(place: Place) -> float:
        # The programs compared with it leave syncing their files to the system, too.
        given = {"fsync": False, **options}
        told = {"name": images.scattered(place), "call": call, "options": given}
        answer = place.worker("ours", "streams", path=str(place.file("ours")), **told)
        return float(answer[field])

    return measure


def _rbd_export(place: Place) -> float:
    return rbd_command(place, "export", images.scattered(place), place.file("rbd")).seconds


def _qemu(place: Place) -> float:
    source = qemu_name(place, images.scattered(place))
    return qemu_convert(place, source, place.file("qemu")).seconds


def _export_diff(field: str) -> Measure:
    def measure(place: Place) -> float:
        image, path = images.scattered(place), place.file("rbd-diff")
        ended = rbd_command(place, "export-diff", image, path, "--from-snap", "before")
        return float(getattr(ended, field))

    return measure


def _job_rows(name: str, what: str, jobs: Mapping[str, streams.Job]) -> List[Row]:
    """Return the rows of whole processes that do the same: time, processor time and memory."""

    def contender(who: str, peer: str, field: str, unit: float = 1.0) -> Contender:
        def measure(place: Place) -> float:
            return place.field(f"{name} {who}", field, jobs[who]) / unit

        return Contender(peer, measure, lacking[who])

    peers = {"ours": OURS, "command": _RBD, "qemu": _QEMU}
    lacking = {"ours": always, "command": program("rbd"), "qemu": qemu_img}
    able = [(who, peers[who]) for who in jobs]
    bound = Contender("the bound", lambda place: _MOST_MEMORY)
    same = "the same: "
    goals = {_RBD: 0.8, _QEMU: 1.0} if "qemu" in jobs else {_RBD: 0.8}
    return [
        Row(
            name,
            f"{what}, whole process",
            "s",
            tuple(contender(*one, "seconds") for one in able),
            goals,
        ),
        Row(
            f"{name}-processor",
            f"{same}its processor time",
            "s",
            tuple(contender(*one, "processor") for one in able),
            {_RBD: 1.0},
        ),
        Row(
            f"{name}-memory",
            f"{same}its peak memory",
            "MiB",
            (*(contender(*one, "peak", MIB) for one in able), bound),
            {"the bound": 1.0},
        ),
    ]


def _sequence(which: str, how: str, block: int) -> Measure:
    def measure(place: Place) -> float:
        told = {"name": images.full(place), "block": block, "how": how}
        return float(place.worker(which, "sequence", **told)["value"]) / MIB

    return measure


_RBD = "rbd command"
_QEMU = "qemu-img"
#: The most memory of a whole process that moves a stream, in MiB.
_MOST_MEMORY = 96.0
_EXPORT_DIFF = {"from_snapshot": "before"}

ROWS: List[Row] = [
    _call_row("read", {STOCK: 0.8}),
    _call_row("write", {STOCK: 0.8}),
    _call_row("readinto", {STOCK + " read": 0.8}, ctypes=False),
    _call_row("size", {STOCK: 0.8}),
    _object_row("read", "one read() of 4 KiB of an object", 0.8),
    _object_row("write", "one write() of 4 KiB to an object", 0.8),
    _object_row("list", "one object of a listing", 0.7),
    _object_row("omap", "one entry of an omap", 0.7),
    _flight_row("callbacks", "read", 1.3),
    _flight_row("callbacks", "write", 1.3),
    _flight_row("asyncio", "read", 2.0),
    _flight_row("asyncio", "write", 2.0),
    *_rate_rows("read", "", {FIO: 0.9, STOCK: 1.6}),
    # When the cache is full, the cluster determines the speed, for the stock module as well.
    *_rate_rows("write", "", {FIO: 0.8}),
    *_rate_rows("write", ", into the cache", {FIO: 0.8, STOCK: 3.0}, burst=True),
    *_run_rows(),
    _diff_row("diff", "diff() of a million extents, stubbed", {STOCK: 0.1}),
    _diff_row("diff_iterate", "diff_iterate() with a lambda, the same", {}),
    Row(
        "import",
        "import rbd; stock: import rados, rbd",
        "s",
        (Contender(OURS, _import("ours")), Contender(STOCK, _import("stock"), stock)),
        {STOCK: 0.3},
    ),
    Row(
        "file-read",
        "a file's read() of 4 KiB, one after the other",
        "MiB/s",
        (
            Contender(OURS, _sequence("ours", "file", 4096)),
            Contender("read() of 4 MiB", _sequence("ours", "call", 4 * MIB)),
            Contender(STOCK + " read", _sequence("stock", "call", 4096), stock),
        ),
    ),
    Row(
        "export",
        "export of a sparse image, whole process",
        "s",
        (
            Contender(OURS, _stream("export_image", "seconds")),
            Contender(_RBD, _rbd_export, program("rbd")),
            Contender("qemu-img", _qemu, qemu_img),
        ),
        {_RBD: 0.7, "qemu-img": 1.0},
    ),
    Row(
        "export-diff",
        "export_diff since a snapshot, whole process",
        "s",
        (
            Contender(OURS, _stream("export_diff", "seconds", **_EXPORT_DIFF)),
            Contender(_RBD, _export_diff("seconds"), program("rbd")),
        ),
        {_RBD: 0.8},
    ),
    Row(
        "export-diff-memory",
        "the same: peak memory of the process",
        "MiB",
        (
            Contender(OURS, lambda p: _stream("export_diff", "peak", **_EXPORT_DIFF)(p) / MIB),
            Contender(_RBD, lambda p: _export_diff("peak")(p) / MIB, program("rbd")),
        ),
    ),
    *_job_rows("export-2", "export of an image in format 2", streams.exports_all()),
    *_job_rows("import-2", "import of an image in format 2", streams.imports("whole")),
    *_job_rows("import-file", "import of a sparse file", streams.imports("file")),
    *_job_rows("import-pipe", "import of the sparse file from a pipe", streams.imports("pipe")),
    *_job_rows(
        "import-small",
        "import of 4 KiB from a pipe into objects of 4 KiB",
        streams.imports("small"),
    ),
    *_job_rows("import-diff", "import_diff, 4 MiB a record", streams.imports_diff(streams.LARGE)),
    *_job_rows(
        "import-diff-small",
        "import_diff, 4 KiB a record",
        streams.imports_diff(streams.SMALL),
    ),
    *_job_rows("merge-diff", "merge_diff, 4 MiB a record", streams.merges(streams.LARGE)),
    *_job_rows("merge-diff-small", "merge_diff, 4 KiB a record", streams.merges(streams.SMALL)),
]
