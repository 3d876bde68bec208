"""
What editors are told of a pipeline file: a schema, and what a language server says. Runs no stage, and opens no socket.
"""
