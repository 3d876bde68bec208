"""
Importing this loads what `analyze` needs at its first call. A forkserver does so, once for all executors.
"""

from oaflow.stages.languages import identifier

identifier()
