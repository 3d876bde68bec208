"""
Laws run on busy machines: how long an example takes says nothing about whether it holds.
"""

from hypothesis import HealthCheck, settings

settings.register_profile("oaflow", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("oaflow")
