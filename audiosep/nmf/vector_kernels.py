"""Products of small blocks, written as the vector instructions that they are to become.

A compiler that is given loops decides by itself what is kept in registers, and general matrix
products copy their arguments first; both cost half of the time where one side is as small as the
number of components. Here a block of ROWS frames (or components) by two vectors is summed in
registers, with one load of each operand.

All arrays are C-contiguous and addressed by the position of their first entry, so that no views
are made. PANEL bins are two vectors: see `panel_of`. Row r, entry j of a block R of one panel lies
at ``r_at + r PANEL + j``.
"""

# Typed by the compiler, which sees more than an annotation could say.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# ruff: noqa: ANN001, ANN201, ANN202

from __future__ import annotations

import numba
import numpy as np
from numba.core.codegen import get_host_cpu_features

__all__ = [
    "ROWS",
    "VECTOR_BYTES",
    "add_back",
    "add_back_wide",
    "add_outer",
    "copy_rows",
    "kl_ratios",
    "kl_ratios_and_model",
    "model",
    "panel_of",
]


def _features() -> set[str]:
    chosen = numba.config.CPU_FEATURES
    return set((get_host_cpu_features() if chosen is None else chosen).split(","))


_WIDE = "+avx512f" in _features()
VECTOR_BYTES = 64 if _WIDE else 32 if "+avx2" in _features() else 16
"""Widest vectors of this machine."""
ROWS = 8 if _WIDE else 4
"""Rows summed together: with two vectors each, they leave a few registers for the operands."""


def panel_of(dtype) -> int:
    """Bins of a panel: two vectors."""
    return 2 * VECTOR_BYTES // int(np.dtype(dtype).itemsize)


if numba.config.DISABLE_JIT:

    def _block(x, at, step, rows, columns):
        """View of a block in an array."""
        flat = x.reshape(-1)[at:]
        each = flat.itemsize
        return np.lib.stride_tricks.as_strided(flat, (rows, columns), (step * each, each))

    def model(h, h_at, h_step, W, w_at, K, C, c_at):
        """``C = h W`` for a block."""
        panel = panel_of(C.dtype)
        _block(C, c_at, panel, ROWS, panel)[:] = _block(h, h_at, h_step, ROWS, K) @ _block(
            W, w_at, panel, K, panel
        )

    def copy_rows(V, v_at, v_step, R, r_at):
        """``R = V`` for a block."""
        panel = panel_of(R.dtype)
        _block(R, r_at, panel, ROWS, panel)[:] = _block(V, v_at, v_step, ROWS, panel)

    def kl_ratios_and_model(h, h_at, h_step, W, w_at, K, V, v_at, v_step, floor, R, r_at, C, c_at):
        """``C = h W`` and ``R = V / (C + floor)`` for a block."""
        panel = panel_of(C.dtype)
        model(h, h_at, h_step, W, w_at, K, C, c_at)
        v = _block(V, v_at, v_step, ROWS, panel)
        _block(R, r_at, panel, ROWS, panel)[:] = v / (_block(C, c_at, panel, ROWS, panel) + floor)

    def kl_ratios(h, h_at, h_step, W, w_at, K, V, v_at, v_step, floor, R, r_at):
        """``R = V / (h W + floor)`` for a block."""
        kl_ratios_and_model(
            h, h_at, h_step, W, w_at, K, V, v_at, v_step, floor, R, r_at, np.empty_like(R), r_at
        )

    def _add_back(R, r_at, W, w_at, A, a_at, step, vectors):
        panel = panel_of(R.dtype)
        rows, width = 2 * ROWS // vectors, vectors * panel // 2
        _block(A, a_at, step, rows, width)[:] += _block(R, r_at, panel, rows, panel) @ _block(
            W, w_at, step, panel, width
        )

    def add_back(R, r_at, W, w_at, A, a_at, step):
        """``A += R W`` for 2 ROWS frames and one vector of components."""
        _add_back(R, r_at, W, w_at, A, a_at, step, 1)

    def add_back_wide(R, r_at, W, w_at, A, a_at, step):
        """``A += R W`` for ROWS frames and two vectors of components."""
        _add_back(R, r_at, W, w_at, A, a_at, step, 2)

    def add_outer(h, h_at, h_step, R, r_at, n, B, b_at):
        """``B += hᵀ R`` for n frames and ROWS components."""
        panel = panel_of(R.dtype)
        _block(B, b_at, panel, ROWS, panel)[:] += _block(h, h_at, h_step, n, ROWS).T @ _block(
            R, r_at, panel, n, panel
        )

else:
    from numba import types
    from numba.core import cgutils
    from numba.extending import intrinsic

    ll = cgutils.ir

    # As for all kernels, see `jit.FASTMATH`.
    _FLAGS = ("reassoc", "contract", "arcp", "nsz")

    class _Writer:
        """Writes instructions on vectors of one type of number."""

        def __init__(self, context, builder, array) -> None:
            self.builder = builder
            self._context = context
            number = context.get_value_type(array.dtype)
            self._bytes = array.dtype.bitwidth // 8
            self.lanes = VECTOR_BYTES // self._bytes
            self._vector = ll.VectorType(number, self.lanes)
            self._index = context.get_value_type(types.intp)
            self._nowhere = ll.Constant(self._vector, ll.Undefined)
            self._first = ll.Constant(ll.VectorType(ll.IntType(32), self.lanes), [0] * self.lanes)
            self.zero = ll.Constant(self._vector, None)
            self._two = ll.Constant(self._vector, [ll.Constant(number, 2.0)] * self.lanes)
            if _WIDE:  # see `jit.wide_vectors`
                set.add(builder.function.attributes, '"prefer-vector-width"="512"')

        def integer(self, n):
            return ll.Constant(self._index, n)

        def pointer(self, array, value, at):
            data = self._context.make_array(array)(self._context, self.builder, value).data
            return self.builder.gep(data, [at])

        def moved(self, pointer, by, times=1):
            by = self.integer(by) if isinstance(by, int) else by
            if times != 1:
                by = self.builder.mul(by, self.integer(times))
            return self.builder.gep(pointer, [by])

        def load(self, pointer):
            place = self.builder.bitcast(pointer, self._vector.as_pointer())
            return self.builder.load(place, align=self._bytes)

        def store(self, vector, pointer):
            place = self.builder.bitcast(pointer, self._vector.as_pointer())
            self.builder.store(vector, place, align=self._bytes)

        def everywhere(self, number):
            """Return a vector of copies of a number."""
            one = self.builder.insert_element(self._nowhere, number, ll.Constant(ll.IntType(32), 0))
            return self.builder.shuffle_vector(one, self._nowhere, self._first)

        def add(self, a, b):
            return self.builder.fadd(a, b, flags=_FLAGS)

        def quotient(self, v, c):
            """Return ``v / c``; in float32 by the machine's estimate and a step of Newton's.

            Within two units in the last place, and three times as fast where there is such an
            estimate: errors of 2^-14 become 2^-28.
            """
            builder = self.builder
            if not _WIDE or self._bytes != 4:
                return builder.fdiv(v, c)
            mask = ll.IntType(16)
            of = ll.FunctionType(self._vector, [self._vector, self._vector, mask])
            name = "llvm.x86.avx512.rcp14.ps.512"
            estimate = cgutils.get_or_insert_function(builder.module, of, name)
            x = builder.call(estimate, [c, self.zero, ll.Constant(mask, -1)])
            # Nothing may be put in another order here.
            once = ("contract",)
            left = builder.fsub(self._two, builder.fmul(c, x, flags=once), flags=once)
            return builder.fmul(v, builder.fmul(x, left))

        def sums(self, n, start, left, right):
            """Return ``start[r][v] + sum_i left(i)[r] * right(i)[v]`` in registers, i < n."""
            builder = self.builder
            places = [[cgutils.alloca_once_value(builder, x) for x in row] for row in start]
            for row, values in zip(places, start, strict=True):
                for place, value in zip(row, values, strict=True):
                    builder.store(value, place)
            with cgutils.for_range(builder, n) as loop:
                vectors = [self.load(p) for p in right(loop.index)]
                for row, pointer in zip(places, left(loop.index), strict=True):
                    factor = self.everywhere(builder.load(pointer))
                    for place, vector in zip(row, vectors, strict=True):
                        product = builder.fmul(factor, vector, flags=_FLAGS)
                        builder.store(self.add(builder.load(place), product), place)
            return [[builder.load(place) for place in row] for row in places]

        def product(self, n, a, a_step, b, b_step, rows, vectors):
            """Return ``sum_i a[r a_step + i] b[i b_step + j]`` for rows r, and j in vectors."""
            starts = [self.moved(a, a_step, r) for r in range(rows)]

            def right(i):
                row = self.moved(b, self.builder.mul(i, b_step))
                return [self.moved(row, v * self.lanes) for v in range(vectors)]

            return self.sums(
                n,
                [[self.zero] * vectors] * rows,
                lambda i: [self.moved(start, i) for start in starts],
                right,
            )

        def each(self, pointer, step, rows, vectors):
            """Return the places of the vectors of a block."""
            starts = [self.moved(pointer, step, r) for r in range(rows)]
            return [[self.moved(p, v * self.lanes) for v in range(vectors)] for p in starts]

        def model_of(self, h, h_step, W, K):
            panel = self.integer(2 * self.lanes)
            return self.product(K, h, h_step, W, panel, ROWS, 2)

    def _stored(writer, block, pointer):
        places = writer.each(pointer, writer.integer(2 * writer.lanes), ROWS, 2)
        for row, values in zip(places, block, strict=True):
            for place, value in zip(row, values, strict=True):
                writer.store(value, place)

    @intrinsic
    def model(_context, h, h_at, h_step, W, w_at, K, C, c_at):
        """``C = h W`` for a block."""

        def generate(context, builder, signature, args):
            h, h_at, h_step, W, w_at, K, C, c_at = args
            writer = _Writer(context, builder, signature.args[0])
            h = writer.pointer(signature.args[0], h, h_at)
            W = writer.pointer(signature.args[3], W, w_at)
            C = writer.pointer(signature.args[6], C, c_at)
            _stored(writer, writer.model_of(h, h_step, W, K), C)
            return context.get_dummy_value()

        return types.void(h, h_at, h_step, W, w_at, K, C, c_at), generate

    @intrinsic
    def copy_rows(_context, V, v_at, v_step, R, r_at):
        """``R = V`` for a block."""

        def generate(context, builder, signature, args):
            V, v_at, v_step, R, r_at = args
            writer = _Writer(context, builder, signature.args[0])
            V = writer.pointer(signature.args[0], V, v_at)
            places = writer.each(V, v_step, ROWS, 2)
            block = [[writer.load(place) for place in row] for row in places]
            _stored(writer, block, writer.pointer(signature.args[3], R, r_at))
            return context.get_dummy_value()

        return types.void(V, v_at, v_step, R, r_at), generate

    def _write_kl_ratios(context, builder, signature, args):
        h, h_at, h_step, W, w_at, K, V, v_at, v_step, floor, R, r_at = args[:12]
        writer = _Writer(context, builder, signature.args[0])
        h = writer.pointer(signature.args[0], h, h_at)
        W = writer.pointer(signature.args[3], W, w_at)
        V = writer.pointer(signature.args[6], V, v_at)
        R = writer.pointer(signature.args[10], R, r_at)
        block = writer.model_of(h, h_step, W, K)
        if len(args) > 12:
            _stored(writer, block, writer.pointer(signature.args[12], args[12], args[13]))
        floor = writer.everywhere(floor)
        data = writer.each(V, v_step, ROWS, 2)
        ratios = [
            [
                writer.quotient(writer.load(v), writer.add(c, floor))
                for v, c in zip(*rows, strict=True)
            ]
            for rows in zip(data, block, strict=True)
        ]
        _stored(writer, ratios, R)
        return context.get_dummy_value()

    @intrinsic
    def kl_ratios(_context, h, h_at, h_step, W, w_at, K, V, v_at, v_step, floor, R, r_at):
        """``R = V / (h W + floor)`` for a block."""
        types_of = (h, h_at, h_step, W, w_at, K, V, v_at, v_step, floor, R, r_at)
        return types.void(*types_of), _write_kl_ratios

    @intrinsic
    def kl_ratios_and_model(
        _context, h, h_at, h_step, W, w_at, K, V, v_at, v_step, floor, R, r_at, C, c_at
    ):
        """``C = h W`` and ``R = V / (C + floor)`` for a block."""
        types_of = (h, h_at, h_step, W, w_at, K, V, v_at, v_step, floor, R, r_at, C, c_at)
        return types.void(*types_of), _write_kl_ratios

    def _write_back(vectors):
        rows = 2 * ROWS // vectors

        def generate(context, builder, signature, args):
            R, r_at, W, w_at, A, a_at, step = args
            writer = _Writer(context, builder, signature.args[0])
            R = writer.pointer(signature.args[0], R, r_at)
            W = writer.pointer(signature.args[2], W, w_at)
            A = writer.pointer(signature.args[4], A, a_at)
            panel = writer.integer(2 * writer.lanes)
            block = writer.product(panel, R, panel, W, step, rows, vectors)
            for row, places in zip(block, writer.each(A, step, rows, vectors), strict=True):
                for value, place in zip(row, places, strict=True):
                    writer.store(writer.add(writer.load(place), value), place)
            return context.get_dummy_value()

        return generate

    @intrinsic
    def add_back(_context, R, r_at, W, w_at, A, a_at, step):
        """``A += R W`` for 2 ROWS frames and one vector of components."""
        return types.void(R, r_at, W, w_at, A, a_at, step), _write_back(1)

    @intrinsic
    def add_back_wide(_context, R, r_at, W, w_at, A, a_at, step):
        """``A += R W`` for ROWS frames and two vectors of components."""
        return types.void(R, r_at, W, w_at, A, a_at, step), _write_back(2)

    @intrinsic
    def add_outer(_context, h, h_at, h_step, R, r_at, n, B, b_at):
        """``B += hᵀ R`` for n frames and ROWS components."""

        def generate(context, builder, signature, args):
            h, h_at, h_step, R, r_at, n, B, b_at = args
            writer = _Writer(context, builder, signature.args[0])
            h = writer.pointer(signature.args[0], h, h_at)
            R = writer.pointer(signature.args[3], R, r_at)
            B = writer.pointer(signature.args[6], B, b_at)
            panel = writer.integer(2 * writer.lanes)
            places = writer.each(B, panel, ROWS, 2)

            def left(i):
                row = writer.moved(h, builder.mul(i, h_step))
                return [writer.moved(row, r) for r in range(ROWS)]

            def right(i):
                row = writer.moved(R, builder.mul(i, panel))
                return [row, writer.moved(row, writer.lanes)]

            start = [[writer.load(place) for place in row] for row in places]
            _stored(writer, writer.sums(n, start, left, right), B)
            return context.get_dummy_value()

        return types.void(h, h_at, h_step, R, r_at, n, B, b_at), generate
