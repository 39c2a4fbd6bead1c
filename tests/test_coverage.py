"""The coverage page: its generator refuses claims that the code contradicts."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Dict, Set

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tools"))

import c_coverage as coverage

TABLE = [("rbd_old", 14, False), ("rbd_new", 16, False), ("rbd_list_cleanup", 14, False)]


def rows(
    python: Dict[str, Set[str]],
    called: Dict[str, Set[str]],
    **reasons: Dict[str, str],
) -> Any:
    everything = {"superseded": {}, "internal": {}, "unneeded": {}, **reasons}
    return coverage.rows(TABLE, python, called, everything)


def test_every_function_is_reached_or_explained() -> None:
    rows = coverage.current()
    assert len(rows) > 300
    assert [row.function for row in rows if row.gap] == []
    assert coverage.PAGE.read_text() == coverage.page(rows), "run tools/c_coverage.py"


def test_a_row_says_who_implements_a_function() -> None:
    row = rows({"rbd_new": {"rbd.Image.new"}}, {"rbd_new": {"image"}})[1]
    assert (row.python, row.topics, row.gap) == (("rbd.Image.new",), ("image",), False)


def test_an_unexplained_function_is_a_gap() -> None:
    old, new, cleanup = rows({}, {"rbd_list_cleanup": {"image"}}, superseded={"rbd_old": "rbd_new"})
    assert [row.gap for row in (old, new, cleanup)] == [False, True, False]
    assert "superseded by `rbd_new`" in old.note
    assert "**not offered yet**" in coverage.page([new])


@pytest.mark.parametrize(
    ("python", "called", "reasons", "message"),
    [
        ({"rbd_nwe": {"rbd.x"}}, {}, {}, "not a function"),
        ({"rbd_new": {"rbd.x"}}, {}, {}, "no source calls"),
        ({}, {}, {"superseded": {"rbd_old": "rbd_newer"}}, "not the newest form"),
        (
            {},
            {},
            {"superseded": {"rbd_old": "rbd_new", "rbd_new": "rbd_old"}},
            "not the newest form",
        ),
        ({}, {}, {"superseded": {"rbd_older": "rbd_new"}}, "not a function"),
        ({}, {}, {"internal": {"rbd_old": "why"}}, "no source calls"),
        ({}, {"rbd_old": {"image"}}, {"unneeded": {"rbd_old": "why"}}, "calls it"),
    ],
)
def test_a_contradiction_is_refused(python: Any, called: Any, reasons: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rows(python, called, **reasons)


def test_claims_are_read_from_docstrings() -> None:
    text = "Reads.\n\nImplements: rbd_read,\nrbd_read2\n\nSee rbd_write."
    assert coverage.claims(text) == {"rbd_read", "rbd_read2"}


def test_calls_are_found_only_in_code(tmp_path: Path) -> None:
    (tmp_path / "cpp/src").mkdir(parents=True)
    code = '// rbd_a\nuse->rbd_b(1); "rbd_c";\n'
    (tmp_path / "cpp/src/io.cpp").write_text(code)
    assert coverage.callers(tmp_path) == {"rbd_b": {"io"}}


def test_an_outdated_page_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    parsed = SimpleNamespace(check=True, gaps=False)
    monkeypatch.setattr(coverage.argparse.ArgumentParser, "parse_args", lambda self: parsed)
    monkeypatch.setattr(coverage, "PAGE", tmp_path / "coverage.md")
    assert coverage.main() == 1
    assert "out of date" in capsys.readouterr().err
    coverage.PAGE.write_text(coverage.page(coverage.current()))
    assert coverage.main() == 0
    coverage.PAGE.write_text(coverage.PAGE.read_text() + "|")
    assert coverage.main() == 1
