"""Pictures of images: the parts that hold data, and the parts that changed since a snapshot."""

from __future__ import annotations

import contextlib
import html
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Tuple, Union

from . import _core, exceptions
from ._core import Image
from ._opened import Opened

if TYPE_CHECKING:
    from matplotlib.axes import Axes  # type: ignore[import-not-found,unused-ignore]

__all__ = ["usage"]

# One colour for each meaning. People who cannot distinguish red from green can distinguish these.
_DATA, _CHANGED, _FREE = "#3b6ea8", "#e0972b", "#e4e7eb"
_FREED = {"facecolor": "white", "edgecolor": _CHANGED, "hatch": "///"}
# The number of parts in a notebook's bar, and the most objects to ask about one by one for it.
_PARTS = 240
_OBJECTS = 4096

_Span = Tuple[int, int]


def usage(
    image: Image, *, from_snapshot: Union[str, bytes, int, None] = None, ax: Any = None
) -> Axes:
    """Draw which parts of an image hold data, with matplotlib.

    Parameters
    ----------
    image
        The image as it was opened: its head, or a snapshot.
    from_snapshot
        A snapshot by name or id. Parts that changed since then have another colour, and so do parts
        that were freed since then.
    ax
        The axes to draw on; None makes a new figure.

    Returns
    -------
    The axes. The horizontal axis counts bytes.

    Raises
    ------
    ImportError
        matplotlib is not installed.
    ImageNotFound
        There is no such snapshot.

    Notes
    -----
    The drawing shows whole objects, as the object map does. Without the feature fast-diff, librbd
    asks for each object, which takes long for a large image.

    Implements: rbd_diff_iterate2
    """
    if not isinstance(image, Image):
        raise TypeError(f"image must be an rbd.Image, not {type(image).__name__}")
    try:
        from matplotlib import pyplot, ticker
    except ImportError as error:
        raise ImportError("rbd.plot.usage() needs matplotlib: pip install matplotlib") from error
    size = image.size()
    layers: List[Tuple[str, Dict[str, Any], List[_Span]]] = [
        ("free", {"facecolor": _FREE}, [(0, size)]),
        ("data", {"facecolor": _DATA}, _spans(image)[0]),
    ]
    if from_snapshot is not None:
        since = f"since {_shown(from_snapshot)}"
        changed, freed = _spans(image, from_snapshot)
        layers += [
            (f"changed {since}", {"facecolor": _CHANGED}, changed),
            (f"freed {since}", _FREED, freed),
        ]
    axes: Axes = ax
    if ax is None:
        axes = pyplot.subplots(figsize=(9, 1.8), layout="constrained")[1]
    for label, style, spans in layers:
        axes.broken_barh(spans, (0, 1), label=label, **style)
    axes.set_xlim(0, max(size, 1))
    axes.set_ylim(0, 1)
    axes.set_yticks([])
    axes.set_xlabel("offset in the image")
    # Powers of two, so that the labels are round numbers.
    axes.xaxis.set_major_locator(ticker.MultipleLocator(2 ** max(size - 1, 8).bit_length() / 8))
    axes.xaxis.set_major_formatter(ticker.FuncFormatter(lambda place, _: _bytes(int(place))))
    axes.set_title(_name(image), loc="left")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=len(layers), frameon=False)
    return axes


def _spans(
    image: Image, start: Union[str, bytes, int, None] = None
) -> Tuple[List[_Span], List[_Span]]:
    """Return the regions of a difference that hold data, and those that held data before."""
    spans: Tuple[List[_Span], List[_Span]] = ([], [])
    for offset, length, exists in image.diff(0, None, start, whole_object=True, merge=True):
        spans[not exists].append((offset, length))
    return spans


def _shown(snapshot: Union[str, bytes, int]) -> str:
    if isinstance(snapshot, int):
        return f"snapshot {snapshot}"
    return snapshot.decode(errors="replace") if isinstance(snapshot, bytes) else snapshot


def _bytes(count: int) -> str:
    """Return a number of bytes in the largest binary unit that it reaches."""
    amount, unit = float(count), 0
    units = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    while amount >= 1024 and unit < len(units) - 1:
        amount, unit = amount / 1024, unit + 1
    return f"{amount:.4g} {units[unit]}"


def _name(image: Image) -> str:
    opened = Opened(*image._opened())
    name = opened.name or opened.image_id or ""
    return name if opened.snapshot is None else f"{name}@{opened.snapshot}"


def _features(bits: int) -> Iterator[str]:
    """Return the names of features, from the constants: Ceph 14 has no function for it."""
    prefix = "RBD_FEATURE_"
    for name, bit in _core.constants.items():
        if name.startswith(prefix) and bits & bit:
            yield name[len(prefix) :].lower().replace("_", "-")


def _rows(image: Image) -> Iterator[Tuple[str, str]]:
    """Return the rows of a notebook's table about an image. Raises if the image cannot be used."""
    yield "size", _bytes(image.size())
    stat = image.stat()
    yield "objects", f"{stat['num_objs']} of {_bytes(stat['obj_size'])}"
    yield "features", ", ".join(_features(image.features())) or "none"
    with contextlib.suppress(exceptions.ImageNotFound):
        pool, name, snapshot = image.parent_info()
        yield "parent", f"{pool}/{name}@{snapshot}"
    snapshots = [str(entry["name"]) for entry in image.list_snaps()]
    more = f" and {len(snapshots) - 10} more" if len(snapshots) > 10 else ""
    yield "snapshots", ", ".join(snapshots[:10]) + more or "none"


def _is_quick(image: Image) -> bool:
    """Return whether few enough objects must be asked to find the parts that hold data."""
    mapped = image.features() & _core.constants["RBD_FEATURE_FAST_DIFF"]
    broken = image.flags() & _core.constants["RBD_FLAG_FAST_DIFF_INVALID"]
    return (bool(mapped) and not broken) or image.stat()["num_objs"] <= _OBJECTS


def _bar(image: Image) -> str:
    """Return an SVG picture of the parts that hold data, and their total size."""
    size = image.size()
    spans, _ = _spans(image)
    used = sum(length for _, length in spans)
    told = f"{_bytes(used)} of {_bytes(size)} hold data"
    filled = [0.0] * _PARTS
    for offset, length in spans:
        first, last = offset * _PARTS // size, (offset + length - 1) * _PARTS // size
        for part in range(first, min(last, _PARTS - 1) + 1):
            begin, end = part * size / _PARTS, (part + 1) * size / _PARTS
            covered = min(end, offset + length) - max(begin, offset)
            filled[part] += covered / max(end - begin, 1)
    marks = "".join(
        f'<rect x="{part}" width="1.05" height="14" fill="{_DATA}" '
        f'opacity="{max(0.15, min(share, 1)):.2f}"/>'
        for part, share in enumerate(filled)
        if share
    )
    return (
        f'<svg role="img" aria-label="{told}" width="480" height="14" viewBox="0 0 {_PARTS} 14" '
        f'preserveAspectRatio="none"><title>{told}</title>'
        f'<rect width="{_PARTS}" height="14" fill="{_FREE}"/>{marks}</svg><br>{told}'
    )


def _to_html(image: Image) -> str:
    """Implement Image._repr_html_. Leaves out what librbd fails to report."""
    name = html.escape(repr(image))
    try:
        rows = [(key, html.escape(value)) for key, value in _rows(image)]
        if image.size() and _is_quick(image):
            rows.append(("usage", _bar(image)))
    except (exceptions.Error, ValueError, OSError) as error:
        return f"<code>{name}</code><br>{html.escape(str(error))}"
    cells = "".join(f"<tr><th>{key}</th><td>{value}</td></tr>" for key, value in rows)
    return f"<table><caption>{name}</caption>{cells}</table>"
