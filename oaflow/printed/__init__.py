"""
The types of what commands print with `--json`, one module per subject: closed typed dictionaries with a description
of each key. Data only: a function that makes such an object is annotated with its type, and the type checker checks it.
"""
