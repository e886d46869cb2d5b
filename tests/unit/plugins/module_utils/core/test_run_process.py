# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Commands of this machine: what a missing one, a slow one and a wrong one give back. None of them raises."""

from __future__ import annotations

import os
import sys

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import CommandError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System, run_process

ENVIRONMENT = {"PATH": os.environ.get("PATH", "")}
# It says something, then never ends by itself.
HANGS = ["sh", "-c", "echo so far; exec sleep 600"]


def test_output_and_code_are_those_of_the_command() -> None:
    code = "import sys; print('out'); sys.stderr.write('err'); sys.exit(3)"
    done = run_process([sys.executable, "-c", code], None, 60, ENVIRONMENT)
    assert (done.rc, done.stdout, done.stderr, done.ok) == (3, "out\n", "err", False)


def test_what_is_given_is_its_standard_input_and_nothing_else_is() -> None:
    code = [sys.executable, "-c", "import sys; print(len(sys.stdin.read()))"]
    assert run_process(code, "four", 60, ENVIRONMENT).stdout == "4\n"
    assert run_process(code, None, 60, ENVIRONMENT).stdout == "0\n"


def test_a_command_that_does_not_end_in_time_is_ended_with_what_it_said() -> None:
    done = run_process(HANGS, None, 2, ENVIRONMENT)
    assert (done.rc, done.stdout, done.ok) == (124, "so far\n", False)
    assert done.last_line.startswith("sh: ") and "2 seconds" in done.last_line
    with pytest.raises(CommandError) as caught:
        System().run(HANGS, timeout=0.2, check=True)
    assert caught.value.details["rc"] == 124


def test_bytes_that_are_not_text_are_replaced() -> None:
    code = "import sys; sys.stdout.buffer.write(b'a\\xffb')"
    assert run_process([sys.executable, "-c", code], None, 60, ENVIRONMENT).stdout == "a\ufffdb"


@pytest.mark.parametrize(("argv", "rc"), [(["no-such-command-here"], 127), (["/"], 126), (["true", "a\0b"], 126)])
def test_what_can_not_be_run_has_a_code_of_its_own(argv: list[str], rc: int) -> None:
    done = run_process(argv, None, 60, ENVIRONMENT)
    assert done.rc == rc and done.stderr.startswith(argv[0])
