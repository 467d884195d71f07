"""A certificate authority of one test: root, intermediate, and a server's chain."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from config.clock import now_ms

if TYPE_CHECKING:
    from pathlib import Path

HOST = "api.example.test"
DAYS = 2


@dataclass(frozen=True)
class Signer:
    """Who signs: a key and the certificate that vouches for it."""

    key: rsa.RSAPrivateKey
    certificate: x509.Certificate


def make_chain(folder: Path) -> None:
    """Write ``root.pem`` for clients, ``fullchain.pem`` and ``privkey.pem``.

    As with a public authority the root does not sign servers itself, so that a chain
    without its middle is not believed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    root = _sign("test root", None, signs_others=True)
    middle = _sign("test intermediate", root, signs_others=True)
    leaf = _sign(HOST, middle, signs_others=False)
    pem = serialization.Encoding.PEM
    (folder / "root.pem").write_bytes(root.certificate.public_bytes(pem))
    chain = b"".join(s.certificate.public_bytes(pem) for s in (leaf, middle))
    (folder / "fullchain.pem").write_bytes(chain)
    (folder / "leaf.pem").write_bytes(leaf.certificate.public_bytes(pem))
    key = leaf.key.private_bytes(
        pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "privkey.pem").write_bytes(key)


def _sign(name: str, by: Signer | None, *, signs_others: bool) -> Signer:
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.fromtimestamp(now_ms() / 1000, UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=DAYS))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.BasicConstraints(signs_others, None), critical=True)
    )
    if not signs_others:
        names = [x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = builder.add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
    signer = by.key if by else key
    return Signer(key, builder.sign(signer, hashes.SHA256()))
