/**
 * The secret that a data folder keeps, made on the first run.
 *
 * @module
 */

import { LakeSyncError } from "@lakesync/core";
import { join } from "node:path";
import { inFolder } from "../store/folder_access.ts";
import { MIN_SECRET_CHARS } from "./token.ts";

/** Where a data folder keeps its secret. */
export function secretPath(dataDir: string): string {
  return join(dataDir, "secret");
}

/**
 * Reads a data folder's secret.
 *
 * @param dataDir the data folder
 * @returns the secret, or undefined when there is none yet
 * @throws {LakeSyncError} `VALIDATION_ERROR` when it is too short, `INTERNAL_ERROR` when it may not
 * be read
 */
export async function readSecret(
  dataDir: string,
): Promise<string | undefined> {
  const path = secretPath(dataDir);
  let text: string;
  try {
    text = await inFolder(dataDir, () => Deno.readTextFile(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
  const secret = text.trim();
  if (secret.length < MIN_SECRET_CHARS) {
    throw new LakeSyncError(
      "VALIDATION_ERROR",
      `The secret in ${path} has fewer than ${MIN_SECRET_CHARS} characters, write a longer one or remove the file`,
    );
  }
  return secret;
}

/**
 * Reads a data folder's secret and makes folder and secret when they are not there. Only their
 * owner may read them.
 *
 * @param dataDir the data folder
 * @returns the secret
 * @throws {LakeSyncError} `VALIDATION_ERROR` when there is one and it is too short
 */
export async function readOrMakeSecret(dataDir: string): Promise<string> {
  const existing = await readSecret(dataDir);
  if (existing !== undefined) return existing;
  await Deno.mkdir(dataDir, { recursive: true, mode: 0o700 });
  const bytes = crypto.getRandomValues(new Uint8Array(32));
  const secret = bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  try {
    await Deno.writeTextFile(secretPath(dataDir), `${secret}\n`, {
      createNew: true,
      mode: 0o600,
    });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
  }
  return await readSecret(dataDir) ?? secret;
}
