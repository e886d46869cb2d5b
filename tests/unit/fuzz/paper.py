# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A machine that says the same of everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result, System

NAMES = [
    "10-x.list",
    "99-z.conf",
    "a.conflist",
    "a.sources",
    "b.repo",
    "b.toml",
    "c.swap",
    "ca.crt",
    "kube-apiserver.yaml",
]


class Paper(System):
    """Every command prints ``text`` and every file holds it, but those in ``files`` and ``answers`` (by first word)."""

    def __init__(
        self, text: str, files: Mapping[str, str | None] | None = None, answers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(self._print, "/nonexistent/machine")
        self.text = text
        self.files = dict(files or {})
        self.answers = dict(answers or {})

    def _print(self, argv: Sequence[str], stdin: str | None, timeout: float, env: Mapping[str, str]) -> Result:
        return Result(0, self.answers.get(argv[0], self.text))

    def read(self, path: str) -> str | None:
        """The text, whatever the path."""
        return self.files.get(path, self.text)

    def names(self, path: str) -> list[str]:
        """A few names of all kinds."""
        return list(NAMES)

    def exists(self, path: str) -> bool:
        """Everything is there that has text."""
        return self.files.get(path, self.text) is not None

    def is_executable(self, path: str) -> bool:
        """Everything can be executed."""
        return True

    def mode(self, path: str) -> int | None:
        """The usual permissions."""
        return 0o644
