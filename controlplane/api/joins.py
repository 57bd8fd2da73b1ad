"""What a list reads besides its own rows: single columns, as whole rows of other tables cost more than the list."""

from functools import reduce
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import Model, OuterRef, QuerySet
from django.db.models.functions import JSONObject


def reading_columns(rows: QuerySet[Any], columns: tuple[str, ...]) -> QuerySet[Any]:
    """The rows, joined with what leads to the columns (``version__model__name``); of that, nothing else is read.

    What is asked for all the same costs a query a row, which tests/architecture/test_query_counts.py notices.
    """
    read: dict[str, set[str]] = {}
    for column in columns:
        names = column.split("__")
        for depth in range(1, len(names)):
            read.setdefault("__".join(names[:depth]), set()).add(names[depth])
    unread = [
        f"{relation}__{field.name}"
        for relation, names_read in read.items()
        for field in _model_at(rows.model, relation)._meta.concrete_fields  # noqa: SLF001 - Django's public way
        if not field.primary_key and field.name not in names_read
    ]
    return rows.select_related(*read).defer(*unread)


def parts(rows: QuerySet[Any], whole: str, **columns: str) -> ArraySubquery:
    """To annotate rows with what they have many of, as dictionaries: `rows`, whose `whole` leads to the annotated.

    It comes with the row, as JSON: names and numbers are themselves, ids are text. A prefetch took longer than a page.
    """
    return ArraySubquery(rows.filter(**{whole: OuterRef("pk")}).values(json=JSONObject(**columns)))


def _model_at(model: type[Model], relation: str) -> type[Model]:
    return reduce(lambda at, name: at._meta.get_field(name).related_model, relation.split("__"), model)  # type: ignore[arg-type, return-value]  # noqa: SLF001
