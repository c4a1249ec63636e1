"""An S3 store on this computer, for tests of what is not on this computer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager


@contextmanager
def s3_server(log):
    """Start a real S3 endpoint (moto) as a process of its own; give its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as said, subprocess.Popen(command, stdout=said, stderr=said) as process:
        try:
            deadline = time.monotonic() + 120
            while not _answers(address):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield address
        finally:
            process.kill()


def _answers(address):
    try:
        with urllib.request.urlopen(f"{address}/moto-api/", timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False


def s3_environment(address):
    """What s3fs and others read from the environment."""
    return {
        "AWS_ENDPOINT_URL": address,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
        # No profile of whoever runs the tests.
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def new_store():
    """File system of the server that the environment names."""
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()  # those of an earlier server
    return s3fs.S3FileSystem(use_listings_cache=False)
