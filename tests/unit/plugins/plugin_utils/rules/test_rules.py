# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every check of a preflight, provoked on facts recorded from real nodes, and silence on those facts as they are."""

from __future__ import annotations

import ast
import copy
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.plugin_utils.hosts import Reading
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan import machine_steps, registry
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.converge import converge
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.inventory import Inventory
from ansible_collections.kubestead.cluster.plugins.plugin_utils.plan.result import Plan, Request, findings_result
from ansible_collections.kubestead.cluster.plugins.plugin_utils.rules import catalogue as checks
from ansible_collections.kubestead.cluster.plugins.plugin_utils.rules import clock_skew
from ansible_collections.kubestead.cluster.tests.unit.support import fixture

ROOT = Path(__file__).resolve().parents[5]
Facts = dict[str, Any]
Change = Mapping[str, Any]

# Inventory names to recordings: two bare machines (1.20), and a cluster of two with a newcomer (1.35).
BARE = {"a1": "bare-control-plane", "a2": "bare-worker"}
LIVE = {"c1": "control-plane", "c2": "worker", "c3": "newcomer"}
CONTROL = {"a1", "c1"}
TIGHT_CGROUP = {"options.control_plane.kubelet_config": {}}


def recorded(name: str) -> Facts:
    facts: Facts = json.loads(fixture(f"preflight/{name}.json"))
    return facts


def changed(facts: Facts, change: Change) -> Facts:
    """The facts with some of them (by dotted path) set to another value, or to what a function makes of theirs."""
    result = copy.deepcopy(facts)
    for path, value in change.items():
        *parents, last = path.split(".")
        place = result
        for parent in parents:
            place = place[int(parent)] if isinstance(place, list) else place[parent]
        at: Any = int(last) if isinstance(place, list) else last
        place[at] = value(place[at]) if callable(value) else value
    return result


def judge(
    which: Mapping[str, str],
    changes: Mapping[str, Change] | None = None,
    skip: tuple[str, ...] = (),
    wanted: tuple[str, ...] = registry.NAMES,
    limit: set[str] | None = None,
    inventory: Inventory | None = None,
) -> Plan:
    """The plan for recorded hosts; ``*`` changes all of them. Outside of ``limit`` only the control plane is asked."""
    facts = {}
    for name, recording in which.items():
        facts[name] = changed(recorded(recording), (changes or {}).get("*", {}))
        facts[name] = changed(facts[name], (changes or {}).get(name, {}))
    groups = Inventory([name for name in which if name in CONTROL], [name for name in which if name not in CONTROL])
    hosts = {name: registry.read_host(name, name in CONTROL, one) for name, one in facts.items()}
    return converge(
        Request(
            inventory or groups,
            [host for name, host in hosts.items() if not limit or name in limit],
            wanted,
            [host for name, host in hosts.items() if limit and name in CONTROL - limit],
            skip,
        )
    )


def said(plan: Plan) -> list[tuple[str, str, str]]:
    return [(finding.host, finding.problem.check, finding.problem.level) for finding in plan.findings]


# -- silence


@pytest.mark.parametrize("which", [BARE, LIVE], ids=["bare", "live"])
def test_healthy_nodes_are_met_with_silence(which: Mapping[str, str]) -> None:
    plan = judge(which)
    assert not plan.findings
    assert plan.joins == (["a2"] if which is BARE else ["c3"])


def test_a_run_limited_to_a_newcomer_needs_no_facts_of_other_workers() -> None:
    plan = judge(LIVE, limit={"c3"})
    assert not plan.findings
    assert plan.joins == ["c3"]


def test_a_machine_that_is_no_container_is_met_with_silence_too() -> None:
    real = {"host.container": False, "clock.synchronized": True}
    plan = judge(
        BARE,
        {
            "*": real,
            "a1": {"node.product_uuid": "11111111-1111-1111-1111-111111111111"},
            "a2": {"node.product_uuid": "22222222-2222-2222-2222-222222222222"},
        },
    )
    assert not plan.findings


def test_containers_share_their_machines_hardware_and_clock() -> None:
    plan = judge(BARE, {"*": {"node.product_uuid": "11111111-1111-1111-1111-111111111111"}})
    assert recorded("bare-worker")["host"]["container"] is True
    assert recorded("bare-worker")["clock"]["synchronized"] is False
    assert not plan.findings


# -- every check, provoked


@dataclass(frozen=True)
class Case:
    """What is changed on which host of a set, and the one finding that it must bring."""

    check: str
    level: str
    which: Mapping[str, str]
    host: str
    change: Change
    text: str
    others: Mapping[str, Change] = field(default_factory=dict)
    components: tuple[str, ...] = registry.NAMES


def later(seconds: float) -> Callable[[Any], Any]:
    return lambda epoch: epoch + seconds


def value_of(name: str, path: str) -> Any:
    value: Any = recorded(name)
    for part in path.split("."):
        value = value[int(part)] if isinstance(value, list) else value[part]
    return value


A1 = value_of("bare-control-plane", "node.default_address")
A2 = value_of("bare-worker", "node.default_address")
C1 = value_of("control-plane", "node.default_address")
FULL = [{"folder": "/var/lib/kubelet", "size_mb": 20000, "free_mb": 900}]
NEARLY = [{"folder": "/var/lib/kubelet", "size_mb": 100000, "free_mb": 9000}]
REAL = {"host.container": False, "clock.synchronized": True}
SOURCE_1 = {"containerd.version": "1.7.24", "containerd.packages": {"containerd": "1.7.24~ds1-6"}}
PARTIAL = {"kubeadm.phase": "partial", "kubeadm.reason": "found certificates"}
FOREIGN = "sha256:" + "b" * 64
NO_SWAP_ROLE = ("kube_packages", "containerd", "control_plane", "join", "cni")


ARGUMENT = {"name": "cloud-config", "value": "/x"}
SOURCE_2 = {"containerd.version": "2.1.4", "containerd.packages": {"containerd.io": "2.1.4"}}


def kubelet(name: str) -> Change:
    return {"options.control_plane.kubelet_extra_args": {name: "x"}}


def gate(name: str) -> Change:
    return {"options.control_plane.feature_gates": {name: True}}


def nodes_with(change: Change) -> Callable[[Any], Any]:
    """The API's nodes with the second one (the worker) changed."""
    return lambda nodes: [{**node, **change} if node["name"] == "c2" else node for node in nodes]


C2 = value_of("worker", "node.default_address")
# Without the host of the node c2: as where its machine says that it is another, which has not joined.
WITHOUT = {"c1": "control-plane", "c3": "newcomer"}


def dual(first: str, second: str) -> Change:
    """A host that has an address of each family and was told both."""
    return {
        "node.addresses": lambda all: [*all, {"interface": "eth0", "address": second, "network": second + "/64"}],
        "options.control_plane.node_address": f"{first}, {second}",
    }


def passed(**fields: Any) -> Change:
    """A pass-through into kubeadm's ClusterConfiguration."""
    return {"options.control_plane.config": {"ClusterConfiguration": fields}}


def wanted(version: str) -> Change:
    return {"options.control_plane.kubernetes_version": version, "node.cgroup_version": 2}


CALICO = {"options.cni.plugin": "calico", "cni.bridge": None}
VERIFIED = {"options.control_plane.ignore_preflight_errors": []}
CASES = [
    # the machine
    Case(
        "kernel_config",
        "error",
        BARE,
        "a2",
        {**VERIFIED, "node.kernel_state": {"config": ""}},
        "the configuration of kernel .* was not found, so kubeadm can't verify it; install it as /boot/config-",
    ),
    Case(
        "kernel_config",
        "error",
        BARE,
        "a2",
        {**VERIFIED, "node.kernel_state": {"config": "/boot/config-6.1", "lacks": ["CGROUP_PIDS", "MEMCG"]}},
        "lacks options that kubeadm requires: CONFIG_CGROUP_PIDS, CONFIG_MEMCG; use a kernel",
    ),
    Case(
        "cgroup_controller",
        "error",
        BARE,
        "a2",
        {"node.kernel_state": {"config": "/proc/config.gz", "controllers_lacking": ["memory"]}},
        "the cgroup controller memory is disabled; the kubelet can't start; enable it",
    ),
    Case(
        "ip_forward",
        "error",
        BARE,
        "a2",
        {"host.sysctls": {"net.ipv4.ip_forward": "0"}},
        "net.ipv4.ip_forward is not 1; kubeadm refuses it, and packets of pods are dropped; use the role",
        components=NO_SWAP_ROLE,
    ),
    Case("system", "warning", BARE, "a2", {"node.os_version": "11"}, "debian 11 is older .*; use debian 12 or newer"),
    Case(
        "system",
        "warning",
        BARE,
        "a2",
        {"node.os_id": "ubuntu", "node.os_version": "20.04"},
        "ubuntu 20.04 is older .*; use ubuntu 22.04 or newer",
    ),
    Case(
        "system",
        "warning",
        BARE,
        "a2",
        {"node.os_id": "ol", "node.os_like": ["fedora"], "node.os_version": "8.10"},
        "ol 8.10 is older .*; use rhel 9 or newer",
    ),
    Case(
        "architecture",
        "error",
        BARE,
        "a2",
        {"node.architecture": "armv7l"},
        "armv7l is not supported .*; use a 64-bit system",
    ),
    Case("cpus", "error", BARE, "a1", {"node.cpus": 1}, "has 1 CPU, but a control plane needs 2; add CPUs"),
    Case(
        "cpus",
        "warning",
        BARE,
        "a1",
        {"node.cpus": 1, "options.control_plane.ignore_preflight_errors": ["NumCPU"]},
        "has 1 CPU",
    ),
    Case("memory", "error", BARE, "a1", {"node.memory_mb": 1024}, "1024 MB of memory, but a control plane needs 1700"),
    Case("memory", "warning", BARE, "a2", {"node.memory_mb": 512}, "512 MB of memory, but a worker should have 900"),
    Case("disk", "error", BARE, "a2", {"node.disks": FULL}, r"/var/lib/kubelet has 900 MB \(4 %\) free; free at least"),
    Case("disk", "warning", BARE, "a2", {"node.disks": NEARLY}, r"9000 MB \(9 %\) free; .*below 15 % the kubelet"),
    Case(
        "kernel_feature",
        "error",
        BARE,
        "a2",
        {"host.features": {"overlay": "built in", "br_netfilter": "missing"}},
        "kernel feature br_netfilter is missing",
    ),
    Case(
        "swap",
        "error",
        BARE,
        "a2",
        {**REAL, "host.swaps": ["/dev/sda2"], "options.host.disable_swap": False},
        "swap /dev/sda2 stays enabled; .*failSwapOn",
    ),
    Case(
        "swap",
        "warning",
        BARE,
        "a2",
        {"host.fstab": "/dev/sda2 none swap sw 0 0\n", "options.host.disable_swap": False},
        "swap /dev/sda2 is enabled again at the next boot",
    ),
    Case(
        "swap",
        "warning",
        BARE,
        "a2",
        {"host.swap_units": ["dev-zram0.swap"]},
        "swap dev-zram0.swap is enabled again at the next boot",
        components=NO_SWAP_ROLE,
    ),
    Case(
        "swap",
        "warning",
        BARE,
        "a2",
        {"host.swaps": ["/dev/sda2"]},
        "belongs to the machine that this container runs on",
    ),
    Case(
        "sysctl_override",
        "warning",
        BARE,
        "a2",
        {
            "host.later_sysctls": [
                {"path": "/usr/lib/sysctl.d/99-z.conf", "number": 1, "key": "net.ipv4.ip_forward", "value": "0"}
            ]
        },
        "99-z.conf sets net.ipv4.ip_forward = 0 and is read after",
    ),
    Case(
        "cgroup_v1",
        "error",
        LIVE,
        "c3",
        TIGHT_CGROUP,
        "cgroup v1, but kubelet 1.35 requires cgroup v2 by default; boot it",
    ),
    Case(
        "cgroup_driver",
        "error",
        BARE,
        "a2",
        {"options.control_plane.kubelet_config": {"cgroupDriver": "cgroupfs"}},
        "the kubelet is configured for cgroupDriver cgroupfs, but containerd for systemd",
    ),
    Case(
        "cgroup_driver",
        "warning",
        LIVE,
        "c2",
        {"containerd.kubelet_driver": "cgroupfs"},
        "the kubelet of this node uses the cgroup driver cgroupfs, so containerd keeps it too",
    ),
    # versions
    Case(
        "version_skew",
        "error",
        LIVE,
        "c3",
        {"options.control_plane.kubernetes_version": "1.36", "containerd.candidate": "containerd.io"},
        "cluster_kubernetes_version is 1.36, but the cluster runs 1.35.0; "
        "a kubelet may not be newer than the API server; set it to 1.35",
    ),
    Case(
        "version_skew",
        "warning",
        LIVE,
        "c3",
        {"options.control_plane.kubernetes_version": "1.34"},
        "1.34, but the cluster runs 1.35.0; the minor versions differ by 1",
    ),
    Case(
        "containerd_version",
        "error",
        BARE,
        "a2",
        {**SOURCE_1, "options.control_plane.kubernetes_version": "1.38", "node.cgroup_version": 2},
        "has containerd 1.7.24, but Kubernetes 1.38 needs 2.0; set containerd_package .*, or .*_version to 1.37",
    ),
    *(
        Case(
            "containerd_version",
            "warning",
            BARE,
            "a2",
            {**SOURCE_1, "options.control_plane.kubernetes_version": version, "node.cgroup_version": 2},
            f"has containerd 1.7.24, but Kubernetes {version} is tested with 2.0 or newer; "
            "set .*, or .*_version to 1.35",
        )
        for version in ("1.36", "1.37")
    ),
    Case(
        "containerd_version",
        "error",
        BARE,
        "a2",
        {
            "containerd.version": "1.5.9",
            "containerd.packages": {"containerd": "1.5.9"},
            "options.control_plane.kubernetes_version": "1.34",
        },
        r"has containerd 1.5.9, but Kubernetes 1.34 needs 1.6; set containerd_package to a newer package \(.*\)$",
    ),
    Case(
        "containerd_version",
        "warning",
        BARE,
        "a2",
        {"options.control_plane.kubernetes_version": "1.36", "node.cgroup_version": 2},
        "would get containerd 1.6 from its distribution, but Kubernetes 1.36 is tested with 2.0 or newer",
    ),
    # arguments that the wanted version no longer has
    *(
        Case("removed_argument", "error", BARE, "a1", {**SOURCE_2, **wanted(version), **change}, text)
        for version, change, text in (
            (
                "1.35",
                kubelet("pod-infra-container-image"),
                "pod-infra-container-image, which kubelet removed in 1.35",
            ),
            ("1.36", kubelet("pod_infra_container_image"), "pod_infra_container_image, which kubelet removed in 1.35"),
            (
                "1.34",
                kubelet("cloud-config"),
                "cluster_node_kubelet_extra_args has cloud-config, .* removed in 1.34; kubelet can't",
            ),
            ("1.35", kubelet("register-schedulable"), "register-schedulable, which kubelet removed in 1.34"),
            ("1.36", kubelet("network-plugin"), "network-plugin, which kubelet removed in 1.24"),
            ("1.36", kubelet("container-runtime"), "container-runtime, which kubelet removed in 1.27"),
            ("1.36", kubelet("logtostderr"), "logtostderr, which kubelet removed in 1.26"),
            ("1.37", kubelet("global-housekeeping-interval"), "interval, which kubelet removed in 1.37"),
            ("1.37", kubelet("containerd"), "containerd, which kubelet removed in 1.37"),
            (
                "1.35",
                {
                    "options.control_plane.config": {
                        "InitConfiguration": {"nodeRegistration": {"kubeletExtraArgs": [ARGUMENT]}}
                    }
                },
                "InitConfiguration.nodeRegistration.kubeletExtraArgs has cloud-config",
            ),
            (
                "1.35",
                passed(apiServer={"extraArgs": {"cloud-provider": "external"}}),
                "apiServer.extraArgs has cloud-provider, which kube-apiserver removed in 1.33",
            ),
            ("1.35", passed(apiServer={"extraArgs": {"insecure-port": "0"}}), "insecure-port, which kube-apiserver"),
            (
                "1.35",
                passed(apiServer={"extraArgs": {"enable-admission-plugins": "NodeRestriction,PodSecurityPolicy"}}),
                "sets enable-admission-plugins to PodSecurityPolicy, which Kubernetes removed in 1.25",
            ),
            (
                "1.35",
                passed(controllerManager={"extraArgs": {"pod-eviction-timeout": "1m"}}),
                "pod-eviction-timeout, which kube-controller-manager removed in 1.27",
            ),
            ("1.35", passed(scheduler={"extraArgs": {"port": "0"}}), "port, which kube-scheduler removed in 1.24"),
            (
                "1.36",
                passed(etcd={"local": {"extraArgs": {"enable-v2": "true"}}}),
                "etcd.local.extraArgs has enable-v2, which etcd removed in 3.6; etcd can't start",
            ),
            (
                "1.37",
                passed(
                    etcd={"local": {"extraArgs": [{"name": "experimental-initial-corrupt-check", "value": "true"}]}}
                ),
                "experimental-initial-corrupt-check, which etcd removed in 3.7",
            ),
            (
                "1.36",
                passed(etcd={"local": {"imageTag": "3.7.1-0", "extraArgs": {"experimental-max-learners": "2"}}}),
                "experimental-max-learners, which etcd removed in 3.7",
            ),
        )
    ),
    Case(
        "etcd_image",
        "error",
        BARE,
        "a1",
        {**SOURCE_2, **wanted("1.36"), **passed(etcd={"local": {"imageTag": "3.4.13-0"}})},
        "imageTag is 3.4.13-0, but kubeadm 1.36 starts etcd with arguments that were added in 3.5; use 3.6.8-0",
    ),
    Case(
        "etcd_image",
        "warning",
        BARE,
        "a1",
        {**SOURCE_2, **wanted("1.36"), **passed(etcd={"local": {"imageTag": "latest"}})},
        "imageTag is 'latest'; kubeadm writes arguments for an old etcd if the tag has no version; use a tag like 3.6",
    ),
    *(
        Case("feature_gate", "error", BARE, "a1", {**SOURCE_2, **wanted(version), **change}, text)
        for version, change, text in (
            ("1.35", gate("WaitForAllControlPlaneComponents"), "Components, which kubeadm removed in 1.35"),
            ("1.36", gate("ControlPlaneKubeletLocalMode"), "LocalMode, which kubeadm removed in 1.36; remove"),
            ("1.37", gate("NodeLocalCRISocket"), "cluster_feature_gates has NodeLocalCRISocket"),
            ("1.34", gate("EtcdLearnerMode"), "EtcdLearnerMode, which kubeadm removed in 1.33"),
            (
                "1.35",
                gate("SidecarContainers"),
                "which is not a feature gate of kubeadm; remove it; set gates of the kubelet in",
            ),
            (
                "1.35",
                passed(featureGates={"IPv6DualStack": True}),
                "ClusterConfiguration.featureGates has IPv6DualStack",
            ),
        )
    ),
    *(
        Case(
            "skip_phase",
            "error",
            BARE,
            "a1",
            {**SOURCE_2, **wanted("1.35"), "options.control_plane.skip_phases": [name]},
            text,
        )
        for name, text in (
            ("addon/kubeproxy", "has 'addon/kubeproxy', .*; did you mean addon/kube-proxy"),
            ("addons", "did you mean addon"),
            ("kube-proxy", "is not a phase of kubeadm init"),
            ("certs/etcd", "did you mean certs/etcd-ca"),
            ("upload_config", "did you mean upload-config"),
        )
    ),
    Case(
        "local_program",
        "warning",
        LIVE,
        "c3",
        {"node.local_programs": ["/usr/local/bin/kubeadm"]},
        "/usr/local/bin/kubeadm takes precedence over the program of the packages, possibly with another version; "
        "remove the programs",
    ),
    Case(
        "local_program",
        "warning",
        LIVE,
        "c3",
        {"node.local_programs": ["/usr/local/bin/kubectl", "/usr/local/bin/kubelet"]},
        "/usr/local/bin/kubectl, /usr/local/bin/kubelet take precedence over the programs of the packages",
    ),
    # who it is
    Case("node_name", "error", BARE, "a2", {"kubeadm.node_name": ".".join(["a" * 32] * 2)}, "too long for a Node"),
    Case(
        "hostname_lookup",
        "warning",
        BARE,
        "a2",
        {"node.hostname_addresses": []},
        "this host can't resolve its own name a2; add it to DNS or to /etc/hosts",
    ),
    Case(
        "hostname_lookup",
        "warning",
        BARE,
        "a2",
        {
            "node.hostname_addresses": ["172.31.0.9"],
            "node.addresses": lambda all: [
                *all,
                {"interface": "eth1", "address": "172.31.0.9", "network": "172.31.0.9/24"},
            ],
        },
        f"a2 resolves to 172.31.0.9, which the kubelet would use, but kubeadm uses {A2}; set cluster_node_address",
    ),
    Case(
        "hostname", "error", BARE, "a2", {"kubeadm.node_name": "a1"}, "has the same host name as a1 \\(a1\\); give each"
    ),
    Case("node_name", "error", BARE, "a2", {"kubeadm.node_name": "my_pc"}, "'my_pc' is not a valid node name"),
    Case("node_name", "error", BARE, "a2", {"kubeadm.node_name": "x" * 64}, "at most 63"),
    Case("node_name", "warning", BARE, "a2", {"kubeadm.node_name": "localhost"}, "the host name is localhost"),
    Case(
        "node_name_taken",
        "error",
        LIVE,
        "c3",
        {"kubeadm.node_name": "c2"},
        "would join as c2, but the cluster has a ready node",
    ),
    Case(
        "node_name_taken",
        "warning",
        LIVE,
        "c3",
        {"kubeadm.node_name": "c2"},
        "would replace node c2, which is another machine",
        {"c1": {"kubeadm.api.nodes": nodes_with({"ready": False})}},
    ),
    Case(
        "already_a_node",
        "error",
        WITHOUT,
        "c3",
        {"connects_to": C2},
        f"not joined and would join as c3, but Ansible connects to {C2}, which is the address of node c2; check this "
        "host.*kubectl delete node c2",
    ),
    Case(
        "already_a_node",
        "warning",
        WITHOUT,
        "c3",
        {"connects_to": C2},
        f"Ansible connects to {C2}",
        {"c1": {"kubeadm.api.nodes": nodes_with({"ready": False})}},
    ),
    Case(
        "machine_id",
        "error",
        BARE,
        "a2",
        {"node.machine_id": value_of("bare-control-plane", "node.machine_id")},
        r"has the same machine ID as a1 \([0-9a-f]{32}\); one is probably a clone; run 'rm /etc/machine-id",
    ),
    Case(
        "machine_id",
        "warning",
        LIVE,
        "c2",
        {"node.machine_id": value_of("control-plane", "node.machine_id")},
        "has the same machine ID",
    ),
    Case(
        "product_uuid",
        "warning",
        BARE,
        "a2",
        {"node.product_uuid": "03000200-0400-0500-0006-000700080009"},
        r"has the same product UUID as a1 \(03000200-",
        {"*": REAL, "a1": {"node.product_uuid": "03000200-0400-0500-0006-000700080009"}},
    ),
    Case(
        "mac",
        "error",
        BARE,
        "a2",
        {"node.addresses.0": lambda one: {**one, "mac": value_of("bare-control-plane", "node.addresses.0.mac")}},
        "has the same MAC address as a1 .*; give",
    ),
    Case(
        "mac",
        "warning",
        BARE,
        "a2",
        {
            "node.addresses": lambda all: [
                *all,
                {
                    "interface": "eth1",
                    "address": "172.31.0.9",
                    "network": "172.31.0.9/24",
                    "mac": value_of("bare-control-plane", "node.addresses.0.mac"),
                },
            ]
        },
        "has the same MAC address",
    ),
    Case(
        "address",
        "error",
        BARE,
        "a2",
        {"node.default_address": A1},
        f"reached at {A1}, which is the address of a1; set cluster_node",
    ),
    Case(
        "address",
        "warning",
        BARE,
        "a2",
        {},
        "node address .* is also configured on a1",
        {
            "a1": {
                "node.addresses": lambda all: [
                    *all,
                    {
                        "interface": "eth1",
                        "address": A2,
                        "network": "10.213.0.39/20",
                    },
                ]
            }
        },
    ),
    # time
    Case(
        "clock_skew",
        "error",
        BARE,
        "a2",
        {"node.epoch": later(3600)},
        r"the clock is 3[56]\d\d s ahead of that of the other",
    ),
    Case(
        "clock_skew",
        "error",
        LIVE,
        "c3",
        {"node.epoch": later(-3600)},
        r"the clock is 3[56]\d\d s behind that of the other",
    ),
    Case("clock_skew", "warning", LIVE, "c2", {"node.epoch": later(-3600)}, r"the clock is 3[56]\d\d s behind"),
    Case("clock_skew", "warning", BARE, "a2", {"node.epoch": later(60)}, r"the clock is [456]\d s ahead"),
    Case(
        "time_sync",
        "warning",
        BARE,
        "a2",
        {"host.container": False},
        r"not synchronized \(no time service is active\); install chrony",
    ),
    Case(
        "time_sync",
        "warning",
        BARE,
        "a2",
        {"host.container": False, "environment.time_services": ["chronyd"]},
        r"\(chronyd is active but has not set it\)",
    ),
    # the network
    Case(
        "pod_cidr_overlap",
        "error",
        BARE,
        "a2",
        {"node.routes": lambda routes: [*routes, "10.64.0.0/16"]},
        "cluster_pod_cidr 10.64.0.0/12 overlaps with the route to 10.64.0.0/16 of this host",
        {"*": {"options.control_plane.pod_cidr": "10.64.0.0/12", "options.cni.pod_cidr": "10.64.0.0/12"}},
    ),
    Case(
        "pod_cidr_overlap",
        "error",
        BARE,
        "a2",
        {"node.routes": ["fd00:10::/64"], **dual(A2, "fd00:1::2")},
        "cluster_pod_cidr fd00:10::/56 overlaps with the route to fd00:10::/64",
        {"*": {"options.control_plane.pod_cidr": "10.64.0.0/16,fd00:10::/56"}, "a1": dual(A1, "fd00:1::1")},
    ),
    # What contains a range is no conflict: routes of VPNs, the network of a company, a default reject.
    *(
        Case(
            "pod_cidr_overlap",
            "warning",
            BARE,
            "a2",
            {"node.routes": lambda routes, more=route: [*routes, more]},
            f"cluster_pod_cidr 10.64.0.0/16 overlaps with the route to {route} of this host; machines of that network",
            {
                "*": {
                    "options.control_plane.pod_cidr": "10.64.0.0/16",
                    "options.control_plane.service_cidr": "172.20.0.0/16",
                }
            },
        )
        for route in ("0.0.0.0/1", "10.0.0.0/8", "10.64.0.0/15", "10.0.0.0/9", "8.0.0.0/5", "10.64.0.0/12")
    ),
    *(
        Case(
            "pod_cidr_overlap",
            "error",
            BARE,
            "a2",
            {"node.routes": lambda routes, more=route: [*routes, more]},
            f"overlaps with the route to {route} of this host; set",
            {
                "*": {
                    "options.control_plane.pod_cidr": "10.64.0.0/16",
                    "options.control_plane.service_cidr": "172.20.0.0/16",
                }
            },
        )
        for route in ("10.64.0.0/16", "10.64.3.0/24", "10.64.255.254/32")
    ),
    Case(
        "service_cidr_overlap",
        "warning",
        BARE,
        "a2",
        {"node.routes": ["10.0.0.0/8"]},
        "cluster_service_cidr 10.96.0.0/12 overlaps with the route to 10.0.0.0/8",
        {"*": {"options.control_plane.pod_cidr": "172.30.0.0/16"}},
    ),
    # families
    Case(
        "address_family",
        "error",
        BARE,
        "a1",
        {"node.default_address": "fd00:1::1"},
        "cluster_service_cidr starts with 10.96.0.0/12, but the address of this control plane is fd00:1::1; the API",
    ),
    Case(
        "address_family",
        "error",
        BARE,
        "a2",
        {"node.default_address": "fd00:1::2"},
        "pods get addresses of 10.244.0.0/16, but the address of this host is fd00:1::2; use ranges of the family",
    ),
    Case(
        "address_family",
        "error",
        BARE,
        "a1",
        {},
        "Services get addresses of 10.96.0.0/16,fd00:96::/112, but pods only of 10.244.0.0/16",
        {"*": {"options.control_plane.service_cidr": "10.96.0.0/16,fd00:96::/112"}},
    ),
    Case(
        "address_family",
        "error",
        BARE,
        "a2",
        {"node.default_addresses": [A2, "fd00:1::2"], **CALICO},
        rf"would have only the address {A2}; set cluster_node_address to '{A2},fd00:1::2'",
        {"*": {"options.control_plane.pod_cidr": "10.64.0.0/16,fd00:10::/56"}, "a1": dual(A1, "fd00:1::1")},
    ),
    Case(
        "address_family",
        "warning",
        BARE,
        "a2",
        {},
        "only the address 10.213.0.39; give the host an IPv6 address, or use ranges of one family",
        {"*": {"options.control_plane.pod_cidr": "10.64.0.0/16,fd00:10::/56"}, "a1": dual(A1, "fd00:1::1")},
    ),
    Case(
        "pod_cidr_size",
        "error",
        BARE,
        "a2",
        {},
        "cluster_pod_cidr 10.64.0.0/24 has ranges of /24 for 1 node, but the cluster will have 2; use a larger range",
        {"*": {"options.control_plane.pod_cidr": "10.64.0.0/24"}, "a1": {"options.cni.plugin": "none"}},
    ),
    Case(
        "service_cidr_overlap",
        "error",
        BARE,
        "a2",
        {"node.dns_servers": ["10.96.0.53"]},
        "cluster_service_cidr 10.96.0.0/12 overlaps with the DNS server 10.96.0.53",
    ),
    Case(
        "node_address",
        "error",
        BARE,
        "a2",
        {"options.control_plane.node_address": "192.0.2.9"},
        f"cluster_node_address 192.0.2.9 is not an address of this host; use one of {A2}",
    ),
    Case(
        "default_route",
        "error",
        BARE,
        "a2",
        {"node.default_address": ""},
        "does not have a default route.*; set cluster_node_address",
    ),
    Case(
        "port_taken",
        "error",
        BARE,
        "a2",
        {"ports": {"listening": [22, 6443, 10250], "processes": {"10250": "nginx (process 7)"}}},
        r"port 10250 of the kubelet is in use by nginx \(process 7\); stop",
    ),
    Case(
        "port_taken",
        "error",
        BARE,
        "a1",
        {"ports.listening": [22, 2379, 6443]},
        "port 2379 of etcd is in use, port 6443 of the API server is in use; stop",
    ),
    Case(
        "virtual_ip_taken",
        "error",
        BARE,
        "a1",
        {
            "options.api_endpoint": {"virtual_ip": "192.0.2.100"},
            "api_endpoint": {"virtual_ip": {"taken": True, "networks": {"192.0.2.11/24": "eth1"}}},
        },
        "cluster_endpoint_vip is 192.0.2.100, but another machine answers at this address; use",
    ),
    Case(
        "api_unreachable",
        "error",
        BARE,
        "a2",
        {"reach": {f"{A1}:6443": "timeout"}},
        r"of a1 \(.*:6443\): no answer within 3 s; open",
    ),
    Case(
        "api_unreachable",
        "warning",
        BARE,
        "a2",
        {"reach": {f"{A1}:6443": "unreachable", "lb.example:6443": "refused"}},
        "the control plane of a1 .*: unreachable",
        {"*": {"options.control_plane.endpoint": "lb.example:6443"}},
    ),
    Case(
        "api_unreachable",
        "error",
        BARE,
        "a2",
        {"reach": {"lb.example:6443": "unknown name"}},
        "cluster_endpoint lb.example:6443: this host can't resolve the name; add it to DNS",
        {"*": {"options.control_plane.endpoint": "lb.example:6443"}},
    ),
    Case(
        "api_unreachable",
        "error",
        LIVE,
        "c3",
        {"reach": {f"{C1}:6443": "refused"}},
        r"the API server of c1 \(.*\): connection refused",
    ),
    Case(
        "node_unreachable",
        "warning",
        BARE,
        "a1",
        {"reach": {f"{A2}:10250": "timeout"}},
        r"the kubelet port of a2 \(.*:10250\): no answer .*kubectl logs",
    ),
    Case(
        "registry_unreachable",
        "warning",
        BARE,
        "a2",
        {"reach": {"registry.k8s.io:443": "unknown name"}},
        r"can't reach registry registry.k8s.io \(registry.k8s.io:443: unknown name\); .*containerd_registry_mirrors",
    ),
    Case(
        "mtu",
        "warning",
        LIVE,
        "c3",
        {"node.addresses.0": lambda one: {**one, "mtu": 9000}},
        "eth0 has an MTU of 9000, but the other hosts have 1500; .*cni_mtu to 1450",
    ),
    Case(
        "dns_loop",
        "error",
        BARE,
        "a2",
        {"node.loopback_dns": ["127.0.0.53"], "node.dns_servers": []},
        r"lists only loopback name servers \(127.0.0.53\); CoreDNS would forward to itself and exit; .*resolvConf",
    ),
    Case(
        "dns_loop",
        "error",
        BARE,
        "a2",
        {"node.loopback_dns": ["127.0.0.1"], "node.dns_file": "/run/systemd/resolve/resolv.conf"},
        r"/run/systemd/resolve/resolv.conf lists loopback name servers \(127.0.0.1\)",
    ),
    Case(
        "dns_server",
        "error",
        BARE,
        "a2",
        {"node.no_dns_file": True},
        r"/etc/resolv.conf does not exist on this host, or is a link to a file that does not; no pod would start",
    ),
    Case(
        "dns_server",
        "warning",
        BARE,
        "a2",
        {"node.odd_dns": ["10.0.0.2;"]},
        r"/etc/resolv.conf has a name server that is not an address: '10.0.0.2;'; pods get it unchanged; write",
    ),
    Case(
        "firewall",
        "warning",
        BARE,
        "a1",
        {"environment.firewalls": ["ufw"]},
        "ufw is active .*; open 6443, 2379-2380, 10250/tcp for the other nodes",
    ),
    Case(
        "network_manager",
        "warning",
        LIVE,
        "c2",
        {"environment.network_manager": True, "options.cni.plugin": "calico", "cni.bridge.conflist": None},
        r"NetworkManager is active and not configured .*unmanaged-devices=interface-name:cali\*",
    ),
    Case(
        "no_proxy",
        "warning",
        BARE,
        "a2",
        {"environment.proxied": True, "environment.no_proxy": ["10.244.0.0/16", "10.213.0.0/16"]},
        "no_proxy does not contain 10.96.0.0/12, api.kubernetes.internal; add 10.96.0.0/12,api.kubernetes.internal to",
    ),
    # what is there already
    Case(
        "leftovers",
        "warning",
        BARE,
        "a2",
        {
            "kubeadm.leftovers": ["/etc/cni/net.d/10-calico.conflist"],
            "node.pod_interfaces": ["cali1", "cali2", "cali3", "cali4", "vxlan.calico"],
        },
        r"pod network: /etc/cni/net.d/10-calico.conflist, interfaces cali1, cali2, cali3, cali4 and 1 more; .*; remove",
    ),
    Case("etcd_leftovers", "error", BARE, "a1", {"kubeadm.leftovers": ["/var/lib/etcd"]}, "/var/lib/etcd is not empty"),
    Case(
        "cri",
        "warning",
        BARE,
        "a2",
        {},
        "containerd is not installed",
        {"a1": {"containerd.version": "1.6.20", "containerd.cri": "ok"}},
        ("join",),
    ),
    Case(
        "cri",
        "warning",
        BARE,
        "a2",
        {"containerd.version": "1.6.20", "containerd.cri": "unknown service runtime.v1.RuntimeService"},
        "CRI service does not work: unknown service .*enables the CRI plugin",
        {"a1": {"containerd.version": "1.6.20", "containerd.cri": "ok"}},
        ("join",),
    ),
    Case(
        "containerd_package",
        "warning",
        BARE,
        "a2",
        {"containerd.candidate_known": False},
        "no known repository of this host",
    ),
    Case(
        "containerd_dropin",
        "error",
        LIVE,
        "c2",
        {"containerd.other_dropins": ["99-mine.toml"], "containerd.effective_cri_disabled": True},
        "99-mine.toml disables the cri plugin; remove this setting",
    ),
    Case(
        "etcd_unhealthy",
        "warning",
        LIVE,
        "c1",
        {"kubeadm.etcd": {"healthy": False, "reason": "raft no leader", "url": "https://10.0.0.1:2379"}},
        "the etcd member https://10.0.0.1:2379 is not healthy: raft no leader; see 'crictl logs'",
    ),
    # what can't be skipped
    Case("options", "error", BARE, "a2", {"options.host.sysctls": {"nonsense": "1"}}, "host_sysctls has 'nonsense'"),
    Case(
        "pod_cidr_default",
        "error",
        BARE,
        "all",
        {},
        "no default pod range is free: hosts have addresses in all of",
        {
            "a2": {
                "node.routes": ["10.244.0.0/16", "10.245.3.0/24", "10.246.128.0/17", "172.30.1.0/24", "100.72.0.0/17"]
            }
        },
    ),
    Case(
        "pod_cidr_differs",
        "error",
        LIVE,
        "c3",
        {"options.control_plane.pod_cidr": "10.9.0.0/16"},
        "runs with 10.244.0.0/16",
    ),
    Case(
        "service_cidr_differs",
        "error",
        LIVE,
        "c3",
        {"options.control_plane.service_cidr": "10.9.0.0/16"},
        "runs with 10.96.0.0/12",
    ),
    Case(
        "api_down",
        "error",
        BARE,
        "a1",
        {
            **PARTIAL,
            "kubeadm.finished": True,
            "kubeadm.role": "control_plane",
            "kubeadm.manifests": ["kube-apiserver"],
            "kubeadm.api.reason": "refused",
        },
        "the API server of this control plane does not answer: refused",
    ),
    Case(
        "containerd_member",
        "error",
        LIVE,
        "c2",
        {"options.containerd.package": "containerd.io", "containerd.packages": {"containerd": "1.7.24"}},
        "is a member of a cluster, but containerd_package is containerd.io; run upgrade.yml, which replaces it on",
    ),
    Case(
        "foreign_node",
        "error",
        BARE,
        "a2",
        {"kubeadm.phase": "done", "kubeadm.server": "https://other:6443"},
        r"another cluster \(https://other:6443\)",
    ),
    Case("node_removed", "error", LIVE, "c2", {"kubeadm.node_name": "gone"}, "does not have a Node gone"),
    Case(
        "kube_packages.system",
        "error",
        BARE,
        "a2",
        {"kube_packages.manager": "", "kube_packages.os_name": "Void"},
        "Void is not supported",
    ),
    Case(
        "kube_packages.member",
        "error",
        LIVE,
        "c2",
        {"options.kube_packages.version": "1.34"},
        "kubelet 1.35.0 and is a member of a cluster",
    ),
    Case(
        "kube_packages.repository",
        "error",
        BARE,
        "a2",
        {
            "kube_packages.repository.reachable": False,
            "kube_packages.repository.status": 0,
            "kube_packages.repository.error": "timed out",
        },
        "can't be read: timed out",
    ),
    Case(
        "kube_packages.version",
        "error",
        BARE,
        "a2",
        {"options.kube_packages.version": "1.20.9"},
        "1.20.9 is not in the repository",
    ),
    Case(
        "kube_packages.key", "error", BARE, "a2", {"kube_packages.offered_key_ends": "over"}, "signing key has expired"
    ),
    Case(
        "kube_packages.key",
        "warning",
        LIVE,
        "c2",
        {"kube_packages.key.ends": "soon", "kube_packages.key.expires": 1798502400},
        "expires on 2026-12-29",
    ),
    Case(
        "operation",
        "error",
        LIVE,
        "c2",
        {"kubeadm.operation": {"kind": "hibernate", "began": "2027-01-01T00:00:00Z"}},
        "'hibernate' of 2027-01-01T00:00:00Z, started by a newer version of this collection; finish it with that",
    ),
    Case("operation", "error", BARE, "a1", {"kubeadm.operation": {"kind": ""}}, "can't be read; find out"),
    Case("control_plane.partial", "error", BARE, "a1", {**PARTIAL, "kubeadm.pki": ["ca.crt"]}, "was interrupted"),
    Case(
        "control_plane.worker",
        "error",
        BARE,
        "a1",
        {"kubeadm.phase": "done", "kubeadm.role": "worker"},
        "is a worker of",
    ),
    Case("join.partial", "error", BARE, "a2", {**PARTIAL, "kubeadm.pki": ["ca.crt"]}, "has leftovers of a cluster"),
    Case(
        "join.foreign_ca",
        "error",
        LIVE,
        "c3",
        {**PARTIAL, "kubeadm.ca_cert_hash": FOREIGN},
        "has the CA of another cluster",
    ),
    Case("join.foreign_node", "error", LIVE, "c2", {"kubeadm.ca_cert_hash": FOREIGN}, "is a node of another cluster"),
    Case(
        "join.broken",
        "error",
        LIVE,
        "c3",
        {**PARTIAL, "kubeadm.finished": True},
        "joined earlier, but its configuration is incomplete",
    ),
    Case("cni.plugin", "error", LIVE, "c2", {"options.cni.plugin": "calico"}, "this node runs the bridge network"),
    *(
        Case(
            "cni.plugin",
            "error",
            LIVE,
            "c2",
            {"options.cni.plugin": "calico", "cni.bridge.conflist": None, "cni.bridge.others": [name]},
            rf"cni_plugin is calico, but this node runs another pod network \({name}\); set cni_plugin to none",
        )
        for name in ("10-flannel.conflist", "05-cilium.conflist", "10-weave.conflist", "10-canal.conflist")
    ),
]


def provoked(case: Case, skip: tuple[str, ...] = ()) -> Plan:
    changes = {name: dict(change) for name, change in case.others.items()}
    changes[case.host] = {**changes.get(case.host, {}), **case.change}
    return judge(case.which, changes, skip, case.components)


@pytest.mark.parametrize("case", CASES, ids=[f"{one.check}-{one.level}-{at}" for at, one in enumerate(CASES)])
def test_a_check_finds_what_is_wrong_and_nothing_else(case: Case) -> None:
    plan = provoked(case)
    assert said(plan) == [(case.host, case.check, case.level)], [finding.line() for finding in plan.findings]
    assert re.search(case.text, plan.findings[0].line()), plan.findings[0].line()
    # An error stops the plan: nobody joins.
    assert bool(plan.joins) == (
        case.level == "warning" and "join" in case.components and (case.host, case.check) != ("a1", "")
    )


@pytest.mark.parametrize("case", [one for one in CASES if one.check in checks.SKIPPABLE], ids=lambda one: one.check)
def test_a_skipped_check_stops_nothing_and_is_not_lost(case: Case) -> None:
    plan = provoked(case, (case.check,))
    assert said(plan) == [(case.host, case.check, "skipped")]
    assert plan.joins
    assert findings_result(plan.findings)[0]["level"] == "skipped"


# Only an upgrade finds the first two; the tests of its plan provoke them. A misspelled variable is found in the names
# of variables, not in facts (test_misspelled.py).
ELSEWHERE = {"calico_version", "removed_api", "misspelled_variable"}


def test_every_check_that_can_be_skipped_is_provoked_here() -> None:
    assert {case.check for case in CASES} | ELSEWHERE == {case.check for case in CASES} | set(checks.SKIPPABLE)
    levels = {(case.check, case.level) for case in CASES}
    documented = {(name, level) for name, known in checks.SKIPPABLE.items() for level in known if name not in ELSEWHERE}
    # This one is provoked by a set of three, below.
    assert documented - levels == {("node_unreachable", "error")}
    assert all(case.level in checks.NAMES[case.check] for case in CASES)


# -- rules that need more than one look


def test_many_hosts_with_one_problem_share_the_problem() -> None:
    plan = judge(LIVE, {"*": {"host.container": False}})
    assert said(plan) == [(name, "time_sync", "warning") for name in LIVE]
    assert len({finding.problem for finding in plan.findings}) == 1


def test_everything_that_is_wrong_is_found_at_once() -> None:
    plan = judge(BARE, {"a1": {"node.cpus": 1, "ports.listening": [6443]}, "a2": {"kubeadm.node_name": "A_B"}})
    assert [one[:2] for one in said(plan)] == [("a1", "cpus"), ("a1", "port_taken"), ("a2", "node_name")]


def test_a_newcomer_is_compared_with_nodes_that_only_the_api_knows() -> None:
    twin = {"c3": {"node.machine_id": value_of("worker", "node.machine_id")}}
    twin["c1"] = {"kubeadm.api.nodes": nodes_with({"machine_id": value_of("worker", "node.machine_id")})}
    assert said(judge(LIVE, twin, limit={"c3"})) == [("c3", "machine_id", "error")]
    same = {"c3": {"node.default_address": value_of("worker", "node.default_address")}}
    assert said(judge(LIVE, same, limit={"c3"})) == [("c3", "address", "error")]


def test_a_host_with_the_name_of_a_ready_node_that_wants_to_join_under_another_is_named() -> None:
    plan = judge({"c1": "control-plane", "c2": "newcomer"})
    assert said(plan) == [("c2", "already_a_node", "warning")]
    assert "a ready node with its name in the inventory, c2" in plan.findings[0].line()


def test_a_member_behind_the_address_of_another_is_not_taken_for_it() -> None:
    """Several machines behind one address, each with a port of its own: nothing is certain."""
    shared = {"connects_to": C2}
    plan = judge({**WITHOUT, "c4": "newcomer"}, {"c3": shared, "c4": {**shared, "kubeadm.node_name": "c4"}})
    assert {level for _host, check, level in said(plan) if check == "already_a_node"} == {"warning"}


def test_an_honest_newcomer_with_the_address_of_a_node_has_one_finding() -> None:
    same = {"c3": {"node.default_address": C2, "connects_to": C2}}
    assert said(judge(WITHOUT, same)) == [("c3", "already_a_node", "error")]


def test_etcd_between_control_planes_must_be_reachable() -> None:
    three = {**BARE, "c1": "newcomer"}
    reach = {f"{A1}:2379": "refused", f"{A1}:2380": "timeout", f"{A1}:6443": "refused"}
    change = {
        "*": {"options.control_plane.endpoint": "lb.example", "options.kube_packages.version": "1.20.2"},
        "c1": {"reach": reach, "options.control_plane.kubernetes_version": "1.20.2"},
    }
    change["c1"]["kube_packages.repository"] = value_of("bare-worker", "kube_packages.repository")
    plan = judge(three, change)
    assert said(plan) == [("c1", "node_unreachable", "error")]
    assert f"the etcd port of a1 ({A1}:2380): no answer within 3 s" in plan.findings[0].line()


def test_addresses_that_only_the_control_machine_knows_tell_nothing() -> None:
    assert not judge(BARE, {"a2": {"reach": {"203.0.113.9:6443": "timeout"}}}).findings


def test_a_mirror_that_answers_is_enough() -> None:
    mirrors = {"registry.k8s.io": ["https://mirror.example:5000/v2"]}
    change = {"options.containerd.registry_mirrors": mirrors}
    fine = {**change, "reach": {"mirror.example:5000": "open", "registry.k8s.io:443": "timeout"}}
    assert not judge(BARE, {"a2": fine}).findings
    dead = {**change, "reach": {"mirror.example:5000": "refused", "registry.k8s.io:443": "timeout"}}
    assert said(judge(BARE, {"a2": dead})) == [("a2", "registry_unreachable", "warning")]


def test_the_first_control_plane_must_be_there() -> None:
    inventory = Inventory(["a0", "a1"], ["a2"])
    changes = {"*": {"options.control_plane.endpoint": "lb.example"}}
    assert said(judge(BARE, changes, inventory=inventory)) == [("all", "first_control_plane", "error")]


def test_a_component_that_cant_be_planned_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def plan(*_arguments: Any, **_options: Any) -> None:
        raise KubesteadError("a surprise")

    broken = tuple(replace(one, plan=plan) if one.name == "containerd" else one for one in registry.COMPONENTS)
    monkeypatch.setattr(machine_steps, "COMPONENTS", broken)
    found = judge(BARE)
    assert said(found) == [("a1", "component_plan", "error"), ("a2", "component_plan", "error")]
    assert "a surprise; remove the cause, then run again" in found.findings[0].line()


@pytest.mark.parametrize(
    "names",
    [
        ["10-calico.conflist"],
        ["10-calico.conflist", "10-flannel.conflist"],
        ["87-podman-bridge.conflist"],
        ["00-multus.conf"],
    ],
    ids=str,
)
def test_configurations_beside_calicos_own_are_met_with_silence(names: list[str]) -> None:
    change = {"options.cni.plugin": "calico", "cni.bridge.conflist": None, "cni.bridge.others": names}
    assert not judge(LIVE, {"c2": change}).findings


def test_static_pods_of_others_are_named() -> None:
    (finding,) = judge(BARE, {"a2": {"kubeadm.manifests": ["kube-vip", "mine"]}}).findings
    assert (finding.host, finding.problem.check, finding.problem.level) == ("a2", "leftovers", "warning")
    assert "/etc/kubernetes/manifests has manifests that kubeadm did not write: kube-vip, mine" in finding.line()


def test_an_etcd_of_the_users_own_needs_no_port_and_no_folder_here() -> None:
    taken = {"ports.listening": [2379, 2380, 2381], "kubeadm.leftovers": ["/var/lib/etcd"]}
    assert {check for _host, check, _level in said(judge(BARE, {"a1": taken}))} == {"port_taken", "etcd_leftovers"}
    external = passed(etcd={"external": {"endpoints": ["https://10.0.0.9:2379"]}})
    assert not judge(BARE, {"a1": {**taken, **external}}).findings


@pytest.mark.parametrize(
    "change",
    [
        {"node.hostname_addresses": ["127.0.1.1"]},
        {"node.hostname_addresses": [A2]},
        {"node.hostname_addresses": ["127.0.1.1", A2]},
        {"node.hostname_addresses": ["fd00::2", A2]},
        {"node.loopback_dns": ["127.0.0.53"], "options.control_plane.kubelet_config": {"resolvConf": "/etc/real"}},
        {"node.kernel_state": {"config": ""}},
        {"node.kernel_state": {"config": "/boot/config", "lacks": ["EXT4_FS"]}},
        {"options.control_plane.node_address": A2},
        {**SOURCE_2, **wanted("1.35"), "options.control_plane.kubelet_config": {"cgroupDriver": "cgroupfs"}},
    ],
    ids=str,
)
def test_what_programs_take_is_met_with_silence(change: Change) -> None:
    """Nothing is said where kubeadm (told to ignore SystemVerification, as here) and kubelet have no complaint."""
    assert not judge(BARE, {"a2": change}).findings


@pytest.mark.parametrize("version", ["1.20.2", "1.38"])
def test_gates_and_phases_of_a_release_that_was_not_looked_up_are_left_to_kubeadm(version: str) -> None:
    change = {**SOURCE_2, **wanted(version), **gate("New"), "options.control_plane.skip_phases": ["new"]}
    assert not {"feature_gate", "skip_phase"} & {check for _host, check, _level in said(judge(BARE, {"a1": change}))}


@pytest.mark.parametrize(("containerd", "refused"), [("1.6.20", True), ("", True), ("2.1.4", False)])
def test_a_host_that_would_join_kubelets_with_another_cgroup_driver(containerd: str, refused: bool) -> None:
    """A newer kubelet and a newer containerd agree on one by themselves."""
    newcomer = {**wanted("1.35"), **TIGHT_CGROUP, "containerd.version": containerd}
    plan = judge(LIVE, {"c1": {"containerd.kubelet_driver": "cgroupfs"}, "c3": newcomer})
    told = [one for one in plan.findings if (one.host, one.problem.check) == ("c3", "cgroup_driver")]
    assert [one.problem.level for one in told] == (["error"] if refused else [])
    assert all("ConfigMap kube-system/kubelet-config" in one.problem.fix for one in told)


def test_half_of_what_kubeadm_left_is_named_once() -> None:
    half = {**PARTIAL, "kubeadm.pki": ["ca.crt"], "ports.listening": [10250], "kubeadm.leftovers": ["/var/lib/cni"]}
    assert [one[1] for one in said(judge(BARE, {"a2": half}))] == ["join.partial"]


# -- clocks


def reading(name: str, ahead: float, trip: float = 2.0) -> Reading:
    return Reading(name, 1000.0 + trip / 2 + ahead, 1000.0, 1000.0 + trip)


def test_one_wrong_clock_is_outvoted_whichever_it_is() -> None:
    assert clock_skew.skews([reading("a", 0), reading("b", 0), reading("c", 600)]) == {"a": 0.0, "b": 0.0, "c": 598.0}
    assert clock_skew.skews([reading("a", -600), reading("b", 0)]) == {"a": -598.0, "b": 0.0}
    # The control machine's own clock is the wrong one.
    assert clock_skew.skews([reading("a", 600), reading("b", 600)]) == {"a": 0.0, "b": 0.0}


def test_a_slow_answer_is_no_skew() -> None:
    assert clock_skew.skews([reading("a", 9, trip=20.0), reading("b", 0), reading("c", 0)])["a"] == 0.0
    assert clock_skew.skews([reading("a", 12, trip=20.0), reading("b", 0), reading("c", 0)])["a"] == pytest.approx(1.0)


def test_a_lone_host_with_another_time_than_this_machine_is_only_warned_of() -> None:
    plan = judge({"a1": "bare-control-plane"}, {"a1": {"node.epoch": later(7200)}}, inventory=Inventory(["a1"], ["x"]))
    assert said(plan) == [("a1", "clock_skew", "warning")]
    assert "that of this machine" in plan.findings[0].line()


# -- names


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("port_takn", "has 'port_takn', which is not a check; did you mean port_taken?"),
        ("xyzzy", "has 'xyzzy', which is not a check; see docs/preflight.md"),
        ("options", "has 'options', which can't be skipped"),
    ],
)
def test_names_that_are_no_checks_are_refused(name: str, text: str) -> None:
    with pytest.raises(OptionError) as caught:
        checks.validate(["firewall", name])
    assert caught.value.message.startswith(f"preflight_skip_checks {text}")
    assert "\n" not in caught.value.message


def test_the_documentation_lists_the_checks_there_are() -> None:
    text = (ROOT / "docs/preflight.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9_.]+)` \| ([a-z, ]+) \|", text, re.MULTILINE)
    assert len(rows) == len({name for name, _levels in rows})
    assert {name: tuple(levels.split(", ")) for name, levels in rows} == checks.NAMES
    skippable, _heading, fixed = text.partition("## Checks that can't be skipped")
    assert all((f"| `{name}` |" in skippable) == (name in checks.SKIPPABLE) for name in checks.NAMES)
    assert all(f"| `{name}` |" in fixed for name in checks.FIXED)


def test_every_check_in_the_code_is_registered_and_every_registered_one_is_in_the_code() -> None:
    used = set()
    for path in sorted((ROOT / "plugins").glob("*_utils/**/*.py")):
        tree = ast.parse(path.read_text())
        names: dict[str, set[str]] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                for goal in node.targets:
                    if isinstance(goal, ast.Name):
                        names.setdefault(goal.id, set()).add(str(node.value.value))
        for node in ast.walk(tree):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            if node.func.id in ("Problem", "_unreached") and node.args and path.name != "problem.py":
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    used.add(first.value)
                elif isinstance(first, ast.Name) and first.id in names:
                    used |= names[first.id]
                else:
                    assert path.name in ("cluster_rules.py", "range_rules.py") and ast.unparse(first) == "check", (
                        ast.unparse(node)
                    )
    # The one loop over names that the check above can't follow.
    used |= {"pod_cidr_overlap", "service_cidr_overlap"}
    assert used == set(checks.NAMES)


def test_a_host_that_is_not_in_the_cluster_keeps_nobody_out_with_its_claims() -> None:
    """c2 says that it is a node, and claims what the newcomer has; the API knows another machine of that name."""
    newcomer = recorded(LIVE["c3"])["node"]
    claims = {"node.machine_id": newcomer["machine_id"], "node.default_address": newcomer["default_address"]}
    plan = judge(LIVE, {"c2": claims})
    assert plan.joins == ["c3"] and not plan.errors
    assert {(host, check, level) for host, check, level in said(plan) if check in ("machine_id", "address")} == {
        ("c3", "machine_id", "warning"),
        ("c3", "address", "warning"),
    }


def test_the_newcomer_is_blamed_for_the_identity_of_a_member() -> None:
    member = recorded(LIVE["c2"])["node"]
    plan = judge(LIVE, {"c3": {"node.machine_id": member["machine_id"]}})
    assert ("c3", "machine_id", "error") in said(plan)
    assert not [one for one in said(plan) if one[0] == "c2" and one[1] == "machine_id"]
