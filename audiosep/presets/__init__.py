"""Named recipes: one TOML file each, beside this one."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from audiosep.errors import UsageError

__all__ = ["DEFAULT_PRESET", "Preset", "load_preset", "preset_for", "preset_names"]

DEFAULT_PRESET = "auto"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named recipe.

    Parameters
    ----------
    name : str
        What it is called.
    summary : str
        One sentence for the list of presets.
    method : str
        Which method models the sources.
    stems : str
        What comes out, in words.
    names : tuple of str
        Every name that a stem of it may have; none where the recording or what is told decides.
    mask_exponent : float
        Exponent of the masks.
    n_sources : int
        How many stems there are, unless chosen.
    most_sources : int
        How many there may be, where the recording decides; 0 where that is `n_sources`.
    n_sources_free : bool
        Whether the number of sources may be chosen.
    window_s : float
        Window of the analysis in seconds; see :func:`audiosep.stft`.
    dictionary : str
        Name of the dictionary of the package that the method uses, which another one may replace;
        empty where it uses none.
    fewest_components : int
        Components that it needs at least, where the number of sources does not say it.
    gives_onsets : bool
        Whether it hears when which piece was struck.
    chooses : bool
        Whether it listens first, and takes another recipe where that fits better.
    examples : {"", "taken", "needed"}
        Whether it can be told, or must be, what sources sound like.
    score : {"", "needed"}
        Whether it must be told what each source plays.
    """

    name: str
    summary: str
    method: str
    stems: str
    mask_exponent: float
    n_sources: int
    n_sources_free: bool
    window_s: float
    names: tuple[str, ...] = ()
    most_sources: int = 0
    dictionary: str = ""
    fewest_components: int = 1
    gives_onsets: bool = False
    chooses: bool = False
    examples: str = ""
    score: str = ""


@cache
def preset_names() -> tuple[str, ...]:
    """Names of all presets, the default first."""
    found = sorted(
        entry.name.removesuffix(".toml")
        for entry in files(__package__).iterdir()
        if entry.name.endswith(".toml")
    )
    return (DEFAULT_PRESET, *(name for name in found if name != DEFAULT_PRESET))


@cache
def load_preset(name: str) -> Preset:
    """Load a preset.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if name not in preset_names():
        raise UsageError(f"unknown preset {name!r}; there are {', '.join(preset_names())}.")
    text = (files(__package__) / f"{name}.toml").read_text(encoding="utf-8")
    recipe = tomllib.loads(text)
    return Preset(name=name, **recipe | {"names": tuple(recipe.get("names", ()))})


def preset_for(name: str, *, examples: bool, score: bool) -> str:
    """Name of the preset to use: what was told decides where nothing else was chosen.

    Parameters
    ----------
    name : str
        As chosen.
    examples, score : bool
        Whether there are any.

    Returns
    -------
    str
        Another one than `name` only where that is the default.
    """
    if name != DEFAULT_PRESET:
        return name
    if score:
        return "score"
    return "by-example" if examples else name
