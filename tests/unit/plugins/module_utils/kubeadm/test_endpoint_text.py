# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The endpoint in texts that kubeadm and users wrote. Every other byte stays."""

from __future__ import annotations

import json

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.endpoint_text import (
    cert_sans,
    with_endpoint,
    with_other_server,
    with_server,
)
from ansible_collections.kubestead.cluster.tests.unit.support import fixture

NAME = "api.kubernetes.internal:6443"
CONFIG = json.loads(fixture("kubeadm/v1.35/kubeadm-config.json"))["data"]["ClusterConfiguration"]
KUBELET = fixture("kubeadm/v1.35/worker-kubelet.conf")
OLD = "https://10.213.0.58:6443"


def test_a_recorded_configuration_gets_one_line() -> None:
    assert with_endpoint(CONFIG, NAME) == CONFIG + f"controlPlaneEndpoint: {NAME}\n"
    assert with_endpoint(CONFIG + "controlPlaneEndpoint: 10.0.0.1:6443\n", NAME) == (
        CONFIG + f"controlPlaneEndpoint: {NAME}\n"
    )
    changed = with_endpoint(CONFIG, NAME)
    assert changed is not None and with_endpoint(changed, NAME) == changed
    assert with_endpoint(CONFIG, "[fd00::1]:6443") == CONFIG + 'controlPlaneEndpoint: "[fd00::1]:6443"\n'


def test_another_folder_for_certificates() -> None:
    text = with_endpoint(CONFIG, NAME, folder="/run/made")
    assert text is not None and "certificatesDir: /run/made\n" in text and "certificatesDir: /etc" not in text


KIND = "kind: ClusterConfiguration\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("apiServer: {}\n", "apiServer:\n  certSANs:\n  - lb.example.org\n"),
        ("apiServer:\n", "apiServer:\n  certSANs:\n  - lb.example.org\n"),
        ("apiServer:\n  certSANs: []\n", "apiServer:\n  certSANs:\n  - lb.example.org\n"),
        (
            "apiServer:\n  certSANs:\n  - a.example.org\n  extraArgs: []\n",
            "apiServer:\n  certSANs:\n  - a.example.org\n  - lb.example.org\n  extraArgs: []\n",
        ),
        (
            "apiServer:\n    certSANs:\n        - a.example.org # ours\n\n",
            "apiServer:\n    certSANs:\n        - a.example.org # ours\n        - lb.example.org\n\n",
        ),
        (
            "apiServer:\n  extraArgs:\n  - name: v\n    value: '2'\n",
            "apiServer:\n  certSANs:\n  - lb.example.org\n  extraArgs:\n  - name: v\n    value: '2'\n",
        ),
        (
            "apiServer:\n# ours\n  certSANs:\n  - a.example.org\n",
            "apiServer:\n# ours\n  certSANs:\n  - a.example.org\n  - lb.example.org\n",
        ),
        ("apiServer:\n  certSANs: ['lb.example.org']\n", None),
        ("apiServer: {certSANs: [a]}\n", None),
        ("apiServer:\n  certSANs:\n  - |\n    a\n", None),
    ],
)
def test_names_of_certificates(before: str, after: str | None) -> None:
    expected = None if after is None else f"{after}{KIND}controlPlaneEndpoint: {NAME}\n"
    assert with_endpoint(before + KIND, NAME, ["lb.example.org"]) == expected


def test_names_are_added_once_and_at_the_end_without_a_section() -> None:
    once = with_endpoint(KIND, NAME, ["lb.example.org", "fd00::1", "lb.example.org"])
    assert once == (f'{KIND}controlPlaneEndpoint: {NAME}\napiServer:\n  certSANs:\n  - lb.example.org\n  - "fd00::1"\n')
    assert once is not None and cert_sans(once) == ["lb.example.org", "fd00::1"]
    assert with_endpoint(once, NAME, ["fd00::1"]) == once


@pytest.mark.parametrize("name", ["*.example.org", "1234", "true", "1.5", "::1"])
def test_a_name_stays_a_text_for_programs_that_read_yaml(name: str) -> None:
    text = with_endpoint(KIND, NAME, ["10.96.0.1", name, "cp1"])
    assert text is not None and cert_sans(text) == ["10.96.0.1", name, "cp1"]
    assert yaml.safe_load(text)["apiServer"]["certSANs"] == ["10.96.0.1", name, "cp1"]


@pytest.mark.parametrize(
    "text",
    ["", json.dumps({"kind": "ClusterConfiguration"}), KIND + "---\nkind: InitConfiguration\n", "kind: Other\n"],
)
def test_another_style_is_not_changed(text: str) -> None:
    assert with_endpoint(text, NAME) is None
    assert with_endpoint(KIND + "controlPlaneEndpoint: >\n  a:6443\n", NAME) is None


def test_only_the_server_of_a_kubeconfig_changes() -> None:
    changed = with_server(KUBELET, f"https://{NAME}")
    assert changed == KUBELET.replace(OLD, f"https://{NAME}") != KUBELET
    assert with_server(changed, f"https://{NAME}") == changed
    assert with_server("nothing: here\n", f"https://{NAME}") == "nothing: here\n"


def test_other_clusters_of_a_user_stay() -> None:
    text = f"- cluster:\n    server: {OLD}\n- cluster:\n    server: {OLD}/other\n- cluster:\n    server: {OLD}1\n"
    assert with_other_server(text, OLD, "https://new:6443") == text.replace(
        f"server: {OLD}\n", "server: https://new:6443\n", 1
    )
    one = json.dumps({"clusters": [{"cluster": {"server": OLD}}]})
    assert with_other_server(one, OLD, "https://new:6443") == one.replace(OLD, "https://new:6443")
