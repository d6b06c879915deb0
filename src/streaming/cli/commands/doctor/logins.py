"""Where credentials are, and proxies: names of variables and files, never what they hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from streaming.cli.commands.doctor.findings import Finding
from streaming.storage.url import redact

__all__ = ["find_logins", "find_proxies"]


class _Login(NamedTuple):
    """Where a provider's credentials can be: variables that hold them, variables that name files, files."""

    variables: tuple[str, ...]
    named: tuple[str, ...]
    files: tuple[str, ...]


_LOGINS: Mapping[str, _Login] = {
    "Amazon S3": _Login(
        (
            "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ROLE_ARN",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        ),
        ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE"),
        ("~/.aws/credentials", "~/.aws/config"),
    ),
    "Google Cloud": _Login(
        ("GOOGLE_SERVICE_ACCOUNT_KEY", "GCS_KEY", "GCS_SECRET"),
        ("GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH"),
        ("~/.config/gcloud/application_default_credentials.json",),
    ),
    "Azure": _Login(
        (
            "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY",
            "AZURE_ACCOUNT_ACCESS_KEY", "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY",
            "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_TENANT_ID",
        ),
        ("AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"),
        ("~/.azure/msal_token_cache.json", "~/.azure/azureProfile.json"),
    ),
    "Oracle Cloud": _Login(
        ("OCI_ACCESS_KEY_ID", "OCI_SECRET_ACCESS_KEY"), ("OCI_CONFIG_FILE", "OCI_CLI_CONFIG_FILE"), ("~/.oci/config",)
    ),
    "Hugging Face": _Login(
        ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"), ("HF_TOKEN_PATH",), ("~/.cache/huggingface/token",)
    ),
    "Databricks": _Login(
        ("DATABRICKS_TOKEN", "DATABRICKS_CLIENT_ID", "DATABRICKS_CLIENT_SECRET"), ("DATABRICKS_CONFIG_FILE",),
        ("~/.databrickscfg",),
    ),
    "SFTP": _Login(
        (), ("COMPOSER_SFTP_KEY_FILE", "COMPOSER_SFTP_KNOWN_HOSTS_FILE"),
        ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa", "~/.ssh/known_hosts"),
    ),
}  # fmt: skip
_PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "NO_PROXY")
_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "AWS_CA_BUNDLE")


def find_logins() -> Iterator[Finding]:
    """Yield where each provider's credentials are; machine identities are not asked."""
    for name, login in _LOGINS.items():
        found = [variable for variable in login.variables if os.environ.get(variable)]
        bad = False
        for variable in login.named:
            if path := os.environ.get(variable):
                problem = _problem(path)
                bad = bad or bool(problem)
                found.append(f"{variable} ({path}{problem and ': ' + problem})")
        for path in login.files:
            full = os.path.expanduser(path)
            if os.path.exists(full):
                problem = _problem(full)
                found.append(path + (f" ({problem})" if problem else ""))
        advice = "The file that the variable names cannot be read." if bad else ""
        yield Finding("credentials", name, ", ".join(found) or "none found", "problem" if bad else "ok", advice)


def find_proxies() -> Iterator[Finding]:
    """Yield the proxies and certificates that are set."""
    for name in _PROXIES:
        for spelling in (name, name.lower()):
            if value := os.environ.get(spelling):
                yield Finding("network", spelling, redact(value) if "://" in value else value.rpartition("@")[2])
    for name in _BUNDLES:
        if path := os.environ.get(name):
            problem = _problem(path)
            yield Finding(
                "network", name, path + (f": {problem}" if problem else ""), "problem" if problem else "ok",
                "Name a file of certificates, or unset it." if problem else "",
            )  # fmt: skip


def _problem(path: str) -> str:
    """Return why a file cannot be read, or nothing."""
    try:
        with open(path, "rb"):
            return ""
    except OSError as error:
        return error.strerror or type(error).__name__
