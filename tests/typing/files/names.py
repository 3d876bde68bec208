"""
The names of packages that load them on first use: those that are there, and those that are not.
"""

import oaflow
from oaflow import Job, Pipeline, compiler, operations, postgres, stage, testing
from oaflow import nonsense as nothing  # refused

print(Job, Pipeline, stage, operations.start, compiler.check_file, postgres.locate, testing.run)
print(oaflow.nonsense)  # refused
print(operations.nonsense)  # refused
print(compiler.nonsense)  # refused
print(postgres.nonsense)  # refused
print(testing.nonsense)  # refused
print(nothing)
