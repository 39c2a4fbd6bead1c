"""Images go through streams and back, on a cluster."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, List, Tuple

import pytest

import rbd
from rbd import transfer
from rbd.transfer import formats
from support.optional_tools import proof
from support.stream_files import apply_records, contents, make_diff, parse_diff, states

MIB = 1 << 20


def fill(image: rbd.Image) -> None:
    """Write data here and there, a part with zeroes in it, and leave large holes."""
    image.write(os.urandom(300_000), 0)
    image.write(b"a" * 4096 + bytes(8192) + b"b" * 4096, 3 * MIB)
    image.write(os.urandom(5), image.size() - 5)


@pytest.fixture
def name(rbd_image: rbd.Image) -> str:
    return rbd_image.get_name()


def test_images_go_through_format_1(
    rbd_image: rbd.Image, rbd_ioctx: Any, name: str, tmp_path: Path
) -> None:
    fill(rbd_image)
    data = rbd_image.read(0, rbd_image.size())
    path = tmp_path / "image"
    assert transfer.export_image(rbd_image, path) is None
    assert path.read_bytes() == data
    assert path.stat().st_blocks * 512 < 3 * MIB
    digest = transfer.export_image(rbd_image, path, checksum="sha256")
    assert digest == hashlib.sha256(data).hexdigest()
    for number, source in enumerate((path, str(path), io.BytesIO(data))):
        new = f"{name}-{number}"
        digest = transfer.import_image(source, rbd_ioctx, new, checksum="md5", order=21)
        assert digest == hashlib.md5(data).hexdigest()
        assert contents(rbd_ioctx, new) == data
    transfer.import_image(path, rbd_ioctx, f"{name}-sparse", order=20)
    with rbd.Image(rbd_ioctx, f"{name}-sparse") as image:
        assert image.read(0, image.size()) == data
        used: List[int] = []
        image.diff_iterate(0, image.size(), None, lambda o, n, e: used.append(n if e else 0))
        assert sum(used) <= 3 * MIB


@pytest.mark.parametrize("kind", ["fd", "file", "raw", "BytesIO", "pipe"])
def test_each_kind_of_destination_works(rbd_image: rbd.Image, kind: str, tmp_path: Path) -> None:
    fill(rbd_image)
    data = rbd_image.read(0, rbd_image.size())
    path = tmp_path / "image"
    if kind == "BytesIO":
        memory = io.BytesIO()
        transfer.export_image(rbd_image, memory)
        assert memory.getvalue() == data
    elif kind == "pipe":
        with (
            path.open("wb") as file,
            subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file) as cat,
        ):
            transfer.export_image(rbd_image, cat.stdin)
            assert cat.stdin is not None
            cat.stdin.close()
            assert cat.wait(30) == 0
        assert path.read_bytes() == data
    else:
        with path.open("wb", buffering=0 if kind == "raw" else -1) as file:
            transfer.export_image(rbd_image, file.fileno() if kind == "fd" else file)
            assert file.tell() == len(data)
        assert path.read_bytes() == data


def test_an_image_is_imported_from_a_pipe(rbd_image: rbd.Image, rbd_ioctx: Any, name: str) -> None:
    fill(rbd_image)
    data = rbd_image.read(0, rbd_image.size())[:-1000]
    reading, writing = os.pipe()

    def feed() -> None:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        transfer.import_image(reading, rbd_ioctx, f"{name}-new")
    finally:
        os.close(reading)
        thread.join()
    assert contents(rbd_ioctx, f"{name}-new") == data
    transfer.import_image(io.BytesIO(b""), rbd_ioctx, f"{name}-empty")
    assert contents(rbd_ioctx, f"{name}-empty") == b""


def test_a_snapshot_is_exported_as_it_was(rbd_image: rbd.Image, rbd_ioctx: Any, name: str) -> None:
    rbd_image.write(b"before", 0)
    rbd_image.create_snap("s")
    rbd_image.write(b"after!", 0)
    rbd_image.resize(MIB)
    memory = io.BytesIO()
    with rbd.Image(rbd_ioctx, name, snapshot="s") as image:
        transfer.export_image(image, memory)
    assert memory.getvalue() == b"before" + bytes(8 * MIB - 6)


def test_a_diff_ends_with_the_snapshot_that_is_set(
    rbd_image: rbd.Image, rbd_ioctx: Any, name: str
) -> None:
    rbd_image.create_snap("first")
    rbd_image.write(b"between", 0)
    rbd_image.create_snap("second")
    rbd_image.write(b"after", 0)
    opened = io.BytesIO()
    with rbd.Image(rbd_ioctx, name, snapshot="second") as image:
        transfer.export_diff(image, opened, "first")
    header, _ = parse_diff(opened.getvalue())
    assert (header.from_snapshot, header.to_snapshot) == (b"first", b"second")
    for go in (
        lambda: rbd_image.set_snap("second"),
        lambda: rbd_image.set_snap_by_id(list(rbd_image.list_snaps())[1]["id"]),
    ):
        go()
        stream = io.BytesIO()
        transfer.export_diff(rbd_image, stream, "first")
        assert stream.getvalue() == opened.getvalue()
        rbd_image.set_snap(None)
        stream = io.BytesIO()
        transfer.export_diff(rbd_image, stream, "first")
        assert parse_diff(stream.getvalue())[0].to_snapshot is None


def test_all_is_exported_while_another_client_has_the_lock(
    rbd_cluster: Any, rbd_image: rbd.Image, rbd_ioctx: Any, name: str
) -> None:
    rbd_image.write(b"written", 0)
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_ioctx.get_pool_name()) as ioctx:
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        with rbd.Image(ioctx, name) as other:
            other.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
            stream = io.BytesIO()
            transfer.export_image(rbd_image, stream, export_format=2)
    stream.seek(0)
    transfer.import_image(stream, rbd_ioctx, f"{name}-new")
    assert contents(rbd_ioctx, f"{name}-new") == rbd_image.read(0, rbd_image.size())


def history(image: rbd.Image) -> None:
    """Make three snapshots, with writes, discards and resizes between them."""
    fill(image)
    image.create_snap("one")
    image.discard(0, MIB)
    image.write(os.urandom(70_000), 2 * MIB + 17)
    image.resize(12 * MIB)
    image.write(b"end", 12 * MIB - 3)
    image.create_snap("two \u00e9")
    image.resize(5 * MIB)
    image.create_snap("three")
    image.protect_snap("three")
    image.resize(9 * MIB)
    image.write(os.urandom(1000), 7 * MIB)


@pytest.mark.parametrize("whole_object", [False, True])
def test_diffs_transfer_each_snapshot(
    rbd_image: rbd.Image, rbd_ioctx: Any, name: str, tmp_path: Path, whole_object: bool
) -> None:
    history(rbd_image)
    copy = f"{name}-copy"
    rbd.RBD().create(rbd_ioctx, copy, MIB, 19)
    start = None
    with rbd.Image(rbd_ioctx, copy) as target:
        for version, end in ((1, "one"), (2, "two \u00e9"), (1, "three"), (2, None)):
            path = tmp_path / "diff"
            with rbd.Image(rbd_ioctx, name, snapshot=end, read_only=True) as source:
                digest = transfer.export_diff(
                    source,
                    path,
                    start,
                    whole_object=whole_object,
                    diff_format=version,
                    checksum="sha1",
                )
            assert digest == hashlib.sha1(path.read_bytes()).hexdigest()
            header, _ = parse_diff(path.read_bytes())
            assert header.from_snapshot == (None if start is None else start.encode())
            assert header.to_snapshot == (None if end is None else end.encode())
            assert transfer.import_diff(path, target, checksum="sha1") == digest
            start = end
    assert states(rbd_ioctx, copy) == states(rbd_ioctx, name)


@pytest.mark.parametrize("whole_object", [False, True])
def test_diffs_find_data_lost_while_the_image_was_smaller(
    rbd_image: rbd.Image, rbd_ioctx: Any, name: str, whole_object: bool
) -> None:
    size = rbd_image.size()
    rbd_image.write(os.urandom(size), 0)
    rbd_image.create_snap("s1")
    rbd_image.resize(size // 4 + 5)
    rbd_image.create_snap("small")
    rbd_image.resize(size)
    rbd_image.create_snap("s2")
    rbd.RBD().create(rbd_ioctx, f"{name}-copy", MIB)
    with rbd.Image(rbd_ioctx, f"{name}-copy") as copy:
        for start, end in ((None, "s1"), ("s1", "s2")):
            stream = io.BytesIO()
            with rbd.Image(rbd_ioctx, name, end, read_only=True) as image:
                transfer.export_diff(image, stream, start, whole_object=whole_object)
                stream.seek(0)
                transfer.import_diff(stream, copy)
                assert copy.read(0, size) == image.read(0, size)


def test_a_merged_diff_equals_its_parts(rbd_image: rbd.Image, rbd_ioctx: Any, name: str) -> None:
    history(rbd_image)
    streams = []
    start = None
    for end in ("one", "two \u00e9", "three", None):
        memory = io.BytesIO()
        with rbd.Image(rbd_ioctx, name, snapshot=end) as source:
            transfer.export_diff(source, memory, start)
        streams.append(memory)
        start = end
    merged = streams[0]
    for following in streams[1:]:
        merged.seek(0)
        following.seek(0)
        result = io.BytesIO()
        transfer.merge_diff(merged, following, result)
        merged = result
    merged.seek(0)
    copy = f"{name}-copy"
    rbd.RBD().create(rbd_ioctx, copy, 1)
    with rbd.Image(rbd_ioctx, copy) as target:
        transfer.import_diff(merged, target)
    assert contents(rbd_ioctx, copy) == contents(rbd_ioctx, name)


def test_images_go_through_format_2(
    rbd_image: rbd.Image, rbd_ioctx: Any, name: str, tmp_path: Path
) -> None:
    history(rbd_image)
    if not hasattr(rbd_image, "metadata_set"):
        pytest.skip("the module has no metadata yet")
    rbd_image.metadata_set("key", "value")
    rbd_image.metadata_set("\u00e9", "x" * 5000)
    path = tmp_path / "image"
    transfer.export_image(rbd_image, path, export_format=2)
    assert path.read_bytes().startswith(b"rbd image v2\n")
    for number, source in enumerate((path, io.BytesIO(path.read_bytes()))):
        new = f"{name}-{number}"
        transfer.import_image(source, rbd_ioctx, new)
        assert states(rbd_ioctx, new) == states(rbd_ioctx, name)
        with rbd.Image(rbd_ioctx, new) as image:
            assert image.stat()["order"] == rbd_image.stat()["order"]
            assert image.features() == rbd_image.features()
            assert dict(image.metadata_list()) == dict(rbd_image.metadata_list())
            assert image.is_protected_snap("three")
            assert not image.is_protected_snap("one")
            image.unprotect_snap("three")
    rbd_image.unprotect_snap("three")


@pytest.mark.rbd_image(size=5 << 20, order=20, stripe_unit=65536, stripe_count=3)
def test_striped_images_go_through_all_formats(
    rbd_image: rbd.Image, rbd_ioctx: Any, name: str, tmp_path: Path
) -> None:
    fill(rbd_image)
    rbd_image.create_snap("s")
    rbd_image.write(os.urandom(500_000), 123_456)
    data = rbd_image.read(0, rbd_image.size())
    transfer.export_image(rbd_image, tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == data
    transfer.export_image(rbd_image, tmp_path / "all", export_format=2)
    transfer.import_image(tmp_path / "all", rbd_ioctx, f"{name}-new")
    with rbd.Image(rbd_ioctx, f"{name}-new") as image:
        assert (image.stripe_unit(), image.stripe_count()) == (65536, 3)
    assert states(rbd_ioctx, f"{name}-new") == states(rbd_ioctx, name)
    # The extents of striped images come in another order. Merging must handle that.
    with rbd.Image(rbd_ioctx, name, snapshot="s") as image:
        transfer.export_diff(image, tmp_path / "first")
    transfer.export_diff(rbd_image, tmp_path / "second", "s")
    transfer.merge_diff(tmp_path / "first", tmp_path / "second", tmp_path / "both")
    rbd.RBD().create(rbd_ioctx, f"{name}-merged", 1)
    with rbd.Image(rbd_ioctx, f"{name}-merged") as image:
        transfer.import_diff(tmp_path / "both", image)
    assert contents(rbd_ioctx, f"{name}-merged") == data


def test_striped_images_without_an_object_map_are_exported(rbd_ioctx: Any) -> None:
    # librbd reports one object after the other, and their stripes interleave.
    features = rbd.RBD_FEATURE_LAYERING | rbd.RBD_FEATURE_STRIPINGV2
    rbd.RBD().create(
        rbd_ioctx, "striped", 5 * MIB, 20, features=features, stripe_unit=65536, stripe_count=3
    )
    with rbd.Image(rbd_ioctx, "striped") as image:
        image.write(os.urandom(2 * MIB + 5), MIB - 17)
        memory = io.BytesIO()
        transfer.export_image(image, memory)
        assert memory.getvalue() == image.read(0, image.size())


def test_clones_are_exported_whole(
    rbd_image: rbd.Image, rbd_ioctx: Any, name: str, tmp_path: Path
) -> None:
    fill(rbd_image)
    rbd_image.create_snap("s")
    rbd_image.protect_snap("s")
    clone = f"{name}-clone"
    rbd.RBD().clone(rbd_ioctx, name, "s", rbd_ioctx, clone)
    with rbd.Image(rbd_ioctx, clone) as image:
        image.write(b"of the clone", 5 * MIB)
        data = image.read(0, image.size())
        transfer.export_image(image, tmp_path / "raw")
        assert (tmp_path / "raw").read_bytes() == data
        transfer.export_diff(image, tmp_path / "diff")
        transfer.export_image(image, tmp_path / "all", export_format=2)
    rbd.RBD().create(rbd_ioctx, f"{name}-2", 1)
    with rbd.Image(rbd_ioctx, f"{name}-2") as image:
        transfer.import_diff(tmp_path / "diff", image)
    transfer.import_image(tmp_path / "all", rbd_ioctx, f"{name}-3")
    assert contents(rbd_ioctx, f"{name}-2") == contents(rbd_ioctx, f"{name}-3") == data


def test_progress_is_reported_and_can_cancel(
    rbd_image: rbd.Image, rbd_ioctx: Any, tmp_path: Path
) -> None:
    fill(rbd_image)
    seen: List[Tuple[int, int]] = []
    path = tmp_path / "image"
    transfer.export_image(rbd_image, path, on_progress=lambda *at: seen.append(at))
    assert seen[-1] == (rbd_image.size(), rbd_image.size())
    assert seen == sorted(seen)
    size = path.stat().st_size
    seen.clear()
    transfer.import_image(path, rbd_ioctx, "progress-1", on_progress=lambda *at: seen.append(at))
    assert seen[-1] == (size, size)
    before = path.read_bytes()
    for call in (
        lambda on: transfer.export_image(rbd_image, path, on_progress=on),
        lambda on: transfer.export_image(rbd_image, path, export_format=2, on_progress=on),
        lambda on: transfer.export_diff(rbd_image, path, on_progress=on),
        lambda on: transfer.import_image(path, rbd_ioctx, "progress-2", on_progress=on),
    ):
        with pytest.raises(rbd.OperationCanceled):
            call(lambda done, total: -rbd.ECANCELED)
        with pytest.raises(ZeroDivisionError):
            call(lambda done, total: 1 // 0)
        with pytest.raises(TypeError):
            call(lambda done, total: "x")
        with pytest.raises(TypeError):
            call(3)
        # Closing the image during the transfer stops it, and nothing hangs.
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["image"]
    assert not [n for n in rbd.RBD().list(rbd_ioctx) if "progress-2" in n]


def test_closing_the_image_stops_a_transfer(rbd_image: rbd.Image, tmp_path: Path) -> None:
    fill(rbd_image)

    def close(done: int, total: int) -> None:
        rbd_image.close()

    transfer_error = None
    try:
        transfer.export_image(rbd_image, tmp_path / "image", on_progress=close, queue_depth=1)
    except rbd.InvalidArgument as error:
        transfer_error = error
    assert rbd_image.closed
    assert transfer_error is None or "closed" in str(transfer_error)
    with pytest.raises(rbd.InvalidArgument):
        transfer.export_image(rbd_image, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_bar_is_drawn(
    rbd_image: rbd.Image,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proof("tqdm")
    fill(rbd_image)
    transfer.export_image(rbd_image, tmp_path / "image", progress=True)
    assert "export" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    transfer.export_image(rbd_image, tmp_path / "image", progress=True)
    assert capsys.readouterr().err == ""


def test_wrong_arguments_are_refused(
    rbd_image: rbd.Image, rbd_ioctx: Any, name: str, tmp_path: Path
) -> None:
    path = tmp_path / "x"
    with pytest.raises(ValueError, match="export_format"):
        transfer.export_image(rbd_image, path, export_format=3)
    with pytest.raises(ValueError, match="queue_depth"):
        transfer.export_image(rbd_image, path, queue_depth=0)
    with pytest.raises(TypeError, match="queue_depth"):
        transfer.export_diff(rbd_image, path, queue_depth=1.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="hash"):
        transfer.export_diff(rbd_image, path, checksum="none")
    with pytest.raises(rbd.ImageNotFound):
        transfer.export_diff(rbd_image, path, "no such snapshot")
    assert list(tmp_path.iterdir()) == []
    rbd_image.create_snap("early")
    rbd_image.create_snap("late")
    with rbd.Image(rbd_ioctx, name, snapshot="early") as image, pytest.raises(rbd.InvalidArgument):
        transfer.export_diff(image, path, "late")
    assert list(tmp_path.iterdir()) == []
    path.write_bytes(b"data")
    with pytest.raises(rbd.ImageExists):
        transfer.import_image(path, rbd_ioctx, name)
    with pytest.raises(ValueError, match="sparse_size"):
        transfer.import_image(path, rbd_ioctx, "new", sparse_size=-1)


def test_ends_of_a_diff_are_checked(rbd_image: rbd.Image) -> None:
    rbd_image.create_snap("there")
    rbd_image.write(b"kept", 0)
    size = rbd_image.size()
    for stream, what in (
        (make_diff([("w", 0, b"xxxx")], start="missing", size=size // 2), "'missing'"),
        (make_diff([("w", 0, b"xxxx")], start="there", end="there", size=size // 2), "already"),
    ):
        with pytest.raises(rbd.InvalidArgument, match=what):
            transfer.import_diff(io.BytesIO(stream), rbd_image)
    assert rbd_image.size() == size
    assert rbd_image.read(0, 4) == b"kept"


def test_later_records_win(rbd_image: rbd.Image) -> None:
    stream = make_diff(
        [("w", 0, b"a" * 100_000), ("z", 50, 99_000), ("w", 60, b"b" * 1000), ("w", 0, b"cc")],
        size=MIB,
        end="s",
    )
    transfer.import_diff(io.BytesIO(stream), rbd_image)
    expected = b"cc" + b"a" * 48 + bytes(10) + b"b" * 1000 + bytes(97_990) + b"a" * 950
    assert rbd_image.read(0, 100_000) == expected
    assert [entry["name"] for entry in rbd_image.list_snaps()] == ["s"]


def test_later_records_win_in_a_new_image(rbd_ioctx: Any, tmp_path: Path) -> None:
    """Zeroes are left out of a new image only where nothing was written before."""
    records: List[Any] = [
        ("w", 0, b"a" * 100_000),
        ("z", 4096, 8192),
        ("w", 16_384, bytes(8192)),
        ("w", 2 * MIB, b"b" * 10),
        ("z", 0, 5),
    ]
    path = tmp_path / "image"
    diff = make_diff(records, size=4 * MIB, version=2)
    path.write_bytes(formats.image_header(formats.ImageHeader(order=22), 1) + diff)
    expected = apply_records(b"", 4 * MIB, records)
    for number, source in enumerate((str(path), io.BytesIO(path.read_bytes()))):
        transfer.import_image(source, rbd_ioctx, f"new-{number}")
        assert contents(rbd_ioctx, f"new-{number}") == expected


@pytest.mark.parametrize("length", [5, 4096, 2 * MIB, 2 * MIB + 1, 11 * MIB])
def test_an_image_from_a_pipe_grows_in_steps(
    length: int, rbd_ioctx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small objects are many in few bytes, and unneeded ones take time."""
    sizes: List[int] = []
    resize = rbd.Image.resize

    def counted(self: rbd.Image, size: int, *more: Any) -> None:
        sizes.append(size)
        resize(self, size, *more)

    monkeypatch.setattr(rbd.Image, "resize", counted)
    data = os.urandom(length)
    transfer.import_image(io.BytesIO(data), rbd_ioctx, f"grown-{length}", order=12)
    assert contents(rbd_ioctx, f"grown-{length}") == data
    assert sizes[-1] == length
    assert max(sizes) <= max(2 * length, 2 * MIB + 64 * 4096)
    assert len(sizes) <= 5


def test_streams_may_be_in_image_files(rbd_image: rbd.Image, rbd_ioctx: Any, name: str) -> None:
    rbd_image.write(b"small", 0)
    rbd_image.resize(MIB)
    rbd.RBD().create(rbd_ioctx, f"{name}-backup", 4 * MIB)
    with rbd.Image(rbd_ioctx, f"{name}-backup") as backup:
        with backup.open_file("r+b") as file:
            transfer.export_diff(rbd_image, file)
            end = file.tell()
        with backup.open_file() as file:
            transfer.import_image(io.BytesIO(b"x" * 5), rbd_ioctx, f"{name}-new")
            with rbd.Image(rbd_ioctx, f"{name}-new") as image:
                transfer.import_diff(file, image)
            assert file.tell() == end
    assert contents(rbd_ioctx, f"{name}-new") == b"small" + bytes(MIB - 5)
