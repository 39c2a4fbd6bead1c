"""Pictures of images in notebooks and in matplotlib."""

from __future__ import annotations

import re
import xml.etree.ElementTree
from typing import Any, Dict, List

import pytest

import rbd
from rbd import plot
from support.optional_tools import proof

# The last matplotlib for Python 3.9 uses old names of pyparsing.
pytestmark = pytest.mark.filterwarnings("ignore:'.*' deprecated - use:DeprecationWarning")

MIB = 1 << 20


@pytest.fixture
def image(rbd_image: rbd.Image) -> rbd.Image:
    """Provide an image with data, a snapshot, and later changes."""
    rbd_image.resize(64 * MIB)
    rbd_image.write(b"x" * 5000, 0)
    rbd_image.write(b"x" * 5000, 16 * MIB)
    rbd_image.create_snap("before")
    rbd_image.write(b"x" * 5000, 32 * MIB)
    rbd_image.discard(16 * MIB, 4 * MIB)
    return rbd_image


def test_html_shows_the_data_of_an_image(image: rbd.Image) -> None:
    text = image._repr_html_()
    tree = xml.etree.ElementTree.fromstring(text.replace("<br>", "<br/>"))
    rows = {row[0].text: "".join(row[1].itertext()) for row in tree.iter("tr")}
    assert rows["size"] == "64 MiB"
    assert rows["objects"] == f"{image.stat()['num_objs']} of 1 MiB"
    assert "layering" in rows["features"]
    assert "parent" not in rows
    assert rows["snapshots"] == "before"
    assert "2 MiB of 64 MiB hold data" in rows["usage"]
    # The bar has two regions of data, at the beginning and in the middle.
    places = [int(mark.get("x", -1)) for mark in tree.iter("rect") if mark.get("opacity")]
    assert {0, 120} <= {*places}
    assert not any(20 < place < 115 or place > 136 for place in places)


def test_html_shows_parent_and_snapshots(image: rbd.Image, rbd_ioctx: Any) -> None:
    image.protect_snap("before")
    name = f"{image.get_name()}<b>&"
    rbd.RBD().clone(rbd_ioctx, image.get_name(), "before", rbd_ioctx, name)
    with rbd.Image(rbd_ioctx, name) as clone:
        for number in range(12):
            clone.create_snap(f"snapshot-{number}")
        text = clone._repr_html_()
        for number in range(12):
            clone.remove_snap(f"snapshot-{number}")
    rbd.RBD().remove(rbd_ioctx, name)
    image.unprotect_snap("before")
    assert f"{image.get_name()}@before" in text
    assert "and 2 more" in text
    assert "<b>" not in text
    assert "&lt;b&gt;&amp;" in text


def test_html_leaves_out_what_fails(rbd_ioctx: Any, rbd_image: rbd.Image) -> None:
    rbd_image.resize(0)
    assert "hold data" not in rbd_image._repr_html_()
    rbd_image.close()
    assert "closed" in rbd_image._repr_html_()


def test_html_does_not_ask_each_object_of_a_large_image(rbd_ioctx: Any) -> None:
    # Small objects, so that removing the image does not take long.
    rbd.RBD().create(rbd_ioctx, "large", 32 * MIB, 12, features=rbd.RBD_FEATURE_LAYERING)
    with rbd.Image(rbd_ioctx, "large") as image:
        assert "8192 of 4 KiB" in image._repr_html_()
        assert "hold data" not in image._repr_html_()
    rbd.RBD().remove(rbd_ioctx, "large")


def test_usage_draws_data_and_changes(image: rbd.Image) -> None:
    proof("matplotlib").use("agg")
    from matplotlib import pyplot

    def drawn(ax: Any) -> Dict[str, Any]:
        edges: Dict[str, Any] = {}
        for bars in ax.collections:
            boxes: List[Any] = [path.get_extents() for path in bars.get_paths()]
            edges[bars.get_label()] = [(box.x0 / MIB, box.width / MIB) for box in boxes]
        return edges

    ax = plot.usage(image)
    assert drawn(ax) == {"free": [(0, 64)], "data": [(0, 1), (32, 1)]}
    assert re.match(r"\d+ MiB", ax.xaxis.get_major_formatter()(32 * MIB))
    assert ax.get_title("left") == image.get_name()
    again = plot.usage(image, from_snapshot="before", ax=pyplot.subplots()[1])
    assert drawn(again) == {
        "free": [(0, 64)],
        "data": [(0, 1), (32, 1)],
        "changed since before": [(32, 1)],
        "freed since before": [(16, 1)],
    }
    pyplot.close("all")


def test_usage_refuses_wrong_arguments(image: rbd.Image) -> None:
    with pytest.raises(TypeError, match="not str"):
        plot.usage("image")  # type: ignore[arg-type]
    proof("matplotlib").use("agg")
    with pytest.raises(rbd.ImageNotFound):
        plot.usage(image, from_snapshot="nothing")
