# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Converts the facts of a host to the types of the planners, strictly, because a host may return anything.

A planner computes with addresses and numbers of all hosts. One that answers with something else must get a finding of
its own, and must not end the plan of the others with an exception.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from ansible_collections.kubestead.cluster.plugins.module_utils.core.addresses import (
    parse_cidrs,
    plain_address,
    plain_network,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Finding, Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.host import connect

from .hosts import Facts

T = TypeVar("T")


class BrokenFacts(KubesteadError):
    """A host returned an unexpected value. The message has its place and the problem."""

    def finding(self, host: str) -> Finding:
        """The finding about the host, which can't be planned."""
        text = f"the facts of this host are invalid: {self.message}"
        fix = "check that the host is the expected machine, or exclude it with --limit"
        return Finding(host, "cluster", Problem("broken_facts", text, fix))


def read_facts(data: Mapping[str, Any]) -> Facts:
    """The facts of a host out of what ``node_info`` registered for it; unknown keys are ignored.

    Raises :class:`BrokenFacts` for a value of another type, and for an address or range that is not one.
    """
    facts: Facts = _dataclass(Facts, {key: value for key, value in data.items() if value is not None}, "")
    _check_sizes(facts)
    _check_addresses(facts)
    return facts


# -- types


def _dataclass(cls: type[T], data: Any, path: str) -> T:
    if not isinstance(data, Mapping):
        raise _wrong(path, data, "a dictionary")
    values = {}
    for name, (hint, required) in _fields(typing.cast(typing.Hashable, cls)).items():
        if name in data:
            values[name] = _value(hint, data[name], f"{path}.{name}" if path else name)
        elif required:
            raise BrokenFacts(f"{path}.{name} is missing")
    try:
        return cls(**values)
    except ValueError as err:
        raise BrokenFacts(f"{path or 'the answer'}: {err}") from None


@functools.cache
def _fields(cls: Any) -> dict[str, tuple[Any, bool]]:
    """The fields of a dataclass: name -> (type, whether it has no default)."""
    hints = typing.get_type_hints(cls)
    missing = dataclasses.MISSING
    return {
        field.name: (hints[field.name], field.default is missing and field.default_factory is missing)
        for field in dataclasses.fields(cls)
    }


def _know(hint: Any) -> None:
    """Compute the fields of all dataclasses in a type."""
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        for inner, _required in _fields(typing.cast(typing.Hashable, hint)).values():
            _know(inner)
    for inner in typing.get_args(hint):
        _know(inner)


# Once here, and not in each process that Ansible starts for a host.
_know(Facts)


def _value(hint: Any, value: Any, path: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin is typing.Union:
        return None if value is None else _value(arguments[0], value, path)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return _dataclass(hint, value, path)
    if origin is list:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise _wrong(path, value, "a list")
        return [_value(arguments[0], item, f"{path}[{at}]") for at, item in enumerate(value)]
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong(path, value, "a dictionary")
        return {str(key): _value(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
    return _scalar(hint, value, path)


def _scalar(hint: Any, value: Any, path: str) -> Any:
    if hint is bool and isinstance(value, bool):
        return value
    if hint is str and isinstance(value, str):
        return str(value)
    if hint is int and isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63:
        return int(value)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    words = {bool: "true or false", str: "text", int: "an integer", float: "a number"}
    raise _wrong(path, value, words[hint])


def _wrong(path: str, value: Any, expected: str) -> BrokenFacts:
    return BrokenFacts(f"{path or 'the answer'} is {type(value).__name__.lstrip('_')}, not {expected}")


# -- sizes

# More than any machine has: rules compare these with those of other hosts.
_MOST = {"addresses": 1000, "routes": 5000, "reach": 200, "hosts files": 2, "networks": 1000, "etcd members": 100}


def _check_sizes(facts: Facts) -> None:
    found: dict[str, typing.Sized] = {
        "addresses": facts.node.addresses,
        "routes": facts.node.routes,
        "reach": facts.reach,
        "hosts files": facts.api_endpoint.hosts,
        "networks": facts.api_endpoint.virtual_ip.networks,
        "etcd members": facts.etcd.members,
    }
    for name, most in _MOST.items():
        if len(found[name]) > most:
            raise BrokenFacts(f"{name} has {len(found[name])} entries, more than {most}")


# -- addresses


def _check_addresses(facts: Facts) -> None:
    """Check that all values that rules use as addresses are addresses."""
    node, bridge = facts.node, facts.cni.bridge
    for place, addresses in (
        ("node.addresses", node.addresses),
        ("cni.bridge.addresses", bridge.addresses if bridge else []),
    ):
        for at, one in enumerate(addresses):
            _check(plain_address, one.address, f"{place}[{at}].address")
            _check(_interface, one.network, f"{place}[{at}].network")
    shared = facts.api_endpoint.virtual_ip
    _check(plain_address, shared.address, "api_endpoint.virtual_ip.address", optional=True)
    for network in shared.networks:
        _check(_interface, network, "api_endpoint.virtual_ip.networks")
    for target in facts.reach:
        _check(connect.split, target, "reach")
    _check(plain_address, node.default_address, "node.default_address", optional=True)
    for at, text in enumerate([*node.default_addresses, *(node.hostname_addresses or [])]):
        _check(plain_address, text, f"node.default_addresses or node.hostname_addresses[{at}]")
    for at, route in enumerate(node.routes):
        _check(functools.partial(plain_network, strict=False), route, f"node.routes[{at}]")
    for at, server in enumerate(node.dns_servers):
        _check(plain_address, server, f"node.dns_servers[{at}]")
    for at, member in enumerate(facts.kubeadm.api.nodes):
        for text in member.addresses:
            _check(plain_address, text, f"kubeadm.api.nodes[{at}].addresses")
        for text in member.pod_cidrs:
            _check(plain_network, text, f"kubeadm.api.nodes[{at}].pod_cidrs")
    config = facts.kubeadm.api.config
    for name in ("pod_cidr", "service_cidr"):
        text = str(getattr(config, name)) if config else ""
        _check(functools.partial(parse_cidrs, name), text, f"kubeadm.api.config.{name}", optional=True)


def _interface(text: str) -> None:
    """Raise for a value that is not an address with a prefix length."""
    plain_network(text, strict=False)


def _check(parse: Any, text: str, path: str, optional: bool = False) -> None:
    if optional and not text:
        return
    try:
        parse(text)
    except (ValueError, OptionError):
        raise BrokenFacts(f"{path} is {text[:60]!r}, not an address or range") from None
