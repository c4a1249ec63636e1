"""Sound in files of other programs, made with PyAV for the tests of reading them."""

from __future__ import annotations

import av
import numpy as np


def write_container(path, tracks, sr=48000, *, codec="aac", form="fltp", video=False):
    """Write audio tracks, each of shape (2, samples), perhaps below a picture."""
    with av.open(str(path), "w") as file:
        picture = None
        if video:
            picture = file.add_stream("mpeg4", rate=10)
            picture.width = picture.height = 64
            picture.pix_fmt = "yuv420p"
        streams = [file.add_stream(codec, rate=sr, layout="stereo") for _ in tracks]
        if picture is not None:
            frame = av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), "u1"), format="rgb24")
            for _ in range(5):
                file.mux(picture.encode(frame))
            file.mux(picture.encode())
        for stream, samples in zip(streams, tracks, strict=True):
            size = stream.codec_context.frame_size or 1024
            for first in range(0, samples.shape[1], size):
                block = np.ascontiguousarray(samples[:, first : first + size])
                if form.startswith("s16"):
                    block = np.round(block * 32768).astype(np.int16)
                if form == "s16":
                    block = block.T.reshape(1, -1)
                frame = av.AudioFrame.from_ndarray(block, format=form, layout="stereo")
                frame.sample_rate, frame.pts = sr, first
                file.mux(stream.encode(frame))
            file.mux(stream.encode())
    return path
