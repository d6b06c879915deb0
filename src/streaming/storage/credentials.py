"""stub"""
from __future__ import annotations
def aws_settings(options, environ):
    ep = options.get("endpoint") or environ.get("S3_ENDPOINT_URL") or environ.get("AWS_ENDPOINT_URL")
    out = {"region": environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1", "client_options": {"allow_http": True, "timeout": "7 days"},
       "retry_config": {"max_retries": 2}}
    if ep: out["endpoint"] = ep
    if environ.get("AWS_ACCESS_KEY_ID"):
        out |= {"access_key_id": environ["AWS_ACCESS_KEY_ID"], "secret_access_key": environ["AWS_SECRET_ACCESS_KEY"]}
    else: out["skip_signature"] = True
    return out
