"""What is done to a valid file so that it is no longer one; the same number, the same damage."""

from __future__ import annotations

import io
import json
import lzma
import random
import re
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from _fuzz_pieces import Piece, mended, pieces_of

__all__ = ["HOSTILE_TEXTS", "changed_json", "mutated"]

_NUMBERS = (
    *(0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 64, 100, 127, 128, 255, 256, 257, 1000, 4096),
    *(2**15 - 1, 2**15, 2**16 - 1, 2**16, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**36),
    *(2**48, 2**62, 2**63 - 1, 2**63, 2**64 - 1),
)

HOSTILE_TEXTS = (
    *("", " ", "\0", "a\0b", "..", ".", "../x", "../../../../x", "/x", "~/x", "~root/x", "a/b"),
    *("a\\b", "C:\\x", "C:", "con", "NUL.wav", "file:///etc/passwd", "http://127.0.0.1:9/x"),
    *("s3://bucket/x", "-x", "--out=/x", "$(touch x)", "`touch x`", "; touch x", "%s%s%n", "{0}"),
    *("{0.__class__}", "${HOME}", "\x1b[2J\x1b[31m", "a\nb", "a\r\nb", "\u202egpj.wav", "\ufeff"),
    *(
        "\ud800",
        "e\u0301",
        "\U0001f941" * 70,
        "x" * 300,
        "x" * 5000,
        "<img src=x onerror=alert(1)>",
    ),
    *("</script><script>alert(1)</script>", "'\"&<>", "=1+1", "@SUM(1)", "nan", "inf", "-inf"),
    *("-1", "0", "1e999", "1e-999", "-0.0", "9" * 30, "9" * 400, "9" * 5000, "0x10", "1_000"),
    *("\u0663", "1,5", "true", "null", "[]", "{}", "__proto__", "audiosep.json", ".audiosep"),
)

_DEEP = 3000


def mutated(kind: str, content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Return the file with one to four things wrong.

    Parameters
    ----------
    kind : str
        How its format is taken apart, see :mod:`_fuzz_pieces`; ``json``, ``lines`` (of JSON) and
        ``xml`` are changed as what they mean, too.
    content : bytes
        A valid file.
    others : list of bytes
        Other files, to be spliced with it.
    rng : random.Random
        Decides everything.
    """
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 4))):
        meaning = _MEANINGS.get(kind)
        if meaning is not None and rng.random() < 0.7:
            try:
                content = meaning(content, rng)
                continue
            except (
                ValueError,
                TypeError,
                AttributeError,
                RuntimeError,  # also of archives that want a password
                zipfile.BadZipFile,
                zlib.error,
                lzma.LZMAError,
                EOFError,
                OSError,
            ):
                pass  # no longer what it was: bytes are left to be changed
        content = _change_bytes(kind, content, others, rng)
    return mended(kind, content) if rng.random() < 0.6 else content


def _change_bytes(kind: str, content: bytes, others: list[bytes], rng: random.Random) -> bytes:
    shape = "text" if kind in ("json", "lines", "xml", "csv") else kind
    pieces = [p for p in pieces_of(shape, content) if p.content] or [Piece(b"")]
    change = rng.choice(_CHANGES)
    return b"".join(piece.content for piece in change(pieces, shape, others, rng))


# --- pieces -------------------------------------------------------------------------------------


def _flip(
    pieces: list[Piece], _shape: str, _others: list[bytes], rng: random.Random
) -> list[Piece]:
    where = rng.randrange(len(pieces))
    data = bytearray(pieces[where].content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        # The beginning of a piece says what it is.
        reach = len(data) if rng.random() < 0.5 else min(len(data), 48)
        if reach:
            data[rng.randrange(reach)] ^= 1 << rng.randrange(8)
    return _with(pieces, where, bytes(data))


def _overwrite(
    pieces: list[Piece], shape: str, _others: list[bytes], rng: random.Random
) -> list[Piece]:
    where = rng.randrange(len(pieces))
    data = bytearray(pieces[where].content)
    at = rng.randrange(len(data) + 1)
    if shape == "text":
        new = rng.choice(HOSTILE_TEXTS).encode("utf-8", "surrogatepass")
    elif rng.random() < 0.5:
        new = _number(rng, rng.choice((1, 2, 4, 8)), rng.choice(("little", "big")))
    else:
        new = rng.choice((bytes(16), b"\xff" * 16, rng.randbytes(rng.randrange(1, 32))))
    data[at : at + len(new)] = new
    return _with(pieces, where, bytes(data))


def _lie(pieces: list[Piece], shape: str, others: list[bytes], rng: random.Random) -> list[Piece]:
    """A number that says how long or how many something is says something else."""
    sized = [i for i, piece in enumerate(pieces) if piece.sizes]
    if not sized:
        return _overwrite(pieces, shape, others, rng)
    where = rng.choice(sized)
    offset, width, order = rng.choice(pieces[where].sizes)
    data = bytearray(pieces[where].content)
    if offset + width > len(data):
        return pieces
    true = int.from_bytes(data[offset : offset + width], order)  # type: ignore[arg-type]
    near = true + rng.choice((-9, -2, -1, 1, 2, 9))
    value = near if rng.random() < 0.3 else rng.choice(_NUMBERS)
    data[offset : offset + width] = (value % (1 << 8 * width)).to_bytes(width, order)  # type: ignore[arg-type]
    return _with(pieces, where, bytes(data))


def _cut(pieces: list[Piece], _shape: str, _others: list[bytes], rng: random.Random) -> list[Piece]:
    whole = b"".join(piece.content for piece in pieces)
    return [Piece(whole[: rng.randrange(len(whole) + 1)])]


def _drop(
    pieces: list[Piece], _shape: str, _others: list[bytes], rng: random.Random
) -> list[Piece]:
    where = rng.randrange(len(pieces))
    return pieces[:where] + pieces[where + 1 :]


def _double(
    pieces: list[Piece], _shape: str, _others: list[bytes], rng: random.Random
) -> list[Piece]:
    where, to = rng.randrange(len(pieces)), rng.randrange(len(pieces) + 1)
    times = rng.choice((1, 1, 2, 30))
    return pieces[:to] + [pieces[where]] * times + pieces[to:]


def _swap(
    pieces: list[Piece], _shape: str, _others: list[bytes], rng: random.Random
) -> list[Piece]:
    pieces = list(pieces)
    a, b = rng.randrange(len(pieces)), rng.randrange(len(pieces))
    pieces[a], pieces[b] = pieces[b], pieces[a]
    return pieces


def _insert(
    pieces: list[Piece], shape: str, others: list[bytes], rng: random.Random
) -> list[Piece]:
    to = rng.randrange(len(pieces) + 1)
    other = pieces_of(shape, rng.choice(others)) if others and rng.random() < 0.6 else []
    new = rng.choice(other) if other else Piece(rng.randbytes(rng.choice((1, 3, 8, 100))))
    return [*pieces[:to], new, *pieces[to:]]


def _splice(
    pieces: list[Piece], shape: str, others: list[bytes], rng: random.Random
) -> list[Piece]:
    """The beginning of one file and the end of another."""
    other = pieces_of(shape, rng.choice(others)) if others else pieces
    return pieces[: rng.randrange(len(pieces) + 1)] + other[rng.randrange(len(other) + 1) :]


def _with(pieces: list[Piece], where: int, content: bytes) -> list[Piece]:
    return [*pieces[:where], replace(pieces[where], content=content), *pieces[where + 1 :]]


def _number(rng: random.Random, width: int, order: Any) -> bytes:
    return (rng.choice(_NUMBERS) % (1 << 8 * width)).to_bytes(width, order)


_CHANGES = (
    _flip,
    _flip,
    _overwrite,
    _lie,
    _lie,
    _lie,
    _cut,
    _drop,
    _double,
    _swap,
    _insert,
    _splice,
)


# --- meanings -----------------------------------------------------------------------------------


def _value(rng: random.Random) -> Any:
    """Anything JSON can hold, and a few things it cannot."""
    simple = (None, True, False, -1, -0.0, 0.5, float("nan"), float("inf"), 1e308, 10**30, 10**400)
    nested: Any = {}
    return rng.choice(
        (
            lambda: rng.choice(simple),
            lambda: rng.choice(_NUMBERS),
            lambda: -rng.choice(_NUMBERS),
            lambda: rng.choice(HOSTILE_TEXTS),
            list,
            dict,
            lambda: [rng.choice(simple)] * rng.choice((1, 3, 2000)),
            lambda: {rng.choice(HOSTILE_TEXTS): rng.choice(simple)},
            lambda: {"file": rng.choice(HOSTILE_TEXTS), "sha256": "0" * 64},
            lambda: [nested],
        )
    )()


def changed_json(content: bytes, rng: random.Random) -> bytes:
    """Return JSON in which one value, key or list is another."""
    value = json.loads(content)
    if rng.random() < 0.01:
        return b"[" * _DEEP + b"]" * _DEEP
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        for key in list(node) if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    if not isinstance(value, dict | list):
        return json.dumps(_value(rng)).encode()
    walk(value)
    if not places:
        return json.dumps(_value(rng)).encode()
    node, key = rng.choice(places)
    act = rng.choice(("set", "set", "set", "text", "delete", "rename", "double", "copy"))
    if act == "text" and isinstance(node[key], str):
        node[key] += rng.choice(HOSTILE_TEXTS)
    elif act == "delete":
        del node[key]
    elif act == "rename" and isinstance(node, dict):
        node[rng.choice((*HOSTILE_TEXTS, *node))] = node.pop(key)
    elif act == "double" and isinstance(node, list):
        node *= 2
    elif act == "copy":
        other, where = rng.choice(places)
        node[key] = json.loads(json.dumps(other[where]))
    else:
        node[key] = _value(rng)
    # What stands in the text is what is meant: half a character stays one.
    return json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def _change_json_lines(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines(keepends=True)
    where = rng.randrange(len(lines))
    lines[where] = changed_json(lines[where], rng) + b"\n"
    return b"".join(lines)


def _change_safetensors(content: bytes, rng: random.Random) -> bytes:
    """What the header says of the arrays, or what the description within it says."""
    size = int.from_bytes(content[:8], "little")
    head, data = content[8 : 8 + size], content[8 + size :]
    described = json.loads(head)
    about = described.get("__metadata__")
    if isinstance(about, dict) and about and rng.random() < 0.6:
        key = rng.choice(list(about))
        about[key] = changed_json(about[key].encode(), rng).decode("utf-8", "replace")
        head = json.dumps(described).encode()
    elif rng.random() < 0.4:
        head = changed_json(head, rng)
    else:
        # Numbers that are no gains: the sizes stay.
        at = rng.randrange(max(1, len(data) // 4)) * 4
        bad = rng.choice((b"\0\0\xc0\x7f", b"\0\0\x80\x7f", b"\0\0\x80\xff", b"\xff\xff\x7f\x7f"))
        data = data[:at] + bad + data[at + 4 :]
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + data


_TOKEN = re.compile(rb"[-+]?\d+(?:\.\d+)?|[A-Za-z_][\w.-]*|[^\w\s]|\s+")


def _change_tokens(content: bytes, rng: random.Random) -> bytes:
    tokens = _TOKEN.findall(content)
    if not tokens:
        raise ValueError
    where = rng.randrange(len(tokens))
    act = rng.choice(("text", "number", "number", "delete", "double", "swap"))
    if act == "text":
        tokens[where] = rng.choice(HOSTILE_TEXTS).encode("utf-8", "surrogatepass")
    elif act == "number":
        numbers = [i for i, token in enumerate(tokens) if token.strip(b"+-")[:1].isdigit()]
        value = rng.choice((*map(str, _NUMBERS), "-1", "nan", "inf", "1e999", "0.5", "9" * 400))
        tokens[rng.choice(numbers) if numbers else where] = value.encode()
    elif act == "delete":
        del tokens[where]
    elif act == "double":
        tokens[where:where] = tokens[where : where + rng.choice((1, 5, 50))] * rng.choice((1, 20))
    else:
        other = rng.randrange(len(tokens))
        tokens[where], tokens[other] = tokens[other], tokens[where]
    return b"".join(tokens)


_ELEMENT = re.compile(rb"<([\w-]+)[^<>]*>[^<>]*</\1>")


def _change_xml(content: bytes, rng: random.Random) -> bytes:
    act = rng.choice(("element", "element", "tokens", "tokens", "deep", "entity", "encoding"))
    if act == "deep":
        at = content.find(b"<measure")
        return content[:at] + b"<x>" * _DEEP + content[at:]
    if act == "entity":
        entity = rng.choice(
            (
                b'<!DOCTYPE a [<!ENTITY x "xxxxxxxx"><!ENTITY y "&x;&x;&x;&x;&x;&x;">]>',
                b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
                b'<!DOCTYPE a [<!ENTITY % x SYSTEM "http://127.0.0.1:9/x"> %x;]>',
                b'<!DOCTYPE a SYSTEM "http://127.0.0.1:9/x.dtd">',
            )
        )
        end = content.find(b"?>") + 2
        return content[:end] + entity + content[end:].replace(b"</step>", b"&y;</step>", 1)
    if act == "encoding":
        name = rng.choice((b"utf-16", b"utf-7", b"idna", b"rot13", b"zlib", b"nope", b"ascii"))
        return re.sub(rb"<\?xml[^>]*>", b'<?xml version="1.0" encoding="' + name + b'"?>', content)
    elements = list(_ELEMENT.finditer(content))
    if act == "tokens" or not elements:
        return _change_tokens(content, rng)
    one, other = rng.choice(elements), rng.choice(elements)
    times = rng.choice((0, 0, 1, 2, 300))
    return content[: one.start()] + other[0] * times + content[one.end() :]


def _change_zip(content: bytes, rng: random.Random) -> bytes:
    """Another score within a sound archive, or its members called something else."""
    packed = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(packed, "w") as new:
        for member in old.infolist():
            inner, name = old.read(member), member.filename
            if rng.random() < 0.7 and name.endswith(".xml"):
                inner = _change_xml(inner, rng)
            elif rng.random() < 0.1:
                inner = bytes(rng.choice((0, 1, 10**6)))
            if rng.random() < 0.15:
                name = rng.choice(HOSTILE_TEXTS).partition("\0")[0].replace("\ud800", "?") or "x"
            # The same time whenever it is made.
            new.writestr(zipfile.ZipInfo(name), inner, rng.choice((0, 8, 8, 12, 14)))
    return packed.getvalue()


_MEANINGS: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "json": changed_json,
    "lines": _change_json_lines,
    "safetensors": _change_safetensors,
    "xml": _change_xml,
    "csv": _change_tokens,
    "text": _change_tokens,
    "mxl": _change_zip,
}
