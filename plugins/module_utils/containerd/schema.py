# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The versions of containerd's configuration (1 to 4), and the paths of the settings that Kubernetes needs in each."""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..core import mappings
from ..core.constants import MANAGED
from ..core.untrusted import mapping
from . import toml

CRI = "io.containerd.grpc.v1.cri"
CRI_IMAGES = "io.containerd.cri.v1.images"
CRI_RUNTIME = "io.containerd.cri.v1.runtime"
RUNC = "io.containerd.runc.v2"
# The types of the CRI plugins' settings that are read or written here, outer tables first.
_TYPES: List[Tuple[List[str], str, type]] = [
    (path.split("/"), "string" if kind is str else "table", kind)
    for path, kind in (
        ("containerd", dict),
        ("containerd/runtimes", dict),
        ("containerd/runtimes/*", dict),
        ("containerd/runtimes/*/runtime_type", str),
        ("containerd/runtimes/*/options", dict),
        ("cni", dict),
        ("pinned_images", dict),
        ("pinned_images/sandbox", str),
        ("sandbox_image", str),
        ("registry", dict),
        ("registry/config_path", str),
        ("registry/mirrors", dict),
        ("registry/mirrors/*", dict),
        ("registry/configs", dict),
        ("registry/configs/*", dict),
        ("registry/configs/*/auth", dict),
        ("registry/configs/*/tls", dict),
    )
]
# The names of plugins in version 1 of the file.
_SHORT_NAMES = {
    "cri": CRI,
    "cgroups": "io.containerd.monitor.v1.cgroups",
    "linux": "io.containerd.runtime.v1.linux",
    "scheduler": "io.containerd.gc.v1.scheduler",
    "bolt": "io.containerd.metadata.v1.bolt",
    "opt": "io.containerd.internal.v1.opt",
    "restart": "io.containerd.internal.v1.restart",
    "diff-service": "io.containerd.service.v1.diff-service",
    "tasks-service": "io.containerd.service.v1.tasks-service",
    "aufs": "io.containerd.snapshotter.v1.aufs",
    "btrfs": "io.containerd.snapshotter.v1.btrfs",
    "devmapper": "io.containerd.snapshotter.v1.devmapper",
    "native": "io.containerd.snapshotter.v1.native",
    "overlayfs": "io.containerd.snapshotter.v1.overlayfs",
    "zfs": "io.containerd.snapshotter.v1.zfs",
}


def from_version_1(config: Mapping[str, Any]) -> Dict[str, Any]:
    """A configuration of version 1 with the plugins' full names, as version 2 has them."""
    result = dict(config)
    plugins = config.get("plugins", {})
    if plugins:
        result["plugins"] = {_SHORT_NAMES.get(name, name): value for name, value in plugins.items()}
    for key in ("disabled_plugins", "required_plugins"):
        if config.get(key):
            result[key] = [_SHORT_NAMES.get(name, name) for name in config[key]]
    return result


def beyond(config: Mapping[str, Any], default: Mapping[str, Any]) -> Dict[str, Any]:
    """The settings of ``config`` that differ from ``default``."""
    result: Dict[str, Any] = {}
    for key, value in config.items():
        known = default.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            inner = beyond(value, known)
            if inner:
                result[key] = inner
        elif key not in default or value != known:
            result[key] = value
    return result


def parsed_toml(text: Optional[str]) -> Tuple[Optional[Dict[str, Any]], str]:
    """The document, or None and why it can't be read."""
    if text is None:
        return None, ""
    try:
        return toml.loads(text), ""
    except toml.TomlError as err:
        return None, err.message


def wrong_version(config: Mapping[str, Any]) -> str:
    """The error in the version of a configuration; empty if the version is valid or not set."""
    version = config.get("version", 1)
    return "" if isinstance(version, int) and not isinstance(version, bool) else "version is {0!r}".format(version)


def misfit(config: Mapping[str, Any]) -> str:
    """The error of the first setting with a wrong type, among those that this collection uses; empty without one."""
    for name in ("disabled_plugins", "required_plugins", "imports"):
        value = config.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            return "{0} is not a list of strings".format(name)
    plugins = config.get("plugins", {})
    if not isinstance(plugins, Mapping):
        return "plugins is not a table"
    for name, plugin in plugins.items():
        if not isinstance(plugin, Mapping):
            return "{0} is not a table".format(name)
        for path, what, kind in _TYPES if is_cri(str(name)) else ():
            for where, value in _values(plugin, path):
                if not isinstance(value, kind):
                    return "{0} {1} is not a {2}".format(name, where, what)
    return ""


def _values(table: Any, path: Sequence[str], where: str = "") -> List[Tuple[str, Any]]:
    """The values at a path, each with its full name. ``*`` matches every key.

    A value on the path that is not a table is ignored here: an outer row of the types reports it.
    """
    if not path:
        return [(where, table)]
    inner = mapping(table)
    keys = list(inner) if path[0] == "*" else [key for key in path[:1] if key in inner]
    found: List[Tuple[str, Any]] = []
    for key in keys:
        found += _values(inner[key], path[1:], "{0}.{1}".format(where, key) if where else str(key))
    return found


def is_ours(text: Optional[str]) -> bool:
    """True for a file that this collection wrote."""
    return bool(text) and str(text).startswith(MANAGED)


def sandbox_path(schema: int) -> List[str]:
    """The path of the sandbox image in a configuration of this version."""
    if schema == 2:
        return ["plugins", CRI, "sandbox_image"]
    return ["plugins", CRI_IMAGES, "pinned_images", "sandbox"]


def is_cri(name: str) -> bool:
    """True for the name of one of CRI's plugins."""
    return name in ("cri", CRI) or name.startswith("io.containerd.cri.v1.")


def disabled_cri(config: Mapping[str, Any]) -> List[str]:
    """CRI's plugins that the configuration disables."""
    names = config.get("disabled_plugins")
    return [str(name) for name in names if is_cri(str(name))] if isinstance(names, list) else []


def systemd_cgroup(config: Mapping[str, Any], schema: int) -> Optional[bool]:
    """runc's SystemdCgroup; None where it is not set."""
    runtime = CRI if schema == 2 else CRI_RUNTIME
    value = mappings.get(config, ["plugins", runtime, "containerd", "runtimes", "runc", "options", "SystemdCgroup"])
    return value if isinstance(value, bool) else None


def undoes_systemd_cgroup(text: Optional[str], schema: int) -> bool:
    """Whether an imported file undoes SystemdCgroup = true of runc, for a binary with this schema.

    containerd 1.x replaces the complete section of a plugin with that of an imported file. containerd 2 merges them.
    """
    data, _error = parsed_toml(text)
    if not data or not schema:
        return False
    version = data.get("version", 2)
    runtime = CRI if not isinstance(version, int) or version < 3 else CRI_RUNTIME
    section = mappings.get(data, ["plugins", runtime])
    if not isinstance(section, Mapping):
        return False
    reported = systemd_cgroup(data, 2 if runtime == CRI else 3)
    return reported is not True if schema == 2 else reported is False
