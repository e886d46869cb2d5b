# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nodes whose bootstrap tokens are no longer needed: those that have joined, failed or become unreachable.

Each host of a task has a separate process on the control machine. Hosts whose joins end at the same time share one
deletion: tokens that are noted while another process deletes tokens are deleted together afterwards.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from ansible import constants as C

_WAITING, _DELETED = ".waiting", ".deleted"


class SpentTokens:
    """The state of the tokens in the cluster of one control plane, during one run of Ansible.

    The state is stored as files in the temporary folder of the run. The files contain names of hosts, but no tokens.
    """

    def __init__(self, control_plane: str, folder: str | None = None) -> None:
        # The folder is the same for all processes of a run, and is removed at its end.
        self._folder = Path(folder or C.DEFAULT_LOCAL_TMP) / "spent-tokens" / _key(control_plane)

    def delete(self, node: str, delete: Callable[[Sequence[str]], bool]) -> bool:
        """Delete the token of a node with ``delete``, together with the tokens of other waiting nodes.

        ``delete`` gets the names of the nodes, and returns whether the tokens were deleted. After a failure, it is not
        called again in this run. Returns True if the token was deleted.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        own = self._note(node, _WAITING)
        with open(self._folder / "lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not own.exists() or (self._folder / "failed").exists():
                return self.are_deleted([node])
            waiting = sorted(self._folder.glob("*" + _WAITING))
            names = [path.read_text(encoding="utf-8") for path in waiting]
            (self._folder / "failed").touch()
            if not delete(names):
                return False
            (self._folder / "failed").unlink()
            for path in waiting:
                path.rename(path.with_suffix(_DELETED))
        return True

    def are_deleted(self, nodes: Iterable[str]) -> bool:
        """Whether the tokens of all these nodes were deleted in this run."""
        return all((self._folder / (_key(node) + _DELETED)).exists() for node in nodes)

    def renew(self, nodes: Iterable[str]) -> None:
        """Forget deleted tokens of these nodes, because the nodes get new tokens."""
        for node in nodes:
            for ending in (_WAITING, _DELETED):
                (self._folder / (_key(node) + ending)).unlink(missing_ok=True)

    def _note(self, node: str, ending: str) -> Path:
        path = self._folder / (_key(node) + ending)
        # The file gets its name after it is written, because other processes read it.
        unfinished = path.with_suffix(".new")
        unfinished.write_text(node, encoding="utf-8")
        return unfinished.rename(path)


def _key(name: str) -> str:
    """A file name for the name of a host, which may contain any character."""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:32]
