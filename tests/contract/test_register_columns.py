"""The register's row stands once, in the contract; table and model must agree with it."""

import pytest
from django.db import connection

from audit.models import Event as EventRow
from inference.contract.events import COLUMNS, TABLE


@pytest.mark.django_db
def test_table_has_the_contracts_columns() -> None:
    with connection.cursor() as cursor:
        columns = {column.name for column in connection.introspection.get_table_description(cursor, TABLE)}
    assert columns == set(COLUMNS)


def test_model_has_the_contracts_columns() -> None:
    assert {field.column for field in EventRow._meta.fields} == set(COLUMNS)
