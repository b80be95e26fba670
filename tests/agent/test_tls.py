"""TLS: the cloud is checked, the vehicle shows its certificate and its token."""

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.agent.server import Server

from carcloud.agent.link import Link, LinkLost
from carcloud.agent.settings import load_settings


def certificate(folder, name):
    """A certificate that signs itself, and its key, as files; and its bytes."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    cert_file, key_file = folder / f"{name}.pem", folder / f"{name}.key"
    cert_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return str(cert_file), str(key_file), built.public_bytes(serialization.Encoding.DER)


async def silent(_topic, _payload):
    """Nothing comes."""


def test_the_vehicle_and_the_cloud_know_each_other(tmp_path):
    async def script():
        cloud, cloud_key, _ = certificate(tmp_path, "cloud")
        car, car_key, car_der = certificate(tmp_path, "car")
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=car)
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_cert_chain(cloud, cloud_key)
        server = await Server().start(context)
        (tmp_path / "token").write_text("cvt_secret\n")
        given = {
            "vehicle": "car-1", "server.port": server.port, "server.ca": cloud,
            "server.certificate": car, "server.key": car_key,
            "server.token_file": str(tmp_path / "token"),
        }  # fmt: skip
        link = Link("car-1", load_settings(None, given).server, silent)
        await link.open()
        await server.wait(lambda it: it.connects)
        assert server.certificates == [car_der]
        assert (server.connects[0].username, server.connects[0].password) == (
            "car-1", b"cvt_secret",
        )  # fmt: skip
        await link.close(politely=True)
        other, _, _ = certificate(tmp_path, "other")
        link = Link("car-1", load_settings(None, given | {"server.ca": other}).server, silent)
        try:
            await link.open()
            raise AssertionError("a cloud that nobody vouches for was believed")
        except LinkLost as error:
            assert "certificate" in str(error).lower()
        await server.stop()

    asyncio.run(script())
