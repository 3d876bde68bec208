"""
`extract`: from a file to its text, its metadata, and the files in it.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oaflow.dsl import Out, stage
from oaflow.jobs import DatasetJob, EntityFileReference, current
from oaflow.stages.content import Content, Member, Unreadable
from oaflow.stages.desk import Desk, desk
from oaflow.stages.filetypes import ENCRYPTED_OFFICE, clean_type, file_type, named_type
from oaflow.stages.limits import Limits, limits
from oaflow.stages.naming import member_id, page_id
from oaflow.stages.reading import read_file, schema_of
from oaflow.stages.skipping import Skip, skipping
from oaflow.stages.texts import cleaned

if TYPE_CHECKING:
    from followthemoney.proxy import EntityProxy

# Jobs of one attempt are at most 10,000: the files of a larger container travel several in a job.
_CHILDREN_JOBS = 9_000

# Types of properties whose values do not travel with a job.
_LONG = ("text", "html", "json")


@stage(queue="ingest", ports=("default", "children"), accepts=["Document"])
def extract(job: DatasetJob, *, ocr: bool = True, skip: list[str] | None = None) -> Iterator[DatasetJob | Out]:
    """
    Read the text of a file, and unpack what it contains.

    A file that cannot be read goes on with `processingError`. What is in it goes out on port `children`.

    Args:
        ocr: whether to read text in images, and in PDF pages without text.
        skip: names of files and folders within archives and mails that are left out; default: `LITTER`.
    """
    for entity in job.get_entities():
        if entity.get("contentHash", quiet=True):
            continue
        # Without a file there is nothing to read: what is known of it goes on.
        yield job.with_entities([entity])
    for reference in job.get_file_references():
        with desk(limits(), current().temp, depth=depth_of(job), ocr=ocr) as place:
            yield from _extract(job, reference, place, skipping(skip))


def depth_of(job: DatasetJob) -> int:
    """
    Out of how many containers the job's documents came: the recursion that the run counts.
    """
    mark = job.context.get("oaflow")
    depth = mark.get("depth") if isinstance(mark, dict) else None
    if isinstance(depth, dict):
        return max((each for each in depth.values() if isinstance(each, int)), default=0)
    return depth if isinstance(depth, int) else 0


def _extract(job: DatasetJob, reference: EntityFileReference, place: Desk, skip: Skip) -> Iterator[DatasetJob | Out]:
    entity: EntityProxy = reference.entity
    assert entity.id is not None  # checked where the job was built
    name = entity.first("fileName", quiet=True) or entity.id
    # Not a copy: nothing here writes to the file.
    with reference.open() as handle:
        path = Path(handle.name)
        mime = _type(path, name, entity)
        try:
            content = read_file(path, name, mime, place)
        except Unreadable as error:
            # Of an empty or encrypted file only its name says what it was to be.
            known = mime if path.stat().st_size and mime != ENCRYPTED_OFFICE else named_type(name) or mime
            content = Content(schema_of(known), error=error.reason)
        document = _document(entity, content, mime)
        children = _children(job, document, name, content, place, skip)
    if content.error is not None:
        job.unreadable(entity.id, name, content.error)
    pages = _finish(document, content, place.limits)
    with job.get_writer() as writer:
        for each in (document, *pages, *children.folders, *children.lost):
            # In a job of several documents each has a fragment of its own, as it would have alone.
            writer.put(each, fragment=entity.id)
    yield job.with_entities([_light(document), *map(_light, pages)])
    for lost in children.lost:
        yield job.with_entities([lost])
    size = -(-len(children.files) // _CHILDREN_JOBS) or 1
    for start in range(0, len(children.files), size):
        yield Out("children", job.with_entities(children.files[start : start + size]))


def _type(path: Path, name: str, entity: "EntityProxy") -> str:
    mime = file_type(path, name)
    told = entity.first("mimeType", quiet=True)
    # A mail in a mailbox, an attachment without a name: the container knew better than the letters.
    if mime == "text/plain" and told is not None and told.startswith(("message/", "text/")):
        return told
    return mime


def _document(entity: "EntityProxy", content: Content, mime: str) -> "EntityProxy":
    from followthemoney import model

    document = model.make_entity(content.schema)
    document.id = entity.id
    for prop, value in entity.itervalues():
        if prop.name in document.schema.properties and prop.name != "mimeType":
            document.add(prop.name, value, cleaned=True)
    document.add("mimeType", clean_type(mime), cleaned=True)
    for name, values in content.properties.items():
        # Headers and columns are JSON already, and fit for it.
        document.add(name, values, cleaned=name in ("headers", "columns"), quiet=True)
    return document


def _finish(document: "EntityProxy", content: Content, limits: Limits) -> "list[EntityProxy]":
    """
    Give a document its text and its status, and return its pages.
    """
    room = limits.text_bytes
    if content.text is not None and len(content.text) > room:
        content.text = content.text[:room]
        content.error = content.error or f"text cut after {room:,} letters (OAFLOW_TEXT_BYTES)"
    if content.text and content.text.strip():
        document.add("bodyText", content.text, cleaned=True)
    document.add("processingStatus", "failure" if content.error else "success")
    if not content.error and content.members is None and not any(map(str.strip, [content.text or "", *content.pages])):
        content.note = content.note or "no text was found in it"
    if content.note:
        document.add("processingStatus", content.note)
    if content.error:
        document.add("processingError", cleaned(content.error))
    return [_page(document, number, text) for number, text in enumerate(content.pages, 1)]


def _page(document: "EntityProxy", number: int, text: str) -> "EntityProxy":
    from followthemoney import model

    assert document.id is not None
    page = model.make_entity("Page")
    page.id = page_id(document.id, number)
    page.add("document", document.id, cleaned=True)
    page.add("index", str(number), cleaned=True)
    if text.strip():
        page.add("bodyText", text, cleaned=True)
    return page


def _light(entity: "EntityProxy") -> dict[str, Any]:
    """
    An entity without its long texts, which were written to the store and do not travel.
    """
    data = entity.to_dict()
    known = entity.schema.properties
    kept = {name: values for name, values in data["properties"].items() if known[name].type.name not in _LONG}
    return {**data, "properties": kept}


class _Children:
    """
    What came out of a container: files for another round, entities that have no file to read, folders.
    """

    def __init__(self) -> None:
        self.files: list[dict[str, Any]] = []
        self.lost: list[EntityProxy] = []
        self.folders: list[EntityProxy] = []


def _children(
    job: DatasetJob, document: "EntityProxy", name: str, content: Content, place: Desk, skip: Skip
) -> _Children:
    children = _Children()
    if content.members is None:
        return children
    family = _Family(job, document)
    try:
        for member in content.members:
            if place.depth >= place.limits.depth:
                content.error = f"nested deeper than {place.limits.depth} containers: not unpacked (OAFLOW_DEPTH)"
                break
            member.skipped = member.skipped or next(filter(None, map(skip, member.name.split("/"))), None)
            _take(job, family, member, name, children)
    except Unreadable as error:
        content.error = error.reason
    finally:
        # A generator that is left halfway holds its file until it is closed.
        close = getattr(content.members, "close", None)
        if close is not None:
            close()
    children.folders = list(family.folders.values())
    return children


def _take(job: DatasetJob, family: "_Family", member: Member, container: str, children: _Children) -> None:
    child = family.child(member)
    assert child.id is not None
    shown = f"{container}/{member.name}"
    if member.skipped is not None:
        job.skipped(child.id, shown, member.skipped)
        return
    if member.path is None:
        job.unreadable(child.id, shown, member.error or "it has no bytes", parent=family.root)
        child.add("processingStatus", "failure")
        child.add("processingError", member.error)
        children.lost.append(child)
        return
    job.found(child.id, shown, parent=family.root)
    child.add("fileSize", str(member.path.stat().st_size), cleaned=True)
    child.add("contentHash", current("file archive").files.archive(member.path), cleaned=True)
    children.files.append(child.to_dict())


class _Family:
    """
    Makes the entities of what a container holds, folders within it included.
    """

    def __init__(self, job: DatasetJob, document: "EntityProxy") -> None:
        assert document.id is not None
        self._dataset, self.root = job.dataset, document.id
        self._ancestors = [*document.get("ancestors", quiet=True)]
        self.folders: dict[str, EntityProxy] = {}

    def child(self, member: Member) -> "EntityProxy":
        from followthemoney import model

        place, _, name = member.name.rpartition("/")
        entity = model.make_entity("Document")
        entity.id = member_id(self._dataset, self.root, member.key)
        self._settle(entity, place, name)
        mime = member.mime or named_type(name)
        if mime is not None:
            entity.add("mimeType", clean_type(mime), cleaned=True)
        return entity

    def _settle(self, entity: "EntityProxy", place: str, name: str) -> None:
        parent, ancestors = self.root, [*self._ancestors, self.root]
        if place:
            folder = self._folder(place)
            assert folder.id is not None
            parent, ancestors = folder.id, [*folder.get("ancestors"), folder.id]
        entity.add("fileName", cleaned(name) or "unnamed")
        entity.add("parent", parent, cleaned=True)
        entity.add("ancestors", ancestors, cleaned=True)
        extension = Path(name).suffix[1:].lower()
        if extension and entity.schema.name != "Folder":
            entity.add("extension", extension)

    def _folder(self, place: str) -> "EntityProxy":
        from followthemoney import model

        if (known := self.folders.get(place)) is not None:
            return known
        above, _, name = place.rpartition("/")
        folder = model.make_entity("Folder")
        folder.id = member_id(self._dataset, self.root, place + "/")
        self._settle(folder, above, name)
        self.folders[place] = folder
        return folder
