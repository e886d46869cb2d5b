# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kube packages: repository, key, versions, holds, and what preflight says of them."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import versions
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import from_dict, to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step, diff
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import (
    kube_observe,
    kube_plan,
    openpgp,
    repository,
    sources,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube_state as kube_packages
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.kube_state import (
    KubePackagesOptions,
    KubePackagesState,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.repository import Response
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

BASE = "https://pkgs.k8s.io/core:/stable:"
DEB = BASE + "/v1.36/deb/"
RPM = BASE + "/v1.36/rpm/"
FINGERPRINT = "F92BC115B67C276D4C36DFFC69214DF3967BE767"
OTHER_FINGERPRINT = "686CF238594440A68C1CBCAD459517D1F2D3EB25"
ENDS = 1798545600  # 2026-12-29, as gpg prints it
ENDS_RENEWED = 1867060800  # 2029-03-01
DAY = 86400
MIRROR = "https://mirror.example.org/kubernetes"
NOW = ENDS - 36 * DAY
DISTRIBUTION_LIST = "/var/lib/apt/lists/mirror.example.org_debian_dists_bookworm_main_binary-amd64_Packages"

KEY = fixture("kube_packages/Release.key")
RENEWED = fixture("kube_packages/Release-renewed.key")
OTHER = fixture("kube_packages/other.key")


class Web:
    """Pages by address; ``asked`` lists what was fetched."""

    def __init__(self, pages: dict[str, bytes | Response] | None = None) -> None:
        self.pages: dict[str, bytes | Response] = dict(pages or {})
        self.asked: list[tuple[str, str]] = []

    def __call__(self, address: str, method: str = "GET") -> Response:
        self.asked.append((method, address))
        response = self.pages.get(address, Response(404, error="404 Not Found"))
        return response if isinstance(response, Response) else Response(200, response)


def deb_web(series: str = "1.36", key: str = KEY) -> Web:
    url = f"{BASE}/v{series}/deb/"
    return Web(
        {
            url + "Packages": fixture(f"kube_packages/Packages-{series}").encode(),
            url + "Release.key": key.encode(),
            BASE + "/v1.35/deb/InRelease": b"x",
            BASE + "/v1.36/deb/InRelease": b"x",
        }
    )


def rpm_web() -> Web:
    repomd = fixture("kube_packages/repomd.xml")
    href = next(line.split('"')[1] for line in repomd.splitlines() if "-primary.xml" in line)
    return Web(
        {
            RPM + "repodata/repomd.xml": repomd.encode(),
            RPM + href: gzip.compress(fixture("kube_packages/primary.xml").encode()),
            RPM + "repodata/repomd.xml.key": KEY.encode(),
        }
    )


def options(
    version: str = "1.36", hold: bool = True, key: str = "", url: str = BASE, fingerprint: str | None = None
) -> KubePackagesOptions:
    if fingerprint is None:
        # The fixtures are signed with a key of their own in the name of pkgs.k8s.io.
        fingerprint = FINGERPRINT if url == BASE and not key else ""
    return KubePackagesOptions(version, url, hold, key, fingerprint)


def observe(
    machine: Machine, web: Web, asked: KubePackagesOptions | None = None, now: float = NOW
) -> KubePackagesState:
    asked = asked or options()
    state = kube_observe.observe(machine, asked.url, asked.request, web, lambda: now)
    # what reaches the control machine is what the node saw
    carried = from_dict(KubePackagesState, json.loads(json.dumps(to_dict(state))))
    assert carried == state
    return carried


@pytest.fixture
def bare(machine: Machine) -> Machine:
    """A Debian host with nothing of Kubernetes and empty apt lists."""
    machine.put("/etc/os-release", 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n')
    machine.answer("dpkg-query", Result(1, fixture("kube_packages/dpkg-query-bare.txt"), "no packages found"))
    machine.answer("systemctl is-enabled", Result(1, "not-found\n"))
    return machine


@pytest.fixture
def done(bare: Machine) -> Machine:
    """The same host after the role: 1.36.10, held, enabled."""
    bare.answer("dpkg-query", fixture("kube_packages/dpkg-query-1.36.10.txt"))
    bare.answer("systemctl is-enabled", "enabled\n")
    bare.put(sources.APT_SOURCE, sources.render_source("apt", DEB, True))
    bare.put(sources.APT_KEY, KEY)
    bare.put(DISTRIBUTION_LIST)
    return bare


@pytest.fixture
def rocky(machine: Machine) -> Machine:
    machine.put("/etc/os-release", 'ID="rocky"\nID_LIKE="rhel centos fedora"\nPRETTY_NAME="Rocky Linux 9.6"\n')
    machine.answer("rpm -q", fixture("kube_packages/rpm-q-1.36.2.txt").splitlines()[0] + "\n")
    machine.answer("systemctl is-enabled", Result(1, ""))
    return machine


def lines(steps: list[Step]) -> list[str]:
    return [step.summary() for step in steps]


def messages(state: KubePackagesState, asked: KubePackagesOptions) -> list[str]:
    return [problem.line for problem in kube_plan.problems(state, asked)]


# -- files


def test_deb_source_text() -> None:
    assert sources.render_source("apt", DEB, True) == (
        "# Managed by kubestead.cluster; changes are overwritten.\n"
        "Types: deb\n"
        "URIs: https://pkgs.k8s.io/core:/stable:/v1.36/deb/\n"
        "Suites: /\n"
        "Signed-By: /etc/apt/keyrings/kubernetes.asc\n"
    )


def test_rpm_source_text_excludes_when_held() -> None:
    text = sources.render_source("dnf", RPM, True)
    assert "baseurl=https://pkgs.k8s.io/core:/stable:/v1.36/rpm/\n" in text
    assert "gpgcheck=1\nrepo_gpgcheck=1\ngpgkey=file:///etc/pki/rpm-gpg/RPM-GPG-KEY-kubernetes\n" in text
    assert text.endswith("exclude=kubelet kubeadm kubectl kubernetes-cni cri-tools\n")
    assert "exclude" not in sources.render_source("dnf", RPM, False)


def test_addresses() -> None:
    assert sources.repository_url(BASE + "/", "1.36", "apt") == DEB
    assert sources.key_url(BASE, "1.36", "apt") == DEB + "Release.key"
    assert sources.key_url(BASE, "1.36", "dnf") == RPM + "repodata/repomd.xml.key"
    assert sources.apt_list_prefix(DEB) == "pkgs.k8s.io_core:_stable:_v1.36_deb_"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (options(version="latest"), "cluster_kubernetes_version is 'latest', not a Kubernetes version"),
        (options(url="ftp://x"), "cluster_packages_url is 'ftp://x', not an http(s) URL"),
        (options(url="https://a b"), "cluster_packages_url is 'https://a b', not an http(s) URL"),
        (
            options(url="http://mirror.example.org/k8s"),
            "cluster_packages_url does not use https, so its signing key can't be trusted",
        ),
        (options(url="HTTP://pkgs.k8s.io/core:/stable:"), "cluster_packages_url is"),
        (options(fingerprint="F92BC115"), "kube_packages_key_fingerprint is 'F92BC115', not a fingerprint"),
        (
            options(key=OTHER, fingerprint=FINGERPRINT),
            f"kube_packages_key_fingerprint is {FINGERPRINT}, but kube_packages_key holds {OTHER_FINGERPRINT}",
        ),
        (options(key="no key"), "kube_packages_key does not contain an OpenPGP public key in ASCII armor"),
    ],
)
def test_options_that_cant_be_used(asked: KubePackagesOptions, expected: str) -> None:
    with pytest.raises(OptionError) as caught:
        asked.validate()
    assert caught.value.message.startswith(expected)
    (message,) = messages(KubePackagesState(manager="apt"), asked)
    assert message.startswith(expected)


# -- the key


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (KEY, [openpgp.PublicKey(FINGERPRINT, ENDS, True)]),
        (RENEWED, [openpgp.PublicKey(FINGERPRINT, ENDS_RENEWED, True)]),
        (OTHER, [openpgp.PublicKey(OTHER_FINGERPRINT, None)]),
        (KEY + OTHER, [openpgp.PublicKey(FINGERPRINT, ENDS, True), openpgp.PublicKey(OTHER_FINGERPRINT, None)]),
        ("<html>sign in</html>", []),
        (KEY.replace("mQENB", "AAAAA"), []),
        (KEY[:400], []),
        ("", []),
    ],
)
def test_keys_are_read_as_gpg_reads_them(text: str, expected: list[openpgp.PublicKey]) -> None:
    assert openpgp.public_keys(text) == expected


def test_a_damaged_key_is_no_key() -> None:
    body = KEY.split("\n\n", 1)[1].split("\n=")[0]
    for length in range(4, 400, 12):
        text = f"{openpgp.BEGIN}\n\n{body.replace(chr(10), '')[:length]}\n{openpgp.END}\n"
        for key in openpgp.public_keys(text):
            assert len(key.fingerprint) == 40


# -- a bare host


def test_bare_host_is_planned_exactly_and_left_alone(bare: Machine) -> None:
    before = sorted(str(path) for path in bare.folder.rglob("*"))
    web = deb_web()
    state = observe(bare, web)
    assert state.architecture == "amd64"
    assert kube_plan.problems(state, options()) == []
    assert lines(kube_plan.plan(state, options())) == [
        "write /etc/apt/keyrings/kubernetes.asc (missing)",
        "write /etc/apt/sources.list.d/kubernetes.sources (missing)",
        "update index apt lists (apt lists are empty)",
        "install kubelet kubeadm kubectl kubernetes-cni (kubelet kubeadm kubectl not installed -> 1.36.10-1.1, "
        "kubernetes-cni not installed -> 1.8.0-1.1)",
        "hold kubelet kubeadm kubectl kubernetes-cni (not held)",
        "enable kubelet.service (not enabled)",
    ]
    assert sorted(str(path) for path in bare.folder.rglob("*")) == before
    assert web.asked == [("GET", DEB + "Packages"), ("GET", DEB + "Release.key")]


def test_key_is_shown_by_fingerprint(bare: Machine) -> None:
    step = kube_plan.plan(observe(bare, deb_web()), options())[0]
    assert step.after == f"OpenPGP key {FINGERPRINT}, expires 2026-12-29\n"
    assert step.data["text"] == KEY


def test_only_our_index_is_fetched_where_lists_are_there(bare: Machine) -> None:
    bare.put(DISTRIBUTION_LIST)
    update = next(s for s in kube_plan.plan(observe(bare, deb_web()), options()) if s.action == "update_index")
    assert update.target == sources.APT_SOURCE
    assert update.data["source"] == sources.APT_SOURCE


def test_everything_is_one_update_and_one_transaction(bare: Machine) -> None:
    for command in ("apt-get", "apt-mark", "systemctl enable"):
        bare.answer(command)
    steps = kube_plan.plan(observe(bare, deb_web()), options())
    bare.ran.clear()
    for step in steps:
        kube_plan.apply(step, bare)
    assert [(argv[0], argv[-1]) for argv in bare.ran] == [
        ("apt-get", "update"),
        ("apt-get", "kubernetes-cni=1.8.0-1.1"),
        ("apt-mark", "kubernetes-cni"),
        ("systemctl", "kubelet.service"),
    ]
    assert bare.ran[1][-5:] == [
        "install",
        "kubelet=1.36.10-1.1",
        "kubeadm=1.36.10-1.1",
        "kubectl=1.36.10-1.1",
        "kubernetes-cni=1.8.0-1.1",
    ]
    assert bare.read(sources.APT_KEY) == KEY
    assert bare.mode(sources.APT_KEY) == 0o644
    assert bare.read(sources.APT_SOURCE) == sources.render_source("apt", DEB, True)


def test_exact_version(bare: Machine) -> None:
    asked = options("1.36.2")
    state = observe(bare, deb_web(), asked)
    assert kube_plan.targets(state, asked.request)["kubelet"] == "1.36.2-1.1"


def test_cri_tools_come_where_kubeadm_depends_on_them(bare: Machine) -> None:
    asked = options("1.30")
    state = observe(bare, deb_web("1.30"), asked)
    assert kube_plan.targets(state, asked.request) == {
        "kubelet": "1.30.0-1.1",
        "kubeadm": "1.30.0-1.1",
        "kubectl": "1.30.0-1.1",
        "kubernetes-cni": "1.4.0-1.1",
        "cri-tools": "1.30.1-1.1",
    }
    hold = next(step for step in kube_plan.plan(state, asked) if step.action == "hold")
    assert hold.data["names"][-1] == "cri-tools"


def test_a_given_key_needs_none_from_the_repository(bare: Machine) -> None:
    web = deb_web()
    del web.pages[DEB + "Release.key"]
    state = observe(bare, web)
    assert messages(state, options()) == [
        "the repository's signing key could not be fetched: https://pkgs.k8s.io/core:/stable:/v1.36/deb/Release.key: "
        "404 Not Found; set the key in kube_packages_key, or correct cluster_packages_url"
    ]
    step = kube_plan.plan(state, options(key=OTHER))[0]
    assert step.data["text"] == OTHER.strip() + "\n"


# -- a host on which all is done


def test_an_upgrade_to_a_minor_version_reads_which_patch_releases_there_are(done: Machine) -> None:
    web, request = deb_web(), options("1.36").request
    state = kube_observe.observe(done, BASE, request, web, lambda: NOW, upgrading=True)
    assert state.repository is not None and state.repository.offers["kubeadm"][0] == "1.36.10-1.1"
    assert kube_plan.plan(state, options("1.36")) == []
    web.asked.clear()
    exact = kube_observe.observe(done, BASE, options("1.36.10").request, web, lambda: NOW, upgrading=True)
    assert exact.repository is None and web.asked == []


def test_nothing_to_do_costs_two_commands_and_no_request(done: Machine) -> None:
    web = deb_web()
    state = observe(done, web)
    assert kube_plan.plan(state, options()) == []
    assert web.asked == []
    assert [argv[0] for argv in done.ran] == ["dpkg-query", "systemctl"]


def test_a_newer_patch_is_no_surprise_upgrade(done: Machine) -> None:
    done.answer("dpkg-query", fixture("kube_packages/dpkg-query-1.36.10.txt").replace("1.36.10", "1.36.0"))
    web = deb_web()
    assert kube_plan.plan(observe(done, web), options()) == []
    assert web.asked == []


def test_member_never_gets_another_version(done: Machine) -> None:
    done.put(kube_packages.KUBELET_CONF)
    for version in ("1.35", "1.36.2", "1.37"):
        web = deb_web()
        asked = options(version)
        state = observe(done, web, asked)
        assert web.asked == []
        assert messages(state, asked) == [
            f"the node runs kubelet 1.36.10 and is a member of a cluster, but cluster_kubernetes_version is {version}; "
            "run upgrade.yml to upgrade the cluster, or set cluster_kubernetes_version to 1.36.10"
        ]
        with pytest.raises(KubesteadError, match="is a member of a cluster"):
            kube_plan.plan(state, asked)
    assert kube_plan.plan(observe(done, deb_web()), options()) == []


def test_other_hosts_get_an_older_version_too(done: Machine) -> None:
    asked = options("1.36.1")
    steps = kube_plan.plan(observe(done, deb_web(), asked), asked)
    assert lines(steps) == [
        "update index /etc/apt/sources.list.d/kubernetes.sources (packages will be installed)",
        "install kubelet kubeadm kubectl (1.36.10-1.1 -> 1.36.1-1.1)",
    ]
    assert steps[1].data["held"] == ["kubelet", "kubeadm", "kubectl"]


def test_a_missing_part_comes_at_the_version_of_the_others(done: Machine) -> None:
    text = fixture("kube_packages/dpkg-query-1.36.10.txt").replace("1.36.10", "1.36.1")
    done.answer("dpkg-query", "".join(line for line in text.splitlines(True) if not line.startswith("kubectl")))
    done.put(kube_packages.KUBELET_CONF)
    state = observe(done, deb_web())
    assert kube_plan.targets(state, options().request) == {"kubectl": "1.36.1-1.1"}
    assert [step.action for step in kube_plan.plan(state, options())] == ["update_index", "install", "hold"]


def test_a_killed_installation_is_finished(done: Machine) -> None:
    text = fixture("kube_packages/dpkg-query-1.36.10.txt")
    done.answer("dpkg-query", text.replace("1.36.10-1.1\tamd64\tinstalled", "1.36.10-1.1\tamd64\tunpacked"))
    done.put("/var/lib/dpkg/updates/0003")
    steps = kube_plan.plan(observe(done, deb_web()), options())
    assert lines(steps) == [
        "finish dpkg (an earlier package transaction was interrupted)",
        "update index /etc/apt/sources.list.d/kubernetes.sources (packages will be installed)",
        "install kubelet kubeadm kubectl (partially installed)",
    ]


def test_holds_follow_the_option(done: Machine) -> None:
    (step,) = kube_plan.plan(observe(done, deb_web()), options(hold=False))
    assert step.summary() == "release kubelet kubeadm kubectl kubernetes-cni (held)"
    done.answer("dpkg-query", fixture("kube_packages/dpkg-query-1.36.10.txt").replace("\thold\t", "\tinstall\t"))
    assert kube_plan.plan(observe(done, deb_web()), options(hold=False)) == []
    (step,) = kube_plan.plan(observe(done, deb_web()), options())
    assert step.summary() == "hold kubelet kubeadm kubectl kubernetes-cni (not held)"


def test_source_of_another_mirror_names_both(done: Machine) -> None:
    asked = options(url="https://mirror.example.org/kubernetes")
    web = Web({"https://mirror.example.org/kubernetes/v1.36/deb/Release.key": OTHER.encode()})
    steps = kube_plan.plan(observe(done, web, asked), asked)
    assert lines(steps) == [
        "write /etc/apt/keyrings/kubernetes.asc (different key)",
        "write /etc/apt/sources.list.d/kubernetes.sources (https://pkgs.k8s.io/core:/stable:/v1.36/deb/ -> "
        "https://mirror.example.org/kubernetes/v1.36/deb/)",
    ]


SECRET_URLS = [
    "https://bob:s3cret@mirror.example.org/kubernetes",
    "https://s3cret@mirror.example.org/kubernetes",
    "https://bob:s3c/ret@mirror.example.org/kubernetes",
    "https://bob:s3cret @mirror.example.org",
    "htps://bob:s3cret@mirror.example.org",
    "https:/bob:s3cret@mirror.example.org",
    "bob:s3cret@mirror.example.org",
]


@pytest.mark.parametrize("url", SECRET_URLS)
def test_a_password_in_the_address_is_refused_and_shown_nowhere(done: Machine, url: str) -> None:
    asked = options(url=url)
    (message,) = messages(observe(done, Web(), asked), asked)
    assert "cluster_packages_url has a user name or password in an address" in message
    assert "s3c" not in message and "bob" not in message


PASSWORDS = {
    "/etc/apt/sources.list.d/a.list": "deb https://bob:s3cret@mirror.example.org/debian stable main\n"
    "deb https://pkgs.k8s.io/core:/stable:/v1.30/deb/ /\n",
    "/etc/apt/sources.list.d/b.sources": "Types: deb\nURIs: https://pkgs.k8s.io/core:/stable:/v1.30/deb/\nSuites: /\n\n"
    "Types: deb\nURIs: https://bob:s3cret@mirror.example.org/debian\nSuites: stable\n",
    "/etc/apt/sources.list": "deb https://s3cret@pkgs.example.org/x /\n"
    "deb https://pkgs.k8s.io/core:/stable:/v1.30/deb/ / # password=s3cret\n",
}


@pytest.mark.parametrize("path", PASSWORDS)
def test_files_of_other_repositories_keep_their_mode_and_their_passwords_to_themselves(
    done: Machine, path: str
) -> None:
    done.put(path, PASSWORDS[path], 0o600)
    state = observe(done, Web())
    assert "s3cret" in repr(state), "what is applied must have it"
    (step,) = kube_plan.plan(state, options())
    shown = kube_packages.without_passwords(state)
    assert "s3cret" not in repr([shown, step, diff([step]), step.public()])
    kube_plan.apply(step, done)
    assert done.mode(path) == 0o600
    assert "s3cret" in (done.read(path) or "") and "v1.30" not in (done.read(path) or "")


def test_a_repo_file_with_a_password_keeps_both_to_itself(machine: Machine) -> None:
    text = "[other]\nbaseurl=https://x\npassword=s3cret\nproxy_password = s3cret\n"
    before = text + "[k]\nbaseurl=https://pkgs.k8s.io/core:/stable:/v1.30/rpm/\n"
    path = "/etc/yum.repos.d/all.repo"
    machine.put(path, before, 0o640)
    base = "https://pkgs.k8s.io/core:/stable:"
    clashes = sources.clashes(machine, "dnf", base, base + "/v1.36/rpm/")
    state = kube_packages.KubePackagesState(source=before, clashes=clashes)
    assert "s3cret" not in repr(kube_packages.without_passwords(state))
    step = Step("kube_packages", "write", path, "", data={"text": str(clashes[0].after), "mode": 0o644})
    kube_plan.apply(step, machine)
    assert (machine.mode(path), machine.read(path)) == (0o640, text)


def test_the_definition_and_its_key_can_be_read_by_apt(done: Machine) -> None:
    done.put(sources.APT_SOURCE, "x", 0o600)
    (step,) = kube_plan.plan(observe(done, Web()), options())
    kube_plan.apply(step, done)
    assert done.mode(sources.APT_SOURCE) == 0o644


# -- the key over the years


def test_a_key_that_ends_soon_is_renewed(done: Machine) -> None:
    assert kube_plan.plan(observe(done, Web(), now=ENDS - 15 * DAY), options()) == []
    soon = observe(done, deb_web(key=RENEWED), now=ENDS - 10 * DAY)
    assert lines(kube_plan.plan(soon, options())) == ["write /etc/apt/keyrings/kubernetes.asc (expires 2026-12-29)"]
    over = observe(done, deb_web(key=RENEWED), now=ENDS + DAY)
    (step,) = kube_plan.plan(over, options())
    assert step.summary() == "write /etc/apt/keyrings/kubernetes.asc (expired 2026-12-29)"
    assert (step.before, step.after) == (
        f"OpenPGP key {FINGERPRINT}, expires 2026-12-29\n",
        f"OpenPGP key {FINGERPRINT}, expires 2029-03-01\n",
    )


def test_a_key_that_ends_without_a_newer_one_is_a_warning(done: Machine) -> None:
    state = observe(done, deb_web(), now=ENDS + DAY)
    (problem,) = kube_plan.problems(state, options())
    assert problem.level == "warning"
    assert problem.line == (
        "the repository's signing key in /etc/apt/keyrings/kubernetes.asc expired on 2026-12-29; the repository "
        "does not have a newer key; set the key in kube_packages_key, or correct cluster_packages_url"
    )
    assert kube_plan.plan(state, options()) == []
    offline = observe(done, Web(), now=ENDS + DAY)
    assert [problem.level for problem in kube_plan.problems(offline, options())] == ["warning"]


def test_an_expired_key_stops_an_installation(bare: Machine) -> None:
    bare.put(sources.APT_KEY, KEY)
    bare.put(sources.APT_SOURCE, sources.render_source("apt", DEB, True))
    state = observe(bare, deb_web(), now=ENDS + DAY)
    assert [problem.level for problem in kube_plan.problems(state, options())] == ["error"]
    (bare.folder / sources.APT_KEY.lstrip("/")).unlink()
    state = observe(bare, deb_web(), now=ENDS + DAY)
    assert messages(state, options())[0].startswith("the repository's signing key has expired")


def mirror_web(key: str) -> Web:
    """The repository at another address, with a signing key that nothing pins."""
    return Web({address.replace(BASE, MIRROR): page for address, page in deb_web(key=key).pages.items()})


@pytest.fixture
def mirrored(done: Machine) -> Machine:
    """The host that is done, with its packages from the mirror."""
    done.put(sources.APT_SOURCE, sources.render_source("apt", MIRROR + "/v1.36/deb/", True))
    return done


def test_another_key_of_the_same_repository_is_refused(mirrored: Machine) -> None:
    state = observe(mirrored, mirror_web(OTHER), options(url=MIRROR), now=ENDS - DAY)
    assert messages(state, options(url=MIRROR)) == [
        f"the repository's signing key changed from {FINGERPRINT} to {OTHER_FINGERPRINT}; if the change was announced, "
        "remove /etc/apt/keyrings/kubernetes.asc or set the new key in kube_packages_key"
    ]
    (step,) = kube_plan.plan(state, options(key=OTHER, url=MIRROR))
    assert step.reason == "different key"


def test_a_sign_in_page_is_no_key(bare: Machine) -> None:
    web = deb_web(key="<html>please sign in</html>")
    assert "is not an OpenPGP public key" in messages(observe(bare, web), options())[0]


# -- what the repository says


def test_a_minor_that_is_not_there(bare: Machine) -> None:
    asked = options("1.99")
    web = deb_web()
    state = observe(bare, web, asked)
    assert messages(state, asked) == [
        "cluster_kubernetes_version 1.99: repository https://pkgs.k8s.io/core:/stable:/v1.99/deb/ does not exist "
        "(404); use one of 1.35, 1.36"
    ]
    with pytest.raises(KubesteadError, match="^cluster_kubernetes_version 1.99: repository .*use one of 1.35, 1.36$"):
        kube_plan.plan(state, asked)
    assert ("HEAD", BASE + "/v1.98/deb/InRelease") in web.asked


def test_a_forbidden_minor_of_a_mirror_without_any(bare: Machine) -> None:
    web = Web({DEB + "Packages": Response(403, error="403 Forbidden"), DEB + "Packages.gz": Response(403)})
    (message,) = messages(observe(bare, web), options())
    assert message.endswith("does not exist (403); use another minor version, or correct cluster_packages_url")


def test_a_patch_that_is_not_there(bare: Machine) -> None:
    asked = options("1.36.9")
    assert messages(observe(bare, deb_web(), asked), asked) == [
        "cluster_kubernetes_version 1.36.9: kubelet 1.36.9 is not in the repository "
        "https://pkgs.k8s.io/core:/stable:/v1.36/deb/; "
        "use one of 1.36.0, 1.36.1, 1.36.2, 1.36.10, or 1.36 for the newest"
    ]


def test_an_architecture_that_is_not_there(bare: Machine) -> None:
    bare.answer("dpkg-query", fixture("kube_packages/dpkg-query-bare.txt").replace("amd64", "arm64"))
    (message,) = messages(observe(bare, deb_web()), options())
    assert message.startswith(f"repository {DEB} does not have kubeadm, kubectl, kubernetes-cni for arm64;")


@pytest.mark.parametrize(
    ("error", "fix"),
    [
        ("connection refused", "check the network, proxies and cluster_packages_url"),
        ("its certificate is not trusted (x)", "install ca-certificates or the CA of the mirror on the host"),
    ],
)
def test_a_repository_that_does_not_answer(bare: Machine, error: str, fix: str) -> None:
    web = Web({DEB + "Packages": Response(0, error=error)})
    state = observe(bare, web)
    (message,) = messages(state, options())
    assert message.startswith(f"repository {DEB} can't be read: {error}; {fix}")
    assert web.asked == [("GET", DEB + "Packages")]


def test_a_system_without_packages(machine: Machine) -> None:
    machine.put("/etc/os-release", 'ID=arch\nPRETTY_NAME="Arch Linux"\n')
    assert messages(observe(machine, Web()), options()) == [
        "Arch Linux is not supported; use Debian, Ubuntu, Fedora or a RHEL derivative"
    ]


# -- other definitions of the repository


LEGACY = f"deb [signed-by=/etc/apt/keyrings/kubernetes-apt-keyring.gpg] {BASE}/v1.36/deb/ /\n"


@pytest.mark.parametrize(
    ("text", "deb822", "after", "reason"),
    [
        (LEGACY, False, None, "defines the same repository with another key"),
        (LEGACY.replace("/deb/ /", "/deb /"), False, None, "defines the same repository with another key"),
        (
            "# typed\n" + LEGACY + "deb http://mirror.example.org/debian bookworm main\n",
            False,
            "# typed\ndeb http://mirror.example.org/debian bookworm main\n",
            "defines the same repository with another key",
        ),
        (LEGACY.replace("1.36", "1.31"), False, None, "defines the repository of another minor version (v1.31)"),
        ("#" + LEGACY, False, "#" + LEGACY, ""),
        ("deb http://apt.kubernetes.io/ kubernetes-xenial main\n", False, None, "its repository was shut down in 2024"),
        (
            "deb https://packages.cloud.google.com/apt/ kubernetes-xenial main\n",
            False,
            None,
            "its repository was shut down in 2024",
        ),
        (
            "deb https://packages.cloud.google.com/apt cloud-sdk main\n",
            False,
            "deb https://packages.cloud.google.com/apt cloud-sdk main\n",
            "",
        ),
        (
            f"Types: deb\nURIs: {DEB}\nSuites: /\nSigned-By: /x.asc\n",
            True,
            None,
            "defines the same repository with another key",
        ),
        (
            f"Types: deb\nURIs: http://mirror.example.org/debian\nSuites: bookworm\n\n"
            f"Types: deb\nURIs:\n {DEB}\nSuites: /\n",
            True,
            "Types: deb\nURIs: http://mirror.example.org/debian\nSuites: bookworm\n",
            "defines the same repository with another key",
        ),
        (
            f"Enabled: no\nTypes: deb\nURIs: {DEB}\nSuites: /\n",
            True,
            f"Enabled: no\nTypes: deb\nURIs: {DEB}\nSuites: /\n",
            "",
        ),
    ],
)
def test_apt_sources_that_clash(text: str, deb822: bool, after: str | None, reason: str) -> None:
    assert sources.strip_apt_source(text, BASE, DEB, deb822) == (after, reason)


def test_clashing_sources_are_planned_with_their_reason(done: Machine) -> None:
    done.put("/etc/apt/sources.list.d/kubernetes.list", LEGACY)
    done.put("/etc/apt/sources.list", "deb http://a/ b c\ndeb http://apt.kubernetes.io/ kubernetes-xenial main\n")
    done.put("/etc/apt/sources.list.d/kubernetes.list.bak", LEGACY)
    steps = kube_plan.plan(observe(done, Web()), options())
    assert lines(steps) == [
        "write /etc/apt/sources.list (its repository was shut down in 2024; "
        "a copy is kept in /etc/apt/sources.list.before-kubestead.bak)",
        "remove /etc/apt/sources.list.d/kubernetes.list (defines the same repository with another key; "
        "a copy is kept in /etc/apt/sources.list.d/kubernetes.list.before-kubestead.bak)",
    ]
    assert (steps[1].before, steps[1].after) == (LEGACY, "")
    for step in steps:
        kube_plan.apply(step, done)
    assert done.read("/etc/apt/sources.list") == "deb http://a/ b c\n"
    assert not done.exists("/etc/apt/sources.list.d/kubernetes.list")
    assert kube_plan.plan(observe(done, Web()), options()) == []


def test_dnf_repositories_that_clash() -> None:
    other = "[other]\nname=o\nbaseurl=https://mirror.example.org/o\n"
    old = "[k8s]\nbaseurl = https://packages.cloud.google.com/yum/repos/kubernetes-el7-x86_64\n"
    strip = sources.strip_dnf_source
    assert strip(old + other, BASE, RPM) == (other, "its repository was shut down in 2024")
    assert strip(f"[mine]\nbaseurl={RPM}\n", BASE, RPM) == (None, "defines the same repository with another key")
    assert strip("[kubernetes]\nbaseurl=https://x/\n", BASE, RPM) == (None, "has a repository of the same name")
    assert strip(old + "enabled=0\n", BASE, RPM) == (old + "enabled=0\n", "")
    assert strip(other, BASE, RPM) == (other, "")


def test_a_file_that_cant_be_written_is_one_line(bare: Machine) -> None:
    (bare.folder / "etc" / "apt").write_text("a file where a folder belongs")
    step = Step("kube_packages", "write", sources.APT_SOURCE, "missing", data={"text": "x", "mode": 0o644})
    with pytest.raises(KubesteadError, match=r"^can't write /etc/apt/sources.list.d/kubernetes.sources: "):
        kube_plan.apply(step, bare)


# -- the RHEL family


def test_rpm_host_is_planned(rocky: Machine) -> None:
    web = rpm_web()
    state = observe(rocky, web)
    assert state.architecture == "x86_64"
    steps = kube_plan.plan(state, options())
    assert lines(steps) == [
        "write /etc/pki/rpm-gpg/RPM-GPG-KEY-kubernetes (missing)",
        "write /etc/yum.repos.d/kubernetes.repo (missing)",
        "install kubelet kubeadm kubectl kubernetes-cni (kubelet kubeadm kubectl not installed -> "
        "1.36.10-150500.1.1, kubernetes-cni not installed -> 1.8.0-150500.1.1)",
        "enable kubelet.service (not enabled)",
    ]
    rocky.answer("dnf")
    rocky.answer("systemctl enable")
    rocky.ran.clear()
    for step in steps:
        kube_plan.apply(step, rocky)
    assert [argv[0] for argv in rocky.ran] == ["dnf", "systemctl"]
    assert rocky.ran[0][-4:] == [
        "kubelet-1.36.10-150500.1.1",
        "kubeadm-1.36.10-150500.1.1",
        "kubectl-1.36.10-150500.1.1",
        "kubernetes-cni-1.8.0-150500.1.1",
    ]
    assert "--setopt=disable_excludes=kubernetes" in rocky.ran[0]


def test_rpm_host_that_is_done(rocky: Machine) -> None:
    rocky.answer("rpm -q", fixture("kube_packages/rpm-q-1.36.2.txt"))
    rocky.answer("systemctl is-enabled", "enabled\n")
    rocky.put(sources.DNF_SOURCE, sources.render_source("dnf", RPM, True))
    rocky.put(sources.DNF_KEY, KEY)
    web = rpm_web()
    assert kube_plan.plan(observe(rocky, web), options()) == []
    assert web.asked == []
    (step,) = kube_plan.plan(observe(rocky, web), options(hold=False))
    assert step.summary() == "write /etc/yum.repos.d/kubernetes.repo (the packages are held)"


def test_rpm_metadata_that_cant_be_read(rocky: Machine) -> None:
    web = rpm_web()
    web.pages[RPM + "repodata/repomd.xml"] = b"<html>"
    (message,) = messages(observe(rocky, web), options())
    assert "repodata/repomd.xml is not XML" in message
    web.pages[RPM + "repodata/repomd.xml"] = fixture("kube_packages/repomd.xml").replace("xml.gz", "xml.zst").encode()
    response = next(address for address in web.pages if "-primary.xml" in address)
    web.pages[response.replace(".gz", ".zst")] = b"x"
    (message,) = messages(observe(rocky, web), options())
    assert "is compressed as zst" in message


# -- over a real connection


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes], list[str]]]:
    """A web server on loopback: its address, its pages, the requests it got."""
    pages: dict[str, bytes] = {}
    requests: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(f"{self.command} {self.path}")
            body = pages.get(self.path)
            self.send_response(200 if body is not None else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body or b"")

        do_HEAD = do_GET

        def log_message(self, *_arguments: object) -> None:
            pass

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}", pages, requests
    httpd.shutdown()
    thread.join()
    httpd.server_close()


def test_packed_index_is_read_where_there_is_no_plain_one(
    server: tuple[str, dict[str, bytes], list[str]], bare: Machine
) -> None:
    base, pages, requests = server
    pages["/v1.36/deb/Packages.gz"] = gzip.compress(fixture("kube_packages/Packages-1.36").encode())
    pages["/v1.36/deb/Release.key"] = KEY.encode()
    state = kube_observe.observe(bare, base, versions.parse_request("1.36"), clock=lambda: NOW)
    assert state.repository and state.repository.offers["kubelet"][0] == "1.36.10-1.1"
    assert state.offered_key == KEY
    assert requests == ["GET /v1.36/deb/Packages", "GET /v1.36/deb/Packages.gz", "GET /v1.36/deb/Release.key"]


def test_damaged_index(server: tuple[str, dict[str, bytes], list[str]], bare: Machine) -> None:
    base, pages, _requests = server
    pages["/v1.36/deb/Packages.gz"] = b"not gzip"
    asked = options(url=base, fingerprint=FINGERPRINT)
    state = kube_observe.observe(bare, base, asked.request)
    (message,) = messages(state, asked)
    assert "Packages.gz can't be decompressed" in message


def test_a_proxy_is_used(server: tuple[str, dict[str, bytes], list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    base, pages, requests = server
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    pages["http://pkgs.example/x"] = b"through the proxy"
    assert repository.fetcher({"http": base})("http://pkgs.example/x", "GET").body == b"through the proxy"
    assert requests == ["GET http://pkgs.example/x"]
    monkeypatch.setenv("http_proxy", base)
    assert repository.fetcher()("http://pkgs.example/x", "GET").ok


def test_nobody_answers() -> None:
    fetch = repository.fetcher()
    assert fetch("http://127.0.0.1:9/x", "GET") == Response(0, error="connection refused")
    assert fetch("http://no-such-name.invalid/x", "GET").error == "its name can't be resolved"


def test_proxies_of_the_package_manager(machine: Machine) -> None:
    machine.answer("apt-config", "Acquire::http::Proxy=http://proxy:3128\nAcquire::ftp::Proxy=x\n")
    assert repository.package_manager_proxies(machine, "apt") == {
        "http": "http://proxy:3128",
        "https": "http://proxy:3128",
    }
    machine.answer("apt-config", "Acquire::https::Proxy=DIRECT\n")
    # No proxy, whatever the environment says.
    assert repository.package_manager_proxies(machine, "apt") == {"https": ""}
    machine.put("/etc/dnf/dnf.conf", "[main]\nproxy=http://proxy:3128\n")
    assert repository.package_manager_proxies(machine, "dnf")["https"] == "http://proxy:3128"


# -- one set of defaults


def test_defaults_of_role_and_options_agree() -> None:
    import yaml

    root = Path(__file__).resolve().parents[5]
    role = yaml.safe_load((root / "roles/kube_packages/defaults/main.yml").read_text())
    defaults = KubePackagesOptions()
    assert role == {
        "kube_packages_hold": defaults.hold,
        "kube_packages_key": defaults.key,
        "kube_packages_key_fingerprint": defaults.key_fingerprint,
    }
