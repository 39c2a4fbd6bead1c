"""An open snapshot that another client removes: each path that reads it must say so."""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import types
from typing import Any, Callable, Dict

import pytest

import rbd
from rbd import transfer

MIB = 1 << 20

Call = Callable[[rbd.Image, Any], Any]

# From a handle that is open at the snapshot.
AT: Dict[str, Call] = {
    "export_image": lambda image, ioctx: transfer.export_image(image, io.BytesIO()),
    "export_diff": lambda image, ioctx: transfer.export_diff(image, io.BytesIO()),
    "export_diff of own data": lambda image, ioctx: transfer.export_diff(
        image, io.BytesIO(), include_parent=False
    ),
    "digest": lambda image, ioctx: transfer.digest(image),
    "copy": lambda image, ioctx: image.copy(ioctx, "copied"),
    "copy_into": lambda image, ioctx: copied_into(image, ioctx),
    "deep_copy": lambda image, ioctx: image.deep_copy(ioctx, "copied"),
    "array": lambda image, ioctx: array_of(image)[:10],
    "file": lambda image, ioctx: image.open_file().read(),
    "file in pieces": lambda image, ioctx: shutil.copyfileobj(image.open_file(), io.BytesIO()),
    "raw file": lambda image, ioctx: image.open_file("rb", 0).read(10),
}


def array_of(image: rbd.Image) -> Any:
    pytest.importorskip("numpy")
    return rbd.ImageArray(image, "u1", MIB)


def remove_once(image: rbd.Image) -> None:
    if list(image.list_snaps()):
        image.remove_snap("gone")


def copied_into(image: rbd.Image, ioctx: Any) -> None:
    rbd.RBD().create(ioctx, "target", MIB, 16)
    with rbd.Image(ioctx, "target") as target:
        image.copy_into(target)


@pytest.fixture
def image(rbd_ioctx: Any) -> Any:
    rbd.RBD().create(rbd_ioctx, "source", MIB, 16)
    with rbd.Image(rbd_ioctx, "source") as image:
        image.write(os.urandom(MIB), 0)
        image.create_snap("gone")
        image.write(os.urandom(MIB // 2), 0)
        yield image


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("again", [False, True], ids=["removed", "made again"])
@pytest.mark.parametrize("path", sorted(AT))
def test_a_removed_snapshot_is_not_read(
    image: rbd.Image, rbd_ioctx: Any, path: str, again: bool, read_only: bool
) -> None:
    with rbd.Image(rbd_ioctx, "source", snapshot="gone", read_only=read_only) as at:
        image.remove_snap("gone")
        if again:
            image.create_snap("gone")
        # librbd itself finds this out when it makes a deep copy.
        with pytest.raises((rbd.ImageNotFound, rbd.InvalidArgument)):
            AT[path](at, rbd_ioctx)


@pytest.mark.parametrize("read_only", [True, False])
def test_a_diff_from_a_snapshot_that_is_removed_meanwhile_is_refused(
    image: rbd.Image, rbd_ioctx: Any, tmp_path: Any, read_only: bool
) -> None:
    diff = tmp_path / "diff"
    diff.write_bytes(b"old")
    with rbd.Image(rbd_ioctx, "source", read_only=read_only) as head:

        def remove(done: int, total: int) -> None:
            remove_once(image)

        with pytest.raises(rbd.ImageNotFound):
            transfer.export_diff(head, diff, "gone", on_progress=remove)
    assert not list(image.list_snaps())
    assert diff.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["diff"]


@pytest.mark.parametrize("read_only", [True, False])
@pytest.mark.parametrize("export_format", [1, 2])
def test_an_export_of_a_snapshot_that_is_removed_meanwhile_is_refused(
    image: rbd.Image, rbd_ioctx: Any, export_format: int, read_only: bool
) -> None:
    snapshot = "gone" if export_format == 1 else None
    with rbd.Image(rbd_ioctx, "source", snapshot=snapshot, read_only=read_only) as at:

        def remove(done: int, total: int) -> None:
            remove_once(image)

        with pytest.raises(rbd.ImageNotFound):
            transfer.export_image(at, io.BytesIO(), export_format=export_format, on_progress=remove)


def test_a_snapshot_with_another_name_is_still_read(image: rbd.Image, rbd_ioctx: Any) -> None:
    expected = io.BytesIO()
    # With Ceph 14, a handle that learns of the new name cannot read the snapshot any more.
    read_only = not rbd.supports("rbd_snap_exists")
    with rbd.Image(rbd_ioctx, "source", snapshot="gone", read_only=read_only) as at:
        transfer.export_image(at, expected)
        image.rename_snap("gone", "renamed")
        found = io.BytesIO()
        transfer.export_image(at, found)
        assert found.getvalue() == expected.getvalue()
        at.copy(rbd_ioctx, "copied")
    with rbd.Image(rbd_ioctx, "copied") as copy:
        assert copy.read(0, MIB) == expected.getvalue()


@pytest.mark.parametrize("read_only", [True, False])
def test_a_snapshot_of_size_0_is_read(rbd_ioctx: Any, read_only: bool) -> None:
    rbd.RBD().create(rbd_ioctx, "empty", 0)
    with rbd.Image(rbd_ioctx, "empty") as image:
        image.create_snap("nothing")
    with rbd.Image(rbd_ioctx, "empty", snapshot="nothing", read_only=read_only) as at:
        found = io.BytesIO()
        transfer.export_image(at, found)
        assert found.getvalue() == b""
        at.copy(rbd_ioctx, "copied")


@pytest.mark.needs("rbd_encryption_format")
def test_an_encrypted_snapshot_without_data_is_read(rbd_ioctx: Any) -> None:
    """Its handle has the size 0, and the list has the size of the header."""
    rbd.RBD().create(rbd_ioctx, "luks", 32 << 20)
    with rbd.Image(rbd_ioctx, "luks") as image:
        image.encryption_format(rbd.RBD_ENCRYPTION_FORMAT_LUKS1, "passphrase")
        image.resize(0)
        image.create_snap("s")
    with rbd.Image(rbd_ioctx, "luks", snapshot="s") as image:
        image.encryption_load(rbd.RBD_ENCRYPTION_FORMAT_LUKS1, "passphrase")
        assert image.size() == 0
        transfer.export_image(image, io.BytesIO())
        with pytest.raises(rbd.OperationNotSupported, match="encryption is loaded"):
            image.copy(rbd_ioctx, "copied")


@pytest.mark.parametrize("read_only", [True, False])
def test_a_file_is_not_closed_as_if_its_snapshot_existed(
    image: rbd.Image, rbd_ioctx: Any, monkeypatch: pytest.MonkeyPatch, read_only: bool
) -> None:
    # Within a second after a check, a read does not check again.
    monkeypatch.setattr("rbd._opened.time", types.SimpleNamespace(monotonic=lambda: 100.0))
    with rbd.Image(rbd_ioctx, "source", snapshot="gone", read_only=read_only) as at:
        file = at.open_file("rb", 0)
        file.read(10)
        file.read(10)
        image.remove_snap("gone")
        with pytest.raises(rbd.ImageNotFound):
            file.close()
        file.close()
        assert file.closed


def test_a_file_that_was_not_read_is_closed(image: rbd.Image, rbd_ioctx: Any) -> None:
    with rbd.Image(rbd_ioctx, "source", snapshot="gone", read_only=True) as at:
        file = at.open_file("rb")
        image.remove_snap("gone")
        file.close()


def test_an_array_asks_again_after_a_second(
    image: rbd.Image, rbd_ioctx: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("rbd._opened.time", types.SimpleNamespace(monotonic=lambda: now))
    with rbd.Image(rbd_ioctx, "source", snapshot="gone", read_only=True) as at:
        array = array_of(at)
        assert bytes(array[:10]) == at.read(0, 10)
        image.remove_snap("gone")
        now += 0.5
        array[:10]
        now += 0.5
        with pytest.raises(rbd.ImageNotFound, match="snapshot 'gone' was removed"):
            array[:10]


@pytest.mark.parametrize("call", ["cat_file", "cat_ranges", "open_async"])
def test_fsspec_does_not_read_a_removed_snapshot(
    rbd_cluster: Any, image: rbd.Image, rbd_ioctx: Any, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    pytest.importorskip("fsspec")
    from rbd import aio, fs

    place = "/".join(filter(None, [rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace()]))
    path = f"rbd://{place}/source@gone"
    read = aio.AsyncImage.read

    async def read_late(self: Any, *args: Any) -> bytes:
        remove_once(image)
        return await read(self, *args)

    async def whole(system: Any) -> Any:
        if call == "cat_file":
            return await system._cat_file(path)
        if call == "cat_ranges":
            return await system._cat_ranges([path] * 2, [0, 10], [5, 20], on_error="raise")
        async with await system.open_async(path) as file:
            return await file.read()

    system = fs.RBDFileSystem(conffile=str(rbd_cluster.conffile), asynchronous=True)
    monkeypatch.setattr(aio.AsyncImage, "read", read_late)
    with pytest.raises(rbd.ImageNotFound):
        asyncio.run(whole(system))
