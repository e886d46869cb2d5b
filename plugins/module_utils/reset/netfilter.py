# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The netfilter rules of a cluster on one of its nodes: found in what iptables-save prints, and removed as one change.

kube-proxy and the kubelet have chains of their own (``KUBE-``), Calico too (``cali-``). Both are reached from chains
that the machine itself has, where Calico marks its rules with a comment. The CNI plugin ``portmap`` names the network
in its rules, because it shares its chains with other users of CNI.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Container, Dict, List, Optional, Sequence

from ..core.system import System

#: The programs by family and backend. A machine has some of them; the plain names are one of the other two.
FAMILIES = {"4": "iptables", "6": "ip6tables"}
BACKENDS = ("nft", "legacy")
#: Tables of kube-proxy and Calico where they use nftables without iptables.
NFT_TABLES = ("kube-proxy", "calico")

# A chain is declared with its policy; those that are not built in have none.
_CHAIN = re.compile(r":([^ ]+) ([A-Z]+|-)(?: |\Z)")
_OWN_CHAIN = re.compile(r"(?:KUBE|cali)-[A-Za-z0-9_.:-]+\Z")
_OWN_COMMENT = re.compile(r'--comment "?(?:cali:[A-Za-z0-9_-]+|kubestead)"?(?= |\Z)')
# What portmap and the plugin bridge say of the network that a rule is for.
_NETWORK = re.compile(r'name: \\?"(?:kubestead|k8s-pod-network)\\?"')
_TARGET = re.compile(r" -[jg] ([^ ]+)")
_COMMENT = re.compile(r' --comment (?:"(?:[^"\\]|\\.)*"|\S+)')
_PORTMAP_CHAIN = re.compile(r"CNI-[A-Za-z0-9-]+\Z")
_PORTMAP = ("CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-DNAT")


@dataclass(frozen=True)
class Change:
    """What removes the cluster's part of a table: the lines for ``iptables-restore --noflush``.

    ``program`` is the command without ``-save``; ``emptied`` tells that no rule and no chain of others is left then.
    """

    program: str
    table: str
    lines: List[str] = field(default_factory=list)
    emptied: bool = False

    @property
    def text(self) -> str:
        """The input of the command."""
        return "".join(line + "\n" for line in ["*" + self.table, *self.lines, "COMMIT"])


def observe(system: System) -> List[Change]:
    """What is to be removed, by program and table. Changes nothing, and loads no kernel module."""
    found: List[Change] = []
    for plain in FAMILIES.values():
        programs = ["{0}-{1}".format(plain, backend) for backend in BACKENDS]
        answers = [(program, system.run([program + "-save"])) for program in programs]
        if all(answer.rc == 127 for _program, answer in answers):
            answers = [(plain, system.run([plain + "-save"]))]
        for program, answer in answers:
            if answer.ok:
                found += changes(program, answer.stdout)
    return found


def nft_tables(system: System) -> List[str]:
    """The tables of kube-proxy and Calico in nftables, as ``ip kube-proxy``."""
    found = []
    for line in system.run(["nft", "list", "tables"]).stdout.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "table" and words[1] in ("ip", "ip6", "inet") and words[2] in NFT_TABLES:
            found.append("{0} {1}".format(words[1], words[2]))
    return found


def changes(program: str, saved: str) -> List[Change]:
    """What removes the cluster's rules and chains from the tables that ``program`` printed."""
    result = []
    for table, lines in _tables(saved).items():
        declared = [found.groups() for found in map(_CHAIN.match, lines) if found]
        policies = {name: policy for name, policy in declared if policy != "-"}
        rules = [rule for rule in map(_rule, lines) if rule]
        own = _own_chains([name for name, _policy in declared], rules)
        others = [rule for rule in rules if rule.chain not in own]
        removed = [rule for rule in others if rule.is_own(own)]
        if not own and not removed:
            continue
        script = ["-D" + rule.text[2:] for rule in removed]
        script += ["-F " + chain for chain in own] + ["-X " + chain for chain in own]
        kept = [name for name, policy in declared if policy == "-" and name not in own]
        emptied = len(others) == len(removed) and not kept and set(policies.values()) <= {"ACCEPT"}
        result.append(Change(program, table, script, emptied))
    return result


@dataclass(frozen=True)
class _Rule:
    """A rule as iptables-save prints it, with its chain and what it jumps to (empty for nothing)."""

    text: str
    chain: str
    target: str

    def is_own(self, own: Container[str]) -> bool:
        """True for a rule of the cluster: it says so, or leads to one of its chains."""
        return bool(_OWN_COMMENT.search(self.text) or _NETWORK.search(self.text)) or self.target in own


def _rule(line: str) -> Optional[_Rule]:
    chain = re.match(r"-A ([^ ]+) ", line)
    if chain is None:
        return None
    target = _TARGET.search(_COMMENT.sub("", line))
    return _Rule(line, chain.group(1), target.group(1) if target else "")


def _tables(saved: str) -> Dict[str, List[str]]:
    """The lines of each table."""
    found: Dict[str, List[str]] = {}
    table = ""
    for line in saved.splitlines():
        if line.startswith("*"):
            table = line[1:].strip()
            found[table] = []
        elif line.strip() == "COMMIT":
            table = ""
        elif table and line[:1] in (":", "-"):
            # Counters stand before a rule where they are asked for.
            found[table].append(line.strip())
    return found


def _own_chains(chains: Sequence[str], rules: Sequence[_Rule]) -> Dict[str, None]:
    """The chains that go: those of the cluster by name, and those of ``portmap`` that serve its pods alone."""
    own = dict.fromkeys(chain for chain in chains if _OWN_CHAIN.match(chain))
    known = set(chains)
    for rule in rules:
        if rule.target in known and rule.target not in _PORTMAP and _PORTMAP_CHAIN.match(rule.target):
            if _NETWORK.search(rule.text):
                own[rule.target] = None
    kept = any(rule.chain == "CNI-HOSTPORT-DNAT" and not rule.is_own(own) for rule in rules)
    # Without a port of anybody these do nothing; whoever needs them makes them again.
    own.update(dict.fromkeys(() if kept else [chain for chain in _PORTMAP if chain in known]))
    return own


# -- Application


def apply(change: Change, system: System) -> None:
    """Remove the rules and chains of one table. Raises :class:`CommandError`."""
    system.run([change.program + "-restore", "--noflush"], stdin=change.text, check=True)
    if change.emptied and change.program.endswith("nft"):
        # An empty table of the nft backend is what the first command of iptables made. Others may have filled it since.
        family = "ip6" if change.program.startswith("ip6") else "ip"
        saved = system.run([change.program + "-save", "-t", change.table]).stdout
        if not any(line.startswith("-A ") for line in saved.splitlines()):
            system.run(["nft", "delete", "table", family, change.table])
