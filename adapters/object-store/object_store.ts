/**
 * The port to where objects are kept: whole pieces of bytes under keys like paths. A folder or memory
 * here, a bucket of an object storage elsewhere.
 *
 * Every implementation passes the suite in `object_store_test.ts`.
 *
 * @module
 */

/** What is known of an object without reading it. */
export interface ObjectHead {
  /** Its key. */
  readonly key: string;
  /** Its size in bytes. */
  readonly bytes: number;
}

/** A part of an object. */
export interface ByteRange {
  /** Where it begins; from the end when negative. */
  readonly start: number;
  /** How many bytes at most; to the end when not there. */
  readonly length?: number;
}

/**
 * Keeps objects. A key is 1 to 1,024 characters: segments parted by `/`, of letters, digits and
 * `_ - . = + , @`, that do not begin with a dot. No object's key is a folder of another's. A key that
 * is none makes every method throw a `TypeError`.
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
   * @throws when it is not known: it may be there, or come to be there
   */
  createObject(key: string, bytes: Uint8Array): Promise<boolean>;
  /**
   * Reads an object; undefined when there is none.
   *
   * @param key the key
   * @param range only these bytes, those that are there
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

const MAX_CHARS = 1024;
const KEY = /^[\w=+,@-][\w.=+,@-]*(\/[\w=+,@-][\w.=+,@-]*)*$/;

/**
 * Holds a key to its form.
 *
 * @param key the key
 * @returns the key
 * @throws {TypeError} when it is none
 */
export function checkObjectKey(key: string): string {
  if (key.length <= MAX_CHARS && KEY.test(key)) return key;
  throw new TypeError(
    "An object key is segments of letters, digits and _-.=+,@ parted by /, none beginning with a dot",
  );
}
