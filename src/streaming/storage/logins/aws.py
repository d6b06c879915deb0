"""Who this process is to Amazon S3: where its credentials and region come from.

The order is that of Amazon's own tools: options, environment, web identity, profile files, container, instance; and if
none of them has anything, requests are not signed, which is what public buckets need. Keys, web identities and roles are
the client's to use; profile files are Amazon's library's to read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streaming.core.errors import AccessDeniedError, ConfigError, MissingDependencyError
from streaming.core.imports import optional_import
from streaming.storage.logins.family import machine_says
from streaming.storage.logins.login import Login, unsigned

__all__ = ["Profile", "find_login", "profile_files", "read_profile"]

_NEEDS_SDK = ("role_arn", "sso_session", "sso_start_url", "credential_process", "login_session")


@dataclass(frozen=True)
class Profile:
    """A section of ``~/.aws/credentials`` joined with that of ``~/.aws/config``.

    Attributes:
        name: Its name.
        values: Its entries. Secret, so never shown.
        found: Whether it is in either file.
        unread: Why the files, which are there, were not read; for error texts.
    """

    name: str
    values: Mapping[str, Any] = field(repr=False)
    found: bool = True
    unread: str = ""


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
        return unsigned("the option skip_signature")
    if "access_key_id" in options or "credential_provider" in options:
        return Login("the storage options")
    asked = "profile" in options
    found = (None if asked else _from_environment(environ)) or _from_profile(profile)
    if found is not None:
        return found
    if asked or environ.get("AWS_PROFILE"):
        missing = "has no credentials" if profile.found else "is in neither of the AWS profile files"
        raise AccessDeniedError(
            f"The AWS profile {profile.name!r} {missing}. Check AWS_PROFILE and ~/.aws/credentials."
        )
    found = _from_container(environ) or _from_instance(environ)
    if found is None and profile.unread:
        return unsigned(f"nowhere (so it was not signed: {profile.unread})")
    return found or unsigned()


def _from_environment(environ: Mapping[str, str]) -> Login | None:
    keys = _given(environ, "AWS_", "access_key_id", "secret_access_key", "session_token")
    if {"access_key_id", "secret_access_key"} <= set(keys):
        return Login("AWS_ACCESS_KEY_ID", keys)
    identity = _given(environ, "AWS_", "web_identity_token_file", "role_arn", "role_session_name")
    if {"web_identity_token_file", "role_arn"} <= set(identity):
        return Login("AWS_WEB_IDENTITY_TOKEN_FILE", identity)
    return None


def _from_profile(profile: Profile) -> Login | None:
    source = f"the AWS profile {profile.name!r}"
    if any(name in profile.values for name in _NEEDS_SDK):
        return Login(source, {"sign_in": ("aws_profile", profile.name)})
    keys = {name: profile.values.get(f"aws_{name}") for name in ("access_key_id", "secret_access_key", "session_token")}
    if keys["access_key_id"] and keys["secret_access_key"]:
        return Login(source, {name: value for name, value in keys.items() if value})
    return None


def _from_container(environ: Mapping[str, str]) -> Login | None:
    names = ("credentials_relative_uri", "credentials_full_uri", "authorization_token_file")
    settings = _given(environ, "AWS_", *(f"container_{name}" for name in names))
    return Login("the container's role", settings) if any(name.endswith("_uri") for name in settings) else None


def _from_instance(environ: Mapping[str, str]) -> Login | None:
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        return None
    endpoint = environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "").rstrip("/")
    if endpoint:
        return Login("the instance's role", {"metadata_endpoint": endpoint})
    names = {"sys_vendor": "amazon ec2", "board_asset_tag": "i-", "/sys/hypervisor/uuid": "ec2"}
    return Login("the instance's role") if machine_says(names) else None


def _given(environ: Mapping[str, str], prefix: str, *names: str) -> dict[str, str]:
    return {name: environ[prefix + name.upper()] for name in names if environ.get(prefix + name.upper())}


def read_profile(options: Mapping[str, Any], environ: Mapping[str, str]) -> Profile:
    """Read the profile that the option ``profile``, ``AWS_PROFILE`` or the default names, by Amazon's library.

    Raises:
        ConfigError: A profile file cannot be parsed.
        MissingDependencyError: A profile is asked for, and the library is not installed.
    """
    asked = options.get("profile") or environ.get("AWS_PROFILE")
    name = asked or "default"
    paths = [path for path in profile_files(environ).values() if os.path.isfile(path)]
    if not paths:
        return Profile(name, {}, found=False)
    try:
        loader = optional_import("botocore.configloader", "aws", f"The AWS profile {name!r}")
    except MissingDependencyError as error:
        if asked:
            raise
        return Profile(name, {}, found=False, unread=str(error))
    values: dict[str, Any] = {}
    found = False
    for path in paths:
        try:
            sections: dict[str, Any] = loader.raw_config_parse(path)
        except Exception:
            # The parser's own text quotes the line, which may hold a secret.
            raise ConfigError(f"{path} is not a valid AWS profile file.") from None
        if path == profile_files(environ)["AWS_CONFIG_FILE"]:
            sections = loader.build_profile_map(sections)["profiles"]
        found = found or name in sections
        values.update(sections.get(name, {}))
    return Profile(name, values, found)


def profile_files(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the paths of the profile files, by the variables that name them; what the second says goes before."""
    defaults = {"AWS_CONFIG_FILE": "config", "AWS_SHARED_CREDENTIALS_FILE": "credentials"}
    return {
        variable: os.path.expanduser(environ.get(variable) or f"~/.aws/{name}") for variable, name in defaults.items()
    }
