"""Keys and values of an image and of a pool."""

from __future__ import annotations

from typing import Any, Callable, Iterator, List, Tuple

import pytest

import rbd
import rbd.rados

MANY = [(f"key-{i:03}", "v" * i) for i in range(100)]


class ImageOwner:
    """Metadata of an image and of a pool, by the same names."""

    def __init__(self, image: rbd.Image) -> None:
        self.image = image
        self.get: Callable[..., Any] = image.metadata_get
        self.set: Callable[..., Any] = image.metadata_set
        self.remove: Callable[..., Any] = image.metadata_remove
        self.list: Callable[..., Any] = image.metadata_list
        self.iterator: Callable[..., Any] = lambda: rbd.MetadataIterator(image=image)
        self.type = rbd.MetadataIterator
        described = repr(image)[len("<rbd.Image ") : -1]
        self.missing = f"no metadata 'missing' for {described}"
        self.error: type = rbd.InvalidArgument

    def close(self) -> None:
        self.image.close()


class PoolOwner:
    def __init__(self, ioctx: rbd.rados.Ioctx) -> None:
        def bind(name: str) -> Callable[..., Any]:
            method = getattr(rbd.RBD(), name)
            return lambda *values, **keywords: (
                method(ioctx=ioctx, **keywords) if keywords else method(ioctx, *values)
            )

        self.ioctx = ioctx
        self.get = bind("pool_metadata_get")
        self.set = bind("pool_metadata_set")
        self.remove = bind("pool_metadata_remove")
        self.list = bind("pool_metadata_list")
        self.iterator: Callable[..., Any] = lambda: rbd.PoolMetadataIterator(ioctx=ioctx)
        self.type = rbd.PoolMetadataIterator
        self.missing = "no metadata 'missing'"
        self.error: type = rbd.rados.Error

    def close(self) -> None:
        self.ioctx.close()


@pytest.fixture(params=[ImageOwner, PoolOwner])
def owner(
    request: pytest.FixtureRequest, rbd_image: rbd.Image, second_ioctx: rbd.rados.Ioctx
) -> Iterator[Any]:
    yield request.param(rbd_image if request.param is ImageOwner else second_ioctx)
    if request.param is PoolOwner and second_ioctx.state == "open":
        for key, _ in rbd.RBD().pool_metadata_list(second_ioctx):
            rbd.RBD().pool_metadata_remove(second_ioctx, key)


def test_metadata_is_set_read_and_removed(owner: Any) -> None:
    assert list(owner.list()) == []
    assert owner.set("key", "value") is None
    owner.set(key="other", value="")
    assert owner.get("key") == owner.get(key="key") == "value"
    assert owner.get("other") == ""
    owner.set("key", b"bytes")
    assert owner.get("key") == "bytes"
    # The stock module loses an empty value, and uses the next one instead.
    assert list(owner.list()) == [("key", "bytes"), ("other", "")]
    assert owner.remove("key") is None
    owner.remove(key="other")
    assert list(owner.list()) == []


def test_keys_and_values_may_be_any_text(owner: Any) -> None:
    value = "ü\n\t" + "long" * 5000
    owner.set("schlüssel", value)
    assert owner.get("schlüssel") == value
    assert list(owner.list()) == [("schlüssel", value)]
    undecodable = b"\xff\xfe".decode("utf-8", "surrogateescape")
    owner.set("bytes", undecodable)
    assert owner.get("bytes") == undecodable


def test_a_missing_key_is_a_key_error(owner: Any) -> None:
    for call in (owner.get, owner.remove):
        with pytest.raises(KeyError) as error:
            call("missing")
        assert type(error.value) is KeyError
        assert error.value.args == (owner.missing,)


def test_more_pairs_than_one_call_lists_are_all_listed(owner: Any) -> None:
    for key, value in MANY:
        owner.set(key, value)
    listed = owner.list()
    assert isinstance(listed, owner.type)
    assert list(listed) == MANY
    assert list(listed) == MANY
    assert len(listed) == len(MANY)
    assert list(owner.iterator()) == MANY


def test_the_iterator_skips_chunks(owner: Any) -> None:
    for key, value in MANY:
        owner.set(key, value)
    listed = owner.iterator()
    assert listed.get_next_chunk() is None
    assert list(listed) == MANY[32:]
    listed.get_next_chunk()
    listed.get_next_chunk()
    assert list(listed) == MANY[96:]
    listed.get_next_chunk()
    listed.get_next_chunk()
    assert list(listed) == []


def test_wrong_arguments_are_refused(owner: Any) -> None:
    for wrong in (None, 5, ["key"]):
        for call in (owner.get, owner.remove, lambda key: owner.set(key, "value")):
            with pytest.raises(TypeError):
                call(wrong)
        with pytest.raises(TypeError):
            owner.set("key", wrong)
    with pytest.raises(ValueError, match="NUL"):
        owner.set("a\0b", "value")
    with pytest.raises(ValueError, match="NUL"):
        owner.set("key", "a\0b")
    assert list(owner.list()) == []


def test_a_closed_owner_is_refused(owner: Any) -> None:
    owner.set("key", "value")
    listed = owner.list()
    if isinstance(owner, PoolOwner):
        owner.remove("key")
    owner.close()
    assert list(listed) == [("key", "value")]
    calls: List[Tuple[Callable[..., Any], Tuple[str, ...]]] = [
        (owner.get, ("key",)),
        (owner.set, ("key", "value")),
        (owner.remove, ("key",)),
        (owner.list, ()),
        (owner.iterator, ()),
    ]
    for call, rest in calls:
        with pytest.raises(owner.error):
            call(*rest)


def test_a_wrong_owner_is_refused() -> None:
    for wrong in (None, "image", 5):
        with pytest.raises(TypeError):
            rbd.MetadataIterator(wrong)
        with pytest.raises(TypeError):
            rbd.PoolMetadataIterator(wrong)
        with pytest.raises(TypeError):
            rbd.RBD().pool_metadata_get(wrong, "key")


def test_a_read_only_image_refuses_changes(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    with rbd.Image(rbd_ioctx, rbd_image.name, read_only=True) as image:
        with pytest.raises(rbd.ReadOnlyImage):
            image.metadata_set("key", "value")
        with pytest.raises(KeyError):
            image.metadata_get("key")
