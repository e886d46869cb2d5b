# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The package repository of Kubernetes in apt and dnf: URLs, files, and conflicting definitions."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import List, Optional, Tuple

from ..core.constants import managed_header
from ..core.errors import OptionError
from ..core.options import refuse_credentials
from ..core.redact import redact
from ..core.system import System
from .apt_files import source_files

KUBE = ("kubelet", "kubeadm", "kubectl")
NAMES = ("kubelet", "kubeadm", "kubectl", "kubernetes-cni")
CRI_TOOLS = "cri-tools"
URL_OPTION = "cluster_packages_url"
DEFAULT_URL = "https://pkgs.k8s.io/core:/stable:"

APT_SOURCE = "/etc/apt/sources.list.d/kubernetes.sources"
APT_KEY = "/etc/apt/keyrings/kubernetes.asc"
DNF_SOURCE = "/etc/yum.repos.d/kubernetes.repo"
DNF_KEY = "/etc/pki/rpm-gpg/RPM-GPG-KEY-kubernetes"
DNF_SOURCES_FOLDER = "/etc/yum.repos.d"

# The first option disables excludes in the repository's definition (dnf 4 and 5). The second refreshes the metadata.
DNF_OPTIONS = ("--setopt=disable_excludes=kubernetes", "--setopt=kubernetes.metadata_expire=0")
# Shut down in 2024; any apt-get update with one of them fails.
_OLD_HOSTS = re.compile(
    r"://(apt\.kubernetes\.io|yum\.kubernetes\.io|packages\.cloud\.google\.com/(apt/?\s+kubernetes-|yum/repos/kubernetes))"
)


@dataclass(frozen=True)
class ConflictingSource:
    """A file with another definition of the repository. ``after`` is its text without it, None to remove the file."""

    path: str
    reason: str
    before: str
    after: Optional[str] = None


# -- addresses and files


def check_url(url: str) -> None:
    """Raise :class:`OptionError` for a URL that is not the base of package repositories."""
    refuse_credentials(URL_OPTION, url, "@")
    if not re.match(r"^https?://[^/\s]+(/\S*)?\Z", url):
        raise OptionError(URL_OPTION, "is {0!r}, not an http(s) URL".format(url), "use a URL like " + DEFAULT_URL)


def repository_url(base: str, series: str, manager: str) -> str:
    """The URL of a minor version's repository: ``https://pkgs.k8s.io/core:/stable:/v1.36/deb/``."""
    return "{0}/v{1}/{2}/".format(base.rstrip("/"), series, "deb" if manager == "apt" else "rpm")


def key_url(base: str, series: str, manager: str) -> str:
    """The URL of the repository's signing key."""
    name = "Release.key" if manager == "apt" else "repodata/repomd.xml.key"
    return repository_url(base, series, manager) + name


def source_path(manager: str) -> str:
    """The file that defines the repository."""
    return APT_SOURCE if manager == "apt" else DNF_SOURCE


def key_path(manager: str) -> str:
    """The file with the repository's signing key."""
    return APT_KEY if manager == "apt" else DNF_KEY


def render_source(manager: str, url: str, hold: bool) -> str:
    """The text of the file that defines the repository at ``url``."""
    if manager == "apt":
        return (managed_header() + "Types: deb\nURIs: {0}\nSuites: /\nSigned-By: {1}\n").format(url, APT_KEY)
    text = (
        managed_header() + "[kubernetes]\n"
        "name=Kubernetes\n"
        "baseurl={0}\n"
        "enabled=1\n"
        "gpgcheck=1\n"
        "repo_gpgcheck=1\n"
        "gpgkey=file://{1}\n"
    ).format(url, DNF_KEY)
    return text + ("exclude={0} {1}\n".format(" ".join(NAMES), CRI_TOOLS) if hold else "")


def apt_list_prefix(url: str) -> str:
    """How apt's list files of a repository are named: the address without its scheme, slashes as underscores."""
    return url.split("://", 1)[-1].replace("_", "%5f").replace("/", "_")


def same_base(source: Optional[str], base: str) -> bool:
    """True for a source that lies below the same base address."""
    return source is not None and base + "/v" in source


# -- other definitions of the repository


def clashes(system: System, manager: str, base: str, url: str) -> List[ConflictingSource]:
    """Other definitions of the repository among the sources of the host."""
    own = source_path(manager)
    if manager == "apt":
        paths = source_files(system)
    else:
        paths = [os.path.join(DNF_SOURCES_FOLDER, name) for name in system.names(DNF_SOURCES_FOLDER)]
        paths = [path for path in paths if path.endswith(".repo")]
    clashes = []
    for path in paths:
        text = system.read(path)
        if path == own or not text:
            continue
        after, reason = strip(path, text, base, url)
        if reason:
            clashes.append(ConflictingSource(path, reason, text, after))
    return clashes


def strip(path: str, text: str, base: str, url: str) -> Tuple[Optional[str], str]:
    """The text of a file of sources without other definitions of the repository, and the reason for the change.

    The text is None if nothing else is left.
    """
    if path.endswith(".repo"):
        return strip_dnf_source(text, base, url)
    return strip_apt_source(text, base, url, path.endswith(".sources"))


def _conflict(line: str, base: str, url: str) -> str:
    """Why a repository definition with this address must be removed; empty if it does not conflict with ours."""
    if "://" not in line:
        return ""
    if _OLD_HOSTS.search(line):
        return "its repository was shut down in 2024"
    addresses = [word.rstrip("/") for word in re.split(r"[\s=]+", line)]
    if url.rstrip("/") in addresses:
        return "defines the same repository with another key"
    for address in addresses:
        if re.match(re.escape(base) + r"/v\d+\.\d+/(deb|rpm)\Z", address):
            return "defines the repository of another minor version ({0})".format(address.rsplit("/", 2)[1])
    return ""


def strip_apt_source(text: str, base: str, url: str, deb822: bool) -> Tuple[Optional[str], str]:
    """An apt sources file without other definitions of the repository, and why; None when nothing else is in it."""
    kept, reasons, reason = [], [], ""
    if deb822:
        # A stanza is removed with the blank lines after it. Every other byte of the file is preserved.
        for part in _stanzas(text):
            settings = re.sub(r"(?m)^#.*\n?", "", part)
            fields = dict(re.findall(r"(?mi)^([\w-]+):((?:.*\n?)(?:[ \t]+.*\n?)*)", settings))
            fields = {key.lower(): value for key, value in fields.items()}
            disabled = fields.get("enabled", "yes").strip().lower() in ("no", "false", "off", "0", "without", "disable")
            # Of the suites only those of an old host say more than its address does.
            old = [suite for suite in fields.get("suites", "").split() if suite.startswith("kubernetes-")]
            where = " ".join("{0} {1}".format(uri, "".join(old[:1])) for uri in fields.get("uris", "").split())
            reason = "" if disabled else _conflict(where, base, url)
            reasons += [reason] if reason else []
            kept += [] if reason else [part]
        if reason and kept:
            # Remove the blank lines before the removed last stanza.
            lines = kept[-1].splitlines(keepends=True)
            while lines and not lines[-1].strip():
                lines.pop()
            kept[-1] = "".join(lines)
    else:
        for line in text.splitlines(keepends=True):
            reason = "" if line.lstrip().startswith("#") else _conflict(line.split(" #")[0], base, url)
            reasons += [reason] if reason else []
            kept += [] if reason else [line]
    rest = "".join(kept)
    if not reasons:
        return text, ""
    has_more = any(line.strip() and not line.lstrip().startswith("#") for line in rest.splitlines())
    return (rest if has_more else None), reasons[0]


def _stanzas(text: str) -> List[str]:
    """The stanzas of a deb822 text, each with the blank lines after it. Joined, they are the complete text."""
    parts: List[List[str]] = []
    blank = True
    for line in text.splitlines(keepends=True):
        if not parts or (blank and line.strip()):
            parts.append([])
        parts[-1].append(line)
        blank = not line.strip()
    return ["".join(part) for part in parts]


def strip_dnf_source(text: str, base: str, url: str) -> Tuple[Optional[str], str]:
    """A dnf repository file without other definitions of the repository, and why; None when nothing else is in it."""
    sections = re.split(r"(?m)^(?=\[)", text)
    kept, reasons = [sections[0]], []
    for section in sections[1:]:
        reason = ""
        for line in section.splitlines():
            if re.match(r"\s*baseurl\s*=", line):
                reason = reason or _conflict(line, base, url)
        if not reason and section.startswith("[kubernetes]"):
            reason = "has a repository of the same name"
        if reason and not re.search(r"(?m)^[ \t]*enabled[ \t]*=[ \t]*(0|no|false)[ \t]*$", section):
            reasons.append(reason)
        else:
            kept.append(section)
    if not reasons:
        return text, ""
    rest = "".join(kept)
    return (rest if "[" in "".join(kept[1:]) else None), reasons[0]


def source_difference(before: str, after: str) -> str:
    """What differs between two definitions of the repository, without passwords."""
    old = set(before.splitlines())
    new = set(after.splitlines())
    for line in after.splitlines():
        if line not in old and re.match(r"(URIs: |baseurl=)", line):
            was = re.search(r"(?m)^(?:URIs:|baseurl[ \t]*=)(.*)$", before)
            address = was.group(1).strip() if was else "no URL"
            return redact("{0} -> {1}".format(address, re.split("[ =]", line, maxsplit=1)[1]))
    holds = [any(re.match(r"exclude\s*=", line) for line in lines) for lines in (old, new)]
    if holds[0] != holds[1]:
        return "the packages are {0}".format("held" if holds[0] else "not held")
    changed = sorted(new - old) or sorted(old - new)
    return "differs in {0}".format(redact(changed[0].strip()) if changed else "the order of its lines")
