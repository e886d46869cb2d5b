# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A whole run at -vvvv through ansible-runner, then a search for every secret of the cluster where none belongs.

Two control planes and a worker, so that there is a certificate key as well. They know no host of the internet, only a
mirror, so that this is also the test of the variables that name one. While the run goes on, the arguments of
all processes are sampled on the nodes and here, and the tokens are read from the API as soon as they are there.

A second run makes many mistakes (:mod:`secret_mistakes`). The same places are searched for its secrets too.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from . import figures, secret_mistakes
from .conftest import ROOT, Lab, nodes

MIRROR = "mirror.lab.test"
PASSWORD = "correct-horse-battery-staple"

# Runs on a node until its file is removed: the arguments of every process there ever was, every join token, and the
# certificate key, which is in a file of root's while kubeadm reads it.
SAMPLER = r"""
import base64, glob, http.client, json, os, re, ssl, tempfile, time
TOKENS = "/api/v1/namespaces/kube-system/secrets?fieldSelector=type%3Dbootstrap.kubernetes.io%2Ftoken"
def client():
    # Not kubectl: twice a second it would take much of a small machine.
    with open("/etc/kubernetes/admin.conf") as stream:
        text = stream.read()
    context = ssl._create_unverified_context()
    with tempfile.NamedTemporaryFile(dir="/dev/shm") as stream:
        for name in "client-certificate-data", "client-key-data":
            stream.write(base64.b64decode(re.search(name + ": (.*)", text)[1]))
        stream.flush()
        context.load_cert_chain(stream.name)
    host, port = re.search("server: https://(.*):([0-9]+)", text).groups()
    return http.client.HTTPSConnection(host, int(port), timeout=2, context=context)
open("/run/sampling", "w").close()
seen, tokens, keys, asked, api = set(), set(), set(), 0.0, None
while os.path.exists("/run/sampling"):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        # The least that reads a file: there are hundreds of them, twenty times a second.
        try:
            number = os.open("/proc/" + pid + "/cmdline", os.O_RDONLY)
        except OSError:
            continue
        try:
            text = os.read(number, 1 << 20)
        except OSError:
            continue
        finally:
            os.close(number)
        if text not in seen:
            seen.add(text)
            with open("/run/arguments", "a") as stream:
                stream.write(text.replace(b"\0", b" ").decode("utf-8", "replace") + "\n")
    for name in glob.glob("/run/kubestead.*/*"):
        try:
            with open(name) as stream:
                keys.update(re.findall("[cC]ertificateKey\\W+([0-9a-f]{64})", stream.read()))
        except OSError:
            continue
    if keys:
        with open("/run/keys", "w") as stream:
            stream.write("\n".join(sorted(keys)))
    if time.monotonic() - asked > 0.5 and os.path.exists("/etc/kubernetes/admin.conf"):
        asked = time.monotonic()
        try:
            api = api or client()
            api.request("GET", TOKENS)
            items = json.loads(api.getresponse().read()).get("items", [])
        except (OSError, http.client.HTTPException, AttributeError, TypeError, ValueError):
            # It is not up yet, or the file not whole.
            api, items = None, []
        for item in items:
            data = {key: base64.b64decode(value).decode() for key, value in item["data"].items()}
            tokens.add(data["token-id"] + "." + data["token-secret"])
        with open("/run/tokens", "w") as stream:
            stream.write("\n".join(sorted(tokens)))
    time.sleep(0.05)
"""

# The private keys of a node, and what a kubeconfig carries, one a line, as they would show up in text.
KEYS = (
    "cat /etc/kubernetes/pki/*.key /etc/kubernetes/pki/etcd/*.key /var/lib/kubelet/pki/*.pem 2>/dev/null"
    " | sed -n '/BEGIN .*PRIVATE/,/END .*PRIVATE/p' | grep -v -e '-----'; "
    "grep -h client-key-data /etc/kubernetes/*.conf | awk '{print $2}'"
)
# Where a run may leave something behind.
LEFTOVERS = (
    "find /tmp /var/tmp /run /root /home -xdev -type f ! -path '*/.kube/config' ! -path /run/tokens ! -path /run/keys "
    "! -path /run/arguments ! -path '/run/containerd/*' ! -path '/run/systemd/*' -size -4M -print0 "
    "| xargs -0 grep -aH '' 2>/dev/null"
)


@dataclass
class Evidence:
    """The secrets of two runs, and every text that must not contain them.

    ``mistakes`` are the results of the second run, by task and host; ``left`` is its list after a host had become
    unreachable: the public part of the token of the host, and the names of the remaining Secrets.
    """

    secrets: dict[str, str]
    texts: dict[str, str]
    status: str
    failures: list[str]
    mistakes: dict[tuple[str, str], dict[str, Any]]
    mistakes_output: str
    left: list[str]


@pytest.fixture(scope="module")
def secret_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    yield from nodes("secrets", ["cp1", "cp2", "w1"], tmp_path_factory.mktemp("secrets"), "--mirror-names-only")


@pytest.fixture(scope="module")
def evidence(secret_lab: Lab) -> Iterator[Evidence]:
    import ansible_runner

    lab, hosts = secret_lab, ("cp1", "cp2", "w1")
    program = base64.b64encode(SAMPLER.encode()).decode()
    start = f"python3 -c \"import base64; exec(base64.b64decode('{program}'))\""
    samplers = [lab.start(host, start) for host in hosts]
    address = lab.variable("cp1", "ansible_host")
    (lab.folder / "runner").mkdir()
    runner = ansible_runner.run(
        private_data_dir=str(lab.folder / "runner"),
        project_dir=str(ROOT),
        playbook="site.yml",
        inventory=str(lab.inventory),
        verbosity=4,
        quiet=True,
        extravars={
            "cluster_endpoint": f"{address}:6443",
            "cluster_packages_url": f"https://{MIRROR}/k8s",
            "cluster_image_repository": f"{MIRROR}/k8s",
            "containerd_registry_mirrors": {"docker.io": [f"https://{MIRROR}"]},
            "containerd_registry_credentials": [
                {"registry": "private.lab.test", "username": "lab", "password": PASSWORD},
            ],
        },
        envvars={
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(lab.folder / "local"),
            "ANSIBLE_CACHE_PLUGIN": "jsonfile",
            "ANSIBLE_CACHE_PLUGIN_CONNECTION": str(lab.folder / "facts"),
            "ANSIBLE_DIFF_ALWAYS": "1",
            **outputs(lab.folder),
        },
    )
    mistaken, left = run_with_mistakes(lab)
    texts = {}
    # The variables of a run are the caller's own; runner keeps what it was given.
    given = (str(lab.folder / "runner" / "env"), str(lab.folder / "given"), str(lab.folder / "mistakes" / "env"))
    for folder in (lab.folder, Path(os.path.expanduser("~/.ansible/tmp"))):
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not str(path).startswith(given):
                texts[str(path)] = path.read_text(errors="replace")
    secrets = {"password of a registry": PASSWORD, **secret_mistakes.secrets()}
    for host in hosts:
        lab.ssh(host, "rm -f /run/sampling")
        texts[f"{host}: arguments of processes"] = lab.ssh(host, "cat /run/arguments")
        texts[f"{host}: journal"] = lab.ssh(host, "journalctl --no-pager -q -a; cat /var/log/syslog 2>/dev/null; true")
        texts[f"{host}: files left"] = lab.ssh(host, LEFTOVERS, check=False)
        for number, line in enumerate(lab.ssh(host, KEYS).split()):
            # The first and the last line of a key may be short or the same in many keys.
            if len(line) >= 60:
                secrets[f"key line {number} of {host}"] = line[:60] if len(line) < 100 else line[200:260]
        for number, token in enumerate(lab.ssh(host, "cat /run/tokens 2>/dev/null", check=False).split()):
            secrets[f"token {number} seen on {host}"] = token
            secrets[f"secret of token {number} seen on {host}"] = token.partition(".")[2]
            # The part of the secret in interrupted output.
            secrets[f"half the secret of token {number} seen on {host}"] = token.partition(".")[2][:8]
        for key in lab.ssh(host, "cat /run/keys 2>/dev/null", check=False).split():
            secrets[f"certificate key seen on {host}"] = key
    for sampler in samplers:
        sampler.wait(timeout=30)
    # The output of such a run is too long to be read when a test fails.
    failures = [
        json.dumps({key: event["event_data"].get(key) for key in ("host", "task", "res")}, indent=1)
        for event in runner.events
        if event["event"] in ("runner_on_failed", "runner_on_unreachable")
    ]
    # Results of callbacks do not contain "failed"; the name of the event does.
    said = {
        (event["event_data"]["task"], event["event_data"]["host"]): {
            **event["event_data"]["res"],
            "failed": event["event"] == "runner_on_failed",
        }
        for event in mistaken.events
        if event["event"].startswith("runner_on_") and "res" in event["event_data"]
    }
    output = mistaken.stdout.read()
    yield Evidence(secrets, texts, runner.status, failures, said, output, left)


def outputs(folder: Path) -> dict[str, str]:
    """The environment variables that make a run keep its results in further formats."""
    return {
        "ANSIBLE_CALLBACKS_ENABLED": "junit,tree",
        "ANSIBLE_CALLBACK_TREE_DIR": str(folder / "tree"),
        "JUNIT_OUTPUT_DIR": str(folder / "junit"),
    }


def run_with_mistakes(lab: Lab) -> tuple[Any, list[str]]:
    """The run with mistakes on the existing cluster, and the list of Secrets that remained after it."""
    import ansible_runner

    for cut in secret_mistakes.CUTS:
        program = base64.b64encode(secret_mistakes.cut_python(cut).encode()).decode()
        path = secret_mistakes.CUT_PATH.format(cut)
        lab.ssh("cp1", f"echo {program} | base64 -d > {path} && chmod 755 {path}")
    for name in ("given", "mistakes"):
        (lab.folder / name).mkdir()
    names = lab.folder / "names-of-secrets"
    inventory, playbook = secret_mistakes.write(
        lab.folder / "given", str(ROOT / "playbooks/preflight.yml"), {"secrets": str(names)}
    )
    runner = ansible_runner.run(
        private_data_dir=str(lab.folder / "mistakes"),
        project_dir=str(ROOT),
        playbook=str(playbook),
        inventory=[str(lab.inventory), str(inventory)],
        verbosity=4,
        quiet=True,
        envvars={
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(lab.folder / "local"),
            "ANSIBLE_DIFF_ALWAYS": "1",
            **outputs(lab.folder),
        },
    )
    return runner, names.read_text().split() if names.exists() else []


def test_the_run_made_a_cluster_and_was_watched(secret_lab: Lab, evidence: Evidence) -> None:
    assert evidence.status == "successful", "\n".join(evidence.failures)
    names = secret_lab.kubectl("get nodes -o name").split()
    assert sorted(names) == ["node/cp1", "node/cp2", "node/w1"]
    # Without these the search below would find nothing because it looked for nothing.
    assert any(name.startswith("token") for name in evidence.secrets)
    # On the first control plane it is in a file for an instant only.
    assert "certificate key seen on cp2" in evidence.secrets
    assert any("of w1" in name for name in evidence.secrets) and len(evidence.secrets) > 30
    assert "kubeadm join" in evidence.texts["w1: arguments of processes"]
    assert "kubeadm join" in evidence.texts["cp2: arguments of processes"]
    assert any("stdout" in name for name in evidence.texts) and any("job_events" in name for name in evidence.texts)


def test_everything_came_from_the_mirror(secret_lab: Lab, evidence: Evidence) -> None:
    for host in ("cp1", "cp2", "w1"):
        images = secret_lab.ssh(host, "ctr -n k8s.io images ls -q | grep -v ^sha256").split()
        assert images and all(image.startswith(f"{MIRROR}/") for image in images), images
        assert MIRROR in secret_lab.ssh(host, "cat /etc/apt/sources.list.d/*kubernetes*")


def test_no_secret_is_anywhere_it_does_not_belong(evidence: Evidence) -> None:
    found = [
        f"{what} in {where}"
        for where, text in evidence.texts.items()
        for what, secret in evidence.secrets.items()
        if secret in text
    ]
    figures.count("secrets", f"searched in {len(evidence.texts)} texts", len(evidence.secrets))
    figures.count("secrets", "leaked", len(found))
    assert found == []


def test_every_mistake_was_made_and_refused(evidence: Evidence) -> None:
    """Without the mistakes, the search would have nothing to find."""
    said = evidence.mistakes
    for cut in secret_mistakes.CUTS:
        broken = said[(f"Create a token and break off {cut}", "cp1")]
        assert broken.get("failed") and "is incomplete (exit code 137)" in broken["msg"], broken
    for number in range(len(secret_mistakes.MANIFESTS)):
        assert said[(f"Apply mistaken manifests {number}", "cp1")].get("failed"), number
    for number in range(len(secret_mistakes.JOINS)):
        assert said[(f"Join with a mistaken command {number}", "cp1")].get("failed"), number
    for host, variables in secret_mistakes.hosts().items():
        (option,) = [name for name in variables if not name.startswith("ansible_")]
        lines = [line for line in evidence.mistakes_output.splitlines() if host in line and option in line]
        assert lines, (host, option)


def test_results_in_every_format_were_searched(evidence: Evidence) -> None:
    folders = {part for name in evidence.texts for part in Path(name).parts}
    assert {"job_events", "fact_cache", "tree", "junit", "stdout"} <= folders
    # The fact cache is JSON within a JSON string.
    facts = [text.replace("\\", "") for name, text in evidence.texts.items() if "fact_cache" in name]
    cached = [text for text in facts if '"kept"' in text]
    assert len(cached) >= 2 and all('"containerd"' in text for text in cached)


def test_the_token_of_an_unreachable_host_is_gone_when_its_join_has_ended(evidence: Evidence) -> None:
    assert "w9 became unreachable while it joined" in evidence.mistakes[("Join an unreachable host", "w9")]["msg"]
    token_id, *left = evidence.left
    assert left and f"secret/bootstrap-token-{token_id}" not in left
    # The token of another host remains, because its creation was interrupted.
    assert [name for name in left if "bootstrap-token" in name]


def test_the_token_is_deleted_and_the_certificates_with_it(secret_lab: Lab, evidence: Evidence) -> None:
    names = secret_lab.kubectl("get secrets -n kube-system -o name").split()
    assert not [name for name in names if "bootstrap-token" in name or "kubeadm-certs" in name]


@pytest.mark.parametrize("host", ["cp1", "cp2", "w1"])
def test_files_with_secrets_are_roots_alone(secret_lab: Lab, evidence: Evidence, host: str) -> None:
    listing = secret_lab.ssh(
        host,
        "find /etc/kubernetes/*.conf /etc/kubernetes/pki /var/lib/kubelet/pki /etc/containerd -type f "
        "\\( -name '*.key' -o -name '*.conf' -o -name '*.pem' -o -name '*.toml' \\) -printf '%u %m %p\\n'; true",
    )
    for line in listing.splitlines():
        owner, mode, path = line.split(" ", 2)
        secret = not path.endswith(".toml") or PASSWORD in secret_lab.ssh(host, f"cat {path}")
        if secret and not path.endswith("kubelet.crt"):
            assert (owner, mode) == ("root", "600"), line
