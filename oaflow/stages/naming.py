"""
The ids of documents, pages and folders: the same file gives the same id in every run. Pure.
"""

from hashlib import sha1


def document_id(dataset: str, path: bytes) -> str:
    """
    The id of a file or folder of a source: from its dataset and absolute path.
    """
    return _hash(dataset.encode(), path)


def member_id(dataset: str, container: str, key: str) -> str:
    """
    The id of a file inside another: from the id of what holds it, and what tells it from its siblings.
    """
    return _hash(dataset.encode(), container.encode(), key.encode("utf-8", "surrogateescape"))


def page_id(document: str, number: int) -> str:
    """
    The id of a page, counted from 1.
    """
    return _hash(document.encode(), b"page", str(number).encode())


def _hash(*parts: bytes) -> str:
    # A name can hold any byte but NUL, so NUL keeps the parts apart.
    return sha1(b"\x00".join(parts)).hexdigest()
