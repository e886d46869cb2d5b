# Copyright (c) 2026, the kubestead authors
# GNU General Public License v3.0 or later (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's certificate authority, and the certificate of its server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from ..machine import cache_dir, locked, run
from . import HOSTNAMES, MIRROR

CERTIFICATE_DAYS = 800
RENEW_BEFORE = 30 * 24 * 3600  # seconds


@dataclass(frozen=True)
class Certificates:
    """The files of the lab's CA and of the server's certificate."""

    folder: Path

    @property
    def ca(self) -> Path:
        """The CA's certificate."""
        return self.folder / "ca.pem"

    @property
    def server(self) -> Path:
        """The server's certificate."""
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        """The server's private key."""
        return self.folder / "server.key"


def ensure_certificates(names: Sequence[str] = HOSTNAMES) -> Certificates:
    """The lab's CA and a certificate for ``names``; each is made when it is missing or expires within a month."""
    made = Certificates(cache_dir() / "tls")
    with locked("tls"):
        made.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not _lasting(made.ca):
            _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", made.folder / "ca.key")
            argv = ["req", "-x509", "-new", "-sha256", "-days", "3650", "-subj", "/CN=kubestead lab CA"]
            argv += ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
            _openssl(*argv, "-key", made.folder / "ca.key", "-out", made.ca)
            made.server.unlink(missing_ok=True)
        names_file = made.folder / "names"
        wanted = "\n".join(names)
        known = names_file.read_text(encoding="utf-8") if names_file.exists() else ""
        if known != wanted or not _lasting(made.server):
            request = made.folder / "server.csr"
            extensions = made.folder / "server.ext"
            extensions.write_text(
                "basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=serverAuth\n"
                f"subjectAltName={','.join(f'DNS:{name}' for name in names)}\n",
                encoding="utf-8",
            )
            _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", made.key)
            _openssl("req", "-new", "-key", made.key, "-subj", f"/CN={MIRROR}", "-out", request)
            argv = ["x509", "-req", "-sha256", "-days", str(CERTIFICATE_DAYS), "-CAcreateserial"]
            argv += ["-CA", str(made.ca), "-CAkey", str(made.folder / "ca.key"), "-extfile", str(extensions)]
            _openssl(*argv, "-in", request, "-out", made.server)
            names_file.write_text(wanted, encoding="utf-8")
            request.unlink()
            extensions.unlink()
        for key in made.folder.glob("*.key"):
            key.chmod(0o600)
        made.ca.chmod(0o644)
    return made


def _openssl(*arguments: str | Path) -> None:
    run(["openssl", *arguments])


def _lasting(certificate: Path) -> bool:
    if not certificate.exists():
        return False
    return (
        run(["openssl", "x509", "-noout", "-checkend", str(RENEW_BEFORE), "-in", certificate], check=False).returncode
        == 0
    )
