"""The growth of the measures with image, queue depth, block, threads, images and totals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Callable, List, Tuple

from . import images
from .peers import Lacking, always, fio, fio_rate, stock, uvloop
from .place import GIB, MIB, Place
from .rows import FIO, OURS, STOCK, Contender, blocks, loop


@dataclass(frozen=True)
class Line:
    name: str
    measure: Callable[[Place, int], float]
    lacking: Lacking = always

    def at(self, point: int) -> Contender:
        return Contender(self.name, lambda place: self.measure(place, point), self.lacking)


@dataclass(frozen=True)
class Curve:
    name: str
    what: str
    axis: str  # if it contains "bytes", points are written in units of bytes
    unit: str
    points: Tuple[int, ...]
    lines: Tuple[Line, ...]


def _powers(first: int, last: int, factor: int = 2) -> Tuple[int, ...]:
    found = [first]
    while found[-1] < last:
        found.append(min(found[-1] * factor, last))
    return tuple(found)


def _diff(which: str, call: str) -> Callable[[Place, int], float]:
    def measure(place: Place, size: int) -> float:
        told: Any = {"name": images.empty(place, size), "call": call, "whole_object": True}
        return float(place.worker(which, "extents", **told)["value"])

    return measure


def _open(which: str) -> Callable[[Place, int], float]:
    def measure(place: Place, size: int) -> float:
        told: Any = {"name": images.empty(place, size), "count": min(20, place.scale.calls)}
        return float(place.worker(which, "opening", **told)["value"])

    return measure


def _blocks(op: str, **fixed: Any) -> Callable[[Place, int], float]:
    def measure(place: Place, depth: int) -> float:
        answer = blocks(place, op, depth=depth, seconds=place.scale.curve_seconds, **fixed)
        return float(answer["value"])

    return measure


def _loop(which: str, op: str, **fixed: Any) -> Callable[[Place, int], float]:
    def measure(place: Place, flight: int) -> float:
        seconds = place.scale.curve_seconds
        answer = loop(place, which, op, flight=flight, seconds=seconds, **fixed)
        return float(answer["value"])

    return measure


def _fio(op: str) -> Callable[[Place, int], float]:
    def measure(place: Place, depth: int) -> float:
        seconds = place.scale.curve_seconds
        return fio_rate(place, images.full(place), op, depth=depth, seconds=seconds)

    return measure


def _depth(op: str) -> Curve:
    return Curve(
        f"depth-{op}",
        f"{op}s of 4 KiB by queue depth",
        "in flight",
        "blocks/s",
        _powers(1, 256, 2),
        (
            Line(f"{OURS} {op}_blocks", _blocks(op)),
            Line(f"{OURS}.aio", _loop("ours", op)),
            Line(f"{OURS}.aio on uvloop", _loop("ours", op, loop="uvloop"), uvloop),
            Line(FIO, _fio(op), fio),
            Line(f"{STOCK} aio in asyncio", _loop("stock", op), stock),
        ),
    )


def _bytes(op: str) -> Curve:
    def ours(place: Place, block: int) -> float:
        answer = blocks(place, op, block=block, seconds=place.scale.curve_seconds)
        return float(answer["value"]) * block / MIB

    def of_fio(place: Place, block: int) -> float:
        seconds = place.scale.curve_seconds
        rate = fio_rate(place, images.full(place), op, block=block, seconds=seconds)
        return rate * block / MIB

    return Curve(
        f"block-{op}",
        f"{op}s at queue depth 32 by block size",
        "bytes of a block",
        "MiB/s",
        _powers(4096, 4 * MIB, 4),
        (Line(f"{OURS} {op}_blocks", ours), Line(FIO, of_fio, fio)),
    )


def _threads(which: str) -> Callable[[Place, int], float]:
    def measure(place: Place, threads: int) -> float:
        told: Any = {"name": images.full(place), "block": 4096, "threads": threads}
        told.update(seconds=place.scale.curve_seconds)
        return float(place.worker(which, "threads", **told)["value"])

    return measure


def _images(which: str, op: str) -> Callable[[Place, int], float]:
    def measure(place: Place, count: int) -> float:
        names = [images.small(place, number) for number in range(count)]
        seconds = place.scale.curve_seconds
        return float(loop(place, which, op, names=names, flight=64, seconds=seconds)["value"])

    return measure


def _memory(op: str) -> Callable[[Place, int], float]:
    def measure(place: Place, total: int) -> float:
        # In the smallest form, one call moves less.
        size = min(total, place.scale.image)
        return float(blocks(place, op, seconds=0, total=size)["grown"]) / MIB

    return measure


def _loop_memory(place: Place, total: int) -> float:
    size = min(total, place.scale.image)
    answer = loop(place, "ours", "read", block=MIB, seconds=0, total=size)
    return float(answer["grown"]) / MIB


_SIZES = _powers(GIB, 16384 * GIB, 4)

CURVES: List[Curve] = [
    Curve(
        "size-diff",
        "diff of a sparse image by its size, by the object map",
        "bytes of the image",
        "s",
        _SIZES,
        (
            Line(f"{OURS} diff", _diff("ours", "diff")),
            Line(f"{STOCK} diff_iterate", _diff("stock", "diff_iterate"), stock),
        ),
    ),
    Curve(
        "size-open",
        "opening a sparse image by its size",
        "bytes of the image",
        "s",
        _SIZES,
        (Line(OURS, _open("ours")), Line(STOCK, _open("stock"), stock)),
    ),
    _depth("read"),
    _depth("write"),
    _bytes("read"),
    _bytes("write"),
    Curve(
        "threads",
        "read() of 4 KiB by threads",
        "threads",
        "blocks/s",
        _powers(1, 32),
        (Line(OURS, _threads("ours")), Line(STOCK, _threads("stock"), stock)),
    ),
    Curve(
        "images",
        "rbd.aio reads of 4 KiB, 64 in flight, by images in one loop",
        "images",
        "blocks/s",
        _powers(1, 64),
        (
            Line(f"{OURS}.aio", _images("ours", "read")),
            Line(f"{STOCK} aio in asyncio", _images("stock", "read"), stock),
        ),
    ),
    Curve(
        "memory",
        "memory beyond the caller's buffer by the bytes moved, queue depth 32",
        "bytes moved",
        "MiB",
        _powers(16 * MIB, 1024 * MIB, 2),
        (
            Line("read_blocks", _memory("read")),
            Line("write_blocks", _memory("write")),
            Line("rbd.aio, blocks of 1 MiB", _loop_memory),
        ),
    ),
]
