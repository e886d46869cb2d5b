# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Causes of failed inits and joins that appear after the checks, and what the message says. docs/troubleshooting.md
shows the messages.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

INIT, JOIN, CONTROL_PLANE = "init", "join", "join as a control plane"

# kubeadm stands still while the shell runs.
STOPPED = "pkill -STOP -f '^/usr/bin/kubeadm'; {0}; pkill -CONT -f '^/usr/bin/kubeadm'; true"
# A program that listens at a port when the shell ends.
SQUATTER = (
    "systemd-run --quiet --collect --unit=squatter python3 -m http.server {0}; "
    "for i in $(seq 50); do ss -ltn | grep -q ':{0} ' && break; sleep 0.1; done"
)
NO_SQUATTER = "systemctl stop squatter; true"
SAVE_CONTAINERD = "cp /etc/containerd/config.toml /root/config.toml"
HEAL_CONTAINERD = "cp /root/config.toml /etc/containerd/config.toml; systemctl restart containerd"
BROKEN_CONTAINERD = (
    f"{SAVE_CONTAINERD}; echo 'this is [not TOML' > /etc/containerd/config.toml; systemctl restart containerd; true"
)
READ_ONLY = "mkdir -p {0}; mount --bind {0} {0}; mount -o remount,bind,ro {0}"
FILLED = "mkdir -p {0}; mount -t tmpfs -o size={1} full {0}; head -c 100M /dev/zero > {0}/filler; true"
NO_RUNC = "chmod 000 $(readlink -f $(command -v runc))"
# runc can't start, or not its second process.
NO_RUNC_SAYS = (
    "can't get a sandbox: .*(runc did not terminate successfully|final child's PID from pipe).*; the host prevents runc"
)
RUNC = "chmod 755 $(readlink -f $(ls /usr/bin/runc /usr/sbin/runc 2>/dev/null | head -1))"
REJECT = "iptables -{0} OUTPUT -p tcp --dport 6443 -j REJECT --reject-with {1}"
BOOTSTRAP = "/etc/kubernetes/bootstrap-kubelet.conf"
OTHER_CA = (
    "openssl req -x509 -newkey rsa:2048 -nodes -keyout /run/other.key -subj /CN=other -days 2 -out /run/other.crt"
)
OTHER_CLIENT = (
    "openssl req -new -newkey rsa:2048 -nodes -keyout /etc/kubernetes/pki/apiserver-etcd-client.key "
    "-subj /O=system:masters/CN=other -out /run/other.csr; "
    "openssl x509 -req -in /run/other.csr -CA /run/other.crt -CAkey /run/other.key -CAcreateserial -days 2 "
    "-out /etc/kubernetes/pki/apiserver-etcd-client.crt"
)
NO_ROUTE = (
    "ctr -n k8s.io images ls -q | xargs -r ctr -n k8s.io images rm >/dev/null 2>&1; "
    "getent ahostsv4 registry.k8s.io | head -1 | cut -d' ' -f1 > /run/registry; "
    "ip route add unreachable $(cat /run/registry)"
)

# Lines of kubeadm.
CERTIFICATES = r"^\[certs\] Using certificateDir"
LAST_CERTIFICATE = r"^\[certs\] Generating \"sa\" key"
MANIFESTS = r"^\[control-plane\] Creating static Pod manifest for \"kube-scheduler\""
READING = r"^\[preflight\] Reading"
BEGINNING = r"^\[preflight\] Running"
CONFIGURED = r"^\[kubelet-start\] Writing kubelet environment file"


@dataclass(frozen=True)
class Cause:
    """What happens on a host when ``kubeadm command`` says ``at``, and what the message must contain.

    Without ``at``, ``shell`` runs before kubeadm. ``heal`` undoes it. ``options`` are those of the module.
    """

    command: str
    says: str
    at: str = ""
    shell: str = ""
    heal: str = "true"
    options: dict[str, Any] = field(default_factory=dict)


def cluster(**fields: Any) -> dict[str, Any]:
    """Options with fields of the ClusterConfiguration."""
    return {"config": {"ClusterConfiguration": fields}}


def argument(name: str, value: str) -> dict[str, Any]:
    """An argument of a component."""
    return {"extraArgs": [{"name": name, "value": value}]}


def future_ca() -> str:
    """A shell that writes a CA which is valid from tomorrow on, as a machine whose clock was ahead would create it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes")])
    tomorrow = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=1)
    usage = {"digital_signature": True, "key_encipherment": True, "key_cert_sign": True}
    other = dict.fromkeys(
        ("content_commitment", "data_encipherment", "key_agreement", "crl_sign", "encipher_only", "decipher_only"),
        False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(tomorrow)
        .not_valid_after(tomorrow + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(**usage, **other), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("kubernetes")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = {
        "ca.crt": certificate.public_bytes(serialization.Encoding.PEM),
        "ca.key": key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        ),
    }
    files = "; ".join(f"printf %s '{data.decode()}' > /etc/kubernetes/pki/{name}" for name, data in pem.items())
    return f"umask 077; mkdir -p /etc/kubernetes/pki; {files}"


# Those whose host becomes a member of etcd for a moment come last.
CAUSES = {
    "another program takes etcd's port": Cause(
        CONTROL_PLANE,
        r"etcd logged: .*:2380: bind: address already in use.*; another program uses a port",
        MANIFESTS,
        STOPPED.format(SQUATTER.format(2380)),
        NO_SQUATTER,
    ),
    "runc must not run on a further control plane": Cause(
        CONTROL_PLANE,
        NO_RUNC_SAYS,
        MANIFESTS,
        NO_RUNC,
        RUNC,
    ),
    "an etcd image that the registry does not have": Cause(
        INIT,
        r"\[ERROR ImagePull\]: failed to pull image registry\.k8s\.io/etcd:9\.9\.9-0: .*not found; the registry",
        options=cluster(etcd={"local": {"imageTag": "9.9.9-0"}}),
    ),
    "an argument that etcd refuses": Cause(
        INIT,
        r"etcd logged: .*invalid value \"often\" for flag -heartbeat-interval.*; an argument is refused",
        options=cluster(etcd={"local": argument("heartbeat-interval", "often")}),
    ),
    "an unknown argument of the API server": Cause(
        INIT,
        r"kube-apiserver logged: Error: unknown flag: --no-such-flag.*; an argument is refused",
        options=cluster(apiServer=argument("no-such-flag", "1")),
    ),
    "another program takes a port": Cause(
        INIT,
        r"kube-controller-manager logged: .*:10257: bind: address already in use.*; another program uses a port",
        MANIFESTS,
        STOPPED.format(SQUATTER.format(10257)),
        NO_SQUATTER,
    ),
    "the disk of etcd is full": Cause(
        INIT,
        r"etcd logged: .*no space left on device.*; (no space is left in /var/lib/etcd|a disk is full)",
        CERTIFICATES,
        FILLED.format("/var/lib/etcd", "1m"),
        "umount -l /var/lib/etcd",
    ),
    "/var/lib/kubelet is read-only": Cause(
        INIT,
        r"/var/lib/kubelet/[a-z.-]+: read-only file system.*; a file system is mounted read-only",
        CERTIFICATES,
        READ_ONLY.format("/var/lib/kubelet"),
        "umount -l /var/lib/kubelet",
    ),
    "the kubelet has another cgroup driver": Cause(
        INIT,
        r"can't get a sandbox: .*expected cgroupsPath to be of format.*; the kubelet and containerd use different",
        options={"kubelet_config": {"cgroupDriver": "cgroupfs"}},
    ),
    "a pause image that the registry does not have": Cause(
        INIT,
        r"can't get a sandbox: .*pause:9\.99: not found; the pause image can't be pulled",
        CERTIFICATES,
        STOPPED.format(
            f"{SAVE_CONTAINERD}; sed -i 's#pause:[0-9.]*#pause:9.99#' /etc/containerd/config.toml; "
            "systemctl restart containerd"
        ),
        HEAL_CONTAINERD,
    ),
    "certificates of a clock that was ahead": Cause(
        INIT,
        r"(kube-apiserver|kubelet) logged: .*certificate has expired or is not yet valid.*; a certificate is not valid",
        shell=future_ca(),
        heal="rm -r /etc/kubernetes/pki",
    ),
    "runc must not run": Cause(
        INIT,
        NO_RUNC_SAYS,
        MANIFESTS,
        NO_RUNC,
        RUNC,
    ),
    "a typo in the configuration of the kubelet": Cause(
        INIT,
        r"kubelet fails to start and is restarted repeatedly: .*unrecognized feature gate: NoSuchGate.*; the kubelet",
        options={"kubelet_config": {"featureGates": {"NoSuchGate": True}}},
    ),
    "a certificate of another CA": Cause(
        INIT,
        r"kube-apiserver logged: can't connect to 127\.0\.0\.1:2379: .*bad certificate.*; a certificate is",
        LAST_CERTIFICATE,
        STOPPED.format(f"{OTHER_CA}; {OTHER_CLIENT}"),
        "rm -f /run/other.*",
    ),
    "containerd refuses its configuration": Cause(
        INIT,
        r"containerd (is not running|fails to start).*failed to load TOML.*; containerd refuses its configuration",
        MANIFESTS,
        STOPPED.format(BROKEN_CONTAINERD),
        HEAL_CONTAINERD,
    ),
    "no route to the registry": Cause(
        INIT,
        r"failed to pull image .*no route to host.*; an address can't be reached from this host",
        shell=NO_ROUTE,
        heal="ip route del unreachable $(cat /run/registry)",
    ),
    "containerd refuses its configuration before a join": Cause(
        JOIN,
        r"containerd (is not running|fails to start).*failed to load TOML.*; containerd refuses its configuration",
        shell=BROKEN_CONTAINERD,
        heal=HEAL_CONTAINERD,
    ),
    "an unknown flag in /etc/default/kubelet": Cause(
        JOIN,
        r"kubelet fails to start and is restarted repeatedly: .*unknown flag: --no-such-flag.*; an argument is",
        BEGINNING,
        "echo KUBELET_EXTRA_ARGS=--no-such-flag > /etc/default/kubelet",
        "echo KUBELET_EXTRA_ARGS= > /etc/default/kubelet",
    ),
    "a wrong type in the kubelet's configuration": Cause(
        JOIN,
        r"kubelet fails to start and is restarted repeatedly: .*maxPods.*; the kubelet refuses its",
        CONFIGURED,
        STOPPED.format("echo 'maxPods: many' >> /var/lib/kubelet/config.yaml; systemctl try-restart kubelet"),
    ),
    "another program takes the kubelet's port": Cause(
        JOIN,
        r"kubelet fails to start and is restarted repeatedly: .*:10250: bind: address already in use.*; another",
        CONFIGURED,
        STOPPED.format(SQUATTER.format(10250)),
        NO_SQUATTER,
    ),
    "containerd is stopped": Cause(
        JOIN,
        r"containerd is not running \(inactive\): .*; containerd is not running",
        CONFIGURED,
        STOPPED.format("systemctl stop containerd"),
        "systemctl start containerd",
    ),
    "no route to the API server": Cause(
        JOIN,
        r"the kubelet logged: certificate_manager.*no route to host.*; an address can't be reached",
        CONFIGURED,
        STOPPED.format(REJECT.format("I", "icmp-host-unreachable")),
        REJECT.format("D", "icmp-host-unreachable"),
    ),
    "the API server does not run": Cause(
        JOIN,
        r"the kubelet logged: certificate_manager.*connection refused.*; the API server or its load balancer",
        CONFIGURED,
        STOPPED.format(REJECT.format("I", "tcp-reset")),
        REJECT.format("D", "tcp-reset"),
    ),
    "the CA of another cluster": Cause(
        JOIN,
        r"the kubelet logged: certificate_manager.*signed by unknown authority.*; a certificate is signed by",
        CONFIGURED,
        STOPPED.format(
            f'{OTHER_CA}; sed -i "s/certificate-authority-data: .*/certificate-authority-data: '
            f'$(base64 -w0 /run/other.crt)/" {BOOTSTRAP}; systemctl try-restart kubelet'
        ),
        "rm -f /run/other.*",
    ),
    "a token that is not valid any more": Cause(
        JOIN,
        r"the kubelet logged: certificate_manager.*signing request: Unauthorized.*; the token has expired or was",
        CONFIGURED,
        STOPPED.format(
            f"sed -i 's/token: .*/token: abcdef.0123456789abcdef/' {BOOTSTRAP}; systemctl try-restart kubelet"
        ),
    ),
    "the disk of the kubelet is full": Cause(
        JOIN,
        r"/var/lib/kubelet/.*no space left on device.*; (no space is left in /var/lib/kubelet|a disk is full)",
        READING,
        FILLED.format("/var/lib/kubelet", "16k"),
        "umount -l /var/lib/kubelet",
    ),
    "/var/lib/kubelet is read-only on a worker": Cause(
        JOIN,
        r"/var/lib/kubelet/[a-z./-]+: read-only file system.*; a file system is mounted read-only",
        READING,
        READ_ONLY.format("/var/lib/kubelet"),
        "umount -l /var/lib/kubelet",
    ),
    "the unit of the kubelet is masked": Cause(
        JOIN,
        r"kubelet is masked.*; systemd does not start a masked unit",
        BEGINNING,
        "systemctl mask --now kubelet",
        "systemctl unmask kubelet",
    ),
    "another program takes the scheduler's port": Cause(
        CONTROL_PLANE,
        r"kube-scheduler logged: .*:10259: bind: address already in use.*; another program uses a port",
        MANIFESTS,
        STOPPED.format(SQUATTER.format(10259)),
        NO_SQUATTER,
    ),
    "an unknown argument of a further API server": Cause(
        CONTROL_PLANE,
        r"kube-apiserver logged: Error: unknown flag: --no-such-flag.*; an argument is refused",
        MANIFESTS,
        STOPPED.format(
            "sed -i '/- kube-apiserver$/a\\    - --no-such-flag=1' /etc/kubernetes/manifests/kube-apiserver.yaml"
        ),
    ),
}
