"""
From a declared pipeline to a plan, or to everything that is wrong with it.
"""
