"""The packages and programs of others that files, arrays and streams are proved with."""

from __future__ import annotations

import importlib
import os
import shutil
from typing import Any

import pytest

#: Whether a package that is missing is a failure: so it is where `./dev test` has installed them.
REQUIRED = bool(os.environ.get("RBD_TEST_PROOFS"))


def proof(name: str) -> Any:
    """The module, for a test that is skipped without it."""
    if REQUIRED:
        return importlib.import_module(name)
    return pytest.importorskip(name, reason=f"{name} is not installed")


def program(name: str) -> str:
    """The path of a program, for a test that is skipped without it."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin")
    if found is None:
        (pytest.fail if REQUIRED else pytest.skip)(f"{name} is not installed")
    return found
