"""The example of backups is safe at each of its steps."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rbd

STEPS = next(Path(__file__).parent.rglob("backup_steps.py"))


@pytest.fixture
def steps(rbd_cluster: Any, rbd_ioctx: Any, rbd_image: rbd.Image, tmp_path: Path) -> Any:
    rbd_image.write(b"data" * 1000, 1 << 20)
    name = rbd_image.get_name()
    rbd_image.close()
    place = [rbd_cluster.conffile, rbd_ioctx.get_pool_name(), rbd_ioctx.get_namespace(), name]

    def run(kind: str) -> str:
        command = [sys.executable, str(STEPS), kind, *map(str, place), str(tmp_path / "chain")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=800, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_backup_killed_at_any_step_stays_usable(steps: Any) -> None:
    said = steps("kill")
    killed = dict(re.findall(r"killed (\d+) (\w+)", said))
    assert {kind: int(number) >= 5 for number, kind in killed.items()} == dict.fromkeys(
        ("saves", "merges", "restores"), True
    ), said


@pytest.mark.timeout(300)
def test_a_backup_survives_a_power_cut_at_any_line(steps: Any) -> None:
    steps("power")
