"""Encryption with LUKS, of images and of clones."""

from __future__ import annotations

import secrets
from typing import Any

import pytest

import rbd
import rbd.rados

SIZE = 32 << 20
LUKS1 = rbd.RBD_ENCRYPTION_FORMAT_LUKS1
LUKS2 = rbd.RBD_ENCRYPTION_FORMAT_LUKS2
LUKS = rbd.RBD_ENCRYPTION_FORMAT_LUKS

# The default key derivation of LUKS2 takes its time on a small machine.
pytestmark = [
    pytest.mark.needs("rbd_encryption_format"),
    pytest.mark.rbd_image(size=SIZE),
    pytest.mark.timeout(300),
]
PASSPHRASE = "correct horse " + secrets.token_hex(4)


@pytest.mark.parametrize(
    ("version", "cipher"),
    [
        (LUKS1, rbd.RBD_ENCRYPTION_ALGORITHM_AES128),
        (LUKS2, rbd.RBD_ENCRYPTION_ALGORITHM_AES256),
    ],
)
def test_format_and_load(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image, version: int, cipher: int
) -> None:
    rbd_image.encryption_format(version, PASSPHRASE, cipher)
    size = rbd_image.size()
    assert 0 < size < SIZE
    data = b"plain text " * 1000
    rbd_image.write(data, 0)
    rbd_image.write(data, size - len(data))
    rbd_image.close()
    with rbd.Image(rbd_ioctx, rbd_image.name) as raw:
        # Without the passphrase it is noise after a header.
        assert raw.size() == SIZE
        assert raw.read(0, 4) == b"LUKS"
        assert b"plain text" not in raw.read(0, SIZE)
    with rbd.Image(rbd_ioctx, rbd_image.name) as image:
        image.encryption_load(version, PASSPHRASE)
        assert image.size() == size
        assert image.read(0, len(data)) == data
        assert image.read(size - len(data), len(data)) == data
        with pytest.raises(rbd.ImageExists):
            image.encryption_load(version, PASSPHRASE)


def test_by_keyword_and_bytes(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    secret = b"\xff\0binary"
    rbd_image.encryption_format(
        format=LUKS1, passphrase=secret, cipher_alg=rbd.RBD_ENCRYPTION_ALGORITHM_AES256
    )
    rbd_image.write(b"x", 0)
    rbd_image.close()
    with rbd.Image(rbd_ioctx, rbd_image.name) as image:
        image.encryption_load(format=LUKS1, passphrase=secret)
        assert image.read(0, 1) == b"x"


def test_wrong_passphrase_and_wrong_format(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    rbd_image.encryption_format(LUKS1, PASSPHRASE)
    rbd_image.close()
    with rbd.Image(rbd_ioctx, rbd_image.name) as image:
        with pytest.raises(rbd.PermissionError) as error:
            image.encryption_load(LUKS1, "guessed " + PASSPHRASE)
        assert PASSPHRASE not in str(error.value)
        with pytest.raises(rbd.InvalidArgument):
            image.encryption_load(LUKS2, PASSPHRASE)
        image.encryption_load(LUKS1, PASSPHRASE)


def test_image_that_is_not_encrypted(rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.InvalidArgument) as error:
        rbd_image.encryption_load(LUKS1, PASSPHRASE)
    assert error.value.errno == 22
    assert PASSPHRASE not in str(error.value)


@pytest.mark.parametrize("number", [-1, 99])
def test_format_that_is_none(rbd_image: rbd.Image, number: int) -> None:
    for call in (rbd_image.encryption_format, rbd_image.encryption_load):
        with pytest.raises(rbd.OperationNotSupported) as error:
            call(number, PASSPHRASE)
        assert error.value.errno == 95
        assert PASSPHRASE not in str(error.value)
    assert rbd_image.size() == SIZE


def test_algorithm_that_is_none(rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.encryption_format(LUKS1, PASSPHRASE, 77)


def test_any_luks_is_nothing_to_format_with(rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.OperationNotSupported):
        rbd_image.encryption_format(LUKS, PASSPHRASE)


def test_any_luks_needs_a_librbd_that_knows_it(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    rbd_image.encryption_format(LUKS1, PASSPHRASE)
    rbd_image.close()
    with rbd.Image(rbd_ioctx, rbd_image.name) as image:
        if rbd.supports("rbd_encryption_load2"):
            image.encryption_load(LUKS, PASSPHRASE)
            assert image.size() < SIZE
        else:
            assert not hasattr(image, "encryption_load2")
            with pytest.raises(rbd.FunctionNotSupported):
                image.encryption_load(LUKS, PASSPHRASE)


@pytest.mark.needs("rbd_encryption_load2")
def test_layers_of_a_clone(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    rbd_image.encryption_format(LUKS1, "of the parent")
    rbd_image.write(b"from the parent", 0)
    rbd_image.create_snap("snap")
    rbd_image.protect_snap("snap")
    clone = f"{rbd_image.name}-clone"
    rbd.RBD().clone(rbd_ioctx, rbd_image.name, "snap", rbd_ioctx, clone)
    try:
        with rbd.Image(rbd_ioctx, clone) as child:
            child.encryption_format(LUKS2, "of the child")
        for wrong in (
            [(LUKS2, "wrong"), (LUKS1, "of the parent")],
            [(LUKS2, "of the child"), (LUKS1, "wrong")],
        ):
            with rbd.Image(rbd_ioctx, clone) as child, pytest.raises(rbd.PermissionError):
                child.encryption_load2(wrong)
        with rbd.Image(rbd_ioctx, clone) as child:
            child.encryption_load2(specs=[(LUKS2, "of the child"), (LUKS, b"of the parent")])
            # Only what is loaded keeps clear of the header.
            child.write(b"From", 0)
            assert child.read(0, 15) == b"From the parent"
        with rbd.Image(rbd_ioctx, clone) as child, pytest.raises(rbd.OperationNotSupported):
            child.encryption_load2([(99, "secret phrase")])
    finally:
        rbd.RBD().remove(rbd_ioctx, clone)


@pytest.mark.needs("rbd_encryption_load2")
@pytest.mark.parametrize("specs", [None, 3, [3], [(LUKS1, 3)], [("a", "b")], [(None, "b")]])
def test_layers_of_a_wrong_type(rbd_image: rbd.Image, specs: Any) -> None:
    with pytest.raises(TypeError):
        rbd_image.encryption_load2(specs)


@pytest.mark.needs("rbd_encryption_load2")
@pytest.mark.parametrize("specs", [[()], [(LUKS1,)], [(LUKS1, "a", "b")]])
def test_layers_that_are_no_pairs(rbd_image: rbd.Image, specs: Any) -> None:
    with pytest.raises(ValueError, match="pair"):
        rbd_image.encryption_load2(specs)


def test_wrong_types(rbd_image: rbd.Image) -> None:
    wrong: Any = object()
    for call in (
        lambda: rbd_image.encryption_format(wrong, PASSPHRASE),
        lambda: rbd_image.encryption_format(LUKS1, wrong),
        lambda: rbd_image.encryption_format(LUKS1, PASSPHRASE, wrong),
        lambda: rbd_image.encryption_load(wrong, PASSPHRASE),
        lambda: rbd_image.encryption_load(LUKS1, wrong),
    ):
        with pytest.raises(TypeError) as error:
            call()
        assert PASSPHRASE not in str(error.value)
    assert rbd_image.size() == SIZE


def test_closed_image(rbd_image: rbd.Image) -> None:
    rbd_image.close()
    for call in (rbd_image.encryption_format, rbd_image.encryption_load):
        with pytest.raises(rbd.InvalidArgument) as error:
            call(LUKS1, PASSPHRASE)
        assert error.value.errno is None
