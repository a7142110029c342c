"""Damage: to the bytes of a file, to what it says, to the numbers in its header. Each takes a seeded generator."""

import copy
import io
import json
import struct
import xml.etree.ElementTree as ElementTree
import zlib

import pydicom
import yaml

TOKENS = [
    *(b"nan", b"-1", b"1e999", b"99999999999999999999", b"null", b"[]", b"{}", b'"', b",", b"\n", b"\x00", b"%s"),
    *(b"\xff\xfe", b"\xef\xbb\xbf", b"&x;", b"<a>", b"../../etc/passwd", b"#frame=7", "ü\u202e".encode()),
    *(b"inf", b"\x1b[31m", b"*a", b"&a ", b"[" * 5000, b'{"a":' * 5000, b"=1+1", b"'", b"\xed\xa0\x80", b"0x7fffffff"),
]
VALUES = [
    *(None, True, [], {}, "", "x", -1, 0, 1e308, 10**400, 2**31, 2**63, -(2**63), float("nan"), float("inf"), [[]]),
    *(
        {"id": {}},
        "a.png",
        ["a.png"],
        "\x00",
        "\ud800",
        "²",
        "1e999",
        "\x1b]0;x\x07",
        [1e18] * 8,
        "9" * 5000,
        0.5,
        -0.5,
    ),
]
EDGES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]


def pick(rng, choices):
    """One of a sequence, as it is: numpy would turn what it holds into its own kinds."""
    return choices[int(rng.integers(len(choices)))]


def damaged(data, rng):
    """Damage bytes in one of the ways that disks, editors and programs do."""
    kind = rng.integers(8)
    at, end = sorted(int(value) for value in rng.integers(0, len(data) + 1, 2))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + data[end:]
    if kind == 2:
        return data[:end] + data[at:end] + data[end:]
    if kind == 3:
        return data[:at] + pick(rng, TOKENS) + data[at:]
    if kind == 4:
        return data[:at] + pick(rng, TOKENS) + data[min(at + 3, len(data)) :]
    if kind == 5:
        return data[:at] + rng.bytes(int(rng.integers(1, 9))) + data[at:]
    changed = bytearray(data)
    if kind == 6 and len(changed) >= 4:
        # A number of two or four bytes, where headers are.
        width, place = pick(rng, (2, 4)), int(rng.integers(min(len(changed) - 3, 200)))
        edge = pick(rng, EDGES) & (2 ** (8 * width) - 1)
        changed[place : place + width] = edge.to_bytes(width, pick(rng, ("big", "little")))
        return bytes(changed)
    for place in rng.integers(0, max(len(changed), 1), int(rng.integers(1, 6))):
        if changed:
            changed[place] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def changed_document(document, rng):
    """Change what a document says: values lost, doubled, swapped, or of another kind."""
    document = copy.deepcopy(document)
    for _ in range(int(rng.integers(1, 4))):
        places = list(_places(document))
        if not places:
            break
        at, key = pick(rng, places)
        kind = rng.integers(4)
        if kind <= 1:
            at[key] = copy.deepcopy(pick(rng, VALUES))
        elif kind == 2:
            del at[key]
        else:
            other, there = pick(rng, places)
            try:
                at[key] = copy.deepcopy(other[there])
            except (KeyError, IndexError):
                continue
    return document


def _places(document):
    """Every place of a document, as the container and the key or index in it."""
    keys = document.keys() if isinstance(document, dict) else range(len(document))
    for key in list(keys):
        yield document, key
        if isinstance(document[key], dict | list):
            yield from _places(document[key])


def restructured(name, data, rng):
    """Change what a file says rather than how it is written."""
    if name.endswith(".json"):
        return json.dumps(changed_document(json.loads(data), rng)).encode()
    if name.endswith(".yaml"):
        return yaml.safe_dump(changed_document(yaml.safe_load(data), rng)).encode("utf-8", "surrogatepass")
    if name.endswith(".xml"):
        return _changed_xml(data, rng)
    if name.endswith(".png"):
        return changed_png(data, rng)
    if name.endswith(".dcm"):
        return changed_dicom(data, rng)
    if not name.endswith((".csv", ".txt")):
        return damaged(data, rng)
    lines = data.split(b"\n")
    cells = lines[row := int(rng.integers(len(lines)))].replace(b",", b" ").split(b" ")
    kind = rng.integers(3)
    if kind == 0:
        lines.insert(int(rng.integers(len(lines) + 1)), lines[row])
    elif kind == 1:
        del lines[row]
    else:
        cells[rng.integers(len(cells))] = str(pick(rng, VALUES)).encode("utf-8", "surrogatepass")
        lines[row] = (b"," if b"," in lines[row] else b" ").join(cells)
    return b"\n".join(lines)


def _changed_xml(data, rng):
    root = ElementTree.fromstring(data)
    parents = [element for element in root.iter() if len(element)]
    parent = pick(rng, parents)
    child = pick(rng, list(parent))
    kind = rng.integers(5)
    words = [value for value in map(str, VALUES) if value.isprintable()]
    if kind == 0:
        parent.remove(child)
    elif kind == 1:
        pick(rng, parents).append(copy.deepcopy(child))
    elif kind == 2 and child.attrib:
        child.set(pick(rng, list(child.attrib)), pick(rng, words))
    elif kind == 3:
        return ElementTree.tostring(root).replace(b">", b' xmlns="http://example.org/schema">', 1)
    else:
        child.text = pick(rng, words)
    return ElementTree.tostring(root)


def changed_png(data, rng):
    """Change a chunk of a PNG and repair its checksum, so that the decoder goes on to read it."""
    chunks, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    number = int(rng.integers(len(chunks)))
    kind, body = chunks[number]
    way = rng.integers(4)
    if way == 0:
        chunks.insert(int(rng.integers(len(chunks) + 1)), (kind, body))
    elif way == 1:
        bomb = b"x\0\0" + zlib.compress(bytes(64 * 2**20), 9)
        chunks.insert(1, (pick(rng, (b"zTXt", b"iCCP", b"tEXt", b"acTL", b"PLTE", b"tRNS", b"eXIf")), bomb))
    elif way == 2 and kind == b"IDAT":
        chunks[number] = (kind, zlib.compress(bytes(int(pick(rng, (0, 1, 2**20, 2**27)))), 9))
    else:
        chunks[number] = (kind, damaged(body, rng))
    written = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    return data[:8] + written


def changed_dicom(data, rng):
    """Change or remove elements of a DICOM file's header and write it as it then is."""
    dataset = pydicom.dcmread(io.BytesIO(data))
    for _ in range(int(rng.integers(1, 4))):
        element = pick(rng, list(dataset))
        way = rng.integers(3)
        if way == 0:
            del dataset[element.tag]
            continue
        value = {
            "US": int(pick(rng, EDGES[:8])),
            "IS": pick(rng, ("-3", "0", "2147483647", "")),
            "DS": pick(rng, ("nan", "1e308", "-1", "0", "")),
        }.get(element.VR, pick(rng, ("", "x" * 300, "a\\b", "\x00", "-1")))
        if element.VR in ("OW", "OB"):
            value = bytes(int(pick(rng, (0, 1, 7, 5000))))
        try:
            dataset[element.tag].value = value
        except Exception:
            # pydicom does not write everything that a file can hold; bytes are damaged elsewhere.
            return damaged(data, rng)
    if way == 2:
        dataset.NumberOfFrames = pick(rng, ("-3", "0", "2", "99999999"))
    out = io.BytesIO()
    try:
        dataset.save_as(out)
    except Exception:
        return damaged(data, rng)
    return out.getvalue()
