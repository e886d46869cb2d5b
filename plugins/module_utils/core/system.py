# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Access to the commands and files of a machine, and to HTTPS servers.

Everything in the collection that touches a machine goes through a :class:`System`, so that tests can hand in recorded
commands and a folder that stands for ``/``.
"""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import dataclass
from typing import Callable, Dict, List, Mapping, Optional, Sequence

from . import https
from .errors import CommandError
from .redact import redact

DEFAULT_TIMEOUT = 60.0
#: The maximum size of a file that is read, in bytes. The log of a container has at most 10 MiB.
MAX_FILE = 16 * 1024 * 1024
#: The first folders of the search path. A login over SSH may lack the sbin folders, which have swapon and sysctl.
PROGRAMS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


@dataclass(frozen=True)
class Result:
    """The result of a command. ``rc`` is 127 if the command does not exist, and 124 if it did not end in time."""

    rc: int
    stdout: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        """True if the command exited with code 0."""
        return self.rc == 0

    @property
    def last_line(self) -> str:
        """The last line with text, of stderr or else of stdout, without secrets. It usually has a failure's cause."""
        for text in (self.stderr, self.stdout):
            lines = [line.strip() for line in text.splitlines() if line.strip()]
            if lines:
                return redact(lines[-1])
        return ""


# (argv, stdin, timeout in seconds, environment) -> Result
Runner = Callable[[Sequence[str], Optional[str], float, Mapping[str, str]], Result]


def run_process(argv: Sequence[str], stdin: Optional[str], timeout: float, env: Mapping[str, str]) -> Result:
    """Run a command on this machine. Never raises: rc is 127 for a missing command, and 124 after the timeout."""
    try:
        # run_command of AnsibleModule has no timeout: a command that hangs would hang the run.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            list(argv),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            timeout=timeout,
            env=dict(env),
            encoding="utf-8",
            errors="replace",
            check=False,
        )
    except FileNotFoundError:
        return Result(127, "", "{0}: command not found".format(argv[0]))
    except OSError as err:
        return Result(126, "", "{0}: {1}".format(argv[0], err.strerror))
    except ValueError as err:
        # A word with a NUL, or one that is not text.
        return Result(126, "", "{0}: {1}".format(argv[0], err))
    except subprocess.TimeoutExpired as err:
        out = err.stdout.decode("utf-8", "replace") if isinstance(err.stdout, bytes) else (err.stdout or "")
        return Result(124, out, "{0}: did not finish within {1:.0f} seconds".format(argv[0], timeout))
    return Result(done.returncode, done.stdout, done.stderr)


def search_path(given: str) -> str:
    """The search path for programs: the folders of the system, then the given folders, without relative ones.

    Some ways to become root keep the PATH of the user, whose own folders must not come first.
    """
    more = [folder for folder in given.split(":") if folder.startswith("/") and folder not in PROGRAMS]
    return ":".join([*PROGRAMS, *more])


_CHUNK = 64 * 1024


def read_descriptor(descriptor: int, limit: int = MAX_FILE, exact: bool = False) -> Optional[str]:
    """The text of an open file; None for a FIFO, a device or a folder, and for more than ``limit`` bytes.

    ``/dev/null`` counts as an empty file, as systemd takes it. With ``exact``, line ends stay, and bytes that are not
    UTF-8 become surrogates. Raises OSError.
    """
    kind = os.fstat(descriptor)
    if stat.S_ISCHR(kind.st_mode) and kind.st_rdev == os.makedev(1, 3):
        return ""
    if not stat.S_ISREG(kind.st_mode) or kind.st_size > limit:
        return None
    # Files below /proc have no size, others may grow. The kernel refuses to read a sysctl into a buffer of megabytes.
    data = b""
    while len(data) <= limit:
        part = os.read(descriptor, _CHUNK)
        if not part:
            return data.decode("utf-8", "surrogateescape") if exact else decoded(data)
        data += part
    return None


def decoded(data: bytes) -> str:
    """Bytes as text, with line ends as Python reads them from a file."""
    return data.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")


class System:
    """One machine: its commands, its files, and the HTTPS servers it reaches.

    ``root`` stands before every path (tests give a folder), ``run`` runs commands and ``get`` asks servers (tests give
    recorded answers).
    """

    def __init__(self, run: Runner = run_process, root: str = "/", get: https.Getter = https.get) -> None:
        self._run = run
        self._get = get
        self.root = root

    # -- commands

    def run(
        self,
        argv: Sequence[str],
        stdin: Optional[str] = None,
        timeout: float = DEFAULT_TIMEOUT,
        check: bool = False,
        env: Optional[Mapping[str, str]] = None,
    ) -> Result:
        """Run ``argv`` in the C locale. ``check`` raises :class:`CommandError` with the last line of output."""
        environment: Dict[str, str] = dict(os.environ)
        environment.update({"LC_ALL": "C", "LANGUAGE": "C"})
        environment["PATH"] = search_path(environment.get("PATH", ""))
        environment.update(env or {})
        result = self._run(list(argv), stdin, timeout, environment)
        if check and not result.ok:
            raise CommandError(
                "{0} failed with code {1}: {2}".format(" ".join(argv[:3]), result.rc, result.last_line),
                {"rc": result.rc, "stdout": redact(result.stdout), "stderr": redact(result.stderr)},
            )
        return result

    # -- servers

    def get(
        self, url: str, paths: Sequence[str], credentials: https.Credentials, timeout: float = 5.0
    ) -> List[https.Answer]:
        """Ask an HTTPS server for paths below ``url``, on one connection. Never raises; see :func:`https.get`."""
        return self._get(url, paths, credentials, timeout)

    # -- files

    def path(self, path: str) -> str:
        """The real path of ``path``, below ``root``."""
        if self.root == "/":
            return path
        return os.path.join(self.root, path.lstrip("/"))

    def exists(self, path: str) -> bool:
        """True for a file, folder, socket or link that leads somewhere."""
        return os.path.exists(self.path(path))

    def is_executable(self, path: str) -> bool:
        """True for a file that may be executed."""
        return os.path.isfile(self.path(path)) and os.access(self.path(path), os.X_OK)

    def read(self, path: str, limit: int = MAX_FILE) -> Optional[str]:
        """The text of a file, or None when it is not there, is not a regular file, or has more than ``limit`` bytes.

        Never waits for a writer at the other end of a FIFO.
        """
        try:
            descriptor = os.open(self.path(path), os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except (OSError, ValueError):
            # ValueError: a path with a NUL, which another file named.
            return None
        try:
            return read_descriptor(descriptor, limit)
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def names(self, path: str) -> List[str]:
        """The sorted names in a folder; empty if the folder does not exist."""
        try:
            return sorted(os.listdir(self.path(path)))
        except (OSError, ValueError):
            return []

    def mode(self, path: str) -> Optional[int]:
        """The permission bits of a file; None if it does not exist."""
        try:
            return os.stat(self.path(path)).st_mode & 0o7777
        except (OSError, ValueError):
            return None

    def write(self, path: str, text: str, mode: int = 0o644, uid: int = -1, gid: int = -1) -> None:
        """Replace a file at once, with its mode set before any content is in it. Makes missing folders (0755)."""
        # Loads a random number generator; most programs on a node write nothing.
        import tempfile

        real = self.path(path)
        folder = os.path.dirname(real)
        _make_folders(folder)
        handle, temporary = tempfile.mkstemp(prefix=".kubestead.", dir=folder)
        try:
            os.fchmod(handle, mode)
            if uid != -1 or gid != -1:
                os.fchown(handle, uid, gid)
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.rename(temporary, real)
        except BaseException:
            os.unlink(temporary)
            raise

    def remove(self, path: str) -> None:
        """Remove a file, or a folder with its contents. A path that does not exist is not an error."""
        real = self.path(path)
        if os.path.isdir(real) and not os.path.islink(real):
            # Loads modules for archives.
            import shutil

            shutil.rmtree(real)
        elif os.path.lexists(real):
            os.unlink(real)


def _make_folders(folder: str) -> None:
    """Make a folder and those above it with mode 0755, whatever the umask: other users' programs read what is there."""
    if os.path.isdir(folder):
        return
    _make_folders(os.path.dirname(folder))
    try:
        os.mkdir(folder)
    except FileExistsError:
        return
    os.chmod(folder, 0o755)
