"""What the section shows on why few bodies are enough: figures, tables and sentences, in their order."""

from __future__ import annotations

import xarray as xr

from bodyorder.plots.style import Theme
from bodyorder.report.environment import captions, figures, tables, text
from bodyorder.report.environment.views import SHARED, Environment, Function
from bodyorder.report.parts import Part

#: Figures of functions at most, each of one combination of elements.
_MOST_FIGURES = 6


def environment_parts(table: xr.Dataset | None, distilled: xr.Dataset | None, theme: Theme) -> list[Part]:
    """Everything that is shown, part by part; a part of which nothing is known is left out.

    :param table: measures of a grid of trainings, one cell for each and one for the reference, as a study writes it: see
        ``bodyorder.study.measures.cell_table``
    :param distilled: what explicit models miss of those that they learn from: see
        ``bodyorder.study.distillation.Distillation.table``, with the name of the reference as an attribute
    :param theme: of the report; models have looks of their own, since they are no sources but trained on several sets
    """
    environment = Environment.of(table, distilled, theme.body)
    if environment is None:
        return []
    return [part for make in (_orders, _functions) if (part := make(environment))]


def _orders(environment: Environment) -> Part | None:
    # expansions in vacuum alone are shown elsewhere
    if len(environment.ways) < 2 and SHARED not in environment.ways:
        return None
    shown = [("environment-orders", figures.order_figure(environment), *captions.orders(environment))]
    held = [tables.order_table(environment), tables.distilled_table(environment)]
    heading = "Orders in vacuum, in their environment, and shared by all clusters"
    return Part(heading, text.of_orders(environment), shown, held)


def _functions(environment: Environment) -> Part | None:
    if not environment.functions:
        return None
    shown, held = [], []
    for place, functions in enumerate(_by_figure(environment)):
        drawn = figures.function_figure(environment, functions)
        shown.append((f"environment-functions{place}", drawn, *captions.functions(environment, functions)))
        held.append(tables.function_table(environment, functions))
    return Part("Pairs and triples in their environment", text.of_functions(environment), shown, held)


def _by_figure(environment: Environment) -> list[list[Function]]:
    """Functions of one element in one figure, of several in one for each combination."""
    if environment.one_kind:
        return [environment.functions]
    by_species: dict[str, list[Function]] = {}
    for function in environment.functions:
        by_species.setdefault(function.species, []).append(function)
    return list(by_species.values())[:_MOST_FIGURES]
