"""Empty, huge and wrongly typed arguments for every call on an image."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import random
import tempfile
from typing import Any, Callable, Dict, Iterator, List, Tuple

import rbd
import rbd.aio
import rbd.transfer
from support import hostile_arguments, image_kinds, public_surface
from support.hostile_arguments import HANG, Run

#: Calls that librbd carries out for any size, which is a long wait and not an error.
_SIZED = {"resize", "truncate"}
_MOST = 64 << 20


class ImageStage:
    """An image of a kind. A new one replaces it if a call has closed it."""

    def __init__(self, stage: image_kinds.PoolStage, kind: str) -> None:
        self._stage = stage
        self._make = image_kinds.KINDS[kind].make
        self.ioctx = stage.ioctx
        self.loop = asyncio.new_event_loop()
        self._subject = self._make(stage)

    @property
    def image(self) -> rbd.Image:
        return self._subject.image

    def heal(self) -> None:
        if self.image.closed:
            self._subject = self._make(self._stage)

    def unlock(self) -> None:
        """Release the advisory locks: every client that writes or locks waits for them, also their
        owner."""
        found: Any = self.image.list_lockers()
        for _, cookie, _ in found["lockers"] if found else ():
            # librbd's exclusive lock has such a name.
            if not cookie.startswith("auto "):
                self.image.unlock(cookie)


def values(size: int) -> List[Any]:
    """Return nothing, the edges of the image and of the integers, and values that fit nowhere."""
    numbers = [0, 1, size - 1, size, size + 1, -1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63]
    numbers += [2**64 - 1, 2**64, 10**30]
    others: List[Any] = [b"", bytearray(), "", [], [b""], [[]], {}, None, 0.5, "text", object()]
    return [*numbers, *others, [0, 2**64 - 1], bytearray(size + 1)]


def subjects(stage: ImageStage) -> Iterator[Tuple[str, Callable[[], Any]]]:
    """Return what can be called on an image: a name, and a function that returns the callable."""

    def of(what: str, make: Callable[[], Any]) -> Iterator[Tuple[str, Callable[[], Any]]]:
        for name in public_surface.methods(make()):
            yield f"{what}.{name}", lambda n=name: getattr(make(), n)

    yield from of("Image", lambda: stage.image)
    yield from of("AsyncImage", lambda: rbd.aio.AsyncImage(stage.image))
    yield from of("file", lambda: stage.image.open_file("rb"))
    for name in rbd.transfer.__all__:
        yield f"transfer.{name}", lambda n=name: getattr(rbd.transfer, n)
    yield "ImageArray", lambda: rbd.ImageArray


def calls(what: str, function: Callable[..., Any], stage: ImageStage) -> List[Dict[str, Any]]:
    """Return the arguments of the calls: each value for each parameter, and nothing for all."""
    good = {
        name: public_surface.candidates(name, stage.ioctx, stage.image)[0]
        for name in public_surface.required(function) or []
    }
    nothing = {
        name: type(value)() if isinstance(value, (int, str, bytearray, list)) else value
        for name, value in good.items()
    }
    found = [good, nothing]
    limit = _MOST if what.split(".")[-1] in _SIZED else 2**70
    for parameter in public_surface.parameters(function) or []:
        for value in values(stage.image.size()):
            if not (isinstance(value, int) and limit < value < 2**64):
                found += [{**base, parameter.name: value} for base in (good, nothing)]
    return found


def drive(note: str, kind: str, seed: int, share: float, *where: str) -> Dict[str, Any]:
    """Make a part of the calls on an image of a kind; for a separate process."""
    # The calls may take texts for the names of files.
    os.chdir(tempfile.mkdtemp())
    chosen = random.Random(seed)
    stage = ImageStage(image_kinds.PoolStage(*where), kind)
    run = Run(stage, note)
    targets = list(subjects(stage))
    chosen.shuffle(targets)
    for what, get in targets:
        made = calls(what, get(), stage)
        for arguments in made:
            if chosen.random() >= share:
                continue
            arguments = {
                # A number is a descriptor here, and the open ones belong to Ceph.
                name: -1 if name in hostile_arguments.STREAMS and value in (0, 1) else value
                for name, value in arguments.items()
            }
            run.call(what, get(), arguments)
            if what in ("Image.lock_exclusive", "Image.lock_shared"):
                stage.unlock()
    faulthandler.dump_traceback_later(HANG, exit=True)
    return {"calls": run.calls, "raised": run.raised, "wrong": run.wrong}
