# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repository's signing key: the keys in a file, their expiration, and the messages about them."""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import List

from .openpgp import public_keys

# A key that expires within this number of days expires soon. The repository may have it with a later expiration date.
KEY_DAYS = 14


@dataclass(frozen=True)
class KeyState:
    """A signing key in a file: primary fingerprints, and the first expiration (seconds since 1970, 0 for never).

    ``ends`` is ``""``, ``"soon"`` or ``"over"`` by the host's clock. ``verified`` is true if the keys' own signatures
    prove when they expire.
    """

    fingerprints: List[str] = field(default_factory=list)
    expires: int = 0
    ends: str = ""
    sha256: str = ""
    verified: bool = False


def key_state(text: str, now: float) -> KeyState:
    """The state of the keys in a file; without fingerprints if the file does not have a key."""
    keys = public_keys(text)
    ends = [key.expires for key in keys if key.expires]
    first = min(ends) if ends else 0
    return KeyState(
        [key.fingerprint for key in keys],
        first,
        _ending(first, now),
        hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).hexdigest(),
        bool(keys) and all(key.verified for key in keys),
    )


def _ending(expires: int, now: float) -> str:
    if not expires or expires > now + KEY_DAYS * 86400:
        return ""
    return "over" if expires <= now else "soon"


def describe_key(key: KeyState) -> str:
    """A signing key's fingerprints and when it expires, for a difference."""
    ends = "expires {0}".format(day(key.expires)) if key.expires else "does not expire"
    return "".join("OpenPGP key {0}, {1}\n".format(fingerprint, ends) for fingerprint in key.fingerprints)


def day(seconds: int) -> str:
    """A time in seconds since 1970 as a date."""
    return time.strftime("%Y-%m-%d", time.gmtime(seconds))
