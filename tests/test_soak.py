"""The soak command: which tests it finds, what it keeps of a run, and the page that it writes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
soak = pytest.importorskip("tools.soak", reason="not in a checkout")

# Indented, so that this file does not look like one with a long form.
PASSING = """
    from support import figures
    from support.location import (
        LIMIT,
        SOAK,
    )

    def test_one():
        assert SOAK and LIMIT > 1000
        figures.note("rounds", 2)

    def test_two():
        figures.note("rounds", 1000)
        figures.note("kinds", 1)
"""
FAILING = """
    from support.location import SOAK

    def test_it():
        assert not SOAK
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Provide a checkout with three test files. Two have a long form, and one of these fails."""
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "support").mkdir()
    for name in ("location.py", "figures.py", "isolated.py"):
        source = ROOT / "tests" / "support" / name
        (tests / "support" / name).write_text(source.read_text())
    (tests / "test_good.py").write_text(dedent(PASSING))
    (tests / "test_bad.py").write_text(dedent(FAILING))
    (tests / "test_other.py").write_text("def test_it(): pass\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / soak.PAGE).write_text(f"before\n{soak.START}\nold\n{soak.END}\nafter\n")
    return tmp_path


def test_the_files_with_a_long_form_are_found(root: Path) -> None:
    assert soak.topics(root) == ["bad", "good"]
    assert {"model", "outage", "memory", "lifetime"} <= {*soak.topics()}


def test_a_run_that_passes_is_kept(root: Path) -> None:
    result = soak.run("good", root, ["-p", "no:cacheprovider"])
    assert result is not None
    assert result["tests"] == 2
    assert result["figures"] == {"rounds": 1002, "kinds": 1}
    assert result["ceph"].count(".") >= 2
    soak.keep("good", result, root)
    assert soak.load(root) == {"good": result}
    text = (root / soak.PAGE).read_text()
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text
    assert "rounds: 1,002; kinds: 1" in text


def test_a_failing_run_is_not_kept(root: Path) -> None:
    assert soak.run("bad", root, ["-p", "no:cacheprovider"]) is None


def test_ending_a_run_ends_its_tests(root: Path) -> None:
    """After SIGTERM, as from `kill`, no test continues."""
    (root / "tests" / "test_good.py").write_text(
        "import os, pathlib, time\nfrom support.location import SOAK\n\ndef test_it():\n"
        "    pathlib.Path('pid').write_text(f'{os.getpid()}\\n')\n    time.sleep(60)\n"
    )
    code = (
        "import pathlib, tools.soak as soak\n"
        f"soak.ROOT = pathlib.Path({str(root)!r})\nsoak.main(['good'])"
    )
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        end = time.monotonic() + 50
        while not (root / "pid").exists() or not (root / "pid").read_text().endswith("\n"):
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.05)
    finally:
        process.terminate()
    assert process.wait(10) == 128 + signal.SIGTERM
    with pytest.raises(ProcessLookupError):
        os.kill(int((root / "pid").read_text()), 0)


def test_an_unknown_topic_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        soak.main(["no such topic"])
    assert "model" in capsys.readouterr().err


def test_the_page_shows_the_figures() -> None:
    text = (ROOT / soak.PAGE).read_text(encoding="utf-8")
    assert soak.page(text, soak.load()) == text, "run: python -m tools.soak --write"


def test_kept_figures_have_the_right_form() -> None:
    for topic, result in json.loads((ROOT / soak.DATA).read_text(encoding="utf-8")).items():
        assert topic in soak.topics()
        assert result["tests"] > 0
        assert all(number >= 0 for number in result["figures"].values())
