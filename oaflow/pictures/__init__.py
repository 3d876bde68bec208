"""
A graph as a picture: laid out, and written as SVG or as a page that stands alone. Pure.
"""

from oaflow.pictures.pages import page_of
from oaflow.pictures.svg import picture_of, stylesheet, svg_of

__all__ = ["page_of", "picture_of", "stylesheet", "svg_of"]
