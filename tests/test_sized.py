"""Calls that return ERANGE are repeated with more room, but not forever.

The shim of fakerbd is between the package and the real librbd.
"""

from __future__ import annotations

import errno
from typing import Any, Callable, Iterator, List, Tuple

import pytest

import rbd
from support import fakerbd, figures, memory_usage
from support.fakerbd import Kind, Shim
from support.fakerbd.driving import Driven, balance, everything
from support.location import LIMIT, SIZE, SOAK, Where, open_all

pytestmark = [pytest.mark.timeout(LIMIT + 20), fakerbd.needs_compiler]

# What each further answer says about the room that is needed: the same, a little more, much more,
# nothing, and more than any machine and number can hold.
STORMS = [
    (Kind.GROW, 0),
    (Kind.GROW, 1),
    (Kind.GROW, 1 << 26),
    (Kind.GROW, -1),
    (Kind.ENLARGE, 0),
    (Kind.ENLARGE, (1 << 31) - 1),
    (Kind.ENLARGE, 1 << 62),
    (Kind.ENLARGE, -1),
]
#: The short form drives a method through this many of them, in turn.
SHORT = 1
#: The calls after which the loop must stop, and the memory that it may take until then, in KiB.
ATTEMPTS, MEMORY = 65, 1 << 20


def fill(where: Where, ioctx: Any, image: Any) -> None:
    """Make something to list, with names too long for the first attempt."""
    for number in range(40):
        image.metadata_set(f"key-{number}", "v" * 200)
        image.create_snap(f"snapshot-{number}")
        rbd.RBD().create(ioctx, f"{where[3]}-{number:0230}", SIZE)
    image.protect_snap("snap")
    for number in range(3):
        rbd.RBD().clone(ioctx, where[3], "snap", ioctx, f"{where[3]}-clone-{number}")
        rbd.RBD().group_create(ioctx, f"group-{number}")
    rbd.RBD().trash_move(ioctx, f"{where[3]}-{39:0230}")


def result(call: Driven) -> Any:
    """Return the outcome of a call for comparisons."""
    try:
        got = call()
        return list(got) if hasattr(got, "__iter__") else got
    except Exception as error:
        return type(error), getattr(error, "errno", None)


def storm(shim: Shim, call: Driven, kind: Kind, value: int) -> Tuple[Any, int]:
    """Return the outcome if room never suffices, and how often that was answered."""
    # Other calls fail, so that nothing is really done.
    shim.arm("*", kind, value)
    shim.arm("*", Kind.ERROR, errno.EIO)
    got = result(call)
    return got, shim.disarm()


def endless(where: Where) -> List[Any]:
    """Call every method that reads something of unknown size. Return how many, how often, and
    faults."""
    shim = Shim()
    _cluster, ioctx, image = open_all(where)
    fill(where, ioctx, image)
    calls = [
        call
        for call in everything(shim, ioctx, image)
        # Others use a number from librbd, or one fixed size. Some continue after an error.
        if storm(shim, call, Kind.GROW, 1)[1] > 2
    ]
    strange: List[str] = []
    said = 0
    handles = balance(shim)
    for index, call in enumerate(calls):
        expected = result(call)
        storms = STORMS
        if not SOAK:
            storms = [STORMS[(index * SHORT + more) % len(STORMS)] for more in range(SHORT)]
        for kind, value in storms:
            got, count = storm(shim, call, kind, value)
            said += count
            if got != (rbd.OSError, errno.ERANGE) or count > ATTEMPTS:
                strange.append(f"{call.name}, {kind.name} {value}: {got!r} after {count}")
            # Three times too little, and then the right size.
            with shim.fault("*", kind, value, count=3):
                got = result(call)
            gave_up = got == (rbd.OSError, errno.ERANGE) and value not in (0, 1)
            if got != expected and not gave_up:
                strange.append(f"{call.name}, {kind.name} {value}: {got!r}, not {expected!r}")
    if balance(shim) != handles:
        strange.append(f"handles: {handles}, {balance(shim)}")
    return [len(calls), said, memory_usage.peak(), strange]


@pytest.fixture
def emptied(rbd_ioctx: Any) -> Iterator[None]:
    """Leave no trash for other tests."""
    yield
    for entry in rbd.RBD().trash_list(rbd_ioctx):
        rbd.RBD().trash_remove(rbd_ioctx, entry["id"], True)


def test_repeated_erange_ends_with_an_error(emptied: None, shimmed: Callable[..., Any]) -> None:
    methods, said, peak, strange = shimmed(endless, timeout=LIMIT, development=False)
    assert not strange, "\n".join(strange)
    assert methods > 20
    assert peak < MEMORY
    figures.note("methods asked for more room", methods)
    figures.note("times they were", said)
