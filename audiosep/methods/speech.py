"""Speech and the noise around it: the noise known from an example, or found in the pauses.

See ``docs/methods/speech.md`` for the equations, the parameters and the measured quality.

References
----------
.. [1] Y. Wang, A. Narayanan and D. Wang (2014), "On training targets for supervised speech
   separation", IEEE/ACM TASLP 22(12): shares from networks, trained on mixtures made for it. We
   train on the noise of the recording itself, anew for each.
.. [2] R. Martin (2001), "Noise power spectral density estimation based on optimal smoothing and
   minimum statistics", IEEE Trans. SAP 9(5).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from audiosep.dictionaries import Dictionary
from audiosep.dictionary_files import load_builtin
from audiosep.errors import UsageError
from audiosep.methods._speech_evidence import Evidence, decision_directed
from audiosep.methods._speech_mixtures import Material, generic_noises
from audiosep.methods._speech_noise import aligned, find_pauses, pauses_of, tracked
from audiosep.methods._speech_share import N_MIXTURES, SpeechShare, train_share
from audiosep.methods._speech_talkers import (
    OWN_PITCHES,
    OWN_TO_OTHERS,
    power_of,
    stretches_of,
    talkers_of,
)
from audiosep.methods._stems_bands import Bands
from audiosep.methods.base import Learnt, MethodSettings
from audiosep.types import Progress, SourceModels, Spectrogram, ignore_progress

__all__ = ["SpeechFacts", "SpeechListener", "model_speech"]

DICTIONARY = "speech"
NAMES = ("speech", "noise")

HEARS_S = 300.0
"""Of longer recordings, so much is heard before they are taken apart: excerpts from all over."""

N_GENERIC = 24
GENERIC_S = 12.8
GENERIC_SNR_DB = 2.0
GENERIC_SNR_SPREAD_DB = 6.0

_Matrix = npt.NDArray[np.float32]
_NoiseOf = Callable[[_Matrix], _Matrix]
_SILENT = "There is no sound in it."
_LOWEST_SNR_DB, _HIGHEST_SNR_DB = -10.0, 20.0
_QUIETEST = 1e-9
_FAST = 0.4
_BLOCK = 1024


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechFacts:
    """What is known of the talker and the noise of a long recording.

    Parameters
    ----------
    level : float > 0, optional
        Mean magnitude, which everything refers to.
    trained : SpeechShare, optional
        The network; None where there was nothing to hear: then each chunk is on its own.
    expected : np.ndarray [shape=(1, n_bands), dtype=float32], optional
        Power of the noise.
    """

    level: float | None = None
    trained: SpeechShare | None = None
    expected: _Matrix | None = None


def model_speech(
    spectrogram: Spectrogram, settings: MethodSettings, progress: Progress = ignore_progress
) -> SourceModels:
    """Model speech, and everything else as noise.

    Parameters
    ----------
    spectrogram : Spectrogram
        Windows of about 64 ms with a hop of a quarter suit the method.
    settings : MethodSettings
        ``examples`` called ``noise`` and ``speech``, both optional: without the one, noise is
        found in the pauses; without the other, speech is that of several talkers, or of
        ``dictionary``. ``quality``, ``seed``. ``learnt`` by :class:`SpeechListener`.
    progress : callable
        Called as ``progress("separate", fraction)``.

    Returns
    -------
    SourceModels
        Masks of ``speech`` and ``noise``, the same for all channels.

    Raises
    ------
    UsageError
        If an example is called otherwise.
    DictionaryError
        If the dictionary holds patches.
    """
    told = _told(settings.examples)
    bands = Bands.of(spectrogram.n_bins, spectrogram.bin_hz)
    facts = settings.learnt_as(SpeechFacts) or SpeechFacts()
    power, _ = _power(spectrogram, bands, facts.level)
    if not power.any():
        silence = np.zeros((2, 1, spectrogram.n_bins, spectrogram.n_frames), dtype=np.float32)
        return SourceModels(models=silence, names=NAMES, notes=_notes(_SILENT, settings))
    ear, note = _Ear.of(facts), ""
    if ear is None:
        listener, noise = _listener(power, told, spectrogram, bands, settings)
        ear, note = listener.train(noise, lambda done: progress("separate", done))
    share = ear.share(power, spectrogram.frame_s)
    progress("separate", 1.0)
    masks = np.stack([share.T, 1 - share.T])
    return SourceModels(
        models=bands.expand_lazily(masks), names=NAMES, notes=_notes(note, settings)
    )


def _notes(note: str, settings: MethodSettings) -> tuple[str, ...]:
    """What was decided here, and not before for the whole recording."""
    return () if settings.learnt is not None else (note,)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Part:
    """Power in bands of a part of a recording, relative to its own mean magnitude."""

    power: _Matrix
    level: float


class SpeechListener:
    """Hears a long recording in bands, and trains for it once; see :class:`Listener`."""

    hears_s = HEARS_S

    def __init__(self) -> None:
        self._grid: tuple[Spectrogram, Bands] | None = None

    def check(self, duration_s: float, settings: MethodSettings) -> None:  # noqa: ARG002
        """Refuse examples that it cannot use."""
        _told(settings.examples)

    def listen(
        self,
        spectrogram: Spectrogram,
        own: slice,
        settings: MethodSettings,  # noqa: ARG002 - as every listener is called
    ) -> _Part:
        """Power of a part of the recording."""
        bands = Bands.of(spectrogram.n_bins, spectrogram.bin_hz)
        here = replace(spectrogram, values=spectrogram.values[..., own])
        if self._grid is None:
            nothing = np.zeros_like(here.values[..., :1])
            self._grid = replace(here, values=nothing, n_samples=1), bands
        power, level = _power(here, bands)
        return _Part(power=power, level=level if power.any() else 0.0)

    def learn(self, heard: Sequence[_Part], settings: MethodSettings, progress: Progress) -> Learnt:
        """Train on what was heard, as for a recording that is taken apart at once."""
        lengths = [len(part.power) for part in heard]
        level = float(np.average([part.level for part in heard], weights=lengths))
        if self._grid is None or level == 0.0:
            return Learnt(facts=SpeechFacts())
        grid, bands = self._grid
        power = np.concatenate(
            [part.power * np.float32((part.level / level) ** 2) for part in heard]
        )
        listener, noise = _listener(power, _told(settings.examples), grid, bands, settings)
        ear, note = listener.train(noise, lambda done: progress("separate", done))
        expected = ear.noise_of(power)
        return Learnt(
            facts=SpeechFacts(level=level, trained=ear.trained, expected=expected), notes=(note,)
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ear:
    """A trained network, and the noise that it expects."""

    trained: SpeechShare
    noise_of: _NoiseOf

    @classmethod
    def of(cls, facts: SpeechFacts) -> _Ear | None:
        expected = facts.expected
        if facts.trained is None or expected is None:
            return None
        return cls(trained=facts.trained, noise_of=lambda _power: expected)

    def share(self, power: _Matrix, frame_s: float) -> _Matrix:
        """Share of speech (n_frames, n_bands)."""
        return self.trained.on(Evidence.of(power, self.noise_of(power), frame_s))


def _listener(
    power: _Matrix,
    told: dict[str, Dictionary],
    spectrogram: Spectrogram,
    bands: Bands,
    settings: MethodSettings,
) -> tuple[_Listener, list[_Matrix] | None]:
    """What training needs, and the example of the noise if there is one."""
    noise = None
    if "noise" in told:
        noise = stretches_of(told["noise"], spectrogram, bands, settings.seed)
    listener = _Listener(
        power=power,
        talkers=_talkers(told.get("speech"), spectrogram, bands, settings),
        bands=bands,
        frame_s=spectrogram.frame_s,
        settings=settings,
    )
    return listener, noise


def _told(examples: Sequence[Dictionary]) -> dict[str, Dictionary]:
    told = {example.labels[0]: example for example in examples}
    for name in told:
        if name not in NAMES:
            raise UsageError(
                f"the preset speech knows 'speech' and 'noise', not {name!r}; give --example "
                "noise=FILE, or use the preset by-example."
            )
    return told


def _power(
    spectrogram: Spectrogram, bands: Bands, level: float | None = None
) -> tuple[_Matrix, float]:
    """Power in bands relative to a level, by default the mean, and that."""
    V = spectrogram.magnitude().T
    mean = np.float32(V.mean(dtype=np.float64) if level is None else level) or np.float32(1)
    blocks = [
        power_of(V[first : first + _BLOCK] / mean, bands) for first in range(0, len(V), _BLOCK)
    ]
    return np.concatenate(blocks), float(mean)


def _talkers(
    own: Dictionary | None, spectrogram: Spectrogram, bands: Bands, settings: MethodSettings
) -> list[_Matrix]:
    general = load_builtin(DICTIONARY) if settings.dictionary is None else settings.dictionary
    top_hz = float(general.frequencies_hz[-1])
    others = stretches_of(general, spectrogram, bands, settings.seed)
    if own is None:
        return talkers_of(others, bands, top_hz)
    stretches = [np.concatenate(stretches_of(own, spectrogram, bands, settings.seed))]
    talkers = talkers_of(stretches, bands, float(own.frequencies_hz[-1]), pitches=OWN_PITCHES)
    beside = talkers_of(others, bands, top_hz, pitches=(1.0,))
    talkers = _repeated(talkers, sum(map(len, talkers)) * len(beside) // len(talkers))
    n_own, n_others = OWN_TO_OTHERS
    return talkers * n_own + beside * n_others


@dataclass(frozen=True, kw_only=True, eq=False)
class _Listener:
    """What is known of a recording before its noise is."""

    power: _Matrix
    talkers: list[_Matrix]
    bands: Bands
    frame_s: float
    settings: MethodSettings

    def train(
        self, noise: list[_Matrix] | None, progress: Callable[[float], None]
    ) -> tuple[_Ear, str]:
        """Train with an example of the noise or without, and say on what."""
        if noise is not None:
            return self.by_example(noise, progress), "The noise is known from its example."
        ear, quiet = self.alone(progress)
        return ear, f"The noise was found in {quiet.sum() * self.frame_s:.1f} s of pauses."

    def by_example(self, example: list[_Matrix], progress: Callable[[float], None]) -> _Ear:
        """Train where the noise sounds like an example.

        What the first share leaves over is noise too, and that of this recording: with it, and
        with the pauses, the network is trained again.
        """
        noise = aligned(self.power, example, self.frame_s)
        if self.settings.quality == "fast":
            return self._in_noise(noise, progress)
        share = self._share(self._in_noise(noise, lambda done: progress(done / 2)))
        pauses = pauses_of(self.power, find_pauses(self.power, share, self.frame_s))
        left_over = [self.power * (1 - share)]
        n = sum(map(len, noise))
        more = _repeated(pauses, n // 2) + _repeated(left_over, n // 2)
        return self._in_noise(noise + more, lambda done: progress(0.5 + done / 2))

    def alone(self, progress: Callable[[float], None]) -> tuple[_Ear, npt.NDArray[np.bool_]]:
        """Train where nothing is known of the noise; tell where the pauses are."""
        share = self._share(self._in_any_noise(lambda done: progress(done / 2)))
        quiet = find_pauses(self.power, share, self.frame_s)
        # What is rare may not happen in a pause: a third of what is left over beside them.
        left_over = self.power * (1 - share)
        noise = [*_repeated(pauses_of(self.power, quiet), 2 * len(left_over)), left_over]
        return self._in_noise(noise, lambda done: progress(0.5 + done / 2)), quiet

    def _share(self, ear: _Ear) -> _Matrix:
        return ear.share(self.power, self.frame_s)

    def _in_noise(self, noise: list[_Matrix], progress: Callable[[float], None]) -> _Ear:
        """Train in noise that sounds like that."""
        expected = np.concatenate(noise).mean(axis=0, keepdims=True)
        expected += 1e-6 * float(expected.max()) + _QUIETEST
        material = Material(
            speech=self.talkers,
            noise=noise,
            widths=self.bands.widths,
            snr_db=self._snr_db(expected),
        )
        return self._trained(material, lambda _power: expected, progress)

    def _in_any_noise(self, progress: Callable[[float], None]) -> _Ear:
        """Train in all kinds of noise."""
        rng = np.random.default_rng([self.settings.seed, N_GENERIC])
        n_frames = max(16, round(GENERIC_S / self.frame_s))
        material = Material(
            speech=self.talkers,
            noise=generic_noises(rng, self.bands.widths, N_GENERIC, n_frames),
            widths=self.bands.widths,
            snr_db=GENERIC_SNR_DB,
            snr_spread_db=GENERIC_SNR_SPREAD_DB,
        )
        return self._trained(material, lambda power: tracked(power, self.frame_s), progress)

    def _snr_db(self, expected: _Matrix) -> float:
        ratio = decision_directed(np.asarray(self.power / expected), self.frame_s)
        speech = (self.power * (ratio / (1 + ratio))) @ self.bands.widths.astype(np.float32)
        noise = float(expected[0] @ self.bands.widths)
        snr_db = 10.0 * np.log10(max(float(speech.mean(dtype=np.float64)), 1e-30) / noise)
        return float(np.clip(snr_db, _LOWEST_SNR_DB, _HIGHEST_SNR_DB))

    def _trained(
        self,
        material: Material,
        noise_of: _NoiseOf,
        progress: Callable[[float], None],
    ) -> _Ear:
        fast = self.settings.quality == "fast"
        trained = train_share(
            material,
            noise_of,
            self.frame_s,
            seed=self.settings.seed,
            n_mixtures=round(_FAST * N_MIXTURES) if fast else N_MIXTURES,
            progress=progress,
        )
        return _Ear(trained=trained, noise_of=noise_of)


def _repeated(stretches: list[_Matrix], n_frames: int) -> list[_Matrix]:
    """So often that they make up about so many frames, at least once."""
    return stretches * max(1, round(n_frames / sum(map(len, stretches))))
