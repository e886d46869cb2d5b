# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the demo counts as answering."""

from __future__ import annotations

import itertools

import pytest

from lab import demo
from lab.machine import MachineError


def test_every_node_must_answer_and_every_pod_must_be_heard() -> None:
    pods = itertools.cycle(["web-a", "web-a", "web-a", "web-b"])
    answers = demo.ask(["http://n1/", "http://n2/"], {"web-a", "web-b"}, lambda url: f"Hello from {next(pods)}", 10)
    assert sorted(answers) == ["http://n1/", "http://n2/"]


def test_a_node_that_is_silent_is_named() -> None:
    def get(url: str) -> str:
        if url == "http://n2/":
            raise OSError("Connection refused")
        return "web-a"

    with pytest.raises(MachineError, match=r"no answer from http://n2/ within 0 s http://n2/: Connection refused"):
        demo.ask(["http://n1/", "http://n2/"], {"web-a"}, get, 0)


def test_a_pod_that_is_never_heard_is_named() -> None:
    with pytest.raises(MachineError, match="no answer from web-b"):
        demo.ask(["http://n1/"], {"web-a", "web-b"}, lambda url: "web-a", 0)
