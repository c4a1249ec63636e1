"""What notebooks show of recordings, separations and factorizations: HTML with sound in it.

The markup holds no script and no style sheet, so that every notebook shows it and none can be
harmed by it; all that came from outside is text.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosep.errors import OutputError, UsageError
from audiosep.io.compressed import listening_bitrates, mp3_of
from audiosep.io.naming import display
from audiosep.plots.backend import check_matplotlib
from audiosep.plots.spectrograms import COLOURS
from audiosep.report.pictures import RANGE_DB, Picture, draw
from audiosep.report.texts import in_markup, length_of, level_of, name_of, rate_of
from audiosep.threads import resolve_threads
from audiosep.types import Audio, Factorization

if TYPE_CHECKING:
    from audiosep.separation import Separation

__all__ = ["MOST_BYTES", "html_of_audio", "html_of_factorization", "html_of_separation"]

MOST_BYTES = 4_800_000
"""What is shown of one value may take so much of a notebook's file."""

_SOUND_S = 240.0
"""Of all players together: to encode much more would keep people waiting for a look."""

_SHORTEST_S = 5.0
"""Of each player, where there are many."""

_DELAY_S = 1.0
"""What the encoder adds, and to spare."""

_PICTURE_HEIGHT = 96
_SHADES = 64
"""More shades are not told apart at this size, and take room."""

_BASE64 = 4 / 3

_PLAIN_PEAKS = (1e-6, 1e6)
"""Squares of samples far beyond these leave float32; how loud all is together is not seen."""


@dataclass(frozen=True, kw_only=True)
class _Track:
    name: str
    audio: Audio
    picture: Picture | None


def html_of_audio(audio: Audio) -> str:
    """Show a recording: its spectrogram, its facts, a player.

    Parameters
    ----------
    audio : Audio
        Of any length; of a long one the beginning is played.

    Returns
    -------
    str
        At most `MOST_BYTES`, without scripts.
    """
    pictures, remark = _pictures([audio])
    tracks = [_Track(name="", audio=audio, picture=pictures[0])]
    return _page([_facts(audio)], tracks, [remark])


def html_of_separation(separation: Separation) -> str:
    """Show a separation: a player and a spectrogram for each stem, and what was decided.

    Parameters
    ----------
    separation : Separation
        Of a recording of any length; of a long one the beginning is played.

    Returns
    -------
    str
        At most `MOST_BYTES`, without scripts.
    """
    record, mixture = separation.record, separation.mixture
    stems = list(separation.stems.items())
    pictures, remark = _pictures([stem for _, stem in stems])
    tracks = [_Track(name="mixture", audio=mixture, picture=pictures[-1])]
    tracks += [
        _Track(name=name, audio=stem, picture=picture)
        for (name, stem), picture in zip(stems, pictures, strict=False)
    ]
    path = record.get("input", {}).get("path")
    title = f"<strong>{in_markup(name_of(path, Path('x')))}</strong>: " if path else ""
    preset, method = record.get("preset"), record.get("method")
    recipe = f"; preset {preset}" + (f" (method {method})" if method != preset else "")
    sentences = [*record.get("warnings", []), *record.get("notes", [])]
    return _page(
        [title + _facts(mixture) + (in_markup(recipe) if preset else "")],
        tracks,
        [remark, *sentences],
        _components_behind(separation),
    )


def html_of_factorization(factorization: Factorization) -> str:
    """Show a factorization: templates and activations as a picture, and how it was found.

    Parameters
    ----------
    factorization : Factorization
        Of any size.

    Returns
    -------
    str
        Without scripts.
    """
    K = factorization.n_components
    n_bins, n_frames = factorization.templates.shape[0], factorization.activations.shape[1]
    losses = factorization.losses
    fell = f"; objective {losses[0]:.4g} to {losses[-1]:.4g}" if len(losses) else ""
    facts = (
        f"{K} component{'s' if K != 1 else ''}, {n_bins} bins, {n_frames} frames; beta "
        f"{factorization.beta:g}, {factorization.n_iter} iterations: "
        f"{factorization.stop.value}{fell}"
    )
    try:
        below = _components(factorization)
    except UsageError as error:
        below = f"<p>{in_markup(str(error))}</p>"
    return _block([f"<p>{in_markup(facts)}</p>", below])


def _components(factorization: Factorization, **settings: Any) -> str:
    """Templates and activations as an image."""
    from audiosep.plots.factorizations import plot_factorization

    out = io.BytesIO()
    plot_factorization(factorization, **settings).savefig(out, format="png", dpi=80)
    return _image(out.getvalue(), "Templates and activations of the components", "max-width:100%")


def _components_behind(separation: Separation) -> str:
    """Components that were grouped into the stems, where they were, and there is matplotlib."""
    found, grouping = separation.factorization, separation.grouping
    if found is None or grouping is None:
        return ""
    analysis = separation.record.get("analysis", {})
    n_fft, hop_length = analysis.get("n_fft", 0), analysis.get("hop_length", 0)
    # Some factorizations are made in bands of their own, which are not told here.
    known = n_fft > 1 and hop_length > 0 and len(found.templates) == 1 + n_fft // 2
    steps = {"sr": separation.mixture.sr, "n_fft": n_fft, "hop_length": hop_length}
    try:
        return _components(found, grouping=grouping, **(steps if known else {}))
    except UsageError:  # without matplotlib, which is told where the pictures of stems would be
        return ""


def _page(
    head: Sequence[str], tracks: Sequence[_Track], remarks: Sequence[str], below: str = ""
) -> str:
    parts = [f"<p>{line}</p>" for line in head]
    images = [_picture(track) for track in tracks]
    words = 600 * len(tracks) + 3 * sum(map(len, remarks))
    left = MOST_BYTES - sum(map(len, images)) - len(below) - words
    sounds, heard = _sounds([track.audio for track in tracks], left)
    for track, image, sound in zip(tracks, images, sounds, strict=True):
        level = level_of(_decibels(track.audio.peak))
        name = f"<strong>{in_markup(track.name)}</strong> " if track.name else ""
        parts.append(
            '<div style="margin:0 0 0.8em">'
            f"<div>{name}peak {level}</div>{image}{_player(track, sound)}</div>"
        )
    items = "".join(f"<li>{in_markup(remark)}</li>" for remark in (*heard, *remarks) if remark)
    return _block([*parts, below, f"<ul>{items}</ul>" if items else ""])


def _block(parts: Sequence[str]) -> str:
    return f'<div style="max-width:900px">{"".join(parts)}</div>'


def _facts(audio: Audio) -> str:
    return in_markup(f"{length_of(audio.duration)}, {rate_of(audio.sr, audio.n_channels)}")


def _decibels(peak: float) -> float | None:
    return 20 * math.log10(peak) if peak > 0 else None


def _pictures(tracks: Sequence[Audio]) -> tuple[Sequence[Picture | None], str]:
    """Pictures of recordings and of their sum, or why there are none."""
    try:
        check_matplotlib()
    except UsageError as error:
        return [None] * (len(tracks) + 1), f"There are no pictures: {error}"
    peak = max(track.peak for track in tracks)
    if peak > 0.0 and not _PLAIN_PEAKS[0] <= peak <= _PLAIN_PEAKS[1]:
        tracks = [_scaled(track, peak) for track in tracks]
    pictures, total = draw(tracks)
    return [*pictures, total], ""


def _scaled(audio: Audio, peak: float) -> Audio:
    return Audio(samples=audio.samples / np.float32(peak), sr=audio.sr)


def _picture(track: _Track) -> str:
    if track.picture is None:
        return ""
    import matplotlib as mpl
    from PIL import Image

    shades = track.picture.spectrogram[::-1] // (256 // _SHADES)
    image = Image.fromarray(np.ascontiguousarray(shades))
    palette = mpl.colormaps[COLOURS](np.linspace(0, 1, _SHADES), bytes=True)[:, :3]
    image.putpalette(palette.tobytes())
    out = io.BytesIO()
    image.save(out, format="png", optimize=True)
    words = (
        f"Spectrogram of {display(track.name) or 'the recording'}, {RANGE_DB:g} dB, log frequency"
    )
    return _image(out.getvalue(), words, f"width:100%;height:{_PICTURE_HEIGHT}px")


def _image(content: bytes, words: str, style: str) -> str:
    data = base64.b64encode(content).decode("ascii")
    return (
        f'<img alt="{escape(words)}" style="display:block;{style}" '
        f'src="data:image/png;base64,{data}">'
    )


def _player(track: _Track, sound: bytes | None) -> str:
    if sound is None:
        return ""
    data = base64.b64encode(sound).decode("ascii")
    return (
        f'<audio controls preload="metadata" style="width:100%" '
        f'aria-label="{escape(display(track.name) or "recording")}" '
        f'src="data:audio/mpeg;base64,{data}"></audio>'
    )


def _sounds(tracks: Sequence[Audio], n_bytes: float) -> tuple[list[bytes | None], list[str]]:
    """Encode recordings of one length into so many bytes of base64, and say what was left out."""
    first, remarks = tracks[0], []
    most = n_bytes / _BASE64 / len(tracks)
    rates = listening_bitrates(first.sr, first.n_channels)
    longest_s = min(
        max(_SHORTEST_S, _SOUND_S / len(tracks)), max(1.0, most / (125 * rates[0]) - _DELAY_S)
    )
    parts = list(tracks)
    if first.duration > longest_s:
        longest_s = math.floor(longest_s)
        parts = [
            track.part(0, min(round(longest_s * first.sr), first.n_samples)) for track in tracks
        ]
        remarks.append(
            f"The players hold the first {length_of(longest_s)} of {length_of(first.duration)}, so "
            "that the notebook stays small; save the stems to have all of it, and 'audiosep "
            "report' to hear them together."
        )
    room = most / 125 / (parts[0].duration + _DELAY_S)
    kbps = max([rates[0], *(rate for rate in rates if rate <= room)])
    if first.n_channels > 2:
        remarks.append(f"The players fold {first.n_channels} channels into one.")
    peak = max(track.peak for track in parts)
    if peak > 1.0:
        remarks.append(
            f"The players are turned down by {_decibels(peak):.1f} dB, because samples are above "
            "full scale."
        )
    encode = partial(mp3_of, bitrate_kbps=kbps, gain=1.0 / max(peak, 1.0))
    try:
        with ThreadPoolExecutor(max(1, min(resolve_threads(None), len(parts)))) as pool:
            return list(pool.map(encode, parts)), remarks
    except OutputError as error:
        return [None] * len(parts), [f"There are no players: {error}"]
