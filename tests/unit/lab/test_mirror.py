# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The mirror's configuration and certificates."""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path

import pytest

from lab import mirror
from lab.cache import once
from lab.machine import MachineError
from lab.mirror import certificates, nginx, server, site
from lab.podman import PodmanError
from lab.systems import SYSTEMS


def test_every_host_has_a_server_of_its_own() -> None:
    text = nginx.nginx_conf()
    for host in mirror.HOSTNAMES:
        assert text.count(f"server_name {host};") == 1
    assert text.count("{") == text.count("}")
    assert text.count("auth_basic_user_file") == 1


def test_the_first_question_to_a_registry_asks_for_the_password() -> None:
    # nginx answers a `return` before it looks at the password, and a client that is let in once never sends its own
    lines = [line for line in nginx.nginx_conf().splitlines() if "location = /v2/ " in line]
    assert lines and not any("return" in line for line in lines)


def test_upstream_keeps_its_own_names() -> None:
    text = nginx.nginx_conf((mirror.MIRROR,))
    assert "pkgs.k8s.io" not in text
    assert f"server_name {mirror.MIRROR};" in text


def test_mirrors_have_the_addresses_before_the_nodes() -> None:
    subnet = ipaddress.IPv4Network("10.213.0.0/20")
    assert server.free_address(subnet, []) == "10.213.0.2"
    assert server.free_address(subnet, ["10.213.0.3", "10.213.0.2"]) == "10.213.0.4"
    with pytest.raises(MachineError, match="lab-down"):
        server.free_address(subnet, [str(subnet[number]) for number in range(16)])


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBESTEAD_CACHE", str(tmp_path))
    return tmp_path


def test_an_address_that_podman_has_leased_to_a_container_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    message = "requested ip address 10.213.0.2 is already allocated to container ID f7698afebd432c34"

    def podman(*args: str, check: bool = True) -> None:
        raise PodmanError(f"podman run --detach failed with code 126: Error: IPAM error: {message}")

    monkeypatch.setattr(server, "podman", podman)
    monkeypatch.setattr(server, "remove_mirror", removed.append)
    assert server._start("one", "image", []) is False
    assert removed == ["one", "one"], "the container that podman made and could not start is removed"
    message = "no space left on device"
    with pytest.raises(PodmanError, match="no space left"):
        server._start("one", "image", [])


def test_certificates(cache: Path) -> None:
    made = certificates.ensure_certificates(("a.test", "b.test"))
    first = made.server.read_text()

    def verifies(host: str) -> bool:
        argv = ["openssl", "verify", "-CAfile", str(made.ca), "-verify_hostname", host, str(made.server)]
        return subprocess.run(argv, capture_output=True).returncode == 0

    assert verifies("a.test") and verifies("b.test") and not verifies("c.test")
    assert {path.stat().st_mode & 0o777 for path in made.folder.glob("*.key")} == {0o600}
    assert certificates.ensure_certificates(("a.test", "b.test")).server.read_text() == first
    ca = made.ca.read_text()
    certificates.ensure_certificates(("a.test", "c.test"))
    assert verifies("c.test") and not verifies("b.test")
    assert made.ca.read_text() == ca, "nodes trust the CA; a new name does not change it"


def test_flattened_names_lead_to_the_images(tmp_path: Path) -> None:
    for path in ("pause", "coredns/coredns"):
        folder = tmp_path / "registry.k8s.io" / path / "manifests"
        folder.mkdir(parents=True)
        (folder / "v1").write_text(path)
    site.flatten(tmp_path)
    assert (tmp_path / "k8s/pause/manifests/v1").read_text() == "pause"
    assert (tmp_path / "k8s/coredns/manifests/v1").read_text() == "coredns/coredns"


def test_once_leaves_nothing_half_made(cache: Path) -> None:
    target = cache / "things" / "one"
    with pytest.raises(KeyboardInterrupt), once(target) as work:
        assert work is not None
        (work / "half").touch()
        raise KeyboardInterrupt
    assert not target.exists()
    leftover = target.parent / ".tmp-one.killed"
    leftover.mkdir()
    with once(target) as work:
        assert work is not None
        (work / "whole").touch()
    assert sorted(path.name for path in target.parent.iterdir()) == ["one"]
    with once(target) as work:
        assert work is None


def test_a_systems_packages_are_made_once_and_switched_to_when_complete(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def repository(apt: object, work: Path) -> None:
        made.append(work)
        assert not (site.distributions() / "debian13").exists() or len(made) > 1
        (work / "Packages").write_text(str(len(made)))

    monkeypatch.setattr(site.systems, "apt_sources", lambda: ["deb http://a.test/debian bookworm main"])
    monkeypatch.setattr(site.systems, "own_release", lambda: "bookworm")
    monkeypatch.setattr(site, "ensure", lambda *_: None)
    monkeypatch.setattr(site, "fresh_apt", lambda system: None)
    monkeypatch.setattr(site.repository, "distribution_repository", repository)
    system = SYSTEMS["debian13"]
    served = site.distributions() / "debian13" / "Packages"
    for _ in range(2):
        site.ensure_distribution(system)
        assert served.read_text() == "1"
    for number in range(2, 6):
        monkeypatch.setattr(site.repository, "DISTRIBUTION", [f"package-{number}"])
        site.ensure_distribution(system)
        assert served.read_text() == str(number)
    assert len(list((site.distributions() / ".debian13").iterdir())) == 3, "older ones are removed"
    assert [path for path in site.distributions().iterdir() if path.is_symlink()] == [served.parent]
