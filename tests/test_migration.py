"""Moving an image while it is in use: prepare, execute, then commit or abort."""

from __future__ import annotations

import json
import secrets
from pathlib import Path
from typing import Any, Callable, Dict, List, Tuple

import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster

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
    """The name of an image of 8 MiB, with 'one' at 0 in snapshot 'a' and 'two' in its head."""
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


def test_all_of_it(source: str, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx) -> None:
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
    # The image is in use meanwhile.
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


def test_the_source_is_in_the_trash_meanwhile(source: str, rbd_ioctx: rbd.rados.Ioctx) -> None:
    number = image_id(rbd_ioctx, source)
    rbd.RBD().migration_prepare(rbd_ioctx, source, rbd_ioctx, "dest")
    try:
        (entry,) = rbd.RBD().trash_list(rbd_ioctx)
        assert (entry["id"], entry["name"], entry["source"]) == (number, source, "MIGRATION")
    finally:
        rbd.RBD().migration_abort(rbd_ioctx, "dest")


def test_every_option(
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


def test_a_clone(source: str, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().clone(rbd_ioctx, source, "a", rbd_ioctx, "clone", clone_format=2)
    rbd.RBD().migration_prepare(rbd_ioctx, "clone", second_ioctx, "dest", clone_format=2)
    rbd.RBD().migration_execute(second_ioctx, "dest")
    rbd.RBD().migration_commit(second_ioctx, "dest")
    with rbd.Image(second_ioctx, "dest") as image:
        assert image.read(0, 3) == b"one"
        assert image.parent_info()[1:] == (source, "a")
    rbd.RBD().remove(second_ioctx, "dest")


def test_a_clone_flattened(rbd_cluster: Cluster) -> None:
    # In a pool of its own: some librbd go on counting the child, and the parent cannot go.
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


def test_abort(source: str, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().migration_prepare(rbd_ioctx, source, second_ioctx, "dest")
    rbd.RBD().migration_execute(second_ioctx, "dest")
    progress: List[Tuple[int, int]] = []
    rbd.RBD().migration_abort(second_ioctx, "dest", lambda *now: progress.append(now))
    assert progress
    assert rbd.RBD().list(second_ioctx) == []
    with rbd.Image(rbd_ioctx, source) as image:
        assert image.read(0, 3) == b"two"


@pytest.mark.needs("rbd_get_migration_source_spec")
def test_source_spec(source: str, rbd_ioctx: rbd.rados.Ioctx) -> None:
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
def test_import(rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx, tmp_path: Path) -> None:
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
def test_import_errors(rbd_ioctx: rbd.rados.Ioctx) -> None:
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


def test_a_callback_that_raises(source: str, rbd_ioctx: rbd.rados.Ioctx) -> None:
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
def test_not_in_migration(source: str, rbd_ioctx: rbd.rados.Ioctx, name: str) -> None:
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
def test_prepare_errors(
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


def test_an_image_in_use(source: str, rbd_ioctx: rbd.rados.Ioctx) -> None:
    with rbd.Image(rbd_ioctx, source), pytest.raises(rbd.ImageBusy):
        rbd.RBD().migration_prepare(rbd_ioctx, source, rbd_ioctx, "dest")


def test_closed_ioctx(
    source: str, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    second_ioctx.close()
    prepare: Callable[..., None] = rbd.RBD().migration_prepare
    for ends in ((rbd_ioctx, second_ioctx), (second_ioctx, rbd_ioctx)):
        with pytest.raises(rbd.rados.Error):
            prepare(ends[0], source, ends[1], "dest")
