# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ssh prints when it fails, as one short line with a fix.

The texts are from ssh, and partly from the host: its banner, or what its shell prints. They only select one of the
lines here, or are shown in part. Pure.
"""

from __future__ import annotations

import re
import shlex
from typing import List, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.redact import redact
from ansible_collections.kubestead.cluster.plugins.module_utils.core.untrusted import text

#: Characters that are shown of a text, and that are read of one of its lines.
MAX_DETAIL, MAX_READ = 200, 8000

#: How the line of a host without a connection, and of one that refused the login, begins. The name of the host can be
#: put before it.
REACHED, LOGIN = "can't be reached: ", "login failed: "
#: The fix for a refused login.
CREDENTIALS = "check ansible_user and its key or password"
#: The line for a host whose key is not in known_hosts.
UNKNOWN_KEY = (
    REACHED + "its SSH host key is not known; log in once with ssh and verify the fingerprint, or add the key to "
    "known_hosts"
)
_NETWORK = "check ansible_host, ansible_port and the SSH server of this host"
_JUMP = "check the jump host (ProxyJump or ProxyCommand) and the SSH server of this host"
_ONE_KEY = (
    "set ansible_ssh_private_key_file, and add '-o IdentitiesOnly=yes' to ansible_ssh_common_args, so that ssh offers "
    "only this key"
)
_CHANGED_KEY = (
    REACHED + "its SSH host key has changed; if the machine was reinstalled, remove its old key (ssh-keygen -R {0}); "
    "otherwise find out which machine answers"
)

# What ssh prints without a reason to fail.
_NOISE = re.compile(
    r"debug[1-3]:|@|Warning: Permanently added |mux_client_|Control ?[Ss]ocket |OpenSSH_\d|Authenticated to "
    r"|Transferred: sent |Bytes per second: |Killed by signal "
    # Since OpenSSH 10.1, if the key exchange is not post-quantum.
    r"|\*\* "
)
# What ssh prints when a session ends, so after a login.
_SESSION = re.compile(r"(?:Shared connection|Connection) to \S{1,300} closed")
# What it prints after errors in its configuration.
_TERMINATING = r".{1,4200}: terminating, \d{1,9} bad configuration options"
# What it prints after the reason. Without another line, this is the reason.
_CLOSING = re.compile(
    _SESSION.pattern
    + r"|Disconnected from |Connection (?:closed|reset) by |Connection to UNKNOWN port |stdio forwarding failed"
    r"|kex_exchange_identification: Connection closed|" + _TERMINATING
)
# Those of a connection on which the host itself has not sent anything, because a jump host or a proxy command failed.
_NEVER_SENT = re.compile(
    r"stdio forwarding failed|kex_exchange_identification: |Connection (?:closed by|reset by|to) UNKNOWN |"
    + _TERMINATING
)
# With a jump host or a proxy command, ssh does not know the address. The banner is the first line of the SSH server.
_UNKNOWN_PEER = re.compile(r"(?:banner exchange: )?Connection (?:closed by|reset by|to) UNKNOWN port ")
_NO_BANNER = re.compile(r"Connection timed out during banner exchange|banner exchange: |kex_exchange_identification: ")
# The names of the methods distinguish this from what other programs say about a file.
_DENIED = re.compile(r"(?:\S{1,300}: )?Permission denied \([a-z][a-z0-9@.,-]{1,150}\)\.?\Z")
_TOO_MANY = re.compile(r"Received disconnect from .{1,300}: Too many authentication failures")
_UNVERIFIED = re.compile(r"Host key verification failed")
# What ssh prints directly before that.
_STRICT = r" and you have requested strict checking"
_HAS_CHANGED = re.compile(r"(?:Host|\S{1,40} host) key for (\S{1,300}) has changed" + _STRICT)
_IS_REVOKED = re.compile(r"Host key .{1,4200} revoked by file |\S{1,40} host key for \S{1,300} was revoked" + _STRICT)
_IS_UNKNOWN = re.compile(r"No \S{1,40} host key is known for \S{1,300}" + _STRICT)
# What ssh says instead of a login.
_REFUSAL = re.compile("|".join(["ssh: ", *(one.pattern for one in (_DENIED, _TOO_MANY, _UNVERIFIED))]))
# Other reasons in the words of ssh.
_OF_CLIENT = re.compile(
    r"[a-z]{2,30}_[a-z_]{2,40}: |channel \d{1,9}: open failed: |banner exchange: |Received disconnect |Disconnecting "
    r"|Connection timed out|Read from remote host |Timeout, server |Unable to negotiate |Bad packet |Corrupted MAC "
)
#: Reasons of ssh that are on the control machine, and the fix.
_HERE: List[Tuple[str, str]] = [
    (
        r"(?:unix_listener: .{0,4200}|ControlPath )too long",
        "set ansible_control_path_dir on the control machine to a shorter path",
    ),
    (
        r"Bad owner or permissions on ",
        "correct the owner and the mode (600) of this file on the control machine",
    ),
    (
        r"Can't open user config file |.{1,4200}: Bad configuration option: |" + _TERMINATING,
        "correct the configuration of ssh on the control machine, or ansible_ssh_common_args",
    ),
]


def lost(said: str) -> str:
    """The line for a host from what ssh printed, in which the host's own texts may be."""
    lines = [one.strip()[:MAX_READ] for one in said.splitlines()]
    lines = [one for one in lines if text(one) and not _NOISE.match(one)]
    reason = _reason(lines)
    if _UNVERIFIED.match(reason):
        return _unverified(lines)
    if _DENIED.match(reason):
        # With StrictHostKeyChecking=no, ssh only disables passwords.
        changed = any("authentication is disabled to avoid man-in-the-middle attacks" in one for one in lines)
        return changed_key("") if changed else "{0}{1}; {2}".format(LOGIN, shown(reason), CREDENTIALS)
    if _TOO_MANY.match(reason):
        return "{0}{1}; {2}".format(LOGIN, shown(reason), _ONE_KEY)
    # ssh has several texts for what is wrong in its configuration, and the same one after them.
    fixes = (fix for pattern, fix in _HERE for one in (reason, *lines[-1:]) if re.match(pattern, one))
    unnamed = any(_UNKNOWN_PEER.match(one) for one in lines) and (_CLOSING.match(reason) or _NO_BANNER.match(reason))
    fix = next(fixes, _JUMP if unnamed else _NETWORK)
    return "{0}{1}; {2}".format(REACHED, shown(reason) or "the connection failed without a message", fix)


def _reason(lines: Sequence[str]) -> str:
    """The line in which ssh gives the reason: the last one, except for those that always follow a failure."""
    closings = [one for one in lines if _CLOSING.match(one)]
    # If there was a session, a program on the host printed that a login failed, for example git.
    session = any(_SESSION.match(one) for one in closings)
    others = [one for one in lines if not _CLOSING.match(one) and not (session and _REFUSAL.match(one))]
    if not others or not closings:
        return next(iter(others[-1:] or closings), "")
    last = others[-1]
    if _REFUSAL.match(last) or _OF_CLIENT.match(last) or any(_NEVER_SENT.match(one) for one in closings):
        return last
    # This can be the reason, as that of pam_nologin, or only a banner.
    return "{0} ({1})".format(closings[0].rstrip("."), last)


def _unverified(lines: Sequence[str]) -> str:
    """The line for a host whose key ssh does not accept."""
    # The banner of a jump host can have the same texts, but it comes before all that ssh says about the host itself.
    last = max(index for index, one in enumerate(lines) if _UNVERIFIED.match(one))
    own = next(iter(lines[last - 1 : last]), "")
    changed = _HAS_CHANGED.match(own)
    if changed:
        return changed_key(changed.group(1))
    if _IS_REVOKED.match(own):
        return REACHED + "its SSH host key is revoked; find out which machine answers, or give it another host key"
    if _IS_UNKNOWN.match(own):
        own = next(iter(lines[last - 2 : last - 1]), "")
    if own.startswith("Certificate invalid: "):
        return "{0}its SSH host certificate is invalid: {1}; {2}".format(
            REACHED,
            shown(own.partition(": ")[2]),
            "issue another certificate to its SSH server, or correct the clock of this machine",
        )
    return UNKNOWN_KEY


def changed_key(name: str) -> str:
    """The line for a changed host key; ``name`` is its name in known_hosts."""
    return _CHANGED_KEY.format(shlex.quote(name) if re.fullmatch(r"[\w.:%\[\]-]{1,300}", name) else "ADDRESS")


def is_noise(printed: str) -> bool:
    """True for a line that ssh prints whether or not it fails."""
    return _NOISE.match(printed) is not None


def is_reason(printed: str) -> bool:
    """False for a line that ssh prints without a reason to fail, or after the reason."""
    return not (_NOISE.match(printed) or _CLOSING.match(printed))


def shown(reason: str) -> str:
    """A reason as a line shows it."""
    return text(redact(reason), MAX_DETAIL).rstrip(".")
