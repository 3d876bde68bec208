"""
`pytest tests/diagnostics --bless` writes what comes out as what is expected: read the difference before committing it.
"""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--bless", action="store_true", help="take what comes out as what is expected from now on")
