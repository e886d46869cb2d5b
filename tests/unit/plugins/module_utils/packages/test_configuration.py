# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What administrators have apt and dnf do: proxies, pins, excludes, locks and sources that are switched off."""

from __future__ import annotations

import platform
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import observe as containerd
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd import plan as containerd_plan
from ansible_collections.kubestead.cluster.plugins.module_utils.containerd.options import ContainerdOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.core import poll
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import CommandError, KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import (
    apt_files,
    dnf_files,
    kube_observe,
    kube_plan,
    manager,
    repository,
    sources,
    transaction,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.kube_state import KubePackagesOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.manager import PackagesState, Wanted
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, Machine

URL = "https://pkgs.k8s.io/core:/stable:/v1.36/deb/"
CACHE = "http://cache.example:3142"

# -- proxies


@pytest.mark.parametrize(
    ("configured", "proxies"),
    [
        ("", {}),
        (f"http::Proxy={CACHE}", {"http": CACHE, "https": CACHE}),
        (f"http::Proxy={CACHE}\nhttps::Proxy=DIRECT", {"http": CACHE, "https": ""}),
        (f"http::Proxy={CACHE}\nhttps::Proxy=direct", {"http": CACHE, "https": ""}),
        (f"http::Proxy={CACHE}\nhttps::Proxy=false", {"http": CACHE, "https": ""}),
        (f"http::Proxy={CACHE}\nhttps::Proxy::pkgs.k8s.io=DIRECT", {"http": CACHE, "https": ""}),
        (f"http::Proxy={CACHE}\nhttp::Proxy::pkgs.k8s.io=DIRECT", {"http": "", "https": ""}),
        (f"http::Proxy={CACHE}\nhttp::Proxy::other.example=DIRECT", {"http": CACHE, "https": CACHE}),
        (f"https::Proxy=http://one:1\nhttp::Proxy::pkgs.k8s.io={CACHE}", {"http": CACHE, "https": CACHE}),
        ("http::Proxy=false", {"http": "", "https": ""}),
        (f"HTTP::proxy={CACHE}", {"http": CACHE, "https": CACHE}),
        (f"https::Proxy={CACHE}\nhttps::Timeout=5\nhttp::Pipeline-Depth=0", {"https": CACHE}),
    ],
)
def test_proxies_of_apt(machine: Machine, configured: str, proxies: dict[str, str]) -> None:
    machine.answer("apt-config", "".join(f"Acquire::{line}\n" for line in configured.splitlines()))
    assert repository.package_manager_proxies(machine, "apt", URL) == proxies


@pytest.mark.parametrize(
    ("answer", "proxy"),
    [
        (f"Using proxy '{CACHE}' for URL '{URL}'\n", CACHE),
        (f"Using proxy '' for URL '{URL}'\n", "http://fallback:3128"),
        (f"Using proxy 'DIRECT' for URL '{URL}'\n", ""),
    ],
)
def test_the_program_that_finds_apts_proxy_is_asked(machine: Machine, answer: str, proxy: str) -> None:
    machine.answer(
        "apt-config",
        "Acquire::http::Proxy=http://fallback:3128\nAcquire::http::Proxy-Auto-Detect=/usr/bin/auto-apt-proxy\n",
    )
    machine.answer("/usr/lib/apt/apt-helper auto-detect-proxy", answer)
    assert repository.package_manager_proxies(machine, "apt", URL)["https"] == proxy


@pytest.mark.parametrize(
    ("text", "proxies"),
    [
        ("", {}),
        ("[main]\nproxy=http://p:3128\n", {"http": "http://p:3128", "https": "http://p:3128"}),
        ("[main]\nproxy=_none_\n", {"http": "", "https": ""}),
        ("[main]\nproxy=\n", {"http": "", "https": ""}),
        ("[main]\n# proxy=http://p:3128\nProxy = http://q:1\n", {"http": "http://q:1", "https": "http://q:1"}),
        ("[main]\ngpgcheck=1\n[other]\nproxy=http://p:3128\n", {}),
        ("[main]\nproxy=http://p:3128\nproxy=http://q:1\n", {"http": "http://q:1", "https": "http://q:1"}),
    ],
)
def test_proxies_of_dnf(machine: Machine, text: str, proxies: dict[str, str]) -> None:
    machine.put("/etc/dnf/dnf.conf", text)
    assert repository.package_manager_proxies(machine, "dnf", URL) == proxies


def test_the_files_of_dnf_5_are_read_in_its_order(machine: Machine) -> None:
    def proxy() -> str | None:
        return repository.package_manager_proxies(machine, "dnf", URL).get("https")

    machine.put("/usr/share/dnf5/libdnf.conf.d/20-fedora.conf", "[main]\nproxy=http://a:1\n")
    assert proxy() == "http://a:1"
    machine.put("/etc/dnf/libdnf5.conf.d/10-own.conf", "[main]\nproxy=http://b:1\n")
    assert proxy() == "http://a:1"
    machine.put("/etc/dnf/libdnf5.conf.d/20-fedora.conf", "")
    assert proxy() == "http://b:1"
    # rpm keeps such a file; dnf does not read it.
    machine.put("/etc/dnf/libdnf5.conf.d/30-own.conf.rpmsave", "[main]\nproxy=http://c:1\nexcludepkgs=kubelet\n")
    machine.put("/etc/dnf/dnf.conf", "[main]\nexclude=kernel*\n")
    assert proxy() == "http://b:1"
    machine.put("/etc/dnf/dnf.conf", "[main]\nproxy=http://d:1\nexclude=kernel*\n")
    assert proxy() == "http://d:1"
    # Exclusions of all files count.
    machine.put("/etc/dnf/libdnf5.conf.d/40-hold.conf", "[main]\nexclude=kubeadm,\n kubectl\n")
    assert dnf_files.excluded(machine, ["kubelet", "kubeadm", "kubectl", "kernel"]) == ["kubeadm", "kubectl", "kernel"]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("docker.list", True),
        ("docker.sources", True),
        ("docker.list.save", False),
        ("docker.list.distUpgrade", False),
        ("docker@work.list", False),
        ("my docker.list", False),
        ("docker", False),
    ],
)
def test_files_that_apt_ignores_are_ignored(machine: Machine, name: str, read: bool) -> None:
    url = "https://docker.example.org/linux/debian"
    text = f"Types: deb\nURIs: {url}\nSuites: trixie\nComponents: stable\n"
    machine.put(f"/etc/apt/sources.list.d/{name}", text if name.endswith(".sources") else f"deb {url} trixie stable\n")
    assert apt_files.enabled_sources(machine) == ([url] if read else [])
    kube = "https://pkgs.example.org/kube/v1.30/deb/"
    machine.put(f"/etc/apt/sources.list.d/{name}", text.replace(url, kube) if "sources" in name else f"deb {kube} /\n")
    found = sources.clashes(machine, "apt", "https://pkgs.example.org/kube", kube.replace("30", "35"))
    assert [one.path.rpartition("/")[2] for one in found] == ([name] if read else [])


def test_no_proxy_of_the_package_manager_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    # Port 9 is the proxy's; without it the name itself is looked up.
    assert repository.fetcher({})("http://no-such-name.invalid/", "GET").error == "connection refused"
    assert repository.fetcher({"http": ""})("http://no-such-name.invalid/", "GET").error == "its name can't be resolved"


# -- pins and candidates

PINNED = """containerd.io:
  Installed: (none)
  Candidate: (none)
  Version table:
     2.1.4-1 -1
        500 https://download.docker.com/linux/debian trixie/stable amd64 Packages
containerd:
  Installed: (none)
  Candidate: 1.7.24~ds1-6
  Version table:
     1.7.24~ds1-6 500
        500 http://apt.example.org/debian trixie/main amd64 Packages
"""


def test_a_pinned_package_has_no_candidate_but_its_versions() -> None:
    assert manager.parse_policy(PINNED) == {"containerd.io": ["", "2.1.4-1"], "containerd": ["1.7.24~ds1-6"]}


def test_a_pinned_package_is_refused_unless_a_version_is_asked_for() -> None:
    state = PackagesState("apt", offers=manager.parse_policy(PINNED), offers_known=True)
    with pytest.raises(KubesteadError, match="package containerd.io is not in any repository"):
        manager.plan(state, [Wanted("containerd.io")])
    (step,) = manager.plan(state, [Wanted("containerd.io", "2.1.4*")])
    assert step.data["specs"] == ["containerd.io=2.1.4-1"]


DOCKER = "Types: deb\nURIs: https://download.docker.com/linux/debian\nSuites: trixie\nComponents: stable\n"


@pytest.mark.parametrize(
    ("files", "policy", "package"),
    [
        ({}, PINNED, "containerd"),
        ({"sources.list.d/docker.sources": DOCKER}, "", "containerd.io"),
        ({"sources.list.d/docker.sources": DOCKER + "Enabled: no\n"}, "", "containerd"),
        ({"sources.list.d/docker.sources": DOCKER + "enabled: False\n"}, "", "containerd"),
        ({"sources.list.d/docker.sources": DOCKER + "Enabled: yes\n"}, "", "containerd.io"),
        ({"sources.list.d/docker.sources": DOCKER.replace("deb\n", "deb-src\n")}, "", "containerd"),
        ({"sources.list.d/docker.sources": "#" + DOCKER.replace("\n", "\n#")}, "", "containerd"),
        (
            {
                "sources.list.d/docker.sources": DOCKER.replace("URIs: ", "URIs:\n http://x/\n ")
                + "Signed-By:\n -----\n .\n"
            },
            "",
            "containerd.io",
        ),
        ({"sources.list.d/docker.sources.bak": DOCKER}, "", "containerd"),
        ({"sources.list.d/docker.list": "deb [arch=amd64 signed-by=/x] https://download.docker.com/linux/debian t s"},)
        + ("", "containerd.io"),
        ({"sources.list": "deb http://x/ y # https://download.docker.com/linux/debian\n"}, "", "containerd"),
        (
            {
                "sources.list.d/docker.sources": DOCKER,
                "preferences.d/docker": "Package: containerd.io\nPin: release *\nPin-Priority: -1\n",
            },
            "",
            "containerd",
        ),
        (
            {
                "sources.list.d/docker.sources": DOCKER,
                "preferences": "Explanation: no\nPackage: docker-ce containerd.io\nPin: origin download.docker.com\n"
                "Pin-Priority: -10\n",
            },
            "",
            "containerd",
        ),
        (
            {
                "sources.list.d/docker.sources": DOCKER,
                "preferences.d/docker.pref": "Package: containerd.io\nPin: version 2.*\nPin-Priority: -1\n",
            },
            "",
            "containerd.io",
        ),
        *(
            (
                {
                    "sources.list.d/docker.sources": DOCKER,
                    "preferences.d/docker": f"Package: {names}\nPin: {pin}\nPin-Priority: {priority}\n{more}",
                },
                "",
                package,
            )
            for names, pin, priority, more, package in (
                ("*", 'origin "download.docker.com"', "-1", "", "containerd"),
                ("*", "origin *.docker.com", "never", "", "containerd"),
                ("*", "release o=Docker,l=Docker CE", "-10", "", "containerd"),
                ("*", "release a=testing, o=Debian", "-10", "", "containerd.io"),
                ("containerd.io", "release o=Debian", "-1", "", "containerd.io"),
                ("*", "origin download.docker.com", "100", "", "containerd.io"),
                # The pin of a name takes precedence.
                (
                    "*",
                    "origin download.docker.com",
                    "-1",
                    "\nPackage: containerd*\nPin: origin download.docker.com\nPin-Priority: 500\n",
                    "containerd.io",
                ),
            )
        ),
    ],
)
def test_the_package_of_containerd(machine: Machine, files: dict[str, str], policy: str, package: str) -> None:
    machine.put("/etc/os-release", "ID=debian\n")
    for name, text in files.items():
        machine.put("/etc/apt/" + name, text)
    machine.answer("apt-cache", policy)
    assert containerd_plan.package_name(containerd.observe(machine), ContainerdOptions()) == package


@pytest.mark.parametrize(
    ("release", "package", "known"),
    [
        ("ID=fedora\nVERSION_ID=43\n", "containerd", True),
        ("ID=amzn\nID_LIKE=fedora\nVERSION_ID=2023\n", "containerd", True),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.4"\n', "containerd.io", False),
        ('ID="ol"\nID_LIKE="fedora"\nVERSION_ID="9.4"\n', "containerd.io", False),
    ],
)
def test_the_package_of_containerd_where_there_is_dnf(
    machine: Machine, release: str, package: str, known: bool
) -> None:
    machine.put("/etc/os-release", release)
    state = containerd.observe(machine)
    assert (state.candidate, state.candidate_known) == (package, known)


def test_stanzas_are_read_as_apt_reads_them() -> None:
    assert apt_files.stanzas("# c\nTypes: deb\n# c\nURIs:\n http://a/\n\thttp://b/\n\n\n \nEnabled: no\n") == [
        {"types": "deb", "uris": "http://a/ http://b/"},
        {"enabled": "no"},
    ]


# -- what dnf leaves out

EXCLUDED = (
    "All matches were filtered out by exclude filtering for argument: kubelet-1.36.1-150500.1.1\n"
    "Error: Unable to find a match: kubelet-1.36.1-150500.1.1\n"
)


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        (EXCLUDED, "kubelet-1.36.1-150500.1.1 is excluded by dnf's configuration"),
        (EXCLUDED.replace("exclude filtering", "modular filtering"), "kubelet-1.36.1-150500.1.1 is hidden by a module"),
        (
            "Failed to resolve the transaction:\nArgument 'kubelet-1.36.1' matches only excluded packages.\n",
            "kubelet-1.36.1 is excluded by dnf's configuration",
        ),
        (
            "Error: \n Problem: conflicting requests\n"
            "  - package containerd.io-1.7.27-3.1.el9.x86_64 from docker is filtered out by modular filtering\n",
            "containerd.io-1.7.27-3.1.el9.x86_64 is hidden by a module",
        ),
        (
            "Error: \n Problem: package kubeadm-1.36.1 requires cri-tools >= 1.30.0, but none can be installed\n"
            "  - package cri-tools-1.36.0-150500.1.1.x86_64 is filtered out by exclude filtering\n",
            "cri-tools-1.36.0-150500.1.1.x86_64 is excluded by dnf's configuration",
        ),
        ("Error: Unable to find a match: kubelet-9\n", "kubelet-9 is not in the repository https://x/"),
    ],
)
def test_dnfs_own_no_is_told(stderr: str, said: str) -> None:
    assert transaction.cause(Result(1, "", stderr), "https://x/").startswith(said)


# With the solver of apt 3.0, and with that of apt 3.1 alone.
SOLVER = (
    "E: {0}\n"
    "   Unable to satisfy dependencies. Reached two conflicting decisions:\n"
    "   1. kubelet:amd64=1.36.1-1.1 is selected for install\n"
    "   2. kubelet:amd64=1.36.1-1.1 Depends kubernetes-cni (>= 1.2.0)\n"
    "      but none of the choices are installable:\n"
    "      [no choices]\n"
)


@pytest.mark.parametrize(
    ("stdout", "stderr", "said"),
    [
        (
            "Reading package lists...\n",
            "E: Package 'containerd.io' has no installation candidate\n",
            "package containerd.io has no candidate; a pin forbids it",
        ),
        ("", "Error: Unable to locate package containerd.io\n", "package containerd.io is not in any repository"),
        ("", "Error: Version '1.36.1-1.1' for 'kubelet' was not found\n", "kubelet=1.36.1-1.1 is not in any"),
        (
            "The following packages have unmet dependencies:\n kubelet : Depends: kubernetes-cni (>= 1.2.0) but it is "
            "not installable\n",
            SOLVER.format("Unable to correct problems, you have held broken packages."),
            "kubelet : Depends: kubernetes-cni (>= 1.2.0) but it is not installable",
        ),
        (
            "Solving dependencies...\n",
            SOLVER.replace("{0}\n   ", ""),
            "Unable to satisfy dependencies. Reached two conflicting decisions: 1. kubelet:amd64=1.36.1-1.1 is "
            "selected for install 2. kubelet:amd64=1.36.1-1.1 Depends kubernetes-cni (>= 1.2.0) but none of the "
            "choices are installable: [no choices]",
        ),
        (
            "",
            "E: The package foo needs to be reinstalled, but I can't find an archive for it.\n",
            "The package foo needs to be reinstalled",
        ),
        (
            "Setting up grub-pc ...\ndpkg: error processing package grub-pc (--configure):\n installed grub-pc package "
            "post-installation script subprocess returned error exit status 1\n",
            "E: Sub-process /usr/bin/dpkg returned an error code (1)\n",
            "dpkg: error processing package grub-pc (--configure): installed grub-pc package post-installation script",
        ),
    ],
)
def test_apts_own_no_is_told(stdout: str, stderr: str, said: str) -> None:
    cause = transaction.cause(Result(100, stdout, stderr))
    assert cause.startswith(said) and "\n" not in cause


# -- locks


@pytest.mark.parametrize(
    "stderr",
    [
        "Existing lock /var/run/dnf.pid: another copy is running as pid 4711.\n",
        "Failed to obtain rpm transaction lock. Another transaction is in progress.\n",
        "error: can't create transaction lock on /var/lib/rpm/.rpm.lock (Resource temporarily unavailable)\n",
        "Error: Failed to obtain the transaction lock (logged in as: root).\n",
    ],
)
def test_a_lock_of_dnf_is_waited_for(machine: Machine, monkeypatch: pytest.MonkeyPatch, stderr: str) -> None:
    monkeypatch.setattr(transaction, "poll", patient(Clock()))
    answers = [Result(1, "", stderr), Result(200, "", stderr), Result(0)]
    machine.answer("dnf", lambda _argv, _stdin: answers.pop(0))
    transaction.install(machine, "dnf", ["kubelet"])
    assert answers == []


def test_a_lock_that_stays_is_the_cause(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(transaction, "poll", patient(clock))
    machine.answer("dnf", "", 1, "Existing lock /var/run/dnf.pid: another copy is running as pid 4711.\n")
    with pytest.raises(CommandError, match="another copy is running as pid 4711"):
        transaction.install(machine, "dnf", ["kubelet"])
    assert sum(clock.waits) >= transaction.LOCK_WAIT - 2


def patient(clock: Clock) -> Any:
    """The real waiting, in time that passes at once."""
    real = poll.poll

    def waiting(*arguments: Any, **more: Any) -> Any:
        return real(*arguments, **more, **clock.injected)

    return waiting


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("[main]\nexclude=kubelet kubeadm\n", ["kubelet", "kubeadm"]),
        ("[main]\nexcludepkgs=kube*,docker*\n", ["kubelet", "kubeadm", "kubectl", "kubernetes-cni"]),
        ("[main]\nexclude=docker\n  kubectl\n", ["kubectl"]),
        ("[main]\n#exclude=kubelet\n", []),
        ("[main]\ngpgcheck=1\n[mine]\nexclude=kubelet\n", []),
        ("[main]\nexclude=kubelet-1.20*\n", []),
        (f"[main]\nexclude=kubelet.{platform.machine()},kubectl.other\n", ["kubelet"]),
        ("[main]\nincludepkgs=kube*\n", []),
        ("[main]\nincludepkgs=kubelet, kubeadm kubectl\n", ["kubernetes-cni"]),
    ],
)
def test_packages_that_dnf_hides_are_an_error_before_anything_is_changed(
    machine: Machine, text: str, names: list[str]
) -> None:
    machine.put("/etc/os-release", 'ID="rocky"\nID_LIKE="rhel centos fedora"\n')
    machine.put("/etc/dnf/dnf.conf", text)
    options = KubePackagesOptions(version="1.36")
    state = kube_observe.observe(machine, options.url, options.request, lambda *_all: repository.Response(0, error="x"))
    found = [one.message for one in kube_plan.problems(state, options) if one.message.startswith("dnf excludes ")]
    told = "dnf excludes {0}: see exclude and excludepkgs in /etc/dnf/dnf.conf"
    assert found == ([told.format(", ".join(names))] if names else [])
