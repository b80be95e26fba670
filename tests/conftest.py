"""What holds for all tests: how busy the machine is says nothing about the code."""

import pyarrow as pa
from hypothesis import HealthCheck, settings

settings.register_profile("carcloud", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("carcloud")

pa.array([0])  # loads pandas, for seconds, which must not fall within what a test times
