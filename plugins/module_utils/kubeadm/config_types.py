# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The types of the fields in kubeadm's configuration (v1beta4), so that a wrong type is refused early. Pure.

Fields that are not in the table are not checked: a newer kubeadm may have them. Source:
https://github.com/kubernetes/kubernetes/blob/v1.35.0/cmd/kubeadm/app/apis/kubeadm/v1beta4/types.go
"""

from __future__ import annotations

import re
from typing import Any, Dict, Mapping, Union

from ..core.errors import OptionError
from ..core.untrusted import type_name

#: A duration as Go reads it: 1m30s.
DURATION = re.compile(r"-?(0|([0-9]+(\.[0-9]*)?(ns|us|µs|ms|s|m|h))+)\Z")

# text, number, switch and duration are scalars, texts is a list of text, objects is a list of mappings. Arguments have
# a check of their own.
Types = Dict[str, Union[str, "Types"]]

_COMPONENT: Types = {"extraVolumes": "objects", "extraEnvs": "objects"}
_IMAGE: Types = {"imageRepository": "text", "imageTag": "text"}
_ENDPOINT: Types = {"advertiseAddress": "text", "bindPort": "number"}
_REGISTRATION: Types = {
    "name": "text",
    "criSocket": "text",
    "taints": "objects",
    "ignorePreflightErrors": "texts",
    "imagePullPolicy": "text",
    "imagePullSerial": "switch",
}
_RUN: Types = {
    "dryRun": "switch",
    "nodeRegistration": _REGISTRATION,
    "skipPhases": "texts",
    "patches": {"directory": "text"},
    "timeouts": dict.fromkeys(
        "controlPlaneComponentHealthCheck kubeletHealthCheck kubernetesAPICall etcdAPICall tlsBootstrap discovery"
        " upgradeManifests".split(),
        "duration",
    ),
}
_KINDS: Dict[str, Types] = {
    "InitConfiguration": {**_RUN, "localAPIEndpoint": _ENDPOINT},
    "JoinConfiguration": {**_RUN, "caCertPath": "text", "controlPlane": {"localAPIEndpoint": _ENDPOINT}},
    "ClusterConfiguration": {
        "apiServer": {**_COMPONENT, "certSANs": "texts"},
        "controllerManager": _COMPONENT,
        "scheduler": _COMPONENT,
        "dns": {**_IMAGE, "disabled": "switch"},
        "proxy": {"disabled": "switch"},
        "etcd": {
            "local": {
                **_IMAGE,
                "dataDir": "text",
                "extraEnvs": "objects",
                "serverCertSANs": "texts",
                "peerCertSANs": "texts",
            },
            "external": {"endpoints": "texts", "caFile": "text", "certFile": "text", "keyFile": "text"},
        },
        "networking": {"serviceSubnet": "text", "podSubnet": "text", "dnsDomain": "text"},
        "certificatesDir": "text",
        "clusterName": "text",
        "encryptionAlgorithm": "text",
        "certificateValidityPeriod": "duration",
        "caCertificateValidityPeriod": "duration",
        "featureGates": {},
    },
}
_WANTED = {
    "text": ("text", "put it in quotes"),
    "number": ("a number", "use a number without quotes"),
    "switch": ("a boolean", "use true or false without quotes"),
    "duration": ("a duration", "use text with a unit, like 30s or 8760h"),
    "texts": ("a list of text", "use a YAML list"),
    "objects": ("a list of dictionaries", "use a YAML list"),
}


def check(option: str, config: Mapping[str, Any]) -> None:
    """Raise :class:`OptionError` for a field of a pass-through (kind -> fields) whose value is of another type."""
    for kind, types in _KINDS.items():
        check_fields("{0}.{1}".format(option, kind), config.get(kind) or {}, types)


def check_fields(option: str, fields: Mapping[str, Any], types: Mapping[str, Any]) -> None:
    """Raise :class:`OptionError` for a field whose value is of another type than in ``types``."""
    for name, wanted in types.items():
        value, where = fields.get(name), "{0}.{1}".format(option, name)
        # null is a field that is not set.
        if value is None:
            continue
        if isinstance(wanted, str):
            if not _fits(value, wanted):
                what, fix = _WANTED[wanted]
                raise OptionError(where, "is {0}, not {1}".format(_shown(value), what), fix)
        elif not isinstance(value, Mapping):
            raise OptionError(where, "is {0}, not a dictionary".format(_shown(value)), "use a YAML dictionary")
        else:
            check_fields(where, value, wanted)


def _fits(value: Any, wanted: str) -> bool:
    if wanted == "number":
        return isinstance(value, int) and not isinstance(value, bool)
    if wanted == "switch":
        return isinstance(value, bool)
    if wanted == "duration":
        return isinstance(value, str) and bool(DURATION.match(value))
    if wanted in ("texts", "objects"):
        inner = str if wanted == "texts" else Mapping
        return isinstance(value, (list, tuple)) and all(isinstance(item, inner) for item in value)
    return isinstance(value, str)


def _shown(value: Any) -> str:
    plain = isinstance(value, (str, int, float)) and len(str(value)) <= 60
    return repr(value) if plain else "a {0}".format(type_name(value))
