"""
What the environment says, read once at the edge and handed down. Importing this reads nothing.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from oaflow.errors import EnvironmentProblem


def default_home() -> Path:
    """
    Where database, archive and logs live when nobody said: a system folder as root, else the user's data folder.
    """
    if os.geteuid() == 0:
        return Path("/var/lib/oaflow")
    data = os.environ.get("XDG_DATA_HOME")
    return Path(data) / "oaflow" if data else Path.home() / ".local" / "share" / "oaflow"


class Settings(BaseSettings):
    """
    All settings, each `OAFLOW_NAME`; where OpenAleph deployments already have a name for one, that is honoured too.
    """

    model_config = SettingsConfigDict(
        env_prefix="OAFLOW_", frozen=True, extra="ignore", env_ignore_empty=True, populate_by_name=True
    )

    home: Path = Field(default_factory=default_home)
    # Passwords stand in addresses: none is in what is printed of this object.
    db_uri: str | None = Field(
        default=None,
        repr=False,
        validation_alias=AliasChoices(
            "OAFLOW_DB_URI", "PROCRASTINATE_DB_URI", "OPENALEPH_DB_URI", "ALEPH_DATABASE_URI"
        ),
    )
    pool_uri: str | None = Field(
        default=None,
        repr=False,
        description="the same database behind a pooler in transaction mode, such as pgbouncer: workers' statements go"
        " there, and what keeps a session to OAFLOW_DB_URI",
    )
    entities_uri: str | None = Field(
        default=None,
        repr=False,
        validation_alias=AliasChoices("OAFLOW_ENTITIES_URI", "FTM_FRAGMENTS_URI", "FTM_STORE_URI"),
    )
    archive_type: Literal["file", "s3", "gs", "anystore"] = Field(
        default="file", validation_alias=AliasChoices("OAFLOW_ARCHIVE_TYPE", "ARCHIVE_TYPE")
    )
    archive_path: Path | None = Field(
        default=None, validation_alias=AliasChoices("OAFLOW_ARCHIVE_PATH", "ARCHIVE_PATH")
    )
    archive_bucket: str | None = Field(
        default=None, validation_alias=AliasChoices("OAFLOW_ARCHIVE_BUCKET", "ARCHIVE_BUCKET")
    )
    archive_uri: str | None = Field(
        default=None, repr=False, validation_alias=AliasChoices("OAFLOW_ARCHIVE_URI", "ARCHIVE_URI")
    )
    publication_bucket: str | None = Field(
        default=None, validation_alias=AliasChoices("OAFLOW_PUBLICATION_BUCKET", "PUBLICATION_BUCKET")
    )
    debug: bool = Field(default=False, validation_alias=AliasChoices("OAFLOW_DEBUG", "DEBUG"))
    executors: int | None = Field(
        default=None, ge=1, description="processes that run sync stages; as many as cores where it is not set"
    )
    crashes: int = Field(default=3, ge=1, description="crashes without progress that fail a job")
    job_bytes: int = Field(default=16_000, ge=0, description="entities above this size travel as stubs")
    deep: int = Field(
        default=100_000,
        ge=1,
        description="jobs open in what follows a stream, above which the stream rests until there are half as many",
    )
    keep: int = Field(default=90, ge=1, description="days that history is kept")
    samples: int = Field(
        default=200,
        ge=0,
        description="of each stage of a run, and each worker, how many jobs have what they return kept in the history,"
        " for `route --against`, and after them one in 200; 0: none",
    )
    events: bool = Field(
        default=False,
        description="whether procrastinate's rows of events are written on oaflow's own server, and the worker of each"
        " job is looked for and its queue indexed there",
    )
    heartbeat: float = Field(default=5.0, gt=0, description="seconds between two heartbeats")
    dead_after: float = Field(default=15.0, gt=0, description="seconds of silence after which a worker is dead")
    web_password: SecretStr | None = Field(
        default=None,
        exclude=True,  # workers are given the settings, and have no use for it
        description="asked for by `oaflow web` in place of the token in its address, and needed where others than this"
        " machine can reach it",
    )

    log_format: Literal["text", "json"] = Field(
        default="text",
        description="how commands and their workers log to stderr; `json`: one object a line, what stages print, too",
    )
    webhook_secret: SecretStr | None = Field(
        default=None,
        description="what webhooks are signed with, of workers that send them: `whsec_` and base64; while it changes,"
        " the new and the old one with a space in between",
    )

    def report(self, run: str) -> Path:
        """
        Where the stage `report` writes down what a run has found: on the machine of the worker that does it.
        """
        return self.home / "reports" / f"{run}.md"

    @property
    def db_source(self) -> str | None:
        """
        The variable that named the database, or None where it is the embedded one.
        """
        return next((name for name in variables_of("db_uri") if os.environ.get(name)), None)


def variables_of(name: str) -> tuple[str, ...]:
    """
    The variables that say a setting, the one that counts most first.
    """
    alias = Settings.model_fields[name].validation_alias
    return tuple(map(str, alias.choices)) if isinstance(alias, AliasChoices) else (f"OAFLOW_{name.upper()}",)


def or_environment(settings: Settings | None) -> Settings:
    """
    These settings, or those of the environment where there are none.

    Raises:
        EnvironmentProblem: the environment sets something that cannot be.
    """
    if settings is not None:
        return settings
    try:
        return Settings()
    except ValidationError as error:
        raise wrong(error) from None


def wrong(error: ValidationError) -> EnvironmentProblem:
    """
    What to say where the environment sets something that cannot be.
    """
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"]))
    name = name if name.isupper() else f"OAFLOW_{name.upper()}"
    return EnvironmentProblem(f"setting {name} is {first['input']!r}: {first['msg'].lower()}")
