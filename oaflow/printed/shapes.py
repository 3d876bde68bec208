"""
Turns a typed dictionary into the type of something that is printed: closed, with a description of each key. Imports
no other room, so every room can use these types; `operations.printing` makes JSON Schema of them.
"""

from typing import Any, TypeVar

Shape = TypeVar("Shape", bound=type)


class Says:
    """
    The description of a key in the JSON Schema, as in `Annotated[int, Says("jobs that are done")]`.
    """

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> dict[str, Any]:
        return {**handler(core), "description": self.text}


def closed(shape: Shape) -> Shape:
    """
    Forbid other keys.
    """
    shape.__pydantic_config__ = {"extra": "forbid"}  # pyright: ignore[reportAttributeAccessIssue]  # pydantic reads it
    return shape


def growing(shape: Shape) -> Shape:
    """
    Allow more keys, because another version of the program may have written them.
    """
    shape.__pydantic_config__ = {"extra": "allow"}  # pyright: ignore[reportAttributeAccessIssue]  # pydantic reads it
    return shape
