# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The variables of the role containerd and their validation."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Mapping
from urllib.parse import urlsplit

from ..core.errors import KubesteadError, OptionError
from ..core.images import check_image
from ..core.options import ADDRESS, SECRET, checked, refuse_credentials, to_dict, var
from ..core.untrusted import parse_json
from . import toml
from .schema import misfit, wrong_version

COMPONENT = "containerd"

#: Options with passwords in them.
SECRET_OPTIONS = ("registry_credentials", "config_dropin")
# As apt and dnf name packages; no option of theirs begins so.
_PACKAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+_-]*\Z")


@dataclass(frozen=True)
class RegistryCredential:
    """A name and password for one registry (``registry.example.com:5000``, ``docker.io``)."""

    registry: str = ""
    username: str = ""
    password: str = field(default="", repr=False)


@dataclass(frozen=True)
class Mirror:
    """An address that images of a registry are pulled from. ``ca`` is a path on the node or a PEM certificate."""

    url: str = ""
    ca: str = ""
    skip_verify: bool = False
    override_path: bool = False
    capabilities: List[str] = field(default_factory=lambda: ["pull", "resolve"])


@dataclass(frozen=True)
class Mirrors:
    """The mirrors of a registry, in order. With ``fallback``, the registry itself is tried last."""

    mirrors: List[Mirror] = field(default_factory=list)
    fallback: bool = True


@dataclass(frozen=True)
class ContainerdOptions:
    """The variables of the role containerd.

    ``registry_mirrors`` maps a registry (``_default`` for all others) to a list of addresses, to a list of
    dictionaries with the fields of :class:`Mirror`, or to a dictionary with the fields of :class:`Mirrors`. ``upgrade``
    lets an upgrade of the cluster install the newest version of the package.
    """

    package: str = ""
    upgrade: bool = False
    registry_mirrors: Dict[str, Any] = field(default_factory=dict, metadata=ADDRESS)
    registry_credentials: List[RegistryCredential] = field(default_factory=list, metadata=SECRET)
    config_dropin: str = ""
    sandbox_image: str = ""
    cni_bin_dir: str = "/opt/cni/bin"
    image_repository: str = field(default="registry.k8s.io", metadata={**var("cluster_image_repository"), **ADDRESS})

    def validate(self) -> None:
        """Raise :class:`OptionError` for the first value that can't be used."""
        self.mirrors()
        self.check_secrets()
        if self.sandbox_image:
            check_image("containerd_sandbox_image", self.sandbox_image)
        if self.config_dropin:
            parse_dropin(self.config_dropin)
        if self.package and not _PACKAGE.match(self.package):
            raise OptionError(
                "containerd_package",
                "is {0!r}, not the name of a package".format(self.package),
                "use a name without a version, like containerd.io",
            )
        if not self.cni_bin_dir.startswith("/"):
            raise OptionError(
                "containerd_cni_bin_dir",
                "is {0!r}, not an absolute path".format(self.cni_bin_dir),
                "use an absolute path",
            )

    def check_secrets(self) -> None:
        """Raise :class:`OptionError` for credentials that can't be used. The error does not contain them."""
        for number, credential in enumerate(self.registry_credentials):
            name = "containerd_registry_credentials[{0}]".format(number)
            if not credential.registry or not credential.username or not credential.password:
                raise OptionError(name, "has an empty value", "set registry, username and password")
            if not is_registry(credential.registry):
                # The value is not shown: it may be an address with a password.
                raise OptionError(name, "has an invalid registry", "use its host, like registry.example.com:5000")

    def mirrors(self) -> Dict[str, Mirrors]:
        """``registry_mirrors`` in its full form. Raises :class:`OptionError` naming the entry."""
        return {str(name): full_mirrors(str(name), value) for name, value in self.registry_mirrors.items()}


def secret_options(text: str) -> Dict[str, Any]:
    """The options that hold secrets, as an action plugin passes them in one text.

    Raises :class:`KubesteadError`, without the text.
    """
    try:
        given = parse_json(text or "{}")
        found = checked("secrets", ContainerdOptions, given, secret=True)
    except (OptionError, ValueError):
        given = found = None
    if found is None or set(given) - set(SECRET_OPTIONS):
        raise KubesteadError("secrets is not a value of the action plugin; run the module as a task, by its full name")
    return {name: to_dict(getattr(found, name)) for name in given}


def parse_dropin(text: str) -> Dict[str, Any]:
    """The user's drop-in as data. Raises :class:`OptionError` if it is not TOML or has values of a wrong type."""
    try:
        found = toml.loads(text)
    except toml.TomlError as err:
        raise OptionError(
            "containerd_config_dropin", "is not TOML: {0}".format(err.message), "correct this line"
        ) from None
    wrong = wrong_version(found) or misfit(found)
    if wrong:
        raise OptionError("containerd_config_dropin", "can't be read by containerd: {0}".format(wrong), "correct it")
    return found


def full_mirrors(registry: str, value: Any) -> Mirrors:
    """The mirrors of one registry in their full form. Raises :class:`OptionError` naming the entry."""
    refuse_credentials("containerd_registry_mirrors", {registry: value}, "@")
    name = "containerd_registry_mirrors[{0!r}]".format(registry)
    fix = "use a list of URLs like https://mirror.example.com"
    if registry != "_default":
        check_registry(name, registry)
    fallback = True
    if isinstance(value, Mapping):
        unknown = sorted(set(value) - {"mirrors", "fallback"})
        if unknown:
            raise OptionError(name, "has an unknown key {0!r}".format(unknown[0]), "the keys are mirrors and fallback")
        fallback = checked("{0}.fallback".format(name), bool, value.get("fallback", True))
        value = value.get("mirrors")
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list) or not value:
        raise OptionError(name, "is not a list of URLs", fix)
    mirrors = []
    for item in value:
        fields = dict(item) if isinstance(item, Mapping) else {"url": item}
        unknown = sorted(set(fields) - {"url", "ca", "skip_verify", "override_path", "capabilities"})
        if unknown:
            known = "the keys of a mirror are url, ca, skip_verify, override_path and capabilities"
            raise OptionError(name, "has an unknown key {0!r}".format(unknown[0]), known)
        # null is a field without a value.
        fields = {key: item for key, item in fields.items() if item is not None}
        url = str(fields.get("url", "")).rstrip("/")
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
            usable = usable and not re.search(r"\s", url)
        except ValueError:
            usable = False
        if not usable:
            raise OptionError(name, "has {0!r}, which is not a URL".format(url), fix)
        ca = str(fields.get("ca", ""))
        if ca and not ca.startswith("/") and "-----BEGIN CERTIFICATE-----" not in ca:
            raise OptionError(
                name, "has a ca that is neither a path nor a certificate", "use a path on the node or PEM text"
            )
        capabilities = checked(name + ".capabilities", List[str], fields.get("capabilities", ["pull", "resolve"]))
        if set(capabilities) - {"pull", "resolve", "push"} or not capabilities:
            raise OptionError(name, "has unknown capabilities", "the capabilities are pull, resolve and push")
        skip, override = (
            checked("{0}.{1}".format(name, key), bool, fields.get(key, False))
            for key in ("skip_verify", "override_path")
        )
        mirrors.append(Mirror(url, ca, skip, override, capabilities))
    return Mirrors(mirrors, fallback)


def check_registry(name: str, registry: str) -> None:
    """Raise :class:`OptionError` for a name that is not a registry (``host[:port]``)."""
    refuse_credentials(name, registry, "@")
    if not is_registry(registry):
        raise OptionError(
            name, "has {0!r}, which is not a registry".format(registry), "use its host, like registry.example.com:5000"
        )


def is_registry(text: str) -> bool:
    """True for the name of a registry (``host[:port]``)."""
    return bool(re.match(r"[A-Za-z0-9.\-\[\]:]+\Z", text)) and text not in (".", "..")
