"""Which recordings settings were chosen on, and which only confirm them: by song and singer."""

from __future__ import annotations

from fnmatch import fnmatch

MUSIC = {
    "choose": ("eif_francium*", "eif_lithium*", "lmms_axe80s*", "lmms_reggaetry*"),
    "confirm": (
        "eif_hydrogen*",
        "eif_potassium*",
        "lmms_c64*",
        "lmms_twilight*",
        "mdn_song*",
        "fluid_chorale_rockdrums",
    ),
}

HALVES = {
    "singing": {
        "choose": (
            "mir1k_abjones_1",
            "mir1k_abjones_3",
            "mir1k_Kenshin_1",
            "vocadito1_band",
            "eif_francium_vocals",
            "eif_lithium_vocals",
        ),
        "confirm": (
            "mir1k_amy_1",
            "mir1k_amy_6",
            "mir1k_leon_2",
            "vocadito14_band",
            "eif_hydrogen_vocals",
            "eif_potassium_vocals",
        ),
    },
    "drums": {
        "choose": ("blackpearl_funk", "sp_electro_disco"),
        "confirm": ("fluid_dnb", "nmftoolbox_808", "sp_acoustic_rock"),
    },
    "multitrack": MUSIC,
    "harmonic_percussive": MUSIC,
    "speech_noise": {
        "choose": ("tspFA_dishes_0dB", "tspMC_street_0dB"),
        "confirm": ("tspFA_coffee_5dB", "tspMC_rain_0dB"),
    },
    "speech_speech": {"choose": ("ast_Allison_RU_same_gender",), "confirm": ("tsp_FA_MC",)},
    "environment": {"choose": ("dishes_birds",), "confirm": ("rain_hens",)},
    "bio": {"choose": ("birds_wind",), "confirm": ("humpback_rain",)},
    "pitched": {
        "choose": ("bach_bwv66_6*", "schumann*", "guitarset*"),
        "confirm": ("bach_bwv269*", "mozart*"),
    },
    "stereo": {"confirm": ("stereo_bach_bwv269_panned",)},
}
"""Patterns of item names by folder of the corpus and half."""

UNSEEN = "unseen"
"""Half of everything that is not listed: nothing was chosen or confirmed on it."""


def half_of(folder: str, item: str) -> str:
    """Return ``choose``, ``confirm`` or ``unseen``."""
    for half, patterns in HALVES.get(folder, {}).items():
        if any(fnmatch(item, pattern) for pattern in patterns):
            return half
    return UNSEEN
