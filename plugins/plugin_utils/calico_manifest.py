# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads Calico's manifest on the control machine, from a path or from a URL pinned by its checksum."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ansible_collections.kubestead.cluster.plugins.module_utils.core.deadline import within
from ansible_collections.kubestead.cluster.plugins.module_utils.core.errors import KubesteadError, OptionError
from ansible_collections.kubestead.cluster.plugins.module_utils.core.https import client_context
from ansible_collections.kubestead.cluster.plugins.module_utils.core.problem import Problem
from ansible_collections.kubestead.cluster.plugins.module_utils.core.redact import redact
from ansible_collections.kubestead.cluster.plugins.module_utils.core.releases import CALICO_CHECKSUMS, calico_url
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.calico import images, require_calico, shape
from ansible_collections.kubestead.cluster.plugins.module_utils.pod_network.options import CniOptions

from . import manifest_files

# The time limits in seconds: without a byte, and for the complete file.
DOWNLOAD_TIMEOUT = 30.0
DOWNLOAD_DEADLINE = 180.0
_LIMIT = 16 * 1024 * 1024


def source(options: CniOptions) -> str:
    """The path or URL the manifest is read from."""
    return options.calico_manifest.strip() or calico_url(release(options))


def release(options: CniOptions) -> str:
    """Calico's release with the ``v`` of its tags. The option may omit the ``v``, as for Kubernetes."""
    version = options.calico_version.strip()
    return version if version.startswith("v") else "v" + version


def is_url(text: str) -> bool:
    """True for a URL, which must be fetched; false for a path."""
    return bool(re.match(r"^[a-z][a-z0-9+.-]*://", text, re.IGNORECASE)) and not text.lower().startswith("file://")


def checksum(options: CniOptions) -> str:
    """The sha256 (64 hex digits, lower case) the manifest must have, or "" where a path needs none.

    Raises :class:`OptionError` for a malformed one, and for a URL that has none.
    """
    text = options.calico_checksum.strip().lower()
    if text.startswith("sha256:"):
        text = text[len("sha256:") :]
    if text and not re.match(r"^[0-9a-f]{64}\Z", text):
        raise OptionError(
            "cni_calico_checksum",
            "is {0!r}, not a SHA-256 checksum".format(options.calico_checksum),
            "use the 64 hexadecimal digits that sha256sum prints",
        )
    if not text and not options.calico_manifest.strip():
        text = CALICO_CHECKSUMS.get(release(options), "")
    if not text and is_url(source(options)):
        raise OptionError(
            "cni_calico_checksum",
            "is empty, but {0} requires a checksum".format(redact(source(options))),
            "set it to the SHA-256 checksum of that file",
        )
    return text


def read(options: CniOptions, folders: Optional[Sequence[str]] = None, cache: Optional[str] = None) -> str:
    """The text of the manifest, after its checksum is verified.

    ``folders`` are where a relative path is looked for (the working folder by default); ``cache`` is where a downloaded
    manifest is kept under its checksum ("" keeps none). Raises :class:`OptionError` naming the variable.
    """
    where = source(options)
    wanted = checksum(options)
    if not is_url(where):
        path = where[len("file://") :] if where.lower().startswith("file://") else where
        path = manifest_files.find(path, list(folders or [os.getcwd()]))
        text = manifest_files.read_text("cni_calico_manifest", path)
        _prove(wanted, text.encode("utf-8"), path)
        return text
    if not where.lower().startswith(("https://", "http://")):
        raise OptionError("cni_calico_manifest", "is {0!r}".format(redact(where)), "use a path or an https URL")
    folder = _cache_folder() if cache is None else cache
    kept = _kept(folder, wanted)
    if kept is not None:
        return kept.decode("utf-8")
    data = _download(where)
    _prove(wanted, data, redact(where))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise OptionError(
            "cni_calico_manifest", "({0}) is not UTF-8 text".format(redact(where)), "use a YAML manifest"
        ) from None
    _keep(folder, wanted, data)
    return text


def objects(
    options: CniOptions, folders: Optional[Sequence[str]] = None, cache: Optional[str] = None
) -> List[Dict[str, Any]]:
    """Calico's objects in the shape the options ask for. Raises :class:`OptionError` naming the variable."""
    options.validate()
    text = read(options, folders, cache)
    found = manifest_files.parse(text, "cni_calico_manifest", os.path.basename(source(options)))
    require_calico(found, redact(source(options)))
    return shape(found, options, redact(source(options)))


def check(
    options: CniOptions, folders: Optional[Sequence[str]] = None, cache: Optional[str] = None
) -> Tuple[Optional[Problem], List[str]]:
    """The problem of the options or the manifest, before any change, and the images that every node will run."""
    found: List[Dict[str, Any]] = []
    try:
        options.validate()
        if options.plugin == "calico":
            found = objects(options, folders, cache)
    except OptionError as err:
        return Problem("cni.manifest", "{0} {1}".format(err.option, err.problem), err.fix), []
    except KubesteadError as err:
        return Problem("cni.manifest", err.message, "correct the manifest"), []
    return None, images([obj for obj in found if obj["kind"] == "DaemonSet"])


def _prove(wanted: str, data: bytes, where: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if wanted and found != wanted:
        raise OptionError(
            "cni_calico_checksum",
            "is {0}, but {1} has {2}".format(wanted, where, found),
            "check where the file comes from, then set its SHA-256 checksum",
        )


def _download(url: str) -> bytes:
    # Few runs download anything, and these take a while to load.
    import http.client
    import urllib.error
    import urllib.request

    from ansible_collections.kubestead.cluster.plugins.module_utils.packages.repository import HttpsStays

    fix = "check the network and proxy of this machine, or use a path"
    shown = redact(url)

    def fetch() -> bytes:
        trust = urllib.request.HTTPSHandler(context=client_context())
        opener = urllib.request.build_opener(trust, HttpsStays)
        with opener.open(url, timeout=DOWNLOAD_TIMEOUT) as answer:  # the scheme was checked
            return bytes(answer.read(_LIMIT + 1))

    try:
        data = within(DOWNLOAD_DEADLINE, fetch)
    except urllib.error.HTTPError as err:
        raise OptionError(
            "cni_calico_manifest",
            "can't be fetched: {0} answers {1} {2}".format(shown, err.code, err.reason),
            "correct the URL or cni_calico_version, or use a path",
        ) from None
    except (OSError, ValueError, http.client.HTTPException) as err:
        # Python's error messages repeat the URL, including a password in it.
        words = "no HTTP answer ({0})".format(type(err).__name__)
        why = words if isinstance(err, http.client.HTTPException) else getattr(err, "reason", None) or err
        raise OptionError(
            "cni_calico_manifest", "can't be fetched: {0}: {1}".format(shown, redact(str(why))), fix
        ) from None
    if len(data) > _LIMIT:
        raise OptionError(
            "cni_calico_manifest", "({0}) is larger than 16 MiB".format(shown), "use calico.yaml of a Calico release"
        )
    return data


def _cache_folder() -> str:
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "kubestead")


def _kept(folder: str, wanted: str) -> Optional[bytes]:
    """A manifest that was fetched before. Its checksum is verified again, because others may have changed the file."""
    if not folder or not wanted:
        return None
    try:
        with open(os.path.join(folder, wanted + ".yaml"), "rb") as handle:
            data = handle.read()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == wanted else None


def _keep(folder: str, wanted: str, data: bytes) -> None:
    if not folder or not wanted:
        return
    try:
        os.makedirs(folder, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=folder)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        os.replace(temporary, os.path.join(folder, wanted + ".yaml"))
    except OSError:
        # Keeping a copy only saves the next download.
        return
