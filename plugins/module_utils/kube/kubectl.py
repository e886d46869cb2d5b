# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubectl as the client of a cluster's API, on whatever machine has a kubeconfig."""

from __future__ import annotations

import threading
from typing import Any, Dict, List, Optional, Sequence

from ..core.constants import ADMIN_KUBECONFIG
from ..core.errors import CommandError, KubesteadError
from ..core.system import Result, System
from ..core.untrusted import parse_json

# Paths of the API.
NODES = "/api/v1/nodes"
KUBEADM_CONFIG = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"


class ApiUnreachable(KubesteadError):
    """The API server does not answer, or not to this kubeconfig."""


class Kubectl:
    """kubectl with a kubeconfig. Times are seconds."""

    def __init__(
        self,
        system: System,
        kubeconfig: str = ADMIN_KUBECONFIG,
        context: str = "",
        server: str = "",
        request_timeout: int = 15,
    ) -> None:
        self.system = system
        self.kubeconfig = kubeconfig
        # What kubectl learns of the API it would keep below the home folder, in a dry run too.
        self._base: List[str] = ["kubectl", "--cache-dir=/dev/null"]
        if kubeconfig:
            self._base.append("--kubeconfig={0}".format(kubeconfig))
        if context:
            self._base.append("--context={0}".format(context))
        if server:
            self._base.append("--server={0}".format(server))
        self._base.append("--request-timeout={0}s".format(request_timeout))

    def run(self, arguments: Sequence[str], stdin: Optional[str] = None, timeout: float = 60.0) -> Result:
        """Run kubectl; the caller reads the result's code."""
        return self.system.run(self._base + list(arguments), stdin=stdin, timeout=timeout)

    def live(self) -> bool:
        """True if the API server reports that it is live and accepts this kubeconfig."""
        result = self.run(["get", "--raw", "/livez"], timeout=20.0)
        return result.ok and result.stdout.strip() == "ok"

    def json(self, arguments: Sequence[str], stdin: Optional[str] = None, timeout: float = 60.0) -> Dict[str, Any]:
        """The JSON a command prints.

        Raises :class:`ApiUnreachable` when nothing answers, :class:`CommandError` when the API refuses.
        """
        return self.parsed(arguments, self.run(arguments, stdin=stdin, timeout=timeout))

    def raw(self, *paths: str) -> List[Result]:
        """What the API says at these paths, all asked at once: most of the time is kubectl's own start."""
        answers: Dict[str, Result] = {}

        def ask(path: str) -> None:
            answers[path] = self.run(["get", "--raw", path], timeout=20.0)

        threads = [threading.Thread(target=ask, args=(path,)) for path in paths]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [answers[path] for path in paths]

    def objects(self, *paths: str) -> List[Optional[Dict[str, Any]]]:
        """The objects at these paths, requested at the same time; None for an object that does not exist.

        Raises like :meth:`json`.
        """
        answers = self.raw(*paths)
        return [
            None if not answer.ok and "(NotFound)" in answer.stderr else self.parsed(["get", path], answer)
            for path, answer in zip(paths, answers)
        ]

    def parsed(self, arguments: Sequence[str], result: Result) -> Dict[str, Any]:
        """The JSON of a result; ``arguments`` are for the message. Raises like :meth:`json`."""
        if not result.ok:
            raise self.error(arguments, result)
        try:
            found = parse_json(result.stdout)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise CommandError(
                "kubectl {0} did not print a JSON object: {1}".format(" ".join(arguments[:3]), result.last_line[:200])
            )
        return found

    def find(self, arguments: Sequence[str]) -> Optional[Dict[str, Any]]:
        """Like ``json(["get", …, "-o", "json"])``, but None for an object (or a kind) that does not exist."""
        wanted = ["get"] + list(arguments) + ["-o", "json"]
        result = self.run(wanted)
        if not result.ok and ("(NotFound)" in result.stderr or "doesn't have a resource type" in result.stderr):
            return None
        return self.parsed(wanted, result)

    def error(self, arguments: Sequence[str], result: Result) -> KubesteadError:
        """The exception that says why a command failed."""
        text = result.stderr
        unreachable = ("was refused", "no route to host", "i/o timeout", "Unable to connect", "TLS handshake timeout")
        where = self.kubeconfig or "the default kubeconfig"
        if result.rc == 124 or any(sign in text for sign in unreachable):
            return ApiUnreachable(
                "API server of {0} does not answer: {1}; check that a control plane runs".format(
                    where, result.last_line
                )
            )
        return CommandError("kubectl {0} failed: {1}".format(" ".join(arguments[:3]), result.last_line))
