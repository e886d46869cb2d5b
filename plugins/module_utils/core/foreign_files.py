# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads, changes and backs up files not created by this collection, in folders that only root can write.

Everything else is preserved: other bytes, line endings, owner, mode, extended attributes (SELinux labels, ACLs),
symbolic links to the file, and hard links. A copy of the file is kept before its first change.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Callable, Optional

from .constants import BACKUP_SUFFIX
from .errors import KubesteadError
from .system import MAX_FILE, System

# apt prints a notice about each file in its folders whose name has an unknown extension.
_APT = "/etc/apt/"


def backup_path(path: str) -> str:
    """The path of a file's copy. Programs that read all files of the folder ignore a copy with this name."""
    return path + BACKUP_SUFFIX + (".bak" if path.startswith(_APT) else "")


def read_exact(system: System, path: str) -> Optional[str]:
    """The text of a file with its line endings, bytes that are not UTF-8 as surrogates; None if it does not exist.

    Raises :class:`KubesteadError` if the path is not a regular file or can't be read.
    """
    real = os.path.realpath(system.path(path))
    try:
        if not stat.S_ISREG(os.stat(real).st_mode):
            raise KubesteadError("{0} is not a regular file; replace it with one".format(path))
        with open(real, "rb") as handle:
            data = handle.read(MAX_FILE + 1)
    except FileNotFoundError:
        return None
    except OSError as err:
        raise KubesteadError("{0} can't be read: {1}".format(path, err.strerror)) from None
    if len(data) > MAX_FILE:
        raise KubesteadError("{0} is larger than {1} MiB".format(path, MAX_FILE >> 20))
    return data.decode("utf-8", "surrogateescape")


def rewrite(
    system: System,
    path: str,
    change: Callable[[str], str],
    mode: Optional[int] = None,
    backup: bool = True,
    in_place: bool = False,
) -> None:
    """Change the text of an existing file. ``mode`` replaces its mode. With ``backup``, a copy is kept.

    With ``in_place``, the file is written and not replaced, for a file that is mounted somewhere.

    Raises :class:`KubesteadError`.
    """
    before = read_exact(system, path)
    if before is None:
        raise KubesteadError("{0} was removed during the run; run again".format(path))
    after = change(before)
    if backup:
        keep(system, path)
    real = os.path.realpath(system.path(path))
    try:
        _replace(real, after.encode("utf-8", "surrogateescape"), mode, in_place)
    except OSError as err:
        raise KubesteadError("{0} can't be written: {1}".format(path, err.strerror)) from None


def keep(system: System, path: str, suffix: str = "", mode: Optional[int] = None) -> None:
    """Keep a copy of a file in the same folder, with its owner and mode. An existing copy is not replaced.

    With ``suffix``, the copy has that extension and replaces an existing copy. ``mode`` is for a copy that fewer users
    may read than the file. Raises :class:`KubesteadError`.
    """
    copy = path + suffix if suffix else backup_path(path)
    before = read_exact(system, path)
    if before is None or (not suffix and os.path.lexists(system.path(copy))):
        return
    try:
        _new_file(
            system.path(copy), before.encode("utf-8", "surrogateescape"), os.path.realpath(system.path(path)), mode
        )
    except OSError as err:
        raise KubesteadError("{0} can't be written: {1}".format(copy, err.strerror)) from None


def _replace(real: str, data: bytes, mode: Optional[int], in_place: bool) -> None:
    if in_place or os.stat(real).st_nlink > 1:
        # Replacing the file would break its hard links and mounts.
        _write_into(real, data, mode)
        return
    try:
        _new_file(real, data, real, mode)
    except OSError as err:
        # A file that is a mount point, as in containers, can't be replaced.
        if err.errno not in (errno.EBUSY, errno.EXDEV):
            raise
        _write_into(real, data, mode)


def _write_into(real: str, data: bytes, mode: Optional[int]) -> None:
    with open(real, "r+b") as handle:
        if mode is not None:
            os.fchmod(handle.fileno(), mode)
        handle.write(data)
        handle.truncate()
        handle.flush()
        os.fsync(handle.fileno())


def _new_file(target: str, data: bytes, like: str, mode: Optional[int] = None) -> None:
    """Create or replace a file atomically, with the owner, mode and attributes of the file ``like``."""
    # Loads a random number generator; most programs on a node change no such file.
    import tempfile

    known = os.stat(like)
    handle, temporary = tempfile.mkstemp(prefix=".kubestead.", dir=os.path.dirname(target))
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fchown(handle, known.st_uid, known.st_gid)
            _copy_attributes(like, handle)
            os.fchmod(handle, stat.S_IMODE(known.st_mode) if mode is None else mode)
            os.fsync(handle)
        os.rename(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def _copy_attributes(like: str, handle: int) -> None:
    try:
        names = os.listxattr(like)
    except OSError:
        return
    for name in names:
        try:
            os.setxattr(handle, name, os.getxattr(like, name))
        except OSError:
            # Some attributes can't be set by users, and some file systems do not support attributes.
            continue
