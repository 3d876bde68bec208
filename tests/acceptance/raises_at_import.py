"""
A module that cannot be imported.
"""

raise RuntimeError("no configuration was found")
