"""Images as files: rbd.open and Image.open_file, in each mode."""

from __future__ import annotations

import gc
import io
import os
import pickle
from typing import Any, Iterator

import pytest

import rbd
from rbd.files import EndOfImage, ImageFile
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


def test_open_is_found() -> None:
    assert hasattr(rbd, "open")
    assert "open" in dir(rbd)
    assert "ImageArray" in dir(rbd)
    # A star import must leave the builtin alone.
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
def test_kinds(rbd_image: rbd.Image, mode: str, buffering: int, kind: type) -> None:
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


@pytest.mark.parametrize("mode", ["wb", "w+b", "r", "ab", "rt", "xb", "", "rbx", "rb++"])
def test_wrong_modes_over_an_image(rbd_image: rbd.Image, mode: str) -> None:
    with pytest.raises(ValueError, match="mode"):
        rbd_image.open_file(mode)


def test_wrong_types(rbd_image: rbd.Image) -> None:
    with pytest.raises(TypeError):
        rbd_image.open_file(3)
    with pytest.raises(TypeError):
        rbd_image.open_file("rb", "x")
    with pytest.raises(TypeError):
        rbd.open(b"rbd/a")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "spec", ["", "image", "/image", "rbd/", "rbd//image", "a/b/c/d", "rbd/a@", "rbd/a@b@c"]
)
def test_wrong_addresses(spec: str) -> None:
    with pytest.raises(ValueError, match="address"):
        rbd.open(spec)


def test_read_and_seek(rbd_image: rbd.Image) -> None:
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
        # Far beyond the end, and beyond what the image could ever be.
        for place in (1 << 62, (1 << 63) - 1):
            assert file.seek(place) == place
            assert file.read(10) == b""


def test_lines_and_text(rbd_image: rbd.Image) -> None:
    rbd_image.write(b"one\ntwo\r\nthr\xc3\xa9e\n\0", 0)
    with rbd_image.open_file() as file:
        assert file.readline() == b"one\n"
        assert file.peek(3)[:3] == b"two"
        assert next(file) == b"two\r\n"
    with rbd_image.open_file() as file, io.TextIOWrapper(file, encoding="utf-8") as lines:
        assert [next(lines) for _ in range(3)] == ["one\n", "two\n", "thr\u00e9e\n"]
    with rbd_image.open_file("r+b") as file, pytest.raises(TypeError):
        pickle.dumps(file)


def test_small_reads_go_ahead(rbd_image: rbd.Image) -> None:
    data = os.urandom(5 * MIB + 123)
    rbd_image.write(data, 0)
    with rbd_image.open_file("rb", 1000) as file:
        got = bytearray()
        while len(got) < len(data):
            got += file.read(777)
        assert bytes(got[: len(data)]) == data
    # What was read ahead is forgotten when the file writes.
    with rbd_image.open_file("r+b", 64) as file:
        for _ in range(100):
            file.read(50)
        position = file.tell()
        file.write(b"new")
        file.seek(position)
        assert file.read(4) == b"new" + data[position + 3 : position + 4]


def test_read_ahead_asks_for_large_pieces(rbd_image: rbd.Image) -> None:
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


def test_read_only_images(rbd_image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx) -> None:
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


def test_an_image_may_go_first(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
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


def test_open_by_address(address: str, rbd_image: rbd.Image, cluster: rbd.rados.Rados) -> None:
    rbd_image.write(b"before", 0)
    rbd_image.create_snap("s1")
    rbd_image.write(b"after!", 0)
    with rbd.open(f"{address}@s1", cluster=cluster) as file:
        assert file.read(6) == b"before"
        assert file.name == f"{address}@s1"
    with rbd.open(address, "r+b", cluster=cluster) as file:
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


def test_connection_is_shared(address: str, rbd_image: rbd.Image, conf: None) -> None:
    from rbd.spec import ImageSpec

    with rbd.open(address) as first, rbd.open(address) as second:
        assert first.read(1) == second.read(1) == b"\0"
    spec = ImageSpec.parse(address)
    assert spec.connect() is spec.connect()


def test_create(address: str, cluster: rbd.rados.Rados) -> None:
    new = f"{address}-new"
    for wrong in ("xb", "x+b"):
        with pytest.raises(ValueError, match="size"):
            rbd.open(new, wrong, cluster=cluster)
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
