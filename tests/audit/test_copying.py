"""A COPY that breaks tells so in Django's words, whichever end broke it: who catches those goes on."""

import pytest
from django.db import DataError, OperationalError, ProgrammingError, connection

from audit.copying import copying

pytestmark = pytest.mark.django_db(transaction=True)


def test_connection_that_ends_is_an_operational_error() -> None:
    with (
        pytest.raises(OperationalError, match="terminating connection"),
        copying(connection, "COPY (SELECT pg_terminate_backend(pg_backend_pid())) TO STDOUT") as stream,
    ):
        list(stream)
    connection.close()


def test_statement_that_is_refused() -> None:
    with pytest.raises(ProgrammingError, match="no_such_table"), copying(connection, "COPY no_such_table TO STDOUT"):
        pass


def test_row_that_is_refused_when_all_is_sent() -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE numbers (n integer)")
    with pytest.raises(DataError, match="invalid input"), copying(connection, "COPY numbers FROM STDIN") as stream:
        stream.write_row(["no number"])


def test_parameters_and_rows() -> None:
    with copying(connection, "COPY (SELECT generate_series(1, %s)) TO STDOUT", [3]) as stream:
        assert list(stream.rows()) == [("1",), ("2",), ("3",)]
