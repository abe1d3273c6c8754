"""Compiled loops of ``convolution.py``: 3 × 3 convolutions with half the multiplications.

Winograd's minimal filtering F(4, 3) (Lavin & Gray, arXiv 1509.09308, §4.1) is applied along the columns of an image:
four output rows y from six input rows d and three filter rows g are y = A [(G g) ⊙ (B d)], six products instead of
twelve. Along the rows, filters keep their three taps; these are loads shifted by one position, with a zero after each
row.

A band is four output rows of one image. Bands lie side by side in the cache as (6, channels, positions), each a row of
W positions followed by a zero. Every band is computed by the same sums in the same order wherever it lies.
"""

import numpy as np

from waypoint.kernels.jit import compiled, inner
from waypoint.kernels.simd import LANES, OUTPUTS, SHORT, TAPS, VECTORS, outer, product, transform, transpose

POSITIONS = 384  # side by side in the cache
ROWS, PRODUCTS = 4, 6
WIDE = VECTORS * LANES  # positions or channels in one product

# Of the points tried, these lose the least precision, and they make A and B exact in binary
POINTS = np.array([0, 3 / 4, -3 / 4, 3 / 2, -3 / 2])
_others = [np.delete(POINTS, n) for n in range(len(POINTS))]
A = np.column_stack([np.vander(POINTS, ROWS, increasing=True).T, np.eye(ROWS)[-1]])
G = np.vstack([p ** np.arange(TAPS) / np.prod(p - others) for p, others in zip(POINTS, _others)] + [np.eye(TAPS)[-1]])
B = np.zeros((PRODUCTS, PRODUCTS))
for _n, _roots in enumerate([*_others, POINTS]):
    B[_n, : len(_roots) + 1] = np.polynomial.polynomial.polyfromroots(_roots)

to_products, to_rows, from_rows = transform(B), transform(A), transform(A.T)
ZERO = np.float32(0)


@inner
def gather(x, begin, count, d, padded, channels):
    """Write B d of ``count`` bands of x (R, C, H, W) from ``begin`` on to d (6, channels, padded), after one zero."""
    _, C, H, W = x.shape
    bands, flat = H // ROWS, x.reshape(x.size)
    for c in range(C):
        for n in range(count):
            r, band = (begin + n) // bands, (begin + n) % bands
            source = ((r * C + c) * H + ROWS * band - 1) * W
            first, last = 0 if band else 1, PRODUCTS - 1 if band == bands - 1 else PRODUCTS
            for w in range(0, W, SHORT):
                position = c * padded + 1 + n * (W + 1) + w
                to_products(flat, source + w, W, first, last, ZERO, d, position, channels * padded)


@inner
def up(n, multiple):
    """Round n up to a multiple of another number."""
    return -(-n // multiple) * multiple


@compiled("void(float32[:,:,:,::1], float32[:,::1], float32[::1], float32[:,:,:,::1], int64, int64)")
def convolve(x, filters, bias, out, start, stop):
    """Compute bands ``start`` to ``stop``, numbered across all rows, of a convolution with padding 1.

    x: (R, C, H, W). filters: (6, outputs C 3), each of the six G g as (outputs / OUTPUTS, tap, C, OUTPUTS). bias:
    (outputs,). out: (R, outputs, H, W). H is a multiple of 4, W of SHORT, and outputs of OUTPUTS.
    """
    R, C, H, W = x.shape
    outputs, bands, span = out.shape[1], H // ROWS, W + 1
    bands_per_pass = max(1, POSITIONS // span)
    width = up(bands_per_pass * span, WIDE)
    padded = width + LANES
    d, m = np.zeros(PRODUCTS * C * padded, np.float32), np.empty(PRODUCTS * outputs * width, np.float32)
    flat = out.reshape(out.size)
    for begin in range(start, stop, bands_per_pass):
        count = min(bands_per_pass, stop - begin)
        gather(x, begin, count, d, padded, C)
        for k in range(PRODUCTS):
            for o in range(0, outputs, OUTPUTS):
                for position in range(0, count * span, WIDE):
                    source, target = k * C * padded + position, (k * outputs + o) * width + position
                    product(filters[k], o * C * TAPS, d, source, padded, C, m, target, width)
        for o in range(outputs):
            for n in range(count):
                r, band = (begin + n) // bands, (begin + n) % bands
                target = ((r * outputs + o) * H + ROWS * band) * W
                for w in range(0, W, SHORT):
                    position = o * width + n * span + w
                    to_rows(m, position, outputs * width, 0, PRODUCTS, bias[o], flat, target + w, W)


@compiled("void(float32[:,:,:,::1], float32[:,:,:,::1], float32[:,:,:,:,::1], int64, int64)")
def correlate(x, delta, out, start, stop):
    """Sum the gradients of the six G g over the bands of parts ``start`` to ``stop``, given the output gradient δ.

    x: (R, C, H, W). delta: (R, outputs, H, W). out: (parts, 6, tap, outputs, C padded to WIDE), initially zero.
    Shapes are constrained as for ``convolve``; every part has the same number of bands.
    """
    R, C, H, W = x.shape
    outputs, bands, span = delta.shape[1], H // ROWS, W + 1
    bands_per_part, channels = R * bands // len(out), out.shape[4]
    bands_per_pass = max(1, POSITIONS // span)
    width = up(bands_per_pass * span, LANES)
    padded = width + LANES
    d, e = np.zeros(PRODUCTS * channels * padded, np.float32), np.zeros(PRODUCTS * outputs * width, np.float32)
    columns, flat = np.empty(padded * channels, np.float32), delta.reshape(delta.size)
    for part in range(start, stop):
        for begin in range(part * bands_per_part, (part + 1) * bands_per_part, bands_per_pass):
            count = min(bands_per_pass, (part + 1) * bands_per_part - begin)
            gather(x, begin, count, d, padded, channels)
            for o in range(outputs):
                for n in range(count):
                    r, band = (begin + n) // bands, (begin + n) % bands
                    source = ((r * outputs + o) * H + ROWS * band) * W
                    for w in range(0, W, SHORT):
                        position = o * width + n * span + w
                        from_rows(flat, source + w, W, 0, ROWS, ZERO, e, position, outputs * width)
            for k in range(PRODUCTS):
                for c in range(0, channels, LANES):
                    for position in range(0, padded, LANES):
                        source = (k * channels + c) * padded + position
                        transpose(d, source, padded, columns, position * channels + c, channels)
                for tap in range(TAPS):
                    sums = out[part, k, tap].reshape(outputs * channels)
                    for o in range(0, outputs, OUTPUTS):
                        for c in range(0, channels, WIDE):
                            rows, first, target = (k * outputs + o) * width, tap * channels + c, o * channels + c
                            outer(e, rows, width, columns, first, channels, count * span, sums, target, channels)
