"""
Patterns that are read in another form where a text is plain ASCII: both find the same.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oaflow.stages import mentions, names
from oaflow.stages.patterns import Pattern

ALL = {
    f"{module.__name__}.{name}": value
    for module in (mentions, names)
    for name, value in vars(module).items()
    if isinstance(value, Pattern)
}
# All of ASCII, and often what the patterns look for.
PLAIN = st.text(st.characters(max_codepoint=127) | st.sampled_from("aA1_'&.-@:/+ \x1c\x1f\n"), max_size=60)


@pytest.mark.parametrize("pattern", ALL.values(), ids=ALL)
@given(PLAIN)
def test_of_plain_ascii_the_quick_form_finds_what_the_other_finds(pattern, text):
    whole, quick = pattern.of("é"), pattern.of(text)

    assert quick.flags & re.ASCII
    assert not whole.flags & re.ASCII
    assert [match.span() for match in quick.finditer(text)] == [match.span() for match in whole.finditer(text)]


def test_there_are_such_patterns():
    assert len(ALL) >= 5
