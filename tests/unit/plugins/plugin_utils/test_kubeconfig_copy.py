# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The CAs in the copy on the control machine: a control plane that is taken over does not change them."""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleActionFail

from ansible_collections.kubestead.cluster.plugins.module_utils.core import foreign_files
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.x509 import ca_cert_hashes, exact_certificates
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import (
    NOT_A_KUBECONFIG,
    KubeconfigSummary,
    rewrite_command,
    source_fix,
    summarize,
)
from ansible_collections.kubestead.cluster.plugins.plugin_utils import kubeconfig_copy
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kube.test_kubeconfig import (
    ADMIN,
    EARLIER,
    OTHER,
    SERVER,
    Task,
    no_base,
)
from ansible_collections.kubestead.cluster.tests.unit.plugins.module_utils.kube.test_kubeconfig_entries import (
    OTHER_FORMS,
    TWO_CLUSTERS,
    in_flow_style,
    own,
)
from ansible_collections.kubestead.cluster.tests.unit.support import Machine

__all__ = ["no_base"]

ROOT = Path(__file__).resolve().parents[4]


def authority_data(text: str) -> str:
    found = re.search("certificate-authority-data: (.*)", text)
    assert found
    return found.group(1)


def authority(text: str) -> str:
    return base64.b64decode(authority_data(text)).decode()


def with_authority(text: str, pem: str) -> str:
    """A kubeconfig with other CAs."""
    data = base64.b64encode(pem.encode()).decode()
    return re.sub("certificate-authority-data: .*", f"certificate-authority-data: {data}", text)


def renewed(text: str) -> str:
    """As kubeadm writes it when it has renewed the client certificate, so that a copy is stale."""
    data = base64.b64encode(authority(OTHER).encode()).decode()
    return re.sub("client-certificate-data: .*", f"client-certificate-data: {data}", text)


def same_key(pem: str) -> str:
    """A CA certificate with another serial number: what is renewed with the same key."""
    der = bytearray(base64.b64decode("".join(pem.strip().splitlines()[1:-1])))
    # The header of the certificate, that of its content, the version, and the header of the serial number.
    at = 4 + 4 + 5 + 2
    assert der[at - 2] == 2
    der[at] ^= 1
    return block(base64.encodebytes(bytes(der)).decode())


def block(body: str) -> str:
    return f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n"


CA, EVIL = authority(ADMIN), authority(OTHER)
(PIN,), (EVIL_PIN,) = ca_cert_hashes(CA), ca_cert_hashes(EVIL)
ADDED, REPLACED = renewed(with_authority(ADMIN, CA + EVIL)), renewed(with_authority(ADMIN, EVIL))
assert PIN != EVIL_PIN and summarize(ADDED).servers == [SERVER]
#: One more cluster, before those of a file.
MORE = "clusters:\n- cluster:\n    server: https://192.0.2.1:6443\n  name: more\n"
#: A copy that can't be changed in place.
JSON = json.dumps(yaml.safe_load(own(ADMIN)))
FIX = (
    "if the CA was replaced or the cluster was created again, move the copy away, or change its "
    "certificate-authority-data, and run again; if not, find out who changed the CA on this host"
)


def run(tmp_path: Path, copy: str | None, sent: str, source: KubeconfigSummary | None = None, **args: Any) -> Any:
    """What the action returns. ``source`` is what the host says of the file that it sends."""
    target = tmp_path / "k" / "config"
    target.parent.mkdir(exist_ok=True)
    if copy is not None:
        target.write_text(copy)
        target.chmod(0o600)
    module = {"changed": False, "steps": [], "diff": [], "source": to_dict(source or summarize(sent))}
    task = Task(tmp_path, module, args.pop("check_mode", False))
    task._task.delegate_to = args.pop("delegate_to", None)
    path = args.pop("path", "")
    task._task.get_path = lambda: path
    task._task.args.update(args)
    task.sent = {"rc": 0, "stdout": sent, "stderr": ""}
    return task.run(None, {"inventory_hostname": "cp1"})


def written(tmp_path: Path) -> str:
    return (tmp_path / "k" / "config").read_text()


def kept(tmp_path: Path, copy: str, result: Any) -> str:
    """The one warning; nothing was written."""
    assert not result["changed"] and not result["steps"] and not result["diff"]
    assert written(tmp_path) == copy and [path.name for path in (tmp_path / "k").iterdir()] == ["config"]
    (warning,) = result["warnings"]
    assert "\n" not in warning
    return str(warning)


def told(tmp_path: Path, copy_only: str, admin_only: str) -> str:
    return (
        f"cp1: {tmp_path}/k/config on the control machine has other CAs than /etc/kubernetes/admin.conf and was not "
        f"changed (public keys only in the copy: {copy_only}; only in admin.conf: {admin_only}); {FIX}"
    )


# -- CAs


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize("copy", [ADMIN, own(ADMIN)], ids=["plain", "own entries"])
def test_a_ca_that_a_host_adds_or_replaces_is_not_in_the_copy(tmp_path: Path, copy: str, honest: bool) -> None:
    for sent, gone in ((ADDED, "none"), (REPLACED, PIN)):
        # What a host says of its file may be wrong. Only the digest is bound to what it sends.
        claim = replace(summarize(renewed(ADMIN)), digest=summarize(sent).digest)
        assert kept(tmp_path, copy, run(tmp_path, copy, sent, None if honest else claim)) == told(
            tmp_path, gone, EVIL_PIN
        )


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("copy", [ADMIN, own(ADMIN)], ids=["plain", "own entries"])
def test_a_ca_that_a_host_adds_is_told_although_nothing_would_be_written(tmp_path: Path, copy: str) -> None:
    sent = with_authority(ADMIN, CA + EVIL)
    assert kept(tmp_path, copy, run(tmp_path, copy, sent)) == told(tmp_path, "none", EVIL_PIN)


@pytest.mark.usefixtures("no_base")
def test_the_warning_names_the_host_that_was_asked(tmp_path: Path) -> None:
    assert run(tmp_path, ADMIN, ADDED, delegate_to="cp2")["warnings"][0].startswith("cp2: ")


def refused(tmp_path: Path, copy: str, sent: str, **more: Any) -> str:
    """The failure of a task for a copy whose server leaves; nothing was written."""
    with pytest.raises(AnsibleActionFail) as failed:
        run(tmp_path, copy, sent, server_leaves=True, **more)
    assert written(tmp_path) == copy and [path.name for path in (tmp_path / "k").iterdir()] == ["config"]
    return str(failed.value)


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("honest", [True, False])
def test_a_copy_whose_server_leaves_and_that_must_be_kept_ends_the_run(tmp_path: Path, honest: bool) -> None:
    """Otherwise the operator is left with a kubeconfig for a machine that no longer exists."""
    path = f"{tmp_path}/k/config"
    end = (
        f"; the run stops before the control plane leaves, because it is the server in {path}; if you can't correct "
        "the cause, set the server in this file to that of a control plane that stays, and run again"
    )
    # The file has other CAs than the host reported, or has changed since the plan.
    claim = replace(summarize(ADDED), authorities=[PIN], ca_cert_hashes=[PIN])
    text = refused(tmp_path, ADMIN, ADDED, source=None if honest else claim, delegate_to="cp2")
    assert text == told(tmp_path, "none", EVIL_PIN).replace("cp1: ", "cp2: ") + end
    assert refused(tmp_path, JSON, renewed(ADMIN)) == (
        f"{path} on the control machine is for this cluster, with other entries that would be lost and was not "
        "changed" + end
    )
    earlier = replace(summarize(renewed(ADMIN)), digest="0" * 64)
    assert refused(tmp_path, ADMIN, renewed(ADMIN), source=earlier) == (
        "/etc/kubernetes/admin.conf on this host differs from the file that the host reported; run again (nothing was "
        "written)" + end
    )


@pytest.mark.usefixtures("no_base")
def test_a_copy_whose_server_leaves_is_written_as_any_other(tmp_path: Path) -> None:
    assert run(tmp_path, ADMIN, renewed(ADMIN), server_leaves=True)["changed"]
    assert "warnings" not in run(tmp_path, written(tmp_path), renewed(ADMIN), server_leaves=True)


@pytest.mark.usefixtures("no_base")
def test_a_copy_that_can_not_be_changed_in_place_is_kept_in_any_case(tmp_path: Path) -> None:
    assert kept(tmp_path, JSON, run(tmp_path, JSON, ADDED)) == told(tmp_path, "none", EVIL_PIN)
    assert "with other entries that would be lost" in kept(tmp_path, JSON, run(tmp_path, JSON, renewed(ADMIN)))


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("change", [lambda text: text, own])
def test_a_ca_that_the_user_added_to_the_copy_is_not_lost(tmp_path: Path, change: Callable[[str], str]) -> None:
    copy = change(with_authority(ADMIN, CA + EVIL))
    assert kept(tmp_path, copy, run(tmp_path, copy, renewed(ADMIN))) == told(tmp_path, EVIL_PIN, "none")
    # As long as the copy has the same client certificate, there is nothing to write.
    assert "warnings" not in run(tmp_path, copy, ADMIN)


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("change", [lambda text: text, own])
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (CA + EVIL, EVIL + CA),
        (CA, CA + CA),
        (CA, block("".join(CA.splitlines()[1:-1]) + "\n")),
        (CA, CA.replace("\n", "\r\n")),
        (CA, same_key(CA)),
        (CA + EVIL, same_key(EVIL) + CA),
    ],
    ids=["order", "twice", "width of lines", "ends of lines", "same key", "same keys"],
)
def test_the_same_cas_in_another_form_are_no_difference(
    tmp_path: Path, old: str, new: str, change: Callable[[str], str]
) -> None:
    sent = renewed(with_authority(ADMIN, new))
    result = run(tmp_path, change(with_authority(ADMIN, old)), sent)
    assert result["changed"] and "warnings" not in result
    found = summarize(written(tmp_path))
    assert found.clients == summarize(sent).clients and authority(written(tmp_path)) == exact_certificates(new)
    assert not run(tmp_path, None, sent)["changed"]


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize(
    "pem",
    [
        # A reader that is less strict finds a certificate in these blocks, or behind them.
        CA + EVIL.replace("MII", "M=II", 1),
        CA + block(base64.encodebytes(b"0\x03\x02\x01\x01").decode()),
        CA.replace("-----END", "AAAA\n-----END"),
        CA + block(base64.encodebytes(base64.b64decode("".join(EVIL.splitlines()[1:-1])) + b"\x30\x00").decode()),
    ],
    ids=["not base64", "not a certificate", "behind the padding", "behind the certificate"],
)
@pytest.mark.parametrize("copy", [None, ADMIN])
def test_cas_of_another_form_are_refused(tmp_path: Path, pem: str, copy: str | None) -> None:
    sent = renewed(with_authority(ADMIN, pem))
    claim = replace(summarize(renewed(ADMIN)), digest=summarize(sent).digest)
    with pytest.raises(AnsibleActionFail, match="has no usable certificate-authority-data"):
        run(tmp_path, copy, sent, claim)
    assert copy is None or written(tmp_path) == copy


@pytest.mark.usefixtures("no_base")
def test_a_new_cluster_at_the_same_address_replaces_the_copy_of_the_earlier_one(tmp_path: Path) -> None:
    result = run(tmp_path, EARLIER, ADMIN, new_cluster=True)
    assert result["changed"] and written(tmp_path) == ADMIN and "warnings" not in result
    assert (tmp_path / "k" / "config.before-kubestead").read_text() == EARLIER


def earlier(machine: Machine, path: str) -> tuple[Step, KubeconfigSummary]:
    """The step of the plan, and what is known of the admin kubeconfig before the cluster is created."""
    wanted = KubeconfigSummary(servers=[SERVER])
    return kubeconfig_copy.plan_copy(machine, path, wanted, True), wanted


@pytest.mark.parametrize("form", ["file", "link", "two names"])
def test_a_run_that_is_killed_after_the_cluster_is_created_is_continued(machine: Machine, form: str) -> None:
    real, path = "/home/me/real", "/home/me/copy"
    machine.put(real if form != "file" else path, EARLIER, 0o600)
    if form == "link":
        os.symlink("real", machine.path(path))
    elif form == "two names":
        os.link(machine.path(real), machine.path(path))
    planned, wanted = earlier(machine, path)
    assert planned.reason == f"for an earlier cluster at {SERVER}" and planned.backup == path + ".before-kubestead"
    assert kubeconfig_copy.set_aside(machine, path, wanted) == planned.backup
    assert machine.read(path) == "" and machine.read(planned.backup) == EARLIER
    assert machine.mode(planned.backup) == machine.mode(path) == 0o600
    # The run that is not killed, and the next one if the run is killed before the cluster is created.
    for source in (summarize(ADMIN), wanted):
        assert kubeconfig_copy.plan_copy(machine, path, source, True).public() == planned.public()
        assert not kubeconfig_copy.set_aside(machine, path, wanted)
    # The next run if the run is killed after that: for it, the file is empty, whatever the backup is.
    step = kubeconfig_copy.plan_copy(machine, path, summarize(ADMIN))
    assert (step.reason, step.backup, step.data["backup"]) == ("the kubeconfig has no entries", "", False)
    kubeconfig_copy.apply_copy(kubeconfig_copy.plan_copy(machine, path, summarize(ADMIN)), machine, ADMIN)
    assert machine.read(path) == ADMIN and machine.read(planned.backup) == EARLIER
    assert os.path.islink(machine.path(path)) is (form == "link")
    assert form == "file" or machine.read(real) == ADMIN


def test_an_empty_file_beside_another_backup_is_filled_as_any_empty_file(machine: Machine) -> None:
    path = "/home/me/copy"
    machine.put(path, "")
    for backup in (None, OTHER, ADMIN, "", EARLIER):
        if backup is not None:
            machine.put(path + ".before-kubestead", backup)
        step = kubeconfig_copy.plan_copy(machine, path, summarize(ADMIN))
        assert (step.reason, step.backup) == ("the kubeconfig has no entries", "")
        kubeconfig_copy.apply_copy(step, machine, "")
        assert machine.read(path + ".before-kubestead") == backup


@pytest.mark.parametrize("copy", [None, "", OTHER, "# nothing\n", ADMIN.replace("clusters:\n", MORE), "broken: ["])
def test_a_file_that_a_new_cluster_does_not_replace_is_not_set_aside(machine: Machine, copy: str | None) -> None:
    path = "/home/me/copy"
    if copy is not None:
        machine.put(path, copy)
    assert not kubeconfig_copy.set_aside(machine, path, KubeconfigSummary(servers=[SERVER]))
    assert machine.read(path) == copy and not machine.exists(path + ".before-kubestead")


NUMBERED = [".before-kubestead", ".before-kubestead.1", ".before-kubestead.2"]


def test_a_backup_is_not_replaced_when_another_cluster_is_created(machine: Machine) -> None:
    path = "/home/me/copy"
    # The file of the user, then the copy of a cluster that was reset, then that of a second one, twice.
    texts = [EARLIER + "- name: anna\n  user:\n    token: t\n", EARLIER, renewed(EARLIER), renewed(EARLIER)]
    for text, suffix in zip(texts, [*NUMBERED, NUMBERED[-1]], strict=True):
        machine.put(path, text)
        planned, wanted = earlier(machine, path)
        assert planned.backup == path + suffix
        assert kubeconfig_copy.set_aside(machine, path, wanted) == planned.backup
        for source in (summarize(ADMIN), wanted):
            assert kubeconfig_copy.plan_copy(machine, path, source, True).public() == planned.public()
    assert [machine.read(path + suffix) for suffix in NUMBERED] == texts[:3]
    # The same for a copy that is replaced without being set aside before.
    machine.put(path, texts[1])
    step = kubeconfig_copy.plan_copy(machine, path, summarize(ADMIN), True)
    kubeconfig_copy.apply_copy(step, machine, ADMIN)
    assert step.backup == path + ".before-kubestead.3" and machine.read(step.backup) == texts[1]
    assert [machine.read(path + suffix) for suffix in NUMBERED] == texts[:3] and machine.read(path) == ADMIN


@pytest.mark.parametrize("left", [[1], [2], [0, 3], [1, 9], [98]])
def test_the_newest_backup_is_that_with_the_highest_number(machine: Machine, left: list[int]) -> None:
    """A user may have deleted earlier ones."""
    path = "/home/me/copy"

    def backup(number: int) -> str:
        return path + ".before-kubestead" + (f".{number}" if number else "")

    machine.put(path, EARLIER)
    for number in left:
        machine.put(backup(number), renewed(EARLIER))
    planned, wanted = earlier(machine, path)
    assert planned.backup == backup(left[-1] + 1)
    assert kubeconfig_copy.set_aside(machine, path, wanted) == planned.backup
    for source in (summarize(ADMIN), wanted):
        assert kubeconfig_copy.plan_copy(machine, path, source, True).public() == planned.public()
    assert machine.read(planned.backup) == EARLIER
    assert [machine.read(backup(number)) for number in left] == [renewed(EARLIER)] * len(left)


def test_no_backup_is_replaced_if_there_is_no_further_number(machine: Machine) -> None:
    path = "/home/me/copy"
    last = path + ".before-kubestead.99"
    machine.put(path, EARLIER)
    machine.put(last, renewed(EARLIER))
    step, wanted = earlier(machine, path)
    told = f"{last} exists; remove the backups that you don't need, and run again"
    with pytest.raises(KubesteadError) as refused:
        kubeconfig_copy.set_aside(machine, path, wanted)
    assert refused.value.message == told
    with pytest.raises(KubesteadError) as refused:
        kubeconfig_copy.apply_copy(step, machine, ADMIN)
    assert refused.value.message == told
    assert machine.read(path) == EARLIER and machine.read(last) == renewed(EARLIER)
    # It has the contents of the file already.
    machine.put(last, EARLIER)
    assert kubeconfig_copy.set_aside(machine, path, wanted) == last


@pytest.mark.parametrize("there", [None, EARLIER, OTHER, "", "broken: [", own(ADMIN), own(renewed(ADMIN))])
def test_the_first_change_of_a_cluster_is_backed_up_and_no_other_backup_is_named(
    machine: Machine, there: str | None
) -> None:
    """The backup that exists may be that of an earlier cluster."""
    path = "/home/me/copy"
    first, second = NUMBERED[:2]
    if there is not None:
        machine.put(path + first, there)
    machine.put(path, own(ADMIN))
    of_this = there is not None and PIN in summarize(there).ca_cert_hashes
    suffix = "" if of_this else first if there is None else second
    step = kubeconfig_copy.plan_copy(machine, path, summarize(renewed(ADMIN)))
    assert step.data["merge"] and step.backup == (suffix and path + suffix)
    kubeconfig_copy.apply_copy(step, machine, renewed(ADMIN))
    assert machine.read(path) == own(renewed(ADMIN))
    assert of_this or machine.read(step.backup) == own(ADMIN)
    assert there is None or machine.read(path + first) == there
    # The next change of the same cluster.
    before = sorted(os.listdir(machine.path("/home/me")))
    step = kubeconfig_copy.plan_copy(machine, path, summarize(ADMIN))
    assert step.data["merge"] and not step.backup
    kubeconfig_copy.apply_copy(step, machine, ADMIN)
    assert machine.read(path) == own(ADMIN) and sorted(os.listdir(machine.path("/home/me"))) == before


@pytest.mark.parametrize("kind", ["folder", "link", "FIFO"])
def test_what_else_has_the_name_of_the_backup_stays(machine: Machine, kind: str) -> None:
    path = "/home/me/copy"
    machine.put(path, EARLIER)
    there = machine.path(path + ".before-kubestead")
    {"folder": os.mkdir, "link": lambda name: os.symlink("nowhere", name), "FIFO": os.mkfifo}[kind](there)
    before = os.lstat(there)
    planned, wanted = earlier(machine, path)
    assert kubeconfig_copy.set_aside(machine, path, wanted) == planned.backup == path + ".before-kubestead.1"
    assert machine.read(planned.backup) == EARLIER and os.lstat(there).st_ino == before.st_ino


@pytest.mark.parametrize("aside", [True, False])
def test_a_backup_has_the_same_bytes(machine: Machine, aside: bool) -> None:
    path = "/home/me/copy"
    before = ("# fa\u00e7ade\r\n" + EARLIER.replace("\n", "\r\n")).encode("latin-1")
    machine.put(path, "")
    Path(machine.path(path)).write_bytes(before)
    planned, wanted = earlier(machine, path)
    if aside:
        kubeconfig_copy.set_aside(machine, path, wanted)
    kubeconfig_copy.apply_copy(kubeconfig_copy.plan_copy(machine, path, summarize(ADMIN), True), machine, ADMIN)
    assert machine.read(path) == ADMIN and Path(machine.path(planned.backup)).read_bytes() == before


@pytest.mark.parametrize("when", ["before the backup", "after the backup"])
@pytest.mark.parametrize("aside", [True, False])
def test_what_kubectl_writes_to_the_copy_in_the_meantime_is_not_lost(
    machine: Machine, monkeypatch: pytest.MonkeyPatch, aside: bool, when: str
) -> None:
    path, now = "/home/me/copy", EARLIER + "- name: anna\n  user:\n    token: t\n"
    machine.put(path, EARLIER)
    _planned, wanted = earlier(machine, path)
    step = kubeconfig_copy.plan_copy(machine, path, summarize(ADMIN), True)

    def slow(*args: Any, **more: Any) -> None:
        if when == "before the backup":
            machine.put(path, now)
        foreign_files.keep(*args, **more)
        machine.put(path, now)

    monkeypatch.setattr(kubeconfig_copy, "keep", slow)
    with pytest.raises(KubesteadError) as refused:
        if aside:
            kubeconfig_copy.set_aside(machine, path, wanted)
        else:
            kubeconfig_copy.apply_copy(step, machine, ADMIN)
    assert refused.value.message == f"{path} was changed during the run, and was not replaced; run again"
    assert machine.read(path) == now


def test_a_copy_that_another_program_creates_in_the_meantime_is_not_replaced(machine: Machine) -> None:
    path = "/home/me/copy"
    step = kubeconfig_copy.plan_copy(machine, path, summarize(ADMIN))
    machine.put(path, OTHER)
    with pytest.raises(KubesteadError, match="was changed during the run"):
        kubeconfig_copy.apply_copy(step, machine, ADMIN)
    assert machine.read(path) == OTHER


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize("form", OTHER_FORMS)
def test_a_copy_that_is_not_read_as_a_whole_is_not_taken_for_that_of_an_earlier_cluster(
    machine: Machine, form: str, new: bool
) -> None:
    path = "/home/me/copy"
    text = OTHER_FORMS[form](EARLIER)
    machine.put(path, text)
    for server in ("", SERVER):
        wanted = kubeconfig_copy.with_server(summarize(renewed(ADMIN)), server)
        step = kubeconfig_copy.plan_copy(machine, path, wanted, new)
        assert (step.action, step.reason) == ("keep", f"not usable ({NOT_A_KUBECONFIG})")
    assert not kubeconfig_copy.set_aside(machine, path, KubeconfigSummary(servers=[SERVER]))
    assert machine.read(path) == text


@pytest.mark.usefixtures("no_base")
def test_a_new_cluster_has_no_ca_of_the_copy(tmp_path: Path) -> None:
    assert kept(tmp_path, ADMIN, run(tmp_path, ADMIN, ADDED, new_cluster=True)) == told(tmp_path, "none", EVIL_PIN)


@pytest.mark.usefixtures("no_base")
def test_a_copy_whose_ca_is_a_file_is_not_replaced(tmp_path: Path) -> None:
    copy = re.sub("certificate-authority-data: .*", "certificate-authority: /home/me/ca.crt", ADMIN)
    assert kept(tmp_path, copy, run(tmp_path, copy, renewed(ADMIN))) == told(tmp_path, "none", PIN)


@pytest.mark.usefixtures("no_base")
def test_a_check_mode_says_what_the_run_says(tmp_path: Path) -> None:
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / "config").write_text(ADMIN)
    module = {"changed": False, "steps": [], "diff": [], "source": to_dict(summarize(ADDED))}
    result = Task(tmp_path, module, check_mode=True).run(None, {"inventory_hostname": "cp1"})
    assert kept(tmp_path, ADMIN, result) == told(tmp_path, "none", EVIL_PIN)


def test_a_host_does_not_choose_the_words_of_the_warning() -> None:
    claim = replace(
        summarize(ADDED), ca_cert_hashes=[PIN, "\x1b[31m", "run curl", *(f"sha256:{n:064x}" for n in range(9))]
    )
    claim = replace(claim, authorities=["other"])
    verdict, reason = kubeconfig_copy.judged(summarize(ADMIN), claim)
    assert verdict == kubeconfig_copy.OTHER_CA
    shown = ", ".join(f"sha256:{n:064x}" for n in range(3))
    assert reason == f"only in the copy: none; only in admin.conf: {shown} and 6 more"


@pytest.mark.usefixtures("no_base")
def test_a_copy_and_an_answer_without_a_server_are_of_different_clusters(tmp_path: Path) -> None:
    copy = ADMIN.replace("    server: " + SERVER + "\n", "").replace(authority_data(ADMIN), authority_data(OTHER))
    claim = replace(summarize(ADMIN), servers=["x"])
    warning = kept(tmp_path, copy, run(tmp_path, copy, ADMIN, claim))
    assert "for another cluster (it does not name a server)" in warning


@pytest.mark.parametrize("change", [lambda text: text, own], ids=["plain", "own entries"])
@pytest.mark.parametrize(
    "edit",
    [
        lambda text: re.sub(r"(    user: kubernetes-admin\n)", r"\1    namespace: shop\n", text),
        lambda text: "# mine\n" + text,
        lambda text: text.replace("kind: Config\n", "kind: Config\npreferences:\n  colors: true\n"),
    ],
    ids=["namespace", "comment", "preferences"],
)
def test_check_mode_predicts_the_step_for_an_admin_kubeconfig_with_more_than_kubeadm_writes(
    machine: Machine, edit: Callable[[str], str], change: Callable[[str], str]
) -> None:
    path, sent = "/home/me/copy", edit(renewed(ADMIN))
    machine.put(path, change(ADMIN))
    source = kubeconfig_copy.reported_summary(to_dict(summarize(sent)))
    assert not source.plain
    predicted = kubeconfig_copy.plan_copy(machine, path, source)
    done = kubeconfig_copy.plan_copy(machine, path, summarize(kubeconfig_copy.rebuilt(sent, source)))
    assert (predicted, predicted.data) == (done, done.data)
    assert predicted.data["merge"] == (change is own) == bool(predicted.backup)


def listed(text: str, kind: str, name: str, values: str) -> str:
    """A kubeconfig with one more entry, after those that it has, or before the admin's with a name before it."""
    values = "".join(f"    {line}\n" for line in values.splitlines())
    found = re.search(rf"(?m)^{kind}s:\n((?:[- ] .*\n)+)", text)
    assert found
    entry, end = f"- {kind}:\n{values}  name: {name}\n", found.end() if name > "kubernetes" else found.start(1)
    return text[:end] + entry + text[end:]


def values_of(text: str, *keys: str) -> str:
    return "".join(re.findall(rf"(?m)^    ((?:{'|'.join(keys)}): .*\n)", text))


CLUSTER, CLIENT = ("server", "certificate-authority-data"), ("client-certificate-data", "client-key-data")
SECOND = values_of(ADMIN, *CLIENT).replace("data: L", "data: M")
FORMS: dict[str, Callable[[str], str]] = {
    "kubeadm": lambda text: text,
    "user": lambda text: listed(text, "user", "shop", SECOND),
    "user before": lambda text: listed(text, "user", "anna", SECOND),
    "token": lambda text: listed(text, "user", "shop", "token: t"),
    "context": lambda text: listed(text, "context", "shop", "cluster: kubernetes\nuser: kubernetes-admin"),
    "other CA": lambda text: listed(text, "cluster", "shop", values_of(OTHER, *CLUSTER)),
    "other CA before": lambda text: listed(text, "cluster", "aws", values_of(OTHER, *CLUSTER)),
    "no CA": lambda text: listed(text, "cluster", "shop", "server: https://192.0.2.1:6443"),
    "other server": lambda text: listed(
        text, "cluster", "shop", values_of(ADMIN, *CLUSTER).replace(SERVER, "https://192.0.2.1:6443")
    ),
    "other server before": lambda text: listed(
        text, "cluster", "aws", values_of(ADMIN, *CLUSTER).replace(SERVER, "https://192.0.2.1:6443")
    ),
}
FORMS["all"] = lambda text: FORMS["user"](FORMS["other CA before"](FORMS["other server"](FORMS["context"](text))))
COPIES: dict[str, str | None] = {
    "none": None,
    "empty": "",
    "plain": ADMIN,
    "own": own(ADMIN),
    "stale": renewed(ADMIN),
    "own, stale": own(renewed(ADMIN)),
    "other": OTHER,
    "earlier": EARLIER,
    "both CAs": with_authority(renewed(ADMIN), CA + EVIL),
    "more": renewed(ADMIN).replace("clusters:\n", MORE),
}


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize(("server", "new"), [("", False), ("", True), ("https://192.0.2.62:6443", False)])
@pytest.mark.parametrize("copy", COPIES)
@pytest.mark.parametrize("form", FORMS)
def test_check_mode_and_the_run_agree_whatever_else_is_in_the_admin_kubeconfig(
    tmp_path: Path, form: str, copy: str, server: str, new: bool
) -> None:
    sent, text, more = FORMS[form](ADMIN), COPIES[copy], {"new_cluster": new, "copy_server": server}
    assert yaml.safe_load(sent)["current-context"] == "kubernetes-admin@kubernetes"

    def both(text: str | None) -> Any:
        predicted = run(tmp_path, text, sent, check_mode=True, **more)
        done = run(tmp_path, None, sent, **more)
        for key in ("changed", "steps", "warnings"):
            assert predicted.get(key) == done.get(key)
        return done

    both(text)
    # What was written is what the next run wants, and the admin's own values alone.
    if copy in ("none", "empty", "stale"):
        found = summarize(written(tmp_path))
        assert (found.servers, found.clients) == ([server or SERVER], [summarize(ADMIN).client])
    assert not both(None)["changed"]


@pytest.mark.parametrize("form", FORMS)
def test_the_plan_takes_a_copy_for_that_of_the_control_plane_whatever_else_is_in_its_file(form: str) -> None:
    source = summarize(FORMS[form](ADMIN))
    for server in (SERVER, "https://192.0.2.62:6443"):
        wanted = kubeconfig_copy.with_server(source, server)
        assert wanted is not None and (wanted.servers, wanted.clients) == ([server], summarize(ADMIN).clients)
        assert wanted.ca_cert_hashes == [PIN] and wanted.authorities == [PIN]
    wanted = kubeconfig_copy.with_server(source, "")
    assert wanted is not None and wanted.servers == [SERVER]


# -- failures


def failing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: str | None, **args: Any) -> str:
    def full(*_arguments: Any, **_options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "mkstemp", full)
    with pytest.raises(AnsibleActionFail) as failed:
        run(tmp_path, copy, renewed(ADMIN), **args)
    return failed.value.message


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("copy", [None, ADMIN])
def test_a_copy_that_can_not_be_written_is_told_once_with_a_fix_that_fits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: str | None
) -> None:
    problem = f"copy_to: {tmp_path}/k/config can't be written: No space left on device"
    assert failing(tmp_path, monkeypatch, copy) == f"{problem}; use a path that you can write to"
    # The server in this very file has to change.
    told = failing(tmp_path, monkeypatch, copy, server_leaves=True)
    assert told.startswith(f"{problem}; the run stops before") and "use a path" not in told


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("delegate", [None, "cp2"])
@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/home/ada/play.yml:7", "copy_to"),
        (f"{ROOT}/roles/reset/tasks/main.yml:44", "cluster_kubeconfig_path"),
    ],
)
def test_a_copy_is_told_with_the_name_that_the_user_has_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, delegate: str | None, name: str
) -> None:
    given = {"path": path, "delegate_to": delegate}
    (warning,) = run(tmp_path, OTHER, ADMIN, **given)["warnings"]
    assert warning.endswith(f" and was not changed; set {name} to another path")
    assert failing(tmp_path, monkeypatch, ADMIN, **given).startswith(f"{name}: {tmp_path}/k/config can't be written: ")


@pytest.mark.usefixtures("no_base")
def test_a_problem_with_a_fix_of_its_own_gets_no_other_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    apply_copy = kubeconfig_copy.apply_copy

    def slow(step: Step, system: Any, text: str) -> None:
        (tmp_path / "k" / "config").write_text(OTHER)
        apply_copy(step, system, text)

    monkeypatch.setattr(kubeconfig_copy, "apply_copy", slow)
    with pytest.raises(AnsibleActionFail) as failed:
        run(tmp_path, ADMIN, renewed(ADMIN))
    told = f"copy_to: {tmp_path}/k/config was changed during the run, and was not replaced; run again"
    assert failed.value.message == told and written(tmp_path) == OTHER


# -- an admin.conf in another style


def predicted(tmp_path: Path, copy: str | None, sent: str) -> tuple[Any, Any]:
    """The steps and warnings in check mode and then those of the run."""
    said = [run(tmp_path, copy, sent, check_mode=mode) for mode in (True, False)]
    first, second = ((result["changed"], result["steps"], result.get("warnings")) for result in said)
    return first, second


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("indent", [None, 2, "\t"])
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("start", ["", "\ufeff"])
@pytest.mark.parametrize("copy", [None, "", ADMIN, renewed(ADMIN), own(ADMIN), own(renewed(ADMIN)), OTHER])
def test_check_mode_predicts_the_copy_of_an_admin_kubeconfig_in_json(
    tmp_path: Path, copy: str | None, start: str, wrapped: bool, indent: Any
) -> None:
    text = re.sub("(data: .{64})(.*)", r"\1\n\n      \2" if wrapped else r"\1\2", ADMIN)
    text = json.dumps(yaml.safe_load(text), indent=indent)
    check, real = predicted(tmp_path, copy, start + text)
    assert check == real
    (tmp_path / "block").mkdir()
    reference = predicted(tmp_path / "block", copy, ADMIN)[1]
    assert json.dumps(real) == json.dumps(reference).replace(str(tmp_path / "block"), str(tmp_path))
    assert written(tmp_path) == written(tmp_path / "block")


@pytest.mark.usefixtures("no_base")
def test_the_context_of_an_admin_kubeconfig_in_json_may_be_anything() -> None:
    block, config = summarize(ADMIN), yaml.safe_load(ADMIN)
    found = summarize(json.dumps(config))
    assert (found.user, found.server, found.authority, found.client) == (
        block.user,
        block.server,
        block.authority,
        block.client,
    )
    strange: list[Any] = [None, 5, "x", [], {}, [5], [{"name": []}], [{"name": config["current-context"]}]]
    for name in ("contexts", "clusters", "users", "current-context"):
        for value in strange:
            summary = summarize(json.dumps({**config, name: value}))
            assert "" in (summary.user, summary.server, summary.client)


NOT_COMPARED = {
    **{form: "is neither in block style nor in JSON" for form in OTHER_FORMS},
    **{f"flow style {number}": "is neither in block style nor in JSON" for number in range(8)},
    "no CA": "has no usable certificate-authority-data",
    "empty": "is empty",
    "nothing": "is empty",
}


def not_compared(form: str) -> str:
    if form in OTHER_FORMS:
        return OTHER_FORMS[form](ADMIN)
    if form.startswith("flow"):
        return in_flow_style(ADMIN)[int(form[-1])]
    no_ca = re.sub("certificate-authority-data: .*", "certificate-authority: /etc/kubernetes/pki/ca.crt", ADMIN)
    return {"no CA": no_ca, "empty": "{}", "nothing": ""}[form]


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("server", ["", "https://192.0.2.62:6443", SERVER])
@pytest.mark.parametrize("form", NOT_COMPARED)
def test_a_copy_is_not_replaced_by_an_admin_kubeconfig_that_can_not_be_compared(
    tmp_path: Path, form: str, server: str
) -> None:
    sent, problem = not_compared(form), NOT_COMPARED[form]
    text = f"is not comparable (admin.conf {problem}) and was not changed; {source_fix(problem)}"
    for copy in (ADMIN, renewed(ADMIN), own(ADMIN), OTHER, EARLIER):
        for new in (True, False):
            for check_mode in (True, False):
                result = run(tmp_path, copy, sent, check_mode=check_mode, copy_server=server, new_cluster=new)
                assert kept(tmp_path, copy, result) == f"{tmp_path}/k/config on the control machine {text}"
        # The cause is what has to be corrected.
        told = refused(tmp_path, copy, sent, copy_server=server)
        assert told.startswith(f"{tmp_path}/k/config on the control machine {text}; the run stops before")
    # The first copy is made of the file itself. Neither kubectl reads base64 with blanks.
    (tmp_path / "k" / "config").unlink()
    if problem == "is neither in block style nor in JSON" and form not in ("folded CA", "CA in more lines"):
        check, real = predicted(tmp_path, None, sent)
        assert check == real and summarize(written(tmp_path)).credentials == summarize(ADMIN).credentials


@pytest.mark.usefixtures("no_base")
def test_a_copy_that_can_not_be_read_is_told_with_the_command_that_rewrites_it(tmp_path: Path) -> None:
    path = f"{tmp_path}/k/config"
    (copy, *_others) = in_flow_style(OTHER)
    text = f"{path} on the control machine is not usable ({NOT_A_KUBECONFIG}) and was not changed; "
    command = f"as its owner, {rewrite_command(path)}"
    for check_mode in (True, False):
        result = run(tmp_path, copy, ADMIN, check_mode=check_mode)
        assert kept(tmp_path, copy, result) == f"{text}set copy_to to another path, or {command}"
    assert refused(tmp_path, copy, ADMIN).startswith(f"{text}{command}; the run stops before")


@pytest.mark.usefixtures("no_base")
def test_a_copy_in_json_is_renewed(tmp_path: Path) -> None:
    copy = json.dumps(yaml.safe_load(ADMIN))
    check, real = predicted(tmp_path, copy, renewed(ADMIN))
    assert check == real and real[0] and real[2] is None and written(tmp_path) == renewed(ADMIN)


# -- other entries of the copy


@pytest.mark.usefixtures("no_base")
def test_entries_of_the_user_are_kept_whatever_the_host_says_of_its_file(tmp_path: Path) -> None:
    sent = renewed(ADMIN)
    claim = replace(summarize(sent), plain="", mergeable=False)
    assert run(tmp_path, own(ADMIN), sent, claim)["changed"]
    assert written(tmp_path) == own(sent)
    assert (tmp_path / "k" / "config.before-kubestead").read_text() == own(ADMIN)


@pytest.mark.usefixtures("no_base")
@pytest.mark.parametrize("context", ["kubernetes-admin@kubernetes", "home", "new"])
@pytest.mark.parametrize("user", ["kubernetes-admin", "spare", "other", "kubernetes-admin-home", "123", "true", "y"])
def test_the_entries_of_other_clusters_are_kept_whatever_names_a_host_chooses(
    tmp_path: Path, user: str, context: str
) -> None:
    spare = {"name": "spare", "user": {"client-certificate-data": "b3RoZXI=", "client-key-data": "b3RoZXI="}}
    config = json.loads(json.dumps(TWO_CLUSTERS))
    config["clusters"][1]["cluster"] = yaml.safe_load(ADMIN)["clusters"][0]["cluster"]
    config["users"] += [spare, {**spare, "name": "other"}, {**spare, "name": "kubernetes-admin-home"}]
    config["contexts"] += [{"name": "other", "context": {"cluster": "kubernetes", "user": "other"}}]
    # YAML would have anchors for values that are the same.
    config, made = json.loads(json.dumps(config)), yaml.safe_load(renewed(ADMIN))
    made["users"][0]["name"] = made["contexts"][0]["context"]["user"] = user
    made["contexts"][0]["name"] = made["current-context"] = context
    made["users"].append({"name": "evil", "user": {"exec": {"command": "evil"}}})
    made["clusters"].append({"name": "evil", "cluster": {"server": "https://evil:6443"}})
    made["contexts"].append({"name": "evil", "context": {"cluster": "evil", "user": "evil"}})
    result = run(tmp_path, yaml.safe_dump(config, width=1 << 20), yaml.safe_dump(made, width=1 << 20))
    assert result["changed"] and "evil" not in written(tmp_path)
    # kubectl refuses a file in which a name is not a text. YAML 1.1 reads y as true, other than this parser.
    assert not re.search(r"(?m): (y|true|123)$", written(tmp_path))
    found = yaml.safe_load(written(tmp_path))
    for kind in ("clusters", "users", "contexts"):
        assert found[kind][: len(config[kind])] == config[kind]
    assert found["current-context"] == config["current-context"]
    names = [one["name"] for one in found["users"]]
    assert len(set(names)) == len(names) == len(config["users"]) + 1
