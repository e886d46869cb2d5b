# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks the configurations of the kubelet and kube-proxy for values that prevent them from starting. Pure.

kubeadm does not validate the values of these fields. A kubelet with an invalid value exits repeatedly:
https://github.com/kubernetes/kubernetes/blob/v1.35.0/pkg/kubelet/apis/config/validation/validation.go
"""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Optional, Tuple

from ..core.addresses import parse_cidrs
from ..core.errors import OptionError
from ..core.untrusted import is_address, number
from .config_types import DURATION, Types, check_fields

#: Integer fields -> (minimum, maximum); None means no limit.
_NUMBERS: Dict[str, Tuple[Optional[int], Optional[int]]] = {
    "containerLogMaxFiles": (2, None),
    "containerLogMaxWorkers": (1, None),
    "eventBurst": (0, None),
    "eventRecordQPS": (0, None),
    "healthzPort": (0, 65535),
    "imageGCHighThresholdPercent": (0, 100),
    "imageGCLowThresholdPercent": (0, 100),
    "iptablesDropBit": (0, 31),
    "iptablesMasqueradeBit": (0, 31),
    "kubeAPIBurst": (0, None),
    "kubeAPIQPS": (0, None),
    "maxOpenFiles": (0, None),
    "maxParallelImagePulls": (1, None),
    "maxPods": (0, None),
    "nodeLeaseDurationSeconds": (0, None),
    "nodeStatusMaxImages": (-1, None),
    "oomScoreAdj": (-1000, 1000),
    "podPidsLimit": (None, None),
    "podsPerCore": (0, None),
    "port": (0, 65535),
    "readOnlyPort": (0, 65535),
    "registryBurst": (0, None),
    "registryPullQPS": (0, None),
}
_CHOICES = {
    "cgroupDriver": ("systemd", "cgroupfs"),
    "cpuManagerPolicy": ("none", "static"),
    "hairpinMode": ("none", "hairpin-veth", "promiscuous-bridge"),
    "imagePullCredentialsVerificationPolicy": (
        "NeverVerify",
        "NeverVerifyPreloadedImages",
        "NeverVerifyAllowlistedImages",
        "AlwaysVerify",
    ),
    "memoryManagerPolicy": ("None", "Static"),
    "tlsMinVersion": ("VersionTLS10", "VersionTLS11", "VersionTLS12", "VersionTLS13"),
    "topologyManagerPolicy": ("none", "best-effort", "restricted", "single-numa-node"),
    "topologyManagerScope": ("container", "pod"),
}
_SWITCHES = (
    "cgroupsPerQOS",
    "cpuCFSQuota",
    "enableServer",
    "failCgroupV1",
    "failSwapOn",
    "localStorageCapacityIsolation",
    "makeIPTablesUtilChains",
    "protectKernelDefaults",
    "registerNode",
    "rotateCertificates",
    "seccompDefault",
    "serializeImagePulls",
    "serverTLSBootstrap",
)
_DURATIONS = (
    "containerLogMonitorInterval",
    "cpuCFSQuotaPeriod",
    "cpuManagerReconcilePeriod",
    "evictionPressureTransitionPeriod",
    "fileCheckFrequency",
    "imageMaximumGCAge",
    "imageMinimumGCAge",
    "nodeStatusReportFrequency",
    "nodeStatusUpdateFrequency",
    "runtimeRequestTimeout",
    "shutdownGracePeriod",
    "shutdownGracePeriodCriticalPods",
    "streamingConnectionIdleTimeout",
    "syncFrequency",
    "volumeStatsAggPeriod",
)
# Durations in seconds: (minimum, maximum). A duration of 0 means the default, or that the feature is switched off.
_SECONDS: Dict[str, Tuple[float, Optional[float]]] = {
    "containerLogMonitorInterval": (3, None),
    "cpuCFSQuotaPeriod": (0.001, 1),
    "imageMaximumGCAge": (0, None),
    "shutdownGracePeriod": (1, None),
    "shutdownGracePeriodCriticalPods": (1, None),
}
_LISTS = ("allowedUnsafeSysctls", "clusterDNS", "enforceNodeAllocatable", "tlsCipherSuites")
_PATHS = ("podLogsDir", "staticPodPath", "volumePluginDir")
_CPUS = re.compile(r"[0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*\Z")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_QUANTITY = re.compile(r"([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][0-9]+|[KMGTPE]i|[numkMGTPE])?\Z")
_PERCENT = re.compile(r"[0-9]+(\.[0-9]+)?%\Z")
_SIGNALS = (
    "allocatableMemory.available",
    "containerfs.available",
    "containerfs.inodesFree",
    "imagefs.available",
    "imagefs.inodesFree",
    "memory.available",
    "nodefs.available",
    "nodefs.inodesFree",
    "pid.available",
)
_RESERVABLE = ("cpu", "ephemeral-storage", "memory", "pid")
_ENFORCEABLE = (
    "none",
    "pods",
    "kube-reserved",
    "kube-reserved-compressible",
    "system-reserved",
    "system-reserved-compressible",
)
_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
_PROXY_MODES = ("", "iptables", "ipvs", "nftables")
_RATES: Types = dict.fromkeys(("syncPeriod", "minSyncPeriod"), "duration")
# https://github.com/kubernetes/kubernetes/blob/v1.35.0/staging/src/k8s.io/kube-proxy/config/v1alpha1/types.go
_PROXY: Types = {
    **dict.fromkeys(
        "bindAddress clusterCIDR detectLocalMode healthzBindAddress hostnameOverride metricsBindAddress".split(), "text"
    ),
    **dict.fromkeys(("bindAddressHardFail", "enableProfiling"), "switch"),
    "clientConnection": {"burst": "number", "kubeconfig": "text"},
    "configSyncPeriod": "duration",
    "conntrack": {
        **dict.fromkeys(("maxPerCore", "min"), "number"),
        **dict.fromkeys("tcpCloseWaitTimeout tcpEstablishedTimeout udpStreamTimeout udpTimeout".split(), "duration"),
        "tcpBeLiberal": "switch",
    },
    "iptables": {
        **_RATES,
        "masqueradeBit": "number",
        **dict.fromkeys(("localhostNodePorts", "masqueradeAll"), "switch"),
    },
    "ipvs": {
        **_RATES,
        **dict.fromkeys(("tcpFinTimeout", "tcpTimeout", "udpTimeout"), "duration"),
        "excludeCIDRs": "texts",
        "scheduler": "text",
        "strictARP": "switch",
    },
    "nftables": {**_RATES, "masqueradeBit": "number", "masqueradeAll": "switch"},
    "nodePortAddresses": "texts",
    "oomScoreAdj": "number",
}


def check(option: str, config: Mapping[str, Any]) -> None:
    """Raise :class:`OptionError` for an invalid field of a KubeletConfiguration. null means that a field is not set."""
    fields = {name: value for name, value in config.items() if value is not None}
    for name, limits in _NUMBERS.items():
        if name in fields:
            _check_number("{0}.{1}".format(option, name), fields[name], *limits)
    for name, choices in _CHOICES.items():
        # An empty string means the default.
        if fields.get(name, "") not in ("", *choices):
            fix = "use one of {0}".format(", ".join(choices))
            raise OptionError("{0}.{1}".format(option, name), "is {0!r}".format(fields[name]), fix)
    for name in _SWITCHES:
        if name in fields and not isinstance(fields[name], bool):
            text = "is {0!r}, not a boolean".format(fields[name])
            raise OptionError("{0}.{1}".format(option, name), text, "use true or false without quotes")
    for name in _DURATIONS:
        if name in fields and (not isinstance(fields[name], str) or not DURATION.match(fields[name])):
            text = "is {0!r}, not a duration".format(fields[name])
            raise OptionError("{0}.{1}".format(option, name), text, "use text with a unit, like 30s or 1m30s")
    _check_more(option, fields)
    _check_mappings(option, fields)
    _check_together(option, fields)


def _check_more(option: str, fields: Mapping[str, Any]) -> None:
    """Check the ranges of durations, lists, paths, and values of a special form."""
    for name, (least, most) in _SECONDS.items():
        given = fields.get(name, "0")
        length = seconds(given)
        if str(given).startswith("-") or (length and not least <= length <= (length if most is None else most)):
            between = "from {0} to {1} s".format(least, most) if most else "of at least {0} s".format(least)
            raise OptionError("{0}.{1}".format(option, name), "is {0}".format(given), "use a duration " + between)
    for name in _LISTS:
        value: Any = fields.get(name, [])
        if not isinstance(value, (list, tuple)) or not all(isinstance(item, str) for item in value):
            raise OptionError("{0}.{1}".format(option, name), "is {0!r}".format(value), "use a list of text")
    for server in fields.get("clusterDNS", []):
        if not is_address(server):
            text = "has {0!r}, which is not an IP address".format(server)
            raise OptionError(option + ".clusterDNS", text, "use the address of the DNS Service")
    for name in _PATHS:
        value = fields.get(name) or "/"
        if not isinstance(value, str) or not value.startswith("/"):
            raise OptionError(
                "{0}.{1}".format(option, name), "is {0!r}, not an absolute path".format(value), "begin it with /"
            )
    for name, pattern, fix in (
        ("reservedSystemCPUs", _CPUS, "use a list of CPUs in quotes, like '0-1,4'"),
        ("containerLogMaxSize", _QUANTITY, "use a quantity like 10Mi (in quotes)"),
    ):
        value = fields.get(name) or ""
        if value and not (isinstance(value, str) and pattern.match(value)):
            raise OptionError("{0}.{1}".format(option, name), "is {0!r}".format(value), fix)
    taints = fields.get("registerWithTaints") or []
    if not isinstance(taints, (list, tuple)) or not all(_is_taint(one) for one in taints):
        fix = "use a list of dictionaries with key and effect ({0})".format(", ".join(_EFFECTS))
        raise OptionError(option + ".registerWithTaints", "is not a list of taints", fix)
    factor = fields.get("memoryThrottlingFactor", 1)
    if isinstance(factor, bool) or not isinstance(factor, (int, float)) or not 0 < factor <= 1:
        text = "is {0!r}".format(factor)
        raise OptionError(option + ".memoryThrottlingFactor", text, "use a number greater than 0, at most 1.0")
    for path, choices in (("logging.format", ("text", "json")), ("authorization.mode", ("AlwaysAllow", "Webhook"))):
        outer, _dot, inner = path.partition(".")
        value = fields.get(outer, {})
        if not isinstance(value, Mapping):
            raise OptionError("{0}.{1}".format(option, outer), "is not a dictionary", "use a YAML dictionary")
        if value.get(inner) not in (None, "", *choices):
            raise OptionError(
                "{0}.{1}".format(option, path),
                "is {0!r}".format(value[inner]),
                "use one of {0}".format(", ".join(choices)),
            )


def _is_taint(value: Any) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get("key"), str) and value.get("effect") in _EFFECTS


def check_proxy(option: str, config: Mapping[str, Any]) -> None:
    """Raise :class:`OptionError` for an invalid field of a KubeProxyConfiguration."""
    mode = config.get("mode")
    if mode is not None and mode not in _PROXY_MODES:
        raise OptionError(option + ".mode", "is {0!r}".format(mode), "use one of iptables, ipvs, nftables")
    check_fields(option, config, _PROXY)
    for name in ("healthzBindAddress", "metricsBindAddress"):
        value = config.get(name) or ""
        host, _colon, port = value.rpartition(":")
        if value and not (is_address(host.strip("[]")) and 0 < number(port) < 65536):
            text = "is {0!r}, not an address with a port".format(value)
            raise OptionError("{0}.{1}".format(option, name), text, "use an address like 0.0.0.0:10249")
    if config.get("clusterCIDR"):
        parse_cidrs(option + ".clusterCIDR", str(config["clusterCIDR"]))
    for one in config.get("nodePortAddresses") or []:
        if one != "primary":
            parse_cidrs(option + ".nodePortAddresses", one)


def seconds(duration: Any) -> float:
    """A duration in seconds; 0.0 for a value that is not a duration."""
    parts = re.findall(r"([0-9.]+)(ns|us|µs|ms|s|m|h)", duration) if isinstance(duration, str) else []
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def _check_number(option: str, value: Any, least: Optional[int], most: Optional[int]) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise OptionError(option, "is {0!r}, not an integer".format(value), "use a number without quotes")
    if (least is not None and value < least) or (most is not None and value > most):
        wanted = "from {0} to {1}".format(least, most) if most is not None else "of at least {0}".format(least)
        raise OptionError(option, "is {0}".format(value), "use a number {0}".format(wanted))


def _check_mappings(option: str, fields: Mapping[str, Any]) -> None:
    for name in ("evictionHard", "evictionSoft", "evictionMinimumReclaim", "systemReserved", "kubeReserved"):
        known = _RESERVABLE if name.endswith("Reserved") else _SIGNALS
        for key, value in _texts(option, name, fields).items():
            if key not in known:
                fix = "use one of {0}".format(", ".join(known))
                raise OptionError("{0}.{1}".format(option, name), "has {0!r}".format(key), fix)
            percent = known is _SIGNALS and _PERCENT.match(value) and float(value[:-1]) <= 100
            if not percent and not _QUANTITY.match(value):
                text = "sets {0} to {1!r}, which is not a quantity".format(key, value)
                raise OptionError("{0}.{1}".format(option, name), text, "use a quantity like 500Mi (in quotes)")
    periods = _texts(option, "evictionSoftGracePeriod", fields)
    for key in _texts(option, "evictionSoft", fields):
        if not DURATION.match(periods.get(key, "")):
            text = "has no duration for {0}, which is in evictionSoft".format(key)
            raise OptionError(option + ".evictionSoftGracePeriod", text, "add one, like 1m30s")
    gates = fields.get("featureGates", {})
    if not isinstance(gates, Mapping) or not all(isinstance(value, bool) for value in gates.values()):
        raise OptionError(
            option + ".featureGates", "has a value that is not a boolean", "use a dictionary of names and booleans"
        )


def _texts(option: str, name: str, fields: Mapping[str, Any]) -> Mapping[str, str]:
    found = fields.get(name, {})
    if not isinstance(found, Mapping) or not all(isinstance(value, str) for value in found.values()):
        fix = "use a dictionary with values in quotes"
        raise OptionError("{0}.{1}".format(option, name), "is not a dictionary of strings", fix)
    return found


def _check_together(option: str, fields: Mapping[str, Any]) -> None:
    """Check fields that depend on each other. A field that is not set has the kubelet's default."""
    low, high = fields.get("imageGCLowThresholdPercent", 80), fields.get("imageGCHighThresholdPercent", 85)
    if low >= high:
        text = "is {0}, not less than imageGCHighThresholdPercent ({1})".format(low, high)
        raise OptionError(option + ".imageGCLowThresholdPercent", text, "use a smaller number")
    if fields.get("serializeImagePulls") and fields.get("maxParallelImagePulls", 1) > 1:
        text = "is {0}, but serializeImagePulls is true".format(fields["maxParallelImagePulls"])
        raise OptionError(option + ".maxParallelImagePulls", text, "set serializeImagePulls: false")
    reserved_groups = [name for name in ("systemReservedCgroup", "kubeReservedCgroup") if fields.get(name)]
    if fields.get("reservedSystemCPUs") and reserved_groups:
        text = "can't be used with {0}".format(" and ".join(reserved_groups))
        raise OptionError(option + ".reservedSystemCPUs", text, "remove one of them")
    total, critical = (seconds(fields.get("shutdownGracePeriod" + end)) for end in ("", "CriticalPods"))
    if critical > total:
        text = "is {0}, longer than shutdownGracePeriod".format(fields["shutdownGracePeriodCriticalPods"])
        raise OptionError(option + ".shutdownGracePeriodCriticalPods", text, "use a shorter one")
    swap = fields.get("memorySwap")
    if swap is not None:
        behavior = swap.get("swapBehavior") if isinstance(swap, Mapping) else swap
        if behavior not in (None, "", "NoSwap", "LimitedSwap"):
            raise OptionError(
                option + ".memorySwap.swapBehavior", "is {0!r}".format(behavior), "use NoSwap or LimitedSwap"
            )
    if fields.get("runOnce"):
        raise OptionError(option + ".runOnce", "is set, but kubelets no longer support it", "remove it")
    if fields.get("cpuManagerPolicy") == "static" and not _reserves_cpu(fields):
        text = "is static, which requires CPUs reserved for the system"
        raise OptionError(option + ".cpuManagerPolicy", text, "set systemReserved, kubeReserved or reservedSystemCPUs")
    _check_enforcement(option, fields)


def _reserves_cpu(fields: Mapping[str, Any]) -> bool:
    reserved = [fields.get(name) or {} for name in ("systemReserved", "kubeReserved")]
    return bool(fields.get("reservedSystemCPUs")) or any(re.search("[1-9]", one.get("cpu", "")) for one in reserved)


def _check_enforcement(option: str, fields: Mapping[str, Any]) -> None:
    enforced = fields.get("enforceNodeAllocatable", [])
    name = option + ".enforceNodeAllocatable"
    if not isinstance(enforced, (list, tuple)) or [one for one in enforced if one not in _ENFORCEABLE]:
        raise OptionError(name, "is {0!r}".format(enforced), "use a list of {0}".format(", ".join(_ENFORCEABLE)))
    if len(set(enforced)) < len(enforced) or ("none" in enforced and len(enforced) > 1):
        raise OptionError(name, "has entries that exclude each other", "list each entry once, and none only by itself")
    for kind in ("system", "kube"):
        needs = [one for one in enforced if one.startswith(kind)]
        if len(needs) > 1:
            raise OptionError(name, "has both {0} and {1}".format(*needs), "remove one of them")
        if needs and not fields.get(kind + "ReservedCgroup"):
            raise OptionError(name, "has {0}, but {1}ReservedCgroup is not set".format(needs[0], kind), "set it")
