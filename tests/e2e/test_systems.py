# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes of several systems in one cluster, and nodes on which Docker runs. They need Kubernetes 1.26 or newer.

Each part has nodes of its own, and its tests build on each other, in this order.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from lab.systems import own_system, sources

from .conftest import ROOT, Lab, nodes

pytestmark = pytest.mark.thorough

# Debian 12 has containerd 1.6 and Python 3.11, Debian 13 has 1.7 and 3.13, and its testing suite has containerd 2.
MIXED = ("debian12", "debian13", "debian13+containerd2", "debian13")
FIRST = ("--limit", "cp1,w1,w2")


@pytest.fixture(scope="module")
def mixed_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Bare nodes: a control plane with Debian 12, and workers with newer systems."""
    systems = ("--systems", ",".join(MIXED))
    yield from nodes("mixed", ["cp1", "w1", "w2", "w3"], tmp_path_factory.mktemp("mixed"), *systems)


def test_the_first_run_makes_a_cluster_of_all_systems(mixed_lab: Lab) -> None:
    lab = mixed_lab
    run = lab.site(*FIRST)
    assert run.code == 0, run.output
    items = json.loads(lab.kubectl("get nodes -o json"))["items"]
    runtimes = {one["metadata"]["name"]: one["status"]["nodeInfo"]["containerRuntimeVersion"] for one in items}
    assert re.match(r"containerd://1\.6\.", runtimes["cp1"]), runtimes
    assert re.match(r"containerd://1\.7\.", runtimes["w1"]), runtimes
    assert re.match(r"containerd://2\.", runtimes["w2"]), runtimes


def test_a_second_run_on_all_systems_changes_nothing(mixed_lab: Lab) -> None:
    run = mixed_lab.site(*FIRST)
    assert (run.code, run.changed()) == (0, {}), run.output


def test_another_node_joins_with_limit(mixed_lab: Lab) -> None:
    run = mixed_lab.site("--limit", "w3")
    assert run.code == 0, run.output
    everybody = mixed_lab.site()
    assert (everybody.code, everybody.changed()) == (0, {}), everybody.output


def test_an_application_runs_on_all_systems(mixed_lab: Lab) -> None:
    run = mixed_lab.playbook("deploy.yml", "-e", f"deploy_manifests={ROOT}/examples/webapp")
    assert run.code == 0, run.output


# -- Docker

# What Docker's own packages put into the configuration of containerd.
DISABLED = 'disabled_plugins = ["cri"]\n'
INSPECT = "docker inspect --format '{{.Id}} {{.State.Running}} {{.State.StartedAt}} {{.RestartCount}}' mine"


@pytest.fixture(scope="module")
def docker_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Nodes with Docker from their distribution, a container that runs, and containerd's CRI plugin disabled."""
    for lab in nodes("docker", ["cp1", "w1"], tmp_path_factory.mktemp("docker"), "--podman=--volume=/var/lib/docker"):
        text = "".join(f"{line}\n" for line in sources(own_system()))
        for host in ("cp1", "w1"):
            prepare_docker(lab, host, text)
        yield lab


def prepare_docker(lab: Lab, host: str, text: str) -> None:
    """Install Docker as an administrator does, and start a container."""
    trusted = re.sub(r"signed-by=\S+?(?=[\s\]])", "", text).replace("[] ", "")
    lab.ssh(
        host,
        f"cat > /etc/apt/sources.list.d/debian.list <<'END'\n{trusted}END\n"
        "mkdir -p /etc/containerd\n"
        f"printf '%s' '{DISABLED}' > /etc/containerd/config.toml\n"
        "export DEBIAN_FRONTEND=noninteractive\n"
        "apt-get -q update && apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-confold "
        "install docker.io busybox-static\n"
        "rm /etc/apt/sources.list.d/debian.list\n"
        "tar -C / -c bin/busybox | docker import - mine:1\n"
        "docker run --detach --name mine --network none mine:1 /bin/busybox sleep 100000\n",
    )


def test_nodes_with_docker_become_a_cluster_at_the_first_run(docker_lab: Lab) -> None:
    lab = docker_lab
    before = {host: lab.ssh(host, INSPECT) for host in ("cp1", "w1")}
    assert all(" true " in one for one in before.values()), before
    run = lab.site()
    assert run.code == 0, run.output
    assert {host: lab.ssh(host, INSPECT) for host in before} == before
    for host in before:
        assert "sleep 100000" in lab.ssh(host, "docker top mine")


def test_a_second_run_beside_docker_changes_nothing(docker_lab: Lab) -> None:
    before = {host: lab_docker for host in ("cp1", "w1") for lab_docker in [docker_lab.ssh(host, INSPECT)]}
    run = docker_lab.site()
    assert (run.code, run.changed()) == (0, {}), run.output
    assert {host: docker_lab.ssh(host, INSPECT) for host in before} == before
