# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The name by which a user has set an option."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from ansible_collections.kubestead.cluster.plugins.plugin_utils.arguments import known_as

ROOT = Path(__file__).resolve().parents[4]


@pytest.mark.parametrize(
    ("path", "own"),
    [
        (f"{ROOT}/roles/deploy/tasks/main.yml:3", True),
        (f"{ROOT}/playbooks/check_inventory.yml:15", True),
        # Ansible finds the collection through a link.
        (f"{ROOT}/collections/ansible_collections/kubestead/cluster/roles/deploy/tasks/main.yml:3", True),
        (f"{ROOT}/examples/site.yml:3", False),
        (f"{ROOT}/roles.yml:3", False),
        (f"{ROOT}/roles-of-ada/web/tasks/main.yml:3", False),
        ("/home/ada/roles/web/tasks/main.yml:3", False),
        # A task of the command ansible has no file.
        ("", False),
    ],
)
def test_the_file_of_a_task_decides_how_its_options_are_called(
    path: str, own: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT / "roles" / "deploy")
    task = SimpleNamespace(get_path=lambda: path)
    assert known_as("manifests", "deploy_manifests", task) == ("deploy_manifests" if own else "manifests")
