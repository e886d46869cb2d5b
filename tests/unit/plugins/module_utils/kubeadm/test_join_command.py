# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import random
import string
from datetime import UTC, datetime

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.redact import redact
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.join_command import (
    JoinCommand,
    JoinCommandError,
    from_result,
    parse,
    render,
    require_alive,
)
from ansible_collections.kubestead.cluster.tests.unit.support import fixture

CA = "sha256:dc846602c390dff22f312f0cf8a3b5d6064860426c5ac9119b7a4351697241f1"
TOKEN = "abcdef.0123456789abcdef"
KEY = "0123456789abcdef" * 4
OTHER = "sha256:" + "1" * 64
LINE = f"kubeadm join 10.0.0.1:6443 --token {TOKEN} --discovery-token-ca-cert-hash {CA} "


# -- what kubeadm really prints


@pytest.mark.parametrize("version", ["v1.20", "v1.35"])
def test_one_line_of_token_create(version: str) -> None:
    command = parse(fixture(f"join/{version}/worker.txt"))
    assert (command.endpoint, command.ca_cert_hashes) == ("10.213.0.28:6443", [CA])
    assert len(command.token) == 23
    assert not command.control_plane and not command.certificate_key


@pytest.mark.parametrize("version", ["v1.20", "v1.35"])
def test_one_line_for_control_planes(version: str) -> None:
    command = parse(fixture(f"join/{version}/control-plane.txt"))
    assert command.control_plane
    assert len(command.certificate_key) == 64


def test_output_of_init_has_both_forms_and_the_caller_chooses() -> None:
    text = fixture("join/v1.35/init.txt")
    worker = parse(text)
    assert worker == parse(text, control_plane=False)
    assert not worker.control_plane and not worker.certificate_key
    control_plane = parse(text, control_plane=True)
    assert control_plane.control_plane and len(control_plane.certificate_key) == 64
    assert control_plane.token == worker.token
    assert control_plane.ca_cert_hashes == worker.ca_cert_hashes == [CA]


@pytest.mark.parametrize(
    "name, says",
    [
        ("v1.35/malformed-token-error.txt", "is an error message"),
        ("v1.20/malformed-token-error.txt", "not of the form"),
        ("v1.35/refused-error.txt", "connection refused"),
        ("v1.35/token-alone.txt", "is only a token"),
        ("v1.35/token-list.txt", "does not contain `kubeadm join`"),
        ("v1.35/join-unknown-token.stderr", "reports an expired or unknown token"),
        ("v1.20/join-unknown-token.stderr", "reports an expired or unknown token"),
        ("v1.35/join-wrong-ca.stderr", "is an error message"),
        ("v1.35/join-preflight.stderr", "is an error message"),
        ("v1.20/join-refused.stderr", "is an error message"),
    ],
)
def test_other_output_of_kubeadm_is_told_apart(name: str, says: str) -> None:
    with pytest.raises(JoinCommandError) as caught:
        parse(fixture(f"join/{name}"))
    assert says in caught.value.message
    assert "\n" not in caught.value.message
    assert "h52rj9rw34w5tqsu" not in caught.value.message


# -- shapes


@pytest.mark.parametrize(
    "text",
    [
        LINE,
        LINE.strip(),
        f"  $ {LINE}",
        f"# {LINE}\n",
        f"sudo {LINE}",
        f"sudo /usr/bin/{LINE}",
        LINE.replace("--token ", "--token=").replace("-hash ", "-hash="),
        LINE.replace(" --", " \\\n\t--"),
        LINE.replace(" --", " \\\r\n    --") + "\r\n",
        f"kubeadm join --token {TOKEN} --discovery-token-ca-cert-hash {CA} 10.0.0.1:6443",
        LINE.replace("--token", "--discovery-token").replace(CA, CA.upper().replace("SHA", "sha")),
        f"kubeadm join 10.0.0.1:6443 --token '{TOKEN}' --discovery-token-ca-cert-hash \"{CA}\"",
        LINE + "\n" + LINE,
        f"Now run 'kubeadm join' on the other machines:\n\n{LINE}\n",
        LINE + "\\\n",
        LINE.replace("sha256", "SHA256"),
        # Word processors and chat programs replace dashes, quotes and spaces; terminals add colors.
        LINE.replace(" --", " \u2013"),
        LINE.replace(" --", " \u2014"),
        LINE.replace(" --", " \u2013\u2013"),
        LINE.replace(" --", " -\u2013"),
        LINE.replace(" ", "\u00a0"),
        LINE.replace(TOKEN, f"\u201c{TOKEN}\u201d").replace(CA, f"\u2018{CA}\u2019"),
        "\ufeff" + LINE,
        LINE.replace("--token", "\u200b--token"),
        f"\x1b[1;32m{LINE}\x1b[0m",
    ],
)
def test_shapes_that_people_paste(text: str) -> None:
    assert parse(text) == JoinCommand("10.0.0.1:6443", TOKEN, [CA])


@pytest.mark.parametrize(
    "endpoint, full",
    [
        ("k8s.example.org:8443", "k8s.example.org:8443"),
        ("k8s.example.org", "k8s.example.org:6443"),
        ("[fd00::1]:6443", "[fd00::1]:6443"),
        ("[fd00::1]", "[fd00::1]:6443"),
        ("fd00::1", "[fd00::1]:6443"),
    ],
)
def test_endpoints(endpoint: str, full: str) -> None:
    assert parse(LINE.replace("10.0.0.1:6443", endpoint)).endpoint == full


def test_several_hashes_in_both_spellings() -> None:
    several = f"{LINE}--discovery-token-ca-cert-hash {OTHER}"
    assert parse(several).ca_cert_hashes == [CA, OTHER]
    assert parse(LINE.replace(CA, f"{CA},{OTHER}")).ca_cert_hashes == [CA, OTHER]


def test_control_plane_without_a_key_is_for_those_who_copied_the_certificates() -> None:
    command = parse(f"{LINE}--control-plane")
    assert command.control_plane and command.certificate_key == ""


def test_the_worker_form_of_a_control_plane_command_has_no_key() -> None:
    command = parse(f"{LINE}--control-plane --certificate-key {KEY}", control_plane=False)
    assert not command.control_plane and command.certificate_key == ""


# -- everything else


@pytest.mark.parametrize(
    "text, says",
    [
        ("", "is empty"),
        (" \n\t ", "is empty"),
        ("kubectl get nodes", "does not contain `kubeadm join`"),
        ("run kubeadm join on the others", "does not contain `kubeadm join`"),
        (
            "The kubeadm join command: see the manual\nkubeadm join [api-server-endpoint] [flags]",
            "does not contain `kubeadm join`",
        ),
        (TOKEN, "is only a token"),
        (LINE.replace(f"--token {TOKEN} ", ""), "does not have a token"),
        (LINE.replace(TOKEN, "abcdef.0123456789abcde"), "token is malformed: it has 6 + 15 characters"),
        (LINE.replace(TOKEN, "ABCDEF.0123456789abcdef"), "characters other than a-z and 0-9"),
        (LINE.replace(TOKEN, "abcdef0123456789abcdef"), "it has 0 dots"),
        (LINE.replace(f"--token {TOKEN}", "--token"), "has --token without a value"),
        (LINE.replace(CA, "sha256:abc"), "CA certificate hash is 'sha256:abc'"),
        (LINE.replace("sha256:", "sha512:"), "not sha256: and 64"),
        (LINE.replace(f"--discovery-token-ca-cert-hash {CA}", ""), "does not have --discovery-token-ca-cert-hash"),
        (LINE.replace(f" {CA}", ""), "has --discovery-token-ca-cert-hash without a value"),
        (LINE.replace("10.0.0.1:6443 ", ""), "does not name an endpoint"),
        (LINE.replace("10.0.0.1:6443", "10.0.0.1:99999"), "endpoint '10.0.0.1:99999'"),
        (LINE.replace("10.0.0.1:6443", "https://10.0.0.1:6443"), "endpoint 'https://10.0.0.1:6443'"),
        (LINE.replace("10.0.0.1:6443", "10.0.0.1:6443 w1"), "has unexpected words"),
        (f"{LINE}--control-plane --certificate-key abc", "it has 3 characters; a certificate key"),
        (f"{LINE}--control-plane --certificate-key {KEY[:-1]}x", "not all of them hexadecimal"),
        (f"{LINE}--control-plane --certificate-key", "has --certificate-key without a value"),
        (f"{LINE}--certificate-key {KEY}", "has --certificate-key without --control-plane"),
        (f"{LINE}--v=5", "has --v, which kubeadm does not print"),
        (f"{LINE}--discovery-token-unsafe-skip-ca-verification", "which trusts any server"),
        (f"{LINE}--token zzzzzz.0123456789abcdef", "has several tokens"),
        (
            LINE + "\n" + LINE.replace("10.0.0.1", "10.0.0.2"),
            "contains 2 different commands (for 10.0.0.1:6443 and",
        ),
        (f"{LINE}--token 'abc", "can't be read (No closing quotation)"),
        (f"error: token {TOKEN} expired", "reports an expired or unknown token"),
        (f'token "{TOKEN}" not found', "reports an expired or unknown token"),
        ("timed out waiting for the condition", "is an error message"),
    ],
)
def test_anything_else_fails_precisely_and_without_secrets(text: str, says: str) -> None:
    with pytest.raises(JoinCommandError) as caught:
        parse(text)
    message = caught.value.message
    assert message.startswith("join command")
    assert says in message
    assert "\n" not in message
    for secret in ("0123456789abcde", KEY[:-1]):
        assert secret not in message


def test_a_form_that_is_not_there() -> None:
    with pytest.raises(JoinCommandError, match="does not have a command with --control-plane"):
        parse(LINE, control_plane=True)


def test_two_control_plane_forms_with_different_keys() -> None:
    text = f"{LINE}--control-plane --certificate-key {KEY}\n{LINE}--control-plane --certificate-key {'f' * 64}"
    with pytest.raises(JoinCommandError, match="has 2 certificate keys"):
        parse(text, control_plane=True)


def test_what_is_no_text_at_all() -> None:
    with pytest.raises(JoinCommandError, match="join command is a list, not text"):
        parse([LINE])  # type: ignore[arg-type]


# -- results of kubeadm_join_token

RESULT = {
    "changed": True,
    "endpoint": "10.0.0.1:6443",
    "token": TOKEN,
    "ca_cert_hashes": [CA],
    "certificate_key": KEY,
    "control_plane": True,
    "expires": "2026-11-23T12:15:00Z",
}


def test_a_result_for_each_role() -> None:
    assert from_result(RESULT) == JoinCommand("10.0.0.1:6443", TOKEN, [CA], KEY, True, "2026-11-23T12:15:00Z")
    worker = from_result(RESULT, control_plane=False)
    assert (worker.control_plane, worker.certificate_key) == (False, "")


def test_a_result_of_the_command_module() -> None:
    assert from_result({"rc": 0, "stdout": LINE}) == JoinCommand("10.0.0.1:6443", TOKEN, [CA])


@pytest.mark.parametrize(
    "change, says",
    [
        ({"failed": True, "msg": f"no: {TOKEN}\nmore"}, "is the result of a failed task: no: abcdef.<hidden>;"),
        ({"skipped": True}, "is the result of a skipped task"),
        ({"token": ""}, "does not have a token"),
        ({"token": None}, "does not have a token"),
        ({"endpoint": ""}, "does not name an endpoint"),
        ({"ca_cert_hashes": []}, "does not have --discovery-token-ca-cert-hash"),
        ({"ca_cert_hashes": CA}, "ca_cert_hashes of join command are not a list"),
        ({"certificate_key": "x"}, "certificate key is malformed"),
    ],
)
def test_results_that_are_no_join_command(change: dict[str, object], says: str) -> None:
    with pytest.raises(JoinCommandError) as caught:
        from_result({**RESULT, **change})
    assert says in caught.value.message
    assert "0123456789abcdef" not in caught.value.message


# -- time


NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("end", ["", "2026-11-23T12:00:01Z", "2026-11-23T13:00:01+01:00", "2026-11-23T12:00:01.5Z"])
def test_a_token_that_lives(end: str) -> None:
    require_alive(JoinCommand("e:1", TOKEN, [CA], expires=end), NOW)


@pytest.mark.parametrize("end", ["2026-11-23T12:00:00Z", "2026-11-23T13:00:00+01:00", "2025-01-01T00:00:00"])
def test_a_token_that_has_expired(end: str) -> None:
    with pytest.raises(JoinCommandError) as caught:
        require_alive(JoinCommand("e:1", TOKEN, [CA], expires=end), NOW)
    assert (
        f"token abcdef of join command expired at {end} (the time on this machine is 2026-11-23T12:00:00Z); create"
        in caught.value.message
    )
    assert "0123456789abcdef" not in caught.value.message


def test_an_end_that_is_no_time() -> None:
    with pytest.raises(JoinCommandError, match="the expiration time of join command is 'soon', not an ISO 8601 time"):
        require_alive(JoinCommand("e:1", TOKEN, [CA], expires="soon"), NOW)


# -- secrets


def test_no_secret_in_repr_or_public_data() -> None:
    command = JoinCommand("10.0.0.1:6443", TOKEN, [CA], KEY, True)
    for text in (repr(command), str(command), str(command.public())):
        assert "0123456789abcdef" not in text
    assert command.public()["token_id"] == "abcdef"


def test_hide_takes_secrets_and_leaves_the_rest() -> None:
    text = f"token {TOKEN} at 10.0.0.1:6443 with {CA}, key {KEY}, secret s3cret; see kubernetes.io/docs"
    hidden = redact(text, "s3cret", "")
    assert (
        hidden
        == f"token abcdef.<hidden> at 10.0.0.1:6443 with {CA}, key <hidden>, secret <hidden>; see kubernetes.io/docs"
    )


# -- what is rendered is read back


def _random_command(dice: random.Random) -> JoinCommand:
    word = "".join(dice.choices(string.ascii_lowercase, k=dice.randint(1, 12)))
    host = dice.choice(
        [
            ".".join(str(dice.randint(0, 255)) for _i in range(4)),
            f"[fd00:{dice.randint(0, 0xFFFF):x}::{dice.randint(1, 0xFFFF):x}]",
            f"{word}.example.org",
            word,
        ]
    )
    alphabet = string.ascii_lowercase + string.digits
    control_plane = dice.random() < 0.5
    hashes = {"sha256:" + "".join(dice.choices("0123456789abcdef", k=64)) for _i in range(dice.randint(1, 4))}
    return JoinCommand(
        endpoint=f"{host}:{dice.randint(1, 65535)}",
        token="".join(dice.choices(alphabet, k=6)) + "." + "".join(dice.choices(alphabet, k=16)),
        ca_cert_hashes=sorted(hashes),
        certificate_key="".join(dice.choices("0123456789abcdef", k=64))
        if control_plane and dice.random() < 0.8
        else "",
        control_plane=control_plane,
    )


@pytest.mark.parametrize("seed", range(300))
def test_what_is_rendered_is_read_back(seed: int) -> None:
    dice = random.Random(seed)
    command = _random_command(dice)
    text = render(command, lines=dice.random() < 0.5)
    before = dice.choice(["", "\n", "Then run the following on each as root:\n\n", "  $ ", "sudo "])
    after = dice.choice(["", "\n", "\n\nPlease keep it secret!\n", "\r\n"])
    assert parse(before + text + after) == command
    assert redact(text, command.token).count(command.token) == 0
    both = render(JoinCommand(command.endpoint, command.token, command.ca_cert_hashes)) + "\nor\n" + text
    assert parse(both, control_plane=command.control_plane) == command


@pytest.mark.parametrize("seed", range(200))
def test_a_damaged_command_is_refused_or_means_the_same(seed: int) -> None:
    """Cut anywhere, a command is never read as another one."""
    dice = random.Random(seed)
    command = _random_command(dice)
    text = render(command, lines=dice.random() < 0.5)
    cut = text[: dice.randrange(len(text))]
    try:
        read = parse(cut)
    except JoinCommandError as err:
        assert command.token.split(".")[1] not in err.message
        assert "\n" not in err.message
        return
    assert read.token == command.token
    assert read.endpoint == command.endpoint
    assert set(read.ca_cert_hashes) <= set(command.ca_cert_hashes)
    assert read.certificate_key in ("", command.certificate_key)


@pytest.mark.parametrize("text", ["kubeadm 1.35.0", "registry.k8s.io/pause:3.10", "10.244.0.0/16", CA])
def test_hide_leaves_versions_names_and_pins(text: str) -> None:
    assert redact(text) == text
