# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The cluster's netfilter rules, in what iptables-save of 1.8.9 printed of them beside Docker's."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.kubestead.cluster.plugins.module_utils.reset import netfilter
from ansible_collections.kubestead.cluster.tests.unit.support import Machine, fixture

SAVED = fixture("reset/iptables-nft-save.txt")


def by_table(saved: str) -> dict[str, netfilter.Change]:
    return {change.table: change for change in netfilter.changes("iptables-nft", saved)}


def test_what_is_removed_is_the_cluster_s_alone() -> None:
    found = by_table(SAVED)
    assert set(found) == {"nat", "filter"}
    nat = found["nat"].lines
    assert not [line for line in nat if "DOCKER" in line or "docker0" in line or "172.17." in line]
    # Each of the others goes: in chains of the machine one by one, else with its chain.
    jumps = [line for line in nat if line.startswith("-D")]
    assert [line.split()[1] for line in jumps] == ["PREROUTING"] * 2 + ["POSTROUTING"] * 4
    chains = [line[3:] for line in nat if line.startswith("-X")]
    assert chains == [line[3:] for line in nat if line.startswith("-F")]
    assert set(chains) == {
        "CNI-DN-0123456789abcdef01234",
        "CNI-HOSTPORT-DNAT",
        "CNI-HOSTPORT-MASQ",
        "CNI-HOSTPORT-SETMARK",
        "KUBE-MARK-MASQ",
        "KUBE-POSTROUTING",
        "KUBE-SERVICES",
        "KUBE-SVC-ERIFXISQEP7F7OF4",
        "cali-POSTROUTING",
    }
    # Chains are empty before the first of them is deleted: they lead to each other.
    assert nat.index("-X KUBE-MARK-MASQ") > nat.index("-F CNI-HOSTPORT-DNAT")


def test_a_table_without_rules_of_others_is_left_empty() -> None:
    found = by_table(SAVED)
    assert found["filter"].emptied and not found["nat"].emptied
    refused = SAVED.replace(":FORWARD ACCEPT", ":FORWARD DROP")
    assert not by_table(refused)["filter"].emptied


def test_ports_of_other_users_of_cni_stay() -> None:
    """podman of some systems uses the same plugin, and its chains."""
    other = (
        '-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"podman\\" id: \\"def\\"" -m multiport '
        "--dports 9090 -j CNI-DN-fedcba9876543210fedcb\n"
    )
    saved = SAVED.replace(":CNI-HOSTPORT-DNAT", ":CNI-DN-fedcba9876543210fedcb - [0:0]\n:CNI-HOSTPORT-DNAT")
    saved = saved.replace("-A CNI-HOSTPORT-MASQ -m mark", other + "-A CNI-HOSTPORT-MASQ -m mark")
    text = by_table(saved)["nat"].text
    assert "fedcba" not in text and "HOSTPORT-MASQ" not in text and "-F CNI-HOSTPORT" not in text
    assert '-D CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name: \\"kubestead\\"' in text


def test_a_comment_that_only_mentions_a_cluster_is_not_one_of_its_rules() -> None:
    rule = '-A FORWARD -s 10.9.0.0/16 -m comment --comment "not for kubestead -j KUBE-FORWARD" -j ACCEPT\n'
    saved = SAVED.replace("-A FORWARD -s 10.244", rule + "-A FORWARD -s 10.244")
    assert "10.9.0.0" not in by_table(saved)["filter"].text


def test_a_machine_without_a_cluster_is_not_touched() -> None:
    lines = [line for line in SAVED.splitlines() if not any(word in line for word in ("KUBE", "cali", "CNI", "kubest"))]
    assert netfilter.changes("iptables-legacy", "\n".join(lines)) == []
    assert netfilter.changes("iptables-legacy", "") == [] == netfilter.changes("iptables", "*nat\n:\n-\nCOMMIT\n")


def test_each_backend_that_is_there_is_asked(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.answer("iptables-nft-save", SAVED)
    machine.answer("iptables-legacy-save", SAVED)
    machine.answer("ip6tables-save", SAVED)
    programs = {change.program for change in netfilter.observe(machine)}
    # Only where neither name is known the plain one is asked.
    assert programs == {"iptables-nft", "iptables-legacy", "ip6tables"}
    assert ["iptables-save"] not in machine.ran


def test_a_change_is_one_transaction_and_drops_an_empty_table_of_nft(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for change in netfilter.changes("iptables-nft", SAVED):
        machine.answer("iptables-nft-restore", "")
        machine.answer("iptables-nft-save", "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n")
        machine.answer("nft", "")
        netfilter.apply(change, machine)
    assert machine.inputs[0] and machine.inputs[0].startswith("*filter\n-D FORWARD") and "COMMIT" in machine.inputs[0]
    assert ["nft", "delete", "table", "ip", "filter"] in machine.ran
    assert ["nft", "delete", "table", "ip", "nat"] not in machine.ran


def test_tables_of_kube_proxy_and_calico_are_known_by_name(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.answer("nft list tables", "table ip kube-proxy\ntable ip6 kube-proxy\ntable ip nat\ntable inet firewalld\n")
    assert netfilter.nft_tables(machine) == ["ip kube-proxy", "ip6 kube-proxy"]
