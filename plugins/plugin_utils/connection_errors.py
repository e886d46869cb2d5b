# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why Ansible could not run a module on a host, in one short line with a fix.

The texts are from Ansible and from programs on the host: sudo, its shell, Python. They only select one of the lines
here, or are shown in part. What ssh prints is in :mod:`ssh_errors`. Pure.
"""

from __future__ import annotations

import re
from typing import Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.untrusted import line, text

from . import ssh_errors
from .ssh_errors import LOGIN, REACHED

#: Characters of a reason in the message of a plan.
MAX_REASON = 500

# How the line of a host begins that Ansible can log in to, but on which it can't run a module.
_OBSERVED = "can't be observed or changed: "
# Lines that say that there was no login: of the host key, and of a login that failed according to Ansible.
_BEFORE_LOGIN = re.compile(
    r"can't be reached: its SSH host (?:key|certificate) "
    r"|login failed: (?!(?:\S{1,300}: )?Permission denied \(|Received disconnect )"
)
# The same in the words of ssh, which a program on the host can print about another host. {0} is the host, {1} the user.
_BEFORE_LOGIN_TO = (
    r"can't be reached: ssh: (?:connect to host {0} port |Could not resolve hostname {0}[:;] )"
    r"|login failed: (?:{1}@{0}: Permission denied \(|Received disconnect from {0} port )"
)

_PASSWORD = "check ansible_become_password, or use --ask-become-pass"
_PYTHON = "check that Python runs on this host, or set ansible_python_interpreter"
_EITHER = "check the become password (ansible_become_password, --ask-become-pass) and ansible_python_interpreter"
_SPACE = "free some space on this host (df -h) and run again"
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
        return ssh_errors.lost(own[of_ssh.end() :])
    if _PASSWORDS.match(own) or _quotes_become(own):
        return _OBSERVED + refused(own)
    if own.startswith("Failed to create temporary directory") or _NO_SPACE in own:
        return _TEMPORARY
    if _UNAUTHENTICATED.match(own):
        return _unauthenticated(re.sub(r"\AFailed to authenticate: ", "", own))
    mismatch = re.match(r"host key mismatch for (\S{1,300})", own)
    if mismatch:
        return ssh_errors.changed_key(mismatch.group(1))
    return ssh_errors.UNKNOWN_KEY if own.startswith("The authenticity of host") else ssh_errors.lost(own)


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
    told = [one for one in said if ssh_errors.is_reason(one) and not _SUDO_RUNS.match(one)]
    known = [one for one in told if _ABSENT.search(one) or _SUDO.match(one)]
    shown = next(iter([*known, *told, *(one for one in said if not ssh_errors.is_noise(one))]), "")
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
    """The reason of a host that a task found unreachable. The name of the host can be put before it."""
    reason = plain(message or "no reason is known")
    return reason if reason.startswith(("can't be ", LOGIN)) else REACHED + reason


def _unauthenticated(message: str) -> str:
    # sshpass quotes what ssh printed.
    password = re.match(r"Invalid/incorrect [a-z/]{1,30}", message)
    shown = ssh_errors.shown(password.group(0) if password else message.partition("\n")[0])
    fix = (
        "check ansible_private_key and ansible_private_key_passphrase"
        if message.startswith(_AGENT)
        else ssh_errors.CREDENTIALS
    )
    return "{0}{1}; {2}".format(LOGIN, shown, fix)


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
