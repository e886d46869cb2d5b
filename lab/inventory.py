# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory of a set of nodes: their addresses, and the variables that differ because they are containers."""

from __future__ import annotations

import json
import os
import pathlib
import re
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

from .flavour import BINARIES, UPSTREAM, minor_of
from .machine import ROOT, MachineError
from .node_image import USER, key_path
from .nodes import Node, set_dir, ssh_options

DEFAULT_SET = "lab"
# For tests: the version that the mirror offers besides that of the cluster. The collection does not read it.
LATER = "lab_later_version"


def cluster_variables(
    version: str,
    flavour: str,
    cgroup_v2: bool,
    missing_images: Sequence[str] = (),
    set_name: str = DEFAULT_SET,
    key_fingerprint: str = "",
    later_version: str = "",
) -> Dict[str, object]:
    """The variables that the lab sets to other values than their defaults, and why. Real machines need none of these.

    ``version`` and ``flavour`` are the mirror's; ``missing_images`` are those kubeadm wants and the mirror lacks;
    ``key_fingerprint`` is that of the key which the mirror's packages are signed with; ``later_version`` is the one to
    which nodes can be upgraded, empty if there is none.
    """
    minor = minor_of(later_version or version)
    variables: Dict[str, object] = {
        # The mirror serves one version, which need not be the collection's default.
        "cluster_kubernetes_version": version,
        # A container may not write the kernel's nf_conntrack_max.
        "cluster_kube_proxy_config": {"conntrack": {"maxPerCore": 0}},
        # For programs on this machine.
        "cluster_kubeconfig_path": str(set_dir(set_name) / "kubeconfig"),
    }
    if key_fingerprint:
        # The mirror answers in the name of pkgs.k8s.io, with packages that it has signed itself.
        variables["kube_packages_key_fingerprint"] = key_fingerprint
    if later_version:
        variables[LATER] = later_version
    # kubeadm looks for the kernel's configuration, which a container does not have, and for cgroup v2.
    ignored = ["SystemVerification"]
    if flavour != UPSTREAM:
        # There are no images of Calico. The lab's network is flat.
        variables["cni_plugin"] = "bridge"
    if flavour == BINARIES:
        # Built with a newer Go than its release was made for, kubeadm takes a CIDR for a malformed URL.
        ignored.append("HTTPProxyCIDR")
    variables["cluster_ignore_preflight_errors"] = ignored
    if not cgroup_v2 and minor >= (1, 35):
        # From 1.35 on the kubelet refuses cgroup v1 by default.
        variables["cluster_kubelet_config"] = {"failCgroupV1": False}
    if any("/coredns" in image for image in missing_images):
        variables["cluster_skip_phases"] = ["addon/coredns"]
    return variables


def split_groups(names: Sequence[str], control_plane: Optional[Sequence[str]] = None) -> Tuple[List[str], List[str]]:
    """The names in ``control_plane`` and ``workers``: those named, else those that begin with cp, else the first."""
    chosen = list(control_plane or [name for name in names if name.startswith("cp")] or names[:1])
    missing = [name for name in chosen if name not in names]
    if missing:
        raise MachineError(f"control plane {missing[0]} is not a node of the set; it has {' '.join(names) or 'none'}")
    return chosen, [name for name in names if name not in chosen]


def inventory(
    nodes: Sequence[Node], variables: Mapping[str, object], control_plane: Optional[Sequence[str]] = None
) -> Dict[str, object]:
    """The inventory as Ansible's YAML plugin reads it."""
    if not nodes:
        raise MachineError("an inventory needs nodes; create them with ./dev nodes create")
    addresses = {node.name: node.address for node in nodes}
    planes, workers = split_groups(list(addresses), control_plane)
    connection: Dict[str, object] = {
        "ansible_user": USER,
        "ansible_ssh_private_key_file": str(key_path()),
        "ansible_ssh_common_args": " ".join(ssh_options(nodes[0].set_name)),
        "ansible_pipelining": True,
        # Discover the Python without a warning for each node.
        "ansible_python_interpreter": "auto_silent",
    }

    def hosts(names: Sequence[str]) -> Dict[str, object]:
        return {"hosts": {name: {"ansible_host": addresses[name]} for name in names}}

    return {
        "all": {
            "vars": {**connection, **variables},
            "children": {"control_plane": hosts(planes), "workers": hosts(workers)},
        }
    }


def to_yaml(value: object, indent: int = 0) -> str:
    """Plain data as block YAML. Keys must be plain words; strings are quoted as JSON."""
    pad = "  " * indent
    if isinstance(value, Mapping):
        if not value:
            return " {}\n"
        text = "" if indent == 0 else "\n"
        for key, item in value.items():
            text += f"{pad}{key}:{to_yaml(item, indent + 1)}"
        return text
    if isinstance(value, (list, tuple)):
        if not value:
            return " []\n"
        return "\n" + "".join(f"{pad}-{to_yaml(item, indent + 1)}" for item in value)
    return f" {json.dumps(value)}\n"


def path_of(set_name: str) -> pathlib.Path:
    """The path of the set's inventory."""
    if set_name == DEFAULT_SET:
        return ROOT / "inventories" / "lab" / "hosts.yml"
    return set_dir(set_name) / "hosts.yml"


def version_in(set_name: str) -> Optional[str]:
    """The Kubernetes version the set's inventory was written for; None without an inventory."""
    path = path_of(set_name)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    match = re.search(r'^ *cluster_kubernetes_version: "(.+)"$', text, re.MULTILINE)
    return match.group(1) if match else None


def ssh_config(nodes: Sequence[Node]) -> str:
    """A configuration file for ssh, so that ``ssh -F file cp1`` logs in to the node."""
    text = "# Written by ./dev for the nodes of this set; the next run overwrites it.\n"
    for node in nodes:
        text += f"Host {node.name}\n  HostName {node.address}\n  User {USER}\n  IdentityFile {key_path()}\n"
        text += "".join(f"  {option.replace('=', ' ', 1)}\n" for option in ssh_options(node.set_name)[1::2])
    return text


def write(
    set_name: str,
    nodes: Sequence[Node],
    variables: Mapping[str, object],
    control_plane: Optional[Sequence[str]] = None,
) -> pathlib.Path:
    """Write the set's inventory atomically; its path."""
    path = path_of(set_name)
    text = "---\n# Written by ./dev for the nodes of this set; the next run overwrites it.\n"
    text += to_yaml(inventory(nodes, variables, control_plane))
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".hosts.{os.getpid()}")
    fresh.write_text(text, encoding="utf-8")
    fresh.replace(path)
    set_dir(set_name).mkdir(parents=True, exist_ok=True)
    (set_dir(set_name) / "ssh_config").write_text(ssh_config(nodes), encoding="utf-8")
    return path


def remove(set_name: str) -> None:
    """Remove the set's inventory and the other files about its nodes."""
    files = [set_dir(set_name) / name for name in ("known_hosts", "ssh_config", "kubeconfig")]
    for path in (path_of(set_name), *files):
        path.unlink(missing_ok=True)
    for folder in (path_of(set_name).parent, set_dir(set_name)):
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()
