"""Restores are thin, replace images, are checked by digests, and are refused if they do harm."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any, Callable, Iterator

import pytest

import rbd
from rbd import transfer
from rbd.testing import LocalCluster
from support.optional_tools import program
from support.stream_files import contents, make_diff, states

MIB = 1 << 20
SIZE = 8 * MIB
WRONG = ("sha256", "0" * 64)


def sha256(data: bytes) -> tuple[str, str]:
    return "sha256", hashlib.sha256(data).hexdigest()


class Pipe(io.RawIOBase):
    """A file object that can only be read forwards."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._file.readinto(buffer)


@pytest.fixture
def target(rbd_ioctx: Any) -> Iterator[rbd.Image]:
    """Provide an image of 8 MiB of data, with a snapshot and a clone of it."""
    rbd.RBD().create(rbd_ioctx, "target", SIZE, 20)
    with rbd.Image(rbd_ioctx, "target") as image:
        image.write(os.urandom(SIZE), 0)
        image.create_snap("before")
        image.protect_snap("before")
        rbd.RBD().clone(rbd_ioctx, "target", "before", rbd_ioctx, "clone")
        yield image
    with rbd.Image(rbd_ioctx, "target") as image:
        rbd.RBD().remove(rbd_ioctx, "clone")
        image.unprotect_snap("before")


def used(image: rbd.Image) -> int:
    """Return how many bytes of the head are allocated."""
    return sum(length for _, length, exists in image.diff(include_parent=False) if exists)


# Into an existing image


@pytest.mark.parametrize("skip_equal", [False, True])
@pytest.mark.parametrize("kind", ["file", "sparse file", "pipe"])
@pytest.mark.parametrize("size", [SIZE, 5 * MIB + 123, 11 * MIB + 7])
def test_a_restore_replaces_the_content_of_an_image(
    target: rbd.Image, rbd_ioctx: Any, tmp_path: Path, kind: str, size: int, skip_equal: bool
) -> None:
    before = target.read(0, SIZE)
    new = bytearray(size)
    new[100:90_100] = os.urandom(90_000)
    new[3 * MIB : 4 * MIB] = before[3 * MIB : 4 * MIB]
    new[-5:] = b"x\0x\0x"
    path = tmp_path / "raw"
    if kind == "sparse file":
        with path.open("wb") as file:
            file.truncate(size)
            for at, length in ((100, 90_000), (3 * MIB, MIB), (size - 5, 5)):
                file.seek(at)
                file.write(new[at : at + length])
    else:
        path.write_bytes(new)
    source: Any = Pipe(bytes(new)) if kind == "pipe" else path
    digest = transfer.import_image(
        source, into=target, checksum="sha256", expected=sha256(new), skip_equal=skip_equal
    )
    assert digest == sha256(new)[1]
    assert target.size() == size
    assert target.read(0, size) == new
    # Snapshots and clones have not changed.
    assert contents(rbd_ioctx, "target", "before") == before
    assert contents(rbd_ioctx, "clone") == before


def test_a_restore_is_thin(rbd_ioctx: Any, tmp_path: Path) -> None:
    rbd.RBD().create(rbd_ioctx, "fat", SIZE, 20)
    with rbd.Image(rbd_ioctx, "fat") as image:
        image.write(os.urandom(SIZE), 0)
        data = b"data".ljust(SIZE, b"\0")
        for source in (io.BytesIO(data), Pipe(data)):
            transfer.import_image(source, into=image)
            assert image.read(0, SIZE) == data
            assert used(image) <= MIB
            image.write(os.urandom(SIZE), 0)


@pytest.mark.parametrize("skip_equal", [False, True])
@pytest.mark.parametrize("kind", ["file", "pipe"])
def test_a_target_that_shrinks_during_a_restore_is_an_error(
    target: rbd.Image, rbd_ioctx: Any, tmp_path: Path, kind: str, skip_equal: bool
) -> None:
    data = os.urandom(SIZE)
    path = tmp_path / "data"
    path.write_bytes(data)
    with rbd.Image(rbd_ioctx, "target") as other:

        def shrink(done: int, total: int) -> None:
            if done < SIZE and other.size() == SIZE:
                other.resize(MIB)

        with pytest.raises(rbd.Error, match=r"resized|shrank|reading|writing"):
            transfer.import_image(
                path if kind == "file" else Pipe(data),
                into=target,
                skip_equal=skip_equal,
                queue_depth=1,
                on_progress=shrink,
            )
        assert other.size() == MIB


def test_a_file_that_is_cut_during_an_import_is_an_error(
    target: rbd.Image, rbd_ioctx: Any, tmp_path: Path
) -> None:
    path = tmp_path / "data"

    def cut(done: int, total: int) -> None:
        os.truncate(path, 3 * MIB)

    def whole() -> None:
        with open(path, "wb") as file:
            file.write(os.urandom(3 * MIB))
            file.truncate(SIZE)  # the rest is a hole

    for options in ({"into": target}, {"ioctx": rbd_ioctx, "name": "cut"}):
        whole()
        with pytest.raises(rbd.StreamError, match="ends at byte 3145728"):
            transfer.import_image(path, on_progress=cut, **options)
    assert "cut" not in rbd.RBD().list(rbd_ioctx)
    whole()
    diff = tmp_path / "diff"
    diff.write_bytes(make_diff([("w", 5, b"new")], size=SIZE))
    with pytest.raises(rbd.StreamError, match="ends at byte 3145728"):
        transfer.merge_diff(path, diff, tmp_path / "merged", on_progress=cut)
    assert not (tmp_path / "merged").exists()


def test_equal_blocks_are_not_written(target: rbd.Image, tmp_path: Path) -> None:
    same = bytearray(target.read(0, SIZE))
    same[5 * MIB] ^= 1
    for source in (io.BytesIO(same), Pipe(bytes(same))):
        transfer.import_image(source, into=target, skip_equal=True)
        assert target.read(0, SIZE) == same
        assert [tuple(extent) for extent in target.diff(from_snapshot="before")] == [
            (5 * MIB, 65536, True)
        ]


def test_into_refuses_options_of_a_new_image(target: rbd.Image, rbd_ioctx: Any) -> None:
    before = target.read(0, SIZE)
    whole = io.BytesIO()
    transfer.export_image(target, whole, export_format=2)
    source = io.BytesIO(b"data")
    for options, error, match in (
        ({"into": "target"}, TypeError, "into must be"),
        ({"into": target, "ioctx": rbd_ioctx, "name": "x"}, TypeError, "which it replaces"),
        ({"into": target, "order": 20}, ValueError, "order"),
        ({"into": target, "features": 0}, ValueError, "features"),
        ({"into": target, "metadata": {"a": "b"}}, ValueError, "metadata"),
        ({"ioctx": rbd_ioctx, "name": "x", "skip_equal": True}, ValueError, "skip_equal"),
        ({"into": target, "expected": WRONG}, None, ""),
    ):
        if error is not None:
            with pytest.raises(error, match=match):
                transfer.import_image(source, **options)
        assert source.tell() == 0
    with pytest.raises(rbd.InvalidArgument, match="format 2"):
        transfer.import_image(io.BytesIO(whole.getvalue()), into=target)
    assert target.read(0, SIZE) == before
    target.close()
    with pytest.raises(rbd.InvalidArgument):
        transfer.import_image(source, into=target)


# Expected digests


def test_an_import_with_another_digest_makes_no_image(rbd_ioctx: Any, tmp_path: Path) -> None:
    rbd.RBD().create(rbd_ioctx, "source", MIB)
    whole = tmp_path / "whole"
    with rbd.Image(rbd_ioctx, "source") as image:
        image.write(b"data", 0)
        image.create_snap("s")
        transfer.export_image(image, whole, export_format=2)
    raw = tmp_path / "raw"
    raw.write_bytes(b"raw" * 1000)
    for path in (raw, whole):
        for source in (path, Pipe(path.read_bytes())):
            with pytest.raises(rbd.StreamError, match="not the expected") as caught:
                transfer.import_image(source, rbd_ioctx, "never", expected=WRONG)
            assert caught.value.position == path.stat().st_size
            assert not [name for name in rbd.RBD().list(rbd_ioctx) if "never" in name]
        name, digest = sha256(path.read_bytes())
        transfer.import_image(path, rbd_ioctx, path.name, expected=(name, digest.upper()))
        asked = transfer.import_image(
            path, rbd_ioctx, f"{path.name}-2", expected=(name, digest), checksum="md5"
        )
        assert asked == hashlib.md5(path.read_bytes()).hexdigest()


def test_a_difference_with_another_digest_makes_no_snapshot(
    target: rbd.Image, tmp_path: Path
) -> None:
    before = target.read(0, SIZE)
    stream = make_diff([("w", 0, b"new")], size=SIZE, start="before", end="after")
    path = tmp_path / "diff"
    path.write_bytes(stream)
    with pytest.raises(rbd.StreamError, match="not the expected"):
        transfer.import_diff(path, target, expected=WRONG)
    # A file is checked first, so nothing has changed.
    assert target.read(0, SIZE) == before
    with pytest.raises(rbd.StreamError, match="not the expected"):
        transfer.import_diff(Pipe(stream), target, expected=WRONG)
    assert [entry["name"] for entry in target.list_snaps()] == ["before"]
    target.rollback_to_snap("before")
    assert transfer.import_diff(path, target, expected=sha256(stream), checksum="sha1") == (
        hashlib.sha1(stream).hexdigest()
    )
    assert target.read(0, 3) == b"new"
    target.remove_snap("after")


def test_a_restore_with_another_digest_changes_nothing(target: rbd.Image, tmp_path: Path) -> None:
    before = target.read(0, SIZE)
    path = tmp_path / "raw"
    path.write_bytes(b"x" * 1000)
    with pytest.raises(rbd.StreamError, match="not the expected"):
        transfer.import_image(path, into=target, expected=WRONG)
    assert target.read(0, SIZE) == before
    with pytest.raises(rbd.StreamError, match="not the expected"):
        transfer.import_image(Pipe(b"x" * 1000), into=target, expected=WRONG)


@pytest.mark.parametrize(
    ("expected", "error"),
    [
        ("sha256", TypeError),
        (("sha256",), TypeError),
        (("sha256", b"0" * 64), TypeError),
        (("sha256", "0" * 63), ValueError),
        (("sha256", "x" * 64), ValueError),
        (("none", "0" * 64), ValueError),
    ],
)
def test_malformed_digests_are_refused(
    rbd_ioctx: Any, target: Any, expected: Any, error: Any
) -> None:
    source = io.BytesIO(b"data")
    for call in (
        lambda: transfer.import_image(source, rbd_ioctx, "x", expected=expected),
        lambda: transfer.import_diff(source, target, expected=expected),
        lambda: transfer.merge_diff(source, source, io.BytesIO(), expected=expected),
        lambda: transfer.merge_diff(source, source, io.BytesIO(), expected_second=expected),
        lambda: transfer.verify(source, expected=expected),
    ):
        with pytest.raises(error):
            call()
        assert source.tell() == 0


# Targets that were written to


def write(image: rbd.Image) -> None:
    image.write(b"changed", 5 * MIB)


def discard(image: rbd.Image) -> None:
    image.discard(2 * MIB, MIB)


def grow(image: rbd.Image) -> None:
    image.resize(SIZE + 1)


def shrink(image: rbd.Image) -> None:
    image.resize(SIZE - MIB)


def shrink_and_grow(image: rbd.Image) -> None:
    image.resize(MIB)
    image.resize(SIZE)


@pytest.mark.parametrize("pipe", [False, True])
@pytest.mark.parametrize("change", [write, discard, grow, shrink, shrink_and_grow])
def test_a_changed_target_is_refused(
    target: rbd.Image, change: Callable[[rbd.Image], None], pipe: bool
) -> None:
    stream = make_diff([("w", 0, b"new")], size=SIZE, start="before", end="after")

    def source() -> Any:
        return Pipe(stream) if pipe else io.BytesIO(stream)

    change(target)
    changed = target.size(), target.read(0, SIZE)
    with pytest.raises(rbd.InvalidArgument, match="changed since snapshot 'before'"):
        transfer.import_diff(source(), target)
    assert (target.size(), target.read(0, SIZE)) == changed
    assert [entry["name"] for entry in target.list_snaps()] == ["before"]
    # The remedy of the error: back to the snapshot.
    target.rollback_to_snap("before")
    transfer.import_diff(source(), target)
    target.remove_snap("after")
    change(target)
    transfer.import_diff(source(), target, allow_changed=True)
    target.remove_snap("after")


# As thin as the command


def allocated(local: LocalCluster) -> int:
    """Return how many bytes the store of OSD 0 has allocated, once that is constant."""
    last = -1
    for _ in range(60):
        said = local.command("tell", "osd.0", "perf", "dump", "bluestore")
        counters = json.loads(said)["bluestore"]
        # Ceph 18 shortened the name.
        now = int(counters.get("bluestore_allocated", counters.get("allocated")))
        if now == last:
            break
        last = now
        time.sleep(2)
    return last


# Ceph 14's OSDs do not report their counters to a client.
@pytest.mark.needs("rbd_snap_create2")
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_import_diff_is_as_thin_as_the_command(tmp_path: Path) -> None:
    """64 KiB of data at the ends of 16 objects, on a store that reports what is allocated."""
    program("rbd")
    program("ceph")
    with (
        LocalCluster(tmp_path / "cluster", objectstore="bluestore") as local,
        local.connect() as cluster,
        cluster.open_ioctx(local.pools[0]) as ioctx,
    ):
        rbd.RBD().create(ioctx, "source", 64 * MIB)
        with rbd.Image(ioctx, "source") as image:
            for at in range(16):
                image.write(os.urandom(65536), (at + 1) * 4 * MIB - 65536)
            transfer.export_diff(image, tmp_path / "diff")
        taken = {}
        for who in ("theirs", "ours"):
            rbd.RBD().create(ioctx, who, 64 * MIB)
            before = allocated(local)
            if who == "theirs":
                local.rbd("--no-progress", "import-diff", str(tmp_path / "diff"), f"rbd/{who}")
            else:
                with rbd.Image(ioctx, who) as image:
                    transfer.import_diff(tmp_path / "diff", image)
            taken[who] = allocated(local) - before
        assert states(ioctx, "ours") == states(ioctx, "source")
        assert MIB <= taken["ours"] <= taken["theirs"] + 65536, taken


def test_import_diff_discards_zeroes_in_data(rbd_ioctx: Any) -> None:
    rbd.RBD().create(rbd_ioctx, "thin", SIZE, 20)
    record = bytes(MIB - 65536) + os.urandom(65536)
    stream = make_diff([("w", 0, bytes(MIB)), ("w", MIB, record)], size=SIZE)
    with rbd.Image(rbd_ioctx, "thin") as image:
        for data in (None, os.urandom(2 * MIB)):
            if data is not None:
                image.write(data, 0)
            transfer.import_diff(io.BytesIO(stream), image)
            assert image.read(0, 2 * MIB) == bytes(MIB) + record
            # The first object was removed, or never existed.
            assert used(image) <= MIB
        transfer.import_diff(io.BytesIO(stream), image, sparse_size=0)
        assert image.read(0, 2 * MIB) == bytes(MIB) + record
        assert used(image) == 2 * MIB


# New images


def test_all_options_of_a_new_image_are_honoured(rbd_ioctx: Any) -> None:
    data = os.urandom(100_000)
    pool = rbd_ioctx.get_pool_name()
    features = rbd.RBD_FEATURE_EXCLUSIVE_LOCK | rbd.RBD_FEATURE_JOURNALING
    features |= rbd.RBD_FEATURE_LAYERING
    transfer.import_image(
        io.BytesIO(data),
        rbd_ioctx,
        "journal",
        features=features,
        object_size=65536,
        journal_order=20,
        journal_splay_width=2,
        journal_pool=pool,
        metadata={"owner": "somebody", "\u00e9": "x"},
    )
    with rbd.Image(rbd_ioctx, "journal") as image:
        assert image.read(0, len(data)) == data
        assert image.stat()["order"] == 16
        assert image.features() & features == features
        assert dict(image.metadata_list()) == {"owner": "somebody", "\u00e9": "x"}
    for options, error in (
        ({"order": 20, "object_size": 1 << 20}, ValueError),
        ({"object_size": 3 << 16}, ValueError),
        ({"object_size": "65536"}, TypeError),
        ({"metadata": [("a", "b")]}, TypeError),
        ({"metadata": {"a": 3}}, TypeError),
    ):
        with pytest.raises(error):
            transfer.import_image(io.BytesIO(data), rbd_ioctx, "never", **options)
    assert rbd.RBD().list(rbd_ioctx) == ["journal"]


@pytest.mark.needs("rbd_mirror_image_enable2")
def test_a_new_image_is_mirrored(rbd_ioctx: Any) -> None:
    data = os.urandom(100_000)
    snapshots = rbd.RBD_MIRROR_IMAGE_MODE_SNAPSHOT
    # This is refused in a pool that does not mirror, and then nothing is left.
    with pytest.raises(rbd.Error):
        transfer.import_image(io.BytesIO(data), rbd_ioctx, "mirrored", mirror_image_mode=snapshots)
    assert rbd.RBD().list(rbd_ioctx) == []
    rbd.RBD().mirror_mode_set(rbd_ioctx, rbd.RBD_MIRROR_MODE_IMAGE)
    try:
        transfer.import_image(io.BytesIO(data), rbd_ioctx, "mirrored", mirror_image_mode=snapshots)
        with rbd.Image(rbd_ioctx, "mirrored") as image:
            assert image.mirror_image_get_mode() == snapshots
            assert image.read(0, len(data)) == data
            image.mirror_image_disable(True)
        rbd.RBD().remove(rbd_ioctx, "mirrored")
    finally:
        rbd.RBD().mirror_mode_set(rbd_ioctx, rbd.RBD_MIRROR_MODE_DISABLED)
    for wrong, error in ((7, ValueError), ("snapshot", TypeError), (True, TypeError)):
        with pytest.raises(error, match="mirror_image_mode"):
            transfer.import_image(io.BytesIO(data), rbd_ioctx, "never", mirror_image_mode=wrong)


#: The beginnings of virtual disks, as their makers publish them.
BEGINNINGS = {
    "qcow2": b"QFI\xfb\0\0\0\x03",
    "vmdk": b"KDMV\x01\0\0\0",
    "vhdx": b"vhdxfile",
    "vhd": b"conectix\0\0\0\x02",
    "vdi": b"<<< Oracle VM VirtualBox Disk Image >>>\n".ljust(64, b"\0") + b"\x7f\x10\xda\xbe",
    "qed": b"QED\0",
}


@pytest.mark.parametrize("kind", BEGINNINGS)
def test_beginnings_of_virtual_disks_are_refused(rbd_ioctx: Any, kind: str) -> None:
    data = BEGINNINGS[kind].ljust(5000, b"\0")
    for source in (io.BytesIO(data), Pipe(data)):
        with pytest.raises(ValueError, match=f"{kind} file.*qemu-img convert"):
            transfer.import_image(source, rbd_ioctx, "disk")
    for options in ({"export_format": 1}, {}):
        transfer.import_image(io.BytesIO(data), rbd_ioctx, "disk", format="raw", **options)
        assert contents(rbd_ioctx, "disk") == data
        rbd.RBD().remove(rbd_ioctx, "disk")
    # Bytes that only look similar, and less than a beginning.
    for data in (b"QFI", b"", b"\0" * 200, b"x" + BEGINNINGS[kind]):
        transfer.import_image(Pipe(data), rbd_ioctx, "disk")
        assert contents(rbd_ioctx, "disk") == data
        rbd.RBD().remove(rbd_ioctx, "disk")


def test_a_difference_cannot_be_imported(rbd_ioctx: Any) -> None:
    data = b"rbd diff v1\ne"
    with pytest.raises(ValueError, match="import_diff"):
        transfer.import_image(io.BytesIO(data), rbd_ioctx, "disk")
    transfer.import_image(io.BytesIO(data), rbd_ioctx, "disk", format="raw")
    assert contents(rbd_ioctx, "disk") == data


@pytest.mark.parametrize("kind", ["qcow2", "vmdk", "vhdx", "vpc", "vdi", "qed"])
def test_files_of_virtual_disks_are_refused(rbd_ioctx: Any, tmp_path: Path, kind: str) -> None:
    qemu_img = shutil.which("qemu-img")
    path = tmp_path / "disk"
    if qemu_img is None:
        pytest.skip("qemu-img is not installed")
    subprocess.run([qemu_img, "create", "-q", "-f", kind, str(path), "8M"], check=True)
    for source in (path, Pipe(path.read_bytes())):
        with pytest.raises(ValueError, match="qemu-img convert"):
            transfer.import_image(source, rbd_ioctx, "disk")
    assert rbd.RBD().list(rbd_ioctx) == []
    transfer.import_image(path, rbd_ioctx, "disk", format="raw")
    assert contents(rbd_ioctx, "disk") == path.read_bytes()
    for format_, error in (("qcow2", ValueError), (3, TypeError)):
        with pytest.raises(error, match="format"):
            transfer.import_image(path, rbd_ioctx, "never", format=format_)  # type: ignore[arg-type]
