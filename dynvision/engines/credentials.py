"""The certificate of one run: whoever has it may give work to the run's workers, and nobody else."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Security

__all__ = ["CERTIFICATE", "KEY", "ROOT", "make_credentials", "read_credentials", "remove_credentials"]

ROOT, CERTIFICATE, KEY = "ca.pem", "cert.pem", "key.pem"
"""The files: who is trusted, who one is, and the secret by which one proves it."""

_DAYS = 400
"""How long a certificate is valid. A run takes less, whatever the queue."""


def make_credentials(folder: Path) -> None:
    """Make a certificate and its key in a folder that only this user can read.

    There is one certificate, which is its own authority: scheduler, workers and controller prove that they have its
    key, and trust nobody else.

    Args:
        folder: An empty folder, or one that does not exist yet.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dynvision engine")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # The clocks of machines differ.
        .not_valid_after(now + datetime.timedelta(days=_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    for file, content in ((KEY, secret), (CERTIFICATE, public), (ROOT, public)):
        with open(os.open(folder / file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as target:  # noqa: PTH123
            target.write(content)


def read_credentials(folder: Path) -> Security:
    """Return what Dask needs to connect, and to be connected to, with the certificate of a folder."""
    from distributed import Security

    root, certificate, key = (str(folder / file) for file in (ROOT, CERTIFICATE, KEY))
    return Security(
        require_encryption=True,
        tls_ca_file=root,
        **{f"tls_{role}_cert": certificate for role in ("client", "scheduler", "worker")},
        **{f"tls_{role}_key": key for role in ("client", "scheduler", "worker")},
    )


def remove_credentials(folder: Path) -> None:
    """Remove the certificate and key of a folder."""
    for file in (KEY, CERTIFICATE, ROOT):
        (folder / file).unlink(missing_ok=True)
