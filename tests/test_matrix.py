"""The logic of the release matrix: what it counts, what it calls a problem, and what it shows."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from tools import (
    architectures,
    floors,
    foreign,
    left_out,
    matrix,
    mirrors,
    results,
    roots,
    sdists,
    upgrade,
    wheel,
    wheels,
)

REPORT = """<testsuites><testsuite>
<testcase classname="tests.test_a" name="test_good"/>
<testcase classname="tests.test_a" name="test_bad"><failure message="no"/></testcase>
<testcase classname="tests.test_a" name="test_broken"><error message="no"/></testcase>
<testcase classname="tests.test_b" name="test_new"><skipped message="needs rbd_clone4"/></testcase>
<testcase classname="tests.test_b" name="test_new2"><skipped message="needs rbd_clone4"/></testcase>
</testsuite></testsuites>"""


def good_result(**changes: Any) -> results.Result:
    """Return a good result, with changes."""
    fields: dict[str, Any] = {
        "ceph": "14.2",
        "name": "Nautilus",
        "suite": "bullseye",
        "python": "3.9",
        "librbd": "1.12.0",
        "status": "tested",
        "librbd_version": "1.12.0",
        "passed": 3,
        "missing": ["rbd_clone4"],
    }
    return results.Result(**{**fields, **changes})


def test_a_report_is_counted(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    result = good_result(passed=0)
    results.read_report(result, report)
    assert (result.passed, result.failed, result.skipped) == (1, 2, 2)
    assert result.skips == {"needs rbd_clone4": 2}
    assert result.failures == ["tests.test_a::test_bad", "tests.test_a::test_broken"]


def test_a_good_result_has_no_problem() -> None:
    assert good_result(skips={"needs rbd_clone4": 2}).problems() == []
    assert good_result(skips={"could not import 'torch': No module": 1}).problems() == []
    assert good_result(status="unreachable", passed=0).problems() == []


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"failures": ["a::b"]}, "a::b"),
        ({"skips": {"needs rbd_open": 1}}, "rbd_open"),
        ({"skips": {"no daemon": 1}}, "no daemon"),
        ({"status": "hung"}, "hung"),
        ({"librbd_version": "1.16.0"}, "1.16.0"),
        ({"passed": 0}, "no test"),
    ],
)
def test_each_problem_is_named(changes: dict[str, Any], word: str) -> None:
    problems = good_result(**changes).problems()
    assert len(problems) == 1
    assert word in problems[0]


def test_a_run_is_kept_and_shown(tmp_path: Path) -> None:
    file = "rbd-1.0-cp39-cp39-manylinux_2_31_x86_64.whl"
    one = results.Wheel(file, 2_500_000, [good_result()])
    releases = [good_result(), good_result(status="unreachable", suite="sid")]
    older = good_result(suite="forky", librbd_version="1.12.0", ceph_version="20.2.1", skipped=4)
    free = good_result(python_version="3.14.7", ceph_version="20.2.2", gil=False)
    oldest = results.Floors({"cmake": "3.18.4", "pybind11": "3.0.0"}, good_result())
    emulated = good_result(suite="bookworm-arm64", skips={"left out: too slow": 2}, skipped=3)
    arm = results.Architecture("aarch64", True, ["rbd-1.0.tar.gz"], emulated)
    published = [
        results.Published(
            "cp39", "x86_64", "rbd-1.0-cp39-cp39-manylinux2014_x86_64.manylinux_2_17_x86_64.whl", 9
        ),
        results.Published("cp310", "x86_64", reason="no interpreter"),
        results.Published("cp39", "aarch64", problems=["no compiler"]),
    ]
    run = results.Run(releases, one, older, free, oldest, [arm], published)
    kept, page = tmp_path / "data" / "matrix.json", tmp_path / "README.md"
    page.write_text(f"before\n{results.BEGIN}\nreplaced\n{results.END}\nafter\n")
    run.save(kept, page)
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "replaced" not in text
    assert "| 14.2 Nautilus | 1.12.0 | bullseye | 3.9 | 1 | 3 / 0 / 0 | 3 / 0 / 0 |" in text
    assert "| sid | 3.9 |  | unreachable |  |" in text
    assert "cp39" in text
    assert "2.50 MB" in text
    assert "over librbd 1.12.0 (`RBD_LIBRARY`) on Debian forky, with Ceph 20.2.1: 3 / 4 / 0" in text
    assert "Free-threaded CPython 3.14.7 with Ceph 20.2.2: 3 / 0 / 0" in text
    assert "Debian bullseye (CMake 3.18.4, pybind11 3.0.0): 3 / 0 / 0." in text
    assert "| bookworm, aarch64 (emulated) | 3.9 | 1 | core: 3 / 1 / 0 |  |" in text
    assert "Left out on aarch64 (emulated): 2 (too slow)." in text
    assert "| x86_64 | glibc 2.17 | - |" in text
    assert "| aarch64 | failed |  |" in text
    assert "Not built without containers: cp310-x86_64 (no interpreter)." in text
    assert results.load(kept) == run
    assert run.into(text) == text
    # A run of one part keeps what is known of the others.
    again = results.Run([good_result(passed=7)])
    results.keep(again, ["releases"], kept, page)
    # So does a run of one release.
    again.releases.append(releases[1])
    others = (oldest, [arm], published)
    assert results.load(kept) == results.Run(again.releases, one, older, free, *others)
    assert "7 / 0 / 0" in page.read_text()
    results.keep(results.Run([], one, older, older), ["free-threading"], kept, page)
    assert results.load(kept) == results.Run(again.releases, one, older, older, *others)
    results.keep(results.Run([]), ["architectures", "wheels"], kept, page)
    assert results.load(kept) == results.Run(again.releases, one, older, older, oldest)


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(roots.RootError, match="no place"):
        results.Run([]).into("nothing here")


def test_problems_of_wheels_count_but_skips_do_not() -> None:
    skipping = good_result(skips={"no stock module": 1})
    one = results.Wheel("w.whl", 1, [skipping])
    assert results.Run([good_result()], one).problems() == []
    assert len(results.Run([skipping], one).problems()) == 1
    one.problems.append("is not stripped")
    one.results.append(good_result(failures=["a::b"]))
    assert results.Run([good_result()], one).problems() == [
        "w.whl: is not stripped",
        "w.whl on Ceph 14.2: failed: a::b",
    ]


def test_a_wheel_that_is_not_built_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(name: str) -> None:
        raise roots.RootError(f"no {name}")

    monkeypatch.setattr(roots, "make", refuse)
    made, python = matrix.make_wheel(tmp_path / "sdist", tmp_path)
    assert python is None
    assert results.Run([], made).problems() == ["no wheel: no bare"]


def test_problems_of_the_other_parts_count() -> None:
    run = results.Run([], older=good_result(librbd_version="1.20.0"))
    assert run.problems() == [
        "librbd 1.12.0 on bullseye: has librbd 1.20.0, the data file says 1.12.0"
    ]
    run = results.Run([], free_threading=good_result(gil=False, skips={"no wheel": 1}))
    assert run.problems() == []
    run.free_threading = good_result(gil=True, failures=["a::b"])
    assert run.problems() == [
        "free-threading: failed: a::b",
        "free-threading: the lock is on once rbd is imported",
    ]

    run = results.Run([], floors=results.Floors({}, problems=["the build failed: no"]))
    assert run.problems() == ["oldest tools: the build failed: no"]
    run.floors = results.Floors({}, good_result(failures=["a::b"]))
    assert run.problems() == ["oldest tools: failed: a::b"]

    arm = results.Architecture("aarch64", True, [], good_result(failures=["a::b"]))
    made = results.Published("cp39", "aarch64", problems=["is not stripped"])
    run = results.Run([], architectures=[arm], wheels=[made])
    assert run.problems() == [
        "aarch64: failed: a::b",
        "wheel cp39-aarch64: is not stripped",
    ]


def test_the_oldest_tools_are_the_declared_ones() -> None:
    page = floors.PYPROJECT.read_text()
    oldest = floors.declared(page)
    assert sorted(oldest) == ["cmake", "pybind11", "scikit-build-core"]
    assert sorted(floors.declared(floors.RADOS_PYPROJECT.read_text())) == ["setuptools"]
    cmake = (roots.REPOSITORY / "CMakeLists.txt").read_text()
    assert cmake.startswith(f"cmake_minimum_required(VERSION {oldest['cmake']}...")
    assert f"find_package(pybind11 {oldest['pybind11']} " in cmake
    # A higher floor is the one that is tested.
    raised = page.replace(f"pybind11>={oldest['pybind11']}", "pybind11>=3.0.9")
    assert floors.declared(raised)["pybind11"] == "3.0.9"
    assert [floors.exact(version) for version in ("3", "0.10", "3.0.4")] == [
        "3.0.0",
        "0.10.0",
        "3.0.4",
    ]


def test_core_names_only_existing_files() -> None:
    named = [*wheel.CORE]
    for one in foreign.architectures():
        named += [*architectures.topics(one)]
        named += [f"tests/{test.split('::')[0]}" for test in one.left_out]
    assert [name for name in named if not (roots.REPOSITORY / name).exists()] == []


def test_an_architecture_has_a_root_and_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    arm = next(one for one in foreign.architectures() if one.machine == "aarch64")
    assert arm.root == "bookworm-arm64"
    assert arm.root_of("forky") == "forky-arm64"
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert arm.compilers()["CXX"] == "/opt/cross/usr/bin/aarch64-linux-gnu-g++"
    assert "g++" not in foreign.packages(arm, arm.suite)
    assert "librbd-dev" in foreign.packages(arm, arm.suite)
    assert "librbd-dev" not in foreign.packages(arm, "forky")
    assert "RBD_TEST_PATIENCE" in architectures.settings(arm)
    # The same command on such a machine needs no emulator.
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    assert not arm.compilers()
    assert "g++" in foreign.packages(arm, arm.suite)
    assert sorted(architectures.settings(arm)) == ["RBD_TEST_LEFT_OUT", "RBD_TEST_SECONDS"]


def test_omitted_tests_are_counted_by_their_reason(tmp_path: Path) -> None:
    (tmp_path / "test_some.py").write_text(
        "import pytest\n"
        "@pytest.mark.timeout(0.01)\n"
        "def test_good(): __import__('time').sleep(0.5)\n"
        "def test_slow(): assert False\n"
        "def test_slow_too(): assert False\n"
    )
    reasons = {"test_some.py::test_slow": results.LEFT_OUT + "too slow"}
    report = tmp_path / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", left_out.__name__, "-p", "no:rbd"]
    done = subprocess.run(
        [
            *command,
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
            "--rootdir",
            tmp_path,
            tmp_path,
        ],
        env={
            "PYTHONPATH": str(roots.REPOSITORY),
            "RBD_TEST_LEFT_OUT": json.dumps(reasons),
            "RBD_TEST_SECONDS": "60",
        },
        check=False,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stdout
    result = good_result(passed=0)
    results.read_report(result, report)
    assert result.left_out() == {"too slow": 2}
    assert result.counts() == "1 / 0 / 0"


def test_wheels_are_the_configured_ones() -> None:
    page = floors.PYPROJECT.read_text()
    every = wheels.configured(page)
    assert ("cp39", "x86_64") in every
    assert ("cp314t", "aarch64") in every
    assert len(every) == 14
    named = [one.name for one in wheels.builders(["cp39-x86_64", "cp314t-aarch64"])]
    assert named == ["cp39-x86_64", "cp314t-aarch64"]
    assert wheels.version_of("cp310") == "3.10"
    assert wheels.version_of("cp314t") == "3.14"
    # Each wheel has an interpreter, or says why not.
    for one in wheels.builders():
        assert bool(one.interpreter) != bool(one.missing), one
    with pytest.raises(roots.RootError, match="cp27-x86_64"):
        wheels.builders(["cp27-x86_64"])
    assert wheels.own_interpreter("2.0") == ""


def test_an_older_wheel_differs_in_its_version_and_a_module(tmp_path: Path) -> None:
    name = "rbd-1.0-cp39-cp39-manylinux_2_31_x86_64.whl"
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        archive.writestr("rbd/__init__.py", "text")
        archive.writestr("rbd-1.0.dist-info/METADATA", "Name: rbd\nVersion: 1.0\n\nVersion: 1.0")
        archive.writestr("rbd-1.0.dist-info/RECORD", "old")
    made = upgrade.older(tmp_path / name, tmp_path / "older")
    assert made.name == name.replace("1.0", upgrade.OLDER)
    with zipfile.ZipFile(made) as archive:
        files = {member: archive.read(member).decode() for member in archive.namelist()}
    info = f"rbd-{upgrade.OLDER}.dist-info"
    assert sorted(files) == [
        f"{info}/METADATA",
        f"{info}/RECORD",
        "rbd/__init__.py",
        upgrade.GONE,
    ]
    assert files[f"{info}/METADATA"] == f"Name: rbd\nVersion: {upgrade.OLDER}\n\nVersion: 1.0"
    listed = [line.split(",")[0] for line in files[f"{info}/RECORD"].splitlines()]
    assert sorted(listed) == sorted(files)


def test_a_workflow_runs_every_part() -> None:
    page = (roots.REPOSITORY / ".github/workflows/matrix.yml").read_text()
    named = re.search(r"part: \[(.*)\]", page)
    assert named
    assert sorted(named[1].split(", ")) == sorted(matrix.PARTS)


def make_archive(path: Path, files: dict[str, str]) -> Path:
    """Write an sdist of text files."""
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(f"rbd-1.0/{name}")
            member.size = len(text)
            member.mode = 0o755
            archive.addfile(member, io.BytesIO(text.encode()))
    return path


def test_unpacking_again_changes_only_changed_files(tmp_path: Path) -> None:
    target = tmp_path / "source"
    sdists.unpack(make_archive(tmp_path / "1", {"same": "s", "a/new": "1", "gone": "g"}), target)
    (target / "build").mkdir()
    (target / "build" / "kept").touch()
    before = {name: (target / name).stat().st_mtime_ns for name in ("same", "a/new")}
    sdists.unpack(make_archive(tmp_path / "2", {"same": "s", "a/new": "2"}), target)
    assert (target / "same").stat().st_mtime_ns == before["same"]
    assert (target / "a/new").stat().st_mtime_ns > before["a/new"]
    assert (target / "a/new").read_text() == "2"
    assert (target / "same").stat().st_mode & 0o777 == 0o755
    assert not (target / "gone").exists()
    assert (target / "build" / "kept").exists()


def test_an_unknown_release_is_refused() -> None:
    assert [one.ceph for one in matrix.chosen(["bullseye"])] == ["14.2"]
    assert matrix.chosen([]) == roots.releases()
    with pytest.raises(roots.RootError, match=r"'12\.2'"):
        matrix.chosen(["12.2"])


def test_package_sources_are_read_in_both_formats(tmp_path: Path) -> None:
    (tmp_path / "sources.list").write_text(
        "# deb http://first/no x main\n"
        "deb [arch=amd64] http://first/debian/ bookworm main contrib\n"
        "deb-src http://first/debian bookworm main\n"
    )
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d" / "more.sources").write_text(
        "Types: deb\nURIs: http://second/debian-security\n# a remark\nSuites: bookworm-security\n"
        "\nTypes: deb\nEnabled: no\nURIs: http://third/debian\nSuites: sid\n"
    )
    assert mirrors.apt_sources(tmp_path) == [
        mirrors.Source("http://first/debian", ("bookworm",)),
        mirrors.Source("http://second/debian-security", ("bookworm-security",)),
    ]


def test_local_files_of_pip_are_found(tmp_path: Path) -> None:
    index = tmp_path / "index" / "simple"
    wheels = tmp_path / "wheels"
    index.mkdir(parents=True)
    wheels.mkdir()
    constraints = tmp_path / "pip" / "constraints.txt"
    constraints.parent.mkdir()
    constraints.touch()
    settings = [f"file://{index} https://index/simple", str(wheels), "/absent/dir", "180"]
    settings.append(str(constraints))
    assert mirrors.pip_paths(settings) == [index.parent, constraints, wheels]


def test_a_root_has_separate_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("bundle", "other"):
        (tmp_path / name).touch()
        monkeypatch.setenv(f"PIP_{name.upper()}", str(tmp_path / name))
    monkeypatch.setattr(roots, "BUNDLE", tmp_path / "bundle")
    script = roots.inside(tmp_path / "root", ["true"])[-1]
    assert f"mount --bind {tmp_path}/other" in script
    assert f"{tmp_path}/bundle" not in script


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc", "-x"])
def test_a_root_name_cannot_leave_its_directory(name: str) -> None:
    with pytest.raises(roots.RootError, match="name"):
        roots.root_of(name)
