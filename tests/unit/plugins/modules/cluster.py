# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cluster behind kubectl, as the modules that apply objects meet it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture


class Cluster:
    """Answers kubectl. ``items`` are the live objects, ``pools`` Calico's; ``applied`` lists what was applied.

    ``pods`` are those of every workload.
    """

    def __init__(self, machine: Machine) -> None:
        self.items: list[dict[str, Any]] = []
        self.pools: list[dict[str, Any]] = []
        self.pods: list[dict[str, Any]] = []
        self.nodes: Any = json.loads(fixture("kubeadm/v1.35/nodes.json"))
        self.answers = True
        self.warning = ""
        self.applied: list[list[str]] = []
        self.asked: list[str] = []
        machine.answer("kubectl", self._kubectl)

    def _kubectl(self, argv: Sequence[str], stdin: str | None) -> Result:
        words = [word for word in argv[1:] if not word.startswith(("--cache", "--kubeconfig", "--context", "--req"))]
        self.asked.append(" ".join(words))
        if not self.answers:
            return Result(1, "", fixture("manifests/unreachable.txt"))
        if words[0] == "api-resources":
            return Result(0, fixture("manifests/api-resources.txt"))
        if words[0] == "apply":
            objects = json.loads(stdin or "")["items"]
            if "--dry-run=server" not in words:
                self.applied.append([obj["metadata"]["name"] for obj in objects])
                self.items = [*objects]
            return Result(0, json.dumps({"kind": "List", "items": objects}), self.warning)
        if "nodes" in words or "/api/v1/nodes" in words:
            return Result(0, json.dumps(self.nodes))
        if "pods" in words:
            return Result(0, json.dumps({"kind": "List", "items": self.pods}))
        if words[-1].endswith("/ippools"):
            return Result(0, json.dumps({"kind": "List", "items": self.pools}))
        wanted = [(obj["kind"], obj["metadata"]["name"]) for obj in json.loads(stdin or '{"items": []}')["items"]]
        found = [obj for obj in self.items if (obj["kind"], obj["metadata"]["name"]) in wanted]
        return Result(0, json.dumps({"kind": "List", "items": found}))
