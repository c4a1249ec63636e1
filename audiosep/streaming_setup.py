"""From what a separator was told to a stream."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy.typing as npt

from audiosep.dictionaries import Dictionary
from audiosep.dictionary_files import load_dictionary
from audiosep.errors import ParameterError, UsageError
from audiosep.examples import Region, Whole, hear_examples
from audiosep.streaming import UPDATES, WINDOW_S, Stream
from audiosep.threads import one_blas_thread, resolve_threads
from audiosep.types import MAX_SAMPLE_RATE, MIN_SAMPLE_RATE, Audio, ignore_progress, whole_number

if TYPE_CHECKING:
    from audiosep.separator import Separator

__all__ = ["stream_of"]


def stream_of(
    separator: Separator,
    blocks: Iterable[npt.ArrayLike] | None,
    sr: int | None,
    *,
    window_s: float = WINDOW_S,
    latency_s: float | None = None,
) -> Stream:
    """Learn what a separator was told the sources sound like, and begin a stream.

    Parameters
    ----------
    separator : Separator
        Its `examples` or its `dictionary`; `n_components`, `mask_exponent`, `seed`, `n_threads`;
        `max_iter` as the number of updates of each frame; `quality`, whether to train.
    blocks, sr, window_s, latency_s
        As for :class:`Stream`.

    Returns
    -------
    Stream

    Raises
    ------
    UsageError
        If not two sources or more were told, or something that only a whole recording can give.
    ParameterError
        If an argument is out of range.
    InputError, DictionaryError
        If an example or the dictionary cannot be used.
    """
    if sr is None:
        raise ParameterError("blocks need their sample rate: stream(blocks, sr).")
    sr = whole_number("sr", sr, MIN_SAMPLE_RATE, MAX_SAMPLE_RATE)
    _check(separator)
    return Stream(
        _dictionaries_of(separator, sr, window_s),
        sr,
        blocks,
        window_s=window_s,
        latency_s=latency_s,
        exponent=separator.mask_exponent,
        n_updates=UPDATES if separator.max_iter is None else separator.max_iter,
        train=separator.quality == "high",
        seed=separator.seed,
    )


def _check(separator: Separator) -> None:
    if separator.dictionary is None and not separator.examples:
        raise UsageError(
            "a stream needs to be told what the sources sound like: give examples, or a dictionary."
        )
    if separator.examples and len(separator.examples) == 1:
        raise UsageError(
            "a stream needs examples of two sources or more, to tell them apart; give one of what "
            "else is to be heard."
        )
    if separator.rest is not None or separator.n_free:
        raise UsageError(
            "a stream has no rest, for its templates are fixed; leave out rest and n_free, and "
            "give an example of what else is to be heard."
        )
    if separator.beta not in (None, 1.0):
        raise UsageError("a stream is fitted with beta 1 (kl); leave out beta.")


def _dictionaries_of(separator: Separator, sr: int, window_s: float) -> tuple[Dictionary, ...]:
    if separator.dictionary is not None:
        return (load_dictionary(separator.dictionary),)
    assert separator.examples, "as checked"
    for name, examples in separator.examples.items():
        for example in examples:
            if isinstance(example, Region):
                raise UsageError(
                    f"the example {example} of {name!r} is a part of a recording, and of a stream "
                    "there is none yet; give a sound file or a dictionary."
                )
    n_components = separator.n_components
    with one_blas_thread():
        return hear_examples(
            separator.examples,
            Whole(sr=sr, n_channels=1, duration=0.0, part=_nothing),
            window_s=window_s,
            n_components=n_components if isinstance(n_components, int) else None,
            seed=separator.seed,
            n_threads=resolve_threads(separator.n_threads),
            progress=ignore_progress,
        ).dictionaries


def _nothing(start_s: float, end_s: float) -> Audio:
    raise AssertionError(f"there is no recording to take {start_s} to {end_s} s of")
