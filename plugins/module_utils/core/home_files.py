# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A file in a folder of a user's home, read and written by root.

The user may put anything in its place at any time: links, FIFOs, hard links to files of others. Therefore the folder is
opened once, nothing below the home is found by its path, no link is followed, and what an open file is decides whether
it is used. Links above the home are those of the machine's administrator.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Iterator, List, Optional, Sequence, Tuple

from .constants import BACKUP_SUFFIX
from .errors import KubesteadError
from .system import System, read_descriptor

#: Bytes of the largest file that is read.
MAX_FILE = 1024 * 1024

# The maximum number of backups with a number.
_MOST_KEPT = 9
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_UNUSABLE = "{0} can't be used: {1}"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class HomePlace:
    """Where the file is: ``home``/``folder``/``name``, of the user with these ids.

    ``usual`` are the names that a folder of root may hold to be given to the user.
    """

    home: str
    folder: str
    name: str
    uid: int
    gid: int
    usual: Tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """The path, for messages."""
        return "{0}/{1}/{2}".format(self.home.rstrip("/"), self.folder, self.name)


@dataclass(frozen=True)
class HomeFile:
    """The file. Without a file, ids are -1, and mode and text are None; ``problem`` says why it can't be used.

    ``backup`` is the path that a backup of the file gets; empty without a file, or if all names of backups exist.
    """

    text: Optional[str] = None
    owner: int = -1
    mode: Optional[int] = None
    folder_owner: int = -1
    problem: str = ""
    backup: str = ""


def look(system: System, place: HomePlace, exact: bool = False) -> HomeFile:
    """The file as it is. Never raises, and never waits. With ``exact``, its text can be written back unchanged."""
    owner = -1
    try:
        with _folder(system, place) as folder:
            owner = os.fstat(folder).st_uid
            with _file(folder, place.name) as descriptor:
                found = os.fstat(descriptor)
                text = read_descriptor(descriptor, MAX_FILE, exact) if stat.S_ISREG(found.st_mode) else None
            free = _next_backup(folder, place.name)
    except FileNotFoundError:
        return HomeFile(folder_owner=owner)
    except (OSError, ValueError) as err:
        return HomeFile(folder_owner=owner, problem=_UNUSABLE.format(place.path, _why(err)))
    problem = ""
    if not stat.S_ISREG(found.st_mode):
        problem = "it is not a regular file"
    elif found.st_nlink > 1:
        problem = "it has more than one hard link"
    elif text is None:
        problem = "it is larger than {0} MiB".format(MAX_FILE >> 20)
    if problem:
        return HomeFile(folder_owner=owner, problem=_UNUSABLE.format(place.path, problem))
    backup = _beside(place, free) if free else ""
    return HomeFile(text, found.st_uid, stat.S_IMODE(found.st_mode), owner, backup=backup)


def write(system: System, place: HomePlace, text: str, backup: bool = False) -> str:
    """Replace the file atomically by one that only the user can read (0600); ``backup`` keeps the old file.

    Returns the path of the backup; empty if there is none. Raises :class:`KubesteadError`.
    """
    kept = ""
    try:
        with _own_folder(system, place) as folder:
            temporary = ".kubestead.{0}".format(secrets.token_hex(8))
            descriptor = os.open(temporary, _NEW, 0o600, dir_fd=folder)
            try:
                with open(descriptor, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
                    os.fchmod(descriptor, 0o600)
                    os.fchown(descriptor, place.uid, place.gid)
                    stream.write(text)
                    stream.flush()
                    os.fsync(descriptor)
                if backup:
                    kept = _keep(folder, place)
                os.rename(temporary, place.name, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException:
                os.unlink(temporary, dir_fd=folder)
                raise
    except OSError as err:
        raise KubesteadError("{0} can't be written: {1}".format(place.path, _why(err))) from err
    return _beside(place, kept) if kept else ""


def protect(system: System, place: HomePlace) -> None:
    """Make the user's own file readable by the user alone. Raises :class:`KubesteadError`."""
    try:
        with _own_folder(system, place) as folder, _file(folder, place.name) as descriptor:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or found.st_uid != place.uid:
                raise KubesteadError(
                    "{0} was replaced during the run and was not changed; run again".format(place.path)
                )
            os.fchmod(descriptor, 0o600)
    except OSError as err:
        raise KubesteadError("{0} can't be protected: {1}".format(place.path, _why(err))) from err


def remove(system: System, place: HomePlace, put_back: bool = False) -> None:
    """Remove the file, and its folder if the folder is then empty. With ``put_back``, restore the user's backup.

    Raises :class:`KubesteadError`.
    """
    try:
        with _folder(system, place) as folder:
            if put_back:
                os.rename(place.name + BACKUP_SUFFIX, place.name, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                os.unlink(place.name, dir_fd=folder)
            empty = not os.listdir(folder)
        if empty:
            with suppress(OSError):
                os.rmdir(system.path(os.path.dirname(place.path)))
    except FileNotFoundError:
        return
    except OSError as err:
        raise KubesteadError("{0} can't be removed: {1}".format(place.path, _why(err))) from err


def _is_there(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError:
        return False
    return True


def _beside(place: HomePlace, name: str) -> str:
    return "{0}/{1}".format(os.path.dirname(place.path), name)


def backup_names(name: str) -> List[str]:
    """The names of the backups of a file, in the order in which they are used."""
    first = name + BACKUP_SUFFIX
    return [first, *("{0}.{1}".format(first, number) for number in range(1, _MOST_KEPT + 1))]


def _next_backup(folder: int, name: str) -> str:
    """The name of the next backup; empty if all exist. An existing one is the user's own file and stays."""
    return next((one for one in backup_names(name) if not _is_there(folder, one)), "")


def _keep(folder: int, place: HomePlace) -> str:
    """Rename the existing file, and return its new name; empty if it does not exist.

    A copy could disclose the target of a link to the user.
    """
    name = place.name
    kept = _next_backup(folder, name)
    if not kept:
        if not _is_there(folder, name):
            return ""
        last = _beside(place, backup_names(name)[-1])
        raise KubesteadError("{0} exists; remove the backups that you don't need, and run again".format(last))
    try:
        os.rename(name, kept, src_dir_fd=folder, dst_dir_fd=folder)
        with _file(folder, kept) as descriptor:
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 1:
                os.fchmod(descriptor, stat.S_IMODE(found.st_mode) & 0o600)
    except OSError as err:
        if err.errno == errno.ENOENT:
            return ""
        # It was a link, which now has the other name.
        if err.errno not in (errno.ELOOP, errno.ENXIO):
            raise
    return kept


@contextmanager
def _folder(system: System, place: HomePlace, create: bool = False) -> Iterator[int]:
    home = os.open(system.path(place.home), _FOLDER)
    try:
        if create:
            try:
                os.mkdir(place.folder, 0o700, dir_fd=home)
            except FileExistsError:
                create = False
        descriptor = os.open(place.folder, _FOLDER | os.O_NOFOLLOW, dir_fd=home)
        if create:
            os.fchmod(descriptor, 0o700)
    finally:
        os.close(home)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


@contextmanager
def _own_folder(system: System, place: HomePlace) -> Iterator[int]:
    """The folder. If root created it, it is given to the user."""
    with _folder(system, place, create=True) as folder:
        owner = os.fstat(folder).st_uid
        if owner != place.uid:
            # The user may have given another folder of root this name.
            if owner not in (0, os.geteuid()) or not _holds_only(folder, place.usual):
                raise KubesteadError(
                    "{0} belongs to another user (id {1}) and was not changed; change its owner, or remove it".format(
                        os.path.dirname(place.path), owner
                    )
                )
            os.fchown(folder, place.uid, place.gid)
        yield folder


def _holds_only(folder: int, names: Sequence[str]) -> bool:
    return set(os.listdir(folder)) <= set(names)


@contextmanager
def _file(folder: int, name: str) -> Iterator[int]:
    descriptor = os.open(name, _FILE, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _why(error: Exception) -> str:
    number = getattr(error, "errno", None)
    if number in (errno.ELOOP, errno.ENOTDIR):
        return "it is a link, or its folder is a link or a file"
    if number == errno.ENXIO:
        return "it is not a regular file"
    return str(getattr(error, "strerror", None) or type(error).__name__)
