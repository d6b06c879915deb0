"""Who this process is to Google Cloud Storage: where its credentials come from.

The order is that of Google's own libraries (application default credentials), after options and HMAC keys: a service
account, ``GOOGLE_APPLICATION_CREDENTIALS``, the file that ``gcloud auth application-default login`` writes, the
machine's service account; and if none is there, requests are not signed, which is what public buckets need.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, cast

from streaming.core.errors import AccessDeniedError
from streaming.storage.providers.family import first_of, machine_says

__all__ = ["GcsLogin", "find_gcs_login"]

_METADATA_S = 1.0
_NATIVE = ("service_account", "authorized_user")


@dataclass(frozen=True)
class GcsLogin:
    """How requests are signed.

    Attributes:
        source: Where that comes from, for error texts.
        settings: The client's settings for it. Secret, so never shown.
        keys: HMAC keys, for S3's protocol; with neither these nor settings, requests are not signed.
        instance: Sign in as the machine's service account, which takes no settings.
    """

    source: str
    settings: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    keys: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    instance: bool = False

    @property
    def is_unsigned(self) -> bool:
        """Whether requests are not signed."""
        return not (self.settings or self.keys or self.instance)


def find_gcs_login(options: Mapping[str, Any], environ: Mapping[str, str]) -> GcsLogin:
    """Find the credentials for Google Cloud Storage.

    Args:
        options: Storage options with canonical names.
        environ: The environment.

    Raises:
        AccessDeniedError: A file of credentials that is asked for is not there, or is none.
    """
    if options.get("skip_signature"):
        return GcsLogin("the option skip_signature")
    login = _from_options(options) or _from_environment(environ)
    if login is not None:
        return login
    path = _gcloud_file(environ)
    if os.path.exists(path):
        return _from_file(path, "gcloud auth application-default login")
    if _is_on_google(environ.get("GCE_METADATA_HOST", ""), environ.get("NO_GCE_CHECK", "")):
        return GcsLogin("the machine's service account", instance=True)
    return GcsLogin("nowhere (none were found, so it was not signed)")


def _from_options(options: Mapping[str, Any]) -> GcsLogin | None:
    source = "the storage options"
    if "access_key_id" in options:
        keys = {name: str(options.get(name, "")) for name in ("access_key_id", "secret_access_key")}
        return GcsLogin(source, keys=keys)
    if "credential_provider" in options:
        return GcsLogin(source, {"credential_provider": options["credential_provider"]})
    if "token" in options:
        return GcsLogin(source, {"token": options["token"]})
    if "service_account_key" in options:
        key = options["service_account_key"]
        return GcsLogin(source, {"service_account_key": key if isinstance(key, str) else json.dumps(dict(key))})
    path = options.get("service_account") or options.get("application_credentials")
    return _from_file(os.path.expanduser(os.fspath(path)), source) if path else None


def _from_environment(environ: Mapping[str, str]) -> GcsLogin | None:
    if environ.get("GCS_KEY") and environ.get("GCS_SECRET"):
        return GcsLogin(
            "GCS_KEY and GCS_SECRET",
            keys={"access_key_id": environ["GCS_KEY"], "secret_access_key": environ["GCS_SECRET"]},
        )
    if environ.get("GOOGLE_SERVICE_ACCOUNT_KEY"):
        settings = {"service_account_key": environ["GOOGLE_SERVICE_ACCOUNT_KEY"]}
        return GcsLogin("GOOGLE_SERVICE_ACCOUNT_KEY", settings)
    names = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_APPLICATION_CREDENTIALS")
    found = first_of(environ, *names)
    return _from_file(os.path.expanduser(found[1]), found[0]) if found else None


def _from_file(path: str, source: str) -> GcsLogin:
    """Read a file of credentials, of whichever kind.

    Raises:
        AccessDeniedError: It cannot be read, or is no such file.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content: Any = json.load(file)
    except OSError as error:
        raise AccessDeniedError(
            f"The Google credentials {path}, from {source}, cannot be read: {error.strerror}. Check "
            "GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`."
        ) from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        # Not what the parser says: it quotes the file.
        raise AccessDeniedError(f"{path}, from {source}, is not a JSON file of Google credentials.") from None
    fields = cast("dict[str, Any]", content)
    kind = fields.get("type", "service_account")
    if kind == "service_account":
        return GcsLogin(source, {"service_account_key": json.dumps(fields)})
    if kind in _NATIVE:
        return GcsLogin(source, {"application_credentials": path})
    # Workload identity federation, impersonation and the like: Google's library knows them.
    return GcsLogin(source, {"google_auth_file": path})


def _gcloud_file(environ: Mapping[str, str]) -> str:
    folder = environ.get("CLOUDSDK_CONFIG") or os.path.join(os.path.expanduser("~"), ".config", "gcloud")
    return os.path.join(folder, "application_default_credentials.json")


@lru_cache(maxsize=8)
def _is_on_google(host: str, no_check: str) -> bool:
    """Ask the metadata service, once per process, and only where there may be one."""
    if no_check.lower() == "true" or not (host or machine_says({"product_name": "google"})):
        return False
    connection = http.client.HTTPConnection(host or "169.254.169.254", timeout=_METADATA_S)
    try:
        connection.request("GET", "/computeMetadata/v1/", headers={"Metadata-Flavor": "Google"})
        return connection.getresponse().headers.get("Metadata-Flavor") == "Google"
    except (OSError, http.client.HTTPException, ValueError):
        return False
    finally:
        connection.close()
