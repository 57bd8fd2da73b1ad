"""Amounts of cost: people write units with a decimal point, everything behind counts millionths of them."""

from decimal import Decimal
from typing import Any

from django import forms

from inference.contract.budgets import HIGHEST, MICROS

DECIMALS = 6


def in_units(micros: int) -> Decimal:
    """2_500_000 -> 2.5, written without an exponent and without zeros that say nothing."""
    units = Decimal(micros) / MICROS
    return units.quantize(Decimal(1)) if units == units.to_integral_value() else units.normalize()


class CostField(forms.DecimalField):
    """A number of units; its value is in micro-units."""

    def __init__(self, *, highest: int = HIGHEST, **kwargs: Any) -> None:
        super().__init__(min_value=0, max_value=in_units(highest), decimal_places=DECIMALS, **kwargs)

    def clean(self, value: Any) -> Any:
        units = super().clean(value)
        return None if units is None else int(units * MICROS)

    def prepare_value(self, value: Any) -> Any:
        return in_units(value) if isinstance(value, int) else value
