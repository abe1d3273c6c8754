"""The compiled side of ``attention.py``: loops over heads of eight channels, for whatever CPU they run on.

Scores are in units of log 2, so that a key's weight is a power of 2. A head's keys, values and their gradients lie as
(8, S) in the cache; the inner loops run over the S keys, eight products a step, for four queries in turn.
"""

import math

import numba
import numpy as np

from waypoint.kernels.jit import compiled, inner

WIDTH, QUERIES = 8, 4
LOG2E, SCALE = np.float32(math.log2(math.e)), np.float32(WIDTH**-0.5)
SAFE = np.float32(60)  # |q| |k| of scores whose powers need no common factor: within 2^±31
ZERO, HALF, ONE, SMALLEST = np.float32(0), np.float32(0.5), np.float32(1), np.float32(-126)
_on_half = np.polynomial.Chebyshev.interpolate(np.exp2, 5, [-0.5, 0.5]).convert(kind=np.polynomial.Polynomial)
C0, C1, C2, C3, C4, C5 = _on_half.coef.astype(np.float32)


@inner
def power_of_2(x):
    """2^x for x ≤ 127, to 2e-7; 2^-126 for anything smaller than that."""
    x = SMALLEST if x < SMALLEST else x
    whole = np.floor(x + HALF)
    f = x - whole
    exponent = np.int32((np.int32(whole) + np.int32(127)) << np.int32(23))
    return (((((C5 * f + C4) * f + C3) * f + C2) * f + C1) * f + C0) * exponent.view(np.float32)


@numba.njit(nogil=True, fastmath=True)  # NaNs told apart would cost the vectors; power_of_2 passes them on
def largest(s):
    """max_j s[j]"""
    quarter = len(s) // 4
    a = b = c = d = s[-1]
    for j in range(quarter):
        a, b = max(a, s[j]), max(b, s[quarter + j])
        c, d = max(c, s[2 * quarter + j]), max(d, s[3 * quarter + j])
    for j in range(4 * quarter, len(s)):
        a = max(a, s[j])
    return max(max(a, b), max(c, d))


@inner
def transposed(x, out):
    """out[c, j] = x[j, c]"""
    for j in range(x.shape[0]):
        for c in range(WIDTH):
            out[c, j] = x[j, c]


@inner
def products(x, scale, rows, out):
    """out[j] = scale Σ_c x[c] rows[c, j]"""
    x0, x1, x2, x3 = x[0] * scale, x[1] * scale, x[2] * scale, x[3] * scale
    x4, x5, x6, x7 = x[4] * scale, x[5] * scale, x[6] * scale, x[7] * scale
    for j in range(len(out)):
        low = x0 * rows[0, j] + x1 * rows[1, j] + x2 * rows[2, j] + x3 * rows[3, j]
        out[j] = low + x4 * rows[4, j] + x5 * rows[5, j] + x6 * rows[6, j] + x7 * rows[7, j]


@inner
def combined(weights, rows, scale, out):
    """out[c] = scale Σ_j weights[j] rows[c, j]"""
    o0 = o1 = o2 = o3 = o4 = o5 = o6 = o7 = ZERO
    for j in range(len(weights)):
        w = weights[j]
        o0 += w * rows[0, j]
        o1 += w * rows[1, j]
        o2 += w * rows[2, j]
        o3 += w * rows[3, j]
        o4 += w * rows[4, j]
        o5 += w * rows[5, j]
        o6 += w * rows[6, j]
        o7 += w * rows[7, j]
    out[0], out[1], out[2], out[3] = o0 * scale, o1 * scale, o2 * scale, o3 * scale
    out[4], out[5], out[6], out[7] = o4 * scale, o5 * scale, o6 * scale, o7 * scale


@inner
def length(x):
    """|x|"""
    total = ZERO
    for c in range(WIDTH):
        total += x[c] * x[c]
    return np.sqrt(total)


@inner
def weights(s, top):
    """Scores to 2^(s − top); returns their sum."""
    total = ZERO
    for j in range(len(s)):
        w = power_of_2(s[j] - top)
        s[j] = w
        total += w
    return total


@inner
def differentiated(s, s_grad, norm, mean):
    """Scores to weights 2^(s − norm), and the weights' gradients to the scores'."""
    for j in range(len(s)):
        s[j] = power_of_2(s[j] - norm)
        s_grad[j] = s[j] * (s_grad[j] - mean)


@inner
def spread(weights, x, rows):
    """rows[c, j] += Σ_i weights[i, j] x[i, c], over four queries i"""
    for c in range(0, WIDTH, 2):
        a0, a1, a2, a3 = x[0, c], x[1, c], x[2, c], x[3, c]
        b0, b1, b2, b3 = x[0, c + 1], x[1, c + 1], x[2, c + 1], x[3, c + 1]
        for j in range(weights.shape[1]):
            w0, w1, w2, w3 = weights[0, j], weights[1, j], weights[2, j], weights[3, j]
            rows[c, j] += w0 * a0 + w1 * a1 + w2 * a2 + w3 * a3
            rows[c + 1, j] += w0 * b0 + w1 * b1 + w2 * b2 + w3 * b3


HEADS, NORMS = "float32[:,:,:,:]", "float32[:,:,:]"


@compiled(f"void({', '.join([HEADS] * 4 + [NORMS] + ['int64'] * 2)})")
def forward(q, k, v, out, norm, start, stop):
    """Attention of heads ``start`` to ``stop``, counted through all rows.

    q: (R, H, T, 8), T a multiple of four. k, v: (R, H, S, 8). out: (R, H, T, 8). norm: (R, H, T), the base-2 logarithm
    of Σ_j exp(q·k_j / √8), which the gradient needs.
    """
    _, H, T, _ = q.shape
    S = k.shape[2]
    keys, values, s = np.empty((WIDTH, S), np.float32), np.empty((WIDTH, S), np.float32), np.empty(S, np.float32)
    for head in range(start, stop):
        r, h = head // H, head % H
        transposed(k[r, h], keys)
        transposed(v[r, h], values)
        longest = ZERO
        for j in range(S):
            longest = max(longest, length(k[r, h, j]))
        for i in range(T):
            products(q[r, h, i], SCALE * LOG2E, keys, s)
            top = ZERO if length(q[r, h, i]) * longest < SAFE else largest(s)
            total = weights(s, top)
            combined(s, values, ONE / total, out[r, h, i])
            norm[r, h, i] = top + np.float32(math.log2(total))


@compiled(f"void({', '.join([HEADS] * 4 + [NORMS] + [HEADS] * 4 + ['int64'] * 2)})")
def backward(q, k, v, out, norm, grad, q_grad, k_grad, v_grad, start, stop):
    """The gradients of q, k and v, given the output's ``grad``; shapes as ``forward``'s."""
    _, H, T, _ = q.shape
    S = k.shape[2]
    keys, values = np.empty((WIDTH, S), np.float32), np.empty((WIDTH, S), np.float32)
    keys_grad, values_grad = np.empty((WIDTH, S), np.float32), np.empty((WIDTH, S), np.float32)
    p, s_grad = np.empty((QUERIES, S), np.float32), np.empty((QUERIES, S), np.float32)
    for head in range(start, stop):
        r, h = head // H, head % H
        transposed(k[r, h], keys)
        transposed(v[r, h], values)
        keys_grad[:], values_grad[:] = ZERO, ZERO
        for first in range(0, T, QUERIES):
            for m in range(QUERIES):
                i = first + m
                products(q[r, h, i], SCALE * LOG2E, keys, p[m])
                products(grad[r, h, i], ONE, values, s_grad[m])
                mean = ZERO  # of the weights' gradients, under the weights
                for c in range(WIDTH):
                    mean += grad[r, h, i, c] * out[r, h, i, c]
                differentiated(p[m], s_grad[m], norm[r, h, i], mean)
                combined(s_grad[m], keys, SCALE, q_grad[r, h, i])
            spread(p, grad[r, h, first:], values_grad)
            spread(s_grad, q[r, h, first:], keys_grad)
        for j in range(S):
            for c in range(WIDTH):
                k_grad[r, h, j, c], v_grad[r, h, j, c] = SCALE * keys_grad[c, j], values_grad[c, j]
