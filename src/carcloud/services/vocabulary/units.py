"""Units: what sources write for them, and the exact way from one to another of its quantity.

Canonical names are those of VSS, and a few more that sources have. A conversion is a rational
factor and a rational offset: it is rounded once, where it meets a value.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction as F
from typing import Final

from carcloud.model.catalogue import UNITS


@dataclass(frozen=True, slots=True)
class Conversion:
    """value in the one unit * factor + offset = value in the other."""

    factor: F
    offset: F = F(0)


SAME: Final = Conversion(F(1))

_INCH, _MILE, _POUND = F("0.0254"), F("1609.344"), F("0.45359237")  # m, m, kg: 1959 agreement
_PSI: Final = _POUND * F("9.80665") / _INCH**2  # Pa
_HORSE: Final = 550 * _POUND * F("9.80665") * F("0.3048")  # W
_GALLON_US, _GALLON_UK = F("3.785411784"), F("4.54609")  # l

# One row a quantity: unit -> factor to its base. What is not here converts to itself alone.
_LINEAR: Final[tuple[dict[str, F], ...]] = (
    {"m": F(1), "mm": F(1, 1000), "cm": F(1, 100), "km": F(1000), "inch": _INCH,
     "ft": F("0.3048"), "yd": F("0.9144"), "mi": _MILE},
    {"m/s": F(1), "km/h": F(5, 18), "mph": _MILE / 3600, "kn": F(1852, 3600),
     "cm/s": F(1, 100), "ft/s": F("0.3048"), "yd/s": F("0.9144")},
    {"m/s^2": F(1), "cm/s^2": F(1, 100), "g0": F("9.80665")},
    {"l": F(1), "ml": F(1, 1000), "cm^3": F(1, 1000), "gal-us": _GALLON_US, "gal-uk": _GALLON_UK},
    {"W": F(1), "kW": F(1000), "PS": F("735.49875"), "hp": _HORSE},
    {"kWh": F(1), "Wh": F(1, 1000), "MJ": F(5, 18), "J": F(1, 3_600_000)},
    {"kg": F(1), "g": F(1, 1000), "lbs": _POUND, "t": F(1000)},
    {"V": F(1), "mV": F(1, 1000), "kV": F(1000)},
    {"A": F(1), "mA": F(1, 1000)},
    {"Ah": F(1), "mAh": F(1, 1000)},
    {"s": F(1), "ms": F(1, 1000), "us": F(1, 1_000_000), "min": F(60), "h": F(3600),
     "day": F(86_400), "weeks": F(604_800)},
    {"Pa": F(1), "kPa": F(1000), "hPa": F(100), "mbar": F(100), "bar": F(100_000),
     "psi": _PSI, "MPa": F(1_000_000)},
    {"g/s": F(1), "kg/h": F(5, 18), "kg/s": F(1000)},
    {"l/h": F(1), "ml/s": F("3.6"), "gal-us/h": _GALLON_US},
    {"kWh/100km": F(1), "Wh/km": F(1, 10)},
    {"l/100km": F(1), "ml/100km": F(1, 1000)},
    {"km/l": F(1), "mpg-us": _MILE / 1000 / _GALLON_US, "mpg-uk": _MILE / 1000 / _GALLON_UK},
    {"N": F(1), "kN": F(1000)},
    {"Nm": F(1), "lbf-ft": _POUND * F("9.80665") * F("0.3048")},
    {"rpm": F(1), "1/s": F(60)},
    {"Hz": F(1), "kHz": F(1000), "cpm": F(1, 60), "bpm": F(1, 60)},
    {"percent": F(1), "ratio": F(100), "permille": F(1, 10)},
    {"Ohm": F(1), "kOhm": F(1000)},
)  # fmt: skip
# To Kelvin: factor and offset
_TEMPERATURE: Final = {
    "Celsius": (F(1), F("273.15")),
    "Fahrenheit": (F(5, 9), F("459.67") * F(5, 9)),
    "Kelvin": (F(1), F(0)),
}
_PI: Final = F("3.14159265358979323846264338327950288")
_ANGLES: Final = ({"degrees": F(1), "rad": 180 / _PI}, {"degrees/s": F(1), "rad/s": 180 / _PI})
_QUANTITIES: Final = (*_LINEAR, *_ANGLES)

_WRITTEN: Final = {
    "km/h": "kph kmh kmph km/hr unit_kilometerperhour kilometers/hour",
    "mph": "mi/h miles/hour",
    "m/s": "mps unit_meterpersecon meter/second",
    "m/s^2": "m/s2 m/s² mps2 m/sec^2 unit_meterperseconsquar",
    "g0": "gn",
    "degrees": "deg ° degree degs unit_degreofarc",
    "degrees/s": "deg/s °/s deg/sec degree/s degrees/sec unit_degreofarcpersecon",
    "rad": "radian radians unit_radia",
    "rad/s": "rad/sec unit_radiapersecon",
    "Celsius": "c °c degc deg_c deg-c degreec unit_degrecelsi degreesc",
    "Fahrenheit": "f °f degf deg_f degreesf",
    "Kelvin": "k degk °k",
    "percent": "% pct perc unit_percent",
    "permille": "‰",
    "rpm": "1/min min^-1 min-1 u/min r/min unit_minutinver rev/min",
    "V": "volt volts unit_volt",
    "mV": "millivolt unit_millivolt",
    "A": "amp amps ampere unit_amper",
    "s": "sec secs second seconds unit_secon",
    "ms": "msec millisecond milliseconds unit_millisecon",
    "us": "µs usec",
    "min": "minute minutes mins unit_minut",
    "h": "hr hrs hour hours unit_hours",
    "day": "days d",
    "m": "meter metre meters unit_meter",
    "mm": "millimeter millimeters unit_millimeter",
    "cm": "centimeter",
    "km": "kilometer kilometers unit_kilometer",
    "inch": "in inches",
    "mi": "mile miles",
    "l": "liter litre liters",
    "l/h": "l/hr liter/h lph",
    "Nm": "n*m n·m n.m newtonmeter unit_newtometer",
    "kPa": "kilopascal",
    "Hz": "hertz",
    "Ohm": "ohms Ω",
    "kg": "kilogram",
    "lbs": "lb",
    "t": "ton tonne",
    "bar": "bars",
    "hp": "bhp",
    "lbf-ft": "ft-lb lb-ft ftlb",
    "MPa": "megapascal",
}


def _names() -> Iterator[tuple[str, str]]:
    known = [*UNITS, *_TEMPERATURE, *(name for one in _QUANTITIES for name in one)]
    for name in known:
        yield name.lower(), name
    for name, written in _WRITTEN.items():
        for text in written.split():
            yield text.lower(), name


_EXACT: Final = frozenset((*UNITS, *_TEMPERATURE, *(name for one in _QUANTITIES for name in one)))
_BY_TEXT: Final = dict(reversed(list(_names())))
"""By lower-case text; a unit's own name wins over how another is written."""


def canonical(text: str) -> str | None:
    """The unit that a source means by a text; None where it is not known. "" has no unit.

    Upper and lower case count only where a unit is written exactly so (mW is no MW).
    """
    bare = text.strip()
    if bare in _EXACT:
        return bare
    return _BY_TEXT.get(bare.lower().replace(" ", ""))


def conversion(source: str, target: str) -> Conversion | None:
    """From one canonical unit to another; None where they measure different things."""
    if source == target:
        return SAME
    if source in _TEMPERATURE and target in _TEMPERATURE:
        (one, zero), (other, base) = _TEMPERATURE[source], _TEMPERATURE[target]
        return Conversion(one / other, (zero - base) / other)
    for factors in _QUANTITIES:
        if source in factors and target in factors:
            return Conversion(factors[source] / factors[target])
    return None
