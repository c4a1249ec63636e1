"""One decorator for every kernel, and the place where compiled kernels are kept.

Compiled code is stored per user, outside the package, so that it also works where the package
is read-only; where no place can be written a temporary one is used, and kernels are compiled
anew in every process. ``NUMBA_CACHE_DIR`` overrides the place.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numba
import numpy as np

__all__ = [
    "bits_of",
    "cache_dir",
    "cache_is_persistent",
    "float_of",
    "is_warm",
    "kernel",
    "wide_vectors",
]

_F = TypeVar("_F", bound=Callable[..., Any])

# Sums may be reordered so that they vectorise. NaN and infinity keep their meaning: kernels are
# only given finite numbers, but a kernel that met one must not hide it.
FASTMATH = {"reassoc", "contract", "arcp", "nsz"}


def _writable(path: Path) -> bool:
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            return True
    except OSError:
        return False


@cache
def _place() -> tuple[Path, bool]:
    chosen = os.environ.get("NUMBA_CACHE_DIR")
    if chosen and _writable(Path(chosen)):
        return Path(chosen) / f"audiosep-{_sources_digest()}", True
    import platformdirs

    try:
        home = Path(platformdirs.user_cache_dir("audiosep", appauthor=False))
    except (OSError, RuntimeError):  # no home directory can be found at all
        home = None
    if home is not None and _writable(home):
        return home / f"kernels-{_sources_digest()}", True
    temporary = Path(tempfile.mkdtemp(prefix="audiosep-kernels-"))
    atexit.register(shutil.rmtree, temporary, ignore_errors=True)
    return temporary, False


def _sources_digest() -> str:
    """Names the cache after what it was compiled from, so that a new version starts a new one."""
    digest = hashlib.sha256(numba.__version__.encode())
    here = Path(__file__).parent
    for source in [here / "jit.py", *sorted(here.glob("*kernels.py"))]:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


def cache_dir() -> Path:
    """Where compiled kernels are kept."""
    return _place()[0]


def cache_is_persistent() -> bool:
    """Whether compiled kernels survive this process."""
    return _place()[1]


def is_warm() -> bool:
    """Whether compiled kernels of this version are already there."""
    return any(cache_dir().rglob("*.nbi"))


def kernel(function: _F) -> _F:
    """Compile `function` without the interpreter lock, with a cache in :func:`cache_dir`."""
    before = numba.config.CACHE_DIR
    # Numba reads the setting when it decorates; restored, because other packages use it too.
    numba.config.CACHE_DIR = str(cache_dir())
    try:
        compiled: _F = numba.njit(nogil=True, cache=True, fastmath=FASTMATH, error_model="numpy")(
            function
        )
    finally:
        numba.config.CACHE_DIR = before
    return compiled


if numba.config.DISABLE_JIT:

    def bits_of(x: Any) -> Any:
        """The 32 bits of a float32 as an int32."""
        return np.float32(x).view(np.int32)

    def float_of(bits: Any) -> Any:
        """The float32 that has these 32 bits."""
        return np.int32(bits).view(np.float32)

    def wide_vectors() -> None:
        """Let this kernel use the widest vectors there are."""

else:
    from numba import types
    from numba.extending import intrinsic

    @intrinsic
    def bits_of(_context: Any, x: Any) -> Any:
        """The 32 bits of a float32 as an int32."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(types.int32))

        return types.int32(types.float32), generate

    @intrinsic
    def float_of(_context: Any, bits: Any) -> Any:
        """The float32 that has these 32 bits."""

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.bitcast(args[0], context.get_value_type(types.float32))

        return types.float32(types.int32), generate

    @intrinsic
    def wide_vectors(_context: Any) -> Any:
        """Let this kernel use the widest vectors there are.

        Compilers hold back with 512 bits, because programs that use them now and then lose more
        than they gain. Products of blocks do nothing else, and gain.
        """

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            # llvmlite has no name for this attribute; a set is what it keeps them in.
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
            return context.get_dummy_value()

        return types.void(), generate
