"""A real image and its model. Each step is made on both, in one of many ways."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import time
from functools import partial
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import pytest

import rbd
import rbd.aio
from rbd import transfer
from rbd.files import ResizedMeanwhile
from support.image_model import (
    MISMATCH,
    SECTOR,
    Layout,
    Model,
    Step,
    at_snapshot,
    await_parent_release,
    noise,
    read_all,
)
from support.luks import HEADERS, PASSPHRASE, format_cheaply

#: The stored data of an encrypted image is copied in blocks of this many bytes.
CIPHER_BLOCK = 16


def parts(data: bytes) -> List[bytes]:
    """Return data as three vectors, one of them empty."""
    return [data[: len(data) // 3], b"", data[len(data) // 3 :]]


def compared(model: Model, step: Step) -> bytes:
    """Return the data to compare: the present data or, for a mismatch, with another end."""
    there = bytes(model.content[step.offset : step.offset + step.length])
    return there if step.kind != MISMATCH else there[:-1] + bytes([there[-1] ^ 0xFF])


def request(model: Model, step: Step) -> Tuple[str, Tuple[Any, ...]]:
    """Return the method that makes the step, and its arguments."""
    kind, offset, length, _ = step
    data = step.data()
    if kind == "writev":
        return kind, (parts(data), offset)
    if kind == "write_blocks":
        block = length // 3
        return kind, (data, [offset + block * index for index in range(3)])
    if kind == "write_same":
        return kind, (data[:SECTOR], offset, length)
    if kind in ("compare_and_write", MISMATCH):
        return "compare_and_write", (compared(model, step), data, offset)
    if kind in ("discard", "write_zeroes"):
        return kind, (offset, length)
    return "write", (data, offset)


def synchronous(image: rbd.Image, model: Model, step: Step) -> Any:
    """Make the step on the image."""
    method, arguments = request(model, step)
    return getattr(image, method)(*arguments)


def coroutine(image: rbd.aio.AsyncImage, model: Model, step: Step) -> Any:
    """Return the step as a coroutine; if asyncio has no such call, a write of the same data."""
    method, arguments = request(model, step)
    if not hasattr(image, method):
        method, arguments = "write", (step.data(), step.offset)
    return getattr(image, method)(*arguments)


def with_callback(image: rbd.Image, step: Step, callback: Callable[..., Any]) -> rbd.Completion:
    """Submit the step with a callback; if there is no such call, a write of the same data."""
    kind, offset, length, _ = step
    if kind == "discard":
        return image.aio_discard(offset, length, callback)
    if kind == "write_zeroes":
        return image.aio_write_zeroes(offset, length, callback)
    return image.aio_write(step.data(), offset, callback)


def check_mismatch(error: Any, step: Step) -> None:
    assert isinstance(error, rbd.CompareMismatch), repr(error)
    assert error.errno == errno.EILSEQ
    assert error.offset == step.offset + step.length - 1


def call_each(image: rbd.Image, model: Model, steps: Sequence[Step]) -> None:
    """Make the steps one after the other."""
    for step in steps:
        if step.kind == MISMATCH:
            with pytest.raises(rbd.CompareMismatch) as caught:
                synchronous(image, model, step)
            check_mismatch(caught.value, step)
        else:
            result = synchronous(image, model, step)
            assert result in (None, step.length), step


def start_all(image: rbd.Image, model: Model, steps: Sequence[Step]) -> None:
    """Submit all steps at once with callbacks. Wait for the last one first."""
    results: Dict[int, int] = {}

    def noting(index: int) -> Callable[[rbd.Completion], None]:
        return lambda completion: results.__setitem__(index, completion.get_return_value())

    started = [
        with_callback(image, step, noting(index))
        for index, step in enumerate(steps)
        if step.kind != MISMATCH
    ]
    for completion in reversed(started):
        completion.wait_for_complete_and_cb()
    assert [*results.values()] == [0] * len(started), results


def await_all(image: rbd.Image, model: Model, steps: Sequence[Step]) -> None:
    """Make all steps at once, in asyncio."""
    wrapped = rbd.aio.AsyncImage(image)

    async def gather() -> List[Any]:
        tasks = [coroutine(wrapped, model, step) for step in steps]
        return await asyncio.gather(*tasks, return_exceptions=True)

    for step, result in zip(steps, asyncio.run(gather())):
        if step.kind == MISMATCH:
            check_mismatch(result, step)
        else:
            assert result == step.length, (step, result)


WAYS = {"calls": call_each, "callbacks": start_all, "asyncio": await_all}


class FileStep(NamedTuple):
    """One call of a file: "write", "truncate", "flush" or "read"."""

    kind: str
    place: int
    length: int
    seed: int


FILE_KINDS = ("write", "write", "truncate", "flush", "read")


#: The ways to read a whole snapshot that notice its removal.
WHOLE_READS: Dict[str, Callable[[rbd.Image], Any]] = {
    "file": lambda image: image.open_file().read(),
    "raw file": lambda image: image.open_file("rb", 0).readall(),
    "export_image": lambda image: transfer.export_image(image, io.BytesIO()),
    "export_diff": lambda image: transfer.export_diff(image, io.BytesIO()),
    "digest": transfer.digest,
}


def apart(
    model: Model, steps: Sequence[Step], low: int = 0, high: Optional[int] = None
) -> List[Step]:
    """Return the steps, made to fit, that do not overlap earlier ones, between two offsets."""
    chosen: List[Step] = []
    for wanted in steps:
        step = model.fit(wanted)
        if step is None:
            continue
        end = step.offset + step.length
        clear = all(end <= one.offset or one.offset + one.length <= step.offset for one in chosen)
        if clear and low <= step.offset and (high is None or end <= high):
            chosen.append(step)
    return chosen


class Disk:
    """An image, open one or more times, and its expected content."""

    def __init__(
        self, name: str, model: Model, ioctxs: Sequence[Any], encryption: Optional[int] = None
    ) -> None:
        self.name = name
        self.model = model
        self.ioctxs = list(ioctxs)
        self.parent: Optional[Disk] = None
        self.parent_snapshot = ""
        self.flat = False  # the head has no parent, but snapshots may have one
        self.emptied = False  # nothing of the parent was left at that time
        #: The format of the encryption that is loaded.
        self.encryption = encryption
        self.images = [self.open(number) for number in range(len(ioctxs))]

    @classmethod
    def create(
        cls,
        name: str,
        layout: Layout,
        size: int,
        ioctxs: Sequence[Any],
        granularity: int,
        encryption: Optional[int] = None,
    ) -> Disk:
        if encryption is None:
            rbd.RBD().create(ioctxs[0], name, size, **layout.keywords())
            return cls(name, Model(layout, bytes(size), granularity, clone=False), ioctxs)
        model = Model(layout, b"", granularity, clone=False)
        model.header = HEADERS[encryption]
        # Formatting needs more space than the header.
        room = 1 << layout.order
        rbd.RBD().create(ioctxs[0], name, model.header + room, **layout.keywords())
        with rbd.Image(ioctxs[0], name) as image:
            format_cheaply(image, encryption)
            assert image.size() == room
            image.resize(0)
        made = cls(name, model, ioctxs, encryption)
        made.resize(0, size)
        return made

    def open(self, number: int, **options: Any) -> rbd.Image:
        return self.open_with(self.ioctxs[number % len(self.ioctxs)], **options)

    def open_with(self, ioctx: Any, **options: Any) -> rbd.Image:
        image = rbd.Image(ioctx, self.name, **options)
        if self.encryption is not None:
            image.encryption_load(self.encryption, PASSPHRASE)
        return image

    def image(self, number: int = 0) -> rbd.Image:
        return self.images[number % len(self.images)]

    def make(self, number: int, way: str, steps: Sequence[Step]) -> None:
        """Make the steps that do not overlap, by one handle."""
        chosen = apart(self.model, steps)
        WAYS[way](self.image(number), self.model, chosen)
        for step in chosen:
            self.model.apply(step)

    def resize(self, number: int, size: int) -> None:
        before = self.model.size
        if size > before and self.parent_is_in_the_way(number):
            with pytest.raises(rbd.OperationNotSupported):
                self.image(number).resize(size)
            return
        self.image(number).resize(size)
        self.model.resize(size)
        if self.encryption is not None and size > before:
            # In an existing object of an encrypted image, a part that was never written decrypts to
            # noise.
            self.image(number).write(bytes(size - before), before)
            # As after other steps: a client that is shut out has nothing unsaved.
            self.image(number).flush()
            self.model.put(before, bytes(size - before))

    def reads_parent(self, snapshot: str) -> bool:
        """Return whether librbd opens the parent for the data of a snapshot."""
        with at_snapshot(self.image(), snapshot):
            return self.image().overlap() > 0

    def parent_is_in_the_way(self, number: int) -> bool:
        """Return whether librbd would take data of the parent for those of an encrypted clone."""
        layered = rbd.supports("rbd_encryption_load2")
        return self.encryption is not None and not layered and self.image(number).overlap() > 0

    def write_across_the_end(self, number: int, inside: int, beyond: int) -> None:
        """Check that a write across the end writes what fits, and fails for the rest."""
        image, model = self.image(number), self.model
        inside = min(inside, model.size)
        data, offset = noise(beyond, inside + beyond), model.size - inside
        with pytest.raises((rbd.IncompleteWriteError, rbd.InvalidArgument)) as caught:
            image.write(data, offset)
        if inside:
            assert isinstance(caught.value, rbd.IncompleteWriteError)
            assert caught.value.errno is None
            model.put(offset, data[:inside])
        else:
            assert isinstance(caught.value, rbd.InvalidArgument)
            assert caught.value.errno == errno.EINVAL

    def read_parts(self, number: int, offset: int, length: int) -> None:
        """Check that every way to read returns the same bytes."""
        image, model = self.image(number), self.model
        expected = bytes(model.content[offset : offset + length])
        if not expected and length:
            with pytest.raises(rbd.InvalidArgument):
                image.read(offset, length)
            return
        assert image.read(offset, length) == expected
        into = bytearray(length)
        assert image.readinto(into, offset) == len(expected)
        assert into == expected.ljust(length, b"\0")
        vectors = [bytearray(length // 2), bytearray(length - length // 2)]
        assert image.readv(vectors, offset) == len(expected)
        assert b"".join(vectors) == expected.ljust(length, b"\0")
        with image.open_file("rb", -1 if offset % 2 else 0) as file:
            file.seek(offset)
            assert file.read(length) == expected
        # Two of each three sectors, so that some follow each other.
        blocks = [
            offset + index
            for index in range(0, len(expected) - SECTOR, SECTOR)
            if index // SECTOR % 3 < 2
        ]
        assert image.read_blocks(blocks, SECTOR) == b"".join(
            bytes(model.content[at : at + SECTOR]) for at in blocks
        )

    def write_file(
        self, number: int, mode: str, buffering: int, growing: bool, made: Sequence[FileStep]
    ) -> None:
        """Make the steps through one file, and close it."""
        growing = growing and not self.parent_is_in_the_way(number)
        mode = mode if growing else "r+b"
        with self.image(number).open_file(mode, buffering, growing=growing) as file:
            for step in made:
                self.file_step(file, step, mode, growing)
                if growing:
                    self.model.end_file()

    def file_step(self, file: Any, step: FileStep, mode: str, growing: bool) -> None:
        kind, place, length, seed = step
        size = self.model.size
        # Bytes that are skipped in an encrypted image would be noise: see resize().
        gaps = growing and self.encryption is None
        if kind == "flush":
            file.flush()
        elif kind == "truncate":
            place = place if gaps else min(place, size)
            assert file.truncate(place) == place
            self.model.resize(place)
        elif kind == "read":
            file.seek(place)
            expected = bytes(self.model.content[place : place + length])
            assert file.read(length) == expected
        else:
            place = size if mode.startswith("a") else place if gaps else min(place, size)
            length = length if growing else min(length, size - place)
            file.seek(place)
            assert file.write(noise(seed, length)) == length
            self.put_in_file(place, noise(seed, length))

    def put_in_file(self, place: int, data: bytes) -> None:
        """Put data into the model, which grows if it is too small."""
        if data:
            self.model.resize(max(self.model.size, place + len(data)))
            self.model.put(place, data)

    def grow_by_two(self, made: Sequence[Tuple[int, FileStep]]) -> None:
        """Write through growing files of two handles. The file that is not alone any more must
        notice it."""
        files = [image.open_file("r+b", 0, growing=True) for image in self.images]
        stale = set()
        for number, step in made:
            number %= len(files)
            data = noise(step.seed, max(step.length, 1))
            files[number].seek(step.place)
            try:
                files[number].write(data)
            except ResizedMeanwhile:
                # Only one file has enlarged the image.
                stale.add(number)
                assert len(stale) < len(files), stale
            else:
                assert number not in stale
                self.put_in_file(step.place, data)
                self.model.end_file()
                self.image(number).flush()
        for number, file in enumerate(files):
            if number in stale:
                with contextlib.suppress(ResizedMeanwhile):
                    file.close()
            else:
                file.close()

    def read_removed(self, number: int, snapshot: str, way: str, read_only: bool) -> None:
        """Remove a snapshot at which another handle is open. Reading it there must fail."""
        if self.model.clones[snapshot]:
            return
        with self.open(number + 1, snapshot=snapshot, read_only=read_only) as at:
            await_parent_release(at)
            assert read_all(at) == self.model.at(snapshot)
            self.remove_snapshot(number, snapshot)
            with pytest.raises(rbd.ImageNotFound):
                WHOLE_READS[way](at)

    def lose(self, number: int, steps: Sequence[Step], shut_out: Callable[[], None]) -> None:
        """Shut a client out that has written, and close its image.

        Without an error of the close, all data must be there. With one, each byte is the old or the
        new one.
        """
        before = bytes(self.model.content)
        chosen = apart(self.model, steps)
        call_each(self.image(number), self.model, chosen)
        for step in chosen:
            self.model.apply(step)
        shut_out()
        try:
            self.image(number).close()
        except rbd.Error:
            self.take_either(before, number + 1)

    def deny(self, ioctx: Any, steps: Sequence[Step], pause: float) -> None:
        """Make the steps as a client that may not write data, with a flush around each.

        Without any error, all data must be there. With one, each byte is the old or the new one.
        A write that is acknowledged too early fails in the pause, in seconds, before the flush.
        """
        before = bytes(self.model.content)
        chosen = apart(self.model, steps)
        image = self.open_with(ioctx)
        calls = [image.flush]
        for step in chosen:
            write = partial(call_each, image, self.model, [step])
            calls += [write, partial(time.sleep, pause), image.flush]
        errors = []
        for call in [*calls, image.close]:
            try:
                call()
            except rbd.Error as error:
                errors.append(error)
        for step in chosen:
            self.model.apply(step)
        if errors:
            self.take_either(before)

    def take_either(self, before: bytes, number: int = 0) -> None:
        """Take over the image's content. Each byte must be as before, or as in the model."""
        with self.open(number, read_only=True) as image:
            await_parent_release(image)
            found = read_all(image)
        assert len(found) == len(before)
        for old, new, now in zip(before, self.model.content, found):
            assert now in (old, new)
        self.model.content[:] = found

    def refuse_writes(self, number: int, snapshot: str) -> None:
        """Check that the image reads from a snapshot that is set, and cannot be written."""
        image = self.image(number)
        with at_snapshot(image, snapshot):
            assert image.size() == len(self.model.at(snapshot))
            if image.size():
                for write in (lambda: image.write(b"x", 0), lambda: image.discard(0, 1)):
                    with pytest.raises(rbd.ReadOnlyImage):
                        write()
            with pytest.raises(rbd.ReadOnlyImage):
                image.resize(SECTOR)

    def reopen(self, number: int) -> None:
        number %= len(self.images)
        self.images[number].close()
        self.images[number] = self.open(number)

    def remove_snapshot(self, number: int, name: str) -> None:
        if self.model.clones[name]:
            with pytest.raises(rbd.ImageBusy):
                self.image(number).remove_snap(name)
            return
        if self.image(number).is_protected_snap(name):
            self.image(number).unprotect_snap(name)
        self.image(number).remove_snap(name)
        self.model.remove_snapshot(name)

    def clone(self, snapshot: str, name: str, layout: Layout) -> Optional[Disk]:
        image = self.image()
        if not image.is_protected_snap(snapshot):
            image.protect_snap(snapshot)
        ioctx = self.ioctxs[0]

        def make() -> None:
            rbd.RBD().clone(ioctx, self.name, snapshot, ioctx, name, **layout.keywords())

        if not self.model.snapshots[snapshot] and self.encryption is None:
            # librbd refuses to clone an image without bytes.
            with pytest.raises(rbd.InvalidArgument):
                make()
            return None
        make()
        if self.encryption is not None and not rbd.supports("rbd_encryption_load2"):
            with rbd.Image(ioctx, name) as image:
                if image.overlap() > 0 and self.reads_parent(snapshot):
                    # librbd would end the process when it closes the clone of a clone.
                    with pytest.raises(rbd.OperationNotSupported):
                        image.encryption_load(self.encryption, PASSPHRASE)
                    unreadable = True
                else:
                    unreadable = False
            if unreadable:
                rbd.RBD().remove(ioctx, name)
                return None
        if layout.stripe_count == 1:
            # Without an option, the parent's striping is used.
            parent = self.model.layout
            unit = parent.stripe_unit if parent.stripe_count > 1 else layout.stripe_unit
            layout = layout._replace(stripe_unit=unit, stripe_count=parent.stripe_count)
        made = Disk(name, self.model.clone(snapshot, layout), self.ioctxs, self.encryption)
        made.parent, made.parent_snapshot = self, snapshot
        return made

    def flatten(self) -> None:
        if self.emptied:
            # librbd accepts that any number of times.
            self.image().flatten()
            return
        if self.parent is None or self.flat:
            with pytest.raises(rbd.InvalidArgument):
                self.image().flatten()
            return
        if self.encryption is not None and not rbd.supports("rbd_encryption_load2"):
            with pytest.raises(rbd.OperationNotSupported):
                self.image().flatten()
            with rbd.Image(self.ioctxs[0], self.name) as stored:
                if stored.overlap() % CIPHER_BLOCK:
                    with pytest.raises(rbd.OperationNotSupported, match="multiple of 16"):
                        stored.flatten()
                    return
                stored.flatten()
        else:
            self.image().flatten()
        self.flat = True
        # A resize never removes the header.
        self.emptied = self.model.smallest == 0 and self.encryption is None
        self.model.flatten()
        # Without that feature, snapshots still read from the parent.
        if self.image().features() & rbd.RBD_FEATURE_DEEP_FLATTEN or not self.model.snapshots:
            self.leave_parent()

    def leave_parent(self) -> None:
        if self.parent is not None:
            self.parent.model.clones[self.parent_snapshot] -= 1
            self.parent = None

    def compare(self) -> None:
        for image in self.images:
            self.model.compare(image)

    def remove(self) -> None:
        """Remove the image, which has no clones any more."""
        for image in self.images[1:]:
            image.close()
        for name in list(self.model.snapshots):
            self.remove_snapshot(0, name)
        self.images[0].close()
        rbd.RBD().remove(self.ioctxs[0], self.name)
        self.leave_parent()
