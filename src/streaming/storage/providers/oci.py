"""Oracle Cloud's object storage: by its S3-compatible interface, or by its own where an API key signs."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Mapping
from typing import Any

from streaming.core.errors import ConfigError
from streaming.storage.helper.spec import ClientSpec
from streaming.storage.logins.family import canonical, first_of, given_endpoint, hints
from streaming.storage.providers.compatible import compatible_spec
from streaming.storage.providers.remote import RemoteStore
from streaming.storage.providers.vendors.oci import OciStore, Oracle
from streaming.storage.store import Store
from streaming.storage.url import odd_base, redact, split_bucket

__all__ = ["open_oci", "resolve_oci"]

_OPTIONS = {
    "access_key_id", "allow_http", "client_options", "config_file", "endpoint", "namespace", "profile", "region",
    "retry_config", "secret_access_key", "skip_signature",
}  # fmt: skip
_ALIASES = {
    "anon": "skip_signature",
    "endpoint_url": "endpoint",
    "key": "access_key_id",
    "secret": "secret_access_key",
}
_NAME = re.compile(r"[A-Za-z0-9-]+")


def open_oci(url: str, options: Mapping[str, Any]) -> Store:
    """Open ``oci://bucket@namespace/prefix``, or ``oci://bucket/prefix``. Nothing is contacted yet.

    Args:
        url: The root.
        options: Those of docs/storage.md.

    Raises:
        ConfigError: The URL names no bucket, an option is unknown, or the endpoint is not a URL.
    """
    _bucket(url)
    found = canonical(options, "oci", _OPTIONS, _ALIASES, prefix="oci_")
    given_endpoint(found, {})
    native = _native(url, found, os.environ)
    return RemoteStore(url, found, resolve_oci) if native is None else OciStore(url, found, native)


def _native(url: str, options: Mapping[str, Any], environ: Mapping[str, str]) -> Oracle | None:
    """Return what signs by an API key, ``None`` if there is a customer secret key, or no API key either."""
    if options.get("skip_signature") or _keys(options, environ)[1]:
        return None
    profile = _profile(options, environ)
    if not {"key_file", "key_content"} & set(profile):
        return None
    bucket, _, prefix = _bucket(url)
    base = odd_base(url)
    return Oracle(
        bucket,
        prefix + "/" if base is None and prefix else (base or "")[1:] + "/" * (base is not None),
        _namespace(url, options, environ, profile),
        *_file_and_profile(options, environ),
        _region(options, environ),
        given_endpoint(options, environ, "OCI_ENDPOINT_URL"),
    )


def resolve_oci(url: str, options: Mapping[str, Any], find_region: bool | str) -> ClientSpec:
    """Find everything that the client needs, from URL, options, environment and Oracle's configuration file.

    Raises:
        ConfigError: The namespace or the region is nowhere to be found, or the endpoint is not a URL.
    """
    del find_region
    environ = dict(os.environ)
    bucket, _, prefix = _bucket(url)
    profile = _profile(options, environ)
    namespace = _namespace(url, options, environ, profile)
    region = _region(options, environ) or profile.get("region")
    endpoint = given_endpoint(options, environ, "OCI_ENDPOINT_URL")
    if endpoint is None:
        name = _required("namespace", namespace, url, "write oci://bucket@namespace/path, or set OCI_NAMESPACE")
        place = _required("region", region, url, "set OCI_REGION, or region in ~/.oci/config")
        endpoint = f"https://{name}.compat.objectstorage.{place}.oraclecloud.com"
    source, keys = _keys(options, environ)
    advice = hints(
        bucket="Check the names of bucket and namespace, and the region.",
        denied=(
            f"Credentials came from {source}. Give an API key (user, fingerprint, tenancy, region and key_file in "
            "~/.oci/config), or a customer secret key (OCI_ACCESS_KEY_ID and OCI_SECRET_ACCESS_KEY, or the storage options "
            "access_key_id and secret_access_key); check that it allows this."
        ),
        region="Check the region: OCI_REGION, or region in ~/.oci/config.",
        unavailable="Check namespace and region, and the network.",
    )
    return compatible_spec(url, bucket, prefix, endpoint, region or "us-ashburn-1", keys, options, advice)


def _bucket(url: str) -> tuple[str, str | None, str]:
    """Return the bucket, the namespace if the URL names one, and the rest."""
    netloc, prefix = split_bucket(url)
    bucket, _, namespace = netloc.partition("@")
    if not bucket:
        raise ConfigError(f"{redact(url)!r} names no bucket; expected oci://bucket@namespace/path.")
    return bucket, namespace or None, prefix


def _namespace(url: str, options: Mapping[str, Any], environ: Mapping[str, str], profile: Mapping[str, str]) -> Any:
    return _bucket(url)[1] or options.get("namespace") or environ.get("OCI_NAMESPACE") or profile.get("namespace")


def _region(options: Mapping[str, Any], environ: Mapping[str, str]) -> Any:
    found = first_of(environ, "OCI_REGION", "OCI_CLI_REGION")
    return options.get("region") or (found[1] if found else None)


def _required(what: str, value: Any, url: str, advice: str) -> str:
    if not value or not _NAME.fullmatch(str(value)):
        raise ConfigError(
            f"{redact(url)}: the {what} of Oracle's object storage is {'not known' if not value else repr(value)}; "
            f"{advice}, or give the storage option {what}."
        )
    return str(value)


def _file_and_profile(options: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, str]:
    files = first_of(environ, "OCI_CONFIG_FILE", "OCI_CLI_CONFIG_FILE")
    names = first_of(environ, "OCI_CLI_PROFILE", "OCI_CONFIG_PROFILE")
    path = os.path.expanduser(options.get("config_file") or (files[1] if files else "~/.oci/config"))
    return path, options.get("profile") or (names[1] if names else "DEFAULT")


def _profile(options: Mapping[str, Any], environ: Mapping[str, str]) -> Mapping[str, str]:
    path, name = _file_and_profile(options, environ)
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # The parser's own text quotes the line, which may hold a secret.
        raise ConfigError(f"{path} is not a valid configuration file of Oracle Cloud.") from None
    if name != "DEFAULT" and not parser.has_section(name):
        raise ConfigError(f"The profile {name!r} is not in {path}. Check OCI_CLI_PROFILE.")
    return dict(parser.defaults() if name == "DEFAULT" else parser[name])


def _keys(options: Mapping[str, Any], environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    if options.get("skip_signature"):
        return "the option skip_signature", {}
    names = ("access_key_id", "secret_access_key")
    if "access_key_id" in options:
        return "the storage options", {name: str(options.get(name, "")) for name in names}
    if environ.get("OCI_ACCESS_KEY_ID") and environ.get("OCI_SECRET_ACCESS_KEY"):
        return "OCI_ACCESS_KEY_ID", {name: environ[f"OCI_{name.upper()}"] for name in names}
    return "nowhere (none were found, so it was not signed)", {}
