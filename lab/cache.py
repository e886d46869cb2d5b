# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Things made once and kept in the cache, and the commands that make them."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Mapping, Optional, Sequence, Union

from .machine import MachineError, locked, search_path


def run(
    argv: Sequence[Union[str, Path]],
    *,
    cwd: Optional[Path] = None,
    env: Optional[Mapping[str, str]] = None,
    input: Optional[str] = None,
    check: bool = True,
    timeout: Optional[float] = None,
) -> subprocess.CompletedProcess[str]:
    """Run a command with its output kept; a failure is one line: the command and the end of what it said.

    ``env`` is added to the process's own environment; ``timeout`` is in seconds.
    """
    command = [str(word) for word in argv]
    path = search_path(os.environ.get("PATH", ""))
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, "LC_ALL": "C.UTF-8", "PATH": path, **(env or {})},
            input="" if input is None else input,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
        )
    except FileNotFoundError as error:
        raise MachineError(
            f"{command[0]} is not on this machine; call the lab through ./dev, which installs it"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise MachineError(f"{' '.join(command[:4])} took longer than {timeout:.0f} s") from error
    if check and done.returncode != 0:
        said = " | ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-4:])
        raise MachineError(f"{' '.join(command[:6])} failed ({done.returncode}): {said}")
    return done


@contextmanager
def once(target: Path) -> Iterator[Optional[Path]]:
    """A new folder that takes ``target``'s name when the work in it is done; None when ``target`` is there already.

    Several processes may ask at once: one works, the others wait and find it done. An interrupted run leaves a
    ``.tmp-`` folder beside the target and never the target itself; the next run removes it.
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
