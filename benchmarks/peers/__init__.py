"""
The same chain in other systems, each in an environment of its own. How each is run stands in `benchmarks.field`.

What is here runs in those environments, where there is no oaflow: it imports the system and `tally`.
"""
