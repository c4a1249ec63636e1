"""Sets of spectral templates learnt from isolated sounds, on any grid.

Templates are kept on a frequency axis in hertz, so that one small file serves every sample rate and
window; :meth:`Dictionary.on_bins` brings them to an analysis. A template may also be a patch, a
short spectrogram with a time axis in seconds; :meth:`Dictionary.on_frames` brings those. Beside its
templates a dictionary may keep exemplars: frames of the sounds as they were, in order of time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.errors import DictionaryError, ParameterError
from audiosep.exemplars import Exemplars, at_another_pace, check_step, exemplars_of
from audiosep.labels import problem_of_labels

__all__ = ["Dictionary", "Exemplars", "at_another_pace", "problem_of_range"]

MAX_COMPONENTS = 10_000
_MAX_PARTS = 64
_FLOOR = 1e-7
_SAME_GRID = 1e-6
_AUDIBLE_HZ = 20_000.0
_MUCH_LOWER = 0.8


@dataclass(frozen=True, kw_only=True, eq=False)
class Dictionary:
    """Spectral templates of several kinds of sound.

    Parameters
    ----------
    templates : np.ndarray [shape=(n_bands, n_components) or (n_bands, n_components, n_steps)]
        Amplitude density (magnitude per hertz, any scale), float32: finite, non-negative, no
        template zero everywhere. With three axes every template is a patch.
    frequencies_hz : np.ndarray [shape=(n_bands,), dtype=float64]
        Increasing, from 0 Hz up; at least two.
    labels : tuple of str
        The kind of sound of each component, for example ``"drums"``; one per component. Stems
        and their files are called so: at most 64 kinds, each of 1 to 64 printable characters (at
        most 200 bytes in UTF-8) that file names may have on any system, that neither begin nor end
        with a dot or a space nor begin with ``one-shot-``; two must not differ by case alone.
    provenance : str
        What it was learnt from and under which licence.
    step_s : float, optional
        Time between the steps of a patch in seconds, 0.0001 to 1; None where templates are
        spectra.
    exemplars : Exemplars, optional
        Frames of the sounds themselves, on the same bands and of the same labels.

    Raises
    ------
    DictionaryError
        If the shapes, the number of labels or the values are not as described.
    """

    templates: npt.NDArray[np.float32]
    frequencies_hz: npt.NDArray[np.float64]
    labels: tuple[str, ...]
    provenance: str
    step_s: float | None = None
    exemplars: Exemplars | None = None

    def __post_init__(self) -> None:
        if problem := self._problem():
            raise DictionaryError(problem)

    def _problem(self) -> str:
        W, hz = self.templates, self.frequencies_hz
        if W.ndim not in (2, 3) or W.dtype != np.float32 or W.size == 0:
            return (
                "templates must be float32 (bands, components) or (bands, components, steps), got "
                f"{W.dtype} {W.shape}."
            )
        if problem := self._problem_of_time():
            return problem
        if W.shape[1] > MAX_COMPONENTS:
            return f"{W.shape[1]} templates are too many; at most {MAX_COMPONENTS}."
        if hz.dtype != np.float64 or hz.shape != W.shape[:1]:
            return (
                f"frequencies_hz must be float64, one for each of {W.shape[0]} bands, got "
                f"{hz.dtype} {hz.shape}."
            )
        if len(self.labels) != W.shape[1]:
            return f"{len(self.labels)} labels for {W.shape[1]} templates; give one for each."
        if problem := problem_of_labels(self.labels):
            return problem
        if not np.isfinite(W).all() or (W < 0).any():
            return "the templates hold negative or non-finite numbers."
        if not W.reshape(*W.shape[:2], -1).any(axis=(0, 2)).all():
            return "a template is zero everywhere; leave it out."
        if len(hz) < 2 or not (np.isfinite(hz).all() and hz[0] >= 0 and np.diff(hz).min() > 0):
            return "frequencies_hz must be two or more increasing frequencies from 0 Hz up."
        return self._problem_of_exemplars()

    def _problem_of_exemplars(self) -> str:
        found = self.exemplars
        if found is None:
            return ""
        if found.frames.shape[0] != len(self.frequencies_hz):
            return "the exemplars have other bands than the templates."
        if unknown := set(found.labels) - set(self.labels):
            return f"there are exemplars of {sorted(unknown)}, and no templates of them."
        return ""

    def _problem_of_time(self) -> str:
        if self.templates.ndim == 2:
            if self.step_s is None:
                return ""
            return "step_s is for patches; these templates are spectra."
        check_step(self.step_s)
        return ""

    @property
    def n_components(self) -> int:
        """Number of templates."""
        return int(self.templates.shape[1])

    @property
    def sources(self) -> tuple[str, ...]:
        """Each different label once, in order of appearance."""
        return tuple(dict.fromkeys(self.labels))

    def only(self, label: str) -> Dictionary:
        """Return what is of one kind of sound.

        Parameters
        ----------
        label : str
            One of :attr:`sources`.

        Returns
        -------
        Dictionary

        Raises
        ------
        DictionaryError
            If there is nothing of that label.
        """
        if label not in self.labels:
            raise DictionaryError(
                f"the dictionary has nothing labelled {label!r}; it has {', '.join(self.sources)}."
            )
        keep = [k for k, found in enumerate(self.labels) if found == label]
        return replace(
            self,
            templates=np.ascontiguousarray(self.templates[:, keep]),
            labels=(label,) * len(keep),
            exemplars=None if self.exemplars is None else exemplars_of(self.exemplars, label),
        )

    def named(self, label: str) -> Dictionary:
        """Return the same with one label for everything.

        Parameters
        ----------
        label : str
            As any label of a dictionary.

        Returns
        -------
        Dictionary

        Raises
        ------
        DictionaryError
            If that cannot be a label.
        """
        exemplars = self.exemplars
        if exemplars is not None:
            exemplars = replace(exemplars, labels=(label,) * len(exemplars.labels))
        # At once: neither half would fit the other.
        return replace(self, labels=(label,) * self.n_components, exemplars=exemplars)

    def on_bins(self, sr: int, n_fft: int) -> npt.NDArray[np.float32]:
        """Return the templates on the bins of a Fourier analysis.

        Interpolated, and averaged over bins wider than the stored spacing. There is next to
        nothing above the highest stored frequency.

        Parameters
        ----------
        sr : int > 0
            Sample rate of the analysis in Hz.
        n_fft : int >= 2, even
            Window length of the analysis in samples.

        Returns
        -------
        np.ndarray [shape=(1 + n_fft // 2, n_components), dtype=float32]
            Positive; each column sums to one, and is flat where nothing is below ``sr / 2``.

        Raises
        ------
        ParameterError
            If `sr` or `n_fft` is out of range.
        DictionaryError
            If the templates are patches.
        """
        if self.step_s is not None:
            raise DictionaryError(
                "the templates of this dictionary are patches in time, and spectra are needed "
                "here; use one like 'band'."
            )
        out = self._densities(self.templates, sr, n_fft)
        # Multiplicative updates cannot leave an exact zero, so there is none.
        out = np.maximum(out, _FLOOR)
        return np.asarray(out / out.sum(axis=0), dtype=np.float32)

    def on_frames(
        self, sr: int, n_fft: int, hop_length: int, *, longest_s: float | None = None
    ) -> npt.NDArray[np.float32]:
        """Return the patches on the bins and frames of a Fourier analysis.

        As :meth:`on_bins` along frequency; interpolated along time.

        Parameters
        ----------
        sr : int > 0
            Sample rate of the analysis in Hz.
        n_fft : int >= 2, even
            Window length of the analysis in samples.
        hop_length : int > 0
            Samples between its frames.
        longest_s : float > 0, optional
            Where to cut patches off, in seconds from their beginning.

        Returns
        -------
        np.ndarray [shape=(1 + n_fft // 2, n_components, n_taps), dtype=float32]
            Positive; each patch sums to one. At least one frame.

        Raises
        ------
        ParameterError
            If an argument is out of range.
        DictionaryError
            If the templates are spectra.
        """
        if self.step_s is None:
            raise DictionaryError(
                "the templates of this dictionary are spectra, and patches in time are needed "
                "here; use one like 'drums'."
            )
        if hop_length <= 0 or (longest_s is not None and longest_s <= 0.0):
            raise ParameterError(f"hop_length={hop_length}, longest_s={longest_s}: need more.")
        n_bands, n_components, n_steps = self.templates.shape
        frame_s = hop_length / sr if sr > 0 else 1.0
        length_s = n_steps * self.step_s
        if longest_s is not None:
            length_s = min(length_s, longest_s)
        n_taps = max(1, round(length_s / frame_s))
        places = np.minimum(np.arange(n_taps) * frame_s / self.step_s, n_steps - 1)
        before = np.minimum(places.astype(int), max(0, n_steps - 2))
        after = np.minimum(before + 1, n_steps - 1)
        share = places - before
        patches = self.templates.astype(np.float64)
        in_time = patches[..., before] * (1 - share) + patches[..., after] * share
        flat = in_time.reshape(n_bands, n_components * n_taps)
        out = self._densities(flat, sr, n_fft).reshape(-1, n_components, n_taps)
        out = np.maximum(out, _FLOOR * out.max(axis=(0, 2), keepdims=True))
        # A rate so low that nothing of a patch is left: flat, like any other that fits nothing.
        out[:, out.sum(axis=(0, 2)) == 0.0] = 1.0
        return np.asarray(out / out.sum(axis=(0, 2), keepdims=True), dtype=np.float32)

    def stretches_on(self, sr: int, n_fft: int, hop_length: int) -> list[npt.NDArray[np.float32]]:
        """Return the exemplars on the bins and frames of a Fourier analysis.

        They come back as they were where they were taken from the same analysis. Otherwise they
        are interpolated, along frequency as by :meth:`on_bins`, and along time.

        Parameters
        ----------
        sr : int > 0
            Sample rate of the analysis in Hz.
        n_fft : int >= 2, even
            Window length of the analysis in samples.
        hop_length : int > 0
            Samples between its frames.

        Returns
        -------
        list of np.ndarray [shape=(n_frames, 1 + n_fft // 2), dtype=float32]
            One for each stretch, of one scale; empty where there are no exemplars.

        Raises
        ------
        ParameterError
            If an argument is out of range.
        """
        if hop_length <= 0:
            raise ParameterError(f"hop_length={hop_length}: need more.")
        if self.exemplars is None:
            return []
        frames = self._frames_on_bins(self.exemplars.frames, sr, n_fft)
        share = self.exemplars.step_s * sr / hop_length
        edges = np.cumsum((0, *self.exemplars.lengths))
        stretches = [frames[first:last] for first, last in pairwise(edges)]
        if abs(share - 1.0) < _SAME_GRID:
            return stretches
        return [at_another_pace(stretch, share) for stretch in stretches]

    def _frames_on_bins(
        self, frames: npt.NDArray[np.float32], sr: int, n_fft: int
    ) -> npt.NDArray[np.float32]:
        bins = np.arange(1 + n_fft // 2) * (sr / n_fft) if sr > 0 and n_fft > 0 else np.empty(0)
        hz = self.frequencies_hz
        if bins.shape == hz.shape and np.abs(bins - hz).max() < _SAME_GRID * max(1.0, hz[-1]):
            return np.ascontiguousarray(frames.T)
        return np.ascontiguousarray(self._densities(frames, sr, n_fft, whole=True).T, np.float32)

    def _densities(
        self, templates: npt.NDArray[Any], sr: int, n_fft: int, *, whole: bool = False
    ) -> npt.NDArray[np.float64]:
        """Columns on the bins of an analysis; spectra relative to the maximum of each.

        Patches, and what is a whole, keep their levels among each other.
        """
        if sr <= 0 or n_fft < 2 or n_fft % 2:
            raise ParameterError(f"sr={sr}, n_fft={n_fft}: need a rate and an even window length.")
        bin_hz = sr / n_fft
        spacing = float(np.diff(self.frequencies_hz).min())
        parts = int(np.clip(np.round(bin_hz / spacing), 1, _MAX_PARTS))
        offsets = (np.arange(parts) + 0.5) / parts - 0.5
        points = np.abs(np.arange(1 + n_fft // 2)[:, np.newaxis] + offsets) * bin_hz
        out = np.empty((len(points), templates.shape[1]))
        keeps_levels = whole or self.step_s is not None
        scale = 1.0 if keeps_levels else templates.max(axis=0).astype(np.float64)
        for k, column in enumerate((templates / scale).T):
            density = np.interp(points, self.frequencies_hz, column, right=0.0)
            out[:, k] = density.mean(axis=1)
        return out


def problem_of_range(highest_hz: float, sr: int, what: str) -> str:
    """Why templates from another sample rate cannot serve a recording as a whole, or nothing.

    Parameters
    ----------
    highest_hz : float
        Highest frequency that anything is known of.
    sr : int > 0
        Sample rate of the recording in Hz.
    what : str
        What they are, for the sentence.

    Returns
    -------
    str
        A sentence where they end well below what can be heard of the recording.
    """
    if highest_hz >= _MUCH_LOWER * min(sr / 2, _AUDIBLE_HZ):
        return ""
    return (
        f"{what} ends at {highest_hz:.0f} Hz and the recording at {sr / 2:.0f} Hz: it cannot tell "
        f"what is above; learn it from sounds at {sr} Hz."
    )
