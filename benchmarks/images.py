"""The images that benchmarks use."""

from __future__ import annotations

import random
from functools import partial
from typing import Any

import rbd

from .place import MIB, Place

OBJECT = 4 * MIB
# The order of a stock image's objects, and its default features.
ORDER = 22


def data(size: int) -> bytes:
    """Return bytes without a run of zeroes, the same each time."""
    return random.Random(1).randbytes(size)


def _full(place: Place, ioctx: Any, name: str, size: int) -> None:
    rbd.RBD().create(ioctx, name, size, order=ORDER)
    with rbd.Image(ioctx, name) as image:
        at = range(0, size, OBJECT)
        image.write_blocks(data(OBJECT) * len(at), at)
        image.flush()


def full(place: Place) -> str:
    """Return the name of an image in which every block has been written."""
    return place.image("full", partial(_full, size=place.scale.image))


def small(place: Place, number: int) -> str:
    """Return the name of one of many small images, each of two objects."""
    return place.image(f"small-{number}", partial(_full, size=2 * OBJECT))


def _empty(place: Place, ioctx: Any, name: str, size: int) -> None:
    rbd.RBD().create(ioctx, name, size, order=ORDER)
    with rbd.Image(ioctx, name) as image:
        # Some data far apart: the time must grow with the image, not with its data.
        block = data(4096)
        for number in range(16):
            image.write(block, size // 16 * number)
        image.flush()


def empty(place: Place, size: int) -> str:
    """Return the name of an image of that size with sixteen blocks of data."""
    return place.image(f"empty-{size}", partial(_empty, size=size))


def _scattered(place: Place, ioctx: Any, name: str) -> None:
    scale = place.scale
    rbd.RBD().create(ioctx, name, scale.sparse, order=ORDER)
    count = scale.filled // OBJECT
    step = scale.sparse // count
    with rbd.Image(ioctx, name) as image:
        image.write_blocks(data(OBJECT) * count, range(0, scale.sparse, step))
        image.create_snap("before")
        # Changes of 16 KiB to 112 KiB in every object that has data.
        chance = random.Random(2)
        for start in range(0, scale.sparse, step):
            at = start
            while at < start + OBJECT // 2:
                length = chance.randrange(1, 8) * 16384
                image.write(data(length), at)
                at += length + chance.randrange(1, 8) * 16384
        image.flush()


def scattered(place: Place) -> str:
    """Return the name of an image with objects far apart, all changed since "before"."""
    return place.image("scattered", _scattered)
