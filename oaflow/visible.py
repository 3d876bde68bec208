"""
Text of unknown origin as text that can be printed. Pure.
"""


def visible(text: str, *, kept: str = "") -> str:
    """
    A text in which control characters, line ends, lone surrogates and marks that turn the direction of writing are
    written out.

    Args:
        kept: such letters that stay as they are.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or letter in kept else letter.encode("unicode_escape").decode("ascii")
        for letter in text
    )
