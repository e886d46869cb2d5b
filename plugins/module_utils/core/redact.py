# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The filter that removes secrets from text and data before they are shown.

What stays readable is public: the id of a bootstrap token, the hash of a CA, an image's digest, certificates. Every
pattern works in time linear to the text, since a node decides what is in its logs.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any, List, Mapping, Match

HIDDEN = "<hidden>"

# Fields (of a configuration, a result, a kubeconfig) whose value is secret; compared without dashes, underscores, case.
_SECRET_KEYS = frozenset(
    [
        "apikey",
        "auth",
        "authorization",
        "certificatekey",
        "clientkeydata",
        "clientsecret",
        "identitytoken",
        "pass",
        "passphrase",
        "passwd",
        "password",
        "password2",
        "proxyauthorization",
        "registrytoken",
        "secretaccesskey",
        "secretkey",
        "tlsbootstraptoken",
        "token",
        "tokensecret",
    ]
)

# Fields whose mapping has the headers of requests: any of them may be what one logs in with (Private-Token, X-Api-Key).
_HEADERS = frozenset(["header", "headers", "httpheaders", "staticpodurlheader"])

# Log lines quote texts, so what looks like a letter before a secret may be the end of an escaped line end.
_START = r"(?:(?<![a-z0-9])|(?<=\\[nrt]))"
_BOOTSTRAP_TOKEN = re.compile(_START + r"([a-z0-9]{6})\.[a-z0-9]{16}(?![a-z0-9])")
# The hash of a CA and the digest of an image look alike; they follow "sha256:".
_CERTIFICATE_KEY = re.compile(r"(?<![0-9a-fA-F])(?<!sha256:)(?<!SHA256:)[0-9a-fA-F]{64}(?![0-9a-fA-F])")
# Header, payload (left out in a detached signature) and signature (RFC 7515).
_JWT = re.compile(r"(?<![A-Za-z0-9_-])eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*")
# How the base64 form of any PEM text begins.
_BASE64_PEM = re.compile(r"LS0tLS1CRUdJTi[A-Za-z0-9+/_-]*=*")
_SCHEME = re.compile(r"(?i)\b(bearer|basic)([ \t]+)([A-Za-z0-9._~+/=-]{6,})")
_FLAG = re.compile(
    r"(--(?:token|discovery-token|tls-bootstrap-token|certificate-key|password)(?:=|[ \t]+))([^\s\"',]+)"
)
# Entries of netrc files and apt's auth.conf, and curl's option for user and password.
_LOGIN = re.compile(r"(?i)(\blogin[ \t]+\S{1,200}[ \t]+password[ \t]+|(?:^|\s)(?:-u|--user)[ \t=]+[^\s:]{1,200}:)(\S+)")
_QUOTED = r"\\\"(?:(?!\\\")[^\r\n])*(?:\\\")?|\"(?:[^\"\\\r\n]|\\.)*\"?|'[^'\r\n]*'?"
# In a configuration (``password: x``, ``"password": "x"``, ``password = "x"``), a header, a mount option.
_FIELD = re.compile(
    r"(?im)((?:passw(?:or)?d2?|passphrase|client-key-data|certificate[-_]?key|(?:identity|registry)[-_]?token"
    r"|(?:private|auth|access|vault|job|deploy|session|security|csrf)[-_]token"
    r"|tls-?bootstrap-?token|token-secret|client[-_]?secret|secret[-_]?(?:access[-_]?)?key|api[-_]?key|authorization"
    # Words that prose has before a colon too: alone on a line, or as a quoted name.
    r"|^[ \t]*(?:token|auth)|(?<=[\"'])(?:token|auth)(?=\\?[\"']))"
    r"(?:\\?[\"'])?[ \t]*:[ \t]*)(" + _QUOTED + r"|[^\s\"'\\{\[][^\r\n\"'\\]*)"
)
_ASSIGNMENT = re.compile(
    r"(?i)((?:passw(?:or)?d2?|passphrase|(?<![a-z0-9])pass2?|(?<![a-z0-9])auth|token|secret|[-_]key-data"
    r"|certificate[-_]?key|secret[-_]?(?:access[-_]?)?key|api[-_]?key|authorization)"
    r"(?:\\?[\"'])?[ \t]*=[ \t]*)(" + _QUOTED + r"|[^\s,\"'\\{\[][^\s,\"'\\]*)"
)
# A token after the patterns above have replaced its secret part. Its ID is public.
_KNOWN_ID = re.compile(r"[a-z0-9]{6}\." + HIDDEN)
_BEGIN = re.compile(r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----")
_END = re.compile(r"-----END [A-Z ]{0,40}PRIVATE KEY-----")
_BASE64_LINE = re.compile(r"[A-Za-z0-9+/=]{16,}")
_AUTHORITY_END = re.compile(r"[/?#\"'`<>\\]")


def redact(text: str, *secrets: str) -> str:
    """``text`` without ``secrets`` and without any other text that looks like a secret.

    Hidden are bootstrap tokens (the id stays), certificate keys, JSON web tokens, private keys in PEM form and base64
    of them, passwords in URLs, credentials of HTTP headers, and values of fields and flags named like a secret.
    """
    # The longest secret is replaced first, because it may contain another one.
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    text = _without_private_keys(text)
    text = _BASE64_PEM.sub(_base64_pem, text)
    text = _JWT.sub(HIDDEN, text)
    text = _BOOTSTRAP_TOKEN.sub(r"\1." + HIDDEN, text)
    text = _CERTIFICATE_KEY.sub(HIDDEN, text)
    if "://" in text and "@" in text:
        text = re.sub(r"\S+", _word, text)
    text = _FLAG.sub(_value, text)
    text = _LOGIN.sub(_value, text)
    text = _FIELD.sub(_value, text)
    text = _ASSIGNMENT.sub(_value, text)
    return _SCHEME.sub(_credentials, text)


def redact_data(value: Any, *secrets: str) -> Any:
    """Plain data (mappings, lists, texts) without secrets: complete values of secret fields and of HTTP headers, and
    secrets within texts.
    """
    if isinstance(value, str):
        return redact(value, *secrets)
    if isinstance(value, Mapping):
        return {
            redact(key, *secrets) if isinstance(key, str) else key: _field(key, item, *secrets)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [redact_data(item, *secrets) for item in value]
    return value


def _field(name: object, value: Any, *secrets: str) -> Any:
    if str(name).lower() in _HEADERS:
        return _hidden(value)
    if value and is_secret_key(name) and not isinstance(value, (Mapping, bool)):
        return HIDDEN
    return redact_data(value, *secrets)


def _hidden(value: Any) -> Any:
    """A value in which everything except names is hidden."""
    if isinstance(value, Mapping):
        return {name: _hidden(item) for name, item in value.items()}
    return HIDDEN if value else value


def is_secret_key(name: object) -> bool:
    """True for the name of a field whose value is secret."""
    return re.sub(r"[-_]", "", str(name)).lower() in _SECRET_KEYS


def _value(match: Match[str]) -> str:
    """A named value, hidden; quotes around it stay, so that what comes after it can be read."""
    value = match.group(2)
    quote = next((mark for mark in ('\\"', '"', "'") if value.startswith(mark)), "")
    closed = quote if quote and len(value) >= 2 * len(quote) and value.endswith(quote) else ""
    inner = value[len(quote) : len(value) - len(closed)]
    if not inner or _KNOWN_ID.fullmatch(inner):
        return match.group(0)
    return "{0}{1}{2}{3}".format(match.group(1), quote, HIDDEN, closed)


def _credentials(match: Match[str]) -> str:
    """Prose speaks of basic authentication too: a single word of letters is not a credential."""
    value = match.group(3)
    if len(value) < 20 and not re.search(r"[0-9=+/_~]", value):
        return match.group(0)
    return "{0}{1}{2}".format(match.group(1), match.group(2), HIDDEN)


def _base64_pem(match: Match[str]) -> str:
    text = match.group(0).rstrip("=")
    try:
        decoded = base64.b64decode(text[: len(text) // 4 * 4], b"-_" if "-" in text or "_" in text else None)
    except (binascii.Error, ValueError):
        return HIDDEN
    # A certificate may be followed by its key, as in the kubelet's file.
    return HIDDEN if b"PRIVATE KEY" in decoded or len(decoded) < 32 else match.group(0)


def _word(match: Match[str]) -> str:
    """A word with the passwords of the URLs in it hidden."""
    first, *rest = match.group(0).split("://")
    return "://".join([first, *map(_without_password, rest)])


def _without_password(text: str) -> str:
    """The text after ``://`` without its password. A user name without a password may be a token and is removed too."""
    end = _AUTHORITY_END.search(text)
    authority = text[: end.start()] if end else text
    at = authority.rfind("@")
    if at < 0:
        # A password with an unescaped slash. A port is not a password.
        user, colon, tail = authority.partition(":")
        at = text.rfind("@") if colon and not tail.isdigit() and not user.startswith("[") else -1
    if at < 0:
        return text
    user, colon, _password = text[:at].partition(":")
    return "{0}{1}{2}{3}".format(user if colon else "", colon, HIDDEN, text[at:])


def _without_private_keys(text: str) -> str:
    """Private keys in PEM form; also one whose beginning or end is missing."""
    if "PRIVATE KEY-----" not in text:
        return text
    parts: List[str] = []
    position = 0
    while True:
        end = _END.search(text, position)
        begin = _BEGIN.search(text, position, end.end() if end else len(text))
        if begin is None and end is None:
            return "".join([*parts, text[position:]])
        start = begin.start() if begin else _first_of_base64(text, position, end.start() if end else position)
        parts += [text[position:start], HIDDEN]
        if end is None:
            return "".join(parts)
        position = end.end()


def _first_of_base64(text: str, position: int, end: int) -> int:
    """Where the lines of base64 begin that end at ``end``."""
    start = end
    while start > position:
        line = text.rfind("\n", position, start - 1) + 1 or position
        if not _BASE64_LINE.fullmatch(text[line:start].strip()):
            return start
        start = line
    return start
