# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The configuration documents of kubeadm, in the newest API version that the installed kubeadm supports.

Documents are JSON, which is YAML: machines need no YAML library. What a user passes through is written in the words of
v1beta4 and translated for older APIs.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any, Dict, List, Mapping, Optional, Sequence, Union

from ..core import mappings, untrusted
from ..core.errors import OptionError
from ..core.releases import APIS, FIELDS, first_kubeadm
from .config_types import DURATION

KUBEADM_GROUP = "kubeadm.k8s.io"

#: The kinds of a pass-through and the API group and version of each ("" is kubeadm's own).
KINDS = {
    "InitConfiguration": "",
    "ClusterConfiguration": "",
    "JoinConfiguration": "",
    "KubeletConfiguration": "kubelet.config.k8s.io/v1beta1",
    "KubeProxyConfiguration": "kubeproxy.config.k8s.io/v1alpha1",
}

# Where the kubeadm kinds have arguments for components: lists of {name, value} in v1beta4, mappings before.
_ARGUMENTS = {
    "InitConfiguration": ("nodeRegistration.kubeletExtraArgs",),
    "JoinConfiguration": ("nodeRegistration.kubeletExtraArgs",),
    "ClusterConfiguration": (
        "apiServer.extraArgs",
        "controllerManager.extraArgs",
        "scheduler.extraArgs",
        "etcd.local.extraArgs",
    ),
}

# Names in lower case, without dashes; YAML's own spelling is not to be relied on.
_SECRET_FIELDS = frozenset(
    ["bootstraptokens", "certificatekey", "discovery", "tlsbootstraptoken", "token", "password", "staticpodurlheader"]
)

_SECRET_ENDS = ("password", "passwd", "passphrase", "token", "secret", "apikey", "accesskey", "secretkey")

Arguments = Union[Mapping[str, Any], Sequence[Mapping[str, Any]]]


def render_documents(documents: Sequence[Mapping[str, Any]]) -> str:
    """Documents as one configuration file: JSON, indented, separated by ``---``."""
    return "---\n".join(json.dumps(document, indent=2, sort_keys=True) + "\n" for document in documents)


def document(api: str, kind: str, fields: Mapping[str, Any]) -> Dict[str, Any]:
    """A document of one of :data:`KINDS` with its ``apiVersion``; ``api`` is kubeadm's configuration API."""
    group = KINDS[kind] or "{0}/{1}".format(KUBEADM_GROUP, api)
    result: Dict[str, Any] = {"apiVersion": group, "kind": kind}
    result.update(fields)
    return result


def node_registration(
    api: str,
    name: str = "",
    kubelet_extra_args: Optional[Arguments] = None,
    taints: Optional[Sequence[Mapping[str, Any]]] = None,
    ignore_preflight_errors: Sequence[str] = (),
    cri_socket: str = "",
) -> Dict[str, Any]:
    """The field ``nodeRegistration`` of InitConfiguration and JoinConfiguration.

    ``taints`` None leaves kubeadm's default (control planes get theirs); an empty list means none at all.
    """
    fields: Dict[str, Any] = {}
    if name:
        fields["name"] = name
    if cri_socket:
        fields["criSocket"] = cri_socket
    if taints is not None:
        fields["taints"] = [dict(taint) for taint in taints]
    if kubelet_extra_args:
        fields["kubeletExtraArgs"] = arguments(api, kubelet_extra_args)
    if ignore_preflight_errors:
        fields["ignorePreflightErrors"] = list(ignore_preflight_errors)
    return fields


def arguments(api: str, values: Arguments) -> Any:
    """Arguments of a component as the API has them: a list of ``{name, value}``, or a mapping before v1beta4."""
    pairs = _pairs(values)
    if api == "v1beta4":
        return [{"name": name, "value": value} for name, value in pairs]
    return dict(pairs)


def parse_taint(option: str, text: Union[str, Mapping[str, Any]]) -> Dict[str, str]:
    """A taint ``key[=value]:Effect`` as kubeadm wants it. Raises :class:`OptionError` naming ``option``."""
    if isinstance(text, Mapping):
        return {str(key): str(value) for key, value in text.items()}
    key_value, colon, effect = text.rpartition(":")
    key, equals, value = key_value.partition("=")
    if not colon or not key or effect not in ("NoSchedule", "PreferNoSchedule", "NoExecute"):
        raise OptionError(
            option,
            "has {0!r}, which is not a taint".format(text),
            "use key[=value]:Effect with the effect NoSchedule, PreferNoSchedule or NoExecute",
        )
    taint = {"key": key, "effect": effect}
    if equals:
        taint["value"] = value
    return taint


def check_pass_through(option: str, config: Mapping[str, Any], kinds: Sequence[str]) -> None:
    """Raise :class:`OptionError` for a pass-through that is not a mapping of known kinds to fields."""
    for kind, fields in config.items():
        if kind not in kinds:
            raise OptionError(
                option,
                "has {0!r}, which is not a supported kind".format(kind),
                "use one of {0}".format(", ".join(kinds)),
            )
        if not isinstance(fields, Mapping):
            raise OptionError(
                option,
                "has a {0} for {1}, which is not a dictionary".format(untrusted.type_name(fields), kind),
                "use a dictionary of the fields of this kind",
            )


def _plain_name(name: Any) -> str:
    return re.sub(r"[-_.]", "", str(name)).lower()


def refuse_secrets(option: str, value: Any) -> None:
    """Raise :class:`OptionError` for a field that holds a secret, wherever it is in a pass-through; never shows it."""
    if isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            refuse_secrets("{0}[{1}]".format(option, number), item)
    for name, item in value.items() if isinstance(value, Mapping) else ():
        where = "{0}.{1}".format(option, name)
        # Arguments and environment variables are lists of entries with a name and a value.
        named = str(value.get("name")) if name == "value" else ""
        # timeouts.discovery is a duration.
        harmless = isinstance(item, str) and bool(DURATION.match(item))
        if (_plain_name(name) in _SECRET_FIELDS and not harmless) or _plain_name(named).endswith(_SECRET_ENDS):
            raise OptionError(
                where,
                "is refused, because it contains a secret that would be shown in output",
                "remove it; the collection creates tokens and certificate keys itself",
            )
        refuse_secrets(where, item)


def merge_pass_through(
    option: str, api: str, documents: Sequence[Mapping[str, Any]], config: Mapping[str, Any]
) -> List[Dict[str, Any]]:
    """The documents with a pass-through (kind -> fields, in v1beta4's words) merged over them.

    Mappings merge deeply, arguments of components by name, anything else is replaced. A kind without a document is
    added. ``timeouts.controlPlaneComponentHealthCheck`` becomes ``apiServer.timeoutForControlPlane`` before v1beta4.

    Raises :class:`OptionError` for a field that the kubeadm of that API does not know.
    """
    wanted = {kind: copy.deepcopy(dict(fields)) for kind, fields in config.items()}
    _translate_timeouts(api, wanted)
    for newer in APIS[APIS.index(api) + 1 :]:
        for kind, path in FIELDS[newer]:
            if mappings.get(wanted.get(kind), path.split(".")) is not None:
                raise OptionError(
                    "{0}.{1}.{2}".format(option, kind, path),
                    "requires kubeadm {0} or newer, but the installed kubeadm supports {1}".format(
                        first_kubeadm(newer), api
                    ),
                    "remove it, or install a newer Kubernetes version",
                )
    by_kind = {str(one["kind"]): dict(one) for one in documents}
    for kind, fields in wanted.items():
        base = by_kind.get(kind) or document(api, kind, {})
        over = {name: value for name, value in fields.items() if name not in ("apiVersion", "kind")}
        for field in _ARGUMENTS.get(kind, ()):
            keys = field.split(".")
            given = mappings.get(fields, keys)
            if given is not None:
                merged = _merged_arguments(api, mappings.get(base, keys), given)
                over = mappings.merged(over, mappings.nested(keys, merged))
        by_kind[kind] = mappings.merged(base, _without_null(over, base))
    return [copy.deepcopy(one) for one in by_kind.values()]


def _without_null(over: Mapping[str, Any], base: Any) -> Dict[str, Any]:
    """``over`` without fields that are null where ``base`` has a value: YAML reads a field without a value as null."""
    known = base if isinstance(base, Mapping) else {}
    return {
        name: _without_null(value, known.get(name)) if isinstance(value, Mapping) else value
        for name, value in over.items()
        if value is not None or known.get(name) is None
    }


def _translate_timeouts(api: str, wanted: Dict[str, Dict[str, Any]]) -> None:
    timeouts = wanted.get("InitConfiguration", {}).get("timeouts")
    if api == "v1beta4" or not isinstance(timeouts, Mapping) or list(timeouts) != ["controlPlaneComponentHealthCheck"]:
        return
    del wanted["InitConfiguration"]["timeouts"]
    cluster = wanted.setdefault("ClusterConfiguration", {})
    server = cluster.setdefault("apiServer", {})
    server.setdefault("timeoutForControlPlane", timeouts["controlPlaneComponentHealthCheck"])


def _merged_arguments(api: str, base: Optional[Arguments], over: Arguments) -> Any:
    """Arguments of both sides; a name given in ``over`` replaces what ``base`` has of that name."""
    replaced = [name for name, _value in _pairs(over)]
    pairs = [pair for pair in _pairs(base or {}) if pair[0] not in replaced] + _pairs(over)
    return arguments(api, [{"name": name, "value": value} for name, value in pairs])


def _pairs(values: Arguments) -> List[Any]:
    if isinstance(values, Mapping):
        return [(str(name), _argument_text(value)) for name, value in sorted(values.items())]
    return [(str(one["name"]), _argument_text(one.get("value", ""))) for one in values]


def _argument_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
