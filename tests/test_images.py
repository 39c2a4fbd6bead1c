"""The images of a pool: creation with every option, listing, renaming, removal."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

import pytest

import rbd
import rbd.rados
from rbd.testing import Cluster, LocalCluster

MIB = 1 << 20
LAYERING = rbd.RBD_FEATURE_LAYERING
JOURNALING = rbd.RBD_FEATURE_EXCLUSIVE_LOCK | rbd.RBD_FEATURE_JOURNALING


def journal(cluster: Cluster, ioctx: rbd.rados.Ioctx, name: str) -> Dict[str, str]:
    """Return what `rbd info` prints about the image's journal."""
    namespace = ioctx.get_namespace()
    where = ["--namespace", namespace] if namespace else []
    shown = cluster.rbd("journal", "info", "--pool", ioctx.get_pool_name(), *where, "--image", name)
    pairs = (line.strip().partition(":") for line in shown.splitlines()[1:])
    return {key.strip(): value.strip() for key, _, value in pairs}


# Creating


def test_an_image_has_default_options(rbd_ioctx: rbd.rados.Ioctx) -> None:
    assert rbd.RBD().create(rbd_ioctx, "image", 5 * MIB) is None
    with rbd.Image(rbd_ioctx, "image") as image:
        assert image.size() == 5 * MIB
        assert image.old_format() is False
        assert image.stat()["order"] == 22
        assert image.features() & LAYERING
        assert image.data_pool_id() == rbd_ioctx.get_pool_id()


def test_every_option_may_be_positional(
    rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    pool = second_ioctx.get_pool_name()
    rbd.RBD().create(rbd_ioctx, "image", 8 * MIB, 21, False, LAYERING, 1 << 16, 4, pool)
    check_layout(rbd_ioctx, second_ioctx)


def test_every_option_may_be_a_keyword(
    rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    rbd.RBD().create(
        ioctx=rbd_ioctx,
        name="image",
        size=8 * MIB,
        order=21,
        old_format=False,
        features=LAYERING,
        stripe_unit=1 << 16,
        stripe_count=4,
        data_pool=second_ioctx.get_pool_name(),
        journal_order=None,
        journal_splay_width=None,
        journal_pool=None,
    )
    check_layout(rbd_ioctx, second_ioctx)


def check_layout(ioctx: rbd.rados.Ioctx, data: rbd.rados.Ioctx) -> None:
    with rbd.Image(ioctx, "image") as image:
        stat = image.stat()
        assert (stat["order"], stat["obj_size"], stat["num_objs"]) == (21, 2 * MIB, 4)
        assert (image.stripe_unit(), image.stripe_count()) == (1 << 16, 4)
        assert image.features() == (
            LAYERING | rbd.RBD_FEATURE_STRIPINGV2 | rbd.RBD_FEATURE_DATA_POOL
        )
        assert image.data_pool_id() == data.get_pool_id()
        content = bytes(range(256)) * 4096
        image.write(content, MIB // 2)
        assert image.read(MIB // 2, MIB) == content


def test_zeroes_mean_the_default(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(
        ioctx=rbd_ioctx, name="image", size=MIB, order=0, stripe_unit=0, stripe_count=0, features=0
    )
    with rbd.Image(rbd_ioctx, "image") as image:
        assert image.stat()["order"] == 22
        assert image.features() == 0
        assert image.stripe_count() == 1


@pytest.mark.parametrize(
    "features",
    [
        LAYERING,
        LAYERING | rbd.RBD_FEATURE_EXCLUSIVE_LOCK,
        rbd.RBD_FEATURE_EXCLUSIVE_LOCK | rbd.RBD_FEATURE_OBJECT_MAP | rbd.RBD_FEATURE_FAST_DIFF,
        rbd.RBD_FEATURE_DEEP_FLATTEN,
        JOURNALING,
    ],
)
def test_an_image_gets_its_features(rbd_ioctx: rbd.rados.Ioctx, features: int) -> None:
    rbd.RBD().create(rbd_ioctx, "image", MIB, features=features)
    with rbd.Image(rbd_ioctx, "image") as image:
        assert image.features() == features


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_an_image_uses_an_erasure_coded_data_pool() -> None:
    # Overwrites of such a pool need bluestore, and three daemons for two data parts and a parity
    # part.
    name = "erasure"
    with LocalCluster(osds=3, objectstore="bluestore") as cluster:
        profile = ("k=2", "m=1", "crush-failure-domain=osd")
        cluster.command("osd", "erasure-code-profile", "set", name, *profile)
        cluster.command("osd", "pool", "create", name, "8", "8", "erasure", name)
        cluster.command("osd", "pool", "set", name, "allow_ec_overwrites", "true")
        cluster.command("osd", "pool", "application", "enable", name, "rbd")
        content = bytes(range(256)) * 8192
        with cluster.connect() as rados, rados.open_ioctx("rbd") as ioctx:
            rbd.RBD().create(ioctx, "image", 8 * MIB, data_pool=name)
            with rbd.Image(ioctx, "image") as image:
                assert image.data_pool_id() == rados.pool_lookup(name)
                assert image.features() & rbd.RBD_FEATURE_DATA_POOL
                image.write(content, MIB)
                image.write(b"over", MIB + 5)
                assert image.read(MIB, len(content)) == content[:5] + b"over" + content[9:]


def test_an_image_gets_its_journal_options(
    rbd_cluster: Cluster, rbd_ioctx: rbd.rados.Ioctx, second_ioctx: rbd.rados.Ioctx
) -> None:
    rbd.RBD().create(
        rbd_ioctx,
        "image",
        MIB,
        features=JOURNALING,
        journal_order=16,
        journal_splay_width=6,
        journal_pool=second_ioctx.get_pool_name(),
    )
    shown = journal(rbd_cluster, rbd_ioctx, "image")
    assert shown["order"].startswith("16 ")
    assert shown["splay_width"] == "6"
    assert shown["object_pool"] == second_ioctx.get_pool_name()


def test_the_old_format_takes_only_its_options(rbd_ioctx: rbd.rados.Ioctx) -> None:
    # librbd's configuration decides about the format. Newer releases do not create the old one.
    rbd.RBD().create(rbd_ioctx, "old", MIB, 20, True)
    with rbd.Image(rbd_ioctx, "old") as image:
        assert image.stat()["order"] == 20
        assert image.size() == MIB
    refused: List[Dict[str, Any]] = [
        {"features": LAYERING},
        {"stripe_unit": 4096, "stripe_count": 2},
        {"data_pool": rbd_ioctx.get_pool_name()},
    ]
    for options in refused:
        with pytest.raises(rbd.InvalidArgument):
            rbd.RBD().create(rbd_ioctx, "other", MIB, old_format=True, **options)
    assert rbd.RBD().list(rbd_ioctx) == ["old"]


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"name": "exists"}, rbd.ImageExists),
        ({"name": ""}, rbd.Error),
        ({"order": 99}, rbd.ArgumentOutOfRange),
        ({"order": 3}, rbd.ArgumentOutOfRange),
        ({"stripe_unit": 4096, "stripe_count": 0}, rbd.InvalidArgument),
        ({"data_pool": "missing"}, rbd.Error),
        ({"size": -1}, OverflowError),
        ({"size": 2**64}, OverflowError),
        ({"size": "large"}, TypeError),
        ({"size": None}, TypeError),
        ({"order": "large"}, TypeError),
        ({"name": None}, TypeError),
        ({"name": 5}, TypeError),
        ({"name": "a\0b"}, ValueError),
        ({"ioctx": None}, TypeError),
        ({"ioctx": "pool"}, TypeError),
        ({"features": -1}, OverflowError),
        ({"data_pool": 5}, TypeError),
        ({"nonsense": 5}, TypeError),
    ],
)
def test_invalid_images_are_refused(
    rbd_ioctx: rbd.rados.Ioctx, changed: Dict[str, Any], error: type
) -> None:
    rbd.RBD().create(rbd_ioctx, "exists", MIB)
    with pytest.raises(error):
        rbd.RBD().create(**{"ioctx": rbd_ioctx, "name": "image", "size": MIB, **changed})
    assert rbd.RBD().list(rbd_ioctx) == ["exists"]


# Listing, renaming and removing


def test_images_are_listed(rbd_ioctx: rbd.rados.Ioctx) -> None:
    names = sorted(f"image-{i:02}-" + "n" * 60 for i in range(40))
    for name in names:
        rbd.RBD().create(rbd_ioctx, name, MIB)
    assert sorted(rbd.RBD().list(rbd_ioctx)) == sorted(rbd.RBD().list(ioctx=rbd_ioctx)) == names
    entries = rbd.RBD().list2(rbd_ioctx)
    assert isinstance(entries, rbd.ImageIterator)
    assert sorted(entry["name"] for entry in entries) == names
    assert list(entries) == list(rbd.ImageIterator(ioctx=rbd_ioctx))
    first = next(iter(entries))
    assert sorted(first) == ["id", "name"]
    with rbd.Image(rbd_ioctx, first["name"]) as image:
        assert image.id() == first["id"]


def test_images_are_renamed(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "one", MIB)
    rbd.RBD().create(rbd_ioctx, "two", MIB)
    assert rbd.RBD().rename(rbd_ioctx, "one", "three") is None
    rbd.RBD().rename(ioctx=rbd_ioctx, src="three", dest="four")
    assert sorted(rbd.RBD().list(rbd_ioctx)) == ["four", "two"]
    with pytest.raises(rbd.ImageExists):
        rbd.RBD().rename(rbd_ioctx, "four", "two")
    with pytest.raises(rbd.ImageNotFound):
        rbd.RBD().rename(rbd_ioctx, "one", "five")
    for wrong in (None, 5):
        with pytest.raises(TypeError):
            rbd.RBD().rename(rbd_ioctx, wrong, "five")
        with pytest.raises(TypeError):
            rbd.RBD().rename(rbd_ioctx, "four", wrong)


def test_images_are_removed_with_progress(rbd_ioctx: rbd.rados.Ioctx) -> None:
    for name in ("one", "two", "three"):
        rbd.RBD().create(rbd_ioctx, name, 8 * MIB, order=20)
    progress: List[Tuple[int, int]] = []
    assert rbd.RBD().remove(rbd_ioctx, "one") is None
    rbd.RBD().remove(rbd_ioctx, "two", lambda *now: progress.append(now))
    assert progress
    rbd.RBD().remove(ioctx=rbd_ioctx, name="three", on_progress=None)
    assert rbd.RBD().list(rbd_ioctx) == []
    with pytest.raises(rbd.ImageNotFound, match="'one'") as missing:
        rbd.RBD().remove(rbd_ioctx, "one")
    assert missing.value.errno == 2


def test_an_image_in_use_cannot_be_removed(
    rbd_ioctx: rbd.rados.Ioctx, rbd_image: rbd.Image
) -> None:
    with pytest.raises(rbd.ImageBusy):
        rbd.RBD().remove(rbd_ioctx, rbd_image.name)
    rbd_image.create_snap("a")
    rbd_image.close()
    with pytest.raises(rbd.ImageHasSnapshots):
        rbd.RBD().remove(rbd_ioctx, rbd_image.name)


def test_a_removal_can_be_stopped(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd.RBD().create(rbd_ioctx, "image", 8 * MIB, order=20)
    with pytest.raises(rbd.OperationCanceled):
        rbd.RBD().remove(rbd_ioctx, "image", lambda done, total: -rbd.ECANCELED)

    def fail(done: int, total: int) -> int:
        raise LookupError("told so")

    with pytest.raises(LookupError, match="told so"):
        rbd.RBD().remove(rbd_ioctx, "image", on_progress=fail)
    assert rbd.RBD().list(rbd_ioctx) == ["image"]


def test_a_closed_ioctx_is_refused(rbd_ioctx: rbd.rados.Ioctx) -> None:
    rbd_ioctx.close()
    for name, rest in (
        ("create", ("image", MIB)),
        ("list", ()),
        ("list2", ()),
        ("remove", ("image",)),
        ("rename", ("one", "two")),
    ):
        with pytest.raises(rbd.rados.Error):
            getattr(rbd.RBD(), name)(rbd_ioctx, *rest)
