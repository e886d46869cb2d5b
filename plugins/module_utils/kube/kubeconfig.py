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
import shlex
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Dict, List, Optional, Tuple

from ..core import home_files
from ..core.addresses import full_endpoint
from ..core.constants import ADMIN_KUBECONFIG, BACKUP_SUFFIX
from ..core.errors import KubesteadError
from ..core.home_files import HomePlace
from ..core.options import var
from ..core.problem import Problem
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
    entries. ``comparable`` is false for any other file that can't be read completely: only its digest is known.
    ``servers_of`` maps each of ``authorities``, or an empty text, to the servers of its clusters. ``own_servers`` are
    those of clusters whose server a merge does not change. ``user`` is the user of the current context, also in a file
    with more than kubeadm's fields. ``server``, ``authority`` and ``client`` are the items of ``servers``,
    ``authorities`` and ``clients`` that this context uses.
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
    comparable: bool = True
    servers_of: Dict[str, List[str]] = field(default_factory=dict)
    own_servers: List[str] = field(default_factory=list)
    user: str = ""
    server: str = ""
    authority: str = ""
    client: str = ""


@dataclass(frozen=True)
class KubeconfigState:
    """A login user's kubeconfig compared with the admin's. Ids are -1 and modes None if it does not exist.

    ``problem`` says why there can't be a kubeconfig (no such user, no home, a link there); it is empty otherwise.
    ``backup`` is the path that a backup of the existing file gets. ``full`` is true if no name for one is free, and
    ``saved`` if an earlier backup is from before the first merge of entries of the cluster in ``source``.
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
    full: bool = False
    saved: bool = False


#: Why a file can't be used as a kubeconfig.
NOT_A_KUBECONFIG = "it is not a kubeconfig in block style or JSON"
_UNUSABLE = "not usable ({0})"
_NOT_COMPARABLE = "not comparable (admin.conf {0})"
# What is lost if such a file is overwritten.
_ALL_REPLACED = "; all of its entries are replaced"
_BACKUPS = home_files.backup_names("")
_FULL = "already backed up {0} times (the maximum)".format(len(_BACKUPS))


def rewrite_command(path: str, options: str = "--raw") -> str:
    """The command that writes a kubeconfig again in block style, without a moment in which others can read it."""
    file = shlex.quote(path)
    command = "run: (umask 077; kubectl --kubeconfig {0} config view {1} >{0}.new) && mv {0}.new {0}"
    return command.format(file, options)


# What makes an admin.conf useless for a comparison, and what to do about it.
_SOURCE_FIXES = {
    "is empty": "remove {0}, and run 'kubeadm init phase kubeconfig admin'".format(ADMIN_KUBECONFIG),
    "is neither in block style nor in JSON": rewrite_command(ADMIN_KUBECONFIG),
    "has no usable certificate-authority-data": rewrite_command(ADMIN_KUBECONFIG, "--raw --flatten"),
}
_EMPTY, _STYLE, _NO_CA = _SOURCE_FIXES

# The contents of a folder that only kubectl uses.
_USUAL = ("config", *home_files.backup_names("config"), "config.lock", "cache", "http-cache")


def summarize(text: str) -> KubeconfigSummary:
    """The summary of a kubeconfig in block style or in JSON, which kubectl also reads."""
    blank, entries = kubeconfig_entries.is_blank(text), kubeconfig_entries.read(text)
    if entries is None:
        return KubeconfigSummary(digest(text), blank=blank, comparable=blank)
    clusters = kubeconfig_entries.servers(entries)
    servers_of: Dict[str, List[str]] = {}
    for url, data in clusters:
        # An address may hold a password.
        servers_of.setdefault(kubeconfig_entries.authority(data), []).append(redact(url))
    authorities = [one for one in servers_of if one]
    user, server, authority, pair = kubeconfig_entries.current(entries)
    return KubeconfigSummary(
        digest=digest(text),
        credentials=_credentials(clusters, kubeconfig_entries.credentials(entries)),
        servers=[redact(url) for url, _data in clusters if url],
        ca_cert_hashes=list(dict.fromkeys(pin for one in authorities for pin in one.split())),
        authorities=authorities,
        clients=[digest("\n".join(one)) for one in kubeconfig_entries.clients(entries)],
        plain=redact(kubeconfig_entries.plain_name(entries)),
        mergeable=kubeconfig_entries.is_editable(entries),
        complete=kubeconfig_entries.has_admin_entries(entries),
        blank=blank,
        servers_of=servers_of,
        own_servers=[redact(url) for url in kubeconfig_entries.own_servers(entries)],
        user=redact(user),
        server=redact(server),
        authority=kubeconfig_entries.authority(authority),
        client=digest("\n".join(pair)) if all(pair) else "",
    )


def digest(text: str) -> str:
    """The SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _credentials(*pairs: List[Tuple[str, str]]) -> str:
    """The digest of what a connection needs, whatever else a kubeconfig of one cluster and one user says."""
    values = [[value for value in column if value] for one in pairs for column in zip(*one)]
    return digest("\n".join(found[0] for found in values)) if [len(found) for found in values] == [1] * 4 else ""


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
    existing = None if found.text is None else summarize(found.text)
    return KubeconfigState(
        user=name,
        uid=uid,
        gid=gid,
        path=path,
        source=source,
        existing=existing,
        owner=found.owner,
        mode=found.mode,
        folder_owner=found.folder_owner,
        problem=found.problem,
        backup=found.backup,
        full=existing is not None and not found.backup,
        saved=source is not None and merges(existing, source) and _is_saved(system, path, source),
    )


def _is_saved(system: System, path: str, source: KubeconfigSummary) -> bool:
    """True if a backup has entries of this cluster and others: it is from before the first merge, which is enough."""
    for name in _BACKUPS:
        # Ids only matter for a change.
        text = home_files.look(system, _place(path + name, -1, -1)).text
        if text is not None and merges(summarize(text), source):
            return True
    return False


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
    this cluster with the user's own entries is merged (:func:`merges`). A file for another cluster is kept, as is one
    that can't be compared, unless ``overwrite`` is set.
    """
    problem = source_problem(wanted)
    if problem == _EMPTY:
        return KEEP, _NOT_COMPARABLE.format(problem)
    if existing is None:
        return WRITE, "the kubeconfig does not exist"
    if existing.blank:
        return WRITE, "the kubeconfig has no entries"
    if wanted is not None and existing.digest == wanted.digest:
        return SAME, "it is the admin kubeconfig"
    if problem or not existing.comparable:
        reason = _NOT_COMPARABLE.format(problem) if problem else unusable(NOT_A_KUBECONFIG)
        return (WRITE, reason + _ALL_REPLACED) if overwrite else (KEEP, reason)
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
        reason = "for a cluster at {0} whose CA is not known (no certificate-authority-data)"
        return WRITE if overwrite else KEEP, reason.format(wanted.servers[0])
    if wanted.servers and existing.servers == wanted.servers:
        return WRITE, "for an earlier cluster at {0}".format(wanted.servers[0])
    return (WRITE, _other_cluster(existing)) if overwrite else (KEEP, _other_cluster(existing))


def source_problem(wanted: Optional[KubeconfigSummary]) -> str:
    """What is wrong with an admin.conf that can't be compared with other files; empty if it can.

    A summary without a digest is of an admin.conf that is still to be written.
    """
    if wanted is None:
        return ""
    if wanted.blank:
        return _EMPTY
    if not wanted.comparable:
        return _STYLE
    return _NO_CA if wanted.digest and not wanted.ca_cert_hashes else ""


def source_fix(problem: str) -> str:
    """The fix for a problem of :func:`source_problem`."""
    return _SOURCE_FIXES[problem]


def fix_of(reason: str, path: str, usual: str) -> str:
    """The fix for a kubeconfig that is kept for a reason of :func:`classify`. ``usual`` may be empty."""
    for problem, fix in _SOURCE_FIXES.items():
        if reason == _NOT_COMPARABLE.format(problem):
            return fix
    if reason == _FULL:
        names = "{0}{1} and {0}{2} to {3}".format(path, _BACKUPS[0], _BACKUPS[1], _BACKUPS[-1][len(_BACKUPS[0]) :])
        return "remove those of {0} that you don't need, and run again".format(names)
    own = "as its owner, " + rewrite_command(path) if reason == unusable(NOT_A_KUBECONFIG) else ""
    return ", or ".join(filter(None, (usual, own)))


def unusable(problem: str) -> str:
    """The reason of :func:`classify` for a file that can't be used as a kubeconfig."""
    return _UNUSABLE.format(problem)


def _other_cluster(existing: KubeconfigSummary) -> str:
    return "for another cluster ({0})".format(", ".join(existing.servers) or "it does not name a server")


def plan(state: KubeconfigState, options: KubeconfigOptions) -> List[Step]:
    """The steps for a user's kubeconfig."""
    if not options.install or state.problem or not state.path:
        return []
    verdict, reason = _decided(state, options)
    if verdict == WRITE:
        return [_step(state, "write_kubeconfig", reason, backup=_needs_backup(state))]
    if verdict == KEEP or state.existing is None or state.source is None:
        return []
    drift = []
    # A file that was not created by this collection is replaced if it is useless to the user, and kept if it has more.
    if state.owner != state.uid and state.existing.digest == state.source.digest:
        drift.append("owner {0} -> {1}".format(state.owner, state.uid))
    if state.mode is not None and state.mode & 0o077 and (drift or state.owner == state.uid):
        drift.append("mode {0:04o} -> 0600".format(state.mode))
    return [_step(state, "protect_kubeconfig", ", ".join(drift))] if drift else []


def _decided(state: KubeconfigState, options: KubeconfigOptions) -> Tuple[str, str]:
    """The result of :func:`classify`; a file that can't be backed up is kept."""
    verdict, reason = classify(state.existing, state.source, options.overwrite)
    return (KEEP, _FULL) if verdict == WRITE and lacks_backup(state) else (verdict, reason)


def lacks_backup(state: KubeconfigState) -> bool:
    """True for a file that must not be replaced, because it has to be backed up and no name for a backup is free."""
    return state.full and _needs_backup(state)


def backup_problem(state: KubeconfigState) -> Problem:
    """The warning about a file that is not updated for this reason."""
    text = "{0} is {1}; it is not updated".format(state.path, _FULL)
    return Problem("kubeconfig", text, fix_of(_FULL, state.path, ""), "warning")


def _needs_backup(state: KubeconfigState) -> bool:
    """True if the existing file is backed up. Of the files that are merged, only the first one of a cluster is."""
    return backed_up(state.existing, state.source) and not (merges(state.existing, state.source) and state.saved)


def backed_up(existing: Optional[KubeconfigSummary], wanted: Optional[KubeconfigSummary]) -> bool:
    """True if the replaced file is backed up. A file with only the admin's entries and CAs of this cluster is not.

    One in another form than kubeadm's is, because the user wrote it, maybe with another server.
    """
    if existing is None or existing.digest == digest(""):
        return False
    if wanted is None or not same_authority(existing, wanted) or not _is_admins(existing, wanted):
        return True
    return not existing.mergeable


def _is_admins(existing: KubeconfigSummary, wanted: KubeconfigSummary) -> bool:
    """True if a file has only entries with the names of the admin's. A file with more has no plain name."""
    return bool(existing.plain) and existing.plain == wanted.plain


def of_this_cluster(existing: KubeconfigSummary, wanted: KubeconfigSummary) -> bool:
    """True if both kubeconfigs contain the same CA. Each may have more, as while the CA of a cluster is replaced."""
    return bool(set(wanted.ca_cert_hashes) & set(existing.ca_cert_hashes))


def has_unknown_ca(existing: KubeconfigSummary, wanted: KubeconfigSummary) -> bool:
    """True for a kubeconfig with the same server that may be for this cluster or an earlier one: no CA is found in it.

    Its CA may be a file.
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
    verdict, reason = _decided(state, options)
    if verdict != KEEP:
        return []
    usual = "use {0}, or set control_plane_kubeconfig_overwrite".format(ADMIN_KUBECONFIG)
    usual += ", which replaces all of its entries" if reason == unusable(NOT_A_KUBECONFIG) else ""
    fix = fix_of(reason, state.path, usual)
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
