"""The namespaces of a pool."""

from __future__ import annotations

from typing import Iterator

import pytest

import rbd
import rbd.rados


@pytest.fixture
def pool(second_ioctx: rbd.rados.Ioctx) -> Iterator[rbd.rados.Ioctx]:
    """Provide the second pool, and remove its namespaces afterwards."""
    yield second_ioctx
    if second_ioctx.state == "open":
        second_ioctx.set_namespace("")
        for name in rbd.RBD().namespace_list(second_ioctx):
            rbd.RBD().namespace_remove(second_ioctx, name)


def test_namespaces_are_created_listed_and_removed(pool: rbd.rados.Ioctx) -> None:
    assert rbd.RBD().namespace_list(pool) == []
    assert rbd.RBD().namespace_create(pool, "one") is None
    rbd.RBD().namespace_create(ioctx=pool, name="zwölf")
    assert rbd.RBD().namespace_list(ioctx=pool) == ["one", "zwölf"]
    assert rbd.RBD().namespace_exists(pool, "one") is True
    assert rbd.RBD().namespace_exists(ioctx=pool, name="two") is False
    assert rbd.RBD().namespace_remove(pool, "one") is None
    rbd.RBD().namespace_remove(ioctx=pool, name="zwölf")
    assert rbd.RBD().namespace_list(pool) == []


def test_many_namespaces_are_all_listed(pool: rbd.rados.Ioctx) -> None:
    names = [f"{i:03}-" + "n" * 60 for i in range(40)]
    for name in names:
        rbd.RBD().namespace_create(pool, name)
    assert rbd.RBD().namespace_list(pool) == names


def test_namespaces_separate_images(pool: rbd.rados.Ioctx) -> None:
    rbd.RBD().namespace_create(pool, "one")
    rbd.RBD().create(pool, "image", 1 << 20)
    pool.set_namespace("one")
    assert rbd.RBD().list(pool) == []
    rbd.RBD().create(pool, "image", 2 << 20)
    with rbd.Image(pool, "image") as image:
        assert image.size() == 2 << 20
    pool.set_namespace("")
    with rbd.Image(pool, "image") as image:
        assert image.size() == 1 << 20
    with pytest.raises(rbd.ImageBusy) as busy:
        rbd.RBD().namespace_remove(pool, "one")
    assert busy.value.errno == 16
    pool.set_namespace("one")
    rbd.RBD().remove(pool, "image")


def test_existing_and_missing_namespaces_are_errors(pool: rbd.rados.Ioctx) -> None:
    rbd.RBD().namespace_create(pool, "one")
    with pytest.raises(rbd.ImageExists, match="'one'") as exists:
        rbd.RBD().namespace_create(pool, "one")
    assert exists.value.errno == 17
    with pytest.raises(rbd.ImageNotFound, match="'two'") as missing:
        rbd.RBD().namespace_remove(pool, "two")
    assert missing.value.errno == 2
    for call in (rbd.RBD().namespace_create, rbd.RBD().namespace_remove):
        with pytest.raises(rbd.InvalidArgument):
            call(pool, "")


def test_bad_arguments_are_refused(pool: rbd.rados.Ioctx) -> None:
    calls = [rbd.RBD().namespace_create, rbd.RBD().namespace_remove, rbd.RBD().namespace_exists]
    for call in calls:
        for wrong in (None, 5, ["one"]):
            with pytest.raises(TypeError):
                call(pool, wrong)
            with pytest.raises(TypeError):
                call(wrong, "one")
        with pytest.raises(ValueError, match="NUL"):
            call(pool, "a\0b")
    with pytest.raises(TypeError):
        rbd.RBD().namespace_list(None)
    pool.close()
    for call in calls:
        with pytest.raises(rbd.rados.Error):
            call(pool, "one")
    with pytest.raises(rbd.rados.Error):
        rbd.RBD().namespace_list(pool)
