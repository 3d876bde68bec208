"""
"""
def page_of(graph): return ""
