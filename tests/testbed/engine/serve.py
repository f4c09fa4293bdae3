"""Runs ClickHouse's engine as a server, until standard input closes: serve.py LIBRARY [options of `clickhouse local`]."""

import ctypes
import sys

import parent


class Result(ctypes.Structure):
    _fields_ = [
        ("buffer", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("vector", ctypes.c_void_p),
        ("elapsed", ctypes.c_double),
        ("rows", ctypes.c_uint64),
        ("bytes", ctypes.c_uint64),
        ("error", ctypes.c_char_p),
    ]


parent.end_with_parent()
library = ctypes.CDLL(sys.argv[1])
arguments = ["clickhouse", *sys.argv[2:]]
argv = (ctypes.c_char_p * (len(arguments) + 1))(*[argument.encode() for argument in arguments], None)
library.query_stable_v2.restype = ctypes.POINTER(Result)
result = library.query_stable_v2(len(arguments), argv)
sys.exit(result.contents.error.decode() if result and result.contents.error else 0)
