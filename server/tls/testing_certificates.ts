/**
 * Real certificates for tests, made by openssl.
 *
 * @module
 */

import { join } from "node:path";

/** A folder with certificates of one authority, for `localhost` and 127.0.0.1. */
export interface TestCertificates {
  /** The folder; `server.pem` and `server.key` in it are those in use. */
  readonly folder: string;
  /** The authority's certificate, as PEM. */
  readonly ca: string;
  /** Puts the certificate of a name, and its key, in the place of those in use. */
  use(name: string, what?: "cert" | "key"): Promise<void>;
}

/** Whether there is what makes them. */
export async function hasOpenssl(): Promise<boolean> {
  try {
    return (await new Deno.Command("openssl", { args: ["version"] }).output()).success;
  } catch {
    return false;
  }
}

/**
 * Makes certificates.
 *
 * @param names their common names
 * @param test is given them, the first of them in use; the folder is removed afterwards
 */
export async function withCertificates(
  names: readonly string[],
  test: (certificates: TestCertificates) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "lakesync-tls-" });
  const script = `
    ec="-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes"
    openssl req -x509 $ec -days 2 -subj /CN=authority -keyout ca.key -out ca.pem
    printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\nbasicConstraints=CA:FALSE' > extensions
    for name in ${names.join(" ")}; do
      openssl req $ec -subj "/CN=$name" -keyout "$name.key" -out "$name.csr"
      openssl x509 -req -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \\
        -extfile extensions -out "$name.pem"
    done`;
  const use: TestCertificates["use"] = async (name, what) => {
    for (const [kind, ending] of [["cert", "pem"], ["key", "key"]] as const) {
      if (what !== undefined && what !== kind) continue;
      const copy = join(folder, `${name}.${ending}.copy`);
      await Deno.copyFile(join(folder, `${name}.${ending}`), copy);
      await Deno.rename(copy, join(folder, `server.${ending}`));
    }
  };
  try {
    const { success, stderr } = await new Deno.Command("sh", {
      args: ["-ec", script],
      cwd: folder,
    }).output();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    const ca = await Deno.readTextFile(join(folder, "ca.pem"));
    await use(names[0] ?? "");
    await test({ folder, ca, use });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
