"""What one file may cost: the budgets of every reader of files that came from elsewhere.

They are far above what real data need, and keep a file of a megabyte, whatever it claims, within some 2 GB of memory
and 10 seconds. Whoever refuses something names the limit.
"""

GIB = 2**30
MIB = 2**20

IMAGE_BYTES = 4096 * MIB
"""Of an image or mask file."""
LISTING_BYTES = 2048 * MIB
"""Of a file that lists a whole data set; a million rows have some hundred MB."""
LABEL_BYTES = 64 * MIB
"""Of a label file of one image, or of a list of names."""
YAML_BYTES = MIB
"""Of a YAML file, which is read more slowly than any other."""
YAML_EVENTS = 200_000
"""Values, lists and mappings in a YAML file."""
YAML_DEPTH = 20

PIXELS = 2 * 89_478_485
"""Of an image, whatever it is stored as (a decompression bomb, or a slide); Pillow's own limit."""
DECODED_BYTES = 1024 * MIB
"""Memory that a decoder may need for one image."""
PROGRESSIVE_BYTES = 6
"""A pixel of a progressive JPEG needs so many bytes more, since all of its coefficients are kept."""
WEBP_BYTES = 16
"""A pixel of a WebP, of which several copies are made."""
JPEG_SCANS = 100
"""Times that a progressive JPEG may go over its pixels."""
PAGES = 1000
"""Pages or frames of a GIF or a TIFF that are counted; only the first one is decoded."""
DIRECTORY_SHARE = 4
"""How often the values that a TIFF's directory (or EXIF data) names may hold the bytes of the file."""
LARGE_BYTES = 64 * MIB
"""Images that need more than this are decoded one at a time."""

DICOM_FRAMES = 10_000
DICOM_FRAME_PIXELS = 2**25
"""Rows x columns of a frame: rescaling and windows work with numbers of 8 bytes."""
DICOM_PIXELS_PER_BYTE = 200
"""Pixels of a compressed file, all frames together, to each of its bytes ..."""
DICOM_PIXELS = 2**26
"""... beyond these."""
DICOM_INFLATED_BYTES = 512 * MIB
"""Of a deflated file."""
DICOM_VALUES = 64
"""Numbers of an element that holds several, such as windows."""

MASK_VALUES = 2**16
"""Different values of a mask."""

BOXES = 20_000
"""Boxes and outlines of an image."""
CORNERS = 1_000_000
"""Of all outlines of an image."""
OUTLINE_PX = 2**22
"""Length of an outline; to fill one takes memory by its length."""
OUTLINES_PX = 2**24
"""Length of all outlines of an image."""
PAINTED_PX = 2**29
"""Pixels that all shapes of an image may paint, those painted twice counted twice."""


def in_words(size: int) -> str:
    """Return a number of bytes as people read it.

    >>> in_words(64 * MIB)
    '64 MB'
    >>> in_words(20 * GIB)
    '20 GB'
    """
    if size >= 10 * GIB:
        return f"{size / GIB:,.1f} GB".replace(".0 GB", " GB")
    return f"{size // MIB:,} MB" if size >= MIB else f"{size:,} bytes"
