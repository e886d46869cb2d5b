# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""containerd as kubelet needs it: the configuration for the schema the binary speaks, registries, the running service.

What is there is kept: the file is read, what Kubernetes needs is laid over it, and only a difference in meaning is
written and followed by a restart. Registries are in /etc/containerd/certs.d, which containerd reads for every pull.
"""

from __future__ import annotations

import base64
import re
import time
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple
from urllib.parse import urlsplit

from . import toml, versions
from .errors import CommandError, KubesteadError, OptionError
from .findings import Problem
from .model import option
from .packages import policy
from .plan import Step
from .system import System

AREA = "containerd"

CONFIG = "/etc/containerd/config.toml"
BACKUP_SUFFIX = ".before-kubestead"
CONF_D = "/etc/containerd/conf.d"
DROPIN = CONF_D + "/50-kubestead.toml"
CERTS_D = "/etc/containerd/certs.d"
# There from before a configuration is written until the restart after it has ended: a run killed in between shows.
PENDING = "/run/kubestead/containerd-restart"
UNIT = "containerd.service"
PROBE_SECONDS = 30.0

_MARK = "# kubestead.cluster"
_HIDDEN = "(hidden)"
_SECRET_KEYS = ("password", "auth", "identitytoken", "authorization")
_DOCKER_HOSTS = ("docker.io", "registry-1.docker.io", "index.docker.io")
_CRI = "io.containerd.grpc.v1.cri"
_CRI_IMAGES = "io.containerd.cri.v1.images"
_CRI_RUNTIME = "io.containerd.cri.v1.runtime"
_RUNC = "io.containerd.runc.v2"
# What version 1 of the file calls plugins that have a configuration there.
_SHORT_NAMES = {
    "cri": _CRI,
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


@dataclass(frozen=True)
class RegistryCredential:
    """A name and password for one registry (``registry.example.com:5000``, ``docker.io``)."""

    registry: str = ""
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Mirror:
    """One address images of a registry are pulled from. ``ca`` is a path on the node or a certificate in PEM form."""

    url: str = ""
    ca: str = ""
    skip_verify: bool = False
    override_path: bool = False
    capabilities: List[str] = field(default_factory=lambda: ["pull", "resolve"])


@dataclass(frozen=True)
class Mirrors:
    """Where images of one registry are pulled from, in order; ``fallback``: at last from the registry itself."""

    mirrors: List[Mirror] = field(default_factory=list)
    fallback: bool = True


@dataclass(frozen=True)
class ContainerdOptions:
    """The variables of the role containerd.

    ``registry_mirrors`` maps a registry (``_default`` for all others) to a list of addresses, to a list of
    dictionaries with the fields of :class:`Mirror`, or to a dictionary with the fields of :class:`Mirrors`.
    """

    package: str = option("")
    registry_mirrors: Dict[str, Any] = option(factory=dict)
    registry_credentials: List[RegistryCredential] = option(factory=list, secret=True)
    config_dropin: str = option("")
    sandbox_image: str = option("")
    cni_bin_dir: str = option("/opt/cni/bin")
    image_repository: str = option("registry.k8s.io", var="cluster_image_repository")

    def validate(self) -> None:
        """Raise :class:`OptionError` for the first value that can't be used."""
        self.mirrors()
        for number, credential in enumerate(self.registry_credentials):
            name = "containerd_registry_credentials[{0}]".format(number)
            if not credential.registry or not credential.username or not credential.password:
                raise OptionError(name, "lacks a value", "give registry, username and password")
            _check_registry(name, credential.registry)
        if self.config_dropin:
            _parse_dropin(self.config_dropin)
        if not self.cni_bin_dir.startswith("/"):
            raise OptionError(
                "containerd_cni_bin_dir", "is {0!r}, not an absolute path".format(self.cni_bin_dir), "give a folder"
            )

    def mirrors(self) -> Dict[str, Mirrors]:
        """``registry_mirrors`` in its full form. Raises :class:`OptionError` naming the entry."""
        return {str(name): _mirrors(str(name), value) for name, value in self.registry_mirrors.items()}


@dataclass(frozen=True)
class HostsFile:
    """A registry's ``hosts.toml``. ``ours`` tells that this collection wrote it; ``error`` why it can't be read."""

    registry: str = ""
    ours: bool = False
    mode: int = 0
    data: Dict[str, Any] = field(default_factory=dict)
    order: List[str] = field(default_factory=list)
    error: str = ""


@dataclass(frozen=True)
class ContainerdState:
    """containerd as observed.

    ``schema`` is the version of the configuration the binary speaks (0 where there is no binary), ``config`` what the
    file says in that schema, without secrets, ``config_version`` what the file itself is written in (0 where there is
    none). ``debian`` tells that packages are dpkg's, ``offers`` what apt would install, by name. ``kubeadm_sandbox`` is
    the pause image of the kubeadm that is installed, or of the one that is to come (:func:`foresee`). ``effective_*``
    is what containerd makes of the file and everything it imports. ``cri`` is ``ok`` or what is wrong with the running
    CRI service.
    """

    packages: Dict[str, str] = field(default_factory=dict)
    candidate: str = ""
    candidate_known: bool = False
    debian: bool = False
    offers: Dict[str, str] = field(default_factory=dict)
    version: str = ""
    schema: int = 0
    has_bin_dirs: bool = False
    default_sandbox: str = ""
    config_version: int = 0
    config_ours: bool = False
    config_error: str = ""
    config: Dict[str, Any] = field(default_factory=dict)
    dropin: Optional[Dict[str, Any]] = None
    dropin_error: str = ""
    other_dropins: List[str] = field(default_factory=list)
    effective_systemd_cgroup: Optional[bool] = None
    effective_cri_disabled: bool = False
    hosts: List[HostsFile] = field(default_factory=list)
    ca_files: Dict[str, str] = field(default_factory=dict)
    active: bool = False
    enabled: bool = False
    cri: str = ""
    restart_pending: bool = False
    kubeadm_version: str = ""
    kubeadm_sandbox: str = ""


# -- observing


def observe(
    system: System, image_repository: str = "registry.k8s.io", reveal: bool = False, kubeadm_version: str = ""
) -> ContainerdState:
    """Look at containerd; about eight commands, none of which uses the network.

    ``reveal`` keeps credentials in the state, for the one process that has to compare them. ``kubeadm_version`` is that
    of the installed kubeadm, where it is known already.
    """
    packages = _packages(system)
    debian = _is_debian(system)
    offers = _offers(system) if debian and not packages else {}
    candidate, known = _candidate(system, packages, offers)
    version = _version(system)
    default = _default(system) if version else {}
    schema = int(default.get("version", 0) or 0)
    text = system.read(CONFIG)
    current, config_version, config_error = _current(system, text, schema, default)
    dropin, dropin_error = _parsed(system.read(DROPIN))
    effective = _effective(system, schema) if schema and text is not None else None
    shown = _same if reveal else redacted
    active, enabled = _service(system)
    kubeadm = versions.parse(kubeadm_version or system.run(["kubeadm", "version", "-o", "short"]).stdout)
    return ContainerdState(
        packages=packages,
        candidate=candidate,
        candidate_known=known,
        debian=debian,
        offers=offers,
        version=version,
        schema=schema,
        has_bin_dirs=toml.get(default, ["plugins", _CRI_RUNTIME, "cni", "bin_dirs"]) is not None,
        default_sandbox=str(toml.get(default, _sandbox_path(schema)) or ""),
        config_version=config_version,
        config_ours=_is_ours(text),
        config_error=config_error,
        config=shown(current),
        dropin=dropin if dropin is None else shown(dropin),
        dropin_error=dropin_error,
        other_dropins=[name for name in system.names(CONF_D) if name.endswith(".toml") and _conf_d(name) != DROPIN],
        effective_systemd_cgroup=None if effective is None else _systemd_cgroup(effective, schema),
        effective_cri_disabled=bool(effective and _disabled_cri(effective)),
        hosts=_hosts(system, shown),
        ca_files=_ca_files(system),
        active=active,
        enabled=enabled,
        cri=_cri(system) if active else "not running",
        restart_pending=system.exists(PENDING),
        kubeadm_version=str(kubeadm or ""),
        kubeadm_sandbox=_kubeadm_sandbox(system, kubeadm, image_repository) if kubeadm else "",
    )


def package_name(state: ContainerdState, options: ContainerdOptions) -> str:
    """The package to install: the one asked for, the one that is there, or Docker's where the host knows it."""
    if options.package:
        return options.package
    for name in ("containerd.io", "containerd"):
        if name in state.packages:
            return name
    return state.candidate or "containerd"


def _packages(system: System) -> Dict[str, str]:
    found = {}
    if _is_debian(system):
        query = ["dpkg-query", "-W", "-f", "${Package} ${Version} ${db:Status-Status}\n", "containerd", "containerd.io"]
        for line in system.run(query).stdout.splitlines():
            words = line.split()
            if len(words) == 3 and words[2] == "installed":
                found[words[0]] = words[1]
    else:
        query = ["rpm", "-q", "--qf", "%{NAME} %{VERSION}-%{RELEASE}\n", "containerd", "containerd.io"]
        for line in system.run(query).stdout.splitlines():
            words = line.split()
            if len(words) == 2 and words[0] in ("containerd", "containerd.io"):
                found[words[0]] = words[1]
    return found


def _is_debian(system: System) -> bool:
    return system.exists("/var/lib/dpkg/status")


def _offers(system: System) -> Dict[str, str]:
    """The versions of both packages that apt would install, as far as its lists tell."""
    return {name: found[0] for name, found in policy(system, ["containerd", "containerd.io"]).items() if found}


def _candidate(system: System, packages: Mapping[str, str], offers: Mapping[str, str]) -> Tuple[str, bool]:
    """The package this host would install, and whether a repository is known to have it."""
    if packages:
        return "", True
    if _is_debian(system):
        sources = _sources(system, "/etc/apt/sources.list.d", (".list", ".sources"))
        sources += "\n" + (system.read("/etc/apt/sources.list") or "")
        # apt's own lists may be empty on a fresh machine, so the sources count too.
        docker = "containerd.io" in offers or _has_docker(sources)
        return ("containerd.io", True) if docker else ("containerd", True)
    sources = _sources(system, "/etc/yum.repos.d", (".repo",))
    if _has_docker(sources):
        return "containerd.io", True
    fedora = "ID=fedora" in (system.read("/etc/os-release") or "")
    return ("containerd", True) if fedora else ("containerd.io", False)


def _sources(system: System, folder: str, endings: Tuple[str, ...]) -> str:
    names = [name for name in system.names(folder) if name.endswith(endings)]
    return "\n".join(system.read("{0}/{1}".format(folder, name)) or "" for name in names)


def _has_docker(sources: str) -> bool:
    lines = [line.strip() for line in sources.splitlines() if not line.strip().startswith("#")]
    if any(line.startswith("[docker-ce") for line in lines):
        return "[docker-ce-stable]" not in lines or not _disabled_section(lines, "[docker-ce-stable]")
    return any("download.docker.com/linux" in line for line in lines)


def _disabled_section(lines: Sequence[str], section: str) -> bool:
    inside = False
    for line in lines:
        if line.startswith("["):
            inside = line == section
        elif inside and re.match(r"enabled\s*=\s*(0|false|no)\s*$", line, re.IGNORECASE):
            return True
    return False


def _version(system: System) -> str:
    result = system.run(["containerd", "--version"])
    found = re.search(r"\sv?(\d+\.\d+\.\d+\S*)", result.stdout) if result.ok else None
    return found.group(1) if found else ""


def _default(system: System) -> Dict[str, Any]:
    result = system.run(["containerd", "config", "default"], check=True)
    return toml.loads(result.stdout)


def _current(
    system: System, text: Optional[str], schema: int, default: Mapping[str, Any]
) -> Tuple[Dict[str, Any], int, str]:
    """What the file says, in the binary's schema; the file's own version; why it can't be read."""
    parsed, error = _parsed(text)
    if parsed is None:
        return {}, 0, error
    # A file without a version is one of version 1, which is how Docker's package ships it.
    version = parsed.get("version", 1)
    if not isinstance(version, int):
        return {}, 0, "version is {0!r}".format(version)
    if not schema or version >= schema:
        return parsed, version, ""
    if schema == 2:
        return _from_version_1(parsed), version, ""
    # The binary knows best how to bring an older file forward; what remains beside its defaults is the file's own.
    alone = {key: value for key, value in parsed.items() if key != "imports"}
    result = system.run(["containerd", "--config", "/dev/stdin", "config", "migrate"], stdin=toml.dumps(alone))
    if not result.ok:
        return {}, version, "containerd can't migrate it: {0}".format(result.last_line)
    migrated = _beyond(toml.loads(result.stdout), default)
    if parsed.get("imports"):
        migrated["imports"] = parsed["imports"]
    return migrated, version, ""


def _from_version_1(config: Mapping[str, Any]) -> Dict[str, Any]:
    result = dict(config)
    plugins = config.get("plugins", {})
    if plugins:
        result["plugins"] = {_SHORT_NAMES.get(name, name): value for name, value in plugins.items()}
    for key in ("disabled_plugins", "required_plugins"):
        if config.get(key):
            result[key] = [_SHORT_NAMES.get(name, name) for name in config[key]]
    return result


def _beyond(config: Mapping[str, Any], default: Mapping[str, Any]) -> Dict[str, Any]:
    """What ``config`` says otherwise than ``default``."""
    result: Dict[str, Any] = {}
    for key, value in config.items():
        known = default.get(key)
        if isinstance(value, Mapping) and isinstance(known, Mapping):
            inner = _beyond(value, known)
            if inner:
                result[key] = inner
        elif key not in default or value != known:
            result[key] = value
    return result


def _effective(system: System, schema: int) -> Optional[Dict[str, Any]]:
    result = system.run(["containerd", "--config", CONFIG, "config", "dump"])
    if not result.ok:
        return None
    parsed, _error = _parsed(result.stdout)
    return parsed


def _parsed(text: Optional[str]) -> Tuple[Optional[Dict[str, Any]], str]:
    if text is None:
        return None, ""
    try:
        return toml.loads(text), ""
    except toml.TomlError as err:
        return None, err.message


def _is_ours(text: Optional[str]) -> bool:
    return bool(text) and str(text).startswith(_MARK)


def _conf_d(name: str) -> str:
    return "{0}/{1}".format(CONF_D, name)


def _hosts(system: System, shown: Callable[[Any], Any]) -> List[HostsFile]:
    found = []
    for name in system.names(CERTS_D):
        path = _hosts_path(name)
        text = system.read(path)
        if text is None:
            continue
        data, error = _parsed(text)
        hosts = (data or {}).get("host", {})
        found.append(
            HostsFile(
                registry=name,
                ours=_is_ours(text),
                mode=system.mode(path) or 0,
                data=shown(data or {}),
                order=list(hosts) if isinstance(hosts, Mapping) else [],
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


def _cri(system: System) -> str:
    result = system.run(["ctr", "plugins", "ls"], timeout=10)
    if not result.ok:
        return "does not answer: {0}".format(result.last_line)
    return cri_status(result.stdout)


def cri_status(text: str) -> str:
    """``ok`` or what is wrong with the CRI service, out of ``ctr plugins ls``."""
    for line in text.splitlines():
        words = line.split()
        if words[:2] == ["io.containerd.grpc.v1", "cri"]:
            return "ok" if words[-1] == "ok" else "its plugin is in state {0}".format(words[-1])
    return "its plugin is not loaded"


def _kubeadm_sandbox(system: System, version: versions.Version, image_repository: str) -> str:
    if image_repository and versions.knows_pause(version):
        return _sandbox(version, image_repository)
    command = ["kubeadm", "config", "images", "list", "--kubernetes-version", "v{0}".format(version)]
    for line in system.run(
        command + (["--image-repository", image_repository] if image_repository else [])
    ).stdout.splitlines():
        if line.strip().rpartition(":")[0].rpartition("/")[2] == "pause":
            return line.strip()
    return ""


# -- what is to come


def foresee(state: ContainerdState, kubeadm_version: str, image_repository: str) -> ContainerdState:
    """The state as it is once kubeadm is of this version; unchanged where it is already, or '' is given."""
    version = versions.parse(kubeadm_version)
    if version is None or (kubeadm_version == state.kubeadm_version and state.kubeadm_sandbox):
        return state
    sandbox = _sandbox(version, image_repository or "registry.k8s.io")
    return replace(state, kubeadm_version=kubeadm_version, kubeadm_sandbox=sandbox)


def _sandbox(version: versions.Version, image_repository: str) -> str:
    return "{0}/pause:{1}".format(image_repository, versions.pause_tag(version))


def to_come(state: ContainerdState, options: ContainerdOptions) -> List[str]:
    """The package that a run installs, as a list; empty where none is needed."""
    return [package_name(state, options)] if not state.schema or _another_package(state, options) else []


def _another_package(state: ContainerdState, options: ContainerdOptions) -> bool:
    """True where another package is installed than the user wants."""
    return bool(options.package and state.packages and options.package not in state.packages)


def _after_install(state: ContainerdState, options: ContainerdOptions) -> Optional[ContainerdState]:
    """The state once the package is installed, where that can be told: beside a file of ours that an earlier one left.

    The package keeps the file, and on Debian starts and enables the service.
    """
    offered = state.offers.get(package_name(state, options), "")
    if not state.config_ours or not state.debian or (offered and _schema_of(offered) != state.config_version):
        return None
    bin_dirs = toml.get(state.config, ["plugins", _CRI_RUNTIME, "cni", "bin_dirs"]) is not None
    return replace(state, schema=state.config_version, has_bin_dirs=bin_dirs, active=True, enabled=True, cri="ok")


def _schema_of(package: str) -> int:
    """The configuration that a containerd of this package version speaks."""
    found = re.match(r"(?:\d+:)?(\d+)\.(\d+)", package)
    version = (int(found.group(1)), int(found.group(2))) if found else (0, 0)
    return 2 if version < (2, 0) else 3 if version < (2, 3) else 4


# -- what is wanted


def sandbox_image(state: ContainerdState, options: ContainerdOptions) -> str:
    """The pause image: the one asked for, or kubeadm's; without kubeadm containerd's own in the cluster's repository.

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
    """The configuration that is wanted: ``current``, in the binary's schema, and laid over it what Kubernetes needs.

    With ``hidden`` the credentials are not known here, and those of ``current`` stay.
    """
    schema = state.schema
    over: Dict[str, Any] = {"version": schema}
    disabled = [name for name in current.get("disabled_plugins", []) if not _is_cri(str(name))]
    over["disabled_plugins"] = disabled
    imports = list(current.get("imports", []))
    over["imports"] = imports if CONF_D + "/*.toml" in imports else imports + [CONF_D + "/*.toml"]
    runtime = _CRI if schema == 2 else _CRI_RUNTIME
    images = _CRI if schema == 2 else _CRI_IMAGES
    sections: Dict[str, Any] = {runtime: {}}
    sections.setdefault(images, {})
    sandbox = sandbox_image(state, options)
    if sandbox:
        where = _sandbox_path(schema)[2:]
        sections[images] = toml.merge(sections[images], _nested(where, sandbox))
    if _uses_config_path(current, images, options):
        sections[images] = toml.merge(sections[images], {"registry": {"config_path": CERTS_D}})
    if state.has_bin_dirs:
        sections[runtime]["cni"] = {"bin_dirs": [options.cni_bin_dir], "conf_dir": "/etc/cni/net.d"}
    else:
        sections[runtime]["cni"] = {"bin_dir": options.cni_bin_dir, "conf_dir": "/etc/cni/net.d"}
    runtimes = {"runc": {"runtime_type": _RUNC, "options": {"SystemdCgroup": True}}}
    for name, value in (toml.get(current, ["plugins", runtime, "containerd", "runtimes"]) or {}).items():
        if isinstance(value, Mapping) and value.get("runtime_type") == _RUNC:
            runtimes[name] = {"runtime_type": _RUNC, "options": {"SystemdCgroup": True}}
    sections[runtime]["containerd"] = {"runtimes": runtimes}
    over["plugins"] = sections
    result = toml.merge({"version": schema}, toml.merge(current, over))
    _drop_conflicts(result, runtime, images, state)
    if not hidden:
        _set_credentials(result["plugins"][images], state, options)
    return result


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
        if file.ours and _has_secret(file.data) and host in configs and host not in wanted:
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
    return urlsplit(_server(_folder(registry))).netloc


def render_config(config: Mapping[str, Any]) -> str:
    """The file's text."""
    head = "{0} keeps this file: what Kubernetes needs is set here, other settings stay as they are.\n".format(_MARK)
    return (
        head
        + "# Your own settings: the variable containerd_config_dropin, or files in {0}.\n".format(CONF_D)
        + toml.dumps(config)
    )


def desired_dropin(
    state: ContainerdState, options: ContainerdOptions, config: Mapping[str, Any]
) -> Optional[Dict[str, Any]]:
    """What the drop-in with the user's own TOML is to say, None where there is to be none.

    containerd 1.x replaces a plugin's whole section by an imported one, so there the rest of the section is repeated.
    """
    if not options.config_dropin.strip():
        return None
    own = _parse_dropin(options.config_dropin)
    plugins = own.get("plugins", {})
    result: Dict[str, Any] = {"version": own.get("version", state.schema)}
    if "version" not in own and state.schema > 2 and _CRI in plugins:
        # Written for containerd 1.x: told so, containerd 2 brings it forward.
        result["version"] = 2
    if state.schema and result["version"] > state.schema:
        raise OptionError(
            "containerd_config_dropin",
            "is of version {0}, containerd {1} reads up to {2}".format(result["version"], state.version, state.schema),
            "write it for version {0}".format(state.schema),
        )
    if state.schema == 2 and (_CRI_RUNTIME in plugins or _CRI_IMAGES in plugins):
        raise OptionError(
            "containerd_config_dropin",
            "sets {0}, which containerd {1} does not have".format(
                _CRI_RUNTIME if _CRI_RUNTIME in plugins else _CRI_IMAGES, state.version
            ),
            "set {0} there".format(_CRI),
        )
    result = toml.merge(result, {key: value for key, value in own.items() if key != "version"})
    if state.schema == 2:
        for name in plugins:
            section = toml.get(config, ["plugins", name])
            if isinstance(section, Mapping):
                result["plugins"][name] = toml.merge(section, plugins[name])
    return result


def render_dropin(data: Mapping[str, Any]) -> str:
    """The drop-in's text."""
    return "{0} writes this file from the variable containerd_config_dropin.\n".format(_MARK) + toml.dumps(data)


def desired_hosts(options: ContainerdOptions) -> Dict[str, Dict[str, Any]]:
    """``hosts.toml`` for each registry that has a mirror or credentials."""
    wanted = options.mirrors()
    credentials = {_registry_host(entry.registry): entry for entry in options.registry_credentials}
    found: Dict[str, Dict[str, Any]] = {}
    names = list(wanted) + [_folder(entry.registry) for entry in options.registry_credentials]
    for name in sorted(set(names)):
        own = wanted.get(name, Mirrors())
        entries = [
            (mirror.url, _host_entry(mirror, _ca_path(name, number, mirror), credentials))
            for number, mirror in enumerate(own.mirrors)
        ]
        if own.fallback and name == "_default":
            found[name] = {"host": dict(entries)}
            continue
        if own.fallback:
            server = Mirror(url=_server(name), capabilities=["pull", "resolve", "push"])
            known = dict(entries).get(server.url) or _host_entry(server, "", credentials)
            entries = [entry for entry in entries if entry[0] != server.url] + [(server.url, known)]
        # The one that is asked last is the server: what is set for it stands outside of any host.
        last, settings = entries[-1]
        found[name] = {"server": last, **settings}
        if len(entries) > 1:
            found[name]["host"] = dict(entries[:-1])
    return found


def render_hosts(data: Mapping[str, Any]) -> str:
    """The text of a ``hosts.toml``."""
    return "{0} writes this file from containerd_registry_mirrors and containerd_registry_credentials.\n".format(
        _MARK
    ) + toml.dumps(data)


def redacted(value: Any) -> Any:
    """Data without what only the machine itself may know: passwords, tokens and authorization headers."""
    if isinstance(value, Mapping):
        return {
            key: _HIDDEN
            if str(key).lower() in _SECRET_KEYS and not isinstance(item, Mapping) and item
            else redacted(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [redacted(item) for item in value]
    return value


def _same(value: Any) -> Any:
    return value


def _sandbox_path(schema: int) -> List[str]:
    if schema == 2:
        return ["plugins", _CRI, "sandbox_image"]
    return ["plugins", _CRI_IMAGES, "pinned_images", "sandbox"]


def _nested(path: Sequence[str], value: Any) -> Dict[str, Any]:
    for key in reversed(path):
        value = {key: value}
    return dict(value)


def _is_cri(name: str) -> bool:
    return name in ("cri", _CRI) or name.startswith("io.containerd.cri.v1.")


def _disabled_cri(config: Mapping[str, Any]) -> List[str]:
    return [str(name) for name in config.get("disabled_plugins", []) if _is_cri(str(name))]


def _systemd_cgroup(config: Mapping[str, Any], schema: int) -> Optional[bool]:
    runtime = _CRI if schema == 2 else _CRI_RUNTIME
    value = toml.get(config, ["plugins", runtime, "containerd", "runtimes", "runc", "options", "SystemdCgroup"])
    return value if isinstance(value, bool) else None


def _uses_config_path(current: Mapping[str, Any], images: str, options: ContainerdOptions) -> bool:
    """False for a file that has registries in the old place, unless registries are asked for here: both can't be."""
    registry = toml.get(current, ["plugins", images, "registry"]) or {}
    old = bool(registry.get("mirrors")) or any(
        isinstance(entry, Mapping) and entry.get("tls") for entry in (registry.get("configs") or {}).values()
    )
    return not old or bool(options.registry_mirrors or options.registry_credentials)


def _drop_conflicts(config: Dict[str, Any], runtime: str, images: str, state: ContainerdState) -> None:
    """Take out what containerd refuses beside what is set here."""
    registry = config["plugins"][images].get("registry", {})
    if registry.get("config_path"):
        registry.pop("mirrors", None)
        for entry in (registry.get("configs") or {}).values():
            entry.pop("tls", None)
    config["plugins"][runtime].pop("systemd_cgroup", None)
    config["plugins"][runtime]["cni"].pop("bin_dir" if state.has_bin_dirs else "bin_dirs", None)


def _parse_dropin(text: str) -> Dict[str, Any]:
    try:
        return toml.loads(text)
    except toml.TomlError as err:
        raise OptionError(
            "containerd_config_dropin", "is not TOML: {0}".format(err.message), "correct that line"
        ) from None


def _mirrors(registry: str, value: Any) -> Mirrors:
    name = "containerd_registry_mirrors[{0!r}]".format(registry)
    fix = "give a list of addresses like https://mirror.example.com"
    if registry != "_default":
        _check_registry(name, registry)
    fallback = True
    if isinstance(value, Mapping):
        unknown = sorted(set(value) - {"mirrors", "fallback"})
        if unknown:
            raise OptionError(name, "has an unknown key {0!r}".format(unknown[0]), "it takes mirrors and fallback")
        fallback, value = bool(value.get("fallback", True)), value.get("mirrors")
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise OptionError(name, "is no list of addresses", fix)
    mirrors = []
    for item in value:
        fields = dict(item) if isinstance(item, Mapping) else {"url": item}
        unknown = sorted(set(fields) - {"url", "ca", "skip_verify", "override_path", "capabilities"})
        if unknown:
            known = "a mirror takes url, ca, skip_verify, override_path and capabilities"
            raise OptionError(name, "has an unknown key {0!r}".format(unknown[0]), known)
        url = str(fields.get("url", "")).rstrip("/")
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise OptionError(name, "has {0!r}, not an address".format(url), fix)
        if "@" in parts.netloc:
            raise OptionError(name, "has a password in an address", "give it in containerd_registry_credentials")
        ca = str(fields.get("ca", ""))
        if ca and not ca.startswith("/") and "-----BEGIN CERTIFICATE-----" not in ca:
            raise OptionError(
                name, "has a ca that is neither a path nor a certificate", "give a path on the node or PEM text"
            )
        capabilities = [str(word) for word in fields.get("capabilities", ["pull", "resolve"])]
        if set(capabilities) - {"pull", "resolve", "push"} or not capabilities:
            raise OptionError(name, "has unknown capabilities", "it takes pull, resolve and push")
        mirrors.append(
            Mirror(url, ca, bool(fields.get("skip_verify")), bool(fields.get("override_path")), capabilities)
        )
    return Mirrors(mirrors, fallback)


def _check_registry(name: str, registry: str) -> None:
    if not re.match(r"[A-Za-z0-9.\-\[\]:]+$", registry) or registry in (".", ".."):
        raise OptionError(
            name, "names {0!r}, not a registry".format(registry), "give its host, like registry.example.com:5000"
        )


def _folder(registry: str) -> str:
    return "docker.io" if registry in _DOCKER_HOSTS else registry


def _registry_host(registry: str) -> str:
    return "docker.io" if registry in _DOCKER_HOSTS else registry.lower()


def _server(registry: str) -> str:
    return "https://{0}".format("registry-1.docker.io" if registry == "docker.io" else registry)


def _hosts_path(registry: str) -> str:
    return "{0}/{1}/hosts.toml".format(CERTS_D, registry)


def _ca_path(registry: str, number: int, mirror: Mirror) -> str:
    if not mirror.ca or mirror.ca.startswith("/"):
        return mirror.ca
    return "{0}/{1}/kubestead-{2}.crt".format(CERTS_D, registry, number)


def _host_entry(mirror: Mirror, ca: str, credentials: Mapping[str, RegistryCredential]) -> Dict[str, Any]:
    entry: Dict[str, Any] = {"capabilities": list(mirror.capabilities)}
    if ca:
        entry["ca"] = ca
    if mirror.skip_verify:
        entry["skip_verify"] = True
    if mirror.override_path:
        entry["override_path"] = True
    credential = credentials.get(_registry_host(urlsplit(mirror.url).netloc))
    if credential:
        pair = "{0}:{1}".format(credential.username, credential.password).encode("utf-8")
        entry["header"] = {"Authorization": "Basic {0}".format(base64.b64encode(pair).decode("ascii"))}
    return entry


# -- planning


def problems(state: ContainerdState, options: ContainerdOptions) -> List[Problem]:
    """What would make a run fail."""
    found = []
    try:
        options.validate()
        if state.schema:
            desired_dropin(state, options, {})
    except OptionError as err:
        return [Problem("options", "{0} {1}".format(err.option, err.problem), err.fix)]
    if not state.packages and not state.version and not state.candidate_known and not options.package:
        text = "no repository of this host is known to have containerd"
        fix = "add Docker's repository (docker-ce.repo), or name a package of yours in containerd_package"
        found.append(Problem("containerd_package", text, fix, "warning"))
    overridden = _overridden(state, options)
    if overridden:
        found.append(overridden)
    return found


def _overridden(state: ContainerdState, options: ContainerdOptions) -> Optional[Problem]:
    if not state.schema or not state.other_dropins:
        return None
    if config_reasons(state, desired_config(state, options, state.config, hidden=True)):
        return None
    files = ", ".join(_conf_d(name) for name in state.other_dropins)
    if state.effective_cri_disabled:
        return Problem("containerd_dropin", "{0} disables the cri plugin".format(files), "take that out of the file")
    own = toml.get(desired_dropin(state, options, {}) or {}, ["plugins"]) or {}
    if state.effective_systemd_cgroup is False and not (set(own) & {_CRI, _CRI_RUNTIME}):
        fix = "set SystemdCgroup = true there, or remove the file"
        return Problem("containerd_dropin", "{0} takes SystemdCgroup = true away again".format(files), fix)
    return None


def plan(
    state: ContainerdState, options: ContainerdOptions, hidden: Sequence[str] = (), package_comes: bool = False
) -> List[Step]:
    """The steps that lead from ``state`` to ``options``; without the package's where it comes with others.

    ``hidden`` names secret options that are set but not known here (on the control machine): what depends on them is
    left to the node.
    """
    options.validate()
    unknown = "registry_credentials" in hidden
    files, leftovers = _plan_hosts(state, options, unknown)
    if unknown:
        files.append(Step(AREA, "compare", CERTS_D, "credentials can be compared on the node alone"))
    coming = [] if package_comes else to_come(state, options)
    steps = [Step(AREA, "install", name, "not installed") for name in coming]
    if not state.schema:
        foreseen = _after_install(state, options)
        if foreseen is None:
            return steps + _plan_bare() + files + leftovers
        state = foreseen
    config = desired_config(state, options, state.config, unknown)
    causes, changes = _plan_dropin(state, options, config, unknown)
    reasons = config_reasons(state, config)
    if reasons:
        causes += reasons
        backup = BACKUP_SUFFIX if state.config_version and not state.config_ours else ""
        # What can't be read can't be kept in place either.
        backup = ".broken" if state.config_error else backup
        data = {"options": options, "state": state, "backup": backup}
        before = toml.dumps(redacted(state.config)) if state.config else ""
        changes.append(
            Step(AREA, "write_config", CONFIG, ", ".join(reasons), before, toml.dumps(redacted(config)), data)
        )
    return steps + files + changes + _plan_service(state, causes) + leftovers


def _plan_dropin(
    state: ContainerdState, options: ContainerdOptions, config: Mapping[str, Any], unknown: bool
) -> Tuple[List[str], List[Step]]:
    """Why containerd is to be restarted for the drop-in, and the step that changes it."""
    wanted = desired_dropin(state, options, config)
    before = render_dropin(redacted(state.dropin)) if state.dropin else ""
    if wanted is None and (state.dropin is not None or state.dropin_error):
        reason = "containerd_config_dropin is empty"
        step = Step(AREA, "remove_dropin", DROPIN, reason, before, "")
    elif wanted is not None and state.dropin != (redacted(wanted) if unknown else wanted):
        reason = _dropin_reason(state)
        data = {"options": options, "state": state}
        step = Step(AREA, "write_dropin", DROPIN, reason, before, render_dropin(redacted(wanted)), data)
    else:
        return [], []
    return ["{0}: {1}".format(DROPIN, reason)], [step]


def _plan_service(state: ContainerdState, causes: Sequence[str]) -> List[Step]:
    steps = [] if state.enabled else [Step(AREA, "enable", UNIT, "not enabled")]
    reason = ", ".join(causes)
    if not reason and state.restart_pending:
        reason = "a run that was stopped changed its configuration"
    elif not reason and not state.active:
        reason = "not running"
    elif not reason and state.cri != "ok":
        reason = "the CRI service {0}".format(state.cri)
    if reason:
        steps.append(Step(AREA, "restart", UNIT, reason))
    return steps


def config_reasons(state: ContainerdState, config: Mapping[str, Any]) -> List[str]:
    """The differences in meaning between the file and ``config``, each in a few words."""
    if state.config_error:
        return ["the file can't be used ({0})".format(state.config_error)]
    if not state.config_version:
        return ["no configuration -> version {0}, SystemdCgroup true".format(state.schema)]
    reasons = []
    if state.config_version != config["version"]:
        reasons.append("version {0} -> {1}".format(state.config_version, config["version"]))
    if _disabled_cri(state.config):
        reasons.append("cri plugin disabled -> enabled")
    reasons += _differences(state.config, config, [])
    return reasons


def _differences(current: Mapping[str, Any], wanted: Mapping[str, Any], path: List[str]) -> List[str]:
    found = []
    for key in list(wanted) + [key for key in current if key not in wanted]:
        where = path + [key]
        if where in (["version"], ["disabled_plugins"]):
            continue
        old, new = current.get(key), wanted.get(key)
        if old == new or (old is None and _is_default(where, new)):
            continue
        if isinstance(new, Mapping) and (old is None or isinstance(old, Mapping)):
            found += _differences(old or {}, new, where)
        elif key not in wanted:
            found.append("{0} removed".format(_short(where)))
        elif str(key).lower() in _SECRET_KEYS and not isinstance(new, Mapping):
            found.append("{0} {1}".format(_short(where), "set" if old is None else "changed"))
        elif where == ["imports"]:
            found.append("imports {0}".format(CONF_D))
        else:
            before = "default" if old is None else _shown(old)
            if old is None and key == "SystemdCgroup":
                before = "false"
            found.append("{0} {1} -> {2}".format(_short(where), before, _shown(new)))
    return found


def _is_default(path: Sequence[str], value: Any) -> bool:
    """True for what is written for completeness only: containerd takes the same where nothing is said."""
    default = {
        "runtime_type": _RUNC,
        "conf_dir": "/etc/cni/net.d",
        "bin_dir": "/opt/cni/bin",
        "bin_dirs": ["/opt/cni/bin"],
    }
    return len(path) > 2 and path[1] in (_CRI, _CRI_RUNTIME) and default.get(path[-1]) == value


def _short(path: Sequence[str]) -> str:
    if path[0] != "plugins" or len(path) < 3:
        return ".".join(path)
    if path[-2:] == ["options", "SystemdCgroup"]:
        return "SystemdCgroup" if path[-3] == "runc" else "SystemdCgroup of runtime {0}".format(path[-3])
    if path[1] in (_CRI, _CRI_IMAGES, _CRI_RUNTIME):
        return ".".join(path[2:])
    return ".".join(path[1:])


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _plan_bare() -> List[Step]:
    return [
        # Which schema it will be is known only once the package is there.
        Step(AREA, "write_config", CONFIG, "for the version that gets installed: SystemdCgroup true"),
        Step(AREA, "restart", UNIT, "its configuration is written"),
    ]


def _dropin_reason(state: ContainerdState) -> str:
    if state.dropin_error:
        return "the file can't be used ({0})".format(state.dropin_error)
    return "not there" if state.dropin is None else "says something else than containerd_config_dropin"


def _plan_hosts(state: ContainerdState, options: ContainerdOptions, hidden: bool) -> Tuple[List[Step], List[Step]]:
    """The steps that write files of registries, and those that remove such files."""
    steps: List[Step] = []
    present = {entry.registry: entry for entry in state.hosts}
    wanted = desired_hosts(options)
    authorities = _desired_ca_files(options)
    for path, text in sorted(authorities.items()):
        if state.ca_files.get(path) != text:
            reason = "not there" if path not in state.ca_files else "another certificate"
            steps.append(Step(AREA, "write_ca", path, reason, state.ca_files.get(path, ""), text, {"text": text}))
    for name, data in wanted.items():
        there = present.get(name)
        if hidden and there and _has_secret(there.data):
            continue
        reason = _hosts_reason(there, data)
        if reason:
            before = render_hosts(redacted(there.data)) if there and there.data else ""
            known = {"text": render_hosts(data), "mode": _hosts_mode(data), "backup": bool(there and not there.ours)}
            steps.append(
                Step(AREA, "write_hosts", _hosts_path(name), reason, before, render_hosts(redacted(data)), known)
            )
    leftovers: List[Step] = []
    for name, entry in present.items():
        if name not in wanted and entry.ours and not (hidden and _has_secret(entry.data)):
            before = render_hosts(redacted(entry.data))
            reason = "neither a mirror nor credentials are set for it"
            leftovers.append(Step(AREA, "remove_hosts", _hosts_path(name), reason, before, ""))
    for path in sorted(set(state.ca_files) - set(authorities)):
        leftovers.append(Step(AREA, "remove_ca", path, "no mirror uses it", state.ca_files[path], ""))
    return steps, leftovers


def _desired_ca_files(options: ContainerdOptions) -> Dict[str, str]:
    found = {}
    for name, own in options.mirrors().items():
        for number, mirror in enumerate(own.mirrors):
            path = _ca_path(name, number, mirror)
            if path and path != mirror.ca:
                found[path] = mirror.ca.strip() + "\n"
    return found


def _hosts_mode(data: Mapping[str, Any]) -> int:
    return 0o600 if _has_secret(data) else 0o644


def _has_secret(data: Mapping[str, Any]) -> bool:
    entries = [data, *(data.get("host") or {}).values()]
    return any(toml.get(entry, ["header", "Authorization"]) is not None for entry in entries)


def _hosts_reason(there: Optional[HostsFile], data: Mapping[str, Any]) -> str:
    if there is None:
        return "not there"
    if there.error:
        return "the file can't be used ({0})".format(there.error)
    if redacted(there.data) != redacted(data) or there.order != list(data.get("host", {})):
        return "other mirrors" if there.ours else "replaces a file that somebody else wrote"
    if there.data != data:
        return "other credentials"
    if _has_secret(data) and there.mode != 0o600:
        return "mode {0:04o} -> 0600".format(there.mode)
    return ""


# -- applying


def apply(step: Step, system: System) -> None:
    """Carry out one step that was planned for a state with its credentials. Raises :class:`KubesteadError`."""
    data = step.data
    if step.action == "install":
        raise KubesteadError(
            "containerd is not installed here; install the package {0} first (the role containerd does)".format(
                step.target
            )
        )
    if step.action == "write_ca":
        system.write(step.target, str(data["text"]))
    elif step.action == "write_hosts":
        if data["backup"]:
            _back_up(system, step.target, BACKUP_SUFFIX)
        system.write(step.target, str(data["text"]), mode=int(data["mode"]))
    elif step.action in ("remove_hosts", "remove_ca"):
        system.remove(step.target)
        folder = step.target.rpartition("/")[0]
        if not system.names(folder):
            system.remove(folder)
    elif step.action == "write_dropin":
        _write_dropin(system, data["state"], data["options"])
    elif step.action == "remove_dropin":
        system.write(PENDING, "")
        system.remove(step.target)
    elif step.action == "write_config":
        _write_config(system, data["state"], data["options"], str(data["backup"]))
    elif step.action == "compare":
        pass
    elif step.action == "enable":
        system.run(["systemctl", "enable", UNIT], check=True)
    else:
        _restart(system)


def _write_config(system: System, state: ContainerdState, options: ContainerdOptions, backup: str) -> None:
    config = desired_config(state, options, state.config)
    text = render_config(config)
    _judge(system, text, CONFIG)
    if backup:
        _back_up(system, CONFIG, backup)
    system.write(PENDING, "")
    mode = system.mode(CONFIG) or 0o644
    system.write(CONFIG, text, mode=mode & 0o600 if redacted(config) != config else mode)


def _write_dropin(system: System, state: ContainerdState, options: ContainerdOptions) -> None:
    data = desired_dropin(state, options, desired_config(state, options, state.config))
    text = render_dropin(data or {})
    _judge(system, text, "containerd_config_dropin")
    system.write(PENDING, "")
    # It repeats a section of the configuration, which may hold a password.
    system.write(DROPIN, text, mode=0o600 if redacted(data) != data else 0o644)


def _judge(system: System, text: str, name: str) -> None:
    """Have containerd itself read a text before it is put in place."""
    result = system.run(["containerd", "--config", "/dev/stdin", "config", "dump"], stdin=text)
    if not result.ok:
        raise CommandError(
            "{0} is refused by containerd: {1}; nothing was changed in it".format(name, result.last_line),
            {"rc": result.rc, "stderr": result.stderr},
        )


def _back_up(system: System, path: str, suffix: str) -> None:
    """Keep a file beside itself; of those that were not ours the first."""
    text = system.read(path)
    if text is not None and (suffix != BACKUP_SUFFIX or not system.exists(path + suffix)):
        system.write(path + suffix, text, mode=system.mode(path) or 0o600)


def _restart(system: System) -> None:
    result = system.run(["systemctl", "restart", UNIT], timeout=120)
    status = "systemctl restart: {0}".format(result.last_line)
    if result.ok:
        deadline = time.monotonic() + PROBE_SECONDS
        while True:
            status = _cri(system)
            if status == "ok":
                system.remove(PENDING)
                return
            if time.monotonic() > deadline:
                break
            time.sleep(0.1)
    journal = system.run(["journalctl", "-u", UNIT, "-n", "20", "--no-pager", "-o", "cat"]).stdout.splitlines()
    said = next((line for line in reversed(journal) if _tells(line)), "")
    raise CommandError(
        "containerd does not serve CRI after its restart: {0}{1}; see 'journalctl -u containerd'".format(
            status, " ({0})".format(said[:300]) if said else ""
        ),
        {"journal": journal},
    )


def _tells(line: str) -> bool:
    return "level=error" in line or "level=fatal" in line or line.startswith("containerd: ")
