"""Packages and programs of other projects that tests of files, arrays and streams use."""

from __future__ import annotations

import importlib
import os
import shutil
from typing import Any

import pytest

#: Whether a missing package is a failure, as it is if `./dev test` has installed the packages.
REQUIRED = bool(os.environ.get("RBD_TEST_PROOFS"))


def proof(name: str) -> Any:
    """Return the module. Skip the test if it is missing."""
    if REQUIRED:
        return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{name} is not installed")


def program(name: str) -> str:
    """Return the path of a program. Skip the test if it is missing."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
    if found is None:
        (pytest.fail if REQUIRED else pytest.skip)(f"{name} is not installed")
    return found
