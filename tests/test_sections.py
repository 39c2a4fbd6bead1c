"""Errors of loading, connecting and permissions name the section of the manual that helps."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Set, Tuple

import pytest

import rbd
from rbd import exceptions, rados

ROOT = Path(__file__).resolve().parents[1]
CONNECT = '"If it does not connect" in the manual, docs/start.md'
PERMISSIONS = '"Permissions" in the manual, docs/errors.md'


def named() -> Set[Tuple[str, str]]:
    """Return the sections that messages name, with their pages."""
    files = [*(ROOT / "cpp" / "src").rglob("*.cpp"), *(ROOT / "python" / "rbd").rglob("*.py")]
    text = "".join(path.read_text().replace('\\"', '"') for path in files)
    return set(re.findall(r'"([A-Z][^"]+)" in the manual, (docs/[\w/]+\.md)', text))


def test_the_named_sections_exist() -> None:
    assert len(named()) > 3
    for heading, page in named():
        lines = (ROOT / page).read_text().splitlines()
        assert {f"## {heading}", f"### {heading}"} & {*lines}, (heading, page)


@pytest.mark.parametrize(
    "environment", [{"RBD_LIBRARY": "/nowhere/librbd.so"}, {"RADOS_LIBRARY": "/nowhere/rados.so"}]
)
def test_a_missing_library_names_its_section(environment: Any) -> None:
    code = (
        "import rbd\ntry:\n    rbd.RBD().version()\nexcept rbd.LibraryNotFound as e:\n    print(e)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60
    )
    assert 'See "Install it" in the manual, docs/start.md.' in done.stdout, done.stderr


def test_a_missing_configuration_names_its_section(tmp_path: Path) -> None:
    with pytest.raises(rados.ObjectNotFound, match=re.escape(CONNECT)):
        rbd.connect(tmp_path / "ceph.conf")


@pytest.mark.parametrize("line", ["", "mon_host = 127.0.0.1:1\nauth_client_required = none"])
def test_a_failing_connection_names_its_section(line: str, tmp_path: Path) -> None:
    conf = tmp_path / "ceph.conf"
    conf.write_text(f"[global]\n{line}\n")
    with pytest.raises(rados.Error, match=re.escape(CONNECT)):
        rbd.connect(conf, timeout=1)


def test_an_unknown_key_names_its_section(rbd_cluster: Any) -> None:
    wrong = {"key": "AQAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA=="}
    with pytest.raises(rados.Error, match=re.escape(CONNECT)):
        rbd.connect(rbd_cluster.conffile, conf=wrong, timeout=10)


def test_a_missing_capability_names_its_section(rbd_cluster: Any, tmp_path: Path) -> None:
    key = rbd_cluster.command(
        "auth", "get-or-create-key", "client.reader", "mon", "profile rbd-read-only",
        "osd", "profile rbd-read-only",
    )  # fmt: skip
    conf = {"key": key.strip()}
    with (
        rbd.connect(rbd_cluster.conffile, name="client.reader", conf=conf) as cluster,
        cluster.open_ioctx(rbd_cluster.pools[0]) as ioctx,
    ):
        with pytest.raises(rbd.PermissionError, match=re.escape(PERMISSIONS)) as caught:
            rbd.RBD().create(ioctx, "not-allowed", 1 << 20)
        assert str(caught.value).startswith("[errno 1] RBD permission error (")
        with pytest.raises(rados.PermissionError, match=re.escape(PERMISSIONS)):
            ioctx.write_full("not-allowed", b"x")


def test_a_message_names_one_section() -> None:
    once = exceptions._image_error("error doing it", 1)
    assert str(once).count("in the manual") == 1
    again = rados._errno_to_exception  # the classes that the extension raises
    assert again[13] is rados.PermissionDeniedError
    told = f"error connecting to the cluster; see {CONNECT}"
    assert str(rados.exceptions._error(told, 13)).count("in the manual") == 1
    assert "manual" not in str(exceptions._image_error("error doing it", 2))
    assert "manual" not in str(rbd.make_ex(-1, "of a program"))
