# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds the netfilter rules of a cluster in the output of iptables-save, and removes them as one change per table.

kube-proxy and the kubelet create their own chains (``KUBE-``), and so does Calico (``cali-``). Rules in the built-in
chains jump to them; Calico marks those rules with a comment. The CNI plugin ``portmap`` shares its chains with other
users of CNI, so its rules name the network.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Container, Dict, List, Optional, Sequence

from ..core.system import System

#: The programs by family and backend. A machine has some of them; a plain name is an alias for one backend.
FAMILIES = {"4": "iptables", "6": "ip6tables"}
BACKENDS = ("nft", "legacy")
#: The tables of kube-proxy and Calico in their nftables mode.
NFT_TABLES = ("kube-proxy", "calico")

# A chain is declared with its policy; the policy of a user-defined chain is "-".
_CHAIN = re.compile(r":([^ ]+) ([A-Z]+|-)(?: |\Z)")
_OWN_CHAIN = re.compile(r"(?:KUBE|cali)-[A-Za-z0-9_.:-]+\Z")
_OWN_COMMENT = re.compile(r'--comment "?(?:cali:[A-Za-z0-9_-]+|kubestead)"?(?= |\Z)')
# The comment in which the plugins portmap and bridge name the network of a rule.
_NETWORK = re.compile(r'name: \\?"(?:kubestead|k8s-pod-network)\\?"')
_TARGET = re.compile(r" -[jg] ([^ ]+)")
_COMMENT = re.compile(r' --comment (?:"(?:[^"\\]|\\.)*"|\S+)')
_PORTMAP_CHAIN = re.compile(r"CNI-[A-Za-z0-9-]+\Z")
_PORTMAP = ("CNI-HOSTPORT-SETMARK", "CNI-HOSTPORT-MASQ", "CNI-HOSTPORT-DNAT")


@dataclass(frozen=True)
class Change:
    """The lines for ``iptables-restore --noflush`` that remove the cluster's rules and chains from a table.

    ``program`` is the command without ``-save``. ``emptied`` is true if no other rules and chains remain.
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
    """The changes, one per program and table. Changes nothing and does not load kernel modules."""
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
    """The nftables tables of kube-proxy and Calico, such as ``ip kube-proxy``."""
    found = []
    for line in system.run(["nft", "list", "tables"]).stdout.splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "table" and words[1] in ("ip", "ip6", "inet") and words[2] in NFT_TABLES:
            found.append("{0} {1}".format(words[1], words[2]))
    return found


def changes(program: str, saved: str) -> List[Change]:
    """The changes that remove the cluster's rules and chains; ``saved`` is the output of ``program``-save."""
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
    """A rule as iptables-save prints it, with its chain and its jump target (empty if none)."""

    text: str
    chain: str
    target: str

    def is_own(self, own: Container[str]) -> bool:
        """True for a rule of the cluster: it has a cluster comment, or jumps to a chain of the cluster."""
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
            # iptables-save prints counters in front of a rule only on request.
            found[table].append(line.strip())
    return found


def _own_chains(chains: Sequence[str], rules: Sequence[_Rule]) -> Dict[str, None]:
    """The chains to remove: those with the cluster's prefixes, and the ``portmap`` chains that only its pods use."""
    own = dict.fromkeys(chain for chain in chains if _OWN_CHAIN.match(chain))
    known = set(chains)
    for rule in rules:
        if rule.target in known and rule.target not in _PORTMAP and _PORTMAP_CHAIN.match(rule.target):
            if _NETWORK.search(rule.text):
                own[rule.target] = None
    kept = any(rule.chain == "CNI-HOSTPORT-DNAT" and not rule.is_own(own) for rule in rules)
    # Without a host port these chains have no effect; portmap creates them again when needed.
    own.update(dict.fromkeys(() if kept else [chain for chain in _PORTMAP if chain in known]))
    return own


# -- Application


def apply(change: Change, system: System) -> None:
    """Remove the rules and chains of one table. Raises :class:`CommandError`."""
    system.run([change.program + "-restore", "--noflush"], stdin=change.text, check=True)
    if change.emptied and change.program.endswith("nft"):
        # The nft backend leaves an empty table behind. Another program may have added rules to it since.
        family = "ip6" if change.program.startswith("ip6") else "ip"
        saved = system.run([change.program + "-save", "-t", change.table]).stdout
        if not any(line.startswith("-A ") for line in saved.splitlines()):
            system.run(["nft", "delete", "table", family, change.table])
