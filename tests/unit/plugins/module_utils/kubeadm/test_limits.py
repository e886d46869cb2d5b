# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What kubeadm refuses is refused before it is installed, and what it takes is taken.

The verdicts were compared with ``kubeadm config validate`` of 1.35. It has no verdict about those in STRICTER.
"""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import ControlPlaneOptions, documents
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.node_options import NodeOptions

# Fields of the options -> what kubeadm 1.35 takes.
TAKEN: list[dict[str, Any]] = [
    {"service_cidr": "10.96.0.0/12"},
    # An address within the range: what `--service-cidr=10.100.0.0/12` made.
    {"service_cidr": "10.100.0.0/12"},
    {"service_cidr": "10.96.0.0/28"},
    {"service_cidr": "fd00:96::/108", "pod_cidr": "fd00:244::/48"},
    {"service_cidr": "fd00:96::/124", "pod_cidr": "fd00:244::/64"},
    {"service_cidr": "10.96.0.0/16,fd00:96::/112", "pod_cidr": "10.244.0.0/16, fd00:244::/56"},
    {"service_cidr": "fd00:96::/112,10.96.0.0/16", "pod_cidr": "fd00:244::/56,10.244.0.0/16"},
    {"pod_cidr": "10.244.0.0/24"},
    {"pod_cidr": "10.0.0.0/8", "service_cidr": "172.20.0.0/16"},
    {"pod_cidr": "192.168.5.7/16"},
    {"pod_cidr": ""},
    {
        "pod_cidr": "10.244.0.0/25",
        "config": {
            "ClusterConfiguration": {"controllerManager": {"extraArgs": {"node-cidr-mask-size-ipv4": 28}}},
        },
    },
    {
        "pod_cidr": "fd00:13:aaaa::/80",
        "service_cidr": "fd00:13:bbbb::/108",
        "config": {
            "ClusterConfiguration": {
                "controllerManager": {"extraArgs": [{"name": "node-cidr-mask-size-ipv6", "value": "96"}]}
            }
        },
    },
    {
        "pod_cidr": "10.244.0.0/26",
        "config": {"ClusterConfiguration": {"controllerManager": {"extraArgs": {"allocate-node-cidrs": False}}}},
    },
    {"endpoint": "k8s.example.org"},
    {"endpoint": "k8s.example.org:8443"},
    {"endpoint": "10.0.0.3:443"},
    {"endpoint": "[fd00::10]:6443"},
    {"endpoint": "fd00::10"},
    {"cert_sans": ["k8s.example.org", "10.0.0.3", "fd00::10", "*.example.org", "LB-1234.Elb.Example.org"]},
    {"dns_domain": "cluster.local"},
    {"dns_domain": "k8s"},
    {"image_repository": "registry.example.org:5000/k8s"},
    {"image_repository": "registry.example.org/a/b-c/d__e"},
    {"image_repository": "localhost:5000"},
    {"image_repository": "[fd00::10]:5000/k8s"},
    {"image_repository": "Registry.example.org/k8s"},
    {"node_name": "w1"},
    {"node_name": "w1.example.org"},
    {"cri_socket": "unix:///run/containerd/containerd.sock"},
    {"kubelet_extra_args": {"v": "2", "max_pods": "50", "node-ip": "10.0.0.5"}},
    {"config": {"ClusterConfiguration": {"encryptionAlgorithm": "ECDSA-P256", "certificatesDir": "/etc/pki/k8s"}}},
    {"config": {"InitConfiguration": {"nodeRegistration": {"imagePullPolicy": "Never"}}}},
    {"config": {"ClusterConfiguration": {"etcd": {"external": {"endpoints": ["http://10.0.0.9:2379"]}}}}},
    {"config": {"ClusterConfiguration": {"etcd": {"external": {"endpoints": ["https://e:1"], "caFile": "/ca"}}}}},
    {"config": {"ClusterConfiguration": {"scheduler": None, "etcd": {"local": None}, "anythingNew": [1]}}},
    {"config": {"InitConfiguration": {"timeouts": {"kubeletHealthCheck": "4m0s"}, "patches": {"directory": "/p"}}}},
    {"config": {"JoinConfiguration": {"timeouts": {"discovery": "1m30s", "tlsBootstrap": "5m"}}}},
    {"taints": ["a.example/b=c:NoSchedule", "a.example/b=c:NoExecute", "d:PreferNoSchedule"]},
]

EXTERNAL = {"endpoints": ["https://10.0.0.9:2379"]}
V6 = {"service_cidr": "fd00:96::/112", "pod_cidr": "fd00:244::/56"}


def cluster(**fields: Any) -> dict[str, Any]:
    return {"config": {"ClusterConfiguration": fields}}


# What kubeadm 1.35 refuses, and the beginning of what is said instead.
REFUSED: list[tuple[dict[str, Any], str]] = [
    # sizes of ranges
    (
        {**V6, "service_cidr": "fd00:96::/64"},
        "cluster_service_cidr is fd00:96::/64; a Service range may have at most 2^20",
    ),
    ({"service_cidr": "10.233.0.0/18,2508:4002:100b:c500::/64", "pod_cidr": "10.244.0.0/16,fd00::/56"}, "/64; a Serv"),
    ({"service_cidr": "10.0.0.0/11", "pod_cidr": "172.16.0.0/16"}, "use a prefix length of at least 12"),
    ({"service_cidr": "10.96.0.0/30"}, "cluster_service_cidr is 10.96.0.0/30 with 4 addresses; at least 10 are needed"),
    ({"service_cidr": "10.96.0.0/29"}, "with 8 addresses"),
    ({**V6, "service_cidr": "fd00:96::/126"}, "with 4 addresses"),
    ({"pod_cidr": "10.0.0.0/25", "service_cidr": "10.96.0.0/16"}, "smaller than the range of one node (/24)"),
    ({"pod_cidr": "10.0.0.0/7", "service_cidr": "172.20.0.0/16"}, "too large for node ranges of /24"),
    ({**V6, "pod_cidr": "fd00::/40"}, "too large for node ranges of /64: the prefix lengths may differ by at most 16"),
    ({**V6, "pod_cidr": "fd00::/72"}, "cluster_pod_cidr is fd00::/72, smaller than the range of one node (/64)"),
    ({**V6, "pod_cidr": "2a0a:e5c0:13:aaaa::/80"}, "node-cidr-mask-size-ipv6"),
    (
        {"pod_cidr": "10.244.0.0/29", **cluster(controllerManager={"extraArgs": {"allocate-node-cidrs": "false"}})},
        "8 addr",
    ),
    (
        {"pod_cidr": "10.244.0.0/16", **cluster(controllerManager={"extraArgs": {"node-cidr-mask-size-ipv4": "x"}})},
        "'x'",
    ),
    # what is no range
    ({"pod_cidr": "192.168.0.0./16"}, "cluster_pod_cidr is '192.168.0.0./16', not a CIDR range"),
    ({"pod_cidr": "10.244.0.0"}, "it has no prefix length"),
    ({"pod_cidr": "10.244.0.0/16,10.245.0.0/16"}, "of the same family"),
    ({"pod_cidr": "10.244.0.0/16,fd00::/56,fd01::/56"}, "of the same family"),
    # names
    ({"endpoint": "K8S_API.example.org"}, "neither an IP address nor a DNS name"),
    ({"endpoint": "k8s_api"}, "cluster_endpoint is 'k8s_api'"),
    ({"endpoint": "K8s.Example.org:6443"}, "; use k8s.example.org"),
    ({"endpoint": "-k8s:6443"}, "'-k8s'"),
    ({"endpoint": "[fd00::10:6443"}, "the bracket is not closed"),
    ({"endpoint": "k8s:0"}, "port"),
    ({"cert_sans": ["https://k8s.example.org"]}, "cluster_cert_sans has 'https://k8s.example.org'"),
    ({"cert_sans": ["k8s.example.org:6443"]}, "without scheme, port and mask"),
    ({"cert_sans": ["10.0.0.0/24"]}, "10.0.0.0/24"),
    ({"cert_sans": ["node1,"]}, "'node1,'"),
    ({"cert_sans": ["k8s example"]}, "'k8s example'"),
    ({"cert_sans": ["a.*.example.org"]}, "'a.*.example.org'"),
    ({"cert_sans": [""]}, "''"),
    (
        cluster(apiServer={"certSANs": ["my_host"]}),
        "cluster_kubeadm_config.ClusterConfiguration.apiServer.certSANs has",
    ),
    (cluster(etcd={"local": {"peerCertSANs": ["10.0.0.1/8"]}}), "etcd.local.peerCertSANs has '10.0.0.1/8'"),
    ({"dns_domain": "Cluster.local"}, "cluster_dns_domain is 'Cluster.local'"),
    ({"dns_domain": "cluster.local."}, "cluster_dns_domain"),
    ({"dns_domain": "my_cluster"}, "cluster_dns_domain"),
    ({"dns_domain": ".".join(["a" * 60] * 5)}, "cluster_dns_domain"),
    ({"image_repository": "https://registry.example.org"}, "cluster_image_repository"),
    ({"image_repository": "registry.example.org/K8s"}, "in lower case"),
    ({"image_repository": "registry.example.org/k8s/"}, "trailing slash"),
    ({"image_repository": "registry.example.org/k8s:1.0"}, "cluster_image_repository"),
    ({"image_repository": "my registry/k8s"}, "cluster_image_repository"),
    ({"node_name": "w_1"}, "cluster_node_name is 'w_1'"),
    ({"node_name": "w1."}, "cluster_node_name"),
    # fields of the pass-through
    (cluster(encryptionAlgorithm="RSA"), "encryptionAlgorithm is 'RSA'; use one of ECDSA-P256"),
    (cluster(certificatesDir="pki"), "certificatesDir is 'pki', not an absolute path"),
    (cluster(etcd={"local": {"dataDir": "data"}}), "etcd.local.dataDir is 'data'"),
    (cluster(etcd={"local": {}, "external": EXTERNAL}), "etcd has both local and external"),
    (cluster(etcd={"external": {**EXTERNAL, "certFile": "/c"}}), "etcd.external has only certFile"),
    (cluster(etcd={"external": {**EXTERNAL, "certFile": "/c", "keyFile": "/k"}}), "has only certFile and keyFile"),
    (cluster(etcd={"external": {"endpoints": ["http://e:2379"], "caFile": "/ca"}}), "is not a URL with https"),
    (cluster(etcd={"external": {"endpoints": ["10.0.0.9:2379"]}}), "'10.0.0.9:2379'"),
    ({"config": {"InitConfiguration": {"nodeRegistration": {"imagePullPolicy": "Sometimes"}}}}, "use one of Always"),
    (cluster(apiServer={"extraArgs": [{"name": "", "value": "x"}]}), "neither a dictionary nor a list of names"),
    (cluster(apiServer=[]), "ClusterConfiguration.apiServer is a list, not a dictionary"),
    (cluster(etcd="x"), "ClusterConfiguration.etcd is 'x', not a dictionary"),
    (cluster(apiServer={"extraVolumes": {"a": "b"}}), "apiServer.extraVolumes is a dict, not a list of dictionaries"),
    (cluster(certificateValidityPeriod=8760), "certificateValidityPeriod is 8760, not a duration"),
    (cluster(dns={"disabled": "yes"}), "dns.disabled is 'yes', not a boolean"),
    (cluster(featureGates=["a"]), "featureGates is a list, not a dictionary"),
    (cluster(etcd={"local": {"imageTag": 3.5}}), "etcd.local.imageTag is 3.5, not text"),
    ({"config": {"InitConfiguration": {"timeouts": {"kubeletHealthCheck": "4"}}}}, "'4', not a duration"),
    ({"config": {"InitConfiguration": {"patches": "/x"}}}, "patches is '/x', not a dictionary"),
    ({"config": {"JoinConfiguration": {"dryRun": "x"}}}, "JoinConfiguration.dryRun is 'x', not a boolean"),
]

# kubeadm takes these, and what it starts with them fails.
STRICTER: list[tuple[dict[str, Any], str]] = [
    # A name that no DNS has.
    ({"endpoint": "10.0.0.300"}, "cluster_endpoint is '10.0.0.300'"),
    ({"endpoint": "10.0.0.300:6443"}, "'10.0.0.300' is neither"),
    ({"cert_sans": ["10.0.0.300"]}, "'10.0.0.300'"),
    # The API server does not start: no Service could reach a pod.
    ({"service_cidr": "10.96.0.0/16", "pod_cidr": "fd00:244::/56"}, "Services of a family without pods do not work"),
    ({"service_cidr": "fd00:96::/112", "pod_cidr": "10.244.0.0/16"}, "use ranges of the same families"),
    ({"service_cidr": "10.96.0.0/16,fd00:96::/112", "pod_cidr": "10.244.0.0/16"}, "use ranges of the same families"),
    ({"service_cidr": "10.244.0.0/20", "pod_cidr": "10.244.0.0/16"}, "overlaps with cluster_service_cidr"),
    # The kubelet's Node is refused: its name is the value of a label.
    ({"node_name": ".".join(["a" * 30] * 3)}, "a Node's name may have at most 63 characters"),
    # The kubelet or a static pod reads another command line.
    ({"kubelet_extra_args": {"--node-ip": "10.0.0.5"}}, "cluster_node_kubelet_extra_args has '--node-ip'"),
    ({"kubelet_extra_args": {"node-ip=10.0.0.5": ""}}, "not the name of an argument"),
    ({"kubelet_extra_args": {"node-labels": "a=b, c=d"}}, "has a space in the value of node-labels"),
    ({"kubelet_extra_args": {"node-ip": "10.0.0.5,10.0.0.6"}}, "of the same family"),
    ({"kubelet_extra_args": {"node-ip": "eth0"}}, "node-ip is 'eth0', not an IP address"),
    (cluster(apiServer={"extraArgs": {"--v": "2"}}), "apiServer.extraArgs has '--v'"),
    (cluster(scheduler={"extraArgs": "v=2"}), "scheduler.extraArgs is neither a dictionary nor a list"),
    (cluster(controllerManager={"extraArgs": {"v": [2]}}), "has a value that is not text"),
    # The kubelet does not take them as its own address.
    ({"node_address": "127.0.0.1"}, "an address that other nodes can't reach"),
    ({"node_address": "0.0.0.0"}, "cluster_node_address is 0.0.0.0"),
    ({"node_address": "fe80::1"}, "cluster_node_address is fe80::1"),
    ({"node_address": "169.254.3.3"}, "cluster_node_address is 169.254.3.3"),
    ({"node_address": "10.0.0.5,10.0.0.6"}, "of the same family"),
    # kubeadm would make it lower case; plan, inventory and Node would have different names.
    ({"node_name": "W1"}, "cluster_node_name is 'W1'"),
    # There is nothing to connect to.
    ({"cri_socket": "tcp://127.0.0.1:2375"}, "cluster_node_cri_socket"),
    (cluster(etcd={"external": {"endpoints": []}}), "endpoints is not a list"),
    # The plan was made with something else.
    (cluster(networking={"podSubnet": "10.9.0.0/16"}), "networking.podSubnet is set, but its value must come from"),
    (cluster(networking={"serviceSubnet": "10.9.0.0/16"}), "; set cluster_service_cidr instead"),
    (cluster(networking={"dnsDomain": "k8s"}), "; set cluster_dns_domain instead"),
    (cluster(controlPlaneEndpoint="k8s:6443"), "; set cluster_endpoint instead"),
    (cluster(kubernetesVersion="v1.35.0"), "; set cluster_kubernetes_version instead"),
    ({"config": {"JoinConfiguration": {"nodeRegistration": {"name": "x"}}}}, "; set cluster_node_name instead"),
    (cluster(imageRepository="r.example/k8s"), "; set cluster_image_repository instead"),
    ({"config": {"InitConfiguration": {"localAPIEndpoint": {"bindPort": 8443}}}}, "; set cluster_node_bind_port"),
    ({"config": {"InitConfiguration": {"nodeRegistration": {"taints": []}}}}, "; set cluster_node_taints instead"),
    ({"config": {"JoinConfiguration": {"skipPhases": ["preflight"]}}}, "; set join_skip_phases instead"),
    # The API server would have the port of another program of the control plane.
    ({"bind_port": 10250}, "cluster_node_bind_port is 10250, the port of the kubelet on the same host"),
    ({"bind_port": 2379}, "the port of etcd"),
    # The kubelet does not start: kubeadm passes taints on as they are.
    ({"taints": ["a=b c:NoSchedule"]}, "cluster_node_taints has 'a=b c:NoSchedule'; its key or value is not that"),
    ({"taints": ["a/b/c=1:NoSchedule"]}, "its key or value is not that of a label"),
    ({"taints": ["a:NoSchedule", "a=1:NoSchedule"]}, "has two taints a with the effect NoSchedule"),
    # kubeadm waits for a Node of another name.
    ({"kubelet_extra_args": {"hostname-override": "x"}}, "has hostname-override, but kubeadm waits for a Node"),
    # Addresses that no host sends packets to.
    ({"pod_cidr": "127.0.0.0/16"}, "cluster_pod_cidr is 127.0.0.0/16, whose addresses have a special use"),
    ({"pod_cidr": "224.0.0.0/16"}, "special use"),
    ({"service_cidr": "169.254.0.0/16"}, "cluster_service_cidr is 169.254.0.0/16, whose addresses"),
    ({**V6, "pod_cidr": "fe80::/56"}, "special use"),
]


@pytest.mark.parametrize("fields", TAKEN, ids=str)
def test_what_kubeadm_takes_is_taken(fields: dict[str, Any]) -> None:
    ControlPlaneOptions(**{"kubernetes_version": "1.35", **fields}).validate()


@pytest.mark.parametrize(("fields", "text"), REFUSED + STRICTER, ids=str)
def test_what_would_fail_later_is_refused_in_one_line(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(OptionError) as caught:
        ControlPlaneOptions(**{"kubernetes_version": "1.35", **fields}).validate()
    assert text in caught.value.message and "\n" not in caught.value.message and caught.value.fix


def test_ranges_reach_kubeadm_in_one_spelling() -> None:
    options = ControlPlaneOptions(service_cidr="10.100.0.0/12, FD00:96::/112", pod_cidr="10.244.0.0/16, fd00:0::/56")
    (networking,) = [one["networking"] for one in documents(options, "v1beta4", "1.35.0") if "networking" in one]
    assert networking["serviceSubnet"] == "10.96.0.0/12,fd00:96::/112"
    assert networking["podSubnet"] == "10.244.0.0/16,fd00::/56"


def test_a_node_of_two_families_tells_the_kubelet_both_addresses_and_the_api_server_the_first() -> None:
    options = NodeOptions(node_address="10.0.0.5, 2001:DB8:0::10")
    options.validate()
    registration = options.registration("v1beta4")
    assert {"name": "node-ip", "value": "10.0.0.5,2001:db8::10"} in registration["kubeletExtraArgs"]
    assert options.local_endpoint()["advertiseAddress"] == "10.0.0.5"
    assert NodeOptions(node_address="2001:DB8:0::10").local_endpoint()["advertiseAddress"] == "2001:db8::10"
