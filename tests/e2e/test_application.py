# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An application on a cluster, and the installed collection. The tests build on each other, in this order."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

from .conftest import ROOT, Lab, eventually


def test_the_demo_application_answers_across_nodes(cluster_lab: Lab) -> None:
    run = cluster_lab.playbook(
        "kubestead.cluster.deploy",
        "-e",
        f"deploy_manifests={ROOT}/examples/webapp",
        environment={"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")},
    )
    assert run.code == 0, run.output
    port = re.search(r":(3\d{4})\b", run.output)
    assert port, run.output
    answers = {
        cluster_lab.ssh(
            host,
            f"curl -sS -m 10 http://$(hostname -I | cut -d' ' -f1):{port.group(1)}/",
        )
        for host in ("cp1", "w1", "w2")
    }
    assert all(answers), answers
    again = cluster_lab.playbook(
        "kubestead.cluster.deploy",
        "-e",
        f"deploy_manifests={ROOT}/examples/webapp",
        environment={"ANSIBLE_COLLECTIONS_PATH": str(ROOT / "collections")},
    )
    assert again.code == 0, again.output
    assert again.changed() == {}


def test_pods_reach_each_other_across_nodes_and_through_a_service(cluster_lab: Lab) -> None:
    pods = json.loads(cluster_lab.kubectl("get pods -A -o json"))["items"]
    web = [
        pod
        for pod in pods
        if pod["metadata"].get("labels", {}).get("app.kubernetes.io/component", "") == "web"
        or "web" in pod["metadata"]["name"]
    ]
    places = {pod["spec"]["nodeName"]: pod for pod in web}
    assert len(places) >= 2, [pod["metadata"]["name"] for pod in web]
    (one, first), (_other, second) = list(places.items())[:2]
    container = cluster_lab.ssh(
        one, f"ctr -n k8s.io containers ls 'labels.\"io.kubernetes.pod.name\"=={first['metadata']['name']}' -q"
    ).split()
    assert container
    pid = cluster_lab.ssh(one, f"ctr -n k8s.io task ls | awk '$1==\"{container[0]}\"{{print $2}}'").strip()
    port = second["spec"]["containers"][0]["ports"][0]["containerPort"]
    direct = cluster_lab.ssh(one, f"nsenter -t {pid} -n curl -sS -m 10 http://{second['status']['podIP']}:{port}/")
    assert direct
    namespace = first["metadata"]["namespace"]
    services = json.loads(cluster_lab.kubectl(f"get services -n {namespace} -o json"))["items"]
    service = next(one for one in services if "web" in one["metadata"]["name"])
    address = f"{service['spec']['clusterIP']}:{service['spec']['ports'][0]['port']}"
    assert eventually(
        lambda: bool(cluster_lab.ssh(one, f"nsenter -t {pid} -n curl -sS -m 5 http://{address}/", check=False).strip()),
        30,
    )


def test_the_installed_collection_says_the_same(cluster_lab: Lab, tmp_path: Path) -> None:
    subprocess.run(
        ["ansible-galaxy", "collection", "build", str(ROOT), "--output-path", str(tmp_path)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    archive = next(tmp_path.glob("kubestead-cluster-*.tar.gz"))
    place = tmp_path / "installed"
    subprocess.run(
        ["ansible-galaxy", "collection", "install", str(archive), "-p", str(place), "--offline"],
        check=True,
        # The checkout is no collection that is installed already.
        env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(place)},
        stdout=subprocess.DEVNULL,
    )
    run = cluster_lab.playbook(
        "kubestead.cluster.site", cwd=tmp_path, environment={"ANSIBLE_COLLECTIONS_PATH": str(place)}
    )
    assert run.code == 0, run.output
    assert run.changed() == {}
