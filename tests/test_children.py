"""The clones of an image, over pools and namespaces."""

from __future__ import annotations

from typing import Any, Dict, List

import pytest

import rbd
import rbd.rados


@pytest.fixture
def family(
    rbd_ioctx: rbd.rados.Ioctx,
    second_ioctx: rbd.rados.Ioctx,
    namespace_ioctx: rbd.rados.Ioctx,
    rbd_image: rbd.Image,
) -> Dict[str, rbd.rados.Ioctx]:
    """Provide rbd_image with clones, and a clone of a clone, with the ioctx of each.

    a: near, far, spaced; b: late. near@c: grandchild, in the second pool.
    """
    places = {
        "near": rbd_ioctx,
        "far": second_ioctx,
        "spaced": namespace_ioctx,
        "late": rbd_ioctx,
        "grandchild": second_ioctx,
    }
    rbd_image.create_snap("a")
    rbd_image.create_snap("b")
    for name in ("near", "far", "spaced"):
        rbd.RBD().clone(rbd_ioctx, rbd_image.name, "a", places[name], name, clone_format=2)
    rbd.RBD().clone(rbd_ioctx, rbd_image.name, "b", rbd_ioctx, "late", clone_format=2)
    with rbd.Image(rbd_ioctx, "near") as near:
        near.create_snap("c")
    rbd.RBD().clone(rbd_ioctx, "near", "c", second_ioctx, "grandchild", clone_format=2)
    return places


def expected(places: Dict[str, rbd.rados.Ioctx], *names: str) -> List[Dict[str, Any]]:
    found = []
    for name in names:
        with rbd.Image(places[name], name, read_only=True) as image:
            found.append(
                {
                    "pool": places[name].get_pool_name(),
                    "pool_namespace": places[name].get_namespace(),
                    "image": name,
                    "id": image.id(),
                    "trash": False,
                }
            )
    return by_name(found)


def by_name(children: Any) -> List[Dict[str, Any]]:
    return sorted(children, key=lambda child: str(child["image"]))


def test_children_are_listed_over_pools_and_namespaces(
    rbd_image: rbd.Image, family: Dict[str, rbd.rados.Ioctx]
) -> None:
    children = rbd_image.list_children2()
    assert isinstance(children, rbd.ChildIterator)
    assert by_name(children) == expected(family, "near", "far", "spaced", "late")
    assert by_name(children) == by_name(rbd.ChildIterator(rbd_image))
    assert list(next(iter(children))) == ["pool", "pool_namespace", "image", "id", "trash"]
    assert sorted(rbd_image.list_children()) == sorted(
        (family[name].get_pool_name(), name) for name in ("near", "far", "spaced", "late")
    )


def test_children_are_those_of_the_snapshot_that_is_set(
    rbd_image: rbd.Image, family: Dict[str, rbd.rados.Ioctx]
) -> None:
    rbd_image.set_snap("b")
    assert rbd_image.list_children() == [(family["late"].get_pool_name(), "late")]
    assert by_name(rbd_image.list_children2()) == expected(family, "late")
    rbd_image.set_snap(None)
    assert len(rbd_image.list_children()) == 4


def test_descendants_include_clones_of_clones(
    rbd_image: rbd.Image, family: Dict[str, rbd.rados.Ioctx]
) -> None:
    everyone = expected(family, *family)
    assert by_name(rbd_image.list_descendants()) == everyone
    assert by_name(rbd.ChildIterator(rbd_image, True)) == everyone
    assert by_name(rbd.ChildIterator(image=rbd_image, descendants=True)) == everyone
    assert len(rbd.ChildIterator(image=rbd_image, descendants=False)) == len(everyone) - 1


def test_a_clone_in_the_trash_is_listed(
    rbd_image: rbd.Image, family: Dict[str, rbd.rados.Ioctx]
) -> None:
    with rbd.Image(family["far"], "far") as far:
        number = far.id()
    rbd.RBD().trash_move(family["far"], "far")
    try:
        (child,) = [child for child in rbd_image.list_children2() if child["id"] == number]
        assert (child["image"], child["trash"]) == ("far", True)
        assert "far" not in [name for _, name in rbd_image.list_children()]
        assert len(rbd_image.list_children()) == 3
    finally:
        rbd.RBD().trash_restore(family["far"], number, "far")


def test_more_clones_than_one_call_lists_are_all_listed(
    rbd_image: rbd.Image, rbd_ioctx: rbd.rados.Ioctx
) -> None:
    rbd_image.create_snap("a")
    names = [f"clone-{i:02}" for i in range(35)]
    for name in names:
        rbd.RBD().clone(rbd_ioctx, rbd_image.name, "a", rbd_ioctx, name, clone_format=2)
    assert sorted(name for _, name in rbd_image.list_children()) == names


def test_an_image_without_clones_has_empty_lists(rbd_image: rbd.Image) -> None:
    assert rbd_image.list_children() == []
    assert list(rbd_image.list_children2()) == []
    assert list(rbd_image.list_descendants()) == []


def test_listing_outlives_its_image(
    rbd_image: rbd.Image, family: Dict[str, rbd.rados.Ioctx]
) -> None:
    children = rbd_image.list_children2()
    rbd_image.close()
    assert len(list(children)) == len(list(children)) == 4
    for call in (rbd_image.list_children, rbd_image.list_children2, rbd_image.list_descendants):
        with pytest.raises(rbd.InvalidArgument, match="closed"):
            call()
    with pytest.raises(rbd.InvalidArgument):
        rbd.ChildIterator(rbd_image)


def test_wrong_types_are_refused(rbd_image: rbd.Image) -> None:
    for wrong in (None, "image", 5):
        with pytest.raises(TypeError):
            rbd.ChildIterator(wrong)
    with pytest.raises(TypeError):
        rbd.ChildIterator(rbd_image, "yes")
