/**
 * The port to where objects are kept: whole pieces of bytes under keys like paths. A folder or memory
 * here, a bucket of an object storage elsewhere.
 *
 * Every implementation passes the suite in `tests/conformance`.
 *
 * @module
 */

/** What is known of an object without reading it. */
export interface ObjectHead {
  /** Its key. */
  readonly key: string;
  /** Its size in bytes. */
  readonly bytes: number;
  /** When it was kept, in milliseconds since 1970 by the store's clock. */
  readonly modifiedMs: number;
}

/** A part of an object. */
export interface ByteRange {
  /** Where it begins; from the end when negative. */
  readonly start: number;
  /** How many bytes at most; to the end when not there. */
  readonly length?: number;
}

/**
 * Keeps objects. A key is 1 to 800 characters: segments parted by `/`, of 1 to 255 letters, digits
 * and `_ - . = + , @`, that do not begin with a dot. No object's key is a folder of another's. A key
 * that is none makes every method throw a `TypeError`.
 */
export interface ObjectStore {
  /**
   * Keeps an object, or replaces it whole; it is durable when the promise resolves. Readers see the
   * object before or after, never a part.
   */
  putObject(key: string, bytes: Uint8Array): Promise<void>;
  /**
   * Keeps an object if there is none of that key; it is durable when the promise resolves. Of several
   * that try at once one succeeds.
   *
   * @returns whether it was kept; false when there is one already
   * @throws {ObjectStoreError} among others, `unknown` when it may be there or come to be there
   */
  createObject(key: string, bytes: Uint8Array): Promise<boolean>;
  /**
   * Reads an object; undefined when there is none.
   *
   * @param key the key
   * @param range only these bytes, those that are there
   * @throws {TypeError} when the range has parts of bytes or a negative length
   */
  getObject(key: string, range?: ByteRange): Promise<Uint8Array | undefined>;
  /** Asks for an object without reading it; undefined when there is none. */
  headObject(key: string): Promise<ObjectHead | undefined>;
  /**
   * Lists objects, in no certain order.
   *
   * @param folder what their keys begin with, up to a `/`; "" for all
   */
  listObjects(folder: string): AsyncIterable<ObjectHead>;
  /** Deletes an object; one that is not there is no error. */
  deleteObject(key: string): Promise<void>;
  /** Deletes objects; those that are not there are no error. */
  deleteObjects(keys: readonly string[]): Promise<void>;
}

/**
 * Why a store failed: `unreachable`: it is not there, overloaded or failing, so try again later; an
 * object may have been put or deleted all the same, or may be yet, but none was created. `refused`:
 * it does not allow what was asked, and no retry will help. `unknown`: an object may have been
 * created or may be yet. `closed`: the store was closed here.
 */
export type ObjectStoreFailure = "unreachable" | "refused" | "unknown" | "closed";

/** A store failed. */
export class ObjectStoreError extends Error {
  /** Always `ObjectStoreError`. */
  override readonly name: string = "ObjectStoreError";
  /** Why. */
  readonly failure: ObjectStoreFailure;
  /** The storage's or the system's own code, where there is one, such as `SlowDown`. */
  readonly code: string | undefined;

  /**
   * Makes the error.
   *
   * @param failure why
   * @param message what went wrong and what to do, without keys and secrets of an account
   * @param options the cause, and the storage's own code
   */
  constructor(
    failure: ObjectStoreFailure,
    message: string,
    options: { readonly cause?: unknown; readonly code?: string } = {},
  ) {
    super(message, { cause: options.cause });
    this.failure = failure;
    this.code = options.code;
  }
}

/** Object storages hold 1,024 with what is before the key, systems of files 255 a segment. */
const MAX_CHARS = 800;
const KEY = /^[\w=+,@-][\w.=+,@-]{0,254}(\/[\w=+,@-][\w.=+,@-]{0,254})*$/;

/**
 * Tells whether a text has the form of a key.
 *
 * @param key the text
 */
export function isObjectKey(key: string): boolean {
  return key.length <= MAX_CHARS && KEY.test(key);
}

/**
 * Holds a key to its form.
 *
 * @param key the key
 * @returns the key
 * @throws {TypeError} when it is none
 */
export function checkObjectKey(key: string): string {
  if (isObjectKey(key)) return key;
  throw new TypeError(
    "An object key is segments of letters, digits and _-.=+,@ parted by /, none beginning with a " +
      "dot, of 255 characters at most and 800 together",
  );
}

/**
 * Finds a range in an object.
 *
 * @param range the range; all of the object unless given
 * @param bytes how large the object is
 * @returns where the range begins and ends in it; the end is not part of it
 * @throws {TypeError} when it is none
 */
export function locateRange(
  range: ByteRange | undefined,
  bytes: number,
): readonly [from: number, to: number] {
  const { start = 0, length = Infinity } = range ?? {};
  if (!Number.isSafeInteger(start) || !(length >= 0 && Math.trunc(length) === length)) {
    throw new TypeError("A range is a whole number to start at and a length of 0 or more");
  }
  const from = start < 0 ? Math.max(0, bytes + start) : Math.min(start, bytes);
  return [from, Math.min(bytes, from + length)];
}
