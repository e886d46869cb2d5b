# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Uploads the encrypted certificates of the control plane, so that another control plane can join."""

from __future__ import annotations

import json

from ..core.constants import ADMIN_KUBECONFIG
from ..core.errors import CommandError, KubesteadError
from ..core.redact import redact
from ..core.releases import config_api
from ..core.secret_files import private_file
from ..core.untrusted import mapping
from ..core.versions import parse
from ..kube.kubectl import KUBEADM_CONFIG, Kubectl


def upload_certificates(kubectl: Kubectl, certificate_key: str) -> None:
    """Let kubeadm encrypt the control plane's certificates with a key and store them in the cluster.

    The key is in a configuration file that only root can read and that is deleted afterwards.
    """
    system = kubectl.system
    config_map = kubectl.objects(KUBEADM_CONFIG)[0]
    stored = str(mapping((config_map or {}).get("data")).get("ClusterConfiguration") or "")
    if not stored:
        raise KubesteadError(
            "ConfigMap kube-system/kubeadm-config does not have a ClusterConfiguration; "
            "run `kubeadm init phase upload-config kubeadm` on a control plane"
        )
    version = parse(system.run(["kubeadm", "version", "-o", "short"], check=True).stdout)
    if version is None:
        raise CommandError("kubeadm version did not print a version; install kubeadm on the control plane")
    with private_file(system, upload_config(config_api(version), stored, certificate_key)) as path:
        done = system.run(
            ["kubeadm", "init", "phase", "upload-certs", "--upload-certs", "--skip-certificate-key-print"]
            + ["--config", path],
            timeout=120.0,
            env={"KUBECONFIG": ADMIN_KUBECONFIG},
        )
    if not done.ok:
        raise CommandError(
            "kubeadm init phase upload-certs failed: {0}".format(redact(done.last_line, certificate_key)),
            {"stderr": redact(done.stderr, certificate_key)},
        )


def upload_config(api: str, stored: str, certificate_key: str) -> str:
    """kubeadm's configuration for the upload: the key, and the configuration ``stored`` in the cluster."""
    document = {
        "apiVersion": "kubeadm.k8s.io/{0}".format(api),
        "kind": "InitConfiguration",
        "certificateKey": certificate_key,
        # This phase uses neither value, but without them kubeadm detects an address and a container runtime.
        "localAPIEndpoint": {"advertiseAddress": "192.0.2.1"},
        "nodeRegistration": {"criSocket": "unix:///run/containerd/containerd.sock"},
    }
    return "{0}\n---\n{1}\n".format(json.dumps(document, indent=2), stored.strip())
