# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans the changes that configure containerd for Kubernetes, with their reasons. Pure."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ..core import mappings, versions
from ..core.constants import BACKUP_SUFFIX
from ..core.errors import OptionError
from ..core.foreign_files import backup_path
from ..core.problem import Problem
from ..core.redact import is_secret_key, redact, redact_data
from ..core.step import Step
from . import toml
from .config import desired_config, desired_dropin, render_dropin
from .observe import conf_d_path, kubeadm_pause_image
from .options import COMPONENT, ContainerdOptions
from .registries import desired_ca_files, desired_hosts, has_secret, hosts_mode, hosts_path, hosts_reason, render_hosts
from .schema import CRI, CRI_IMAGES, CRI_RUNTIME, RUNC, disabled_cri
from .state import CERTS_D, CONF_D, CONFIG, DROPIN, SYSTEMD, UNIT, ContainerdState


def package_name(state: ContainerdState, options: ContainerdOptions) -> str:
    """The package to install: the requested one, the installed one, or Docker's if a repository of the host has it."""
    if options.package:
        return options.package
    for name in ("containerd.io", "containerd"):
        if name in state.packages:
            return name
    return state.candidate or "containerd"


# -- Planning


def assume_version(state: ContainerdState, kubeadm_version: str, image_repository: str) -> ContainerdState:
    """The state after kubeadm of this version is installed; unchanged if it is installed already, or for ''."""
    version = versions.parse(kubeadm_version)
    if version is None or (kubeadm_version == state.kubeadm_version and state.kubeadm_sandbox):
        return state
    sandbox = kubeadm_pause_image(version, image_repository or "registry.k8s.io")
    return replace(state, kubeadm_version=kubeadm_version, kubeadm_sandbox=sandbox)


def planned_packages(state: ContainerdState, options: ContainerdOptions) -> List[str]:
    """The package that a run installs, as a list; empty if no package is needed."""
    return [package_name(state, options)] if not state.schema or replaces_package(state, options) else []


def replaces_package(state: ContainerdState, options: ContainerdOptions) -> bool:
    """True if the installed package is not the one that the user wants."""
    return bool(options.package and state.packages and options.package not in state.packages)


def _after_install(state: ContainerdState, options: ContainerdOptions) -> Optional[ContainerdState]:
    """The state after the package is installed; None if it can't be predicted. A configuration file of ours may exist.

    The package keeps the file, and on Debian starts and enables the service.
    """
    offered = state.offers.get(package_name(state, options), "")
    if not state.config_ours or not state.debian or (offered and _schema_of(offered) != state.config_version):
        return None
    bin_dirs = mappings.get(state.config, ["plugins", CRI_RUNTIME, "cni", "bin_dirs"]) is not None
    return replace(state, schema=state.config_version, has_bin_dirs=bin_dirs, active=True, enabled=True, cri="ok")


def _schema_of(package: str) -> int:
    """The configuration version of a containerd of this package version."""
    found = re.match(r"(?:\d+:)?(\d+)\.(\d+)", package)
    version = (int(found.group(1)), int(found.group(2))) if found else (0, 0)
    return 2 if version < (2, 0) else 3 if version < (2, 3) else 4


# -- Planning


def problems(state: ContainerdState, options: ContainerdOptions) -> List[Problem]:
    """The problems that would make a run fail."""
    found = []
    try:
        options.validate()
        if state.schema:
            desired_dropin(state, options, {})
    except OptionError as err:
        return [Problem("options", "{0} {1}".format(err.option, err.problem), err.fix)]
    if not state.packages and not state.version and not state.candidate_known and not options.package:
        text = "no known repository of this host has containerd"
        fix = "add Docker's repository (docker-ce.repo), or set containerd_package to a package of your own"
        found.append(Problem("containerd_package", text, fix, "warning"))
    if state.cgroup_driver != SYSTEMD:
        text = "the kubelet of this node uses the cgroup driver cgroupfs, so containerd keeps it too"
        fix = "change both to systemd when the node is drained, as the documentation of Kubernetes describes"
        found.append(Problem("cgroup_driver", text, fix, "warning"))
    overridden = _overridden(state, options)
    if overridden:
        found.append(overridden)
    return found


def needed_config(state: ContainerdState, options: ContainerdOptions, hidden: bool = False) -> Dict[str, Any]:
    """The configuration to write; the present configuration if it already satisfies the variables.

    A file that was not created by this collection is then left alone, and containerd is not restarted only to import
    files that do not exist.
    """
    config = desired_config(state, options, state.config, hidden)
    asked = options.registry_mirrors or options.registry_credentials or options.config_dropin or hidden
    if asked or state.config_ours or not state.config_version or state.config_error:
        return config
    images = CRI if state.schema == 2 else CRI_IMAGES
    least = mappings.merged(config, {})
    for path in (["imports"], ["plugins", images, "registry"]):
        _set_as(least, state.config, path)
    return config if config_reasons(state, least) else least


def _set_as(config: Dict[str, Any], other: Mapping[str, Any], path: Sequence[str]) -> None:
    """Set or remove a value, as in another configuration."""
    value = mappings.get(other, path)
    table: Any = mappings.get(config, path[:-1]) if path[1:] else config
    if value is not None:
        table[path[-1]] = value
    elif isinstance(table, dict):
        table.pop(path[-1], None)


def _overridden(state: ContainerdState, options: ContainerdOptions) -> Optional[Problem]:
    if not state.schema or not state.other_dropins:
        return None
    if config_reasons(state, needed_config(state, options)):
        # The configuration is not written yet, so the effect of the drop-ins is derived from their text.
        undone = [conf_d_path(name) for name in state.undoing_dropins]
        if not undone:
            return None
        return Problem(
            "containerd_dropin",
            "{0} would override SystemdCgroup = true".format(", ".join(undone)),
            "set SystemdCgroup = true for every runtime in it, or remove the file",
        )
    files = ", ".join(conf_d_path(name) for name in state.other_dropins)
    if state.effective_cri_disabled:
        return Problem(
            "containerd_dropin", "{0} disables the cri plugin".format(files), "remove this setting from the file"
        )
    own = mappings.get(desired_dropin(state, options, {}) or {}, ["plugins"]) or {}
    if state.effective_systemd_cgroup is False and not (set(own) & {CRI, CRI_RUNTIME}):
        fix = "set SystemdCgroup = true in it, or remove the file"
        return Problem("containerd_dropin", "{0} overrides SystemdCgroup = true".format(files), fix)
    return None


def plan(
    state: ContainerdState,
    options: ContainerdOptions,
    secret_options: Sequence[str] = (),
    package_planned_elsewhere: bool = False,
) -> List[Step]:
    """The steps that lead from ``state`` to ``options``; without the package's where it comes with others.

    ``secret_options`` names those that are set but not known here (on the control machine): what depends on them is
    left to the node.
    """
    options.validate()
    unknown = "registry_credentials" in secret_options
    files, leftovers = _plan_hosts(state, options, unknown)
    if unknown:
        files.append(Step(COMPONENT, "compare", CERTS_D, "credentials can only be compared on the node"))
    missing = [] if package_planned_elsewhere else planned_packages(state, options)
    steps = [Step(COMPONENT, "install", name, "not installed", disruptive=state.active) for name in missing]
    running = state.active
    if not state.schema:
        installed = _after_install(state, options)
        if installed is None:
            return steps + _plan_bare() + files + leftovers
        state = installed
    config = needed_config(state, options, unknown)
    causes, changes = _plan_dropin(state, options, config, unknown)
    reasons = config_reasons(state, config)
    if reasons:
        causes += reasons
        backup = BACKUP_SUFFIX if state.config_version and not state.config_ours else ""
        # Settings that can't be read can't be kept.
        backup = ".broken" if state.config_error else backup
        data = {"options": options, "state": state, "backup": backup}
        before = toml.dumps(redact_data(state.config)) if state.config else ""
        changes.append(
            Step(
                COMPONENT,
                "write_config",
                CONFIG,
                ", ".join(reasons),
                before,
                toml.dumps(redact_data(config)),
                data,
                backup=CONFIG + backup if backup else "",
            )
        )
    return steps + files + changes + _plan_service(state, causes, running) + leftovers


def _plan_dropin(
    state: ContainerdState, options: ContainerdOptions, config: Mapping[str, Any], unknown: bool
) -> Tuple[List[str], List[Step]]:
    """Why containerd is to be restarted for the drop-in, and the step that changes it."""
    wanted = desired_dropin(state, options, config)
    before = render_dropin(redact_data(state.dropin)) if state.dropin else ""
    if wanted is None and (state.dropin is not None or state.dropin_error):
        reason = "containerd_config_dropin is empty"
        step = Step(COMPONENT, "remove_dropin", DROPIN, reason, before, "")
    elif wanted is not None and state.dropin != (redact_data(wanted) if unknown else wanted):
        reason = _dropin_reason(state)
        data = {"options": options, "state": state}
        step = Step(COMPONENT, "write_dropin", DROPIN, reason, before, render_dropin(redact_data(wanted)), data)
    else:
        return [], []
    return ["{0}: {1}".format(DROPIN, reason)], [step]


def _plan_service(state: ContainerdState, causes: Sequence[str], running: bool) -> List[Step]:
    """``running`` is true if containers may be running: a restart interrupts their runtime for a moment."""
    steps = [] if state.enabled else [Step(COMPONENT, "enable", UNIT, "not enabled")]
    reason = ", ".join(causes)
    if not reason and state.restart_pending:
        reason = "an interrupted run changed the configuration"
    elif not reason and not state.active:
        reason = "not running"
    elif not reason and state.cri != "ok":
        reason = "the CRI service fails: {0}".format(state.cri)
    if reason:
        steps.append(Step(COMPONENT, "restart", UNIT, reason, disruptive=running))
    return steps


def config_reasons(state: ContainerdState, config: Mapping[str, Any]) -> List[str]:
    """The differences in meaning between the file and ``config``, each in a few words."""
    if state.config_error:
        return ["the file is invalid ({0})".format(state.config_error)]
    if not state.config_version:
        return ["no configuration -> version {0}, SystemdCgroup true".format(state.schema)]
    reasons = []
    if state.config_version != config["version"]:
        reasons.append("version {0} -> {1}".format(state.config_version, config["version"]))
    if disabled_cri(state.config):
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
        elif is_secret_key(key) and not isinstance(new, Mapping):
            found.append("{0} {1}".format(_short(where), "set" if old is None else "changed"))
        elif where == ["imports"]:
            found.append("imports {0}".format(CONF_D))
        else:
            before = "default" if old is None else shown_value(old)
            if old is None and key == "SystemdCgroup":
                before = "false"
            found.append("{0} {1} -> {2}".format(_short(where), before, shown_value(new)))
    return found


def _is_default(path: Sequence[str], value: Any) -> bool:
    """True for a value that is written only for completeness: it is containerd's default."""
    default = {
        "runtime_type": RUNC,
        "conf_dir": "/etc/cni/net.d",
        "bin_dir": "/opt/cni/bin",
        "bin_dirs": ["/opt/cni/bin"],
    }
    return len(path) > 2 and path[1] in (CRI, CRI_RUNTIME) and default.get(path[-1]) == value


def _short(path: Sequence[str]) -> str:
    if path[0] != "plugins" or len(path) < 3:
        return ".".join(path)
    if path[-2:] == ["options", "SystemdCgroup"]:
        return "SystemdCgroup" if path[-3] == "runc" else "SystemdCgroup of runtime {0}".format(path[-3])
    if path[1] in (CRI, CRI_IMAGES, CRI_RUNTIME):
        return ".".join(path[2:])
    return ".".join(path[1:])


def shown_value(value: Any) -> str:
    """A scalar as TOML writes it, without secrets."""
    return str(value).lower() if isinstance(value, bool) else redact(str(value))


def _plan_bare() -> List[Step]:
    return [
        # The schema is known only after the package is installed.
        Step(COMPONENT, "write_config", CONFIG, "for the version to be installed: SystemdCgroup true"),
        Step(COMPONENT, "restart", UNIT, "the configuration is written"),
    ]


def _dropin_reason(state: ContainerdState) -> str:
    if state.dropin_error:
        return "the file is invalid ({0})".format(state.dropin_error)
    return "missing" if state.dropin is None else "differs from containerd_config_dropin"


def _plan_hosts(state: ContainerdState, options: ContainerdOptions, hidden: bool) -> Tuple[List[Step], List[Step]]:
    """The steps that write files of registries, and those that remove such files."""
    steps: List[Step] = []
    present = {entry.registry: entry for entry in state.hosts}
    wanted = desired_hosts(options)
    authorities = desired_ca_files(options)
    for path, text in sorted(authorities.items()):
        if state.ca_files.get(path) != text:
            reason = "missing" if path not in state.ca_files else "different certificate"
            steps.append(Step(COMPONENT, "write_ca", path, reason, state.ca_files.get(path, ""), text, {"text": text}))
    for name, data in wanted.items():
        there = present.get(name)
        if hidden and there and has_secret(there.data):
            continue
        reason = hosts_reason(there, data)
        if reason:
            before = render_hosts(redact_data(there.data)) if there and there.data else ""
            path, foreign = hosts_path(name), bool(there and not there.ours)
            known = {"text": render_hosts(data), "mode": hosts_mode(data), "backup": foreign}
            shown = render_hosts(redact_data(data))
            backup = backup_path(path) if foreign else ""
            steps.append(Step(COMPONENT, "write_hosts", path, reason, before, shown, known, backup=backup))
    leftovers: List[Step] = []
    for name, entry in present.items():
        if name not in wanted and entry.ours and not (hidden and has_secret(entry.data)):
            before = render_hosts(redact_data(entry.data))
            reason = "no mirror or credentials are set for it"
            leftovers.append(Step(COMPONENT, "remove_hosts", hosts_path(name), reason, before, ""))
    for path in sorted(set(state.ca_files) - set(authorities)):
        leftovers.append(Step(COMPONENT, "remove_ca", path, "no mirror uses it", state.ca_files[path], ""))
    return steps, leftovers
