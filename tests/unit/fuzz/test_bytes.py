# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Indexes of mirrors, certificates, keys, and the machine itself: any bytes, any names."""

from __future__ import annotations

import base64
import bz2
import gzip
import lzma
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.kubestead.cluster.plugins.module_utils.core import x509
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.system import System, run_process
from ansible_collections.kubestead.cluster.plugins.module_utils.host import (
    sysctls,
)
from ansible_collections.kubestead.cluster.plugins.module_utils.packages import (
    openpgp,
    repository,
    signing_key,
)

from ..support import fixture
from .profile import fuzz
from .reading import check
from .strategies import damaged_bytes

# -- bytes of mirrors, keys and certificates

_REPOMD, _PRIMARY = fixture("kube_packages/repomd.xml").encode(), fixture("kube_packages/primary.xml").encode()
_PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".xz": lzma.compress,
    ".bz2": bz2.compress,
    ".xml": bytes,
}


def _rpm(first: bytes, second: bytes) -> Any:
    pages = iter((first, second))
    return repository.rpm_offers(
        "https://mirror/",
        lambda address, method: repository.Response(200, next(pages)),
        "x86_64",
        ["kubelet", "kubeadm"],
    )


@fuzz(150)
@given(
    damaged_bytes([_REPOMD, b'<?xml version="1.0" encoding="x"?><a/>', b'<?xml version="1.0" encoding="utf-7"?><a/>'])
)
def test_repomd(data: bytes) -> None:
    check(lambda repomd: _rpm(repomd, gzip.compress(_PRIMARY)), data, True)


@fuzz(60)
@given(st.text(max_size=20) | st.sampled_from(["file:///etc/shadow", "http://[", "//x", "a", "a.", ".gz", "a.gz/", ""]))
def test_where_the_metadata_are(href: str) -> None:
    asked: list[str] = []

    def fetch(address: str, method: str) -> repository.Response:
        asked.append(address)
        return repository.Response(200, b"<a/>")

    try:
        repomd = b'<repomd xmlns="http://linux.duke.edu/metadata/repo"><data type="primary"><location/></data></repomd>'
        root = repository._xml("x", repomd)
        next(root.iter("{http://linux.duke.edu/metadata/repo}location")).set("href", href)
        repository.rpm_offers("https://mirror/", _first(fetch, root), "x86_64", ["kubelet"])
    except KubesteadError:
        pass
    assert all(address.startswith(("https://", "http://")) for address in asked)


def _first(fetch: Callable[[str, str], repository.Response], root: Any) -> Callable[[str, str], repository.Response]:
    import xml.etree.ElementTree

    def answer(address: str, method: str) -> repository.Response:
        if address.endswith("repomd.xml"):
            return repository.Response(200, xml.etree.ElementTree.tostring(root, "utf-8", xml_declaration=True))
        return fetch(address, method)

    return answer


@pytest.mark.parametrize("packing", _PACKINGS)
@fuzz(40)
@given(data=st.data())
def test_primary(packing: str, data: st.DataObject) -> None:
    name = _REPOMD.replace(b"-primary.xml.gz", b"-primary.xml" + (b"" if packing == ".xml" else packing.encode()))
    packed = data.draw(damaged_bytes([_PACKINGS[packing](_PRIMARY)]))
    check(lambda page: _rpm(name, page), packed, True)


@fuzz(60)
@given(damaged_bytes([_PRIMARY, b"<a>" * 5000]))
def test_primary_as_it_is(data: bytes) -> None:
    name = _REPOMD.replace(b"-primary.xml.gz", b"-primary.xml")
    check(lambda page: _rpm(name, page), data, True)


@pytest.mark.parametrize("packing", [".gz", ".xz", ".bz2"])
def test_few_bytes_that_stand_for_many_are_refused(packing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repository, "_LARGEST_UNPACKED", 1 << 20)
    data = _PACKINGS[packing](b"<a/>" + b" " * (1 << 20))
    with pytest.raises(KubesteadError, match="larger than 1 MiB"):
        repository._unpack_bytes("x", data, repository._UNPACK[packing])


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
def test_entities_are_refused(encoding: str) -> None:
    lines = [f'<!ENTITY a{i + 1} "{f"&a{i};" * 10}">' for i in range(20)]
    text = f'<!DOCTYPE a [<!ENTITY a0 "x">{"".join(lines)}]><a>&a20;</a>'
    with pytest.raises(KubesteadError, match="entities"):
        repository._xml("x", text.encode(encoding))


_DER = [base64.b64decode("".join(pem.splitlines()[1:-1])) for pem in (fixture("join/v1.35/ca.crt"),)]


@fuzz(200)
@given(damaged_bytes(_DER))
def test_certificates(der: bytes) -> None:
    pem = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n".format(base64.b64encode(der).decode())
    readers = (x509.ca_cert_hashes, x509.certificate_node_name, x509.certificate_addresses)
    check(lambda text: [reader(text) for reader in readers], pem, False)


def _key_bytes(name: str) -> bytes:
    (block,) = openpgp._blocks(fixture(name))
    return block


@fuzz(200)
@given(
    damaged_bytes(
        [_key_bytes("kube_packages/Release.key"), b"\x99\xff\xff\x04" + b"x" * 70_000, b"\x9a\x00\x01\x11\x70\x04"]
    )
)
def test_signing_keys(data: bytes) -> None:
    text = "\n".join([openpgp.BEGIN, "", base64.b64encode(data).decode(), openpgp.END])
    check(lambda armoured: signing_key.describe_key(signing_key.key_state(armoured, 1e9)), text, False)


def test_a_life_of_more_than_four_bytes_is_no_time_beyond_the_calendar() -> None:
    subpacket = bytes([1 + 9, openpgp._SUBPACKET_KEY_EXPIRES]) + b"\xff" * 9
    signature = b"\x04\x13\x01\x02" + len(subpacket).to_bytes(2, "big") + subpacket + b"\x00\x00"
    key = b"\x04" + b"\x00" * 20
    data = b"\x98" + bytes([len(key)]) + key + b"\xb4\x01x" + b"\x88" + bytes([len(signature)]) + signature
    text = "\n".join([openpgp.BEGIN, "", base64.b64encode(data).decode(), openpgp.END])
    (found,) = openpgp.public_keys(text)
    assert found.expires is not None and signing_key.day(found.expires)


# -- the machine itself


@fuzz(60)
@given(st.text(min_size=1, max_size=6) | st.sampled_from(["\x00", "a\x00b", "\ud800", "x" * 5000]))
def test_names_that_another_file_told(name: str) -> None:
    system = System(root="/nonexistent")
    assert system.read("/" + name) is None
    assert system.names("/" + name) == []
    assert system.mode("/" + name) is None
    assert system.exists("/" + name) is False
    assert run_process(["/nonexistent/" + name, name], None, 1.0, {}).rc in (126, 127)


def test_patterns_of_sysctl_files_are_matched_as_before_and_in_time() -> None:
    key = "net.ipv4.conf.eth0.rp_filter"
    for pattern, expected in {
        "net.ipv4.conf.*.rp_filter": True,
        "net.ipv4.conf.eth?.rp_filter": True,
        "net.ipv4.conf.eth[0-9].rp_filter": True,
        "net.ipv4.conf.eth[!0-9].rp_filter": False,
        "net.ipv4.conf.eth[z-a].rp_filter": False,
        "net.*": True,
        "*": True,
        "*.rp_filter": True,
        "*.rp_filte": False,
        "net.ipv4.conf.eth0.rp_filter*rp_filter": False,
        "n*n": False,
        "": False,
        "*a" * 40: False,
        "*" * 60 + "!": False,
    }.items():
        assert sysctls.matches(pattern, key) is expected, pattern
