"""
A pipeline file, written anew: one way of indents and spaces, with all comments, quotes and orders as they are.
"""

from oaflow.formatting.writing import FormatError, formatted

__all__ = ["FormatError", "formatted"]
