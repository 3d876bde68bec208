"""
The run side: what claims jobs, runs them, and routes what they return.
"""
