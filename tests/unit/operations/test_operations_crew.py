"""
What processes of a command are started with.
"""

from pathlib import Path

import pytest
from pydantic import SecretStr

from oaflow.operations.crew import environment_of
from oaflow.settings import Settings


def test_workers_have_the_settings_of_who_starts_them_and_not_what_the_environment_says_besides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OAFLOW_DB_URI", "PROCRASTINATE_DB_URI"):
        monkeypatch.setenv(name, "postgresql://elsewhere/other")
    monkeypatch.setenv("OAFLOW_KEEP", "7")
    known = Settings(db_uri=None, home=tmp_path, job_bytes=1, webhook_secret=SecretStr("whsec_a"))

    environment = environment_of(known)

    with monkeypatch.context() as there:
        for name in ("OAFLOW_DB_URI", "PROCRASTINATE_DB_URI", "OAFLOW_KEEP"):
            there.delenv(name)
        for name, value in environment.items():
            there.setenv(name, value)
        assert Settings() == known


def test_workers_are_not_told_the_password_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAFLOW_WEB_PASSWORD", "canary")

    assert "canary" not in environment_of(Settings()).values()
    assert "canary" not in environment_of(Settings(web_password=SecretStr("canary"))).values()
