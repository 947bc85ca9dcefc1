/**
 * What tests of an app use: a gateway as a process of its own.
 *
 * @module
 */

export { ServerProcess, type ServerProcessOptions } from "./process.ts";
