# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The kubeconfig of a cluster's admin where its user looks for it: ``~/.kube/config`` of a login user, or any file.

A kubeconfig that was not created by this collection is only replaced on request. The state contains no key: a file is
known by its digest, the servers in it and the pins of their CAs.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Optional, Tuple

from ..core import home_files
from ..core.addresses import full_endpoint
from ..core.constants import ADMIN_KUBECONFIG, BACKUP_SUFFIX
from ..core.errors import KubesteadError
from ..core.home_files import HomePlace
from ..core.options import var
from ..core.redact import redact
from ..core.step import Step
from ..core.system import System
from ..core.untrusted import number
from . import kubeconfig_entries

COMPONENT = "control_plane"

WRITE, KEEP, SAME = "write", "keep", "same"


@dataclass(frozen=True)
class KubeconfigOptions:
    """The user's kubeconfig. An empty ``user`` is the user who ran sudo, or root for a direct root login.

    Without ``install`` it is not written. ``overwrite`` replaces a kubeconfig of another cluster too, and keeps a copy
    of it. ``copy_to`` is a path on the control machine; empty for no copy.
    """

    install: bool = field(default=True, metadata=var("control_plane_kubeconfig"))
    user: str = field(default="", metadata=var("control_plane_kubeconfig_user"))
    overwrite: bool = field(default=False, metadata=var("control_plane_kubeconfig_overwrite"))
    copy_to: str = field(default="", metadata=var("cluster_kubeconfig_path"))


@dataclass(frozen=True)
class KubeconfigSummary:
    """A kubeconfig without its secrets: the SHA-256 of the file, its servers, and the pins of their CAs.

    ``credentials`` is the SHA-256 of server, CA, client certificate and key; empty unless there is one of each.
    ``authorities`` has the pins of each cluster with a CA in the file, sorted and separated by spaces.
    ``clients`` are the digests of all client certificates with their keys. ``plain`` is the user of a file that has
    only the fields that kubeadm writes, else empty. ``mergeable`` is true if the admin's entries can be changed without
    touching others, and ``complete`` if they can be merged into another file. ``blank`` is true for a file without
    entries. ``servers_of`` maps each of ``authorities``, or an empty text, to the servers of its clusters; it is empty
    unless the file is in block style. ``own_servers`` are those of clusters whose server a merge does not change.
    ``user`` is the user of the current context, also in a file with more than kubeadm's fields. ``server``,
    ``authority`` and ``client`` are the items of ``servers``, ``authorities`` and ``clients`` that this context uses.
    """

    digest: str = ""
    credentials: str = ""
    servers: List[str] = field(default_factory=list)
    ca_cert_hashes: List[str] = field(default_factory=list)
    authorities: List[str] = field(default_factory=list)
    clients: List[str] = field(default_factory=list)
    plain: str = ""
    mergeable: bool = False
    complete: bool = False
    blank: bool = False
    servers_of: Dict[str, List[str]] = field(default_factory=dict)
    own_servers: List[str] = field(default_factory=list)
    user: str = ""
    server: str = ""
    authority: str = ""
    client: str = ""

    @property
    def empty(self) -> bool:
        """True for a file with contents in which no part of a kubeconfig is found."""
        return not (self.blank or self.servers or self.ca_cert_hashes or self.clients)


@dataclass(frozen=True)
class KubeconfigState:
    """A login user's kubeconfig compared with the admin's. Ids are -1 and modes None if it does not exist.

    ``problem`` says why there can't be a kubeconfig (no such user, no home, a link there); it is empty otherwise.
    ``backup`` is the path that a backup of the existing file gets.
    """

    user: str = ""
    uid: int = -1
    gid: int = -1
    path: str = ""
    source: Optional[KubeconfigSummary] = None
    existing: Optional[KubeconfigSummary] = None
    owner: int = -1
    mode: Optional[int] = None
    folder_owner: int = -1
    problem: str = ""
    backup: str = ""


# A kubeconfig and an admin.conf whose contents are not known; what to do about the latter.
_NOT_COMPARABLE = "not comparable with admin.conf, which is neither in block style nor JSON,"
REWRITE = "replace admin.conf with what 'kubectl --kubeconfig {0} config view --raw' prints".format(ADMIN_KUBECONFIG)

# A value after its key. A text that begins with "#" is a comment.
_VALUE = r""":[ \t]*["']?([^\s"'#][^\s"']*)"""
_PARTS = ("server", "certificate-authority-data", "client-certificate-data", "client-key-data")
# The contents of a folder that only kubectl uses.
_USUAL = ("config", "config" + BACKUP_SUFFIX, "config.lock", "cache", "http-cache")


def summarize(text: str) -> KubeconfigSummary:
    """The summary of a kubeconfig in block style or in JSON, which kubectl also reads."""
    block = kubeconfig_entries.as_block(text)
    found = re.findall(r"^[ \t]+certificate-authority-data" + _VALUE, block, re.MULTILINE)
    authorities = [pins for pins in map(kubeconfig_entries.authority, found) if pins]
    clients = list(zip(_values(block, "client-certificate-data"), _values(block, "client-key-data")))
    pins = [pin for one in authorities for pin in one.split()]
    # An address may hold a password.
    servers = [redact(url) for url in re.findall(r"^[ \t]+server" + _VALUE, block, re.MULTILINE)]
    entries = kubeconfig_entries.parse(text)
    servers_of: Dict[str, List[str]] = {}
    own_servers: List[str] = []
    if entries is None:
        current = kubeconfig_entries.current_in_json(text)
    else:
        current = kubeconfig_entries.current(entries)
        # What a merge finds, so that a plan and the file agree.
        for url, data in kubeconfig_entries.servers(entries):
            servers_of.setdefault(kubeconfig_entries.authority(data), []).append(redact(url))
        servers = [redact(url) for url, _data in kubeconfig_entries.servers(entries) if url]
        authorities = [one for one in servers_of if one]
        clients = kubeconfig_entries.clients(entries)
        own_servers = [redact(url) for url in kubeconfig_entries.own_servers(entries)]
    user, server, authority, pair = current
    return KubeconfigSummary(
        digest=digest(text),
        credentials=_credentials(block),
        servers=servers,
        ca_cert_hashes=list(dict.fromkeys([*pins, *(pin for one in authorities for pin in one.split())])),
        authorities=authorities,
        clients=[digest("\n".join(one)) for one in clients],
        plain=redact(kubeconfig_entries.plain_name(text)),
        mergeable=entries is not None,
        complete=kubeconfig_entries.admin_entries(text) is not None,
        blank=kubeconfig_entries.is_blank(text),
        servers_of=servers_of,
        own_servers=own_servers,
        user=redact(user),
        server=redact(server),
        authority=kubeconfig_entries.authority(authority),
        client=digest("\n".join(pair)) if all(pair) else "",
    )


def _values(text: str, name: str) -> List[str]:
    return re.findall(r"^[ \t]+" + name + _VALUE + r"[\"']?[ \t]*$", text, re.MULTILINE)


def digest(text: str) -> str:
    """The SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _credentials(text: str) -> str:
    """The digest of what a connection needs, whatever else a kubeconfig of one cluster and one user says."""
    values = []
    for name in _PARTS:
        found = _values(text, name)
        if len(found) != 1:
            return ""
        values.append(found[0])
    return digest("\n".join(values))


def expected(endpoint: str, bind_port: int = 6443) -> Optional[KubeconfigSummary]:
    """The kubeconfig of a cluster that will be created at ``host[:port]``; None if this is not known."""
    return KubeconfigSummary(servers=["https://{0}".format(full_endpoint(endpoint, bind_port))]) if endpoint else None


def renewed(source: KubeconfigSummary) -> KubeconfigSummary:
    """The admin kubeconfig after its client certificate is renewed: what depends on the certificate is not known."""
    return replace(source, digest="", credentials="", clients=[])


def is_stale(existing: Optional[KubeconfigSummary], wanted: Optional[KubeconfigSummary]) -> bool:
    """True for a copy that this collection writes again, because the admin kubeconfig of its cluster has changed."""
    if existing is None or wanted is None or not of_this_cluster(existing, wanted):
        return False
    return classify(existing, wanted)[0] == WRITE


def observe(system: System, user: str = "") -> KubeconfigState:
    """Observe the admin kubeconfig and that of a user (by default the login user). Never raises."""
    name = user or login_user(system)
    admin = system.read(ADMIN_KUBECONFIG)
    source = None if admin is None else summarize(admin)
    entry = _passwd(system, name)
    if entry is None:
        return KubeconfigState(user=name, source=source, problem="user {0} does not exist on this host".format(name))
    uid, gid, home = entry
    path = "{0}/.kube/config".format(home.rstrip("/"))
    if not os.path.isdir(system.path(home)):
        return KubeconfigState(
            user=name, source=source, problem="the home directory of {0}, {1}, does not exist".format(name, home)
        )
    found = home_files.look(system, _place(path, uid, gid))
    return KubeconfigState(
        user=name,
        uid=uid,
        gid=gid,
        path=path,
        source=source,
        existing=None if found.text is None else summarize(found.text),
        owner=found.owner,
        mode=found.mode,
        folder_owner=found.folder_owner,
        problem=found.problem,
        backup=found.backup,
    )


def _place(path: str, uid: int, gid: int) -> HomePlace:
    folder, name = os.path.split(path)
    home, folder = os.path.split(folder)
    return HomePlace(home, folder, name, uid, gid, _USUAL)


def login_user(system: System) -> str:
    """The login user, from the variables of sudo or doas; otherwise the user of this process."""
    for variable in ("SUDO_USER", "DOAS_USER"):
        if os.environ.get(variable):
            return os.environ[variable]
    return system.run(["id", "-un"]).stdout.strip() or "root"


def _passwd(system: System, name: str) -> Optional[Tuple[int, int, str]]:
    fields = system.run(["getent", "passwd", name]).stdout.strip().split(":")
    if len(fields) < 7 or number(fields[2]) < 0 or number(fields[3]) < 0:
        return None
    return number(fields[2]), number(fields[3]), fields[5]


# -- Planning


def classify(
    existing: Optional[KubeconfigSummary], wanted: Optional[KubeconfigSummary], overwrite: bool = False
) -> Tuple[str, str]:
    """The action for a kubeconfig: ``write``, ``keep`` (not created by this collection) or ``same``, and the reason.

    ``wanted`` is None if the cluster does not exist yet, or has only the server if that is already known. A file for
    this cluster with the user's own entries is merged (:func:`merges`). A file for another cluster is kept, unless
    ``overwrite`` is set.
    """
    if existing is None:
        return WRITE, "the kubeconfig does not exist"
    if existing.blank:
        return WRITE, "the kubeconfig has no entries"
    if wanted is not None and existing.digest == wanted.digest:
        return SAME, "it is the admin kubeconfig"
    if wanted is not None and wanted.empty:
        return WRITE if overwrite else KEEP, _NOT_COMPARABLE
    if wanted is None:
        return (WRITE, "for an earlier cluster") if overwrite else (KEEP, _other_cluster(existing))
    known, same = of_this_cluster(existing, wanted), same_authority(existing, wanted)
    if contains(existing, wanted):
        return SAME, "it contains the admin's entries"
    if known and _is_admins(existing, wanted):
        return WRITE, "for this cluster, but it differs from admin.conf"
    if same and existing.mergeable and wanted.complete:
        return WRITE, "for this cluster, with other entries; only the admin's entries are changed"
    if known and not same:
        return KEEP, "for this cluster, with other CAs than admin.conf, and with other entries that would be lost"
    if known:
        return KEEP, "for this cluster, with other entries that would be lost"
    if has_unknown_ca(existing, wanted):
        reason = "for a cluster at {0} whose CA is not known (no certificate-authority-data in one line)"
        return WRITE if overwrite else KEEP, reason.format(wanted.servers[0])
    if wanted.servers and existing.servers == wanted.servers:
        return WRITE, "for an earlier cluster at {0}".format(wanted.servers[0])
    return (WRITE, _other_cluster(existing)) if overwrite else (KEEP, _other_cluster(existing))


def fix_of(reason: str, usual: str) -> str:
    """The fix for a kubeconfig that is kept for a reason of :func:`classify`."""
    return REWRITE if reason == _NOT_COMPARABLE else usual


def _other_cluster(existing: KubeconfigSummary) -> str:
    return "for another cluster ({0})".format(", ".join(existing.servers) or "it does not name a server")


def plan(state: KubeconfigState, options: KubeconfigOptions) -> List[Step]:
    """The steps for a user's kubeconfig."""
    if not options.install or state.problem or not state.path:
        return []
    verdict, reason = classify(state.existing, state.source, options.overwrite)
    if verdict == WRITE:
        return [_step(state, "write_kubeconfig", reason, backup=backed_up(state.existing, state.source))]
    if verdict == KEEP or state.existing is None or state.source is None:
        return []
    drift = []
    # A file that was not created by this collection is replaced if it is useless to the user, and kept if it has more.
    if state.owner != state.uid and state.existing.digest == state.source.digest:
        drift.append("owner {0} -> {1}".format(state.owner, state.uid))
    if state.mode is not None and state.mode & 0o077 and (drift or state.owner == state.uid):
        drift.append("mode {0:04o} -> 0600".format(state.mode))
    return [_step(state, "protect_kubeconfig", ", ".join(drift))] if drift else []


def backed_up(existing: Optional[KubeconfigSummary], wanted: Optional[KubeconfigSummary]) -> bool:
    """True if the replaced file is backed up. A file with only the admin's entries and CAs of this cluster is not."""
    if existing is None or existing.digest == digest(""):
        return False
    return wanted is None or not same_authority(existing, wanted) or not _is_admins(existing, wanted)


def _is_admins(existing: KubeconfigSummary, wanted: KubeconfigSummary) -> bool:
    """True if a file has only entries with the names of the admin's. A file with more has no plain name."""
    return bool(existing.plain) and existing.plain == wanted.plain


def of_this_cluster(existing: KubeconfigSummary, wanted: KubeconfigSummary) -> bool:
    """True if both kubeconfigs contain the same CA. Each may have more, as while the CA of a cluster is replaced."""
    return bool(set(wanted.ca_cert_hashes) & set(existing.ca_cert_hashes))


def has_unknown_ca(existing: KubeconfigSummary, wanted: KubeconfigSummary) -> bool:
    """True for a kubeconfig with the same server that may be for this cluster or an earlier one: no CA is found in it.

    Its CA may be a file, or a text with several lines.
    """
    return bool(wanted.servers) and existing.servers == wanted.servers and not existing.ca_cert_hashes


def same_authority(existing: KubeconfigSummary, wanted: KubeconfigSummary) -> bool:
    """True if a cluster in one kubeconfig trusts exactly the CAs of a cluster in the other."""
    return bool(set(wanted.authorities) & set(existing.authorities))


def contains(existing: KubeconfigSummary, wanted: KubeconfigSummary) -> bool:
    """True if a kubeconfig has the client certificates and keys of another one for the same cluster."""
    return of_this_cluster(existing, wanted) and bool(wanted.clients) and set(wanted.clients) <= set(existing.clients)


def merges(existing: Optional[KubeconfigSummary], wanted: Optional[KubeconfigSummary]) -> bool:
    """True if the file has the user's own entries for this or other clusters, which must be preserved."""
    if existing is None or wanted is None:
        return False
    return same_authority(existing, wanted) and not _is_admins(existing, wanted)


def merged_text(existing: Optional[str], admin: str, path: str) -> str:
    """``existing`` with the admin's entries merged in. Raises :class:`KubesteadError` if they can't be merged."""
    text = kubeconfig_entries.merged(existing or "", admin)
    if text is None:
        raise KubesteadError(
            "the admin's entries can't be merged into {0}; it was not changed; use {1}".format(path, ADMIN_KUBECONFIG)
        )
    return text


def _step(state: KubeconfigState, action: str, reason: str, backup: bool = False) -> Step:
    data: Dict[str, Any] = {
        "uid": state.uid,
        "gid": state.gid,
        "replace": state.owner != state.uid,
        "backup": backup,
        "merge": merges(state.existing, state.source),
    }
    kept = state.backup or state.path + BACKUP_SUFFIX
    return Step(COMPONENT, action, state.path, reason, data=data, backup=kept if backup else "")


def warnings_of(state: KubeconfigState, options: KubeconfigOptions) -> List[str]:
    """Warnings for the user: a kubeconfig that was not changed."""
    if not options.install:
        return []
    if state.problem and state.path:
        return ["{0}; replace it with a file, or set control_plane_kubeconfig to false".format(state.problem)]
    if state.problem:
        return ["~/.kube/config was not written: {0}; set control_plane_kubeconfig_user".format(state.problem)]
    verdict, reason = classify(state.existing, state.source, options.overwrite)
    if verdict != KEEP:
        return []
    fix = fix_of(reason, "use {0}, or set control_plane_kubeconfig_overwrite".format(ADMIN_KUBECONFIG))
    return ["{0} is {1} and was not changed; {2}".format(state.path, reason, fix)]


# -- Application


def apply(step: Step, system: System) -> Step:
    """Write or protect a user's kubeconfig. Raises :class:`KubesteadError` without an admin.conf.

    Returns the step with the path of the backup. The user may have changed the folder after the plan.
    """
    place = _place(step.target, int(step.data["uid"]), int(step.data["gid"]))
    if step.action == "protect_kubeconfig" and not step.data["replace"]:
        home_files.protect(system, place)
        return step
    text = system.read(ADMIN_KUBECONFIG)
    if text is None:
        raise KubesteadError("{0} does not exist; initialize or join this control plane first".format(ADMIN_KUBECONFIG))
    if step.action == "write_kubeconfig" and step.data["merge"]:
        text = merged_text(home_files.look(system, place, exact=True).text, text, place.path)
    return replace(step, backup=home_files.write(system, place, text, backup=bool(step.data["backup"])))


def change(system: System, state: KubeconfigState, edit: Callable[[str], str]) -> None:
    """Change a user's kubeconfig; nothing if it was removed. The owner and the mode 0600 stay.

    Raises :class:`KubesteadError`.
    """
    place = _place(state.path, state.uid, state.gid)
    text = home_files.look(system, place, exact=True).text
    if text is not None:
        home_files.write(system, place, edit(text))


def has_backup(system: System, state: KubeconfigState) -> bool:
    """True if a backup of the replaced file exists next to the user's kubeconfig."""
    place = _place(state.path + BACKUP_SUFFIX, state.uid, state.gid)
    return home_files.look(system, place).text is not None


def remove(system: System, path: str, uid: int, gid: int, put_back: bool) -> None:
    """Remove a user's kubeconfig; ``put_back`` restores its backup. Raises :class:`KubesteadError`."""
    home_files.remove(system, _place(path, uid, gid), put_back)
