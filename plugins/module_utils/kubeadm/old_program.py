# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What putting an old program back has in common: its packages and files, and what the failure says in the end."""

from __future__ import annotations

from typing import Callable, Dict, Mapping, Optional

from ..core import untrusted
from ..core.errors import KubesteadError
from ..core.system import System
from ..packages.manager import Package


def put_back(failed: KubesteadError, program: str, version: str, work: Callable[[], None], done: str) -> KubesteadError:
    """Put an old ``program`` back after ``failed``. Returns the failure with the outcome added to its message.

    ``work`` does it, and ``done`` says what is true afterwards. The details have ``rolled_back``, the old version, if
    it could be put back.
    """
    try:
        work()
    except (KubesteadError, OSError) as err:
        why = err.message if isinstance(err, KubesteadError) else str(err)
        text = "{0}; {1} {2} could not be put back: {3}".format(failed.message, program, version, why)
        return KubesteadError(untrusted.line(text), failed.details)
    text = "{0}; {1} {2} {3}; remove the cause, then run the same command again".format(
        failed.message, program, version, done
    )
    return KubesteadError(untrusted.line(text), dict(failed.details, rolled_back=version))


def restore_files(system: System, files: Mapping[str, Optional[str]], modes: Mapping[str, int], mode: int) -> None:
    """Restore files by their texts, None for a file that did not exist; ``mode`` is for those without one in ``modes``.

    Raises OSError.
    """
    for path, text in sorted(files.items()):
        if text is None:
            system.remove(path)
        elif system.read(path) != text:
            system.write(path, text, mode=modes.get(path, mode))


def other_versions(wanted: Mapping[str, str], present: Mapping[str, Package]) -> Dict[str, str]:
    """Those of the wanted packages and versions that are not installed, or not completely."""
    return {
        name: version
        for name, version in wanted.items()
        if name not in present or not present[name].complete or present[name].version != version
    }
