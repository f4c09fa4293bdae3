"""Plays S3 in memory until standard input closes: s3.py PORT KEY BUCKET. It answers requests with this access key alone; signatures are not checked."""

import sys

import parent

parent.end_with_parent()
from moto.moto_server.werkzeug_app import create_backend_app  # noqa: E402
from werkzeug.serving import run_simple  # noqa: E402

port, key, bucket = sys.argv[1:]
s3 = create_backend_app("s3")
mark = f"Credential={key}/"
s3.test_client().put(f"/{bucket}", headers={"Authorization": f"AWS4-HMAC-SHA256 {mark}20200101/us-east-1/s3/aws4_request"})


def with_key(environ, start_response):
    if mark in environ.get("HTTP_AUTHORIZATION", ""):
        return s3(environ, start_response)
    start_response("403 Forbidden", [("Content-Length", "0")])
    return []


run_simple("127.0.0.1", int(port), with_key, threaded=True)
