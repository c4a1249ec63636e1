"""Matrix products for few components, unrolled by hand: eight components, four frames at a time.

A general matrix product spends most of its time on copying when one side is this small. Here
eight templates are read once for several frames, and sums stay in registers. That beats a tuned
BLAS at eight components, and no longer at sixteen. The caller pads components to EIGHT and frames
to FOUR with zeros, so that there are no remainders.
The two at the end also take the ratios of Kullback-Leibler on the way, so that neither model nor
ratios are ever stored.
"""

# Typed by the compiler, which sees more than an annotation could say.
# mypy: disable-error-code="no-untyped-def,no-untyped-call"
# ruff: noqa: ANN001, ANN201

from __future__ import annotations

from audiosep.nmf.jit import kernel, wide_vectors

__all__ = ["EIGHT", "FOUR", "add_outer", "back", "kl_add_outer", "kl_back", "model"]

EIGHT = 8
"""Components worked on together."""
FOUR = 4
"""Frames worked on together."""


@kernel
def model(W, h, C):
    """``C = h W`` for W (8, F), h (4, 8), C (4, F)."""
    wide_vectors()
    w0, w1, w2, w3, w4, w5, w6, w7 = W[0], W[1], W[2], W[3], W[4], W[5], W[6], W[7]
    c0, c1, c2, c3 = C[0], C[1], C[2], C[3]
    p0, p1, p2, p3 = h[0, 0], h[0, 1], h[0, 2], h[0, 3]
    p4, p5, p6, p7 = h[0, 4], h[0, 5], h[0, 6], h[0, 7]
    q0, q1, q2, q3 = h[1, 0], h[1, 1], h[1, 2], h[1, 3]
    q4, q5, q6, q7 = h[1, 4], h[1, 5], h[1, 6], h[1, 7]
    r0, r1, r2, r3 = h[2, 0], h[2, 1], h[2, 2], h[2, 3]
    r4, r5, r6, r7 = h[2, 4], h[2, 5], h[2, 6], h[2, 7]
    s0, s1, s2, s3 = h[3, 0], h[3, 1], h[3, 2], h[3, 3]
    s4, s5, s6, s7 = h[3, 4], h[3, 5], h[3, 6], h[3, 7]
    for j in range(C.shape[1]):
        x0, x1, x2, x3 = w0[j], w1[j], w2[j], w3[j]
        x4, x5, x6, x7 = w4[j], w5[j], w6[j], w7[j]
        c0[j] = p0 * x0 + p1 * x1 + p2 * x2 + p3 * x3 + p4 * x4 + p5 * x5 + p6 * x6 + p7 * x7
        c1[j] = q0 * x0 + q1 * x1 + q2 * x2 + q3 * x3 + q4 * x4 + q5 * x5 + q6 * x6 + q7 * x7
        c2[j] = r0 * x0 + r1 * x1 + r2 * x2 + r3 * x3 + r4 * x4 + r5 * x5 + r6 * x6 + r7 * x7
        c3[j] = s0 * x0 + s1 * x1 + s2 * x2 + s3 * x3 + s4 * x4 + s5 * x5 + s6 * x6 + s7 * x7


@kernel
def back(W, R, A):
    """``A = R Wᵀ`` for W (8, F), R (2, F), A (2, 8): sixteen sums are what registers hold."""
    wide_vectors()
    w0, w1, w2, w3, w4, w5, w6, w7 = W[0], W[1], W[2], W[3], W[4], W[5], W[6], W[7]
    r, s = R[0], R[1]
    zero = R.dtype.type(0.0)
    p0, p1, p2, p3, p4, p5, p6, p7 = zero, zero, zero, zero, zero, zero, zero, zero
    q0, q1, q2, q3, q4, q5, q6, q7 = zero, zero, zero, zero, zero, zero, zero, zero
    for j in range(R.shape[1]):
        x0, x1, x2, x3 = w0[j], w1[j], w2[j], w3[j]
        x4, x5, x6, x7 = w4[j], w5[j], w6[j], w7[j]
        y, z = r[j], s[j]
        p0 += y * x0
        p1 += y * x1
        p2 += y * x2
        p3 += y * x3
        p4 += y * x4
        p5 += y * x5
        p6 += y * x6
        p7 += y * x7
        q0 += z * x0
        q1 += z * x1
        q2 += z * x2
        q3 += z * x3
        q4 += z * x4
        q5 += z * x5
        q6 += z * x6
        q7 += z * x7
    A[0, 0], A[0, 1], A[0, 2], A[0, 3] = p0, p1, p2, p3
    A[0, 4], A[0, 5], A[0, 6], A[0, 7] = p4, p5, p6, p7
    A[1, 0], A[1, 1], A[1, 2], A[1, 3] = q0, q1, q2, q3
    A[1, 4], A[1, 5], A[1, 6], A[1, 7] = q4, q5, q6, q7


@kernel
def add_outer(h, R, B):
    """``B += hᵀ R`` for h (4, 8), R (4, F), B (8, F)."""
    wide_vectors()
    b0, b1, b2, b3, b4, b5, b6, b7 = B[0], B[1], B[2], B[3], B[4], B[5], B[6], B[7]
    r0, r1, r2, r3 = R[0], R[1], R[2], R[3]
    p0, p1, p2, p3 = h[0, 0], h[1, 0], h[2, 0], h[3, 0]
    q0, q1, q2, q3 = h[0, 1], h[1, 1], h[2, 1], h[3, 1]
    s0, s1, s2, s3 = h[0, 2], h[1, 2], h[2, 2], h[3, 2]
    t0, t1, t2, t3 = h[0, 3], h[1, 3], h[2, 3], h[3, 3]
    u0, u1, u2, u3 = h[0, 4], h[1, 4], h[2, 4], h[3, 4]
    v0, v1, v2, v3 = h[0, 5], h[1, 5], h[2, 5], h[3, 5]
    y0, y1, y2, y3 = h[0, 6], h[1, 6], h[2, 6], h[3, 6]
    z0, z1, z2, z3 = h[0, 7], h[1, 7], h[2, 7], h[3, 7]
    for j in range(R.shape[1]):
        a, b, c, d = r0[j], r1[j], r2[j], r3[j]
        b0[j] += a * p0 + b * p1 + c * p2 + d * p3
        b1[j] += a * q0 + b * q1 + c * q2 + d * q3
        b2[j] += a * s0 + b * s1 + c * s2 + d * s3
        b3[j] += a * t0 + b * t1 + c * t2 + d * t3
        b4[j] += a * u0 + b * u1 + c * u2 + d * u3
        b5[j] += a * v0 + b * v1 + c * v2 + d * v3
        b6[j] += a * y0 + b * y1 + c * y2 + d * y3
        b7[j] += a * z0 + b * z1 + c * z2 + d * z3


@kernel
def kl_back(V, W, h, floor, A):
    """``A = (V / c) Wᵀ`` with the model ``c = max(h W, floor)``; V (2, F), h, A (2, 8)."""
    wide_vectors()
    v, u = V[0], V[1]
    w0, w1, w2, w3, w4, w5, w6, w7 = W[0], W[1], W[2], W[3], W[4], W[5], W[6], W[7]
    s0, s1, s2, s3 = h[0, 0], h[0, 1], h[0, 2], h[0, 3]
    s4, s5, s6, s7 = h[0, 4], h[0, 5], h[0, 6], h[0, 7]
    t0, t1, t2, t3 = h[1, 0], h[1, 1], h[1, 2], h[1, 3]
    t4, t5, t6, t7 = h[1, 4], h[1, 5], h[1, 6], h[1, 7]
    zero = v.dtype.type(0.0)
    p0, p1, p2, p3, p4, p5, p6, p7 = zero, zero, zero, zero, zero, zero, zero, zero
    q0, q1, q2, q3, q4, q5, q6, q7 = zero, zero, zero, zero, zero, zero, zero, zero
    for j in range(v.size):
        x0, x1, x2, x3 = w0[j], w1[j], w2[j], w3[j]
        x4, x5, x6, x7 = w4[j], w5[j], w6[j], w7[j]
        y = s0 * x0 + s1 * x1 + s2 * x2 + s3 * x3 + s4 * x4 + s5 * x5 + s6 * x6 + s7 * x7
        z = t0 * x0 + t1 * x1 + t2 * x2 + t3 * x3 + t4 * x4 + t5 * x5 + t6 * x6 + t7 * x7
        y = v[j] / (y + floor)
        z = u[j] / (z + floor)
        p0 += y * x0
        p1 += y * x1
        p2 += y * x2
        p3 += y * x3
        p4 += y * x4
        p5 += y * x5
        p6 += y * x6
        p7 += y * x7
        q0 += z * x0
        q1 += z * x1
        q2 += z * x2
        q3 += z * x3
        q4 += z * x4
        q5 += z * x5
        q6 += z * x6
        q7 += z * x7
    A[0, 0], A[0, 1], A[0, 2], A[0, 3] = p0, p1, p2, p3
    A[0, 4], A[0, 5], A[0, 6], A[0, 7] = p4, p5, p6, p7
    A[1, 0], A[1, 1], A[1, 2], A[1, 3] = q0, q1, q2, q3
    A[1, 4], A[1, 5], A[1, 6], A[1, 7] = q4, q5, q6, q7


@kernel
def kl_add_outer(V, W, h, floor, B):
    """``B += hᵀ (V / c)``, as in `kl_back` for four frames: V (4, F), h (4, 8), B (8, F)."""
    wide_vectors()
    v0, v1, v2, v3 = V[0], V[1], V[2], V[3]
    w0, w1, w2, w3, w4, w5, w6, w7 = W[0], W[1], W[2], W[3], W[4], W[5], W[6], W[7]
    b0, b1, b2, b3, b4, b5, b6, b7 = B[0], B[1], B[2], B[3], B[4], B[5], B[6], B[7]
    p0, p1, p2, p3 = h[0, 0], h[0, 1], h[0, 2], h[0, 3]
    p4, p5, p6, p7 = h[0, 4], h[0, 5], h[0, 6], h[0, 7]
    q0, q1, q2, q3 = h[1, 0], h[1, 1], h[1, 2], h[1, 3]
    q4, q5, q6, q7 = h[1, 4], h[1, 5], h[1, 6], h[1, 7]
    s0, s1, s2, s3 = h[2, 0], h[2, 1], h[2, 2], h[2, 3]
    s4, s5, s6, s7 = h[2, 4], h[2, 5], h[2, 6], h[2, 7]
    t0, t1, t2, t3 = h[3, 0], h[3, 1], h[3, 2], h[3, 3]
    t4, t5, t6, t7 = h[3, 4], h[3, 5], h[3, 6], h[3, 7]
    for j in range(V.shape[1]):
        x0, x1, x2, x3 = w0[j], w1[j], w2[j], w3[j]
        x4, x5, x6, x7 = w4[j], w5[j], w6[j], w7[j]
        a = p0 * x0 + p1 * x1 + p2 * x2 + p3 * x3 + p4 * x4 + p5 * x5 + p6 * x6 + p7 * x7
        b = q0 * x0 + q1 * x1 + q2 * x2 + q3 * x3 + q4 * x4 + q5 * x5 + q6 * x6 + q7 * x7
        c = s0 * x0 + s1 * x1 + s2 * x2 + s3 * x3 + s4 * x4 + s5 * x5 + s6 * x6 + s7 * x7
        d = t0 * x0 + t1 * x1 + t2 * x2 + t3 * x3 + t4 * x4 + t5 * x5 + t6 * x6 + t7 * x7
        a = v0[j] / (a + floor)
        b = v1[j] / (b + floor)
        c = v2[j] / (c + floor)
        d = v3[j] / (d + floor)
        b0[j] += a * p0 + b * q0 + c * s0 + d * t0
        b1[j] += a * p1 + b * q1 + c * s1 + d * t1
        b2[j] += a * p2 + b * q2 + c * s2 + d * t2
        b3[j] += a * p3 + b * q3 + c * s3 + d * t3
        b4[j] += a * p4 + b * q4 + c * s4 + d * t4
        b5[j] += a * p5 + b * q5 + c * s5 + d * t5
        b6[j] += a * p6 + b * q6 + c * s6 + d * t6
        b7[j] += a * p7 + b * q7 + c * s7 + d * t7
