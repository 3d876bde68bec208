"""
The command and its stages, as the acceptance tests have them.
"""

from tests.acceptance.conftest import clean_environment, cli, private, started, until

__all__ = ["clean_environment", "cli", "private", "started", "until"]
