"""librbd's options, as an image and a pool override them."""

from __future__ import annotations

from typing import Any, Dict, Iterator

import pytest

import rbd
import rbd.rados

OPTION = "rbd_cache_max_dirty_object"


@pytest.fixture
def pool(second_ioctx: rbd.rados.Ioctx) -> Iterator[rbd.rados.Ioctx]:
    """Provide the second pool, and remove its overrides afterwards."""
    yield second_ioctx
    if second_ioctx.state == "open":
        for option in rbd.RBD().config_list(second_ioctx):
            if option["source"] == rbd.RBD_CONFIG_SOURCE_POOL:
                rbd.RBD().config_remove(second_ioctx, option["name"])


def by_name(options: Any) -> Dict[str, Dict[str, Any]]:
    return {option["name"]: option for option in options}


def test_an_image_overrides_an_option(rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image) -> None:
    place = f"in pool {rbd_ioctx.get_pool_name()!r}"
    with pytest.raises(KeyError) as missing:
        rbd_image.config_get(OPTION)
    assert missing.value.args == (f"no config {OPTION} for image {rbd_image.name!r} {place}",)
    assert rbd_image.config_set(OPTION, "3") is None
    assert rbd_image.config_get(OPTION) == rbd_image.config_get(key=OPTION) == "3"
    found = by_name(rbd_image.config_list())[OPTION]
    assert found == {"name": OPTION, "value": "3", "source": rbd.RBD_CONFIG_SOURCE_IMAGE}
    assert rbd_image.metadata_get("conf_" + OPTION) == "3"
    rbd_image.config_set(key=OPTION, value="4")
    assert rbd_image.config_remove(OPTION) is None
    for call in (rbd_image.config_get, rbd_image.config_remove):
        with pytest.raises(KeyError):
            call(key=OPTION)


def test_a_pool_overrides_an_option(pool: rbd.rados.Ioctx) -> None:
    name = pool.get_pool_name()
    with pytest.raises(KeyError) as missing:
        rbd.RBD().config_get(pool, OPTION)
    assert missing.value.args == (f"no config {OPTION} for pool {name}",)
    assert rbd.RBD().config_set(pool, OPTION, "5") is None
    assert rbd.RBD().config_get(ioctx=pool, key=OPTION) == "5"
    found = by_name(rbd.RBD().config_list(pool))[OPTION]
    assert found == {"name": OPTION, "value": "5", "source": rbd.RBD_CONFIG_SOURCE_POOL}
    rbd.RBD().create(pool, "image", 1 << 20)
    with rbd.Image(pool, "image") as image:
        assert by_name(image.config_list())[OPTION] == found
        image.config_set(OPTION, "6")
        assert by_name(image.config_list())[OPTION]["value"] == "6"
    rbd.RBD().config_set(ioctx=pool, key=OPTION, value="7")
    rbd.RBD().config_remove(ioctx=pool, key=OPTION)
    with pytest.raises(KeyError):
        rbd.RBD().config_remove(pool, OPTION)
    assert by_name(rbd.RBD().config_list(pool))[OPTION]["source"] == rbd.RBD_CONFIG_SOURCE_CONFIG


def test_lists_hold_every_option(rbd_image: rbd.Image, pool: rbd.rados.Ioctx) -> None:
    lists = [
        (rbd_image.config_list(), rbd.ConfigImageIterator(image=rbd_image)),
        (rbd.RBD().config_list(ioctx=pool), rbd.ConfigPoolIterator(ioctx=pool)),
    ]
    for listed, made in lists:
        assert type(listed) is type(made)
        options = list(listed)
        assert options == list(listed) == list(made)
        assert len(listed) == len(options) > 50
        assert list(options[0]) == ["name", "value", "source"]
        assert all(option["name"].startswith("rbd_") for option in options)
        assert {option["source"] for option in options} == {rbd.RBD_CONFIG_SOURCE_CONFIG}
        assert by_name(options)["rbd_cache"]["value"] in ("true", "false")


def test_unknown_options_and_values_are_refused(
    rbd_image: rbd.Image, pool: rbd.rados.Ioctx
) -> None:
    for key, value in (("nonsense", "1"), (OPTION, "many")):
        with pytest.raises(rbd.InvalidArgument, match=f"option '{key}' of image") as of_image:
            rbd_image.config_set(key, value)
        with pytest.raises(rbd.InvalidArgument, match=f"option '{key}' in pool") as of_pool:
            rbd.RBD().config_set(pool, key, value)
        assert of_image.value.errno == of_pool.value.errno == 22
    with pytest.raises(KeyError):
        rbd_image.config_get("nonsense")
    with pytest.raises(KeyError):
        rbd.RBD().config_get(pool, "nonsense")


def test_wrong_types_are_refused(rbd_image: rbd.Image, pool: rbd.rados.Ioctx) -> None:
    for wrong in (None, 5, ["rbd_cache"]):
        for call in (rbd_image.config_get, rbd_image.config_remove):
            with pytest.raises(TypeError):
                call(wrong)
        for method in (rbd.RBD().config_get, rbd.RBD().config_remove):
            with pytest.raises(TypeError):
                method(pool, wrong)
            with pytest.raises(TypeError):
                method(wrong, OPTION)
        with pytest.raises(TypeError):
            rbd_image.config_set(OPTION, wrong)
        with pytest.raises(TypeError):
            rbd.RBD().config_set(pool, OPTION, wrong)
        with pytest.raises(TypeError):
            rbd.ConfigImageIterator(wrong)
        with pytest.raises(TypeError):
            rbd.ConfigPoolIterator(wrong)


def test_closed_handles_are_refused(rbd_image: rbd.Image, pool: rbd.rados.Ioctx) -> None:
    of_image, of_pool = rbd_image.config_list(), rbd.RBD().config_list(pool)
    rbd_image.close()
    pool.close()
    assert len(list(of_image)) == len(of_image)
    assert len(list(of_pool)) == len(of_pool)
    for name, rest in (
        ("config_list", ()),
        ("config_get", (OPTION,)),
        ("config_set", (OPTION, "1")),
        ("config_remove", (OPTION,)),
    ):
        with pytest.raises(rbd.InvalidArgument, match="closed"):
            getattr(rbd_image, name)(*rest)
        with pytest.raises(rbd.rados.Error):
            getattr(rbd.RBD(), name)(pool, *rest)
