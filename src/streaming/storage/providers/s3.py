"""Amazon S3 and everything that speaks its protocol: R2, B2, MinIO, CoreWeave, OCI's S3 interface ..."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from streaming.core.errors import ConfigError, MissingDependencyError
from streaming.core.imports import optional_import
from streaming.storage.helper.spec import ClientSpec
from streaming.storage.logins.aws import Profile, find_login, profile_files, read_profile
from streaming.storage.logins.family import canonical, checked_endpoint, client_settings, given_endpoint, hints
from streaming.storage.logins.login import Login
from streaming.storage.network import share_ca_bundle
from streaming.storage.providers.compatible import region_of_host, virtual_only, with_bucket_in_host
from streaming.storage.providers.remote import RemoteStore
from streaming.storage.url import odd_base, redact, split_bucket

__all__ = ["open_s3", "resolve_s3"]

_OPTIONS = {
    "access_key_id", "acl", "allow_http", "checksum_algorithm", "client_options", "credential_provider",
    "endpoint", "profile", "region", "request_payer", "retry_config", "secret_access_key",
    "server_side_encryption", "session_token", "skip_signature", "sse_kms_key_id", "unsigned_payload",
    "virtual_hosted_style_request",
}  # fmt: skip
# As boto3, s3fs and others spell them.
_ALIASES = {
    "anon": "skip_signature",
    "endpoint_url": "endpoint",
    "key": "access_key_id",
    "region_name": "region",
    "secret": "secret_access_key",
    "token": "session_token",
}
_PREFIX = "AWS_"
_KEYS = ("access_key_id", "secret_access_key", "session_token", "credential_provider")
_REGION_S = 10.0


def open_s3(url: str, options: Mapping[str, Any]) -> RemoteStore:
    """Open ``s3://bucket/prefix``. Nothing is contacted yet.

    Args:
        url: The root.
        options: Those of docs/storage.md, and the names of boto3 for them.

    Raises:
        ConfigError: The URL names no bucket, an option is unknown, or the endpoint is not a URL.
    """
    split_bucket(url)
    found = canonical(options, "s3", _OPTIONS, _ALIASES, prefix="aws_")
    given_endpoint(found, {})
    return RemoteStore(url, found, resolve_s3)


def resolve_s3(url: str, options: Mapping[str, Any], find_region: bool | str) -> ClientSpec:
    """Find everything that the client needs, from options, environment and profile files.

    Args:
        url: The root.
        options: Options with canonical names.
        find_region: The bucket's region, or whether the endpoint is to be asked for it; since the configured one is
            wrong.

    Raises:
        ConfigError: The endpoint is not a URL, or a profile file or a bundle of certificates cannot be read.
        AccessDeniedError: The profile asked for is not there.
        MissingDependencyError: A profile is asked for, and boto3 is not installed.
    """
    environ = dict(os.environ)
    bucket, prefix = split_bucket(url)
    profile = read_profile(options, environ)
    login = find_login(options, environ, profile)
    endpoint = _endpoint(options, environ, profile)
    own = {
        name: value
        for name, value in options.items()
        if name not in ("acl", "profile", "allow_http", "max_concurrency")
    }
    settings = {**own, **client_settings(options, endpoint), **login.settings}
    settings.update(bucket=bucket, prefix=prefix or None, region=_region(options, environ, profile, endpoint))
    _trust(settings, environ, profile)
    virtual = _is_virtual(options, environ, profile, endpoint)
    settings["virtual_hosted_style_request"] = virtual
    if endpoint:
        settings["endpoint"] = with_bucket_in_host(endpoint, bucket) if virtual else endpoint
    base = odd_base(url)
    if base is not None:
        # The base goes to the client as a part of the bucket, which is in the path then, if not in the host.
        settings["odd"] = (bucket, base)
        settings.update(bucket="" if virtual and endpoint else bucket, prefix=None, virtual_hosted_style_request=False)
    if find_region:
        told = find_region if isinstance(find_region, str) else _region_of_bucket(endpoint, bucket)
        settings["region"] = told or settings["region"]
    payers = environ.get("MOSAICML_STREAMING_AWS_REQUESTER_PAYS", "").split(",")
    if bucket in (name.strip() for name in payers):
        settings["request_payer"] = True
    acl = options.get("acl") or environ.get("S3_CANNED_ACL")
    spec = ClientSpec(
        redact(url),
        "streaming.storage.providers.builders:build_s3",
        settings,
        write_headers={"x-amz-acl": str(acl)} if acl else {},
        hints=_hints(login, endpoint, str(settings["region"])),
        env_prefix=_PREFIX,
        environ={
            **{name: value for name, value in environ.items() if name.startswith(_PREFIX)},
            **profile_files(environ),
        },
    )
    if settings.get("skip_signature") or settings.get("request_payer"):
        return spec
    open_to_all = {name: value for name, value in settings.items() if name not in (*login.settings, *_KEYS)}
    return spec._replace(public=spec._replace(settings={**open_to_all, "skip_signature": True}, write_headers={}))


def _endpoint(options: Mapping[str, Any], environ: Mapping[str, str], profile: Profile) -> str | None:
    given = given_endpoint(options, environ, "S3_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
    own = profile.values.get("endpoint_url")
    return given or (checked_endpoint(f"endpoint_url of the profile {profile.name!r}", own) if own else None)


def _region(
    options: Mapping[str, Any],
    environ: Mapping[str, str],
    profile: Profile,
    endpoint: str | None,
) -> str:
    return (
        options.get("region")
        or environ.get("AWS_REGION")
        or environ.get("AWS_DEFAULT_REGION")
        or profile.values.get("region")
        or region_of_host(endpoint)
        or "us-east-1"
    )


def _is_virtual(options: Mapping[str, Any], environ: Mapping[str, str], profile: Profile, endpoint: str | None) -> bool:
    """Say whether the bucket is a part of the host's name rather than of the path."""
    if "virtual_hosted_style_request" in options:
        return bool(options["virtual_hosted_style_request"])
    told = environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST")
    if told:
        return told.lower() in ("1", "true", "yes")
    style: Any = profile.values.get("s3")
    return virtual_only(endpoint) or (isinstance(style, Mapping) and style.get("addressing_style") == "virtual")


def _trust(settings: dict[str, Any], environ: Mapping[str, str], profile: Profile) -> None:
    """Have the client trust the certificates that Amazon's tools are told of, beside those of the other variables."""
    path = environ.get("AWS_CA_BUNDLE") or profile.values.get("ca_bundle")
    if path:
        try:
            with open(os.path.expanduser(path), "rb") as file:
                settings["client_options"].setdefault("root_certificate", file.read())
        except OSError as error:
            raise ConfigError(f"AWS_CA_BUNDLE: {path} cannot be read: {error.strerror}.") from None


def _region_of_bucket(endpoint: str | None, bucket: str) -> str | None:
    """Ask an endpoint where a bucket is, by Amazon's library; it says so whether or not it lets us in."""
    share_ca_bundle()
    try:
        botocore, config, session = (
            optional_import(name, "aws", "The region of a bucket")
            for name in ("botocore", "botocore.config", "botocore.session")
        )
    except MissingDependencyError:
        return None
    limits = {"connect_timeout": _REGION_S, "read_timeout": _REGION_S, "retries": {"total_max_attempts": 1}}
    client = session.Session().create_client(
        "s3",
        region_name="us-east-1",
        endpoint_url=endpoint,
        config=config.Config(signature_version=botocore.UNSIGNED, s3={"addressing_style": "path"}, **limits),
    )
    try:
        reply: Any = client.head_bucket(Bucket=bucket)
    except botocore.exceptions.ClientError as error:
        reply = error.response
    except botocore.exceptions.BotoCoreError:
        return None
    return reply["ResponseMetadata"]["HTTPHeaders"].get("x-amz-bucket-region")


def _hints(login: Login, endpoint: str | None, region: str) -> dict[str, str]:
    host = urlsplit(endpoint).netloc.rpartition("@")[2] if endpoint else None
    where = f"The endpoint is {host}. " if host else ""
    return hints(
        bucket=f"{where}Check the bucket's name{' and S3_ENDPOINT_URL' if host else ''}.",
        denied=(
            f"Credentials came from {login.source}. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (and "
            "AWS_SESSION_TOKEN), AWS_PROFILE, or the storage options access_key_id and secret_access_key; check that "
            "they are current and that they allow this."
        ),
        region=(
            f"The region {region!r} is not the bucket's: set AWS_REGION, or pip install 'streaming-dataset[aws]', which "
            "finds it."
        ),
        unavailable=f"{where}Check the network{' and S3_ENDPOINT_URL' if host else ''}.",
    )
