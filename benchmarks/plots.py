"""The results as pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import FuncFormatter

from .report import Results


def _bytes(value: float, _: Any = None) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:g} {unit}"
        value /= 1024
    return f"{value:g} TiB"


def _curve(curve: Dict[str, Any], path: Path) -> None:
    figure, axes = pyplot.subplots(figsize=(6.4, 4.0))
    for name, values in curve["lines"].items():
        medians = [value["median"] for value in values]
        below = [value["median"] - value["least"] for value in values]
        above = [value["most"] - value["median"] for value in values]
        axes.errorbar(curve["points"], medians, [below, above], label=name, marker="o", capsize=3)
    axes.set_xscale("log", base=2)
    axes.set_xticks(curve["points"])
    written = _bytes if "bytes" in curve["axis"] else (lambda value, _: f"{value:g}")
    axes.xaxis.set_major_formatter(FuncFormatter(written))
    axes.xaxis.set_minor_formatter("")
    if curve["unit"] == "s":
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.set_xlabel(curve["axis"])
    axes.set_ylabel(curve["unit"])
    axes.set_title(curve["what"], fontsize=10)
    axes.tick_params(axis="x", labelsize=8)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _ratios(results: Results, path: Path) -> None:
    """How many times as good as each peer: above 1 is better than it, a mark shows the goal."""
    names, values, goals = [], [], []
    for row in results["rows"]:
        for peer, found in row["peers"].items():
            better = (lambda x: x) if row["more_is_better"] else (lambda x: 1 / x)
            names.append(f"{row['name']} / {peer}")
            values.append(better(found["ratio"]["median"]))
            goals.append(better(found["goal"]) if "goal" in found else None)
    figure, axes = pyplot.subplots(figsize=(7.2, 0.32 * len(names) + 1.2))
    at = range(len(names))
    axes.barh(at, values, color=["tab:blue" if v >= 1 else "tab:orange" for v in values])
    for place, goal in zip(at, goals):
        if goal is not None:
            axes.plot([goal, goal], [place - 0.4, place + 0.4], color="black")
    axes.set_xscale("log")
    axes.axvline(1, color="gray", linewidth=0.8)
    axes.set_yticks(at, names, fontsize=8)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlabel("times as good as the peer; the black mark is the goal")
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def draw(results: Results, directory: Path) -> List[Path]:
    """Writes a picture of the ratios, and one of each curve; gives their paths."""
    directory.mkdir(parents=True, exist_ok=True)
    drawn = []
    if results["rows"]:
        drawn.append(directory / "benchmarks-ratios.png")
        _ratios(results, drawn[-1])
    for curve in results["curves"]:
        drawn.append(directory / f"benchmarks-{curve['name']}.png")
        _curve(curve, drawn[-1])
    return drawn
