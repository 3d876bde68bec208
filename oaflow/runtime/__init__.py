"""
The run side: claims jobs, calls stage functions, routes their output, and hands over. CONTRIBUTING.md maps it.
"""
