"""
The shapes of what commands print with `--json`, one module a subject: closed typed dictionaries whose keys say what
they are. Data only; whoever makes such an object names its shape, and the type checker holds it to that.
"""
