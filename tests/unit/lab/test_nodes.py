# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes: addresses, podman's arguments, what is in their image, and the inventory of a set."""

from __future__ import annotations

import ipaddress
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from lab import flavour, inventory, node_image, nodes
from lab.machine import MachineError
from lab.nodes import Mirror, Node, Options

SUBNET = ipaddress.IPv4Network("10.213.0.0/25")
MIRROR = Mirror("10.213.0.2", Path("/c/ca.pem"), ("pkgs.k8s.io", "registry.k8s.io", "mirror.lab.test"))
NODE = Node("s", "cp1", "10.213.0.16", "running")


# -- addresses


def test_addresses_go_round_and_are_given_again_last() -> None:
    assert nodes.next_address(SUBNET, None, []) == "10.213.0.16"
    assert nodes.next_address(SUBNET, "10.213.0.16", []) == "10.213.0.17"
    assert nodes.next_address(SUBNET, "10.213.0.16", ["10.213.0.17", "10.213.0.18"]) == "10.213.0.19"
    assert nodes.next_address(SUBNET, "10.213.0.126", ["10.213.0.16"]) == "10.213.0.17"


def test_the_broadcast_address_is_never_given() -> None:
    given = []
    last = None
    for _ in range(111):
        last = nodes.next_address(SUBNET, last, given)
        given.append(last)
    assert given[-1] == "10.213.0.126"
    with pytest.raises(MachineError, match="no free address"):
        nodes.next_address(SUBNET, last, given)


def test_an_address_of_another_network_is_no_beginning() -> None:
    assert nodes.next_address(SUBNET, "10.214.0.40", []) == "10.213.0.16"


# -- podman's arguments


def test_upstream_names_lead_to_the_mirror() -> None:
    lines = nodes.hosts_file(NODE, MIRROR, Options()).splitlines()
    assert lines[2:] == [
        f"{NODE.address}\t{NODE.name}",
        "10.213.0.2\tmirror.lab.test",
        "10.213.0.2\tpkgs.k8s.io",
        "10.213.0.2\tregistry.k8s.io",
    ]
    arguments = nodes.create_arguments(NODE, "image", MIRROR, Options())
    assert "--no-hosts" in arguments
    assert "--volume=/c/ca.pem:/usr/local/share/ca-certificates/kubestead-lab.crt:ro" in arguments
    assert arguments[-2:] == ["image", "/sbin/init"]


def test_with_mirror_variables_only_the_mirrors_own_name_is_known() -> None:
    lines = nodes.hosts_file(NODE, MIRROR, Options(upstream_names=False)).splitlines()
    assert lines[3:] == ["10.213.0.2\tmirror.lab.test"]


def test_a_prefix_starts_the_first_process() -> None:
    arguments = nodes.create_arguments(NODE, "image", MIRROR, Options(prefix=("taskset", "--cpu-list", "1")))
    assert arguments[-5:] == ["image", "taskset", "--cpu-list", "1", "/sbin/init"]


def test_on_cgroup_v1_podman_does_not_prepare_for_systemd() -> None:
    assert "--systemd=always" in nodes.create_arguments(NODE, "image", MIRROR, Options(), cgroup_v2=True)
    old = nodes.create_arguments(NODE, "image", MIRROR, Options(), cgroup_v2=False)
    assert "--systemd=false" in old
    assert any(argument.startswith("--tmpfs=/run:") for argument in old)
    assert old[-4:-1] == ["image", "/sbin/init", "systemd.legacy_systemd_cgroup_controller=yes"]


@pytest.mark.parametrize("name", ["", "Up", "a_b", "-a", "a-", "a" * 43])
def test_names_that_are_no_host_names_are_refused_before_anything_is_made(name: str) -> None:
    with pytest.raises(MachineError, match="is not a valid name of a node"):
        nodes.create("s", [name], MIRROR)


@pytest.mark.parametrize("name", ["", "Up", "_a", "a/b", "a" * 43])
def test_a_set_is_named_like_a_container(name: str) -> None:
    with pytest.raises(MachineError, match="is not a valid name of a set"):
        nodes.create(name, ["cp1"], MIRROR)
    assert nodes.SET_NAME.match("molecule-kube_packages")


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(MachineError, match="is named twice"):
        nodes.create("s", ["a", "a"], MIRROR)


def test_a_node_is_not_kept_with_another_system_than_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("ensure", None), ("raise_limits", []), ("ensure_image", "image"), ("ensure_network", SUBNET)):
        monkeypatch.setattr(nodes, name, lambda *_, value=value: value)
    monkeypatch.setattr(nodes, "listed", lambda _: [Node("s", "cp1", "10.213.0.16", "running", "debian12")])
    with pytest.raises(MachineError, match="node cp1 has debian12; replace it with --fresh"):
        nodes.create("s", ["cp1", "w1"], MIRROR, Options(systems=("debian13",)))


@pytest.mark.parametrize("same_address", [True, False])
def test_a_replaced_node_keeps_its_address_if_asked_to(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, same_address: bool
) -> None:
    for name, value in (("ensure", None), ("raise_limits", []), ("ensure_image", "image"), ("ensure_network", SUBNET)):
        monkeypatch.setattr(nodes, name, lambda *_, value=value: value)
    monkeypatch.setenv("KUBESTEAD_CACHE", str(tmp_path))
    there = {"cp1": Node("s", "cp1", "10.213.0.16", "exited", "debian12")}
    monkeypatch.setattr(nodes, "listed", lambda *_: list(there.values()))
    monkeypatch.setattr(nodes, "destroy", lambda *_: there.clear())
    for name in ("_give", "_start", "_forget_host_key"):
        monkeypatch.setattr(nodes, name, lambda *_: None)
    monkeypatch.setattr(nodes, "_free_part_of_disk", lambda: 1.0)
    monkeypatch.setattr(nodes, "podman", lambda *_: None)
    created: list[str] = []
    monkeypatch.setattr(nodes, "create_arguments", lambda node, *_: created.append(node.address) or [])
    monkeypatch.setattr(nodes, "next_address", lambda *_: "10.213.0.99")
    nodes.create("s", ["cp1"], MIRROR, Options(fresh=True, same_address=same_address))
    assert created == ["10.213.0.16" if same_address else "10.213.0.99"]


# -- the image


def test_the_images_key_changes_with_what_goes_into_it() -> None:
    key = node_image.content_key("bookworm", "ssh-ed25519 A")
    assert key == node_image.content_key("bookworm", "ssh-ed25519 A")
    assert key != node_image.content_key("trixie", "ssh-ed25519 A")
    assert key != node_image.content_key("bookworm", "ssh-ed25519 B")


def test_nothing_the_collection_installs_is_in_the_image() -> None:
    assert {"containerd", "runc", "kubelet", "kubeadm", "kubectl", "cri-tools", "kubernetes-cni"}.isdisjoint(
        node_image.PACKAGES
    )


def wrapper(folder: Path, capabilities: str) -> Path:
    """The node's runc, in front of a program that says what it was called with, in a process with ``capabilities``."""
    real = folder / "real"
    real.write_text('#!/bin/sh\necho "real $*"\n', encoding="utf-8")
    real.chmod(0o755)
    status = folder / "status"
    status.write_text(f"Name:\tsh\nCapEff:\t{capabilities}\nCapBnd:\t{capabilities}\n", encoding="utf-8")
    text = (node_image.OVERLAY / "usr/local/sbin/runc").read_text(encoding="utf-8")
    for path in ("/usr/sbin/runc", "/usr/bin/runc"):
        text = text.replace(f"={path}\n", f"={real}\n")
    script = folder / "runc"
    script.write_text(text.replace("/proc/self/status", str(status)), encoding="utf-8")
    script.chmod(0o755)
    return script


def run(script: Path, *arguments: str) -> str:
    done = subprocess.run([script, *arguments], capture_output=True, encoding="utf-8", check=True, cwd=script.parent)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("capabilities", "command", "expected"),
    [
        ("000001fffeffffff", "create", 0),
        ("000001fffeffffff", "run", 0),
        ("000001fffeffffff", "kill", -998),
        ("000001ffffffffff", "create", -998),
    ],
)
def test_runc_raises_a_negative_oom_score_only_where_it_must(
    tmp_path: Path, capabilities: str, command: str, expected: int
) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    config = bundle / "config.json"
    config.write_text(json.dumps({"process": {"oomScoreAdj": -998, "args": ["a"]}}), encoding="utf-8")
    said = run(wrapper(tmp_path, capabilities), "--log", "/l", command, "--bundle", str(bundle), "id")
    assert said == f"real --log /l {command} --bundle {bundle} id"
    assert json.loads(config.read_text(encoding="utf-8"))["process"] == {"oomScoreAdj": expected, "args": ["a"]}


def test_runc_leaves_positive_oom_scores(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"process":{"oomScoreAdj":1000}}', encoding="utf-8")
    run(wrapper(tmp_path, "000001fffeffffff"), "create", "id")
    assert json.loads(config.read_text(encoding="utf-8"))["process"]["oomScoreAdj"] == 1000


def test_runc_without_the_package_is_not_found(tmp_path: Path) -> None:
    script = wrapper(tmp_path, "000001fffeffffff")
    os.unlink(tmp_path / "real")
    done = subprocess.run([script, "--version"], capture_output=True, encoding="utf-8", check=False)
    assert (done.returncode, done.stderr) == (127, "runc: not found\n")


# -- the inventory


def test_groups_are_by_name_or_as_asked() -> None:
    assert inventory.split_groups(["cp1", "w1", "cp2"]) == (["cp1", "cp2"], ["w1"])
    assert inventory.split_groups(["a", "b"]) == (["a"], ["b"])
    assert inventory.split_groups(["a", "b"], ["b"]) == (["b"], ["a"])
    with pytest.raises(MachineError, match="control plane c is not a node"):
        inventory.split_groups(["a", "b"], ["c"])


def test_the_newest_kubernetes_on_an_old_machine() -> None:
    variables = inventory.cluster_variables("1.36.1", "binaries", cgroup_v2=False)
    assert variables["cluster_kubernetes_version"] == "1.36.1"
    assert variables["cluster_kubelet_config"] == {"failCgroupV1": False}
    assert variables["cluster_ignore_preflight_errors"] == ["SystemVerification", "HTTPProxyCIDR"]
    assert variables["cni_plugin"] == "bridge"
    assert "cluster_skip_phases" not in variables


def test_debians_kubernetes_has_no_coredns_and_takes_cgroup_v1() -> None:
    variables = inventory.cluster_variables("1.20.2", "debian", False, ["registry.k8s.io/coredns:1.7.0"])
    assert variables["cluster_skip_phases"] == ["addon/coredns"]
    assert variables["cluster_ignore_preflight_errors"] == ["SystemVerification"]
    assert "cluster_kubelet_config" not in variables


def test_a_later_version_is_known_and_its_kubelets_may_run_too() -> None:
    variables = inventory.cluster_variables("1.34.1", "binaries", False, later_version="1.35.0")
    assert variables["cluster_kubernetes_version"] == "1.34.1" and variables[inventory.LATER] == "1.35.0"
    assert variables["cluster_kubelet_config"] == {"failCgroupV1": False}


def test_upstream_on_a_laptop_is_as_near_to_the_defaults_as_containers_allow() -> None:
    variables = inventory.cluster_variables("1.36.1", "upstream", cgroup_v2=True)
    assert sorted(variables) == [
        "cluster_ignore_preflight_errors",
        "cluster_kube_proxy_config",
        "cluster_kubeconfig_path",
        "cluster_kubernetes_version",
    ]


@pytest.mark.parametrize("text", ["", "latest", "1"])
def test_a_version_is_needed(text: str) -> None:
    with pytest.raises(MachineError, match="is not a Kubernetes version"):
        flavour.minor_of(text)


def test_the_inventory_is_yaml_with_what_ssh_needs() -> None:
    members = [NODE, Node("s", "w1", "10.213.0.17", "running")]
    variables = inventory.cluster_variables("1.35.0", "binaries", False)
    data = yaml.safe_load(inventory.to_yaml(inventory.inventory(members, variables)))
    assert data["all"]["children"] == {
        "control_plane": {"hosts": {"cp1": {"ansible_host": "10.213.0.16"}}},
        "workers": {"hosts": {"w1": {"ansible_host": "10.213.0.17"}}},
    }
    settings = data["all"]["vars"]
    assert settings["ansible_user"] == "admin"
    assert settings["ansible_pipelining"] is True
    assert "StrictHostKeyChecking=accept-new" in settings["ansible_ssh_common_args"]
    assert {key: settings[key] for key in variables} == variables


@pytest.mark.parametrize(
    "value", [{"a": {"b": [1, "x: y", None], "c": {}, "d": [], "e": True}}, {"a": ["no", "1", "#"]}]
)
def test_what_is_written_reads_back_as_it_was(value: object) -> None:
    assert yaml.safe_load(inventory.to_yaml(value)) == value


def test_no_nodes_no_inventory() -> None:
    with pytest.raises(MachineError, match="needs nodes"):
        inventory.inventory([], {})


# -- this machine


def test_only_limits_that_are_too_low_are_raised(tmp_path: Path) -> None:
    (tmp_path / "max_user_instances").write_text("128\n", encoding="utf-8")
    (tmp_path / "max_user_watches").write_text("9999999\n", encoding="utf-8")
    assert nodes.raise_limits(tmp_path) == ["max_user_instances"]
    assert int((tmp_path / "max_user_instances").read_text(encoding="utf-8")) >= 1024
    assert (tmp_path / "max_user_watches").read_text(encoding="utf-8") == "9999999\n"
    assert nodes.raise_limits(tmp_path) == []
    assert nodes.raise_limits(tmp_path / "missing") == []


def test_an_almost_full_disk_is_reported_before_kubelets_evict_pods() -> None:
    assert nodes.disk_warning(0.2) == ""
    assert nodes.disk_warning(0.163).startswith("warning: 16% of the disk is free; below 15%, ")


def test_ssh_finds_a_node_by_its_name() -> None:
    text = inventory.ssh_config([NODE])
    assert "Host cp1\n  HostName 10.213.0.16\n  User admin\n" in text
    assert "\n  StrictHostKeyChecking accept-new\n" in text
    assert "\n  -o" not in text


def test_the_version_an_inventory_was_written_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(inventory, "set_dir", lambda name: tmp_path / name)
    assert inventory.version_in("s") is None
    inventory.write("s", [NODE], inventory.cluster_variables("1.35.0", "binaries", False, set_name="s"))
    assert inventory.version_in("s") == "1.35.0"
    inventory.remove("s")
    assert not (tmp_path / "s").exists()
