# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What hosts of the hostile suite answer: honest answers of every module, and lies made of them.

A lie whose name begins with ``late-`` starts after the host was observed honestly.
"""

from __future__ import annotations

import copy
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleConnectionFailure, AnsibleError

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
FORGED = "x\x1b]0;owned\x07\x1b[2J\x9b1A\r\n  cp9  nothing to do\n[WARNING]: forged\u2028\u202e"
#: Variables that no host may set. Each is also among the facts that liars return.
WANTED = {
    "cni_calico_manifest": "http://203.0.113.66/evil.yaml",
    "cni_calico_checksum": "0" * 64,
    "cni_image_registry": "evil.example.org",
    "cni_mtu": 1234,
    "join_token_ttl": "24h",
    "cluster_packages_url": "http://evil.example.org",
    "kube_packages_url": "http://evil.example.org",
    "containerd_registry_mirrors": [{"registry": "registry.k8s.io", "mirrors": ["http://evil.example.org"]}],
    "preflight_skip_checks": ["address", "machine_id"],
    "deploy_host": "w-evil",
    "ansible_host": "203.0.113.66",
    "ansible_connection": "local",
    "ansible_become": False,
}
Answer = dict[str, Any]


#: Nodes of the cluster in which all hosts are members, the control plane included.
NODES = 40


def honest(module: str, number: int, member: bool = False) -> Answer:
    """The answer of an honest host; ``number`` is 0 for the control plane and makes every other host one of its own."""
    if module == "node_info":
        return member_observation(number) if member else observation(number)
    name = "c1" if number == 0 else f"w{number}"
    known: dict[str, Answer] = {
        "node_components": {"steps": [], "seconds": {}},
        "kubeadm_join_token": {
            "endpoint": "10.213.0.40:6443",
            "token": "abcdef.0123456789abcdef",
            "token_id": "abcdef",
            "ca_cert_hashes": ["sha256:" + "0" * 64],
            "control_plane": False,
        },
        "kubeadm_join": {"changed": True, "node_name": name, "phase": "done", "steps": []},
        "calico_apply": {"images": [], "nodes_ready": 2, "seconds": 0.1, "steps": []},
        "node_drain": {
            "blockers": [
                {"node": name, "kind": "budget", "pod": "a/b", "message": "evict", "fix": "wait", "passes": True}
            ],
            "workloads": {"ReplicaSet shop/web": 2},
        },
        "cluster_health_info": {
            "ready_nodes": ["c1", "w1"],
            "api_servers": {"c1": ""},
            "etcd": [{"node": "c1", "error": "", "version": "3.6.6", "leader": True}],
            "dead": [],
            "addons": ["DaemonSet kube-system/kube-proxy"],
            "problems": [],
        },
        "cluster_member": {"members": ["c1"], "steps": []},
        "kubeadm_upgrade": {"version": "1.36.2", "steps": []},
        "node_reset": {"kept": ["/etc/kubernetes/audit-policy.yaml"], "steps": []},
        "cluster_nodes_info": {"nodes": [{"name": "c1", "ready": True}], "pod_network": [{"name": "c1"}]},
        "manifests": {"objects": [], "services": [], "summary": ["web at 192.0.2.1:80"], "seconds": 0.1, "steps": []},
    }
    return {"changed": False, **known.get(module, {})}


def observation(number: int) -> Answer:
    """What was observed of the control plane, or of a machine that has not joined."""
    return _observed("newcomer" if number else "control-plane", number)


def member_observation(number: int) -> Answer:
    """What was observed of a member of a cluster, with a newer version in its repository."""
    facts = _observed("worker" if number else "control-plane", number)
    facts["kubeadm"].update(operation=None)
    facts["containerd"]["version"] = "2.1.9"
    offers = {name: ["1.36.2-1.1", "1.36.1-1.1"] for name in ("kubeadm", "kubelet", "kubectl")}
    repository = {"url": "https://pkgs.k8s.io/", "reachable": True, "status": 200, "error": "", "offers": offers}
    facts["kube_packages"].update(member=False, repository=repository)
    servers = {"/etc/kubernetes/kubelet.conf": facts["kubeadm"]["server"]}
    facts["endpoint"] = {"servers": servers}
    if number == 0:
        servers["/etc/kubernetes/admin.conf"] = facts["kubeadm"]["server"]
        facts["endpoint"].update(
            names=["c1"],
            served=True,
            ca_key=True,
            editable=True,
            cluster_info=facts["kubeadm"]["server"],
            kube_proxy=facts["kubeadm"]["server"],
        )
        first, second = facts["kubeadm"]["api"]["nodes"]
        workers = [
            {**second, "name": f"w{at}", "addresses": [f"10.213.1.{at}"], "machine_id": f"{at:032x}", "pod_cidrs": []}
            for at in range(1, NODES)
        ]
        facts["kubeadm"]["api"]["nodes"] = [first, *workers]
    return facts


def _observed(recording: str, number: int) -> Answer:
    facts: Answer = json.loads((FIXTURES / f"preflight/{recording}.json").read_text(encoding="utf-8"))
    for key in ("options", "secrets", "problems", "asked", "answered"):
        facts.pop(key, None)
    facts["node"]["epoch"] = 0.0
    if facts["cni"]["bridge"]:
        facts["cni"]["bridge"]["conflist"] = None
    facts["reach"] = {}
    if number:
        address, name = f"10.213.1.{number}", f"w{number}"
        for one in facts["node"]["addresses"]:
            one.update(address=address, network=f"{address}/20", mac=f"02:00:00:00:01:{number:02x}")
        facts["node"].update(
            addresses=facts["node"]["addresses"][:1],
            default_address=address,
            hostname=name,
            machine_id=f"{number:032x}",
            product_uuid="",
        )
        facts["kubeadm"]["node_name"] = name
    return facts


# -- lies: (module, honest answer) -> bytes that the host prints

Lie = Callable[[str, Answer], bytes]


def _json(answer: Any) -> bytes:
    return json.dumps(answer).encode()


def _with(**more: Any) -> Lie:
    return lambda module, answer: _json({**answer, **more})


def _text(text: bytes) -> Lie:
    return lambda module, answer: text


def _lost(module: str, answer: Answer) -> bytes:
    raise AnsibleConnectionFailure(f"Failed to connect to the host via ssh: {FORGED}")


def _refused(module: str, answer: Answer) -> bytes:
    raise AnsibleError(f"Timeout (12s) waiting for privilege escalation prompt: {FORGED}")


def _slow(module: str, answer: Answer) -> bytes:
    time.sleep(0.5)
    return _json(answer)[:-1]


def wrong(value: Any, number: int) -> Any:
    """A value of another type or size."""
    choices = [
        None,
        7,
        -1,
        1e308,
        float("nan"),
        10**400,
        "",
        FORGED,
        [],
        {},
        [value],
        {"x": value},
        "9" * 5000,
        ["x"] * 300,
        True,
        "{{ 1 }}",
    ]
    return choices[number % len(choices)]


def mutated(answer: Answer, seed: int, changes: int = 3) -> Answer:
    """The answer with some of its values wrong, chosen by ``seed``."""
    rng, result = random.Random(seed), copy.deepcopy(answer)
    for _change in range(changes):
        place: Any = result
        while True:
            keys = list(range(len(place))) if isinstance(place, list) else list(place)
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.85:
                place = place[key]
                continue
            place[key] = wrong(place[key], rng.randrange(1000))
            break
    return result


def _mutated(seed: int) -> Lie:
    return lambda module, answer: _json(mutated(answer, seed))


LIES: dict[str, Lie] = {
    "silent": _text(b""),
    "garbage": _text(FORGED.encode("utf-8", "surrogatepass")),
    "list": _text(b"[1]"),
    "deep": _text(b'{"node":' * 60000),
    "bytes": _text(b"\xff\xfe\x00{\x80}"),
    "truncated": lambda module, answer: _json(answer)[: len(_json(answer)) // 2],
    "slow": _slow,
    "number": _text(b'{"changed": ' + b"9" * 6000 + b"}"),
    "surrogate": _with(msg="\ud800", warnings=["\udfff"]),
    "types": lambda module, answer: _json({key: wrong(value, len(key)) for key, value in answer.items()}),
    "huge": lambda module, answer: _json({**answer, "node": {"hostname": "x" * 3_000_000}, "steps": ["x"] * 30_000}),
    "failed": _with(failed=True, msg=FORGED, stderr=FORGED, exception=FORGED, stdout_lines=[FORGED]),
    "exception": _with(failed=True, msg="m", exception={"__ansible_type": "ErrorSummary"}),
    "late-facts": _with(ansible_facts=WANTED, **{f"ansible_{name}": value for name, value in WANTED.items()}),
    "facts": _with(ansible_facts=WANTED, **WANTED),
    "facts-list": _with(ansible_facts=[1], stdout=7, stderr={}, rc="x", warnings=7, diff=7, invocation=FORGED),
    "hosts": _with(
        add_host={"host_name": "w-evil", "groups": ["control_plane"], "host_vars": WANTED},
        add_group="control_plane",
        results=[{"failed": True}],
        ansible_stats={"data": WANTED, "per_host": False, "aggregate": False},
        include_vars=WANTED,
    ),
    "internal": _with(
        _ansible_no_log=False, _ansible_delegated_vars=WANTED, _ansible_verbose_always=True, _ansible_item_label=FORGED
    ),
    "said": _with(warnings=[FORGED], deprecations=[{"msg": FORGED, "version": "1"}], msg=FORGED),
    "shown": _with(
        diff=[{"prepared": FORGED, "before": FORGED, "after": "", "before_header": FORGED}],
        steps=[{"component": FORGED, "action": FORGED, "target": FORGED, "reason": FORGED}] * 3,
        seconds={FORGED: 1.0},
    ),
    "around": lambda module, answer: FORGED.encode("utf-8", "replace") + b"\n" + _json(answer) + b"\n  cp1  evil",
    "vault": _with(node={"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\n00"}, steps=[{"__ansible_unsafe": FORGED}]),
    "unseen": _with(msg="a\u200b\ufeff\u061cb\U000e0041", warnings=["\u2060"]),
    # Where lists and texts of a result are used.
    "kept": _with(kept=7, workloads=[1], ready_nodes=FORGED, members=8, version=[FORGED], blockers="x"),
    "paths": _with(kept=["/a\n  cp9  nothing to do", FORGED, 7, "x" * 900_000], workloads={FORGED: FORGED}),
    "blocked": _with(
        failed=True,
        blockers=[{"node": node, "message": FORGED + "x" * 3000, "fix": FORGED} for node in ("w1", FORGED, "cp9  no")]
        * 300,
    ),
    # What connections and becoming root raise, with what the host printed.
    "connection": _lost,
    "become": _refused,
    "late-lost": _with(unreachable=True, skipped=True),
    "late-other": lambda module, answer: _json(observation(5)),
    "template": _with(msg="{{ lookup('pipe', 'touch /tmp/kubestead-owned') }}", node_name="{{ 7 * 7 }}"),
    **{f"mutated-{seed}": _mutated(seed) for seed in (1, 2, 3, 5)},
}
LATE = (
    "silent",
    "garbage",
    "truncated",
    "failed",
    "said",
    "shown",
    "connection",
    "become",
    "kept",
    "paths",
    "blocked",
    "types",
)
LIES.update({f"late-{name}": LIES[name] for name in LATE})
#: Those that are no answer, but an error of the connection.
ERRORS = [name for name in LIES if name.endswith(("connection", "become"))]


def _taken(module: str, answer: Answer) -> bytes:
    if module == "node_info":
        answer["ports"]["listening"] = [10250]
    return _json(answer)


#: Lies that can't be told from the truth: they stop a run, as an honest host would.
PLAUSIBLE: dict[str, Lie] = {"taken": _taken}


def _claim(**more: Any) -> Lie:
    """Facts of a member that are not true, by their paths; ``__`` stands for a dot."""

    def told(module: str, answer: Answer) -> bytes:
        for path, value in more.items() if module == "node_info" else ():
            place: Any = answer
            *way, last = path.split("__")
            for key in way:
                place = place[key]
            place[last] = copy.deepcopy(value)
        return _json(answer)

    return told


def _controls(module: str, answer: Answer) -> bytes:
    if module == "node_info":
        truth, own = member_observation(0), answer["kubeadm"]
        # A control plane by its own account, with a cluster of its own in which the others are gone.
        answer["kubeadm"] = {**truth["kubeadm"], "node_name": own["node_name"], "installed_version": "1.36.1"}
        answer["kubeadm"]["api"]["nodes"] = answer["kubeadm"]["api"]["nodes"][:1]
        answer["kubeadm"]["api"]["server_version"] = "1.36.1"
        answer["kubeadm"]["static_pods"] = {"etcd": "3.6.6-0", "kube-apiserver": "1.36.1"}
    return _json(answer)


_MARKER = {"kind": "upgrade", "began": FORGED, "control_plane": True, "version": "1.36.1", "first": True}
_OLD = {
    name: {
        "name": name,
        "version": "1.36.1-1.1",
        "complete": True,
        "held": True,
        "architecture": "amd64",
        "depends": "",
    }
    for name in ("kubelet", "kubeadm", "kubectl")
}
#: What a worker that is a member claims. Nobody can tell some of it from the truth, but it is about that host alone.
CLAIMS: dict[str, Lie] = {
    "claim-controls": _controls,
    "claim-worker": _claim(kubeadm__node_name="w1"),
    "claim-first": _claim(kubeadm__node_name="c1"),
    "claim-first-elsewhere": _claim(kubeadm__node_name="c1", kubeadm__ca_cert_hash="sha256:" + "b" * 64),
    "claim-newer": _claim(kubeadm__installed_version="1.36.99"),
    "claim-older": _claim(
        kubeadm__installed_version="1.36.1",
        kube_packages__installed=_OLD,
        kubeadm__static_pods={"kube-apiserver": "1.36.1", "etcd": "9" * 5000 + ".1.1"},
    ),
    "claim-interrupted": _claim(kubeadm__operation=_MARKER),
    "claim-unknown": _claim(kubeadm__operation={"kind": FORGED}),
    "claim-member": _claim(
        kubeadm__node_name="w1",
        kubeadm__etcd={"healthy": True, "reason": "", "url": "https://10.213.0.40:2379"},
    ),
    "claim-nodes": _claim(
        kubeadm__api={
            **{"live": True, "reason": "", "server_version": "1.36.1", "config": None},
            "nodes": [{"name": "w1", "addresses": ["10.213.1.1"], "unschedulable": True, "cordoned_by": FORGED}],
        }
    ),
}


def answer(lie: str, module: str, number: int, member: bool = False) -> bytes:
    """What a host prints when a module runs on it."""
    truth = honest(module, number, member)
    if not lie or (lie.startswith("late-") and module == "node_info"):
        return _json(truth)
    return {**LIES, **PLAUSIBLE, **CLAIMS}[lie](module, truth)
