"""The cluster's own certificate authority and a certificate for each component, by openssl."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localkube.machine.console import CannotRunHere, Failed

_DAYS = "3650"
# A configuration of our own: the distributions' differ, and one extension given twice is an error.
_CONFIG = """\
[req]
distinguished_name = dn
[dn]
[authority]
basicConstraints = critical, CA:TRUE
keyUsage = critical, keyCertSign, cRLSign, digitalSignature
subjectKeyIdentifier = hash
"""


@dataclass(frozen=True)
class Certificate:
    """Who a component is. `names`: what it may be reached as, such as ``IP:127.0.0.1`` or ``DNS:localhost``."""

    file: str
    user: str
    group: str = ""
    names: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """For openssl; Kubernetes reads the organisation as a group and the common name as a user."""
        return (f"/O={self.group}" if self.group else "") + f"/CN={self.user}"

    @property
    def extensions(self) -> str:
        """For openssl, one per line."""
        lines = [
            "basicConstraints = critical, CA:FALSE",
            "keyUsage = critical, digitalSignature",
            f"extendedKeyUsage = {'serverAuth, ' if self.names else ''}clientAuth",
        ]
        if self.names:
            lines.append(f"subjectAltName = {','.join(self.names)}")
        return "\n".join(lines) + "\n"


def issue(directory: Path, certificates: Sequence[Certificate]) -> None:
    """Make the authority, the key that signs service accounts' tokens, and these certificates, where missing.

    A certificate is made anew when what it says has to change.
    """
    if shutil.which("openssl") is None:
        raise CannotRunHere("openssl is missing")
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    (directory / "openssl.cnf").write_text(_CONFIG)
    _authority(directory)
    if not (directory / "sa.key").exists():
        _make_key(directory / "sa.key")
    for certificate in certificates:
        _certificate(directory, certificate)


def _authority(directory: Path) -> None:
    if (directory / "ca.crt").exists():
        return
    _make_key(directory / "ca.key")
    _openssl(
        directory,
        *("req", "-x509", "-new", "-config", "openssl.cnf", "-extensions", "authority", "-key", "ca.key"),
        *("-subj", "/CN=local-kubernetes", "-days", _DAYS, "-out", "ca.crt.partial"),
    )
    (directory / "ca.crt.partial").rename(directory / "ca.crt")


def _certificate(directory: Path, certificate: Certificate) -> None:
    file, wanted = certificate.file, f"# {certificate.subject}\n{certificate.extensions}"
    extensions = directory / f"{file}.ext"
    if (directory / f"{file}.crt").exists() and extensions.exists() and extensions.read_text() == wanted:
        return
    extensions.write_text(wanted)
    (directory / f"{file}.crt").unlink(missing_ok=True)
    _make_key(directory / f"{file}.key")
    _openssl(
        directory,
        *("req", "-new", "-config", "openssl.cnf", "-key", f"{file}.key", "-subj", certificate.subject),
        *("-out", f"{file}.csr"),
    )
    _openssl(
        directory,
        *("x509", "-req", "-in", f"{file}.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-days", _DAYS, "-extfile", f"{file}.ext", "-out", f"{file}.crt.partial"),
    )
    (directory / f"{file}.csr").unlink()
    (directory / f"{file}.crt.partial").rename(directory / f"{file}.crt")


def _make_key(path: Path) -> None:
    _openssl(path.parent, "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", path.name)
    path.chmod(0o600)


def _openssl(directory: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Failed(f"openssl {arguments[0]} failed: {done.stderr.strip()}")
