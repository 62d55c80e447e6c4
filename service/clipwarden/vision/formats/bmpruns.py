"""A BMP's run lengths in, whether they leave out pixels out: viewers differ on what is seen there."""

from clipwarden.errors import ImageError, Reason

# Each takes our walk 0.2 us and Pillow's decoder 1 us; a picture of 4 million pixels without two alike has as many.
MOST_RUNS = 4_000_000
_END_OF_ROW, _END, _SKIP = range(3)


def leaves_out(runs: memoryview, width: int, *, nibbles: bool) -> bool:
    """Tell whether run lengths leave out pixels, which Chromium 150 shows as see-through, or overrun a row.

    Args:
        runs: What lies where the header says that pixels begin.
        width: In pixels.
        nibbles: Whether a byte holds two pixels (BI_RLE4).

    Raises:
        ImageError: IMAGE_FORMAT_UNSUPPORTED; there are more than anybody writes.
    """
    position, column = 0, 0
    for _ in range(MOST_RUNS):
        if position + 2 > len(runs):
            return False
        count, value = runs[position], runs[position + 1]
        position += 2
        if count:
            column += count
        elif value == _END_OF_ROW:
            if column < width:
                return True
            column = 0
        elif value == _END:  # the decoder refuses a picture that lacks rows
            return False
        elif value == _SKIP:
            return True
        else:
            column += value
            size = (value + 1) // 2 if nibbles else value
            position += size + (size & 1)
        if column > width:
            return True
    raise ImageError(f"The BMP has more than {MOST_RUNS:,} runs.", reason=Reason.IMAGE_FORMAT_UNSUPPORTED)
