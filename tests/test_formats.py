"""Depths and containers."""

from __future__ import annotations

import pytest
import soundfile as sf

from audiosep.errors import ParameterError
from audiosep.io import formats


@pytest.mark.parametrize(
    ("subtype", "bits"),
    [
        ("PCM_16", 16),
        ("ALAC_16", 16),
        ("PCM_24", 24),
        ("ALAC_24", 24),
        ("ALAC_20", 24),
        ("PCM_S8", 24),
        ("PCM_U8", 24),
        ("ULAW", 16),
        ("ALAW", 16),
        ("VORBIS", 24),
        ("OPUS", 24),
        ("MPEG_LAYER_III", 24),
        ("IMA_ADPCM", 24),
        ("PCM_32", "float"),
        ("FLOAT", "float"),
        ("DOUBLE", "float"),
    ],
)
def test_depth_follows_the_recording(subtype, bits):
    assert formats.bits_of_subtype(subtype) == bits


def test_every_subtype_has_a_depth_it_fits_in():
    deep = {"PCM_32", "FLOAT", "DOUBLE", "ALAC_32"}
    for subtype in sf.available_subtypes():
        bits = formats.bits_of_subtype(subtype)
        assert bits in (16, 24, "float")
        assert (bits == "float") == (subtype in deep)
        if "24" in subtype:
            assert bits == 24


@pytest.mark.parametrize(
    ("given", "bits"), [(16, 16), ("16", 16), (24, 24), ("24", 24), ("float", "float")]
)
def test_depths(given, bits):
    assert formats.bits_from(given) == bits


@pytest.mark.parametrize("given", [8, 32, "32", "Float", "", 16.5, None, True])
def test_unknown_depths(given):
    with pytest.raises(ParameterError, match="use 16, 24 or float"):
        formats.bits_from(given)


@pytest.mark.parametrize("name", ["mp3", "WAV", "", ".wav", "rf64"])
def test_unknown_formats(name):
    with pytest.raises(ParameterError, match="use wav or flac"):
        formats.check_format(name, None)


def test_flac_holds_no_floats():
    with pytest.raises(ParameterError, match="use bits=24 or format='wav'"):
        formats.check_format("flac", "float")
    assert formats.check_format("flac", 24) == "flac"
    assert formats.check_format("wav", "float") == "wav"


@pytest.mark.parametrize(("bits", "size"), [(16, 2), (24, 3), ("float", 4)])
@pytest.mark.parametrize("n_channels", [1, 2, 7])
def test_rf64_from_4_gib_on(bits, size, n_channels):
    last = formats.RIFF_LIMIT // (size * n_channels)
    assert formats.container_for("wav", bits, 44100, n_channels, last) == "WAV"
    assert formats.container_for("wav", bits, 44100, n_channels, last + 1) == "RF64"
    # The header must fit as well: chunks besides the samples take far less than 64 KiB.
    assert formats.RIFF_LIMIT + 60_000 < 2**32


def test_flac_has_no_such_limit():
    assert formats.container_for("flac", 24, 44100, 2, 2**40) == "FLAC"


@pytest.mark.parametrize(("n_channels", "sr"), [(9, 44100), (16, 8000), (1, 655_351)])
def test_what_flac_cannot_hold(n_channels, sr):
    words = f"this recording has {n_channels} channels at {sr} Hz; use format='wav'"
    with pytest.raises(ParameterError, match=words):
        formats.container_for("flac", 16, sr, n_channels, 100)
    assert formats.container_for("wav", 16, sr, n_channels, 100) == "WAV"


def test_flac_at_its_limits(tmp_path):
    assert formats.container_for("flac", 16, 655_350, 8, 100) == "FLAC"
    sf.write(tmp_path / "x.flac", [[0.0] * 8] * 100, 655_350)
    assert sf.info(tmp_path / "x.flac").samplerate == 655_350


def test_what_wav_cannot_hold():
    assert formats.container_for("wav", 16, 8000, 1024, 10) == "WAV"
    with pytest.raises(ParameterError, match="at most 1024 channels, not 1025"):
        formats.container_for("wav", 16, 8000, 1025, 10)
