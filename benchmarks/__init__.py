"""
Side-by-side measurements: `python -m benchmarks` runs all of them. How to read them is in `docs/performance.md`.

Not part of the package. Each module has `measure(size, rounds)`, which returns a `Report`; the rest is in `harness`.
"""
