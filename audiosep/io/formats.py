"""Which depth and container the stems of a recording get."""

from __future__ import annotations

from typing import Literal

from audiosep.errors import ParameterError

__all__ = [
    "FORMATS",
    "Bits",
    "Format",
    "bits_from",
    "bits_of_subtype",
    "check_format",
    "container_for",
    "readable_formats",
    "subtype_for",
]

Bits = Literal[16, 24, "float"]
Format = Literal["wav", "flac"]

FORMATS: tuple[Format, ...] = ("wav", "flac")

_FLAC_MAX_CHANNELS = 8
_FLAC_MAX_RATE = 655_350
_WAV_MAX_CHANNELS = 1024

# A WAV file counts its bytes in 32 bits; a header's worth is kept free. Beyond it the RF64
# container (EBU Tech 3306) is used, because libsndfile would write a corrupt WAV without a word.
RIFF_LIMIT = 2**32 - 2**16


def bits_of_subtype(subtype: str) -> Bits:
    """Bit depth of the stems of a recording stored as `subtype` (libsndfile's word).

    16 and 24 bits stay, and telephone codes (G.711) are 16 once decoded; 8 bits and lossy formats
    become 24, since their samples fall between 16-bit steps once shared out; 32-bit integers and
    floats become 32-bit float.
    """
    if subtype in ("PCM_16", "ALAC_16", "DPCM_16", "DWVW_16", "ULAW", "ALAW"):
        return 16
    if subtype in ("PCM_32", "FLOAT", "DOUBLE", "ALAC_32"):
        return "float"
    return 24


def bits_from(value: str | int) -> Bits:
    """Turn ``16``, ``24`` or ``"float"`` (or their text) into a bit depth.

    Raises
    ------
    ParameterError
        If it is something else.
    """
    known: dict[str, Bits] = {"16": 16, "24": 24, "float": "float"}
    if str(value) not in known:
        raise ParameterError(f"bits {value!r} is unknown; use 16, 24 or float.")
    return known[str(value)]


def check_format(name: str, bits: Bits | None) -> Format:
    """Check that `name` is a format stems can be written in, at `bits` where they are given."""
    for known in FORMATS:
        if name == known:
            if known == "flac" and bits == "float":
                raise ParameterError("flac holds no float samples; use bits=24 or format='wav'.")
            return known
    raise ParameterError(f"format {name!r} is unknown; use {' or '.join(FORMATS)}.")


def readable_formats() -> tuple[str, frozenset[str]]:
    """Version of libsndfile, and its words for the formats that it knows."""
    import soundfile

    known = set(soundfile.available_formats())
    if "OPUS" in soundfile.available_subtypes("OGG"):  # no format of its own
        known.add("Opus")
    return soundfile.__libsndfile_version__, frozenset(known)


def subtype_for(bits: Bits) -> str:
    """Libsndfile's word for a bit depth."""
    return {16: "PCM_16", 24: "PCM_24", "float": "FLOAT"}[bits]


def container_for(format_: Format, bits: Bits, sr: int, n_channels: int, n_samples: int) -> str:
    """Libsndfile's word for the container: WAV, RF64 for more than 4 GiB, or FLAC.

    Raises
    ------
    ParameterError
        If the format cannot hold so many channels or so high a rate.
    """
    if format_ == "flac":
        if n_channels > _FLAC_MAX_CHANNELS or sr > _FLAC_MAX_RATE:
            raise ParameterError(
                f"flac holds at most {_FLAC_MAX_CHANNELS} channels and {_FLAC_MAX_RATE} Hz, this "
                f"recording has {n_channels} channels at {sr} Hz; use format='wav'."
            )
        return "FLAC"
    if n_channels > _WAV_MAX_CHANNELS:
        raise ParameterError(f"wav holds at most {_WAV_MAX_CHANNELS} channels, not {n_channels}.")
    n_bytes = n_samples * n_channels * (4 if bits == "float" else bits // 8)
    return "RF64" if n_bytes > RIFF_LIMIT else "WAV"
