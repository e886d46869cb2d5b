# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Package transactions with apt and dnf: what is looked at, planned and run."""

from __future__ import annotations

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import poll
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import CommandError, KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.host import os_release
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import manager as packages
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import transaction
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.manager import Package, PackagesState, Wanted
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

DEBIAN = 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
ROCKY = 'ID="rocky"\nID_LIKE="rhel centos fedora"\nPRETTY_NAME="Rocky Linux 9.6 (Blue Onyx)"\n'
LIST = "/var/lib/apt/lists/mirror.example.org_debian_dists_bookworm_main_binary-amd64_Packages"


@pytest.fixture
def debian(machine: Machine) -> Machine:
    machine.put("/etc/os-release", DEBIAN)
    return machine


@pytest.fixture
def no_pause(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waiting costs no time; the pauses are noted."""
    pauses: list[float] = []
    now = [0.0]

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    monkeypatch.setattr(poll.time, "sleep", sleep)
    monkeypatch.setattr(poll.time, "monotonic", lambda: now[0])
    return pauses


def actions(steps: list) -> list[str]:
    return [step.action for step in steps]


# -- looking


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        (DEBIAN, "apt"),
        ("ID=ubuntu\nID_LIKE=debian\n", "apt"),
        ("ID=linuxmint\nID_LIKE='ubuntu debian'\n", "apt"),
        (ROCKY, "dnf"),
        ("ID=fedora\n", "dnf"),
        ("ID=arch\n", ""),
        ("", ""),
    ],
)
def test_manager_comes_from_os_release(machine: Machine, release: str, expected: str) -> None:
    machine.put("/etc/os-release", release)
    assert os_release.read(machine).package_manager == expected


def test_unknown_system_is_one_line(machine: Machine) -> None:
    machine.put("/etc/os-release", 'ID=arch\nPRETTY_NAME="Arch Linux"\n')
    with pytest.raises(KubesteadError, match="^Arch Linux is not supported; use Debian"):
        packages.observe(machine, [Wanted("ipset")])


def test_dpkg_answers_become_packages() -> None:
    found = packages.parse_dpkg(fixture("kube_packages/dpkg-query-1.30.0.txt"))
    assert sorted(found) == ["cri-tools", "dpkg", "kubeadm", "kubectl", "kubelet", "kubernetes-cni"]
    assert found["kubelet"].held and found["kubelet"].complete
    assert "cri-tools (>= 1.28.0)" in found["kubeadm"].depends
    assert not found["dpkg"].held


def test_half_configured_is_not_complete_and_removed_is_not_there() -> None:
    text = fixture("packages/dpkg-query-half.txt") + "gone\t1.2\tall\tconfig-files\tdeinstall\t\n"
    found = packages.parse_dpkg(text)
    assert list(found) == ["half"]
    assert not found["half"].complete


def test_rpm_answers_become_packages() -> None:
    found = packages.parse_rpm(fixture("kube_packages/rpm-q-1.36.2.txt"), ["kubectl"])
    assert found["kubelet"] == Package(
        "kubelet",
        "1.36.2-150500.1.1",
        "x86_64",
        depends="conntrack-tools, kubernetes-cni, rpmlib(CompressedFileNames), rpmlib(FileDigests), "
        "rpmlib(PayloadFilesHavePrefix)",
    )
    assert "cri-tools" not in found
    assert found["kubectl"].held and not found["kubelet"].held


def test_version_locks() -> None:
    text = "# kept\nkubelet-0:1.36.1-150500.1.1.*\nkubernetes-cni-1.8.0-150500.1.1.x86_64\n!kernel-0:5.1-1.*\n"
    assert packages.versionlocks(text) == ["kubelet", "kubernetes-cni"]


def test_lists_are_empty_when_only_one_repository_is_there(debian: Machine) -> None:
    assert packages.lists_empty(debian)
    debian.put("/var/lib/apt/lists/lock")
    debian.put("/var/lib/apt/lists/pkgs.k8s.io_core:_stable:_v1.36_deb_Packages")
    assert not packages.lists_empty(debian)
    assert packages.lists_empty(debian, "pkgs.k8s.io_core:_stable:_v1.36_deb_")
    debian.put(LIST + ".lz4")
    assert not packages.lists_empty(debian, "pkgs.k8s.io_core:_stable:_v1.36_deb_")


def test_policy_names_candidate_first_and_no_version_that_no_source_has() -> None:
    text = fixture("packages/apt-cache-policy.txt")
    assert packages.parse_policy(text) == {
        "kubelet": ["1.36.10-1.1", "1.36.2-1.1", "1.36.1-1.1", "1.36.0-1.1"],
        "ipvsadm": ["1:1.31-1+b1"],
    }
    only_installed = (
        "own:\n  Installed: 1\n  Candidate: 1\n  Version table:\n *** 1 100\n        100 /var/lib/dpkg/status\n"
    )
    assert packages.parse_policy(only_installed) == {}


def test_observation_runs_nothing_more_when_all_is_there(debian: Machine) -> None:
    debian.put(LIST)
    debian.answer("dpkg-query", fixture("kube_packages/dpkg-query-1.36.10.txt"))
    state = packages.observe(debian, [Wanted("kubelet"), Wanted("kubectl", "1.36.*")])
    assert [argv[0] for argv in debian.ran] == ["dpkg-query"]
    assert packages.plan(state, [Wanted("kubelet"), Wanted("kubectl", "1.36.*")]) == []
    assert from_dict(PackagesState, to_dict(state)) == state


# -- versions


def test_versions_sort_as_dpkg_sorts_them() -> None:
    # the order is what `dpkg --compare-versions` says
    ordered = ["0-0", "1.0~rc1-1", "1.0", "1.0-1~bpo", "1.0-1", "1.0-1+deb12u1", "1.0a", "1.0+b1", "1.0.1",
               "1.36.0~alpha.1-1.1", "1.36.1-1.1", "1.36.2-1.1", "1.36.2-2.1", "1.36.10-1.1", "2", "1:0.9"]  # fmt: skip
    assert sorted(reversed(ordered), key=packages.version_key) == ordered


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        ("1:1.4.7-1+b2", "", True),
        ("1:1.4.7-1+b2", "1:1.4.7-1+b2", True),
        ("1:1.4.7-1+b2", "1.4.7-1+b2", True),
        ("1:1.4.7-1+b2", "1.4.7", True),
        ("1:1.4.7-1+b2", "1.4.*", True),
        ("1:1.4.7-1+b2", "1.4", False),
        ("1.36.10-1.1", "1.36.1*", True),
        ("1.36.10-1.1", "1.36.1", False),
    ],
)
def test_fitting_versions(version: str, wanted: str, expected: bool) -> None:
    assert packages.fits(version, wanted) is expected


# -- deciding


def test_bare_host_updates_then_installs_once_then_holds() -> None:
    state = PackagesState("apt", lists_empty=True)
    steps = packages.plan(state, [Wanted("ipset"), Wanted("nfs-common", "1:2.6*")], hold=True)
    assert actions(steps) == ["update_index", "install", "hold"]
    assert steps[1].target == "ipset nfs-common"
    assert steps[1].reason == "ipset not installed, nfs-common not installed -> 1:2.6*"
    assert steps[1].data["specs"] == ["ipset", "nfs-common=1:2.6*"]


def test_lists_that_are_there_tell_version_and_absence() -> None:
    state = PackagesState("apt", offers={"ipset": ["7.17-1"]}, offers_known=True)
    (step,) = packages.plan(state, [Wanted("ipset")])
    assert step.reason == "not installed -> 7.17-1"
    assert step.data["specs"] == ["ipset"]
    with pytest.raises(KubesteadError, match="^package nosuch is not in any repository of the host; check the name"):
        packages.plan(state, [Wanted("ipset"), Wanted("nosuch")])
    with pytest.raises(KubesteadError, match="^package ipset=9 is not in any"):
        packages.plan(state, [Wanted("ipset", "9")])


def test_older_version_is_picked_from_the_lists() -> None:
    present = {"kubelet": Package("kubelet", "1.36.10-1.1", held=True)}
    state = PackagesState("apt", present, offers={"kubelet": ["1.36.10-1.1", "1.36.2-1.1"]}, offers_known=True)
    (step,) = packages.plan(state, [Wanted("kubelet", "1.36.2")])
    assert step.reason == "1.36.10-1.1 -> 1.36.2-1.1"
    assert step.data["specs"] == ["kubelet=1.36.2-1.1"]
    assert step.data["held"] == ["kubelet"]
    assert (step.before, step.after) == ("kubelet 1.36.10-1.1\n", "kubelet 1.36.2-1.1\n")


def test_interrupted_dpkg_is_finished_only_when_there_is_something_to_install() -> None:
    half = {"half": Package("half", "1", complete=False)}
    steps = packages.plan(PackagesState("apt", half, interrupted=True, offers_known=True), [Wanted("half")])
    assert actions(steps) == ["finish", "install"]
    assert steps[1].reason == "partially installed"
    whole = {"half": Package("half", "1")}
    assert packages.plan(PackagesState("apt", whole, interrupted=True), [Wanted("half")]) == []


def test_holds_follow_what_is_asked() -> None:
    present = {"a": Package("a", "1", held=True), "b": Package("b", "1")}
    state = PackagesState("apt", present)
    both = [Wanted("a"), Wanted("b")]
    assert packages.plan(state, both) == []
    (step,) = packages.plan(state, both, hold=True)
    assert (step.action, step.target) == ("hold", "b")
    (step,) = packages.plan(state, both, hold=False)
    assert (step.action, step.target) == ("release", "a")


def test_dnf_names_versions_with_a_dash() -> None:
    (step,) = packages.plan(PackagesState("dnf"), [Wanted("kubelet", "1.36.1")])
    assert step.data["specs"] == ["kubelet-1.36.1"]


# -- doing


def run_steps(machine: Machine, steps: list) -> list[str]:
    for step in steps:
        transaction.apply(step, machine)
    return [" ".join(word for word in argv if not word.startswith(("-", "D"))) for argv in machine.ran]


def test_apt_runs_without_questions(debian: Machine) -> None:
    seen = []
    debian.answer("apt-get", lambda argv, stdin: seen.append((argv, stdin)) or Result(0))
    transaction.install(debian, "apt", ["ipset", "kubelet=1.36.1-1.1"])
    ((argv, _stdin),) = seen
    assert argv[-3:] == ["install", "ipset", "kubelet=1.36.1-1.1"]
    assert {"-y", "--no-install-recommends", "--allow-downgrades", "--allow-change-held-packages"} <= set(argv)
    assert "Dpkg::Options::=--force-confold" in argv
    assert "DPkg::Lock::Timeout=600" in argv


def test_one_source_is_updated_alone(debian: Machine) -> None:
    debian.answer("apt-get")
    transaction.update_index(debian, "/etc/apt/sources.list.d/kubernetes.sources")
    (argv,) = debian.ran
    assert "Dir::Etc::SourceList=/etc/apt/sources.list.d/kubernetes.sources" in argv
    assert "APT::Get::List-Cleanup=0" in argv
    assert argv[-1] == "update"


def test_apt_is_asked_again_while_the_lists_are_locked(debian: Machine, no_pause: list[float]) -> None:
    answers = [Result(100, "", fixture("packages/apt-locked-lists.txt"))] * 3 + [Result(0)]
    debian.answer("apt-get", lambda argv, stdin: answers.pop(0))
    transaction.update_index(debian, "/x.sources")
    assert len(debian.ran) == 4 and len(no_pause) == 3


def test_a_lock_that_stays_is_named_after_ten_minutes(debian: Machine, no_pause: list[float]) -> None:
    debian.answer("apt-get", Result(100, "", fixture("packages/apt-locked-dpkg.txt")))
    with pytest.raises(CommandError, match="^apt-get install failed: Could not get lock .*held by process"):
        transaction.install(debian, "apt", ["ipset"])
    assert 600 <= sum(no_pause) <= 604


def test_old_lists_are_fetched_anew_once(debian: Machine) -> None:
    debian.put(LIST)
    unmet = Result(100, fixture("packages/apt-unmet.txt"), "")
    answers = [unmet, Result(0), Result(0)]
    debian.answer("apt-get", lambda argv, stdin: answers.pop(0))
    transaction.install(debian, "apt", ["ipset"])
    assert [argv[-1] for argv in debian.ran] == ["ipset", "update", "ipset"]

    debian.ran.clear()
    debian.answer("apt-get", lambda argv, stdin: Result(0) if argv[-1] == "update" else unmet)
    with pytest.raises(CommandError, match=r"half : Depends: nosuchdep \(>= 2\) but it is not installable"):
        transaction.install(debian, "apt", ["ipset"])
    assert [argv[-1] for argv in debian.ran] == ["ipset", "update", "ipset"]


def test_full_update_goes_on_when_another_repository_is_broken(debian: Machine) -> None:
    debian.answer("apt-get", Result(100, "", fixture("packages/apt-no-key.txt")))
    with pytest.raises(CommandError):
        transaction.update_index(debian)
    debian.put(LIST)
    transaction.update_index(debian)
    with pytest.raises(CommandError, match="apt-get update failed: GPG error: .*NO_PUBKEY 69214DF3967BE767"):
        transaction.update_index(debian, "/x.sources")


def test_packages_held_before_are_held_again(debian: Machine) -> None:
    debian.answer("apt-get")
    debian.answer("apt-mark")
    transaction.install(debian, "apt", ["kubelet=1.36.2-1.1"], held=["kubelet"])
    assert debian.ran[-1] == ["apt-mark", "-q", "hold", "kubelet"]


def test_whole_plan_is_one_transaction(debian: Machine) -> None:
    for command in ("apt-get", "apt-mark", "dpkg"):
        debian.answer(command)
    steps = packages.plan(PackagesState("apt", lists_empty=True), [Wanted("a"), Wanted("b")], hold=True)
    assert run_steps(debian, steps) == [
        "apt-get update",
        "apt-get install a b",
        "apt-mark hold a b",
    ]


def test_dnf_transaction(machine: Machine) -> None:
    machine.answer("dnf")
    transaction.install(machine, "dnf", ["kubelet-1.36.1-150500.1.1"], options=["--setopt=disable_excludes=kubernetes"])
    (argv,) = machine.ran
    assert argv[0] == "dnf" and "-y" in argv
    assert argv[-2:] == ["install", "kubelet-1.36.1-150500.1.1"]
    assert argv.index("--setopt=disable_excludes=kubernetes") < argv.index("install")


def test_dnf_without_versionlock_says_what_to_install(machine: Machine) -> None:
    machine.answer("dnf", Result(1, "", "No such command: versionlock. Please use /usr/bin/dnf --help"))
    with pytest.raises(CommandError, match="install python3-dnf-plugin-versionlock"):
        transaction.set_hold(machine, "dnf", ["ipset"], True)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("apt-version-not-found", "kubelet=1.36.9-1.1 is not in the repository https://pkgs.example/"),
        ("apt-no-package", "package nosuchpkg is not in any repository of the host"),
        (
            "dpkg-overwrite",
            "dpkg: error processing archive /tmp/own.deb (--unpack): "
            "trying to overwrite '/usr/bin/kubectl', which is also in package kubectl 1.36.10-1.1",
        ),
        ("apt-unmet", "half : Depends: nosuchdep (>= 2) but it is not installable"),
        (
            "dpkg-postinst",
            "dpkg: error processing package half (--configure): "
            "installed half package post-installation script subprocess returned error exit status 3",
        ),
        (
            "apt-down",
            "Failed to fetch https://pkgs.k8s.io/core:/stable:/v1.36/deb/InRelease  "
            "Could not connect to pkgs.k8s.io:443 (192.0.2.9). - connect (113: No route to host)",
        ),
    ],
)
def test_the_cause_is_one_line(name: str, expected: str) -> None:
    text = fixture(f"packages/{name}.txt")
    assert transaction.cause(Result(100, text, ""), source="https://pkgs.example/") == expected
    assert transaction.cause(Result(100, "", text), source="https://pkgs.example/") == expected


def test_the_cause_of_other_ends() -> None:
    assert transaction.cause(Result(-9)) == "it was killed by signal 9; the next run finishes the transaction"
    assert transaction.cause(Result(5)) == "it exited with code 5 and printed nothing"
    assert "did not finish" in transaction.cause(Result(124, "Unpacking", "apt-get: did not finish within 9 seconds"))
    dnf = Result(1, "", "Error: Unable to find a match: kubelet-1.36.99\n")
    assert transaction.cause(dnf) == "kubelet-1.36.99 is not in any of the repositories"
    full = Result(100, "", "E: You don't have enough free space in /var/cache/apt/archives/.\n")
    assert transaction.cause(full).startswith("the disk is full (You don't have enough free space")


def test_commands_run_without_a_terminal(debian: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    environments = []
    monkeypatch.setattr(debian, "_run", lambda argv, stdin, timeout, env: environments.append(dict(env)) or Result(0))
    transaction.install(debian, "apt", ["ipset"])
    assert environments[0]["DEBIAN_FRONTEND"] == "noninteractive"
    assert environments[0]["LC_ALL"] == "C"
