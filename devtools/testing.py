# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All the tests: linters, unit tests, end-to-end tests, molecule scenarios, and one line of numbers at the end.

A part is one command. Parts with nodes run two at a time, because they could exceed their timeouts on a machine that is
busy with more of them. Parts without nodes run at the same time, also two at a time, with a lower priority: they use
the CPU time that parts with nodes leave while they wait. pytest parts count their tests from the junit file; a linter
or a molecule scenario counts as one test. The output of a part is kept in .lab/test/ and shown if the part fails.
"""

from __future__ import annotations

import concurrent.futures
import os
import pathlib
import re
import signal
import subprocess
import threading
import time
import xml.etree.ElementTree
from dataclasses import dataclass, field, replace
from typing import Dict, List, Optional, Sequence, Set, Tuple

from lab.environment import ensure_venv, tool_environment
from lab.machine import ROOT, MachineError, ensure, run, state_dir
from lab.say import duration, say

from . import molecule, oldest

GROUPS = ("lint", "unit", "e2e", "molecule")
# Modules of end-to-end tests that use the same nodes, in the order in which they build on each other. They are a part.
SHARING = ("main_job", "plan_truth", "application")
# Molecule scenarios that use the same nodes, in the order in which they build on each other. They are a part, too.
ROLES = "roles"
CHAIN = ("host", "kube_packages", "containerd", "control_plane", "join", "cni", "default")
# The parts that take longest begin first, so that nothing waits for them at the end.
LONGEST = ("faults", ROLES, "main_job", "upgrade", "secrets", "reset", "adopting", "preflight")
LONGEST_COMPUTING = ("unit", "attacks and fuzzing", "sanity", "node code on PyPy", "ansible-lint")
# The line that marks all tests of a module as thorough.
THOROUGH = "\npytestmark = pytest.mark.thorough\n"
# Those whose parts use nodes.
WITH_NODES = ("e2e", "molecule")
AT_ONCE = 2
# The other parts get about a tenth of a busy CPU. As long as parts with nodes run, they may take that much longer.
LOW_PRIORITY = ("nice", "-n", "10")
MORE_SECONDS = 1800.0
SHOWN_LINES = 400
# Begins the lines with figures that tests print at their end, see tests/e2e/figures.py.
FIGURE = "figure: "
# The unit tests in parts that take about as long as each other, each with the folders that it leaves to others.
UNIT = {
    "unit": ("tests/unit", "--ignore=tests/unit/hostile", "--ignore=tests/unit/fuzz"),
    "attacks and fuzzing": ("tests/unit/hostile", "tests/unit/fuzz"),
}
# What runs on the managed machines.
NODE_CODE = ("plugins/module_utils", "plugins/modules")
COLLECTION = ("python", "-m", "devtools.collection")


@dataclass(frozen=True)
class Part:
    """One command of the tests.

    ``junit`` is the file to which pytest writes its counts; ``seconds`` is the time limit of the part.
    """

    group: str
    name: str
    argv: Tuple[str, ...]
    junit: Optional[pathlib.Path] = None
    seconds: float = 1200.0
    environment: Tuple[Tuple[str, str], ...] = ()


@dataclass
class Counts:
    """How many tests passed, failed and were skipped."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: List[str] = field(default_factory=list)

    def add(self, other: Counts) -> None:
        """Add another part's counts."""
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures

    def line(self) -> str:
        """The line the tests end with."""
        text = f"{self.passed} passed, {self.failed} failed"
        return f"{text}, {self.skipped} skipped" if self.skipped else text


def scenarios(root: pathlib.Path = ROOT) -> List[str]:
    """The molecule scenarios."""
    return sorted(path.parent.name for path in root.glob("molecule/*/molecule.yml"))


def molecule_part(name: str) -> Part:
    """The command of one molecule scenario on nodes of its own."""
    return Part("molecule", name, molecule.argv(name), environment=tuple(molecule.environment(name).items()))


def molecule_parts(names: Sequence[str]) -> List[Part]:
    """The commands of scenarios: one for those that use the same nodes, and one for each of the others."""
    chain = [name for name in CHAIN if name in names]
    junit = state_dir() / "test" / "molecule.xml"
    argv = ("python", "-m", "devtools.molecule", "--junit", str(junit), *chain)
    together = [Part("molecule", ROLES, argv, junit, 1800)] if chain else []
    return together + [molecule_part(name) for name in names if name not in chain]


def parts(groups: Sequence[str]) -> List[Part]:
    """The commands of the named groups, in the order they run."""
    folder = state_dir() / "test"
    found: List[Part] = []
    if "lint" in groups:
        found += [
            Part("lint", "ruff check", ("ruff", "check", "."), seconds=120),
            Part("lint", "ruff format", ("ruff", "format", "--check", "."), seconds=120),
            Part("lint", "mypy", ("mypy",), seconds=300),
            Part("lint", "yamllint", ("yamllint", "--strict", "."), seconds=120),
            Part("lint", "shellcheck", ("shellcheck", "--severity=warning", *shell_scripts()), seconds=120),
            Part("lint", "node code is Python 3.8", ("vermin", "-t=3.8-", "--no-tips", "--quiet", *NODE_CODE)),
            Part("lint", "changelog", ("antsibull-changelog", "lint"), seconds=120),
            Part("lint", "ansible-lint", ("ansible-lint", "--offline", "--nocolor"), seconds=600),
            Part("lint", "importer", (*COLLECTION, "importer"), seconds=600),
            Part("lint", "sanity", (*COLLECTION, "sanity"), seconds=1800),
        ]
    if "unit" in groups:
        for name, chosen in UNIT.items():
            junit = folder / f"{name.replace(' ', '-')}.xml"
            found.append(Part("unit", name, ("pytest", "-q", f"--junitxml={junit}", *chosen), junit, 600))
        if oldest.folders():
            junit = folder / "oldest.xml"
            argv = ("python", "-m", "devtools.oldest", f"--junitxml={junit}")
            found.append(Part("unit", "node code on PyPy", argv, junit, 1200))
    if "e2e" in groups:
        for name in e2e_modules():
            junit = folder / f"e2e-{name}.xml"
            modules = SHARING if name == SHARING[0] else (name,)
            paths = [f"tests/e2e/test_{module}.py" for module in modules]
            found.append(Part("e2e", name, ("pytest", "-v", f"--junitxml={junit}", *paths), junit, 1800))
    if "molecule" in groups:
        found += molecule_parts(scenarios())
    return found


def longest_first(found: Sequence[Part]) -> List[Part]:
    """The parts in the order in which they begin."""
    order = [*LONGEST, *LONGEST_COMPUTING]
    return sorted(found, key=lambda part: order.index(part.name) if part.name in order else len(order))


def shell_scripts(root: pathlib.Path = ROOT) -> List[str]:
    """The files of the checkout that begin as a shell script does, of those that git knows or would add."""
    listed = run(["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root).stdout
    return [name for name in listed.split("\0") if name and _is_shell(root / name)]


def _is_shell(path: pathlib.Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as handle:
        return re.match(rb"#!.*\b(sh|bash)\s*$", handle.readline(200)) is not None


def e2e_modules(root: pathlib.Path = ROOT) -> List[str]:
    """The modules of end-to-end tests; of those that use the same nodes the first.

    Modules whose tests are all marked as thorough are left out.
    """
    paths = [path for path in root.glob("tests/e2e/test_*.py") if THOROUGH not in path.read_text(encoding="utf-8")]
    names = sorted(path.stem[len("test_") :] for path in paths)
    return [name for name in names if name not in SHARING[1:]]


def count_junit(text: str) -> Counts:
    """The counts in a junit file. A test with a failure and an error (in its teardown) counts once."""
    counts = Counts()
    for case in xml.etree.ElementTree.fromstring(text).iter("testcase"):
        name = f"{case.get('classname', '')}::{case.get('name', '')}"
        if case.find("failure") is not None or case.find("error") is not None:
            counts.failed += 1
            counts.failures.append(name)
        elif case.find("skipped") is not None:
            counts.skipped += 1
        else:
            counts.passed += 1
    return counts


def counts_of(part: Part, code: int) -> Counts:
    """The counts of a finished part. A part that ended badly counts at least one failure."""
    counts = Counts()
    if part.junit is not None and part.junit.exists():
        counts = count_junit(part.junit.read_text(encoding="utf-8"))
        if code != 0 and counts.failed == 0:
            counts.failed, counts.failures = 1, [f"{part.name} (ended with code {code})"]
        elif code == 0 and counts.passed + counts.failed == 0:
            counts.failed, counts.failures = 1, [f"{part.name} (ran no test)"]
    elif code == 0 and part.junit is None:
        counts.passed = 1
    else:
        counts.failed, counts.failures = 1, [f"{part.group} {part.name}"]
    return counts


# The processes that run now; single operations of a set are safe between threads.
RUNNING: Set[subprocess.Popen[bytes]] = set()
# So that the output of one part is in one piece.
_SAYING = threading.Lock()


def run_part(part: Part, environment: Dict[str, str]) -> Counts:
    """Run one part without a terminal or stdin, and print its result; its output only when it failed."""
    folder = state_dir() / "test"
    folder.mkdir(parents=True, exist_ok=True)
    if part.junit is not None:
        part.junit.unlink(missing_ok=True)
    log = folder / f"{part.group}-{part.name.replace(' ', '-')}.log"
    title = part.name if part.name == part.group else f"{part.group}: {part.name}"
    say(f"{title} ...")
    began = time.monotonic()
    with open(log, "wb") as stream:
        process = subprocess.Popen(
            part.argv,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env={**environment, **dict(part.environment)},
            start_new_session=True,
        )
        RUNNING.add(process)
        try:
            code = process.wait(timeout=part.seconds)
        except BaseException as err:
            _end(process)
            if not isinstance(err, subprocess.TimeoutExpired):
                raise
            code = 124
            stream.write(f"\n{title} did not finish within {duration(part.seconds)}\n".encode())
        finally:
            RUNNING.discard(process)
    counts = counts_of(part, code)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    with _SAYING:
        if counts.failed:
            if len(lines) > SHOWN_LINES:
                say(f"[the last {SHOWN_LINES} of {len(lines)} lines; all are in {os.path.relpath(log)}]")
            lines = lines[-SHOWN_LINES:]
        for line in lines:
            if counts.failed or line.startswith(FIGURE):
                say(line)
        say(f"{title}: {counts.line()} ({duration(time.monotonic() - began)})")
    return counts


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a part with everything it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=10)
            return
        except subprocess.TimeoutExpired:
            continue
        except ProcessLookupError:
            return


def run_all(groups: Optional[Sequence[str]] = None) -> int:
    """Run the groups, all if none is named, and print the numbers as the last line; the exit code."""
    chosen = list(groups or GROUPS)
    unknown = [group for group in chosen if group not in GROUPS]
    if unknown:
        raise MachineError(f"{unknown[0]} is not a part of the tests; give {', '.join(GROUPS)}")
    began = time.monotonic()
    ensure("git")
    return _run(parts(chosen), began)


def run_molecule(names: Sequence[str]) -> int:
    """Run the named molecule scenarios, or all; the exit code."""
    there = scenarios()
    missing = [name for name in names if name not in there]
    if missing:
        raise MachineError(f"molecule/{missing[0]} does not exist; the scenarios are {' '.join(there) or 'none'}")
    return _run([molecule_part(name) for name in names] or molecule_parts(there), time.monotonic())


def _run(chosen: Sequence[Part], began: float) -> int:
    environment = tool_environment(ensure_venv())
    total = Counts()
    for counts in run_together(lanes(chosen), AT_ONCE, environment):
        total.add(counts)
    for name in total.failures:
        say(f"failed: {name}")
    say(f"all tests took {duration(time.monotonic() - began)}")
    say(total.line())
    return 1 if total.failed or not total.passed else 0


def lanes(chosen: Sequence[Part]) -> List[List[Part]]:
    """The parts without nodes and the parts with nodes, each in the order in which they begin."""
    with_nodes = longest_first([part for part in chosen if part.group in WITH_NODES])
    computing = longest_first([part for part in chosen if part.group not in WITH_NODES])
    return [[yielding(part) for part in computing] if with_nodes else computing, with_nodes]


def yielding(part: Part) -> Part:
    """The same part with a lower priority and more time."""
    return replace(part, argv=(*LOW_PRIORITY, *part.argv), seconds=part.seconds + MORE_SECONDS)


def run_together(chosen: Sequence[Sequence[Part]], at_once: int, environment: Dict[str, str]) -> List[Counts]:
    """Run several lists of parts at the same time, ``at_once`` parts of each in order, and return their counts.

    When this is interrupted, the parts that run are ended and no others start.
    """
    pools = [concurrent.futures.ThreadPoolExecutor(at_once) for _lane in chosen]
    try:
        futures = [pools[at].submit(run_part, part, environment) for at, lane in enumerate(chosen) for part in lane]
        done, _waiting = concurrent.futures.wait(futures, return_when=concurrent.futures.FIRST_EXCEPTION)
        for future in done:
            future.result()
        return [future.result() for future in futures]
    except BaseException:
        for pool in pools:
            pool.shutdown(wait=False, cancel_futures=True)
        for process in list(RUNNING):
            _end(process)
        raise
    finally:
        for pool in pools:
            pool.shutdown()
