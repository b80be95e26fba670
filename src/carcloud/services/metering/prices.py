"""What a quantity costs: free units, then graduated tiers. Exact fractions, no floats."""

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from carcloud.model.meters import METER
from carcloud.services.metering.errors import Invalid
from carcloud.services.metering.types import Price

_MOST_TIERS = 20
_LARGEST = Decimal(10) ** 15


def cost(meter: str, price: Price | None, quantity: int) -> Fraction:
    """What a month's quantity of a meter costs, not rounded; nothing without a price."""
    if price is None:
        return Fraction(0)
    rest = units(meter, quantity) - Fraction(price.free)
    amount, below = Fraction(0), Fraction(0)
    for tier in price.tiers:
        if rest <= 0:
            break
        width = rest if tier.up_to is None else min(rest, Fraction(tier.up_to) - below)
        amount += width * Fraction(tier.price)
        rest -= width
        below += width
    return amount


def units(meter: str, quantity: int) -> Fraction:
    """A quantity in the unit that prices are for."""
    return Fraction(quantity, METER[meter].per_unit)


def rounded(amount: Fraction, decimals: int) -> Decimal:
    """To so many decimals; a half goes away from zero."""
    scaled = abs(amount) * 10**decimals
    whole = (2 * scaled.numerator + scaled.denominator) // (2 * scaled.denominator)
    return Decimal(whole if amount >= 0 else -whole).scaleb(-decimals)


def shares(total: Decimal, weights: dict[str, int], decimals: int) -> dict[str, Decimal]:
    """`total` divided in proportion to the weights, so that the parts add up to it."""
    whole = sum(weights.values())
    if not weights or whole == 0:
        return {name: Decimal(0) for name in weights}
    parts = {
        name: rounded(Fraction(total) * weight / whole, decimals)
        for name, weight in weights.items()
    }
    largest = max(sorted(weights), key=lambda name: weights[name])
    parts[largest] += total - sum(parts.values(), Decimal(0))
    return parts


def checked(meter: str, price: Price) -> Price:
    """The price, if it is one; raises `Invalid`."""
    field = f"prices.{meter}"
    if meter not in METER:
        raise Invalid(field, f"there is no meter {meter!r}")
    if not 1 <= len(price.tiers) <= _MOST_TIERS:
        raise Invalid(field, f"1 to {_MOST_TIERS} tiers")
    numbers = [price.free, *(tier.price for tier in price.tiers)]
    bounds = [tier.up_to for tier in price.tiers]
    if bounds[-1] is not None:
        raise Invalid(field, "the last tier has no `up_to`: it is for all the rest")
    rising = [Decimal(0), *(bound for bound in bounds[:-1] if bound is not None)]
    if len(rising) != len(bounds) or any(a >= b for a, b in pairwise(rising)):
        raise Invalid(field, "`up_to` must rise from tier to tier, and stand on all but the last")
    for number in (*numbers, *rising):
        if not (number.is_finite() and 0 <= number <= _LARGEST):
            raise Invalid(field, f"{number} is not a number from 0 to {_LARGEST}")
    return price


def plain_units(meter: str, quantity: int) -> Decimal:
    """Units for people, to six places and without idle zeros."""
    return plain(rounded(units(meter, quantity), 6))


def plain(number: Decimal) -> Decimal:
    """Without idle zeros or an exponent."""
    short = number.normalize()
    return short.quantize(Decimal(1)) if short == short.to_integral_value() else short
