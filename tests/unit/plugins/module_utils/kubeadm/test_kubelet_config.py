# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a kubelet ends with when it starts is refused before a machine is changed.

The verdicts were compared with a kubelet 1.35, started with each of these, as far as it comes without a runtime.
"""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import kubelet_config
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import ControlPlaneOptions

TAKEN: list[dict[str, Any]] = [
    {},
    {"maxPods": 250, "podPidsLimit": -1, "readOnlyPort": 0, "eventRecordQPS": 0, "nodeStatusMaxImages": -1},
    {"imageGCHighThresholdPercent": 90, "imageGCLowThresholdPercent": 70},
    {"failSwapOn": False, "memorySwap": {"swapBehavior": "LimitedSwap"}},
    {"memorySwap": {}},
    {"evictionHard": {"memory.available": "500Mi", "nodefs.available": "10%", "pid.available": "5.5%"}},
    {"evictionSoft": {"memory.available": "1Gi"}, "evictionSoftGracePeriod": {"memory.available": "1m30s"}},
    {"systemReserved": {"cpu": "500m", "memory": "1Gi", "ephemeral-storage": "1e9", "pid": "1000"}},
    {"cpuManagerPolicy": "static", "kubeReserved": {"cpu": ".5"}},
    {"cpuManagerPolicy": "", "topologyManagerPolicy": ""},
    {"cpuManagerPolicy": "static", "reservedSystemCPUs": "0-1"},
    {"serializeImagePulls": False, "maxParallelImagePulls": 5},
    {"maxParallelImagePulls": 5, "port": 0, "nodeLeaseDurationSeconds": 0},
    {"shutdownGracePeriod": "30s", "shutdownGracePeriodCriticalPods": "10s"},
    {"featureGates": {"NodeSwap": True}, "syncFrequency": "1m0.5s", "imageMaximumGCAge": "0s"},
    {"enforceNodeAllocatable": ["pods", "kube-reserved"], "kubeReservedCgroup": "/kube"},
    {"maxPods": None, "evictionHard": None, "anythingNew": [1]},
    {"clusterDNS": ["10.96.0.10", "fd00::a"], "tlsMinVersion": "VersionTLS13", "logging": {"format": "json"}},
    {"cpuCFSQuotaPeriod": "1s", "containerLogMonitorInterval": "3s", "memoryThrottlingFactor": 0.9},
    {"reservedSystemCPUs": "0-1,4", "containerLogMaxSize": "10Mi", "podLogsDir": "/var/log/pods"},
    {"authorization": {"mode": "Webhook", "webhook": {"cacheAuthorizedTTL": "0s"}}},
]
REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"maxPods": -1}, "maxPods is -1; use a number of at least 0"),
    ({"maxPods": "110"}, "maxPods is '110', not an integer; use a number without quotes"),
    ({"maxPods": True}, "maxPods is True, not an integer"),
    ({"healthzPort": 70000}, "use a number from 0 to 65535"),
    ({"port": -1}, "port is -1"),
    ({"oomScoreAdj": -1001}, "oomScoreAdj is -1001"),
    ({"imageGCHighThresholdPercent": 101}, "from 0 to 100"),
    ({"imageGCHighThresholdPercent": 70}, "imageGCLowThresholdPercent is 80, not less than"),
    ({"imageGCLowThresholdPercent": 90}, "imageGCLowThresholdPercent is 90"),
    ({"containerLogMaxFiles": 1}, "containerLogMaxFiles is 1; use a number of at least 2"),
    (
        {"maxParallelImagePulls": 5, "serializeImagePulls": True},
        "maxParallelImagePulls is 5, but serializeImagePulls is true",
    ),
    ({"cgroupDriver": "cgroup2"}, "cgroupDriver is 'cgroup2'; use one of systemd, cgroupfs"),
    ({"topologyManagerPolicy": "best_effort"}, "use one of none, best-effort"),
    ({"cpuManagerPolicy": "Static"}, "cpuManagerPolicy is 'Static'"),
    ({"cpuManagerPolicy": "static"}, "requires CPUs reserved for the system"),
    ({"cpuManagerPolicy": "static", "systemReserved": {"cpu": "0"}}, "requires CPUs reserved for the system"),
    ({"memoryManagerPolicy": "static"}, "use one of None, Static"),
    ({"hairpinMode": "veth"}, "hairpinMode is 'veth'"),
    ({"failSwapOn": "false"}, "failSwapOn is 'false', not a boolean; use true or false without quotes"),
    ({"syncFrequency": 60}, "syncFrequency is 60, not a duration; use text with a unit"),
    ({"nodeStatusUpdateFrequency": "10"}, "'10', not a duration"),
    ({"shutdownGracePeriod": "10s", "shutdownGracePeriodCriticalPods": "20s"}, "longer than shutdownGracePeriod"),
    ({"shutdownGracePeriodCriticalPods": "20s"}, "longer than shutdownGracePeriod"),
    ({"evictionHard": {"memory.free": "100Mi"}}, "evictionHard has 'memory.free'; use one of"),
    ({"evictionHard": {"memory.available": "100MB"}}, "sets memory.available to '100MB', which is not a quantity"),
    ({"evictionHard": {"memory.available": "110%"}}, "'110%'"),
    ({"evictionHard": {"memory.available": 100}}, "evictionHard is not a dictionary of strings"),
    ({"evictionHard": "memory.available<100Mi"}, "evictionHard is not a dictionary of strings"),
    ({"evictionSoft": {"memory.available": "1Gi"}}, "evictionSoftGracePeriod has no duration for memory.available"),
    ({"systemReserved": {"cpus": "1"}}, "systemReserved has 'cpus'; use one of cpu,"),
    ({"kubeReserved": {"memory": "1 Gi"}}, "'1 Gi', which is not a quantity"),
    ({"systemReserved": {"cpu": "-1"}}, "'-1'"),
    (
        {"reservedSystemCPUs": "0", "kubeReservedCgroup": "/k"},
        "reservedSystemCPUs can't be used with kubeReservedCgroup",
    ),
    ({"memorySwap": {"swapBehavior": "UnlimitedSwap"}}, "swapBehavior is 'UnlimitedSwap'; use NoSwap or LimitedSwap"),
    ({"runOnce": True}, "runOnce is set"),
    ({"featureGates": {"NodeSwap": "true"}}, "featureGates has a value that is not a boolean"),
    ({"enforceNodeAllocatable": ["pod"]}, "enforceNodeAllocatable is ['pod']"),
    ({"enforceNodeAllocatable": ["pods", "pods"]}, "list each entry once"),
    ({"enforceNodeAllocatable": ["none", "pods"]}, "none only by itself"),
    ({"enforceNodeAllocatable": ["system-reserved"]}, "systemReservedCgroup is not set"),
    ({"enforceNodeAllocatable": ["kube-reserved", "kube-reserved-compressible"]}, "has both"),
    ({"clusterDNS": "10.96.0.10"}, "clusterDNS is '10.96.0.10'; use a list of text"),
    ({"clusterDNS": ["dns.example"]}, "clusterDNS has 'dns.example', which is not an IP address"),
    ({"tlsMinVersion": "1.2"}, "tlsMinVersion is '1.2'; use one of VersionTLS10"),
    ({"cpuCFSQuotaPeriod": "2s"}, "cpuCFSQuotaPeriod is 2s; use a duration from 0.001 to 1 s"),
    ({"containerLogMonitorInterval": "1s"}, "use a duration of at least 3 s"),
    ({"shutdownGracePeriod": "500ms"}, "shutdownGracePeriod is 500ms; use a duration of at least 1 s"),
    ({"imageMaximumGCAge": "-1h"}, "imageMaximumGCAge is -1h"),
    ({"memoryThrottlingFactor": 1.5}, "memoryThrottlingFactor is 1.5; use a number greater than 0"),
    ({"reservedSystemCPUs": "0-"}, "reservedSystemCPUs is '0-'"),
    ({"containerLogMaxSize": "10MB"}, "containerLogMaxSize is '10MB'"),
    ({"podLogsDir": "logs"}, "podLogsDir is 'logs', not an absolute path"),
    ({"logging": {"format": "xml"}}, "logging.format is 'xml'; use one of text, json"),
    ({"authorization": {"mode": "RBAC"}}, "authorization.mode is 'RBAC'; use one of AlwaysAllow, Webhook"),
    ({"authorization": "Webhook"}, "authorization is not a dictionary"),
    ({"imagePullCredentialsVerificationPolicy": "Always"}, "use one of NeverVerify"),
    # The API server would refuse the Node.
    ({"registerWithTaints": [{"key": "a"}]}, "registerWithTaints is not a list of taints; use a list of"),
    ({"registerWithTaints": [{"key": "a", "effect": "Never"}]}, "registerWithTaints is not a list of taints"),
    ({"registerWithTaints": ["a=b:NoSchedule"]}, "registerWithTaints is not a list of taints"),
    ({"registerWithTaints": "a=b:NoSchedule"}, "registerWithTaints is not a list of taints"),
]


@pytest.mark.parametrize("fields", TAKEN, ids=str)
def test_what_a_kubelet_takes_is_taken(fields: dict[str, Any]) -> None:
    kubelet_config.check("cluster_kubelet_config", fields)


@pytest.mark.parametrize(("fields", "text"), REFUSED, ids=str)
def test_what_a_kubelet_refuses_names_field_and_fix(fields: dict[str, Any], text: str) -> None:
    for options, option in (
        (ControlPlaneOptions(kubelet_config=fields), "cluster_kubelet_config."),
        (ControlPlaneOptions(config={"KubeletConfiguration": fields}), "cluster_kubeadm_config.KubeletConfiguration."),
    ):
        with pytest.raises(OptionError) as caught:
            options.validate()
        assert caught.value.option.startswith(option) and text in caught.value.message
        assert "\n" not in caught.value.message and caught.value.fix


@pytest.mark.parametrize("mode", ["", "iptables", "ipvs", "nftables", None])
def test_modes_of_kube_proxy(mode: str | None) -> None:
    kubelet_config.check_proxy("cluster_kube_proxy_config", {"mode": mode})


@pytest.mark.parametrize("mode", ["userspace", "IPVS", "nft", "ebpf", True])
def test_modes_that_kube_proxy_does_not_have(mode: object) -> None:
    with pytest.raises(OptionError, match="cluster_kube_proxy_config.mode is .*; use one of iptables, ipvs, nftables"):
        ControlPlaneOptions(kube_proxy_config={"mode": mode}).validate()


@pytest.mark.parametrize(
    "fields",
    [
        {"metricsBindAddress": "0.0.0.0:10249", "healthzBindAddress": "[::]:10256"},
        {"metricsBindAddress": "", "clusterCIDR": "", "nodePortAddresses": None},
        {"clusterCIDR": "10.244.0.0/16,fd00::/56", "nodePortAddresses": ["10.0.0.0/8", "fd00::/8"]},
        {"nodePortAddresses": ["primary"]},
        {"ipvs": {"strictARP": True, "scheduler": "rr", "excludeCIDRs": ["10.0.0.0/8"], "syncPeriod": "30s"}},
        {"conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "24h0m0s"}, "iptables": None},
        {"aFieldOfANewerRelease": [1]},
    ],
    ids=str,
)
def test_what_kube_proxy_takes_is_taken(fields: dict[str, Any]) -> None:
    ControlPlaneOptions(kube_proxy_config=fields).validate()


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"metricsBindAddress": "0.0.0.0"}, "metricsBindAddress is '0.0.0.0', not an address with a port; use an"),
        ({"metricsBindAddress": "localhost:10249"}, "not an address with a port"),
        ({"healthzBindAddress": "0.0.0.0:0"}, "not an address with a port"),
        ({"healthzBindAddress": 10256}, "healthzBindAddress is 10256, not text"),
        ({"clusterCIDR": "10.244.0.0"}, "clusterCIDR is '10.244.0.0', not a CIDR range"),
        ({"nodePortAddresses": "primary"}, "nodePortAddresses is 'primary', not a list of text"),
        ({"nodePortAddresses": ["10.0.0.1"]}, "nodePortAddresses is '10.0.0.1', not a CIDR range"),
        ({"ipvs": {"strictARP": "true"}}, "ipvs.strictARP is 'true', not a boolean"),
        ({"ipvs": ["rr"]}, "ipvs is a list, not a dictionary"),
        ({"conntrack": {"maxPerCore": "0"}}, "conntrack.maxPerCore is '0', not a number"),
        ({"iptables": {"syncPeriod": 30}}, "iptables.syncPeriod is 30, not a duration"),
        ({"oomScoreAdj": "-999"}, "oomScoreAdj is '-999', not a number"),
    ],
    ids=str,
)
def test_what_kube_proxy_refuses_names_field_and_fix(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError) as caught:
        ControlPlaneOptions(kube_proxy_config=fields).validate()
    assert caught.value.option.startswith("cluster_kube_proxy_config.") and text in caught.value.message
    assert "\n" not in caught.value.message and caught.value.fix
