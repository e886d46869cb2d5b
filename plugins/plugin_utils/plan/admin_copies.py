# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The copies of the admin kubeconfig that an operation makes stale: those of users, and that on the control machine.

kubeadm renews the certificate in the admin kubeconfig of each control plane that it upgrades. The certificate in a copy
stays valid, but only until its own end, which an upgrade no longer moves. A removal takes away the server of the copies
that name a control plane by its name or address. Pure.
"""

from __future__ import annotations

from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import host_port
from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import ADMIN_KUBECONFIG
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.kube import kubeconfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import KubeconfigSummary

from ..cluster import Cluster
from ..hosts import Host
from ..kubeconfig_copy import OTHER_CA, copy_path, judged, other_ca_problem, with_server
from . import endpoint
from .departure import Gone
from .membership import Membership
from .result import Request


def copy_server(address: str, cluster: Cluster) -> str:
    """The server in a copy on the control machine, where the endpoint is a name that only nodes resolve; else empty."""
    return "https://{0}".format(host_port(address, cluster.endpoint_place[1])) if address else ""


def of_another(
    copy: Optional[KubeconfigSummary], host: Host, hosts: Sequence[Host], servers: Mapping[str, str]
) -> bool:
    """True if a copy on the control machine is the admin kubeconfig of another control plane than ``host``.

    ``servers`` has the result of :func:`copy_server` for each control plane. The copy must have the server of ``host``,
    or that of the other control plane if its API server is healthy.

    Each control plane has a client certificate of its own, and all of them are valid. Which control plane answers first
    can differ between runs.
    """
    own = with_server(host.facts.kubeconfig.source, servers.get(host.name, ""))
    if copy is None or own is None:
        return False
    for one in hosts:
        other = with_server(one.facts.kubeconfig.source, servers.get(one.name, ""))
        if one.name == host.name or not one.control_plane or other is None or not kubeconfig.contains(copy, other):
            continue
        healthy = one.kubeadm.api.live and not one.kubeadm.local_api.failed
        if copy.servers == own.servers or (healthy and copy.servers == other.servers):
            return True
    return False


def creates(host: Host, initializes: bool, copy: Optional[KubeconfigSummary]) -> bool:
    """True if a run creates a cluster that the copy can't be for: CAs that are on the machine before may be in both."""
    return initializes and not (copy and host.kubeadm.ca_cert_hash in copy.ca_cert_hashes)


def other_cas(
    host: Host, copy: Optional[KubeconfigSummary], wanted: Optional[KubeconfigSummary], new_cluster: bool
) -> List[Problem]:
    """The problem of a copy that site.yml does not write, because it has other CAs. See :func:`judged`."""
    return _other_cas(host, *judged(copy, wanted, new_cluster))


def refreshed(host: Host, request: Request, cluster: Cluster, renewed: bool) -> Tuple[List[Step], Dict[str, Any]]:
    """The steps for the stale copies of a control plane, and the arguments of the module kubeconfig for them.

    With ``renewed``, kubeadm renews the admin kubeconfig before. Without it, copies may be stale because a run was
    killed after kubeadm. Copies that do not exist are left to site.yml, and those with another content are kept.
    """
    source = host.facts.kubeconfig.source
    if not host.control_plane or source is None:
        return [], {}
    wanted = kubeconfig.renewed(source) if renewed else source
    state, servers = host.facts.kubeconfig, _servers(request, cluster)
    own = _stale_own(host, wanted) and not kubeconfig.lacks_backup(state)
    here = _stale_here(host, request, servers, renewed)[0] == kubeconfig.WRITE
    reason = "the certificate in admin.conf is renewed" if renewed else "it differs from admin.conf"
    return _written(host, own, here, reason, {"copy_server": servers[host.name], "renewed": renewed})


def not_refreshed(host: Host, request: Request, cluster: Cluster, renewed: bool) -> List[Problem]:
    """The problems of stale copies that :func:`refreshed` leaves out: other CAs, or no name for a backup is free."""
    found, source = _other_cas(host, *_stale_here(host, request, _servers(request, cluster), renewed)), _source(host)
    return [*found, *_not_backed_up(host, kubeconfig.renewed(source) if source and renewed else source)]


def _source(host: Host) -> Optional[KubeconfigSummary]:
    return host.facts.kubeconfig.source if host.control_plane else None


def _stale_own(host: Host, wanted: Optional[KubeconfigSummary]) -> bool:
    """True if the file of the user is to be written again."""
    state = host.facts.kubeconfig
    return host.options.kubeconfig.install and not state.problem and kubeconfig.is_stale(state.existing, wanted)


def _not_backed_up(host: Host, wanted: Optional[KubeconfigSummary]) -> List[Problem]:
    """The problem of a file of the user that is to be written again, but can't be backed up."""
    state = host.facts.kubeconfig
    return [kubeconfig.backup_problem(state)] if _stale_own(host, wanted) and kubeconfig.lacks_backup(state) else []


def _other_cas(host: Host, verdict: str, difference: str) -> List[Problem]:
    if verdict != OTHER_CA:
        return []
    return [other_ca_problem(copy_path(host.options.kubeconfig.copy_to), difference)]


def _server_now(host: Host, hosts: Sequence[Host], cluster: Cluster) -> str:
    """The server in the copy of a control plane, see :func:`copy_server`, in a run that is not site.yml.

    Such a run does not set up the virtual IP address. A copy must not name an address that no machine has.
    """
    return copy_server(endpoint.api_address(host, hosts, Membership(), cluster, only_present=True), cluster)


def _servers(request: Request, cluster: Cluster) -> Dict[str, str]:
    """The server in the copy of each control plane, see :func:`copy_server`."""
    return {one.name: _server_now(one, request.hosts, cluster) for one in request.hosts if one.control_plane}


def _stale_here(host: Host, request: Request, servers: Mapping[str, str], renewed: bool) -> Tuple[str, str]:
    """The result of :func:`_stale` for the copy on the control machine, if this host refreshes it."""
    source, copy = host.facts.kubeconfig.source, request.kubeconfig_copies.get(host.name)
    if source is None or not host.control_plane or not _writes_here(host, request):
        return "", ""
    # A copy that site.yml created from another control plane is replaced only when kubeadm renews the certificates.
    if not renewed and of_another(copy, host, request.hosts, servers):
        return "", ""
    wanted = kubeconfig.renewed(source) if renewed else source
    return _stale(copy, with_server(wanted, servers[host.name]))


def _stale(copy: Optional[KubeconfigSummary], wanted: Optional[KubeconfigSummary]) -> Tuple[str, str]:
    """``write`` or ``other_ca`` for a copy on the control machine that would be written again, and the reason."""
    if copy is None or wanted is None:
        return "", ""
    verdict, reason = judged(copy, wanted)
    stale = verdict == OTHER_CA or (verdict == kubeconfig.WRITE and kubeconfig.of_this_cluster(copy, wanted))
    return (verdict, reason) if stale else ("", "")


def _writes_here(host: Host, request: Request) -> bool:
    """True for the control plane that writes the copy on the control machine in an upgrade."""
    return host.name in request.inventory.control_plane[:1]


def unusable_findings(host: Host, request: Request) -> List[Finding]:
    """Warnings about the files of a control plane that an upgrade does not update, because they can't be read."""
    problems = unusable(host, request, _writes_here(host, request))
    return [Finding(host.name, kubeconfig.COMPONENT, problem) for problem in problems]


def _written(
    host: Host, own: bool, here: bool, reason: str, more: Mapping[str, Any]
) -> Tuple[List[Step], Dict[str, Any]]:
    """The steps that write the file of the user (``own``) and the copy ``here``, and the arguments of the module."""
    options = host.options.kubeconfig
    targets = [host.facts.kubeconfig.path] * own + [copy_path(options.copy_to)] * here
    if not targets:
        return [], {}
    arguments = {"install": own, "user": options.user, "copy_to": options.copy_to if here else "", **more}
    return [Step(kubeconfig.COMPONENT, "write_kubeconfig", target, reason) for target in targets], arguments


def redirected(
    host: Host, request: Request, hosts: Sequence[Host], cluster: Cluster, gone: Gone, here: bool
) -> Tuple[List[Step], Dict[str, Any], List[Problem]]:
    """The steps for the copies whose server leaves, on a control plane that stays, and the arguments of the module.

    ``hosts`` and ``cluster`` are without the machines that leave. With ``here``, the control plane also writes the copy
    on the control machine. The problems are copies that keep such a server, or that can't be read. Only the copies show
    what is done, so a run that is repeated decides the same.
    """
    source, state, options = host.facts.kubeconfig.source, host.facts.kubeconfig, host.options.kubeconfig
    member = host.control_plane and host.kubeadm.ca_cert_hash == cluster.ca_cert_hash
    if not gone.places or not member or source is None:
        return [], {}, []
    server = _server_now(host, hosts, cluster)
    user = state.existing if options.install and not state.problem else None
    local = request.kubeconfig_copies.get(host.name) if here else None
    writable = kubeconfig.is_stale(user, source) and not kubeconfig.lacks_backup(state)
    own, server_of = _judged(user, source, gone, writable)
    problems = [_server_problem(state.path, server_of), *_not_backed_up(host, source)] if server_of else []
    wanted = with_server(source, server)
    verdict, difference = _stale(local, wanted)
    copied, server_of = _judged(local, wanted, gone, verdict == kubeconfig.WRITE)
    if server_of and verdict == OTHER_CA:
        problems.append(other_ca_problem(copy_path(options.copy_to), difference, server_of))
    elif server_of:
        problems.append(_server_problem(_place_here(host), server_of))
    steps, arguments = _written(
        host,
        own,
        copied,
        "its server is a control plane that leaves",
        {"copy_server": server},
    )
    return steps, arguments, [*problems, *unusable(host, request, here)]


def left_out(
    host: Host, request: Request, hosts: Sequence[Host], cluster: Cluster, gone: Gone, here: bool
) -> List[Problem]:
    """The problems of the copies that :func:`redirected` would write on a host that is not in the play."""
    steps, _arguments, problems = redirected(host, request, hosts, cluster, gone, here)
    place = copy_path(host.options.kubeconfig.copy_to)
    fix = "run again without --limit, or run site.yml for this host afterwards"
    found = []
    for step in steps:
        target = _place_here(host) if here and step.target == place else step.target
        text = "{0} keeps a control plane that leaves as its server, because this host is not in the play"
        found.append(Problem("endpoint", text.format(target), fix, "warning"))
    return [*found, *problems]


def unusable(host: Host, request: Request, here: bool) -> List[Problem]:
    """Warnings about files of a control plane that can't be read as a kubeconfig, so that copies are not updated.

    With ``here``, the control plane also writes the copy on the control machine.
    """
    state, options, found = host.facts.kubeconfig, host.options.kubeconfig, []
    if not host.control_plane:
        return []
    reason = kubeconfig.unusable(kubeconfig.NOT_A_KUBECONFIG)
    unread = kubeconfig.classify(state.existing, state.source) == (kubeconfig.KEEP, reason)
    if options.install and state.path and (state.problem or unread):
        text = state.problem or "{0} is {1}".format(state.path, reason)
        fix = "replace it with a kubeconfig, or set control_plane_kubeconfig to false"
        fix = fix if state.problem else kubeconfig.fix_of(reason, state.path, fix)
        found.append(Problem("kubeconfig", "{0}; it is not updated".format(text), fix, "warning"))
    found += unreadable_source(host, request, here)
    return found + unusable_here(host, request) if here else found


def unreadable_source(host: Host, request: Request, here: bool, overwrite: bool = False) -> List[Problem]:
    """The warning about an admin kubeconfig that can't be compared with its copies, if one is kept for that reason."""
    state, options = host.facts.kubeconfig, host.options.kubeconfig
    problem = kubeconfig.source_problem(state.source)
    verdicts = []
    if options.install and state.path and not state.problem:
        verdicts.append(kubeconfig.classify(state.existing, state.source, overwrite))
    if options.copy_to and here and host.name not in request.unusable_copies:
        verdicts.append(judged(request.kubeconfig_copies.get(host.name), state.source))
    if not problem or not any(verdict == kubeconfig.KEEP for verdict, _reason in verdicts):
        return []
    text = "{0} {1}, so its copies are not updated".format(ADMIN_KUBECONFIG, problem)
    return [Problem("kubeconfig", text, kubeconfig.source_fix(problem), "warning")]


def unusable_here(host: Host, request: Request) -> List[Problem]:
    """The warning about the file on the control machine if it can't be read as a kubeconfig."""
    reason = request.unusable_copies.get(host.name)
    if not reason:
        return []
    text = "{0} can't be used: {1}; it is not updated".format(_place_here(host), reason)
    usual = "replace it with a kubeconfig that you can read, or set cluster_kubeconfig_path to another path"
    fix = kubeconfig.fix_of(kubeconfig.unusable(reason), copy_path(host.options.kubeconfig.copy_to), usual)
    return [Problem("kubeconfig", text, fix, "warning")]


def _place_here(host: Host) -> str:
    return "{0} on the control machine".format(copy_path(host.options.kubeconfig.copy_to))


def _judged(
    existing: Optional[KubeconfigSummary],
    wanted: Optional[KubeconfigSummary],
    gone: Gone,
    writable: bool,
) -> Tuple[bool, str]:
    """True for a copy that is written because its server leaves; what is wrong with one that is not written."""
    if existing is None or wanted is None or any(map(gone.has, wanted.servers)):
        return False, ""
    servers = _same_cluster(existing, wanted)
    certain = [url for url in servers if gone.has(url)]
    # Of several entries, at most one is changed, also if they have the same server.
    if certain and len(servers) == 1 and not set(servers) & set(existing.own_servers) and writable:
        return True, ""
    suspects = certain or [url for url in servers if gone.may_have(url)]
    if not suspects:
        return False, ""
    return False, "the server {0}, {1}a control plane that leaves".format(
        suspects[0], "" if certain else "which may be "
    )


def _server_problem(path: str, server: str) -> Problem:
    fix = "set the server in this file to that of a control plane that stays"
    return Problem("endpoint", "{0} has {1}, and is not changed".format(path, server), fix, "warning")


def _same_cluster(existing: KubeconfigSummary, wanted: KubeconfigSummary) -> List[str]:
    """The server of each entry of the same cluster in a copy. If the clusters are not known, all servers."""
    if not kubeconfig.of_this_cluster(existing, wanted):
        return []
    own, known = set(wanted.ca_cert_hashes), existing.servers_of
    found = [url for pins, urls in known.items() if own & set(pins.split()) for url in urls]
    return found if known else existing.servers
