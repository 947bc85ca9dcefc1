/**
 * Reads the tables that LakeSync keeps in a Postgres or MySQL database, by the driver's own words.
 *
 * @module
 */

/** A row as a driver gives it. */
type Row = Readonly<Record<string, string | number | bigint | boolean | object | null>>;

/** A connection that reads. */
export interface Database extends AsyncDisposable {
  /** Runs a query. */
  query(sql: string): Promise<readonly Row[]>;
}

async function openPostgres(url: string): Promise<Database> {
  const { default: postgres } = await import("postgres");
  const sql = postgres(url, { max: 1 });
  return {
    query: (text) => sql.unsafe<Row[]>(text),
    [Symbol.asyncDispose]: () => sql.end(),
  };
}

async function openMysql(url: string): Promise<Database> {
  const { createConnection } = await import("mysql2/promise");
  const connection = await createConnection({
    uri: url,
    supportBigNumbers: true,
    // What the driver makes of a double's digits by itself may be off in the last place.
    typeCast: (field, next) => {
      if (field.type !== "DOUBLE") return next();
      const digits = field.string();
      return digits === null ? null : Number(digits);
    },
  });
  return {
    async query(text) {
      const [rows] = await connection.query(text);
      return rows as unknown as readonly Row[];
    },
    [Symbol.asyncDispose]: () => connection.end(),
  };
}

/**
 * Opens a database.
 *
 * @param url `postgres://…` or `mysql://…`
 */
export async function openDatabase(url: string): Promise<Database> {
  return await (url.startsWith("mysql:") ? openMysql(url) : openPostgres(url));
}
