# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m devtools.molecule --junit FILE name ...`` runs molecule scenarios one after the other on the same nodes.

A scenario finds the nodes as the scenario before it left them, and adds those that it alone has. Its ``prepare`` then
has little or nothing to do, because it applies the same roles to a node without a cluster and to a node with one.
"""

from __future__ import annotations

import argparse
import pathlib
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree
from typing import Callable, Dict, List, Optional, Sequence, Tuple

from lab.environment import ensure_venv, tool_environment
from lab.machine import ROOT, state_dir
from lab.say import say

#: The set of nodes.
SET = "molecule"
#: What all scenarios have in common.
CONFIG = ROOT / ".config" / "molecule" / "config.yml"


def argv(name: str, keep: bool = False) -> Tuple[str, ...]:
    """The command of one scenario; with ``keep`` the nodes are left."""
    more = ("--destroy=never",) if keep else ()
    return ("molecule", "--base-config", str(CONFIG), "test", *more, "-s", name)


def environment(name: str, shared: bool = False) -> Dict[str, str]:
    """The variables of one scenario; with ``shared`` it uses the nodes that there are.

    molecule's own place for its state is in the home folder and named after the checkout's folder, so that two
    checkouts of the same name would share it; with a place named for it, it must see no other scenario. And it looks
    for the common settings only at the top of the checkout, which it gets from git.
    """
    return {
        "MOLECULE_EPHEMERAL_DIRECTORY": str(folder(name)),
        "MOLECULE_GLOB": f"molecule/{name}/molecule.yml",
        "KUBESTEAD_MOLECULE_SET": SET if shared else f"{SET}-{name}",
        "KUBESTEAD_MOLECULE_SHARED": "yes" if shared else "",
    }


def folder(name: str) -> pathlib.Path:
    """Where molecule keeps its state of a scenario."""
    return state_dir() / "test" / "molecule" / name


def run_all(names: Sequence[str], junit: pathlib.Path, run: Optional[Callable[[str], int]] = None) -> int:
    """Run scenarios on the same nodes and write the counts; the exit code. ``run`` runs one scenario."""
    one = run or _run
    _remove_nodes()
    try:
        results = [(name, *_timed(one, name)) for name in names]
    finally:
        _remove_nodes()
    junit.parent.mkdir(parents=True, exist_ok=True)
    junit.write_text(report(results), encoding="utf-8")
    return 1 if any(code for _name, code, _seconds in results) else 0


def report(results: List[Tuple[str, int, float]]) -> str:
    """A junit file with a test for each scenario: its name, exit code and seconds."""
    suite = xml.etree.ElementTree.Element("testsuite", name="molecule", tests=str(len(results)))
    for name, code, seconds in results:
        attributes = {"classname": "molecule", "name": name, "time": f"{seconds:.1f}"}
        case = xml.etree.ElementTree.SubElement(suite, "testcase", attributes)
        if code:
            xml.etree.ElementTree.SubElement(case, "failure", message=f"exit code {code}")
    return xml.etree.ElementTree.tostring(suite, encoding="unicode")


def _timed(run: Callable[[str], int], name: str) -> Tuple[int, float]:
    began = time.monotonic()
    say(f"scenario {name} ...")
    code = run(name)
    return code, time.monotonic() - began


def _run(name: str) -> int:
    # What molecule remembers of nodes that are gone.
    shutil.rmtree(folder(name), ignore_errors=True)
    tools = tool_environment(ensure_venv())
    done = subprocess.run(
        argv(name, keep=True), stdin=subprocess.DEVNULL, cwd=ROOT, env={**tools, **environment(name, shared=True)}
    )
    return done.returncode


def _remove_nodes() -> None:
    subprocess.run([sys.executable, str(ROOT / "dev"), "nodes", "destroy", "--set", SET], stdin=subprocess.DEVNULL)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run the named scenarios."""
    parser = argparse.ArgumentParser(prog="python -m devtools.molecule")
    parser.add_argument("--junit", type=pathlib.Path, required=True)
    parser.add_argument("names", nargs="+")
    options = parser.parse_args(arguments)
    return run_all(options.names, options.junit)


if __name__ == "__main__":
    sys.exit(main())
