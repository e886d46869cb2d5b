# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine for unit tests: its root is a folder, its commands and servers give answers recorded from real ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

from ansible_collections.kubestead.cluster.plugins.module_utils.core.https import Answer as HttpAnswer
from ansible_collections.kubestead.cluster.plugins.module_utils.core.https import Credentials
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result, System

FIXTURES = Path(__file__).parent / "fixtures"

# Spelled for the oldest Python that the tests of node code run on.
Answer = Union[Result, Callable[[Sequence[str], Optional[str]], Result]]


class Clock:
    """Time that passes only while somebody sleeps; ``waits`` lists how long, in seconds."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    @property
    def injected(self) -> dict[str, Any]:
        """The arguments ``clock`` and ``sleep`` of what waits."""
        return {"clock": self, "sleep": self.sleep}

    def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


class Machine(System):
    """A :class:`System` over a folder.

    ``answer("kubeadm version", "v1.35.0")`` answers every command that starts with those words (longest match wins);
    a command nobody answered ends with 127, as on a machine that lacks it. ``ran`` lists what was run.
    ``serve("https://10.0.0.1:6443", "/livez", "ok")`` answers a request; a server nobody set refuses the connection.
    ``asked`` lists the URLs that were asked for, ``credentials`` what they were asked with.
    """

    def __init__(self, root: Path) -> None:
        super().__init__(self._answer, str(root), self._served)
        self.folder = root
        self.ran: list[list[str]] = []
        self.inputs: list[str | None] = []
        self._answers: dict[tuple[str, ...], Answer] = {}
        self.asked: list[str] = []
        self.credentials: list[Credentials] = []
        self._servers: dict[str, dict[str, HttpAnswer]] = {}

    def answer(self, command: str | Sequence[str], stdout: str | Answer = "", rc: int = 0, stderr: str = "") -> None:
        """Set what a command (its first words) answers: text, a ``Result``, or a function of (argv, stdin)."""
        words = tuple(command.split()) if isinstance(command, str) else tuple(command)
        self._answers[words] = Result(rc, stdout, stderr) if isinstance(stdout, str) else stdout

    def serve(self, url: str, path: str, body: str = "", status: int = 200, error: str = "") -> None:
        """Set what a server answers for a path; ``error`` makes it give no answer."""
        self._servers.setdefault(url, {})[path] = HttpAnswer(0 if error else status, body, error)

    def refuse(self, url: str) -> None:
        """Take a server away."""
        self._servers.pop(url, None)

    def put(self, path: str, text: str = "", mode: int = 0o644) -> None:
        """Place a file."""
        real = Path(self.path(path))
        real.parent.mkdir(parents=True, exist_ok=True)
        real.write_text(text)
        real.chmod(mode)

    def _served(self, url: str, paths: Sequence[str], credentials: Credentials, timeout: float) -> list[HttpAnswer]:
        self.asked += [url + path for path in paths]
        self.credentials.append(credentials)
        if url not in self._servers:
            return [HttpAnswer(error="connection refused")] * len(paths)
        return [self._servers[url].get(path, HttpAnswer(404, "404 page not found")) for path in paths]

    def _answer(self, argv: Sequence[str], stdin: str | None, timeout: float, env: Mapping[str, str]) -> Result:
        self.ran.append(list(argv))
        self.inputs.append(stdin)
        for length in range(len(argv), 0, -1):
            found = self._answers.get(tuple(argv[:length]))
            if found is not None:
                return found(argv, stdin) if callable(found) else found
        return Result(127, "", f"{argv[0]}: command not found")


def fixture(name: str) -> str:
    """The text of a file below tests/unit/fixtures."""
    return (FIXTURES / name).read_text()
