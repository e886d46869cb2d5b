# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The options of one machine as a node, for control planes and workers."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping, Optional, Sequence, Type, TypeVar

from ..core import addresses
from ..core.errors import OptionError
from ..core.options import var
from . import names
from .config import check_pass_through, node_registration, parse_taint, refuse_secrets

#: The kinds of ``cluster_kubeadm_config`` that an init takes; a join takes the JoinConfiguration.
INIT_KINDS = ("InitConfiguration", "ClusterConfiguration", "KubeletConfiguration", "KubeProxyConfiguration")

_LABEL_NAME = re.compile(r"^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
_LABEL_VALUE = re.compile(r"^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?\Z")
# The labels below kubernetes.io and k8s.io that the NodeRestriction admission lets a kubelet set on its own Node:
# https://kubernetes.io/docs/reference/access-authn-authz/admission-controllers/#noderestriction
_OWN_LABELS = (
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
)

#: The ports of a control plane that the API server can't have.
TAKEN_PORTS = {
    2379: "etcd",
    2380: "etcd",
    2381: "etcd",
    10248: "the kubelet",
    10250: "the kubelet",
    10257: "the controller manager",
    10259: "the scheduler",
}

T = TypeVar("T", bound="NodeOptions")


@dataclass(frozen=True)
class NodeOptions:
    """The variables ``cluster_node_*`` of a host, and the options of kubeadm for every node.

    ``taints`` None leaves kubeadm's default (control planes get theirs, workers none); an empty list means none at
    all. ``config`` is passed through into kubeadm's configuration, merged last.
    """

    node_name: str = field(default="", metadata=var("cluster_node_name"))
    node_address: str = field(default="", metadata=var("cluster_node_address"))
    bind_port: int = field(default=6443, metadata=var("cluster_node_bind_port"))
    node_labels: Dict[str, str] = field(default_factory=dict, metadata=var("cluster_node_labels"))
    taints: Optional[List[str]] = field(default=None, metadata=var("cluster_node_taints"))
    kubelet_extra_args: Dict[str, str] = field(default_factory=dict, metadata=var("cluster_node_kubelet_extra_args"))
    cri_socket: str = field(default="unix:///run/containerd/containerd.sock", metadata=var("cluster_node_cri_socket"))
    ignore_preflight_errors: List[str] = field(default_factory=list, metadata=var("cluster_ignore_preflight_errors"))
    config: Dict[str, Any] = field(default_factory=dict, metadata=var("cluster_kubeadm_config"))

    def validate(self) -> None:
        """Raise :class:`OptionError` for the first value that can't be used."""
        if self.node_name:
            names.check_node_name("cluster_node_name", self.node_name)
        if self.node_address:
            names.parse_addresses("cluster_node_address", self.node_address)
        if not 0 < self.bind_port < 65536:
            raise OptionError(
                "cluster_node_bind_port",
                "is {0}, which is not a port number".format(self.bind_port),
                "use a number from 1 to 65535",
            )
        if not self.cri_socket.startswith("unix:///"):
            raise OptionError(
                "cluster_node_cri_socket",
                "is {0!r}, not a socket".format(self.cri_socket),
                "use unix:// with an absolute path",
            )
        for name, value in self.node_labels.items():
            check_label("cluster_node_labels", name, str(value))
        if self.bind_port in TAKEN_PORTS:
            raise OptionError(
                "cluster_node_bind_port",
                "is {0}, the port of {1} on the same host".format(self.bind_port, TAKEN_PORTS[self.bind_port]),
                "use another port, like 6443",
            )
        check_taints("cluster_node_taints", self.taints or [])
        for name in self.ignore_preflight_errors:
            check_preflight_name("cluster_ignore_preflight_errors", name)
        self.refuse_secrets()
        check_pass_through("cluster_kubeadm_config", self.config, INIT_KINDS + ("JoinConfiguration",))

    def refuse_secrets(self) -> None:
        """Raise :class:`OptionError` for a secret in an option that shows in output."""
        refuse_secrets("cluster_kubeadm_config", self.config)

    @property
    def main_address(self) -> str:
        """The first address of ``node_address``: the API server advertises it, and etcd uses it."""
        return addresses.normal_address(self.node_address.partition(",")[0])

    def registration(self, api: str) -> Dict[str, Any]:
        """``nodeRegistration`` of an InitConfiguration or JoinConfiguration of this configuration API."""
        extra_args: Dict[str, Any] = dict(self.kubelet_extra_args)
        if self.node_address:
            # Otherwise the kubelet takes the address of the default route, whatever the API server advertises.
            extra_args.setdefault("node-ip", ",".join(map(addresses.normal_address, self.node_address.split(","))))
        if self.node_labels:
            labels = ",".join("{0}={1}".format(name, self.node_labels[name]) for name in sorted(self.node_labels))
            given = extra_args.get("node-labels")
            extra_args["node-labels"] = "{0},{1}".format(given, labels) if given else labels
        taints = None if self.taints is None else [parse_taint("cluster_node_taints", one) for one in self.taints]
        fields = node_registration(
            api, self.node_name, extra_args, taints, self.ignore_preflight_errors, self.cri_socket
        )
        if api == "v1beta4":
            fields["imagePullSerial"] = False
        return fields

    def local_endpoint(self) -> Dict[str, Any]:
        """``localAPIEndpoint`` of a control plane."""
        local: Dict[str, Any] = {"bindPort": self.bind_port}
        if self.node_address:
            local["advertiseAddress"] = self.main_address
        return local


def from_parameters(cls: Type[T], params: Mapping[str, Any]) -> T:
    """Options from a module's parameters, validated. Raises :class:`OptionError`."""
    fields = cls.__dataclass_fields__
    options = cls(**{name: value for name, value in params.items() if name in fields and value is not None})
    options.validate()
    return options


def check_preflight_name(option_name: str, name: str) -> None:
    """Raise :class:`OptionError` for what is not the name of one of kubeadm's preflight checks."""
    if name.strip().lower() == "all":
        raise OptionError(
            option_name, "has 'all', which would hide all problems", "list the checks, like [Swap, NumCPU]"
        )
    if not re.match(r"^[A-Za-z0-9][A-Za-z0-9._-]*\Z", name):
        raise OptionError(
            option_name, "has {0!r}, which is not the name of a check".format(name), "use a list of names like Swap"
        )


def check_taints(option_name: str, taints: Sequence[str]) -> None:
    """Raise :class:`OptionError` for taints with which a kubelet does not start."""
    seen = set()
    for text in taints:
        taint = parse_taint(option_name, text)
        if not is_qualified_name(taint["key"]) or not _LABEL_VALUE.match(taint.get("value", "")):
            raise OptionError(
                option_name,
                "has {0!r}; its key or value is not that of a label".format(text),
                "use key[=value]:Effect, with at most 63 letters, digits, dots and dashes each",
            )
        if (taint["key"], taint["effect"]) in seen:
            twice = "has two taints {0} with the effect {1}".format(taint["key"], taint["effect"])
            raise OptionError(option_name, twice, "remove one of them")
        seen.add((taint["key"], taint["effect"]))


def is_qualified_name(name: str) -> bool:
    """True for the name of a label or taint: a DNS name and a slash, if it has a prefix, and the name itself."""
    prefix, slash, rest = name.rpartition("/")
    return bool(_LABEL_NAME.match(rest)) and (not slash or names.is_dns_name(prefix))


def check_label(option_name: str, name: str, value: str) -> None:
    """Raise :class:`OptionError` for a label that a kubelet may not set on its own Node."""
    prefix = name.rpartition("/")[0]
    if not is_qualified_name(name) or not _LABEL_VALUE.match(value):
        raise OptionError(
            option_name,
            "has {0}={1!r}, which is not a label".format(name, value),
            "use name: value, each with at most 63 letters, digits, dots and dashes",
        )
    reserved = re.search(r"(^|\.)(kubernetes|k8s)\.io\Z", prefix)
    allowed = re.search(r"(^|\.)(kubelet|node)\.kubernetes\.io\Z", prefix) or name in _OWN_LABELS
    if reserved and not allowed:
        raise OptionError(
            option_name,
            "has {0}, which a kubelet may not set on its own Node".format(name),
            "set it with `kubectl label node` after the join",
        )
