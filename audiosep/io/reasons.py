"""What sound libraries say of a file, in words that can be understood."""

from __future__ import annotations

import re

__all__ = ["UNKNOWN_CODING", "plain_reason"]

UNKNOWN_CODING = "its coding is not known"

_UNKNOWN = "it cannot be decoded"

# The words of libsndfile and of FFmpeg. What is not here is for those who wrote them.
_REASONS: tuple[tuple[str, str], ...] = (
    (r"No '(?:data|BODY)' (?:chunk )?marker|no sound data", "the part with the samples is missing"),
    (r"No '\w+ ?' (?:chunk )?marker|'\w+' without '\w+'", "a part of it is missing"),
    (r"Channel count is zero", "it says 0 channels"),
    (r"Too many channels|[Bb]ad channel count", "it says more channels than can be"),
    (r"SF_INFO struct incomplete", "its sample rate or its channels cannot be"),
    (r"unsupported|[Nn]ot (?:yet )?implemented|unimplemented", UNKNOWN_CODING),
    (r"unknown (?:encoding )?format", UNKNOWN_CODING),
    (r"[Mm]alformed 'fmt|Invalid format chunk", UNKNOWN_CODING),
    (r"Short 'fmt|Errors in 'fmt|bad (?:flac )?header|Bad header", "its first part is damaged"),
    (r"ADPCM|Block alignment|bit ?width|sample size", "its coding is damaged"),
    (r"malformed|out of place|found before|[Bb]ad .*chunk", "its parts do not fit together"),
    (r"Invalid data found|decoder lost sync", "what it holds makes no sense"),
    (r"flac channel changed", "its channels change on the way"),
    (r"malloc|Cannot allocate", "there is no memory for what it says it needs"),
    (r"System error|Input/output error", "the disk cannot be read there"),
    (r"End of file", "it ends too early"),
)


def plain_reason(text: str) -> str:
    """What a sound library says, in plain words; of what is not known, only that it failed."""
    found = (plain for pattern, plain in _REASONS if re.search(pattern, text))
    return next(found, _UNKNOWN)
