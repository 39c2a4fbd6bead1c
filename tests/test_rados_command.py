"""Commands to the daemons."""

from __future__ import annotations

import json
from typing import Any, Iterator

import pytest

from rbd import rados


@pytest.fixture
def cluster(rbd_cluster: Any) -> Iterator[rados.Rados]:
    with rbd_cluster.connect() as connected:
        yield connected


def test_mon_command(cluster: rados.Rados) -> None:
    code, output, status = cluster.mon_command(
        json.dumps({"prefix": "osd ls", "format": "json"}), b""
    )
    assert code == 0
    assert 0 in json.loads(output)
    assert isinstance(status, str)
    code, _, status = cluster.mon_command(json.dumps({"prefix": "no such thing"}), b"")
    assert code == -22
    assert status
