"""Other packages use an image as a file: archives, arrays, tables, a file system."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from typing import Any, Iterator, Tuple

import pytest

import rbd
from support.optional_tools import program, proof

MIB = 1 << 20


def test_copyfileobj_copies_an_image(rbd_image: rbd.Image) -> None:
    data = os.urandom(2 * MIB)
    with rbd_image.open_file("r+b") as file:
        shutil.copyfileobj(io.BytesIO(data), file)
    copy = io.BytesIO()
    with rbd_image.open_file() as file:
        shutil.copyfileobj(file, copy)
    assert copy.getvalue()[: len(data)] == data
    assert len(copy.getvalue()) == rbd_image.size()


def _members() -> Iterator[Tuple[str, bytes]]:
    for i in range(20):
        yield f"dir/file{i}", os.urandom(i * 5000)


def test_tarfile_writes_and_reads_an_image(rbd_image: rbd.Image) -> None:
    members = dict(_members())
    with rbd_image.open_file("r+b") as file, tarfile.open(fileobj=file, mode="w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with rbd_image.open_file() as file, tarfile.open(fileobj=file) as tar:
        assert tar.getnames() == list(members)
        for name, data in members.items():
            member = tar.extractfile(name)
            assert member is not None
            assert member.read() == data


def test_zipfile_writes_and_reads_an_image(rbd_image: rbd.Image) -> None:
    members = dict(_members())
    with rbd_image.open_file("r+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        # The reader finds an archive from its end.
        file.truncate()
    with rbd_image.open_file() as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        for name, data in members.items():
            assert archive.read(name) == data


def test_gzip_writes_and_reads_an_image(rbd_image: rbd.Image) -> None:
    data = os.urandom(100_000) * 10
    with rbd_image.open_file("r+b") as file:
        with gzip.GzipFile(fileobj=file, mode="wb") as stream:
            stream.write(data)
        file.truncate()
    with rbd_image.open_file() as file, gzip.open(file) as stream:
        assert stream.read() == data


def test_numpy_saves_to_and_loads_from_an_image(rbd_image: rbd.Image) -> None:
    np = proof("numpy")
    array = np.random.default_rng(1).random((300, 70))
    with rbd_image.open_file("r+b") as file:
        np.save(file, array)
        np.save(file, array[::2])
    with rbd_image.open_file() as file:
        assert np.array_equal(np.load(file), array)
        assert np.array_equal(np.load(file), array[::2])


def test_h5py_reads_an_image(rbd_image: rbd.Image) -> None:
    h5py = proof("h5py")
    np = proof("numpy")
    array = np.arange(200_000).reshape(400, 500)
    memory = io.BytesIO()
    with h5py.File(memory, "w") as h5:
        h5.create_dataset("group/data", data=array, chunks=(50, 50), compression="gzip")
        h5.create_dataset("plain", data=array)
    rbd_image.write(memory.getvalue(), 0)
    with rbd_image.open_file("r+b") as file, h5py.File(file, "r+") as h5:
        h5.attrs["title"] = "on an image"
        h5["plain"][7] = 0
    with rbd_image.open_file() as file, h5py.File(file, "r") as h5:
        assert h5.attrs["title"] == "on an image"
        assert np.array_equal(h5["group/data"][100:200, 3:9], array[100:200, 3:9])
        assert not h5["plain"][7].any()
        assert np.array_equal(h5["plain"][8:], array[8:])


def test_pandas_writes_parquet_to_an_image(rbd_image: rbd.Image) -> None:
    pandas = proof("pandas")
    proof("pyarrow")
    frame = pandas.DataFrame({"number": range(50_000), "text": [f"row {i}" for i in range(50_000)]})
    with rbd_image.open_file("r+b") as file:
        frame.to_parquet(_Unclosed(file), engine="pyarrow")
        file.truncate()
    with rbd_image.open_file() as file:
        back = pandas.read_parquet(file, engine="pyarrow", columns=["text", "number"])
    assert back["number"].tolist() == list(range(50_000))
    assert back["text"].iloc[-1] == "row 49999"


class _Unclosed(io.RawIOBase):
    """Keeps a file open for writers that would close it."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        return int(self._file.write(data))

    def tell(self) -> int:
        return int(self._file.tell())


# Packages that create files, in images that grow with them


@pytest.fixture
def new(rbd_ioctx: rbd.rados.Ioctx, rbd_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an image that does not exist."""
    monkeypatch.setenv("CEPH_CONF", str(rbd_cluster.conffile))
    parts = (rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace(), f"new-{os.urandom(4).hex()}")
    return "/".join(part for part in parts if part)


def test_h5py_creates_files_in_an_image(new: str) -> None:
    h5py = proof("h5py")
    np = proof("numpy")
    array = np.arange(600_000).reshape(600, 1000)
    with rbd.open(new, "x+b") as file, h5py.File(file, "w") as h5:
        h5.create_dataset("chunked", data=array, chunks=(50, 50), maxshape=(None, 1000))
    with rbd.open(new, "r+b", growing=True) as file, h5py.File(file, "r+") as h5:
        h5["chunked"].resize((1200, 1000))
        h5["chunked"][600:] = array
        h5.create_dataset("appended", data=array)
    with rbd.open(new) as file, h5py.File(file, "r") as h5:
        assert np.array_equal(h5["chunked"][:600], array)
        assert np.array_equal(h5["chunked"][600:], array)
        assert np.array_equal(h5["appended"], array)


def test_numpy_savez_writes_to_a_growing_image(new: str) -> None:
    np = proof("numpy")
    arrays = {"a": np.random.default_rng(1).random((300, 70)), "b": np.arange(10**6)}
    with rbd.open(new, "wb") as file:
        np.savez(file, **arrays)
    with rbd.open(new) as file, np.load(file) as loaded:
        assert set(loaded) == {"a", "b"}
        assert all(np.array_equal(loaded[name], array) for name, array in arrays.items())


def test_pyarrow_writes_and_reads_an_image(new: str) -> None:
    pyarrow = proof("pyarrow")
    proof("pyarrow.parquet")
    proof("pyarrow.feather")
    table = pyarrow.table({"number": range(100_000), "text": [f"row {i}" for i in range(100_000)]})
    for module, suffix in ((pyarrow.parquet, "parquet"), (pyarrow.feather, "feather")):
        with rbd.open(f"{new}-{suffix}", "wb") as file:
            getattr(module, f"write_{'table' if suffix == 'parquet' else 'feather'}")(table, file)
        with rbd.open(f"{new}-{suffix}") as file:
            assert module.read_table(file).equals(table)


def test_a_file_to_write_does_not_have_a_name(new: str) -> None:
    """Programs write to a local file of that name instead, as pandas 2 does."""
    with rbd.open(new, "wb") as file:
        assert not hasattr(file, "name")
        assert file.raw.name == new
        assert "BufferedWriter" in repr(file)
    with rbd.open(new, "r+b") as file:
        assert file.name == new


def test_pandas_writes_and_reads_an_image(new: str) -> None:
    pandas = proof("pandas")
    proof("pyarrow")
    frame = pandas.DataFrame({"number": range(50_000), "text": [f"row {i}" for i in range(50_000)]})
    # pandas closes the file or leaves it open, depending on the engine.
    for suffix in ("parquet", "feather", "csv", "pickle"):
        with rbd.open(f"{new}-{suffix}", "wb") as file:
            getattr(frame, f"to_{suffix}")(file)
        with rbd.open(f"{new}-{suffix}") as file:
            back = getattr(pandas, f"read_{suffix}")(file)
        assert back["number"].tolist() == list(range(50_000))
        assert back["text"].iloc[-1] == "row 49999"


def test_a_zip_can_be_appended_to(new: str) -> None:
    members = dict(_members())
    for at, (name, data) in enumerate(members.items()):
        with (
            rbd.open(new, "r+b" if at else "x+b", growing=True) as file,
            zipfile.ZipFile(file, "a" if at else "w") as archive,
        ):
            archive.writestr(name, data)
    with rbd.open(new) as file, zipfile.ZipFile(file) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == members


def test_a_tar_can_be_appended_to(new: str) -> None:
    members = dict(_members())
    for at, (name, data) in enumerate(members.items()):
        with (
            rbd.open(new, "r+b" if at else "x+b", growing=True) as file,
            tarfile.open(fileobj=file, mode="a" if at else "w") as tar,
        ):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with rbd.open(new) as file, tarfile.open(fileobj=file) as tar:
        assert tar.getnames() == list(members)
        for member in tar:
            extracted = tar.extractfile(member)
            assert extracted is not None
            assert extracted.read() == members[member.name]


def test_torch_saves_to_and_loads_from_an_image(new: str) -> None:
    torch = pytest.importorskip("torch")
    tensors = {"weights": torch.arange(10**6, dtype=torch.float32), "bias": torch.ones(3)}
    with rbd.open(new, "wb") as file:
        torch.save(tensors, file)
    with rbd.open(new) as file:
        loaded = torch.load(file)
    assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


# With Python 3.13, the collector crashes on what ext4 leaves behind, also over a plain file.
if sys.version_info[:2] != (3, 13):

    @pytest.mark.rbd_image(size=24 << 20, order=22)
    def test_a_file_system_is_read_from_an_image(rbd_image: rbd.Image, tmp_path: Any) -> None:
        ext4 = proof("ext4")
        mkfs = program("mkfs.ext4")
        tree = tmp_path / "tree"
        (tree / "sub").mkdir(parents=True)
        contents = os.urandom(3 * MIB)
        (tree / "sub" / "large").write_bytes(contents)
        (tree / "hello").write_text("hello from the image\n")
        disk = tmp_path / "disk"
        with disk.open("wb") as new:
            new.truncate(rbd_image.size())
        subprocess.run([mkfs, "-q", "-F", "-d", str(tree), str(disk)], check=True, timeout=60)
        with disk.open("rb") as source, rbd_image.open_file("r+b") as target:
            shutil.copyfileobj(source, target)
        with rbd_image.open_file() as file:
            volume = ext4.Volume(file)
            with volume.inode_at("/hello").open() as member:
                assert member.read() == b"hello from the image\n"
            with volume.inode_at("/sub/large").open() as member:
                assert member.read() == contents
