# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""reset.yml and remove.yml on nodes: the state of a machine afterwards is compared with its state before the first run.

The tests build on each other, in this order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from .conftest import FOOTPRINT, Lab, eventually, nodes
from .faults import MODULE_KILLED, arm, disarm, struck, summary

RESET, REMOVE = "playbooks/reset.yml", "playbooks/remove.yml"

#: One line for each possible trace of a cluster: files with their contents, mounts, links, routes, rules, units,
#: listeners and packages. Caches and logs of the package manager, and files that each login changes, are left out.
SNAPSHOT = (
    "find /etc /opt /root /home /srv /usr/local /usr/libexec /var/lib /var/log /run "
    "/var/lib/kubelet /var/lib/etcd /var/lib/containerd -xdev "
    r"\( -path /var/lib/apt -o -path /var/lib/dpkg -o -path /var/log/apt -o -path /var/log/journal "
    "-o -path /run/log -o -path /run/user -o -path /run/systemd -o -path /run/udev -o -path /run/sudo "
    "-o -path '/home/*/.ansible' -o -path /var/lib/systemd -o -path /var/lib/ucf -o -path /run/lock "
    r"-o -name 'dpkg.log*' -o -name 'alternatives.log*' -o -name lastlog -o -name wtmp -o -name ld.so.cache "
    # The cache of the kubectl that the tests call.
    r"-o -path /root/.kube \) -prune "
    r"-o \( -type f -o -type l -o -type d \) -printf 'file %p %y %m\n' 2>/dev/null | sort -u; "
    "find /etc -xdev -type f ! -name ld.so.cache -print0 | sort -z | xargs -0 sha256sum | sed 's/^/content /'; "
    "awk '{print \"mount\", $2, $3}' /proc/mounts | sort; "
    "ip -o link | awk -F': ' '{print \"link\", $2}' | sed 's/@.*//' | sort; "
    "for f in -4 -6; do ip $f route show table all | grep -v 'table local' | sed 's/^/route /'; done | sort; "
    "for p in iptables-nft-save ip6tables-nft-save iptables-legacy-save ip6tables-legacy-save; do "
    "$p 2>/dev/null | grep -v '^#' | sed -E \"s/[[][0-9]+:[0-9]+]//; s/^/$p /\"; done; "
    "nft list tables | sed 's/^/nft /'; "
    "systemctl list-unit-files --no-legend --no-pager | grep -v -E 'transient|generated' "
    "| awk '{print \"unit\", $1, $2}'; "
    "systemctl list-units --all --no-legend --no-pager --plain 'kube*' 'containerd*' | awk '{print \"loaded\", $1}'; "
    "ss -Hltun | awk '{print \"listener\", $1, $5}' | sort; "
    "dpkg-query -W -f 'package ${Package} ${db:Status-Abbrev}\\n' | grep -v ' un '; "
    "apt-mark showhold | sed 's/^/hold /'"
)
#: The lock files of runs and of iptables, and files that services of the machine write. containerd sets the mode of the
#: folder that the lab mounts for it.
EXCEPTED = (
    "file /run/kubestead.lock f 600",
    "file /run/kubestead.lock.bridge f 600",
    "file /run/xtables.lock f 644",
    "file /var/lib/logrotate/status f 640",
    "file /var/lib/containerd d 700",
    "file /var/lib/containerd d 755",
)


def snapshot(lab: Lab, host: str) -> set[str]:
    """The machine as a set of lines."""
    lines = set(lab.ssh(host, SNAPSHOT).splitlines())
    assert len(lines) > 200, lines
    return lines


def differences(before: set[str], after: set[str]) -> list[str]:
    """The added and the removed lines."""
    before, after = before - set(EXCEPTED), after - set(EXCEPTED)
    return sorted(f"+ {line}" for line in after - before) + sorted(f"- {line}" for line in before - after)


#: Traces that must not exist on a machine after its reset, even if the preparation stays.
TRACES = (
    "ls -d /etc/kubernetes/* /var/lib/kubelet/* /var/lib/etcd/* /etc/cni/net.d/* /var/lib/cni /var/lib/calico "
    "/var/log/pods /var/log/containers /var/lib/kubestead /home/*/.kube /root/.kube "
    "/etc/systemd/system/kubestead-routes* /etc/systemd/system/kubestead-api-* /etc/kubestead 2>/dev/null "
    "| grep -v ^/etc/kubernetes/manifests$; ls -A /etc/kubernetes/manifests 2>/dev/null; "
    "grep -E ' /var/lib/kubelet/| /run/netns/cni-' /proc/mounts; ip -o link | grep -E 'cni0|veth|cali|vxlan'; "
    "grep -s kubestead /etc/hosts; ip route show proto 107; iptables-save 2>/dev/null | grep -E 'KUBE|kubestead|CNI'; "
    "ctr -n k8s.io containers list -q 2>/dev/null; systemctl is-active kubelet | grep -x active; "
    "ps -eo comm= | grep -E '^(kube|etcd|containerd-shim)'; ls /run/netns 2>/dev/null; "
    "systemctl list-units --no-legend 'kubepods*'"
)


def traces(lab: Lab, host: str) -> list[str]:
    """The remaining traces of a cluster."""
    return lab.ssh(host, TRACES, check=False).splitlines()


def node_names(lab: Lab) -> set[str]:
    return {one["metadata"]["name"] for one in json.loads(lab.kubectl("get nodes -o json"))["items"]}


def ready(lab: Lab, name: str) -> bool:
    return "True" in lab.kubectl(
        f"get node {name} -o jsonpath='{{.status.conditions[?(@.type==\"Ready\")].status}}'", check=False
    )


@pytest.fixture(scope="module")
def bare() -> dict[str, set[str]]:
    """Snapshots of the machines before the first run."""
    return {}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory, bare: dict[str, set[str]]) -> Iterator[Lab]:
    """A cluster of two nodes."""
    for lab in nodes("reset", ["cp1", "w1"], tmp_path_factory.mktemp("reset")):
        bare.update({host: snapshot(lab, host) for host in ("cp1", "w1")})
        run = lab.site()
        assert run.code == 0, run.output
        yield lab


def test_a_reset_is_refused_without_an_answer_and_where_it_would_end_the_cluster(small: Lab) -> None:
    before = small.ssh("w1", FOOTPRINT)
    run = small.playbook(RESET, "--limit", "w1")
    assert run.code != 0 and "the reset was not confirmed" in run.output and not run.changed()
    run = small.playbook(RESET, "--limit", "cp1", "-e", "reset_confirmed=true")
    assert run.code != 0 and "no control plane with a healthy API server would be left" in run.output
    assert not run.changed() and small.ssh("w1", FOOTPRINT) == before


def test_a_dry_run_says_what_the_run_does_and_a_worker_is_bare_and_joins_again(small: Lab) -> None:
    before = small.ssh("w1", FOOTPRINT)
    dry = small.playbook(RESET, "--limit", "w1", "--check", "--diff")
    assert dry.code == 0, dry.output
    assert small.ssh("w1", FOOTPRINT) == before and "w1" in node_names(small)
    run = small.playbook(RESET, "--limit", "w1", "-e", "reset_confirmed=true")
    assert run.code == 0, run.output
    assert run.changed() == dry.changed() and summary(run.output, "w1") == summary(dry.output, "w1")
    assert traces(small, "w1") == [] and node_names(small) == {"cp1"}
    again = small.playbook(RESET, "--limit", "w1", "-e", "reset_confirmed=true")
    assert again.code == 0 and not again.changed(), again.output
    run = small.site()
    assert run.code == 0, run.output
    assert eventually(lambda: ready(small, "w1"))


# In a container, the kubelet of 1.20 may never report the end of evicted pods, and the drain reaches its time limit.
@pytest.mark.thorough
def test_a_run_that_was_killed_is_finished_by_the_same_command_and_a_join_waits_for_it(small: Lab) -> None:
    arm(small, "w1", "reset", r"\[reset\]", MODULE_KILLED)
    run = small.playbook(REMOVE, "-e", "remove_hosts=w1")
    assert run.code != 0 and struck(small, "w1"), run.output
    disarm(small, "w1")
    run = small.site()
    assert run.code != 0 and "w1: the reset of this host that began at" in run.output
    run = small.playbook(REMOVE, "-e", "remove_hosts=w1")
    assert run.code == 0, run.output
    assert traces(small, "w1") == [] and node_names(small) == {"cp1"}


def test_everything_that_was_installed_is_taken_back(small: Lab, bare: dict[str, set[str]]) -> None:
    run = small.playbook(RESET, "-e", "reset_confirmed=true", "-e", "reset_preparation=true")
    assert run.code == 0, run.output
    for host in ("w1", "cp1"):
        assert differences(bare[host], snapshot(small, host)) == []
