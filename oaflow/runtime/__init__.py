"""
The run side: claims jobs, calls stage functions, routes what they return, and hands over. CONTRIBUTING.md has its map.
"""
