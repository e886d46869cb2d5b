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
CHANGED_KEY = (
    "can't be reached: its SSH host key has changed; if the machine was reinstalled, remove its old key (ssh-keygen -R "
    "{0}); otherwise find out which machine answers"
)
CREDENTIALS = "; check ansible_user and its key or password"
JUMP = "; check the jump host (ProxyJump or ProxyCommand) and the SSH server of this host"
UNKNOWN_KEY = (
    "can't be reached: its SSH host key is not known; log in once with ssh and verify the fingerprint, or add the key "
    "to known_hosts"
)
NOT_KNOWN = "No ED25519 host key is known for w9 and you have requested strict checking.\r\n"
UNVERIFIED = "Host key verification failed.\r\n"
BROKEN = "client_loop: send disconnect: Broken pipe"
# A jump host can send what ssh prints.
BANNER = (
    "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\n"
    "Host key for cp1.example.org has changed and you have requested strict checking.\n"
)
# OpenSSH 10.1.
QUANTUM = (
    "** WARNING: connection is not using a post-quantum key exchange algorithm.\r\n"
    '** This session may be vulnerable to "store now, decrypt later" attacks.\r\n'
    "** The server may need to be upgraded. See https://openssh.com/pq.html\r\n"
)


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
            CHANGED_KEY.format("192.0.2.9"),
        ),
        (
            SSH + "No ED25519 host key is known for w9 and you have requested strict checking.\r\n"
            "Host key verification failed.",
            "can't be reached: its SSH host key is not known; log in once with ssh and verify the fingerprint, or add "
            "the key to known_hosts",
        ),
        (
            SSH + "root@192.0.2.9: Permission denied (publickey,password).",
            "login failed: root@192.0.2.9: Permission denied (publickey,password); check ansible_user and its "
            "key or password",
        ),
        (
            "Incorrect sudo password",
            "can't be observed or changed: Incorrect sudo password; check ansible_become_password, or use "
            "--ask-become-pass",
        ),
        (
            "Timeout (12s) waiting for privilege escalation prompt: ",
            "can't be observed or changed: " + SUDO,
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


@pytest.mark.parametrize(
    "stderr",
    [
        # bash on the host, from a file in /etc/profile.d or .bashrc; then the connection breaks during the module.
        "/etc/profile.d/x.sh: line 3: /var/log/x: Permission denied\n" + BROKEN,
        # A key of ssh_config that this user can't read; the login worked with the next one.
        'Load key "/etc/ssh/shared": Permission denied\r\n' + BROKEN,
        # Programs that the host's shell starts.
        "git@192.0.2.7: Permission denied (publickey).\r\n" + BROKEN,
        "git@192.0.2.7: Permission denied (publickey).\r\nConnection to 192.0.2.9 closed by remote host.\r\n",
        "Host key verification failed.\r\nShared connection to 192.0.2.9 closed.\r\n",
        "ssh: connect to host 192.0.2.7 port 22: Connection refused\r\nConnection to 192.0.2.9 closed by remote host.",
        "/etc/profile.d/x.sh: line 3: x: Permission denied (os error 13)",
        # With StrictHostKeyChecking=no, this is a warning of each login with a key.
        CHANGED.replace("Host key verification failed.", BROKEN),
    ],
)
def test_what_programs_on_the_host_print_is_no_failed_login(stderr: str) -> None:
    shown = connection_errors.lost(SSH + stderr)
    assert shown.startswith("can't be reached: ") and shown.endswith(NETWORK), shown
    assert not connection_errors.before_login(shown, "192.0.2.9", "root"), shown


@pytest.mark.parametrize(
    ("stderr", "shown"),
    [
        # Recorded with OpenSSH 9.2.
        (
            "ssh: connect to host 127.0.0.2 port 1: Connection refused\r\n"
            "kex_exchange_identification: Connection closed by remote host\r\n"
            "Connection closed by UNKNOWN port 65535\r\n",
            "can't be reached: ssh: connect to host 127.0.0.2 port 1: Connection refused" + NETWORK,
        ),
        (
            "Received disconnect from 127.0.0.1 port 22422:2: Too many authentication failures\r\n"
            "Disconnected from 127.0.0.1 port 22422\r\n",
            "login failed: Received disconnect from 127.0.0.1 port 22422:2: Too many authentication failures; "
            "set ansible_ssh_private_key_file, and add '-o IdentitiesOnly=yes' to ansible_ssh_common_args, so that ssh "
            "offers only this key",
        ),
        (
            "sorry no proxy\nkex_exchange_identification: Connection closed by remote host\r\n"
            "Connection closed by UNKNOWN port 65535\r\n",
            "can't be reached: sorry no proxy" + NETWORK,
        ),
        (
            "bob@bastion: Permission denied (publickey).\r\nConnection closed by UNKNOWN port 65535\r\n",
            "login failed: bob@bastion: Permission denied (publickey)" + CREDENTIALS,
        ),
        (
            "channel 0: open failed: connect failed: No route to host\r\nstdio forwarding failed\r\n"
            "Connection closed by UNKNOWN port 65535\r\n",
            "can't be reached: channel 0: open failed: connect failed: No route to host" + NETWORK,
        ),
        (
            "Control socket connect(/root/.ansible/cp/a): Permission denied\r\n"
            "ssh: connect to host 192.0.2.9 port 22: Connection timed out",
            "can't be reached: ssh: connect to host 192.0.2.9 port 22: Connection timed out" + NETWORK,
        ),
        # The text before it is the reason, or a banner.
        (
            "System is booting up.\nConnection closed by 192.0.2.9 port 22",
            "can't be reached: Connection closed by 192.0.2.9 port 22 (System is booting up.)" + NETWORK,
        ),
        (
            "kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by 192.0.2.9 port 22\r\n",
            "can't be reached: kex_exchange_identification: read: Connection reset by peer" + NETWORK,
        ),
        (
            "Connection closed by 192.0.2.9 port 22",
            "can't be reached: Connection closed by 192.0.2.9 port 22" + NETWORK,
        ),
        (
            "Connection timed out during banner exchange\r\nTransferred: sent 2772, received 2648 bytes, "
            "in 0.1 seconds\r\nBytes per second: sent 24537.4, received 23439.8\r\ndebug1: Exit status -1",
            "can't be reached: Connection timed out during banner exchange" + NETWORK,
        ),
        # What an ssh without a post-quantum key exchange says of each connection is not the reason.
        (
            QUANTUM + "Connection closed by 192.0.2.9 port 22",
            "can't be reached: Connection closed by 192.0.2.9 port 22" + NETWORK,
        ),
        (QUANTUM, "can't be reached: the connection failed without a message" + NETWORK),
        # A jump host that accepts the connection and sends nothing. ssh does not know who it talks to.
        (
            "Connection timed out during banner exchange\r\nConnection to UNKNOWN port 65535 timed out\r\n",
            "can't be reached: Connection timed out during banner exchange" + JUMP,
        ),
        (
            "Welcome to the bastion\nConnection timed out during banner exchange\r\n"
            "Connection to UNKNOWN port 65535 timed out\r\n",
            "can't be reached: Connection timed out during banner exchange" + JUMP,
        ),
        (
            "Connection to UNKNOWN port 65535 timed out\r\n",
            "can't be reached: Connection to UNKNOWN port 65535 timed out" + JUMP,
        ),
        (
            "kex_exchange_identification: Connection closed by remote host\r\n"
            "Connection closed by UNKNOWN port 65535\r\n",
            "can't be reached: kex_exchange_identification: Connection closed by remote host" + JUMP,
        ),
        (
            "kex_exchange_identification: read: Connection reset by peer\r\nConnection reset by UNKNOWN port 65535\r\n",
            "can't be reached: kex_exchange_identification: read: Connection reset by peer" + JUMP,
        ),
        (
            "banner exchange: Connection to UNKNOWN port 65535: invalid format\r\n",
            "can't be reached: banner exchange: Connection to UNKNOWN port 65535: invalid format" + JUMP,
        ),
        (
            "sorry no proxy\nConnection to UNKNOWN port 65535 timed out\r\n",
            "can't be reached: sorry no proxy" + NETWORK,
        ),
        # The connection to the host itself, which the line names.
        (
            "Connection timed out during banner exchange\r\nConnection to 192.0.2.9 port 22 timed out\r\n",
            "can't be reached: Connection to 192.0.2.9 port 22 timed out" + NETWORK,
        ),
        # The login to an old sshd, as an old ssh says it.
        ("Permission denied (publickey).", "login failed: Permission denied (publickey)" + CREDENTIALS),
    ],
    ids=[
        "jump host",
        "keys",
        "proxy",
        "login at the jump host",
        "behind the jump host",
        "socket",
        "text",
        "reset",
        "closed",
        "verbose",
        "post-quantum",
        "post-quantum alone",
        "silent jump host",
        "banner of a silent jump host",
        "unnamed alone",
        "unnamed closed",
        "unnamed reset",
        "unnamed banner",
        "unnamed proxy",
        "named",
        "old",
    ],
)
def test_the_reason_is_not_always_in_the_last_line_of_ssh(stderr: str, shown: str) -> None:
    assert connection_errors.lost(SSH + stderr) == shown


@pytest.mark.parametrize(
    ("stderr", "shown"),
    [
        (
            CHANGED.replace("192.0.2.9", "[192.0.2.9]:2222") + "\r\nConnection closed by UNKNOWN port 65535",
            CHANGED_KEY.format("'[192.0.2.9]:2222'"),
        ),
        (CHANGED.replace("192.0.2.9", "a;reboot"), CHANGED_KEY.format("ADDRESS")),
        # With StrictHostKeyChecking=no, ssh disables passwords.
        (
            CHANGED.partition("Host key for")[0]
            + "Password authentication is disabled to avoid man-in-the-middle attacks.\r\n"
            "root@192.0.2.9: Permission denied (publickey,password).",
            CHANGED_KEY.format("ADDRESS"),
        ),
        (
            "Certificate invalid: expired\r\nNo ED25519 host key is known for w9 and you have requested strict "
            "checking.\r\nHost key verification failed.",
            "can't be reached: its SSH host certificate is invalid: expired; issue another certificate to its SSH "
            "server, or correct the clock of this machine",
        ),
        (
            "Host key ED25519 SHA256:abc revoked by file /etc/ssh/revoked\r\nHost key verification failed.",
            "can't be reached: its SSH host key is revoked; find out which machine answers, or give it another "
            "host key",
        ),
    ],
    ids=["port", "name", "passwords", "certificate", "revoked"],
)
def test_a_host_key_that_is_not_accepted_has_its_own_reason(stderr: str, shown: str) -> None:
    said = connection_errors.lost(SSH + stderr)
    assert said == shown and connection_errors.before_login(said, "192.0.2.9", "root")


@pytest.mark.parametrize(
    ("stderr", "shown"),
    [
        (BANNER + NOT_KNOWN + UNVERIFIED, UNKNOWN_KEY),
        (CHANGED.rpartition("\n")[0] + "\r\n" + NOT_KNOWN + UNVERIFIED, UNKNOWN_KEY),
        ("@ REVOKED HOST KEY DETECTED! @\nREVOKED HOST KEY DETECTED\n" + NOT_KNOWN + UNVERIFIED, UNKNOWN_KEY),
        ("Host key ED25519 x revoked by file y\nhello\n" + NOT_KNOWN + UNVERIFIED, UNKNOWN_KEY),
        ("Certificate invalid: expired\nhello\n" + NOT_KNOWN + UNVERIFIED, UNKNOWN_KEY),
        # ssh without a terminal asks nobody, and says nothing else.
        (BANNER + "hello\n" + UNVERIFIED, UNKNOWN_KEY),
        (BANNER + CHANGED, CHANGED_KEY.format("192.0.2.9")),
        (BANNER + CHANGED + "\r\nConnection closed by UNKNOWN port 65535", CHANGED_KEY.format("192.0.2.9")),
        # As an old ssh says it.
        (BANNER + CHANGED.replace("Host key for", "ED25519 host key for"), CHANGED_KEY.format("192.0.2.9")),
        (
            BANNER + "@       WARNING: REVOKED HOST KEY DETECTED!               @\r\n"
            "ED25519 host key for w9 was revoked and you have requested strict checking.\r\n" + UNVERIFIED,
            "can't be reached: its SSH host key is revoked; find out which machine answers, or give it another "
            "host key",
        ),
    ],
)
def test_the_banner_of_a_jump_host_says_nothing_about_the_host_key(stderr: str, shown: str) -> None:
    assert connection_errors.lost(SSH + stderr) == shown


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        # With sshpass. What follows is from ssh.
        (
            "Failed to authenticate: Invalid/incorrect password: root@192.0.2.9: Permission denied, please try again.",
            "login failed: Invalid/incorrect password" + CREDENTIALS,
        ),
        (
            "Invalid/incorrect username/password. Skipping remaining 3 retries to prevent account lockout: x",
            "login failed: Invalid/incorrect username/password" + CREDENTIALS,
        ),
        (
            "Failed to authenticate: Failed to add configured private key into ssh-agent: incorrect passphrase",
            "login failed: Failed to add configured private key into ssh-agent: incorrect passphrase; check "
            "ansible_private_key and ansible_private_key_passphrase",
        ),
        # The connection plugin paramiko_ssh.
        (
            "Failed to authenticate: Authentication failed.",
            "login failed: Authentication failed" + CREDENTIALS,
        ),
        ("Failed to authenticate.", "login failed: Failed to authenticate" + CREDENTIALS),
        (
            "No authentication methods available",
            "login failed: No authentication methods available" + CREDENTIALS,
        ),
        ("host key mismatch for w9", CHANGED_KEY.format("w9")),
        (
            "The authenticity of host 'w9' can't be established.\nThe ssh-ed25519 key fingerprint is abc.",
            "can't be reached: its SSH host key is not known; log in once with ssh and verify the fingerprint, or add "
            "the key to known_hosts",
        ),
    ],
)
def test_a_login_that_fails_without_ssh_saying_so(message: str, shown: str) -> None:
    said = connection_errors.lost(message)
    assert said == shown and connection_errors.before_login(said, "192.0.2.9", "root")


@pytest.mark.parametrize(
    ("stderr", "reason", "fix"),
    [
        # Recorded with OpenSSH 9.2.
        (
            "/root/.ssh/config: line 1: Bad configuration option: foobar\r\n"
            "/root/.ssh/config: terminating, 1 bad configuration options\r\n",
            "/root/.ssh/config: line 1: Bad configuration option: foobar",
            "correct the configuration of ssh on the control machine, or ansible_ssh_common_args",
        ),
        (
            '/root/.ssh/config line 1: no argument after keyword "stricthostkeychecking"\r\n'
            "/root/.ssh/config: terminating, 1 bad configuration options\r\n",
            '/root/.ssh/config line 1: no argument after keyword "stricthostkeychecking"',
            "correct the configuration of ssh on the control machine, or ansible_ssh_common_args",
        ),
        (
            "command-line: line 0: Bad configuration option: foobar\r\n",
            "command-line: line 0: Bad configuration option: foobar",
            "correct the configuration of ssh on the control machine, or ansible_ssh_common_args",
        ),
        (
            "Bad owner or permissions on /root/.ssh/config\r\n",
            "Bad owner or permissions on /root/.ssh/config",
            "correct the owner and the mode (600) of this file on the control machine",
        ),
        (
            'unix_listener: path "/home/' + "a" * 100 + '/.ansible/cp/b" too long for Unix domain socket\r\n',
            'unix_listener: path "/home/' + "a" * 100 + '/.ansible/cp/b" too long for Unix domain socket',
            "set ansible_control_path_dir on the control machine to a shorter path",
        ),
        (
            "ControlPath too long ('/home/" + "a" * 100 + "' >= 108 bytes)\r\n",
            "ControlPath too long ('/home/" + "a" * 100 + "' >= 108 bytes)",
            "set ansible_control_path_dir on the control machine to a shorter path",
        ),
    ],
    ids=["option", "argument", "command line", "owner", "listener", "control path"],
)
def test_a_cause_on_the_control_machine_is_not_looked_for_on_the_host(stderr: str, reason: str, fix: str) -> None:
    assert connection_errors.lost(SENT + stderr) == f"can't be reached: {reason}; {fix}"


def test_a_full_disk_for_the_temporary_directory() -> None:
    message = "mkdir: cannot create directory '/root/.ansible/tmp/a': No space left on device\n"
    assert connection_errors.lost(message) == connection_errors.lost(TEMPORARY)


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
        (
            "Premature end of stream waiting for become success.\n>>> Standard Error\n/bin/sh: 1: sudo: not found",
            "sudo was not found; install sudo on this host, or set ansible_become_method",
        ),
        ("a module\nwas not found", "a module was not found"),
    ],
)
def test_a_host_that_refuses_has_one_line(message: str, shown: str) -> None:
    assert connection_errors.refused(message) == shown


@pytest.mark.parametrize(
    ("host", "message", "before"),
    [
        ("127.0.0.1", SENT + "ssh: connect to host 127.0.0.1 port 1: Connection refused", True),
        ("::1", SENT + "ssh: connect to host ::1 port 1: Connection refused", True),
        ("W9.example.org", SSH + "ssh: Could not resolve hostname w9.example.org: Name or service not known", True),
        ("w9", SSH + "ssh: Could not resolve hostname w9", True),
        ("192.0.2.9", SSH + CHANGED, True),
        ("192.0.2.9", SSH + "root@192.0.2.9: Permission denied (publickey).", True),
        ("fe80::1%eth0", SSH + "root@fe80::1%eth0: Permission denied (publickey).", True),
        ("192.0.2.9", SSH + "Received disconnect from 192.0.2.9 port 22:2: Too many authentication failures", True),
        # The shell of the host starts such programs. Then a shared connection breaks without a message of its own.
        ("192.0.2.9", SSH + "git@192.0.2.7: Permission denied (publickey).", False),
        ("192.0.2.9", SSH + "git@192.0.2.9: Permission denied (publickey).", False),
        ("192.0.2.9", SSH + "root@192.0.2.99: Permission denied (publickey).", False),
        ("192.0.2.9", SSH + "Permission denied (publickey).", False),
        ("192.0.2.9", SSH + "ssh: connect to host 192.0.2.7 port 22: Connection refused", False),
        ("192.0.2.9", SSH + "ssh: Could not resolve hostname git.example.org: Name or service not known", False),
        ("192.0.2.9", SSH + "Received disconnect from 192.0.2.7 port 22:2: Too many authentication failures", False),
        ("192.0.2.9", SSH + "client_loop: send disconnect: Broken pipe", False),
        ("192.0.2.9", TEMPORARY, False),
        ("192.0.2.9", "Incorrect sudo password", False),
        ("192.0.2.9", SSH, False),
        # Another connection plugin, which does not say where it connects to.
        ("", SSH + "root@192.0.2.9: Permission denied (publickey).", False),
    ],
)
def test_only_before_the_login_nothing_ran_on_the_host(host: str, message: str, before: bool) -> None:
    assert connection_errors.before_login(connection_errors.lost(message), host, "root") == before


def test_without_a_login_name_in_the_inventory_ssh_chooses_it() -> None:
    said = connection_errors.lost(SSH + "bob@192.0.2.9: Permission denied (publickey).")
    assert connection_errors.before_login(said, "192.0.2.9", "")


def test_a_program_without_a_result_has_its_own_fix() -> None:
    for output in ("sudo: a password is required", "Sorry, user me may not run it", "me is not in the sudoers file"):
        assert "ansible_become_password" in connection_errors.fix_of(output)
    assert "check that Python runs" in connection_errors.fix_of("Segmentation fault")


@pytest.mark.parametrize(
    ("output", "program"),
    [
        ("/bin/sh: 1: sudo: not found", "sudo"),
        ("bash: line 1: sudo: command not found", "sudo"),
        ("zsh:1: command not found: doas", "doas"),
        ("fish: Unknown command: sudo", "sudo"),
        ("/bin/sh: 1: /usr/bin/sudo: not found", "sudo"),
        ("bash: /usr/bin/su: No such file or directory", "su"),
    ],
)
def test_a_host_without_sudo_gets_it(output: str, program: str) -> None:
    assert connection_errors.fix_of(output, 127) == f"install {program} on this host, or set ansible_become_method"


def test_a_program_that_sudo_does_not_find_is_not_sudo() -> None:
    assert "check that Python runs" in connection_errors.fix_of("sudo: python3.13: command not found")


def test_a_program_without_a_result_is_not_explained_by_what_ssh_prints_of_each_connection() -> None:
    assert connection_errors.ended(QUANTUM + "Segmentation fault\n")[0] == "Segmentation fault"
    assert connection_errors.ended(QUANTUM + "Connection to 192.0.2.9 closed.\n")[0].startswith("Connection to 192")
    assert connection_errors.ended(QUANTUM, 1) == connection_errors.ended("", 1)


def test_the_line_of_a_registered_result() -> None:
    assert connection_errors.plain("Task failed: Action failed: Task is\nlate") == "Task is late"
