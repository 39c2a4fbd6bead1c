"""Images as files of fsspec: pandas, dask, xarray and others open `rbd://pool/image`."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import errno
import io
import os
import threading
import time
import uuid
import warnings
from typing import (
    Any,
    AsyncIterator,
    Callable,
    Dict,
    Iterable,
    List,
    NamedTuple,
    Optional,
    Tuple,
    Union,
)

from fsspec.asyn import (  # type: ignore[import-untyped,unused-ignore]
    AbstractAsyncStreamedFile,
    AsyncFileSystem,
    sync,
)
from fsspec.callbacks import DEFAULT_CALLBACK  # type: ignore[import-untyped,unused-ignore]
from fsspec.utils import tokenize  # type: ignore[import-untyped,unused-ignore]

from . import aio, exceptions, files, transfer
from ._core import RBD, Image
from ._opened import SnapshotCheck
from ._pipeline import PIECE, QUEUE_DEPTH, ImageWriter
from .spec import ImageSpec, open_ioctx, open_spec
from .transfer.source import Source

__all__ = ["RBDFileSystem"]

# Ranges of an image with at most this many bytes between them are read as one, up to a length.
_GAP_BYTES = 16 << 10
_STRETCH_BYTES = 4 << 20
# The most reads, or openings of images, in flight at once.
_READS = 64
_OPENINGS = 16
# Runs of this many zero bytes take no space in an image that put() writes.
_SPARSE_BYTES = 4096
# How long the creation of a namespace by another client may take.
_CREATION_SECONDS = 5.0


class _Location(NamedTuple):
    """The parts of a path: a pool, the directories in it, and a name, which may be an image's."""

    pool: str
    directory: str
    name: str
    snapshot: Optional[str]

    @property
    def as_directory(self) -> str:
        """The namespace that the path stands for if it is a directory."""
        return "/".join(part for part in (self.directory, self.name) if part)


def _locate(path: str) -> _Location:
    pool, _, rest = path.partition("/")
    directory, _, name = rest.rpartition("/")
    name, at, snapshot = name.partition("@")
    return _Location(pool, directory, name, snapshot if at else None)


def _in_utc(stamp: Callable[[], datetime.datetime]) -> Optional[datetime.datetime]:
    try:
        return stamp().replace(tzinfo=datetime.timezone.utc)
    except exceptions.Error:
        # An image of format 1 does not have timestamps.
        return None


def _parent(image: Image) -> Optional[str]:
    try:
        spec = image.get_parent_image_spec()
    except exceptions.ImageNotFound:
        return None
    parts = (spec["pool_name"], spec["pool_namespace"], spec["image_name"])
    return "/".join(part for part in parts if part) + "@" + str(spec["snap_name"])


class RBDFileSystem(AsyncFileSystem):  # type: ignore[misc,unused-ignore]
    """Images as the files of a file system, under `rbd://pool[/namespace]/image[@snapshot]`.

    A pool is a directory, a namespace is a directory in it, and an image is a file. A directory
    within a directory is a namespace whose name has a slash in it. A snapshot is a file too,
    which can only be read; listings name the snapshots of an image in its entry. A file that is
    opened for writing grows with what is written, and the image with it. Namespaces are created
    when they are needed; pools are not.

    Parameters
    ----------
    conffile
        The configuration file; None searches as librados does, `CEPH_CONF` included.
    name
        The full name of the client; None means "client.admin".
    conf
        Options that override those of the file. A pickle of the file system contains them:
        put keys into a keyring, not here.
    **options
        The options of `fsspec.asyn.AsyncFileSystem`.
    """

    protocol = "rbd"
    root_marker = ""
    async_impl = True
    mirror_sync_methods = True

    def __init__(
        self,
        conffile: Union[str, os.PathLike[str], None] = None,
        name: Optional[str] = None,
        conf: Optional[Dict[str, str]] = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._conffile = os.fspath(conffile) if conffile else os.environ.get("CEPH_CONF") or None
        self._client = name
        self._conf = conf
        # By the process id. A child process has no threads of its parent, which may hold the
        # parent's lock, and must not use the parent's connection.
        self._connections: Dict[int, Any] = {}
        self._connection_locks: Dict[int, threading.Lock] = {}

    # Where a path leads

    @property
    def cluster(self) -> Any:
        """The connection.

        All images that this process opens by address share it, unless the file system has a
        separate `conf`.
        """
        if not self._conf:
            return ImageSpec("", None, conffile=self._conffile, client=self._client).connect()
        from . import connect

        process = os.getpid()
        with self._connection_locks.setdefault(process, threading.Lock()):
            connection = self._connections.get(process)
            if connection is None or connection.state != "connected":
                connection = connect(self._conffile, name=self._client, conf=self._conf)
                self._connections = {process: connection}
            return connection

    @property
    def fsid(self) -> str:
        """An identifier of the cluster."""
        return f"rbd_{self.cluster.get_fsid()}"

    def _bare(self, path: str) -> str:
        """Return the path without the protocol. fsspec's own method also takes lists."""
        return str(self._strip_protocol(path))

    def _spec(self, path: str) -> ImageSpec:
        """Return the address that a path names. Raises ValueError."""
        pool, directory, name, snapshot = _locate(self._bare(path))
        if not name or snapshot == "":
            raise ValueError(
                "the path of an image must look like rbd://pool[/namespace]/image[@snapshot], not "
                f"like {path!r}"
            )
        return ImageSpec(
            pool, name, directory, snapshot, conffile=self._conffile, client=self._client
        )

    def _new_spec(self, path: str) -> ImageSpec:
        """Return the address of an image to write, and create its namespace."""
        spec = self._spec(path)
        if spec.snapshot is not None:
            raise exceptions.ReadOnlyImage(f"{spec} is a snapshot", errno=errno.EROFS)
        self._make_directory(spec.pool, spec.namespace, exist_ok=True)
        return spec

    def _image(self, path: str, *, read_only: bool = True) -> Image:
        return open_spec(self._spec(path), read_only=read_only, cluster=self.cluster)

    def _ioctx(self, pool: str, namespace: str = "") -> Any:
        return open_ioctx(ImageSpec(pool, None, namespace), self.cluster)

    # Directories

    def _namespaces(self, pool: str) -> List[str]:
        with self._ioctx(pool) as ioctx:
            return list(RBD().namespace_list(ioctx))

    def _make_directory(self, pool: str, directory: str, *, exist_ok: bool) -> None:
        parts = directory.split("/") if directory else []
        with self._ioctx(pool) as ioctx:
            if parts and exist_ok and RBD().namespace_exists(ioctx, directory):
                self._await_directory(pool, directory)
                return
            for end in range(1, len(parts) + 1):
                name = "/".join(parts[:end])
                try:
                    RBD().namespace_create(ioctx, name)
                except exceptions.ImageExists:
                    if end == len(parts) and not exist_ok:
                        raise FileExistsError(f"{pool}/{directory} exists") from None
                    self._await_directory(pool, name)
        if not parts and not exist_ok:
            raise FileExistsError(f"pool {pool!r} exists")

    def _await_directory(self, pool: str, directory: str) -> None:
        """Wait until an image can be created in a namespace that another client is creating.

        librbd makes a namespace known first, and then its directory, without which it creates no
        image there.
        """
        end = time.monotonic() + _CREATION_SECONDS
        with self._ioctx(pool, directory) as ioctx:
            while True:
                try:
                    ioctx.stat("rbd_directory")
                    return
                except FileNotFoundError:
                    if time.monotonic() > end:
                        return
                    time.sleep(0.01)

    async def _mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        location = _locate(self._bare(path))
        if not create_parents and location.directory:
            await self._info(f"{location.pool}/{location.directory}")
        await asyncio.to_thread(
            self._make_directory, location.pool, location.as_directory, exist_ok=False
        )

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        location = _locate(self._bare(path))
        await asyncio.to_thread(
            self._make_directory, location.pool, location.as_directory, exist_ok=exist_ok
        )

    def _remove_directory(self, path: str) -> None:
        location = _locate(path)
        if not location.as_directory:
            raise PermissionError(f"a file system cannot remove a pool, such as {location.pool!r}")
        with self._ioctx(location.pool) as ioctx:
            RBD().namespace_remove(ioctx, location.as_directory)

    async def _rmdir(self, path: str) -> None:
        await asyncio.to_thread(self._remove_directory, self._bare(path))

    def rmdir(self, path: str) -> None:
        """Remove an empty directory.

        Parameters
        ----------
        path
            The path of a namespace.

        Raises
        ------
        ImageNotFound
            There is no such directory.
        ImageBusy
            There are images in the directory.
        PermissionError
            The path is that of a pool.
        """
        sync(self.loop, self._rmdir, path)

    # What there is

    def _image_info(self, path: str) -> Dict[str, Any]:
        with self._image(path) as image:
            return {
                "name": path,
                "type": "file",
                "size": image.size(),
                "id": image.id(),
                "created": _in_utc(image.create_timestamp),
                "modified": _in_utc(image.modify_timestamp),
                "snapshots": [snapshot["name"] for snapshot in image.list_snaps()],
                "parent": _parent(image),
            }

    def _path_info(self, path: str) -> Dict[str, Any]:
        pool, _, name, snapshot = location = _locate(path)
        directory = {"name": path, "type": "directory", "size": 0}
        if not pool:
            return directory
        if not name:
            self._ioctx(pool).close()
            return directory
        try:
            return self._image_info(path)
        except exceptions.ImageNotFound as error:
            missing = error
        wanted = location.as_directory
        if snapshot is None and any(
            name == wanted or name.startswith(wanted + "/") for name in self._namespaces(pool)
        ):
            return directory
        raise missing

    async def _info(self, path: str, **_: Any) -> Dict[str, Any]:
        return await asyncio.to_thread(self._path_info, self._bare(path))

    def _listed(self, path: str) -> Tuple[List[str], List[str]]:
        """Return the directories and the images in a directory. Raises ImageNotFound."""
        location = _locate(path)
        if not location.pool:
            return list(self.cluster.list_pools()), []
        above = location.as_directory
        namespaces = self._namespaces(location.pool)
        start = f"{above}/" if above else ""
        within = [name[len(start) :] for name in namespaces if name.startswith(start)]
        directories = sorted({name.partition("/")[0] for name in within})
        images: List[str] = []
        if not above or above in namespaces:
            with self._ioctx(location.pool, above) as ioctx:
                images = sorted(RBD().list(ioctx))
        elif not directories:
            raise exceptions.ImageNotFound(f"there is no directory {path!r}", errno=errno.ENOENT)
        names = [f"{path}/{name}" for name in directories]
        return names, [f"{path}/{name}" for name in images]

    async def _ls(self, path: str, detail: bool = True, **_: Any) -> List[Any]:
        path = self._bare(path)
        try:
            directories, images = await asyncio.to_thread(self._listed, path)
        except exceptions.ImageNotFound:
            info = await self._info(path)
            return [info] if detail else [path]
        if not detail:
            return [*directories, *images]
        gate = asyncio.Semaphore(_OPENINGS)

        async def entry(name: str) -> Optional[Dict[str, Any]]:
            async with gate:
                try:
                    return await asyncio.to_thread(self._image_info, name)
                except exceptions.ImageNotFound:
                    # The entry was removed after it was listed.
                    return None

        found = await asyncio.gather(*(entry(name) for name in images))
        listed: List[Any] = [{"name": name, "type": "directory", "size": 0} for name in directories]
        return listed + [info for info in found if info is not None]

    def created(self, path: str) -> Optional[datetime.datetime]:
        """Return when the image was created, in UTC.

        Parameters
        ----------
        path
            The path of the image.

        Returns
        -------
        The time; None for an image of format 1.
        """
        stamp: Optional[datetime.datetime] = self.info(path)["created"]
        return stamp

    def modified(self, path: str) -> Optional[datetime.datetime]:
        """Return when the image was written last, in UTC. librbd notes it once a minute.

        Parameters
        ----------
        path
            The path of the image.

        Returns
        -------
        The time; None for an image of format 1.
        """
        stamp: Optional[datetime.datetime] = self.info(path)["modified"]
        return stamp

    def ukey(self, path: str) -> str:
        """Return a text that is different for different content.

        For a snapshot it is the same each time. An image may change at any time without a trace, so
        that each call returns another text.

        Parameters
        ----------
        path
            The path of the image.

        Returns
        -------
        The text.
        """
        info = self.info(path)
        snapshot = _locate(self._bare(path)).snapshot
        version = uuid.uuid4().hex if snapshot is None else snapshot
        return str(tokenize(self.fsid, info["name"], info["id"], version))

    def checksum(self, path: str) -> int:
        """Return `ukey` as a number. The content is not read.

        Parameters
        ----------
        path
            The path of the image.

        Returns
        -------
        The number.
        """
        return int(self.ukey(path), 16)

    # Whole files, and ranges of them

    def _image_to_read(self, path: str) -> Tuple[Image, SnapshotCheck]:
        image = self._image(path)
        return image, SnapshotCheck(image)

    @contextlib.asynccontextmanager
    async def _reading(self, path: str) -> AsyncIterator[aio.AsyncImage]:
        """Open an image to read from it. Raises ImageNotFound if its snapshot is removed."""
        image, snapshot = await asyncio.to_thread(self._image_to_read, path)
        async with aio.AsyncImage(image) as opened:
            yield opened
            await asyncio.to_thread(snapshot.now)

    async def _cat_file(
        self, path: str, start: Optional[int] = None, end: Optional[int] = None, **_: Any
    ) -> bytes:
        async with self._reading(path) as image:
            first, last = _limits(start, end, image.image.size())
            return await image.read(first, last - first)

    async def _cat_ranges(
        self,
        paths: List[str],
        starts: Any,
        ends: Any,
        max_gap: Optional[int] = None,
        batch_size: Optional[int] = None,
        on_error: str = "return",
        **_: Any,
    ) -> List[Any]:
        """Return the bytes of many ranges of one or more images, with `batch_size` reads in flight.

        Ranges with at most `max_gap` bytes between them (16 KiB by default) are read as one.
        """
        if not isinstance(paths, list):
            raise TypeError(f"paths must be a list, not {type(paths).__name__}")
        starts = list(starts) if isinstance(starts, Iterable) else [starts] * len(paths)
        ends = list(ends) if isinstance(ends, Iterable) else [ends] * len(paths)
        if not len(paths) == len(starts) == len(ends):
            raise ValueError(
                f"paths, starts and ends must have the same length, not {len(paths)}, "
                f"{len(starts)} and {len(ends)}"
            )
        gap = _GAP_BYTES if max_gap is None else max_gap
        places: Dict[str, List[int]] = {}
        for at, path in enumerate(paths):
            places.setdefault(self._bare(path), []).append(at)
        results: List[Any] = [None] * len(paths)
        reads = asyncio.Semaphore(batch_size if batch_size and batch_size > 0 else _READS)
        openings = asyncio.Semaphore(_OPENINGS)

        async def read(image: aio.AsyncImage, stretch: List[Tuple[int, int, int]]) -> None:
            first, last = stretch[0][0], max(end for _, end, _ in stretch)
            try:
                async with reads:
                    data = await image.read(first, last - first)
            except Exception as error:
                for _, _, at in stretch:
                    results[at] = error
                return
            if len(stretch) == 1:
                results[stretch[0][2]] = data
                return
            view = memoryview(data)
            for start, end, at in stretch:
                results[at] = bytes(view[start - first : end - first])

        async def read_image(path: str, chosen: List[int]) -> None:
            async with openings:
                try:
                    async with self._reading(path) as image:
                        size = image.image.size()
                        ranges = sorted((*_limits(starts[at], ends[at], size), at) for at in chosen)
                        stretches = _stretches(ranges, gap)
                        await asyncio.gather(*(read(image, stretch) for stretch in stretches))
                except Exception as error:
                    for at in chosen:
                        results[at] = error

        await asyncio.gather(*(read_image(path, chosen) for path, chosen in places.items()))
        if on_error != "return":
            for result in results:
                if isinstance(result, BaseException):
                    raise result
        return results

    def _pipe_sync(self, path: str, value: Any, mode: str) -> None:
        spec = self._new_spec(path)
        view = memoryview(value).cast("B")
        with self._emptied(spec, mode, len(view)) as image:
            if len(view):
                image.write(view, 0)

    def _emptied(self, spec: ImageSpec, mode: str, size: int) -> Image:
        """Return a new image, or, unless the mode is "create", an old one without its content."""
        assert spec.image is not None
        created = True
        with open_ioctx(spec, self.cluster) as ioctx:
            try:
                RBD().create(ioctx, spec.image, size)
            except exceptions.ImageExists:
                if mode == "create":
                    raise
                created = False
        image = open_spec(spec, read_only=False, cluster=self.cluster)
        try:
            if not created:
                # The old content must read as zeroes.
                image.resize(0)
                image.resize(size)
        except BaseException:
            image.close()
            raise
        return image

    async def _pipe_file(self, path: str, value: Any, mode: str = "overwrite", **_: Any) -> None:
        await asyncio.to_thread(self._pipe_sync, path, value, mode)

    def _put_sync(self, lpath: str, rpath: str, mode: str, callback: Any) -> None:
        spec = self._new_spec(rpath)
        with Source(os.fspath(lpath)) as source:
            if source.size is None:
                raise ValueError(f"the size of {lpath!r} is not known; pass its bytes to pipe()")
            size = source.size
            callback.set_size(size)
            with (
                self._emptied(spec, mode, size) as image,
                ImageWriter(image, QUEUE_DEPTH, _SPARSE_BYTES, fresh=True) as writer,
            ):
                # The image reads as zeroes, so holes are skipped.
                while (found := source.find_data(source.position)) is not None:
                    source.position, end = found
                    while source.position < end:
                        position = source.position
                        part = min(PIECE - position % PIECE, end - position)
                        source.readinto_exact(writer.space(part))
                        writer.write(position, part)
                        callback.absolute_update(source.position)
                source.check_length()
            callback.absolute_update(size)

    async def _put_file(
        self,
        lpath: str,
        rpath: str,
        mode: str = "overwrite",
        callback: Any = DEFAULT_CALLBACK,
        **_: Any,
    ) -> None:
        if os.path.isdir(lpath):
            await self._makedirs(rpath, exist_ok=True)
            return
        await asyncio.to_thread(self._put_sync, lpath, rpath, mode, callback)

    def _get_sync(self, rpath: str, lpath: Any, callback: Any) -> None:
        with self._image(rpath) as image:
            callback.set_size(image.size())
            transfer.export_image(
                image, lpath, on_progress=lambda done, _: callback.absolute_update(done)
            )

    async def _get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, **_: Any
    ) -> None:
        if await self._isdir(rpath):
            os.makedirs(lpath, exist_ok=True)
            return
        await asyncio.to_thread(self._get_sync, rpath, lpath, callback)

    # Copies, renames, removals

    def _copy_image(self, path1: str, path2: str) -> None:
        spec = self._new_spec(path2)
        assert spec.image is not None
        with self._image(path1) as image, open_ioctx(spec, self.cluster) as ioctx:
            there = spec.image in RBD().list(ioctx)
            # The old image stays until the new one is complete.
            name = f"{spec.image}.copy-{os.urandom(4).hex()}" if there else spec.image
            image.copy(ioctx, name)
            if there:
                try:
                    RBD().remove(ioctx, spec.image)
                except BaseException:
                    # For example, the old image has snapshots.
                    RBD().remove(ioctx, name)
                    raise
                RBD().rename(ioctx, name, spec.image)

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        if (await self._info(path1))["type"] == "directory":
            await self._makedirs(path2, exist_ok=True)
            return
        await asyncio.to_thread(self._copy_image, path1, path2)

    def _rename(self, old: ImageSpec, new: ImageSpec) -> None:
        assert old.image is not None
        assert new.image is not None
        with open_ioctx(old, self.cluster) as ioctx:
            names = RBD().list(ioctx)
            if old.image in names and new.image in names and old.image != new.image:
                RBD().remove(ioctx, new.image)
            RBD().rename(ioctx, old.image, new.image)

    async def _mv_file(self, path1: str, path2: str) -> None:
        old, new = self._spec(path1), self._spec(path2)
        if old.snapshot is not None or new.snapshot is not None:
            raise exceptions.ReadOnlyImage(f"{old if old.snapshot else new} is a snapshot")
        if (old.pool, old.namespace) == (new.pool, new.namespace):
            await asyncio.to_thread(self._rename, old, new)
            return
        await self._cp_file(path1, path2)
        await self._rm_file(path1)

    def mv(
        self,
        path1: Any,
        path2: Any,
        recursive: bool = False,
        maxdepth: Optional[int] = None,
        **kwargs: Any,
    ) -> None:
        """Move images: rename them within a directory, copy them to another without the snapshots.

        Parameters
        ----------
        path1
            The path, or paths, of the images.
        path2
            The new path, or a directory.
        recursive, maxdepth, **kwargs
            As in fsspec.

        Raises
        ------
        ImageNotFound
            There is no such image.
        ReadOnlyImage
            A path names a snapshot.
        """
        if isinstance(path1, str) and isinstance(path2, str) and self.isfile(path1):
            if path2.endswith("/") or self.isdir(path2):
                name = _locate(self._bare(path1)).name
                path2 = f"{self._bare(path2)}/{name}"
            sync(self.loop, self._mv_file, path1, path2)
            return
        super().mv(path1, path2, recursive=recursive, maxdepth=maxdepth, **kwargs)

    def _remove(self, path: str) -> None:
        spec = self._spec(path)
        if spec.snapshot is not None:
            raise exceptions.ReadOnlyImage(f"{spec} is a snapshot", errno=errno.EROFS)
        assert spec.image is not None
        with open_ioctx(spec, self.cluster) as ioctx:
            RBD().remove(ioctx, spec.image)

    async def _rm_file(self, path: str, **_: Any) -> Any:
        path = self._bare(path)
        if (await self._info(path))["type"] == "directory":
            await self._rmdir(path)
        else:
            await asyncio.to_thread(self._remove, path)

    async def _rm(
        self,
        path: Any,
        recursive: bool = False,
        batch_size: Optional[int] = None,
        maxdepth: Optional[int] = None,
        **_: Any,
    ) -> Any:
        found = await self._expand_path(path, recursive=recursive, maxdepth=maxdepth)
        gate = asyncio.Semaphore(batch_size if batch_size and batch_size > 0 else _OPENINGS)
        directories: List[str] = []

        async def remove(name: str) -> None:
            async with gate:
                if await self._isdir(name):
                    directories.append(name)
                else:
                    await asyncio.to_thread(self._remove, name)

        await asyncio.gather(*(remove(name) for name in found))
        # The innermost first, so that each one is empty.
        for name in sorted(directories, key=len, reverse=True):
            await self._rmdir(name)

    # Open files

    def _open(
        self,
        path: str,
        mode: str = "rb",
        block_size: Optional[int] = None,
        autocommit: bool = True,
        cache_options: Any = None,
        growing: Optional[bool] = None,
        **_: Any,
    ) -> Any:
        if not autocommit:
            raise NotImplementedError("an image has no transactions, because it is written at once")
        if growing is None and mode in ("r+b", "rb+"):
            growing = True
        spec = self._spec(path) if mode[0] == "r" else self._new_spec(path)
        buffering = block_size if isinstance(block_size, int) else -1
        return files.open_file(
            spec, mode, buffering=buffering, cluster=self.cluster, growing=growing
        )

    async def open_async(self, path: str, mode: str = "rb", **options: Any) -> Any:
        """Open an image as a file with awaitable read(), write(), flush() and close().

        Parameters
        ----------
        path
            The path of the image.
        mode
            'rb', 'wb', 'xb' or 'ab'.
        **options
            `size` ends the file before the end of its image. `block_size` is the number of bytes
            that are buffered before they are written.

        Returns
        -------
        An asynchronous context manager that closes the file.

        Raises
        ------
        ImageNotFound
            There is no such image, and the mode is 'rb'.
        ImageExists
            There is such an image, and the mode is 'xb'.
        ValueError
            `mode` is another one.
        """
        if mode == "rb":
            opened, snapshot = await asyncio.to_thread(self._image_to_read, path)
            image = aio.AsyncImage(opened)
            if "size" not in options:
                options["size"] = await image.size()
            return _AwaitedFile(self, path, mode, image, snapshot, **options)
        if mode not in ("wb", "xb", "ab") or options.pop("compression", None):
            raise ValueError(f"mode must be 'rb', 'wb', 'xb' or 'ab', not {mode!r}")
        file = await asyncio.to_thread(self._open, path, mode)
        return _AwaitedFile(self, path, mode, file, **options)


class _AwaitedFile(AbstractAsyncStreamedFile):  # type: ignore[misc,unused-ignore]
    """An open file. `opened` is the image to read from, or the file that threads write to."""

    def __init__(
        self,
        fs: RBDFileSystem,
        path: str,
        mode: str,
        opened: Any,
        snapshot: Optional[SnapshotCheck] = None,
        **options: Any,
    ) -> None:
        # fsspec does not know any other modes of writing.
        self.closed: bool = False
        self.buffer: io.BytesIO = io.BytesIO()
        super().__init__(fs, path, "wb" if mode == "xb" else mode, cache_type="none", **options)
        self._opened = opened
        self._snapshot = snapshot
        if mode == "ab":
            self.loc = opened.tell()

    async def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = await self._opened.read(start, max(0, min(end, self.size) - start))
        return data

    async def flush(self, force: bool = False) -> None:
        """Write the buffered data, and wait until it is safe in the cluster."""
        if self.closed:
            raise ValueError("flush of a closed file")
        if self.mode != "rb":
            data, self.buffer = self.buffer.getbuffer(), io.BytesIO()
            await asyncio.to_thread(self._write_through, data)

    def _write_through(self, data: Any) -> None:
        self._opened.write(data)
        self._opened.flush()

    async def close(self) -> None:
        """Write the buffered data, and close the image."""
        if self.closed:
            return
        try:
            await self.flush(force=True)
            if self._snapshot is not None:
                await asyncio.to_thread(self._snapshot.now)
        finally:
            self.closed = True
            if self.mode == "rb":
                await self._opened.close()
            else:
                await asyncio.to_thread(self._opened.close)

    def __del__(self) -> None:
        # The image closes itself. fsspec's own method would make a coroutine that nobody awaits.
        if not self.closed and self.mode != "rb" and self.buffer.tell():
            message = f"{self.path!r} was not closed: {self.buffer.tell()} bytes are not written"
            warnings.warn(message, ResourceWarning, stacklevel=2)


def _limits(start: Optional[int], end: Optional[int], size: int) -> Tuple[int, int]:
    """Return the ends of a range in a file of that size. Negative numbers count from the end."""
    first, last, _ = slice(start, end).indices(size)
    return first, max(first, last)


def _stretches(
    ranges: List[Tuple[int, int, int]], gap: int
) -> Iterable[List[Tuple[int, int, int]]]:
    """Divide sorted ranges into groups. One read covers a group."""
    group: List[Tuple[int, int, int]] = []
    reach = 0
    for one in ranges:
        start, end, _ = one
        if group and (start > reach + gap or max(reach, end) - group[0][0] > _STRETCH_BYTES):
            yield group
            group, reach = [], 0
        group.append(one)
        reach = max(reach, end)
    if group:
        yield group
