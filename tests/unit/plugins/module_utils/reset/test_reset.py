# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine is made bare: what goes, in which order, what stays, and what a run that was killed finds."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint import hosts_file
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import operation as operations
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.operation import Operation
from ansible_collections.kubestead.cluster.plugins.module_utils.reset import apply, prepared
from ansible_collections.kubestead.cluster.plugins.module_utils.reset.observe import ResetOptions, ResetState, observe
from ansible_collections.kubestead.cluster.plugins.module_utils.reset.plan import plan
from ansible_collections.kubestead.cluster.plugins.module_utils.reset.prepared import Prepared
from ansible_collections.kubestead.cluster.plugins.module_utils.reset.runtime import Runtime
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

FILES = (
    "/etc/kubernetes/admin.conf",
    "/etc/kubernetes/kubelet.conf",
    "/etc/kubernetes/manifests/etcd.yaml",
    "/etc/kubernetes/pki/ca.crt",
    "/etc/kubernetes/pki/etcd/ca.key",
    "/etc/kubernetes/tmp/kubeadm-backup-etcd/db",
    "/var/lib/etcd/member/wal/0.wal",
    "/var/lib/kubestead/snapshots/before-1.34.1-to-1.35.0.db",
    "/var/lib/kubelet/config.yaml",
    "/var/lib/kubelet/pods/1/volumes/data",
    "/var/log/pods/kube-system_etcd/0.log",
    "/etc/cni/net.d/10-kubestead.conflist",
    "/var/lib/cni/networks/kubestead/10.244.1.2",
    "/var/lib/cni/results/kubestead-abc-eth0",
    "/etc/systemd/system/kubestead-routes.service",
)
OTHERS = (
    "/etc/kubernetes/audit-policy.yaml",
    "/etc/cni/net.d/87-podman-bridge.conflist",
    "/var/lib/cni/networks/podman/10.88.0.2",
    "/etc/systemd/system/shop.service",
)
VOLUME = "/var/lib/kubelet/pods/1/volumes/nfs"


class Node(Machine):
    """A node of a cluster that does what it is told, as far as a reset tells it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.kubelet, self.containers = True, ["etcd-1", "pause-1"]
        self.mounts = [VOLUME]
        self.links = ["lo", "eth0", "cni0", "veth1a2b3c4d"]
        self.rules = fixture("reset/iptables-nft-save.txt")
        self.killed_at = ""
        for path in (*FILES, *OTHERS):
            self.put(path, "text")
        self._write_mounts()
        self._run = self._do

    def _write_mounts(self) -> None:
        lines = ["overlay / overlay rw 0 0", *(f"nas:/data {place} nfs rw 0 0" for place in self.mounts)]
        self.put("/proc/self/mounts", "\n".join(lines) + "\n")

    def _do(self, argv: Sequence[str], stdin: str | None, timeout: float, env: Any) -> Result:
        self.ran.append(list(argv))
        words = " ".join(argv)
        if self.killed_at and words.startswith(self.killed_at):
            raise KeyboardInterrupt
        if words == "systemctl is-active kubelet":
            return Result(0, "active\n" if self.kubelet else "inactive\n")
        if words.startswith("systemctl show containerd"):
            return Result(0, "LoadState=loaded\nActiveState=active\n")
        if words == "systemctl stop kubelet.service":
            self.kubelet = False
        elif words == "ctr --namespace k8s.io containers list --quiet":
            return Result(0, "".join(f"{name}\n" for name in self.containers))
        elif words.startswith("kubeadm reset phase cleanup-node"):
            assert not self.kubelet and not self.mounts and not self.exists("/etc/kubernetes/admin.conf")
            self.containers = self.containers[1:]
            self.remove("/etc/kubernetes/manifests/etcd.yaml")
        elif words.startswith("ctr --namespace k8s.io containers delete"):
            self.containers.remove(argv[-1])
        elif words.startswith("umount"):
            self.mounts.remove(argv[-1])
            self._write_mounts()
        elif words == "ip -j link show":
            ports = [{"ifname": name, **({"master": "cni0"} if name[0] == "v" else {})} for name in self.links]
            return Result(0, str(ports).replace("'", '"'))
        elif words.startswith("ip link delete"):
            self.links.remove(argv[-1])
        elif words == "iptables-nft-save":
            return Result(0, self.rules)
        elif words.startswith("iptables-nft-restore"):
            table = str(stdin).split("\n")[0]
            before, _table, rest = self.rules.partition(table + "\n")
            self.rules = before + rest.partition("COMMIT\n")[2]
        elif argv[0] not in ("systemctl", "kubeadm", "ctr", "nft", "iptables-nft-save"):
            return Result(127)
        return Result(0)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


@pytest.fixture(autouse=True)
def lock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir(exist_ok=True)


def run_reset(node: Node, **options: Any) -> list[str]:
    steps = apply.reset(node, ResetOptions(**options), sleep=lambda _seconds: None)
    return [f"{step.action} {step.target}" for step in steps]


def remaining(node: Node) -> set[str]:
    found = set()
    for base, folders, names in os.walk(node.folder):
        found |= {"/" + os.path.relpath(os.path.join(base, name), node.folder) for name in names}
        found |= {"/" + os.path.relpath(os.path.join(base, name), node.folder) for name in folders}
    return found


def test_all_of_the_cluster_goes_and_nothing_of_others(node: Node) -> None:
    done = run_reset(node)
    left = remaining(node)
    assert not left & set(FILES) and set(OTHERS) <= left
    assert (
        not {"/var/lib/kubelet", "/var/lib/etcd", "/var/log/pods", "/var/lib/cni/results", "/var/lib/kubestead"} & left
    )
    # They belong to packages.
    assert {"/etc/kubernetes/manifests", "/etc/cni/net.d"} <= left
    assert node.containers == [] and node.links == ["lo", "eth0"] and "KUBE" not in node.rules
    assert not operations.observe(node) and plan(observe(node, ResetOptions()), ResetOptions()) == []
    assert done.index("stop kubelet.service") < done.index(f"unmount {VOLUME}") < done.index("clean_pods kubeadm")
    assert done.index("clean_pods kubeadm") < done.index("remove /var/lib/etcd") < done.index("remove /var/lib/kubelet")
    assert done.index("remove_link cni0") < done.index("remove /etc/cni/net.d/10-kubestead.conflist")
    assert run_reset(node) == []


def test_the_name_of_the_api_goes_and_the_hosts_file_is_the_users_again(node: Node) -> None:
    unit, folder = "/etc/systemd/system/kubestead-api-endpoint.service", "/etc/kubestead/api-endpoint"
    user = "127.0.0.1 localhost\n# mine"
    node.put("/etc/hosts", hosts_file.with_block(user, ["127.0.0.1 api.home.internal"]))
    node.put(unit)
    node.put(folder + "/haproxy.cfg")
    told = [f"{step.action} {step.target}" for step in plan(observe(node, ResetOptions()), ResetOptions())]
    done = run_reset(node)
    assert done == told and "forget_api /etc/hosts" in done
    assert done.index("stop_unit kubestead-api-endpoint.service") < done.index(f"remove {folder}")
    assert node.read("/etc/hosts") == user
    assert not {unit, folder, "/etc/kubestead"} & remaining(node)
    assert run_reset(node) == []


def test_the_virtual_address_goes_with_its_service_also_where_a_killed_keepalived_left_it(node: Node) -> None:
    folder, unit = "/etc/kubestead/api-vip", "/etc/systemd/system/kubestead-api-vip.service"
    node.put(folder + "/keepalived.conf", "    virtual_ipaddress {\n        192.0.2.100/32 dev eth0\n    }\n")
    node.put(folder + "/check")
    node.put(unit)
    held = ['[{"ifname":"eth0","flags":["UP"],"addr_info":[{"local":"192.0.2.100","prefixlen":32}]}]']
    former = node._run

    def do(argv: Sequence[str], stdin: str | None, timeout: float, env: Any) -> Result:
        words = " ".join(argv)
        if words == "ip address delete 192.0.2.100/32 dev eth0":
            held[0] = "[]"
            return Result(0)
        return Result(0, held[0]) if words == "ip -j address" else former(argv, stdin, timeout, env)

    node._run = do
    told = [f"{step.action} {step.target}" for step in plan(observe(node, ResetOptions()), ResetOptions())]
    done = run_reset(node)
    assert done == told
    steps = ["stop_unit kubestead-api-vip.service", "remove_address 192.0.2.100", f"remove {folder}"]
    assert [step for step in done if step in steps] == steps and held == ["[]"]
    assert not {unit, folder, "/etc/kubestead"} & remaining(node)
    assert run_reset(node) == []


@pytest.mark.parametrize("package", ["haproxy", "keepalived"])
def test_the_service_of_a_package_whose_installation_was_killed_is_disabled(node: Node, package: str) -> None:
    folder = {"haproxy": "/etc/kubestead/api-endpoint", "keepalived": "/etc/kubestead/api-vip"}[package]
    assert f"disable_package {package}.service" not in run_reset(node)
    node.put(folder + "/installing")
    told = [f"{step.action} {step.target}" for step in plan(observe(node, ResetOptions()), ResetOptions())]
    done = run_reset(node)
    assert done == told
    assert done.index(f"disable_package {package}.service") < done.index(f"remove {folder}")
    assert ["systemctl", "disable", "--now", f"{package}.service"] in node.ran
    assert folder not in remaining(node) and run_reset(node) == []


def test_a_dry_run_tells_the_steps_of_the_run(node: Node) -> None:
    before = remaining(node)
    steps = plan(observe(node, ResetOptions()), ResetOptions())
    assert remaining(node) == before and node.kubelet
    assert [f"{step.action} {step.target}" for step in steps] == run_reset(node)


@pytest.mark.parametrize(
    "command",
    [
        "systemctl stop kubelet",
        "umount",
        "kubeadm reset",
        "ip link delete veth",
        "ip link delete cni0",
        "iptables-nft-r",
    ],
)
def test_killed_anywhere_the_same_command_ends_it(node: Node, command: str) -> None:
    node.killed_at = command
    with pytest.raises(KeyboardInterrupt):
        run_reset(node)
    marker = operations.observe(node)
    assert marker and marker.kind == operations.RESET
    # Neither an init nor a join goes on from here.
    assert "run reset.yml again" in operations.problems(marker)[0].fix
    node.killed_at = ""
    assert run_reset(node)
    assert not remaining(node) & set(FILES) and node.links == ["lo", "eth0"] and not operations.observe(node)


def test_a_run_killed_just_before_its_end_is_ended(node: Node) -> None:
    run_reset(node)
    operations.begin(node, Operation(operations.RESET, "2026-11-27T20:00:00Z"))
    assert run_reset(node) == [f"end {operations.MARKER}"] and not operations.observe(node)


def test_a_volume_that_can_t_be_unmounted_keeps_its_data(node: Node) -> None:
    """kubeadm would go on, and remove what is in it."""

    def refused(argv: Sequence[str], stdin: str | None, timeout: float, env: Any) -> Result:
        if argv[0] == "umount":
            return Result(32, "", "target is busy")
        return node._do(argv, stdin, timeout, env)

    node._run = refused
    with pytest.raises(KubesteadError) as caught:
        run_reset(node)
    assert VOLUME in caught.value.message
    assert node.exists("/var/lib/kubelet/pods/1/volumes/data") and node.exists("/var/lib/etcd/member")
    assert not [argv for argv in node.ran if argv[:2] == ["kubeadm", "reset"]]


def test_what_can_t_be_removed_is_named(node: Node) -> None:
    def stubborn(argv: Sequence[str], stdin: str | None, timeout: float, env: Any) -> Result:
        return (
            Result(2, "", "busy") if list(argv[:3]) == ["ip", "link", "delete"] else node._do(argv, stdin, timeout, env)
        )

    node._run = stubborn
    with pytest.raises(KubesteadError) as caught:
        run_reset(node)
    assert "the reset is not complete" in caught.value.message and "cni0" in caught.value.message
    # What explains the link stays until it is gone.
    assert node.exists("/etc/cni/net.d/10-kubestead.conflist") and operations.observe(node)
    node._run = node._do
    assert run_reset(node) and node.links == ["lo", "eth0"]


def test_a_folder_on_its_own_file_system_or_behind_a_link_is_emptied(node: Node, tmp_path: Path) -> None:
    node.remove("/var/lib/etcd")
    node.put("/data/etcd/member/wal/0.wal")
    node.put("/data/etcd/lost+found/x")
    os.symlink(node.path("/data/etcd"), node.path("/var/lib/etcd"))
    run_reset(node)
    assert os.path.islink(node.path("/var/lib/etcd")) and node.names("/data/etcd") == ["lost+found"]


def test_a_volume_behind_the_link_of_the_kubelet_s_folder_keeps_its_data(node: Node) -> None:
    """The kernel tells of the place that the link leads to."""
    volume = "/data/kubelet/pods/1/volumes/nfs"
    node.remove("/var/lib/kubelet")
    node.put(volume + "/precious")
    os.symlink(node.path("/data/kubelet"), node.path("/var/lib/kubelet"))
    node.mounts = [volume]
    node._write_mounts()

    def busy(argv: Sequence[str], stdin: str | None, timeout: float, env: Any) -> Result:
        return Result(32, "", "target is busy") if argv[0] == "umount" else node._do(argv, stdin, timeout, env)

    node._run = busy
    with pytest.raises(KubesteadError, match=volume):
        run_reset(node)
    assert node.exists(volume + "/precious")
    node._run = node._do
    assert f"unmount {volume}" in run_reset(node)
    assert node.mounts == [] and node.names("/data/kubelet") == []


def test_the_data_of_a_machine_s_own_etcd_stays(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for path in ("/usr/lib/systemd/system/etcd.service", "/var/lib/etcd/default/member/wal/0.wal", "/etc/kubernetes/x"):
        machine.put(path)
    machine.put("/etc/kubernetes/kubelet.conf")
    apply.reset(machine, ResetOptions())
    assert machine.exists("/var/lib/etcd/default/member/wal/0.wal") and not machine.exists(
        "/etc/kubernetes/kubelet.conf"
    )
    assert "/var/lib/etcd" in observe(machine, ResetOptions()).kept
    # What is left of a control plane goes.
    machine.put("/etc/kubernetes/pki/etcd/ca.crt")
    apply.reset(machine, ResetOptions())
    assert not machine.exists("/var/lib/etcd")


def test_the_user_s_own_certificates_of_an_interrupted_init_stay(node: Node) -> None:
    operations.begin(node, Operation(operations.INIT, preexisting_pki=["ca.crt", "etcd/ca.key"]))
    run_reset(node)
    assert node.names("/etc/kubernetes/pki") == ["ca.crt", "etcd"]
    assert run_reset(node) == []


def test_an_operation_of_a_newer_version_is_left_alone(node: Node) -> None:
    operations.begin(node, Operation("migrate"))
    before = remaining(node)
    with pytest.raises(KubesteadError) as caught:
        run_reset(node)
    assert "migrate" in caught.value.message and remaining(node) - before <= {"/run/kubestead.lock"}


def test_a_stopped_runtime_is_started_before_any_folder_goes(node: Node) -> None:
    active = [False]

    def stopped(argv: Sequence[str], stdin: str | None, timeout: float, env: Any) -> Result:
        if list(argv[:2]) == ["systemctl", "start"]:
            assert node.exists("/var/lib/etcd")
            active[0] = True
        if list(argv[:3]) == ["systemctl", "show", "containerd"] and not active[0]:
            return Result(0, "LoadState=loaded\nActiveState=inactive\n")
        return node._do(argv, stdin, timeout, env)

    node._run = stopped
    done = run_reset(node)
    assert (
        active[0]
        and node.containers == []
        and done.index("start containerd.service") < done.index("clean_pods kubeadm")
    )
    assert not remaining(node) & set(FILES)


# -- the preparation


SIMULATED = """Purg kubeadm [1.35.0-1.1]
Purg kubelet [1.35.0-1.1]
Purg containerd [1.6.20~ds1-1+deb12u1]
"""
AUTOREMOVED = SIMULATED + "Purg runc [1.1.5+ds1-1+deb12u1]\nPurg libold1 [1.0]\n"


def test_dependencies_go_that_nothing_else_needs_and_did_not_go_before(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    base = "apt-get --simulate -qq --allow-change-held-packages "
    machine.answer(base + "purge", SIMULATED)
    machine.answer(base + "autoremove", "Remv libold1 [1.0]\n")
    machine.answer(base + "--auto-remove", AUTOREMOVED)
    machine.put("/etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
    line = "{0}\t1\tamd64\tinstalled\thold\t\n"
    machine.answer(
        "dpkg-query",
        lambda argv, stdin: Result(
            0, "".join(line.format(one) for one in argv if one in ("kubelet", "kubeadm", "containerd"))
        ),
    )
    found = prepared.observe(machine, shared_runtime=False)
    assert found.packages == ["kubelet", "kubeadm", "containerd"] and found.dependencies == ["runc"]
    # Others use the runtime, or it was there before: it stays.
    assert "containerd" not in prepared.observe(machine, shared_runtime=True).packages
    machine.put("/etc/containerd/config.toml.before-kubestead", "version = 2\n")
    kept = prepared.observe(machine, shared_runtime=False)
    assert "containerd" not in kept.packages and kept.runtime_stays
    # A package that is not ours needs it.
    machine.remove("/etc/containerd/config.toml.before-kubestead")
    machine.answer(base + "purge", SIMULATED + "Purg docker.io [20.10]\n")
    assert "containerd" not in prepared.observe(machine, shared_runtime=False).packages


def test_a_containerd_without_a_package_was_there_before(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.put("/var/lib/containerd/io.containerd.content.v1.content/x")
    assert prepared.observe(machine, shared_runtime=False).folders == ["/var/lib/containerd"]
    machine.put("/usr/local/bin/containerd", mode=0o755)
    found = prepared.observe(machine, shared_runtime=False)
    assert found.folders == [] and found.runtime_stays


CALICO = ("bandwidth", "calico", "calico-ipam", "flannel", "host-local", "install", "loopback", "portmap", "tuning")
DPKG_OWNED = """kubernetes-cni: /opt/cni/bin/host-local
kubernetes-cni, other-plugins: /opt/cni/bin/loopback
"""
RPM_OWNED = """/opt/cni/bin/dhcp
/opt/cni/bin/host-local
/opt/cni/bin/loopback
"""


def plugins(machine: Machine) -> list[str]:
    return [path.rsplit("/", 1)[1] for path in observe(machine, ResetOptions(preparation=True)).plugins]


@pytest.mark.parametrize(
    ("release", "program", "output"),
    [("debian", "dpkg-query -S", DPKG_OWNED), ("rocky", "rpm -qf --qf [%{FILENAMES}\\n]", RPM_OWNED)],
)
def test_calico_s_plugins_are_removed_and_those_of_packages_stay(
    tmp_path: Path, release: str, program: str, output: str
) -> None:
    machine = Machine(tmp_path)
    machine.put("/etc/os-release", f'ID={release}\nVERSION_ID="12"\n')
    for name in (*CALICO, "bridge", "dhcp", "own-plugin"):
        machine.put("/opt/cni/bin/" + name, mode=0o755)
    asked = " ".join(f"/opt/cni/bin/{name}" for name in (*prepared.CALICO_PLUGINS, "install"))
    machine.answer(f"{program} {asked}", Result(1, output, "dpkg-query: no path found matching pattern"))
    # The installer identifies the others, so a run that is interrupted must find it again.
    assert plugins(machine) == ["bandwidth", "flannel", "portmap", "tuning", "install"]


def test_plugins_stay_that_calico_did_not_copy(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.put("/etc/os-release", 'ID=debian\nVERSION_ID="12"\n')
    for name in prepared.CALICO_PLUGINS:
        machine.put("/opt/cni/bin/" + name, mode=0o755)
    assert plugins(machine) == []


def test_a_stopped_runtime_is_asked_for_other_users_before_it_is_purged(tmp_path: Path) -> None:
    state = ResetState(runtime=Runtime(installed=True), prepared=Prepared(packages=["containerd"]))
    actions = [step.action for step in plan(state, ResetOptions(preparation=True))]
    assert actions.index("start") < actions.index("purge")
    state = ResetState(runtime=Runtime(installed=True), prepared=Prepared(runtime_stays=True))
    assert plan(state, ResetOptions(preparation=True)) == []


def test_what_is_put_back_has_every_byte_and_its_link(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    data = b"# caf\xe9\r\nversion = 2\r\n"
    for path in ("/etc/containerd/config.toml", "/etc/own.toml"):
        machine.put(path, "version = 3\n", 0o600)
        (tmp_path / (path + ".before-kubestead").lstrip("/")).write_bytes(data)
    os.replace(machine.path("/etc/own.toml.before-kubestead"), machine.path("/etc/link.toml.before-kubestead"))
    os.symlink("own.toml", machine.path("/etc/link.toml"))
    for path in ("/etc/containerd/config.toml", "/etc/link.toml"):
        prepared.put_back(machine, path)
        assert Path(machine.path(path)).read_bytes() == data and not machine.exists(path + ".before-kubestead")
        assert machine.mode(path) == 0o644
    assert os.path.islink(machine.path("/etc/link.toml"))


def test_lines_that_were_switched_off_are_put_back(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    fstab = "UUID=1 / ext4 defaults 0 1\n/swapfile none swap sw 0 0\n# a comment\n"
    off = fstab.replace("/swapfile", "# Disabled by kubestead.cluster: the kubelet requires swap to be off\n#/swapfile")
    machine.put("/etc/fstab", off)
    prepared.uncomment(machine, "/etc/fstab")
    assert machine.read("/etc/fstab") == fstab
    # Bytes of another encoding are the user's.
    Path(machine.path("/etc/fstab")).write_bytes(off.encode() + b"# caf\xe9\n")
    prepared.uncomment(machine, "/etc/fstab")
    assert Path(machine.path("/etc/fstab")).read_bytes() == fstab.encode() + b"# caf\xe9\n"


# -- kubeconfigs


ADMIN = fixture("kubeadm/v1.35/admin.conf")
OTHER = fixture("kubeadm/v1.20/admin.conf")
KUBECONFIG = "/home/anna/.kube/config"


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A control plane whose login user is anna; nothing but certificates is left of its cluster."""
    monkeypatch.setenv("SUDO_USER", "anna")
    machine = Machine(tmp_path)
    machine.put("/etc/kubernetes/pki/ca.crt", fixture("kubeadm/v1.35/ca.crt"))
    machine.put("/etc/kubernetes/admin.conf", ADMIN, 0o600)
    machine.answer("getent passwd anna", f"anna:x:{os.getuid()}:{os.getgid()}:,,,:/home/anna:/bin/bash\n")
    machine.put(KUBECONFIG, ADMIN, 0o600)
    return machine


def test_the_user_s_kubeconfig_of_this_cluster_goes_also_after_a_kill(user: Machine) -> None:
    steps = plan(observe(user, ResetOptions()), ResetOptions())
    targets = [step.target for step in steps]
    # Its CA tells that it is of this cluster.
    assert targets.index(KUBECONFIG) < targets.index("/etc/kubernetes/pki")
    apply.reset(user, ResetOptions())
    assert not user.exists("/home/anna/.kube") and user.exists("/home/anna")


def test_a_run_that_was_killed_after_the_certificates_went_still_knows_the_ca(user: Machine) -> None:
    hashes = observe(user, ResetOptions()).ca_cert_hashes
    assert hashes
    operations.begin(user, Operation(operations.RESET, ca_cert_hashes=hashes))
    user.remove("/etc/kubernetes/pki")
    user.remove("/etc/kubernetes/admin.conf")
    apply.reset(user, ResetOptions())
    assert not user.exists(KUBECONFIG)


def test_a_kubeconfig_of_another_cluster_or_of_several_stays(user: Machine) -> None:
    several = ADMIN + "".join(line + "\n" for line in OTHER.splitlines() if "server:" in line or "authority" in line)
    for text in (OTHER, several):
        user.put(KUBECONFIG, text, 0o600)
        assert not observe(user, ResetOptions()).kubeconfigs
    apply.reset(user, ResetOptions())
    assert user.read(KUBECONFIG) == several


def test_what_the_kubeconfig_replaced_is_put_back(user: Machine) -> None:
    user.put(KUBECONFIG + ".before-kubestead", OTHER, 0o600)
    apply.reset(user, ResetOptions())
    assert user.read(KUBECONFIG) == OTHER and not user.exists(KUBECONFIG + ".before-kubestead")


def test_a_kubeconfig_behind_a_link_is_not_touched(user: Machine) -> None:
    user.put("/home/eve/config", ADMIN, 0o600)
    user.remove("/home/anna/.kube")
    os.symlink(user.path("/home/eve"), user.path("/home/anna/.kube"))
    apply.reset(user, ResetOptions())
    assert user.read("/home/eve/config") == ADMIN
