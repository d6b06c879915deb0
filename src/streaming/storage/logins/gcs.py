"""Who this process is to Google Cloud Storage: where its credentials come from.

The order is that of Google's own libraries (application default credentials), after options and HMAC keys: a service
account, ``GOOGLE_APPLICATION_CREDENTIALS``, the file that ``gcloud auth application-default login`` writes, the
machine's service account; and if none is there, requests are not signed, which is what public buckets need. The client
signs in by what it knows, Google's library by the rest.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any, cast

from streaming.core.errors import AccessDeniedError
from streaming.storage.logins.family import first_of, machine_says
from streaming.storage.logins.login import Login, unsigned

__all__ = ["find_gcs_login"]


def find_gcs_login(options: Mapping[str, Any], environ: Mapping[str, str]) -> Login:
    """Find the credentials for Google Cloud Storage.

    Args:
        options: Storage options with canonical names.
        environ: The environment.

    Returns:
        The login. ``access_key_id`` and ``secret_access_key`` among its settings are HMAC keys, for S3's protocol.

    Raises:
        AccessDeniedError: A file of credentials that is asked for is not there, or is none.
    """
    if options.get("skip_signature"):
        return unsigned("the option skip_signature")
    login = _from_options(options) or _from_environment(environ)
    if login is not None:
        return login
    folder = environ.get("CLOUDSDK_CONFIG") or os.path.join(os.path.expanduser("~"), ".config", "gcloud")
    path = os.path.join(folder, "application_default_credentials.json")
    if os.path.exists(path):
        return _from_file(path, "gcloud auth application-default login")
    may_ask = environ.get("NO_GCE_CHECK", "").lower() != "true"
    if may_ask and (environ.get("GCE_METADATA_HOST") or machine_says({"product_name": "google"})):
        return Login("the machine's service account")
    return unsigned()


def _from_options(options: Mapping[str, Any]) -> Login | None:
    source = "the storage options"
    if "access_key_id" in options:
        return Login(source, {name: str(options.get(name, "")) for name in ("access_key_id", "secret_access_key")})
    for name in ("credential_provider", "token", "service_account_key"):
        if name in options:
            given: Any = options[name]
            if name == "service_account_key" and not isinstance(given, str):
                given = json.dumps(dict(given))
            return Login(source, {name: given})
    path = options.get("service_account") or options.get("application_credentials")
    return _from_file(os.path.expanduser(os.fspath(path)), source) if path else None


def _from_environment(environ: Mapping[str, str]) -> Login | None:
    if environ.get("GCS_KEY") and environ.get("GCS_SECRET"):
        keys = {"access_key_id": environ["GCS_KEY"], "secret_access_key": environ["GCS_SECRET"]}
        return Login("GCS_KEY and GCS_SECRET", keys)
    key = "GOOGLE_SERVICE_ACCOUNT_KEY"
    if environ.get(key):
        return Login(key, {"service_account_key": environ[key]})
    names = ("GOOGLE_SERVICE_ACCOUNT", "GOOGLE_SERVICE_ACCOUNT_PATH", "GOOGLE_APPLICATION_CREDENTIALS")
    found = first_of(environ, *names)
    return _from_file(os.path.expanduser(found[1]), found[0]) if found else None


def _from_file(path: str, source: str) -> Login:
    """See who is to use a file of credentials.

    Raises:
        AccessDeniedError: It cannot be read, or is no such file.
    """
    try:
        with open(path, encoding="utf-8") as file:
            fields: Any = json.load(file)
    except OSError as error:
        raise AccessDeniedError(
            f"The Google credentials {path}, from {source}, cannot be read: {error.strerror}. Check "
            "GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`."
        ) from None
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        # Not what the parser says: it quotes the file.
        raise AccessDeniedError(f"{path}, from {source}, is not a JSON file of Google credentials.") from None
    kind = cast("dict[str, Any]", fields).get("type", "service_account")
    if kind == "service_account":
        return Login(source, {"service_account_key": json.dumps(fields)})
    if kind == "authorized_user":
        return Login(source, {"application_credentials": path})
    # Workload identity federation, impersonation and the like.
    return Login(source, {"sign_in": ("google_file", path)})
