# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""upgrade.yml, endpoint.yml, remove.yml and reset.yml over hosts that lie.

What hosts claim is planned for in :mod:`.test_claims`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.tests.unit.hostile import lies
from ansible_collections.kubestead.cluster.tests.unit.hostile.test_playbooks import (
    CONTROL,
    EVIL,
    Run,
    check,
    failure_lines,
    play,
)

#: One of each kind: nothing to read, wrong types, keys of Ansible's, texts, sizes, connections, and what is told late.
SOME = ("garbage", "truncated", "types", "facts", "hosts", "said", "shown", "huge", "connection", "kept", "mutated-1")
#: What a worker can claim without being found out, and its answers to the modules that change it.
QUIET = ("late-facts", "facts", "late-said", "shown", "kept", "paths", "template", "hosts")
NEWER = {"cluster_kubernetes_version": "1.36"}


def text_of(run: Run, module: str) -> list[str]:
    return [text for name, texts in run.sent.items() if name.split("-")[1] == module for text in texts]


def names_sent(run: Run, module: str) -> set[str]:
    """The Nodes that a module was told to deal with."""
    told = re.findall(r'\\*"name\\*": (\[[^\]]*\]|\\*"[^"]*")', "\n".join(text_of(run, module)))
    return set(re.findall(r"\b(?:w\d+|c1)\b", "\n".join(told)))


def asked(run: Run, module: str) -> set[str]:
    """The numbers of the hosts that ran a module."""
    return {name.split("-")[0] for name in run.sent if name.split("-")[1] == module}


def harmless(run: Run) -> None:
    """What holds also where a run ends before the variables are probed."""
    if run.probe:
        check(run)
    assert not re.search(r"Traceback|unexpected exception", run.output, re.IGNORECASE)
    assert not lies_printed(run), lies_printed(run)


def lies_printed(run: Run) -> list[str]:
    found = CONTROL.findall(run.output)[:5] + re.findall(r"^\s+cp9\s|^\[WARNING\]: forged", run.output, re.MULTILINE)
    return found + [text for texts in run.sent.values() for text in texts if EVIL.search(text)]


# -- workers


def test_an_upgrade_among_workers_that_lie_quietly(tmp_path: Path) -> None:
    run = play(tmp_path, "upgrade", list(QUIET), member=True, **NEWER)
    check(run)
    assert run.code == 0, run.output[-4000:]
    # Each upgrades itself; only the control plane is asked to drain, and only what the plan names.
    hosts = {str(at) for at in range(len(QUIET) + 2)}
    assert asked(run, "kubeadm_upgrade") == hosts
    assert asked(run, "node_drain") == asked(run, "cluster_health_info") == {"0"}
    assert names_sent(run, "node_drain") == {"c1", *(f"w{at}" for at in hosts if at != "0")}


def test_an_upgrade_is_not_begun_with_workers_that_lie(tmp_path: Path) -> None:
    run = play(tmp_path, "upgrade", [*SOME, *lies.CLAIMS], member=True, **NEWER)
    harmless(run)
    assert run.code != 0 and {name.split("-")[1] for name in run.sent} == {"node_info"}
    assert all(len(failure_lines(run, f"liar-{lie}")) == 1 for lie in ("garbage", "truncated", "types", "connection"))


def test_an_endpoint_among_workers_that_lie_quietly(tmp_path: Path) -> None:
    run = play(tmp_path, "endpoint", list(QUIET), member=True)
    check(run)
    assert run.code == 0, run.output[-4000:]
    # Each changes itself. Only the control plane is asked for the health of the cluster.
    assert asked(run, "kubeadm_endpoint") == asked(run, "node_components") == {str(at) for at in range(len(QUIET) + 2)}
    assert asked(run, "cluster_health_info") == {"0"}
    assert "api.kubernetes.internal:6443" in "\n".join(text_of(run, "kubeadm_endpoint"))


def test_an_endpoint_is_not_begun_with_workers_that_lie(tmp_path: Path) -> None:
    run = play(tmp_path, "endpoint", [*SOME, *lies.CLAIMS], member=True)
    harmless(run)
    assert run.code != 0 and {name.split("-")[1] for name in run.sent} <= {"node_info", "kubeadm_endpoint"}
    assert not [text for text in text_of(run, "kubeadm_endpoint") if '"certificate"' in text or '"cluster"' in text]


def test_others_are_removed_whatever_workers_say(tmp_path: Path) -> None:
    run = play(tmp_path, "remove", [*SOME, *lies.CLAIMS], "-e", "remove_hosts=w1", member=True)
    check(run)
    assert run.recap["cp1"]["failed"] == 0 and run.recap["w1"]["failed"] == 0, run.output[-4000:]
    assert asked(run, "node_reset") == {"1"} and asked(run, "node_drain") == asked(run, "cluster_member") == {"0"}
    assert names_sent(run, "node_drain") == names_sent(run, "cluster_member") == {"w1"}


def test_workers_that_lie_take_nobody_with_them(tmp_path: Path) -> None:
    going = [
        "garbage",
        "facts",
        "types",
        "kept",
        "huge",
        "connection",
        "claim-nodes",
        "claim-controls",
        "claim-older",
        "paths",
    ]
    numbers = {str(at) for at in range(2, len(going) + 2)}
    limit = ",".join(f"liar-{lie}" for lie in going)
    run = play(tmp_path, "reset", going, "-e", "reset_confirmed=true", "--limit", f"{limit},localhost", member=True)
    harmless(run)
    assert asked(run, "node_reset") and asked(run, "node_reset") <= numbers
    assert asked(run, "cluster_member") == {"0"}
    assert names_sent(run, "cluster_member") <= {f"w{number}" for number in numbers}


# -- the control plane


@pytest.mark.parametrize(
    ("lie", "playbook", "options"),
    [
        ("blocked", "remove", ("-e", "remove_hosts=w1")),
        ("kept", "upgrade", ()),
        ("paths", "reset", ("-e", "reset_confirmed=true")),
        ("types", "remove", ("-e", "remove_hosts=w1")),
    ],
)
def test_a_control_plane_that_lies(tmp_path: Path, lie: str, playbook: str, options: tuple[str, ...]) -> None:
    settings: dict[str, Any] = NEWER if playbook == "upgrade" else {}
    run = play(tmp_path, playbook, [], *options, control_plane=f"late-{lie}", member=True, **settings)
    harmless(run)
    assert asked(run, "node_drain") <= {"0"} and asked(run, "cluster_member") <= {"0"}
    assert names_sent(run, "node_drain") <= {"c1", "w1"} and names_sent(run, "cluster_member") <= {"c1", "w1"}


# -- control planes outside the play


def test_a_control_plane_outside_the_play_that_is_unreachable_does_not_end_it(tmp_path: Path) -> None:
    options = ("--limit", "w1,localhost", "-e", "reset_confirmed=true")
    run = play(tmp_path, "reset", [], *options, member=True, other_control_plane="connection")
    check(run)
    assert run.code == 0 and "node_reset" in run.modules(1), run.output[-4000:]
    assert run.modules(2) == ["node_info"] and "node_reset" not in run.modules(0)
