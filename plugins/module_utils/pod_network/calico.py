# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Adapts Calico's manifest to the cluster. Pure: objects in, objects out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any, Dict, List, Mapping, Optional, Sequence

from ..core.addresses import Network
from ..core.errors import OptionError
from ..core.images import containers, parse, replace
from .options import COMPONENT, CniOptions

__all__ = ["COMPONENT", "CniOptions", "Pool", "compare_pools", "expected_pools", "images", "require_calico", "shape"]

NAMESPACE = "kube-system"
POOL_RESOURCE = "ippools.crd.projectcalico.org"
POOLS = "/apis/crd.projectcalico.org/v1/ippools"
SETTINGS_ANNOTATION = "cluster.kubestead/settings"

# Encapsulation -> (IPIP mode, VXLAN mode)
_MODES = {
    "VXLAN": ("Never", "Always"),
    "VXLANCrossSubnet": ("Never", "CrossSubnet"),
    "IPIP": ("Always", "Never"),
    "IPIPCrossSubnet": ("CrossSubnet", "Never"),
    "None": ("Never", "Never"),
}
_OPTION = "cni_calico_manifest"


@dataclass(frozen=True)
class Pool:
    """A requested IPPool."""

    cidr: str
    ipip: str
    vxlan: str
    # Prefix length; 0 when it was left to Calico.
    block_size: int = 0


# -- shaping


def require_calico(objects: Sequence[Any], origin: str) -> None:
    """Raise :class:`OptionError` unless the objects are Calico's manifest (the one without an operator)."""
    kinds = [(str(obj.get("kind")), str((obj.get("metadata") or {}).get("name"))) for obj in objects if _is_object(obj)]
    if len(kinds) != len(objects) or not objects:
        raise OptionError(_OPTION, "({0}) contains something that is not a Kubernetes object".format(origin), _FIX)
    if ("Deployment", "tigera-operator") in kinds or any(kind == "Installation" for kind, _name in kinds):
        raise OptionError(_OPTION, "({0}) is the manifest of the Tigera operator, not of Calico".format(origin), _FIX)
    for wanted in (("DaemonSet", "calico-node"), ("ConfigMap", "calico-config")):
        if wanted not in kinds:
            raise OptionError(
                _OPTION,
                "({0}) is not a manifest of Calico: it does not have {1} {2}".format(origin, wanted[0], wanted[1]),
                _FIX,
            )
    if ("CustomResourceDefinition", POOL_RESOURCE) not in kinds:
        raise OptionError(
            _OPTION, "({0}) is not a manifest of Calico: it does not define {1}".format(origin, POOL_RESOURCE), _FIX
        )


_FIX = "use the file manifests/calico.yaml of a Calico release"


def _is_object(obj: Any) -> bool:
    return isinstance(obj, Mapping) and isinstance(obj.get("kind"), str) and isinstance(obj.get("metadata"), Mapping)


def shape(objects: Sequence[Mapping[str, Any]], options: CniOptions, origin: str = "manifest") -> List[Dict[str, Any]]:
    """Calico's objects with pools, encapsulation, MTU, autodetection, registry and Felix settings of ``options``.

    The objects given are left as they are. Raises :class:`OptionError` for a manifest that is not Calico's.
    """
    require_calico(objects, origin)
    try:
        return _shaped(objects, options, origin)
    except (AttributeError, KeyError, TypeError, ValueError):
        # Calico's own objects have all that is set here.
        raise OptionError(_OPTION, "({0}) has objects that differ from those of Calico".format(origin), _FIX) from None


def _shaped(objects: Sequence[Mapping[str, Any]], options: CniOptions, origin: str) -> List[Dict[str, Any]]:
    shaped = _with_images(objects, options)
    without_bird = options.encapsulation in ("VXLAN", "VXLANCrossSubnet")
    pools = options.pools()
    settings: Dict[str, Any] = {}
    for obj in shaped:
        kind, name = obj["kind"], obj["metadata"].get("name")
        if kind == "ConfigMap" and name == "calico-config":
            data = obj.setdefault("data", {})
            data["calico_backend"] = "vxlan" if without_bird else "bird"
            data["veth_mtu"] = str(options.mtu)
            data["cni_network_config"] = _network_config(str(data.get("cni_network_config", "")), pools, origin)
            settings = data
    for obj in shaped:
        kind, name = obj["kind"], obj["metadata"].get("name")
        if kind == "DaemonSet" and name == "calico-node":
            for container in containers(obj):
                if container.get("name") == "calico-node":
                    _set_env(container, _node_env(options, pools))
                    if without_bird:
                        _drop_bird(container)
            # Pods read the settings only when they start, so changed settings must replace the pods.
            annotations = obj["spec"]["template"].setdefault("metadata", {}).setdefault("annotations", {})
            digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode("utf-8")).hexdigest()
            annotations[SETTINGS_ANNOTATION] = digest[:16]
    return shaped


def _with_images(objects: Sequence[Mapping[str, Any]], options: CniOptions) -> List[Dict[str, Any]]:
    """The objects with the requested images. ``cni_image_registry`` does not apply to images in ``cni_images``.

    Raises :class:`OptionError` for an image that the manifest does not contain, so that no digest is ignored silently.
    """
    there = images(objects)
    known = {name for image in there for name in (parse(image).name, str(parse(image)))}
    for old in options.images:
        if str(parse(old)) not in known:
            fix = "use an image of this manifest: {0}".format(", ".join(there[:12]))
            raise OptionError("cni_images", "has {0}, which is not an image of the manifest".format(old), fix)
    wanted = dict(options.images)
    if options.image_registry:
        named = {str(parse(old)) for old in options.images}
        for image in there:
            if not named & {parse(image).name, str(parse(image))}:
                wanted[image] = parse(image).in_registry(options.image_registry)
    return replace(objects, wanted)


def images(objects: Sequence[Mapping[str, Any]]) -> List[str]:
    """The images of every container and init container, each once, sorted."""
    return sorted({str(item["image"]) for obj in objects for item in containers(obj) if item.get("image")})


def _node_env(options: CniOptions, pools: Sequence[Network]) -> Dict[str, str]:
    ipip, vxlan = _MODES[options.encapsulation]
    env = {"CALICO_IPV4POOL_IPIP": ipip, "CALICO_IPV4POOL_VXLAN": vxlan}
    if options.autodetection:
        env["IP_AUTODETECTION_METHOD"] = options.autodetection
    if options.block_size:
        env["CALICO_IPV4POOL_BLOCK_SIZE"] = str(options.block_size)
    for pool in pools:
        if pool.version == 4:
            env["CALICO_IPV4POOL_CIDR"] = str(pool)
        else:
            env["CALICO_IPV6POOL_CIDR"] = str(pool)
            # IPIP supports only IPv4.
            env["CALICO_IPV6POOL_VXLAN"] = vxlan
            env["CALICO_IPV6POOL_NAT_OUTGOING"] = "true"
            env["IP6"] = "autodetect"
            env["FELIX_IPV6SUPPORT"] = "true"
            if options.autodetection:
                env["IP6_AUTODETECTION_METHOD"] = options.autodetection
    if pools and all(pool.version == 6 for pool in pools):
        env["IP"] = "none"
    for name, value in options.felix.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        env[name if name.startswith("FELIX_") else "FELIX_{0}".format(name.upper())] = text
    return env


def _set_env(container: Dict[str, Any], wanted: Mapping[str, str]) -> None:
    env: List[Dict[str, Any]] = container.setdefault("env", [])
    places = {str(item.get("name")): index for index, item in enumerate(env)}
    for name in sorted(wanted):
        entry = {"name": name, "value": wanted[name]}
        if name in places:
            env[places[name]] = entry
        else:
            env.append(entry)


# With one dash up to 3.32, with two since.
_BIRD_PROBES = ("bird-live", "bird-ready")


def _drop_bird(container: Dict[str, Any]) -> None:
    """BIRD does not run with VXLAN alone, and its probes would never succeed."""
    for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
        run = (container.get(probe) or {}).get("exec") or {}
        if run.get("command"):
            run["command"] = [word for word in run["command"] if word.lstrip("-") not in _BIRD_PROBES]


def _network_config(text: str, pools: Sequence[Network], origin: str) -> str:
    """The CNI configuration. Only with IPv6, it must name the families of the addresses."""
    if all(pool.version == 4 for pool in pools):
        return text
    marks = ("__CNI_MTU__",)
    quoted = text
    for mark in marks:
        quoted = quoted.replace(mark, '"{0}"'.format(mark))
    try:
        config = json.loads(quoted)
        for plugin in config["plugins"]:
            if plugin.get("type") == "calico":
                plugin["ipam"]["assign_ipv4"] = "true" if any(pool.version == 4 for pool in pools) else "false"
                plugin["ipam"]["assign_ipv6"] = "true"
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        raise OptionError(
            _OPTION, "({0}) has a cni_network_config that can't be read, but IPv6 requires it".format(origin), _FIX
        ) from None
    rendered = json.dumps(config, indent=2)
    for mark in marks:
        rendered = rendered.replace('"{0}"'.format(mark), mark)
    return rendered + "\n"


# -- the live pools


def expected_pools(options: CniOptions) -> List[Pool]:
    """The pools that Calico creates from the options at its first start."""
    ipip, vxlan = _MODES[options.encapsulation]
    return [
        Pool(str(pool), ipip if pool.version == 4 else "Never", vxlan, options.block_size if pool.version == 4 else 0)
        for pool in options.pools()
    ]


def compare_pools(live: Sequence[Mapping[str, Any]], wanted: Sequence[Pool]) -> List[OptionError]:
    """How the live IPPools differ from the options; an empty list if they agree.

    Calico reads its pool settings once, when it makes the pools; a difference later needs a decision by its owner.
    """
    enabled = [item for item in live if not (item.get("spec") or {}).get("disabled")]
    by_cidr = {str((item.get("spec") or {}).get("cidr")): item for item in enabled}
    problems: List[OptionError] = []
    for pool in wanted:
        item = by_cidr.get(pool.cidr)
        if item is None:
            present = ", ".join("{0} ({1})".format(_name(other), cidr) for cidr, other in by_cidr.items()) or "none"
            problems.append(
                OptionError(
                    "cluster_pod_cidr",
                    "is {0}, but Calico's live IPPools are: {1}".format(pool.cidr, present),
                    "set it to the live range, or move the cluster to a new pool manually: Calico ignores a change",
                )
            )
            continue
        spec = item["spec"]
        modes = (str(spec.get("ipipMode") or "Never"), str(spec.get("vxlanMode") or "Never"))
        if modes != (pool.ipip, pool.vxlan):
            problems.append(
                OptionError(
                    "cni_encapsulation",
                    "is {0}, but the live IPPool {1} has {2}".format(
                        encapsulation_name(pool.ipip, pool.vxlan), _name(item), encapsulation_name(*modes)
                    ),
                    "set cni_encapsulation to {0}, or change the pool manually: Calico ignores a change".format(
                        encapsulation_name(*modes)
                    ),
                )
            )
        block = int(spec.get("blockSize") or 0)
        if pool.block_size and block and block != pool.block_size:
            problems.append(
                OptionError(
                    "cni_block_size",
                    "is {0}, but the live IPPool {1} has {2}".format(pool.block_size, _name(item), block),
                    "set cni_block_size to {0}: the block size of a pool can't be changed".format(block),
                )
            )
    return problems


def encapsulation_name(ipip: str, vxlan: str) -> str:
    """The value of ``cni_encapsulation`` for the two modes of a pool."""
    for name, modes in _MODES.items():
        if modes == (ipip, vxlan):
            return name
    return "IPIP {0} and VXLAN {1}".format(ipip, vxlan)


def _name(item: Mapping[str, Any]) -> str:
    metadata: Optional[Mapping[str, Any]] = item.get("metadata")
    return str((metadata or {}).get("name"))


def describe_pool(item: Mapping[str, Any]) -> Dict[str, Any]:
    """A live IPPool, described with the values of the options."""
    spec = item.get("spec") or {}
    return {
        "name": _name(item),
        "cidr": str(spec.get("cidr")),
        "encapsulation": encapsulation_name(
            str(spec.get("ipipMode") or "Never"), str(spec.get("vxlanMode") or "Never")
        ),
        "block_size": int(spec.get("blockSize") or 0),
        "disabled": bool(spec.get("disabled")),
    }
