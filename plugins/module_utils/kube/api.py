# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the API of a cluster with a kubeconfig over one connection. kubectl makes the changes."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, List, Mapping

from ..core import untrusted
from ..core.constants import ADMIN_KUBECONFIG
from ..core.https import Answer, Credentials
from ..core.system import System


class Api:
    """Reads the API behind a kubeconfig as kubeadm writes it: one cluster and one user.

    ``server`` asks another API server of the same cluster than the kubeconfig's, like ``https://192.0.2.1:6443``.
    """

    def __init__(self, system: System, kubeconfig: str = ADMIN_KUBECONFIG, server: str = "") -> None:
        text = system.read(kubeconfig) or ""
        self.system = system
        self.kubeconfig = kubeconfig
        self.server = server or kubeconfig_server(text)
        self.credentials = credentials(system, text)

    def get(self, *paths: str) -> List[Answer]:
        """What the API answers for these paths. Never raises."""
        if not self.server:
            return [Answer(error="it does not name a server")] * len(paths)
        return self.system.get(self.server, paths, self.credentials)

    def ok(self, path: str) -> bool:
        """True if the API server reports at /livez or /readyz that it is healthy, and accepts this kubeconfig."""
        return is_ok(self.get(path)[0])

    def reason(self, answer: Answer) -> str:
        """The reason why an answer is invalid, in one line."""
        return "{0} does not answer: {1}".format(self.server or self.kubeconfig, failure(answer))


def is_ok(answer: Answer) -> bool:
    """True for the answer of a healthy API server to /livez or /readyz."""
    return answer.ok and answer.body.strip() == "ok"


def is_missing(answer: Answer) -> bool:
    """True if the API reports that there is no such object."""
    return answer.status == 404 and _refusal(answer).get("reason") == "NotFound"


def _refusal(answer: Answer) -> Mapping[str, Any]:
    """The Status object in which the API says why it refuses; empty for another answer."""
    try:
        return untrusted.mapping(untrusted.parse_json(answer.body))
    except ValueError:
        return {}


def failure(answer: Answer) -> str:
    """What is wrong with an answer, in a few words: no answer, failed checks of a health endpoint, or a refusal."""
    if answer.error or not answer.status:
        return answer.error or "no answer"
    failed = [untrusted.text(name, 64) for name in re.findall(r"(?m)^\[-\](\S+) failed", answer.body)]
    if failed:
        return "failed checks: {0}".format(", ".join(failed[:5]))
    data = _refusal(answer)
    reason, message = untrusted.text(data.get("reason"), 64), untrusted.text(data.get("message"), 200)
    return "HTTP {0}{1}{2}".format(answer.status, reason and " " + reason, message and ": " + message)


def kubeconfig_server(text: str) -> str:
    """The server's URL in a kubeconfig as kubeadm writes it; empty when there is none."""
    match = re.search(r"^[ \t]+server:[ \t]*[\"']?(https?://[^\s\"']+)", text, re.MULTILINE)
    return match.group(1) if match else ""


def credentials(system: System, kubeconfig: str) -> Credentials:
    """The credentials in the text of a kubeconfig, or in the files that it names."""

    def part(name: str) -> str:
        inline = re.search(r"(?m)^[ \t]*{0}-data:[ \t]*[\"']?([A-Za-z0-9+/=]+)".format(name), kubeconfig)
        if inline:
            try:
                return base64.b64decode(inline.group(1)).decode("ascii", "replace")
            except (binascii.Error, ValueError):
                return ""
        path = re.search(r"(?m)^[ \t]*{0}:[ \t]*[\"']?(/[^\s\"']+)".format(name), kubeconfig)
        return (system.read(path.group(1)) or "") if path else ""

    token = re.search(r"(?m)^[ \t]*token:[ \t]*[\"']?([^\s\"']+)", kubeconfig)
    return Credentials(
        authority=part("certificate-authority"),
        certificate=part("client-certificate"),
        key=part("client-key"),
        token=token.group(1) if token else "",
    )
