# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The copy of the admin kubeconfig on the control machine."""

from __future__ import annotations

import os
from typing import List, Optional

from ansible_collections.kubestead.cluster.plugins.module_utils.core.constants import BACKUP_SUFFIX
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubeconfig import (
    COMPONENT,
    KEEP,
    SAME,
    WRITE,
    KubeconfigOptions,
    KubeconfigSummary,
    backed_up,
    classify,
    summarize,
)

# -- the copy on the control machine


def copy_path(path: str) -> str:
    """A path on the control machine as its user means it: absolute, with ``~`` and variables replaced."""
    return os.path.abspath(os.path.expanduser(os.path.expandvars(path)))


def copy_steps(here: System, options: KubeconfigOptions, wanted: Optional[KubeconfigSummary]) -> List[Step]:
    """What the copy on the control machine (``here``) lacks, where one is asked for."""
    if not options.copy_to:
        return []
    step = plan_copy(here, copy_path(options.copy_to), wanted)
    return [] if step.action in (SAME, KEEP) else [step]


def plan_copy(system: System, path: str, wanted: Optional[KubeconfigSummary]) -> Step:
    """The step that makes a file of the control machine (``system``) the admin's kubeconfig.

    Its action is ``write_kubeconfig``, ``protect_kubeconfig``, or with nothing to do ``keep`` or ``same``. The user
    named the path, but a kubeconfig of another cluster in its place is kept all the same.
    """
    text, mode = system.read(path), system.mode(path)
    existing = None if text is None else summarize(text)
    verdict, reason = classify(existing, wanted)
    if verdict == WRITE:
        return Step(COMPONENT, "write_kubeconfig", path, reason, data={"backup": backed_up(existing, wanted)})
    if verdict == SAME and mode is not None and mode & 0o077:
        return Step(COMPONENT, "protect_kubeconfig", path, "mode {0:04o} -> 0600".format(mode))
    return Step(COMPONENT, verdict, path, reason)


def apply_copy(step: Step, system: System, text: str) -> None:
    """Write the copy. Raises OSError."""
    folder = os.path.dirname(step.target)
    if not os.path.isdir(system.path(folder)):
        os.makedirs(system.path(folder), mode=0o700)
    before = system.read(step.target)
    if step.data.get("backup") and before is not None:
        system.write(step.target + BACKUP_SUFFIX, before, mode=0o600)
    system.write(step.target, text, mode=0o600)
