# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""kubeadm's configuration in the words of each API; a real kubeadm reads it where there is one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kubestead.cluster.plugins.module_utils.core import releases, versions
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm import config, init
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import ControlPlaneOptions
from lab.machine import cache_dir

FULL = ControlPlaneOptions(
    kubernetes_version="1.35",
    endpoint="k8s.example.org:6443",
    node_address="192.0.2.10",
    cert_sans=["k8s.example.org", "192.0.2.100"],
    kubelet_config={"failCgroupV1": False, "maxPods": 50},
    kube_proxy_config={"conntrack": {"maxPerCore": 0}},
    skip_phases=["addon/kube-proxy"],
    ignore_preflight_errors=["Swap", "HTTPProxyCIDR"],
    node_name="cp-1",
    taints=["dedicated=control:NoSchedule", "node-role.kubernetes.io/control-plane:NoExecute"],
    kubelet_extra_args={"v": "2"},
)


def documents(options: ControlPlaneOptions, api: str = "v1beta4", version: str = "1.35.0") -> dict[str, Any]:
    return {one["kind"]: one for one in init.documents(options, api, version)}


def test_everything_in_v1beta4() -> None:
    made = documents(FULL)
    assert list(made) == ["InitConfiguration", "ClusterConfiguration", "KubeletConfiguration", "KubeProxyConfiguration"]
    assert made["InitConfiguration"] == {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"advertiseAddress": "192.0.2.10", "bindPort": 6443},
        "nodeRegistration": {
            "name": "cp-1",
            "criSocket": "unix:///run/containerd/containerd.sock",
            "imagePullSerial": False,
            "ignorePreflightErrors": ["Swap", "HTTPProxyCIDR"],
            "kubeletExtraArgs": [{"name": "node-ip", "value": "192.0.2.10"}, {"name": "v", "value": "2"}],
            "taints": [
                {"key": "dedicated", "value": "control", "effect": "NoSchedule"},
                {"key": "node-role.kubernetes.io/control-plane", "effect": "NoExecute"},
            ],
        },
        "skipPhases": ["addon/kube-proxy"],
    }
    assert made["ClusterConfiguration"] == {
        "apiVersion": "kubeadm.k8s.io/v1beta4",
        "kind": "ClusterConfiguration",
        "kubernetesVersion": "v1.35.0",
        "controlPlaneEndpoint": "k8s.example.org:6443",
        "imageRepository": "registry.k8s.io",
        "networking": {"podSubnet": "10.244.0.0/16", "serviceSubnet": "10.96.0.0/12", "dnsDomain": "cluster.local"},
        "apiServer": {"certSANs": ["k8s.example.org", "192.0.2.100"]},
        "controllerManager": {
            "extraArgs": [{"name": "kube-api-burst", "value": "100"}, {"name": "kube-api-qps", "value": "50"}]
        },
    }
    assert made["KubeletConfiguration"]["apiVersion"] == "kubelet.config.k8s.io/v1beta1"
    assert made["KubeProxyConfiguration"]["conntrack"] == {"maxPerCore": 0}


def test_the_virtual_address_is_in_the_certificate() -> None:
    def names(**options: Any) -> Any:
        given = ControlPlaneOptions(**options)
        given.validate()
        return documents(given)["ClusterConfiguration"].get("apiServer", {}).get("certSANs")

    assert names() is None and names(endpoint_vip="2001:DB8::64") == ["2001:db8::64"]
    assert names(endpoint_vip="192.0.2.100", cert_sans=["a.example.org"]) == ["a.example.org", "192.0.2.100"]
    assert names(endpoint_vip="192.0.2.100", cert_sans=["192.0.2.100"]) == ["192.0.2.100"]
    passed = {"ClusterConfiguration": {"apiServer": {"certSANs": ["192.0.2.100", "b.example.org"]}}}
    assert names(endpoint_vip="192.0.2.100", config=passed) == ["192.0.2.100", "b.example.org"]
    with pytest.raises(OptionError, match="certSANs without cluster_endpoint_vip; set cluster_cert_sans instead"):
        names(endpoint_vip="192.0.2.101", config=passed)


def test_older_apis_have_arguments_as_mappings_and_v1beta2_no_phases() -> None:
    made = documents(FULL, "v1beta3")["InitConfiguration"]
    assert made["nodeRegistration"]["kubeletExtraArgs"] == {"node-ip": "192.0.2.10", "v": "2"}
    assert "imagePullSerial" not in made["nodeRegistration"]
    assert made["skipPhases"] == ["addon/kube-proxy"]
    assert "skipPhases" not in documents(FULL, "v1beta2")["InitConfiguration"]


def test_little_is_said_where_little_is_asked() -> None:
    made = documents(ControlPlaneOptions(pod_cidr="", cri_socket=""), version="")
    assert list(made) == ["InitConfiguration", "ClusterConfiguration"]
    assert made["InitConfiguration"]["localAPIEndpoint"] == {"bindPort": 6443}
    assert "taints" not in made["InitConfiguration"]["nodeRegistration"]
    assert "kubernetesVersion" not in made["ClusterConfiguration"]
    assert "podSubnet" not in made["ClusterConfiguration"]["networking"]


def test_no_taints_at_all_are_an_empty_list() -> None:
    assert documents(ControlPlaneOptions(taints=[]))["InitConfiguration"]["nodeRegistration"]["taints"] == []


def test_a_node_ip_of_ones_own_wins_over_the_advertise_address() -> None:
    options = ControlPlaneOptions(node_address="192.0.2.10", kubelet_extra_args={"node-ip": "192.0.2.10,2001:db8::1"})
    registration = documents(options)["InitConfiguration"]["nodeRegistration"]
    assert registration["kubeletExtraArgs"] == [{"name": "node-ip", "value": "192.0.2.10,2001:db8::1"}]


def test_a_pass_through_is_laid_over_deeply_and_arguments_by_name() -> None:
    options = ControlPlaneOptions(
        kubelet_extra_args={"v": "2", "node-ip": "192.0.2.1"},
        kubelet_config={"maxPods": 50, "evictionHard": {"memory.available": "100Mi"}},
        config={
            "InitConfiguration": {"nodeRegistration": {"kubeletExtraArgs": [{"name": "v", "value": 4}], "name": "x"}},
            "ClusterConfiguration": {
                "apiVersion": "kubeadm.k8s.io/v1beta4",
                "apiServer": {
                    "extraArgs": [
                        {"name": "profiling", "value": False},
                        {"name": "sni", "value": "a"},
                        {"name": "sni", "value": "b"},
                    ]
                },
                "networking": {"dnsDomain": "lab.example"},
            },
            "KubeletConfiguration": {"evictionHard": {"nodefs.available": "5%"}},
            "KubeProxyConfiguration": {"mode": "nftables"},
        },
    )
    made = documents(options)
    registration = made["InitConfiguration"]["nodeRegistration"]
    assert registration["kubeletExtraArgs"] == [{"name": "node-ip", "value": "192.0.2.1"}, {"name": "v", "value": "4"}]
    assert registration["name"] == "x" and registration["criSocket"].startswith("unix:")
    cluster = made["ClusterConfiguration"]
    assert cluster["apiServer"]["extraArgs"] == [
        {"name": "profiling", "value": "false"},
        {"name": "sni", "value": "a"},
        {"name": "sni", "value": "b"},
    ]
    assert cluster["networking"] == {
        "podSubnet": "10.244.0.0/16",
        "serviceSubnet": "10.96.0.0/12",
        "dnsDomain": "lab.example",
    }
    assert made["KubeletConfiguration"]["maxPods"] == 50
    assert made["KubeletConfiguration"]["evictionHard"] == {"memory.available": "100Mi", "nodefs.available": "5%"}
    assert made["KubeProxyConfiguration"] == {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
    }


def test_the_controller_managers_requests_are_limited_as_one_likes() -> None:
    passed = {"ClusterConfiguration": {"controllerManager": {"extraArgs": [{"name": "kube-api-qps", "value": 20}]}}}
    options = ControlPlaneOptions(config=passed)
    of_newest, of_oldest = (documents(options, api)["ClusterConfiguration"] for api in ("v1beta4", "v1beta2"))
    assert of_newest["controllerManager"]["extraArgs"] == [
        {"name": "kube-api-burst", "value": "100"},
        {"name": "kube-api-qps", "value": "20"},
    ]
    assert of_oldest["controllerManager"]["extraArgs"] == {"kube-api-burst": "100", "kube-api-qps": "20"}


@pytest.mark.parametrize(
    "fields",
    [
        # As YAML reads "networking:" with commented lines below it.
        {"networking": None},
        {"controllerManager": None, "apiServer": None},
        {"controllerManager": {"extraArgs": None}},
        {"networking": {"podSubnet": None}, "kubernetesVersion": None},
    ],
    ids=str,
)
def test_a_field_without_a_value_is_not_set(fields: dict[str, Any]) -> None:
    options = ControlPlaneOptions(cert_sans=["k8s.example.org"])
    passed = ControlPlaneOptions(cert_sans=["k8s.example.org"], config={"ClusterConfiguration": fields})
    passed.validate()
    for api in ("v1beta2", "v1beta4"):
        wanted = documents(options, api)["ClusterConfiguration"]
        found = documents(passed, api)["ClusterConfiguration"]
        assert {key: value for key, value in found.items() if value is not None} == wanted


@pytest.mark.parametrize("given", [[{"name": "v", "value": None}], [{"name": "v", "value": ["2"]}], {"v": None}])
def test_an_argument_without_a_value_is_refused(given: Any) -> None:
    options = ControlPlaneOptions(config={"ClusterConfiguration": {"scheduler": {"extraArgs": given}}})
    with pytest.raises(OptionError, match="scheduler.extraArgs has a value that is not text"):
        options.validate()


def test_a_pass_through_is_translated_for_older_apis() -> None:
    passed = {
        "InitConfiguration": {"timeouts": {"controlPlaneComponentHealthCheck": "2m0s"}},
        "ClusterConfiguration": {"scheduler": {"extraArgs": [{"name": "v", "value": "3"}]}},
    }
    made = documents(ControlPlaneOptions(config=passed), "v1beta3")
    assert "timeouts" not in made["InitConfiguration"]
    assert made["ClusterConfiguration"]["apiServer"]["timeoutForControlPlane"] == "2m0s"
    assert made["ClusterConfiguration"]["scheduler"]["extraArgs"] == {"v": "3"}
    assert passed["InitConfiguration"] == {"timeouts": {"controlPlaneComponentHealthCheck": "2m0s"}}, (
        "input was changed"
    )


@pytest.mark.parametrize(
    ("api", "kind", "fields", "said"),
    [
        (
            "v1beta3",
            "InitConfiguration",
            {"timeouts": {"discovery": "1m"}},
            "InitConfiguration.timeouts requires kubeadm 1.31",
        ),
        ("v1beta3", "ClusterConfiguration", {"dns": {"disabled": True}}, "ClusterConfiguration.dns.disabled requires"),
        (
            "v1beta2",
            "InitConfiguration",
            {"patches": {"directory": "/p"}},
            "InitConfiguration.patches requires kubeadm 1.22",
        ),
    ],
)
def test_a_field_that_kubeadm_lacks_is_refused_before_it_is_ignored(
    api: str, kind: str, fields: dict[str, Any], said: str
) -> None:
    with pytest.raises(OptionError, match=said):
        documents(ControlPlaneOptions(config={kind: fields}), api)


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        ({"ClusterStatus": {}}, "'ClusterStatus', which is not a supported kind"),
        ({"ClusterConfiguration": ["x"]}, "for ClusterConfiguration, which is not a dictionary"),
        ({"InitConfiguration": {"bootstrapTokens": []}}, "bootstrapTokens is refused, because it contains a secret"),
        (
            {"InitConfiguration": {"certificateKey": "0" * 64}},
            "certificateKey is refused, because it contains a secret",
        ),
    ],
)
def test_a_pass_through_that_is_refused(passed: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said) as caught:
        ControlPlaneOptions(config=passed).validate()
    assert caught.value.message.startswith("cluster_kubeadm_config")
    assert "0" * 64 not in caught.value.message


@pytest.mark.parametrize("text", ["a", "a:b", "a=b", ":NoSchedule", "a:noschedule", ""])
def test_what_is_no_taint(text: str) -> None:
    with pytest.raises(OptionError, match="not a taint"):
        config.parse_taint("cluster_node_taints", text)


def test_documents_are_json_and_yaml() -> None:
    made = init.documents(FULL, "v1beta4", "1.35.0")
    text = config.render_documents(made)
    assert list(yaml.safe_load_all(text)) == made
    assert [json.loads(part) for part in text.split("---\n")] == made


# -- with real kubeadms: the one of the lab's binaries, the one on the PATH, those the lab has built


def kubeadms() -> list[Path]:
    folders = [Path(os.environ["KUBESTEAD_BINARIES"])] if os.environ.get("KUBESTEAD_BINARIES") else []
    folders += sorted((cache_dir() / "kubernetes").glob("*"))
    found = [folder / "kubeadm" for folder in folders] + [Path(shutil.which("kubeadm") or "/none")]
    return [path for path in found if path.is_file()]


def read_by(kubeadm: Path, options: ControlPlaneOptions, api: str, version: str) -> tuple[bool, str]:
    """Whether a kubeadm takes the configuration with its token, and what it says."""
    made = init.documents(options, api, version)
    made[0]["bootstrapTokens"] = [init.void_token()[1]]
    argv = [str(kubeadm), "config", "validate", "--config", "/dev/stdin"]
    if api == "v1beta2":
        argv = [str(kubeadm), "config", "migrate", "--old-config", "/dev/stdin", "--new-config", "/dev/null"]
    text = config.render_documents(made)
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    # 1.20 only warns of what it does not know.
    return done.returncode == 0 and "unknown field" not in done.stderr, done.stderr


def spoken(kubeadm: Path) -> list[tuple[str, str]]:
    """The APIs a kubeadm reads, and its version."""
    said = subprocess.run([kubeadm, "version", "-o", "short"], capture_output=True, text=True, check=True).stdout
    version = versions.parse(said)
    assert version is not None, said
    apis = [releases.config_api(version)]
    if apis == ["v1beta4"] and version.minor < 37:
        apis.append("v1beta3")
    return [(api, str(version)) for api in apis]


REAL = [(path, api, version) for path in kubeadms() for api, version in spoken(path)]


@pytest.mark.skipif(not REAL, reason="no kubeadm is here")
@pytest.mark.parametrize(("kubeadm", "api", "version"), REAL)
def test_a_real_kubeadm_takes_the_configuration_and_refuses_what_is_wrong(
    kubeadm: Path, api: str, version: str
) -> None:
    options = replace(FULL, kubelet_config={"maxPods": 50})
    taken, said = read_by(kubeadm, options, api, version)
    assert taken, said
    wrong = replace(options, config={"ClusterConfiguration": {"netwerk": 1}})
    taken, said = read_by(kubeadm, wrong, api, version)
    assert not taken and 'unknown field "netwerk"' in said
