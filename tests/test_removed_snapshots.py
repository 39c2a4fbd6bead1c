"""An open snapshot that another client removes: each path that reads it must say so."""

from __future__ import annotations

import io
import os
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
}


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
            if image.snap_exists("gone"):
                image.remove_snap("gone")

        with pytest.raises(rbd.ImageNotFound):
            transfer.export_diff(head, diff, "gone", on_progress=remove)
    assert not image.snap_exists("gone")
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
            if image.snap_exists("gone"):
                image.remove_snap("gone")

        with pytest.raises(rbd.ImageNotFound):
            transfer.export_image(at, io.BytesIO(), export_format=export_format, on_progress=remove)


def test_a_snapshot_with_another_name_is_still_read(image: rbd.Image, rbd_ioctx: Any) -> None:
    expected = io.BytesIO()
    with rbd.Image(rbd_ioctx, "source", snapshot="gone") as at:
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
