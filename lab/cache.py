# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Things that are made once and kept in the cache."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Optional

from .machine import locked


@contextmanager
def once(target: Path) -> Iterator[Optional[Path]]:
    """A new folder that gets ``target``'s name when the work in it is done; None when ``target`` exists.

    Of several processes one does the work, and the others wait for it. An interrupted run leaves a ``.tmp-`` folder
    next to the target, never the target itself; the next run removes it.
    """
    if target.exists():
        yield None
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with locked(f"make-{target.parent.name}-{target.name}"):
        if target.exists():
            yield None
            return
        for leftover in target.parent.glob(f".tmp-{target.name}.*"):
            shutil.rmtree(leftover, ignore_errors=True)
        work = Path(tempfile.mkdtemp(prefix=f".tmp-{target.name}.", dir=target.parent))
        work.chmod(0o755)
        try:
            yield work
            work.rename(target)
        finally:
            shutil.rmtree(work, ignore_errors=True)
