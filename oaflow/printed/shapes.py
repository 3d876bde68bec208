"""
What makes a typed dictionary the shape of something that is printed: it is closed, and its keys say what they are.
Needs nothing, so that every room may name what it answers; `operations.printing` makes JSON Schema of the shapes.
"""

from typing import Any, TypeVar

Shape = TypeVar("Shape", bound=type)


class Says:
    """
    What a key is for, as `Annotated[int, Says("jobs that are done")]`: the description in the JSON Schema.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {**handler(core), "description": self.text}


def closed(shape: Shape) -> Shape:
    """
    A shape that has no other keys.
    """
    shape.__pydantic_config__ = {"extra": "forbid"}  # pyright: ignore[reportAttributeAccessIssue]  # pydantic reads it
    return shape


def growing(shape: Shape) -> Shape:
    """
    A shape that may have more keys: what was written down by another version of the program.
    """
    shape.__pydantic_config__ = {"extra": "allow"}  # pyright: ignore[reportAttributeAccessIssue]  # pydantic reads it
    return shape
