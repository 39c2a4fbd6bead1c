"""Moving an image that is in use: prepare, execute, then commit or abort."""

from __future__ import annotations

import contextlib
import http.server
import io
import json
import re
import secrets
import struct
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import pytest

import rbd
import rbd.rados
from rbd import transfer
from rbd.testing import Cluster
from support import isolated
from support.stream_files import parse_diff

MIB = 1 << 20
KEYS = [
    "source_pool_id",
    "source_pool_namespace",
    "source_image_name",
    "source_image_id",
    "dest_pool_id",
    "dest_pool_namespace",
    "dest_image_name",
    "dest_image_id",
    "state",
    "state_description",
]


@pytest.fixture
def source(rbd_ioctx: rbd.rados.Ioctx) -> str:
    """Provide the name of an image of 8 MiB, with 'one' in snapshot 'a' and 'two' in its head."""
    rbd.RBD().create(rbd_ioctx, "source", 8 * MIB, order=20)
    with rbd.Image(rbd_ioctx, "source") as image:
        for offset in range(0, 8 * MIB, MIB):
            image.write(b"data", offset)
        image.write(b"one", 0)
        image.create_snap("a")
        image.write(b"two", 0)
    return "source"


def image_id(ioctx: rbd.rados.Ioctx, name: str) -> str:
    with rbd.Image(ioctx, name, read_only=True) as image:
        return str(image.id())


def trashed(ioctx: rbd.rados.Ioctx) -> List[str]:
    return [entry["name"] for entry in rbd.RBD().trash_list(ioctx)]


def test_an_image_migrates_while_it_is_in_use(
    source: str, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    number = image_id(rbd_ioctx, source)
    assert rbd.RBD().migration_prepare(rbd_ioctx, source, second_ioctx, "dest") is None
    assert rbd.RBD().list(rbd_ioctx) == []
    status = rbd.RBD().migration_status(second_ioctx, "dest")
    assert list(status) == KEYS
    assert status == {
        "source_pool_id": rbd_ioctx.get_pool_id(),
        "source_pool_namespace": rbd_ioctx.get_namespace(),
        "source_image_name": source,
        "source_image_id": number,
        "dest_pool_id": second_ioctx.get_pool_id(),
        "dest_pool_namespace": "",
        "dest_image_name": "dest",
        "dest_image_id": image_id(second_ioctx, "dest"),
        "state": rbd.RBD_IMAGE_MIGRATION_STATE_PREPARED,
        "state_description": "",
    }
    # The image is in use during the migration.
    with rbd.Image(second_ioctx, "dest") as image:
        assert image.read(0, 3) == b"two"
        image.write(b"new", MIB)
        progress: List[Tuple[int, int]] = []
        rbd.RBD().migration_execute(second_ioctx, "dest", lambda *now: progress.append(now))
        assert progress
        assert all(0 <= done <= total for done, total in progress)
        status = rbd.RBD().migration_status(ioctx=second_ioctx, image_name="dest")
        assert status["state"] == rbd.RBD_IMAGE_MIGRATION_STATE_EXECUTED
    rbd.RBD().migration_commit(ioctx=second_ioctx, image_name="dest", on_progress=None)
    with pytest.raises(rbd.InvalidArgument):
        rbd.RBD().migration_status(second_ioctx, "dest")
    assert trashed(rbd_ioctx) == []
    with rbd.Image(second_ioctx, "dest") as image:
        assert image.read(0, 3) == b"two"
        assert image.read(MIB, 4) == b"newa"
        image.set_snap("a")
        assert image.read(0, 3) == b"one"


def test_the_source_is_in_the_trash_during_a_migration(
    source: str, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    number = image_id(rbd_ioctx, source)
    rbd.RBD().migration_prepare(rbd_ioctx, source, rbd_ioctx, "dest")
    try:
        (entry,) = rbd.RBD().trash_list(rbd_ioctx)
        assert (entry["id"], entry["name"], entry["source"]) == (number, source, "MIGRATION")
    finally:
        rbd.RBD().migration_abort(rbd_ioctx, "dest")


def test_every_option_is_honoured(
    source: str, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    pool = second_ioctx.get_pool_name()
    layering = rbd.RBD_FEATURE_LAYERING
    rbd.RBD().migration_prepare(
        rbd_ioctx, source, rbd_ioctx, "one", layering, 21, 1 << 16, 2, pool, 2, False
    )
    rbd.RBD().migration_execute(rbd_ioctx, "one")
    rbd.RBD().migration_commit(rbd_ioctx, "one")
    with rbd.Image(rbd_ioctx, "one") as image:
        assert image.stat()["order"] == 21
        assert (image.stripe_unit(), image.stripe_count()) == (1 << 16, 2)
        assert image.data_pool_id() == second_ioctx.get_pool_id()
        assert image.read(0, 3) == b"two"
        assert image.features() == (
            layering | rbd.RBD_FEATURE_STRIPINGV2 | rbd.RBD_FEATURE_DATA_POOL
        )
    rbd.RBD().migration_prepare(
        ioctx=rbd_ioctx,
        image_name="one",
        dest_ioctx=second_ioctx,
        dest_image_name="two",
        features=layering,
        order=20,
        stripe_unit=0,
        stripe_count=0,
        data_pool=None,
        clone_format=None,
        flatten=False,
    )
    rbd.RBD().migration_execute(second_ioctx, "two")
    rbd.RBD().migration_commit(second_ioctx, "two")
    with rbd.Image(second_ioctx, "two") as image:
        assert image.stat()["order"] == 20
        assert image.read(0, 3) == b"two"


def test_a_migrated_clone_keeps_its_parent(
    source: str, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    rbd.RBD().clone(rbd_ioctx, source, "a", rbd_ioctx, "clone", clone_format=2)
    rbd.RBD().migration_prepare(rbd_ioctx, "clone", second_ioctx, "dest", clone_format=2)
    rbd.RBD().migration_execute(second_ioctx, "dest")
    rbd.RBD().migration_commit(second_ioctx, "dest")
    with rbd.Image(second_ioctx, "dest") as image:
        assert image.read(0, 3) == b"one"
        assert image.parent_info()[1:] == (source, "a")
    rbd.RBD().remove(second_ioctx, "dest")


def test_a_clone_may_be_flattened_by_a_migration(rbd_cluster: Cluster) -> None:
    # In a separate pool: some librbd still count the child, and the parent cannot be removed.
    pool = f"migration-{secrets.token_hex(4)}"
    with rbd_cluster.connect() as cluster:
        cluster.create_pool(pool)
        with cluster.open_ioctx(pool) as ioctx:
            rbd.RBD().pool_init(ioctx, True)
            rbd.RBD().create(ioctx, "source", 8 * MIB, order=20)
            with rbd.Image(ioctx, "source") as image:
                image.write(b"one", 0)
                image.create_snap("a")
            rbd.RBD().clone(ioctx, "source", "a", ioctx, "clone", clone_format=2)
            flatten = rbd.supports("rbd_migration_prepare_import")
            if not flatten:
                # Ceph 14 would lose the data of the parent.
                with pytest.raises(rbd.FunctionNotSupported):
                    rbd.RBD().migration_prepare(ioctx, "clone", ioctx, "dest", flatten=True)
            rbd.RBD().migration_prepare(
                ioctx, "clone", ioctx, "dest", clone_format=2, flatten=flatten
            )
            rbd.RBD().migration_execute(ioctx, "dest")
            rbd.RBD().migration_commit(ioctx, "dest")
            with rbd.Image(ioctx, "dest") as image:
                assert image.read(0, 3) == b"one"
                if flatten:
                    with pytest.raises(rbd.ImageNotFound):
                        image.parent_info()
                else:
                    assert image.parent_info() == (pool, "source", "a")
        cluster.delete_pool(pool)


def test_an_aborted_migration_restores_the_source(
    source: str, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    rbd.RBD().migration_prepare(rbd_ioctx, source, second_ioctx, "dest")
    rbd.RBD().migration_execute(second_ioctx, "dest")
    progress: List[Tuple[int, int]] = []
    rbd.RBD().migration_abort(second_ioctx, "dest", lambda *now: progress.append(now))
    assert progress
    assert rbd.RBD().list(second_ioctx) == []
    with rbd.Image(rbd_ioctx, source) as image:
        assert image.read(0, 3) == b"two"


@pytest.mark.needs("rbd_get_migration_source_spec")
def test_the_source_spec_names_the_source(source: str, rbd_ioctx: rbd.rados.Ioctx) -> None:
    number = image_id(rbd_ioctx, source)
    rbd.RBD().migration_prepare(rbd_ioctx, source, rbd_ioctx, "dest")
    try:
        with rbd.Image(rbd_ioctx, "dest") as image:
            spec = image.migration_source_spec()
        assert isinstance(spec, dict)
        assert spec["type"] == "native"
        assert spec["image_name"] == source
        assert spec["image_id"] == number
        assert spec["pool_id"] == rbd_ioctx.get_pool_id()
    finally:
        rbd.RBD().migration_abort(rbd_ioctx, "dest")
    with rbd.Image(rbd_ioctx, source) as image:
        with pytest.raises(rbd.InvalidArgument) as error:
            image.migration_source_spec()
        assert error.value.errno == 22
    with pytest.raises(rbd.InvalidArgument, match="closed"):
        image.migration_source_spec()


@pytest.mark.needs("rbd_migration_prepare_import")
def test_an_image_is_imported_from_a_file(
    rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx, tmp_path: Path
) -> None:
    content = bytes(range(256)) * (4 * MIB // 256)
    file = tmp_path / "disk.raw"
    file.write_bytes(content)
    spec = {"type": "raw", "stream": {"type": "file", "file_path": str(file)}}
    rbd.RBD().migration_prepare_import(json.dumps(spec), rbd_ioctx, "imported")
    status = rbd.RBD().migration_status(rbd_ioctx, "imported")
    assert (status["source_pool_id"], status["source_image_name"]) == (-1, "")
    assert status["dest_image_name"] == "imported"
    assert status["state"] == rbd.RBD_IMAGE_MIGRATION_STATE_PREPARED
    with rbd.Image(rbd_ioctx, "imported", read_only=True) as image:
        assert image.migration_source_spec() == spec
        assert image.read(0, 512) == content[:512]
    rbd.RBD().migration_execute(rbd_ioctx, "imported")
    rbd.RBD().migration_commit(rbd_ioctx, "imported")
    with rbd.Image(rbd_ioctx, "imported") as image:
        assert image.read(0, len(content)) == content
    rbd.RBD().migration_prepare_import(
        source_spec=json.dumps(spec),
        dest_ioctx=rbd_ioctx,
        dest_image_name="again",
        features=rbd.RBD_FEATURE_LAYERING,
        order=21,
        stripe_unit=0,
        stripe_count=0,
        data_pool=second_ioctx.get_pool_name(),
    )
    with rbd.Image(rbd_ioctx, "again", read_only=True) as image:
        assert image.stat()["order"] == 21
        assert image.data_pool_id() == second_ioctx.get_pool_id()
    rbd.RBD().migration_abort(rbd_ioctx, "again")
    assert rbd.RBD().list(rbd_ioctx) == ["imported"]


@pytest.mark.needs("rbd_migration_prepare_import")
def test_invalid_imports_are_refused(rbd_ioctx: rbd.rados.Ioctx) -> None:
    prepare = rbd.RBD().migration_prepare_import
    with pytest.raises(rbd.InvalidArgument) as error:
        prepare("{}", rbd_ioctx, "imported")
    assert error.value.errno == 22
    for wrong in ("", "{"):
        with pytest.raises(rbd.OSError):
            prepare(wrong, rbd_ioctx, "imported")
    with pytest.raises(rbd.OSError) as secret:
        prepare('{"type": "nonsense", "secret_key": "hidden"}', rbd_ioctx, "imported")
    assert "hidden" not in str(secret.value)
    with pytest.raises(TypeError):
        prepare(None, rbd_ioctx, "imported")
    with pytest.raises(TypeError):
        prepare("{}", "pool", "imported")
    with pytest.raises(TypeError):
        prepare("{}", rbd_ioctx, None)
    assert rbd.RBD().list(rbd_ioctx) == []


# Differences of migrating images run in a separate process, which librbd can end


def qcow2(content: bytes) -> bytes:
    """Return a disk of that content in clusters of 64 KiB, without those of zeroes."""
    cluster = 1 << 16
    assert len(content) <= cluster // 8 * cluster
    table = [0] * (cluster // 8)
    data = []
    for number in range(len(content) // cluster):
        piece = content[number * cluster : (number + 1) * cluster]
        if any(piece):
            # The first table follows the header, and the second table follows it.
            table[number] = (3 + len(data)) * cluster | 1 << 63
            data.append(piece)
    header = struct.pack(
        ">4sIQIIQIIQQIIQQQQII",
        *(b"QFI\xfb", 3, 0, 0, 16, len(content), 0, 1, cluster, 0, 0, 0, 0, 0, 0, 0, 4, 104),
    )
    first = struct.pack(">Q", 2 * cluster | 1 << 63)
    second = struct.pack(f">{len(table)}Q", *table)
    parts = [header, first, second, *data]
    return b"".join(part.ljust(cluster, b"\0") for part in parts)


def covering(extents: Any, content: bytes, before: bytes = b"") -> None:
    """Check that the extents turn one content into the other."""
    found = bytearray(before.ljust(len(content), b"\0"))
    for offset, length, exists in extents:
        assert length > 0
        assert offset + length <= len(content)
        found[offset : offset + length] = (
            content[offset : offset + length] if exists else bytes(length)
        )
    assert found == content


def iterated(image: rbd.Image, since: Any, whole_object: bool) -> List[Any]:
    called: List[Any] = []
    image.diff_iterate(
        0, image.size(), since, lambda *extent: called.append(extent), whole_object=whole_object
    )
    return called


def in_every_way(image: rbd.Image, since: Any = None, before: bytes = b"") -> None:
    """Check that differences and exports of the image agree with its content."""
    size = image.size()
    content = image.read(0, size)
    pieces: List[bytes] = []
    image.read_iterate(0, size, lambda _, length, data: pieces.append(data or bytes(length)))
    assert b"".join(pieces) == content
    for whole_object in (False, True):
        covering(image.diff(from_snapshot=since, whole_object=whole_object), content, before)
        merged = image.diff(from_snapshot=since, whole_object=whole_object, merge=True)
        covering(merged, content, before)
        called = iterated(image, since, whole_object)
        covering(called, content, before)
        part = image.diff(5 * MIB - 100, 2 * MIB, since, whole_object=whole_object)
        assert all(7 * MIB - 100 > offset >= 4 * MIB for offset, _, _ in part)
        assert not image.diff(size, 0, since, whole_object=whole_object)
        with pytest.raises(rbd.InvalidArgument):
            image.diff(size + 1, from_snapshot=since, whole_object=whole_object)
        with pytest.raises(rbd.ImageNotFound):
            image.diff(from_snapshot="missing", whole_object=whole_object)
        stream = io.BytesIO()
        transfer.export_diff(image, stream, since, whole_object=whole_object)
        _, records = parse_diff(stream.getvalue())
        covering(
            [(at, len(data), True) for kind, at, data in records if kind == "w"]
            + [(at, length, False) for kind, at, length in records if kind == "z"],
            content,
            before,
        )
    stream = io.BytesIO()
    transfer.export_image(image, stream)
    assert stream.getvalue() == content


def import_in_use(conffile: str, pool: str, namespace: str, spec: str, path: str) -> None:
    """Return what an image that is prepared for an import returns, and a clone of it."""
    content = Path(path).read_bytes()
    with rbd.connect(conffile) as cluster, cluster.open_ioctx(pool) as ioctx:
        ioctx.set_namespace(namespace)
        rbd.RBD().migration_prepare_import(spec, ioctx, "imported", order=20)
        with rbd.Image(ioctx, "imported") as image:
            assert image.read(0, image.size()) == content
            in_every_way(image)
            image.create_snap("s")
            image.write(b"new" * 1000, 6 * MIB)
            image.discard(MIB, MIB)
            in_every_way(image, "s", content)
            image.set_snap("s")
            in_every_way(image)
            image.copy(ioctx, "copy")
            with rbd.Image(ioctx, "copy") as copy:
                assert copy.read(0, copy.size()) == content
            image.set_snap(None)
            image.protect_snap("s")
        rbd.RBD().clone(ioctx, "imported", "s", ioctx, "clone", order=20)
        with rbd.Image(ioctx, "clone") as clone:
            in_every_way(clone)
            clone.create_snap("t")
            clone.write(b"cloned", 2 * MIB)
            in_every_way(clone, "t", content)
            clone.protect_snap("t")
        rbd.RBD().clone(ioctx, "clone", "t", ioctx, "clone of the clone", order=20)
        with rbd.Image(ioctx, "clone of the clone") as clone:
            in_every_way(clone)
        rbd.RBD().remove(ioctx, "clone of the clone")
        with rbd.Image(ioctx, "clone") as clone:
            clone.unprotect_snap("t")
            clone.remove_snap("t")
            clone.flatten()
            in_every_way(clone)
        rbd.RBD().remove(ioctx, "clone")
        with rbd.Image(ioctx, "imported") as image:
            image.unprotect_snap("s")
        rbd.RBD().migration_execute(ioctx, "imported")
        with rbd.Image(ioctx, "imported") as image:
            in_every_way(image, "s", content)
        rbd.RBD().migration_commit(ioctx, "imported")
        with rbd.Image(ioctx, "imported") as image:
            in_every_way(image, "s", content)
            assert len(image.diff(from_snapshot="s")) < 8


class Ranges(http.server.BaseHTTPRequestHandler):
    """Serves ranges of one file. librbd asks for the size of a raw file with HEAD."""

    protocol_version = "HTTP/1.1"
    # The data of an answer does not wait until librbd has acknowledged the head.
    disable_nagle_algorithm = True
    #: The file, and the methods of the requests that were answered.
    content: bytes
    answered: List[str]

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.answered.append("HEAD")

    def do_GET(self) -> None:
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", self.headers["Range"] or "")
        if found is None:
            self.send_error(416)
            return
        first, last = int(found[1]), min(int(found[2]), len(self.content) - 1)
        part = self.content[first : last + 1]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {first}-{last}/{len(self.content)}")
        self.send_header("Content-Length", str(len(part)))
        self.end_headers()
        self.wfile.write(part)
        self.answered.append("GET")

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@contextlib.contextmanager
def served(content: bytes) -> Iterator[str]:
    """Serve the content to librbd, which must use it. Provide its URL."""
    answered: List[str] = []
    handler = type("Handler", (Ranges,), {"content": content, "answered": answered})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/disk"
        finally:
            server.shutdown()
            thread.join()
    assert set(answered) == {"HEAD", "GET"}


@pytest.mark.needs("rbd_migration_prepare_import")
@pytest.mark.parametrize(("format", "stream"), [("raw", "file"), ("qcow", "file"), ("raw", "http")])
@pytest.mark.timeout(300)
def test_differences_of_an_import_equal_its_content(
    rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx, tmp_path: Path, format: str, stream: str
) -> None:
    content = bytearray(8 * MIB)
    content[MIB : MIB + 5000] = b"x" * 5000
    content[5 * MIB + 4096 : 6 * MIB + 5] = b"y" * (MIB - 4096 + 5)
    content[-10:] = b"z" * 10
    plain, file = tmp_path / "plain", tmp_path / "disk"
    plain.write_bytes(content)
    file.write_bytes(qcow2(content) if format == "qcow" else content)
    with contextlib.ExitStack() as stack:
        spec: Dict[str, Any] = {"type": format, "stream": {"type": stream}}
        if stream == "http":
            spec["stream"]["url"] = stack.enter_context(served(file.read_bytes()))
        else:
            spec["stream"]["file_path"] = str(file)
        isolated.run(
            import_in_use,
            str(rbd_cluster.conffile),
            rbd_ioctx.get_pool_name(),
            rbd_ioctx.get_namespace(),
            json.dumps(spec),
            str(plain),
            timeout=200,
        )


def test_differences_of_a_migrating_image_equal_its_content(
    source: str, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    with rbd.Image(rbd_ioctx, source) as image:
        image.write(b"later", 5 * MIB)
        image.set_snap("a")
        before = image.read(0, 8 * MIB)
    rbd.RBD().migration_prepare(rbd_ioctx, source, rbd_ioctx, "dest")
    try:
        for _ in range(2):
            with rbd.Image(rbd_ioctx, "dest") as image:
                in_every_way(image)
                in_every_way(image, "a", before)
                # The source is not a parent.
                content = image.read(0, 8 * MIB)
                covering(image.diff(include_parent=False), content)
                image.write(b"moved", 3 * MIB)
                image.set_snap("a")
                in_every_way(image)
            if rbd.RBD().migration_status(rbd_ioctx, "dest")["state"] == (
                rbd.RBD_IMAGE_MIGRATION_STATE_PREPARED
            ):
                rbd.RBD().migration_execute(rbd_ioctx, "dest")
    finally:
        rbd.RBD().migration_abort(rbd_ioctx, "dest")


def test_a_migrating_image_cannot_shrink_before_execution(
    source: str, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    """Otherwise librbd would show the source's data again where a growing image has zeroes."""
    rbd.RBD().migration_prepare(rbd_ioctx, source, rbd_ioctx, "dest")
    with rbd.Image(rbd_ioctx, "dest") as image:
        content = image.read(0, 8 * MIB)
        for size in (0, 3 * MIB + 1, 8 * MIB - 1):
            with pytest.raises(rbd.OperationNotSupported, match="Execute and commit") as error:
                image.resize(size)
            assert error.value.errno == 95
        # Data that the source never had is not in the way.
        image.resize(12 * MIB)
        image.write(b"grown", 11 * MIB)
        image.resize(9 * MIB)
        image.resize(12 * MIB)
        assert image.read(0, 12 * MIB) == content + bytes(4 * MIB)
        with image.open_file("r+b", growing=True) as file:
            file.seek(0, 2)
            file.write(b"more")
        assert image.size() == 12 * MIB + 4
    rbd.RBD().migration_execute(rbd_ioctx, "dest")
    with rbd.Image(rbd_ioctx, "dest") as image:
        image.resize(3 * MIB)
        image.resize(8 * MIB)
        assert image.read(0, 8 * MIB) == content[: 3 * MIB] + bytes(5 * MIB)
    rbd.RBD().migration_commit(rbd_ioctx, "dest")
    with rbd.Image(rbd_ioctx, "dest") as image:
        assert image.read(0, 8 * MIB) == content[: 3 * MIB] + bytes(5 * MIB)


def test_a_migrating_image_cannot_roll_back_before_execution(
    source: str, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    """librbd keeps what the source received after the snapshot, without an error."""
    with rbd.Image(rbd_ioctx, source) as image:
        image.write(b"later", 5 * MIB)
        image.set_snap("a")
        before = image.read(0, 8 * MIB)
    rbd.RBD().migration_prepare(rbd_ioctx, source, rbd_ioctx, "dest")
    with rbd.Image(rbd_ioctx, "dest") as image:
        content = image.read(0, 8 * MIB)
        with pytest.raises(rbd.OperationNotSupported, match="Execute and commit") as error:
            image.rollback_to_snap("a")
        assert error.value.errno == 95
        assert image.read(0, 8 * MIB) == content
    rbd.RBD().migration_execute(rbd_ioctx, "dest")
    with rbd.Image(rbd_ioctx, "dest") as image:
        image.rollback_to_snap("a")
        assert image.read(0, 8 * MIB) == before
    rbd.RBD().migration_commit(rbd_ioctx, "dest")
    with rbd.Image(rbd_ioctx, "dest") as image:
        image.rollback_to_snap("a")
        assert image.read(0, 8 * MIB) == before


@pytest.mark.needs("rbd_migration_prepare_import")
@pytest.mark.parametrize("with_snapshot", [False, True])
def test_an_import_rolls_back_only_to_its_own_snapshots(
    rbd_ioctx: rbd.rados.Ioctx, tmp_path: Path, with_snapshot: bool
) -> None:
    def stream(name: str, content: bytes) -> Dict[str, Any]:
        path = tmp_path / name
        path.write_bytes(content.ljust(4 * MIB, b"\0"))
        return {"type": "file", "file_path": str(path)}

    spec: Dict[str, Any] = {"type": "raw", "stream": stream("head", b"new" * MIB)}
    if with_snapshot:
        older = {"type": "raw", "name": "old", "stream": stream("old", b"old" * MIB)}
        spec["snapshots"] = [older]
    rbd.RBD().migration_prepare_import(json.dumps(spec), rbd_ioctx, "imported")
    with rbd.Image(rbd_ioctx, "imported") as image:
        content = image.read(0, 4 * MIB)
        image.create_snap("own")
        image.write(b"x" * 5000, 1000)
        if with_snapshot:
            changed = image.read(0, 4 * MIB)
            for name in ("old", "own"):
                with pytest.raises(rbd.OperationNotSupported, match="Execute and commit"):
                    image.rollback_to_snap(name)
            assert image.read(0, 4 * MIB) == changed
        else:
            image.rollback_to_snap("own")
            assert image.read(0, 4 * MIB) == content
    rbd.RBD().migration_execute(rbd_ioctx, "imported")
    rbd.RBD().migration_commit(rbd_ioctx, "imported")
    with rbd.Image(rbd_ioctx, "imported") as image:
        image.rollback_to_snap("own")
        assert image.read(0, 4 * MIB) == content
        if with_snapshot:
            image.rollback_to_snap("old")
            assert image.read(0, 6) == b"oldold"


def test_an_exception_of_a_callback_is_raised(source: str, rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().migration_prepare(rbd_ioctx, source, rbd_ioctx, "dest")

    def fail(done: int, total: int) -> int:
        raise LookupError("told so")

    try:
        with pytest.raises(LookupError, match="told so"):
            rbd.RBD().migration_execute(rbd_ioctx, "dest", on_progress=fail)
        with pytest.raises(TypeError):
            rbd.RBD().migration_execute(rbd_ioctx, "dest", "callback")
    finally:
        rbd.RBD().migration_abort(rbd_ioctx, "dest")


# Errors

STEPS = ["migration_execute", "migration_commit", "migration_abort", "migration_status"]


@pytest.mark.parametrize("name", STEPS)
def test_an_image_that_does_not_migrate_is_refused(
    source: str, rbd_ioctx: rbd.rados.Ioctx, name: str
) -> None:
    call = getattr(rbd.RBD(), name)
    with pytest.raises(rbd.InvalidArgument) as error:
        call(rbd_ioctx, source)
    assert error.value.errno == 22
    with pytest.raises(rbd.ImageNotFound, match="'missing'"):
        call(rbd_ioctx, "missing")
    for wrong in (None, 5):
        with pytest.raises(TypeError):
            call(rbd_ioctx, wrong)
        with pytest.raises(TypeError):
            call(wrong, source)
    rbd_ioctx.close()
    with pytest.raises(rbd.rados.Error):
        call(rbd_ioctx, source)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"image_name": "missing"}, rbd.ImageNotFound),
        ({"dest_image_name": "exists"}, rbd.ImageExists),
        ({"order": 99}, rbd.ArgumentOutOfRange),
        ({"clone_format": 3}, rbd.InvalidArgument),
        ({"image_name": None}, TypeError),
        ({"dest_image_name": 5}, TypeError),
        ({"ioctx": None}, TypeError),
        ({"dest_ioctx": "pool"}, TypeError),
        ({"features": -1}, OverflowError),
        ({"dest_image_name": "a\0b"}, ValueError),
    ],
)
def test_invalid_preparations_are_refused(
    source: str, rbd_ioctx: rbd.rados.Ioctx, changed: Dict[str, Any], error: type
) -> None:
    rbd.RBD().create(rbd_ioctx, "exists", MIB)
    arguments: Dict[str, Any] = {
        "ioctx": rbd_ioctx,
        "image_name": source,
        "dest_ioctx": rbd_ioctx,
        "dest_image_name": "dest",
    }
    with pytest.raises(error):
        rbd.RBD().migration_prepare(**{**arguments, **changed})
    assert sorted(rbd.RBD().list(rbd_ioctx)) == ["exists", source]


def test_an_image_in_use_cannot_be_prepared(source: str, rbd_ioctx: rbd.rados.Ioctx) -> None:
    with rbd.Image(rbd_ioctx, source), pytest.raises(rbd.ImageBusy):
        rbd.RBD().migration_prepare(rbd_ioctx, source, rbd_ioctx, "dest")


def test_a_closed_ioctx_is_refused(
    source: str, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    second_ioctx.close()
    prepare: Callable[..., None] = rbd.RBD().migration_prepare
    for ends in ((rbd_ioctx, second_ioctx), (second_ioctx, rbd_ioctx)):
        with pytest.raises(rbd.rados.Error):
            prepare(ends[0], source, ends[1], "dest")
