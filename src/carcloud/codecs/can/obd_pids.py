"""Parameters of mode 01 of OBD-II (SAE J1979, appendix B) that are numbers, by PID.

Left out are the masks of supported PIDs (00, 20, 40), and 02 and 41, which are no numbers. Codes
such as the type of fuel are numbers here; their meanings are for a mapping to say.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Pid:
    """One value of a parameter: number * factor / divisor + offset.

    size: bytes of the parameter. at, width: which of its bytes are the number, big-endian; width 0
    = all. mask: bits of it that count; signed: two's complement.
    """

    name: str
    unit: str
    size: int
    factor: int = 1
    divisor: int = 1
    offset: int = 0
    at: int = 0
    width: int = 0
    mask: int = -1
    signed: bool = False

    @property
    def bytes(self) -> range:
        """The places of the number's bytes."""
        return range(self.at, self.at + (self.width or self.size))


def _percent(name: str) -> Pid:
    return Pid(name, "%", 1, 100, 255)


def _trim(name: str, size: int = 1, at: int = 0) -> Pid:
    """A fuel trim, -100 % (lean) to 99.2 % (rich)."""
    return Pid(name, "%", size, 100, 128, -100, at=at, width=1)


def _sensor(number: int) -> tuple[Pid, ...]:
    """14 to 1B: an oxygen sensor's voltage, and the trim that goes with it."""
    name = f"OxygenSensor{number}"
    return Pid(f"{name}Voltage", "V", 2, 1, 200, width=1), _trim(f"{name}Trim", 2, 1)


def _wide(number: int) -> tuple[Pid, ...]:
    """24 to 2B: a wide-range oxygen sensor's equivalence ratio and voltage."""
    name = f"WideOxygenSensor{number}"
    ratio = Pid(f"{name}Ratio", "", 4, 2, 65536, width=2)
    return ratio, Pid(f"{name}Voltage", "V", 4, 8, 65536, at=2, width=2)


def _current(number: int) -> tuple[Pid, ...]:
    """34 to 3B: the same with a current."""
    name = f"WideOxygenSensor{number}"
    ratio = Pid(f"{name}RatioByCurrent", "", 4, 2, 65536, width=2)
    return ratio, Pid(f"{name}Current", "mA", 4, 1, 256, -128, at=2, width=2)


def _catalyst(name: str) -> Pid:
    return Pid(f"CatalystTemperature{name}", "degC", 2, 1, 10, -40)


def _one(*given: Pid) -> tuple[Pid, ...]:
    return given


PARTS: Final[dict[int, tuple[Pid, ...]]] = {
    0x01: (
        Pid("StoredCodeCount", "", 4, width=1, mask=0x7F),
        Pid("MalfunctionLamp", "", 4, 1, 128, width=1, mask=0x80),
    ),
    0x03: (Pid("FuelSystem1", "", 2, width=1), Pid("FuelSystem2", "", 2, at=1, width=1)),
    0x04: _one(_percent("EngineLoad")),
    0x05: _one(Pid("CoolantTemperature", "degC", 1, offset=-40)),
    0x06: _one(_trim("ShortTermFuelTrim1")),
    0x07: _one(_trim("LongTermFuelTrim1")),
    0x08: _one(_trim("ShortTermFuelTrim2")),
    0x09: _one(_trim("LongTermFuelTrim2")),
    0x0A: _one(Pid("FuelPressure", "kPa", 1, 3)),
    0x0B: _one(Pid("IntakeManifoldPressure", "kPa", 1)),
    0x0C: _one(Pid("EngineSpeed", "rpm", 2, 1, 4)),
    0x0D: _one(Pid("VehicleSpeed", "km/h", 1)),
    0x0E: _one(Pid("TimingAdvance", "deg", 1, 1, 2, -64)),
    0x0F: _one(Pid("IntakeAirTemperature", "degC", 1, offset=-40)),
    0x10: _one(Pid("MassAirFlow", "g/s", 2, 1, 100)),
    0x11: _one(_percent("ThrottlePosition")),
    0x12: _one(Pid("SecondaryAirStatus", "", 1)),
    0x13: _one(Pid("OxygenSensorsPresent", "", 1)),
    **{0x14 + at: _sensor(at + 1) for at in range(8)},
    0x1C: _one(Pid("ObdStandard", "", 1)),
    0x1D: _one(Pid("OxygenSensorsPresent4Banks", "", 1)),
    0x1E: _one(Pid("PowerTakeOff", "", 1, mask=1)),
    0x1F: _one(Pid("RunTime", "s", 2)),
    0x21: _one(Pid("DistanceWithLampOn", "km", 2)),
    0x22: _one(Pid("FuelRailRelativePressure", "kPa", 2, 79, 1000)),
    0x23: _one(Pid("FuelRailGaugePressure", "kPa", 2, 10)),
    **{0x24 + at: _wide(at + 1) for at in range(8)},
    0x2C: _one(_percent("CommandedEgr")),
    0x2D: _one(_trim("EgrError")),
    0x2E: _one(_percent("CommandedPurge")),
    0x2F: _one(_percent("FuelLevel")),
    0x30: _one(Pid("WarmUpsSinceCodesCleared", "", 1)),
    0x31: _one(Pid("DistanceSinceCodesCleared", "km", 2)),
    0x32: _one(Pid("EvaporativePressure", "Pa", 2, 1, 4, signed=True)),
    0x33: _one(Pid("BarometricPressure", "kPa", 1)),
    **{0x34 + at: _current(at + 1) for at in range(8)},
    0x3C: _one(_catalyst("Bank1Sensor1")),
    0x3D: _one(_catalyst("Bank2Sensor1")),
    0x3E: _one(_catalyst("Bank1Sensor2")),
    0x3F: _one(_catalyst("Bank2Sensor2")),
    0x42: _one(Pid("ControlModuleVoltage", "V", 2, 1, 1000)),
    0x43: _one(Pid("AbsoluteLoad", "%", 2, 100, 255)),
    0x44: _one(Pid("CommandedRatio", "", 2, 2, 65536)),
    0x45: _one(_percent("RelativeThrottle")),
    0x46: _one(Pid("AmbientAirTemperature", "degC", 1, offset=-40)),
    0x47: _one(_percent("ThrottlePositionB")),
    0x48: _one(_percent("ThrottlePositionC")),
    0x49: _one(_percent("AcceleratorPedalD")),
    0x4A: _one(_percent("AcceleratorPedalE")),
    0x4B: _one(_percent("AcceleratorPedalF")),
    0x4C: _one(_percent("CommandedThrottle")),
    0x4D: _one(Pid("TimeWithLampOn", "min", 2)),
    0x4E: _one(Pid("TimeSinceCodesCleared", "min", 2)),
    0x4F: (
        Pid("MaxRatio", "", 4, width=1),
        Pid("MaxOxygenSensorVoltage", "V", 4, at=1, width=1),
        Pid("MaxOxygenSensorCurrent", "mA", 4, at=2, width=1),
        Pid("MaxIntakeManifoldPressure", "kPa", 4, 10, at=3, width=1),
    ),
    0x50: _one(Pid("MaxMassAirFlow", "g/s", 4, 10, width=1)),
    0x51: _one(Pid("FuelType", "", 1)),
    0x52: _one(_percent("EthanolShare")),
    0x53: _one(Pid("EvaporativeAbsolutePressure", "kPa", 2, 1, 200)),
    0x54: _one(Pid("EvaporativeWidePressure", "Pa", 2, signed=True)),
    0x55: (_trim("SecondaryShortTermTrim1", 2), _trim("SecondaryShortTermTrim3", 2, 1)),
    0x56: (_trim("SecondaryLongTermTrim1", 2), _trim("SecondaryLongTermTrim3", 2, 1)),
    0x57: (_trim("SecondaryShortTermTrim2", 2), _trim("SecondaryShortTermTrim4", 2, 1)),
    0x58: (_trim("SecondaryLongTermTrim2", 2), _trim("SecondaryLongTermTrim4", 2, 1)),
    0x59: _one(Pid("FuelRailAbsolutePressure", "kPa", 2, 10)),
    0x5A: _one(_percent("RelativeAcceleratorPedal")),
    0x5B: _one(_percent("HybridBatteryRemaining")),
    0x5C: _one(Pid("OilTemperature", "degC", 1, offset=-40)),
    0x5D: _one(Pid("InjectionTiming", "deg", 2, 1, 128, -210)),
    0x5E: _one(Pid("FuelRate", "l/h", 2, 1, 20)),
    0x5F: _one(Pid("EmissionRequirements", "", 1)),
    0xA6: _one(Pid("Odometer", "km", 4, 1, 10)),
}
"""All values of each parameter, in the order of its bytes."""

PIDS: Final = {pid: values[0] for pid, values in PARTS.items()}
"""The first value of each."""
