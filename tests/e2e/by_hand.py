# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster that a person typed on lab nodes, with the commands of the handbooks (``bench/by_hand``)."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

from bench import contestants
from lab.nodes import set_dir

from .conftest import Lab

NODE = Path(contestants.RUN).with_name("node.sh")


def create(lab: Lab, control_plane: str, workers: list[str]) -> None:
    """Type everything: packages, containerd, kubeadm init and join, a pod network. No endpoint is set."""
    given = lab.variables(control_plane)
    command = contestants.by_hand(lab.inventory.parent.name, control_plane, workers, given, Path(sys.prefix))
    done = subprocess.run(
        list(command.argv),
        cwd=command.folder,
        env={**os.environ, **command.environment},
        capture_output=True,
        text=True,
    )
    marks = set_dir(lab.inventory.parent.name) / "marks.log"
    assert done.returncode == 0, done.stderr + (marks.read_text()[-4000:] if marks.exists() else "")


def part(lab: Lab, host: str, name: str, **environment: str) -> str:
    """Type one part of the commands on a node; its output."""
    words = " ".join(shlex.quote(f"{key}={value}") for key, value in {"PART": name, **environment}.items())
    return lab.ssh(host, f"env SUDO_USER=admin {words} bash -s <<'TYPED'\n{NODE.read_text()}\nTYPED\n")


def network(lab: Lab, hosts: list[str]) -> None:
    """Type the pod network again, which one more node has changed."""
    table = part(lab, "cp1", "show_nodes", COUNT=str(len(hosts))).strip()
    for host in hosts:
        part(lab, host, "network", TABLE=table, POD_CIDR=contestants.POD_CIDR)
