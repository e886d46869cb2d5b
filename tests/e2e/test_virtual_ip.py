# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual IP address of three control planes: who has it while machines and API servers fail, and what remains.

The tests build on each other, in this order. ``./dev faults tests/e2e/test_virtual_ip.py -s`` prints the outages.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.podman import network_subnet, podman

from .conftest import SET, Lab, dev, eventually, nodes
from .faults import summary
from .test_reset import RESET, traces
from .watching import Owning, Probe, double, owners, resume_recording, start_recording

pytestmark = pytest.mark.thorough

PLANES = ["cp1", "cp2", "cp3"]
ENDPOINT = "playbooks/endpoint.yml"
MANIFEST = "/etc/kubernetes/manifests/kube-apiserver.yaml"
FAST = 30.0


@pytest.fixture(scope="module")
def address() -> str:
    """An address of the lab's network that no node has."""
    subnet = network_subnet()
    assert subnet
    return str(subnet[-20])


@pytest.fixture(scope="module")
def second() -> str:
    """Another such address."""
    subnet = network_subnet()
    assert subnet
    return str(subnet[-21])


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kubeconfig") / "config"


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory, address: str, kubeconfig: Path) -> Iterator[Lab]:
    """Three bare nodes, which become control planes."""
    folder = tmp_path_factory.mktemp("virtual-ip")
    options = ("--control-plane", ",".join(PLANES))
    for lab in nodes("vip", PLANES, folder, *options):
        yield lab


@pytest.fixture(scope="module")
def variables(address: str, kubeconfig: Path) -> list[str]:
    return ["-e", f"cluster_endpoint_vip={address}", "-e", f"cluster_kubeconfig_path={kubeconfig}"]


@pytest.fixture(scope="module")
def stopped() -> dict[str, float]:
    """The nodes without power, and since when."""
    return {}


def holders(lab: Lab, address: str, hosts: list[str] | None = None) -> list[str]:
    return [host for host in hosts or PLANES if lab.ssh(host, f"ip -o address show to {address}", check=False).strip()]


def steps(output: str, host: str) -> list[str]:
    """The steps of a host that a run has printed, without the times that they took."""
    return [line for line in summary(output, host) if not re.search(r"steps? in [0-9.]+ s$", line)]


def power_off(host: str, stopped: dict[str, float]) -> None:
    podman("kill", "--signal=KILL", f"{SET}-vip-{host}")
    stopped[host] = time.time()


def power_on(lab: Lab, host: str, address: str, stopped: dict[str, float]) -> None:
    dev("nodes", "restart", "--set", f"{SET}-vip", host)
    resume_recording(lab, host, address, stopped.pop(host))
    assert eventually(lambda: "ok" in lab.ssh(host, "curl -ks https://127.0.0.1:6443/readyz", check=False), 240.0)


def answers(lab: Lab, address: str) -> bool:
    """True if the API answers at the address with a certificate that has the address."""
    authority = lab.folder / "ca.crt"
    authority.write_text(lab.ssh("cp1", "cat /etc/kubernetes/pki/ca.crt"))
    argv = ["curl", "-s", "--cacert", str(authority), f"https://{address}:6443/readyz"]
    return subprocess.run(argv, text=True, capture_output=True, check=False).stdout == "ok"


def probe(lab: Lab, address: str) -> Probe:
    return Probe(address, lab.ssh("cp1", "cat /etc/kubernetes/pki/ca.crt"))


def report(what: str, watched: Probe, every: list[Owning]) -> None:
    print(
        f"\n{what}: {watched.lost()} of {len(watched.answers)} connections lost, longest outage "
        f"{watched.longest_outage():.2f} s, {len(double(every))} double owners"
    )


def test_a_first_run_does_what_it_foretells_and_a_second_one_nothing(
    planes: Lab, address: str, variables: list[str], kubeconfig: Path
) -> None:
    start_recording(planes, PLANES, address)
    dry = planes.site("--check", "--diff", *variables)
    assert dry.code == 0, dry.output
    run = planes.site(*variables)
    assert run.code == 0 and run.changed() == dry.changed(), run.output
    for host in PLANES:
        assert steps(run.output, host) == steps(dry.output, host)
    again = planes.site(*variables)
    assert (again.code, again.changed()) == (0, {}), again.output
    every = owners(planes, PLANES, address)
    assert not double(every) and [every[-1].node] == holders(planes, address)
    assert f"server: https://{address}:6443" in kubeconfig.read_text()
    assert answers(planes, address)


def test_a_dead_api_server_gives_the_address_up(planes: Lab, address: str) -> None:
    (owner,) = holders(planes, address)
    with probe(planes, address) as watched:
        time.sleep(2)
        planes.ssh(owner, f"mv {MANIFEST} /root/apiserver.yaml")
        assert eventually(lambda: holders(planes, address) not in ([owner], []), FAST)
        moved = time.time()
        assert eventually(lambda: watched.good_after(moved), FAST)
    every = owners(planes, PLANES, address)
    report("API server stopped", watched, every)
    assert not double(every)
    (new,) = holders(planes, address)
    planes.ssh(owner, f"mv /root/apiserver.yaml {MANIFEST}")
    assert eventually(lambda: "ok" in planes.ssh(owner, "curl -ks https://127.0.0.1:6443/readyz", check=False), 120.0)
    time.sleep(5)
    # It does not come back.
    assert holders(planes, address) == [new] != [owner]


def test_the_next_control_plane_takes_the_address_of_one_without_power(
    planes: Lab, address: str, stopped: dict[str, float]
) -> None:
    (owner,) = holders(planes, address)
    others = [host for host in PLANES if host != owner]
    with probe(planes, address) as watched:
        time.sleep(2)
        power_off(owner, stopped)
        assert eventually(lambda: bool(holders(planes, address, others)), FAST)
        moved = time.time()
        assert eventually(lambda: watched.good_after(moved), FAST)
    power_on(planes, owner, address, stopped)
    every = owners(planes, PLANES, address)
    report("machine without power", watched, every)
    assert not double(every) and owner not in holders(planes, address)


def test_a_keepalived_that_is_killed_leaves_no_second_owner(planes: Lab, address: str) -> None:
    for name in ("the child", "the parent"):
        (owner,) = holders(planes, address)
        pid = planes.ssh(owner, f"cat /run/kubestead-api-vip/{'vrrp' if name == 'the child' else 'keepalived'}.pid")
        planes.ssh(owner, f"kill -KILL {pid.strip()}")
        time.sleep(8)
        assert len(holders(planes, address)) == 1, name
        every = owners(planes, PLANES, address)
        print(f"\nkeepalived killed ({name}): {len(double(every))} double owners {double(every)}")
        assert not double(every)


def test_the_address_stays_while_etcd_has_no_majority(planes: Lab, address: str, stopped: dict[str, float]) -> None:
    (owner,) = holders(planes, address)
    others = [host for host in PLANES if host != owner]
    for host in others:
        power_off(host, stopped)
    assert eventually(lambda: "ok" != planes.ssh(owner, "curl -ks https://127.0.0.1:6443/readyz", check=False), 30.0)
    time.sleep(10)
    assert holders(planes, address, [owner]) == [owner]
    for host in others:
        power_on(planes, host, address, stopped)
    assert len(holders(planes, address)) == 1
    assert not double(owners(planes, PLANES, address))


def test_a_run_after_all_of_this_changes_nothing(planes: Lab, variables: list[str]) -> None:
    again = planes.site(*variables)
    assert (again.code, again.changed()) == (0, {}), again.output


def test_a_reset_leaves_nothing_of_it(planes: Lab, address: str) -> None:
    run = planes.playbook(RESET, "-e", "reset_confirmed=true")
    assert run.code == 0, run.output
    for host in PLANES:
        assert traces(planes, host) == []
        left = planes.ssh(host, "ls /etc/systemd/system /run | grep kubestead-api; pgrep -a keepalived; true")
        assert left == "" and holders(planes, address, [host]) == []


# -- a cluster that has existed before


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A cluster of one control plane without a virtual address, and a host for a second one."""
    options = ("--control-plane", "cp1,cp2")
    for lab in nodes("vip-grown", ["cp1", "cp2"], tmp_path_factory.mktemp("grown"), *options):
        run = lab.site("--limit", "cp1")
        assert run.code == 0, run.output
        yield lab


def test_a_cluster_gets_an_address_and_its_certificates_are_named_until_they_have_it(grown: Lab, second: str) -> None:
    given = ["-e", f"cluster_endpoint_vip={second}", "-e", f"cluster_kubeconfig_path={grown.folder}/config"]
    start_recording(grown, ["cp1", "cp2"], second)
    run = grown.site("--limit", "cp1", *given)
    assert run.code == 0 and "the certificate of the API server does not have the virtual IP address" in run.output
    assert eventually(lambda: holders(grown, second, ["cp1"]) == ["cp1"], FAST) and not answers(grown, second)
    assert f"https://{second}" not in (grown.folder / "config").read_text()
    before = grown.ssh("cp1", "pgrep -x kube-apiserver")
    dry = grown.playbook(ENDPOINT, "--check", "--diff", "--limit", "cp1", *given)
    moved = grown.playbook(ENDPOINT, "--limit", "cp1", *given)
    assert moved.code == 0 and moved.changed() == dry.changed() != {}, moved.output
    # The API server reads its new certificate without a restart.
    assert eventually(lambda: answers(grown, second), 180.0)
    assert grown.ssh("cp1", "pgrep -x kube-apiserver") == before
    moved = grown.playbook(ENDPOINT, "--limit", "cp1", *given)
    assert (moved.code, moved.changed()) == (0, {}), moved.output
    again = grown.site("--limit", "cp1", *given)
    assert again.code == 0 and "does not have the virtual IP address" not in again.output and not again.changed()


def test_one_control_plane_becomes_two_without_a_second_owner(grown: Lab, second: str) -> None:
    given = ["-e", f"cluster_endpoint_vip={second}"]
    dry = grown.site("--check", "--diff", *given)
    run = grown.site(*given)
    assert run.code == 0 and run.changed() == dry.changed(), run.output
    again = grown.site(*given)
    assert (again.code, again.changed()) == (0, {}), again.output
    every = owners(grown, ["cp1", "cp2"], second)
    assert not double(every) and len(holders(grown, second, ["cp1", "cp2"])) == 1
    # The new one takes it when the first one gives it up, with a certificate that has it.
    grown.ssh("cp1", "systemctl stop kubestead-api-vip")
    assert eventually(lambda: holders(grown, second, ["cp1", "cp2"]) == ["cp2"], FAST) and answers(grown, second)
    assert grown.site("--limit", "cp1", *given).code == 0
    assert not double(owners(grown, ["cp1", "cp2"], second))


def test_the_address_is_removed_with_its_variable(grown: Lab, second: str) -> None:
    run = grown.site()
    assert run.code == 0, run.output
    assert holders(grown, second, ["cp1", "cp2"]) == []
    assert grown.ssh("cp1", "ls /etc/kubestead /etc/systemd/system | grep vip; true") == ""
