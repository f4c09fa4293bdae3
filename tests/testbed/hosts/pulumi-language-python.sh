#!/bin/sh
# Pulumi tells its hosts the options of Pulumi.yaml with each request; the host of 3.60.0 takes them as flags.
# Every program of examples/ has its environment in `venv`.
exec "$(dirname "$0")/host-for-python" -virtualenv venv -root "$PWD" "$@"
