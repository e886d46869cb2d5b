# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why Ansible could not run a module on a host, in one short line with a fix.

The texts are from Ansible, from ssh and sudo, and partly from the host: a banner, or the name of a file. They only
select one of the lines here, or are shown in part. Pure.
"""

from __future__ import annotations

import re
from typing import List, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.redact import redact
from ansible_collections.kubestead.cluster.plugins.module_utils.core.untrusted import line, text

#: Characters that are shown of a text.
MAX_DETAIL = 200
#: Characters of a reason in the message of a plan.
MAX_REASON = 500

_PASSWORD = "check ansible_become_password, or use --ask-become-pass"
_NETWORK = "check ansible_host, ansible_port and the SSH server of this host"

#: Patterns, what they mean, and the fix. The first one that is found applies.
_LOST: List[Tuple[str, str, str]] = [
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED|Host key for \S{1,300} has changed",
        "can't be reached: its SSH host key has changed",
        "if the machine was reinstalled, remove its old key with 'ssh-keygen -R' and its address; otherwise find out "
        "which machine answers",
    ),
    (
        r"Host key verification failed|host key is known for|The authenticity of host",
        "can't be reached: its SSH host key is not known",
        "log in once with ssh and verify the fingerprint, or add the key to known_hosts",
    ),
    (
        r"Failed to create temporary directory",
        "can't be observed or changed: Ansible can't create its temporary directory",
        "check free space (df -h) and permissions on this host, or set ansible_remote_tmp or ansible_pipelining=true",
    ),
    (r"Permission denied|Invalid/incorrect username", "the login failed", "check ansible_user and its key or password"),
]
_BEFORE_LOGIN = re.compile(r"can't be reached: (?:ssh: |its SSH host key )|the login failed: ")
_PASSWORDS = re.compile(r"(?:Incorrect|Missing) \S{1,40} password")
# Most of what the connection plugins say about sudo. What they quote of it has prompts, and may have what was entered.
_BECOME = re.compile(r"waiting for (?:privilege escalation prompt|become success)|become password prompt")
#: What these programs print if they do not run a command.
_SUDO = re.compile(r"(?:sudo|doas|su): |Sorry, (?:user|try again)|\S{1,64} is not in the sudoers file")
# What Ansible puts before the text of ssh.
_BEFORE = re.compile(
    r"\A(?:Task failed: |Action failed: )*(?:Failed to connect to the host via [^:\n]{1,80}: ?"
    r"|Data could not be sent[^\n]{1,400}?over ssh: ?)?"
)
# What ssh prints without a reason to fail.
_NOISE = re.compile(
    r"debug[1-3]:|@|Warning: Permanently added |mux_client_|Shared connection to |Connection to \S{1,300} closed"
)


def lost(message: str) -> str:
    """The line for a host without a connection, from the message of Ansible's AnsibleConnectionFailure."""
    detail = _detail(message)
    if _PASSWORDS.search(message) or _BECOME.search(message):
        return refused(message)
    for pattern, what, fix in _LOST:
        if re.search(pattern, message):
            shown = ": {0}".format(detail) if what == "the login failed" else ""
            return "{0}{1}; {2}".format(what, shown, fix)
    return "can't be reached: {0}; {1}".format(detail, _NETWORK)


def before_login(line_of_lost: str) -> bool:
    """True if the line of :func:`lost` says that the host was never logged in to, so that nothing ran on it."""
    return _BEFORE_LOGIN.match(line_of_lost) is not None


def refused(message: str) -> str:
    """The line for a task that Ansible could not run on a host that it reached."""
    found = _PASSWORDS.search(message)
    if found:
        return "{0}; {1}".format(text(found.group(0)), _PASSWORD)
    if _BECOME.search(message):
        return (
            "sudo (ansible_become_method) did not let Ansible run a program; see sudo -l on this host, and " + _PASSWORD
        )
    return line(message)


def without_python(message: str) -> str:
    """Ansible's message about an interpreter that does not exist, with the fix."""
    return "{0}; install python3 on this host, or correct ansible_python_interpreter".format(message.rstrip(". "))


def fix_of(output: str) -> str:
    """The fix for a program on the host that printed this instead of a result."""
    return (
        _PASSWORD if _SUDO.match(output) else "check that Python runs on this host, or set ansible_python_interpreter"
    )


def plain(message: str) -> str:
    """A line as a task registered it, without what Ansible puts before it, for the message of a plan."""
    return line(re.sub(r"\A(?:Task failed: |Action failed: )+", "", message), MAX_REASON)


def _detail(message: str) -> str:
    """The last line with a reason; ssh prints banners and warnings before it."""
    said = [one.strip() for one in _BEFORE.sub("", message).splitlines()]
    shown = [text(redact(one), MAX_DETAIL).rstrip(".") for one in said if not _NOISE.match(one)]
    return next((one for one in reversed(shown) if one), "the connection failed without a message")
