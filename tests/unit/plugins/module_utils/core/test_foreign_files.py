# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of others: what is not meant to change stays, byte for byte, and a copy is kept."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import foreign_files
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.foreign_files import backup_path, keep, rewrite
from ansible_collections.kubestead.cluster.plugins.module_utils.host import prepare
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import kube_plan, sources
from ansible_collections.kubestead.cluster.plugins.module_utils.packages.kube_state import KubePackagesState
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

PATH = "/etc/some.conf"
BASE = "https://pkgs.k8s.io/core:/stable:"
DEB = BASE + "/v1.36/deb/"


def place(machine: Machine, path: str, data: bytes, mode: int = 0o644) -> Path:
    """Put bytes in place."""
    real = Path(machine.path(path))
    real.parent.mkdir(parents=True, exist_ok=True)
    real.write_bytes(data)
    real.chmod(mode)
    return real


def upper(text: str) -> str:
    return text.replace("a", "A")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a\r\nb\r\n", b"A\r\nb\r\n"),
        (b"a\rb\r", b"A\rb\r"),
        (b"a", b"A"),
        (b"\xef\xbb\xbfa\n", b"\xef\xbb\xbfA\n"),
        (b"# caf\xe9\na\n", b"# cAf\xe9\nA\n"),
        (b"a\x00b\x0b\x85\n\n\n", b"A\x00b\x0b\x85\n\n\n"),
        ("ä a\u2028\n".encode(), "ä A\u2028\n".encode()),
        (b"", b""),
    ],
)
def test_every_other_byte_stays(machine: Machine, before: bytes, after: bytes) -> None:
    real = place(machine, PATH, before)
    rewrite(machine, PATH, upper)
    assert real.read_bytes() == after
    assert Path(machine.path(backup_path(PATH))).read_bytes() == before


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664, 0o4755])
def test_the_mode_stays_and_is_that_of_the_copy(machine: Machine, mode: int) -> None:
    place(machine, PATH, b"a", mode)
    rewrite(machine, PATH, upper)
    assert (machine.mode(PATH), machine.mode(backup_path(PATH))) == (mode, mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(machine: Machine) -> None:
    real = place(machine, PATH, b"a", 0o640)
    os.chown(real, 12, 34)
    rewrite(machine, PATH, upper)
    kept = os.stat(machine.path(backup_path(PATH)))
    assert (real.stat().st_uid, real.stat().st_gid, kept.st_uid, kept.st_gid) == (12, 34, 12, 34)


def test_attributes_stay(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    place(machine, PATH, b"a")
    set_to: list[tuple[str, bytes]] = []
    monkeypatch.setattr(os, "listxattr", lambda _path: ["security.selinux", "security.ima"])
    monkeypatch.setattr(os, "getxattr", lambda _path, name: name.encode())

    def setxattr(_handle: int, name: str, value: bytes) -> None:
        if name == "security.ima":
            raise PermissionError(errno.EPERM, "Operation not permitted")
        set_to.append((name, value))

    monkeypatch.setattr(os, "setxattr", setxattr)
    rewrite(machine, PATH, upper)
    # Once for the copy, once for the file.
    assert set_to == [("security.selinux", b"security.selinux")] * 2


def test_a_link_stays_and_what_it_leads_to_is_changed(machine: Machine) -> None:
    real = place(machine, "/srv/config/some.conf", b"a")
    link = Path(machine.path(PATH))
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    rewrite(machine, PATH, upper)
    assert link.is_symlink() and real.read_bytes() == b"A"
    # The copy is where the file is known, not where it lies.
    assert Path(machine.path(backup_path(PATH))).read_bytes() == b"a"
    assert not Path(machine.path(backup_path("/srv/config/some.conf"))).exists()


def test_other_names_of_a_file_stay_its_names(machine: Machine) -> None:
    real = place(machine, PATH, b"aaaa")
    os.link(real, machine.path("/etc/other.conf"))
    rewrite(machine, PATH, lambda _text: "A")
    assert machine.read("/etc/other.conf") == "A" and real.stat().st_nlink == 2


def test_a_file_that_is_mounted_by_itself_is_written_into(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    real = place(machine, PATH, b"aaaa", 0o640)
    rename = os.rename

    def refuse(source: str, target: str) -> None:
        if target == str(real):
            raise OSError(errno.EBUSY, "Device or resource busy")
        rename(source, target)

    monkeypatch.setattr(os, "rename", refuse)
    rewrite(machine, PATH, lambda _text: "A")
    assert (machine.read(PATH), machine.mode(PATH)) == ("A", 0o640)
    assert sorted(os.listdir(machine.path("/etc"))) == ["some.conf", "some.conf.before-kubestead"]


def test_the_first_copy_stays(machine: Machine) -> None:
    place(machine, PATH, b"a")
    rewrite(machine, PATH, upper)
    rewrite(machine, PATH, lambda _text: "c")
    assert machine.read(backup_path(PATH)) == "a" and machine.read(PATH) == "c"


def test_a_link_in_the_place_of_the_copy_is_not_followed(machine: Machine) -> None:
    place(machine, PATH, b"a")
    elsewhere = place(machine, "/srv/other", b"mine")
    Path(machine.path(backup_path(PATH))).symlink_to(elsewhere)
    keep(machine, PATH)
    assert elsewhere.read_bytes() == b"mine"


def test_what_is_not_there_and_what_is_not_a_file_are_one_line(machine: Machine) -> None:
    with pytest.raises(KubesteadError, match="^/etc/some.conf was removed during the run; run again$"):
        rewrite(machine, PATH, upper)
    Path(machine.path(PATH)).mkdir(parents=True)
    with pytest.raises(KubesteadError, match="^/etc/some.conf is not a regular file; replace it with one$"):
        rewrite(machine, PATH, upper)


def test_a_failed_write_leaves_the_file_and_nothing_beside(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    place(machine, PATH, b"a")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(KubesteadError, match="can't be written: No space left on device$"):
        rewrite(machine, PATH, upper)
    assert os.listdir(machine.path("/etc")) == ["some.conf"] and machine.read(PATH) == "a"


def test_copies_in_folders_of_apt_have_an_ending_that_apt_is_silent_about() -> None:
    assert backup_path("/etc/apt/sources.list") == "/etc/apt/sources.list.before-kubestead.bak"
    assert backup_path("/etc/fstab") == "/etc/fstab.before-kubestead"


# -- the components that change files of others


def steps_of_host(machine: Machine) -> list[Any]:
    machine.answer("systemctl", "")
    options = prepare.HostOptions(kernel_modules=[])
    return prepare.plan(prepare.observe(machine, []), options)


@pytest.mark.parametrize(
    ("text", "changed"),
    [
        (
            b"# caf\xe9\r\n/dev/sda2 none swap sw 0 0\r\n/dev/sda1 / ext4 defaults 0 1\r\n",
            b"# caf\xe9\r\n# Disabled by kubestead.cluster: the kubelet requires swap to be off\r\n"
            b"#/dev/sda2 none swap sw 0 0\r\n/dev/sda1 / ext4 defaults 0 1\r\n",
        ),
        (
            b"/dev/sda2 none swap sw 0 0",
            b"# Disabled by kubestead.cluster: the kubelet requires swap to be off\n#/dev/sda2 none swap sw 0 0",
        ),
        (
            b"\t/dev/sda2\tnone\tswap\tsw\n\n\n//nas/x /x cifs password=s3cret 0 0\n",
            b"# Disabled by kubestead.cluster: the kubelet requires swap to be off\n"
            b"#\t/dev/sda2\tnone\tswap\tsw\n\n\n//nas/x /x cifs password=s3cret 0 0\n",
        ),
    ],
)
def test_fstab(machine: Machine, text: bytes, changed: bytes) -> None:
    real = place(machine, "/etc/fstab", text, 0o600)
    for step in steps_of_host(machine):
        if step.target == "/etc/fstab":
            prepare.apply(step, machine)
    assert real.read_bytes() == changed and machine.mode("/etc/fstab") == 0o600
    assert Path(machine.path("/etc/fstab.before-kubestead")).read_bytes() == text


def test_a_sysctl_file_of_another_operator_that_is_a_link(machine: Machine) -> None:
    real = place(
        machine, "/etc/tuned/boot.conf", b"; tuned \xa9\r\nnet.ipv4.ip_forward=0\r\nvm.swappiness=1\r\n", 0o640
    )
    link = Path(machine.path("/etc/sysctl.d/99-tuned.conf"))
    link.parent.mkdir(parents=True)
    link.symlink_to(real)
    machine.put("/proc/sys/net/ipv4/ip_forward", "1\n")
    (step,) = [step for step in steps_of_host(machine) if step.action == "comment_out"]
    prepare.apply(step, machine)
    assert real.read_bytes() == (
        b"; tuned \xa9\r\n# Disabled by kubestead.cluster: contradicts /etc/sysctl.d/99-kubestead.conf\r\n"
        b"#net.ipv4.ip_forward=0\r\nvm.swappiness=1\r\n"
    )
    assert link.is_symlink() and real.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    ("path", "text", "after"),
    [
        (
            "/etc/apt/sources.list",
            b"deb http://apt.example.org/debian trixie main # caf\xe9\r\ndeb [trusted=yes] "
            + DEB.encode()
            + b" /\r\n\r\n",
            b"deb http://apt.example.org/debian trixie main # caf\xe9\r\n\r\n",
        ),
        (
            "/etc/apt/sources.list.d/all.sources",
            b"# ours\nTypes: deb\nURIs: http://apt.example.org/debian\nSuites: trixie\n\n\nTypes: deb\nURIs: "
            + DEB.encode()
            + b"\nSuites: /\n\nTypes: deb\nURIs: http://x/\nSuites: y",
            b"# ours\nTypes: deb\nURIs: http://apt.example.org/debian\nSuites: trixie\n\n\n"
            b"Types: deb\nURIs: http://x/\nSuites: y",
        ),
        (
            "/etc/apt/sources.list.d/crlf.sources",
            b"Types: deb\r\nURIs: http://x/\r\nSuites: y\r\n\r\nTypes: deb\r\nURIs: "
            + DEB.encode()
            + b"\r\nSuites: /\r\n",
            b"Types: deb\r\nURIs: http://x/\r\nSuites: y\r\n",
        ),
    ],
)
def test_sources_of_apt(machine: Machine, path: str, text: bytes, after: bytes) -> None:
    real = place(machine, path, text, 0o640)
    (clash,) = sources.clashes(machine, "apt", BASE, DEB)
    before = KubePackagesState(manager="apt", clashes=[clash], enabled=True)
    step = next(step for step in clash_steps(before) if step.target == path)
    kube_plan.apply(step, machine)
    assert real.read_bytes() == after and machine.mode(path) == 0o640
    assert Path(machine.path(path + ".before-kubestead.bak")).read_bytes() == text


def clash_steps(state: KubePackagesState) -> list[Any]:
    """The steps for other definitions of the repository, without those for packages."""
    return kube_plan.clash_steps(state, BASE, DEB)


def test_a_file_with_nothing_else_is_removed_and_kept(machine: Machine) -> None:
    path = "/etc/apt/sources.list.d/k8s.list"
    place(machine, path, b"deb " + DEB.encode() + b" /\n", 0o600)
    (step,) = clash_steps(KubePackagesState(clashes=sources.clashes(machine, "apt", BASE, DEB)))
    assert step.summary().endswith("; a copy is kept in {0}.before-kubestead.bak)".format(path))
    kube_plan.apply(step, machine)
    assert not machine.exists(path)
    assert (machine.read(path + ".before-kubestead.bak"), machine.mode(path + ".before-kubestead.bak")) == (
        "deb " + DEB + " /\n",
        0o600,
    )


def test_the_step_names_the_copy_everywhere(machine: Machine) -> None:
    place(machine, "/etc/fstab", b"/dev/sda2 none swap sw 0 0\n")
    step = next(step for step in steps_of_host(machine) if step.target == "/etc/fstab")
    told = "a copy is kept in /etc/fstab.before-kubestead"
    assert told in step.summary() and told in step.public()["reason"]
    assert foreign_files.backup_path("/etc/fstab") in step.backup
