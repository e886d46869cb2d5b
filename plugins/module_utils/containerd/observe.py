# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Observes containerd: the configuration in the schema of the binary, registries, and the running service.

An existing configuration is kept. The settings that Kubernetes needs are merged into it, and the file is written, and
containerd restarted, only if this changes a setting. Registries are in /etc/containerd/certs.d, which containerd reads
for every pull.
"""

from __future__ import annotations

import fnmatch
import os
import re
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from ..core import mappings, releases, versions
from ..core.constants import KUBELET_CONFIG, KUBELET_FLAGS, KUBELET_KUBECONFIG
from ..core.redact import redact_data
from ..core.system import System
from ..core.untrusted import integer
from ..host import os_release
from ..host.os_release import OsRelease
from ..packages.apt_files import enabled_sources, pinned_away
from ..packages.manager import installed, policy
from . import toml
from .registries import hosts_path
from .schema import (
    CRI_IMAGES,
    CRI_RUNTIME,
    beyond,
    disabled_cri,
    from_version_1,
    is_ours,
    misfit,
    parsed_toml,
    sandbox_path,
    systemd_cgroup,
    undoes_systemd_cgroup,
    wrong_version,
)
from .state import (
    CERTS_D,
    CGROUPFS,
    CONF_D,
    CONFIG,
    DROPIN,
    PENDING,
    SYSTEMD,
    UNIT,
    ContainerdState,
    HostsFile,
)

# Systems with dnf whose own repositories have containerd.
_WITH_CONTAINERD = ("fedora", "amzn")
_DOCKER = "download.docker.com/linux"
# The package of the distributions and that of Docker's repository.
PACKAGES = ("containerd", "containerd.io")

# -- Observation


def observe(
    system: System,
    image_repository: str = "registry.k8s.io",
    reveal: bool = False,
    kubeadm_version: str = "",
    upgrading: bool = False,
) -> ContainerdState:
    """Observe containerd, with about eight commands. None of them uses the network.

    ``reveal`` keeps credentials in the state, for the one process that has to compare them. ``kubeadm_version`` is that
    of the installed kubeadm, where it is known already. With ``upgrading``, apt's lists are read also if containerd is
    installed.
    """
    release = os_release.read(system)
    manager = release.package_manager
    found = installed(system, manager, PACKAGES)
    packages = {name: package.version for name, package in found.items() if package.complete}
    offers = _offers(system) if manager == "apt" and (upgrading or not packages) else {}
    candidate, known = _candidate(system, release, packages, offers)
    version = program_version(system)
    default = _default(system) if version else {}
    schema = integer(default.get("version"))
    text = system.read(CONFIG)
    current, config_version, config_error = _current(system, text, schema, default)
    dropin, dropin_error = parsed_toml(system.read(DROPIN))
    others = _other_dropins(system, current)
    # Only another drop-in makes a difference between the file and what containerd uses.
    effective = _effective(system) if schema and text is not None and others else None
    shown = _unchanged if reveal else redact_data
    active, enabled = _service(system)
    kubeadm = versions.parse(kubeadm_version or system.run(["kubeadm", "version", "-o", "short"]).stdout)
    return ContainerdState(
        packages=packages,
        candidate=candidate,
        candidate_known=known,
        debian=manager == "apt",
        offers={name: offer for name, offer in offers.items() if offer},
        version=version,
        schema=schema,
        has_bin_dirs=mappings.get(default, ["plugins", CRI_RUNTIME, "cni", "bin_dirs"]) is not None,
        default_registry_path=str(mappings.get(default, ["plugins", CRI_IMAGES, "registry", "config_path"]) or ""),
        default_sandbox=str(mappings.get(default, sandbox_path(schema)) or ""),
        config_version=config_version,
        config_ours=is_ours(text),
        config_error=config_error,
        config=shown(current),
        dropin=dropin if dropin is None else shown(dropin),
        dropin_error=dropin_error,
        other_dropins=others,
        undoing_dropins=[name for name in others if undoes_systemd_cgroup(system.read(conf_d_path(name)), schema)],
        effective_systemd_cgroup=None if effective is None else systemd_cgroup(effective, schema),
        effective_cri_disabled=bool(effective and disabled_cri(effective)),
        hosts=_hosts(system, shown),
        ca_files=_ca_files(system),
        active=active,
        enabled=enabled,
        cri=cri_error(system) if active else "not running",
        restart_pending=system.exists(PENDING),
        kubelet_driver=_kubelet_driver(system),
        pods_driver=_pods_driver(system),
        kubeadm_version=str(kubeadm or ""),
        kubeadm_sandbox=_kubeadm_sandbox(system, kubeadm, image_repository) if kubeadm else "",
    )


def _kubelet_driver(system: System) -> str:
    """The cgroup driver in the configuration of a kubelet that has joined; empty without one."""
    config = system.read(KUBELET_CONFIG) if system.exists(KUBELET_KUBECONFIG) else None
    if config is None:
        return ""
    flag = re.search(r"--cgroup-driver=(\w+)", system.read(KUBELET_FLAGS) or "")
    found = flag or re.search(r"(?m)^cgroupDriver:[ \t]*[\"']?(\w+)", config)
    # A kubelet without the setting uses cgroupfs.
    return SYSTEMD if found and found.group(1) == SYSTEMD else CGROUPFS


def _pods_driver(system: System) -> str:
    """The cgroup driver with which a kubelet has created the cgroup of all pods; empty without pods."""
    for folder in ("/sys/fs/cgroup", "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct"):
        for name, driver in (("kubepods.slice", SYSTEMD), ("kubepods", CGROUPFS)):
            if system.exists("{0}/{1}".format(folder, name)):
                return driver
    return ""


def _unchanged(value: Any) -> Any:
    """The value as it is; the counterpart of :func:`redact_data`."""
    return value


def _offers(system: System) -> Dict[str, str]:
    """The versions of both packages that apt would install, as far as its lists contain them."""
    return {name: found[0] for name, found in policy(system, PACKAGES).items()}


def _candidate(
    system: System, release: OsRelease, packages: Mapping[str, str], offers: Mapping[str, str]
) -> Tuple[str, bool]:
    """The package this host would install, and whether a repository is known to have it."""
    if packages:
        return "", True
    if release.package_manager == "apt":
        if "containerd.io" in offers:
            # A pin forbids a package without a candidate.
            return ("containerd.io" if offers["containerd.io"] else "containerd"), True
        # apt's own lists may be empty on a fresh machine, so the sources count too.
        docker = any(_DOCKER in source for source in enabled_sources(system)) and not pinned_away(
            system, "containerd.io", _DOCKER.partition("/")[0], {"o": "Docker", "l": "Docker CE"}
        )
        return ("containerd.io", True) if docker else ("containerd", True)
    sources = _sources(system, "/etc/yum.repos.d", (".repo",))
    if _has_docker(sources):
        return "containerd.io", True
    return ("containerd", True) if release.id in _WITH_CONTAINERD else ("containerd.io", False)


def _sources(system: System, folder: str, endings: Tuple[str, ...]) -> str:
    names = [name for name in system.names(folder) if name.endswith(endings)]
    return "\n".join(system.read("{0}/{1}".format(folder, name)) or "" for name in names)


def _has_docker(sources: str) -> bool:
    lines = [line.strip() for line in sources.splitlines() if not line.strip().startswith("#")]
    if any(line.startswith("[docker-ce") for line in lines):
        return "[docker-ce-stable]" not in lines or not _disabled_section(lines, "[docker-ce-stable]")
    return any(_DOCKER in line for line in lines)


def _disabled_section(lines: Sequence[str], section: str) -> bool:
    inside = False
    for line in lines:
        if line.startswith("["):
            inside = line == section
        elif inside and re.match(r"enabled\s*=\s*(0|false|no)\s*\Z", line, re.IGNORECASE):
            return True
    return False


def program_version(system: System) -> str:
    """The version that ``containerd --version`` prints; empty without containerd."""
    result = system.run(["containerd", "--version"])
    found = re.search(r"\sv?(\d+\.\d+\.\d+\S*)", result.stdout) if result.ok else None
    return found.group(1) if found else ""


def _default(system: System) -> Dict[str, Any]:
    result = system.run(["containerd", "config", "default"], check=True)
    return toml.loads(result.stdout)


def _current(
    system: System, text: Optional[str], schema: int, default: Mapping[str, Any]
) -> Tuple[Dict[str, Any], int, str]:
    """The content of the file in the schema of the binary, the file's own version, and why it can't be read."""
    parsed, error = parsed_toml(text)
    if parsed is None:
        return {}, 0, error
    wrong = wrong_version(parsed)
    if wrong:
        return {}, 0, wrong
    # A file without a version is one of version 1, which is how Docker's package ships it.
    version = parsed.get("version", 1)
    wrong = misfit(parsed)
    if wrong:
        return {}, version, wrong
    if not schema or version >= schema:
        return parsed, version, ""
    if schema == 2:
        return from_version_1(parsed), version, ""
    # The binary migrates an older file. What differs from its defaults comes from the file.
    alone = {key: value for key, value in parsed.items() if key != "imports"}
    result = system.run(["containerd", "--config", "/dev/stdin", "config", "migrate"], stdin=toml.dumps(alone))
    if not result.ok:
        return {}, version, "containerd can't migrate it: {0}".format(result.last_line)
    migrated = beyond(toml.loads(result.stdout), default)
    if parsed.get("imports"):
        migrated["imports"] = parsed["imports"]
    return migrated, version, ""


def _effective(system: System) -> Optional[Dict[str, Any]]:
    result = system.run(["containerd", "--config", CONFIG, "config", "dump"])
    if not result.ok:
        return None
    parsed, _error = parsed_toml(result.stdout)
    return parsed


def _other_dropins(system: System, config: Mapping[str, Any]) -> List[str]:
    """The files that the configuration imports, or will import, and that this collection did not write.

    Those in /etc/containerd/conf.d have their names, others their paths.
    """
    found = [name for name in system.names(CONF_D) if name.endswith(".toml") and conf_d_path(name) != DROPIN]
    for pattern in config.get("imports", []):
        folder, name = os.path.split(os.path.join(os.path.dirname(CONFIG), pattern))
        paths = [os.path.join(folder, one) for one in system.names(folder) if fnmatch.fnmatchcase(one, name)]
        found += [path for path in paths if folder != CONF_D and path != CONFIG and path not in found]
    return found


def conf_d_path(name: str) -> str:
    """The path of a drop-in."""
    return os.path.join(CONF_D, name)


def _hosts(system: System, shown: Callable[[Any], Any]) -> List[HostsFile]:
    found = []
    for name in system.names(CERTS_D):
        path = hosts_path(name)
        text = system.read(path)
        if text is None:
            continue
        data, error = parsed_toml(text)
        hosts = (data or {}).get("host", {})
        found.append(
            HostsFile(
                registry=name,
                ours=is_ours(text),
                mode=system.mode(path) or 0,
                data=shown(data or {}),
                order=list(shown(hosts)) if isinstance(hosts, Mapping) else [],
                error=error,
            )
        )
    return found


def _ca_files(system: System) -> Dict[str, str]:
    found = {}
    for registry in system.names(CERTS_D):
        for name in system.names("{0}/{1}".format(CERTS_D, registry)):
            if name.startswith("kubestead-") and name.endswith(".crt"):
                path = "{0}/{1}/{2}".format(CERTS_D, registry, name)
                found[path] = system.read(path) or ""
    return found


def _service(system: System) -> Tuple[bool, bool]:
    shown = system.run(["systemctl", "show", UNIT, "--property=ActiveState,UnitFileState"]).stdout.splitlines()
    return "ActiveState=active" in shown, "UnitFileState=enabled" in shown


def cri_error(system: System) -> str:
    """``ok``, or why the running containerd doesn't serve CRI."""
    result = system.run(["ctr", "plugins", "ls"], timeout=10)
    if not result.ok:
        return "does not answer: {0}".format(result.last_line)
    return cri_status(result.stdout)


def cri_status(text: str) -> str:
    """``ok``, or the problem of the CRI service according to ``ctr plugins ls``."""
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["io.containerd.grpc.v1", "cri"]:
            return "ok" if words[-1] == "ok" else "its plugin is in state {0}".format(words[-1])
    return "its plugin is not loaded"


def _kubeadm_sandbox(system: System, version: versions.Version, image_repository: str) -> str:
    if image_repository and releases.knows_pause(version):
        return kubeadm_pause_image(version, image_repository)
    command = ["kubeadm", "config", "images", "list", "--kubernetes-version", "v{0}".format(version)]
    for line in system.run(
        command + (["--image-repository", image_repository] if image_repository else [])
    ).stdout.splitlines():
        if line.strip().rpartition(":")[0].rpartition("/")[2] == "pause":
            return line.strip()
    return ""


def kubeadm_pause_image(version: versions.Version, image_repository: str) -> str:
    """The pause image that a kubeadm of this version uses."""
    return "{0}/pause:{1}".format(image_repository, releases.pause_tag(version))
