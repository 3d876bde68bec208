"""
How much a document may cost, read from the environment where a stage starts.
"""

from functools import cache
from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from oaflow.quantities import seconds, size


def _size(value: Any) -> Any:
    read = size(value)
    return value if read is None else read


def _seconds(value: Any) -> Any:
    read = seconds(value)
    return value if read is None else read


Size = Annotated[int, BeforeValidator(_size), Field(ge=1)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0)]


class Limits(BaseSettings):
    """
    The limits of `extract`, each `OAFLOW_NAME`. What is beyond one becomes an entity with `processingError`.
    """

    model_config = SettingsConfigDict(env_prefix="OAFLOW_", frozen=True, extra="ignore", env_ignore_empty=True)

    file_bytes: Size = Field(default=1024**3, description="size of a file, or of a member of an archive, that is read")
    archive_members: int = Field(default=50_000, ge=1, description="members of one archive or mailbox")
    archive_bytes: Size = Field(default=20 * 1024**3, description="what one archive may unpack to")
    archive_ratio: int = Field(default=200, ge=2, description="unpacked to packed size, from 32 MiB on")
    # followthemoney drops, without a word, what makes the texts of one entity longer than 30 MiB.
    text_bytes: Size = Field(default=25_000_000, le=30_000_000, description="letters of text kept of one document")
    read_time: Seconds = Field(default=600.0, description="for the text of one document, or the members of one archive")
    depth: int = Field(default=16, ge=1, description="archives within archives, attachments within mails")
    pages: int = Field(default=10_000, ge=1, description="pages of one document")
    ocr_languages: str = Field(default="eng", description="Tesseract's names, joined by +")


@cache
def limits() -> Limits:
    """
    The limits of this process.
    """
    return Limits()
