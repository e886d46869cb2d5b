# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks a configuration against kubeadm's limits: names, sizes of ranges, arguments, pass-through fields. Pure.

kubeadm reports the same errors, but only after its packages are installed. Each limit is one of kubeadm's:
https://github.com/kubernetes/kubernetes/blob/v1.35.0/cmd/kubeadm/app/apis/kubeadm/validation/validation.go
"""

from __future__ import annotations

import re
from typing import Any, Dict, List, Mapping, Sequence, Tuple

from ..core import addresses as network
from ..core import mappings
from ..core.errors import OptionError
from . import config_types
from .names import is_dns_name, parse_addresses

# The maximum number of host bits of a Service range: the API server keeps a bitmap of the range.
_SERVICE_BITS = 20
_LEAST_SERVICES, _LEAST_PODS = 10, 14
# The prefix length of a node's pod range, and the maximum number of bits that number the nodes.
_NODE_MASK = {4: 24, 6: 64}
_NODE_MASK_BITS = 16

# An image name is host[:port]/path; the path is in lower case.
_HOST = r"([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9])(\.([A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9]))*"
_PATH = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(r"(({host}|\[[A-Fa-f0-9:]+\])(:[0-9]+)?/)?{path}(/{path})*\Z".format(host=_HOST, path=_PATH))

_ARGUMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*\Z")
_ALGORITHMS = ("ECDSA-P256", "ECDSA-P384", "RSA-2048", "RSA-3072", "RSA-4096")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
#: The fields of kubeadm's kinds that contain arguments of components: (kind, path, component).
ARGUMENTS = (
    ("InitConfiguration", "nodeRegistration.kubeletExtraArgs", "kubelet"),
    ("JoinConfiguration", "nodeRegistration.kubeletExtraArgs", "kubelet"),
    ("ClusterConfiguration", "apiServer.extraArgs", "kube-apiserver"),
    ("ClusterConfiguration", "controllerManager.extraArgs", "kube-controller-manager"),
    ("ClusterConfiguration", "scheduler.extraArgs", "kube-scheduler"),
    ("ClusterConfiguration", "etcd.local.extraArgs", "etcd"),
)
_PATHS = (
    ("ClusterConfiguration", "certificatesDir"),
    ("ClusterConfiguration", "etcd.local.dataDir"),
    ("ClusterConfiguration", "etcd.external.caFile"),
    ("ClusterConfiguration", "etcd.external.certFile"),
    ("ClusterConfiguration", "etcd.external.keyFile"),
    ("JoinConfiguration", "caCertPath"),
)
_CHOICES = (
    ("ClusterConfiguration", "encryptionAlgorithm", _ALGORITHMS),
    ("InitConfiguration", "nodeRegistration.imagePullPolicy", _PULL_POLICIES),
    ("JoinConfiguration", "nodeRegistration.imagePullPolicy", _PULL_POLICIES),
)


# -- names


def is_host(host: str) -> bool:
    """True for an IP address, or a DNS name that is not a mistyped address (10.0.0.300)."""
    try:
        network.plain_address(host)
    except ValueError:
        return is_dns_name(host) and not re.match(r"[0-9.]+\Z", host)
    return True


def check_endpoint(option: str, endpoint: str) -> None:
    """Raise :class:`OptionError` for an endpoint whose host is neither an address nor a DNS name in lower case."""
    host, _port = network.parse_endpoint(option, endpoint)
    if is_host(host):
        return
    lower = host.lower()
    fix = "use {0}".format(lower) if is_host(lower) else "use an IP address, or a DNS name of a-z, 0-9, dashes and dots"
    raise OptionError(option, "is {0!r}; {1!r} is neither an IP address nor a DNS name".format(endpoint, host), fix)


def check_sans(option: str, names: Sequence[Any]) -> None:
    """Raise :class:`OptionError` for a name that a certificate can't contain. kubeadm converts names to lower case."""
    for name in names:
        text = str(name).lower()
        if is_host(text) or (text.startswith("*.") and is_dns_name(text[2:])):
            continue
        fix = "use IP addresses and DNS names, without scheme, port and mask; *.example.org is possible"
        raise OptionError(option, "has {0!r}, which is neither an IP address nor a DNS name".format(name), fix)


def check_image_repository(option: str, repository: str) -> None:
    """Raise :class:`OptionError` for a value that can't be the prefix of an image name."""
    if not _REPOSITORY.match("{0}/name".format(repository)):
        raise OptionError(
            option,
            "is {0!r}, not a registry with an optional path in lower case".format(repository),
            "use it without scheme, tag and trailing slash, as in registry.example.org/k8s",
        )


# -- ranges


def normal_cidrs(text: str) -> str:
    """Ranges in normal form: without spaces, each as its network. Other text is returned unchanged."""
    try:
        return ",".join(str(one) for one in network.parse_cidrs("", text))
    except OptionError:
        return text


def check_service_cidr(option: str, text: str) -> None:
    """Raise :class:`OptionError` for a Service range of a size that kubeadm and the API server refuse."""
    for one in network.parse_cidrs(option, text):
        least = one.max_prefixlen - _SERVICE_BITS
        if one.prefixlen < least:
            fix = "use a prefix length of at least {0}".format(least)
            raise OptionError(
                option, "is {0}; a Service range may have at most 2^{1} addresses".format(one, _SERVICE_BITS), fix
            )
        _check_size(option, one, _LEAST_SERVICES, "the DNS Service gets the tenth address")


def check_pod_cidr(option: str, text: str, arguments: Any = None) -> None:
    """Raise :class:`OptionError` for a pod range that can't be divided into one range for each node.

    ``arguments`` are the controller manager's in the pass-through, which may set the size of a node's range.
    """
    given = argument_values(arguments)
    for one in network.parse_cidrs(option, text):
        _check_size(option, one, _LEAST_PODS, "each pod needs an address")
        if given.get("allocate-node-cidrs") == "false":
            continue
        mask = node_mask(one.version, arguments)
        name = "node-cidr-mask-size-ipv{0}".format(one.version)
        setting = "cluster_kubeadm_config: {{ClusterConfiguration: {{controllerManager: {{extraArgs: {{{0}: …}}}}}}}}"
        if one.prefixlen > mask:
            text = "is {0}, smaller than the range of one node (/{1})".format(one, mask)
            fix = "use /{0} or larger, or set a longer {1} ({2})".format(mask - 8, name, setting.format(name))
            raise OptionError(option, text, fix)
        if mask - one.prefixlen > _NODE_MASK_BITS:
            text = "is {0}, too large for node ranges of /{1}: the prefix lengths may differ by at most {2}".format(
                one, mask, _NODE_MASK_BITS
            )
            fix = "use a prefix length of at least {0}, or set a shorter {1} ({2})".format(
                mask - _NODE_MASK_BITS, name, setting.format(name)
            )
            raise OptionError(option, text, fix)


def node_mask(version: int, arguments: Any = None) -> int:
    """The prefix length of a node's pod range, for an IP version. Raises :class:`OptionError`."""
    name = "node-cidr-mask-size-ipv{0}".format(version)
    text = argument_values(arguments).get(name, "") or str(_NODE_MASK[version])
    if not re.match(r"[0-9]{1,3}\Z", text) or not 0 < int(text) <= (32 if version == 4 else 128):
        raise OptionError(
            "cluster_kubeadm_config",
            "sets {0} to {1!r}".format(name, text),
            "use a prefix length, like {0}".format(_NODE_MASK[version]),
        )
    return int(text)


def _check_size(option: str, one: network.Network, least: int, why: str) -> None:
    if one.is_loopback or one.is_multicast or one.is_link_local or one.is_unspecified:
        raise OptionError(option, "is {0}, whose addresses have a special use".format(one), "use a private range")
    if one.num_addresses < least:
        text = "is {0} with {1} addresses; at least {2} are needed: {3}".format(one, one.num_addresses, least, why)
        raise OptionError(option, text, "use a larger range")


# -- arguments of components


def argument_values(arguments: Any) -> Dict[str, str]:
    """Name -> value of the arguments in a mapping or a list of ``{name, value}``. Other entries are ignored."""
    if isinstance(arguments, Mapping):
        pairs: List[Tuple[Any, Any]] = list(arguments.items())
    else:
        items = arguments if isinstance(arguments, (list, tuple)) else []
        pairs = [(item.get("name"), item.get("value", "")) for item in items if isinstance(item, Mapping)]
    return {
        str(name): ("true" if value else "false") if isinstance(value, bool) else str(value)
        for name, value in pairs
        if name
    }


def check_arguments(option: str, arguments: Any, on_one_line: bool = False) -> None:
    """Raise :class:`OptionError` for a value that does not contain arguments, or for invalid argument names.

    With ``on_one_line``, values must not contain spaces: systemd splits the kubelet's arguments at spaces.
    """
    fix = "use a dictionary of names without dashes at the beginning, and values"
    if not isinstance(arguments, Mapping):
        items = arguments if isinstance(arguments, (list, tuple)) else [None]
        if not all(isinstance(item, Mapping) and item.get("name") for item in items):
            raise OptionError(option, "is neither a dictionary nor a list of names and values", fix)
        values = [item.get("value", "") for item in items if isinstance(item, Mapping)]
        if not all(isinstance(value, (str, int, float, bool)) for value in values):
            raise OptionError(option, "has a value that is not text", fix)
    elif not all(isinstance(value, (str, int, float, bool)) for value in arguments.values()):
        raise OptionError(option, "has a value that is not text", fix)
    for name, value in argument_values(arguments).items():
        if not _ARGUMENT.match(name):
            raise OptionError(option, "has {0!r}, which is not the name of an argument".format(name), fix)
        if on_one_line and re.search(r"\s", value):
            raise OptionError(
                option, "has a space in the value of {0}, which would split the argument".format(name), "remove it"
            )
        if on_one_line and name.replace("_", "-") == "node-ip":
            parse_addresses("{0}.{1}".format(option, name), value)
        if on_one_line and name.replace("_", "-") == "hostname-override":
            text = "has hostname-override, but kubeadm waits for a Node with another name"
            raise OptionError(option, text, "set cluster_node_name instead")


# -- fields of the pass-through


def check_config(option: str, config: Mapping[str, Any]) -> None:
    """Raise :class:`OptionError` for a field of a pass-through (kind -> fields) that kubeadm refuses.

    Only fields that are often wrong are checked. kubeadm itself reads all fields and reports unknown ones before init.
    """
    _check_own_variables(option, config)
    config_types.check(option, config)
    for kind, path, component in ARGUMENTS:
        found = _get(config, kind, path)
        if found is not None:
            check_arguments(_name(option, kind, path), found, on_one_line=component == "kubelet")
    for kind, path in _PATHS:
        found = _get(config, kind, path)
        if found is not None and not str(found).startswith("/"):
            text = "is {0!r}, not an absolute path".format(found)
            raise OptionError(_name(option, kind, path), text, "begin it with /")
    for kind, path, choices in _CHOICES:
        found = _get(config, kind, path)
        if found is not None and found not in choices:
            raise OptionError(
                _name(option, kind, path), "is {0!r}".format(found), "use one of {0}".format(", ".join(choices))
            )
    for path in ("apiServer.certSANs", "etcd.local.serverCertSANs", "etcd.local.peerCertSANs"):
        found = _get(config, "ClusterConfiguration", path)
        if found is not None:
            check_sans(_name(option, "ClusterConfiguration", path), found if isinstance(found, list) else [found])
    _check_etcd(option, config)


def _check_etcd(option: str, config: Mapping[str, Any]) -> None:
    local, external = (_get(config, "ClusterConfiguration", "etcd." + name) for name in ("local", "external"))
    name = _name(option, "ClusterConfiguration", "etcd")
    if local is not None and external is not None:
        raise OptionError(name, "has both local and external", "remove one of them")
    if not isinstance(external, Mapping):
        return
    files = [field for field in ("caFile", "certFile", "keyFile") if external.get(field)]
    if len(files) in (1, 2) and files != ["caFile"]:
        raise OptionError(
            name + ".external", "has only {0}".format(" and ".join(files)), "set caFile, certFile and keyFile"
        )
    endpoints = external.get("endpoints")
    scheme = "https" if files else "http"
    if not endpoints or not isinstance(endpoints, list):
        raise OptionError(
            name + ".external.endpoints", "is not a list of URLs", "use a list like [https://10.0.0.1:2379]"
        )
    for url in endpoints:
        if not re.match(r"{0}://[^/\s]+\Z".format("https" if files else "https?"), str(url)):
            text = "has {0!r}, which is not a URL with {1}".format(url, scheme)
            raise OptionError(name + ".external.endpoints", text, "use URLs like https://10.0.0.1:2379")


# The fields that the collection sets, and their variables.
_PLANNED = (
    ("ClusterConfiguration", "networking.podSubnet", "cluster_pod_cidr"),
    ("ClusterConfiguration", "networking.serviceSubnet", "cluster_service_cidr"),
    ("ClusterConfiguration", "networking.dnsDomain", "cluster_dns_domain"),
    ("ClusterConfiguration", "controlPlaneEndpoint", "cluster_endpoint"),
    ("ClusterConfiguration", "kubernetesVersion", "cluster_kubernetes_version"),
    ("ClusterConfiguration", "imageRepository", "cluster_image_repository"),
    ("InitConfiguration", "localAPIEndpoint.advertiseAddress", "cluster_node_address"),
    ("InitConfiguration", "localAPIEndpoint.bindPort", "cluster_node_bind_port"),
    ("JoinConfiguration", "controlPlane.localAPIEndpoint.advertiseAddress", "cluster_node_address"),
    ("JoinConfiguration", "controlPlane.localAPIEndpoint.bindPort", "cluster_node_bind_port"),
    ("InitConfiguration", "skipPhases", "cluster_skip_phases"),
    ("JoinConfiguration", "skipPhases", "join_skip_phases"),
    *(
        (kind, "nodeRegistration." + name, "cluster_" + variable)
        for kind in ("InitConfiguration", "JoinConfiguration")
        for name, variable in (
            ("name", "node_name"),
            ("criSocket", "node_cri_socket"),
            ("taints", "node_taints"),
            ("ignorePreflightErrors", "ignore_preflight_errors"),
        )
    ),
)


def _check_own_variables(option: str, config: Mapping[str, Any]) -> None:
    """Refuse a field whose value must come from a variable: the plan uses the variable."""
    for kind, path, variable in _PLANNED:
        if _get(config, kind, path) is not None:
            text = "is set, but its value must come from {0}".format(variable)
            raise OptionError(_name(option, kind, path), text, "set {0} instead".format(variable))


def _get(config: Mapping[str, Any], kind: str, path: str) -> Any:
    return mappings.get(config.get(kind), path.split("."))


def _name(option: str, kind: str, path: str) -> str:
    return "{0}.{1}.{2}".format(option, kind, path)
