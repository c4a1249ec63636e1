"""A recording of any length taken apart chunk by chunk, in memory that does not grow with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from audiosep.chunks import Chunk, chunks_of, excerpts_of, joined
from audiosep.io.writing import Piece
from audiosep.methods import (
    Learnt,
    MethodSettings,
    load_learner,
    load_listener,
    load_method,
)
from audiosep.render import Analysis, give_rest, render
from audiosep.transform import OVERLAP, frame_length, stft
from audiosep.types import (
    Audio,
    Factorization,
    Grouping,
    Melody,
    Onsets,
    Progress,
    SourceModels,
    Stop,
    Tape,
    ignore_progress,
)

__all__ = ["Chunked", "Found", "excerpt_of"]

_RENDERED = 0.15
"""Share of the time of a chunk that its stems take, once it is modelled."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Found:
    """What came with the stems of a recording.

    Parameters
    ----------
    names : tuple of str
        Of the stems.
    analysis : Analysis
        How it was transformed.
    factorization, grouping, melody, onsets
        As in :class:`audiosep.types.SourceModels`, of the whole recording.
    notes, warnings : tuple of str
        In sentences, each once.
    losses : tuple of float
        Sums over the chunks.
    stop : Stop or None
        Why the fit of the last chunk ended that had anything to fit.
    """

    names: tuple[str, ...]
    analysis: Analysis
    factorization: Factorization | None = None
    grouping: Grouping | None = None
    melody: Melody | None = None
    onsets: Onsets | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    losses: tuple[float, ...] = ()
    stop: Stop | None = None


def excerpt_of(tape: Tape, total_s: float) -> Audio:
    """Join what stands for a whole recording; see :func:`audiosep.chunks.excerpts_of`."""
    spans = excerpts_of(tape.n_samples, tape.sr, total_s)
    parts = [tape.part(first, last).samples for first, last in spans]
    return Audio(samples=joined(parts, tape.sr), sr=tape.sr)


@dataclass(frozen=True, kw_only=True, eq=False)
class Chunked:
    """How to take a recording apart.

    Parameters
    ----------
    tape : Tape
        The recording.
    method : str
        Name of the method.
    settings : MethodSettings
        Its settings.
    window_s : float > 0
        Window of the analysis in seconds.
    exponent : float
        Of the masks.
    chunk_s : float > 0
        Longest chunk in seconds.
    n_threads : int
        Workers of the FFT.
    progress : callable
        Called as ``progress(stage, fraction)``.
    lap : callable
        Called with the name of what has been done, for the times in the record.
    """

    tape: Tape
    method: str
    settings: MethodSettings
    window_s: float
    exponent: float
    chunk_s: float
    n_threads: int = 1
    progress: Progress = ignore_progress
    lap: Callable[[str], None] = lambda _name: None
    _seen: _Seen = field(default_factory=lambda: _Seen(), init=False)

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """Where the chunks lie."""
        hop_length = max(1, frame_length(self.tape.sr, self.window_s) // OVERLAP)
        return chunks_of(self.tape.n_samples, self.tape.sr, hop_length, self.chunk_s)

    def pieces(self) -> Iterator[Piece]:
        """Take the recording apart, and give out its stems as they come.

        Yields
        ------
        Piece
            One for each chunk, consecutive; the arrays are not used again.

        Raises
        ------
        RefusedError
            If the recording is too long for something that has to be known of the whole of it.
        """
        chunks = self.chunks
        learnt = self._learnt() if len(chunks) > 1 else None
        before: _Tail | None = None
        for index, chunk in enumerate(chunks):
            report = _share_of(self.progress, index, len(chunks))
            if index:
                self.lap(
                    ""
                )  # no time of ours: while the piece before was with whoever asked for it
            mixture = self.tape.part(chunk.first, chunk.last)
            self.lap("read")
            stems = self._separated(mixture, chunk, len(chunks), learnt, report)
            piece, before = _faded(stems, mixture, chunk, before)
            del stems, mixture
            yield piece
            del piece  # or it would be there with the next one

    def found(self) -> Found:
        """Return what was found, once all pieces have been given out."""
        return self._seen.found()

    def _learnt(self) -> Learnt | None:
        def report(_stage: str, fraction: float) -> None:
            self.progress("read", fraction)

        listener = load_listener(self.method)
        if listener is not None:
            listener.check(self.tape.n_samples / self.tape.sr, self.settings)
            heard = []
            spans = self.spans_heard(listener.hears_s)
            for index, (first, last, own) in enumerate(spans):
                report("read", index / len(spans))
                part = self.tape.part(first, last)
                spectrogram = stft(part, window_s=self.window_s, n_threads=self.n_threads)
                settings = replace(self.settings, start_s=first / self.tape.sr)
                heard.append(listener.listen(spectrogram, own, settings))
            found: Learnt = listener.learn(heard, self.settings, report)
        elif (learner := load_learner(self.method)) is not None:
            excerpt = excerpt_of(self.tape, self.chunk_s)
            # Without a name for it here, so that a learner that trains can let go of it.
            found = learner(
                stft(excerpt, window_s=self.window_s, n_threads=self.n_threads),
                self.settings,
                report,
            )
        else:
            return None
        self.lap("learn")
        self._seen.learnt(found)
        return found

    def spans_heard(self, hears_s: float) -> list[tuple[int, int, slice]]:
        """Choose what a listener is given that hears so many seconds.

        Parameters
        ----------
        hears_s : float > 0
            At most; infinity for all.

        Returns
        -------
        list of (int, int, slice)
            First samples, samples behind the last ones, and which of their frames count.
        """
        sr, n_samples = self.tape.sr, self.tape.n_samples
        hop_length = max(1, frame_length(sr, self.window_s) // OVERLAP)
        if n_samples <= hears_s * sr:
            return [(c.first, c.last, _own_frames(c, hop_length, n_samples)) for c in self.chunks]
        spans = excerpts_of(n_samples, sr, hears_s)
        # Not the frames that reach beyond an excerpt.
        return [(first, last, slice(OVERLAP, -OVERLAP)) for first, last in spans]

    def _separated(
        self,
        mixture: Audio,
        chunk: Chunk,
        n_chunks: int,
        learnt: Learnt | None,
        progress: Progress,
    ) -> dict[str, npt.NDArray[np.float32]]:
        progress("transform", 0.0)
        spectrogram = stft(mixture, window_s=self.window_s, n_threads=self.n_threads)
        settings = self.settings
        own = _own_frames(chunk, spectrogram.hop_length, self.tape.n_samples)
        if n_chunks > 1:
            settings = replace(
                settings,
                learnt=None if learnt is None else learnt.facts,
                start_s=chunk.first / self.tape.sr,
                margins=(own.start, spectrogram.n_frames - (own.stop or spectrogram.n_frames)),
            )
        self.lap("transform")
        models = load_method(self.method)(spectrogram, settings, progress)
        self.lap("model")
        analysis = Analysis.of(spectrogram)
        self._seen.add(models, analysis, chunk, own, self.tape.sr)
        del spectrogram  # for long chunks the largest of all
        stems = render(mixture, models, analysis, self.exponent, self.n_threads, progress)
        self.lap("render")
        return {name: stem.samples for name, stem in stems.items()}


def _own_frames(chunk: Chunk, hop_length: int, n_samples: int) -> slice:
    """Frames of a chunk that no other chunk has for its own."""
    first = (chunk.start - chunk.first) // hop_length
    if chunk.end == n_samples:
        return slice(first, None)
    return slice(first, (chunk.end - chunk.first) // hop_length)


def _share_of(progress: Progress, index: int, count: int) -> Progress:
    """Progress of one of several chunks, so that that of the whole never falls back."""
    if count == 1:
        return progress

    def report(stage: str, fraction: float) -> None:
        done = fraction * (1 - _RENDERED) if stage != "render" else 1 - _RENDERED * (1 - fraction)
        if stage == "transform":
            done = 0.0
        progress("separate", (index + done) / count)

    return report


@dataclass(frozen=True, kw_only=True, eq=False)
class _Tail:
    """The end of a chunk, fading out."""

    stems: dict[str, npt.NDArray[np.float32]]


def _faded(
    stems: Mapping[str, npt.NDArray[np.float32]],
    mixture: Audio,
    chunk: Chunk,
    before: _Tail | None,
) -> tuple[Piece, _Tail | None]:
    """Lay a chunk over the end of the one before, and keep its own end back."""
    heard = slice(chunk.heard.start - chunk.first, chunk.heard.stop - chunk.first)
    if not chunk.fade and not chunk.fade_out:
        return Piece(stems=stems, mixture=mixture.samples), None
    n_given = heard.stop - heard.start - chunk.fade_out
    gain = chunk.gain()
    given: dict[str, npt.NDArray[np.float32]] = {}
    kept: dict[str, npt.NDArray[np.float32]] = {}
    for name, stem in stems.items():
        part = stem[:, heard]
        if chunk.fade and before is not None:
            part[:, : chunk.fade] *= gain[: chunk.fade]
            part[:, : chunk.fade] += before.stems[name]
        given[name] = part[:, :n_given]
        kept[name] = part[:, n_given:] * gain[n_given:]
    whole = mixture.samples[:, heard][:, :n_given]
    for channel, samples in enumerate(whole):
        give_rest(samples, [stem[channel] for stem in given.values()], mixture.peak)
    return Piece(stems=given, mixture=whole), _Tail(stems=kept)


@dataclass(kw_only=True, eq=False)
class _Seen:
    """What the chunks have brought so far."""

    names: tuple[str, ...] = ()
    analysis: Analysis | None = None
    notes: dict[str, None] = field(default_factory=dict)
    warnings: dict[str, None] = field(default_factory=dict)
    losses: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    stop: Stop | None = None
    grouping: Grouping | None = None
    factorization: Factorization | None = None
    activations: list[npt.NDArray[np.floating]] = field(default_factory=list)
    melodies: list[Melody] = field(default_factory=list)
    onsets: list[Onsets] = field(default_factory=list)

    def learnt(self, learnt: Learnt) -> None:
        self.notes |= dict.fromkeys(learnt.notes)
        self.warnings |= dict.fromkeys(learnt.warnings)

    def add(
        self, models: SourceModels, analysis: Analysis, chunk: Chunk, own: slice, sr: int
    ) -> None:
        first = self.analysis is None
        if not first and models.names != self.names:
            raise AssertionError(f"a chunk has the stems {models.names}, not {self.names}")
        self.names, self.analysis = models.names, analysis
        self.notes |= dict.fromkeys(models.notes)
        self.warnings |= dict.fromkeys(models.warnings)
        self.losses = _added(self.losses, np.asarray(models.losses, dtype=np.float64))
        if models.stop is not Stop.SILENT or self.stop is None:
            self.stop = models.stop
        self._factorized(models, own, is_first=first)
        if models.melody is not None:
            self.melodies.append(
                _melody_of(models.melody, own, chunk.first, analysis.hop_length, sr)
            )
        if models.onsets is not None:
            self.onsets.append(_onsets_of(models.onsets, chunk, sr))

    def _factorized(self, models: SourceModels, own: slice, *, is_first: bool) -> None:
        """Join factorizations where all chunks have the same templates."""
        found, known = models.factorization, self.factorization
        if is_first:
            self.factorization, self.grouping = found, models.grouping
        elif (
            found is None
            or known is None
            or found.templates.shape != known.templates.shape
            or not np.array_equal(found.templates, known.templates)
        ):
            self.factorization = self.grouping = None
            self.activations.clear()
        if self.factorization is not None and found is not None:
            self.activations.append(found.activations[:, own])

    def found(self) -> Found:
        assert self.analysis is not None, "nothing was taken apart"
        factorization = self.factorization
        if factorization is not None and len(self.activations) > 1:
            factorization = replace(
                factorization,
                # Frames-major, as all activations are.
                activations=np.concatenate([part.T for part in self.activations]).T,
                losses=self.losses,
            )
        return Found(
            names=self.names,
            analysis=self.analysis,
            factorization=factorization,
            grouping=self.grouping,
            melody=_joined_melody(self.melodies),
            onsets=_joined_onsets(self.onsets),
            notes=tuple(self.notes),
            warnings=tuple(self.warnings),
            losses=tuple(self.losses.tolist()),
            stop=self.stop,
        )


def _added(
    total: npt.NDArray[np.float64], more: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sum of two curves; a fit that ended earlier stays where it is."""
    if not more.size or not total.size:
        return more if more.size else total
    length = max(total.size, more.size)
    both = [np.pad(curve, (0, length - curve.size), mode="edge") for curve in (total, more)]
    return np.asarray(both[0] + both[1])


def _melody_of(melody: Melody, own: slice, first: int, hop_length: int, sr: int) -> Melody:
    """Melody of a chunk's own frames, on the time of the recording."""
    frames = first // hop_length + np.arange(melody.times_s.size)[own]
    return Melody(
        # From whole numbers, so that it is the time that the frame has without chunks.
        times_s=frames.astype(np.float64) * (hop_length / sr),
        f0_hz=melody.f0_hz[own],
        strengths=melody.strengths[own],
    )


def _onsets_of(onsets: Onsets, chunk: Chunk, sr: int) -> Onsets:
    """Onsets among a chunk's own samples, on the time of the recording."""
    at = chunk.first + np.rint(onsets.times_s * sr).astype(np.int64)
    # At the ends of the recording there is no neighbour that would have what lies beyond.
    here = np.flatnonzero(
        ((at >= chunk.start) | (not chunk.fade)) & ((at < chunk.end) | (not chunk.fade_out))
    )
    return Onsets(
        times_s=onsets.times_s[here] + chunk.first / sr,
        labels=tuple(onsets.labels[index] for index in here),
        strengths=onsets.strengths[here],
    )


def _joined_melody(parts: Sequence[Melody]) -> Melody | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return Melody(
        times_s=np.concatenate([part.times_s for part in parts]),
        f0_hz=np.concatenate([part.f0_hz for part in parts]),
        strengths=np.concatenate([part.strengths for part in parts]),
    )


def _joined_onsets(parts: Sequence[Onsets]) -> Onsets | None:
    if len(parts) < 2:
        return parts[0] if parts else None
    return Onsets(
        times_s=np.concatenate([part.times_s for part in parts]),
        labels=tuple(label for part in parts for label in part.labels),
        strengths=np.concatenate([part.strengths for part in parts]),
    )
