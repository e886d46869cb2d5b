# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The content of a package repository, read over HTTPS before anything on the host is changed.

Only names and versions are taken from here. What is installed is verified by apt or dnf against the signing key.
"""

from __future__ import annotations

import bz2
import gzip
import http.client
import io
import lzma
import os
import re
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from ..core import untrusted
from ..core.deadline import DeadlineExceeded, within
from ..core.errors import KubesteadError
from ..core.https import client_context
from ..core.system import System
from . import dnf_files

if TYPE_CHECKING:
    import xml.etree.ElementTree

# Seconds without a byte, and for one answer altogether.
TIMEOUT = 10.0
DEADLINE = 60.0
_LARGEST = 64 * 1024 * 1024
_LARGEST_UNPACKED = 4 * _LARGEST


@dataclass(frozen=True)
class Response:
    """An answer. ``status`` is the HTTP code, 0 without an answer; ``error`` is the reason in a few words."""

    status: int
    body: bytes = b""
    error: str = ""

    @property
    def ok(self) -> bool:
        """True if the page was fetched."""
        return self.status == 200


# (address, method) -> Response; never raises
Fetch = Callable[[str, str], Response]


@dataclass(frozen=True)
class AvailablePackage:
    """A package in a repository's index, for the host's architecture or any."""

    name: str
    version: str
    depends: str = ""


class HttpsStays(urllib.request.HTTPRedirectHandler):
    """Follows redirects, but refuses redirects from https to another scheme, which does not authenticate the server."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        """The request to follow with. Raises URLError."""
        if req.type == "https" and urllib.parse.urlsplit(newurl).scheme.lower() != "https":
            raise urllib.error.URLError("it redirects from https to an address without TLS")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def fetcher(proxies: Optional[Mapping[str, str]] = None, deadline: float = DEADLINE) -> Fetch:
    """A function that fetches pages through ``proxies`` (``{"https": "http://proxy:3128"}``), or the environment's.

    An empty address means no proxy. ``no_proxy`` in the environment applies in both cases. ``deadline`` is the maximum
    time for a page, in seconds. A page larger than 64 MiB is an error.
    """
    settings = urllib.request.getproxies()
    for scheme, address in (proxies or {}).items():
        settings[scheme] = address
    settings = {scheme: address for scheme, address in settings.items() if address}
    # One for all pages: to read the certificates that a machine trusts takes longer than to fetch one.
    trust = urllib.request.HTTPSHandler(context=client_context())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(settings), trust, HttpsStays)

    def read(address: str, method: str) -> Response:
        request = urllib.request.Request(address, method=method, headers={"User-Agent": "kubestead.cluster"})
        with opener.open(request, timeout=TIMEOUT) as answer:
            body = answer.read(_LARGEST + 1)
        if len(body) > _LARGEST:
            return Response(0, error="it is larger than {0} MiB".format(_LARGEST >> 20))
        return Response(answer.status, body)

    def fetch(address: str, method: str = "GET") -> Response:
        try:
            return within(deadline, lambda: read(address, method))
        except urllib.error.HTTPError as err:
            err.close()
            return Response(err.code, error="{0} {1}".format(err.code, err.reason).strip())
        except urllib.error.URLError as err:
            return Response(0, error=_why(err.reason))
        except (OSError, ValueError, http.client.HTTPException) as err:
            return Response(0, error=_why(err))

    return fetch


def _why(reason: object) -> str:
    if isinstance(reason, ssl.SSLCertVerificationError):
        return "its certificate is not trusted ({0})".format(reason.verify_message)
    if isinstance(reason, DeadlineExceeded):
        return str(reason)
    if isinstance(reason, socket.timeout):
        return "no answer within {0:.0f} seconds".format(TIMEOUT)
    if isinstance(reason, socket.gaierror):
        return "its name can't be resolved"
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror.lower()
    return str(reason) or type(reason).__name__


def package_manager_proxies(system: System, manager: str, address: str = "") -> Dict[str, str]:
    """Scheme -> proxy that the package manager uses for a repository; an empty address means no proxy.

    For a missing scheme, apt and dnf use the environment.
    """
    return _apt_proxies(system, address) if manager == "apt" else _dnf_proxies(system)


def _apt_proxies(system: System, address: str) -> Dict[str, str]:
    """apt's proxies, as in apt-transport-http(1): a host's own before the general one; for https, https before http."""
    text = system.run(["apt-config", "dump", "--format", "%f=%v%n", "Acquire"]).stdout
    values = {}
    for line in text.splitlines():
        match = re.match(r"(?i)^Acquire::(https?)::(Proxy(?:::\S+?|-Auto-Detect)?)=(\S+)\Z", line)
        if match:
            values[(match.group(1).lower(), match.group(2).lower())] = match.group(3)
    host = (urllib.parse.urlsplit(address).hostname or "").lower()
    found = {}
    for scheme, schemes in (("http", ("http",)), ("https", ("https", "http"))):
        detected = _detected_proxy(system, scheme, schemes, values, address)
        asked = [(one, "proxy::" + host) for one in schemes] + [(one, "proxy") for one in schemes]
        value = next((values[key] for key in asked[: len(schemes)] if key in values), "") or detected
        value = value or next((values[key] for key in asked[len(schemes) :] if key in values), "")
        if value:
            found[scheme] = "" if value.lower() in ("direct", "false", "none") else value
    return found


def _detected_proxy(
    system: System, scheme: str, schemes: Sequence[str], values: Mapping[Tuple[str, str], str], address: str
) -> str:
    """The proxy from the host's own auto-detection program, run by apt's helper."""
    ours = urllib.parse.urlsplit(address).scheme == scheme
    if not ours or not any((one, "proxy-auto-detect") in values for one in schemes):
        return ""
    answer = system.run(["/usr/lib/apt/apt-helper", "auto-detect-proxy", address], timeout=15.0).stdout
    match = re.search(r"Using proxy '([^']*)' for URL", answer)
    return match.group(1) if match else ""


def _dnf_proxies(system: System) -> Dict[str, str]:
    value = dnf_files.options(system).get("proxy")
    if value is None:
        return {}
    proxy = "" if value in ("", "_none_") else value
    return {"http": proxy, "https": proxy}


# -- apt


def deb_offers(base: str, fetch: Fetch, architecture: str, names: Sequence[str]) -> List[AvailablePackage]:
    """The packages ``names`` in a flat apt repository. Raises :class:`Unreachable`."""
    response = Response(0)
    for name, unpack in (("Packages", _plain), ("Packages.gz", _gunzip)):
        response = fetch(base + name, "GET")
        if response.ok:
            return parse_packages(_unpacked(base + name, response.body, unpack), architecture, names)
        if response.status == 0:
            break
    raise Unreachable(base, response)


def parse_packages(text: str, architecture: str, names: Sequence[str]) -> List[AvailablePackage]:
    """Offers from the text of an apt ``Packages`` index."""
    offers = []
    for paragraph in re.split(r"\n\s*\n", text):
        parts: Dict[str, List[str]] = {}
        key = ""
        for line in paragraph.splitlines():
            if line[:1].isspace() and key:
                parts[key].append(line.strip())
            elif ":" in line:
                key, value = line.split(":", 1)
                parts[key] = [value.strip()]
        fields = {name: " ".join(value) for name, value in parts.items()}
        fits = fields.get("Architecture") in (architecture, "all")
        if fits and fields.get("Package") in names and fields.get("Version"):
            offers.append(AvailablePackage(fields["Package"], fields["Version"], fields.get("Depends", "")))
    return offers


# -- dnf

_REPO = "{http://linux.duke.edu/metadata/repo}"
_COMMON = "{http://linux.duke.edu/metadata/common}"
# A path of names without a dot first: no address, no other folder, nothing that is encoded.
_BELOW = re.compile(r"(?:[\w+~-][\w.+~-]*/)*[\w+~-][\w.+~-]*\Z", re.ASCII)
_RPM = "{http://linux.duke.edu/metadata/rpm}"


def _unpacked_from(stream: Union[gzip.GzipFile, lzma.LZMAFile, bz2.BZ2File]) -> bytes:
    """The unpacked content of a stream. Raises OSError above a size limit: a few bytes can unpack to terabytes."""
    with stream:
        data = stream.read(_LARGEST_UNPACKED + 1)
    if len(data) > _LARGEST_UNPACKED:
        raise OSError("it is larger than {0} MiB".format(_LARGEST_UNPACKED >> 20))
    return data


def _gunzip(data: bytes) -> bytes:
    return _unpacked_from(gzip.GzipFile(fileobj=io.BytesIO(data)))


_UNPACK: Dict[str, Callable[[bytes], bytes]] = {
    ".gz": _gunzip,
    ".xz": lambda data: _unpacked_from(lzma.LZMAFile(io.BytesIO(data))),
    ".bz2": lambda data: _unpacked_from(bz2.BZ2File(io.BytesIO(data))),
    ".xml": bytes,
}


def rpm_offers(base: str, fetch: Fetch, architecture: str, names: Sequence[str]) -> List[AvailablePackage]:
    """The packages ``names`` in an rpm repository. Raises :class:`Unreachable`, or KubesteadError for odd metadata."""
    address = base + "repodata/repomd.xml"
    response = fetch(address, "GET")
    if not response.ok:
        raise Unreachable(base, response)
    href = primary_href(_xml(address, response.body))
    if not _BELOW.match(href):
        # A mirror must not make this host read its own files or contact other hosts.
        raise KubesteadError(
            "repodata/repomd.xml names the metadata {0!r}, which is not below the repository; the repository is "
            "damaged".format(untrusted.text(href, 100))
        )
    address = base + href
    response = fetch(address, "GET")
    if not response.ok:
        raise Unreachable(base, response)
    extension = os.path.splitext(href)[1]
    if extension not in _UNPACK:
        raise KubesteadError(
            "{0} is compressed as {1}, which Python on this host can't decompress".format(
                address, untrusted.text(extension[1:], 20)
            )
        )
    return parse_primary(_xml(address, _unpack_bytes(address, response.body, _UNPACK[extension])), architecture, names)


def primary_href(repomd: xml.etree.ElementTree.Element) -> str:
    """The path of the package list in repomd.xml. Raises KubesteadError without one."""
    for data in repomd.iter(_REPO + "data"):
        location = data.find(_REPO + "location")
        if data.get("type") == "primary" and location is not None:
            return location.get("href", "")
    raise KubesteadError("repodata/repomd.xml does not have primary metadata; the repository is damaged")


def parse_primary(
    root: xml.etree.ElementTree.Element, architecture: str, names: Sequence[str]
) -> List[AvailablePackage]:
    """Offers from an rpm repository's primary metadata."""
    offers = []
    for package in root.iter(_COMMON + "package"):
        name = package.findtext(_COMMON + "name", "")
        arch = package.findtext(_COMMON + "arch", "")
        version = package.find(_COMMON + "version")
        if name not in names or arch not in (architecture, "noarch") or version is None:
            continue
        epoch = version.get("epoch", "0")
        text = "{0}-{1}".format(version.get("ver", ""), version.get("rel", ""))
        requires = [entry.get("name", "") for needs in package.iter(_RPM + "requires") for entry in needs]
        offers.append(AvailablePackage(name, text if epoch in ("", "0") else epoch + ":" + text, ", ".join(requires)))
    return offers


class Unreachable(KubesteadError):
    """A repository without a readable index. ``response`` is the answer."""

    def __init__(self, base: str, response: Response) -> None:
        super().__init__("{0}: {1}".format(base, response.error))
        self.response = response


def _plain(data: bytes) -> bytes:
    return data


def _unpack_bytes(address: str, data: bytes, unpack: Callable[[bytes], bytes]) -> bytes:
    try:
        return unpack(data)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as err:
        raise KubesteadError("{0} can't be decompressed: {1}".format(address, err)) from err


def _unpacked(address: str, data: bytes, unpack: Callable[[bytes], bytes]) -> str:
    return _unpack_bytes(address, data, unpack).decode("utf-8", "replace")


def _xml(address: str, data: bytes) -> xml.etree.ElementTree.Element:
    # Repositories of apt need no XML.
    import xml.etree.ElementTree

    # Entities that stand for each other can make gigabytes of a few lines; without NULs UTF-16 reads like ASCII here.
    if b"<!ENTITY" in data.replace(b"\0", b""):
        raise KubesteadError("{0} defines XML entities; the repository is damaged".format(address))
    try:
        return xml.etree.ElementTree.fromstring(data)
    except (xml.etree.ElementTree.ParseError, LookupError, ValueError) as err:
        # The others are for an encoding that Python does not know, or can't use here.
        raise KubesteadError("{0} is not XML: {1}".format(address, err)) from err
