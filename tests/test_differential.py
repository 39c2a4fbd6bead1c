"""The same calls through the stock module and through this one, each on a separate cluster.

Results, types, exception classes, error numbers and forms of messages must be equal, except for the
chosen deviations.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
import subprocess
import sys
from typing import Any, Dict, List, Set, Tuple

import pytest

import rbd
from rbd.testing import LocalCluster
from test_rados_constants import TABLE

HERE = pathlib.Path(__file__).parent / "differential"
LISTED: Dict[str, Dict[str, str]] = json.loads((HERE / "deviations.json").read_text())
STOCK_PYTHON = "/usr/bin/python3"
#: The most steps that may end the stock module's process.
MOST_ENDED = 3
#: The outcomes of a step that the stock module fails. No program depends on them.
NOT_THERE = ("AttributeError", "end of the process")

Outcome = Tuple[str, Any]


def stock_interpreter() -> str:
    """Return the distribution's interpreter, if it has the stock module of the librbd in use."""
    code = "import os, rados, rbd; print(rbd.RBD().version(), os.path.dirname(rbd.__file__))"
    try:
        done = subprocess.run(
            [STOCK_PYTHON, "-I", "-c", code], capture_output=True, text=True, timeout=60
        )
    except FileNotFoundError:
        pytest.skip(f"no {STOCK_PYTHON}")
    if done.returncode != 0:
        pytest.skip(f"{STOCK_PYTHON} has no stock rbd module (apt-get install python3-rbd)")
    if str(rbd.library_info().version) not in done.stdout:
        pytest.skip("the stock module uses another librbd")
    return STOCK_PYTHON


def outcomes(python: List[str], which: str) -> Tuple[List[Outcome], Set[str]]:
    """Return the outcome of each step on a new cluster, and the names of the module `rados` used.

    Some librbd end the process for arguments that they do not know, and the stock module lets them.
    Then this starts again without that step.
    """
    ended: List[int] = []
    while True:
        with LocalCluster(pools=("rbd", "two")) as cluster:
            done = subprocess.run(
                [*python, str(HERE / "runner.py"), which, str(cluster.conffile), json.dumps(ended)],
                capture_output=True,
                text=True,
                timeout=200,
                env={**os.environ, "PYTHONWARNINGS": "ignore"},
            )
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
        if which != "stock" or done.returncode >= 0 or len(ended) == MOST_ENDED:
            break
        ended.append(len(lines))
    assert done.returncode == 0, f"{which} ended after {lines[-1:]}: {done.stderr[-2000:]}"
    used = json.loads(done.stdout.splitlines()[-1])["used"]
    return [(step, outcome) for step, outcome in lines], set(used)


def lacking(theirs: Dict[str, Any]) -> bool:
    """Return whether a step failed because this release's stock module does not have a name yet.

    No program depends on that.
    """
    return theirs.get("error") in NOT_THERE or (
        theirs.get("error") == "TypeError"
        and "unexpected keyword" in theirs["text"]
        and "nonsense" not in theirs["text"]
    )


def contained(theirs: Any, mine: Any) -> bool:
    """Return whether two outcomes are equal. With Ceph 14, dictionaries may have more keys."""
    if isinstance(theirs, list) and isinstance(mine, list) and len(theirs) == len(mine):
        return all(map(contained, theirs, mine))
    if isinstance(theirs, dict) and isinstance(mine, dict):
        same = theirs.keys() == mine.keys()
        if not same and not rbd.supports("rbd_snap_create2"):
            same = theirs.keys() <= mine.keys()
        return same and all(contained(theirs[key], mine[key]) for key in theirs)
    return bool(theirs == mine)


def too_new(theirs: Dict[str, Any]) -> bool:
    """Return whether it may be a parameter that Ceph 14's module does not know."""
    refused = theirs.get("error") in ("TypeError", "ValueError")
    return refused and not rbd.supports("rbd_snap_create2")


def alike(theirs: Dict[str, Any], mine: Dict[str, Any]) -> bool:
    """Return whether a program for the stock module sees no difference."""
    if lacking(theirs):
        return True
    if "error" in theirs and not rbd.supports("rbd_snap_create2"):
        # Ceph 14's module does not name the kind of error.
        theirs = {**theirs, "message": mine.get("message")}
    if "error" not in theirs or "error" not in mine:
        return contained(theirs, mine)
    if theirs["error"] != mine["error"] and theirs["error"] in mine["also"]:
        # The class is also the stock one. Its own text may contain more.
        return theirs["errno"] in ("none", mine["errno"])
    return all(theirs[key] == mine[key] for key in ("error", "errno", "message"))


def deviations() -> Dict[str, str]:
    """Return the steps that differ on purpose with the loaded release, and the reasons."""
    # Ceph 14 has no policies of the cache.
    known = "with_a_policy" if rbd.supports("rbd_snap_create2") else "of_ceph_14"
    return {**LISTED["steps"], **LISTED[f"steps_{known}"]}


@pytest.fixture(scope="module")
def ours() -> Tuple[List[Outcome], Set[str]]:
    return outcomes([sys.executable], "ours")


@pytest.fixture(scope="module")
def compared(ours: Tuple[List[Outcome], Set[str]]) -> List[Tuple[str, Any, Any]]:
    stock, _ = outcomes([stock_interpreter(), "-I"], "stock")
    ours, _ = ours
    assert [step for step, _ in stock] == [step for step, _ in ours]
    return [(step, theirs, mine) for (step, theirs), (_, mine) in zip(stock, ours)]


@pytest.mark.timeout(300)
def test_both_modules_have_the_same_outcomes(compared: List[Tuple[str, Any, Any]]) -> None:
    different = [
        f"{step}\n    stock: {theirs}\n    ours:  {mine}"
        for step, theirs, mine in compared
        if not alike(theirs, mine) and step not in deviations() and not too_new(theirs)
    ]
    assert not different, f"{len(different)} of {len(compared)}:\n" + "\n".join(different)


@pytest.mark.timeout(300)
def test_every_name_of_rados_is_compared(ours: Tuple[List[Outcome], Set[str]]) -> None:
    """Each method and attribute of the stock module `rados` is in a step, or has a reason."""
    if rbd.RBD().version()[:2] != (1, 16):
        pytest.skip("some of the steps are made with Ceph 16 alone")
    reasons = LISTED["not_compared"]
    wanted = {
        f"{name}.{member}"
        for name, facts in TABLE["classes"].items()
        for member in [*facts["methods"], *facts.get("attributes", {})]
    }
    assert len(wanted) > 220
    _, used = ours
    assert not wanted - used - {*reasons}, "\n".join(sorted(wanted - used - {*reasons}))
    assert not {*reasons} & used, {*reasons} & used


@pytest.mark.timeout(300)
def test_every_deviation_still_exists(compared: List[Tuple[str, Any, Any]]) -> None:
    there = {step for step, theirs, _ in compared if not lacking(theirs)}
    different = {step for step, theirs, mine in compared if not alike(theirs, mine)}
    assert set(deviations()) & there <= different


def test_every_deviation_has_its_reason() -> None:
    page = (HERE.parents[1] / "docs" / "deviations.md").read_text()
    headings = re.findall(r"^## (.+)$", page, flags=re.MULTILINE)
    lists = [name for name in LISTED if name.startswith("steps")]
    reasons = {reason for name in lists for reason in LISTED[name].values()}
    assert reasons <= set(headings)
