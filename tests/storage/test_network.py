"""Proxies and certificates of one's own, for every scheme alike."""

from __future__ import annotations

import datetime
import ipaddress
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from clouds import clear_credentials
from hubs import Oracle
from servers import LocalServer

PROGRAM = """
import importlib, json, os, sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from streaming.storage.registry import open_store

for name in sys.argv[1:]:  # which takes longer than all else
    with suppress(ImportError):
        importlib.import_module(name)

def read(url):
    try:
        open_store(url).get("a")
    except Exception as error:
        return f"{type(error).__name__} {error}"
    return "read"

for line in sys.stdin:
    urls, environ = json.loads(line)
    if os.fork() == 0:
        os.environ.clear()
        os.environ.update(environ)
        with ThreadPoolExecutor(16) as pool:  # most of them wait, to try again
            print(json.dumps([*pool.map(read, urls)]), flush=True)
        os._exit(0)
    if os.wait()[1]:
        print("[]", flush=True)
"""
# What looks at the environment only when it is used.
LIBRARIES = ["boto3", "azure.identity", "google.auth.transport.requests", "oci", "databricks.sdk"]
Read = Callable[[list[str], dict[str, str]], list[str]]


@pytest.fixture(scope="module")
def read() -> Iterator[Read]:
    """What becomes of reading an object of each place in a new process, of an environment of its own."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *LIBRARIES], stdin=pipe, stdout=pipe, text=True) as process:

        def read(urls: list[str], env: dict[str, str]) -> list[str]:
            environ = {
                name: value
                for name, value in os.environ.items()
                if not name.lower().endswith(("_proxy", "_ca_bundle", "_cert_file"))
            }
            assert process.stdin
            assert process.stdout
            process.stdin.write(json.dumps([urls, {**environ, **env}]) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield read
        process.kill()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append(self.path)
        data = b"1" if self.path.partition("?")[0].endswith("/a") else b"{}"
        self.send_response(200)
        for name, value in [("Content-Length", str(len(data))), ("ETag", '"1"')]:
            self.send_header(name, value)
        self.send_header("Last-Modified", "Wed, 01 Jan 2025 00:00:00 GMT")
        self.end_headers()
        self.wfile.write(data)

    def do_CONNECT(self) -> None:
        server: Any = self.server
        server.asked.append(self.path)
        self.send_error(502)
        self.close_connection = True


@pytest.fixture
def server() -> Iterator[Any]:
    listening: Any = LocalServer(("127.0.0.1", 0), _Handler)
    listening.asked = []
    thread = threading.Thread(target=listening.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield listening
    listening.shutdown()
    listening.server_close()
    thread.join(10)


@pytest.fixture
def env(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, str]:
    clear_credentials(monkeypatch, tmp_path)
    return {
        "DATABRICKS_TOKEN": "x", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "GCS_KEY": "k", "GCS_SECRET": "s",
        "AZURE_ACCOUNT_NAME": "acct", "AZURE_ACCOUNT_ACCESS_KEY": "a2V5", "OCI_CONFIG_FILE": Oracle().profile(tmp_path),
        "DATABRICKS_HOST": "https://workspace.example.org",
    }  # fmt: skip


PLACES = {
    "https://data.example.org/data": "data.example.org:443",
    f"https://data.example.org/data?sig={'x' * 8}": "data.example.org:443",
    "s3://bucket/data": "s3.us-east-1.amazonaws.com:443",
    "gs://bucket/data": "storage.googleapis.com:443",
    "az://box/data": "acct.blob.core.windows.net:443",
    "oci://bucket@space/data": "objectstorage.us-ashburn-1.oraclecloud.com:443",
    "hf://datasets/owner/name": "huggingface.co:443",
    "dbfs:/Volumes/a/b/c/d": "workspace.example.org:443",
    "dbfs:/data": "workspace.example.org:443",
    "fsspec+https://data.example.org/data": "data.example.org:443",
}
# What says where each is, for tests that have a server of their own.
ENDPOINTS = (
    "S3_ENDPOINT_URL", "GCS_ENDPOINT_URL", "AZURE_STORAGE_ENDPOINT", "OCI_ENDPOINT_URL", "HF_ENDPOINT", "DATABRICKS_HOST",
)  # fmt: skip


def test_a_proxy_is_asked_for_every_scheme(read: Read, server: Any, env: dict[str, str]) -> None:
    proxy = f"http://127.0.0.1:{server.server_port}"
    said = read(list(PLACES), {**env, "HTTPS_PROXY": proxy, "https_proxy": proxy})
    assert set(server.asked) == set(PLACES.values())
    assert not any(line.startswith("read") for line in said)


def test_hosts_that_no_proxy_is_asked_for(read: Read, server: Any, env: dict[str, str]) -> None:
    proxy = f"http://127.0.0.1:{server.server_port}"
    # Names that nobody has an address for: nothing is reached.
    hosts = ".example.org,.invalid"
    variables = {"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": hosts, "no_proxy": hosts}
    said = read(list(PLACES), {**env, **variables, **dict.fromkeys(ENDPOINTS, "https://host.invalid")})
    assert len(said) == len(PLACES)
    assert server.asked == []


def _certificate(subject: x509.Name, issuer: x509.Name, key: Any, signer: Any, extension: Any) -> x509.Certificate:
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=30))
        .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        .sign(signer, hashes.SHA256())
    )


@pytest.fixture
def bundle(server: Any, tmp_path: Path) -> str:
    """Have the server speak TLS, by a certificate of an authority that only this bundle trusts."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    authority, host = (
        x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]) for name in ("authority", "localhost")
    )
    names = x509.SubjectAlternativeName([x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    root = _certificate(authority, authority, keys[0], keys[0], x509.BasicConstraints(ca=True, path_length=0))
    leaf = _certificate(host, authority, keys[1], keys[0], names)
    (tmp_path / "ca.pem").write_bytes(root.public_bytes(serialization.Encoding.PEM))
    (tmp_path / "host.pem").write_bytes(leaf.public_bytes(serialization.Encoding.PEM))
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (tmp_path / "host.key").write_bytes(keys[1].private_bytes(serialization.Encoding.PEM, *form))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "host.pem", tmp_path / "host.key")
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return str(tmp_path / "ca.pem")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", None])
def test_certificates_of_ones_own(
    read: Read, server: Any, bundle: str, env: dict[str, str], variable: str | None
) -> None:
    place = f"https://localhost:{server.server_port}"
    urls = [f"{place}/data", f"{place}/data?sig=1", *list(PLACES)[2:-1], f"fsspec+{place}/data"]
    env.update(dict.fromkeys(ENDPOINTS, place))
    said = read(urls, {**env, **({variable: bundle} if variable else {})})
    if variable is None:
        assert not any(line == "read" for line in said)
        assert all("UnavailableError" in line for line in said)
    else:
        assert said == ["read"] * len(urls)


def test_certificates_that_amazons_tools_are_told_of(read: Read, server: Any, bundle: str, env: dict[str, str]) -> None:
    """They are trusted for S3, and nowhere else."""
    place = f"https://localhost:{server.server_port}"
    env.update(dict.fromkeys(ENDPOINTS, place))
    s3, az = read(["s3://bucket/data", "az://box/data"], {**env, "AWS_CA_BUNDLE": bundle})
    assert s3 == "read"
    assert "UnavailableError" in az
    (said,) = read(["s3://bucket/data"], {**env, "AWS_CA_BUNDLE": f"{bundle}.none"})
    assert "AWS_CA_BUNDLE: " in said


LOGINS = {
    "boto3": ("s3://bucket/data", "sts.amazonaws.com:443"),
    "google-auth": ("gs://bucket/data", "sts.googleapis.com:443"),
    "azure-identity": ("az://box/data", "login.microsoftonline.com:443"),
}


@pytest.mark.parametrize("library", LOGINS)
def test_a_proxy_is_asked_for_logins(
    read: Read, server: Any, env: dict[str, str], tmp_path: Path, library: str
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "GCS_KEY", "AZURE_ACCOUNT_ACCESS_KEY"):
        del env[name]
    login_files(tmp_path, env, library)
    proxy = f"http://127.0.0.1:{server.server_port}"
    url, host = LOGINS[library]
    (said,) = read([url], {**env, "HTTPS_PROXY": proxy, "https_proxy": proxy, "AWS_MAX_ATTEMPTS": "1"})
    assert host in server.asked
    assert "AccessDeniedError" in said or "UnavailableError" in said


def login_files(home: Path, env: dict[str, str], library: str) -> None:
    """Leave what makes a library of the vendor's sign in over the network."""
    if library == "boto3":
        env.update(AWS_PROFILE="role", AWS_STS_REGIONAL_ENDPOINTS="legacy")
        (home / ".aws").mkdir()
        keys = "[source]\naws_access_key_id = k\naws_secret_access_key = s\n"
        (home / ".aws" / "credentials").write_text(keys)
        (home / ".aws" / "config").write_text(
            "[profile role]\nrole_arn = arn:aws:iam::123456789012:role/r\nsource_profile = source\n"
        )
    elif library == "google-auth":
        (home / "subject").write_text("subject token")
        account = {
            "type": "external_account",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/p",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "token_url": "https://sts.googleapis.com/v1/token",
            "credential_source": {"file": str(home / "subject")},
        }
        (home / "account.json").write_text(json.dumps(account))
        env.update(GOOGLE_APPLICATION_CREDENTIALS=str(home / "account.json"))
    else:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "principal")])
        itself = _certificate(name, name, key, key, x509.BasicConstraints(ca=False, path_length=None))
        form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        pem = itself.public_bytes(serialization.Encoding.PEM)
        (home / "own.pem").write_bytes(key.private_bytes(serialization.Encoding.PEM, *form) + pem)
        tenant = "00000000-0000-0000-0000-000000000001"
        env.update(AZURE_CLIENT_ID="c", AZURE_TENANT_ID=tenant, AZURE_CLIENT_CERTIFICATE_PATH=str(home / "own.pem"))
