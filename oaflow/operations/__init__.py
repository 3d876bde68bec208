"""
The use cases, as plain functions: they take settings and arguments, return data or yield events, and print nothing.

This is the one room that puts the others together.
"""
