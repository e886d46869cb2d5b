# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mistakes with secrets in a run: options of a wrong type, interrupted output, unreachable hosts.

Each planted secret is unique, so a secret that is found identifies its mistake.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: The positions at which the output of kubeadm_join_token is interrupted: a field, and characters after its start.
CUTS = {"before-a-token": ("token", 0), "in-a-token": ("token", 15), "in-a-key": ("certificate_key", 40)}
CUT_PATH = "/usr/local/bin/python-cut-{0}"
# A Python whose output is interrupted, as if the module were killed while it prints.
_CUT_PYTHON = """#!/usr/bin/python3
import subprocess, sys
text = subprocess.run(["/usr/bin/python3", *sys.argv[1:]], stdout=subprocess.PIPE, text=True).stdout
mark = '"{0}": "'
sys.stdout.write(text[: text.index(mark) + len(mark) + {1}])
sys.stdout.flush()
sys.exit(137)
"""
UNREACHABLE = {"ansible_host": "127.0.0.1", "ansible_port": 9, "ansible_ssh_retries": 0}


def planted(number: int) -> str:
    """The planted secret of a mistake."""
    return f"pl4nted-{number:02}-9d41c7e2b6"


def cut_python(cut: str) -> str:
    """The program of the interpreter whose output is interrupted at this position."""
    return _CUT_PYTHON.format(*CUTS[cut])


def _option(name: str, make: Any) -> dict[str, Any]:
    return {"option": name, "make": make}


# Each entry makes the value of an option from a secret.
OPTIONS = [
    _option("containerd_registry_credentials", lambda s: s),
    _option("containerd_registry_credentials", lambda s: {"r.example.org": {"username": "b", "password": s}}),
    _option("containerd_registry_credentials", lambda s: [f"r.example.org:b:{s}"]),
    _option("containerd_registry_credentials", lambda s: [["r.example.org", "b", s]]),
    _option("containerd_registry_credentials", lambda s: [{"registry": "r.example.org", "password": s}]),
    _option("containerd_registry_credentials", lambda s: [{"registry": "r", "username": "b", "password": [s]}]),
    _option("containerd_registry_credentials", lambda s: [{"registry": "r", "username": "b", "password": {"v": s}}]),
    _option("containerd_registry_credentials", lambda s: [{"registry": "r", "username": "b", "pasword": s}]),
    _option("containerd_registry_credentials", lambda s: [{"registry": f"https://b:{s}@r", "username": "b"}]),
    _option("containerd_registry_credentials", lambda s: [{"registry": s + " ", "username": [s], "password": "r"}]),
    _option("containerd_registry_mirrors", lambda s: {"docker.io": [f"https://b:{s}@mirror.example.org"]}),
    _option("containerd_registry_mirrors", lambda s: {f"b:{s}@docker.io": "x"}),
    _option("containerd_registry_mirrors", lambda s: f"https://b:{s}@mirror.example.org"),
    _option("cluster_packages_url", lambda s: f"https://b:{s}@packages.example.org/k8s"),
    _option("cluster_packages_url", lambda s: [f"ftp://b:{s}@packages.example.org"]),
    _option("cluster_image_repository", lambda s: f"b:{s}@r.example.org/k8s"),
    _option("cluster_image_repository", lambda s: {"url": f"https://b:{s}@r.example.org"}),
    _option("cni_calico_manifest", lambda s: f"ftp://b:{s}@example.org/calico.yaml"),
    _option("cni_image_registry", lambda s: f"b:{s}@r.example.org"),
    _option("cluster_kubeadm_config", lambda s: {"InitConfiguration": {"certificateKey": s}}),
    _option("cluster_kubeadm_config", lambda s: {"JoinConfiguration": {"controlPlane": {"certificateKey": s}}}),
    _option("cluster_kubeadm_config", lambda s: {"JoinConfiguration": {"discovery": {"tlsBootstrapToken": s}}}),
    _option("cluster_kubeadm_config", lambda s: {"InitConfiguration": {"bootstrapTokens": [{"token": s}]}}),
]

_SECRET = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "mistake", "namespace": "default"}}
MANIFESTS = [
    lambda s: f"kind: Secret\nstringData: {{password: {s}}}\n",
    lambda s: [[{"kind": "Secret", "stringData": {"password": s}}]],
    lambda s: {"kind": "Secret", "stringData": {"password": s}},
    lambda s: [{"apiVersion": "v1", "kind": "Secret", "stringData": {"password": s}}],
    # The API server refuses these manifests and quotes their values.
    lambda s: [{**_SECRET, "data": {"password": s}}],
    lambda s: [{**_SECRET, "data": {"password": [s, {"deeper": s}]}}],
    lambda s: [{**_SECRET, "stringData": {"password": {"value": s}}}],
    lambda s: [{**_SECRET, "stringData": [s]}],
    lambda s: [{**_SECRET, "type": "kubernetes.io/dockerconfigjson", "stringData": {".dockerconfigjson": s}}],
]
JOINS = [
    lambda s: f"kubeadm join 10.0.0.1:6443 --token abcdef.{s}",
    lambda s: f"kubeadm join 10.0.0.1:6443 --token {s} --discovery-token-ca-cert-hash sha256:{s}",
    lambda s: [s],
    lambda s: {"token": [s], "endpoint": s},
    lambda s: {"stdout": f"--certificate-key {s}"},
]


def secrets() -> dict[str, str]:
    """All planted secrets, by the mistake."""
    names = [one["option"] for one in OPTIONS]
    names += [f"manifest {number}" for number in range(len(MANIFESTS))]
    names += [f"join {number}" for number in range(len(JOINS))]
    return {f"mistake {number}: {name}": planted(number) for number, name in enumerate(names)}


def hosts() -> dict[str, dict[str, Any]]:
    """A host for each option of a wrong type, with its variables."""
    return {
        f"mistake{number:02}": {**UNREACHABLE, one["option"]: one["make"](planted(number))}
        for number, one in enumerate(OPTIONS)
    }


def write(folder: Path, preflight: str, results: Mapping[str, str]) -> tuple[Path, Path]:
    """Write an additional inventory and a playbook; ``results`` are the files that the playbook writes."""
    workers = {**hosts(), "w9": dict(UNREACHABLE)}
    inventory = folder / "mistakes.json"
    inventory.write_text(json.dumps({"workers": {"hosts": workers}}), encoding="utf-8")
    first = len(OPTIONS)
    manifests = [make(planted(first + number)) for number, make in enumerate(MANIFESTS)]
    first += len(MANIFESTS)
    joins = [make(planted(first + number)) for number, make in enumerate(JOINS)]
    variables = folder / "mistakes-vars.json"
    variables.write_text(json.dumps({"mistaken_manifests": manifests, "mistaken_joins": joins}), encoding="utf-8")
    playbook = folder / "mistakes.yml"
    plays: list[dict[str, Any]] = [
        {**_PLAY, "hosts": "cp1", "vars_files": [str(variables)], "tasks": [*_cut(), *_mistaken()]},
        {**_PLAY, "hosts": "w9", "tasks": _unreachable(results["secrets"])},
        {**_PLAY, "hosts": "cp1:w1", "gather_facts": True, "tasks": _cached()},
        {"import_playbook": preflight},
    ]
    playbook.write_text(json.dumps(plays), encoding="utf-8")
    return inventory, playbook


_PLAY: dict[str, Any] = {"gather_facts": False, "become": True, "vars": {"ansible_pipelining": True}}
_TOKEN = "kubestead.cluster.kubeadm_join_token"


def _cut() -> list[dict[str, Any]]:
    return [
        {
            "name": f"Create a token and break off {cut}",
            _TOKEN: {"nodes": ["w8"], "control_plane": True},
            "vars": {"ansible_python_interpreter": CUT_PATH.format(cut)},
            "ignore_errors": True,
        }
        for cut in CUTS
    ]


def _mistaken() -> list[dict[str, Any]]:
    return [
        {
            "name": f"Apply mistaken manifests {number}",
            "kubestead.cluster.manifests": {"manifests": "{{ mistaken_manifests[" + str(number) + "] }}"},
            "ignore_errors": True,
        }
        for number in range(len(MANIFESTS))
    ] + [
        {
            "name": f"Join with a mistaken command {number}",
            "kubestead.cluster.kubeadm_join": {
                "join": "{{ lookup('kubestead.cluster.join_command', mistaken_joins[" + str(number) + "]) }}"
            },
            "ignore_errors": True,
        }
        for number in range(len(JOINS))
    ]


def _unreachable(names: str) -> list[dict[str, Any]]:
    there = {"delegate_to": "cp1", "delegate_facts": True}
    asked = "kubectl --kubeconfig /etc/kubernetes/admin.conf get secrets -n kube-system -o name"
    return [
        {"name": "Create a token", _TOKEN: {"nodes": ["w9"]}, "register": "made", **there},
        {
            "name": "Join an unreachable host",
            "kubestead.cluster.kubeadm_join": {"join": "{{ made }}", "token_host": "cp1"},
            "ignore_errors": True,
        },
        {"name": "Look at what is left", "ansible.builtin.command": asked, "register": "left", **there},
        {
            "name": "Keep the names",
            "ansible.builtin.copy": {"content": "{{ made.tokens.w9.token_id }}\n{{ left.stdout }}", "dest": names},
            "delegate_to": "localhost",
            "become": False,
            "vars": {"ansible_connection": "local"},
        },
        {"name": "Delete the tokens of the others", _TOKEN: {"state": "absent", "nodes": ["w8"], "control_plane": True}}
        | there,
    ]


def _cached() -> list[dict[str, Any]]:
    """Tasks that keep the result of a host in the fact cache."""
    return [
        {"name": "Observe", "kubestead.cluster.node_info": None, "register": "observed"},
        {"name": "Keep it", "ansible.builtin.set_fact": {"kept": "{{ observed }}", "cacheable": True}},
    ]
