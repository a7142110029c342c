"""Label Studio's brush format: a mask as run-length packed RGBA values, a list of bytes. Pure and lossless.

The bit stream is that of thi.ng's rle-pack, which Label Studio uses: the number of values (32 bits), bits in a value
less 1 (5), bits in each of four kinds of counts less 1 (4 each); then records of one bit (1: a run, 0: values as they
are), two bits (kind of count), the count less 1, and one value or as many as counted. A mask is opaque white where it
is, and transparent black where it is not; what people paint has other colours, so only the opacity counts.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from annotator.shapes.limits import MAX_PAINT_RECORDS, check_canvas

CHANNELS = 4
COUNT_BITS = (3, 4, 8, 16)
HEADER_BYTES = 64
"""More than what stands before the records and after them."""
OPAQUE = 128
"""From this opacity on a pixel is inside: the edges of strokes are smoothed."""


def encode_brush(mask_HW: NDArray[np.bool_]) -> list[int]:
    """Pack a mask.

    Args:
        mask_HW: bool, True inside.

    Returns:
        The bytes, each 0 to 255.

    Raises:
        ValueError: it changes from outside to inside so often that it could not be read back.
    """
    flat_N = np.asarray(mask_HW, dtype=bool).ravel()
    bits = [f"{flat_N.size * CHANNELS:032b}{8 - 1:05b}", *(f"{size - 1:04b}" for size in COUNT_BITS)]
    if flat_N.size:
        ends = np.flatnonzero(np.diff(flat_N, append=not flat_N[-1])) + 1
        if len(ends) > MAX_PAINT_RECORDS // 2:
            raise ValueError(f"a mask changes {len(ends):,} times between outside and inside, which is too often")
        for length, inside in zip(np.diff(ends, prepend=0).tolist(), flat_N[ends - 1].tolist(), strict=True):
            bits += _run(length * CHANNELS, 255 if inside else 0)
    text = "".join(bits)
    # At least one bit, as Label Studio's own converter does.
    text += "0" * (8 - len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def _run(length: int, value: int) -> list[str]:
    records = []
    while length:
        kind = next((n for n, size in enumerate(COUNT_BITS) if length <= 1 << size), len(COUNT_BITS) - 1)
        part = min(length, 1 << COUNT_BITS[kind])
        records.append(f"1{kind:02b}{part - 1:0{COUNT_BITS[kind]}b}{value:08b}")
        length -= part
    return records


def decode_brush(
    rle: Sequence[int], height: int, width: int, *, most_records: int = MAX_PAINT_RECORDS
) -> NDArray[np.bool_]:
    """Unpack a mask; see `decode_brush_counted`."""
    return decode_brush_counted(rle, height, width, most_records=most_records)[0]


def decode_brush_counted(
    rle: Sequence[int], height: int, width: int, *, most_records: int = MAX_PAINT_RECORDS
) -> tuple[NDArray[np.bool_], int]:
    """Unpack a mask, in memory of at most four bytes a pixel beside the mask and the bytes.

    Args:
        rle: bytes, each 0 to 255.
        height: of the image that was painted on, pixels.
        width: of the same.
        most_records: how many records may be read, which bounds the time.

    Returns:
        bool HW, True where the paint is at least half opaque; and how many records were read.

    Raises:
        ValueError: the bytes are cut off, of another form, too many, or of an image of another size.
    """
    check_canvas(height, width)
    wanted = height * width * CHANNELS
    bits = _Bits(_bytes_of(rle, 2 * wanted + HEADER_BYTES))
    count, word = bits.read(32), bits.read(5) + 1
    if count != wanted or word != 8:
        raise ValueError(f"a brush mask has {count} values of {word} bits, expected {wanted} of 8")
    sizes = [bits.read(4) + 1 for _ in range(4)]
    values_N = np.empty(count, dtype=np.uint8)
    at = records = 0
    while at < count:
        records += 1
        if records > most_records:
            raise ValueError(f"a brush mask has more than {most_records:,} runs, the limit")
        is_run = bits.read(1)
        end = at + 1 + bits.read(sizes[bits.read(2)])
        if end > count:
            raise ValueError("a brush mask has more values than its header says")
        if is_run:
            values_N[at:end] = bits.read(8)
        else:
            values_N[at:end] = bits.read_bytes(end - at)
        at = end
    inside: NDArray[np.bool_] = values_N.reshape(height, width, CHANNELS)[:, :, 3] >= OPAQUE
    return inside, records


def _bytes_of(rle: object, most: int) -> bytes:
    """Return a list of bytes as such; a number would be taken for a count of zeros to allocate."""
    if isinstance(rle, str) or not isinstance(rle, Sequence):
        raise ValueError("a brush mask is a list of bytes")
    if len(rle) > most:
        raise ValueError(f"a brush mask has {len(rle):,} bytes, more than its image can need")
    try:
        return bytes(rle)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("a brush mask is a list of bytes, each 0 to 255") from None


class _Bits:
    """Reads numbers from a stream of bits, highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at, self._end = data, 0, len(data) * 8

    def read(self, size: int) -> int:
        """Read a number of at most 32 bits."""
        stop = self._at + size
        if stop > self._end:
            raise ValueError("a brush mask is truncated")
        first, last = self._at // 8, -(-stop // 8)
        number = int.from_bytes(self._data[first:last], "big") >> (last * 8 - stop)
        self._at = stop
        return number & ((1 << size) - 1)

    def read_bytes(self, count: int) -> NDArray[np.uint8]:
        """Read numbers of 8 bits each."""
        stop = self._at + count * 8
        if stop > self._end:
            raise ValueError("a brush mask is truncated")
        first, last = self._at // 8, -(-stop // 8)
        bits = np.unpackbits(np.frombuffer(self._data[first:last], dtype=np.uint8))
        shift = self._at - first * 8
        self._at = stop
        return np.packbits(bits[shift : shift + count * 8])
