"""Ends this process with the one that started it."""

import os
import signal
import threading


def end_with_parent():
    """Whoever started this holds the other end of standard input, which closes however that one ends."""
    pipe = os.dup(0)
    # The engine would read it as data.
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=wait, args=(pipe,), daemon=True).start()


def wait(pipe):
    while os.read(pipe, 1):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
