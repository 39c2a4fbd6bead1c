"""The constants of the stock module, by value and type, from the table in data/stock_api.json."""

from __future__ import annotations

import pytest

import rbd
from test_api import TABLE


@pytest.mark.parametrize("name", sorted(TABLE["constants"]))
def test_each_constant_has_its_value_and_type(name: str) -> None:
    assert vars(rbd)[name] == TABLE["constants"][name]["value"]
    assert type(vars(rbd)[name]) is type(TABLE["constants"][name]["value"])


def test_nothing_else_looks_like_a_feature() -> None:
    ours = {name for name in vars(rbd) if "RBD_FEATURE_" in name}
    assert ours == {name for name in TABLE["constants"] if "RBD_FEATURE_" in name}


def test_auids_have_their_stock_values() -> None:
    assert rbd.ANONYMOUS_AUID == 0xFFFFFFFFFFFFFFFF
    assert rbd.ADMIN_AUID == 0
