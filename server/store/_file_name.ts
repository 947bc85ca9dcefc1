/**
 * File names for gateway ids that stay apart where the file system does not tell upper from lower
 * case.
 *
 * @module
 */

const SUFFIX = ".db";

/**
 * Names a gateway's file: capitals are written as `+` and the small letter.
 *
 * @param gatewayId a valid gateway id
 * @returns the file's name
 */
export function fileNameOf(gatewayId: string): string {
  const escaped = gatewayId.replace(
    /[A-Z]/g,
    (letter) => `+${letter.toLowerCase()}`,
  );
  return escaped + SUFFIX;
}

/**
 * Reads a gateway id from its file's name.
 *
 * @param fileName a file's name
 * @returns the id, or undefined for a file that is no gateway's
 */
export function gatewayIdOf(fileName: string): string | undefined {
  if (!/^(?:\+[a-z]|[a-z0-9_-])+\.db$/.test(fileName)) return undefined;
  return fileName.slice(0, -SUFFIX.length).replace(
    /\+(.)/g,
    (_, letter: string) => letter.toUpperCase(),
  );
}
