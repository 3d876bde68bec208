"""
The clock of a machine that is OAFLOW_SKEW seconds ahead, for every Python that finds this folder on its path.
"""

import os
import time

_clock, _skew = time.time, float(os.environ.get("OAFLOW_SKEW", "0"))
time.time = lambda: _clock() + _skew
