"""The streams that benchmarks import and merge, and the jobs on them."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Optional, Tuple

import rbd
from rbd import transfer

from . import images
from .peers import qemu_convert, qemu_name, rbd_command
from .place import MIB, Ended, Place

#: The distance in the image between two small records.
STRIDE = 16 << 10
SMALL = 4096
LARGE = 4 * MIB

Job = Callable[[Place], Ended]


def _sparse(place: Place, path: Path) -> None:
    """Write a file with data in every fourth 4 MiB."""
    block = images.data(LARGE)
    with path.open("wb") as file:
        for start in range(0, place.scale.stream, 4 * LARGE):
            file.seek(start)
            file.write(block)
        file.truncate(place.scale.stream)


def sparse(place: Place) -> Path:
    """Return a file with the bytes of an image, with holes."""
    return place.stream("sparse", _sparse)


def small(place: Place) -> Path:
    """Return a file with the bytes of an image of one block."""

    def prepare(_: Place, path: Path) -> None:
        path.write_bytes(images.data(SMALL))

    return place.stream("block", prepare)


def whole(place: Place) -> Path:
    """Return the same image in export format 2."""

    def prepare(place: Place, path: Path) -> None:
        with (
            place.cluster.connect() as cluster,
            cluster.open_ioctx(place.pool) as ioctx,
            rbd.Image(ioctx, images.scattered(place), read_only=True) as image,
        ):
            transfer.export_image(image, path, export_format=2, fsync=False)

    return place.stream("whole", prepare)


def _extents(place: Place, length: int) -> Iterator[int]:
    """Return the offsets of the records of a diff."""
    if length == LARGE:
        yield from range(0, place.scale.records, LARGE)
    else:
        yield from range(0, place.scale.records // 2 // SMALL * STRIDE, STRIDE)


def image_size(place: Place, length: int) -> int:
    """Return the size of the image of a diff with records of that length."""
    return max(_extents(place, length)) + max(length, STRIDE)


def diff(place: Place, length: int, start: Optional[str] = None, end: Optional[str] = None) -> Path:
    """Return a diff with records of that length."""

    def prepare(place: Place, path: Path) -> None:
        block = images.data(LARGE)[:length]
        with path.open("wb") as file:
            file.write(b"rbd diff v1\n")
            for tag, name in ((b"f", start), (b"t", end)):
                if name is not None:
                    file.write(tag + struct.pack("<I", len(name)) + name.encode())
            file.write(b"s" + struct.pack("<Q", image_size(place, length)))
            for offset in _extents(place, length):
                file.write(struct.pack("<cQQ", b"w", offset, length) + block)
            file.write(b"e")

    return place.stream(f"diff-{length}-{start}-{end}", prepare)


def _ours(place: Place, call: str, piped: Optional[Path] = None, **told: Any) -> Ended:
    answer = place.worker("ours", "streams", piped=piped, call=call, **told)
    return Ended(answer["seconds"], answer["processor"], answer["peak"], "")


def imports(how: str) -> Dict[str, Job]:
    """Return jobs that import a stream: this package's, the command's and qemu-img's."""
    source = {"whole": whole, "small": small}.get(how, sparse)
    piped = how in ("pipe", "small")
    options: Dict[str, Any] = {"order": 12} if how == "small" else {}
    given: Tuple[object, ...] = ("--export-format", "2") if how == "whole" else ()
    if how == "small":
        given = ("--object-size", "4K")

    def ours(place: Place) -> Ended:
        path = source(place)
        with place.fresh() as name:
            told: Dict[str, Any] = {"name": name, "options": options}
            told["path"] = None if piped else str(path)
            return _ours(place, "import_image", path if piped else None, **told)

    def command(place: Place) -> Ended:
        path = source(place)
        with place.fresh() as name:
            shown = "-" if piped else path
            return rbd_command(place, "import", *given, shown, name, piped=path if piped else None)

    def qemu(place: Place) -> Ended:
        path = source(place)
        with place.fresh() as name:
            return qemu_convert(place, path, qemu_name(place, name))

    return {"ours": ours, "command": command, **({} if piped or given else {"qemu": qemu})}


def imports_diff(length: int) -> Dict[str, Job]:
    """Return jobs that apply a diff to an empty image."""

    def ours(place: Place) -> Ended:
        path = diff(place, length)
        with place.fresh(image_size(place, length)) as name:
            return _ours(place, "import_diff", name=name, path=str(path), options={})

    def command(place: Place) -> Ended:
        path = diff(place, length)
        with place.fresh(image_size(place, length)) as name:
            return rbd_command(place, "import-diff", path, name)

    return {"ours": ours, "command": command}


def merges(length: int) -> Dict[str, Job]:
    """Return jobs that merge two diffs of the same extents."""

    def both(place: Place) -> Tuple[Path, Path]:
        return diff(place, length, None, "a"), diff(place, length, "a", "b")

    def ours(place: Place) -> Ended:
        first, second = both(place)
        told: Dict[str, Any] = {"second": str(second), "path": str(place.file("ours"))}
        return _ours(place, "merge_diff", name=str(first), options={"fsync": False}, **told)

    def command(place: Place) -> Ended:
        return rbd_command(place, "merge-diff", *both(place), place.file("theirs"))

    return {"ours": ours, "command": command}


def exports_all() -> Dict[str, Job]:
    """Return jobs that export an image in format 2."""

    def ours(place: Place) -> Ended:
        told: Dict[str, Any] = {"name": images.scattered(place), "path": str(place.file("ours"))}
        options = {"export_format": 2, "fsync": False}
        return _ours(place, "export_image", options=options, **told)

    def command(place: Place) -> Ended:
        image = images.scattered(place)
        return rbd_command(place, "export", "--export-format", "2", image, place.file("theirs"))

    return {"ours": ours, "command": command}
