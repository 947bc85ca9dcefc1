/**
 * What is in a data folder, and what the command ends with: facts that whoever operates a server
 * looks up. The operations page is made of them, and a test holds a real folder to them.
 *
 * @module
 */

/** Files of a data folder. */
export interface DataFile {
  /** Its path; `<…>` stands for a name, a folder ends with `/`. */
  readonly path: string;
  /** What it is, and what to do with it. */
  readonly what: string;
}

/** All that may be in a data folder. */
export const DATA_FILES: readonly DataFile[] = [
  {
    path: "gateways/<id>.db",
    what: "all data of one gateway (SQLite), with `-wal` and `-shm` while it is open. " +
      "Copy it with `lakesync backup`, never alone",
  },
  {
    path: "server.db",
    what: "records of the whole server (SQLite): audit log, lists of who is kept out, answers of " +
      "admin requests; `-wal` and `-shm` too",
  },
  {
    path: "lakesync.kv",
    what: "all of it with `--store kv`; `-wal` and `-shm` too",
  },
  {
    path: "secret",
    what: "the first key that signs tokens, mode 0600. Keep it as a password; made when none is " +
      "given",
  },
  {
    path: "keys.json",
    what: "further keys, mode 0600, written by `lakesync keys`; `keys.json.lock` beside it",
  },
  {
    path: "lock",
    what: "who has the folder open; the lock itself ends with the process. Leave it",
  },
  {
    path: "objects/",
    what: "chunks of checkpoints, built again when they are missing. Needs no backup",
  },
  {
    path: "lake/",
    what: "the lake of `--to lake`. It has its own copy of the data",
  },
  {
    path: "restore-unfinished",
    what: "a restore did not come to its end: run `lakesync restore` again",
  },
];

/** What the command ends with. */
export const EXIT_CODES: readonly (readonly [code: number, meaning: string])[] = [
  [0, "done; of `serve`: it was asked to stop and has drained, or given up on what was late"],
  [1, "failed; standard error says why. A data folder that is in use is one reason"],
  [2, "wrong usage: an unknown flag, a bad value, a configuration that cannot be read"],
  [130, "a second signal came while it stopped. Nothing that was acknowledged is lost"],
];
