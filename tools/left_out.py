"""A pytest plugin for tests under an emulator: it skips some, and gives the others more time.

RBD_TEST_LEFT_OUT has the tests to skip, each with its reason, as JSON. RBD_TEST_SECONDS is the time
that each of the others may take, whatever its own mark says.
"""

from __future__ import annotations

import json
import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip each test whose name begins with one of the variable's, and set the time of all."""
    reasons: dict[str, str] = json.loads(os.environ["RBD_TEST_LEFT_OUT"])
    seconds = float(os.environ["RBD_TEST_SECONDS"])
    for item in items:
        item.add_marker(pytest.mark.timeout(seconds), append=False)
        name = item.nodeid.removeprefix("tests/")
        for start, why in reasons.items():
            if name.startswith(start):
                item.add_marker(pytest.mark.skip(reason=why))
