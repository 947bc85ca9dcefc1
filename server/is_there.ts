/**
 * Whether something is at a path.
 *
 * @module
 */

/**
 * Looks for a file or folder.
 *
 * @throws {Deno.errors} when that cannot be told, for instance for want of a permission
 */
export async function isThere(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
