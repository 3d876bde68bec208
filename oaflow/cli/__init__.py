"""
The command line: parse, call, print. What a command does stands in `oaflow.operations`.

Modules of commands import only typer at the top, and what they call inside the command: `oaflow --help` loads them all.
"""
