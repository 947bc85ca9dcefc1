/**
 * Finds the programs that read the lake's tables beside LakeSync; `tools/install.sh` brings them.
 *
 * @module
 */

import { firstFile, type Missing, pathFolders } from "../servers/find.ts";
import { toolsFolder } from "../servers/tools.ts";

/** Where the programs are. */
export interface LakeTools {
  /** A Python that has PyIceberg and DuckDB. */
  readonly python: string;
  /** The folder of DuckDB's extensions. */
  readonly extensions: string;
  /** A Java that runs programs from their source. */
  readonly java: string;
  /** The folder of Spark's archives. */
  readonly spark: string;
  /** The folder of the REST catalog's archives. */
  readonly catalog: string;
}

/** Looks for the programs, or says what is missing. */
export async function findLakeTools(): Promise<LakeTools | Missing> {
  const folder = toolsFolder();
  const place = (name: string) => `${folder}/lake-${name}`;
  for (const name of ["python", "spark", "catalog"]) {
    if (await firstFile([`${place(name)}/pins`]) === undefined) {
      return { missing: `${place(name)} is not there; tests/lake/tools/install.sh brings it` };
    }
  }
  const java = await firstFile(pathFolders().map((path) => `${path}/java`));
  if (java === undefined) return { missing: "Java is not installed; CONTRIBUTING.md says how" };
  return {
    python: `${place("python")}/bin/python`,
    extensions: `${place("python")}/extensions`,
    java,
    spark: place("spark"),
    catalog: place("catalog"),
  };
}
