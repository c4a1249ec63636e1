"""AAC and AC-3 without a container: what their frames say of themselves.

References
----------
ISO/IEC 13818-7, section 6.2 (ADTS); ATSC A/52, sections 5.3 and E.1.2 (AC-3, E-AC-3).
"""

from __future__ import annotations

from dataclasses import dataclass

from audiosep.io.frames import FrameAt

__all__ = ["RAW_FRAMES"]

_ADTS_RATES_HZ = (
    *(96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350),
)
_AC3_RATES_HZ = (48000, 44100, 32000)
_AC3_KBIT = (
    *(32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640),
)
_E_AC3_BLOCKS = (1, 2, 3, 6)


@dataclass(frozen=True, kw_only=True)
class _Frame:
    n_bytes: int
    n_samples: int
    sr: int


def _adts_frame_at(data: bytes, at: int) -> _Frame | None:
    head = data[at : at + 7]
    if len(head) < 7 or head[0] != 0xFF or head[1] & 0xF6 != 0xF0:
        return None
    rate_at = head[2] >> 2 & 15
    n_bytes = (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    if rate_at >= len(_ADTS_RATES_HZ) or n_bytes < 7:
        return None
    n_samples = 1024 * (1 + (head[6] & 3))
    return _Frame(n_bytes=n_bytes, n_samples=n_samples, sr=_ADTS_RATES_HZ[rate_at])


def _ac3_frame_at(data: bytes, at: int) -> _Frame | None:
    head = data[at : at + 6]
    if len(head) < 6 or head[:2] != b"\x0b\x77":
        return None
    rate_at, version = head[4] >> 6, head[5] >> 3
    if 10 < version <= 16:
        return _e_ac3_frame(head)
    size_at = head[4] & 63
    if version > 10 or rate_at == 3 or size_at >= 2 * len(_AC3_KBIT):
        return None
    kbit, sr = _AC3_KBIT[size_at >> 1], _AC3_RATES_HZ[rate_at]
    n_words = 96000 * kbit // sr + (size_at & 1 if sr == 44100 else 0)
    return _Frame(n_bytes=2 * n_words, n_samples=1536, sr=sr >> max(0, version - 8))


def _e_ac3_frame(head: bytes) -> _Frame:
    kind, part, rate_at = head[2] >> 6, head[2] >> 3 & 7, head[4] >> 6
    n_words = 1 + ((head[2] & 7) << 8 | head[3])
    if rate_at == 3:
        sr, n_blocks = _AC3_RATES_HZ[min(head[4] >> 4 & 3, 2)] // 2, 6
    else:
        sr, n_blocks = _AC3_RATES_HZ[rate_at], _E_AC3_BLOCKS[head[4] >> 4 & 3]
    if kind == 1 or part:  # channels besides those of the frame before
        n_blocks = 0
    return _Frame(n_bytes=2 * n_words, n_samples=256 * n_blocks, sr=sr)


RAW_FRAMES: dict[str, FrameAt] = {"AAC": _adts_frame_at, "AC-3": _ac3_frame_at}
"""How to read frames, by the kind of file; no other kind is frames and nothing else."""
