"""
What oaflow sets in each of its sessions, whoever's server it is.
"""

from typing import LiteralString

# A server with jit, as most are, compiles what is estimated to be expensive, anew each time it is sent. Where whole
# tables may not be read (`enable_seqscan = off`) and one is too small for anything else, as that of limits, the
# estimate is ten thousand million: a look at it of 0.1 ms, of which each claim has one, took 190 ms, and the server six
# times as much CPU for a run (PostgreSQL 15, a busy machine, 2026-11-28). Our own server has it off.
WITHOUT_JIT: LiteralString = "SET jit = off"
