"""What every client of the network is told alike, whoever wrote it."""

from __future__ import annotations

import os

__all__ = ["share_ca_bundle"]

# The first is what OpenSSL, rustls and httpx look at, the second what requests does.
_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


def share_ca_bundle() -> None:
    """Have the certificates that one of the usual variables names trusted by every client in this process.

    Each client looks at one of the variables only. Those that are set stay; the others are given the value of the first
    that is, before the first client is made.
    """
    named = next((os.environ[name] for name in _BUNDLES if os.environ.get(name)), None)
    if named is not None:
        for name in _BUNDLES[:2]:
            os.environ[name] = os.environ.get(name) or named
