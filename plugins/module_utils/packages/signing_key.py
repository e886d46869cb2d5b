# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of OpenPGP (RFC 4880) that is needed for a signing key's fingerprint and expiration time.

Hosts have ``gpgv`` at most, which can't show a key; and ``gpg`` would leave a home folder behind. Signatures are not
verified here: apt and dnf do that with the same file.
"""

from __future__ import annotations

import base64
import hashlib
import time
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Optional, Tuple

BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
END = "-----END PGP PUBLIC KEY BLOCK-----"

_PUBLIC_KEY = 6
_SIGNATURE = 2
_SUBPACKET_CREATED = 2
_SUBPACKET_KEY_EXPIRES = 9
_SUBPACKET_ISSUER = 16
_SUBPACKET_ISSUER_FINGERPRINT = 33
# A signature directly on a key, and certifications of a user id.
_DIRECT = 0x1F
_SELF_SIGNATURES = (0x10, 0x11, 0x12, 0x13, _DIRECT)


@dataclass(frozen=True)
class PublicKey:
    """A primary public key: its fingerprint (40 hex digits, upper case) and the second it ends, None for never."""

    fingerprint: str
    expires: Optional[int] = None


def public_keys(armoured: str) -> List[PublicKey]:
    """The primary keys in ASCII-armoured text; none when the text holds no public key of version 4."""
    keys: List[PublicKey] = []
    for block in _blocks(armoured):
        try:
            keys.extend(_keys(block))
        except (IndexError, OverflowError, ValueError):
            continue
    return keys


def _blocks(text: str) -> Iterator[bytes]:
    body: Optional[List[str]] = None
    for line in (raw.strip() for raw in text.splitlines()):
        if body is None:
            body = [] if line == BEGIN else None
        elif line != END:
            body.append(line)
        else:
            # Armour headers end with an empty line.
            data = body[body.index("") + 1 :] if "" in body else body
            body = None
            try:
                yield base64.b64decode("".join(part for part in data if not part.startswith("=")), validate=True)
            except ValueError:
                # Also of binascii.Error, and where there are other letters than those of ASCII.
                continue


def _keys(data: bytes) -> List[PublicKey]:
    found: List[PublicKey] = []
    created = 0
    signed = -1
    for tag, body in _packets(data):
        if tag == _PUBLIC_KEY and body[0] == 4:
            created = int.from_bytes(body[1:5], "big")
            signed = -1
            digest = hashlib.sha1(b"\x99" + len(body).to_bytes(2, "big") + body)
            found.append(PublicKey(digest.hexdigest().upper()))
        elif tag == _SIGNATURE and found and body[0] == 4 and body[1] in _SELF_SIGNATURES:
            hashed_end = 6 + int.from_bytes(body[4:6], "big")
            rest_end = hashed_end + 2 + int.from_bytes(body[hashed_end : hashed_end + 2], "big")
            component = _subpackets(body[6:hashed_end])
            moment = int.from_bytes(component.get(_SUBPACKET_CREATED, b"")[:4], "big")
            others = {**_subpackets(body[hashed_end + 2 : rest_end]), **component}
            if not _issued_by(others, found[-1].fingerprint) or moment < signed:
                continue
            if body[1] == _DIRECT and _SUBPACKET_KEY_EXPIRES not in component:
                # says something else, mostly who may revoke the key
                continue
            # The newest self-signature counts; without an expiry subpacket the key does not end.
            signed = moment
            lifetime = int.from_bytes(component.get(_SUBPACKET_KEY_EXPIRES, b"")[:4], "big")
            found[-1] = PublicKey(found[-1].fingerprint, created + lifetime if lifetime else None)
    return found


def _issued_by(component: Dict[int, bytes], fingerprint: str) -> bool:
    """False for a signature which says that another key made it: people sign each other's keys."""
    if _SUBPACKET_ISSUER_FINGERPRINT in component:
        return component[_SUBPACKET_ISSUER_FINGERPRINT][1:].hex().upper() == fingerprint
    if _SUBPACKET_ISSUER in component:
        return fingerprint.endswith(component[_SUBPACKET_ISSUER].hex().upper())
    return True


def _packets(data: bytes) -> Iterator[Tuple[int, bytes]]:
    position = 0
    while position < len(data):
        head = data[position]
        if not head & 0x80:
            raise ValueError("not a packet")
        position += 1
        if head & 0x40:
            tag = head & 0x3F
            length, size = _length(data, position)
        else:
            tag = (head >> 2) & 0x0F
            size = 1 << (head & 3)
            if size == 8:
                raise ValueError("a packet without length")
            length = int.from_bytes(data[position : position + size], "big")
        position += size
        yield tag, data[position : position + length]
        position += length


def _subpackets(data: bytes) -> Dict[int, bytes]:
    found: Dict[int, bytes] = {}
    position = 0
    while position < len(data):
        length, size = _length(data, position)
        position += size
        found[data[position] & 0x7F] = data[position + 1 : position + length]
        position += length
    return found


def _length(data: bytes, position: int) -> Tuple[int, int]:
    first = data[position]
    if first < 192:
        return first, 1
    if first < 255:
        return ((first - 192) << 8) + data[position + 1] + 192, 2
    return int.from_bytes(data[position + 1 : position + 5], "big"), 5


# A key that ends within these days is looked after: the repository may have it with a later end.
KEY_DAYS = 14


@dataclass(frozen=True)
class KeyState:
    """A signing key in a file: primary fingerprints, when the first of them ends (seconds since 1970, 0 for never).

    ``ends``: ``""``, ``"soon"`` or ``"over"`` by the host's clock.
    """

    fingerprints: List[str] = field(default_factory=list)
    expires: int = 0
    ends: str = ""
    sha256: str = ""


def key_state(text: str, now: float) -> KeyState:
    """What a file says of the keys in it; without fingerprints when there are none."""
    keys = public_keys(text)
    ends = [key.expires for key in keys if key.expires]
    first = min(ends) if ends else 0
    return KeyState(
        [key.fingerprint for key in keys],
        first,
        _ending(first, now),
        hashlib.sha256(text.strip().encode("utf-8", "surrogatepass")).hexdigest(),
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
