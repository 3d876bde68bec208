"""
`python -m oaflow` is the command `oaflow`.
"""

from oaflow.cli.main import main

if __name__ == "__main__":
    main()
