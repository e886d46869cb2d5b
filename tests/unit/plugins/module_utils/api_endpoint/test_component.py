# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts file of a node and the proxy of a worker: what is found, planned and written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint import component, hosts_file, proxy
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.component import EndpointState, observe
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.hosts_file import BEGIN, END, HOSTS
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.options import Endpoint, EndpointOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.api_endpoint.proxy_config import (
    CA,
    CONFIG,
    INSTALLING,
    PENDING,
    PROGRAM,
    UNIT,
    UNIT_NAME,
    unit,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import CA_CERTIFICATE
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

NAME = "api.kubernetes.internal"
PLANES = ["192.0.2.11", "192.0.2.12", "192.0.2.9"]
ONE = Endpoint(NAME, 6443, "", PLANES[:1])
WORKER = Endpoint(NAME, 6443, "", PLANES)
PLANE = Endpoint(NAME, 6443, "192.0.2.12", PLANES)
COPY = "# Kubernetes-managed hosts file (host network).\n"


def actions(machine: Machine, endpoint: Endpoint) -> list[str]:
    steps = component.plan(observe(machine), EndpointOptions(), endpoint)
    return [f"{step.action} {step.target}" for step in steps]


def run(machine: Machine, endpoint: Endpoint) -> None:
    for step in component.plan(observe(machine), EndpointOptions(), endpoint):
        component.apply(step, machine)


def with_systemd(machine: Machine) -> None:
    """A machine with haproxy whose systemd remembers what it was told."""
    machine.put(PROGRAM, mode=0o755)
    machine.answer([PROGRAM])
    for verb, question, answer in (("start", "is-active", "active"), ("enable", "is-enabled", "enabled")):
        machine.answer(["systemctl", question, UNIT_NAME], "unknown\n", 3)

        def done(argv: object, stdin: object, question: str = question, answer: str = answer) -> Result:
            machine.answer(["systemctl", question, UNIT_NAME], answer + "\n")
            return Result(0)

        machine.answer(["systemctl", verb, UNIT_NAME], done)
    for verb in ("daemon-reload", "reload", "restart", "disable", "reset-failed"):
        machine.answer(["systemctl", verb])


# -- names and files


@pytest.mark.parametrize(
    ("cluster", "name"),
    [
        ("", NAME),
        ("home", "api.home.internal"),
        ("Home Lab_2", "api.home-lab-2.internal"),
        ("--", NAME),
        ("x" * 90, "api.{}.internal".format("x" * 63)),
    ],
)
def test_the_name_is_a_dns_name_of_the_clusters(cluster: str, name: str) -> None:
    assert hosts_file.endpoint_name(cluster) == name
    assert hosts_file.is_endpoint_name(name)


@pytest.mark.parametrize(
    "name", ["k8s.example.org", "api..internal", "api.a b.internal", "api.a.internal\n", "api.A.internal"]
)
def test_other_names_are_not_derived(name: str) -> None:
    assert not hosts_file.is_endpoint_name(name)


@pytest.mark.parametrize(
    "text", ["", "127.0.0.1 localhost\n", "127.0.0.1 localhost", "a\r\n\r\nb\r\n", "a\x0b\x0cb\n\n"]
)
def test_a_block_is_written_changed_and_removed_without_a_trace(text: str) -> None:
    first = hosts_file.with_block(text, ONE.lines)
    assert first.startswith(text) and hosts_file.block(first) == [f"192.0.2.11 {NAME}"]
    assert hosts_file.knows(first, NAME) and not hosts_file.knows(text, NAME)
    second = hosts_file.with_block(first, PLANE.lines)
    assert hosts_file.block(second) == [f"192.0.2.12 {NAME}", f"192.0.2.11 {NAME}", f"192.0.2.9 {NAME}"]
    assert hosts_file.with_block(second, ONE.lines) == first
    assert hosts_file.with_block(second, []) == text
    assert hosts_file.with_block(text, []) == text


def test_a_block_stays_where_the_user_moved_it_and_a_torn_one_is_repaired() -> None:
    text = f"{BEGIN}\nold\n{END}\nuser\n"
    assert hosts_file.with_block(text, ["new"]) == f"{BEGIN}\nnew\n{END}\nuser\n"
    assert hosts_file.with_block(f"{BEGIN}\nuser\n", ["new"]) == f"{BEGIN}\nnew\n{END}\nuser\n"


def test_a_commented_name_is_not_known() -> None:
    assert not hosts_file.knows(f"# 192.0.2.1 {NAME}\n192.0.2.1 other # {NAME}\n", NAME)


# -- what a node gets


def test_a_control_plane_tries_itself_first_and_a_worker_its_proxy() -> None:
    assert [line.split()[0] for line in PLANE.lines] == ["192.0.2.12", "192.0.2.11", "192.0.2.9"]
    assert WORKER.lines == [f"127.0.0.1 {NAME}"] and WORKER.proxied
    assert ONE.lines == [f"192.0.2.11 {NAME}"] and not ONE.proxied and not PLANE.proxied
    assert Endpoint().lines == []


def test_with_ipv6_alone_the_proxy_listens_there() -> None:
    six = Endpoint(NAME, 6443, "", ["2001:db8::b", "2001:db8::a"])
    assert six.lines == [f"::1 {NAME}"]
    assert "    bind [::1]:6443\n" in six.config()
    assert "    server 2001:db8::a [2001:db8::a]:6443 check " in six.config()


def test_the_configuration_is_the_same_in_any_order_of_the_control_planes() -> None:
    assert WORKER.config() == replace(WORKER, control_planes=PLANES[::-1]).config()
    places = [line.split()[2] for line in WORKER.config().splitlines() if line.startswith("    server ")]
    assert places == ["192.0.2.9:6443", "192.0.2.11:6443", "192.0.2.12:6443"] * 2


@pytest.mark.parametrize(
    "wrong",
    [
        replace(ONE, name="evil.example.org"),
        replace(ONE, control_planes=[]),
        replace(ONE, control_planes=["192.0.2.1\n0.0.0.0 pkgs.k8s.io"]),
        replace(ONE, own="192.0.2.77"),
        replace(ONE, port=0),
    ],
)
def test_what_no_plan_contains_is_not_written(machine: Machine, wrong: Endpoint) -> None:
    with pytest.raises(OptionError):
        component.plan(observe(machine), EndpointOptions(), wrong)


# -- one node


def test_a_worker_of_one_control_plane_has_a_line_and_nothing_else(machine: Machine) -> None:
    machine.put(HOSTS, "127.0.0.1 localhost\n", mode=0o640)
    assert actions(machine, ONE) == [f"write_hosts {HOSTS}"]
    run(machine, ONE)
    assert actions(machine, ONE) == []
    assert machine.ran == [] and machine.mode(HOSTS) == 0o640
    assert machine.names("/etc") == ["hosts"]
    run(machine, Endpoint())
    assert machine.read(HOSTS) == "127.0.0.1 localhost\n"


def test_the_order_of_the_other_control_planes_does_not_matter() -> None:
    state = EndpointState({HOSTS: PLANE.lines})
    other = replace(PLANE, control_planes=PLANES[::-1])
    assert other.lines != PLANE.lines and component.plan(state, EndpointOptions(), other) == []
    assert component.plan(state, EndpointOptions(), replace(PLANE, own="192.0.2.9")) != []


def test_one_control_plane_becomes_three_and_one_again(machine: Machine) -> None:
    machine.put(HOSTS, "127.0.0.1 localhost\n")
    with_systemd(machine)
    run(machine, ONE)
    assert actions(machine, WORKER) == [
        f"write_config {CONFIG}",
        f"write_unit {UNIT}",
        f"enable {UNIT_NAME}",
        f"start {UNIT_NAME}",
        f"write_hosts {HOSTS}",
    ]
    run(machine, WORKER)
    assert actions(machine, WORKER) == []
    assert (machine.read(CONFIG), machine.read(UNIT)) == (WORKER.config(), unit())
    two = replace(WORKER, control_planes=PLANES[:2])
    assert actions(machine, two) == [f"write_config {CONFIG}", f"reload {UNIT_NAME}"]
    # The name leads to a control plane before the proxy goes.
    assert actions(machine, ONE) == [
        f"write_hosts {HOSTS}",
        f"remove_unit {UNIT_NAME}",
        "remove /etc/kubestead/api-endpoint",
    ]
    run(machine, ONE)
    assert actions(machine, ONE) == [] and machine.names("/etc/systemd/system") == []


DEBIAN = "ID=debian\nVERSION_ID=12\n"
LISTS = "/var/lib/apt/lists/deb.example.org_debian_dists_bookworm_main_binary-amd64_Packages"
OFFER = """haproxy:
  Installed: (none)
  Candidate: {}
  Version table:
     2.6.12-1+deb12u2 500
        500 http://deb.example.org/debian bookworm/main amd64 Packages
"""


@pytest.mark.parametrize(
    ("policy", "absent"),
    [
        (OFFER.format("2.6.12-1+deb12u2"), ""),
        (OFFER.format("(none)"), "an apt pin forbids it"),
        ("", "the apt package lists do not have it"),
    ],
)
def test_a_machine_without_haproxy_looks_for_its_package(machine: Machine, policy: str, absent: str) -> None:
    machine.put("/etc/os-release", DEBIAN)
    machine.put(LISTS)
    machine.answer("dpkg-query", rc=1)
    machine.answer("apt-cache", policy)
    assert observe(machine, proxied=True).absent == absent
    machine.ran.clear()
    assert observe(machine).absent == "" and machine.ran == []
    machine.put(PROGRAM, mode=0o755)
    assert observe(machine, proxied=True).absent == "" and machine.ran == []


def test_without_lists_of_apt_nothing_is_said_of_the_package(machine: Machine) -> None:
    machine.put("/etc/os-release", DEBIAN)
    machine.answer("dpkg-query", rc=1)
    assert observe(machine, proxied=True).absent == ""


def test_a_missing_haproxy_is_installed_first(machine: Machine) -> None:
    assert actions(machine, WORKER)[0] == "install haproxy"


def with_apt(machine: Machine, package: str, program: str) -> None:
    """A machine whose apt installs one package, and whose test decides how that ends."""
    machine.put("/etc/os-release", DEBIAN)
    machine.put(LISTS)
    machine.answer("dpkg-query", rc=1)
    machine.answer("apt-cache", OFFER.format("2.6.12-1+deb12u2").replace("haproxy", package))

    def killed(argv: object, stdin: object) -> Result:
        machine.put(program, mode=0o755)
        machine.answer("dpkg-query", f"{package}\t2.6.12-1+deb12u2\tamd64\tinstalled\tinstall\t\n")
        raise KeyboardInterrupt

    machine.answer("apt-get", killed)


@pytest.mark.parametrize("killed_by", ["apt-get", "systemctl disable --now haproxy.service"])
def test_the_service_of_a_package_whose_installation_was_killed_is_disabled(machine: Machine, killed_by: str) -> None:
    with_systemd(machine)
    machine.remove(PROGRAM)
    with_apt(machine, "haproxy", PROGRAM)
    with pytest.raises(KeyboardInterrupt):
        run(machine, WORKER)
    if killed_by != "apt-get":

        def killed(argv: object, stdin: object) -> Result:
            raise KeyboardInterrupt

        machine.answer(killed_by, killed)
        with pytest.raises(KeyboardInterrupt):
            run(machine, WORKER)
        machine.answer(killed_by)
    stop = ["systemctl", "disable", "--now", "haproxy.service"]
    machine.ran.clear()
    assert actions(machine, WORKER)[0] == "install haproxy"
    # The control planes that are left may need no proxy.
    assert actions(machine, ONE)[1:] == ["disable_package haproxy.service", "remove /etc/kubestead/api-endpoint"]
    run(machine, WORKER)
    assert stop in machine.ran and actions(machine, WORKER) == []
    # Later, the service of the package is that of the user.
    machine.ran.clear()
    run(machine, ONE)
    assert stop not in machine.ran


def test_a_node_that_needs_no_proxy_any_more_disables_the_service_of_a_killed_installation(machine: Machine) -> None:
    with_systemd(machine)
    machine.remove(PROGRAM)
    with_apt(machine, "haproxy", PROGRAM)
    with pytest.raises(KeyboardInterrupt):
        run(machine, WORKER)
    run(machine, ONE)
    assert ["systemctl", "disable", "--now", "haproxy.service"] in machine.ran
    assert actions(machine, ONE) == [] and machine.names("/etc/kubestead") == []


def test_a_package_that_apt_refuses_leaves_its_service_to_the_user(machine: Machine) -> None:
    with_systemd(machine)
    machine.remove(PROGRAM)
    with_apt(machine, "haproxy", PROGRAM)
    machine.answer("apt-get", rc=100, stderr="E: Package 'haproxy' has no installation candidate\n")
    with pytest.raises(KubesteadError) as caught:
        run(machine, WORKER)
    assert caught.value.message == (
        "haproxy can't be installed: apt-get install failed: package haproxy has no candidate; a pin forbids it "
        "(apt-cache policy haproxy), or no repository has it"
    )
    assert caught.value.details["rc"] == 100
    machine.put(PROGRAM, mode=0o755)
    assert "install haproxy" not in actions(machine, WORKER)
    run(machine, WORKER)
    assert ["systemctl", "disable", "--now", "haproxy.service"] not in machine.ran


def failing(machine: Machine, status: str = "") -> None:
    """apt fails, and leaves the package in this state of dpkg; empty for a package that is not there."""

    def fail(argv: object, stdin: object) -> Result:
        if status:
            machine.put(PROGRAM, mode=0o755)
            machine.answer("dpkg-query", f"haproxy\t2.6.12-1+deb12u2\tamd64\t{status}\tinstall\t\n")
        text = "dpkg: error processing package haproxy (--configure):\n installed haproxy package post-installation "
        return Result(100, "", text + "script subprocess returned error exit status 1\n")

    machine.answer("apt-get", fail)


STOP = ["systemctl", "disable", "--now", "haproxy.service"]


@pytest.mark.parametrize("wanted", [WORKER, ONE])
def test_the_service_of_a_package_that_apt_did_not_finish_is_disabled_by_the_next_run(
    machine: Machine, wanted: Endpoint
) -> None:
    with_systemd(machine)
    machine.remove(PROGRAM)
    with_apt(machine, "haproxy", PROGRAM)
    failing(machine, "half-configured")
    for _run in range(2):
        with pytest.raises(KubesteadError, match="^haproxy can't be installed: apt-get install failed: dpkg: error"):
            run(machine, WORKER)
        assert machine.exists(INSTALLING) and STOP not in machine.ran
    machine.answer("apt-get")
    machine.answer("dpkg-query", "haproxy\t2.6.12-1+deb12u2\tamd64\tinstalled\tinstall\t\n")
    run(machine, wanted)
    assert STOP in machine.ran and not machine.exists(INSTALLING) and actions(machine, wanted) == []


@pytest.mark.parametrize("refused_by", ["apt-get", "the lists of apt"])
def test_a_killed_installation_that_fails_before_the_package_is_there_is_forgotten(
    machine: Machine, refused_by: str
) -> None:
    """The user may install haproxy afterwards, and its service is then that of the user."""
    with_systemd(machine)
    machine.remove(PROGRAM)
    with_apt(machine, "haproxy", PROGRAM)
    machine.put(INSTALLING)
    failing(machine)
    if refused_by != "apt-get":
        machine.answer("apt-cache", "")
    with pytest.raises(KubesteadError, match="^haproxy can't be installed: "):
        run(machine, WORKER)
    assert not machine.exists(INSTALLING)


def test_a_package_whose_installation_the_user_has_started_keeps_its_service(machine: Machine) -> None:
    with_systemd(machine)
    machine.remove(PROGRAM)
    with_apt(machine, "haproxy", PROGRAM)
    machine.answer("dpkg-query", "haproxy\t2.6.12-1+deb12u2\tamd64\thalf-installed\tinstall\t\n")

    def finish(argv: object, stdin: object) -> Result:
        machine.put(PROGRAM, mode=0o755)
        return Result(0, "", "")

    machine.answer("apt-get", finish)
    run(machine, WORKER)
    assert STOP not in machine.ran and actions(machine, WORKER) == []


def test_a_proxy_that_was_not_reloaded_before_a_run_was_killed_is_reloaded(machine: Machine) -> None:
    with_systemd(machine)
    run(machine, WORKER)
    machine.put(PENDING)
    assert actions(machine, WORKER) == [f"reload {UNIT_NAME}"]
    run(machine, WORKER)
    assert actions(machine, WORKER) == []


@pytest.mark.parametrize("killed_by", ["daemon-reload", "restart"])
def test_a_unit_that_systemd_has_not_read_before_a_run_was_killed_is_applied(machine: Machine, killed_by: str) -> None:
    with_systemd(machine)
    run(machine, WORKER)
    machine.put(UNIT, "of an older version")

    def killed(argv: object, stdin: object) -> Result:
        raise KeyboardInterrupt

    machine.answer(["systemctl", killed_by, *([UNIT_NAME] if killed_by == "restart" else [])], killed)
    with pytest.raises(KeyboardInterrupt):
        run(machine, WORKER)
    assert machine.read(UNIT) == unit()
    for words in (["systemctl", "daemon-reload"], ["systemctl", "restart", UNIT_NAME]):
        machine.answer(words)
    machine.ran.clear()
    assert actions(machine, WORKER) == [f"write_unit {UNIT}", f"restart {UNIT_NAME}"]
    run(machine, WORKER)
    done = [argv[1] for argv in machine.ran if argv[0] == "systemctl" and argv[1] in ("daemon-reload", "restart")]
    assert done == ["daemon-reload", "restart"]
    assert actions(machine, WORKER) == [] and machine.names("/etc/kubestead/api-endpoint") == ["haproxy.cfg"]


def test_a_worker_accepts_only_api_servers_of_its_own_cluster_once_it_has_joined(machine: Machine) -> None:
    with_systemd(machine)
    run(machine, WORKER)
    assert (machine.read(CONFIG) or "").count(" check check-ssl verify none ") == len(PLANES)
    proxy.after_join(machine)
    assert machine.read(CA) is None
    machine.put(CA_CERTIFICATE, "the CA")
    machine.ran.clear()
    proxy.after_join(machine)
    assert machine.read(CA) == "the CA"
    config = machine.read(CONFIG) or ""
    assert config.count(f" check check-ssl verify required ca-file {CA} ") == len(PLANES)
    assert "verify none" not in config
    assert ["systemctl", "reload", UNIT_NAME] in machine.ran
    # The plan wants the same, so a second run has nothing to do.
    assert actions(machine, WORKER) == []
    machine.ran.clear()
    proxy.after_join(machine)
    assert not [argv for argv in machine.ran if "reload" in argv]


@pytest.mark.parametrize("copy", [None, "the CA of another cluster"])
def test_a_worker_whose_join_was_killed_before_its_proxy_had_the_ca_gets_it(machine: Machine, copy: str | None) -> None:
    with_systemd(machine)
    run(machine, WORKER)
    if copy:
        machine.put(CA, copy)
    machine.put(CA_CERTIFICATE, "the CA")
    assert actions(machine, WORKER) == [f"write_ca {CA}", f"write_config {CONFIG}", f"reload {UNIT_NAME}"]
    run(machine, WORKER)
    assert machine.read(CA) == "the CA" and actions(machine, WORKER) == []
    machine.put(CA_CERTIFICATE, "the renewed CA")
    assert actions(machine, WORKER) == [f"write_ca {CA}", f"reload {UNIT_NAME}"]


def test_a_node_without_a_proxy_gets_nothing_after_its_join(machine: Machine) -> None:
    machine.put(CA_CERTIFICATE, "the CA")
    proxy.after_join(machine)
    assert machine.ran == [] and not machine.exists("/etc/kubestead")


def test_a_configuration_that_haproxy_refuses_replaces_nothing(machine: Machine) -> None:
    with_systemd(machine)
    machine.put(CONFIG, "old")
    machine.answer([PROGRAM, "-c"], rc=1, stderr="[ALERT] (1) : config : unknown keyword 'observe'")
    with pytest.raises(KubesteadError, match="haproxy refuses .*unknown keyword 'observe'"):
        run(machine, WORKER)
    assert machine.read(CONFIG) == "old" and machine.names("/etc/kubestead/api-endpoint") == ["haproxy.cfg"]


def test_a_proxy_that_does_not_start_says_why(machine: Machine) -> None:
    with_systemd(machine)
    machine.answer(["systemctl", "start", UNIT_NAME], rc=1, stderr="Job for the unit failed.")
    machine.answer(["journalctl"], "Starting\n[ALERT] cannot bind socket (Address already in use) [127.0.0.1:6443]\n")
    with pytest.raises(KubesteadError, match=r"does not start: \[ALERT\] cannot bind socket .*in use"):
        run(machine, WORKER)
    assert machine.read(HOSTS) is None


# -- copies of the hosts file


def test_pods_in_the_network_of_the_host_get_the_block_in_place(machine: Machine) -> None:
    copy, other = "/var/lib/kubelet/pods/a/etc-hosts", "/var/lib/kubelet/pods/b/etc-hosts"
    machine.put(HOSTS, "127.0.0.1 localhost\n")
    machine.put(copy, COPY + hosts_file.with_block("127.0.0.1 localhost\n", PLANE.lines))
    machine.put(other, "# Kubernetes-managed hosts file.\n10.244.0.3 pod\n")
    before = os.stat(machine.path(copy)).st_ino
    assert actions(machine, ONE) == [f"write_hosts {HOSTS}", "write_copies /var/lib/kubelet/pods"]
    run(machine, ONE)
    # A container has this file mounted, not whatever has its name.
    assert os.stat(machine.path(copy)).st_ino == before
    assert machine.read(copy) == COPY + str(machine.read(HOSTS))
    assert machine.read(other) == "# Kubernetes-managed hosts file.\n10.244.0.3 pod\n"
    assert actions(machine, ONE) == []


def test_a_run_that_was_killed_between_the_files_is_completed(machine: Machine) -> None:
    copy = "/var/lib/kubelet/pods/a/etc-hosts"
    machine.put(copy, COPY)
    machine.put(HOSTS, hosts_file.with_block("", ONE.lines))
    (step,) = component.plan(observe(machine), EndpointOptions(), ONE)
    os.unlink(machine.path(copy))
    # The pod has ended since.
    component.apply(step, machine)
    assert not Path(machine.path(copy)).exists()


def test_the_template_that_cloud_init_makes_the_file_of_has_the_block_too(machine: Machine) -> None:
    template = "/etc/cloud/templates/hosts.debian.tmpl"
    text = (
        f"# Your system has configured 'manage_etc_hosts' as True.\n# make changes to the master file in {template}\n"
    )
    machine.put(HOSTS, text)
    assert actions(machine, ONE) == [f"write_hosts {HOSTS}"]
    machine.put(template, "## template:jinja\n127.0.1.1 {{fqdn}}\n")
    run(machine, ONE)
    assert machine.read(template) == hosts_file.with_block("## template:jinja\n127.0.1.1 {{fqdn}}\n", ONE.lines)
    assert actions(machine, ONE) == []


def test_a_linked_hosts_file_stays_a_link(machine: Machine) -> None:
    machine.put("/etc/real-hosts", "127.0.0.1 localhost\n")
    os.symlink("real-hosts", machine.path(HOSTS))
    run(machine, ONE)
    assert os.path.islink(machine.path(HOSTS))
    assert hosts_file.block(machine.read("/etc/real-hosts") or "") == ONE.lines


def test_the_control_planes_that_a_node_finds_are_those_in_its_file_or_behind_its_proxy() -> None:
    def state(endpoint: Endpoint) -> EndpointState:
        return EndpointState({HOSTS: endpoint.lines}, config=endpoint.config() if endpoint.proxied else None)

    assert EndpointState().control_planes == [] and state(ONE).control_planes == PLANES[:1]
    assert sorted(state(WORKER).control_planes) == sorted(PLANES)
    six = Endpoint(NAME, 6443, "", ["fd00::1", "fd00::2"])
    assert state(six).control_planes == ["fd00::1", "fd00::2"]


def test_a_host_can_not_fill_the_screen_with_its_hosts_file() -> None:
    state = EndpointState({HOSTS: ["x" * 100_000] * 1000})
    (step,) = component.plan(state, EndpointOptions(), ONE)
    assert len(step.summary()) < 2000 and "and others" in step.reason
