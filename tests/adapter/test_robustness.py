"""Failures around a table: folders, disks, addresses, killed processes, names, threads."""

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
from lakehouse.tables.warehouse import TableName, Warehouse
from tests.adapter.project import Project

ONE = {"models/one.sql": "select 1 as id"}


def test_an_interrupted_first_write_is_repeated(tmp_path: Path) -> None:
    project = Project.below(tmp_path, ONE)
    folder = project.root / "warehouse" / "gold" / "one"
    (folder / "_delta_log").mkdir(parents=True)
    (folder / "part-0.parquet").write_bytes(b"half a file")
    project.dbt("run")
    assert project.rows("gold.one") == [{"id": 1}]


def test_a_folder_with_other_files_is_refused_and_kept(tmp_path: Path) -> None:
    project = Project.below(tmp_path, ONE | {"warehouse/gold/one/letter.txt": "mine"})
    output = project.dbt("run", exits=1)
    assert "contains files but no Delta table" in output
    assert "Move the files away" in output
    assert (project.root / "warehouse/gold/one/letter.txt").read_text(encoding="utf-8") == "mine"


def test_a_file_in_place_of_the_warehouse_is_reported(tmp_path: Path) -> None:
    project = Project.below(tmp_path, ONE | {"warehouse": "a file"})
    assert "cannot be written to" in project.dbt("run", exits=2)


def test_a_full_disk_is_reported_before_the_first_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    project = Project.below(tmp_path, ONE)
    monkeypatch.setattr(os, "fsync", full)
    assert "No space left on device" in project.dbt("run", exits=2)


def test_an_unreachable_server_is_reported(tmp_path: Path) -> None:
    project = Project.below(tmp_path, ONE, remote="sc://127.0.0.1:9")
    assert "no Spark Connect server responds at sc://127.0.0.1:9" in project.process("run", exits=2)


STEPS = [
    "CREATE OR REPLACE TABLE",
    "INSERT INTO",
    "declare",
    "DROP TABLE IF EXISTS `gold`.`draft_",
    "publish",
]
KILLED_WRITE = """
import os, signal, sys
from pathlib import Path
from dbt.adapters.embedded.delta_log import DeltaLog
from dbt.adapters.embedded.drafts import Draft
from dbt.adapters.embedded.tables import TableSpec, TableWriter
from lakehouse.session import new_session
from lakehouse.tables.warehouse import TableName, Warehouse

root, step = sys.argv[1:]
session = new_session()
warehouse = Warehouse(Path(root))
session.sql("create database if not exists gold").collect()
warehouse.register(session)

def after(call, marker):
    def called(*args, **options):
        result = call(*args, **options)
        if marker in str(args):
            getattr(result, "collect", lambda: None)()
            os.kill(os.getpid(), signal.SIGKILL)
        return result
    return called

rows = session.sql("select 2 as id, 'two' as word union all select 3, 'three'")
spec = TableSpec(frozenset({"id"}), {"some": "(ID>0)"}, {"feature_table.grain": "one"}, ())
type(session).sql = after(type(session).sql, step)
for method in ("create", "replace") if step == "publish" else ():
    setattr(Draft, method, after(getattr(Draft, method), ""))
if step == "declare":
    DeltaLog.declare = after(DeltaLog.declare, "")
TableWriter(session, warehouse).write(rows, TableName("gold", "one"), spec)
"""


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("before", [[], [{"id": 1}]], ids=["first", "other columns"])
def test_a_killed_write_leaves_the_complete_new_or_the_old_table(
    tmp_path: Path, before: list[dict[str, int]], step: str
) -> None:
    project = Project.below(tmp_path, ONE)
    after = [{"id": 2, "word": "two"}, {"id": 3, "word": "three"}]
    if before:
        project.dbt("run")
    version = project.version("gold.one") if before else None
    command = [sys.executable, "-c", KILLED_WRITE, str(project.warehouse.root)]
    assert subprocess.run([*command, step], check=False).returncode == -signal.SIGKILL
    tables = [str(name) for name in project.warehouse.tables()]
    assert (project.rows("gold.one") if tables else []) == (after if step == "publish" else before)
    subprocess.run([*command, "no such step"], check=True)
    assert project.rows("gold.one") == after
    assert project.properties("gold.one") == {"delta.constraints.some": "(ID>0)", "feature_table.grain": "one"}
    assert not list((project.warehouse.root / ".drafts" / "gold").iterdir())
    if version is not None:
        assert project.rows("gold.one", version) == before


KILLED_CHANGE = """
import os, signal, sys
from pathlib import Path
from dbt.adapters.embedded.drafts import Draft
from dbt.adapters.embedded.tables import TableSpec, TableWriter
from lakehouse.session import new_session
from lakehouse.tables.warehouse import TableName, Warehouse

root, step = sys.argv[1:]
session, warehouse, name = new_session(), Warehouse(Path(root)), TableName("gold", "one")
warehouse.register(session)

def after(call):
    def called(*args, **options):
        call(*args, **options)
        os.kill(os.getpid(), signal.SIGKILL)
    return called

if hasattr(Draft, step):
    setattr(Draft, step, after(getattr(Draft, step)))
writer = TableWriter(session, warehouse)
copy = writer.start_change(name)
session.sql(f"insert into gold.`{copy}` values (2)").collect()
if step == "insert":
    os.kill(os.getpid(), signal.SIGKILL)
writer.finish_change(name, TableSpec(frozenset(), {}, {}, ()))
"""


@pytest.mark.parametrize("step", ["copy", "insert", "_move", "apply"])
def test_a_killed_increment_leaves_the_complete_new_or_the_old_table(tmp_path: Path, step: str) -> None:
    project = Project.below(tmp_path, ONE)
    project.dbt("run")
    command = [sys.executable, "-c", KILLED_CHANGE, str(project.warehouse.root)]
    assert subprocess.run([*command, step], check=False).returncode == -signal.SIGKILL
    before, after = [{"id": 1}], [{"id": 1}, {"id": 2}]
    assert project.rows("gold.one") == (after if step == "apply" else before)
    subprocess.run([*command, "no such step"], check=True)
    assert project.rows("gold.one") == ([*after, {"id": 2}] if step == "apply" else after)
    assert not list((project.warehouse.root / ".drafts" / "gold").iterdir())


def test_four_threads_build_the_same_rows_each_time(tmp_path: Path) -> None:
    models = {f"models/m{number}.sql": f"select {number} as id" for number in range(8)}
    above = {
        f"models/n{number}.sql": f"select sum(a.id + b.id) as total from {{{{ ref('m{number}') }}}} a "
        f"cross join {{{{ ref('m{number + 4}') }}}} b"
        for number in range(4)
    }
    project = Project.below(tmp_path, models | above)
    for _ in range(3):
        project.dbt("run")
        assert [project.rows(f"gold.n{number}")[0]["total"] for number in range(4)] == [4, 6, 8, 10]


@pytest.mark.parametrize(
    "name", [TableName("..", "t"), TableName("s", ".."), TableName("s", "../../t"), TableName("", "t")]
)
def test_a_table_name_cannot_leave_the_warehouse(tmp_path: Path, name: TableName) -> None:
    outside = tmp_path / "t"
    outside.mkdir()
    writer = TableWriter(new_session(), Warehouse(tmp_path / "warehouse"))
    with pytest.raises(LakehouseError, match="cannot be the name"):
        writer.drop(name)
    with pytest.raises(LakehouseError, match="cannot be the name"):
        writer.rename(TableName("s", "t"), name)
    assert outside.is_dir()


def test_a_table_name_may_contain_a_dot_and_a_dash(tmp_path: Path) -> None:
    project = Project.below(tmp_path, {"models/one.sql": "{{ config(alias='a-b.c') }} select 1 as `the id`"})
    project.dbt("run")
    project.dbt("run")
    assert project.warehouse.open(TableName("gold", "a-b.c")).to_pyarrow_table().to_pylist() == [{"the id": 1}]


def test_a_table_name_with_a_blank_is_refused(tmp_path: Path) -> None:
    project = Project.below(tmp_path, {"models/one.sql": "{{ config(alias='a b') }} select 1 as id"})
    assert "'a b' cannot be the name" in project.dbt("run", exits=1)


def test_a_warehouse_path_with_a_blank_is_refused(tmp_path: Path) -> None:
    project = Project.below(tmp_path / "my projects", ONE)
    output = project.dbt("run", exits=2)
    assert "my projects" in output
    assert "LAKEHOUSE_WAREHOUSE" in output


TEXT = 'it\'s "so"\nand \\ ünïcode €'


@pytest.mark.parametrize("kind", ["table", "incremental"])
def test_properties_keep_special_characters_and_follow_changes(tmp_path: Path, kind: str) -> None:
    def about(text: str) -> str:
        feature = {"is_feature_table": True, "entity": "id", "timestamp_column": "at"}
        config = {"materialized": kind, "meta": {"feature_catalog": feature}}
        return yaml.safe_dump({"models": [{"name": "one", "description": text, "config": config}]})

    project = Project.below(tmp_path, {"models/one.sql": "select 1 as id, current_timestamp() as at"})
    for text in (TEXT, TEXT + " now"):
        project.write({"models/one.yml": about(text)})
        project.dbt("run")
        assert project.properties("gold.one")["feature_table.description"] == text


@pytest.mark.parametrize("kind", ["table", "incremental"])
def test_a_changed_key_is_refused_and_the_table_is_kept(tmp_path: Path, kind: str) -> None:
    def keyed(entity: str) -> str:
        feature = {"is_feature_table": True, "entity": entity, "timestamp_column": "at"}
        config = {"materialized": kind, "meta": {"feature_catalog": feature}}
        return yaml.safe_dump({"models": [{"name": "one", "config": config}]})

    model = "select 1 as id, 2 as other, timestamp'2024-05-01 00:00:00' as at"
    project = Project.below(tmp_path, {"models/one.sql": model, "models/one.yml": keyed("id")})
    project.dbt("run")
    before = project.rows("gold.one")
    project.write({"models/one.yml": keyed("other"), "models/one.sql": model.replace("1 as id", "3 as id")})
    output = project.dbt("run", exits=1)
    assert 'is ["id"], but its model declares ["other"]' in output
    assert project.rows("gold.one") == before
    assert project.properties("gold.one")["feature_table.primary_keys"] == '["id"]'


@pytest.mark.parametrize(
    ("catalog", "message"),
    [
        ({"timestamp_column": "at"}, "the feature table one declares no entity"),
        ({"entity": [], "timestamp_column": "at"}, "the feature table one declares no entity"),
        ({"entity": "id"}, "the feature table one declares no timestamp_column"),
        ({"entity": "idd", "timestamp_column": "at"}, "'idd' is declared but missing"),
    ],
)
def test_a_feature_table_without_a_key_is_refused_and_the_table_is_kept(
    tmp_path: Path, catalog: dict[str, object], message: str
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
    assert message in project.dbt("run", exits=1)
    assert project.rows("gold.one") == before


@pytest.mark.parametrize("language", ["sql", "py"])
def test_a_feature_table_with_undeclared_columns_is_refused(tmp_path: Path, language: str) -> None:
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
    output = project.dbt("run", exits=1)
    for difference in (
        "'colour' is declared but missing",
        "'hue' is built but not declared",
        "'visits' is declared bigint but built as int",
        "Correct the columns in one.yml or in the model.",
    ):
        assert difference in output
    assert not list(project.warehouse.tables())
    project.write(model("2L as visits, 'red' as colour"))
    project.dbt("run")
    assert len(project.rows("gold.one")) == 1


def test_a_new_feature_needs_append_new_columns_in_an_incremental_table(tmp_path: Path) -> None:
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
    output = project.dbt("run", exits=1)
    assert "'visits' is declared but missing" in output
    assert "append_new_columns" in output
    assert project.rows("gold.one") == before
    project.write(files("append_new_columns", "age visits"))
    project.dbt("run")
    assert sorted(str(row["visits"]) for row in project.rows("gold.one")) == ["2", "None"]


@pytest.mark.parametrize("key", ["id", "at"])
def test_a_null_key_from_a_python_model_is_refused(tmp_path: Path, key: str) -> None:
    feature = {"is_feature_table": True, "entity": "id", "timestamp_column": "at"}
    about = yaml.safe_dump({"models": [{"name": "one", "config": {"meta": {"feature_catalog": feature}}}]})
    row = {"id": "1", "at": "timestamp'2024-05-01 00:00:00'"}
    row[key] = {"id": "cast(null as int)", "at": "cast(null as timestamp)"}[key]
    code = f'def model(dbt, session):\n    return session.sql("select {row["id"]} as id, {row["at"]} as at")\n'
    project = Project.below(tmp_path, {"models/one.py": code, "models/one.yml": about})
    assert key in project.dbt("run", exits=1)
    assert not list(project.warehouse.tables())


def test_a_project_error_in_a_model_has_no_traceback(tmp_path: Path) -> None:
    code = (
        "from lakehouse.errors import LakehouseError\n"
        "def model(dbt, session):\n"
        "    raise LakehouseError('the file is not there', hint='Put it there.')\n"
        "    return None\n"
    )
    output = Project.below(tmp_path, {"models/one.py": code}).dbt("run", exits=1)
    assert "the file is not there" in output
    assert "Traceback" not in output
