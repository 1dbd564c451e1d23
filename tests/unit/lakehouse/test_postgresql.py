"""Tables of a real PostgreSQL server: their types, what `init` writes of them, and clear errors."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.landing.sources.declaration import LandingSource
from lakehouse.landing.sources.reading import source_rows
from tests.ports import free_port
from training.init.errors import InitRefused
from training.init.proposing.proposal import Wishes, propose
from training.init.reading.habits import Habits
from training.init.reading.opening import open_table
from training.init.writing.files import planned_files

PASSWORD = "s3cret of the shop"  # noqa: S105
ROWS = 120
TABLES = f"""
create type grade as enum ('low', 'high');
create schema shop;
create table shop.customers (
  id bigint primary key, signed_on date not null, seen timestamp, seen_there timestamptz, revenue numeric(9, 2),
  weight double precision, is_member boolean, grade grade, code uuid, town varchar(40), tags int[], photo bytea,
  churned text
);
insert into shop.customers
select n, date '2024-01-01' + n, timestamp '2024-01-01 08:00' + n * interval '1 hour',
  timestamptz '2024-01-01 08:00+02' + n * interval '1 hour', case when n % 10 > 0 then n * 1.25 end, n / 7.0,
  n % 2 = 0, case when n % 3 = 0 then 'low' else 'high' end::grade,
  ('00000000-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid, 'Köln ' || n % 3, array[n], '\\x00',
  case when n % 4 = 0 then 'yes' else 'no' end
from generate_series(1, {ROWS}) as n;
create view shop.members as select id, town, churned from shop.customers where is_member;
"""


def program(name: str) -> str | None:
    """A program of PostgreSQL's server; Debian keeps them out of the path."""
    below = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return shutil.which(name) or (str(below[-1]) if below else None)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Address of the database of a server on 127.0.0.1, whose data are in a folder of their own."""
    initdb, server = program("initdb"), program("postgres")
    if initdb is None or server is None:
        pytest.skip("no PostgreSQL server is installed (initdb, postgres)")
    psycopg = pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    is_root = os.geteuid() == 0  # as which the server does not run
    if is_root and subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode:
        pytest.skip("a PostgreSQL server does not run as root, and there is no user postgres")
    as_user: dict[str, Any] = {"user": "postgres", "group": "postgres"} if is_root else {}
    folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir="/tmp"))  # the user has no access to pytest's folders
    try:
        (folder / "password").write_text(PASSWORD, encoding="utf-8")
        if is_root:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        subprocess.run(
            [
                initdb, "-D", folder / "data", "-U", "shop", "-A", "scram-sha-256", "--pwfile", folder / "password",
                "-E", "UTF8", "--no-sync", "--locale", "C.UTF-8",
            ],
            check=True, capture_output=True, cwd=folder, timeout=120, **as_user,
        )  # fmt: skip
        port = free_port()
        settings = ("listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=", "fsync=off")
        options = [part for setting in settings for part in ("-c", setting)]
        with (
            (folder / "log").open("w") as log,
            subprocess.Popen(
                [server, "-D", folder / "data", *options], stdout=log, stderr=log, cwd=folder, **as_user
            ) as process,
        ):
            try:
                url = f"postgresql://shop:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{port}/postgres"
                connection = _connected(psycopg, url, process, folder / "log")
                connection.execute(TABLES)
                connection.close()
                yield url
            finally:
                process.send_signal(signal.SIGINT)  # ends its connections too
    finally:
        shutil.rmtree(folder)


def _connected(psycopg: Any, url: str, process: "subprocess.Popen[bytes]", log: Path) -> Any:
    end = time.monotonic() + 60
    while True:
        try:
            return psycopg.connect(url, autocommit=True)
        except psycopg.OperationalError:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_init_reads_a_table_and_writes_no_password(address: str, tmp_path: Path) -> None:
    given = open_table(address, Habits(table="shop.customers"), tmp_path, "300MB")
    assert {column.name: column.kind for column in given.columns} == {
        "id": "bigint", "signed_on": "date", "seen": "timestamp", "seen_there": "timestamp", "revenue": "double",
        "weight": "double", "is_member": "boolean", "grade": "string", "code": "string", "town": "string",
        "churned": "string",
    }  # fmt: skip
    assert given.unread == {"tags": "lists, bytes or JSON", "photo": "lists, bytes or JSON"}
    assert [note.partition(";")[0] for note in given.notes] == [
        "not read: tags (lists, bytes or JSON), photo (lists, bytes or JSON)"
    ]
    proposal = propose("customers", given, Wishes("churned", time="signed_on"))
    roles = {role.name: role.role for role in proposal.roles}
    assert (roles["id"], roles["signed_on"], roles["grade"], roles["code"]) == ("key", "time", "one_hot", "out")
    assert "s3cret" not in given.source
    texts = planned_files(proposal, {}).texts
    assert not any("s3cret" in text for text in texts.values())
    raw = texts["dbt_project/models/staging/customers/raw_customers.yml"]
    assert "url_variable: CUSTOMERS_DATABASE_URL" in raw
    assert "url:" not in raw


def test_a_build_reads_the_declared_columns_in_the_order_of_the_key(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUSTOMERS_DATABASE_URL", address)
    declared = LandingSource.of(
        "raw_customers",
        {
            "format": "database", "url_variable": "CUSTOMERS_DATABASE_URL", "table": "shop.customers",
            "ignored": ["tags", "photo", "weight"],
            "columns": {
                "id": "bigint", "signed_on": "date", "seen": "timestamp", "seen_there": "timestamp",
                "revenue": "double", "is_member": "boolean", "grade": "string", "code": "string", "town": "string",
                "churned": "string",
            },
        },
    )  # fmt: skip
    rows = [row for part in source_rows(declared, tmp_path) for row in part.to_pylist()]
    assert [row["id"] for row in rows] == [row["row_number"] for row in rows] == list(range(1, ROWS + 1))
    tenth = rows[9]
    assert (f"{tenth['seen']:%d %H:%M}", f"{tenth['seen_there']:%d %H:%M}") == ("01 18:00", "01 16:00")  # UTC
    assert (tenth["revenue"], rows[10]["revenue"]) == (None, 13.75)
    assert (tenth["grade"], tenth["town"]) == ("high", "Köln 1")
    assert tenth["code"] == "00000000-0000-0000-0000-000000000010"


def test_the_tables_of_a_schema_and_views_can_be_named(address: str, tmp_path: Path) -> None:
    assert open_table(address, Habits(table="shop.members"), tmp_path, "300MB").rows == ROWS / 2
    with pytest.raises(InitRefused, match=r"shop\.customer .*does not exist. Did you mean 'customers'\?"):
        open_table(address, Habits(table="shop.customer"), tmp_path, "300MB")


def test_a_refused_connection_is_one_sentence_without_the_password(address: str, tmp_path: Path) -> None:
    wrong = address.replace("%20", "-")
    absent = f"postgresql://shop:s3cret@127.0.0.1:{free_port()}/postgres"
    for url, problem in ((wrong, "password authentication failed"), (absent, "Connection refused|connection failed")):
        with pytest.raises(InitRefused, match=problem) as refused:
            open_table(url, Habits(table="customers"), tmp_path, "300MB")
        assert "s3cret" not in str(refused.value)
        assert len(str(refused.value).splitlines()) == 2


def test_a_missing_driver_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InitRefused, match=r"no driver for .* postgresql: .*\n  Install .*lakehouse-ml\[postgres\]"):
        open_table("postgresql://shop@127.0.0.1/shop", Habits(table="customers"), tmp_path, "300MB")
