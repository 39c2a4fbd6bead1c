"""Encryption with LUKS, of images and of clones."""

from __future__ import annotations

import errno
import hashlib
import io
import secrets
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, List, NamedTuple, Optional, Set, Tuple

import pytest

import rbd
import rbd.rados
import rbd.transfer
from rbd import transfer
from support import isolated, luks
from support.location import Where, open_all
from support.luks import format_cheaply

SIZE = 32 << 20
LUKS1 = rbd.RBD_ENCRYPTION_FORMAT_LUKS1
LUKS2 = rbd.RBD_ENCRYPTION_FORMAT_LUKS2
LUKS = rbd.RBD_ENCRYPTION_FORMAT_LUKS

# The default key derivation of LUKS2 takes long on a small machine.
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
def test_encrypted_data_is_read_back(
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
        # Without the passphrase, the image is noise after a header.
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


def test_arguments_may_be_keywords_and_bytes(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    secret = b"\xff\0binary"
    rbd_image.encryption_format(
        format=LUKS1, passphrase=secret, cipher_alg=rbd.RBD_ENCRYPTION_ALGORITHM_AES256
    )
    rbd_image.write(b"x", 0)
    rbd_image.close()
    with rbd.Image(rbd_ioctx, rbd_image.name) as image:
        image.encryption_load(format=LUKS1, passphrase=secret)
        assert image.read(0, 1) == b"x"


def test_a_wrong_passphrase_or_format_is_refused(
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


def test_loading_a_plain_image_is_refused(rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.InvalidArgument) as error:
        rbd_image.encryption_load(LUKS1, PASSPHRASE)
    assert error.value.errno == 22
    assert PASSPHRASE not in str(error.value)


@pytest.mark.parametrize("number", [-1, 99])
def test_an_unknown_format_is_refused(rbd_image: rbd.Image, number: int) -> None:
    for call in (rbd_image.encryption_format, rbd_image.encryption_load):
        with pytest.raises(rbd.OperationNotSupported) as error:
            call(number, PASSPHRASE)
        assert error.value.errno == 95
        assert PASSPHRASE not in str(error.value)
    assert rbd_image.size() == SIZE


def test_an_unknown_algorithm_is_refused(rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.InvalidArgument):
        rbd_image.encryption_format(LUKS1, PASSPHRASE, 77)


def test_any_luks_cannot_be_used_to_format(rbd_image: rbd.Image) -> None:
    with pytest.raises(rbd.OperationNotSupported):
        rbd_image.encryption_format(LUKS, PASSPHRASE)


def test_any_luks_needs_a_librbd_with_layers(
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


@pytest.fixture(params=[LUKS1, LUKS2], ids=["LUKS1", "LUKS2"])
def encrypted(request: Any, rbd_image: rbd.Image) -> rbd.Image:
    """Provide an image of noise, except its last 4 KiB, with its encryption loaded."""
    rbd_image.encryption_format(request.param, PASSPHRASE)
    rbd_image.write(b"first" * 1000, 0)
    rbd_image.write(b"E" * 4096, rbd_image.size() - 4096)
    return rbd_image


def test_resize_and_size_count_the_same_bytes(
    rbd_ioctx: rbd.rados.Ioctx, encrypted: rbd.Image
) -> None:
    size = encrypted.size()
    header = SIZE - size
    reports: List[Tuple[int, int]] = []
    for wanted in (
        # The same size; larger by less and by more than the header; smaller.
        size,
        size + 4096,
        size + header,
        size + header + (8 << 20),
        size,
    ):
        encrypted.resize(wanted, on_progress=lambda done, total: reports.append((done, total)))
        assert encrypted.size() == wanted
        assert encrypted.read(size - 4096, 4096) == b"E" * 4096
        with rbd.Image(rbd_ioctx, encrypted.name, read_only=True) as raw:
            assert raw.size() == wanted + header
    assert reports
    encrypted.resize(size, allow_shrink=False)
    with pytest.raises(rbd.InvalidArgument, match="shrink"):
        encrypted.resize(size - 1, allow_shrink=False)
    assert encrypted.size() == size
    with pytest.raises(rbd.InvalidArgument):
        encrypted.resize((1 << 64) - 1)
    encrypted.resize(100)
    assert (encrypted.size(), encrypted.read(0, 200)) == (100, (b"first" * 1000)[:100])
    encrypted.resize(0)
    assert encrypted.size() == 0
    encrypted.resize(8192)
    assert encrypted.size() == 8192
    assert encrypted.write(b"again", 8187) == 5


def first_resize(where: Where, passphrase: str) -> None:
    """The first resize of the process finds out what librbd counts."""
    _, _, image = open_all(where)
    image.encryption_load(LUKS1, passphrase)
    size = image.size()
    image.resize(size - 4096)
    assert image.size() == size - 4096
    assert image.read(size - 8192, 4096) == b"E" * 4096


def test_the_first_resize_of_a_process_counts_right(where: Where) -> None:
    _, _, image = open_all(where)
    image.resize(SIZE)
    image.encryption_format(LUKS1, PASSPHRASE)
    image.write(b"E" * 8192, image.size() - 8192)
    image.close()
    isolated.run(first_resize, where, PASSPHRASE)


def test_a_file_is_truncated_to_the_plain_size(encrypted: rbd.Image) -> None:
    size = encrypted.size()
    with encrypted.open_file("r+b") as file:
        assert file.seek(0, 2) == size
        file.truncate()
        file.seek(-4096, 2)
        assert file.read() == b"E" * 4096
        for wanted in (SIZE + (6 << 20), size - 4096):
            assert file.truncate(wanted) == wanted
            assert encrypted.size() == wanted


def test_a_diff_sets_the_plain_size(
    rbd_ioctx: rbd.rados.Ioctx, encrypted: rbd.Image, tmp_path: Path
) -> None:
    """A diff of a plain image, applied to an encrypted one."""
    source = f"{encrypted.name}-source"
    for size in (SIZE + (6 << 20), encrypted.size(), 5 << 20):
        rbd.RBD().create(rbd_ioctx, source, size)
        with rbd.Image(rbd_ioctx, source) as plain:
            plain.write(b"the end", size - 7)
            rbd.transfer.export_diff(plain, tmp_path / "diff")
        rbd.RBD().remove(rbd_ioctx, source)
        rbd.transfer.import_diff(tmp_path / "diff", encrypted)
        assert encrypted.size() == size
        assert encrypted.read(size - 7, 7) == b"the end"


@pytest.mark.needs("rbd_encryption_load2")
def test_each_layer_of_a_clone_has_its_encryption(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    rbd_image.encryption_format(LUKS1, "of the parent")
    rbd_image.write(b"from the parent", 0)
    rbd_image.create_snap("snap")
    rbd_image.protect_snap("snap")
    clone = f"{rbd_image.name}-clone"
    rbd.RBD().clone(rbd_ioctx, rbd_image.name, "snap", rbd_ioctx, clone)
    try:
        with rbd.Image(rbd_ioctx, clone) as child:
            size = child.size()
            child.encryption_format(LUKS2, "of the child")
            # If it is not loaded, as the manual says, the handle still has the whole stored size.
            assert child.size() == size
        for wrong in (
            [(LUKS2, "wrong"), (LUKS1, "of the parent")],
            [(LUKS2, "of the child"), (LUKS1, "wrong")],
        ):
            with rbd.Image(rbd_ioctx, clone) as child, pytest.raises(rbd.PermissionError):
                child.encryption_load2(wrong)
        with rbd.Image(rbd_ioctx, clone) as child:
            child.encryption_load2(specs=[(LUKS2, "of the child"), (LUKS, b"of the parent")])
            # Only loaded encryption protects the header.
            child.write(b"From", 0)
            assert child.read(0, 15) == b"From the parent"
        with rbd.Image(rbd_ioctx, clone) as child, pytest.raises(rbd.OperationNotSupported):
            child.encryption_load2([(99, "secret phrase")])
    finally:
        rbd.RBD().remove(rbd_ioctx, clone)


@pytest.mark.needs("rbd_encryption_load2")
@pytest.mark.parametrize("specs", [None, 3, [3], [(LUKS1, 3)], [("a", "b")], [(None, "b")]])
def test_layers_of_a_wrong_type_are_refused(rbd_image: rbd.Image, specs: Any) -> None:
    with pytest.raises(TypeError):
        rbd_image.encryption_load2(specs)


@pytest.mark.needs("rbd_encryption_load2")
@pytest.mark.parametrize("specs", [[()], [(LUKS1,)], [(LUKS1, "a", "b")]])
def test_layers_must_be_pairs(rbd_image: rbd.Image, specs: Any) -> None:
    with pytest.raises(ValueError, match="pair"):
        rbd_image.encryption_load2(specs)


def test_wrong_types_are_refused(rbd_image: rbd.Image) -> None:
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


def test_a_closed_image_is_refused(rbd_image: rbd.Image) -> None:
    rbd_image.close()
    for call in (rbd_image.encryption_format, rbd_image.encryption_load):
        with pytest.raises(rbd.InvalidArgument) as error:
            call(LUKS1, PASSPHRASE)
        assert error.value.errno is None


# Differences, exports and copies while encryption is loaded

OBJECT = 1 << 20


class Encrypted(NamedTuple):
    """An encrypted image, its format, and the number of its last object."""

    image: rbd.Image
    version: int
    last: int


def noise(number: int) -> bytes:
    return bytes([number, 255 - number]) * (OBJECT // 2)


def plain(image: rbd.Image, snapshot: Optional[str] = None) -> bytes:
    image.set_snap(snapshot)
    content = image.read(0, image.size())
    image.set_snap(None)
    return content


@pytest.fixture
def formatted(request: Any, rbd_ioctx: rbd.rados.Ioctx) -> Iterator[Encrypted]:
    """Return an image with object maps, a snapshot 's' of objects 0, 3, 9 and the last, and later
    data."""
    version = getattr(request, "param", LUKS1)
    rbd.RBD().create(rbd_ioctx, "encrypted", 32 * OBJECT, order=20)
    with rbd.Image(rbd_ioctx, "encrypted") as image:
        image.encryption_format(version, PASSPHRASE)
        # In the map of the stored data, the header comes first, and the last object is elsewhere.
        last = image.size() // OBJECT - 1
        for number in (0, 3, 9, last):
            image.write(noise(number), number * OBJECT)
        image.create_snap("s")
        image.write(noise(40), 3 * OBJECT)
        image.write(noise(50), 11 * OBJECT)
        yield Encrypted(image, version, last)


def objects(extents: Iterable[Tuple[int, int, bool]]) -> Set[int]:
    """Return the objects in which the extents have data."""
    return {
        number
        for offset, length, exists in extents
        for number in range(offset // OBJECT, -(-(offset + length) // OBJECT))
        if exists
    }


def restored(ioctx: rbd.rados.Ioctx, name: str, stream: io.BytesIO) -> bytes:
    """Return the result of a diff from the beginning."""
    rbd.RBD().create(ioctx, name, OBJECT, order=20)
    stream.seek(0)
    with rbd.Image(ioctx, name) as image:
        transfer.import_diff(stream, image)
        return plain(image)


@pytest.mark.parametrize("formatted", [LUKS1, LUKS2], indirect=True, ids=["luks1", "luks2"])
@pytest.mark.parametrize("whole_object", [False, True])
def test_diffs_have_plain_data(formatted: Encrypted, whole_object: bool) -> None:
    image, _, last = formatted
    found = image.diff(whole_object=whole_object)
    assert objects(found) == {0, 3, 9, 11, last}
    found = image.diff(from_snapshot="s", whole_object=whole_object)
    assert objects(found) == {3, 11}
    called: List[Tuple[int, int, bool]] = []
    size = image.size()
    image.diff_iterate(
        0, size, "s", lambda *extent: called.append(extent), whole_object=whole_object
    )
    assert called == list(found)
    assert all(offset + length <= size for offset, length, _ in found)
    image.set_snap("s")
    assert objects(image.diff(whole_object=whole_object)) == {0, 3, 9, last}


@pytest.mark.parametrize("whole_object", [False, True])
def test_exported_diffs_have_plain_data(
    formatted: Encrypted, rbd_ioctx: rbd.rados.Ioctx, whole_object: bool
) -> None:
    image = formatted.image
    stream = io.BytesIO()
    transfer.export_diff(image, stream, whole_object=whole_object)
    assert restored(rbd_ioctx, "head", stream) == plain(image)
    image.set_snap("s")
    stream = io.BytesIO()
    transfer.export_diff(image, stream, whole_object=whole_object)
    assert restored(rbd_ioctx, "copy", stream) == plain(image, "s")
    image.set_snap(None)
    stream = io.BytesIO()
    transfer.export_diff(image, stream, "s", whole_object=whole_object)
    with rbd.Image(rbd_ioctx, "copy") as copy:
        stream.seek(0)
        transfer.import_diff(stream, copy)
        assert plain(copy) == plain(image)


@pytest.mark.parametrize("formatted", [LUKS1, LUKS2], indirect=True, ids=["luks1", "luks2"])
def test_an_exported_image_has_plain_data(formatted: Encrypted, rbd_ioctx: rbd.rados.Ioctx) -> None:
    image = formatted.image
    for snapshot in ("s", None):
        image.set_snap(snapshot)
        stream = io.BytesIO()
        transfer.export_image(image, stream)
        assert stream.getvalue() == plain(image, snapshot)


def test_exports_need_no_snapshot(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    rbd_image.encryption_format(LUKS1, PASSPHRASE)
    rbd_image.write(b"data", 10 << 20)
    expected = plain(rbd_image)
    stream = io.BytesIO()
    transfer.export_image(rbd_image, stream)
    assert stream.getvalue() == expected
    diff = io.BytesIO()
    transfer.export_diff(rbd_image, diff)
    assert restored(rbd_ioctx, "copy", diff) == expected


def test_a_stream_of_all_snapshots_has_the_stored_data(
    formatted: Encrypted, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    image, version, _ = formatted
    stream = io.BytesIO()
    transfer.export_image(image, stream, export_format=2)
    stream.seek(0)
    transfer.import_image(stream, rbd_ioctx, "copy")
    with rbd.Image(rbd_ioctx, "encrypted") as stored, rbd.Image(rbd_ioctx, "copy") as copy:
        assert plain(copy) == plain(stored)
        copy.encryption_load(version, PASSPHRASE)
        assert plain(copy) == plain(image)
        assert plain(copy, "s") == plain(image, "s")


def test_copies_of_decrypted_images_are_refused(
    formatted: Encrypted, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    image, version, _ = formatted
    rbd.RBD().create(rbd_ioctx, "target", image.size())
    with rbd.Image(rbd_ioctx, "target") as target:
        calls: List[Callable[[], None]] = [
            lambda: image.copy(rbd_ioctx, "copy"),
            lambda: image.deep_copy(rbd_ioctx, "copy"),
            lambda: image.copy_into(target),
        ]
        for call in calls:
            with pytest.raises(rbd.OperationNotSupported, match="encryption is loaded") as caught:
                call()
            assert caught.value.errno == 95
        assert not any(plain(target))
    assert sorted(rbd.RBD().list(rbd_ioctx)) == ["encrypted", "target"]
    # After it was formatted, another load reports that it is loaded already.
    with pytest.raises(rbd.ImageExists):
        image.encryption_load(version, PASSPHRASE)
    with pytest.raises(rbd.OperationNotSupported):
        image.copy(rbd_ioctx, "copy")
    with rbd.Image(rbd_ioctx, "encrypted", read_only=True) as stored:
        stored.deep_copy(rbd_ioctx, "deep")
        stored.copy(rbd_ioctx, "copy")
    for name in ("deep", "copy"):
        with rbd.Image(rbd_ioctx, name) as copy:
            copy.encryption_load(version, PASSPHRASE)
            assert plain(copy) == plain(image)


def test_a_copy_into_an_encrypted_image_is_encrypted(
    formatted: Encrypted, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    image, _, last = formatted
    before, size = plain(image), image.size()
    rbd.RBD().create(rbd_ioctx, "source", size + 4096, order=20)
    with rbd.Image(rbd_ioctx, "source") as source:
        source.write(noise(7), 5 * OBJECT)
        with pytest.raises(rbd.InvalidArgument, match=f"room for {size} bytes"):
            source.copy_into(image)
        assert plain(image) == before
        source.resize(size)
        source.write(noise(8), last * OBJECT)
        source.copy_into(image)
    for number in (5, last):
        there = slice(number * OBJECT, (number + 1) * OBJECT)
        assert plain(image)[there] == noise(7 if number == 5 else 8)


def test_a_clone_of_an_encrypted_image_reads_plain_data(
    formatted: Encrypted, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    image, version, last = formatted
    image.protect_snap("s")
    rbd.RBD().clone(rbd_ioctx, "encrypted", "s", rbd_ioctx, "clone")
    with rbd.Image(rbd_ioctx, "clone") as clone:
        clone.encryption_load(version, PASSPHRASE)
        assert plain(clone) == plain(image, "s")
        for whole_object in (False, True):
            assert objects(clone.diff(whole_object=whole_object)) == {0, 3, 9, last}
        clone.create_snap("own")
        clone.write(noise(60), 9 * OBJECT)
        clone.write(noise(61), 12 * OBJECT)
        expected = plain(clone)
        for whole_object in (False, True):
            found = clone.diff(from_snapshot="own", whole_object=whole_object)
            assert objects(found) == {9, 12}
            stream = io.BytesIO()
            transfer.export_diff(clone, stream, whole_object=whole_object)
            assert restored(rbd_ioctx, f"copy-{whole_object}", stream) == expected
        stream = io.BytesIO()
        transfer.export_image(clone, stream)
        assert stream.getvalue() == expected
        with pytest.raises(rbd.OperationNotSupported, match="encryption is loaded"):
            clone.deep_copy(rbd_ioctx, "copy")


def test_flattening_a_clone_of_an_encrypted_image_keeps_its_data(
    formatted: Encrypted, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    image, version, _ = formatted
    image.protect_snap("s")
    rbd.RBD().clone(rbd_ioctx, "encrypted", "s", rbd_ioctx, "clone")
    layered = rbd.supports("rbd_encryption_load2")
    with rbd.Image(rbd_ioctx, "clone") as clone:
        clone.encryption_load(version, PASSPHRASE)
        clone.write(noise(60), 9 * OBJECT)
        expected = plain(clone)
        if layered:
            clone.flatten()
        else:
            with pytest.raises(rbd.OperationNotSupported, match="encryption is loaded"):
                clone.flatten()
            assert clone.overlap() > 0
    with rbd.Image(rbd_ioctx, "clone") as clone:
        if not layered:
            clone.flatten()
        assert clone.overlap() == 0
        clone.encryption_load(version, PASSPHRASE)
        assert plain(clone) == expected


@pytest.fixture
def held(formatted: Encrypted, rbd_cluster: Any, rbd_ioctx: rbd.rados.Ioctx) -> Iterator[Any]:
    """Provide a clone of an encrypted image, open here without encryption, and at another client
    that has loaded it and has the exclusive lock."""
    image, version, _ = formatted
    image.protect_snap("s")
    rbd.RBD().clone(rbd_ioctx, "encrypted", "s", rbd_ioctx, "clone")
    with rbd_cluster.connect() as cluster, cluster.open_ioctx(rbd_ioctx.get_pool_name()) as ioctx:
        ioctx.set_namespace(rbd_ioctx.get_namespace())
        with rbd.Image(ioctx, "clone") as other, rbd.Image(rbd_ioctx, "clone") as stored:
            other.encryption_load(version, PASSPHRASE)
            other.write(noise(60), 9 * OBJECT)
            assert other.is_exclusive_lock_owner()
            yield stored, other, version


def stored_content(ioctx: rbd.rados.Ioctx, version: int) -> bytes:
    """Return what a new handle decrypts."""
    with rbd.Image(ioctx, "clone", read_only=True) as clone:
        clone.encryption_load(version, PASSPHRASE)
        return plain(clone)


#: Changes of the stored bytes, and the number of bytes by which the image grows.
CHANGES_OF_STORED: List[Tuple[Callable[[rbd.Image], Any], int]] = [
    (lambda image: image.sparsify(4096), 0),
    (lambda image: image.create_snap("new"), 0),
    (lambda image: image.rebuild_object_map(), 0),
    (lambda image: image.resize(image.size() + OBJECT), OBJECT),
    (lambda image: image.resize(image.size() - 2 * OBJECT), -2 * OBJECT),
    (lambda image: image.flatten(), 0),
]


@pytest.mark.parametrize("formatted", [LUKS1, LUKS2], indirect=True, ids=["luks1", "luks2"])
def test_a_client_that_has_loaded_encryption_does_not_destroy_a_clone(
    held: Any, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    """The client with the exclusive lock makes the changes of others."""
    stored, other, version = held
    for number, (change, growth) in enumerate(CHANGES_OF_STORED):
        if growth > 0 and not rbd.supports("rbd_encryption_load2"):
            # Such a librbd cannot read the clone then.
            continue
        # Takes the lock back.
        other.write(noise(number), 2 * OBJECT)
        assert other.is_exclusive_lock_owner()
        expected, sizes = plain(other), (stored.size(), other.size())
        change(stored)
        assert (stored.size(), other.size()) == tuple(size + growth for size in sizes)
        expected = expected[: other.size()].ljust(other.size(), b"\0")
        assert plain(other) == expected
        assert stored_content(rbd_ioctx, version) == expected
    stored.metadata_set("still", "writable")


def test_an_encrypted_clone_is_not_changed_against_a_lock(
    held: Any, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    """With the change that the client with the lock would make wrongly."""
    stored, other, version = held
    expected, size = plain(other), stored.size()

    def change() -> None:
        if rbd.supports("rbd_encryption_load2"):
            stored.resize(size + OBJECT)
        else:
            stored.flatten()

    other.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    with pytest.raises(rbd.ReadOnlyImage, match="holds the exclusive lock"):
        change()
    assert stored.size() == size
    assert stored_content(rbd_ioctx, version) == expected
    other.lock_release()
    stored.lock_acquire(rbd.RBD_LOCK_MODE_EXCLUSIVE)
    change()
    assert stored.is_exclusive_lock_owner()
    assert stored_content(rbd_ioctx, version)[: len(expected)] == expected


def open_a_grandchild(
    conffile: str, pool: str, namespace: str, name: str, version: int, passphrase: str
) -> str:
    """Return the digest of a clone of a clone, which is closed repeatedly, or the exception."""
    with rbd.connect(conffile) as cluster, cluster.open_ioctx(pool) as ioctx:
        ioctx.set_namespace(namespace)
        for _ in range(3):
            with rbd.Image(ioctx, name) as image:
                try:
                    image.encryption_load(version, passphrase)
                except rbd.OperationNotSupported as error:
                    return str(error)
                content = plain(image)
        return hashlib.sha256(content).hexdigest()


def test_a_clone_of_a_clone_closes_or_is_refused(
    formatted: Encrypted, rbd_cluster: Any, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    """A librbd without layers ends the process when such an image is closed."""
    image, version, _ = formatted
    image.protect_snap("s")
    expected = plain(image, "s")
    rbd.RBD().clone(rbd_ioctx, "encrypted", "s", rbd_ioctx, "child")
    with rbd.Image(rbd_ioctx, "child") as child:
        child.create_snap("s")
        child.protect_snap("s")
    rbd.RBD().clone(rbd_ioctx, "child", "s", rbd_ioctx, "grandchild")
    where = (rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace(), "grandchild")
    secret = (version, PASSPHRASE)
    answer = isolated.run(
        open_a_grandchild, str(rbd_cluster.conffile), *where, *secret, timeout=200
    )
    if not rbd.supports("rbd_encryption_load2"):
        assert "it is a clone of a clone" in answer
        with rbd.Image(rbd_ioctx, "grandchild") as grandchild:
            with pytest.raises(rbd.OperationNotSupported, match="a clone of a clone") as error:
                grandchild.encryption_load(version, PASSPHRASE)
            assert error.value.errno == errno.EOPNOTSUPP
            grandchild.flatten()
        answer = isolated.run(
            open_a_grandchild, str(rbd_cluster.conffile), *where, *secret, timeout=200
        )
    assert answer == hashlib.sha256(expected).hexdigest()


def test_a_clone_that_cannot_be_written_says_so_first(
    formatted: Encrypted, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    image, version, _ = formatted
    image.protect_snap("s")
    rbd.RBD().clone(rbd_ioctx, "encrypted", "s", rbd_ioctx, "clone")
    with rbd.Image(rbd_ioctx, "clone") as clone:
        clone.create_snap("kept")
        clone.encryption_load(version, PASSPHRASE)
        size = clone.size()
        clone.set_snap("kept")
        with pytest.raises(rbd.ReadOnlyImage):
            clone.resize(size + OBJECT)
        clone.set_snap(None)
        clone.remove_snap("kept")
    with rbd.Image(rbd_ioctx, "clone", read_only=True) as clone:
        clone.encryption_load(version, PASSPHRASE)
        with pytest.raises(rbd.ReadOnlyImage):
            clone.resize(size + OBJECT)


def test_a_clone_does_not_grow_into_its_parent(
    formatted: Encrypted, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    """Data that a clone has lost is not read from its parent when the clone grows again."""
    image, version, _ = formatted
    image.protect_snap("s")
    rbd.RBD().clone(rbd_ioctx, "encrypted", "s", rbd_ioctx, "clone")
    with rbd.Image(rbd_ioctx, "clone") as clone:
        clone.encryption_load(version, PASSPHRASE)
        size = clone.size()
        kept = plain(clone)[: 2 * OBJECT]
        clone.resize(2 * OBJECT)
        if rbd.supports("rbd_encryption_load2"):
            clone.resize(size)
            assert plain(clone) == kept.ljust(size, b"\0")
            return
        with pytest.raises(rbd.OperationNotSupported, match="data of the parent") as error:
            clone.resize(size)
        assert error.value.errno == errno.EOPNOTSUPP
        assert clone.size() == 2 * OBJECT
        clone.resize(OBJECT)
        file = clone.open_file("r+b")
        with file, pytest.raises(rbd.OperationNotSupported, match="data of the parent"):
            file.truncate(size)
        clone.resize(0)
        # As many bytes as the header has still belong to the parent.
        with pytest.raises(rbd.OperationNotSupported, match="data of the parent"):
            clone.resize(size)
    with rbd.Image(rbd_ioctx, "clone") as clone:
        clone.flatten()
        clone.encryption_load(version, PASSPHRASE)
        clone.resize(size + OBJECT)
        assert clone.size() == size + OBJECT


@pytest.mark.parametrize("version", [LUKS1, LUKS2])
@pytest.mark.parametrize("order", [16, 20])
def test_shrinking_into_a_hole_leaves_zeroes(
    rbd_ioctx: rbd.rados.Ioctx, version: int, order: int
) -> None:
    """librbd alone truncates the stored bytes, and a hole would become noise."""
    mib = 1 << 20
    rbd.RBD().create(rbd_ioctx, "thin", 24 * mib, order=order)
    with rbd.Image(rbd_ioctx, "thin") as image:
        format_cheaply(image, version)
        size = image.size()
        image.write(b"data", mib)
        content = bytearray(size)
        content[mib : mib + 4] = b"data"
        for end in (size - 512, 5 * mib + 5000, 3 * mib + 512, 2 * mib + 4096, mib + 2, 777):
            image.resize(end)
            content = content[:end]
            # In pieces too, because a small read is another request to librbd.
            step = 32768
            pieces = [image.read(at, min(step, end - at)) for at in range(0, end, step)]
            assert b"".join(pieces) == content
            image.resize(end + 70_000)
            content += bytes(70_000)
            assert image.read(0, len(content)) == content


@pytest.mark.parametrize("unit", [4096, 1 << 20])
def test_striped_images_are_refused(rbd_ioctx: rbd.rados.Ioctx, unit: int) -> None:
    """With every librbd, their data can be read only by requests like those that wrote them."""
    options = {"order": 20, "features": 63, "stripe_unit": unit}
    rbd.RBD().create(rbd_ioctx, "striped", 24 << 20, stripe_count=3, **options)
    with rbd.Image(rbd_ioctx, "striped") as image:
        refused = [
            lambda: image.encryption_format(LUKS1, "x"),
            lambda: format_cheaply(image, LUKS1),
        ]
        if rbd.supports("rbd_encryption_load2"):
            refused.append(lambda: image.encryption_load2([(LUKS, "x")]))
        for call in refused:
            with pytest.raises(rbd.OperationNotSupported, match="it is striped") as error:
                call()
            assert error.value.errno == 95
    # With one object at a time, there is nothing to mix up.
    rbd.RBD().create(rbd_ioctx, "plain", 24 << 20, stripe_count=1, **options)
    with rbd.Image(rbd_ioctx, "plain") as image:
        format_cheaply(image, LUKS1)
        image.write(b"d" * image.size(), 0)
        for at in range(0, image.size(), 4096):
            assert image.read(at, 4096) == b"d" * 4096


#: A size that is not a whole number of the cipher's blocks.
ODD = (1 << 20) + 424


@pytest.fixture
def odd(rbd_ioctx: rbd.rados.Ioctx) -> str:
    """Provide an encrypted image of an odd size, and a clone of it."""
    rbd.RBD().create(rbd_ioctx, "odd", 8 << 20)
    with rbd.Image(rbd_ioctx, "odd") as image:
        format_cheaply(image, LUKS1)
        image.resize(ODD)
        image.write(b"x" * ODD, 0)
        image.create_snap("s")
        image.protect_snap("s")
    rbd.RBD().clone(rbd_ioctx, "odd", "s", rbd_ioctx, "odd clone")
    return "odd"


def test_copies_of_stored_data_keep_their_end(
    rbd_ioctx: rbd.rados.Ioctx, odd: str, tmp_path: Path
) -> None:
    """librbd copies the stored data up to the image's size, in the middle of a cipher block."""
    with rbd.Image(rbd_ioctx, odd) as image, rbd.Image(rbd_ioctx, "odd clone") as clone:
        rbd.RBD().create(rbd_ioctx, "into", image.size())
        with rbd.Image(rbd_ioctx, "into") as into:
            for call in (
                lambda: image.copy(rbd_ioctx, "copied"),
                lambda: image.copy_into(into),
                lambda: image.deep_copy(rbd_ioctx, "copied"),
                lambda: transfer.export_image(image, str(tmp_path / "file")),
                lambda: transfer.export_image(image, str(tmp_path / "file"), export_format=2),
                lambda: transfer.export_diff(image, str(tmp_path / "file")),
                lambda: rbd.RBD().migration_prepare(rbd_ioctx, odd, rbd_ioctx, "copied"),
                clone.flatten,
            ):
                with pytest.raises(rbd.OperationNotSupported, match="not a multiple of 16"):
                    call()
    assert "copied" not in rbd.RBD().list(rbd_ioctx)
    assert not (tmp_path / "file").exists()
    with rbd.Image(rbd_ioctx, odd) as image:
        image.encryption_load(LUKS1, luks.PASSPHRASE)
        transfer.export_image(image, str(tmp_path / "plain"))
        image.resize(ODD + 8)
    assert (tmp_path / "plain").read_bytes() == b"x" * ODD
    with rbd.Image(rbd_ioctx, odd) as image:
        image.copy(rbd_ioctx, "copied")
    with rbd.Image(rbd_ioctx, "copied") as image:
        image.encryption_load(LUKS1, luks.PASSPHRASE)
        assert image.read(0, image.size()) == b"x" * ODD + bytes(8)


@pytest.mark.parametrize("format_", [LUKS1, LUKS2])
def test_a_clone_keeps_its_header(rbd_ioctx: rbd.rados.Ioctx, format_: int) -> None:
    """A librbd without layers writes the header again if data share an object with it.

    A librbd with layers refuses to load such a header.
    """
    order = 25
    rbd.RBD().create(rbd_ioctx, "parent", 64 << 20, order)
    with rbd.Image(rbd_ioctx, "parent") as image:
        stored = image.size()
        if luks.is_cheap() and rbd.supports("rbd_encryption_load2"):
            with pytest.raises(rbd.InvalidArgument):
                format_cheaply(image, format_, whole_objects=False)
            return
        format_cheaply(image, format_, whole_objects=False)
        apart = (stored - image.size()) % (1 << order) == 0
        image.write(b"parent", 4096)
        image.create_snap("s")
        image.protect_snap("s")
    rbd.RBD().clone(rbd_ioctx, "parent", "s", rbd_ioctx, "clone", order=order)
    with rbd.Image(rbd_ioctx, "clone") as clone:
        if apart or rbd.supports("rbd_encryption_load2"):
            clone.encryption_load(format_, luks.PASSPHRASE)
            clone.write(b"clone", 0)
        else:
            with pytest.raises(rbd.OperationNotSupported, match="an object of the header"):
                clone.encryption_load(format_, luks.PASSPHRASE)
    with rbd.Image(rbd_ioctx, "clone", read_only=True) as clone:
        clone.encryption_load(format_, luks.PASSPHRASE)
        assert clone.read(4096, 6) == b"parent"
