"""
What assistants ask: the server of the Model Context Protocol, which only looks.
"""
