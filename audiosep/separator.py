"""All settings of a separation, and what can be done with them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from audiosep.chunks import CHUNK_S
from audiosep.dictionary_files import load_dictionary
from audiosep.errors import OutputError, UsageError
from audiosep.examples import identity_of
from audiosep.io import ReadOptions
from audiosep.io.formats import bits_from, check_format
from audiosep.io.header import sha256_of
from audiosep.io.read_options import AS_IT_IS
from audiosep.loading import load_mixture, load_tape
from audiosep.masks import exponent_from
from audiosep.memory import Work, chunk_s_for, memory_of
from audiosep.methods.base import Quality
from audiosep.nmf.divergence import beta_from
from audiosep.pipeline import Clock, begin
from audiosep.prediction import check_room, fewest_stems
from audiosep.presets import DEFAULT_PRESET, Preset, load_preset, preset_for
from audiosep.save import Facts, Saved, save_pieces
from audiosep.scores import Score
from audiosep.separation import Separation
from audiosep.streaming import WINDOW_S as STREAM_WINDOW_S
from audiosep.streaming import Stream
from audiosep.streaming_setup import stream_of
from audiosep.threads import one_blas_thread
from audiosep.told import check_counts, check_kept, check_told
from audiosep.types import Audio, Progress, ignore_progress, whole_number

__all__ = ["AUTO", "MOST_COMPONENTS", "MOST_SOURCES", "Separator"]

MOST_SOURCES = 64
MOST_COMPONENTS = 1000
AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class Separator:
    """All settings of a separation; defaults are those of the command line.

    Parameters
    ----------
    preset : str
        Name of the recipe, see ``audiosep presets``.
    n_sources : int, optional
        Number of stems, for the preset ``components``.
    n_components : int or {"auto"}, optional
        Components of the factorization (with examples, templates of each); None takes the
        recipe's. The preset ``components`` can find out by itself how many stand out.
    beta : float or {"kl", "is", "euclidean"}, optional
        Divergence; None takes the recipe's.
    max_iter : int, optional
        Iterations; None takes the recipe's.
    mask_exponent : float, optional
        0.1 to 10; None takes the recipe's.
    dictionary : path-like, optional
        Templates (safetensors) instead of those that the recipe brings.
    examples : mapping of str to example, or several, optional
        What sources sound like, by the names of their stems: each a sound file, a dictionary
        (``.safetensors`` or :class:`Dictionary`), an :class:`Audio`, or a part of the recording
        itself as ``"@0-3"`` in seconds. With the preset ``auto`` they are what decides.
    n_free : int, optional
        Components for what no example explains; 0 for none.
    rest : str, optional
        Name of the stem of what no example and no track of the score explains.
    score : path-like or Score, optional
        What each instrument plays (MIDI, MusicXML or Audacity labels). With the preset ``auto``
        it is what decides.
    quality : {"high", "fast"}
        Whether to take the time for what makes results better, where a method has both.
    seed : int
        Start of the random numbers: the same seed gives the same bytes.
    n_threads : int, optional
        Threads; by default the processors this process may use. Results do not depend on it.

    Raises
    ------
    UsageError
        If the preset does not exist, or a setting does not fit it or is out of range.
    InputError
        If an example or the score cannot be used.
    DictionaryError
        If a dictionary cannot be read or is none.

    Examples
    --------
    >>> import numpy as np
    >>> t = np.arange(8000) / 8000
    >>> y = np.sin(2 * np.pi * 440 * t).astype(np.float32)
    >>> result = Separator(preset="components", max_iter=5).separate(y, 8000)
    >>> len(result.stems)
    2
    """

    preset: str = DEFAULT_PRESET
    n_sources: int | None = None
    n_components: int | str | None = None
    beta: float | str | None = None
    max_iter: int | None = None
    mask_exponent: float | None = None
    dictionary: str | os.PathLike[str] | None = None
    examples: Mapping[str, Any] | None = None
    n_free: int | None = None
    rest: str | None = None
    score: str | os.PathLike[str] | Score | None = None
    quality: Quality = "high"
    seed: int = 0
    n_threads: int | None = None

    def __post_init__(self) -> None:
        recipe = self.recipe()
        told = check_told(self, recipe, MOST_SOURCES)
        object.__setattr__(self, "examples", told.examples)
        object.__setattr__(self, "score", told.score)
        if self.dictionary is not None:
            self._check_dictionary(recipe)
        self._normalise("n_sources", 1, MOST_SOURCES)
        if self.n_components != AUTO:
            self._normalise("n_components", 1, MOST_COMPONENTS)
        elif recipe.method != "components":
            raise UsageError(
                f"the number of components cannot be found for the preset {recipe.name}; give a "
                "number, or use the preset components."
            )
        self._normalise("max_iter", 1)
        self._normalise("seed", 0)
        self._normalise("n_threads", 1)
        self._normalise("n_free", 0, MOST_COMPONENTS)
        check_counts(self, recipe)
        if self.beta is not None:
            object.__setattr__(self, "beta", beta_from(self.beta))
        if self.mask_exponent is not None:
            object.__setattr__(self, "mask_exponent", exponent_from(self.mask_exponent))

    def _normalise(self, name: str, low: int, high: int | None = None) -> None:
        """Turn a given whole number, of whatever type, into an int."""
        value = getattr(self, name)
        if value is not None:
            object.__setattr__(self, name, whole_number(name, value, low, high))

    def recipe(self) -> Preset:
        """Return the preset that is used: what is told decides where none was chosen.

        Raises
        ------
        UsageError
            If there is no preset of that name.
        """
        told = {"examples": bool(self.examples), "score": self.score is not None}
        return load_preset(preset_for(self.preset, **told))

    def _check_dictionary(self, recipe: Preset) -> None:
        """Refuse a file that is no dictionary before any work is done."""
        if not recipe.dictionary:
            raise UsageError(f"the preset {self.preset} uses no dictionary; leave it out.")
        path = Path(os.fspath(self.dictionary or ""))
        load_dictionary(path)
        object.__setattr__(self, "dictionary", path)

    def settings(self, read: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """All settings that decide about the result, as given, in JSON types.

        Parameters
        ----------
        read : mapping, optional
            What was in the files when they were read, where they were: they may be others by now.
        """
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        del given["n_threads"]
        read = read or {}
        if self.examples:
            given["examples"] = read.get("examples") or identity_of(self.examples)
        if isinstance(self.score, Score):
            given["score"] = hashlib.sha256(repr(self.score).encode()).hexdigest()
        if self.dictionary is not None:  # what counts is its content
            given["dictionary"] = read.get("dictionary") or sha256_of(Path(self.dictionary))
        return given

    def number_of_components(self) -> int | None:
        """Return the wanted number of components, where it is a number."""
        return self.n_components if isinstance(self.n_components, int) else None

    def counts_components(self) -> bool:
        """Whether the number of components is to be found out."""
        return self.n_components == AUTO

    def divergence(self) -> float | None:
        """Return beta as a number; None where the recipe decides."""
        return None if self.beta is None else beta_from(self.beta)

    def n_stems(self) -> int:
        """How many stems there may be."""
        if isinstance(self.score, Score):
            return len(self.score.tracks) + 1
        if self.examples and self.recipe().examples == "needed":
            return len(self.examples) + 1
        recipe = self.recipe()
        return self.n_sources or recipe.most_sources or recipe.n_sources

    def separate(
        self,
        source: str | os.PathLike[str] | npt.ArrayLike | Audio,
        sr: int | None = None,
        *,
        start: float = 0.0,
        duration: float | None = None,
        reading: ReadOptions = AS_IT_IS,
        progress: Progress = ignore_progress,
    ) -> Separation:
        """Take a recording apart.

        Parameters
        ----------
        source : path-like, Audio or array_like [shape=(n_samples,) or (n_channels, n_samples)]
            A sound file, or samples at full scale 1.0. Never changed.
        sr : int, optional
            Sample rate in Hz; needed with an array.
        start : float >= 0
            First second, for files.
        duration : float > 0, optional
            Seconds, for files.
        reading : audiosep.ReadOptions
            What to do with files that are damaged or hold several tracks.
        progress : callable
            Called as ``progress(stage, fraction)``.

        Returns
        -------
        Separation

        Raises
        ------
        InputError
            If the recording cannot be used.
        UsageError
            If an array comes without its rate or with `start` or `duration`, or a file with a rate.
        RefusedError
            If the recording is longer than what fits into free memory.
        """
        clock = Clock()
        progress("read", 0.0)
        mixture, about = load_mixture(
            source,
            sr,
            start=start,
            duration=duration,
            reading=reading,
            work=Work(preset=self.recipe().name, n_stems=self.n_stems()),
        )
        clock.lap("read")
        run = begin(self, mixture, about, clock, CHUNK_S, progress)
        stems: dict[str, npt.NDArray[np.float32]] = {}
        at = 0
        with one_blas_thread():
            for piece in run.chunked.pieces():
                n = piece.mixture.shape[1]
                for name, part in piece.stems.items():
                    if n == mixture.n_samples:
                        stems[name] = part
                        continue
                    if name not in stems:
                        stems[name] = np.empty_like(mixture.samples)
                    stems[name][:, at : at + n] = part
                at += n
                del piece, part  # or they would be there while the next ones are made
        facts = run.facts()
        return Separation(
            stems={name: Audio(samples=stem, sr=mixture.sr) for name, stem in stems.items()},
            mixture=mixture,
            factorization=facts.factorization,
            grouping=facts.grouping,
            melody=facts.melody,
            onsets=facts.onsets,
            record=facts.record,
        )

    def split(
        self,
        source: str | os.PathLike[str] | npt.ArrayLike | Audio,
        directory: str | os.PathLike[str],
        sr: int | None = None,
        *,
        format: str = "wav",  # noqa: A002
        bits: int | str | None = None,
        one_shots: int = 0,
        fresh: bool = False,
        start: float = 0.0,
        duration: float | None = None,
        reading: ReadOptions = AS_IT_IS,
        max_memory: int | None = None,
        keep: Sequence[str] = (),
        progress: Progress = ignore_progress,
    ) -> Saved:
        """Take a recording of any length apart into a folder, in memory that does not grow with it.

        The stems are those of :meth:`separate`, and the files those of
        :meth:`audiosep.Separation.save`, byte for byte; but they are never in memory as a whole.

        Parameters
        ----------
        source, sr, start, duration, reading, progress
            As for :meth:`separate`.
        directory, format, bits, one_shots
            As for :meth:`audiosep.Separation.save`.
        fresh : bool
            Refuse to replace anything: `directory` was free when the work began.
        max_memory : int, optional
            Bytes that may be used beside those of the program itself; by default what is free.
            Where it is given and short, the recording is taken apart in shorter chunks than
            otherwise, and the stems differ from those made with more.
        keep : sequence of str
            Names of stems to write; the sum of all others becomes one more, ``rest``.

        Returns
        -------
        Saved

        Raises
        ------
        InputError
            If the recording cannot be used, or changes meanwhile.
        UsageError
            If an array comes without its rate or with `start` or `duration`, a file with a rate,
            there is no stem to keep, or one-shots are wanted where there are no onsets.
        RefusedError
            If it does not fit into the memory that may be used (with `max_memory`, not even in
            short chunks), or something has appeared at `directory` meanwhile.
        OutputError
            If the stems cannot be written.
        ParameterError
            If the format or the depth does not exist, or the format cannot hold them.
        """
        check_kept(self, keep)
        check_format(format, None if bits is None else bits_from(bits))  # before any work
        clock = Clock()
        progress("read", 0.0)
        loaded = load_tape(source, sr, start=start, duration=duration, reading=reading)
        clock.lap("read")
        tape = loaded.tape
        chunk_s = self.chunk_s_within(max_memory, tape.n_samples, tape.n_channels, tape.sr)
        own_bits = loaded.about["input"]["bits"]
        check_room(
            Path(os.fspath(directory)),
            tape.n_samples,
            tape.n_channels,
            len(keep) or fewest_stems(self.recipe().name, self.n_stems()),
            own_bits if bits is None else bits,
            format,
        )
        run = begin(self, tape, loaded.about, clock, chunk_s, progress)

        def facts() -> Facts:
            loaded.check()
            return run.facts()

        try:
            with one_blas_thread():
                return save_pieces(
                    run.chunked.pieces(),
                    tape,
                    facts,
                    Path(os.fspath(directory)),
                    format,
                    bits,
                    own_bits=own_bits,
                    one_shots=whole_number("one_shots", one_shots, 0),
                    fresh=fresh,
                    keep=tuple(keep),
                )
        except OutputError:
            loaded.check()  # stems do not add up to a recording that is another one by now
            raise

    def stream(
        self,
        blocks: Iterable[npt.ArrayLike] | None = None,
        sr: int | None = None,
        *,
        window_s: float = STREAM_WINDOW_S,
        latency_s: float | None = None,
    ) -> Stream:
        """Take a sound apart while it comes in, by `examples` or the templates of `dictionary`.

        What is told is learnt before the first block; what is for whole recordings does not count.

        Parameters
        ----------
        blocks : iterable of array_like [shape=(n_samples,) or (n_channels, n_samples)], optional
            Consecutive samples at full scale 1.0, of any lengths; by default they are given to
            :meth:`audiosep.streaming.Stream.feed` as they come.
        sr : int
            Sample rate in Hz.
        window_s, latency_s : float
            Window and wanted latency in seconds, see :class:`audiosep.streaming.Stream`.

        Returns
        -------
        audiosep.streaming.Stream
            Iterate over it for the stems of each block. It tells its latency.

        Raises
        ------
        UsageError
            If it was not told what the sources sound like, or by parts of a recording, which there
            is none of yet.
        InputError, DictionaryError
            If an example or the dictionary cannot be used.
        """
        return stream_of(self, blocks, sr, window_s=window_s, latency_s=latency_s)

    def memory_needed(
        self, n_samples: int, n_channels: int, sr: int, *, chunk_s: float = CHUNK_S
    ) -> int:
        """Bytes that :meth:`split` takes for a recording, beside those of the program itself."""
        name = self.recipe().name
        return memory_of(name, n_samples, n_channels, self.n_stems(), sr, chunk_s=chunk_s)

    def chunk_s_within(
        self, max_memory: int | None, n_samples: int, n_channels: int, sr: int
    ) -> float:
        """Longest chunk in seconds that fits into the memory that may be used.

        Without a limit it is always the same, so that stems do not depend on the machine.

        Raises
        ------
        RefusedError
            If what is needed is more than may be used, or than is free.
        """
        name = self.recipe().name
        return chunk_s_for(max_memory, name, n_samples, n_channels, self.n_stems(), sr)
