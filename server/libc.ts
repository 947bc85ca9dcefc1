/**
 * The C library of this process, where `--allow-ffi` was given.
 *
 * @module
 */

/** The C libraries, as systems and the image name them. */
const LIBRARIES: Readonly<Partial<Record<typeof Deno.build.os, readonly string[]>>> = {
  linux: [
    "libc.so.6",
    "/lib/x86_64-linux-gnu/libc.so.6",
    "/lib/aarch64-linux-gnu/libc.so.6",
    "/lib64/libc.so.6",
    "/usr/local/lib/libc.so.6",
  ],
  darwin: ["/usr/lib/libSystem.B.dylib"],
};

function isAllowed(path: string): boolean {
  return Deno.permissions.querySync({ name: "ffi", path }).state === "granted";
}

/**
 * Opens it.
 *
 * @param symbols the functions that are called
 * @returns nothing where that is not allowed or not possible; nobody is asked
 */
export function openLibc<const S extends Deno.ForeignLibraryInterface>(
  symbols: S,
): Deno.DynamicLibrary<S> | undefined {
  for (const path of LIBRARIES[Deno.build.os] ?? []) {
    if (!isAllowed(path)) continue;
    try {
      return Deno.dlopen(path, symbols);
    } catch {
      // It is another one's name, or has not all of them.
    }
  }
  return undefined;
}
