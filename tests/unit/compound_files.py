"""
Writes compound files (OLE), which no library here does: streams in storages, as [MS-CFB] has them.
"""

import struct
from itertools import pairwise

_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_SECTOR, _MINI, _CUTOFF = 512, 64, 4096


def compound_file(streams: dict[str, bytes]) -> bytes:
    """
    The bytes of a compound file.

    Args:
        streams: by their paths, with slashes between storages.
    """
    tree: dict[str, dict | bytes] = {}
    for path, data in streams.items():
        *storages, name = path.split("/")
        node = tree
        for storage in storages:
            node = node.setdefault(storage, {})
        node[name] = data

    sectors: list[bytes] = []
    chains: list[tuple[int, int]] = []
    minis: list[bytes] = []
    mini_chains: list[tuple[int, int]] = []

    def kept(data: bytes, store: list[bytes], table: list[tuple[int, int]], size: int) -> int:
        if not data:
            return _END
        start = len(store)
        store += [data[at : at + size].ljust(size, b"\0") for at in range(0, len(data), size)]
        table.append((start, len(store)))
        return start

    entries: list[list] = [["Root Entry", 5, _FREE, 0, 0]]

    def grow(node: dict, parent: int) -> None:
        numbers = []
        for name in sorted(node, key=lambda each: (len(each), each.upper())):
            numbers.append(len(entries))
            child = node[name]
            if isinstance(child, bytes):
                small = len(child) < _CUTOFF
                start = kept(child, minis, mini_chains, _MINI) if small else kept(child, sectors, chains, _SECTOR)
                entries.append([name, 2, _FREE, start, len(child), _FREE])
            else:
                entries.append([name, 1, _FREE, 0, 0, _FREE])
                grow(child, numbers[-1])
        entries[parent][2] = numbers[0]
        for left, right in pairwise(numbers):
            entries[left][5] = right

    entries[0].append(_FREE)
    grow(tree, 0)
    entries[0][3:5] = [kept(b"".join(minis), sectors, chains, _SECTOR), len(minis) * _MINI]
    minifat = kept(_table(len(minis), mini_chains), sectors, chains, _SECTOR)
    directory = kept(b"".join(_entry(*each) for each in entries), sectors, chains, _SECTOR)
    count = 1
    while count * 128 < len(sectors) + count:
        count += 1
    fat = _table(len(sectors), chains) + struct.pack("<I", _FAT) * count
    first = len(sectors)
    fat = fat.ljust(count * _SECTOR, b"\xff")
    header = struct.pack(
        "<8s16xHHHHH6xIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        0x3E,
        3,
        0xFFFE,
        9,
        6,
        0,
        count,
        directory,
        0,
        _CUTOFF,
        minifat,
        -(-len(minis) // 128) if minis else 0,
        _END,
        0,
    )
    header += struct.pack("<109I", *range(first, first + count), *[_FREE] * (109 - count))
    return header + b"".join(sectors) + fat


def _table(length: int, chains: list[tuple[int, int]]) -> bytes:
    table = [_FREE] * length
    for start, end in chains:
        table[start:end] = [*range(start + 1, end), _END]
    return struct.pack(f"<{length}I", *table)


def _entry(name: str, kind: int, child: int, start: int, size: int, right: int) -> bytes:
    written = name.encode("utf-16-le")
    return struct.pack("<64sHBBIII36xIQ", written, len(written) + 2, kind, 1, _FREE, right, child, start, size)


def native_object(name: str, data: bytes) -> bytes:
    """
    A file as Office's Packager keeps it, its names once more in UTF-16.
    """
    path = f"C:\\work\\{name}"
    ansi, wide = (
        path.encode("cp1252", "replace"),
        [struct.pack("<I", len(t)) + t.encode("utf-16-le") for t in (path, name, path)],
    )
    body = b"\x02\x00" + name.encode("cp1252", "replace") + b"\0" + ansi + b"\0\0\0\x03\0"
    body += struct.pack("<I", len(ansi) + 1) + ansi + b"\0" + struct.pack("<I", len(data)) + data + b"".join(wide)
    return compound_file({"\x01Ole10Native": struct.pack("<I", len(body)) + body})


def outlook_mail(streams: dict[str, bytes]) -> bytes:
    """
    A mail as Outlook keeps it, of the streams of its properties.
    """
    return compound_file(
        {"__properties_version1.0": bytes(32), "__nameid_version1.0/__substg1.0_00020102": b"", **streams}
    )


def mapi_texts(place: str, texts: dict[int, str]) -> dict[str, bytes]:
    """
    Streams of properties that are texts, by their numbers.
    """
    return {f"{place}__substg1.0_{number:04X}001F": text.encode("utf-16-le") for number, text in texts.items()}
