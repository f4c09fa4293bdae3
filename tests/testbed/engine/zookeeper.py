"""Runs a ZooKeeper until standard input closes: zookeeper.py JARS CONFIGURATION."""

import ctypes
import signal
import subprocess
import sys

import parent

PR_SET_PDEATHSIG = 1

parent.end_with_parent()
libc = ctypes.CDLL(None)
jars, configuration = sys.argv[1:]
command = ["java", "-Xmx64m", "-cp", f"{jars}/*", "org.apache.zookeeper.server.ZooKeeperServerMain", configuration]
# It goes with this process, however that one ends.
server = subprocess.Popen(command, preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL))
sys.exit(server.wait())
