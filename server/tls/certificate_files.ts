/**
 * A certificate and its key in two files, read again when they change. While what is in them does not
 * fit together, for instance because only one of them has been replaced yet, the one before goes on.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { getLogger } from "@logtape/logtape";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { type Certificate, TlsFront } from "./front.ts";

const logger = getLogger(["lakesync", "tls"]);

/** How often the files are looked at, in milliseconds. */
const LOOK_EVERY_MS = 1_000;

/** Where they are. */
export interface CertificateFiles {
  /** The chain, as PEM. */
  readonly certPath: string;
  /** The private key, as PEM. */
  readonly keyPath: string;
}

/** Does something with a file; an error says which file. */
async function of<T>(path: string, work: (path: string) => Promise<T>): Promise<T> {
  try {
    return await work(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) {
      throw new Error(`There is no file ${path}`, { cause });
    }
    if (cause instanceof Deno.errors.PermissionDenied) {
      throw new Error(`The file ${path} may not be read by who runs the server`, { cause });
    }
    throw cause;
  }
}

async function stampOf({ certPath, keyPath }: CertificateFiles): Promise<string> {
  const stats = await Promise.all([of(certPath, Deno.stat), of(keyPath, Deno.stat)]);
  return stats.map(({ ino, size, mtime }) => `${ino} ${size} ${mtime?.getTime()}`).join(", ");
}

/** What a file holds; what the library says of a wrong one tells nobody what is wrong. */
function parsed<T>(parse: () => T, path: string, what: string): T {
  try {
    return parse();
  } catch (cause) {
    throw new Error(`${path} holds no ${what}`, { cause });
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

async function read({ certPath, keyPath }: CertificateFiles): Promise<Certificate> {
  const cert = await of(certPath, Deno.readTextFile);
  const key = await of(keyPath, Deno.readTextFile);
  const first = parsed(() => new X509Certificate(cert), certPath, "certificate as PEM");
  const priv = parsed(
    () => createPrivateKey(key),
    keyPath,
    "private key as PEM without a passphrase",
  );
  if (first.checkPrivateKey(priv)) return { cert, key };
  throw new Error(
    `The private key in ${keyPath} does not fit the first certificate in ${certPath}`,
  );
}

/** What a certificate is for, and until when, as far as that can be read. */
function describe({ cert }: Certificate): { readonly subject: string; readonly until: string } {
  const { subject, validTo } = new X509Certificate(cert);
  return { subject, until: validTo };
}

/** Serves by TLS with the certificate of two files. */
export class WatchedTls {
  readonly #files: CertificateFiles;
  readonly #front: TlsFront;
  #stamp: string;
  #complaint = "";
  #looking: Promise<void> | undefined;
  readonly #timer: ReturnType<typeof setInterval>;

  private constructor(files: CertificateFiles, front: TlsFront, stamp: string) {
    this.#files = files;
    this.#front = front;
    this.#stamp = stamp;
    this.#timer = setInterval(() => void this.look(), LOOK_EVERY_MS);
  }

  /**
   * Reads the files, and looks for changes from then on.
   *
   * @param files where they are
   * @throws {LakeSyncError} `VALIDATION_ERROR` when they cannot be read
   */
  static async open(files: CertificateFiles): Promise<WatchedTls> {
    try {
      const stamp = await stampOf(files);
      return new WatchedTls(files, new TlsFront(await read(files)), stamp);
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable) throw error;
      throw new LakeSyncError(
        "VALIDATION_ERROR",
        `The certificate for https cannot be used: ${messageOf(error)}`,
        {},
        { cause: error },
      );
    }
  }

  /** Listens by TLS. */
  get serve(): TlsFront["serve"] {
    return this.#front.serve;
  }

  /** Ends looking for changes. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#looking;
  }

  /** Takes over what has changed. */
  look(): Promise<void> {
    return this.#looking ??= this.#lookOnce().finally(() => this.#looking = undefined);
  }

  async #lookOnce(): Promise<void> {
    try {
      const stamp = await stampOf(this.#files);
      if (stamp === this.#stamp) return;
      const certificate = await read(this.#files);
      this.#front.replace(certificate);
      this.#stamp = stamp;
      this.#complaint = "";
      logger.info("A new certificate is in use: {subject}, valid until {until}", {
        ...describe(certificate),
      });
    } catch (error) {
      const what = messageOf(error);
      if (what === this.#complaint) return;
      this.#complaint = what;
      logger.error("The new certificate cannot be used, the one before goes on: {what}", { what });
    }
  }
}
