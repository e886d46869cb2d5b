# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How test results are counted."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from devtools import testing
from devtools.testing import Counts, Part
from lab.machine import MachineError

JUNIT = """<?xml version="1.0"?><testsuites><testsuite name="pytest" tests="4">
<testcase classname="a" name="good"/>
<testcase classname="a" name="bad"><failure message="x">y</failure></testcase>
<testcase classname="a" name="twice"><failure message="x"/><error message="z"/></testcase>
<testcase classname="a" name="not"><skipped message="s"/></testcase>
</testsuite></testsuites>"""


def test_junit_files_are_counted_by_test() -> None:
    counts = testing.count_junit(JUNIT)
    assert (counts.passed, counts.failed, counts.skipped) == (1, 2, 1)
    assert counts.failures == ["a::bad", "a::twice"]


def test_the_line_names_skipped_tests_only_when_there_are_any() -> None:
    assert Counts(3, 0, 0).line() == "3 passed, 0 failed"
    assert Counts(3, 1, 2).line() == "3 passed, 1 failed, 2 skipped"


def test_a_part_that_ends_badly_without_a_failed_test_is_a_failure(tmp_path: Path) -> None:
    junit = tmp_path / "j.xml"
    junit.write_text('<testsuite><testcase classname="a" name="good"/></testsuite>', encoding="utf-8")
    part = Part("unit", "unit", ("pytest",), junit)
    assert testing.counts_of(part, 0).line() == "1 passed, 0 failed"
    assert testing.counts_of(part, 3).line() == "1 passed, 1 failed"
    junit.write_text("<testsuite/>", encoding="utf-8")
    assert testing.counts_of(part, 0).line() == "0 passed, 1 failed"
    junit.unlink()
    assert testing.counts_of(part, 0).line() == "0 passed, 1 failed"


def test_a_linter_is_one_test() -> None:
    part = Part("lint", "mypy", ("mypy",))
    assert testing.counts_of(part, 0).line() == "1 passed, 0 failed"
    assert testing.counts_of(part, 1).line() == "0 passed, 1 failed"


def test_every_scenario_is_in_one_part(tmp_path: Path) -> None:
    for name in ("default", "host", "zebra"):
        folder = tmp_path / "molecule" / name
        folder.mkdir(parents=True)
        (folder / "molecule.yml").touch()
    assert testing.scenarios(tmp_path) == ["default", "host", "zebra"]
    together, alone = testing.molecule_parts(testing.scenarios(tmp_path))
    assert together.name == testing.ROLES and together.argv[-2:] == ("host", "default")
    assert alone.name == "zebra" and alone.argv[-1] == "zebra"
    assert {"preflight", *testing.CHAIN} == set(testing.scenarios())


def test_scenarios_of_two_checkouts_share_no_state() -> None:
    environment = dict(testing.molecule_part("host").environment)
    assert testing.ROOT in Path(environment["MOLECULE_EPHEMERAL_DIRECTORY"]).parents
    assert environment["MOLECULE_GLOB"] == "molecule/host/molecule.yml"
    assert testing.molecule.CONFIG.exists()


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(testing, "state_dir", lambda: tmp_path)
    return tmp_path


def test_the_output_of_a_failing_part_is_shown(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = Part("lint", "it", (sys.executable, "-c", "print('because'); raise SystemExit(3)"))
    assert testing.run_part(part, dict(os.environ)).line() == "0 passed, 1 failed"
    assert "because" in capsys.readouterr().out


def test_a_part_has_no_stdin_and_is_quiet_when_it_passes(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = Part("lint", "it", (sys.executable, "-c", "import sys; print('noise'); sys.exit(len(sys.stdin.read()))"))
    assert testing.run_part(part, dict(os.environ)).line() == "1 passed, 0 failed"
    assert "noise" not in capsys.readouterr().out


def test_a_part_that_hangs_is_ended_and_failed(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = Part("lint", "it", (sys.executable, "-c", "import time; time.sleep(60)"), seconds=0.5)
    assert testing.run_part(part, dict(os.environ)).line() == "0 passed, 1 failed"
    assert "did not finish within 0.5 s" in capsys.readouterr().out


def test_a_part_that_is_unknown_is_refused() -> None:
    with pytest.raises(MachineError, match="chaos is not a part"):
        testing.run_all(["chaos"])


def test_parts_with_nodes_run_two_at_a_time(state: Path, tmp_path: Path) -> None:
    """Each ends only when the other has begun."""
    script = (
        "import pathlib, sys, time\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "end = time.monotonic() + 60\n"
        "while not pathlib.Path(sys.argv[2]).exists():\n"
        "    assert time.monotonic() < end\n"
        "    time.sleep(0.01)\n"
    )
    files = (str(tmp_path / "a"), str(tmp_path / "b"))
    both = [
        Part("molecule", "a", (sys.executable, "-c", script, *files)),
        Part("molecule", "b", (sys.executable, "-c", script, *reversed(files))),
    ]
    assert [counts.line() for counts in testing.run_together([both], 2, dict(os.environ))] == ["1 passed, 0 failed"] * 2


def test_what_runs_is_ended_when_the_tests_are(state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = tmp_path / "begun"
    sleeper = Part("molecule", "a", (sys.executable, "-c", f"open({str(begun)!r}, 'w'); import time; time.sleep(600)"))
    real = testing.run_part

    def interrupted(part: Part, environment: dict[str, str]) -> Counts:
        if part is sleeper:
            return real(part, environment)
        while not begun.exists() or not testing.RUNNING:
            time.sleep(0.01)
        raise KeyboardInterrupt

    monkeypatch.setattr(testing, "run_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        testing.run_together([[Part("molecule", "b", ("true",))], [sleeper]], 2, dict(os.environ))
    assert not testing.RUNNING


def test_modules_of_which_all_tests_are_thorough_are_no_part(tmp_path: Path) -> None:
    folder = tmp_path / "tests" / "e2e"
    folder.mkdir(parents=True)
    for name in ("faults", "lab", *testing.SHARING):
        (folder / f"test_{name}.py").touch()
    (folder / "test_rare.py").write_text(f'"""Rare."""\n{testing.THOROUGH}')
    assert testing.e2e_modules(tmp_path) == ["faults", "lab", "main_job"]
    assert "systems" not in testing.e2e_modules()


def test_modules_that_use_the_same_nodes_are_one_part() -> None:
    (part,) = [part for part in testing.parts(["e2e"]) if part.name == testing.SHARING[0]]
    assert part.argv[-len(testing.SHARING) :] == tuple(f"tests/e2e/test_{name}.py" for name in testing.SHARING)
    assert all((testing.ROOT / path).is_file() for path in part.argv[-len(testing.SHARING) :])


def test_the_parts_that_take_longest_begin_first() -> None:
    found = testing.parts(testing.GROUPS)
    names = [part.name for part in testing.longest_first(found)]
    assert sorted(names) == sorted(part.name for part in found)
    order = [*testing.LONGEST, *testing.LONGEST_COMPUTING]
    assert list(dict.fromkeys(names))[: len(order)] == order


def test_parts_without_nodes_yield_to_those_with_nodes() -> None:
    parts = [Part("lint", "quick", ("true",)), Part("molecule", "node", ("true",)), Part("unit", "unit", ("true",))]
    computing, with_nodes = testing.lanes(parts)
    assert [part.name for part in computing] == ["unit", "quick"] and with_nodes == [parts[1]]
    assert all(part.argv == (*testing.LOW_PRIORITY, "true") for part in computing)
    assert [part.seconds - parts[0].seconds for part in computing] == [testing.MORE_SECONDS] * 2


def test_without_nodes_there_is_nothing_to_yield_to() -> None:
    parts = [Part("lint", "quick", ("true",)), Part("unit", "unit", ("true",))]
    assert testing.lanes(parts) == [[parts[1], parts[0]], []]


def test_a_lower_priority_is_one(state: Path, tmp_path: Path) -> None:
    file = tmp_path / "priority"
    script = f"import os; open({str(file)!r}, 'w').write(str(os.getpriority(os.PRIO_PROCESS, 0)))"
    part = testing.yielding(Part("lint", "it", (sys.executable, "-c", script)))
    assert testing.run_part(part, dict(os.environ)).line() == "1 passed, 0 failed"
    own = os.getpriority(os.PRIO_PROCESS, 0)
    assert int(file.read_text(encoding="utf-8")) == min(own + 10, 19)


WAITS_FOR_FILE = """\
import pathlib, sys, time
end = time.monotonic() + 60
while not pathlib.Path(sys.argv[1]).exists():
    assert time.monotonic() < end
    time.sleep(0.01)
"""


def test_parts_with_and_without_nodes_run_at_the_same_time(state: Path, tmp_path: Path) -> None:
    """With one of each list at once, the first part ends only when the first of the other list has begun."""
    file = str(tmp_path / "begun")
    first = Part("lint", "a", (sys.executable, "-c", WAITS_FOR_FILE, file))
    counts = testing.run_together([[first], [Part("molecule", "b", ("touch", file))]], 1, dict(os.environ))
    assert [count.line() for count in counts] == ["1 passed, 0 failed"] * 2


def test_parts_do_not_wait_for_each_other(state: Path, tmp_path: Path) -> None:
    """The first part ends when the third has begun, after the second."""
    file = str(tmp_path / "begun")
    first = Part("molecule", "a", (sys.executable, "-c", WAITS_FOR_FILE, file))
    others = [Part("lint", "b", ("true",)), Part("lint", "c", ("touch", file))]
    counts = testing.run_together([[first, *others]], 2, dict(os.environ))
    assert [count.line() for count in counts] == ["1 passed, 0 failed"] * 3


def test_every_shell_script_of_the_checkout_is_checked() -> None:
    found = set(testing.shell_scripts())
    assert {"lab/stand_ins/crictl", "lab/package_files/kubelet.postinst", "bench/by_hand/run.sh", ".ci/run"} <= found
    assert "dev" not in found
    listed = {str(path.relative_to(testing.ROOT)) for path in (testing.ROOT / "lab/stand_ins").iterdir()}
    assert {name for name in listed if "." not in name and "__" not in name} <= found


def test_node_code_is_tested_wherever_its_tests_are(tmp_path: Path) -> None:
    for name in ("tests/unit/plugins/module_utils/core", "tests/unit/lab"):
        (tmp_path / name).mkdir(parents=True)
    assert testing.oldest.folders(tmp_path) == ["tests/unit/plugins/module_utils"]


def test_every_unit_test_is_in_one_part() -> None:
    given = [word for words in testing.UNIT.values() for word in words]
    ignored = {word.partition("=")[2] for word in given if word.startswith("--ignore=")}
    assert set(given) == {"tests/unit"} | ignored | {f"--ignore={folder}" for folder in ignored}
    assert len(given) == len(set(given)) and all((testing.ROOT / folder).is_dir() for folder in ignored)
