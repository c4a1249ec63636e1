"""What decoders print stays away from the terminal, and everything else comes back to it."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from audiosep.io.quiet import VARIABLE, without_notes


def test_threads_that_decode_together_leave_the_stream_as_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "1")
    kept = os.dup(2)
    said = os.open(tmp_path / "said", os.O_RDWR | os.O_CREAT)
    os.dup2(said, 2)
    try:

        def decode(_number):
            for _ in range(200):
                with without_notes():
                    os.write(2, b"note\n")

        with ThreadPoolExecutor(6) as pool:
            list(pool.map(decode, range(6)))
        os.write(2, b"heard\n")
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(said)
    assert (tmp_path / "said").read_bytes() == b"heard\n"
