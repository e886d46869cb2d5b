# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The copy of the admin kubeconfig on the control machine.

A kubeconfig may name programs to run, files to send and proxies to use. A control plane must not decide what kubectl
does on the operator's machine, so the copy is made of the four values that a connection needs, and nothing else.

Whoever has the key of a CA in the copy can pretend to be the API. A control plane that is taken over could add such a
CA, or replace those of the cluster, so the CAs of an existing copy stay, unless the run has created the cluster. Such a
run empties a copy of an earlier cluster before it creates the new one, because a run that is repeated sees only a
cluster that exists.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import stat
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, List, Optional, Tuple

import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.core import untrusted
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG, BACKUP_SUFFIX
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.foreign_files import keep, read_exact, rewrite
from ansible_collections.kubestead.cluster.plugins.module_utils.core.home_files import MAX_FILE
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System, decoded, read_descriptor
from ansible_collections.kubestead.cluster.plugins.module_utils.core.x509 import exact_certificates
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import (
    COMPONENT,
    KEEP,
    NOT_A_KUBECONFIG,
    SAME,
    WRITE,
    KubeconfigOptions,
    KubeconfigSummary,
    backed_up,
    classify,
    digest,
    has_unknown_ca,
    merged_text,
    merges,
    of_this_cluster,
    same_authority,
    summarize,
    unusable,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig_entries import joined, json_of

#: The action for a copy that has other CAs than the admin kubeconfig of its cluster.
OTHER_CA = "other_ca"

#: Bytes of the largest kubeconfig that is taken; kubeadm's has about 6 kB.
MAX_SIZE = 64 * 1024
# The most backups of a copy, each from another cluster.
_MOST_BACKUPS = 100
# Lines that other programs may print before the kubeconfig.
_MAX_FOREIGN_LINES = 20

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:@/-]{0,251}[A-Za-z0-9])?")
_SERVER = re.compile(r"https://(?:[A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?/?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_PIN = re.compile(r"sha256:[0-9a-f]{64}")
_PINS = re.compile(r"sha256:[0-9a-f]{64}(?: sha256:[0-9a-f]{64})*")
# CAs that a message names. A cluster has one, or two while it is replaced.
_MAX_PINS = 3
_CERTIFICATES = re.compile(rb"(?:-----BEGIN CERTIFICATE-----\s[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----\s*)+")
_KEY = re.compile(
    rb"-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----\s[A-Za-z0-9+/=\s]+-----END \1-----\s*",
)

# -- the copy on the control machine


def copy_path(path: str) -> str:
    """A path on the control machine as its user means it: absolute, with ``~`` and variables replaced."""
    return os.path.abspath(os.path.expanduser(os.path.expandvars(path)))


def look(here: System, path: str) -> Tuple[Optional[KubeconfigSummary], str]:
    """A file of the control machine (``here``), None if it does not exist, and why it can't be used as a kubeconfig.

    The reason is empty for a kubeconfig, also for that of another cluster. It has nothing of the contents. Never
    raises, and never waits.
    """
    try:
        descriptor = os.open(here.path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None, ""
    except (OSError, ValueError) as err:
        return None, _why(err)
    try:
        kind, text = os.fstat(descriptor).st_mode, read_descriptor(descriptor, MAX_FILE)
    except OSError as err:
        return None, _why(err)
    finally:
        os.close(descriptor)
    if text is not None:
        summary = summarize(text)
        return summary, _not_kubeconfig(text, summary)
    if stat.S_ISDIR(kind):
        return None, "it is a directory"
    return None, f"it is larger than {MAX_FILE >> 20} MiB" if stat.S_ISREG(kind) else "it is not a regular file"


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)


def _not_kubeconfig(text: str, summary: KubeconfigSummary) -> str:
    if summary.comparable:
        return ""
    try:
        _parsed(text)
    except KubesteadError as err:
        return f"it {err.message}"
    return NOT_A_KUBECONFIG


def copy_steps(
    here: System,
    options: KubeconfigOptions,
    wanted: Optional[KubeconfigSummary],
    server: str = "",
    new_cluster: bool = False,
) -> List[Step]:
    """The steps for the copy on the control machine (``here``), if a copy is requested. See :func:`with_server`."""
    if not options.copy_to:
        return []
    step = plan_copy(here, copy_path(options.copy_to), with_server(wanted, server), new_cluster)
    return [] if step.action in (SAME, KEEP, OTHER_CA) else [step]


def with_server(wanted: Optional[KubeconfigSummary], server: str) -> Optional[KubeconfigSummary]:
    """The summary of the copy that is made of a file.

    With ``server``, it is the server of the copy, because this machine can't resolve the name of the API.
    """
    made = wanted and _as_written(wanted)
    return replace(made, servers=[server]) if made and server else made


def judged(
    existing: Optional[KubeconfigSummary], wanted: Optional[KubeconfigSummary], new_cluster: bool = False
) -> Tuple[str, str]:
    """The action for a copy on the control machine: ``write``, ``keep``, ``same`` or ``other_ca``, and the reason.

    As :func:`classify`, but what is written never changes the CAs in the copy. On a control plane, root can change both
    files, so the rule is only here. With ``new_cluster``, the cluster is created in this run, so that a copy of an
    earlier one at the same address is replaced.
    """
    if existing and wanted and wanted.credentials and existing.credentials == wanted.credentials:
        # The copy has the same credentials as the admin kubeconfig, but not the rest of that file.
        return SAME, "it is the admin kubeconfig"
    wanted = wanted and _as_written(wanted)
    verdict, reason = classify(existing, wanted)
    if existing is None or wanted is None or existing.blank or same_authority(existing, wanted):
        return verdict, reason
    if verdict == SAME and not set(wanted.ca_cert_hashes) - set(existing.ca_cert_hashes):
        # Nothing is written, so a CA that the user added to the copy is not lost.
        return verdict, reason
    # The CA of a cluster that does not exist yet is not known.
    created = new_cluster or not wanted.ca_cert_hashes
    of_another = verdict == KEEP and not has_unknown_ca(existing, wanted)
    if not of_this_cluster(existing, wanted) and (created or of_another):
        return verdict, reason
    return OTHER_CA, _ca_difference(existing, wanted)


def _as_written(wanted: KubeconfigSummary) -> KubeconfigSummary:
    """The summary of the text that is made of a file: it has only what the current context uses, and can be merged."""
    known = wanted.authority in wanted.authorities
    return replace(
        wanted,
        servers=_alone(wanted.server, wanted.servers),
        ca_cert_hashes=wanted.authority.split() if known else wanted.ca_cert_hashes,
        authorities=_alone(wanted.authority, wanted.authorities),
        clients=_alone(wanted.client, wanted.clients),
        plain=wanted.plain or wanted.user,
        complete=True,
    )


def _alone(item: str, items: List[str]) -> List[str]:
    """The item alone if it is one of the items. Otherwise, it is not known which one of them is used."""
    return [item] if item in items else items


def _ca_difference(existing: KubeconfigSummary, wanted: KubeconfigSummary) -> str:
    """How the CAs differ from those of the most similar cluster in the copy. Both may contain any text."""
    new = set(wanted.ca_cert_hashes)
    old = max((set(pins.split()) for pins in existing.authorities), key=lambda pins: len(pins & new), default=set())
    sides = (("only in the copy", old - new), ("only in admin.conf", new - old))
    return "; ".join("{0}: {1}".format(place, _shown(pins)) for place, pins in sides)


def _shown(pins: Any) -> str:
    known = sorted(pin for pin in pins if _PIN.fullmatch(pin))
    more = len(known) - _MAX_PINS
    return ", ".join(known[:_MAX_PINS]) + (" and {0} more".format(more) if more > 0 else "") if known else "none"


def other_ca_problem(path: str, difference: str, more: str = "") -> Problem:
    """The warning about a copy with other CAs. ``difference`` is the reason of :func:`judged`.

    ``more`` is what else is wrong with the copy, as in "it has the server ...".
    """
    text = "{0} on the control machine has {1}other CAs than {2} and was not changed (public keys {3})".format(
        path, more and more + ", and ", ADMIN_KUBECONFIG, difference
    )
    fix = (
        "if the CA was replaced or the cluster was created again, move the copy away, or change its "
        "certificate-authority-data, and run again; if not, find out who changed the CA on this host"
    )
    return Problem("kubeconfig_ca", text, fix, "warning")


def plan_copy(system: System, path: str, wanted: Optional[KubeconfigSummary], new_cluster: bool = False) -> Step:
    """The step that makes a file of the control machine (``system``) the admin's kubeconfig.

    Its action is ``write_kubeconfig``, ``protect_kubeconfig``, or with nothing to do ``keep``, ``same`` or
    ``other_ca``. The user named the path, but a kubeconfig of another cluster in its place is kept all the same. See
    :func:`judged`.
    """
    mode, wanted = system.mode(path), wanted and _as_written(wanted)
    existing, problem = look(system, path)
    if problem:
        return Step(COMPONENT, KEEP, path, unusable(problem))
    verdict, reason = judged(existing, wanted, new_cluster)
    if verdict == WRITE:
        merge, backup = merges(existing, wanted), ""
        if backed_up(existing, wanted) and not (merge and _has_first(system, path, wanted)):
            backup = _backup_of(system, path)
        data = {"backup": bool(backup), "merge": merge, "digest": existing.digest if existing else ""}
        if new_cluster and existing and existing.digest == digest(""):
            newest = _backups(system, path)[0]
            aside = _earlier(look(system, newest)[0], wanted) if newest else ""
            reason, backup = (aside, newest) if aside else (reason, backup)
        return Step(COMPONENT, "write_kubeconfig", path, reason, data=data, backup=backup)
    if verdict == SAME and mode is not None and mode & 0o077:
        return Step(COMPONENT, "protect_kubeconfig", path, "mode {0:04o} -> 0600".format(mode))
    return Step(COMPONENT, verdict, path, reason)


def _earlier(existing: Optional[KubeconfigSummary], wanted: Optional[KubeconfigSummary]) -> str:
    """Why a run that creates a cluster replaces a copy: it is for an earlier cluster. Empty for any other file."""
    if existing is None or existing.blank or wanted is None or of_this_cluster(existing, wanted):
        return ""
    verdict, reason = judged(existing, wanted, True)
    return reason if verdict == WRITE else ""


def set_aside(system: System, path: str, wanted: Optional[KubeconfigSummary]) -> str:
    """Move the contents of a copy of an earlier cluster to a backup, before a cluster is created at that address.

    Returns the path of the backup; empty if there was no such copy. The copy is then an empty file, which any run
    fills: with ``new_cluster``, :func:`plan_copy` gives the same step for it as for the copy. A link to the file stays.
    Raises :class:`KubesteadError`.
    """
    existing, problem = look(system, path)
    if problem or existing is None or not _earlier(existing, wanted):
        return ""
    backup, known = _save(system, path), existing.digest

    def emptied(now: str) -> str:
        _refuse_changed(now, path, known)
        return ""

    rewrite(system, path, emptied, 0o600, backup=False)
    return backup


def apply_copy(step: Step, system: System, text: str) -> None:
    """Write the copy. Raises OSError, and :class:`KubesteadError` if the file has changed since the plan."""
    path, merge = step.target, bool(step.data.get("merge"))
    folder = os.path.dirname(path)
    if not os.path.isdir(system.path(folder)):
        os.makedirs(system.path(folder), mode=0o700)
    if not system.exists(path):
        system.write(path, text, mode=0o600)
        return
    if step.data.get("backup"):
        _save(system, path)

    def change(now: str) -> str:
        if merge:
            return merged_text(now, text, path)
        _refuse_changed(now, path, str(step.data.get("digest")))
        return text

    rewrite(system, path, change, 0o600, backup=False)


def _refuse_changed(now: str, path: str, known: str) -> None:
    """Raise :class:`KubesteadError` if the text of a file that is replaced is not the one with this digest."""
    if digest(decoded(now.encode("utf-8", "surrogateescape"))) != known:
        raise KubesteadError(f"{path} was changed during the run, and was not replaced; run again")


def _backups(system: System, path: str) -> Tuple[str, str]:
    """The newest backup of a file, empty without one, and the path of the next one.

    A backup may have the only copy of the user's entries, so none is replaced. From the second one on, they have
    numbers. The user may have removed some. If there is no further number, the next one is the newest.
    """
    names = [path + BACKUP_SUFFIX, *(f"{path}{BACKUP_SUFFIX}.{number}" for number in range(1, _MOST_BACKUPS))]
    last = max((at for at, name in enumerate(names) if os.path.lexists(system.path(name))), default=-1)
    return names[last] if last >= 0 else "", names[min(last + 1, _MOST_BACKUPS - 1)]


def _has_first(system: System, path: str, wanted: Optional[KubeconfigSummary]) -> bool:
    """True if the newest backup has entries of this cluster and others: it is from before the first merge."""
    newest = _backups(system, path)[0]
    found = look(system, newest)[0] if newest else None
    return merges(found, wanted)


def _backup_of(system: System, path: str) -> str:
    """The path of the backup with the contents of a file: the newest one if it has them, or else the next one."""
    newest, following = _backups(system, path)
    return newest if newest and _same_bytes(system, newest, path) else following


def _same_bytes(system: System, backup: str, path: str) -> bool:
    try:
        return read_exact(system, backup) == read_exact(system, path)
    except KubesteadError:
        return False


def _save(system: System, path: str) -> str:
    """Back up a file, and return the path of the backup. Raises :class:`KubesteadError`."""
    backup = _backup_of(system, path)
    if not os.path.lexists(system.path(backup)):
        keep(system, path, backup[len(path) :], 0o600)
    elif not _same_bytes(system, backup, path):
        raise KubesteadError(f"{backup} exists; remove the backups that you don't need, and run again")
    return backup


# -- what a control plane sends


def reported_summary(source: Any) -> KubeconfigSummary:
    """The summary of a kubeconfig that a host reported; values of another form are left out."""
    reported = untrusted.mapping(source)
    digests = {name: untrusted.text(reported.get(name)) for name in ("digest", "credentials", "client")}
    digests = {name: text if _DIGEST.fullmatch(text) else "" for name, text in digests.items()}
    return KubeconfigSummary(
        digest=digests["digest"],
        credentials=digests["credentials"],
        servers=[text for text in untrusted.texts(reported.get("servers")) if _SERVER.fullmatch(text)],
        ca_cert_hashes=[text for text in untrusted.texts(reported.get("ca_cert_hashes")) if _PIN.fullmatch(text)],
        authorities=[text for text in untrusted.texts(reported.get("authorities"), MAX_SIZE) if _PINS.fullmatch(text)],
        clients=[text for text in untrusted.texts(reported.get("clients")) if _DIGEST.fullmatch(text)],
        plain=_reported_name(reported.get("plain")),
        mergeable=reported.get("mergeable") is True,
        blank=reported.get("blank") is True,
        comparable=reported.get("comparable") is True,
        user=_reported_name(reported.get("user")),
        # One of the items above, or ignored.
        server=untrusted.text(reported.get("server")),
        authority=untrusted.text(reported.get("authority"), MAX_SIZE),
        client=digests["client"],
    )


def _reported_name(value: Any) -> str:
    name = untrusted.text(value)
    return name if _NAME.fullmatch(name) else ""


def printed(output: str, wanted: Optional[KubeconfigSummary]) -> str:
    """The file in the output of a command on a host: the text with the digest that the host reported before.

    Lines before the file may come from sudo or a login shell, which share a terminal with the command. Without such a
    text, the result is the output. Raises :class:`KubesteadError`, without the text, if the output is too large.
    """
    if len(output) > MAX_SIZE:
        raise KubesteadError("is larger than {0} kB".format(MAX_SIZE >> 10))
    # A terminal on the host ends lines in two characters.
    lines = output.replace("\r\n", "\n").splitlines(keepends=True)
    texts = ["".join(lines[start:]) for start in range(min(len(lines), _MAX_FOREIGN_LINES + 1))]
    return next((text for text in texts if wanted and digest(text) == wanted.digest), output)


def rebuilt(text: str, wanted: Optional[KubeconfigSummary], other_server: str = "") -> str:
    """A kubeconfig with the server, CA, client certificate and key of the one that ``text`` is.

    ``other_server`` is used instead of the server. ``wanted`` is the summary that the host reported before; only its
    digest is compared. Raises :class:`KubesteadError`, without any value of the file, if the file has changed since,
    contains other connection settings, or has values of another form.
    """
    if wanted is None or digest(text) != wanted.digest:
        raise KubesteadError("differs from the file that the host reported; run again")
    config = untrusted.mapping(_parsed(text))
    context = _named(config, "context", config.get("current-context"))
    cluster = _named(config, "cluster", context.get("cluster"))
    user = _named(config, "user", context.get("user"))
    _only(cluster, "cluster", ("server", "certificate-authority-data", "extensions"))
    _only(user, "user", ("client-certificate-data", "client-key-data", "extensions"))
    server = cluster.get("server")
    if not isinstance(server, str) or not _SERVER.fullmatch(server):
        raise KubesteadError("has no https address as its server")
    names = [_name(context.get("cluster")), _name(context.get("user")), _name(config.get("current-context"))]
    made = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": names[0],
                "cluster": {
                    "certificate-authority-data": _authority(cluster),
                    "server": other_server or server,
                },
            }
        ],
        "users": [
            {
                "name": names[1],
                "user": {
                    "client-certificate-data": _pem(user, "client-certificate-data", _CERTIFICATES),
                    "client-key-data": _pem(user, "client-key-data", _KEY),
                },
            }
        ],
        "contexts": [{"name": names[2], "context": {"cluster": names[0], "user": names[1]}}],
        "current-context": names[2],
    }
    return str(yaml.safe_dump(made, width=1 << 20))


def _parsed(text: str) -> Any:
    # JSON may be indented with tabs.
    config = json_of(text)
    if config is not None:
        return config
    try:
        # Its values are texts alone: no numbers and dates to convert, no mappings to merge.
        return yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise KubesteadError("is not YAML") from None


def _named(config: Mapping[str, Any], kind: str, name: Any) -> Mapping[str, Any]:
    """The entry of a kubeconfig of a kind (``cluster``) with a name."""
    found = [item for item in untrusted.mappings(config.get(kind + "s")) if item.get("name") == name]
    if not isinstance(name, str) or len(found) != 1 or not isinstance(found[0].get(kind), Mapping):
        raise KubesteadError("lacks the {0} that it uses".format(kind))
    return untrusted.mapping(found[0][kind])


def _only(entry: Mapping[str, Any], kind: str, known: Any) -> None:
    more = sorted(untrusted.text(str(name), 60) for name in entry if name not in known)
    if more:
        raise KubesteadError(
            "sets {0} for its {1}, which is not copied to this machine; copy the file manually".format(
                ", ".join(more[:5]), kind
            )
        )


def _name(name: Any) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise KubesteadError("has a name with characters other than letters, digits and . _ : @ / -")
    return name


def _authority(cluster: Mapping[str, Any]) -> str:
    """The CAs of a cluster, written again, so that no program finds more of them than the comparison with the copy."""
    value = _pem(cluster, "certificate-authority-data", _CERTIFICATES)
    text = exact_certificates(base64.b64decode(value).decode("ascii"))
    if not text:
        raise KubesteadError("has no usable certificate-authority-data")
    return base64.b64encode(text.encode("ascii")).decode("ascii")


def _pem(entry: Mapping[str, Any], name: str, form: re.Pattern[bytes]) -> str:
    """A value of base64 of PEM text of this form, in base64 again."""
    value = entry.get(name)
    try:
        data = base64.b64decode(joined(value).encode("ascii"), validate=True) if isinstance(value, str) else b""
    except (ValueError, binascii.Error):
        data = b""
    if not form.fullmatch(data):
        raise KubesteadError("has no usable {0}".format(name))
    return base64.b64encode(data).decode("ascii")
