"""Logins that only the vendors' own libraries know, handed to the client as something that gives it credentials.

The libraries are imported, and asked, in the process that uses the client, not in the one that forks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from streaming.core.imports import optional_import
from streaming.storage.words import words

__all__ = ["SignIn", "aws_profile", "azure_default", "google_file"]

_SCOPE = "https://www.googleapis.com/auth/devstorage.read_write"
# Kept by the client for so long; what the library gives is good for some minutes more.
_KEPT = timedelta(minutes=5)


class SignIn:
    """Gives the client what a provider of ``obstore.auth`` gives.

    Args:
        who: The login, for error texts.
        make: Makes the provider, when it is first asked.
    """

    def __init__(self, who: str, make: Callable[[], Any]) -> None:
        self._who = who
        self._make = make
        self._provider: Any = None

    def __call__(self) -> Any:
        """Return credentials, and when they end.

        Raises:
            RuntimeError: The library has none.
        """
        try:
            self._provider = self._provider or self._make()
            return self._provider()
        except Exception as error:
            # Not chained: its text may quote a reply.
            raise RuntimeError(
                f"no login by {self._who}, {type(error).__name__}: {words(str(error)).replace(' - ', ', ')}"
            ) from None


def aws_profile(name: str) -> SignIn:
    """Sign in by a profile of whatever kind.

    Raises:
        MissingDependencyError: boto3 is not installed.
    """
    boto3 = optional_import("boto3", "aws", f"The AWS profile {name!r}")
    auth = optional_import("obstore.auth.boto3", "aws", f"The AWS profile {name!r}")
    return SignIn(
        f"the AWS profile {name!r}", lambda: auth.Boto3CredentialProvider(boto3.Session(profile_name=name), ttl=_KEPT)
    )


def azure_default() -> SignIn:
    """Sign in by Azure's default credentials, but for the machine's own, which the client asks for itself.

    Raises:
        MissingDependencyError: azure-identity is not installed.
    """
    identity = optional_import("azure.identity", "azure", "An Azure login of this kind")
    auth = optional_import("obstore.auth.azure", "azure", "An Azure login of this kind")
    return SignIn(
        "azure-identity",
        lambda: auth.AzureCredentialProvider(identity.DefaultAzureCredential(exclude_managed_identity_credential=True)),
    )


def google_file(path: str) -> SignIn:
    """Sign in by a file of Google credentials of whatever kind.

    Raises:
        MissingDependencyError: google-auth is not installed.
    """
    auth = optional_import("obstore.auth.google", "gcp", "Google credentials of this kind")
    return SignIn(f"the Google credentials {path}", lambda: auth.GoogleCredentialProvider(_google_credentials(path)))


def _google_credentials(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        fields: dict[str, Any] = json.load(file)
    if fields.get("type") != "external_account":
        google = optional_import("google.auth", "gcp", "Google credentials of this kind")
        return google.load_credentials_from_file(path, scopes=[_SCOPE])[0]
    # Not by the function above: it asks the network which project this is, which nobody needs to know.
    if fields.get("subject_token_type") == "urn:ietf:params:aws:token-type:aws4_request":
        module = "aws"
    elif "executable" in fields.get("credential_source", {}):
        module = "pluggable"
    else:
        module = "identity_pool"
    kind = optional_import(f"google.auth.{module}", "gcp", "Google credentials of this kind")
    return kind.Credentials.from_info(fields, scopes=[_SCOPE])
