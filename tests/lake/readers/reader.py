"""Answers questions about Iceberg tables by PyIceberg, DuckDB or ClickHouse, one JSON line for each
line on the standard input. The forms of both are in readers.ts.

    python reader.py pyiceberg|duckdb|clickhouse <folder of DuckDB's extensions>
"""

import json
import math
import struct
import sys

import pyarrow
import pyarrow.ipc
import pyarrow.types as kinds


def texts(column, kind):
    """The values of an Arrow column in the canonical form of canonical.ts."""
    if kinds.is_timestamp(kind):
        if kind.unit != "us":
            raise ValueError(f"A timestamp of unit {kind.unit}")
        return [None if value is None else str(value) for value in column.cast("int64").to_pylist()]
    if kinds.is_date32(kind):
        return [None if value is None else str(value) for value in column.cast("int32").to_pylist()]
    return [None if value is None else text(value, kind) for value in column.to_pylist()]


def text(value, kind):
    if kinds.is_boolean(kind) or kinds.is_string(kind) or kinds.is_large_string(kind):
        return value
    if kinds.is_integer(kind):
        return str(value)
    if kinds.is_float64(kind):
        return struct.pack(">d", math.nan if math.isnan(value) else value).hex()
    if kinds.is_decimal(kind):
        return format(value, "f")
    if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
        return value.hex()
    raise ValueError(f"A column of type {kind}")


def rows_of(table):
    columns = [texts(table.column(at), field.type) for at, field in enumerate(table.schema)]
    return [list(row) for row in zip(*columns)] if columns else []


class PyIceberg:
    def table(self, question):
        from pyiceberg.catalog import load_catalog
        from pyiceberg.table import StaticTable

        table = question["table"]
        properties = {}
        if s3 := question.get("s3"):
            properties |= {
                "s3.endpoint": s3["endpoint"],
                "s3.access-key-id": s3["accessKeyId"],
                "s3.secret-access-key": s3["secretAccessKey"],
                "s3.region": s3["region"],
            }
        if table["kind"] == "files":
            place = f'{table["warehouse"]}/{table["namespace"]}/{table["name"]}'
            return StaticTable.from_metadata(place, properties)
        properties |= {"type": "rest", "uri": table["uri"]}
        if "token" in table:
            properties["token"] = table["token"]
        catalog = load_catalog("lake", **properties)
        return catalog.load_table((table["namespace"], table["name"]))

    def answer(self, question):
        table = self.table(question)
        snapshot = None
        if "snapshotId" in question:
            snapshot = int(question["snapshotId"])
        elif "timestampMs" in question:
            found = table.snapshot_as_of_timestamp(question["timestampMs"])
            if found is None:
                raise ValueError("There was no snapshot at that time")
            snapshot = found.snapshot_id
        scan = table.scan(snapshot_id=snapshot)
        if question.get("count"):
            return {"count": scan.count()}
        columns = [[field.name, str(field.field_type)] for field in scan.projection().fields]
        return {"columns": columns, "rows": rows_of(scan.to_arrow())}


RETRIES = 20
DUCKDB_TYPES = {
    "BOOLEAN": "boolean",
    "INTEGER": "int",
    "BIGINT": "long",
    "DOUBLE": "double",
    "DATE": "date",
    "TIMESTAMP WITH TIME ZONE": "timestamptz",
    "VARCHAR": "string",
    "BLOB": "binary",
}


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def literal(value):
    return "'" + value.replace("'", "''") + "'"


class DuckDB:
    def __init__(self, extensions):
        import duckdb

        self.connection = duckdb.connect()
        self.connection.sql(f"SET extension_directory = {literal(extensions)}")
        self.connection.sql("SET autoinstall_known_extensions = false")
        for extension in ["avro", "httpfs", "iceberg"]:
            self.connection.sql(f"LOAD {extension}")
        self.connection.sql("SET TimeZone = 'UTC'")

    def use_s3(self, s3):
        scheme, _, endpoint = s3["endpoint"].partition("://")
        self.connection.sql(f"""
            CREATE OR REPLACE SECRET store (
              TYPE s3, KEY_ID {literal(s3["accessKeyId"])}, SECRET {literal(s3["secretAccessKey"])},
              REGION {literal(s3["region"])}, ENDPOINT {literal(endpoint)}, URL_STYLE 'path',
              USE_SSL {"true" if scheme == "https" else "false"})""")

    def attach(self, table):
        """Attaches a REST catalog anew: one that stays attached answers the first query after a change
        of columns as if there had been none."""
        options = ["TYPE iceberg", f"ENDPOINT {literal(table['uri'])}"]
        if "token" in table:
            options.append(f"TOKEN {literal(table['token'])}")
        else:
            options.append("AUTHORIZATION_TYPE 'none'")
        self.connection.sql("DETACH DATABASE IF EXISTS lake")
        self.connection.sql(f"ATTACH '' AS lake ({', '.join(options)})")

    def source(self, question):
        table = question["table"]
        snapshot, time = question.get("snapshotId"), question.get("timestampMs")
        moment = None if time is None else f"make_timestamp_ms({time})"
        if table["kind"] == "files":
            place = f'{table["warehouse"]}/{table["namespace"]}/{table["name"]}'
            options = [literal(place)]
            if snapshot is not None:
                options.append(f"snapshot_from_id => {snapshot}")
            if moment is not None:
                options.append(f"snapshot_from_timestamp => {moment}")
            return f"iceberg_scan({', '.join(options)})"
        self.attach(table)
        names = ["lake", quoted(table["namespace"]), quoted(table["name"])]
        at = ""
        if snapshot is not None:
            at = f" AT (VERSION => {snapshot})"
        if moment is not None:
            at = f" AT (TIMESTAMP => {moment})"
        return ".".join(names) + at

    def answer(self, question):
        """Asks again when version-hint.text was written between the two requests it is read by."""
        for _ in range(RETRIES):
            try:
                return self.once(question)
            except Exception as error:
                if "version-hint.text" not in str(error) or "ETag" not in str(error):
                    raise
        return self.once(question)

    def once(self, question):
        if s3 := question.get("s3"):
            self.use_s3(s3)
        source = self.source(question)
        if question.get("count"):
            return {"count": self.connection.sql(f"SELECT count(*) FROM {source}").fetchone()[0]}
        answer = self.connection.sql(f"SELECT * FROM {source}")
        columns = []
        for name, kind in zip(answer.columns, map(str, answer.types)):
            if kind.startswith("DECIMAL("):
                columns.append([name, kind.lower().replace(",", ", ")])
            else:
                columns.append([name, DUCKDB_TYPES[kind]])
        return {"columns": columns, "rows": rows_of(answer.to_arrow_table())}

    def run(self, statement):
        answer = self.connection.sql(statement)
        return [] if answer is None else rows_of(answer.to_arrow_table())


CLICKHOUSE_TYPES = {
    "Bool": "boolean",
    "Int32": "int",
    "Int64": "long",
    "Float64": "double",
    "Date32": "date",
    "DateTime64(6, 'UTC')": "timestamptz",
    "String": "string",
}


class ClickHouse:
    def __init__(self):
        from chdb.session import Session

        self.session = Session()
        self.session.query("SET allow_database_iceberg = 1")
        self.session.query("SET output_format_arrow_string_as_string = 1")

    def source(self, question):
        table, s3 = question["table"], question.get("s3")
        if table["kind"] == "files":
            place = f'{table["warehouse"]}/{table["namespace"]}/{table["name"]}/'
            if s3 is None:
                return f"icebergLocal({literal(place.removeprefix('file://'))})"
            url = f'{s3["endpoint"]}/{place.removeprefix("s3://")}'
            keys = f'{literal(s3["accessKeyId"])}, {literal(s3["secretAccessKey"])}'
            return f"icebergS3({literal(url)}, {keys})"
        settings = ["catalog_type = 'rest'", "warehouse = 'lake'"]
        if "token" in table:
            settings.append(f"auth_header = {literal('Authorization: Bearer ' + table['token'])}")
        access = ""
        if s3 is not None:
            access = f', {literal(s3["accessKeyId"])}, {literal(s3["secretAccessKey"])}'
            settings.append(f'storage_endpoint = {literal(s3["endpoint"])}')
        self.session.query("DROP DATABASE IF EXISTS lake")
        self.session.query(
            f"CREATE DATABASE lake ENGINE = DataLakeCatalog({literal(table['uri'] + '/v1')}{access})"
            f" SETTINGS {', '.join(settings)}"
        )
        return f'lake.`{table["namespace"]}.{table["name"]}`'

    def answer(self, question):
        source, settings = self.source(question), []
        if "snapshotId" in question:
            settings.append(f'iceberg_snapshot_id = {question["snapshotId"]}')
        if "timestampMs" in question:
            settings.append(f'iceberg_timestamp_ms = {question["timestampMs"]}')
        end = f"SETTINGS {', '.join(settings)}" if settings else ""
        if question.get("count"):
            count = self.session.query(f"SELECT count() FROM {source} {end}", "CSV")
            return {"count": int(count.bytes())}
        told = self.session.query(f"DESCRIBE (SELECT * FROM {source}) {end}", "JSONCompact").bytes()
        columns = []
        for name, kind, *_ in json.loads(told)["data"]:
            kind = kind.removeprefix("Nullable(").removesuffix(")") if "Nullable" in kind else kind
            columns.append([name, CLICKHOUSE_TYPES.get(kind, kind.lower())])
        return {"columns": columns, "rows": self.run(f"SELECT * FROM {source} {end}")}

    def run(self, statement):
        answer = self.session.query(statement.rstrip(";"), "Arrow").bytes()
        return rows_of(pyarrow.ipc.open_file(answer).read_all())


def start(name, extensions):
    if name == "duckdb":
        return DuckDB(extensions)
    return ClickHouse() if name == "clickhouse" else PyIceberg()


def main():
    reader = start(sys.argv[1], sys.argv[2])
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        try:
            if "script" in question:
                answer = {"answers": [reader.run(statement) for statement in question["script"]]}
            else:
                answer = reader.answer(question)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"id": question["id"], **answer}), flush=True)


main()
