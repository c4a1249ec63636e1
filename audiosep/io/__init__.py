"""Files and recordings: the only package that knows paths and sound formats."""

from __future__ import annotations

from audiosep.io.header import AudioInfo, info
from audiosep.io.read_options import ReadOptions
from audiosep.io.reading import Recording, open_recording, read
from audiosep.io.writing import write

__all__ = ["AudioInfo", "ReadOptions", "Recording", "info", "open_recording", "read", "write"]
