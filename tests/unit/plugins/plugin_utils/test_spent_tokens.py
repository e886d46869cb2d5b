# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tokens that are no longer needed: deleted once, together where hosts are done together, and not tried for ever."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from ansible_collections.kubestead.cluster.plugins.plugin_utils.spent_tokens import SpentTokens


def test_those_that_wait_for_a_deletion_share_the_next_one(tmp_path: Path) -> None:
    spent = SpentTokens("cp1", str(tmp_path))
    calls: list[list[str]] = []
    begun, go_on = threading.Event(), threading.Event()

    def first(names: Sequence[str]) -> bool:
        calls.append(list(names))
        begun.set()
        return go_on.wait(20)

    def second(names: Sequence[str]) -> bool:
        calls.append(sorted(names))
        return True

    threads = [threading.Thread(target=spent.delete, args=("w1", first))]
    threads[0].start()
    assert begun.wait(20)
    assert not spent.are_deleted(["w1"])
    threads += [threading.Thread(target=spent.delete, args=(name, second)) for name in ("w2", "w3/../x", "w4")]
    for thread in threads[1:]:
        thread.start()
    while len(list(tmp_path.rglob("*.waiting"))) < 4:
        pass
    go_on.set()
    for thread in threads:
        thread.join(20)
    assert calls == [["w1"], ["w2", "w3/../x", "w4"]]
    assert spent.are_deleted(["w1", "w2", "w3/../x", "w4"]) and not spent.are_deleted(["w1", "w5"])
    assert not SpentTokens("cp2", str(tmp_path)).are_deleted(["w1"])


def test_after_a_failure_nothing_is_tried_again(tmp_path: Path) -> None:
    spent = SpentTokens("cp1", str(tmp_path))
    calls: list[Sequence[str]] = []
    for name in ("w1", "w2"):
        assert not spent.delete(name, lambda names: bool(calls.append(names)))
    assert calls == [["w1"]] and not spent.are_deleted(["w1"])


def test_a_new_token_is_not_taken_for_one_that_is_deleted(tmp_path: Path) -> None:
    spent = SpentTokens("cp1", str(tmp_path))
    assert spent.delete("w1", lambda _names: True) and spent.are_deleted(["w1"])
    spent.renew(["w1", "w2"])
    assert not spent.are_deleted(["w1"])
