# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The part of OpenPGP (RFC 4880) that is needed for a signing key's fingerprint and expiration time.

Hosts have ``gpgv`` at most, which can't show a key; and ``gpg`` would leave a home folder behind. Signatures of RSA
keys on themselves are verified here; those of other keys can't be. Text that this module does not understand to the
last packet contains no key: apt and rpm may find one in it that was not checked.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Tuple

BEGIN = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
END = "-----END PGP PUBLIC KEY BLOCK-----"

_SIGNATURE = 2
_PUBLIC_KEY = 6
_USER_ID = 13
_SUBKEY = 14
_SUBPACKET_CREATED = 2
_SUBPACKET_KEY_EXPIRES = 9
_SUBPACKET_ISSUER = 16
_SUBPACKET_ISSUER_FINGERPRINT = 33
_CERTIFICATIONS = (0x10, 0x11, 0x12, 0x13)
_DIRECT = 0x1F
_BINDING = 0x18
# Revocations remove trust, so they need not be verified here.
_REVOCATIONS = (0x20, 0x28, 0x30)
_RSA = (1, 3)
# Bits of a modulus and of an exponent: larger ones would take long to verify.
_LARGEST_MODULUS, _LARGEST_EXPONENT = 8192, 32
# Algorithm -> the name of the hash and what stands before the digest in a signature (RFC 8017, 9.2).
_HASHES = {
    2: ("sha1", "3021300906052b0e03021a05000414"),
    8: ("sha256", "3031300d060960864801650304020105000420"),
    9: ("sha384", "3041300d060960864801650304020205000430"),
    10: ("sha512", "3051300d060960864801650304020305000440"),
    11: ("sha224", "302d300d06096086480165030402040500041c"),
}


@dataclass(frozen=True)
class PublicKey:
    """A primary public key: its fingerprint (40 hex digits, upper case) and the second it ends, None for never.

    ``verified`` is true where the key's own signature proves the end. Of an RSA key no other end is believed.
    """

    fingerprint: str
    expires: Optional[int] = None
    verified: bool = False


@dataclass(frozen=True)
class _Packet:
    tag: int
    body: bytes
    raw: bytes


def public_keys(armoured: str) -> List[PublicKey]:
    """The primary keys in ASCII-armoured text.

    None when the text holds no public key, a key of another version than 4, or anything that can't be read.
    """
    return [key for key, _packets in _read(armoured)]


def proven(armoured: str) -> str:
    """The keys of a text in one new block, reduced to what belongs to them.

    Subkeys that the primary key has not provably signed, signatures of others and text around the block are left out,
    so that no other reader finds a key in it that :func:`public_keys` does not return. Empty without a key.
    """
    data = b"".join(packet.raw for _key, packets in _read(armoured) for packet in packets)
    return _armoured(data) if data else ""


def _read(armoured: str) -> List[Tuple[PublicKey, List[_Packet]]]:
    try:
        return [found for block in _blocks(armoured) for found in _keys(block)]
    except (IndexError, OverflowError, ValueError):
        return []


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
            yield base64.b64decode("".join(part for part in data if not part.startswith("=")), validate=True)


def _armoured(data: bytes) -> str:
    text = base64.b64encode(data).decode("ascii")
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    check = base64.b64encode(_crc24(data).to_bytes(3, "big")).decode("ascii")
    return "\n".join([BEGIN, "", *lines, "=" + check, END, ""])


def _crc24(data: bytes) -> int:
    """The checksum of armour (RFC 4880, 6.1)."""
    crc = 0xB704CE
    for byte in data:
        crc ^= byte << 16
        for _bit in range(8):
            crc = (crc << 1) ^ (0x1864CFB if crc & 0x800000 else 0)
    return crc


def _keys(data: bytes) -> Iterator[Tuple[PublicKey, List[_Packet]]]:
    """The primary keys with the packets that belong to each."""
    group: List[_Packet] = []
    for packet in _packets(data):
        if packet.tag in (_PUBLIC_KEY, _SUBKEY) and packet.body[0] != 4:
            raise ValueError("a key of a version that is not known")
        if packet.tag == _PUBLIC_KEY:
            if group:
                yield _key(group)
            group = [packet]
        elif group:
            group.append(packet)
        elif packet.tag == _SUBKEY:
            raise ValueError("a subkey without a primary key")
    if group:
        yield _key(group)


def _key(group: List[_Packet]) -> Tuple[PublicKey, List[_Packet]]:
    """A primary key from its packets, and those of them that belong to it."""
    primary = group[0].body
    own = _hashed_key(primary)
    key = PublicKey(hashlib.sha1(own).hexdigest().upper())
    created = int.from_bytes(primary[1:5], "big")
    signed = -1
    kept = [group[0]]
    about: Optional[_Packet] = None
    bound = False
    for packet in group[1:]:
        if packet.tag in (_USER_ID, _SUBKEY):
            about, bound = packet, False
            if packet.tag == _USER_ID:
                kept.append(packet)
        if packet.tag != _SIGNATURE or packet.body[0] != 4:
            continue
        kind = packet.body[1]
        component, hashed = _components(packet.body)
        if not _issued_by(component, key.fingerprint):
            continue
        on_subkey = about is not None and about.tag == _SUBKEY
        if kind in _REVOCATIONS:
            if bound or not on_subkey:
                kept.append(packet)
        elif kind == _BINDING and on_subkey and about is not None:
            if _verified(packet.body, own + _hashed_key(about.body), primary):
                kept += [packet] if bound else [about, packet]
                bound = True
        elif kind == _DIRECT or (kind in _CERTIFICATIONS and about is not None and about.tag == _USER_ID):
            subject = own if kind == _DIRECT or about is None else own + _hashed_user(about.body)
            good = _verified(packet.body, subject, primary)
            if good is False:
                continue
            kept.append(packet)
            moment = int.from_bytes(hashed.get(_SUBPACKET_CREATED, b"")[:4], "big")
            if moment < signed or (kind == _DIRECT and _SUBPACKET_KEY_EXPIRES not in hashed):
                # An older one, or one that says something else, mostly who may revoke the key.
                continue
            # The newest self-signature counts; without an expiry subpacket the key does not end.
            signed = moment
            lifetime = int.from_bytes(hashed.get(_SUBPACKET_KEY_EXPIRES, b"")[:4], "big")
            key = PublicKey(key.fingerprint, created + lifetime if lifetime else None, bool(good))
    return key, kept


def _hashed_key(body: bytes) -> bytes:
    """A key in the form that is hashed for its fingerprint and for signatures about it."""
    return b"\x99" + len(body).to_bytes(2, "big") + body


def _hashed_user(body: bytes) -> bytes:
    return b"\xb4" + len(body).to_bytes(4, "big") + body


def _components(body: bytes) -> Tuple[Dict[int, bytes], Dict[int, bytes]]:
    """The subpackets of a signature: all of them, and those alone that the signature covers."""
    hashed_end = 6 + int.from_bytes(body[4:6], "big")
    rest_end = hashed_end + 2 + int.from_bytes(body[hashed_end : hashed_end + 2], "big")
    hashed = _subpackets(body[6:hashed_end])
    return {**_subpackets(body[hashed_end + 2 : rest_end]), **hashed}, hashed


def _verified(signature: bytes, subject: bytes, primary: bytes) -> Optional[bool]:
    """Whether the primary key has signed the subject; None if this can't be computed here."""
    if primary[5] not in _RSA:
        return None
    if signature[2] not in _RSA or signature[3] not in _HASHES:
        return False
    modulus, after = _number(primary, 6)
    exponent, _after = _number(primary, after)
    if not 1024 <= modulus.bit_length() <= _LARGEST_MODULUS or exponent.bit_length() > _LARGEST_EXPONENT:
        return False
    hashed_end = 6 + int.from_bytes(signature[4:6], "big")
    rest_end = hashed_end + 2 + int.from_bytes(signature[hashed_end : hashed_end + 2], "big")
    value, _after = _number(signature, rest_end + 2)
    name, prefix = _HASHES[signature[3]]
    covered = signature[:hashed_end]
    digest: Any = hashlib.new(name, subject + covered + b"\x04\xff" + len(covered).to_bytes(4, "big"))
    size = (modulus.bit_length() + 7) // 8
    info = bytes.fromhex(prefix) + digest.digest()
    expected = b"\x00\x01" + b"\xff" * (size - len(info) - 3) + b"\x00" + info
    return value < modulus and pow(value, exponent, modulus).to_bytes(size, "big") == expected


def _number(data: bytes, position: int) -> Tuple[int, int]:
    """A number with its length in bits before it, and where it ends."""
    end = position + 2 + (int.from_bytes(data[position : position + 2], "big") + 7) // 8
    if end > len(data):
        raise ValueError("a number is cut short")
    return int.from_bytes(data[position + 2 : end], "big"), end


def _issued_by(component: Dict[int, bytes], fingerprint: str) -> bool:
    """False for a signature which says that another key made it: people sign each other's keys."""
    if _SUBPACKET_ISSUER_FINGERPRINT in component:
        return component[_SUBPACKET_ISSUER_FINGERPRINT][1:].hex().upper() == fingerprint
    if _SUBPACKET_ISSUER in component:
        return fingerprint.endswith(component[_SUBPACKET_ISSUER].hex().upper())
    return True


def _packets(data: bytes) -> Iterator[_Packet]:
    position = 0
    while position < len(data):
        start = position
        head = data[position]
        if not head & 0x80:
            raise ValueError("not a packet")
        position += 1
        if head & 0x40:
            tag = head & 0x3F
            if 224 <= data[position] < 255:
                raise ValueError("a packet in parts")
            length, size = _length(data, position)
        else:
            tag = (head >> 2) & 0x0F
            size = 1 << (head & 3)
            if size == 8:
                raise ValueError("a packet without length")
            length = int.from_bytes(data[position : position + size], "big")
        position += size + length
        if position > len(data):
            raise ValueError("a packet is cut short")
        yield _Packet(tag, data[position - length : position], data[start:position])


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
