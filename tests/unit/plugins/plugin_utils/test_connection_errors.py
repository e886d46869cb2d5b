# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Messages of Ansible, ssh and sudo about hosts that could not be asked, each as one short line with a fix."""

from __future__ import annotations

import pytest

from ansible_collections.kubestead.cluster.plugins.plugin_utils import connection_errors

SSH = "Failed to connect to the host via ssh: "
SENT = 'Data could not be sent to remote host "127.0.0.1". Make sure this host can be reached over ssh: '
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
Add correct host key in /root/.ssh/known_hosts to get rid of this message.
Offending ED25519 key in /root/.ssh/known_hosts:3
Host key for 192.0.2.9 has changed and you have requested strict checking.
Host key verification failed."""
TEMPORARY = (
    "Failed to create temporary directory. In some cases, you may have been able to authenticate and did not have "
    'permissions on the target directory. Failed command was: ( umask 77 && mkdir -p "` echo /root/.ansible/tmp `"'
    ", exited with result 1"
)
SUDO = (
    "sudo (ansible_become_method) did not let Ansible run a program; see sudo -l on this host, and check "
    "ansible_become_password, or use --ask-become-pass"
)
NETWORK = "; check ansible_host, ansible_port and the SSH server of this host"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            SENT + "ssh: connect to host 127.0.0.1 port 1: Connection refused",
            "can't be reached: ssh: connect to host 127.0.0.1 port 1: Connection refused" + NETWORK,
        ),
        (
            SSH + "Warning: Permanently added '192.0.2.9' (ED25519) to the list of known hosts.\r\nWelcome!\n"
            "Connection timed out during banner exchange\nConnection to 192.0.2.9 closed by remote host.",
            "can't be reached: Connection timed out during banner exchange" + NETWORK,
        ),
        (SSH + "ssh: Could not resolve hostname w9", "can't be reached: ssh: Could not resolve hostname w9" + NETWORK),
        (SSH + "\x1b\x07  ", "can't be reached: the connection failed without a message" + NETWORK),
        (SSH + "", "can't be reached: the connection failed without a message" + NETWORK),
        (
            SSH + CHANGED,
            "can't be reached: its SSH host key has changed; if the machine was reinstalled, remove its old key with "
            "'ssh-keygen -R' and its address; otherwise find out which machine answers",
        ),
        (
            SSH + "No ED25519 host key is known for w9 and you have requested strict checking.\r\n"
            "Host key verification failed.",
            "can't be reached: its SSH host key is not known; log in once with ssh and verify the fingerprint, or add "
            "the key to known_hosts",
        ),
        (
            SSH + "root@192.0.2.9: Permission denied (publickey,password).",
            "the login failed: root@192.0.2.9: Permission denied (publickey,password); check ansible_user and its key "
            "or password",
        ),
        ("Incorrect sudo password", "Incorrect sudo password; check ansible_become_password, or use --ask-become-pass"),
        (
            "Timeout (12s) waiting for privilege escalation prompt: ",
            SUDO,
        ),
        (
            TEMPORARY,
            "can't be observed or changed: Ansible can't create its temporary directory; check free space (df -h) and "
            "permissions on this host, or set ansible_remote_tmp or ansible_pipelining=true",
        ),
    ],
    ids=["refused", "noise", "name", "controls", "empty", "changed", "unknown", "login", "sudo", "prompt", "full"],
)
def test_a_lost_host_has_one_line(message: str, shown: str) -> None:
    assert connection_errors.lost(message) == shown


def test_what_a_host_sends_is_short_and_has_no_controls_and_no_secrets() -> None:
    shown = connection_errors.lost(SSH + "\x1b]0;x\x07\u202e" + "a" * 5000 + "\n" + "b" * 5000 + "\x1b[31m")
    assert shown.isprintable() and len(shown) < 300 and "bbb" in shown and "a" * 10 not in shown
    assert "abcdef.0123456789abcdef" not in connection_errors.lost(SSH + "token abcdef.0123456789abcdef was refused")


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Missing sudo password", "Missing sudo password; check ansible_become_password, or use --ask-become-pass"),
        ("Duplicate become password prompt encountered.\n>>> Standard Error\n[sudo] password:hunter2", SUDO),
        ("Premature end of stream waiting for become success.\n>>> Standard Error\nsudo: a password", SUDO),
        ("a module\nwas not found", "a module was not found"),
    ],
)
def test_a_host_that_refuses_has_one_line(message: str, shown: str) -> None:
    assert connection_errors.refused(message) == shown


def test_only_before_the_login_nothing_ran_on_the_host() -> None:
    before = [SENT + "ssh: connect to host 127.0.0.1 port 1: Connection refused", SSH + CHANGED]
    before.append(SSH + "root@192.0.2.9: Permission denied (publickey).")
    assert all(connection_errors.before_login(connection_errors.lost(one)) for one in before)
    after = [SSH + "client_loop: send disconnect: Broken pipe", TEMPORARY, "Incorrect sudo password", SSH]
    assert not any(connection_errors.before_login(connection_errors.lost(one)) for one in after)


def test_a_program_without_a_result_has_its_own_fix() -> None:
    for output in ("sudo: a password is required", "Sorry, user me may not run it", "me is not in the sudoers file"):
        assert "ansible_become_password" in connection_errors.fix_of(output)
    assert "check that Python runs" in connection_errors.fix_of("Segmentation fault")


def test_the_line_of_a_registered_result() -> None:
    assert connection_errors.plain("Task failed: Action failed: Task is\nlate") == "Task is late"
