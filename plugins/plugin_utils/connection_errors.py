# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why Ansible could not run a module on a host, in one short line with a fix.

The texts are from Ansible, from ssh and sudo, and partly from the host: a banner, what its shell prints, or the name of
a file. They only select one of the lines here, or are shown in part. Pure.
"""

from __future__ import annotations

import re
import shlex
from typing import List, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.redact import redact
from ansible_collections.kubestead.cluster.plugins.module_utils.core.untrusted import line, text

#: Characters that are shown of a text, and that are read of one of its lines.
MAX_DETAIL, MAX_READ = 200, 8000
#: Characters of a reason in the message of a plan.
MAX_REASON = 500

# How the line of a host without a connection begins. The name of the host can be put before it.
_REACHED, _LOGIN, _OBSERVED = "can't be reached: ", "can't be logged in to: ", "can't be observed or changed: "
# Those that say that there was no login: of the host key, and of a login that failed according to Ansible.
_BEFORE_LOGIN = re.compile(
    r"can't be reached: its SSH host (?:key|certificate) "
    r"|can't be logged in to: (?!(?:\S{1,300}: )?Permission denied \(|Received disconnect )"
)
# The same in the words of ssh, which a program on the host can print about another host. {0} is the host, {1} the user.
_BEFORE_LOGIN_TO = (
    r"can't be reached: ssh: (?:connect to host {0} port |Could not resolve hostname {0}[:;] )"
    r"|can't be logged in to: (?:{1}@{0}: Permission denied \(|Received disconnect from {0} port )"
)

_PASSWORD = "check ansible_become_password, or use --ask-become-pass"
_PYTHON = "check that Python runs on this host, or set ansible_python_interpreter"
_EITHER = "check the become password (ansible_become_password, --ask-become-pass) and ansible_python_interpreter"
_SPACE = "free some space on this host (df -h) and run again"
_NETWORK = "check ansible_host, ansible_port and the SSH server of this host"
_JUMP = "check the jump host (ProxyJump or ProxyCommand) and the SSH server of this host"
_CREDENTIALS = "check ansible_user and its key or password"
_ONE_KEY = (
    "set ansible_ssh_private_key_file, and add '-o IdentitiesOnly=yes' to ansible_ssh_common_args, so that ssh offers "
    "only this key"
)
_UNKNOWN_KEY = (
    _REACHED + "its SSH host key is not known; log in once with ssh and verify the fingerprint, or add the key to "
    "known_hosts"
)
_CHANGED_KEY = (
    _REACHED + "its SSH host key has changed; if the machine was reinstalled, remove its old key (ssh-keygen -R {0}); "
    "otherwise find out which machine answers"
)
_TEMPORARY = (
    _OBSERVED
    + "Ansible can't create its temporary directory; check free space (df -h) and permissions on this host, or "
    "set ansible_remote_tmp or ansible_pipelining=true"
)
_NO_SPACE = "No space left on device"

# What Ansible puts before a message, and before the text of ssh.
_BEFORE = re.compile(r"\A(?:Task failed: |Action failed: )+")
_OF_SSH = re.compile(
    r"\A(?:Failed to connect to the host via [^:\n]{1,80}: ?|Data could not be sent[^\n]{1,400}?over ssh: ?"
    r"|SSH encountered an unknown error\. The output was:\n|sshpass error: )"
)
# A login that fails according to Ansible: with sshpass, with its own ssh-agent, with other connection plugins.
_UNAUTHENTICATED = re.compile(
    r"Failed to authenticate|Invalid/incorrect |Authentication failure|No authentication methods available"
)
_AGENT = "Failed to add configured private key into ssh-agent"
_PASSWORDS = re.compile(r"(?:Incorrect|Missing) \S{1,40} password")
# The first line of what the connection plugins say about sudo. What they quote of it has prompts, and may have what was
# entered.
_BECOME = re.compile(r"waiting for (?:privilege escalation prompt|become success)|become password prompt")

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

# What programs that change the user print if they do not run a command, and what sudo prints although it does.
_SUDO = re.compile(
    r"(?:sudo|doas|su): (?!\S{1,250}: command not found)|Sorry, (?:user|try again)|\S{1,64} is not in the sudoers file"
)
_SUDO_RUNS = re.compile(r"sudo: (?:unable to resolve host |setrlimit\()")
_PROGRAMS = "(sudo|doas|su|run0|ksu|pbrun|pfexec|dzdo|sesu)"
_ABSENT = re.compile(
    r"(?:^|[\s:/]){0}: (?:(?:command )?not found|No such file or directory)\s*$"
    r"|(?:command not found|Unknown command): {0}\s*$".format(_PROGRAMS),
    re.MULTILINE,
)
# Python prints errors of syntax with the second line alone.
_TRACEBACK = re.compile(r'Traceback \(most recent call last\)|\s{1,20}File ".{1,4200}", line \d')


def lost(message: str) -> str:
    """The line for a host without a connection, from the message of Ansible's AnsibleConnectionFailure."""
    own = _BEFORE.sub("", message)
    of_ssh = _OF_SSH.match(own)
    if of_ssh:
        return _by_ssh(own[of_ssh.end() :])
    if _PASSWORDS.match(own) or _quotes_become(own):
        return _OBSERVED + refused(own)
    if own.startswith("Failed to create temporary directory") or _NO_SPACE in own:
        return _TEMPORARY
    if _UNAUTHENTICATED.match(own):
        return _unauthenticated(re.sub(r"\AFailed to authenticate: ", "", own))
    mismatch = re.match(r"host key mismatch for (\S{1,300})", own)
    if mismatch:
        return _changed_key(mismatch.group(1))
    return _UNKNOWN_KEY if own.startswith("The authenticity of host") else _by_ssh(own)


def before_login(line_of_lost: str, host: str, user: str) -> bool:
    """True if the line of :func:`lost` says that the host was never logged in to, so that nothing ran on it.

    ``host`` and ``user`` are what Ansible connects to, ``user`` empty if ssh chooses it. A line about another machine
    can be from a program that the shell of the host started before the connection broke.
    """
    if _BEFORE_LOGIN.match(line_of_lost):
        return True
    login = re.escape(user) or r"\S{1,300}"
    # ssh prints the host in lower case.
    own = re.compile(_BEFORE_LOGIN_TO.format(re.escape(host), login), re.IGNORECASE)
    return bool(host) and own.match(line_of_lost) is not None


def refused(message: str) -> str:
    """The line for a task that Ansible could not run on a host that it reached."""
    own = _BEFORE.sub("", message)
    found = _PASSWORDS.match(own)
    if found:
        return "{0}; {1}".format(text(found.group(0)), _PASSWORD)
    if not _quotes_become(own):
        return line(message)
    absent = _absent(own)
    if absent:
        return "{0} was not found; {1}".format(absent, _install(absent))
    return "sudo (ansible_become_method) did not let Ansible run a program; see sudo -l on this host, and " + _PASSWORD


def without_python(message: str) -> str:
    """Ansible's message about an interpreter that does not exist, with the fix."""
    return "{0}; install python3 on this host, or correct ansible_python_interpreter".format(message.rstrip(". "))


def ended(output: str, code: Optional[int] = None) -> Tuple[str, str]:
    """What a program on the host that ended without a result printed about the cause, and the fix."""
    lines = [one.rstrip() for one in output.splitlines() if one.strip()]
    error = _error(lines)
    if error:
        return error, _SPACE if _NO_SPACE in error else _PYTHON
    said = [one.strip() for one in lines]
    # The host may print other texts first, for example those of its shell.
    told = [one for one in said if not (_NOISE.match(one) or _CLOSING.match(one) or _SUDO_RUNS.match(one))]
    known = [one for one in told if _ABSENT.search(one) or _SUDO.match(one)]
    shown = next(iter([*known, *told, *(one for one in said if not _NOISE.match(one))]), "")
    return shown or "it printed nothing", fix_of(shown, code)


def fix_of(output: str, code: Optional[int] = None) -> str:
    """The fix for a program on the host that printed this instead of a result."""
    absent = _absent(output)
    if absent:
        return _install(absent)
    if _NO_SPACE in output:
        return _SPACE
    if _SUDO.match(output) and not _SUDO_RUNS.match(output):
        return _PASSWORD
    # sudo may print its messages in another language.
    return _EITHER if code == 1 and output else _PYTHON


def plain(message: str) -> str:
    """A line as a task registered it, without what Ansible puts before it, for the message of a plan."""
    return line(_BEFORE.sub("", message), MAX_REASON)


def without_connection(message: str) -> str:
    """The reason of a host that a task found unreachable. It continues a sentence whose subject is the host."""
    reason = plain(message or "no reason is known")
    return reason if reason.startswith("can't be ") else _REACHED + reason


def _by_ssh(said: str) -> str:
    """The line for a host from what ssh printed, in which the host's own texts may be."""
    lines = [one.strip()[:MAX_READ] for one in said.splitlines()]
    lines = [one for one in lines if text(one) and not _NOISE.match(one)]
    reason = _reason(lines)
    if _UNVERIFIED.match(reason):
        return _unverified(lines)
    if _DENIED.match(reason):
        # With StrictHostKeyChecking=no, ssh only disables passwords.
        changed = any("authentication is disabled to avoid man-in-the-middle attacks" in one for one in lines)
        return _changed_key("") if changed else "{0}{1}; {2}".format(_LOGIN, _shown(reason), _CREDENTIALS)
    if _TOO_MANY.match(reason):
        return "{0}{1}; {2}".format(_LOGIN, _shown(reason), _ONE_KEY)
    # ssh has several texts for what is wrong in its configuration, and the same one after them.
    fixes = (fix for pattern, fix in _HERE for one in (reason, *lines[-1:]) if re.match(pattern, one))
    unnamed = any(_UNKNOWN_PEER.match(one) for one in lines) and (_CLOSING.match(reason) or _NO_BANNER.match(reason))
    fix = next(fixes, _JUMP if unnamed else _NETWORK)
    return "{0}{1}; {2}".format(_REACHED, _shown(reason) or "the connection failed without a message", fix)


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
        return _changed_key(changed.group(1))
    if _IS_REVOKED.match(own):
        return _REACHED + "its SSH host key is revoked; find out which machine answers, or give it another host key"
    if _IS_UNKNOWN.match(own):
        own = next(iter(lines[last - 2 : last - 1]), "")
    if own.startswith("Certificate invalid: "):
        return "{0}its SSH host certificate is invalid: {1}; {2}".format(
            _REACHED,
            _shown(own.partition(": ")[2]),
            "issue another certificate to its SSH server, or correct the clock of this machine",
        )
    return _UNKNOWN_KEY


def _changed_key(name: str) -> str:
    """The line for a changed host key; ``name`` is its name in known_hosts."""
    return _CHANGED_KEY.format(shlex.quote(name) if re.fullmatch(r"[\w.:%\[\]-]{1,300}", name) else "ADDRESS")


def _unauthenticated(message: str) -> str:
    # sshpass quotes what ssh printed.
    password = re.match(r"Invalid/incorrect [a-z/]{1,30}", message)
    shown = _shown(password.group(0) if password else message.partition("\n")[0])
    fix = "check ansible_private_key and ansible_private_key_passphrase" if message.startswith(_AGENT) else _CREDENTIALS
    return "{0}{1}; {2}".format(_LOGIN, shown, fix)


def _quotes_become(message: str) -> bool:
    return _BECOME.search(message.partition("\n")[0]) is not None


def _absent(output: str) -> str:
    """The program that Ansible needs to change the user, if the shell did not find it."""
    found = _ABSENT.search(output)
    return (found.group(1) or found.group(2)) if found else ""


def _install(program: str) -> str:
    return "install {0} on this host, or set ansible_become_method".format(program)


def _error(lines: Sequence[str]) -> str:
    """The error at the end of the last traceback; empty without a traceback."""
    begins = [index for index, one in enumerate(lines) if _TRACEBACK.match(one)]
    if not begins:
        return ""
    return next((one for one in lines[begins[-1] + 1 :] if not one[0].isspace()), lines[-1].strip())


def _shown(reason: str) -> str:
    return text(redact(reason), MAX_DETAIL).rstrip(".")
