# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Upgrades one node: its packages, ``kubeadm upgrade``, and its kubelet. The caller drains and uncordons the node.

The first control plane runs ``kubeadm upgrade apply``, which also upgrades the configuration and the addons of the
cluster. Every other node runs ``kubeadm upgrade node``. Both commands can be repeated, so an interrupted upgrade is
continued with the same steps.
"""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass, field, replace
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ..core import untrusted
from ..core.constants import ADMIN_KUBECONFIG, COMPONENTS, KUBELET_FLAGS, KUBELET_KUBECONFIG, MANIFESTS
from ..core.errors import KubesteadError
from ..core.poll import Clock, Sleep, poll
from ..core.problem import Problem
from ..core.removals import REMOVED_ARGUMENTS
from ..core.step import Step
from ..core.system import System
from ..core.versions import Version, parse
from ..etcd import snapshot
from ..kube import kubelet
from ..kube.api import Api
from ..kube.kubectl import Kubectl
from ..kube.nodes import Node, read_nodes
from ..packages import kube_observe, kube_plan
from ..packages.kube_state import KubePackagesOptions, KubePackagesState
from . import diagnosis, static_pods
from . import operation as operations
from . import state as kubeadm
from .culprits import Journals
from .operation import UPGRADE, Operation
from .state import KubeadmState

COMPONENT = UPGRADE

# The folder where kubeadm keeps the manifests and configurations that an upgrade replaced. kubeadm never removes them.
LEFTOVERS = "/etc/kubernetes/tmp"
_BACKUPS = "kubeadm-backup-manifests-"
# The files in which users set flags of the packaged kubelet.
EXTRA_ARGS = ("/etc/default/kubelet", "/etc/sysconfig/kubelet")
_CONFIG_MAP = ("get", "configmap", "kubelet-config", "--namespace=kube-system")
# Seconds for a control plane with complete manifests to start, and for a kubelet to become ready after its restart.
_API_STARTS, _NODE_READY = 300.0, 300.0


@dataclass(frozen=True)
class UpgradeOptions:
    """The options of a node's upgrade.

    ``version`` is an exact version. With ``first``, the configuration and the addons of the cluster are upgraded too.
    ``packages`` are the options of the kube packages. ``timeout`` is kubeadm's, in seconds. ``cgroup_v1`` allows the
    cluster's kubelets to run on cgroup v1, on which kubelets do not start by default since 1.35.
    """

    version: str
    first: bool = False
    packages: KubePackagesOptions = KubePackagesOptions()
    ignore_preflight_errors: Sequence[str] = ()
    timeout: int = 1200
    cgroup_v1: bool = False

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
    ``kubelet_config`` is the kubelet configuration in the cluster (YAML), read only if it is needed.
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

    @property
    def control_plane(self) -> bool:
        """True for a control plane."""
        return self.kubeadm.role == "control_plane"


# -- Observation


def observe(system: System, options: UpgradeOptions, fetch: Any = None) -> UpgradeState:
    """Observe the node. Raises :class:`KubesteadError` only for a version that is not exact."""
    state = kubeadm.observe(system)
    wanted = replace(options.packages, version=str(options.target))
    own = own_node(system, state)
    return UpgradeState(
        kubeadm=state,
        packages=kube_observe.observe(system, wanted.url, wanted.request, fetch, upgrading=True),
        reported=own.kubelet_version if own else "",
        ready=bool(own and own.ready),
        flags=system.read(KUBELET_FLAGS) or "",
        extra_args="".join(system.read(path) or "" for path in EXTRA_ARGS),
        backups=backups(system, state) if state.admin_conf else {},
        leftovers=[name for name in system.names(LEFTOVERS) if name.startswith("kubeadm-")],
        snapshots=["{0}/{1}".format(snapshot.FOLDER, name) for name in system.names(snapshot.FOLDER)],
        kubelet_config=read_kubelet_config(system) if options.first and options.cgroup_v1 else "",
    )


def read_kubelet_config(system: System) -> str:
    """The kubelet configuration in the cluster (YAML); empty if it can't be read."""
    result = Kubectl(system).run([*_CONFIG_MAP, "-o", "json"])
    try:
        found = untrusted.mapping(untrusted.parse_json(result.stdout)) if result.ok else {}
    except ValueError:
        found = {}
    text = untrusted.mapping(found.get("data")).get("kubelet")
    return text if isinstance(text, str) else ""


def own_node(system: System, state: KubeadmState) -> Optional[Node]:
    """This machine's Node in the API; None if it does not exist or the API does not answer."""
    kubeconfig = ADMIN_KUBECONFIG if state.admin_conf else KUBELET_KUBECONFIG
    result = Kubectl(system, kubeconfig, request_timeout=5).run(
        ["get", "node", state.node_name, "-o", "json"], timeout=20.0
    )
    try:
        found = read_nodes({"items": [untrusted.parse_json(result.stdout)]}) if result.ok else []
    except ValueError:
        found = []
    return found[0] if found else None


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
    given = [flag for flag in removed_flags(target) if re.search(_flag(flag), state.extra_args)]
    if given:
        text = "kubelet {0} does not start with --{1}, which is set in {2}".format(
            target.series, given[0], " or ".join(EXTRA_ARGS)
        )
        found.append(Problem("upgrade.kubelet_flags", text, "remove the flag from that file"))
    wanted = replace(options.packages, version=str(target))
    return found + [one for one in kube_plan.problems(state.packages, wanted) if one.level == "error"]


def removed_flags(target: Version) -> Sequence[str]:
    """The flags with which a kubelet of this version does not start."""
    return [name for row in REMOVED_ARGUMENTS["kubelet"] if row.minor <= target.minor for name in row.value]


def _flag(name: str) -> str:
    """A pattern for a flag and its value, with the space before it."""
    return r"[ \t]*--{0}(=[^\s\"']*)?(?=[\s\"']|$)".format(re.escape(name))


def without_flags(text: str, flags: Sequence[str]) -> str:
    """The text of a file with flags of the kubelet, without ``flags``."""
    for name in flags:
        text = re.sub(_flag(name), "", text)
    return re.sub(r"(=[\"']) +", r"\1", text)


def plan(state: UpgradeState, options: UpgradeOptions) -> List[Step]:
    """The steps; empty for a node that is already upgraded. Raises :class:`KubesteadError` with the first problem."""
    for problem in problems(state, options):
        raise KubesteadError(problem.line, {"check": problem.check})
    target, name = options.target, state.kubeadm.node_name
    reason = reason_to_upgrade(state, options)
    if not reason:
        return []
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
    for manifest, path in sorted(state.backups.items()):
        missing = "{0}.yaml has been missing since an interrupted upgrade".format(manifest)
        steps.append(
            Step(COMPONENT, "restore", "{0}/{1}.yaml".format(MANIFESTS, manifest), missing, data={"path": path})
        )
    steps += _snapshot(state, options)
    steps += _cgroup_v1(state)
    early, late = _packages(state, options)
    steps += early
    verb = "apply" if options.first else "node"
    steps.append(
        Step(COMPONENT, "kubeadm", "upgrade {0}".format(verb), reason, data={"options": options}, disruptive=True)
    )
    steps += _flags(state, target)
    steps += late
    steps.append(Step(COMPONENT, "restart", "kubelet.service", "kubelet {0} starts".format(target), disruptive=True))
    steps.append(Step(COMPONENT, "wait_for", "node {0}".format(name), "must be ready with kubelet {0}".format(target)))
    return [*steps, Step(COMPONENT, "end", name, "kubeadm's copies of replaced files and the marker are removed")]


def reason_to_upgrade(state: UpgradeState, options: UpgradeOptions) -> str:
    """The reason to start or continue the upgrade of the node; empty if the node is upgraded."""
    target, there = str(options.target), state.kubeadm
    begun = there.unfinished_upgrade
    if begun:
        return "the upgrade to {0} started at {1} was interrupted".format(begun.version or target, begun.began)
    versions = {"kubeadm": there.installed_version, "kubelet": str(state.packages.version or "")}
    versions["the kubelet that runs"] = state.reported
    if state.control_plane:
        versions.update({name: there.static_pods.get(name, "") for name in COMPONENTS if name != "etcd"})
    config = there.api.config
    if options.first and config:
        versions["the cluster's configuration"] = config.kubernetes_version
    for what, version in versions.items():
        if version != target:
            return "{0} {1} -> {2}".format(what, version or "unknown", target)
    return ""


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
    text = without_flags(state.flags, removed_flags(target))
    if text == state.flags:
        return []
    gone = [name for name in removed_flags(target) if re.search(_flag(name), state.flags)]
    reason = "kubelet {0} does not start with --{1}".format(target.series, ", --".join(gone))
    return [Step(COMPONENT, "write_flags", KUBELET_FLAGS, reason, before=state.flags, after=text)]


# -- Application


def apply(step: Step, system: System, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> None:
    """Carry out a step. Raises :class:`KubesteadError` with the cause in one line."""
    data = step.data
    if step.component != COMPONENT:
        kube_plan.apply(step, system)
    elif step.action == "begin":
        operations.begin(system, data["marker"])
    elif step.action == "restore":
        system.write(step.target, system.read(str(data["path"])) or "", mode=0o600)
    elif step.action == "configure":
        client, patch = Kubectl(system), json.dumps({"data": {"kubelet": data["text"]}})
        arguments = ["patch", *_CONFIG_MAP[1:], "--type=merge", "-p", patch]
        result = client.run(arguments)
        if not result.ok:
            raise client.error(arguments, result)
    elif step.action == "snapshot":
        snapshot.save(system, str(data["url"]), step.target, snapshot.stream(system))
    elif step.action == "kubeadm":
        run_kubeadm(system, data["options"], clock, sleep)
    elif step.action == "write_flags":
        # kubeadm may have written the file again, so it is read again.
        target = removed_flags_now(step)
        system.write(KUBELET_FLAGS, without_flags(system.read(KUBELET_FLAGS) or "", target), mode=0o644)
    elif step.action == "restart":
        system.run(["systemctl", "daemon-reload"], timeout=60.0, check=True)
        system.run(["systemctl", "restart", step.target], timeout=120.0, check=True)
    elif step.action == "wait_for":
        wait_for_node(system, step.reason.rpartition(" ")[2], clock, sleep)
    elif step.action == "end":
        finish(system)


def removed_flags_now(step: Step) -> List[str]:
    """The flags that a step removes from the file: they are in ``before`` but not in ``after``."""
    names = re.findall(r"--([a-z0-9-]+)", step.before)
    return [name for name in names if name not in re.findall(r"--([a-z0-9-]+)", step.after)]


def run_kubeadm(
    system: System, options: UpgradeOptions, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None
) -> None:
    """Run ``kubeadm upgrade``. On a control plane, wait before and after it until the API server is ready.

    Raises :class:`KubesteadError` with the cause.
    """
    pods = static_pods.observe(system)
    url = static_pods.api_server_url(pods.get("kube-apiserver", static_pods.StaticPod()))
    if url and not poll(lambda: Api(system, server=url).ok("/readyz"), _API_STARTS, clock=clock, sleep=sleep):
        raise KubesteadError(
            "the API server of this host ({0}) did not become ready; see 'crictl ps -a' and 'crictl logs'; the "
            "manifests from before the upgrade are below {1}".format(url, LEFTOVERS)
        )
    verb = ["apply", "v{0}".format(options.target), "--yes"] if options.first else ["node"]
    argv = ["kubeadm", UPGRADE, *verb]
    if options.ignore_preflight_errors:
        argv.append("--ignore-preflight-errors={0}".format(",".join(options.ignore_preflight_errors)))
    began = time.time()
    result = system.run(argv, timeout=float(options.timeout))
    if not result.ok:
        raise diagnosis.failure("upgrade {0}".format(verb[0]), result, system, options.timeout, began)
    # kubeadm does not wait for components whose manifests were upgraded by an earlier run.
    if url and not poll(lambda: Api(system, server=url).ok("/readyz"), _API_STARTS, clock=clock, sleep=sleep):
        raise KubesteadError("the API server of this host ({0}) did not become ready after the upgrade".format(url))


def wait_for_node(system: System, version: str, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> None:
    """Wait until this machine's Node is Ready and its kubelet reports ``version``. Raises :class:`KubesteadError`."""
    began = time.time()
    state = kubeadm.KubeadmState(
        admin_conf=system.exists(ADMIN_KUBECONFIG),
        node_name=kubelet.node_name(system, kubelet.kubelet_kubeconfig(system)),
    )
    node = poll(
        lambda: own_node(system, state),
        _NODE_READY,
        lambda one: one is not None and one.ready and one.kubelet_version == version,
        clock=clock,
        sleep=sleep,
    )
    if node is not None and node.ready and node.kubelet_version == version:
        return
    details = diagnosis.logs(Journals(system, began))
    known = "; ".join(diagnosis.diagnose(system, details)) or "see 'journalctl -u kubelet' on this host"
    shown = "its Node can't be read"
    if node is not None:
        shown = "its Node reports {0} and is {1}".format(
            node.kubelet_version or "no version", "ready" if node.ready else "not ready: " + node.not_ready_reason
        )
    raise KubesteadError(
        untrusted.line("kubelet {0} did not become ready: {1}; {2}".format(version, shown, known)), details
    )


def finish(system: System) -> None:
    """Remove kubeadm's backups of replaced files, all but the newest snapshots, and finally the marker."""
    for name in system.names(LEFTOVERS):
        if name.startswith("kubeadm-"):
            system.remove("{0}/{1}".format(LEFTOVERS, name))
    snapshot.prune(system)
    operations.end(system)


# -- Recovery of missing manifests


def repair(system: System, state: KubeadmState) -> List[Step]:
    """The steps that restore the missing manifest of a control plane after an interrupted upgrade."""
    if not state.unfinished_upgrade:
        return []
    return [
        Step(
            COMPONENT,
            "restore",
            "{0}/{1}.yaml".format(MANIFESTS, name),
            "the manifest has been missing since an interrupted upgrade",
            data={"path": path},
        )
        for name, path in sorted(backups(system, state).items())
    ]


def wait_for_api(system: System, clock: Optional[Clock] = None, sleep: Optional[Sleep] = None) -> bool:
    """Wait until this machine's own API server is ready; False if it is not ready after five minutes."""
    url = kubeadm.local_api_url(system)
    return bool(url) and bool(
        poll(lambda: Api(system, server=url).ok("/readyz"), _API_STARTS, clock=clock, sleep=sleep)
    )
