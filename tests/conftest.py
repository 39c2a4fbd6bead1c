"""What all tests share: the mark for newer C functions, and a header that tells what is tested."""

from __future__ import annotations

from typing import List

import pytest

import rbd


def pytest_report_header() -> List[str]:
    try:
        info = rbd.library_info()
    except rbd.LibraryNotFound as error:
        return [f"librbd: none ({error})"]
    version = ".".join(map(str, info.version))
    return [f"librbd: {info.path} (version {version}, {len(info.missing)} functions missing)"]


def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("needs"):
        for function in mark.args:
            if not rbd.supports(function):
                pytest.skip(f"the loaded librbd has no {function}")
