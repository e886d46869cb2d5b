# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.options import to_dict
from ansible_collections.kubestead.cluster.plugins.module_utils.core.step import Step, diff
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import Result
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.kubectl import (
    KUBEADM_CONFIG,
    ApiUnreachable,
    Kubectl,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import (
    bootstrap_token,
    cluster_info,
    token_manager,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.bootstrap_token import (
    DESCRIPTION,
    Token,
    TokenOptions,
    TokenState,
    parse_duration,
    read_token,
    token_secret,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.token_manager import TokenManager
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.token_plan import (
    plan_absent,
    plan_present,
    reusable,
)
from ansible_collections.kubestead.cluster.tests.unit.support import Clock, Machine, fixture

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
INFO = json.loads(fixture("join/v1.35/cluster-info.json"))
TOKENS = json.loads(fixture("join/v1.35/token-secrets.json"))
CA = "sha256:dc846602c390dff22f312f0cf8a3b5d6064860426c5ac9119b7a4351697241f1"
GROUPS = ["system:bootstrappers:kubeadm:default-node-token"]
NOT_FOUND = Result(1, "", 'Error from server (NotFound): secrets "x" not found\n')


class FakeApi:
    """The part of an API that tokens need: Secrets by name, and a controller that signs cluster-info."""

    def __init__(self, machine: Machine, signs_after: int = 1) -> None:
        self.secrets: dict[str, dict[str, Any]] = {}
        self.info = json.loads(json.dumps(INFO))
        self.machine = machine
        self._signs_after = signs_after
        machine.answer("kubectl", self._answer)

    def _answer(self, argv: Sequence[str], stdin: str | None) -> Result:
        if "delete" in argv:
            for name in argv[argv.index("--wait=false") + 1 :]:
                self.secrets.pop(name, None)
            return Result(0)
        if "create" in argv:
            return self._create(json.loads(stdin or "")["items"])
        path = argv[argv.index("--raw") + 1]
        name = path.rpartition("/")[2]
        if path == cluster_info.PATH:
            self._signs_after -= 1 if self.secrets else 0
            if self._signs_after < 0:
                for secret in self.secrets:
                    self.info["data"][f"jws-kubeconfig-{secret[16:]}"] = "x..y"
            return Result(0, json.dumps(self.info))
        if path == bootstrap_token.TOKEN_SECRETS:
            return Result(0, json.dumps({"items": list(self.secrets.values())}))
        if path == KUBEADM_CONFIG:
            text = "apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.35.0\n"
            return Result(0, json.dumps({"data": {"ClusterConfiguration": text}}))
        return Result(0, json.dumps(self.secrets[name])) if name in self.secrets else NOT_FOUND

    def _create(self, bodies: list[dict[str, Any]]) -> Result:
        printed, refused = [], []
        for body in bodies:
            name = body["metadata"]["name"]
            if name in self.secrets:
                refused.append(f'Error from server (AlreadyExists): secrets "{name}" already exists')
                continue
            data = {key: base64.b64encode(value.encode()).decode() for key, value in body.pop("stringData").items()}
            self.secrets[name] = dict(body, data=data)
            printed.append(f"secret/{name}")
        return Result(1 if refused else 0, "\n".join(printed), "\n".join(refused))


def create(*bearers: str) -> Step:
    return Step("join", "create", "bootstrap token", "", data={"bearers": list(bearers or [""])})


def manager(machine: Machine, options: TokenOptions | None = None, sign_timeout: float = 60.0) -> TokenManager:
    kubectl = Kubectl(machine)
    return TokenManager(kubectl, options or TokenOptions(), sign_timeout, lambda: NOW, **Clock().injected)


def token(**changes: Any) -> Token:
    usual = Token(
        "aaaaaa", _at(minutes=15), DESCRIPTION, nodes=["w1"], usages=["signing", "authentication"], groups=GROUPS
    )
    return replace(usual, **changes)


def state(*tokens: Token, **changes: Any) -> TokenState:
    return TokenState("10.0.0.1:6443", [CA], list(tokens), [one.token_id for one in tokens], **changes)


def _at(**delta: int) -> str:
    return (NOW + timedelta(**delta)).strftime("%Y-%m-%dT%H:%M:%SZ")


# -- durations and options


@pytest.mark.parametrize(
    "text, seconds",
    [("15m", 900), ("900", 900), ("1h30m", 5400), ("90s", 90), ("24h", 86400), ("1d", 86400), (" 1m ", 60)],
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "15 m", "m", "-5m", "1.5h", "15m5"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(OptionError, match="^ttl is .*, not a duration; use"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["0", "59s", "25h", "2d"])
def test_durations_that_are_too_short_or_too_long(text: str) -> None:
    with pytest.raises(OptionError, match="not between 1m and 24h"):
        parse_duration(text)


@pytest.mark.parametrize(
    "options, says",
    [
        (TokenOptions(usages=[]), "usages has"),
        (TokenOptions(usages=["joining"]), "usages has"),
        (TokenOptions(groups=["system:masters"]), "groups has 'system:masters'"),
    ],
)
def test_options_that_can_not_be(options: TokenOptions, says: str) -> None:
    with pytest.raises(OptionError, match=says):
        options.validate()
    TokenOptions().validate()


# -- what a real cluster answers


def test_cluster_info_of_a_real_cluster() -> None:
    info = cluster_info.read(INFO)
    assert info.endpoint == "10.213.0.28:6443"
    assert info.ca_cert_hashes == [CA]
    assert info.knows("mzw64h") and not info.knows("aaaaaa")


def test_the_signature_of_a_real_cluster_is_that_of_its_token_alone() -> None:
    info = cluster_info.read(INFO)
    real = re.search(r"--token (\S+)", fixture("join/v1.35/worker.txt"))
    assert real is not None
    assert info.signed_by(real.group(1))
    token_id = real.group(1)[:6]
    assert not info.signed_by(f"{token_id}.0123456789abcdef")
    assert not info.signed_by(f"{token_id}.")
    assert not info.signed_by("aaaaaa.0123456789abcdef")
    assert not replace(info, kubeconfig=info.kubeconfig + " ").signed_by(real.group(1))
    assert not replace(info, signatures={token_id: "x..y"}).signed_by(real.group(1))
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    assert not replace(info, signatures={token_id: f"{unsigned}.."}).signed_by(real.group(1))


@pytest.mark.parametrize(
    "data, says",
    [({}, "server"), ({"kubeconfig": "clusters:\n- cluster:\n    server: https://h:1\n"}, "CA certificate")],
)
def test_cluster_info_that_lacks_something(data: dict[str, str], says: str) -> None:
    with pytest.raises(KubesteadError, match=f"cluster-info does not have a {says}; run"):
        cluster_info.read({"data": data})


def test_tokens_of_a_real_cluster() -> None:
    tokens = {one.token_id: one for one in map(read_token, TOKENS["items"])}
    usual = tokens["mzw64h"]
    assert usual.expires == "2026-11-25T00:06:25Z"
    assert usual.usages == ["signing", "authentication"] and usual.groups == GROUPS
    assert usual.well_formed and not usual.ours
    proxy = tokens["pl7mui"]
    assert proxy.usages == [] and "kubeadm-certs" in proxy.description


def test_a_state_holds_no_secret(machine: Machine) -> None:
    machine.answer("kubectl", lambda argv, _stdin: Result(0, json.dumps(TOKENS if "?" in argv[-1] else INFO)))
    observed = bootstrap_token.observe(Kubectl(machine))
    text = repr(observed) + json.dumps(to_dict(observed))
    for item in TOKENS["items"]:
        secret = base64.b64decode(item["data"]["token-secret"]).decode()
        assert secret not in text and item["data"]["token-secret"] not in text
    assert observed.endpoint == "10.213.0.28:6443"
    assert "mzw64h" in observed.signed


def test_no_cluster_info(machine: Machine) -> None:
    machine.answer("kubectl", NOT_FOUND)
    with pytest.raises(KubesteadError, match="cluster-info is missing in namespace kube-public"):
        bootstrap_token.observe(Kubectl(machine))


def test_no_api(machine: Machine) -> None:
    machine.answer("kubectl", Result(1, "", "The connection to the server 10.0.0.1:6443 was refused - did you …"))
    with pytest.raises(ApiUnreachable, match="does not answer"):
        bootstrap_token.observe(Kubectl(machine))


# -- plans


def test_one_is_minted_where_there_is_none() -> None:
    steps = plan_present(state(), TokenOptions(nodes=["w1", "w2"]), NOW)
    assert [step.summary() for step in steps] == [
        "create bootstrap tokens (w1, w2 to join, no token to reuse, valid for 15 min)"
    ]


@pytest.mark.parametrize(
    "there, options",
    [
        (token(), TokenOptions(nodes=["w1"])),
        (token(nodes=[]), TokenOptions()),
        (token(expires=_at(seconds=450)), TokenOptions(nodes=["w1"])),
        (token(expires=""), TokenOptions(nodes=["w1"])),
    ],
)
def test_tokens_that_are_reused(there: Token, options: TokenOptions) -> None:
    assert list(reusable(state(there), options, NOW).values()) == [there]
    assert plan_present(state(there), options, NOW) == []


@pytest.mark.parametrize(
    "there",
    [
        token(description="somebody's"),
        token(expires=_at(seconds=449)),
        token(expires=_at(minutes=-1)),
        token(expires="never"),
        token(nodes=["w9"]),
        token(nodes=[]),
        token(nodes=["w1", "w2"]),
        token(usages=["authentication"]),
        token(groups=["system:bootstrappers:other"]),
        token(well_formed=False),
    ],
)
def test_tokens_that_are_not_reused(there: Token) -> None:
    options = TokenOptions(nodes=["w1"])
    assert reusable(state(there), options, NOW) == {}
    assert plan_present(state(there), options, NOW)[-1].action == "create"


def test_an_unsigned_token_is_not_reused() -> None:
    assert reusable(replace(state(token()), signed=[]), TokenOptions(nodes=["w1"]), NOW) == {}


def test_reuse_can_be_turned_off() -> None:
    steps = plan_present(state(token()), TokenOptions(nodes=["w1"], reuse=False), NOW)
    assert [(step.action, step.target) for step in steps] == [
        ("delete", "bootstrap token aaaaaa"),
        ("create", "bootstrap token"),
    ]


def test_the_longest_life_is_taken_and_the_rest_of_the_same_work_removed() -> None:
    short, other_run = token(token_id="bbbbbb", expires=_at(minutes=9)), token(token_id="cccccc", nodes=["w7"])
    old, foreign = (
        token(token_id="dddddd", nodes=["w8"], expires=_at(hours=-1)),
        token(token_id="eeeeee", description="x"),
    )
    there = state(token(), short, other_run, old, foreign)
    options = TokenOptions(nodes=["w1"])
    assert {name: one.token_id for name, one in reusable(there, options, NOW).items()} == {"w1": "aaaaaa"}
    assert [step.target for step in plan_present(there, options, NOW)] == [
        "bootstrap token bbbbbb",
        "bootstrap token dddddd",
    ]


def test_certificates_are_uploaded_only_for_control_planes() -> None:
    assert [step.action for step in plan_present(state(), TokenOptions(control_plane=True), NOW)] == [
        "create",
        "upload",
    ]


def test_certificates_of_a_run_that_was_cut_off_are_deleted_with_the_token_that_ends_them() -> None:
    left = state(certificates=True, certificates_owner="bootstrap-token-abcdef")
    steps = plan_present(left, TokenOptions(control_plane=True), NOW)
    assert [step.action for step in steps] == ["create", "delete", "upload"]
    assert steps[1].data == {"secrets": ["kubeadm-certs", "bootstrap-token-abcdef"]}
    assert [step.action for step in plan_present(left, TokenOptions(), NOW)] == ["create"]
    assert [step.action for step in plan_present(state(), TokenOptions(), NOW)] == ["create"]


def test_deletion_is_by_id_and_happens_once() -> None:
    there = state(token(), token(token_id="bbbbbb"), token(token_id="cccccc", expires=_at(hours=-1)))
    steps = plan_absent(there, "aaaaaa", False, NOW)
    assert [step.target for step in steps] == ["bootstrap token aaaaaa", "bootstrap token cccccc"]
    assert plan_absent(state(), "aaaaaa", False, NOW) == []
    assert plan_absent(state(), "", True, NOW) == []


def test_the_tokens_of_nodes_are_deleted_whatever_is_known_of_them() -> None:
    left = token(token_id="bbbbbb", nodes=["w2"])
    there = state(
        token(), left, token(token_id="cccccc", nodes=["w3"]), token(token_id="dddddd", description="x", nodes=["w1"])
    )
    steps = plan_absent(there, "", False, NOW, ["w1", "w2"])
    assert [step.target for step in steps] == ["bootstrap token aaaaaa", "bootstrap token bbbbbb"]
    assert plan_absent(state(token(nodes=[])), "", False, NOW, ["w1"]) == []


def test_each_node_gets_a_token_of_its_own() -> None:
    options = TokenOptions(nodes=["w1", "w2", "w3"])
    (step,) = plan_present(state(token(nodes=["w2"])), options, NOW)
    assert step.data == {"bearers": ["w1", "w3"]}


def test_tokens_of_nodes_that_have_joined_go_before_the_certificates_come(machine: Machine) -> None:
    api = FakeApi(machine)
    workers = manager(machine, TokenOptions(nodes=["w1", "w2"], wait=False))
    workers.apply_all(plan_present(state(), workers.options, NOW))
    there = state(*map(read_token, api.secrets.values()))
    options = TokenOptions(nodes=["cp2"], finished=["w1", "w2"], control_plane=True, wait=False)
    steps = plan_present(there, options, NOW)
    assert [step.action for step in steps] == ["delete", "delete", "create", "upload"]
    machine.answer("kubeadm version -o short", "v1.35.0\n")
    left: list[list[str]] = []

    def upload(_argv: Sequence[str], _stdin: str | None) -> Result:
        left.append([name for secret in api.secrets.values() for name in read_token(secret).nodes])
        return Result(1, "", "no")

    machine.answer("kubeadm init phase upload-certs", upload)
    (machine.folder / "run").mkdir(exist_ok=True)
    work = manager(machine, options)
    with pytest.raises(KubesteadError, match="upload-certs failed"):
        work.apply_all(steps)
    assert left == [["cp2"]]
    work.discard()
    assert api.secrets == {}


def test_tokens_that_may_have_been_created_are_discarded(machine: Machine) -> None:
    api = FakeApi(machine)

    def interrupted(argv: Sequence[str], stdin: str | None) -> Result:
        done = api._answer(argv, stdin)
        return Result(124, "", "timed out") if "create" in argv else done

    machine.answer("kubectl", interrupted)
    work = manager(machine, TokenOptions(nodes=["w1", "w2"]))
    with pytest.raises(KubesteadError):
        work.apply_all([create("w1", "w2")])
    assert len(api.secrets) == 2
    work.discard()
    assert api.secrets == {}


def test_a_foreign_token_is_deleted_when_it_is_named_and_never_otherwise() -> None:
    foreign = token(description="x", expires=_at(hours=-1))
    assert [step.action for step in plan_absent(state(foreign), "aaaaaa", False, NOW)] == ["delete"]
    assert plan_absent(state(foreign), "", False, NOW) == []


def test_certificates_are_deleted_where_they_are() -> None:
    there = replace(state(), certificates=True, certificates_owner="bootstrap-token-pl7mui")
    steps = plan_absent(there, "", True, NOW)
    assert [(step.action, step.target) for step in steps] == [("delete", "control plane certificates")]
    assert steps[0].data["secrets"] == ["kubeadm-certs", "bootstrap-token-pl7mui"]
    assert plan_absent(there, "", False, NOW) == []


# -- doing it


def test_a_token_is_minted_through_standard_input_and_waited_for(machine: Machine) -> None:
    api = FakeApi(machine, signs_after=3)
    options = TokenOptions(nodes=["w2", "w1"])
    work = manager(machine, options)
    work.apply_all(plan_present(state(), options, NOW))
    assert sorted(work.tokens) == ["w1", "w2"]
    assert len([argv for argv in machine.ran if "create" in argv]) == 1
    commands = work.commands(state())
    for name, (text, expires) in work.tokens.items():
        assert re.match(r"^[a-z0-9]{6}\.[a-z0-9]{16}$", text)
        assert expires == "2026-11-23T12:15:00Z"
        token_id, secret = text.split(".")
        made = read_token(api.secrets[f"bootstrap-token-{token_id}"])
        assert made == Token(token_id, expires, DESCRIPTION, [name], ["signing", "authentication"], GROUPS)
        assert made.ours
        assert not [argv for argv in machine.ran if secret in " ".join(argv)]
        assert [given for given in machine.inputs if given and secret in given]
        command = commands[name]
        assert (command.token, command.endpoint, command.ca_cert_hashes) == (text, "10.0.0.1:6443", [CA])
        assert secret not in repr(command)
    assert len({text for text, _expires in work.tokens.values()}) == 2


def test_two_tokens_differ(machine: Machine) -> None:
    FakeApi(machine)
    first, second = manager(machine), manager(machine)
    first.apply_all([create()])
    second.apply_all([create()])
    assert first.tokens[""][0].split(".")[0] != second.tokens[""][0].split(".")[0]
    assert first.tokens[""][0].split(".")[1] != second.tokens[""][0].split(".")[1]


def test_a_token_that_nobody_signs_is_deleted_again(machine: Machine) -> None:
    api = FakeApi(machine, signs_after=10**6)
    with pytest.raises(KubesteadError, match="not signed with token .* within 5 seconds; check") as caught:
        manager(machine, sign_timeout=5.0).apply_all([create("w1", "w2")])
    assert api.secrets == {}
    assert not re.search(r"[a-z0-9]{6}\.[a-z0-9]{16}", caught.value.message)


def test_an_id_that_exists_is_not_overwritten(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    api = FakeApi(machine)
    ids = iter(["aaaaaa", "s" * 16, "aaaaaa", "t" * 16, "bbbbbb", "u" * 16])
    monkeypatch.setattr(token_manager, "_random", lambda _length: next(ids))
    manager(machine).apply_all([create()])
    work = manager(machine)
    work.apply_all([create()])
    assert work.tokens[""][0] == "bbbbbb." + "u" * 16
    assert base64.b64decode(api.secrets["bootstrap-token-aaaaaa"]["data"]["token-secret"]).decode() == "s" * 16


def test_a_refusal_of_the_api_has_no_secret(machine: Machine) -> None:
    def refuse(argv: Sequence[str], stdin: str | None) -> Result:
        (item,) = json.loads(stdin or "{}")["items"]
        secret = item["stringData"]["token-secret"]
        return Result(1, "", f"Error from server (Forbidden): secrets is forbidden: {secret}")

    machine.answer("kubectl", refuse)
    with pytest.raises(KubesteadError, match="is forbidden: <hidden>"):
        manager(machine).apply_all([create()])


def test_reuse_reads_the_secret_and_says_when_it_has_gone(machine: Machine) -> None:
    api = FakeApi(machine)
    options = TokenOptions(nodes=["w1"])
    api.secrets["bootstrap-token-aaaaaa"] = {
        "data": {"token-secret": base64.b64encode(b"0123456789abcdef").decode()},
    }
    work = manager(machine, options)
    work.reuse({"w1": token()})
    assert work.tokens == {"w1": ("aaaaaa.0123456789abcdef", token().expires)}
    with pytest.raises(KubesteadError, match="token bbbbbb has just been deleted; run again"):
        work.reuse({"w1": token(token_id="bbbbbb")})


def test_deletion_of_what_has_gone_meanwhile_is_no_failure(machine: Machine) -> None:
    FakeApi(machine)
    manager(machine).apply_all(plan_absent(state(token()), "aaaaaa", False, NOW))
    machine.answer("kubectl", Result(1, "", "Error from server (Forbidden): no"))
    with pytest.raises(KubesteadError, match="kubectl delete secret bootstrap-token-aaaaaa failed: .*Forbidden"):
        manager(machine).apply_all(plan_absent(state(token()), "aaaaaa", False, NOW))


def test_deleting_removes_the_certificates_and_the_token_that_owns_them(machine: Machine) -> None:
    api = FakeApi(machine)
    api.secrets = {"kubeadm-certs": {}, "bootstrap-token-pl7mui": {}, "bootstrap-token-aaaaaa": {}}
    api.secrets = {name: {"data": {}, "metadata": {"name": name}} for name in api.secrets}
    there = replace(state(), certificates=True, certificates_owner="bootstrap-token-pl7mui")
    manager(machine).apply_all(plan_absent(there, "", True, NOW))
    assert list(api.secrets) == ["bootstrap-token-aaaaaa"]


def test_certificates_pass_in_a_file_that_only_root_reads(machine: Machine, tmp_path: Path) -> None:
    FakeApi(machine)
    (tmp_path / "run").mkdir()
    machine.answer("kubeadm version -o short", "v1.35.0\n")
    seen: dict[str, Any] = {}

    def upload(argv: Sequence[str], stdin: str | None) -> Result:
        path = argv[-1]
        seen.update(path=path, mode=os.stat(path).st_mode & 0o777, text=Path(path).read_text())
        seen.update(folder=os.stat(os.path.dirname(path)).st_mode & 0o777, argv=list(argv))
        return Result(0)

    machine.answer("kubeadm init phase upload-certs", upload)
    work = manager(machine, TokenOptions(control_plane=True))
    work.apply_all([Step("join", "upload", "control plane certificates", "")])
    first, second = seen["text"].split("\n---\n")
    assert re.match(r"^[0-9a-f]{64}$", work.certificate_key)
    assert json.loads(first)["certificateKey"] == work.certificate_key
    assert json.loads(first)["apiVersion"] == "kubeadm.k8s.io/v1beta4"
    assert "kubernetesVersion: v1.35.0" in second
    assert (seen["mode"], seen["folder"]) == (0o600, 0o700)
    assert seen["path"].startswith(str(tmp_path / "run"))
    assert work.certificate_key not in " ".join(seen["argv"])
    assert not os.path.exists(seen["path"]) and list((tmp_path / "run").iterdir()) == []


def test_a_failed_upload_hides_the_key_and_leaves_no_file(machine: Machine, tmp_path: Path) -> None:
    FakeApi(machine)
    (tmp_path / "run").mkdir()
    machine.answer("kubeadm version -o short", "v1.35.0\n")
    machine.answer(
        "kubeadm init phase upload-certs",
        lambda argv, _stdin: Result(
            1, "", "error: bad key " + json.loads(Path(argv[-1]).read_text().split("---")[0])["certificateKey"]
        ),
    )
    work = manager(machine, TokenOptions(control_plane=True))
    with pytest.raises(KubesteadError, match="upload-certs failed: error: bad key <hidden>") as caught:
        work.apply_all([Step("join", "upload", "control plane certificates", "")])
    assert work.certificate_key not in json.dumps(caught.value.details)
    assert list((tmp_path / "run").iterdir()) == []


def test_no_secret_in_steps() -> None:
    steps = plan_present(state(token(expires=_at(hours=-1))), TokenOptions(nodes=["w1"], control_plane=True), NOW)
    text = json.dumps([step.public() for step in steps]) + json.dumps(diff(steps)) + repr(steps)
    assert not re.search(r"[a-z0-9]{6}\.[a-z0-9]{16}|[0-9a-f]{64}", text)


def test_the_secret_is_one_that_the_api_takes() -> None:
    secret = token_secret("aaaaaa", "s" * 16, "w1", TokenOptions(ttl=600, nodes=["w2", "w1"]), NOW)
    assert secret["metadata"]["name"] == "bootstrap-token-aaaaaa"
    assert secret["type"] == "bootstrap.kubernetes.io/token"
    assert secret["stringData"]["expiration"] == "2026-11-23T12:10:00Z"
    assert secret["stringData"]["usage-bootstrap-signing"] == "true"
    assert secret["metadata"]["annotations"] == {"kubestead.cluster/nodes": "w1"}
