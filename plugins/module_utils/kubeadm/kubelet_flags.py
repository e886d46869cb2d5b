# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Flags of the kubelet in files that set them in environment variables. Pure."""

from __future__ import annotations

import re
from typing import List, Sequence

from ..core.removals import REMOVED_ARGUMENTS
from ..core.versions import Version


def removed_flags(target: Version) -> Sequence[str]:
    """The flags that this version or an earlier one has removed. A kubelet with such a flag does not start."""
    return [name for row in REMOVED_ARGUMENTS["kubelet"] if row.minor <= target.minor for name in row.value]


def given(text: str, flags: Sequence[str]) -> List[str]:
    """The flags among ``flags`` that are set in the text of an environment file. A comment sets none."""
    text = re.sub(r"(?m)^[ \t]*[#;].*$", "", text)
    return [name for name in flags if re.search(_flag(name), text)]


def without(text: str, flags: Sequence[str]) -> str:
    """The text of a file with flags of the kubelet, without ``flags``."""
    for name in flags:
        text = re.sub(_flag(name), "", text)
    return re.sub(r"(=[\"']) +", r"\1", text)


def _flag(name: str) -> str:
    """A pattern for a flag and its value, with the space before it. A kubelet reads underscores as dashes."""
    return r"[ \t]*--{0}(=[^\s\"']*)?(?=[\s\"']|$)".format(re.escape(name).replace("\\-", "-").replace("-", "[-_]"))
