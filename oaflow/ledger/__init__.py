"""
oaflow's own tables: typed functions over named SQL. It decides nothing and knows no pipeline.

Migrations are in `migrations`, queries in `queries`; both are package data and are read by name.
"""
