"""How the property tests run: how busy the machine is says nothing about the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("carcloud", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("carcloud")
