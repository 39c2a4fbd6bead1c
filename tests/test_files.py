"""Images as files: rbd.open and Image.open_file, in each mode."""

from __future__ import annotations

import errno
import gc
import io
import os
import pickle
from typing import Any, Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rbd
from rbd.files import EndOfImage, ImageFile, ResizedMeanwhile
from support.optional_tools import proof

MIB = 1 << 20


@pytest.fixture
def address(rbd_image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx) -> str:
    space = rbd_ioctx.get_namespace()
    return "/".join(p for p in ("rbd", space, rbd_image.get_name()) if p)


@pytest.fixture
def cluster(rbd_cluster: Any) -> Iterator[rbd.rados.Rados]:
    with rbd_cluster.connect() as connected:
        yield connected


@pytest.fixture
def conf(rbd_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CEPH_CONF", str(rbd_cluster.conffile))


def test_open_is_listed_but_not_star_imported() -> None:
    assert hasattr(rbd, "open")
    assert "open" in dir(rbd)
    assert "ImageArray" in dir(rbd)
    # A star import must not replace the builtin.
    assert "open" not in rbd.__all__


@pytest.mark.parametrize(
    ("mode", "buffering", "kind"),
    [
        ("rb", -1, io.BufferedReader),
        ("rb", 0, io.RawIOBase),
        ("r+b", -1, io.BufferedRandom),
        ("rb+", 4096, io.BufferedRandom),
        ("+rb", 0, ImageFile),
    ],
)
def test_each_mode_has_its_kind_of_file(
    rbd_image: rbd.Image, mode: str, buffering: int, kind: type
) -> None:
    with rbd_image.open_file(mode, buffering) as file:
        assert isinstance(file, kind)
        assert file.readable()
        assert file.writable() == ("+" in mode)
        assert file.seekable()
        assert not file.isatty()
        assert file.mode == ("rb+" if "+" in mode else "rb")
        with pytest.raises(io.UnsupportedOperation, match="no file descriptor"):
            file.fileno()
    assert file.closed
    file.close()
    assert not rbd_image.closed
    with pytest.raises(ValueError, match="closed"):
        file.read(1)


@pytest.mark.parametrize("mode", ["w", "r", "a", "rt", "xb", "x+b", "", "rbx", "rb++", "wab"])
def test_wrong_modes_over_an_image_are_refused(rbd_image: rbd.Image, mode: str) -> None:
    with pytest.raises(ValueError, match="mode"):
        rbd_image.open_file(mode)


def test_wrong_types_are_refused(rbd_image: rbd.Image) -> None:
    with pytest.raises(TypeError):
        rbd_image.open_file(3)
    with pytest.raises(TypeError):
        rbd_image.open_file("rb", "x")
    with pytest.raises(TypeError):
        rbd.open(b"rbd/a")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "spec", ["", "image", "/image", "rbd/", "rbd//image", "a/b/c/d", "rbd/a@", "rbd/a@b@c"]
)
def test_wrong_addresses_are_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="address"):
        rbd.open(spec)


def test_reads_start_at_the_position(rbd_image: rbd.Image) -> None:
    data = os.urandom(3 * MIB)
    rbd_image.write(data, 0)
    size = rbd_image.size()
    for buffering in (-1, 0, 512):
        with rbd_image.open_file("rb", buffering) as file:
            assert file.read(10) == data[:10]
            assert file.tell() == 10
            assert file.seek(MIB) == MIB
            assert file.read(4) == data[MIB : MIB + 4]
            assert file.seek(-4, io.SEEK_CUR) == MIB
            assert file.seek(-5, io.SEEK_END) == size - 5
            assert file.read(100) == b"\0" * 5
            assert file.read(100) == b""
            assert file.seek(size + 1000) == size + 1000
            assert file.read(1) == b""
            target = bytearray(100)
            file.seek(size - 7)
            assert file.readinto(target) == 7
            file.seek(0)
            assert file.read() == rbd_image.read(0, size)
            with pytest.raises(ValueError, match="negative"):
                file.seek(-1)
            with pytest.raises(ValueError, match="whence"):
                file.seek(0, 9)
            with pytest.raises(io.UnsupportedOperation):
                file.write(b"x")


@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_closed_file_refuses_everything(rbd_image: rbd.Image, buffering: int) -> None:
    file = rbd_image.open_file("r+b", buffering)
    file.close()
    for call in (
        lambda: file.read(1),
        lambda: file.readinto(bytearray(1)),
        lambda: file.write(b"x"),
        lambda: file.seek(0),
        file.tell,
        file.truncate,
        file.flush,
        file.readline,
        file.__enter__,
        lambda: next(iter(file)),
    ):
        with pytest.raises(ValueError, match="closed"):
            call()
    assert repr(file)


@pytest.mark.parametrize("buffering", [-1, 0])
def test_places_are_integers(rbd_image: rbd.Image, buffering: int) -> None:
    np = proof("numpy")
    with rbd_image.open_file("r+b", buffering) as file:
        assert file.seek(np.int64(7)) == 7
        for wrong in (1.5, "1", None):
            with pytest.raises(TypeError):
                file.seek(wrong)
        for wrong in (1.5, "1"):
            with pytest.raises(TypeError):
                file.truncate(wrong)
        assert file.tell() == 7
        # Far beyond the end, and beyond any possible size of the image.
        for place in (1 << 62, (1 << 63) - 1):
            assert file.seek(place) == place
            assert file.read(10) == b""


def test_lines_and_text_can_be_read(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"one\ntwo\r\nthr\xc3\xa9e\n\0", 0)
    with rbd_image.open_file() as file:
        assert file.readline() == b"one\n"
        assert file.peek(3)[:3] == b"two"
        assert next(file) == b"two\r\n"
    with rbd_image.open_file() as file, io.TextIOWrapper(file, encoding="utf-8") as lines:
        assert [next(lines) for _ in range(3)] == ["one\n", "two\n", "thr\u00e9e\n"]


def test_small_reads_read_ahead(rbd_image: rbd.Image) -> None:
    data = os.urandom(5 * MIB + 123)
    rbd_image.write(data, 0)
    with rbd_image.open_file("rb", 1000) as file:
        got = bytearray()
        while len(got) < len(data):
            got += file.read(777)
        assert bytes(got[: len(data)]) == data
    # A write drops what was read ahead.
    with rbd_image.open_file("r+b", 64) as file:
        for _ in range(100):
            file.read(50)
        position = file.tell()
        file.write(b"new")
        file.seek(position)
        assert file.read(4) == b"new" + data[position + 3 : position + 4]


def test_reading_ahead_asks_for_large_pieces(rbd_image: rbd.Image) -> None:
    sizes = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            return getattr(rbd_image, name)

        def readinto(self, buffer: memoryview, offset: int) -> int:
            sizes.append(len(buffer))
            return rbd_image.readinto(buffer, offset)

    raw = ImageFile(Counting(), "rb", "counted", readahead=True)  # type: ignore[arg-type]
    with io.BufferedReader(raw, 512) as file:
        while file.read(100):
            pass
    assert len(sizes) < 10
    assert sizes[-2] >= 2 * MIB
    sizes.clear()
    raw = ImageFile(Counting(), "rb", "counted", readahead=True)  # type: ignore[arg-type]
    with io.BufferedReader(raw, 512) as file:
        for place in (5, 3, 1, 4, 2):
            file.seek(place * MIB + 17)
            file.read(100)
    assert sizes == [512] * 5


def test_write_stays_in_the_image(rbd_image: rbd.Image) -> None:
    size = rbd_image.size()
    with rbd_image.open_file("r+b", 0) as file:
        assert file.write(b"abc") == 3
        assert file.write(b"") == 0
        file.seek(-2, io.SEEK_END)
        assert file.write(b"12345") == 2
        with pytest.raises(EndOfImage) as caught:
            file.write(b"345")
        assert caught.value.errno == 28
        assert isinstance(caught.value, rbd.NoSpace)
        assert isinstance(caught.value, OSError)
        with pytest.raises(TypeError):
            file.write("text")
    assert rbd_image.size() == size
    assert rbd_image.read(0, 4) == b"abc\0"
    assert rbd_image.read(size - 2, 2) == b"12"
    file = rbd_image.open_file("r+b")
    file.seek(0, io.SEEK_END)
    file.write(b"too much")
    with pytest.raises(EndOfImage):
        file.close()
    assert file.closed


def test_truncate_resizes(rbd_image: rbd.Image) -> None:
    with rbd_image.open_file("r+b") as file:
        file.seek(100)
        file.write(b"x")
        assert file.truncate() == 101
        assert rbd_image.size() == 101
        assert file.tell() == 101
        assert file.truncate(2 * MIB) == 2 * MIB
        assert rbd_image.size() == 2 * MIB
        file.seek(0)
        assert file.read() == b"\0" * 100 + b"x" + b"\0" * (2 * MIB - 101)
        with pytest.raises(ValueError, match="negative"):
            file.truncate(-1)
    with rbd_image.open_file("rb", 0) as file, pytest.raises(io.UnsupportedOperation):
        file.truncate(0)


def test_flush_reaches_the_cluster(rbd_image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx) -> None:
    with rbd_image.open_file("r+b") as file:
        file.write(b"seen elsewhere")
        file.flush()
        with rbd.Image(rbd_ioctx, rbd_image.get_name(), read_only=True) as other:
            assert other.read(0, 14) == b"seen elsewhere"


def test_a_file_reads_the_snapshot_that_is_set(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"before", 0)
    rbd_image.create_snap("s")
    rbd_image.write(b"after!", 0)
    rbd_image.set_snap("s")
    with rbd_image.open_file("rb") as file:
        assert file.read(6) == b"before"
        assert file.name.endswith("@s")
    with pytest.raises(rbd.ReadOnlyImage, match="@s"):
        rbd_image.open_file("r+b")
    rbd_image.set_snap(None)
    with rbd_image.open_file("r+b") as file:
        assert file.read(6) == b"after!"


def test_read_only_images_refuse_writing_modes(
    rbd_image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    rbd_image.create_snap("s")
    name = rbd_image.get_name()
    for arguments in ({"read_only": True}, {"snapshot": "s"}):
        with rbd.Image(rbd_ioctx, name, **arguments) as image:
            image.open_file().close()
            with pytest.raises(rbd.ReadOnlyImage):
                image.open_file("r+b")
    rbd_image.close()
    with pytest.raises(rbd.InvalidArgument, match="closed"):
        rbd_image.open_file()


def test_an_image_may_be_closed_before_its_file(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    image = rbd.Image(rbd_ioctx, rbd_image.get_name())
    file = image.open_file("r+b")
    image.close()
    with pytest.raises(rbd.InvalidArgument):
        file.read(1)
    file.close()
    image = rbd.Image(rbd_ioctx, rbd_image.get_name())
    file = image.open_file()
    del image
    gc.collect()
    assert file.read(1) == b"\0"


def test_open_takes_an_address(
    address: str, rbd_image: rbd.Image, cluster: rbd.rados.Rados
) -> None:
    rbd_image.write(b"before", 0)
    rbd_image.create_snap("s1")
    rbd_image.write(b"after!", 0)
    with rbd.open(f"{address}@s1", cluster=cluster) as file:
        assert file.read(6) == b"before"
        assert file.name == f"{address}@s1"
    with rbd.open(address, "r+b", cluster=cluster) as file:
        assert file.name == address
        assert file.read(6) == b"after!"
        image = file.raw.image
    assert image.closed
    with pytest.raises(rbd.ReadOnlyImage):
        rbd.open(f"{address}@s1", "r+b", cluster=cluster)
    with pytest.raises(rbd.ImageNotFound):
        rbd.open(f"{address}@none", cluster=cluster)
    with pytest.raises(FileNotFoundError):
        rbd.open(f"{address}-none", cluster=cluster)
    with pytest.raises(ValueError, match="size"):
        rbd.open(address, size=10, cluster=cluster)


def test_an_image_by_address_can_be_exported(
    address: str, rbd_image: rbd.Image, cluster: rbd.rados.Rados
) -> None:
    """An export opens the image again, to see whether it has shrunk."""
    from rbd.spec import ImageSpec, open_spec

    rbd_image.write(b"data", 0)
    rbd_image.flush()
    exported = io.BytesIO()
    with open_spec(address, cluster=cluster) as image:
        rbd.transfer.export_image(image, exported)
        assert str(ImageSpec.of(image)) == address
    assert exported.getvalue()[:5] == b"data\0"
    assert len(exported.getvalue()) == rbd_image.size()


def test_opened_addresses_share_a_connection(
    address: str, rbd_image: rbd.Image, conf: None
) -> None:
    from rbd.spec import ImageSpec

    with rbd.open(address) as first, rbd.open(address) as second:
        assert first.read(1) == second.read(1) == b"\0"
    spec = ImageSpec.parse(address)
    assert spec.connect() is spec.connect()


def test_creating_modes_create_images(address: str, cluster: rbd.rados.Rados) -> None:
    new = f"{address}-new"
    for wrong in ("xb", "x+b"):
        with pytest.raises(ValueError, match="size"):
            rbd.open(new, wrong, cluster=cluster, growing=False)
    for wrong in ("rb", "r+b", "wb", "ab"):
        with pytest.raises(ValueError, match="size"):
            rbd.open(new, wrong, size=1, cluster=cluster)
    with pytest.raises(ValueError, match="snapshot"):
        rbd.open(f"{new}@s", "xb", size=1, cluster=cluster)
    with rbd.open(new, "xb", size=MIB, cluster=cluster) as file:
        assert isinstance(file, io.BufferedWriter)
        assert not file.readable()
        file.write(b"made")
    with pytest.raises(FileExistsError):
        rbd.open(new, "xb", size=MIB, cluster=cluster)
    with rbd.open(f"{new}2", "x+b", size=MIB, cluster=cluster) as file:
        file.write(b"made")
        file.seek(0)
        assert file.read(5) == b"made\0"
    with rbd.open(new, cluster=cluster) as file:
        assert file.read() == b"made" + b"\0" * (MIB - 4)


# Files that grow


GROWING = ["w+b", "a+b", "r+b"]


@pytest.mark.parametrize("buffering", [-1, 0])
def test_a_growing_file_is_as_long_as_what_was_written(
    rbd_image: rbd.Image, buffering: int
) -> None:
    with rbd_image.open_file("w+b", buffering) as file:
        assert rbd_image.size() == 0
        assert file.seek(0, io.SEEK_END) == 0
        assert file.read() == b""
        assert file.write(b"abc") == 3
        assert file.tell() == 3
        assert file.seek(0, io.SEEK_END) == 3
        # Beyond the end: the gap reads as zeroes.
        file.seek(5 * MIB)
        file.write(b"far")
        assert file.seek(0, io.SEEK_END) == 5 * MIB + 3
        file.seek(1)
        assert file.read() == b"bc" + b"\0" * (5 * MIB - 3) + b"far"
        file.seek(7 * MIB)
        assert file.read(1) == b""
        file.flush()
        assert rbd_image.size() == 5 * MIB + 3
        assert file.truncate(4) == 4
        assert rbd_image.size() == 4
        file.seek(6)
        file.write(b"x")
        file.seek(0)
        assert file.read() == b"abc\0\0\0x"
    assert rbd_image.size() == 7
    assert rbd_image.read(0, 7) == b"abc\0\0\0x"


def test_a_growing_file_enlarges_the_image_in_steps(rbd_image: rbd.Image) -> None:
    sizes = [0]
    with rbd_image.open_file("wb", 0) as file:
        for at in range(0, 60 * MIB, MIB // 2):
            file.seek(at)
            file.write(b"x")
            if rbd_image.size() != sizes[-1]:
                sizes.append(rbd_image.size())
    assert sizes == [0, 4 * MIB, 8 * MIB, 16 * MIB, 32 * MIB, 64 * MIB]
    assert rbd_image.size() == 60 * MIB - MIB // 2 + 1


def test_only_growing_files_grow(rbd_image: rbd.Image) -> None:
    size = rbd_image.size()
    for mode, growing in (("r+b", None), ("r+b", False)):
        with rbd_image.open_file(mode, 0, growing=growing) as file:
            assert not file.growing
            file.seek(0, io.SEEK_END)
            with pytest.raises(EndOfImage):
                file.write(b"x")
    with rbd_image.open_file("r+b", 0, growing=True) as file:
        assert file.growing
        file.seek(0, io.SEEK_END)
        assert file.write(b"more") == 4
    assert rbd_image.size() == size + 4
    with rbd_image.open_file("ab") as file:
        assert file.tell() == size + 4
        file.seek(0)
        file.write(b"!")
        assert file.raw.growing
    assert rbd_image.size() == size + 5
    assert rbd_image.read(size, 5) == b"more!"
    for mode, growing in (("rb", True), ("wb", False), ("w+b", False), ("ab", False)):
        with pytest.raises(ValueError, match="growing"):
            rbd_image.open_file(mode, growing=growing)
    assert rbd_image.size() == size + 5


@pytest.mark.parametrize("mode", GROWING)
def test_read_only_files_do_not_grow(
    rbd_image: rbd.Image,
    rbd_ioctx: rbd.rados.Ioctx,
    address: str,
    cluster: rbd.rados.Rados,
    mode: str,
) -> None:
    rbd_image.create_snap("s")
    name, size = rbd_image.get_name(), rbd_image.size()
    for arguments in ({"read_only": True}, {"snapshot": "s"}):
        with rbd.Image(rbd_ioctx, name, **arguments) as image, pytest.raises(rbd.ReadOnlyImage):
            image.open_file(mode, growing=True)
    with pytest.raises(rbd.ReadOnlyImage):
        rbd.open(f"{address}@s", mode, growing=True, cluster=cluster)
    with pytest.raises(rbd.ReadOnlyImage):
        rbd.open(f"{address}-none@s", "wb", cluster=cluster)
    assert f"{name}-none" not in rbd.RBD().list(rbd_ioctx)
    assert rbd_image.size() == size


def test_files_opened_by_address_grow(
    address: str, rbd_ioctx: rbd.rados.Ioctx, cluster: rbd.rados.Rados
) -> None:
    new = f"{address}-grown"
    name = new.rpartition("/")[2]

    def content() -> bytes:
        with rbd.Image(rbd_ioctx, name, read_only=True) as image:
            return image.read(0, image.size())

    for mode, expected in (
        ("xb", b"one"),
        ("ab", b"oneone"),
        ("wb", b"one"),
        ("r+b", b"one"),
        ("a+b", b"oneone"),
        ("w+b", b"one"),
    ):
        with rbd.open(new, mode, cluster=cluster, growing=True) as file:
            file.write(b"one")
        assert content() == expected
    with pytest.raises(FileExistsError):
        rbd.open(new, "xb", cluster=cluster)
    for mode in ("ab", "wb"):
        rbd.RBD().remove(rbd_ioctx, name)
        with rbd.open(new, mode, cluster=cluster) as file:
            file.write(b"new")
        assert content() == b"new"
    with rbd.open(f"{new}2", "x+b", size=5, growing=True, cluster=cluster) as file:
        assert file.read() == b"\0" * 5
        file.write(b"more")
    with rbd.open(f"{new}2", cluster=cluster) as file:
        assert file.read() == b"\0" * 5 + b"more"


@pytest.mark.needs("rbd_encryption_format")
def test_a_growing_file_over_an_encrypted_image_has_the_plain_size(rbd_image: rbd.Image) -> None:
    rbd_image.encryption_format(rbd.RBD_ENCRYPTION_FORMAT_LUKS1, "a passphrase")
    data = os.urandom(9 * MIB + 5)
    with rbd_image.open_file("w+b") as file:
        for at in range(0, len(data), 100_000):
            file.write(data[at : at + 100_000])
    assert rbd_image.size() == len(data)
    with rbd_image.open_file() as file:
        assert file.read() == data


def test_an_unclosed_growing_file_is_reported(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    with rbd.Image(rbd_ioctx, rbd_image.get_name()) as image:
        file = image.open_file("wb")
        file.write(b"kept")
        del file
        gc.collect()
        assert (image.size(), image.read(0, 9)) == (4, b"kept")
        file = image.open_file("r+b", 0, growing=True)
        file.seek(8)
        file.write(b"late")
    # The size cannot be set any more, which must be reported.
    with pytest.raises(rbd.InvalidArgument, match="closed"):
        file.close()


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("seek"), st.sampled_from([0, 1, 2]), st.integers(0, 9 * MIB)),
            st.tuples(st.just("write"), st.binary(min_size=1, max_size=9),
                      st.sampled_from([1, 9, 100_000])),
            st.tuples(st.sampled_from(["read", "read1", "peeked", "readinto"]),
                      st.integers(0, 70_000)),
            st.tuples(st.just("truncate"), st.integers(0, 6 * MIB)),
            st.tuples(st.sampled_from(["flush", "tell", "end", "readline"])),
        ),
        max_size=25,
    )
)  # fmt: skip
def test_a_growing_file_behaves_as_a_file_in_memory(rbd_image: rbd.Image, steps: Any) -> None:
    """As a file in memory, whose position does not matter before a write beyond its end."""
    with rbd_image.open_file("w+b", 4096) as file:
        model = io.BytesIO()
        for name, *arguments in steps:
            results = []
            for one in (file, model):
                if name == "seek":
                    whence, offset = arguments
                    results.append(one.seek(-(offset % (one.tell() + 1)) if whence == 1 else
                                            0 if whence == 2 else offset, whence))  # fmt: skip
                elif name == "write":
                    results.append(one.write(arguments[0] * arguments[1]))
                elif name == "readinto":
                    target = bytearray(arguments[0])
                    results.append((one.readinto(target), bytes(target)))
                elif name == "read1":
                    # The read may be short, but its data must be right.
                    data = one.read1(arguments[0]) if one is file else b""
                    results.append(data)
                    if one is model:
                        results[-1] = one.read(len(results[0]))
                        assert results[0] or not arguments[0] or not one.read(1)
                elif name == "peeked":
                    results.append(None)
                    if one is file:
                        data = one.peek(arguments[0])
                        at = model.tell()
                        assert model.read(len(data)) == data
                        model.seek(at)
                elif name == "truncate":
                    results.append(one.truncate(arguments[0]))
                    one.seek(min(one.tell(), arguments[0]))
                    if one is model and len(model.getvalue()) < arguments[0]:
                        # The file in memory does not grow by that.
                        at = model.tell()
                        model.seek(arguments[0] - 1)
                        model.write(b"\0")
                        model.seek(at)
                elif name == "end":
                    at = one.tell()
                    results.append(one.seek(0, io.SEEK_END))
                    one.seek(at)
                else:
                    result = getattr(one, name)()
                    results.append(None if name == "flush" else result)
            assert results[0] == results[1], name
        file.flush()
        assert rbd_image.size() == len(model.getvalue())
    assert rbd_image.read(0, rbd_image.size()) == model.getvalue()


def one_of_two_files(address: str, first: str, second: str) -> None:
    """Let two files grow the same image. The second to do so is refused, and cuts nothing."""
    one = rbd.open(address, first, growing=True)
    other = rbd.open(address, second, growing=True)
    one.seek(0, os.SEEK_END)
    one.write(b"one" * 1000)
    one.close()
    other.seek(0, os.SEEK_END)
    other.write(b"other" * 100)
    with pytest.raises(ResizedMeanwhile, match="to 3000 bytes by something else"):
        other.close()
    with rbd.open(address) as file:
        assert file.read() == b"one" * 1000


@pytest.mark.parametrize("second", ["ab", "a+b", "r+b"])
def test_two_files_that_grow_do_not_lose_what_the_other_wrote(
    address: str, conf: None, rbd_image: rbd.Image, second: str
) -> None:
    rbd_image.resize(0)
    one_of_two_files(address, "ab", second)


def test_a_growing_file_does_not_cut_what_another_one_wrote(
    address: str, conf: None, rbd_image: rbd.Image
) -> None:
    rbd_image.resize(1000)
    grown = rbd.open(address, "r+b", growing=True)
    grown.seek(0, os.SEEK_END)
    grown.write(b"g")
    grown.raw.write(b"g")  # the image is larger than the file now
    rbd_image.resize(9 * MIB)
    rbd_image.write(b"theirs", 8 * MIB)
    rbd_image.flush()
    for call in (grown.flush, lambda: grown.truncate(5), grown.close):
        with pytest.raises(OSError, match="open the file again") as caught:
            call()
        assert caught.value.errno == errno.EBUSY
    assert grown.closed
    assert rbd_image.size() == 9 * MIB
    assert rbd_image.read(8 * MIB, 6) == b"theirs"


def test_a_pickled_copy_and_its_original_do_not_both_grow(
    address: str, conf: None, rbd_image: rbd.Image
) -> None:
    original = rbd.open(address, "w+b")
    original.write(b"1" * 1000)
    with pickle.loads(pickle.dumps(original)) as copy:
        copy.write(b"2" * 1000)
    original.write(b"3" * 10)
    with pytest.raises(ResizedMeanwhile):
        original.close()
    with rbd.open(address) as file:
        assert file.read() == b"1" * 1000 + b"2" * 1000


def test_a_growing_file_goes_on_after_an_interrupted_resize(
    rbd_image: rbd.Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = rbd_image.open_file("wb", 0)
    resize = rbd.Image.resize

    def interrupted(image: rbd.Image, size: int) -> None:
        resize(image, size)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rbd.Image, "resize", interrupted)
        with pytest.raises(KeyboardInterrupt):
            file.write(b"first")
    file.close()
    assert rbd_image.size() == 0


def test_read1_reads_what_was_written(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"old" * 100, 0)
    with rbd_image.open_file("r+b") as file:
        assert file.read(3) == b"old"
        file.seek(0)
        file.write(b"new!")
        file.seek(0)
        assert file.read1(6) == b"new!ld"
        file.write(b"!!")
        file.seek(0)
        assert file.read1(10) == b"new!ld!!do"


# Files in other processes


@pytest.mark.parametrize("buffering", [-1, 0, 5000])
def test_files_pickle_by_address(
    address: str, conf: None, rbd_image: rbd.Image, buffering: int
) -> None:
    rbd_image.write(b"0123456789" * 1000, 0)
    rbd_image.flush()
    rbd_image.create_snap("s")
    for file in (
        rbd.open(f"{address}@s", buffering=buffering),
        rbd_image.open_file("rb", buffering),
    ):
        with file:
            file.seek(3)
            assert file.read(4) == b"3456"
            text = pickle.dumps(file)
            assert len(text) < 1000
            with pickle.loads(text) as again:
                assert type(again) is type(file)
                assert (again.tell(), again.mode, again.name.endswith("@s")) == (
                    7,
                    "rb",
                    file.name.endswith("@s"),
                )
                assert again.read(4) == b"7890"
                assert file.read(4) == b"7890"
        with pytest.raises(ValueError, match="closed"):
            pickle.dumps(file)


def test_an_address_needs_the_pool(rbd_cluster: Any, rbd_image: rbd.Image) -> None:
    from rbd.spec import ImageSpec

    with rbd_cluster.connect() as cluster:
        ioctx = cluster.open_ioctx("rbd")
        name = f"{rbd_image.get_name()}-poolless"
        rbd.RBD().create(ioctx, name, 1 << 20)
        with rbd.Image(ioctx, name) as image:
            ioctx.close()
            with image.open_file() as file:
                for call in (lambda: ImageSpec.of(image), lambda: pickle.dumps(file)):
                    with pytest.raises(rbd.InvalidArgument, match="pool"):
                        call()
        with cluster.open_ioctx("rbd") as again:
            rbd.RBD().remove(again, name)


def test_pickling_a_file_flushes_it(address: str, conf: None, rbd_image: rbd.Image) -> None:
    with rbd.open(address, "w+b") as file:
        file.write(b"written")
        text = pickle.dumps(file)
    with pickle.loads(text) as again:
        assert again.tell() == 7
        assert again.raw.growing
        again.write(b" and more")
        again.seek(0)
        assert again.read() == b"written and more"
    with rbd.open(address) as file:
        assert file.read() == b"written and more"


def test_each_missing_part_of_an_address_has_its_error(
    address: str, rbd_image: rbd.Image, cluster: rbd.rados.Rados
) -> None:
    from rbd.spec import PoolNotFound, SnapshotNotFound

    for spec, kind in (
        ("no-pool/image", PoolNotFound),
        (f"{address}-none", rbd.ImageNotFound),
        (f"{address}-none@s", rbd.ImageNotFound),
        (f"{address}@none", SnapshotNotFound),
    ):
        with pytest.raises(rbd.ImageNotFound) as caught:
            rbd.open(spec, cluster=cluster)
        assert type(caught.value) is kind
        assert repr(spec) in str(caught.value)
        assert caught.value.errno == 2
    with pytest.raises(PoolNotFound, match="'no-pool/image'"):
        rbd.open("no-pool/image", "wb", cluster=cluster)
