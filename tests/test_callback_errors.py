"""An exception of any kind of callback reaches the caller, and the image stays usable."""

from __future__ import annotations

import contextlib
import io
import sys
from functools import partial
from typing import Any, Callable, Dict, List

import pytest

import rbd
from rbd import transfer
from support import isolated
from support.daemons import eventually
from support.location import LIMIT, SIZE, SOAK, Where, open_all, raised_by, shrink

pytestmark = [pytest.mark.timeout(LIMIT + 20)]

#: Rounds of each scenario; a watch raises five times in each.
ROUNDS = {
    "raise_in_callbacks": 1000 if SOAK else 2,
    "raise_in_watches": 200 if SOAK else 1,
}


class Interruption(BaseException):
    """Not derived from Exception, so code that catches Exception must not swallow it."""


def raises(*_: Any) -> int:
    raise Interruption


def answers_text(*_: Any) -> Any:
    return "not a number"


def answers_too_much(*_: Any) -> Any:
    return 1 << 80


class Made:
    """A parent with a snapshot, a clone of it, and an image to remove."""

    def __init__(self, where: Where) -> None:
        self.cluster, self.ioctx, self.image = open_all(where)
        self.base = where[3]
        self.names: List[str] = []
        self.parent = self.make("parent")
        with rbd.Image(self.ioctx, self.parent) as parent:
            parent.write(b"p" * 4096, 0)
            parent.create_snap("base")
            parent.protect_snap("base")
        self.clone_name = f"{self.base}-clone"
        rbd.RBD().clone(self.ioctx, self.parent, "base", self.ioctx, self.clone_name)
        self.clone = rbd.Image(self.ioctx, self.clone_name)
        self.image.create_snap("before")
        self.image.write(b"C" * 4096, 0)
        first, second, whole = io.BytesIO(), io.BytesIO(), io.BytesIO()
        with rbd.Image(self.ioctx, self.base, "snap") as image:
            transfer.export_diff(image, first)
        transfer.export_diff(self.image, second, "snap")
        transfer.export_image(self.image, whole)
        self.diffs = first.getvalue(), second.getvalue()
        self.whole = whole.getvalue()

    def make(self, name: str) -> str:
        self.names.append(f"{self.base}-{name}")
        rbd.RBD().create(self.ioctx, self.names[-1], SIZE, 20)
        return self.names[-1]

    def gone(self, name: str) -> str:
        """Return an unused name, even if an earlier call has left an image there."""
        name = f"{self.base}-{name}"
        self.remove(name)
        if name not in self.names:
            self.names.append(name)
        return name

    def remove(self, name: str) -> None:
        """Remove an image that may exist, with its snapshots."""
        if name not in rbd.RBD().list(self.ioctx):
            return
        # An image whose removal was stopped can be removed, but not opened.
        with contextlib.suppress(rbd.ImageNotFound), rbd.Image(self.ioctx, name) as image:
            for snap in list(image.list_snaps()):
                image.remove_snap(snap["name"])
        rbd.RBD().remove(self.ioctx, name)

    def close(self) -> None:
        self.clone.close()
        self.image.remove_snap("before")
        self.image.close()
        with rbd.Image(self.ioctx, self.parent) as parent:
            rbd.RBD().remove(self.ioctx, self.clone_name)
            parent.unprotect_snap("base")
            parent.remove_snap("base")
        for name in self.names:
            self.remove(name)
        self.ioctx.close()
        self.cluster.shutdown()


def with_progress(made: Made) -> Dict[str, Callable[[Any], Any]]:
    """Calls that report progress. They raise what the callback raises."""
    image, ioctx = made.image, made.ioctx
    return {
        "resize": lambda callback: shrink(image, callback),
        "rollback_to_snap": lambda callback: image.rollback_to_snap("before", on_progress=callback),
        "sparsify": lambda callback: image.sparsify(4096, on_progress=callback),
        "flatten": lambda callback: made.clone.flatten(on_progress=callback),
        "copy": lambda callback: image.copy(ioctx, made.gone("copy"), on_progress=callback),
        "deep_copy": lambda callback: image.deep_copy(
            ioctx, made.gone("deep"), on_progress=callback
        ),
        "remove": lambda callback: rbd.RBD().remove(ioctx, victim(made), on_progress=callback),
    }


def victim(made: Made) -> str:
    name = made.gone("removed")
    rbd.RBD().create(made.ioctx, name, SIZE, 20)
    return name


def streaming(made: Made) -> Dict[str, Callable[[Any], Any]]:
    """Calls on streams. They do the same, but ignore the callback's return value."""
    image, ioctx = made.image, made.ioctx
    return {
        "export_image": lambda callback: transfer.export_image(
            image, io.BytesIO(), on_progress=callback
        ),
        "export_diff": lambda callback: transfer.export_diff(
            image, io.BytesIO(), on_progress=callback
        ),
        "import_image": lambda callback: transfer.import_image(
            io.BytesIO(made.whole), ioctx, made.gone("imported"), on_progress=callback
        ),
        "merge_diff": lambda callback: transfer.merge_diff(
            *map(io.BytesIO, made.diffs), io.BytesIO(), on_progress=callback
        ),
        "import_diff": lambda callback: import_diff(made, callback),
    }


def import_diff(made: Made, callback: Any) -> None:
    """Import a difference to an image that does not have it yet."""
    name = made.gone("brought")
    rbd.RBD().create(made.ioctx, name, SIZE, 20)
    with rbd.Image(made.ioctx, name) as image:
        transfer.import_diff(io.BytesIO(made.diffs[0]), image, on_progress=callback)


def completing(made: Made) -> Dict[str, Callable[[Any], rbd.Completion]]:
    """Calls that complete later. Their wait raises what the callback raises."""
    image = made.image
    return {
        "aio_write": lambda callback: image.aio_write(b"w" * 512, 0, callback),
        "aio_read": lambda callback: image.aio_read(0, 512, callback),
        "aio_discard": lambda callback: image.aio_discard(0, 512, callback),
        "aio_flush": lambda callback: image.aio_flush(callback),
        "aio_open_image": lambda callback: rbd.RBD().aio_open_image(
            callback, made.ioctx, made.base
        ),
        "aio_close": lambda callback: rbd.Image(made.ioctx, made.base).aio_close(callback),
    }


def raise_in_callbacks(where: Where) -> int:
    made = Made(where)
    image = made.image
    progress, streams, later = with_progress(made), streaming(made), completing(made)
    iterating = {"diff_iterate": lambda callback: image.diff_iterate(0, SIZE, None, callback)}
    tried = 0
    for name, call in {**progress, **iterating, **streams}.items():
        assert isinstance(raised_by(partial(call, raises)), Interruption), name
        # Whatever was stopped, the image stays usable.
        image.resize(SIZE)
        assert image.write(b"D" * 512, 4096) == 512
        tried += 1
    for call in {**progress, **iterating}.values():
        for bad in (answers_text, answers_too_much):
            with pytest.raises((TypeError, OverflowError)):
                call(bad)
            tried += 1
    for start in later.values():
        completion = start(raises)
        for _ in range(2):
            with pytest.raises(Interruption):
                completion.wait_for_complete_and_cb()
        assert completion.get_return_value() >= 0
        tried += 1
    made.close()
    return tried


# Callbacks that no call waits for: their exceptions are reported, and the next call comes as usual.


def raise_in_watches(where: Where) -> int:
    made = Made(where)
    image = made.image
    _cluster, _ioctx, other = open_all(where)
    reported: List[Any] = []
    sys.unraisablehook = lambda what: reported.append(what.exc_type)
    watches = [image.on_update(raises)]
    quiesces = rbd.supports("rbd_quiesce_watch")
    for number in range(5):
        reported.clear()
        other.create_snap(f"told-{number}")
        assert eventually(lambda: Interruption in reported)
    if quiesces:
        watches += [image.on_quiesce(raises), image.on_quiesce(None, raises)]
        for number in range(5):
            # A snapshot that a callback has refused is not taken.
            with pytest.raises(rbd.Error):
                other.create_snap(f"refused-{number}")
            assert not other.snap_exists(f"refused-{number}")
    for watch in watches:
        watch.close()
    for number in range(5):
        other.remove_snap(f"told-{number}")
    assert {*reported} <= {Interruption}
    other.close()
    made.close()
    return 10 if quiesces else 5


@pytest.mark.parametrize("scenario", [raise_in_callbacks, raise_in_watches])
def test_exceptions_in_callbacks_reach_the_caller(
    where: Where, scenario: Callable[..., int]
) -> None:
    isolated.repeat(scenario, where, rounds=ROUNDS[scenario.__name__], timeout=LIMIT)
