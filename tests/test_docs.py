"""Every code block of the manual and of README does what it says, on a real cluster."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from rbd.testing import LocalCluster
from support import isolated, manual_pages

# A key derivation takes long on a busy machine, and a page may start several clusters.
SECONDS = 180


def page_id(page: Path) -> str:
    return page.relative_to(manual_pages.ROOT).with_suffix("").as_posix()


def run(page: Path, cluster: Any, directory: Path) -> isolated.Outcome:
    arguments = (str(page), cluster.conffile, str(directory))
    # Without Python's development mode, because pages start programs and threads.
    process = isolated.start(manual_pages.run_page, *arguments, timeout=SECONDS, development=False)
    return isolated.finish(process, SECONDS)


@pytest.mark.timeout(SECONDS + 30)
@pytest.mark.parametrize("page", manual_pages.pages(), ids=page_id)
def test_each_page_does_what_it_says(
    page: Path, rbd_cluster: Any, rbd_ioctx: Any, tmp_path: Path
) -> None:
    if not isinstance(rbd_cluster, LocalCluster):
        pytest.skip("the pages use the pools of a cluster as if they were alone on it")
    lacking = [need for need in manual_pages.needs(page) if manual_pages.missing(need)]
    if lacking:
        pytest.skip(f"the page needs {', '.join(lacking)}")
    outcome = run(page, rbd_cluster, tmp_path)
    assert outcome.status == 0, str(outcome)
    assert outcome.answer == sum(
        block.kind != "setup" and block.reason is None for block in manual_pages.blocks(page)
    )


GOOD = """# A page
<!-- setup
answer = 42
-->
```python
print(answer, "is it, at", id(answer))
```
```output
42 is it, at ...
```
Words, and `code`.
```console
$ echo one && \\
  echo two
one
t...
```
<!-- not run: it takes a week -->
```python
raise SystemExit("this was run")
```
```text
$ false
```
"""


def test_a_good_page_passes(rbd_cluster: Any, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(GOOD)
    assert [block.reason for block in manual_pages.blocks(page)] == [None] * 3 + ["it takes a week"]
    outcome = run(page, rbd_cluster, tmp_path)
    assert (outcome.status, outcome.answer) == (0, 2), str(outcome)


# A broken block, and the line that the report must name.
BROKEN = {
    "an exception": ("print(answer", "print(answr", "page.md:6"),
    "no syntax": ("print(answer", "print(", "page.md"),
    "another output": ("42 is it", "43 is it", "page.md:6"),
    "an unexpected output": ("42 is it, at ...", "", "page.md:6"),
    "a failing command": ("echo two", "false", "page.md:13"),
    "a command's other output": ("t...", "three", "page.md:13"),
    "an exit": ("print(answer", "raise SystemExit(3)  # ", "status 3"),
    "a failing test": ("print(", "def test_it(rbd_cluster):\n    assert not ", "page.md:6"),
    "a block that is run after all": ("<!-- not run: it takes a week -->", "", "this was run"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_block_fails_with_its_line(what: str, rbd_cluster: Any, tmp_path: Path) -> None:
    before, after, named = BROKEN[what]
    assert before in GOOD
    page = tmp_path / "page.md"
    page.write_text(GOOD.replace(before, after, 1))
    outcome = run(page, rbd_cluster, tmp_path)
    assert outcome.status != 0
    assert named in str(outcome).replace('page.md", line ', "page.md:")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("not run: it takes a week", "not run", "for no reason"),
        ("```text", "```", "no language"),
        ("```text", "```bash", "bash"),
        ("```console", "```output", "no block's"),
        ("```python\nraise", "```text\nraise", "needs no reason"),
    ],
)
def test_a_page_must_say_why_a_block_is_not_run(
    before: str, after: str, message: str, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    page.write_text(GOOD.replace(before, after, 1))
    with pytest.raises(manual_pages.PageError, match=rf"page\.md:\d+: .*{message}"):
        manual_pages.blocks(page)


def test_needs_of_a_page_are_checked(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- needs: rbd_open, sh, module json -->\n<!-- needs: module no_such -->\n")
    needs = manual_pages.needs(page)
    assert needs == ["rbd_open", "sh", "module json", "module no_such"]
    assert [need for need in [*needs, "no-such-program"] if manual_pages.missing(need)] == [
        "module no_such",
        "no-such-program",
    ]
