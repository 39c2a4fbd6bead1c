"""The constants of the stock `rados` module, from the table in data/stock_rados_api.json."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rbd import rados

TABLE = json.loads((Path(__file__).parent / "data" / "stock_rados_api.json").read_text())


@pytest.mark.parametrize("name", sorted(TABLE["constants"]))
def test_each_constant_has_its_value_and_type(name: str) -> None:
    value = vars(rados)[name]
    assert value == TABLE["constants"][name]["value"]
    assert type(value) is type(TABLE["constants"][name]["value"])
    assert name in rados.__all__
