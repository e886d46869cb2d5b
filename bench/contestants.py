# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The contestants: this collection, the commands typed by hand, a ping with Ansible, and any other playbook."""

from __future__ import annotations

import json
import os
import pathlib
import shlex
import subprocess
from dataclasses import dataclass, replace
from typing import Any, Dict, List, Mapping, Sequence, Union

from lab.environment import tool_environment
from lab.flavour import minor_of
from lab.machine import ROOT, MachineError
from lab.nodes import set_dir

from .instruments import Command

OURS = "collection"
# Each node at its own pace, as a person with a window for each node works; and one step on all nodes before the next,
# as the handbooks have it.
BY_HAND, IN_STEPS = "by hand", "by hand in steps"
# The floor: the least that Ansible takes to run one module on each host.
PING = "ping"
PLUGINS = pathlib.Path(__file__).with_name("callback_plugins")
RUN = pathlib.Path(__file__).parent / "by_hand" / "run.sh"
# The version of kubeadm's configuration, by the first minor that supports it.
CONFIG_APIS = (((1, 31), "v1beta4"), ((1, 22), "v1beta3"), ((1, 15), "v1beta2"))
POD_CIDR = "10.244.0.0/16"


@dataclass(frozen=True)
class Playbook:
    """A playbook that creates a cluster.

    The lab's inventory has the hosts in the groups control_plane and workers. ``inventory`` is read after it and may
    add groups of these hosts, and variables. The playbook runs in its own folder, so that an ansible.cfg there is used.
    ``arguments`` are for ansible-playbook.
    """

    name: str
    playbook: pathlib.Path
    inventory: str = ""
    arguments: Sequence[str] = ()

    @property
    def ours(self) -> bool:
        """Whether it is this collection or a variant of it."""
        return self.name == OURS or self.name.startswith(OURS + ", ")

    def command(
        self, venv: pathlib.Path, inventories: Sequence[pathlib.Path], arguments: Sequence[str] = ()
    ) -> Command:
        """The command on the hosts of the lab's inventories."""
        spans = inventories[0].parent / "timeline.json"
        argv = [str(venv / "bin" / "ansible-playbook"), *_inventory_arguments(inventories)]
        argv += ["-i", self.inventory] if self.inventory else []
        argv += [str(self.playbook), *self.arguments, *arguments]
        return Command(argv, self.playbook.parent, _recorded(venv, spans), spans)


@dataclass(frozen=True)
class Ping:
    """``ansible -m ping`` with pipelining on all hosts: the least that Ansible takes to run a module on each host."""

    name: str = PING
    ours: bool = False

    def command(
        self, venv: pathlib.Path, inventories: Sequence[pathlib.Path], arguments: Sequence[str] = ()
    ) -> Command:
        """The command on the hosts of the lab's inventories; it runs where the collection's playbooks do."""
        spans = inventories[0].parent / "timeline.json"
        argv = [str(venv / "bin" / "ansible"), *_inventory_arguments(inventories)]
        argv += ["all", "-m", "ansible.builtin.ping", *arguments]
        # Only playbooks load further callbacks by default.
        more = {"ANSIBLE_PIPELINING": "True", "ANSIBLE_LOAD_CALLBACK_PLUGINS": "True"}
        return Command(argv, ROOT, {**_recorded(venv, spans), **more}, spans)


Contestant = Union[Playbook, Ping]


def _inventory_arguments(inventories: Sequence[pathlib.Path]) -> List[str]:
    return [word for inventory in inventories for word in ("-i", str(inventory))]


def _recorded(venv: pathlib.Path, spans: pathlib.Path) -> Dict[str, str]:
    """The environment in which the times of tasks are written to the file ``spans``."""
    return {
        **user_environment(venv),
        "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS),
        "ANSIBLE_CALLBACKS_ENABLED": "timeline",
        "KUBESTEAD_TIMELINE": str(spans),
    }


def user_environment(venv: pathlib.Path) -> Dict[str, str]:
    """The environment of a user's Ansible: it keeps compiled files and finds collections as the user set it up."""
    environment = tool_environment(venv)
    for name in ("PYTHONDONTWRITEBYTECODE", "ANSIBLE_COLLECTIONS_PATH"):
        environment.pop(name)
        if name in os.environ:
            environment[name] = os.environ[name]
    return environment


def collection() -> Playbook:
    """This collection."""
    return Playbook(OURS, ROOT / "site.yml")


def variant(text: str) -> Playbook:
    """``NAME=arguments`` -> this collection with additional arguments for ansible-playbook."""
    name, equals, arguments = text.partition("=")
    if not equals or not name:
        raise MachineError(f"--variant {text}: give NAME=arguments, like forks=--forks=50")
    return replace(collection(), name=f"{OURS}, {name}", arguments=tuple(shlex.split(arguments)))


def other(text: str) -> Playbook:
    """``NAME=playbook.yml[:inventory]`` -> the playbook.

    Raises :class:`MachineError` when the text is not of this form, the name is reserved, or a file does not exist.
    """
    name, equals, rest = text.partition("=")
    playbook, _colon, inventory = rest.partition(":")
    if not equals or not name or name in (OURS, BY_HAND, IN_STEPS, PING):
        raise MachineError(
            f"--other {text}: give NAME=playbook.yml:inventory, with a name that no other contestant has"
        )
    for path in filter(None, (playbook, inventory)):
        if not os.path.exists(path):
            raise MachineError(f"--other {text}: {path} does not exist")
    return Playbook(name, pathlib.Path(playbook).resolve(), os.path.abspath(inventory) if inventory else "")


def variables(venv: pathlib.Path, inventories: Sequence[pathlib.Path], host: str) -> Dict[str, Any]:
    """A host's variables in the inventories."""
    argv = [str(venv / "bin" / "ansible-inventory"), *_inventory_arguments(inventories), "--host", host]
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", env=tool_environment(venv), cwd=ROOT)
    if done.returncode:
        raise MachineError(f"ansible-inventory failed: {done.stderr.strip()}")
    found: Dict[str, Any] = json.loads(done.stdout)
    return found


def config_api(version: str) -> str:
    """The API version of kubeadm's configuration for a Kubernetes version."""
    minor = minor_of(version)
    return next(api for least, api in CONFIG_APIS if minor >= least)


def kubeadm_config(given: Mapping[str, Any]) -> str:
    """The configuration a person writes for ``kubeadm init``; ``given`` are the inventory's variables, by name."""
    api = f"kubeadm.k8s.io/{config_api(given['cluster_kubernetes_version'])}"
    documents: List[Dict[str, Any]] = [
        {"apiVersion": api, "kind": "InitConfiguration"},
        {
            "apiVersion": api,
            "kind": "ClusterConfiguration",
            "kubernetesVersion": f"v{given['cluster_kubernetes_version']}",
            "imageRepository": "registry.k8s.io",
            "networking": {"podSubnet": POD_CIDR},
        },
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "cgroupDriver": "systemd",
            **given.get("cluster_kubelet_config", {}),
        },
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            **given.get("cluster_kube_proxy_config", {}),
        },
    ]
    return "---\n".join(json.dumps(document) + "\n" for document in documents)


def by_hand(
    set_name: str,
    control_plane: str,
    workers: Sequence[str],
    given: Mapping[str, Any],
    venv: pathlib.Path,
    in_steps: bool = False,
) -> Command:
    """The commands typed by hand, on the nodes of a set; ``given`` are the inventory's variables.

    With ``in_steps``, every node is prepared before the control plane initializes.
    """
    folder = set_dir(set_name)
    marks = folder / "marks"
    version = str(given["cluster_kubernetes_version"])
    major, minor = minor_of(version)
    environment = {
        **user_environment(venv),
        "SSH_CONFIG": str(folder / "ssh_config"),
        "MARKS": str(marks),
        "CONTROL_PLANE": control_plane,
        "WORKERS": " ".join(workers),
        "PACKAGES": f"https://pkgs.k8s.io/core:/stable:/v{major}.{minor}/deb",
        "VERSION": version,
        "CONFIG": kubeadm_config(given),
        "POD_CIDR": POD_CIDR,
        "IN_STEPS": "yes" if in_steps else "",
        "IGNORED": ",".join(given.get("cluster_ignore_preflight_errors", [])),
        "SKIPPED": ",".join(given.get("cluster_skip_phases", [])),
    }
    return Command(["bash", str(RUN)], ROOT, environment, marks, marks=True)
