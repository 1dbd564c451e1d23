"""What can go wrong around a table: folders, disks, addresses, processes that are killed, names, threads."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from dbt.adapters.embedded.tables import TableWriter

from lakehouse.errors import LakehouseError
from lakehouse.session import new_session
from lakehouse.warehouse import TableName, Warehouse
from tests.adapter.project import Project

ONE = {"models/one.sql": "select 1 as id"}


def test_a_first_write_that_was_cut_off_is_done_again(tmp_path: Path) -> None:
    project = Project.below(tmp_path, ONE)
    folder = project.root / "warehouse" / "gold" / "one"
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "part-0.parquet").write_bytes(b"half a file")
    project.dbt("run")
    assert project.rows("gold.one") == [{"id": 1}]


def test_a_folder_of_somebody_else_is_refused_by_name(tmp_path: Path) -> None:
    project = Project.below(tmp_path, ONE | {"warehouse/gold/one/letter.txt": "mine"})
    told = project.dbt("run", exits=1)
    assert "holds files and no Delta table" in told
    assert "Move them away" in told
    assert (project.root / "warehouse/gold/one/letter.txt").read_text(encoding="utf-8") == "mine"


def test_a_file_in_the_place_of_the_warehouse_is_told(tmp_path: Path) -> None:
    project = Project.below(tmp_path, ONE | {"warehouse": "a file"})
    assert "cannot be written to" in project.dbt("run", exits=2)


def test_a_full_disk_is_told_before_anything_is_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    project = Project.below(tmp_path, ONE)
    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in project.dbt("run", exits=2)


def test_an_address_where_nobody_answers_is_told_soon(tmp_path: Path) -> None:
    project = Project.below(tmp_path, ONE, remote="sc://127.0.0.1:9")
    assert "no Spark Connect server answers at sc://127.0.0.1:9" in project.process("run", exits=2)


STEPS = [
    "CREATE OR REPLACE TABLE",
    "INSERT INTO",
    "ADD CONSTRAINT",
    "DROP TABLE IF EXISTS `gold`.`draft_",
    "in place",
]
CUT_OFF = """
import os, signal, sys
from pathlib import Path
from dbt.adapters.embedded.drafts import Draft
from dbt.adapters.embedded.tables import TableSpec, TableWriter
from lakehouse.session import new_session
from lakehouse.warehouse import TableName, Warehouse

root, step = sys.argv[1:]
session = new_session()
warehouse = Warehouse(Path(root))
session.sql("create database if not exists gold").collect()
warehouse.register(session)

def after(call, told):
    def called(*args, **options):
        result = call(*args, **options)
        if told in str(args):
            getattr(result, "collect", lambda: None)()
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return called

rows = session.sql("select 2 as id, 'two' as said union all select 3, 'three'")
spec = TableSpec(frozenset({"id"}), {"some": "(ID>0)"}, {"feature_table.grain": "one"}, ())
type(session).sql = after(type(session).sql, step)
for put in ("become", "replace") if step == "in place" else ():
    setattr(Draft, put, after(getattr(Draft, put), ""))
TableWriter(session, warehouse).write(rows, TableName("gold", "one"), spec)
"""


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("before", [[], [{"id": 1}]], ids=["first", "other columns"])
def test_a_table_is_there_whole_or_as_it_was_whenever_the_process_is_killed(
    tmp_path: Path, before: list[dict[str, int]], step: str
) -> None:
    project = Project.below(tmp_path, ONE)
    after = [{"id": 2, "said": "two"}, {"id": 3, "said": "three"}]
    if before:
        project.dbt("run")
    version = project.version("gold.one") if before else None
    command = [sys.executable, "-c", CUT_OFF, str(project.warehouse.root)]
    assert subprocess.run([*command, step], check=False).returncode == -signal.SIGKILL
    there = [str(name) for name in project.warehouse.tables()]
    assert (project.rows("gold.one") if there else []) == (after if step == "in place" else before)
    subprocess.run([*command, "no such step"], check=True)
    assert project.rows("gold.one") == after
    assert project.properties("gold.one") == {"delta.constraints.some": "( ID > 0 )", "feature_table.grain": "one"}
    assert not list((project.warehouse.root / ".drafts" / "gold").iterdir())
    if version is not None:
        assert project.rows("gold.one", version) == before


def test_four_threads_build_the_same_each_time(tmp_path: Path) -> None:
    models = {f"models/m{place}.sql": f"select {place} as id" for place in range(8)}
    above = {
        f"models/n{place}.sql": f"select sum(a.id + b.id) as total from {{{{ ref('m{place}') }}}} a "
        f"cross join {{{{ ref('m{place + 4}') }}}} b"
        for place in range(4)
    }
    project = Project.below(tmp_path, models | above)
    for _ in range(3):
        project.dbt("run")
        assert [project.rows(f"gold.n{place}")[0]["total"] for place in range(4)] == [4, 6, 8, 10]


@pytest.mark.parametrize(
    "name", [TableName("..", "t"), TableName("s", ".."), TableName("s", "../../t"), TableName("", "t")]
)
def test_no_name_leads_out_of_the_warehouse(tmp_path: Path, name: TableName) -> None:
    outside = tmp_path / "t"
    outside.mkdir()
    writer = TableWriter(new_session(), Warehouse(tmp_path / "warehouse"))
    with pytest.raises(LakehouseError, match="cannot be the name"):
        writer.drop(name)
    with pytest.raises(LakehouseError, match="cannot be the name"):
        writer.rename(TableName("s", "t"), name)
    assert outside.is_dir()


def test_a_name_may_hold_a_dot_and_a_dash(tmp_path: Path) -> None:
    project = Project.below(tmp_path, {"models/one.sql": "{{ config(alias='a-b.c') }} select 1 as `the id`"})
    project.dbt("run")
    project.dbt("run")
    assert project.warehouse.open(TableName("gold", "a-b.c")).to_pyarrow_table().to_pylist() == [{"the id": 1}]


def test_a_name_that_no_address_can_hold_is_refused(tmp_path: Path) -> None:
    project = Project.below(tmp_path, {"models/one.sql": "{{ config(alias='a b') }} select 1 as id"})
    assert "'a b' cannot be the name" in project.dbt("run", exits=1)


def test_a_path_that_the_engine_would_write_otherwise_is_refused(tmp_path: Path) -> None:
    project = Project.below(tmp_path / "my projects", ONE)
    told = project.dbt("run", exits=2)
    assert "my projects" in told
    assert "LAKEHOUSE_WAREHOUSE" in told


SAID = 'it\'s "so"\nand \\ ünïcode €'


@pytest.mark.parametrize("kind", ["table", "incremental"])
def test_published_properties_are_whole_and_brought_up_to_date(tmp_path: Path, kind: str) -> None:
    def about(text: str) -> str:
        feature = {"is_feature_table": True, "entity": "id", "timestamp_column": "at"}
        config = {"materialized": kind, "meta": {"feature_catalog": feature}}
        return yaml.safe_dump({"models": [{"name": "one", "description": text, "config": config}]})

    project = Project.below(tmp_path, {"models/one.sql": "select 1 as id, current_timestamp() as at"})
    for text in (SAID, SAID + " now"):
        project.write({"models/one.yml": about(text)})
        project.dbt("run")
        assert project.properties("gold.one")["feature_table.description"] == text


@pytest.mark.parametrize("kind", ["table", "incremental"])
def test_a_changed_key_is_refused_and_the_table_stays(tmp_path: Path, kind: str) -> None:
    def keyed(entity: str) -> str:
        feature = {"is_feature_table": True, "entity": entity, "timestamp_column": "at"}
        config = {"materialized": kind, "meta": {"feature_catalog": feature}}
        return yaml.safe_dump({"models": [{"name": "one", "config": config}]})

    model = "select 1 as id, 2 as other, timestamp'2024-05-01 00:00:00' as at"
    project = Project.below(tmp_path, {"models/one.sql": model, "models/one.yml": keyed("id")})
    project.dbt("run")
    before = project.rows("gold.one")
    project.write({"models/one.yml": keyed("other"), "models/one.sql": model.replace("1 as id", "3 as id")})
    told = project.dbt("run", exits=1)
    assert 'is ["id"], and its model declares ["other"]' in told
    assert project.rows("gold.one") == before
    assert project.properties("gold.one")["feature_table.primary_keys"] == '["id"]'


@pytest.mark.parametrize(
    ("catalog", "told"),
    [
        ({"timestamp_column": "at"}, "the feature table one declares no entity"),
        ({"entity": [], "timestamp_column": "at"}, "the feature table one declares no entity"),
        ({"entity": "id"}, "the feature table one declares no timestamp_column"),
        ({"entity": "idd", "timestamp_column": "at"}, "'idd' is declared and missing"),
    ],
)
def test_a_feature_table_without_a_key_is_refused_and_the_table_stays(
    tmp_path: Path, catalog: dict[str, object], told: str
) -> None:
    project = Project.below(tmp_path, {"models/one.sql": "select 1 as id, timestamp'2024-05-01 00:00:00' as at"})
    project.dbt("run")
    before = project.rows("gold.one")
    meta = {"feature_catalog": {"is_feature_table": True, **catalog}}
    project.write(
        {
            "models/one.sql": "select 2 as id, timestamp'2024-05-01 00:00:00' as at",
            "models/one.yml": yaml.safe_dump({"models": [{"name": "one", "config": {"meta": meta}}]}),
        }
    )
    assert told in project.dbt("run", exits=1)
    assert project.rows("gold.one") == before


@pytest.mark.parametrize("language", ["sql", "py"])
def test_a_feature_table_is_built_as_it_is_declared_or_not_at_all(tmp_path: Path, language: str) -> None:
    feature = {"is_feature_table": True, "entity": "id", "timestamp_column": "at"}
    types = {"id": "integer", "at": "timestamp", "visits": "bigint", "colour": "string"}
    columns = [{"name": name, "data_type": kind} for name, kind in types.items()]
    about = {"models": [{"name": "one", "config": {"meta": {"feature_catalog": feature}}, "columns": columns}]}
    select = "select 1 as id, timestamp'2024-05-01 00:00:00' as at, {}"

    def model(built: str) -> dict[str, str]:
        query = select.format(built)
        code = f'def model(dbt, session):\n    return session.sql("{query}")\n' if language == "py" else query
        return {f"models/one.{language}": code, "models/one.yml": yaml.safe_dump(about)}

    project = Project.below(tmp_path, model("2 as visits, 'red' as hue"))
    told = project.dbt("run", exits=1)
    for difference in (
        "'colour' is declared and missing",
        "'hue' is built and not declared",
        "'visits' is declared bigint and built as int",
        "Correct the columns in one.yml, or the model.",
    ):
        assert difference in told
    assert not list(project.warehouse.tables())
    project.write(model("2L as visits, 'red' as colour"))
    project.dbt("run")
    assert len(project.rows("gold.one")) == 1


def test_a_new_feature_of_an_incremental_table_is_in_it_or_refused(tmp_path: Path) -> None:
    def files(on_schema_change: str, features: str) -> dict[str, str]:
        feature = {"is_feature_table": True, "entity": "id", "timestamp_column": "at"}
        config = {
            "materialized": "incremental",
            "incremental_strategy": "append",
            "meta": {"feature_catalog": feature},
        }
        columns = [{"name": name} for name in ("id", "at", *features.split())]
        about = {"name": "one", "config": config | {"on_schema_change": on_schema_change}, "columns": columns}
        select = ", ".join(["1 as id", "current_timestamp() as at", *(f"2 as {name}" for name in features.split())])
        return {"models/one.sql": f"select {select}", "models/one.yml": yaml.safe_dump({"models": [about]})}

    project = Project.below(tmp_path, files("ignore", "age"))
    project.dbt("run")
    before = project.rows("gold.one")
    project.write(files("ignore", "age visits"))
    told = project.dbt("run", exits=1)
    assert "'visits' is declared and missing" in told
    assert "append_new_columns" in told
    assert project.rows("gold.one") == before
    project.write(files("append_new_columns", "age visits"))
    project.dbt("run")
    assert sorted(str(row["visits"]) for row in project.rows("gold.one")) == ["2", "None"]


@pytest.mark.parametrize("key", ["id", "at"])
def test_a_key_without_a_value_is_refused_also_from_python(tmp_path: Path, key: str) -> None:
    feature = {"is_feature_table": True, "entity": "id", "timestamp_column": "at"}
    about = yaml.safe_dump({"models": [{"name": "one", "config": {"meta": {"feature_catalog": feature}}}]})
    row = {"id": "1", "at": "timestamp'2024-05-01 00:00:00'"}
    row[key] = {"id": "cast(null as int)", "at": "cast(null as timestamp)"}[key]
    code = f'def model(dbt, session):\n    return session.sql("select {row["id"]} as id, {row["at"]} as at")\n'
    project = Project.below(tmp_path, {"models/one.py": code, "models/one.yml": about})
    assert key in project.dbt("run", exits=1)
    assert not list(project.warehouse.tables())


def test_a_model_s_own_error_is_one_clear_message(tmp_path: Path) -> None:
    code = (
        "from lakehouse.errors import LakehouseError\n"
        "def model(dbt, session):\n"
        "    raise LakehouseError('the file is not there', hint='Put it there.')\n"
        "    return None\n"
    )
    told = Project.below(tmp_path, {"models/one.py": code}).dbt("run", exits=1)
    assert "the file is not there" in told
    assert "Traceback" not in told
