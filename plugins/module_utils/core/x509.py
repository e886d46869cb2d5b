# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A minimal DER reader for certificates: the hash of a public key, the name of a node, and alternative names."""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
from typing import Iterator, List, Sequence, Tuple

# -- certificates: just enough DER for what is read of them


def ca_cert_hashes(pem: str) -> List[str]:
    """The pins of the certificates in a PEM text, as ``kubeadm join`` takes them.

    A pin is ``sha256:`` and 64 hexadecimal digits: the SHA-256 of the certificate's DER SubjectPublicKeyInfo
    (RFC 7469). Text that is not a certificate gives none.
    """
    hashes: List[str] = []
    for der in _certificates(pem):
        fields = _tbs_fields(der)
        if len(fields) > 5:
            hashes.append("sha256:{0}".format(hashlib.sha256(fields[5]).hexdigest()))
    return hashes


def pinned_certificates(pem: str, pins: Sequence[str]) -> str:
    """The text of :func:`exact_certificates`; empty unless ``pins`` has the pin of each certificate."""
    text = exact_certificates(pem)
    return text if all(pin in pins for pin in ca_cert_hashes(text)) else ""


def exact_certificates(pem: str) -> str:
    """The certificates of a PEM text, written again from their DER; empty if anything else is in it.

    Whoever reads the text later may find other things in it than this parser, so nothing of it is handed on: no text
    around the certificates, no block of another kind, nothing behind the end of a certificate.
    """
    found = list(_certificates(pem))
    if not found or len(found) != pem.count("-----BEGIN") or not pem.isascii():
        return ""
    for der in found:
        if [field[0] for field in _tbs_fields(der)[:6]] != _TAGS or _content(der, 0)[1] != len(der):
            return ""
    return "".join(_pem(der) for der in found)


# serial number, signature algorithm, issuer, validity, subject, SubjectPublicKeyInfo
_TAGS = [0x02, 0x30, 0x30, 0x30, 0x30, 0x30]


def _pem(der: bytes) -> str:
    text = base64.b64encode(der).decode("ascii")
    lines = [text[at : at + 64] + "\n" for at in range(0, len(text), 64)]
    return "-----BEGIN CERTIFICATE-----\n{0}-----END CERTIFICATE-----\n".format("".join(lines))


def certificate_node_name(pem: str) -> str:
    """The node's name in the subject (``CN=system:node:NAME``) of the first certificate; empty when it has none."""
    for der in _certificates(pem):
        fields = _tbs_fields(der)
        match = re.search(rb"system:node:([a-z0-9.-]+)", fields[4]) if len(fields) > 4 else None
        return match.group(1).decode("ascii") if match else ""
    return ""


# id-ce-subjectAltName, 2.5.29.17, and the tags of a DNS name and an IP address in it (RFC 5280, 4.2.1.6).
_SUBJECT_ALT_NAME = bytes([0x06, 0x03, 0x55, 0x1D, 0x11])
_EXTENSIONS, _DNS_NAME, _IP_ADDRESS = 0xA3, 0x82, 0x87


def certificate_names(pem: str) -> List[str]:
    """The DNS names and addresses in the subjectAltName of the first certificate; empty without any."""
    return [name for _tag, name in _certificate_names(pem)]


def certificate_addresses(pem: str) -> List[str]:
    """The IP addresses among the names of the first certificate, in their canonical form."""
    return [name for tag, name in _certificate_names(pem) if tag == _IP_ADDRESS]


def _certificate_names(pem: str) -> List[Tuple[int, str]]:
    for der in _certificates(pem):
        extensions = [field for field in _tbs_fields(der)[6:] if field[0] == _EXTENSIONS]
        try:
            return [name for field in extensions for name in _alt_names(field)]
        except (IndexError, ValueError):
            return []
    return []


def _alt_names(extensions: bytes) -> Iterator[Tuple[int, str]]:
    """The tags and texts of the names in the extensions of a certificate. Raises IndexError and ValueError."""
    for extension in _elements(_content(_content(extensions, 0)[0], 0)[0]):
        parts = list(_elements(_content(extension, 0)[0]))
        if parts[0] != _SUBJECT_ALT_NAME:
            continue
        # The extension may have a flag that it is critical before its value.
        for name in _elements(_content(_content(parts[-1], 0)[0], 0)[0]):
            value = _content(name, 0)[0]
            if name[0] == _DNS_NAME:
                yield name[0], value.decode("ascii")
            elif name[0] == _IP_ADDRESS:
                yield name[0], str(ipaddress.ip_address(value))


def _elements(der: bytes) -> Iterator[bytes]:
    """The elements of a sequence, each with its header. Raises IndexError."""
    at = 0
    while at < len(der):
        end = _content(der, at)[1]
        yield der[at:end]
        at = end


def _certificates(pem: str) -> Iterator[bytes]:
    # A search for a beginning with its end would start again at every beginning.
    for part in pem.split("-----BEGIN CERTIFICATE-----")[1:]:
        body, end, _rest = part.partition("-----END CERTIFICATE-----")
        if not end:
            continue
        try:
            yield base64.b64decode("".join(body.split()), validate=True)
        except (binascii.Error, ValueError):
            continue


def _tbs_fields(der: bytes) -> List[bytes]:
    """serial, signature algorithm, issuer, validity, subject, SubjectPublicKeyInfo, … each with its header."""
    try:
        certificate, _end = _content(der, 0)
        tbs, _end = _content(certificate, 0)
        # The version is tagged [0] and left out of version 1 certificates.
        return [element for element in _elements(tbs) if element[0] != 0xA0]
    except IndexError:
        return []


def _content(der: bytes, at: int) -> Tuple[bytes, int]:
    """The content of the element that starts at ``at``, and where the next one starts. Raises IndexError."""
    length = der[at + 1]
    if length == 0x80 or der[at] & 0x1F == 0x1F:
        # Another parser would find the end elsewhere; no certificate has either.
        raise IndexError("a length that is not definite, or a tag of several bytes")
    start = at + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(der[start : start + octets], "big")
        start += octets
    if start + length > len(der):
        raise IndexError("an element extends beyond the data")
    return der[start : start + length], start + length
