"""
A pipeline file becomes plain data in which every value has its place. Knows YAML, and nothing of pipelines.
"""

from oaflow.loader.reading import BREAK, Loaded, load, load_bytes, load_text, shown_path
from oaflow.loader.writing import written

__all__ = ["BREAK", "Loaded", "load", "load_bytes", "load_text", "shown_path", "written"]
