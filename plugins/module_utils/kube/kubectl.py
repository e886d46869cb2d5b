# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The client of a cluster's API on any machine with a kubeconfig: kubectl, and a connection where that is enough."""

from __future__ import annotations

import threading
from typing import Any, Dict, Iterator, List, Optional, Sequence

from ..core.constants import ADMIN_KUBECONFIG, KUBELET_KUBECONFIG
from ..core.errors import CommandError, KubesteadError
from ..core.system import Result, System
from ..core.untrusted import parse_json
from .api import Api, failure, is_missing

# Paths of the API.
NODES = "/api/v1/nodes"
KUBEADM_CONFIG = "/api/v1/namespaces/kube-system/configmaps/kubeadm-config"


class ApiUnreachable(KubesteadError):
    """The API server does not answer, or does not accept this kubeconfig."""


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
        self.server = server
        # kubeadm writes these files: one cluster, one user, and credentials in the file or in files that it names.
        self._plain = kubeconfig in (ADMIN_KUBECONFIG, KUBELET_KUBECONFIG) and not context
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
        """Run kubectl. The caller must check the exit code."""
        return self.system.run(self._base + list(arguments), stdin=stdin, timeout=timeout)

    def live(self) -> bool:
        """True if the API server reports that it is live and accepts this kubeconfig."""
        result = self.run(["get", "--raw", "/livez"], timeout=20.0)
        return result.ok and result.stdout.strip() == "ok"

    def raw(self, *paths: str) -> List[Result]:
        """What the API says at these paths, as results of ``kubectl get --raw``.

        With a kubeconfig of kubeadm, the paths are read over one connection, because a start of kubectl takes 60 ms of
        CPU time. kubectl reads the paths without an answer, and all paths with another kubeconfig: it may have several
        clusters, or a program that provides the credentials. If nothing answers, only one kubectl runs, for the reason.
        """
        answers = self._connected(paths)

        def ask(path: str) -> None:
            answers[path] = self.run(["get", "--raw", path], timeout=20.0)

        left = [path for path in paths if path not in answers]
        if self._plain and left:
            ask(left[0])
            if _is_unreachable(answers[left[0]]):
                answers.update(dict.fromkeys(left, answers[left[0]]))
            left = [path for path in left if path not in answers]
        threads = [threading.Thread(target=ask, args=(path,)) for path in left]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [answers[path] for path in paths]

    def _connected(self, paths: Sequence[str]) -> Dict[str, Result]:
        """The objects at these paths that exist, and those that the API reports as missing."""
        if not self._plain:
            return {}
        found = {}
        for path, answer in zip(paths, Api(self.system, self.kubeconfig, self.server).get(*paths)):
            if answer.ok:
                found[path] = Result(0, answer.body)
            elif is_missing(answer):
                found[path] = Result(1, "", "Error from server (NotFound): {0}".format(failure(answer)))
        return found

    def read(self, path: str) -> Dict[str, Any]:
        """The object at a path of the API. Raises like :meth:`parsed`."""
        return next(self.each(path))

    def each(self, *paths: str) -> Iterator[Dict[str, Any]]:
        """The objects at these paths, requested at the same time.

        An answer is parsed when its turn comes, so that the caller can reduce it before it takes the next: a parsed
        list of pods needs several times the memory of its text. Raises like :meth:`parsed`, also for a missing object.
        """
        for path, answer in zip(paths, self.raw(*paths)):
            yield self.parsed(["get", "--raw", path], answer)

    def objects(self, *paths: str) -> List[Optional[Dict[str, Any]]]:
        """The objects at these paths, requested at the same time; None for an object that does not exist.

        Raises like :meth:`parsed`.
        """
        answers = self.raw(*paths)
        return [
            None if not answer.ok and "(NotFound)" in answer.stderr else self.parsed(["get", path], answer)
            for path, answer in zip(paths, answers)
        ]

    def parsed(self, arguments: Sequence[str], result: Result) -> Dict[str, Any]:
        """The JSON of a result; ``arguments`` are for the message.

        Raises :class:`ApiUnreachable` when nothing answers, :class:`CommandError` when the API refuses.
        """
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

    def error(self, arguments: Sequence[str], result: Result) -> KubesteadError:
        """The exception for a failed command, with its cause."""
        where = self.kubeconfig or "the default kubeconfig"
        if _is_unreachable(result):
            return ApiUnreachable(
                "API server of {0} does not answer: {1}; check that a control plane runs".format(
                    where, result.last_line
                )
            )
        return CommandError("kubectl {0} failed: {1}".format(" ".join(arguments[:3]), result.last_line))


def _is_unreachable(result: Result) -> bool:
    """True for a failure of kubectl that means that nothing answers."""
    signs = ("was refused", "no route to host", "i/o timeout", "Unable to connect", "TLS handshake timeout")
    return result.rc == 124 or any(sign in result.stderr for sign in signs)
