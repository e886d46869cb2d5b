# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The gates between two nodes: what must be well before the next one is changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Dict, List, Optional

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd import client
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd import cluster as etcd
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import pods
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.api import kubeconfig_server
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import NODES, Kubectl
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import Node
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import addons, gates, mirror_pods
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.gates import Health, Wanted
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.mirror_pods import MirrorPod
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, Machine, fixture

IDS = {"1": "cp1", "2": "cp2", "3": "cp3"}


def views(**changes: Any) -> List[etcd.View]:
    """Three members that agree; ``cp2={…}`` changes what one of them says."""
    found = [etcd.View(name, members=dict(IDS), leader="1", identity=one) for one, name in IDS.items()]
    return [replace(view, **changes.get(view.node, {})) for view in found]


def health(**changes: Any) -> Health:
    nodes = [Node(name, ready=True, kubelet_version="1.35.0") for name in ("cp1", "cp2", "cp3", "w1")]
    return replace(Health(nodes, {"cp1": "", "cp2": "", "cp3": ""}, views()), **changes)


ALL = Wanted(nodes=["cp1", "cp2", "cp3", "w1"])


def test_a_cluster_that_is_well_opens_the_gates() -> None:
    assert gates.problems(health(), replace(ALL, stopping="cp1", versions={"w1": "1.35.0"})) == []


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"cp2": {"error": "refused"}}, "the etcd member of cp2 does not answer: refused"),
        ({"cp2": {"members": {"1": "cp1", "2": "cp2"}}}, "do not report the same list of members"),
        ({"cp3": {"leader": "2"}}, "the members of etcd do not agree on a leader"),
        ({"cp3": {"leader": ""}}, "the members of etcd do not agree on a leader"),
        ({"cp1": {"learners": ["3"]}}, "etcd member cp3 is still a learner"),
        ({"cp2": {"alarms": ["NOSPACE"]}}, "etcd reports the alarm NOSPACE"),
        ({name: {"members": {**IDS, "4": ""}} for name in IDS.values()}, "has a member that has not started (ID 4)"),
    ],
)
def test_etcd_must_be_at_rest(said: Dict[str, Any], told: str) -> None:
    found = gates.problems(health(views=views(**said)), ALL)
    assert len(found) == 1 and told in found[0]


def test_the_majority_is_counted_each_time() -> None:
    two = views(cp2={"error": "refused"})
    stop = replace(ALL, dead=["cp2"], stopping="cp3")
    assert gates.problems(health(views=two, api_servers={"cp1": "", "cp2": "refused"}), stop) == [
        "etcd would lose its majority without the member of cp3: 2 of 3 members answer"
    ]
    assert gates.problems(health(views=two), replace(stop, stopping="w1")) == []


def test_members_without_a_pod_count_for_the_majority() -> None:
    """The pod of cp3 was deleted with its Node, or its kubelet is gone for long. Its member is still in the list."""
    stop = replace(ALL, stopping="cp1")
    assert gates.problems(health(views=views()[:2]), stop) == [
        "etcd would lose its majority without the member of cp1: 2 of 3 members answer"
    ]
    five = {**IDS, "4": "cp4", "5": "cp5"}
    four = [*views(**{name: {"members": five} for name in IDS.values()}), etcd.View("cp4", "", "4", "", five, [], "1")]
    assert gates.problems(health(views=four), stop) == []
    assert len(gates.problems(health(views=four[:3]), stop)) == 1


def test_learners_do_not_vote() -> None:
    learner = {"learners": ["3"]}
    found = gates.problems(health(views=views(cp1=learner, cp2=learner, cp3=learner)), replace(ALL, stopping="cp1"))
    assert found == ["etcd member cp3 is still a learner"]


def test_a_member_that_is_down_can_stop() -> None:
    """An upgrade was killed while its node replaced etcd. The same node must be changed to bring it back."""
    two = views(cp2={"error": "refused", "members": {}, "identity": "", "leader": ""})
    assert gates.problems(health(views=two), replace(ALL, dead=["cp2"], stopping="cp2")) == []


def test_one_and_two_members_have_none_to_spare() -> None:
    for known in ({"1": "cp1"}, {"1": "cp1", "2": "cp2"}):
        few = [replace(view, members=known) for view in views()[: len(known)]]
        assert gates.problems(health(views=few), replace(ALL, stopping="cp1")) == []


def test_a_control_plane_that_was_dead_before_is_not_waited_for() -> None:
    now = health(api_servers={"cp1": "", "cp2": "connection refused"})
    assert gates.problems(now, ALL) == ["the API server of cp2 is not ready: connection refused"]
    assert gates.problems(now, replace(ALL, dead=["cp2"])) == []


def test_nodes_that_were_ready_must_be_ready_again() -> None:
    nodes = [Node("cp1", ready=True), Node("w1", not_ready_reason="container runtime is down")]
    found = gates.problems(health(nodes=nodes), Wanted(nodes=["cp1", "w1", "w2"]))
    assert found == ["node w1 is not ready: container runtime is down", "node w2 is no longer in the cluster"]


def test_a_kubelet_must_report_its_new_version() -> None:
    found = gates.problems(health(), Wanted(versions={"w1": "1.36.0"}))
    assert found == ["the kubelet of w1 reports version 1.35.0, not 1.36.0"]


def test_workloads_must_have_as_many_pods_again_as_they_are_to_have_now() -> None:
    wanted = Wanted(workloads={"ReplicaSet shop/web-1": 2, "StatefulSet shop/db": 1, "ReplicaSet shop/old": 3})
    now = health(
        ready={"ReplicaSet shop/web-1": 1, "StatefulSet shop/db": 1},
        replicas={"ReplicaSet shop/web-1": 2, "StatefulSet shop/db": 1, "ReplicaSet shop/old": 0},
    )
    assert gates.problems(now, wanted) == ["ReplicaSet shop/web-1 has 1 of 2 pods ready"]


PROXY = "DaemonSet kube-system/kube-proxy"
DNS = {
    "metadata": {"name": "coredns", "generation": 1},
    "spec": {"replicas": 2},
    "status": {"observedGeneration": 1, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
}


def daemon_set(wanted: int, available: int, **status: Any) -> Dict[str, Any]:
    """kube-proxy in a list, whose objects do not have their kind."""
    counts = {"desiredNumberScheduled": wanted, "updatedNumberScheduled": wanted, "numberAvailable": available}
    metadata = {"name": "kube-proxy", "generation": 2}
    return {"metadata": metadata, "spec": {}, "status": {"observedGeneration": 2, **counts, **status}}


@pytest.mark.parametrize(
    ("found", "not_ready", "reason"),
    [
        (daemon_set(5, 5), 0, ""),
        (daemon_set(5, 4), 0, "4 of 5 pods are available"),
        (daemon_set(5, 4), 1, ""),
        (daemon_set(5, 5, updatedNumberScheduled=3), 0, "3 of 5 pods are updated"),
        # With the pod of a node that is down, the controller replaces no other one.
        (daemon_set(5, 4, updatedNumberScheduled=1), 1, ""),
        (daemon_set(5, 3, updatedNumberScheduled=1), 1, "3 of 4 pods are available"),
        (daemon_set(5, 4, observedGeneration=1), 1, "the controller has not processed the change yet"),
        (daemon_set(5, 5, observedGeneration=1), 0, "the controller has not processed the change yet"),
    ],
)
def test_the_rollout_of_kube_proxy(found: Dict[str, Any], not_ready: int, reason: str) -> None:
    assert addons.rollouts({"items": [found]}, {}, not_ready) == {PROXY: reason}


def test_old_pods_on_living_nodes_are_named_with_the_node_that_keeps_them_old() -> None:
    def named(found: Dict[str, Any], *not_ready: str) -> Dict[str, str]:
        assert addons.rollouts({"items": [found]}, {}, len(not_ready)) == {PROXY: ""}
        return addons.outdated({"items": [found]}, not_ready)

    assert named(daemon_set(5, 4, updatedNumberScheduled=1), "w2") == {
        PROXY: "1 of 4 pods are updated; a node that is not ready stops the rollout, so start or remove w2"
    }
    assert named(daemon_set(5, 4, updatedNumberScheduled=4), "w2") == named(daemon_set(5, 5)) == {}
    # Its pods on ready nodes are not available: the rollout does not count as complete, and is waited for.
    assert addons.outdated({"items": [daemon_set(5, 3, updatedNumberScheduled=1)]}, ["w2"]) == {}


@pytest.mark.parametrize("junk", [[], "x", {"items": "x"}, {"items": [1, {}, {"metadata": {"name": 3}}]}])
def test_lists_of_any_shape_are_read(junk: Any) -> None:
    assert addons.rollouts(junk if isinstance(junk, dict) else {"items": junk}, {}, 0) == {}


def test_no_node_is_changed_while_an_addon_that_was_complete_rolls_out() -> None:
    rolling = health(addons={PROXY: "3 of 5 pods are updated"})
    assert gates.problems(rolling, replace(ALL, addons=[PROXY])) == [
        "the rollout of DaemonSet kube-system/kube-proxy is not complete: 3 of 5 pods are updated"
    ]
    # It was not complete when the run began, or it was deleted.
    assert gates.problems(rolling, ALL) == gates.problems(health(), replace(ALL, addons=[PROXY])) == []


def test_a_rollout_that_makes_progress_is_waited_for() -> None:
    clock = Clock()

    def ask() -> Health:
        return health(addons={PROXY: f"{clock.now // 20:.0f} of 9 pods are updated" if clock.now < 180 else ""})

    assert gates.settle(ask, ALL, 60.0, **clock.injected).complete_addons == [PROXY] and 180 <= clock.now < 190


def test_a_rollout_without_progress_does_not_prevent_a_change() -> None:
    clock, rolling = Clock(), health(addons={PROXY: "3 of 5 pods are updated"})
    assert gates.settle(lambda: rolling, ALL, 60.0, **clock.injected) == rolling and 30 <= clock.now < 40


def test_a_cluster_without_rollouts_is_queried_once() -> None:
    answers = [health(addons={PROXY: ""})]
    assert gates.settle(answers.pop, ALL, 60.0, **Clock().injected).complete_addons == [PROXY]


def test_later_gates_never_compare_with_a_moment_in_which_the_api_did_not_answer() -> None:
    rolling, silent = health(addons={PROXY: "3 of 5 pods are updated"}), Health(error="does not answer")
    answers = [rolling, silent, health(nodes=[Node("cp1")], addons={PROXY: ""}), health(addons={PROXY: ""})]
    found = gates.settle(lambda: answers.pop(0), ALL, 60.0, **Clock().injected)
    assert found.ready_nodes == ["cp1", "cp2", "cp3", "w1"] and found.complete_addons == [PROXY]
    # Also at the end of the wait.
    clock = Clock()
    found = gates.settle(lambda: silent if 1 <= clock.now < 40 else rolling, ALL, 60.0, **clock.injected)
    assert found == rolling
    clock = Clock()
    with pytest.raises(KubesteadError, match="not healthy after 60 s: does not answer"):
        gates.settle(lambda: silent if clock.now >= 1 else rolling, ALL, 60.0, **clock.injected)


def test_the_wait_ends_with_what_keeps_the_gates_shut() -> None:
    answers = [Health(error="does not answer"), health(api_servers={"cp1": "starting"}), health()]
    clock = Clock()
    assert gates.wait(lambda: answers.pop(0), ALL, 60.0, **clock.injected) == health()
    assert len(clock.waits) == 2
    with pytest.raises(KubesteadError, match="not healthy after 5 s: the API server of cp1 is not ready: starting"):
        gates.wait(lambda: health(api_servers={"cp1": "starting"}), ALL, 5.0, **Clock().injected)


# -- controller managers and schedulers

MANAGER, SCHEDULER = mirror_pods.CONTROLLERS
DELAYED = "CrashLoopBackOff: back-off 5m0s restarting failed container=kube-scheduler"


def controllers(**changes: Any) -> List[MirrorPod]:
    """Those of three control planes; ``cp2={…}`` changes the scheduler of one of them."""
    found = [MirrorPod(name, part, "1.36.2") for name in IDS.values() for part in (MANAGER, SCHEDULER)]
    return [replace(pod, **changes.get(pod.node, {})) if pod.component == SCHEDULER else pod for pod in found]


NEW = {"cp2": {MANAGER: "1.36.2", SCHEDULER: "1.36.2"}}


def test_controller_managers_and_schedulers_must_be_ready() -> None:
    assert gates.problems(health(controllers=controllers()), replace(ALL, static_pods=NEW)) == []
    now = health(controllers=controllers(cp2={"reason": DELAYED}))
    assert gates.problems(now, ALL) == [f"the kube-scheduler of cp2 is not ready: {DELAYED}"]
    assert gates.problems(now, replace(ALL, static_pods=NEW, dead=["cp2"])) == []


def test_controller_managers_and_schedulers_must_run_the_version_of_the_upgrade() -> None:
    """The kubelet has not read the new manifest yet, or has deleted the old pod and not created the new one."""
    wanted = replace(ALL, static_pods=NEW)
    old = health(controllers=controllers(cp1={"version": "1.35.0"}, cp2={"version": "1.35.0"}))
    assert gates.problems(old, wanted) == ["the kube-scheduler of cp2 runs 1.35.0, not 1.36.2"]
    gone = health(controllers=[pod for pod in controllers() if (pod.node, pod.component) != ("cp2", MANAGER)])
    assert gates.problems(gone, wanted) == ["the kube-controller-manager of cp2 does not have a pod in the API"]
    assert gates.problems(gone, replace(wanted, dead=["cp2"])) == []


def test_a_control_plane_without_a_manifest_is_not_waited_for() -> None:
    assert gates.problems(health(controllers=[]), ALL) == []


@pytest.mark.parametrize(("timeout", "limit"), [(5.0, 330.0), (330.0, 330.0), (600.0, 600.0)])
def test_a_component_that_the_kubelet_delays_is_waited_for(timeout: float, limit: float) -> None:
    """The kubelet starts a container that exited several times after up to five minutes."""
    late = health(controllers=controllers(cp2={"reason": DELAYED}))
    clock = Clock()
    with pytest.raises(
        KubesteadError, match=f"not healthy after {limit:.0f} s: the kube-scheduler of cp2 is not ready"
    ):
        gates.wait(lambda: late, ALL, timeout, **clock.injected)
    assert limit - 5 <= sum(clock.waits) <= limit + 5
    clock = Clock()
    well = gates.wait(lambda: late if sum(clock.waits) < 305 else health(), ALL, max(timeout, 330.0), **clock.injected)
    assert well == health()


def test_other_conditions_have_the_time_that_was_given() -> None:
    clock = Clock()
    both = health(controllers=controllers(cp2={"reason": DELAYED}), api_servers={"cp1": "starting"})
    with pytest.raises(KubesteadError, match="after 5 s: the API server of cp1 is not ready: starting; the kube-sch"):
        gates.wait(lambda: both, ALL, 5.0, **clock.injected)
    assert sum(clock.waits) <= 10


def test_members_that_a_later_step_completes_are_not_judged() -> None:
    """site.yml joins the control plane of an interrupted join again after other members were changed."""
    now = health(views=views(cp1={"learners": ["3"]}, cp2={"error": "refused"}))
    assert gates.problems(now, ALL) and gates.problems(now, replace(ALL, etcd=False)) == []


# -- observation, with what real control planes answered

PODS = json.loads(fixture("etcd/pods.json"))
for recorded in PODS["items"]:
    # Recorded without its spec.
    recorded["spec"] = {"nodeName": recorded["metadata"]["name"].replace("etcd-", "")}
URL = {pod["spec"]["nodeName"]: pod["metadata"]["annotations"][client.CLIENT_URLS] for pod in PODS["items"]}


def forged(annotation: str, value: str) -> Dict[str, Any]:
    """A pod that the kubelet of a worker made to look like one of a control plane."""
    component = "etcd" if annotation == client.CLIENT_URLS else "kube-apiserver"
    return {
        "metadata": {"labels": {"component": component}, "annotations": {annotation: value}},
        "spec": {"nodeName": "w1"},
    }


def static_pod(component: str, node: str, version: str, **changes: Any) -> Dict[str, Any]:
    """A mirror pod as the API of 1.35 shows it."""
    pod: Dict[str, Any] = {
        "metadata": {
            "name": f"{component}-{node}",
            "labels": {"component": component, "tier": "control-plane"},
            "annotations": {"kubernetes.io/config.mirror": "1", "kubernetes.io/config.source": "file"},
        },
        "spec": {
            "nodeName": node,
            "containers": [{"name": component, "image": f"registry.k8s.io/{component}:v{version}"}],
        },
        "status": {
            "phase": "Running",
            "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
            "containerStatuses": [{"name": component, "ready": True, "state": {"running": {}}}],
        },
    }
    for part, values in changes.items():
        pod[part].update(values)
    return pod


BACK_OFF = {
    "conditions": [
        {
            "type": "Ready",
            "status": "False",
            "reason": "ContainersNotReady",
            "message": "containers with unready status: [kube-scheduler]",
        }
    ],
    "containerStatuses": [
        {
            "name": "kube-scheduler",
            "ready": False,
            "state": {
                "waiting": {
                    "reason": "CrashLoopBackOff",
                    "message": "back-off 5m0s restarting failed container=kube-scheduler pod=kube-scheduler-cp2",
                }
            },
        }
    ],
}
OBSERVED = [
    static_pod(MANAGER, "cp1", "1.35.0"),
    static_pod(SCHEDULER, "cp1", "1.35.0"),
    static_pod(SCHEDULER, "cp2", "1.34.1", status=BACK_OFF),
    # The pods of a worker's kubelet, and of a Deployment.
    static_pod(SCHEDULER, "w1", "1.35.0", status=BACK_OFF),
    static_pod(MANAGER, "cp2", "1.35.0", metadata={"annotations": {}}, status={"conditions": []}),
]


@pytest.fixture
def control_plane(machine: Machine) -> Machine:
    machine.put(ADMIN_KUBECONFIG, "server: https://10.213.3.1:6443\n")
    servers = [
        {
            "metadata": {
                "labels": {"component": "kube-apiserver"},
                "annotations": {gates.ENDPOINT: f"10.213.3.{at}:6443"},
            },
            "spec": {"nodeName": f"cp{at}"},
        }
        for at in (1, 2)
    ]
    servers.append(forged(gates.ENDPOINT, "10.0.0.9:6443"))

    def kubectl(argv: Sequence[str], stdin: Optional[str]) -> Result:
        path = argv[-1]
        if path in (addons.DAEMON_SETS, addons.DNS):
            return Result(0, '{"items": []}')
        if path == mirror_pods.PODS:
            members = [*PODS["items"], forged(client.CLIENT_URLS, "https://10.0.0.9:2379")]
            return Result(0, json.dumps({"items": [*servers, *members, *OBSERVED]}))
        nodes = json.loads(fixture("kubeadm/v1.35/nodes.json"))
        label = {"node-role.kubernetes.io/control-plane": ""}
        known = [node["metadata"]["name"] for node in nodes["items"]]
        nodes["items"] += [{"metadata": {"name": name, "labels": label}} for name in URL if name not in known]
        return Result(0, json.dumps(nodes))

    machine.answer("kubectl", kubectl)
    return machine


def ask(url: str, path: str, question: Mapping[str, Any]) -> Dict[str, Any]:
    """A member that answers like etcd 3.4."""
    listed = json.loads(fixture("etcd/members.json"))
    if path == client.LIST:
        return dict(listed)
    if path == etcd.STATUS:
        first = listed["members"][0]["ID"]
        return {"header": {"member_id": first}, "version": "3.4.23", "leader": first}
    return {"header": {}}


def test_every_server_is_asked_at_its_own_address(control_plane: Machine) -> None:
    control_plane.serve("https://10.213.3.1:6443", "/readyz", "ok")
    found = gates.observe(control_plane, Kubectl(control_plane), request=ask)
    assert found.api_servers == {"cp1": "", "cp2": "connection refused"} and found.failed_api_servers == ["cp2"]
    assert {view.node: view.url for view in found.views} == URL
    assert [(view.version, view.alarms, bool(view.leader)) for view in found.views] == [("3.4.23", [], True)] * len(URL)
    assert found.ready_nodes == ["cp1", "w1"]
    requests = [argv[-1] for argv in control_plane.ran if argv[0] == "kubectl"]
    assert len(requests) == 4 and " " not in mirror_pods.PODS


def test_all_lists_are_read_over_one_connection(control_plane: Machine) -> None:
    control_plane.put(ADMIN_KUBECONFIG, fixture("kubeadm/v1.35/admin.conf"))
    server = kubeconfig_server(fixture("kubeadm/v1.35/admin.conf"))
    web = {"metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 2}}
    lists = {
        NODES: json.loads(fixture("kubeadm/v1.35/nodes.json")),
        mirror_pods.PODS: {"items": OBSERVED},
        addons.DAEMON_SETS: {"items": [daemon_set(2, 1)]},
        addons.DNS: {"items": [DNS]},
        pods.PODS: {"items": []},
        pods.REPLICA_SETS: {"items": [web]},
        pods.STATEFUL_SETS: {"items": [web]},
    }
    for path, answer in lists.items():
        control_plane.serve(server, path, json.dumps(answer))
    found = gates.observe(control_plane, Kubectl(control_plane), workloads=True, request=ask)
    assert found.ready_nodes == ["cp1", "w1"] and found.controllers
    assert found.replicas == {"ReplicaSet shop/web": 2, "StatefulSet shop/web": 2}
    assert found.addons == {PROXY: "1 of 2 pods are available", "Deployment kube-system/coredns": ""}
    assert found.complete_addons == ["Deployment kube-system/coredns"]
    assert control_plane.asked == [server + path for path in lists]
    assert len(control_plane.credentials) == 1 and control_plane.ran == []


def test_static_pods_of_control_planes_are_read_from_the_api(control_plane: Machine) -> None:
    found = gates.observe(control_plane, Kubectl(control_plane), request=ask).controllers
    assert found == [
        MirrorPod("cp1", MANAGER, "1.35.0"),
        MirrorPod("cp1", SCHEDULER, "1.35.0"),
        MirrorPod("cp2", SCHEDULER, "1.34.1", f"{DELAYED} pod=kube-scheduler-cp2"),
    ]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"metadata": {"deletionTimestamp": "2026-11-28T10:00:00Z"}}, "its pod is being replaced"),
        ({"status": {"conditions": []}}, "its containers have not been reported as ready"),
        (
            {"status": {"conditions": [{"type": "Ready", "status": "False", "message": "a\x1b[2Jb\nc"}]}},
            "a [2Jb c",
        ),
        ({"status": {"conditions": "x", "containerStatuses": [3, {"state": []}]}}, "its containers have not been"),
    ],
)
def test_why_a_static_pod_is_not_ready(changes: Dict[str, Any], reason: str) -> None:
    (pod,) = mirror_pods.read(SCHEDULER, {"items": [static_pod(SCHEDULER, "cp1", "1.35.0", **changes)]})
    assert pod.reason.startswith(reason)


@pytest.mark.parametrize("junk", [None, 7, [], {"items": 3}, {"items": [3, {}, {"metadata": 1, "spec": []}]}])
def test_pods_of_any_shape_are_read(junk: Any) -> None:
    assert set(mirror_pods.by_component(junk)) == {"etcd", "kube-apiserver", MANAGER, SCHEDULER}
    assert mirror_pods.read(SCHEDULER, junk) == []


def test_an_api_that_does_not_answer_is_a_reason_and_not_an_exception(control_plane: Machine) -> None:
    control_plane.answer("kubectl", Result(1, "", "The connection to the server 10.0.0.1:6443 was refused"))
    found = gates.observe(control_plane, Kubectl(control_plane), request=ask)
    assert "was refused" in found.error and gates.problems(found, ALL) == [found.error]


def test_a_member_that_says_nonsense_is_read() -> None:
    def nonsense(url: str, path: str, question: Mapping[str, Any]) -> Dict[str, Any]:
        return {"members": [3, {"ID": [], "name": 7}], "leader": {}, "alarms": "x", "header": 3, "version": 5}

    def silent(url: str, path: str, question: Mapping[str, Any]) -> Dict[str, Any]:
        raise OSError("no route to host")

    assert len(etcd.observe({"cp1": "https://10.0.0.1:2379"}, nonsense)) == 1
    assert etcd.observe({"cp1": "https://10.0.0.1:2379"}, silent)[0].error == "no route to host"
