"""
Entities in Postgres: the fragment tables that the OpenAleph world shares, and the search over them.
"""
