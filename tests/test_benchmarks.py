"""Each benchmark runs in its smallest form. Its speed is not checked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Iterator

import pytest

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import report  # noqa: E402
from benchmarks.curves import CURVES, Curve, Line  # noqa: E402
from benchmarks.measure import measure_row  # noqa: E402
from benchmarks.place import TINY, Place, local  # noqa: E402
from benchmarks.rows import ROWS, Contender, Row, blocks, loop  # noqa: E402


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with local(TINY) as made:
        yield made


@pytest.mark.parametrize(
    ("row", "contender"),
    [
        pytest.param(row, contender, id=f"{row.name}-{contender.name}")
        for row in ROWS
        for contender in row.contenders
    ],
)
def test_each_row_can_be_measured(place: Place, row: Row, contender: Contender) -> None:
    why = contender.lacking()
    if why:
        pytest.skip(why)
    # The processor time of a run is the difference of a longer and a shorter run, so that of a tiny
    # run is noise.
    assert contender.measure(place) > 0 or row.name.endswith("-processor")


@pytest.mark.parametrize(
    ("curve", "line"),
    [
        pytest.param(curve, line, id=f"{curve.name}-{line.name}")
        for curve in CURVES
        for line in curve.lines
    ],
)
def test_each_curve_can_be_measured(place: Place, curve: Curve, line: Line) -> None:
    why = line.lacking()
    if why:
        pytest.skip(why)
    assert line.measure(place, curve.points[1]) >= 0


@pytest.mark.parametrize("op", ["read", "write"])
def test_memory_stays_bounded(place: Place, op: str) -> None:
    block, depth, total = 64 << 10, 32, 128 << 20
    answer = blocks(place, op, block=block, depth=depth, seconds=0, total=total)
    # The bound of the documentation.
    assert answer["grown"] <= 2 * depth * block + (32 << 20) + 8 * total // block


def test_memory_of_asyncio_stays_bounded(place: Place) -> None:
    block, flight, total = 64 << 10, 32, 128 << 20
    answer = loop(place, "ours", "read", block=block, flight=flight, seconds=0, total=total)
    assert answer["grown"] <= 2 * flight * block + (32 << 20)


def test_ambiguous_names_are_refused() -> None:
    names = [row.name for row in ROWS] + [curve.name for curve in CURVES]
    assert len({*names}) == len(names)


def row(unit: str, ours: float, peer: float, goal: float) -> Row:
    return Row(
        "row",
        "what",
        unit,
        (
            Contender("ours", lambda place: ours),
            Contender("peer", lambda place: peer),
            Contender("other", lambda place: peer, lambda: "not here"),
        ),
        {"peer": goal},
    )


@pytest.mark.parametrize(
    ("unit", "ours", "peer", "goal", "met"),
    [
        ("s", 1.0, 2.0, 0.5, True),
        ("s", 1.1, 2.0, 0.5, False),
        ("blocks/s", 2.0, 1.0, 2.0, True),
        ("blocks/s", 1.9, 1.0, 2.0, False),
    ],
)
def test_a_goal_is_compared_with_the_result(
    place: Place, unit: str, ours: float, peer: float, goal: float, met: bool
) -> None:
    result = measure_row(place, row(unit, ours, peer, goal), lambda text: None)
    assert result["peers"]["peer"]["met"] is met
    assert result["peers"]["peer"]["ratio"]["median"] == ours / peer
    assert result["lacking"] == {"other": "not here"}
    measured, missing = report.cells(result)
    assert measured[-1].endswith("NOT MET") is not met
    assert "not here" in missing


def test_measuring_some_rows_keeps_the_others() -> None:
    def run(date: str, *names: str) -> Dict[str, Any]:
        about = {**results()["about"], "date": date}
        row = {k: v for k, v in results()["rows"][0].items() if k not in ("about", "rounds")}
        rows = [{**row, "name": name, "what": f"{name} {date}"} for name in names]
        return {"about": about, "rounds": 5, "rows": rows, "curves": []}

    merged = report.merge(run("2026-01-01", "a", "b", "c"), run("2026-02-02", "b", "d"))
    ordered = report.in_order(merged, ["d", "a", "b"])
    assert [row["what"] for row in ordered["rows"]] == [
        "d 2026-02-02",
        "a 2026-01-01",
        "b 2026-02-02",
    ]
    *_, where = report.markdown(ordered).splitlines()
    assert where.startswith("Measured on 2026-02-02: ")
    assert " But `a`: on 2026-01-01: " in where


def results() -> Dict[str, Any]:
    return json.loads((ROOT / "docs" / "_data" / "benchmarks.json").read_text())  # type: ignore


def test_the_table_in_the_docs_shows_the_results() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    assert page == report.embed(page, results())


def test_every_row_and_curve_is_in_the_docs() -> None:
    known = results()
    assert [found["name"] for found in known["rows"]] == [row.name for row in ROWS]
    assert [found["name"] for found in known["curves"]] == [curve.name for curve in CURVES]
    page = (ROOT / "docs" / "performance.md").read_text()
    for name in ["ratios", *(curve.name for curve in CURVES)]:
        assert f"(pictures/benchmarks-{name}.png)" in page
        assert (ROOT / "docs" / "pictures" / f"benchmarks-{name}.png").exists()


def test_the_command_writes_results_and_table(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--tiny", "call-size"]
    page = tmp_path / "page.md"
    page.write_text(f"before\n{report.BEGIN}old\n{report.END}after\n")
    command += ["--json", str(tmp_path / "x.json"), "--table", str(page)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    assert "one size(), stubbed" in done.stdout
    assert json.loads((tmp_path / "x.json").read_text())["rows"][0]["name"] == "call-size"
    written = page.read_text()
    assert "one size(), stubbed" in written
    assert "old" not in written
    assert written.startswith("before\n")
    assert written.endswith("after\n")


def test_an_unknown_name_is_refused(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "nothing"]
    done = subprocess.run(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode != 0
    assert "no nothing" in done.stderr
