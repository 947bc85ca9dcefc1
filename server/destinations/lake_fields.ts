/**
 * Checks what a configuration says of a lake.
 *
 * @module
 */

import { UsageError } from "../values.ts";
import {
  type Check,
  checkFields,
  checkKind,
  days,
  isRecord,
  type Kind,
  of,
  oneOf,
  text,
  webAddress,
  whole,
} from "./fields.ts";

/** A text that has a form once `{gateway}` in it is a gateway's id. */
function named(form: RegExp, what: string): Check {
  return (value, place) => {
    if (typeof value === "string" && form.test(value.replaceAll("{gateway}", "ggg"))) return;
    throw new UsageError(`${place} must be ${what}`);
  };
}

function both(one: string, other: string): NonNullable<Kind["together"]> {
  return (value, place) => {
    for (const [has, lacks] of [[one, other], [other, one]] as const) {
      if (value[has] !== undefined && value[lacks] === undefined) {
        throw new UsageError(`${place}.${lacks} is needed beside ${has}`);
      }
    }
  };
}

const STORES: Readonly<Record<string, Kind>> = {
  fs: { optional: { folder: text } },
  s3: {
    needed: {
      bucket: named(/^[A-Za-z0-9][\w.-]{1,62}$/, "the name of a bucket"),
    },
    optional: {
      prefix: named(
        /^[\w=+,@-][\w.=+,@-]*(\/[\w=+,@-][\w.=+,@-]*)*$/,
        "segments of letters, digits and _-.=+,@ parted by /, none beginning with a dot",
      ),
      region: text,
      endpoint: webAddress,
      pathStyle: of("boolean"),
      accessKeyId: text,
      secretAccessKey: text,
      sessionToken: text,
    },
    together: both("accessKeyId", "secretAccessKey"),
  },
};

const oauth2: Check = (value, place) => {
  if (!isRecord(value)) throw new UsageError(`${place} must be an object`);
  checkFields(
    value,
    place,
    { clientId: text, clientSecret: text },
    { tokenUri: webAddress, scope: text },
  );
};

const CATALOGS: Readonly<Record<string, Kind>> = {
  object: {},
  rest: {
    needed: { uri: webAddress },
    optional: { warehouse: text, token: text, oauth2 },
    together: ({ token, oauth2 }, place) => {
      if (token === undefined || oauth2 === undefined) return;
      throw new UsageError(`${place} has either token or oauth2, not both`);
    },
  },
};

/** Where a lake's objects are. */
export const LAKE_STORE: Check = (value, place) => checkKind(value, place, STORES);

/** What a lake holds beside its `type`. */
export const LAKE: Kind = {
  optional: {
    store: LAKE_STORE,
    catalog: (value, place) => checkKind(value, place, CATALOGS),
    namespace: named(/^\w[\w-]{0,127}$/, "letters, digits, _ and -, and {gateway}"),
    mergeEveryMs: whole(1),
    retentionDays: days,
    checkpoints: of("boolean"),
    flushFormat: oneOf("iceberg", "json"),
  },
  together: ({ flushFormat, catalog, mergeEveryMs, checkpoints }, place) => {
    if (flushFormat !== "json") return;
    if (catalog === undefined && mergeEveryMs === undefined && checkpoints === undefined) return;
    throw new UsageError(
      `${place}.flushFormat json has no tables, so no catalog, no merge and no checkpoints`,
    );
  },
};
