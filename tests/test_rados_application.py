"""Applications of a pool, and their metadata."""

from __future__ import annotations

from typing import Any, Iterator

import pytest

from rbd import rados


@pytest.fixture
def cluster(rbd_cluster: Any) -> Iterator[rados.Rados]:
    with rbd_cluster.connect() as connected:
        yield connected


def test_applications_have_metadata(cluster: rados.Rados) -> None:
    cluster.create_pool("tagged pool")
    try:
        with cluster.open_ioctx("tagged pool") as ioctx:
            assert ioctx.application_list() == []
            ioctx.application_enable("rbd")
            assert ioctx.application_list() == ["rbd"]
            ioctx.application_metadata_set("rbd", "key", "value")
            ioctx.application_metadata_set("rbd", "other", "")
            assert ioctx.application_metadata_get("rbd", "key") == "value"
            assert sorted(ioctx.application_metadata_list("rbd")) == [
                ("key", "value"),
                ("other", ""),
            ]
            ioctx.application_metadata_remove("rbd", "key")
            assert ioctx.application_metadata_list("rbd") == [("other", "")]
            with pytest.raises(rados.ObjectNotFound):
                ioctx.application_metadata_get("rbd", "key")
            with pytest.raises(
                rados.ObjectNotFound, match="application 'other' of pool 'tagged pool'"
            ):
                ioctx.application_metadata_list("other")
    finally:
        cluster.delete_pool("tagged pool")
