# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m devtools.oldest`` runs the unit tests of node code on the oldest Python that this machine offers.

Nodes may have Python 3.8. Debian 12 has no older CPython than its own 3.11, but it has PyPy, which is Python 3.9. The
grammar and the library of 3.8 are checked without running anything, by vermin (see testing.py).
"""

from __future__ import annotations

import pathlib
import subprocess
import sys
from typing import List, Optional, Sequence

from lab.environment import ensure_oldest, tool_environment
from lab.machine import ROOT, MachineError
from lab.say import say


def folders(root: pathlib.Path = ROOT) -> List[str]:
    """The folders with the unit tests of node code."""
    return sorted(str(path.relative_to(root)) for path in root.glob("tests/unit/**/module_utils") if path.is_dir())


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Run pytest with further arguments; the exit code."""
    try:
        venv = ensure_oldest()
    except MachineError as error:
        say(str(error))
        return 1
    argv = [str(venv / "bin" / "python"), "-m", "pytest", "-q", "-p", "devtools.backports", *(arguments or [])]
    return subprocess.run(
        [*argv, *folders()], stdin=subprocess.DEVNULL, env=tool_environment(venv), cwd=ROOT
    ).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
