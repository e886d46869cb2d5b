# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading ranges and endpoints."""

from __future__ import annotations

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import addresses as network
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.client import CLIENT_URLS
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.members import Member, leaving
from ansible_collections.kubestead.cluster.plugins.module_utils.etcd.own_member import client_urls
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.cluster import ClusterApi, ClusterConfig
from ansible_collections.kubestead.cluster.plugins.module_utils.kube.nodes import read_nodes
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.endpoint_text import with_endpoint
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import ControlPlaneOptions
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.init import problems as init_problems
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.serving_certificate import has_name
from ansible_collections.kubestead.cluster.plugins.module_utils.kubeadm.state import DONE, KubeadmState
from ansible_collections.kubestead.cluster.plugins.plugin_utils.cluster import Cluster
from ansible_collections.kubestead.cluster.plugins.plugin_utils.resolving import resolved


def test_one_range_and_dual_stack() -> None:
    assert [str(one) for one in network.parse_cidrs("x", "10.244.0.0/16")] == ["10.244.0.0/16"]
    assert [str(one) for one in network.parse_cidrs("x", "10.244.0.0/16, fd00:10::/56")] == [
        "10.244.0.0/16",
        "fd00:10::/56",
    ]


@pytest.mark.parametrize(
    "text", ["", "10.244.0.0/33", "10.244.0.0", "192.168.0.0./16", "pods", "10.0.0.0/16,10.1.0.0/16"]
)
def test_a_bad_range_names_the_option_and_the_fix(text: str) -> None:
    with pytest.raises(OptionError) as caught:
        network.parse_cidrs("cluster_pod_cidr", text)
    assert caught.value.message.startswith("cluster_pod_cidr ")
    assert "; use " in caught.value.message
    assert "\n" not in caught.value.message


def test_overlap_in_both_directions_and_never_across_families() -> None:
    small, large = network.parse_cidrs("x", "10.244.3.0/24"), network.parse_cidrs("x", "10.0.0.0/8,fd00::/8")
    assert network.overlapping(small, large) and network.overlapping(large, small)
    assert not network.overlapping(network.parse_cidrs("x", "10.1.0.0/16"), network.parse_cidrs("x", "fd00::/8"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("k8s.example.org", ("k8s.example.org", 6443)),
        ("k8s.example.org:8443", ("k8s.example.org", 8443)),
        ("192.0.2.1", ("192.0.2.1", 6443)),
        ("[2001:db8::1]:7443", ("2001:db8::1", 7443)),
        ("[2001:db8::1]", ("2001:db8::1", 6443)),
    ],
)
def test_endpoints(text: str, wanted: tuple[str, int]) -> None:
    assert network.parse_endpoint("cluster_endpoint", text) == wanted


@pytest.mark.parametrize("text", ["host:", "host:0", "host:65536", "https://host:6443", ":6443", "a b"])
def test_bad_endpoints(text: str) -> None:
    with pytest.raises(OptionError, match="^cluster_endpoint is "):
        network.parse_endpoint("cluster_endpoint", text)


@pytest.mark.parametrize(
    ("endpoint", "port", "full"),
    [
        ("", 6443, ""),
        ("k8s.example.org", 6443, "k8s.example.org:6443"),
        ("k8s.example.org", 7443, "k8s.example.org:7443"),
        ("k8s.example.org:443", 7443, "k8s.example.org:443"),
        ("2001:db8::1", 6443, "[2001:db8::1]:6443"),
        ("[2001:db8::1]", 7443, "[2001:db8::1]:7443"),
        ("[2001:db8::1]:443", 6443, "[2001:db8::1]:443"),
    ],
)
def test_endpoints_with_their_port(endpoint: str, port: int, full: str) -> None:
    assert network.full_endpoint(endpoint, port) == full


# -- one address in two spellings

SHORT, LONG = "2001:db8::10", "2001:DB8:0:0::0010"


def test_addresses_of_nodes_have_one_spelling() -> None:
    places = [{"type": "InternalIP", "address": text} for text in (LONG, "192.0.2.1")]
    (node,) = read_nodes({"items": [{"metadata": {"name": "cp1"}, "status": {"addresses": places}}]})
    assert node.addresses == [SHORT, "192.0.2.1"]


def test_names_are_resolved_to_one_spelling() -> None:
    assert resolved(LONG) == SHORT and resolved("192.0.2.1") == "192.0.2.1"


def test_members_are_found_by_their_addresses() -> None:
    member = Member("1", "", [f"https://[{LONG}]:2380"])
    assert leaving([member], "", [SHORT]) == [member] and leaving([member], "", ["2001:db8::1"]) == []
    assert leaving([Member("1", "", [f"https://[{SHORT}]:2380"])], "", [LONG])


def test_the_own_member_is_not_one_of_the_others() -> None:
    pod = {
        "metadata": {"annotations": {CLIENT_URLS: f"https://[{LONG}]:2379"}},
        "spec": {"nodeName": "cp1"},
    }
    assert client_urls([pod], [SHORT], ["cp1"]) == []
    assert client_urls([pod], ["2001:db8::1"], ["cp1"]) == [f"https://[{LONG}]:2379"]


def test_an_endpoint_that_is_an_address_is_that_of_its_node() -> None:
    assert Cluster(endpoint=f"[{LONG}]:6443").endpoint_place == (SHORT, 6443)
    assert has_name([SHORT], f"[{LONG}]:6443") and not has_name(["2001:db8::1"], f"[{LONG}]:6443")
    assert network.same_endpoint(f"[{LONG}]", f"[{SHORT}]:6443") and not network.same_endpoint(LONG, f"[{SHORT}]:1")
    # As kubeadm has it in kubeconfigs.
    assert network.full_endpoint(f"[{LONG}]") == f"[{LONG}]:6443"


def test_names_of_certificates_are_not_added_twice() -> None:
    config = f'kind: ClusterConfiguration\ncontrolPlaneEndpoint: a:1\napiServer:\n  certSANs:\n  - "{LONG}"\n'
    assert with_endpoint(config, "a:1", [SHORT]) == config
    options = ControlPlaneOptions(endpoint_vip=SHORT, cert_sans=[LONG])
    assert options.alternative_names == [LONG]
    given = {"ClusterConfiguration": {"apiServer": {"certSANs": [LONG]}}}
    ControlPlaneOptions(endpoint_vip=SHORT, config=given).validate()


def test_an_endpoint_in_another_spelling_is_no_difference() -> None:
    live = KubeadmState(
        phase=DONE, role="control_plane", api=ClusterApi(live=True, config=ClusterConfig(endpoint=f"[{LONG}]:6443"))
    )
    found = init_problems(live, ControlPlaneOptions(endpoint=f"[{SHORT}]:6443"))
    assert not [one for one in found if "cluster_endpoint" in one.message]
    found = init_problems(live, ControlPlaneOptions(endpoint="[2001:db8::11]"))
    (other,) = [one for one in found if "cluster_endpoint" in one.message]
    assert other.message.startswith("cluster_endpoint is [2001:db8::11]:6443, but the cluster was created with")
