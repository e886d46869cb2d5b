# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Diagnoses a failed kubeadm run from its output, the journals and the containers of the machine.

Everything is read without secrets, and only what was written since the run began.
"""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, Mapping, Sequence

from ..core.constants import COMPONENTS, KUBELET_CLIENT_CERTIFICATE, KUBELET_CONFIG
from ..core.errors import KubesteadError
from ..core.redact import redact
from ..core.system import Result, System
from . import culprits

# Phases that show in kubeadm's output; it has more tags there ([patches], [kubelet-check]…), which are none.
_PHASES = frozenset(
    [
        "preflight",
        "certs",
        "kubeconfig",
        "etcd",
        "control-plane",
        "kubelet-start",
        "wait-control-plane",
        "upload-config",
        "upload-certs",
        "mark-control-plane",
        "bootstrap-token",
        "kubelet-finalize",
        "addon",
    ]
)


# -- kubeadm's output


def phases_of(output: str) -> List[str]:
    """The phases of init or join that kubeadm's output names (``[certs] …``), in the order they began."""
    phases: List[str] = []
    for tag, text in re.findall(r"^\[([a-z][a-z-]*)\] (.*)", output, re.MULTILINE):
        name = {"addons": "addon"}.get(tag, tag)
        if name in _PHASES and name not in phases and not text.startswith("Skipping phase"):
            phases.append(name)
    return phases


# -- failures


def failure(command: str, result: Result, system: System, timeout: int, began: float) -> KubesteadError:
    """The exception for a failed run of ``kubeadm <command>``: its phase and cause in one line.

    ``timeout`` is the timeout of the run in seconds, ``began`` its start time (seconds since 1970).

    ``details`` contains ``phase``, ``causes``, ``stdout_lines`` and ``stderr_lines``. If the run failed after kubeadm's
    preflight checks, it also contains the last errors of the journals (``kubelet_log``, ``containerd_log``), the logs
    of the containers that did not start (``container_logs``), and ``culprits``.
    """
    stdout, stderr = redact(result.stdout), redact(result.stderr)
    phase = failed_phase(stdout, stderr)
    causes = causes_of(stdout, stderr)
    details: Dict[str, Any] = {
        "phase": phase,
        "causes": causes,
        "rc": result.rc,
        "stdout_lines": stdout.splitlines(),
        "stderr_lines": stderr.splitlines(),
    }
    if result.rc == 127:
        return KubesteadError("kubeadm is not installed; use the role kube_packages first", details)
    if result.rc == 124:
        causes = ["it did not finish within {0} seconds".format(timeout)] + causes
    if result.rc < 0:
        causes = ["it was killed by signal {0}".format(-result.rc)] + causes
    hint = "see its output in stdout_lines and stderr_lines"
    blamed: List[str] = []
    failed: List[culprits.Culprit] = []
    journals = culprits.Journals(system, began)
    if phase == "preflight":
        hint = "remove the cause, or add the check to cluster_ignore_preflight_errors"
        # kubeadm has not started the kubelet yet.
        failed = [one for one in culprits.services(system, journals) if one.name == "containerd"]
        blamed = details["culprits"] = [one.text for one in failed]
    elif phase:
        details.update(logs(journals))
        # Before 1.31 kubeadm does not say which component it waited for in vain.
        suspects = unhealthy_components(stdout) or (list(COMPONENTS) if phase == "wait-control-plane" else [])
        details["container_logs"] = {component: container_log(system, component) for component in suspects}
        failed = culprits.find(system, journals)
        if command == "join" and not failed:
            failed = uncertified(system, journals, bool(re.search(_WAITED, " ".join(causes))))
        details["culprits"] = [one.text for one in failed][:_BLAMED]
        # The message contains the last lines of the logs, so that users need not log in to find the cause.
        blamed = details["culprits"] or _blamed(details)
    # The lines are shortened in the message but not here. If containerd is down, the errors of others are consequences.
    told = {"causes": causes} if [one for one in failed if one.name == "containerd"] else details
    known = diagnose(system, {**told, "lines": [one.lines for one in failed]}) if phase else []
    details["diagnosis"] = known
    where = " in phase {0}".format(phase) if phase else ""
    said = "; ".join([shortened(cause) for cause in causes] + blamed) or "code {0}".format(result.rc)
    return KubesteadError(
        "kubeadm {0} failed{1}: {2}; {3}".format(command, where, said, "; ".join(known) or hint), details
    )


# The known causes: a pattern for a line of kubeadm's output or of a log, and the message with the fix.
_KNOWN = (
    (r"no space left on device", "a disk is full; free some space (df -h) and run again"),
    (r"running with swap on is not supported", "swap is on; use the role host, or run 'swapoff -a'"),
    (
        r"certificate has expired or is not yet valid",
        "a certificate is not valid at the time of this host's clock; compare the clocks (timedatectl) and run again",
    ),
    (
        r"misconfiguration: kubelet cgroup driver|cgroup driver.{0,40} is different from|expected cgroupsPath to be",
        "the kubelet and containerd use different cgroup drivers; use the role containerd and cgroupDriver: systemd",
    ),
    (
        r"unrecognized feature gate|strict decoding error|invalid configuration: "
        r"|cannot unmarshal .{1,60} into Go struct field KubeletConfiguration",
        "the kubelet refuses its configuration; correct cluster_kubelet_config or cluster_feature_gates",
    ),
    (
        r"failed to (get|pull) sandbox image",
        "the pause image can't be pulled; correct containerd_sandbox_image, or push the image to the registry",
    ),
    (
        r"read-only file system",
        "a file system is mounted read-only; see 'findmnt' and 'dmesg' on this host and run again",
    ),
    (
        r"runc did not terminate successfully|can't get final child's PID from pipe|runc.{0,200}permission denied"
        r"|apparmor failed to apply profile"
        r"|SELinux is preventing|avc: +denied",
        "the host prevents runc from running; try 'runc --version', see 'dmesg' and 'ausearch -m avc' on this host",
    ),
    (
        r"failed to (load|unmarshal) TOML",
        "containerd refuses its configuration; correct /etc/containerd/config.toml or containerd_config_dropin",
    ),
    (
        r"(unknown flag: |flag provided but not defined: )-|invalid value .{1,200} for flag ",
        "an argument is refused; correct the extraArgs in cluster_kubeadm_config, cluster_node_kubelet_extra_args, or "
        "/etc/default/kubelet and /etc/sysconfig/kubelet",
    ),
    (
        r"^(?!.*sandbox image).*failed to pull (and unpack )?image .{1,600}: not found",
        "the registry does not have the image; correct its tag or cluster_image_repository, or push the image",
    ),
    # Requests of containerd to registries have this prefix.
    (
        r"failed to do request: .{0,400}signed by unknown authority",
        "this host does not trust the CA of a registry or its proxy; add the CA to the host's trusted certificates, or "
        "set it in containerd_registry_mirrors",
    ),
    (
        r"^(?!.*failed to do request: ).*"
        r"(signed by unknown authority|unknown certificate authority|tls: bad certificate)",
        "a certificate is signed by a CA that its peer does not trust; "
        "check /etc/kubernetes/pki for files of another cluster",
    ),
    (
        r"certificate is valid for .{1,400}, not |doesn't contain any IP SANs",
        "a server's certificate does not have the name at which it was reached; for the API, correct cluster_endpoint "
        "or add the name to cluster_cert_sans",
    ),
    (
        r"dial tcp .{1,80}(no route to host|network is unreachable|connect: host is down|i/o timeout)",
        "an address can't be reached from this host; see 'ip route get' and the firewall",
    ),
    (
        r"dial tcp: lookup .{1,200}(no such host|i/o timeout|server misbehaving|Temporary failure|connection refused)",
        "a name can't be resolved on this host; see /etc/resolv.conf and 'getent hosts' with that name",
    ),
    (
        r"proxyconnect tcp: ",
        "the HTTP proxy of containerd can't be reached; correct HTTP_PROXY and HTTPS_PROXY of its unit",
    ),
    (
        r"server gave HTTP response to HTTPS client",
        "a registry does not use TLS; set its URL with http:// in containerd_registry_mirrors",
    ),
    (
        r"429 Too Many Requests|toomanyrequests",
        "the registry limits pulls from this address; use containerd_registry_credentials or a mirror",
    ),
    (
        r"pull access denied|insufficient_scope|failed to authorize: .{0,400}(401 Unauthorized|403 Forbidden)",
        "the registry refuses access; correct containerd_registry_credentials or the name of the image",
    ),
    (
        r"no match for platform in manifest|exec format error",
        "an image does not support the CPU architecture of this host; use an image for this architecture",
    ),
    (
        r"could not find a JWS signature|invalid bootstrap token|token .{0,20}expired"
        r"|certificate signing request: Unauthorized",
        "the token has expired or was revoked; run again to create a new one",
    ),
    (
        r"certificate signing request: .{0,400}connect: connection refused",
        "the API server or its load balancer does not run; check it on a control plane and run again",
    ),
    (
        r"waits for its certificate",
        "the cluster does not sign it; check kube-controller-manager on the control planes, and 'kubectl get csr'",
    ),
    (
        r"^(kubelet|containerd) is masked",
        "systemd does not start a masked unit; run 'systemctl unmask' for it and run again",
    ),
    (
        r"bind: address already in use",
        "another program uses a port that Kubernetes needs; find it with 'ss -ltnp', stop it and run again",
    ),
    (
        r"too many open files",
        "a limit of inotify or of open files is too low; raise fs.inotify.max_user_instances in host_sysctls",
    ),
    (
        r"open /dev/kmsg: ",
        "the kubelet requires /dev/kmsg, which containers such as LXC do not have by default; provide it",
    ),
    (
        r"[Nn]etwork plugin (is )?not ready.{0,80}failed to load|cni config .{0,40}invalid",
        "a file in /etc/cni/net.d is invalid; see 'ls /etc/cni/net.d'",
    ),
    (
        r"etcd cluster is not healthy|too many learner members|etcdserver: (unhealthy cluster|no leader)",
        "the cluster's etcd is not healthy; check its members on a live control plane before you join more nodes",
    ),
)
# The directories that Kubernetes writes to. A disk with less free space than this (in bytes) is full.
_WRITTEN = ("/var/lib/etcd", "/var/lib/kubelet", "/var/lib/containerd", "/etc/kubernetes", "/var/log")
_FULL = 16 << 20


def diagnose(system: System, details: Mapping[str, Any]) -> List[str]:
    """The known causes of a failure, each with its fix; often empty.

    Frequent causes (a service that is down, a full disk) are observed on the machine. The others are found in the
    output of kubeadm and in the logs.
    """
    found = []
    for unit in ("containerd", "kubelet"):
        state = system.run(["systemctl", "is-active", unit], timeout=10.0).stdout.strip()
        # The kubelet can't run before kubeadm has written its configuration.
        if state in ("inactive", "failed") and (unit == "containerd" or system.exists(KUBELET_CONFIG)):
            found.append(
                "{0} is not running ({1}); see 'journalctl -u {0}' on this host and run again".format(unit, state)
            )
    full = [path for path in _WRITTEN if _free(system, path) < _FULL]
    if full:
        found.append("no space is left in {0}; free some space (df -h) and run again".format(", ".join(full)))
    lines = [line for text in _texts(details) for line in text.splitlines()]
    for pattern, says in _KNOWN:
        if any(re.search(pattern, line) for line in lines) and not (full and "disk is full" in says):
            found.append(says)
    return found


def _free(system: System, path: str) -> float:
    """The free space for root, in bytes; infinity for a folder that does not exist."""
    try:
        about = os.statvfs(system.path(path))
    except OSError:
        return float("inf")
    return about.f_bfree * about.f_frsize


def _texts(value: Any) -> List[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        value = list(value.values())
    return [text for item in value for text in _texts(item)] if isinstance(value, list) else []


def logs(journals: culprits.Journals) -> Dict[str, Any]:
    """The last errors in the journals of the kubelet and containerd, the oldest first, without duplicates.

    Errors that a kubelet logs only because the API server is not running yet are left out.
    """
    return {unit + "_log": _errors(journals.lines(unit), 5) for unit in ("kubelet", "containerd")}


def uncertified(system: System, journals: culprits.Journals, waited: bool) -> List[culprits.Culprit]:
    """A kubelet that joins and did not get a certificate, with its last error about it; empty if it has one.

    Without a certificate, each of its other requests fails as well, and the log contains more of those errors. With
    ``waited``, kubeadm waited for it in vain, and a kubelet without such an error is a culprit as well.
    """
    if system.exists(KUBELET_CLIENT_CERTIFICATE) or not system.exists(KUBELET_CONFIG):
        return []
    errors = [culprits.error_text(text) for text in journals.lines("kubelet") if _REQUEST.search(text)]
    last = [one for one in errors if one][-1:]
    state = "" if last else "waits for its certificate"
    return [culprits.Culprit("the kubelet", state, last)] if last or waited else []


def named(journals: culprits.Journals) -> List[str]:
    """The most important of the programs that failed, each with the last lines of its log.

    If all of them run, the error of the kubelet.
    """
    found = [one.text for one in culprits.find(journals.system, journals)][:_BLAMED]
    return found or _blamed({"container_logs": {}, **logs(journals)})


def _blamed(details: Mapping[str, Any]) -> List[str]:
    """The log line that most likely shows why a control plane does not start."""
    for component, lines in details["container_logs"].items():
        if lines:
            return [culprits.Culprit(component, "", lines[-1:]).text]
    # Other requests of a kubelet fail because its Node does not exist.
    lines = sorted(details["kubelet_log"], key=lambda line: "Unable to register node" in line)
    return [culprits.Culprit("the kubelet", "", [line]).text for line in lines[-1:]]


def shortened(text: str, width: int = 360) -> str:
    """A cause short enough for one line: of several images that can't be pulled, the first."""
    images = text.split(", failed to pull image ")
    if text.startswith("[ERROR ImagePull]") and len(images) > 1:
        first = re.sub(r"\[(failed to pull image [^ ]+): .*: (.+)\Z", r"\1: \2", images[0])
        return "{0} (and {1} more images)".format(first, len(images) - 1)
    return text if len(text) <= width else text[: width - 1] + "…"


def failed_phase(stdout: str, stderr: str) -> str:
    """The phase that kubeadm reports as failed, or else the last one that it started; empty without one."""
    match = re.search(r"error execution phase ([a-z][a-z0-9/-]*)", stderr)
    if match:
        return match.group(1)
    phases = phases_of(stdout)
    return phases[-1] if phases else ""


def causes_of(stdout: str, stderr: str) -> List[str]:
    """The causes: failed checks (``[ERROR Port-6443]: …``), or else kubeadm's error without its prefixes."""
    lines = [line.strip() for line in (stdout + "\n" + stderr).splitlines()]
    checks = [line for line in lines if line.startswith("[ERROR ")]
    if checks:
        return checks
    for index, line in enumerate(lines):
        match = re.match(r"(?:error: )?error execution phase [a-z0-9/-]+: (.*)", line)
        if match:
            said = [match.group(1)] + _continued(lines[index + 1 :])
            return [" ".join(one for one in said if one)]
    return [line[len("error:") :].strip() for line in lines if line.startswith("error:")][-1:]


def _continued(lines: Sequence[str]) -> List[str]:
    """The further lines of an error."""
    more: List[str] = []
    for line in lines:
        if not line or line.startswith("To see the stack trace"):
            break
        more.append(line)
    return more


def container_log(system: System, component: str, count: int = 5) -> List[str]:
    """The last errors in the log of a component's container, from the files that the kubelet keeps."""
    return _errors(culprits.container_lines(system, component), count)


def unhealthy_components(output: str) -> List[str]:
    """The components that kubeadm waited for until its timeout."""
    return re.findall(r"^\[control-plane-check\] (\S+) is not healthy", output, re.MULTILINE)


# A kubelet's request for a certificate, which it makes with the token.
_REQUEST = re.compile(r"certificate signing request|a signed certificate from the control plane")
_WAITED = r"timed out|deadline exceeded|did not finish within"
# The number of failed programs that a message names; the other failures are consequences.
_BLAMED = 2
# What follows from an API server that is not up, whatever the cause.
_CONSEQUENCES = (
    "connection refused",
    "not found",
    "Startup probe already exists",
    "mirror pod",
    "deadline exceeded",
    # The line repeats an error of another line after a description of the event.
    "Unable to write event",
)


def _errors(lines: Sequence[str], count: int) -> List[str]:
    found: Dict[str, None] = {}
    for line in lines:
        text = culprits.error_text(line)
        if text and not any(one in text for one in _CONSEQUENCES):
            found.pop(text, None)
            found[text] = None
    return list(found)[-count:]
