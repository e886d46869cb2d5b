# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's server: a container that answers as the hosts a cluster is downloaded from, one for each Kubernetes.

Over HTTPS, with a certificate of the lab's own CA, it answers as pkgs.k8s.io and as the image registries. So the
default variables make a cluster on a machine that reaches none of these hosts. As mirror.lab.test it offers the same
under other addresses, for the variables that name a mirror. Over HTTP it has the Debian packages that nodes install.

The server is nginx, and all it serves are files in the cache, made once per Kubernetes.
"""

from __future__ import annotations

MIRROR = "mirror.lab.test"
PRIVATE = "private.lab.test"
PRIVATE_USER = "lab"
PRIVATE_PASSWORD = "not-a-secret"
"""The password of the registry at private.lab.test, which has the images of docker.io."""

PACKAGES_HOST = "pkgs.k8s.io"
REGISTRIES = {  # host -> the registry whose images it has
    "registry.k8s.io": "registry.k8s.io",
    "quay.io": "quay.io",
    "docker.io": "docker.io",
    "registry-1.docker.io": "docker.io",
    "auth.docker.io": "docker.io",
}
FILES_HOSTS = ("raw.githubusercontent.com",)
HOSTNAMES = (PACKAGES_HOST, *REGISTRIES, *FILES_HOSTS, MIRROR, PRIVATE)
