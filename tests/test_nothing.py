"""Sizes and lengths of 0, in every call that takes one, on every kind of image.

librbd ends the process for some of them, so each kind of image has a separate process.
"""

from __future__ import annotations

import asyncio
import errno
import io
import os
from typing import Any, Callable, Dict, List, Tuple

import pytest

import rbd
import rbd.aio
from rbd import transfer
from support import isolated

OBJECT = 1 << 16
SIZE = 4 * OBJECT
ORDER = 16
PASSPHRASE = "of nothing"

# The kinds of images


def plain(ioctx: Any, **layout: Any) -> rbd.Image:
    """Make data in two objects, with a snapshot 's' between."""
    rbd.RBD().create(ioctx, "image", SIZE, ORDER, **layout)
    image = rbd.Image(ioctx, "image")
    image.write(b"a" * 4096, 0)
    image.create_snap("s")
    image.write(b"b" * 4096, 2 * OBJECT)
    return image


def striped(ioctx: Any) -> rbd.Image:
    return plain(ioctx, stripe_unit=4096, stripe_count=3)


def without_map(ioctx: Any) -> rbd.Image:
    return plain(ioctx, features=rbd.RBD_FEATURE_LAYERING)


def read_only(ioctx: Any) -> rbd.Image:
    plain(ioctx).close()
    return rbd.Image(ioctx, "image", read_only=True)


def at_snapshot(ioctx: Any) -> rbd.Image:
    image = plain(ioctx)
    image.set_snap("s")
    return image


def empty(ioctx: Any) -> rbd.Image:
    rbd.RBD().create(ioctx, "image", 0, ORDER)
    return rbd.Image(ioctx, "image")


def at_empty_snapshot(ioctx: Any) -> rbd.Image:
    image = empty(ioctx)
    image.create_snap("nothing")
    image.resize(SIZE)
    image.write(b"a" * 4096, 0)
    image.close()
    return rbd.Image(ioctx, "image", "nothing")


def emptied(ioctx: Any) -> rbd.Image:
    image = plain(ioctx)
    image.resize(0)
    return image


def clone(ioctx: Any) -> rbd.Image:
    with plain(ioctx) as parent:
        parent.protect_snap("s")
    rbd.RBD().clone(ioctx, "image", "s", ioctx, "clone", order=ORDER)
    image = rbd.Image(ioctx, "clone")
    image.create_snap("s")
    image.write(b"c" * 4096, OBJECT)
    return image


def emptied_clone(ioctx: Any) -> rbd.Image:
    image = clone(ioctx)
    image.resize(0)
    return image


def clone_without_a_parent_below(ioctx: Any) -> rbd.Image:
    image = emptied_clone(ioctx)
    image.resize(SIZE)
    return image


def encrypted(ioctx: Any) -> rbd.Image:
    rbd.RBD().create(ioctx, "image", 8 << 20, 20)
    image = rbd.Image(ioctx, "image")
    image.encryption_format(rbd.RBD_ENCRYPTION_FORMAT_LUKS1, PASSPHRASE)
    image.write(b"a" * 4096, 0)
    image.create_snap("s")
    image.write(b"b" * 4096, 2 << 20)
    return image


def migrating(ioctx: Any) -> rbd.Image:
    plain(ioctx).close()
    rbd.RBD().migration_prepare(ioctx, "image", ioctx, "moved")
    return rbd.Image(ioctx, "moved")


KINDS: Dict[str, Callable[[Any], rbd.Image]] = {
    kind.__name__: kind
    for kind in (
        plain,
        striped,
        without_map,
        read_only,
        at_snapshot,
        empty,
        at_empty_snapshot,
        emptied,
        clone,
        emptied_clone,
        clone_without_a_parent_below,
        encrypted,
        migrating,
    )
}

# The calls


def ignore(*_: Any) -> None:
    pass


def iterated(image: rbd.Image, offset: int, start: Any, options: Any) -> int:
    called: List[Any] = []
    image.diff_iterate(offset, 0, start, lambda *extent: called.append(extent), **options)
    return len(called)


def diffs(image: rbd.Image, offset: int) -> List[int]:
    """Return how many extents librbd reports for an empty region, in each way."""
    found = []
    snapshots = [snapshot["name"] for snapshot in image.list_snaps()]
    for start in [None, *(name for name in snapshots if image.size())]:
        for include_parent in (True, False):
            counts = []
            for whole_object in (False, True):
                options = {"include_parent": include_parent, "whole_object": whole_object}
                counts.append(len(image.diff(offset, 0, start, **options)))
                counts.append(iterated(image, offset, start, options))
                counts.append(len(image.diff(offset, 0, start, merge=True, **options)))
            found += counts
    return found


def completed(start: Callable[[Callable[..., None]], rbd.Completion]) -> int:
    results: List[int] = []
    # Calls that compare report the place of a difference too.
    start(
        lambda completion, *_: results.append(completion.get_return_value())
    ).wait_for_complete_and_cb()
    return results[0]


def awaited(image: rbd.Image, call: Callable[[rbd.aio.AsyncImage], Any]) -> Any:
    async def run() -> Any:
        return await call(rbd.aio.AsyncImage(image))

    return asyncio.run(run())


#: Calls without a change and without data, at an offset. Each returns something false.
AT_AN_OFFSET: Dict[str, Callable[[rbd.Image, int], Any]] = {
    "read": lambda image, at: image.read(at, 0),
    "readinto": lambda image, at: image.readinto(bytearray(), at),
    "readv of none": lambda image, at: image.readv([], at),
    "readv of nothing": lambda image, at: image.readv([bytearray(), bytearray()], at),
    "read_blocks of none": lambda image, at: image.read_blocks([], 512),
    "read_iterate": lambda image, at: image.read_iterate(at, 0, ignore),
    "diff": lambda image, at: any(diffs(image, at)),
    "write": lambda image, at: image.write(b"", at),
    "writev of none": lambda image, at: image.writev([], at),
    "writev of nothing": lambda image, at: image.writev([b"", b""], at),
    "write_blocks of none": lambda image, at: image.write_blocks(b"", []),
    "discard": lambda image, at: image.discard(at, 0),
    "write_zeroes": lambda image, at: image.write_zeroes(at, 0),
    "write_same": lambda image, at: image.write_same(b"x" * 512, at, 0),
    "write_same of nothing": lambda image, at: image.write_same(b"", at, 0),
    "compare_and_write": lambda image, at: image.compare_and_write(b"", b"", at),
    "aio_read": lambda image, at: completed(lambda cb: image.aio_read(at, 0, lambda c, _: cb(c))),
    "aio_write": lambda image, at: completed(lambda cb: image.aio_write(b"", at, cb)),
    "aio_discard": lambda image, at: completed(lambda cb: image.aio_discard(at, 0, cb)),
    "aio_write_zeroes": lambda image, at: completed(lambda cb: image.aio_write_zeroes(at, 0, cb)),
    "aio_compare_and_writev of none": lambda image, at: completed(
        lambda cb: image.aio_compare_and_writev([], [], at, cb)
    ),
    "aio_compare_and_writev of nothing": lambda image, at: completed(
        lambda cb: image.aio_compare_and_writev([b""], [b"", b""], at, cb)
    ),
    "awaited read": lambda image, at: awaited(image, lambda one: one.read(at, 0)),
    "awaited readinto": lambda image, at: awaited(image, lambda one: one.readinto(bytearray(), at)),
    "awaited readv": lambda image, at: awaited(image, lambda one: one.readv([bytearray()], at)),
    "awaited write": lambda image, at: awaited(image, lambda one: one.write(b"", at)),
    "awaited writev": lambda image, at: awaited(image, lambda one: one.writev([b""], at)),
    "awaited discard": lambda image, at: awaited(image, lambda one: one.discard(at, 0)),
    "awaited write_zeroes": lambda image, at: awaited(image, lambda one: one.write_zeroes(at, 0)),
    "awaited write_same": lambda image, at: awaited(
        image, lambda one: one.write_same(b"x" * 512, at, 0)
    ),
    "awaited compare_and_write": lambda image, at: awaited(
        image, lambda one: one.compare_and_write(b"", b"", at)
    ),
}

#: The errors that a call of length 0 may raise. A comparison raises what a write raises.
REFUSALS = (rbd.InvalidArgument, rbd.ReadOnlyImage)
#: The result for a function that the loaded library lacks.
ABSENT = "absent"
AS_A_WRITE = [name for name in AT_AN_OFFSET if "compare_and_write" in name]


def whole(image: rbd.Image, offset: int) -> List[Tuple[int, int, bool]]:
    """Return the diffs to the end of the image, from an offset at its end, and the diff of all of
    it."""
    found: List[Tuple[int, int, bool]] = []
    for whole_object in (False, True):
        found += image.diff(offset, None, whole_object=whole_object)
        if not image.size():
            image.diff_iterate(0, 0, None, ignore, whole_object=whole_object)
            found += image.diff(whole_object=whole_object)
    return found


def exported(image: rbd.Image) -> bytes:
    stream = io.BytesIO()
    transfer.export_image(image, stream)
    for whole_object in (False, True):
        transfer.export_diff(image, io.BytesIO(), whole_object=whole_object)
    transfer.export_image(image, io.BytesIO(), export_format=2)
    return stream.getvalue()


def outcome(call: Callable[..., Any], *arguments: Any) -> str:
    """Return the result of a call as text. A refusal is its class and errno."""
    try:
        return repr(call(*arguments))
    except rbd.FunctionNotSupported:
        return ABSENT
    except REFUSALS as error:
        return f"{type(error).__name__} {error.errno}"


def try_all(conffile: str, pool: str, namespace: str, kind: str) -> Dict[str, str]:
    """Make every call on one kind of image. Return the result of each."""
    answers: Dict[str, str] = {}
    with rbd.connect(conffile) as cluster, cluster.open_ioctx(pool) as ioctx:
        ioctx.set_namespace(namespace)
        with KINDS[kind](ioctx) as image:
            size = image.size()
            content = image.read(0, size) if size else b""
            offsets = {"the beginning": 0, "the end": size, "beyond": size + 1}
            if size:
                offsets["within"] = OBJECT + 100
            for name, call in AT_AN_OFFSET.items():
                for place, offset in offsets.items():
                    # The last line shows a call that does not return.
                    print(f"{kind}: {name} at {place}", flush=True)
                    answers[f"{name} at {place}"] = outcome(call, image, offset)
            print(f"{kind}: to the end, and exports", flush=True)
            assert whole(image, size) == []
            assert exported(image) == content
            print(f"{kind}: files and arrays", flush=True)
            with image.open_file(buffering=0) as file:
                assert file.read(0) == b""
                assert file.seek(0, os.SEEK_END) == size
                assert file.read(10) == b""
            print(f"{kind}: the rest", flush=True)
            for name in ("flatten", "sparsify", "rebuild_object_map"):
                method: Any = getattr(image, name)
                answers[name] = repr(name)
                try:
                    method(*([4096] if name == "sparsify" else []))
                except rbd.OSError as error:
                    answers[name] = type(error).__name__
            assert (image.read(0, size) if size else b"") == content
    return answers


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.timeout(300)
def test_calls_on_nothing_do_nothing_or_are_refused(
    rbd_cluster: Any, rbd_ioctx: Any, kind: str
) -> None:
    if kind == "encrypted" and not rbd.supports("rbd_encryption_format"):
        pytest.skip("the loaded librbd has no rbd_encryption_format")
    answers = isolated.run(
        try_all,
        str(rbd_cluster.conffile),
        rbd_ioctx.get_pool_name(),
        rbd_ioctx.get_namespace(),
        kind,
        timeout=200,
    )
    if kind == "migrating":
        rbd.RBD().migration_abort(rbd_ioctx, "moved")
    for name, answer in answers.items():
        call, _, place = name.partition(" at ")
        if not place:
            continue
        if answer == ABSENT:
            continue
        if call in AS_A_WRITE:
            written = "aio_write" if call.startswith("aio_") else "write"
            written = "awaited write" if call.startswith("awaited") else written
            assert answer == answers[f"{written} at {place}"], (name, answer)
        elif call.startswith("aio_"):
            # The return value of a completion.
            assert answer in ("0", f"{-errno.EINVAL}", f"{-errno.EROFS}"), (name, answer)
        elif not answer.startswith(("InvalidArgument", "ReadOnlyImage")):
            assert answer in ("0", "None", "False", "b''", "bytearray(b'')"), (name, answer)


def test_a_clone_of_an_empty_image_is_refused(rbd_ioctx: Any) -> None:
    with at_empty_snapshot(rbd_ioctx) as image:
        image.protect_snap("nothing")
    try:
        with pytest.raises(rbd.InvalidArgument):
            rbd.RBD().clone(rbd_ioctx, "image", "nothing", rbd_ioctx, "clone")
    finally:
        with rbd.Image(rbd_ioctx, "image") as image:
            image.unprotect_snap("nothing")


def test_copies_of_an_empty_image_are_empty(rbd_ioctx: Any) -> None:
    with at_empty_snapshot(rbd_ioctx) as image:
        image.copy(rbd_ioctx, "copy")
        image.deep_copy(rbd_ioctx, "deep")
        rbd.RBD().create(rbd_ioctx, "target", 0, ORDER)
        with rbd.Image(rbd_ioctx, "target") as target:
            image.copy_into(target)
            assert target.size() == 0
    for name in ("copy", "deep"):
        with rbd.Image(rbd_ioctx, name) as copy:
            for snapshot in [None, *(one["name"] for one in copy.list_snaps())]:
                copy.set_snap(snapshot)
                assert copy.size() in (0, SIZE)
                if copy.size() == 0:
                    assert list(copy.diff(whole_object=True)) == []
