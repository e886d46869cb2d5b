# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Upgrades one node: its packages, ``kubeadm upgrade``, and its kubelet. The caller drains and uncordons the node.

The first control plane runs ``kubeadm upgrade apply``, which also upgrades the configuration and the addons of the
cluster. Every other node runs ``kubeadm upgrade node``. Both commands can be repeated, so an interrupted upgrade is
continued with the same steps. If the new kubelet does not become ready, the old one is put back (:mod:`rollback`). If
the node gets another containerd, that comes first (:mod:`runtime_upgrade`).
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ..core import untrusted
from ..core.constants import COMPONENTS, KUBELET_FLAGS, MANIFESTS
from ..core.errors import KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.problem import Problem
from ..core.step import Step
from ..core.system import System
from ..core.versions import Version, parse
from ..etcd import snapshot
from ..kube.api import Api
from ..kube.kubectl import Kubectl
from ..kube.nodes import Node, listed
from ..packages import kube_observe, kube_plan, manager
from ..packages.kube_state import KubePackagesOptions, KubePackagesState
from . import create_job, diagnosis, kubelet_flags, kubelet_start, rollback, runtime_upgrade
from . import operation as operations
from . import state as kubeadm
from .operation import UPGRADE, Operation
from .rollback import Record
from .runtime_record import read_record
from .runtime_upgrade import RuntimeOptions, RuntimeState
from .state import KubeadmState
from .upgrade_reason import reason_to_upgrade

COMPONENT = UPGRADE

# The folder where kubeadm keeps the manifests and configurations that an upgrade replaced. kubeadm never removes them.
LEFTOVERS = "/etc/kubernetes/tmp"
_BACKUPS = "kubeadm-backup-manifests-"
# The files in which users set flags of the packaged kubelet.
EXTRA_ARGS = ("/etc/default/kubelet", "/etc/sysconfig/kubelet")
KUBELET_CONFIG = "/api/v1/namespaces/kube-system/configmaps/kubelet-config"
# Seconds for a control plane with complete manifests to start; the kubelet may delay its containers for longer.
_API_STARTS = 90.0
# Seconds for it to start once the kubelet was restarted.
_API_RESTARTS = 300.0
# Seconds after which a kubelet may delay containers for minutes: the delays double from ten seconds on.
_AGED = 240.0


@dataclass(frozen=True)
class UpgradeOptions:
    """The options of a node's upgrade.

    ``version`` is an exact version. With ``first``, the configuration and the addons of the cluster are upgraded too.
    ``packages`` are the options of the kube packages. ``timeout`` is kubeadm's, in seconds. ``cgroup_v1`` allows the
    cluster's kubelets to run on cgroup v1, on which kubelets do not start by default since 1.35. ``runtime`` is the
    containerd that the node gets before.
    """

    version: str
    first: bool = False
    packages: KubePackagesOptions = KubePackagesOptions()
    ignore_preflight_errors: Sequence[str] = ()
    timeout: int = 1200
    cgroup_v1: bool = False
    runtime: RuntimeOptions = RuntimeOptions()

    @property
    def target(self) -> Version:
        """The target version. Raises :class:`KubesteadError` if ``version`` is not exact."""
        version = parse(self.version)
        if version is None:
            raise KubesteadError("version is {0!r}, not an exact version like 1.36.2".format(self.version))
        return version


@dataclass(frozen=True)
class UpgradeState:
    """The observed state of a node.

    ``reported`` is the version of the running kubelet, from its Node in the API. ``flags`` is the text of the file with
    kubeadm's flags for the kubelet, ``extra_args`` the text of the files with the user's flags. ``backups`` maps
    missing manifests to their newest backup. ``leftovers`` are folders of earlier upgrades, ``snapshots`` are paths.
    ``kubelet_config`` is the kubelet configuration in the cluster (YAML), ``nodes`` are the Nodes of the cluster; both
    are read only if they are needed. ``record`` is the kubelet before an upgrade that has not ended, ``replaced`` are
    its files that the upgrade has replaced although this kubelet is still installed.
    """

    kubeadm: KubeadmState = KubeadmState()
    packages: KubePackagesState = KubePackagesState()
    reported: str = ""
    ready: bool = False
    flags: str = ""
    extra_args: str = ""
    backups: Dict[str, str] = field(default_factory=dict)
    leftovers: List[str] = field(default_factory=list)
    snapshots: List[str] = field(default_factory=list)
    kubelet_config: str = ""
    nodes: Sequence[Node] = ()
    record: Optional[Record] = None
    replaced: List[str] = field(default_factory=list)
    runtime: RuntimeState = RuntimeState()

    @property
    def control_plane(self) -> bool:
        """True for a control plane."""
        return self.kubeadm.role == "control_plane"


# -- Observation


def observe(system: System, options: UpgradeOptions, fetch: Any = None) -> UpgradeState:
    """Observe the node. Raises :class:`KubesteadError` only for a version that is not exact."""
    state = kubeadm.observe(system)
    wanted = replace(options.packages, version=str(options.target))
    own = kubelet_start.own_node(system, state.node_name)
    packages = kube_observe.observe(system, wanted.url, wanted.request, fetch, upgrading=True)
    record = rollback.observe(system)
    return UpgradeState(
        kubeadm=state,
        packages=packages,
        reported=own.kubelet_version if own else "",
        ready=bool(own and own.ready),
        flags=system.read(KUBELET_FLAGS) or "",
        extra_args="".join(system.read(path) or "" for path in EXTRA_ARGS),
        backups=backups(system, state) if state.admin_conf else {},
        leftovers=[name for name in system.names(LEFTOVERS) if name.startswith("kubeadm-")],
        snapshots=["{0}/{1}".format(snapshot.FOLDER, name) for name in system.names(snapshot.FOLDER)],
        kubelet_config=read_kubelet_config(system) if options.first and options.cgroup_v1 else "",
        nodes=read_all_nodes(system) if options.first else (),
        record=record,
        replaced=rollback.replaced(system, record, str(packages.version or "")),
        runtime=runtime_upgrade.observe(system, options.runtime),
    )


def read_kubelet_config(system: System) -> str:
    """The kubelet configuration in the cluster (YAML); empty if it can't be read."""
    try:
        found = Kubectl(system).read(KUBELET_CONFIG)
    except KubesteadError:
        found = {}
    text = untrusted.mapping(found.get("data")).get("kubelet")
    return text if isinstance(text, str) else ""


def read_all_nodes(system: System) -> Sequence[Node]:
    """The Nodes of the cluster; empty if they can't be read."""
    try:
        return listed(Kubectl(system))
    except KubesteadError:
        return ()


def backups(system: System, state: KubeadmState) -> Dict[str, str]:
    """Missing manifest -> path of its newest backup, after an interrupted upgrade.

    kubeadm first renames the old manifest and then the new one. If it is killed in between, the manifest is missing.
    """
    found = {}
    missing = [name for name in COMPONENTS if name not in state.manifests]
    for folder in system.names(LEFTOVERS):
        # The names end with a timestamp, so their order is chronological.
        for name in missing:
            path = "{0}/{1}/{2}.yaml".format(LEFTOVERS, folder, name)
            if folder.startswith(_BACKUPS) and system.exists(path):
                found[name] = path
    return found


# -- Planning


def problems(state: UpgradeState, options: UpgradeOptions) -> List[Problem]:
    """The problems that prevent the upgrade of this node."""
    found = operations.problems(state.kubeadm.operation)
    if found:
        return found
    there, target = state.kubeadm, options.target
    if not there.kubelet_conf or (there.operation and not there.unfinished_upgrade):
        text = "this host is not a complete node of a cluster: {0}".format(there.reason)
        return [Problem("upgrade.node", text, "run site.yml first; nothing was changed")]
    given = kubelet_flags.given(state.extra_args, kubelet_flags.removed_flags(target))
    if given:
        text = "kubelet {0} does not start with --{1}, which is set in {2}".format(
            target.series, given[0], " or ".join(EXTRA_ARGS)
        )
        found.append(Problem("upgrade.kubelet_flags", text, "remove the flag from that file"))
    wanted = replace(options.packages, version=str(target))
    return found + [one for one in kube_plan.problems(state.packages, wanted) if one.level == "error"]


def plan(state: UpgradeState, options: UpgradeOptions) -> List[Step]:
    """The steps; empty for a node that is already upgraded. Raises :class:`KubesteadError` with the first problem."""
    for problem in problems(state, options):
        raise KubesteadError(problem.line, {"check": problem.check})
    target, name = options.target, state.kubeadm.node_name
    installed = str(state.packages.version or "")
    reason = reason_to_upgrade(state.kubeadm, installed, state.reported, str(target), options.first)
    replaced = runtime_upgrade.plan(state.runtime, options.runtime, name, state.ready, str(target))
    if not reason:
        return replaced
    marker = Operation(
        UPGRADE,
        began=operations.now(),
        control_plane=state.control_plane,
        version=str(target),
        first=options.first,
    )
    begun = state.kubeadm.unfinished_upgrade
    steps = []
    if begun is None or replace(begun, began=marker.began) != marker:
        steps.append(Step(COMPONENT, "begin", name, "upgrade to {0}".format(target), data={"marker": marker}))
    # Without an upgrade of ours, a manifest is missing on purpose, and the backup is of any earlier upgrade.
    for manifest, path in sorted(state.backups.items()) if begun else ():
        missing = "{0}.yaml has been missing since an interrupted upgrade".format(manifest)
        steps.append(
            Step(COMPONENT, "restore", "{0}/{1}.yaml".format(MANIFESTS, manifest), missing, data={"path": path})
        )
    steps += _kubelet_files(state.replaced) if begun else []
    steps += rollback.plan(COMPONENT, state.packages, state.record, begun is not None, str(target))
    # The old kubelet must be ready with the new containerd before anything else is changed.
    steps += replaced
    steps += _snapshot(state, options)
    steps += _cgroup_v1(state)
    early, late = _packages(state, options)
    steps += early
    steps.append(_kubeadm(state, options, reason))
    steps += _flags(state, target)
    steps += late
    steps.append(Step(COMPONENT, "restart", "kubelet.service", "kubelet {0} starts".format(target), disruptive=True))
    steps.append(Step(COMPONENT, "wait_for", "node {0}".format(name), "must be ready with kubelet {0}".format(target)))
    return [*steps, Step(COMPONENT, "end", name, "copies of replaced files and the marker are removed")]


def _kubelet_files(replaced: Sequence[str]) -> List[Step]:
    """The step for files that belong to the new kubelet, or that are incomplete, while the old one is installed."""
    reason = "the old kubelet needs its own files until kubeadm has written complete ones"
    return [Step(COMPONENT, "restore_kubelet", ", ".join(replaced), reason)] if replaced else []


def _kubeadm(state: UpgradeState, options: UpgradeOptions, reason: str) -> Step:
    verb = "apply" if options.first else "node"
    obstacles = create_job.obstacles(state.nodes, state.kubeadm.node_name) if options.first else ""
    if obstacles:
        reason += "; kubeadm's check {0} is ignored, because no node can run its Job ({1})".format(
            create_job.CHECK, obstacles
        )
        options = replace(options, ignore_preflight_errors=[*options.ignore_preflight_errors, create_job.CHECK])
    data = {"options": options, "resumed": state.kubeadm.unfinished_upgrade is not None}
    return Step(COMPONENT, "kubeadm", "upgrade {0}".format(verb), reason, data=data, disruptive=True)


def _snapshot(state: UpgradeState, options: UpgradeOptions) -> List[Step]:
    url = state.kubeadm.etcd.url
    before = state.kubeadm.api.config.kubernetes_version if state.kubeadm.api.config else ""
    path = snapshot.path_of(before, str(options.target))
    if not options.first or not url or not state.kubeadm.etcd.healthy or path in state.snapshots:
        return []
    # After the cluster's configuration is upgraded, the data in etcd is no longer that of the old version.
    if before == str(options.target):
        return []
    return [Step(COMPONENT, "snapshot", path, "etcd is upgraded", data={"url": url})]


def _cgroup_v1(state: UpgradeState) -> List[Step]:
    """The step that allows kubelets to run on cgroup v1. kubeadm copies this setting from the cluster to the nodes."""
    text = with_cgroup_v1(state.kubelet_config)
    if text == state.kubelet_config:
        return []
    reason = "kubelets of this version do not start on cgroup v1 without failCgroupV1: false"
    return [
        Step(
            COMPONENT,
            "configure",
            "ConfigMap kube-system/kubelet-config",
            reason,
            after="failCgroupV1: false\n",
            data={"text": text},
        )
    ]


def with_cgroup_v1(text: str) -> str:
    """A kubelet configuration from kubeadm, changed to allow cgroup v1. An empty text is returned unchanged."""
    if not text or re.search(r"(?m)^failCgroupV1: false$", text):
        return text
    return re.sub(r"(?m)^failCgroupV1:.*\n?", "", text).rstrip("\n") + "\nfailCgroupV1: false\n"


def _packages(state: UpgradeState, options: UpgradeOptions) -> Tuple[List[Step], List[Step]]:
    """The steps for the package kubeadm, which is needed first, and the steps for the other packages."""
    wanted = replace(options.packages, version=str(options.target))
    steps = kube_plan.plan(state.packages, wanted, first=("kubeadm",))
    own = next((at for at, step in enumerate(steps) if step.action == "install" and step.target == "kubeadm"), -1)
    return steps[: own + 1], steps[own + 1 :]


def _flags(state: UpgradeState, target: Version) -> List[Step]:
    gone = kubelet_flags.given(state.flags, kubelet_flags.removed_flags(target))
    if not gone:
        return []
    reason = "kubelet {0} does not start with --{1}".format(target.series, ", --".join(gone))
    text = kubelet_flags.without(state.flags, gone)
    return [Step(COMPONENT, "write_flags", KUBELET_FLAGS, reason, before=state.flags, after=text, data={"flags": gone})]


# -- Application


def apply(step: Step, system: System, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> None:
    """Carry out a step. Raises :class:`KubesteadError` with the cause in one line."""
    data = step.data
    if step.component == runtime_upgrade.COMPONENT:
        runtime_upgrade.apply_or_put_back(step, system, clock, sleep)
    elif step.component != COMPONENT:
        kube_plan.apply(step, system)
    elif step.action == "begin":
        operations.begin(system, data["marker"])
    elif step.action == "restore":
        system.write(step.target, system.read(str(data["path"])) or "", mode=0o600)
    elif step.action == "restore_kubelet":
        rollback.restore_files(system)
    elif step.action == "configure":
        client, patch = Kubectl(system), json.dumps({"data": {"kubelet": data["text"]}})
        arguments = ["patch", "configmap", "kubelet-config", "--namespace=kube-system", "--type=merge", "-p", patch]
        result = client.run(arguments)
        if not result.ok:
            raise client.error(arguments, result)
    elif step.action == "snapshot":
        snapshot.save(system, str(data["url"]), step.target, snapshot.stream(system))
    elif step.action == "kubeadm":
        run_kubeadm(system, data["options"], bool(data.get("resumed")), clock, sleep)
    elif step.action == "write_flags":
        # kubeadm may have written the file again, so it is read again.
        text = kubelet_flags.without(system.read(KUBELET_FLAGS) or "", data["flags"])
        system.write(KUBELET_FLAGS, text, mode=0o644)
    elif step.action == "keep":
        rollback.keep(system, data["record"])
    elif step.action == "restart":
        kubelet_start.restart(system)
    elif step.action == "wait_for":
        kubelet_start.wait(system, step.reason.rpartition(" ")[2], clock, sleep)
    elif step.action == "end":
        finish(system)


def apply_or_roll_back(
    step: Step,
    system: System,
    options: KubePackagesOptions,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> None:
    """Apply a step. If a step that replaces the kubelet fails, the old kubelet is put back.

    Raises :class:`KubesteadError`; see :func:`rollback.put_back`.
    """
    try:
        apply(step, system, clock, sleep)
    except KubesteadError as err:
        if not _replaces_kubelet(step):
            raise
        raise rollback.put_back(system, options, err, clock, sleep) from err


def _replaces_kubelet(step: Step) -> bool:
    if step.component != COMPONENT:
        own = step.component != runtime_upgrade.COMPONENT
        return own and step.action == "install" and "kubelet" in step.target.split()
    return step.action in ("restart", "wait_for")


def run_kubeadm(
    system: System,
    options: UpgradeOptions,
    resumed: bool = False,
    clock: Optional[Clock] = None,
    sleep: Optional[Sleep] = None,
) -> None:
    """Run ``kubeadm upgrade``. On a control plane, wait before and after it until the API server is ready.

    ``resumed`` is true if an earlier upgrade of this node was interrupted.

    Raises :class:`KubesteadError` with the cause.
    """
    # kubeadm waits for the kubelet to restart the components. After an interrupted upgrade it may be stopped.
    system.run(["systemctl", "start", "kubelet.service"], timeout=120.0)
    url = kubeadm.local_api_url(system)
    if url and not wait_for_api(system, clock, sleep):
        raise KubesteadError(
            "the API server of this host ({0}) did not become ready; see 'crictl ps -a' and 'crictl logs'; the "
            "manifests from before the upgrade are below {1}".format(url, LEFTOVERS)
        )
    if url and resumed:
        # kubeadm waits five minutes for a component, and a delay can be as long.
        kubelet_start.forget_delays(system, clock, sleep)
    verb = ["apply", "v{0}".format(options.target), "--yes"] if options.first else ["node"]
    argv = ["kubeadm", UPGRADE, *verb]
    if options.ignore_preflight_errors:
        argv.append("--ignore-preflight-errors={0}".format(",".join(options.ignore_preflight_errors)))
    began = time.time()
    result = system.run(argv, timeout=float(options.timeout))
    if not result.ok:
        raise diagnosis.failure("upgrade {0}".format(verb[0]), result, system, options.timeout, began)
    # kubeadm does not wait for components whose manifests were upgraded by an earlier run.
    if url and not wait_for_api(system, clock, sleep):
        raise KubesteadError("the API server of this host ({0}) did not become ready after the upgrade".format(url))


def finish(system: System) -> None:
    """Remove kubeadm's backups of replaced files, all but the newest snapshots, the record and finally the marker."""
    for name in system.names(LEFTOVERS):
        if name.startswith("kubeadm-"):
            system.remove("{0}/{1}".format(LEFTOVERS, name))
    snapshot.prune(system)
    rollback.forget(system)
    operations.end(system)


# -- Recovery of missing manifests


def repair(system: System, state: KubeadmState) -> List[Step]:
    """The steps that bring back a control plane after an interruption: the old containerd, manifests that are missing,
    and the files of the old kubelet.
    """
    steps = runtime_upgrade.repair(read_record(system))
    if not state.unfinished_upgrade:
        return steps
    record = rollback.observe(system)
    steps += _kubelet_files(rollback.replaced(system, record, _kubelet(system))) if record else []
    reason = "the manifest has been missing since an interrupted upgrade"
    return steps + [
        Step(COMPONENT, "restore", "{0}/{1}.yaml".format(MANIFESTS, name), reason, data={"path": path})
        for name, path in sorted(backups(system, state).items())
    ]


def _kubelet(system: System) -> str:
    """The version of the installed kubelet; empty if it is unknown."""
    package = manager.installed(system, manager.manager(system), ["kubelet"]).get("kubelet")
    return str((parse(package.version) if package else None) or "")


def wait_for_api(system: System, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> bool:
    """Wait until this machine's own API server is ready. If it is not after the time that containers need to start, a
    kubelet that may delay them is restarted. False if the API server is not ready after six and a half minutes.
    """
    url = kubeadm.local_api_url(system)

    def ready(seconds: float) -> bool:
        return poll(lambda: Api(system, server=url).ok("/readyz"), seconds, clock=clock, sleep=sleep)

    if not url or ready(_API_STARTS):
        return bool(url)
    # A kubelet that started recently delays nothing for long. It may still wait for answers of the API server.
    if kubeadm.kubelet_age(system) > _AGED:
        kubelet_start.restart(system)
    return ready(_API_RESTARTS)
