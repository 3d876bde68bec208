"""
The environments of tests/compat: the real packages that oaflow must agree with. `python tests/compat/environment.py`.

Two of Python, because what they need does not go together: `oap` (openaleph-procrastinate, ftmq) and `store`
(followthemoney-store); `rotel`, a collector of traces, which is empty where there is no wheel of it; and `yamls`, the
language server that editors have for YAML, where there is npm. They are kept under `.venv-compat/`. A lock is made by
`scripts/lock`: with

    uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
        --override tests/compat/overrides.txt tests/compat/NAME.in -o tests/compat/NAME.txt
    npm install --package-lock-only --omit-lockfile-registry-resolved
"""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT))  # where this is run as a program

from tools.environments import Environments, Modules  # noqa: E402

NAMES = ("oap", "store", "rotel")
CACHE = Path(os.environ.get("OAFLOW_COMPAT_CACHE") or ROOT / ".venv-compat")
ENVIRONMENTS = Environments(HERE, CACHE)
python = ENVIRONMENTS.python
MODULES = Modules(HERE, CACHE)

if __name__ == "__main__":
    for name in NAMES:
        print(ENVIRONMENTS.make(name))
    print(MODULES.make("yamls") or "yamls is left out: it needs node and npm")
