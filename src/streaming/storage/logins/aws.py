"""Who this process is to Amazon S3: where its credentials and region come from.

The order is that of Amazon's own tools: options, environment, web identity, profile files, container, instance; and if
none of them has anything, requests are not signed, which is what public buckets need. Nothing here waits on the network
for more than a second, and then only on what says it is an EC2 instance.
"""

from __future__ import annotations

import configparser
import http.client
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from streaming.core.errors import AccessDeniedError, ConfigError

__all__ = ["Login", "Profile", "find_login", "profile_files", "read_profile"]

_METADATA = "http://169.254.169.254"
_METADATA_S = 1.0
_ROLES = "/latest/meta-data/iam/security-credentials/"
_MACHINE_FILES = (
    ("/sys/class/dmi/id/sys_vendor", "amazon ec2"),
    ("/sys/class/dmi/id/board_asset_tag", "i-"),
    ("/sys/hypervisor/uuid", "ec2"),
)
_NEEDS_SDK = ("role_arn", "sso_session", "sso_start_url", "credential_process", "login_session")


@dataclass(frozen=True)
class Login:
    """How requests are signed.

    Attributes:
        source: Where that comes from, for error texts.
        settings: The client's settings for it. Secret, so never shown.
    """

    source: str
    settings: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Profile:
    """A section of ``~/.aws/credentials`` joined with that of ``~/.aws/config``.

    Attributes:
        name: Its name.
        values: Its entries. Secret, so never shown.
        found: Whether it is in either file.
    """

    name: str
    values: Mapping[str, str] = field(repr=False)
    found: bool = True


def find_login(options: Mapping[str, Any], environ: Mapping[str, str], profile: Profile) -> Login:
    """Find the credentials for S3.

    Args:
        options: Storage options with canonical names (``access_key_id``, ``skip_signature`` ...).
        environ: The environment.
        profile: What ``read_profile`` found.

    Raises:
        AccessDeniedError: A profile was asked for that is not there, or has no credentials.
    """
    if options.get("skip_signature"):
        return Login("the option skip_signature", {"skip_signature": True})
    if "access_key_id" in options or "credential_provider" in options:
        return Login("the storage options", {})
    asked = "profile" in options
    if not asked:
        found = _from_environment(environ)
        if found is not None:
            return found
    found = _from_profile(profile)
    if found is not None:
        return found
    if asked or environ.get("AWS_PROFILE"):
        missing = "has no credentials" if profile.found else "is in neither of the AWS profile files"
        raise AccessDeniedError(
            f"The AWS profile {profile.name!r} {missing}. Check AWS_PROFILE and ~/.aws/credentials."
        )
    found = _from_container(environ) or _from_instance(environ)
    return found or Login("nowhere (none were found, so it was not signed)", {"skip_signature": True})


def _from_environment(environ: Mapping[str, str]) -> Login | None:
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if key and secret:
        settings = {"access_key_id": key, "secret_access_key": secret}
        if environ.get("AWS_SESSION_TOKEN"):
            settings["session_token"] = environ["AWS_SESSION_TOKEN"]
        return Login("AWS_ACCESS_KEY_ID", settings)
    file, role = environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"), environ.get("AWS_ROLE_ARN")
    if file and role:
        settings = {"web_identity_token_file": file, "role_arn": role}
        if environ.get("AWS_ROLE_SESSION_NAME"):
            settings["role_session_name"] = environ["AWS_ROLE_SESSION_NAME"]
        return Login("AWS_WEB_IDENTITY_TOKEN_FILE", settings)
    return None


def _from_profile(profile: Profile) -> Login | None:
    values = profile.values
    source = f"the AWS profile {profile.name!r}"
    if any(name in values for name in _NEEDS_SDK):
        return Login(source, {"boto3_profile": profile.name})
    if "aws_access_key_id" in values and "aws_secret_access_key" in values:
        settings = {name: values[f"aws_{name}"] for name in ("access_key_id", "secret_access_key")}
        if "aws_session_token" in values:
            settings["session_token"] = values["aws_session_token"]
        return Login(source, settings)
    return None


def _from_container(environ: Mapping[str, str]) -> Login | None:
    names = {
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "container_credentials_relative_uri",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "container_credentials_full_uri",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "container_authorization_token_file",
    }
    settings = {key: environ[name] for name, key in names.items() if environ.get(name)}
    if any(key.endswith("_uri") for key in settings):
        return Login("the container's role", settings)
    return None


def _from_instance(environ: Mapping[str, str]) -> Login | None:
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    endpoint = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "").rstrip("/")
    if (endpoint or _is_instance()) and _has_role(endpoint or _METADATA):
        return Login("the instance's role", {"metadata_endpoint": endpoint} if endpoint else {})
    return None


def _is_instance() -> bool:
    for path, start in _MACHINE_FILES:
        try:
            with open(path) as file:
                if file.read(64).lower().startswith(start):
                    return True
        except (OSError, UnicodeDecodeError):
            continue
    return False


@lru_cache(maxsize=8)
def _has_role(endpoint: str) -> bool:
    """Ask the metadata service, once per process, whether the instance has a role."""
    host = urlsplit(endpoint)
    connection = http.client.HTTPConnection(host.hostname or "", host.port, timeout=_METADATA_S)
    try:
        connection.request("PUT", "/latest/api/token", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
        token = connection.getresponse().read().decode("ascii")
        connection.request("GET", _ROLES, headers={"X-aws-ec2-metadata-token": token})
        reply = connection.getresponse()
        return reply.status == 200 and bool(reply.read().strip())
    except (OSError, http.client.HTTPException, UnicodeDecodeError, ValueError):
        return False
    finally:
        connection.close()


def read_profile(options: Mapping[str, Any], environ: Mapping[str, str]) -> Profile:
    """Read the profile that the option ``profile``, ``AWS_PROFILE`` or the default names.

    Raises:
        ConfigError: A profile file cannot be parsed.
    """
    name = options.get("profile") or environ.get("AWS_PROFILE") or "default"
    files = profile_files(environ)
    sections = [
        _section(files["AWS_CONFIG_FILE"], "default" if name == "default" else f"profile {name}"),
        _section(files["AWS_SHARED_CREDENTIALS_FILE"], name),
    ]
    values: dict[str, str] = {}
    for section in sections:
        values.update(section or {})
    return Profile(name, values, any(section is not None for section in sections))


def profile_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the paths of the profile files, by the variables that name them."""
    defaults = {"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_CONFIG_FILE": "config"}
    return {
        variable: os.path.expanduser(environ.get(variable) or f"~/.aws/{name}") for variable, name in defaults.items()
    }


def _section(path: str, name: str) -> dict[str, str] | None:
    parser = configparser.RawConfigParser(default_section="", strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):
        # The parser's own text quotes the line, which may hold a secret.
        raise ConfigError(f"{path} is not a valid AWS profile file.") from None
    return dict(parser[name]) if parser.has_section(name) else None
