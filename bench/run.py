# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``./dev bench``: runs the cases, keeps their figures in .lab/bench, and puts them into docs/performance.md."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import List, Sequence

from lab.environment import ensure_venv
from lab.machine import ROOT, MachineError, state_dir
from lab.mirror.server import ensure_mirror
from lab.podman import NETWORK, ensure_network
from lab.say import say

from . import instruments, report
from .cases import CASES, Settings
from .contestants import collection, other, variant
from .records import Report, Run

DOCS = ROOT / "docs"


def bench(
    cases: Sequence[str],
    rounds: int,
    sizes: Sequence[int],
    others: Sequence[str],
    variants: Sequence[str],
    keep: bool,
    docs: bool,
) -> int:
    """Measure the named cases (all if none is named and the documentation is not asked for); gives the exit code."""
    unknown = [case for case in cases if case not in CASES]
    if unknown:
        raise MachineError(f"{unknown[0]} is no case: give some of {', '.join(CASES)}")
    folder = state_dir() / "bench"
    chosen: List[str] = list(cases) or ([] if docs else list(CASES))
    if chosen:
        # Also who ends it from outside finds no nodes left.
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
        venv = ensure_venv()
        playbooks = [collection(), *map(variant, variants), *map(other, others)]
        machine = instruments.machine(_ansible(str(venv / "bin" / "python")), _kubernetes())
        for case in chosen:
            say(f"{report.TITLES[case]} ...")
            settings = Settings(venv, playbooks, rounds, tuple(sizes))
            runs: List[Run] = []
            try:
                for run in CASES[case](settings):
                    runs.append(run)
                    # What was measured stays when the next run fails.
                    whole = report.save(Report(case, machine, runs), folder)
            finally:
                for ground in () if keep else settings.fields:
                    ground.remove()
            say("\n".join(report.lines(whole)))
        say(f"figures and pictures are in {folder.relative_to(ROOT)}")
    if docs:
        written = report.write_docs(folder, DOCS, list(CASES))
        say(f"written into docs/performance.md: {', '.join(written) or 'nothing, there are no figures'}")
    return 0


def _ansible(python: str) -> str:
    code = "import ansible.release; print(ansible.release.__version__)"
    return subprocess.run([python, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout.strip()


def _kubernetes() -> str:
    return ensure_mirror(NETWORK, ensure_network()).version
