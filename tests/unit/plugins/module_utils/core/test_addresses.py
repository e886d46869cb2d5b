# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading ranges and endpoints."""

from __future__ import annotations

import pytest

from ansible_collections.kubestead.cluster.plugins.module_utils.core import addresses as network
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import OptionError


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
