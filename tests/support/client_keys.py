"""Makes clients of a cluster that have only some rights."""

from __future__ import annotations

import json
from typing import List

from rbd import rados


def key_of(connection: rados.Rados, entity: str, caps: List[str]) -> str:
    """Return the key of a client, which is created if the cluster does not have it."""
    command = {"prefix": "auth get-or-create", "entity": entity, "caps": caps, "format": "json"}
    code, answer, _ = connection.mon_command(json.dumps(command), b"")
    assert code == 0
    return str(json.loads(answer)[0]["key"])
