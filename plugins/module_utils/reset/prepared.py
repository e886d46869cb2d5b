# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Undoes the preparation of a machine: packages and their sources, containerd's files, swap, modules and sysctls.

Files that this collection replaced are restored from their backups. Other files are removed only if they carry the mark
of this collection. Current sysctl values remain, and swap stays off, until the next boot.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import Dict, List, Sequence

from ..containerd.state import CERTS_D, CONFIG, DROPIN, PENDING
from ..core import foreign_files
from ..core.constants import BACKUP_SUFFIX, MANAGED
from ..core.system import PROGRAMS, System
from ..host import os_release
from ..host.prepare import MODULES_FILE, SYSCTL_FILE
from ..packages import manager
from ..packages.sources import APT_KEY, APT_SOURCE, CRI_TOOLS, DNF_KEY, DNF_SOURCE, NAMES, apt_list_prefix
from . import paths

RUNTIME = ("containerd", "containerd.io")
#: Folders that only the packages of the runtime use. A purge of the packages does not remove them.
RUNTIME_FOLDERS = ("/var/lib/containerd", "/run/containerd", "/opt/containerd")
_PLUGIN_FOLDER = "/opt/cni/bin"
#: The plugins that Calico's init container copies to each machine, in addition to its own. It replaces files with these
#: names, and copies its own program ``install`` too, which nothing else does.
CALICO_PLUGINS = ("bandwidth", "flannel", "host-local", "loopback", "portmap", "tuning")
CALICO_INSTALLER = _PLUGIN_FOLDER + "/install"
_UNITS = "/etc/systemd/system"
_COMMENTED = re.compile(r"(?m)^# Disabled by kubestead\.cluster: [^\n]*\n#")
_SOURCES = (APT_SOURCE, APT_KEY, DNF_SOURCE, DNF_KEY)
_CONFIGURATION = ("/etc/fstab", "/etc/sysctl.conf")


@dataclass(frozen=True)
class Prepared:
    """What the preparation left on a machine.

    ``packages`` are purged together with ``dependencies``, which no other package needs. ``files`` are removed.
    ``backups`` maps each file to the backup that replaces it. ``commented`` are files with lines that this collection
    commented out. ``folders`` belong to purged packages. ``lists`` are apt's package lists of the Kubernetes
    repository. ``runtime_stays`` is true if the package of containerd is kept.
    """

    manager: str = ""
    packages: List[str] = field(default_factory=list)
    dependencies: List[str] = field(default_factory=list)
    files: List[str] = field(default_factory=list)
    backups: Dict[str, str] = field(default_factory=dict)
    commented: List[str] = field(default_factory=list)
    folders: List[str] = field(default_factory=list)
    lists: List[str] = field(default_factory=list)
    runtime_stays: bool = False


def observe(system: System, shared_runtime: bool) -> Prepared:
    """Observe what the roles host, kube_packages and containerd left. Changes nothing.

    The package of containerd is kept if it was installed before this collection ran (a backup of its configuration
    exists), if other programs use it (``shared_runtime``), or if other packages depend on it. A containerd without a
    package was not installed by this collection.
    """
    found_manager = os_release.read(system).package_manager
    packages = list(manager.installed(system, found_manager, [*NAMES, CRI_TOOLS]))
    runtime = list(manager.installed(system, found_manager, RUNTIME))
    goes = bool(runtime) and not shared_runtime and not system.exists(CONFIG + BACKUP_SUFFIX)
    apt = found_manager == "apt"
    if goes and apt and _dependents(system, [*packages, *runtime]):
        goes = False
    packages += runtime if goes else []
    without_package = any(system.is_executable(folder + "/containerd") for folder in PROGRAMS)
    gone = goes or (not runtime and not without_package)
    return Prepared(
        manager=found_manager,
        packages=packages,
        dependencies=_dependencies(system, packages) if apt and packages else [],
        files=_files(system),
        backups=_backups(system),
        commented=_commented(system),
        folders=[path for path in RUNTIME_FOLDERS if gone and not shared_runtime and paths.is_left(system, path)],
        lists=_lists(system),
        runtime_stays=not gone,
    )


def _files(system: System) -> List[str]:
    found = [path for path in _SOURCES if system.exists(path)]
    found += [path for path in (SYSCTL_FILE, MODULES_FILE) if _is_ours(system, path)]
    found += [path for path in (DROPIN, PENDING) if system.exists(path)]
    if _is_ours(system, CONFIG) and not system.exists(CONFIG + BACKUP_SUFFIX):
        found.append(CONFIG)
    for registry in system.names(CERTS_D):
        folder = "{0}/{1}".format(CERTS_D, registry)
        hosts = folder + "/hosts.toml"
        if _is_ours(system, hosts) and not system.exists(hosts + BACKUP_SUFFIX):
            found.append(hosts)
        found += ["{0}/{1}".format(folder, name) for name in system.names(folder) if _is_ca(name)]
    return found


def _is_ca(name: str) -> bool:
    return name.startswith("kubestead-") and name.endswith(".crt")


def _is_ours(system: System, path: str) -> bool:
    return (system.read(path) or "").startswith(MANAGED)


def _backups(system: System) -> Dict[str, str]:
    paths = [CONFIG]
    paths += ["{0}/{1}/hosts.toml".format(CERTS_D, registry) for registry in system.names(CERTS_D)]
    paths += [
        "{0}/{1}".format(_UNITS, name[: -len(BACKUP_SUFFIX)])
        for name in system.names(_UNITS)
        if name.endswith(".swap" + BACKUP_SUFFIX) or name.endswith(".service" + BACKUP_SUFFIX)
    ]
    return {path: path + BACKUP_SUFFIX for path in paths if system.exists(path + BACKUP_SUFFIX)}


def _commented(system: System) -> List[str]:
    paths = [*_CONFIGURATION]
    paths += ["/etc/sysctl.d/" + name for name in system.names("/etc/sysctl.d") if name.endswith(".conf")]
    return [path for path in paths if _COMMENTED.search(system.read(path) or "")]


def _lists(system: System) -> List[str]:
    found = re.search(r"(?m)^URIs:[ \t]*(\S+)", system.read(APT_SOURCE) or "")
    if not found:
        return []
    prefix = apt_list_prefix(found.group(1).rstrip("/") + "/")
    return [
        "{0}/{1}".format(manager.APT_LISTS, name)
        for name in system.names(manager.APT_LISTS)
        if name.startswith(prefix.rstrip("_"))
    ]


# -- dependencies between packages


def _dependents(system: System, packages: Sequence[str]) -> List[str]:
    """Packages that depend on one of ``packages``, and would be purged together with them."""
    return sorted(set(_simulated(system, ["purge", *packages])) - set(packages))


def _dependencies(system: System, packages: Sequence[str]) -> List[str]:
    """Packages that become unneeded when ``packages`` are purged, but are needed until then."""
    others = {*packages, *_simulated(system, ["autoremove"]), *_dependents(system, packages)}
    return sorted(set(_simulated(system, ["--auto-remove", "purge", *packages])) - others)


def _simulated(system: System, words: Sequence[str]) -> List[str]:
    argv = ["apt-get", "--simulate", "-qq", "--allow-change-held-packages", *words]
    return removed(system.run(argv).stdout)


def removed(text: str) -> List[str]:
    """The packages that a simulation of apt-get removes or purges."""
    return re.findall(r"(?m)^(?:Remv|Purg) ([a-z0-9][a-z0-9+.-]*)", text)


# -- Application


def put_back(system: System, path: str) -> None:
    """Restore a file from its backup, also if the path is a link. This also unmasks a systemd unit."""
    copy = path + BACKUP_SUFFIX
    text = foreign_files.read_exact(system, copy)
    if text is None:
        return
    real = system.path(path)
    if os.path.islink(real) and os.path.isfile(real):
        foreign_files.rewrite(system, path, lambda _now: text, mode=system.mode(copy), backup=False)
        system.remove(copy)
    else:
        os.replace(system.path(copy), real)


def uncomment(system: System, path: str) -> None:
    """Restore the lines that this collection commented out. Every other byte stays, and a link stays a link."""
    foreign_files.rewrite(system, path, uncommented, backup=False)


def uncommented(text: str) -> str:
    """The text with the commented-out lines restored."""
    return _COMMENTED.sub("", text)


def calico_plugins(system: System) -> List[str]:
    """The CNI plugins that Calico's init container copied to the machine, its installer last.

    Files of packages stay, and without the installer all files stay: they were not copied by Calico.
    """
    if not system.exists(CALICO_INSTALLER):
        return []
    copied = ["{0}/{1}".format(_PLUGIN_FOLDER, name) for name in CALICO_PLUGINS]
    found = [path for path in [*copied, CALICO_INSTALLER] if system.exists(path)]
    owned = manager.owned(system, os_release.read(system).package_manager, found)
    return [path for path in found if path not in owned]
