"""Explicit SIMD building blocks for Numba kernels over flat float32 arrays, as LLVM intrinsics.

Numba by itself does not vectorise loops as short and nested as these. Positions in an array are element indices.
"""

from collections.abc import Callable

from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

# fewer registers are available where vectors are shorter
LANES, OUTPUTS = (16, 8) if binding.get_host_cpu_features().get("avx512f") else (8, 4)
VECTORS, TAPS = 2, 3  # per product
SHORT = 8  # lanes for part of an image row, which may be no longer than that
VECTOR, PART = ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.FloatType(), SHORT)
I64, I32 = ir.IntType(64), ir.IntType(32)
FUSED = {"flags": ("contract",)}


def _intrinsic(code: Callable[..., object]) -> Callable[..., None]:
    """Make a function that compiled code calls without the first parameter of ``code``, Numba's typing context."""
    return intrinsic(code)


def address_of(builder, pointer, *terms):
    """Return the address of element Σ terms."""
    total = I64(0)
    for term in terms:
        total = builder.add(total, I64(term) if isinstance(term, int) else term)
    return builder.gep(pointer, [total])


def load(builder, address, vector=VECTOR):
    """Load the vector at an address."""
    return builder.load(builder.bitcast(address, vector.as_pointer()), align=4)


def store(builder, value, address):
    """Store a vector at an address."""
    builder.store(value, builder.bitcast(address, value.type.as_pointer())).align = 4


def constant(value, vector=VECTOR):
    """Return a vector with a Python number in all lanes."""
    return vector([float(value)] * vector.count)


def broadcast(builder, number, vector=VECTOR):
    """Return a vector with a compiled value in all lanes."""
    undefined, zeros = vector(ir.Undefined), ir.VectorType(I32, vector.count)([0] * vector.count)
    return builder.shuffle_vector(builder.insert_element(undefined, number, I32(0)), undefined, zeros)


def multiply_add(builder, a, b, c):
    """a b + c"""
    return builder.fadd(c, builder.fmul(a, b, **FUSED), **FUSED)


def pointers(context, builder, signature, args, *places):
    """Return pointers to the data of the array arguments at ``places``."""
    return [context.make_array(signature.args[n])(context, builder, args[n]).data for n in places]


def transform(matrix):
    """Make the intrinsic dst[d + k dst_step] = start + Σ_j matrix[k, j] src[s + j src_step] on vectors of SHORT lanes.

    Rows j of the source before ``first`` and from ``last`` on count as zero.
    """

    @_intrinsic
    def apply(typing, src, s, src_step, first, last, start, dst, d, dst_step):
        def code(context, builder, signature, args):
            _, s, src_step, first, last, start, _, d, dst_step = args
            src, dst = pointers(context, builder, signature, args, 0, 6)
            rows = []
            for j in range(matrix.shape[1]):
                inside = builder.and_(builder.icmp_signed("<=", first, I64(j)), builder.icmp_signed("<", I64(j), last))
                row = builder.mul(builder.select(inside, I64(j), first), src_step)
                rows.append(
                    builder.select(inside, load(builder, address_of(builder, src, s, row), PART), constant(0, PART))
                )
            for k, coefficients in enumerate(matrix):
                total = broadcast(builder, start, PART)
                for c, row in zip(coefficients, rows):
                    total = multiply_add(builder, constant(c, PART), row, total) if c else total
                store(builder, total, address_of(builder, dst, d, builder.mul(dst_step, I64(k))))
            return context.get_dummy_value()

        return types.void(src, s, src_step, first, last, start, dst, d, dst_step), code

    return apply


def accumulate(builder, totals, count, weight, row):
    """totals[o][n] += Σ_i weight(i)[o] row(i)[n] for i < ``count``, with OUTPUTS o and VECTORS vectors n in registers.

    weight, row: functions of i; the addresses of weight(i)[o] for every o, and the address of row(i)[0].
    """
    with cgutils.for_range(builder, count) as loop:
        rows = [load(builder, address_of(builder, row(loop.index), n * LANES)) for n in range(VECTORS)]
        for address, sums in zip(weight(loop.index), totals):
            w = broadcast(builder, builder.load(address))
            for total, x in zip(sums, rows):
                builder.store(multiply_add(builder, w, x, builder.load(total)), total)


def registers(builder):
    """Allocate OUTPUTS × VECTORS vectors."""
    return [[cgutils.alloca_once(builder, VECTOR) for _ in range(VECTORS)] for _ in range(OUTPUTS)]


def with_addresses(builder, totals, dst, d, dst_step):
    """Yield every total with its address d + o dst_step + n LANES."""
    for o, sums in enumerate(totals):
        row = builder.add(d, builder.mul(dst_step, I64(o)))
        for n, total in enumerate(sums):
            yield total, address_of(builder, dst, row, n * LANES)


@_intrinsic
def product(typing, filters, f, src, s, src_step, channels, dst, d, dst_step):
    """dst[d + o dst_step] = Σ_tap Σ_c filters[f + (tap channels + c) OUTPUTS + o] src[s + tap + c src_step].

    Computed for OUTPUTS o and, in src and dst, VECTORS vectors of positions.
    """

    def code(context, builder, signature, args):
        _, f, _, s, src_step, channels, _, d, dst_step = args
        filters, src, dst = pointers(context, builder, signature, args, 0, 2, 6)
        totals = registers(builder)
        for total in sum(totals, []):
            builder.store(constant(0), total)
        for tap in range(TAPS):
            first = builder.add(f, builder.mul(channels, I64(OUTPUTS * tap)))

            def weight(c, first=first):
                return [address_of(builder, filters, first, builder.mul(c, I64(OUTPUTS)), o) for o in range(OUTPUTS)]

            def row(c, tap=tap):
                return address_of(builder, src, s, builder.mul(c, src_step), tap)

            accumulate(builder, totals, channels, weight, row)
        for total, address in with_addresses(builder, totals, dst, d, dst_step):
            store(builder, builder.load(total), address)
        return context.get_dummy_value()

    return types.void(filters, f, src, s, src_step, channels, dst, d, dst_step), code


@_intrinsic
def outer(typing, delta, e, delta_step, src, s, src_step, positions, dst, d, dst_step):
    """dst[d + o dst_step] += Σ_i delta[e + i + o delta_step] src[s + i src_step].

    Computed for OUTPUTS o and, in src and dst, VECTORS vectors of channels.
    """

    def code(context, builder, signature, args):
        _, e, delta_step, _, s, src_step, positions, _, d, dst_step = args
        delta, src, dst = pointers(context, builder, signature, args, 0, 3, 7)
        totals = registers(builder)
        for total, address in with_addresses(builder, totals, dst, d, dst_step):
            builder.store(load(builder, address), total)
        rows = [builder.add(e, builder.mul(delta_step, I64(o))) for o in range(OUTPUTS)]

        def weight(i):
            return [address_of(builder, delta, row, i) for row in rows]

        def row(i):
            return address_of(builder, src, s, builder.mul(i, src_step))

        accumulate(builder, totals, positions, weight, row)
        for total, address in with_addresses(builder, totals, dst, d, dst_step):
            store(builder, builder.load(total), address)
        return context.get_dummy_value()

    return types.void(delta, e, delta_step, src, s, src_step, positions, dst, d, dst_step), code


@_intrinsic
def transpose(typing, src, s, src_step, dst, d, dst_step):
    """dst[d + i dst_step + j] = src[s + j src_step + i] for i and j below LANES."""

    def code(context, builder, signature, args):
        _, s, src_step, _, d, dst_step = args
        src, dst = pointers(context, builder, signature, args, 0, 3)
        rows = [load(builder, address_of(builder, src, s, builder.mul(src_step, I64(j)))) for j in range(LANES)]
        half = 1
        while half < LANES:  # swap the off-diagonal blocks of size 1 × 1, 2 × 2, 4 × 4, …
            low = [n if not n & half else LANES + n - half for n in range(LANES)]
            high = [n + half if not n & half else LANES + n for n in range(LANES)]
            for j in range(LANES):
                if not j & half:
                    pair = rows[j], rows[j + half]
                    rows[j], rows[j + half] = (
                        builder.shuffle_vector(*pair, ir.VectorType(I32, LANES)(mask)) for mask in (low, high)
                    )
            half *= 2
        for i, row in enumerate(rows):
            store(builder, row, address_of(builder, dst, d, builder.mul(dst_step, I64(i))))
        return context.get_dummy_value()

    return types.void(src, s, src_step, dst, d, dst_step), code
