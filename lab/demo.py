# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster of ``./dev lab`` and the demo application on it."""

from __future__ import annotations

import pathlib
import subprocess
import time
import urllib.error
import urllib.request
from typing import Callable, Dict, List, Sequence, Set

from . import nodes
from .environment import tool_environment
from .inventory import DEFAULT_SET
from .machine import ROOT, MachineError
from .say import say

NAMESPACE = "webapp"
DEPLOY = ("-e", "deploy_manifests=examples/webapp", "-e", f"deploy_namespace={NAMESPACE}")
ANSWER_SECONDS = 60.0


def play(venv: pathlib.Path, inventory: pathlib.Path, playbook: str, *arguments: str) -> None:
    """Run a playbook on the nodes with its output shown. Raises :class:`MachineError` when it fails."""
    argv = [str(venv / "bin" / "ansible-playbook"), "-i", str(inventory), playbook, *arguments]
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, cwd=ROOT, env=tool_environment(venv))
    if done.returncode:
        raise MachineError(
            f"{playbook} failed with code {done.returncode}: see its output above; run it again to continue"
        )


def control_plane() -> nodes.Node:
    """The lab's first control plane."""
    for node in nodes.listed(DEFAULT_SET):
        if node.name.startswith("cp"):
            return node
    raise MachineError("the lab has no control plane; run ./dev lab")


def kubectl(command: str) -> str:
    """Run kubectl on the control plane as the login user; its output."""
    done = nodes.ssh(control_plane(), f"kubectl {command}")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise MachineError(f"kubectl {command} failed with code {done.returncode}: {last}")
    return done.stdout.rstrip()


def fetch(url: str) -> str:
    """The text at a URL, without this machine's proxies."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=5) as answer:
        return str(answer.read().decode("utf-8", "replace")).strip()


def ask(
    urls: Sequence[str], pods: Set[str], get: Callable[[str], str] = fetch, seconds: float = ANSWER_SECONDS
) -> Dict[str, str]:
    """The last answer of each URL, as soon as every URL has answered and each of ``pods`` was named in an answer.

    Raises :class:`MachineError` after ``seconds`` naming what is missing.
    """
    answers: Dict[str, str] = {}
    seen: Set[str] = set()
    trouble = ""
    deadline = time.monotonic() + seconds
    while True:
        for url in urls:
            try:
                answers[url] = get(url)
            except (OSError, urllib.error.URLError) as err:
                trouble = f"{url}: {err}"
                continue
            seen |= {pod for pod in pods if pod in answers[url]}
        if len(answers) == len(urls) and seen == pods:
            return answers
        if time.monotonic() > deadline:
            silent: List[str] = [url for url in urls if url not in answers] or sorted(pods - seen)
            raise MachineError(f"no answer from {', '.join(silent)} within {seconds:.0f} s {trouble}".rstrip())
        time.sleep(0.5)


def show() -> None:
    """Show that the application answers on every node, from pods on different nodes."""
    places = dict(
        line.split()
        for line in kubectl(
            f"-n {NAMESPACE} get pods -l app=web --field-selector=status.phase=Running --no-headers"
            " -o custom-columns=name:.metadata.name,node:.spec.nodeName"
        ).splitlines()
    )
    if len(set(places.values())) < 2:
        raise MachineError(f"the demo's pods do not run on two nodes: {places or 'none runs'}")
    port = kubectl(f"-n {NAMESPACE} get service web -o jsonpath={{.spec.ports[0].nodePort}}")
    urls = {f"http://{node.address}:{port}/": node.name for node in nodes.listed(DEFAULT_SET)}
    for url, answer in ask(list(urls), set(places)).items():
        pod = next((name for name in places if name in answer), "")
        say(f"  {urls[url]:<4} {url}  {answer}  (the pod is on {places.get(pod, '?')})")
