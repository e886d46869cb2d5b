# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A second version of Kubernetes without a second build: the same binaries, whose version says the next patch release.

kubeadm, the API server and the kubelet report the version that the build linked into them as a string. Replaced by one
of the same length, it makes an upgrade: packages, images, static pods and kubelets change. What a new release changes
besides is not tested with it.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from .cache import once
from .machine import MachineError, cache_dir, run

NEXT_PATCH = "next-patch"


def next_patch(version: str) -> str:
    """``1.20.3`` for ``1.20.2``. Raises :class:`MachineError` where the result would be longer."""
    series, _dot, patch = version.rpartition(".")
    found = f"{series}.{int(patch) + 1}"
    if len(found) != len(version):
        raise MachineError(f"{found} is longer than {version}; the lab can only replace a version by one as long")
    return found


def relabelled(content: bytes, version: str, wanted: str) -> bytes:
    """The content of a binary that reports ``wanted`` instead of ``version``."""
    return re.sub(rb"v" + re.escape(version).encode() + rb"(?![0-9])", f"v{wanted}".encode(), content)


def ensure_next_patch(folder: Path, version: str, key: str) -> Path:
    """The folder with the binaries of ``folder``, of the next patch version; made when it is not in the cache.

    ``key`` names the content of ``folder``. Raises :class:`MachineError` if a binary does not contain its version.
    """
    wanted = next_patch(version)
    target = cache_dir() / "kubernetes" / f"{NEXT_PATCH}-{wanted}-{key}"
    with once(target) as work:
        if work:
            for path in sorted(folder.iterdir()):
                if path.is_file():
                    content = path.read_bytes()
                    changed = relabelled(content, version, wanted)
                    if path.name.startswith("kube") and changed == content:
                        raise MachineError(f"{path} does not contain its version v{version}")
                    (work / path.name).write_bytes(changed)
                    shutil.copymode(path, work / path.name)
            (work / "VERSION").write_text(f"{wanted}\n", encoding="utf-8")
            reported = run([work / "kubeadm", "version", "-o", "short"]).stdout.strip()
            if reported != f"v{wanted}":
                raise MachineError(f"the changed kubeadm reports version {reported} instead of v{wanted}")
    return target
