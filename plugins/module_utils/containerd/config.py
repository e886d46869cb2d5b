# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Merges the configuration that Kubernetes needs into the existing file, and handles the drop-in of the user."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional
from urllib.parse import urlsplit

from ..core import mappings
from ..core.constants import MANAGED, managed_header
from ..core.errors import OptionError
from . import toml
from .options import ContainerdOptions, parse_dropin
from .registries import has_secret, registry_folder, server_url
from .schema import CRI, CRI_IMAGES, CRI_RUNTIME, RUNC, is_cri, sandbox_path
from .state import CERTS_D, CONF_D, SYSTEMD, ContainerdState

# -- Planning


def sandbox_image(state: ContainerdState, options: ContainerdOptions) -> str:
    """The pause image: the requested one, or kubeadm's, or without kubeadm containerd's in the cluster's repository.

    '' leaves it to containerd.
    """
    if options.sandbox_image or state.kubeadm_sandbox:
        return options.sandbox_image or state.kubeadm_sandbox
    repository, _slash, image = state.default_sandbox.rpartition("/")
    if image and options.image_repository and options.image_repository != repository:
        return "{0}/{1}".format(options.image_repository.rstrip("/"), image)
    return ""


def desired_config(
    state: ContainerdState, options: ContainerdOptions, current: Mapping[str, Any], hidden: bool = False
) -> Dict[str, Any]:
    """The desired configuration: ``current`` in the schema of the binary, with the settings that Kubernetes needs.

    With ``hidden`` the credentials are not known here, and those of ``current`` stay.
    """
    schema = state.schema
    over: Dict[str, Any] = {"version": schema}
    disabled = [name for name in current.get("disabled_plugins", []) if not is_cri(str(name))]
    over["disabled_plugins"] = disabled
    imports = list(current.get("imports", []))
    over["imports"] = imports if CONF_D + "/*.toml" in imports else imports + [CONF_D + "/*.toml"]
    runtime = CRI if schema == 2 else CRI_RUNTIME
    images = CRI if schema == 2 else CRI_IMAGES
    sections: Dict[str, Any] = {runtime: {}}
    sections.setdefault(images, {})
    sandbox = sandbox_image(state, options)
    if sandbox:
        where = sandbox_path(schema)[2:]
        sections[images] = mappings.merged(sections[images], mappings.nested(where, sandbox))
    path = _registry_path(state, current, images, options)
    if path is not None:
        sections[images] = mappings.merged(sections[images], {"registry": {"config_path": path}})
    if state.has_bin_dirs:
        sections[runtime]["cni"] = {"bin_dirs": [options.cni_bin_dir], "conf_dir": "/etc/cni/net.d"}
    else:
        sections[runtime]["cni"] = {"bin_dir": options.cni_bin_dir, "conf_dir": "/etc/cni/net.d"}
    there = mappings.get(current, ["plugins", runtime, "containerd", "runtimes"]) or {}
    names = [name for name, value in there.items() if isinstance(value, Mapping) and value.get("runtime_type") == RUNC]
    sections[runtime]["containerd"] = {
        "runtimes": {name: _runc(state, there.get(name)) for name in dict.fromkeys(["runc", *names])}
    }
    over["plugins"] = sections
    result = mappings.merged({"version": schema}, mappings.merged(current, over))
    _drop_conflicts(result, runtime, images, state)
    if not hidden:
        _set_credentials(result["plugins"][images], state, options)
    return result


def _runc(state: ContainerdState, current: Any) -> Dict[str, Any]:
    """The settings of a runtime. On a node, they follow the kubelet, which does not restart with containerd."""
    if state.cgroup_driver == SYSTEMD:
        return {"runtime_type": RUNC, "options": {"SystemdCgroup": True}}
    present = mappings.get(current, ["options", "SystemdCgroup"])
    return {"runtime_type": RUNC, **({} if present is None else {"options": {"SystemdCgroup": False}})}


def _set_credentials(images: Dict[str, Any], state: ContainerdState, options: ContainerdOptions) -> None:
    """containerd 1.x gives the header of ``hosts.toml`` to the registry, but not to the server of its tokens.

    So there the credentials are in the configuration too. Those of registries whose ``hosts.toml`` is ours are ours.
    """
    registry = images.setdefault("registry", {})
    configs = registry.get("configs") or {}
    wanted = {}
    if state.schema == 2:
        wanted = {_config_host(entry.registry): entry for entry in options.registry_credentials}
    for file in state.hosts:
        host = _config_host(file.registry)
        if file.ours and has_secret(file.data) and host in configs and host not in wanted:
            configs[host].pop("auth", None)
            if not configs[host]:
                del configs[host]
    for host, entry in wanted.items():
        configs.setdefault(host, {})["auth"] = {"username": entry.username, "password": entry.password}
    registry.pop("configs", None)
    if configs:
        registry["configs"] = configs
    if not registry:
        del images["registry"]


def _config_host(registry: str) -> str:
    return urlsplit(server_url(registry_folder(registry))).netloc


def render_config(config: Mapping[str, Any]) -> str:
    """The file's text."""
    head = "{0}: sets what Kubernetes needs; other settings are kept.\n".format(MANAGED)
    return (
        head
        + "# For your own settings, use the variable containerd_config_dropin, or files in {0}.\n".format(CONF_D)
        + toml.dumps(config)
    )


def desired_dropin(
    state: ContainerdState, options: ContainerdOptions, config: Mapping[str, Any]
) -> Optional[Dict[str, Any]]:
    """The text of the drop-in with the user's own TOML; None if there must not be a drop-in.

    containerd 1.x replaces the complete section of a plugin by an imported one, so the rest of the section is repeated.
    """
    if not options.config_dropin.strip():
        return None
    own = parse_dropin(options.config_dropin)
    plugins = own.get("plugins", {})
    result: Dict[str, Any] = {"version": own.get("version", state.schema)}
    if "version" not in own and state.schema > 2 and CRI in plugins:
        # The drop-in is for containerd 1.x. With this version, containerd 2 migrates it.
        result["version"] = 2
    if state.schema and result["version"] > state.schema:
        raise OptionError(
            "containerd_config_dropin",
            "has version {0}, but containerd {1} supports at most {2}".format(
                result["version"], state.version, state.schema
            ),
            "write it in version {0}".format(state.schema),
        )
    if state.schema == 2 and (CRI_RUNTIME in plugins or CRI_IMAGES in plugins):
        raise OptionError(
            "containerd_config_dropin",
            "sets {0}, which containerd {1} does not have".format(
                CRI_RUNTIME if CRI_RUNTIME in plugins else CRI_IMAGES, state.version
            ),
            "set {0} instead".format(CRI),
        )
    result = mappings.merged(result, {key: value for key, value in own.items() if key != "version"})
    if state.schema == 2:
        for name in plugins:
            section = mappings.get(config, ["plugins", name])
            if isinstance(section, Mapping):
                result["plugins"][name] = mappings.merged(section, plugins[name])
    return result


def render_dropin(data: Mapping[str, Any]) -> str:
    """The drop-in's text."""
    return managed_header("containerd_config_dropin") + toml.dumps(data)


def _registry_path(
    state: ContainerdState, current: Mapping[str, Any], images: str, options: ContainerdOptions
) -> Optional[str]:
    """The ``config_path`` of containerd's registries: folders separated by colons; None to leave it unchanged.

    Registries in the old fields of the file stay there unless the collection's variables configure registries, because
    containerd refuses both together. Other folders stay in the path. If the variables configure registries, the
    collection's folder is the first: containerd uses the first folder that has an entry for a registry.
    """
    registry = mappings.get(current, ["plugins", images, "registry"]) or {}
    ours = bool(options.registry_mirrors or options.registry_credentials)
    old = bool(registry.get("mirrors")) or any(
        isinstance(entry, Mapping) and entry.get("tls") for entry in (registry.get("configs") or {}).values()
    )
    if old and not ours:
        # Newer containerd has a default folder, and refuses the old fields unless config_path is empty.
        return "" if state.default_registry_path else None
    folders = [folder for folder in str(registry.get("config_path") or "").split(":") if folder]
    if not folders:
        return CERTS_D
    if CERTS_D in [folder.rstrip("/") for folder in folders] or not ours:
        return ":".join(folders)
    return ":".join([CERTS_D, *folders])


def _drop_conflicts(config: Dict[str, Any], runtime: str, images: str, state: ContainerdState) -> None:
    """Remove settings that containerd refuses in combination with those that are set here."""
    registry = config["plugins"][images].get("registry", {})
    if registry.get("config_path"):
        registry.pop("mirrors", None)
        for entry in (registry.get("configs") or {}).values():
            entry.pop("tls", None)
    if config["plugins"][runtime].get("systemd_cgroup"):
        del config["plugins"][runtime]["systemd_cgroup"]
    config["plugins"][runtime]["cni"].pop("bin_dir" if state.has_bin_dirs else "bin_dirs", None)
