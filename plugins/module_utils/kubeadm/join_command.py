# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The join command: the data that a node needs to join, and its text form as printed by kubeadm.

``kubeadm token create --print-join-command`` prints one line with a space at its end, ``kubeadm init`` prints lines
that end in a backslash, once for workers and, where the cluster has an endpoint, once more for control planes.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Dict, List, Mapping, Optional, Tuple

from ..core import untrusted
from ..core.addresses import full_endpoint
from ..core.errors import KubesteadError, OptionError
from ..core.redact import redact

TOKEN = re.compile(r"^([a-z0-9]{6})\.([a-z0-9]{16})\Z")
CERTIFICATE_KEY = re.compile(r"^[0-9a-fA-F]{64}\Z")
CA_CERT_HASH = re.compile(r"^(?i:sha256):[0-9a-fA-F]{64}\Z")

_COMMAND = re.compile(r"(?:^|[\s;&|])(?:[^\s;&|]*/)?kubeadm[ \t]+join(?=\s|$)(.*)\Z")
# Characters of a line that are read; a command has a few hundred.
_LONGEST = 8192
# Colors of terminals, byte order marks and characters without a width.
_INVISIBLE = re.compile("\x1b\\[[0-9;]*[A-Za-z]|[\ufeff\u200b-\u200d\u2060]")
# Other spaces and quotes.
_REPLACED = {0xA0: " ", 0x2007: " ", 0x202F: " ", 0x201C: '"', 0x201D: '"', 0x2018: "'", 0x2019: "'"}
_PROMPT = re.compile(r"^[ \t]*(?:[$#>][ \t]+)?")
_ERROR_SIGN = re.compile(
    r"error|fail|fatal|unable|could ?n[o']t|cannot|can't|denied|refused|timed out|not found|no such|not of the form"
    r"|expired|invalid",
    re.IGNORECASE,
)
_MINT = "use the output of `kubeadm token create --print-join-command`, or the result of kubeadm_join_token"
_RENEW = "create a new one with `kubeadm token create --print-join-command` or kubeadm_join_token"


class JoinCommandError(KubesteadError):
    """A text or a result that is not a join command."""


@dataclass(frozen=True)
class JoinCommand:
    """The data that a node needs to join.

    ``endpoint`` is ``host:port`` (an IPv6 address in brackets); ``expires`` is the expiration time of the token (ISO
    8601, UTC), empty if it is not known. ``ca_certificate`` (PEM) is the CA itself, if it is known. The secrets,
    ``token`` and ``certificate_key``, are not in ``repr``.
    """

    endpoint: str
    token: str = field(repr=False)
    ca_cert_hashes: List[str]
    certificate_key: str = field(default="", repr=False)
    control_plane: bool = False
    expires: str = ""
    ca_certificate: str = field(default="", repr=False)

    @property
    def token_id(self) -> str:
        """The public half of the token."""
        return self.token.split(".")[0]

    def public(self) -> Dict[str, Any]:
        """The parts that may be shown."""
        return {
            "endpoint": self.endpoint,
            "token_id": self.token_id,
            "ca_cert_hashes": list(self.ca_cert_hashes),
            "control_plane": self.control_plane,
            "expires": self.expires,
        }


def parse(text: str, control_plane: Optional[bool] = None, subject: str = "join command") -> JoinCommand:
    """The join command in a text that kubeadm printed.

    If the text has a command for workers and one for control planes, ``control_plane`` selects one (None selects the
    one for workers). Messages call the text ``subject``. Raises :class:`JoinCommandError` without secrets.
    """
    found: List[JoinCommand] = []
    for words in _commands(text, subject):
        command = _from_words(words, subject)
        if command not in found:
            found.append(command)
    identities = {(command.endpoint, command.token, tuple(sorted(command.ca_cert_hashes))) for command in found}
    if len(identities) > 1:
        raise JoinCommandError(
            "{0} contains {1} different commands (for {2}); use one of them".format(
                subject, len(identities), " and ".join(sorted({command.endpoint for command in found}))
            )
        )
    wanted = [command for command in found if command.control_plane == bool(control_plane)]
    if not wanted and control_plane is None:
        wanted = found
    if not wanted:
        if not control_plane:
            return replace(found[0], control_plane=False, certificate_key="")
        raise JoinCommandError(
            "{0} does not have a command with --control-plane; use the output of `kubeadm init --upload-certs`".format(
                subject
            )
        )
    if len(wanted) > 1:
        raise JoinCommandError("{0} has {1} certificate keys; use one command".format(subject, len(wanted)))
    return wanted[0]


def from_result(
    result: Mapping[str, Any], control_plane: Optional[bool] = None, subject: str = "join command"
) -> JoinCommand:
    """The join command in a result of ``kubeadm_join_token`` (or any mapping with the same keys).

    ``control_plane`` False leaves the certificate key out. Raises :class:`JoinCommandError`.
    """
    if result.get("failed"):
        raise JoinCommandError(
            "{0} is the result of a failed task: {1}; fix that task first".format(
                subject, redact(str(result.get("msg") or "no message")).splitlines()[0]
            )
        )
    if result.get("skipped"):
        raise JoinCommandError("{0} is the result of a skipped task; run that task, or use text".format(subject))
    if not result.get("token") and isinstance(result.get("stdout"), str):
        return parse(result["stdout"], control_plane, subject)
    hashes = result.get("ca_cert_hashes") or []
    if not isinstance(hashes, (list, tuple)):
        raise JoinCommandError("the ca_cert_hashes of {0} are not a list; use a list".format(subject))
    as_control_plane = bool(result.get("control_plane")) if control_plane is None else control_plane
    return _checked(
        JoinCommand(
            endpoint=str(result.get("endpoint") or ""),
            token=str(result.get("token") or ""),
            ca_cert_hashes=[str(item) for item in hashes],
            certificate_key=str(result.get("certificate_key") or "") if as_control_plane else "",
            control_plane=as_control_plane,
            expires=str(result.get("expires") or ""),
            ca_certificate=str(result.get("ca_certificate") or ""),
        ),
        subject,
    )


def require_alive(command: JoinCommand, now: Optional[datetime] = None, subject: str = "join command") -> None:
    """Raise :class:`JoinCommandError` when the token's end is known and in the past."""
    if not command.expires:
        return
    end = parse_time(command.expires)
    if end is None:
        raise JoinCommandError(
            "the expiration time of {0} is {1!r}, not an ISO 8601 time; {2}".format(subject, command.expires, _RENEW)
        )
    now = now or datetime.now(timezone.utc)
    if end <= now:
        raise JoinCommandError(
            "token {1} of {0} expired at {2} (the time on this machine is {3}); {4}".format(
                subject, command.token_id, command.expires, now.strftime("%Y-%m-%dT%H:%M:%SZ"), _RENEW
            )
        )


def render(command: JoinCommand, lines: bool = False) -> str:
    """The text kubeadm prints for a command: one line with a space at its end, or in ``lines`` with backslashes."""
    parts = ["kubeadm join {0} --token {1}".format(command.endpoint, command.token)]
    parts += ["--discovery-token-ca-cert-hash {0}".format(item) for item in command.ca_cert_hashes]
    if command.control_plane:
        key = " --certificate-key {0}".format(command.certificate_key) if command.certificate_key else ""
        parts.append("--control-plane{0}".format(key))
    return " \\\n\t".join(parts) + " \n" if lines else " ".join(parts) + " \n"


def parse_time(text: str) -> Optional[datetime]:
    """A time in the format of the API (``2026-11-23T12:00:00Z``), in UTC if it has no zone; None for other text."""
    try:
        moment = datetime.fromisoformat(re.sub(r"\.\d+(?=$|[Z+-])", "", text.strip()).replace("Z", "+00:00"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)


def check_token(token: str, subject: str = "token") -> None:
    """Raise :class:`JoinCommandError` for a text that is not a bootstrap token; the text itself is not shown."""
    if TOKEN.match(token):
        return
    halves = token.split(".")
    if len(halves) != 2:
        problem = "has {0} dots".format(len(halves) - 1)
    elif (len(halves[0]), len(halves[1])) != (6, 16):
        problem = "has {0} + {1} characters".format(len(halves[0]), len(halves[1]))
    else:
        problem = "has characters other than a-z and 0-9"
    raise JoinCommandError(
        "{0} is malformed: it {1}; a token is 6 and 16 characters of a-z and 0-9, separated by a dot; {2}".format(
            subject, problem, _RENEW
        )
    )


def check_certificate_key(key: str, subject: str = "certificate key") -> None:
    """Raise :class:`JoinCommandError` for a text that is not a certificate key; the text itself is not shown."""
    if not CERTIFICATE_KEY.match(key):
        raise JoinCommandError(
            "{0} is malformed: it has {1} characters{2}; a certificate key is 64 hexadecimal digits; {3}".format(
                subject,
                len(key),
                "" if re.match(r"^[0-9a-fA-F]*\Z", key) else ", not all of them hexadecimal",
                "upload the certificates again with kubeadm_join_token (control_plane: true)",
            )
        )


def check_ca_cert_hash(value: str, subject: str = "CA certificate hash") -> None:
    """Raise :class:`JoinCommandError` for a text that is not a hash of a CA's public key."""
    if not CA_CERT_HASH.match(value):
        raise JoinCommandError(
            "{0} is {1!r}, not sha256: and 64 hexadecimal digits; {2}".format(subject, redact(value), _MINT)
        )


def _commands(text: str, subject: str) -> List[List[str]]:
    """The words after ``kubeadm join`` of every join command in the text."""
    if not isinstance(text, str):
        raise JoinCommandError("{0} is a {1}, not text; {2}".format(subject, untrusted.type_name(text), _MINT))
    if not text.strip():
        raise JoinCommandError("{0} is empty; {1}".format(subject, _MINT))
    joined = re.sub(r"(?<![ \t])[ \t]*\\[ \t]*\r?\n[ \t]*", " ", _typed(text))
    commands: List[List[str]] = []
    for line in joined.splitlines():
        match = _COMMAND.search(_PROMPT.sub("", line)[:_LONGEST])
        if not match:
            continue
        try:
            words = shlex.split(match.group(1))
        except ValueError as err:
            raise JoinCommandError("{0} can't be read ({1}); {2}".format(subject, err, _MINT)) from None
        if words and words[-1] == "\\":
            words.pop()
        # Prose speaks of the command too ("run 'kubeadm join' with ..."); a command has an endpoint or an option.
        if words and (any(word.startswith("--") for word in words) or re.search(r":\d+\Z", words[0])):
            commands.append(words)
    if not commands:
        raise JoinCommandError(_why_none(text, subject))
    return commands


def _typed(text: str) -> str:
    """The text as it was typed, without what terminals, chat programs and word processors make of it."""
    text = _INVISIBLE.sub("", text).translate(_REPLACED)
    # An option, unless it has the one dash that was typed.
    return re.sub("(?<!\\S)(?!-[a-z])[-\u2010-\u2015\u2212]{1,2}(?=[a-z])", "--", text)


def _why_none(text: str, subject: str) -> str:
    lines = [line.strip()[:_LONGEST] for line in text.splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith("To see the stack trace")] or lines
    for line in lines:
        if _is_about_expiry(line):
            return "{0} reports an expired or unknown token ({1}); {2}".format(subject, _short(line), _RENEW)
    for line in lines:
        if _ERROR_SIGN.search(line):
            return "{0} is an error message ({1}); {2}".format(subject, _short(line), _MINT)
    if len(lines) == 1 and TOKEN.match(lines[0]):
        return "{0} is only a token, without endpoint and CA hash; {1}".format(subject, _MINT)
    # The text itself is not shown: it may be a token with a typing error.
    size = "1 line" if len(lines) == 1 else "{0} lines".format(len(lines))
    return "{0} does not contain `kubeadm join` ({1} of other text); {2}".format(subject, size, _MINT)


def _is_about_expiry(line: str) -> bool:
    text = line.lower()
    after_token, after_expired = text.partition("token ")[2], text.partition("expired ")[2]
    signs = ("could not find a jws signature", "<expired>", "<invalid>")
    return (
        any(sign in text for sign in signs)
        or "expired" in after_token
        or "not found" in after_token
        or "token" in after_expired
    )


def _short(line: str, width: int = 200) -> str:
    """The line without secrets. A long line keeps its beginning and its end, which contains the cause."""
    hidden = redact(line)
    return hidden if len(hidden) <= width else "{0} ... {1}".format(hidden[: width // 3], hidden[-width // 2 :])


def _from_words(words: List[str], subject: str) -> JoinCommand:
    options, positional = _options(words, subject)
    if len(positional) != 1:
        problem = "does not name an endpoint" if not positional else "has unexpected words after the endpoint"
        raise JoinCommandError("{0} {1}; {2}".format(subject, problem, _MINT))
    tokens = {value for name, value in options if name in ("--token", "--discovery-token")}
    if len(tokens) > 1:
        raise JoinCommandError("{0} has several tokens; use one command".format(subject))
    keys = [value for name, value in options if name == "--certificate-key"]
    control_plane = any(name == "--control-plane" and value != "false" for name, value in options)
    if keys and not control_plane:
        raise JoinCommandError("{0} has --certificate-key without --control-plane; {1}".format(subject, _MINT))
    if control_plane and keys == [""]:
        check_certificate_key("", "{0}: certificate key".format(subject))
    return _checked(
        JoinCommand(
            endpoint=positional[0],
            token=tokens.pop() if tokens else "",
            ca_cert_hashes=[value for name, value in options if name == "--discovery-token-ca-cert-hash"],
            certificate_key=keys[-1] if keys else "",
            control_plane=control_plane,
        ),
        subject,
    )


def _options(words: List[str], subject: str) -> Tuple[List[Tuple[str, str]], List[str]]:
    """Options with their values, and the words that are neither."""
    known = ("--token", "--discovery-token", "--discovery-token-ca-cert-hash", "--certificate-key")
    options: List[Tuple[str, str]] = []
    positional: List[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        if not word.startswith("-"):
            positional.append(word)
            continue
        name, equals, value = word.partition("=")
        if name in ("--control-plane", "--experimental-control-plane"):
            options.append(("--control-plane", value or "true"))
        elif name in known:
            if not equals:
                if index >= len(words) or words[index].startswith("--"):
                    raise JoinCommandError("{0} has {1} without a value; {2}".format(subject, name, _MINT))
                value = words[index]
                index += 1
            options.extend((name, part) for part in value.split(","))
        elif name == "--discovery-token-unsafe-skip-ca-verification":
            raise JoinCommandError(
                "{0} has {1}, which trusts any server; use --discovery-token-ca-cert-hash".format(subject, name)
            )
        else:
            raise JoinCommandError(
                "{0} has {1}, which kubeadm does not print; remove it and set the option of kubeadm_join".format(
                    subject, redact(name)
                )
            )
    return options, positional


def _checked(command: JoinCommand, subject: str) -> JoinCommand:
    """The command with its endpoint in full, when no part that a worker needs is missing and all are well formed."""
    for part, name in (
        (command.token, "have a token"),
        (command.endpoint, "name an endpoint"),
        (command.ca_cert_hashes, "have --discovery-token-ca-cert-hash"),
    ):
        if not part:
            raise JoinCommandError("{0} does not {1}; {2}".format(subject, name, _MINT))
    return well_formed(
        command,
        token="{0}: token".format(subject),
        ca_cert_hash="{0}: CA certificate hash".format(subject),
        certificate_key="{0}: certificate key".format(subject),
        endpoint=subject,
    )


def well_formed(
    command: JoinCommand,
    token: str = "token",
    ca_cert_hash: str = "ca_cert_hashes",
    certificate_key: str = "certificate_key",
    endpoint: str = "endpoint",
) -> JoinCommand:
    """The command with its endpoint in full and each hash once; the parts may be empty.

    The other arguments are what an error calls a part. Raises :class:`KubesteadError`.
    """
    if command.token:
        check_token(command.token, token)
    for value in command.ca_cert_hashes:
        check_ca_cert_hash(value, ca_cert_hash)
    if command.certificate_key:
        check_certificate_key(command.certificate_key, certificate_key)
    return replace(
        command,
        endpoint=checked_endpoint(command.endpoint, endpoint) if command.endpoint else "",
        ca_cert_hashes=list(dict.fromkeys(value.lower() for value in command.ca_cert_hashes)),
    )


def checked_endpoint(endpoint: str, subject: str = "endpoint") -> str:
    """The endpoint as :func:`full_endpoint` has it. Raises :class:`JoinCommandError`."""
    try:
        return full_endpoint(endpoint)
    except OptionError as err:
        raise JoinCommandError("{0}: endpoint {1!r} is not host:port".format(subject, redact(endpoint))) from err
