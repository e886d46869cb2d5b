# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``./dev bench``: runs the cases, keeps their figures in .lab/bench, and writes them into docs/performance.md."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from typing import List

from lab.environment import ensure_venv
from lab.machine import ROOT, MachineError, ensure, state_dir
from lab.mirror.server import ensure_mirror
from lab.podman import NETWORK, ensure_network
from lab.say import say

from . import conditions, instruments, page, report
from .cases import CASES, Settings
from .contestants import collection, other, variant
from .records import Report, Run

DOCS = ROOT / "docs"


def bench(options: argparse.Namespace) -> int:
    """Measure and document as the options say, see :mod:`.arguments`; returns the exit code.

    Without a case, all are measured, unless only the documentation is requested.
    """
    unknown = [case for case in options.cases if case not in CASES]
    if unknown:
        raise MachineError(f"{unknown[0]} is not a case; the cases are {', '.join(CASES)}")
    folder = state_dir() / "bench"
    chosen: List[str] = options.cases or ([] if options.write_docs else list(CASES))
    if chosen:
        # The nodes are removed as well when this is ended from outside.
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
        ensure("nodes")
        venv = ensure_venv()
        playbooks = [collection(), *map(variant, options.variant), *map(other, options.other)]
        under = conditions.decide(options.pin, options.quota, options.key_exchange)
        machine = instruments.machine(_ansible(str(venv / "bin" / "python")), _kubernetes())
        series = int(time.time())
        for case in chosen:
            say(f"{report.TITLES[case]} ...")
            settings = Settings(venv, playbooks, options.rounds, options.sizes, under, series)
            runs: List[Run] = []
            try:
                for run in CASES[case](settings):
                    runs.append(run)
                    # Earlier figures are kept when a later run fails.
                    complete = report.save(Report(case, machine, runs, under), folder)
            finally:
                for testbed in () if options.keep else settings.testbeds:
                    testbed.remove()
            say("\n".join(report.lines(complete)))
        say(f"figures and pictures are in {folder.relative_to(ROOT)}")
    if options.write_docs:
        written = page.write_docs(folder, DOCS, list(CASES))
        say(f"written into docs/performance.md: {', '.join(written) or 'nothing, as there are no figures'}")
    return 0


def _ansible(python: str) -> str:
    code = "import ansible.release; print(ansible.release.__version__)"
    return subprocess.run([python, "-c", code], capture_output=True, encoding="utf-8", check=True).stdout.strip()


def _kubernetes() -> str:
    return ensure_mirror(NETWORK, ensure_network()).version
