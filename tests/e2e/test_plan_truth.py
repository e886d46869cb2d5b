# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``--check --diff`` is true: it touches nothing, shows no secret, and the run that follows changes what it foretold.

A state of a cluster is made, foretold, then run; test_main_job.py does so with bare machines. The tests build on each
other, in this order; those marked thorough leave the cluster as they found it.
"""

from __future__ import annotations

import shlex

import pytest

from .conftest import Lab, eventually, nodes
from .dry_runs import has, nothing, tell
from .faults import bare_again

HOSTS = ("cp1", "w1", "w2")

# -- drift

DRIFT = {
    "containerd's configuration edited": (
        "cp1",
        "sed -i 's/SystemdCgroup = true/SystemdCgroup = false/' /etc/containerd/config.toml",
        r"^restart containerd.service \(SystemdCgroup false -> true\)",
    ),
    "swap in fstab": (
        "w1",
        "echo '//nas/share /mnt cifs noauto,user=me,password=geheim 0 0' >> /etc/fstab; "
        "echo '/swap.img none swap sw 0 0' >> /etc/fstab",
        r"^comment out /etc/fstab \(switches swap /swap.img on at boot; a copy is kept in /etc/fstab\S+\)",
    ),
    "packages not held": ("w1", "apt-mark unhold kubelet kubectl", r"^hold kubelet kubectl \(not held\)"),
    "a sysctl": ("w2", "sysctl -w net.ipv4.ip_forward=0", r"^set net.ipv4.ip_forward \(0 -> 1\)"),
    "a sysctl of another file": (
        "w2",
        "echo net.ipv4.ip_forward=0 > /etc/sysctl.d/zz-mine.conf",
        r"^comment out /etc/sysctl.d/zz-mine.conf \(is read later and sets net.ipv4.ip_forward = 0; a copy is kept in ",
    ),
    "the user's kubeconfig deleted": (
        "cp1",
        "rm -r /home/admin/.kube",
        r"^write kubeconfig /home/admin/.kube/config \(the kubeconfig does not exist\)",
    ),
    "routes lost": (
        "w2",
        "ip route flush proto 107",
        r"^add route 10\.\S+ \(missing\)",
    ),
    "kubelet not enabled": ("w1", "systemctl disable kubelet", r"^enable kubelet.service \(not enabled\)"),
    "the pod network's unit removed": (
        "cp1",
        "systemctl disable kubestead-routes; rm /etc/systemd/system/kubestead-routes.service; systemctl daemon-reload",
        r"^write /etc/systemd/system/kubestead-routes.service \(missing\)",
    ),
    "containerd not enabled": ("w2", "systemctl disable containerd", r"^enable containerd.service \(not enabled\)"),
}


def test_everything_that_can_drift_at_once(cluster_lab: Lab) -> None:
    lab = cluster_lab
    for host, command, _says in DRIFT.values():
        lab.ssh(host, command)
    (lab.inventory.parent / "kubeconfig").unlink()
    told = tell(lab, "all drift at once")
    for host, _command, says in DRIFT.values():
        has(told[host], says)
    has(told["cp1"], r"^write kubeconfig \S+/kubeconfig \(the kubeconfig does not exist\)")


def leave(lab: Lab, host: str) -> None:
    """Remove a node as the documentation of Kubernetes describes, and wait until the cluster is stable.

    Without the wait, the pods of the deleted node are replaced about a minute later, possibly during a dry run.
    """
    lab.kubectl(f"drain {host} --ignore-daemonsets --force --timeout=120s")
    lab.kubectl("-n kube-system rollout status deployment/coredns --timeout=120s")
    lab.kubectl(f"delete node {host}")
    lab.ssh(host, "kubeadm reset --force")
    lab.kubectl(f"delete pods -A --field-selector spec.nodeName={host} --force --grace-period=0")


def test_a_node_that_was_removed(cluster_lab: Lab) -> None:
    leave(cluster_lab, "w1")
    told = tell(cluster_lab, "node removed")
    has(told["w1"], r"^join as worker \(no kubelet.conf; not in the API\)")
    for host in ("cp1", "w2"):
        has(told[host], r"^add route to the pods of w1 \(w1 joins\)", r"^remove route 10\S+ \(no node has this range\)")
    nothing(cluster_lab, "complete again")


# -- each alone, and rarer states


@pytest.mark.thorough
@pytest.mark.parametrize("what", DRIFT)
def test_drift(cluster_lab: Lab, what: str) -> None:
    host, command, says = DRIFT[what]
    cluster_lab.ssh(host, command)
    told = tell(cluster_lab, what)
    has(told[host], says)
    assert [one for one in HOSTS if told[one] == ["nothing to do"]] == [one for one in HOSTS if one != host]
    nothing(cluster_lab, f"{what}, mended")


@pytest.mark.thorough
def test_the_copy_on_the_control_machine(cluster_lab: Lab) -> None:
    copy = cluster_lab.inventory.parent / "kubeconfig"
    for state, change in (
        ("copy deleted", copy.unlink),
        ("copy that others may read", lambda: copy.chmod(0o644)),
        ("copy edited", lambda: copy.write_text(copy.read_text() + "# mine\n")),
    ):
        change()
        told = tell(cluster_lab, state)
        has(told["cp1"], r"^(write|protect) kubeconfig \S+/kubeconfig ")


@pytest.mark.thorough
def test_a_node_that_was_reset_but_is_in_the_api(cluster_lab: Lab) -> None:
    cluster_lab.ssh("w1", "kubeadm reset --force")
    # A node of that name that is ready would be another machine.
    assert eventually(lambda: "NotReady" in cluster_lab.kubectl("get node w1 --no-headers"), 120)
    told = tell(cluster_lab, "node reset, not deleted")
    has(told["w1"], r"^join as worker \(no kubelet.conf; a Node with its name exists")
    assert told["cp1"] == told["w2"] == ["nothing to do"]


@pytest.mark.thorough
def test_a_machine_whose_containerd_was_removed(cluster_lab: Lab) -> None:
    """Its configuration is left, and the package takes it up again."""
    leave(cluster_lab, "w2")
    cluster_lab.ssh("w2", "DEBIAN_FRONTEND=noninteractive apt-get -q remove -y containerd")
    told = tell(cluster_lab, "containerd removed, its configuration left")
    has(told["w2"], r"^install containerd \(not installed\)")
    assert not [step for step in told["w2"] if "config.toml" in step]


@pytest.mark.thorough
def test_a_machine_whose_containerd_was_purged(cluster_lab: Lab) -> None:
    leave(cluster_lab, "w2")
    cluster_lab.ssh(
        "w2",
        "DEBIAN_FRONTEND=noninteractive apt-get -q purge -y containerd; rm -rf /etc/containerd; "
        "rm -rf /var/lib/apt/lists/*",
    )
    told = tell(cluster_lab, "containerd purged, no lists")
    has(told["w2"], r"^install containerd \(not installed\)", r"^write config /etc/containerd/config.toml ")


@pytest.mark.thorough
def test_a_containerd_that_was_made_for_another_kubeadm(cluster_lab: Lab) -> None:
    """The sandbox image is foretold of the kubeadm that is to come."""
    leave(cluster_lab, "w2")
    cluster_lab.ssh(
        "w2",
        "DEBIAN_FRONTEND=noninteractive apt-get -q purge -y --allow-change-held-packages kubeadm kubelet kubectl; "
        r"sed -i -E 's|(sandbox(_image)? = \".*pause:)[^\"]*|\13.1|' /etc/containerd/config.toml; "
        "systemctl restart containerd",
    )
    told = tell(cluster_lab, "containerd of another kubeadm")
    has(told["w2"], r"^restart containerd.service \(.*sandbox.*pause:3.1 -> \S+pause:3\.")
    nothing(cluster_lab, "containerd of another kubeadm, mended")


OTHER_VERSION = (
    "cd $(mktemp -d) && mkdir -p p/DEBIAN && "
    "printf 'Package: kubectl\\nVersion: 1.19.9-1.1\\nArchitecture: all\\nMaintainer: me\\nDescription: x\\n' "
    "> p/DEBIAN/control && dpkg-deb -b p k.deb && dpkg --force-downgrade,hold -i k.deb && apt-mark {0} kubectl"
)


@pytest.mark.thorough
@pytest.mark.parametrize("hold", ["hold", "unhold"])
def test_another_version_of_a_package(cluster_lab: Lab, hold: str) -> None:
    leave(cluster_lab, "w2")
    cluster_lab.ssh("w2", OTHER_VERSION.format(hold))
    told = tell(cluster_lab, f"another version ({hold})")
    has(told["w2"], r"^install kubectl \(1.19.9-1.1 -> ")


@pytest.mark.thorough
def test_another_version_on_a_node_is_refused_by_both(cluster_lab: Lab) -> None:
    lab = cluster_lab
    lab.ssh("w2", OTHER_VERSION.format("hold"))
    for arguments in (("--check", "--diff"), ()):
        run = lab.site(*arguments)
        assert run.code != 0 and "the node runs kubectl 1.19.9 and is a member of a cluster" in run.output
        assert not run.changed()
    leave(lab, "w2")
    tell(lab, "another version, taken out")


@pytest.mark.thorough
def test_a_node_without_its_cni_plugins(cluster_lab: Lab) -> None:
    cluster_lab.ssh("w1", "dpkg --force-depends,hold,remove-reinstreq -r kubernetes-cni")
    told = tell(cluster_lab, "kubernetes-cni removed")
    has(told["w1"], r"^install .*kubernetes-cni")


@pytest.mark.thorough
def test_machines_that_have_the_packages_alone(cluster_lab: Lab) -> None:
    lab = cluster_lab
    earlier = shlex.quote(lab.ssh("cp1", "cat /home/admin/.kube/config"))
    for host in HOSTS:
        bare_again(lab, host)
    # The login user and the control machine still have the kubeconfig of the cluster that is gone.
    lab.ssh(
        "cp1",
        f"install -d -o admin -g admin -m 700 /home/admin/.kube; printf %s {earlier} > /tmp/k; "
        "install -o admin -g admin -m 600 /tmp/k /home/admin/.kube/config; rm /tmp/k",
    )
    told = tell(lab, "packages alone, to a control plane", "--limit", "cp1")
    has(told["cp1"], r"^write kubeconfig /home/admin/.kube/config \(for an earlier cluster at ")
    told = tell(lab, "control plane alone")
    has(told["w1"], r"^join as worker")
    has(told["cp1"], r"^add route to the pods of w1", r"^add route to the pods of w2")
    nothing(lab, "half-built, completed")


@pytest.mark.thorough
def test_a_second_control_plane(tmp_path_factory: pytest.TempPathFactory) -> None:
    for lab in nodes("truth2", ["cp1", "cp2", "w1"], tmp_path_factory.mktemp("truth2")):
        told = tell(lab, "two control planes, bare")
        has(
            told["w1"],
            r"^install haproxy \(the node has 2 control planes\)",
            r"^start kubestead-api-endpoint.service \(not active\)",
            r"^write hosts /etc/hosts \(no address of the API -> 127.0.0.1\)",
        )
        has(
            told["cp2"],
            r"^join as control plane \(no kubelet.conf; not in the API\)",
            r"^write kubeconfig /home/admin/.kube/config \(the kubeconfig does not exist\)",
        )
        lab.ssh("cp2", "rm -r /home/admin/.kube")
        told = tell(lab, "two control planes, complete but for a kubeconfig")
        assert told["cp1"] == told["w1"] == ["nothing to do"]
