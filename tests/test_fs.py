"""Images as files of fsspec: its conformance tests, and packages that open files through it."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import pickle
import struct
import threading
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

import rbd
from support import isolated
from support.location import held_up
from support.optional_tools import proof

fsspec = proof("fsspec")

from fsspec.callbacks import Callback  # noqa: E402
from fsspec.tests import abstract  # noqa: E402

import rbd.fs  # noqa: E402
from rbd.fs import RBDFileSystem  # noqa: E402

# Some releases of fsspec have fixtures in a form that pytest 9 warns about.
pytestmark = pytest.mark.filterwarnings("ignore:Class-scoped fixture")

MIB = 1 << 20


@pytest.fixture
def fs(rbd_cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("CEPH_CONF", str(rbd_cluster.conffile))
    return fsspec.filesystem("rbd", conffile=str(rbd_cluster.conffile))


@pytest.fixture
def root(fs: Any, rbd_ioctx: rbd.rados.Ioctx) -> Iterator[str]:
    """Provide a directory, which is removed with its content."""
    path = f"{rbd_ioctx.get_pool_name()}/dir-{os.urandom(4).hex()}"
    fs.mkdir(path)
    yield path
    if fs.exists(path):
        fs.rm(path, recursive=True)


class Fixtures(abstract.AbstractFixtures):
    @pytest.fixture
    def fs(self, rbd_cluster: Any) -> Any:
        return RBDFileSystem(conffile=str(rbd_cluster.conffile))

    @pytest.fixture
    def fs_path(self, root: str) -> str:
        return root


# fsspec's conformance tests of open, pipe, cp, get and put.


class TestCopy(abstract.AbstractCopyTests, Fixtures):
    pass


class TestGet(abstract.AbstractGetTests, Fixtures):
    pass


class TestPut(abstract.AbstractPutTests, Fixtures):
    pass


class TestOpen(abstract.AbstractOpenTests, Fixtures):
    pass


class TestPipe(abstract.AbstractPipeTests, Fixtures):
    pass


def test_an_image_waits_for_the_creation_of_its_directory(
    fs: Any, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    """Another client creates it: librbd makes a namespace known before its directory of images."""
    pool = rbd_ioctx.get_pool_name()
    with rbd_ioctx.dup() as everywhere:
        everywhere.set_namespace("")
        name = f"half-{os.urandom(4).hex()}"
        everywhere.execute(
            "rbd_namespace", "rbd", "namespace_add", struct.pack("<I", len(name)) + name.encode()
        )
        everywhere.set_namespace(name)
        ready = struct.pack("<B", 0)
        rest = threading.Timer(
            0.3, everywhere.execute, ("rbd_directory", "rbd", "dir_state_set", ready)
        )
        rest.start()
        fs.pipe(f"{pool}/{name}/image", b"content")
        rest.join()
    assert fs.cat(f"{pool}/{name}/image") == b"content"
    fs.rm(f"{pool}/{name}", recursive=True)


def test_the_file_system_is_registered() -> None:
    assert fsspec.get_filesystem_class("rbd") is RBDFileSystem
    assert rbd.fs.RBDFileSystem is RBDFileSystem
    assert "fs" in dir(rbd)


def test_pools_and_namespaces_are_directories(fs: Any, root: str) -> None:
    pool = root.split("/")[0]
    assert {"name": pool, "type": "directory", "size": 0} in fs.ls("")
    assert fs.ls("rbd://", detail=False) == fs.ls("", detail=False)
    assert root in fs.ls(pool, detail=False)
    assert fs.isdir("")
    assert fs.isdir(f"rbd://{pool}/")
    assert fs.isdir(root)
    assert fs.ls(root) == []
    with pytest.raises(FileExistsError):
        fs.mkdir(root)
    with pytest.raises(FileNotFoundError):
        fs.mkdir(f"{root}/a/b", create_parents=False)
    fs.makedirs(f"{root}/a/b", exist_ok=True)
    fs.makedirs(f"{root}/a/b", exist_ok=True)
    with pytest.raises(FileExistsError):
        fs.makedirs(f"{root}/a/b")
    fs.touch(f"{root}/a/b/file")
    fs.touch(f"{root}/a/other")
    assert fs.ls(root, detail=False) == [f"{root}/a"]
    assert fs.ls(f"{root}/a", detail=False) == [f"{root}/a/b", f"{root}/a/other"]
    assert fs.find(root) == [f"{root}/a/b/file", f"{root}/a/other"]
    assert fs.glob(f"{root}/**/f*e") == [f"{root}/a/b/file"]
    assert fs.du(root) == 0
    with pytest.raises(rbd.Error):
        fs.rmdir(f"{root}/a/b")
    with pytest.raises(PermissionError):
        fs.rmdir(pool)
    fs.rm(f"{root}/a", recursive=True)
    assert fs.ls(root) == []
    fs.rmdir(root)
    assert not fs.exists(root)
    for missing in (root, f"{root}/x", "no-pool", "no-pool/image", f"{pool}/none@s"):
        assert not fs.exists(missing)
        for call in (fs.info, fs.ls):
            with pytest.raises(FileNotFoundError):
                call(missing)


def test_an_entry_describes_its_image(
    fs: Any, root: str, rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    rbd_image.create_snap("before")
    rbd_image.write(b"data", 0)
    rbd_image.create_snap("after")
    rbd_image.protect_snap("before")
    pool, space = rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace()
    path = "/".join(part for part in (pool, space, rbd_image.get_name()) if part)
    with rbd.rados.Rados(conffile=fs._conffile) as cluster, cluster.open_ioctx(pool) as ioctx:
        ioctx.set_namespace(root.split("/")[1])
        rbd.RBD().clone(rbd_ioctx, rbd_image.get_name(), "before", ioctx, "clone", clone_format=2)
    try:
        info = fs.info(f"rbd://{path}")
        assert info == {
            "name": path,
            "type": "file",
            "size": rbd_image.size(),
            "id": rbd_image.id(),
            "created": fs.created(path),
            "modified": fs.modified(path),
            "snapshots": ["before", "after"],
            "parent": None,
        }
        now = datetime.datetime.now(datetime.timezone.utc)
        assert abs(now - info["created"]) < datetime.timedelta(minutes=10)
        [entry] = fs.ls(root)
        assert entry["parent"] == f"{path}@before"
        assert entry == fs.info(f"{root}/clone")
        assert fs.size(path) == rbd_image.size()
        # A snapshot is a file that does not change.
        assert fs.isfile(f"{path}@after")
        assert fs.cat_file(f"{path}@after", 0, 4) == b"data"
        assert fs.cat_file(f"{path}@before", 0, 4) == b"\0" * 4
        assert fs.ukey(f"{path}@after") == fs.ukey(f"{path}@after") != fs.ukey(f"{path}@before")
        assert fs.checksum(f"{path}@after") == fs.checksum(f"{path}@after")
        assert fs.ukey(path) != fs.ukey(path)
    finally:
        fs.rm(f"{root}/clone")
        rbd_image.unprotect_snap("before")


def test_files_are_written_and_read(fs: Any, root: str) -> None:
    path = f"rbd://{root}/new/file"
    with fs.open(path, "wb") as file:
        file.write(b"one")
    with fs.open(path, "ab") as file:
        file.write(b"two")
    with fs.open(path, "r+b") as file:
        file.seek(0, 2)
        file.write(b"three")
    with fs.open(path, "rb") as file:
        assert file.size == 11
    with fs.open(path, "rt") as text:
        assert text.read() == "onetwothree"
    with fs.open(path, "w") as text:
        text.write("line\n")
    assert fs.cat(path) == b"line\n"
    assert fs.cat_file(path, -3, -1) == b"ne"
    assert fs.cat_file(path, 2) == b"ne\n"
    assert fs.cat_file(path, 3, 100) == b"e\n"
    assert fs.cat_file(path, 4, 2) == b""
    assert fs.head(path, 2) == b"li"
    assert fs.tail(path, 2) == b"e\n"
    with fsspec.open(path, "rb", conffile=fs._conffile) as file:
        assert file.read() == b"line\n"
    with pickle.loads(pickle.dumps(fs)).open(path) as file:
        assert file.read() == b"line\n"
    with pytest.raises(FileNotFoundError, match="none"):
        fs.open(f"{root}/none")
    with pytest.raises(NotImplementedError, match="transactions"):
        fs.open(path, "wb", autocommit=False)
    for wrong in (root.split("/")[0], f"{path}@", ""):
        with pytest.raises(ValueError, match=r"rbd://pool"):
            fs.open(wrong)
    with fs.open(path) as file, file.raw.image as image:
        assert image.get_name() == "file"
    with rbd.open(f"{root}/plain", "wb", cluster=fs.cluster) as file:
        file.write(b"the same image")
    assert fs.cat(f"{root}/plain") == b"the same image"


def test_a_snapshot_cannot_be_written(fs: Any, root: str) -> None:
    path = f"{root}/file"
    fs.pipe(path, b"old")
    with fs.open(path) as file:
        name, pool = file.raw.image.get_name(), root.split("/")[0]
    with fs.cluster.open_ioctx(pool) as ioctx:
        ioctx.set_namespace(root.split("/")[1])
        with rbd.Image(ioctx, name) as image:
            image.create_snap("s")
    fs.pipe(path, b"new!")
    assert fs.cat({path: 0, f"{path}@s": 0}) == {path: b"new!", f"{path}@s": b"old"}
    for call in (
        lambda: fs.pipe(f"{path}@s", b"x"),
        lambda: fs.open(f"{path}@s", "wb"),
        lambda: fs.open(f"{path}@s", "r+b"),
        lambda: fs.rm_file(f"{path}@s"),
        lambda: fs.mv(f"{path}@s", f"{path}2"),
        lambda: fs.cp_file(path, f"{path}@s"),
    ):
        with pytest.raises(rbd.ReadOnlyImage):
            call()
    fs.cp_file(f"{path}@s", f"{root}/restored")
    assert fs.cat(f"{root}/restored") == b"old"
    # The snapshots of the image prevent its removal.
    with pytest.raises(rbd.ImageHasSnapshots):
        fs.rm(path)
    with fs.cluster.open_ioctx(pool) as ioctx:
        ioctx.set_namespace(root.split("/")[1])
        with rbd.Image(ioctx, name) as image:
            image.remove_snap("s")


def test_images_are_copied_and_moved(fs: Any, root: str) -> None:
    for name in ("a", "b"):
        fs.pipe(f"{root}/{name}", name.encode() * 10)
    identity = fs.info(f"{root}/a")["id"]
    fs.mv(f"{root}/a", f"{root}/moved")
    assert fs.info(f"{root}/moved")["id"] == identity
    assert not fs.exists(f"{root}/a")
    fs.mv(f"{root}/moved", f"{root}/b")
    assert fs.ls(root, detail=False) == [f"{root}/b"]
    assert fs.info(f"{root}/b")["id"] == identity
    fs.makedirs(f"{root}/sub")
    fs.mv(f"{root}/b", f"{root}/sub/")
    assert fs.find(root) == [f"{root}/sub/b"]
    fs.cp_file(f"{root}/sub/b", f"{root}/c")
    fs.pipe(f"{root}/d", b"d")
    fs.cp_file(f"{root}/d", f"{root}/c")
    assert fs.cat(f"{root}/c") == b"d"
    assert fs.ls(root, detail=False) == [f"{root}/sub", f"{root}/c", f"{root}/d"]
    fs.mv(f"{root}/sub", f"{root}/other", recursive=True)
    assert fs.cat(f"{root}/other/b") == b"a" * 10


def test_a_refused_copy_leaves_nothing(fs: Any, root: str) -> None:
    for name in ("a", "b"):
        fs.pipe(f"{root}/{name}", name.encode() * 10)
    with fs._image(f"{root}/b", read_only=False) as image:
        image.create_snap("kept")
    with pytest.raises(rbd.ImageHasSnapshots):
        fs.cp_file(f"{root}/a", f"{root}/b")
    assert fs.ls(root, detail=False) == [f"{root}/a", f"{root}/b"]
    assert fs.cat(f"{root}/b") == b"b" * 10
    with fs._image(f"{root}/b", read_only=False) as image:
        image.remove_snap("kept")


class Progress(Callback):  # type: ignore[misc]
    """Records the reported progress."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: List[int] = []

    def call(self, *_: Any, **__: Any) -> None:
        self.seen.append(self.value)


def test_put_and_get_are_sparse(fs: Any, root: str, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    data = os.urandom(3 * MIB + 5)
    with source.open("wb") as file:
        file.truncate(64 * MIB)
        file.seek(20 * MIB)
        file.write(data)
    path = f"{root}/file"
    for old in (None, b"x" * (70 * MIB)):
        if old is not None:
            fs.pipe(path, old)
        put, got = Progress(), Progress()
        fs.put_file(str(source), path, callback=put)
        with fs.open(path) as file:
            assert sum(length for _, length, exists in file.raw.image.diff() if exists) < 16 * MIB
        fs.get_file(path, str(back), callback=got)
        assert back.read_bytes() == source.read_bytes()
        assert back.stat().st_blocks * 512 < 16 * MIB
        for progress in (put, got):
            assert progress.size == progress.value == 64 * MIB
            assert progress.seen == sorted(progress.seen)
    with pytest.raises(FileExistsError):
        fs.put_file(str(source), path, mode="create")
    os.mkfifo(tmp_path / "fifo")

    def feed() -> None:
        with contextlib.suppress(BrokenPipeError):
            (tmp_path / "fifo").write_bytes(b"data")

    thread = threading.Thread(target=feed)
    thread.start()
    with pytest.raises(ValueError, match=r"size .* is not known.*pipe"):
        fs.put_file(str(tmp_path / "fifo"), f"{root}/never")
    thread.join()


def test_holes_of_a_file_are_not_read(
    fs: Any, root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "source"
    with source.open("wb") as file:
        file.truncate(64 << 30)
        for at in (MIB + 7, 3 << 34):
            file.seek(at)
            file.write(b"data")
    read: List[int] = []
    readinto = rbd.fs.Source.readinto_exact

    def counted(self: Any, view: memoryview) -> None:
        read.append(len(view))
        readinto(self, view)

    monkeypatch.setattr(rbd.fs.Source, "readinto_exact", counted)
    progress = Progress()
    fs.put_file(str(source), f"{root}/file", callback=progress)
    assert sum(read) < 4 * MIB
    assert fs.size(f"{root}/file") == progress.size == progress.value == 64 << 30
    for at in (MIB + 7, 3 << 34):
        assert fs.cat_file(f"{root}/file", at - 1, at + 5) == b"\0data\0"


def test_ranges_of_many_images_are_read_together(
    fs: Any, root: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {f"{root}/{i}": os.urandom(MIB + i) for i in range(3)}
    fs.pipe(contents)
    reads: List[int] = []
    read = rbd.aio.AsyncImage.read

    async def counted(self: Any, offset: int, length: int, flags: int = 0) -> bytes:
        reads.append(length)
        return await read(self, offset, length, flags)

    monkeypatch.setattr(rbd.aio.AsyncImage, "read", counted)
    paths, starts, ends = [], [], []
    for at in range(0, 900, 7):
        paths.append(f"rbd://{root}/{at % 3}")
        starts.append(at * 1000)
        ends.append(at * 1000 + 900)
    expected = [
        contents[path[len("rbd://") :]][start:end] for path, start, end in zip(paths, starts, ends)
    ]
    assert fs.cat_ranges(paths, starts, ends) == expected
    assert len(reads) == 129
    # Near and overlapping ranges are read at once.
    reads.clear()
    assert fs.cat_ranges(paths, starts, ends, max_gap=32 << 10, batch_size=2) == expected
    assert len(reads) == 3
    reads.clear()
    one = f"{root}/0"
    got = fs.cat_ranges([one] * 4, [None, -5, 10, 10**9], [7, None, 20, None])
    data = contents[one]
    assert got == [data[:7], data[-5:], data[10:20], b""]
    assert len(reads) <= 3
    [missing, there] = fs.cat_ranges([f"{root}/none", one], 0, 3)
    assert isinstance(missing, FileNotFoundError)
    assert there == data[:3]
    with pytest.raises(FileNotFoundError):
        fs.cat_ranges([f"{root}/none", one], 0, 3, on_error="raise")
    with pytest.raises(ValueError, match="length"):
        fs.cat_ranges([one], [0, 1], [2, 3])
    with pytest.raises(TypeError):
        fs.cat_ranges(one, 0, 1)


def test_the_file_system_works_in_asyncio(rbd_cluster: Any, root: str) -> None:
    async def use() -> Dict[str, Any]:
        fs = RBDFileSystem(
            conffile=str(rbd_cluster.conffile), asynchronous=True, skip_instance_cache=True
        )
        await fs._pipe({f"{root}/{i}": bytes([i]) * 1000 for i in range(20)})
        found = await fs._find(root)
        assert len(found) == 20
        await fs._mv_file(f"{root}/3", f"{root}/three")
        ranges = await fs._cat_ranges([f"{root}/three", f"{root}/4"], 0, 2)
        assert ranges == [b"\3\3", b"\4\4"]
        return dict(await fs._cat(await fs._find(root)))

    assert len(asyncio.run(use())) == 20


def test_awaited_files_read_and_write(rbd_cluster: Any, root: str) -> None:
    async def use() -> None:
        fs = RBDFileSystem(
            conffile=str(rbd_cluster.conffile), asynchronous=True, skip_instance_cache=True
        )
        path = f"{root}/file"
        async with await fs.open_async(path, "wb") as file:
            for at in range(300):
                assert await file.write(bytes([at % 256]) * 40_000) == 40_000
            await file.flush()
            assert file.tell() == 12_000_000
            assert (await fs._info(path))["size"] >= 12_000_000
        async with await fs.open_async(path, "ab") as file:
            assert file.tell() == 12_000_000
            await file.write(b"end")
        file = await fs.open_async(f"rbd://{path}")
        async with file:
            assert file.size == 12_000_003
            assert await file.read(5) == bytes(5)
            assert file.tell() == 5
            file.seek(40_000 * 299)
            assert await file.read(3) == b"\x2b" * 3
            file.seek(12_000_000)
            assert await file.read() == b"end"
            assert await file.read(7) == b""
            with pytest.raises(ValueError, match="write mode"):
                await file.write(b"x")
        for call in (file.read(1), file.flush()):
            with pytest.raises(ValueError, match="closed"):
                await call
        await file.close()
        with pytest.raises(FileExistsError):
            await fs.open_async(path, "xb")
        async with await fs.open_async(f"{path}2", "xb") as file:
            await file.write(b"new")
        assert await fs._cat_file(f"{path}2") == b"new"
        with pytest.raises(FileNotFoundError):
            await fs.open_async(f"{root}/none")
        for mode in ("r", "r+b", "w"):
            with pytest.raises(ValueError, match="mode"):
                await fs.open_async(path, mode)

    asyncio.run(use())


def test_separate_options_make_a_separate_connection(rbd_cluster: Any, root: str) -> None:
    fs = RBDFileSystem(
        conffile=str(rbd_cluster.conffile), name="client.admin", conf={"rbd_cache": "false"}
    )
    assert fs.cluster.conf_get("rbd_cache") == "false"
    assert fs.cluster is fs.cluster
    fs.pipe(f"{root}/file", b"data")
    assert fs.cat(f"{root}/file") == b"data"
    assert fs.fsid == f"rbd_{fs.cluster.get_fsid()}"
    fs.cluster.shutdown()


def read_in_child(fs: RBDFileSystem, path: str) -> None:
    # fsspec refuses what needs the event loop of the parent.
    assert fs.cluster is fs.cluster
    assert fs.fsid == f"rbd_{fs.cluster.get_fsid()}"
    with fs.open(path) as file:
        assert file.read() == b"data"
    fs.cluster.shutdown()


def fork_with_separate_options(conffile: str, path: str) -> None:
    fs = RBDFileSystem(conffile=conffile, conf={"rbd_cache": "false"})
    for _ in range(2):  # before the first use of the connection, and after it
        assert isolated.fork(lambda: read_in_child(fs, path)) == 0
        # The parent's connection works as before.
        assert fs.cat(path) == b"data"
    # Another thread, which the child does not have, connects.
    fs.cluster.shutdown()
    with held_up(lambda: fs.cluster, rbd, "connect"):
        assert isolated.fork(lambda: read_in_child(fs, path)) == 0
    assert fs.cat(path) == b"data"
    fs.cluster.shutdown()


def test_a_forked_child_connects_for_itself(rbd_cluster: Any, fs: Any, root: str) -> None:
    fs.pipe(f"{root}/file", b"data")
    isolated.run(fork_with_separate_options, str(rbd_cluster.conffile), f"{root}/file", timeout=150)


# Packages that read and write through it


def test_pandas_writes_and_reads_images(fs: Any, root: str) -> None:
    pandas = proof("pandas")
    proof("pyarrow")
    frame = pandas.DataFrame({"number": range(50_000), "text": [f"row {i}" for i in range(50_000)]})
    for suffix in ("parquet", "feather", "csv"):
        path = f"rbd://{root}/frame.{suffix}"
        getattr(frame, f"to_{suffix}")(path)
        back = getattr(pandas, f"read_{suffix}")(path)
        assert back["number"].tolist() == list(range(50_000))
        assert back["text"].iloc[-1] == "row 49999"
    assert pandas.read_parquet(f"rbd://{root}/frame.parquet", columns=["number"]).shape[1] == 1


def test_pyarrow_writes_a_data_set_of_images(fs: Any, root: str) -> None:
    pyarrow = proof("pyarrow")
    dataset = proof("pyarrow.dataset")
    table = pyarrow.table({"key": [i % 3 for i in range(30_000)], "value": range(30_000)})
    dataset.write_dataset(
        table, f"{root}/set", filesystem=fs, format="parquet", partitioning=["key"]
    )
    assert len(fs.find(f"{root}/set")) == 3
    back = dataset.dataset(f"{root}/set", filesystem=fs, format="parquet", partitioning=["key"])
    assert back.to_table(filter=dataset.field("key") == 1).num_rows == 10_000


def test_xarray_reads_lazily(fs: Any, root: str, tmp_path: Path) -> None:
    xarray = proof("xarray")
    proof("h5netcdf")
    np = proof("numpy")
    data = np.random.default_rng(1).random((200, 300, 20))
    path = f"rbd://{root}/set.nc"
    whole = xarray.Dataset({"t": (("x", "y", "z"), data)}, coords={"x": np.arange(200)})
    if tuple(map(int, xarray.__version__.split(".")[:2])) >= (2025, 1):
        with fs.open(path, "w+b") as file:
            whole.to_netcdf(file, engine="h5netcdf")
    else:
        # The last xarray for Python 3.9 writes to a path, or to files in an older format.
        whole.to_netcdf(tmp_path / "set.nc", engine="h5netcdf")
        fs.put_file(str(tmp_path / "set.nc"), path)
    with fs.open(path) as file, xarray.open_dataset(file, engine="h5netcdf") as opened:
        assert opened["t"].shape == data.shape
        part = opened["t"].sel(x=7)[3:5]
        assert not part._in_memory
        assert np.array_equal(part.values, data[7, 3:5])


def zarr_array(zarr: Any, store: Any, data: Any, chunks: Any) -> Any:
    """Store data with the installed zarr: version 2, the last for Python 3.9 and 3.10, or 3."""
    if hasattr(zarr, "create_array"):
        return zarr.create_array(store=store, data=data, chunks=chunks)
    return zarr.array(data, store=store, chunks=chunks)


def test_zarr_stores_in_directories(rbd_cluster: Any, root: str) -> None:
    zarr = proof("zarr")
    np = proof("numpy")
    data = np.arange(10_000).reshape(100, 100)
    of_2 = hasattr(zarr.storage, "FSStore")
    fs = RBDFileSystem(conffile=str(rbd_cluster.conffile), asynchronous=not of_2)
    for name in ("w", "r"):
        if of_2:
            store = zarr.storage.FSStore(f"{root}/store", fs=fs, mode=name)
        else:
            store = zarr.storage.FsspecStore(fs, path=f"{root}/store", read_only=name == "r")
        if name == "w":
            array = zarr_array(zarr, store, data, (50, 50))
        else:
            array = zarr.open_array(store=store, mode="r")
        assert np.array_equal(array[20:70, ::3], data[20:70, ::3])


def test_zarr_reads_parts_of_a_zip(fs: Any, root: str, tmp_path: Path) -> None:
    """A zip store within one image. Only the requested parts of it are read."""
    zarr = proof("zarr")
    np = proof("numpy")
    data = np.arange(1_000_000).reshape(1000, 1000)
    with zarr.storage.ZipStore(tmp_path / "data.zip", mode="w") as store:
        zarr_array(zarr, store, data, (250, 250))
    path = f"{root}/data.zip"
    fs.put_file(str(tmp_path / "data.zip"), path)
    options = {"rbd": {"conffile": fs._conffile}}
    array = zarr.open_array(f"zip::rbd://{path}", mode="r", storage_options=options)
    assert np.array_equal(array[100:700, 7], data[100:700, 7])


@pytest.mark.slow
def test_dask_reads_images_in_other_processes(fs: Any, root: str) -> None:
    dataframe = proof("dask.dataframe")
    pandas = proof("pandas")
    for i in range(4):
        pandas.DataFrame({"n": range(i * 1000, (i + 1) * 1000)}).to_parquet(
            f"rbd://{root}/part.{i}.parquet"
        )
    frame = dataframe.read_parquet(
        f"rbd://{root}/*.parquet", storage_options={"conffile": fs._conffile}
    )
    assert int(frame["n"].sum().compute(scheduler="processes", num_workers=2)) == sum(range(4000))
