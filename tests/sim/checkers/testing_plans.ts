/**
 * Random runs of the engine that keeps every promise.
 *
 * @module
 */
import fc from "fast-check";
import type { History } from "../history.ts";
import { Engine } from "./testing_engine.ts";

/** The users of the devices. */
export const DEVICES: Readonly<Record<string, string>> = { a: "ann", b: "bob", c: "bob", d: "cid" };

const device = fc.constantFrom(...Object.keys(DEVICES));
const user = fc.constantFrom("ann", "bob", "cid");
const list = fc.constantFrom("l1", "l2", "l3");

type Step = (engine: Engine) => void;

const steps: fc.Arbitrary<Step>[] = [
  fc.tuple(device, list).map(([name, of]) => (engine) => engine.write(name, of)),
  fc.tuple(device, list).map(([name, of]) => (engine) => engine.write(name, of)),
  fc.tuple(device, list).map(([name, of]) => (engine) => engine.write(name, of, true)),
  fc.tuple(device, list).map(([name, of]) => (engine) => engine.rollBack(name, of)),
  device.map((name) => (engine) => engine.push(name)),
  device.map((name) => (engine) => engine.push(name)),
  device.map((name) => (engine) => engine.pull(name)),
  device.map((name) => (engine) => engine.pull(name)),
  device.map((name) => (engine) => engine.read(name)),
  device.map((name) => (engine) => engine.read(name)),
  fc.tuple(user, list).map(([who, of]) => (engine) => engine.join(who, of)),
  fc.tuple(user, list).map(([who, of]) => (engine) => engine.leave(who, of)),
];

const losses: fc.Arbitrary<Step>[] = [
  device.map((name) => (engine) => engine.lose(name)),
  fc.nat(20).map((length) => (engine) => engine.restore(length)),
];

/** Histories in which every promise is kept, with losses and restores. */
export const goodHistories: fc.Arbitrary<History> = play([...steps, ...losses]);

/** The same without losses and restores. */
export const calmHistories: fc.Arbitrary<History> = play(steps);

function play(of: fc.Arbitrary<Step>[]): fc.Arbitrary<History> {
  return fc.array(fc.oneof(...of), { minLength: 20, maxLength: 120 }).map((plan) => {
    const engine = new Engine(DEVICES, { l1: ["ann", "bob", "cid"], l2: ["ann", "bob"] });
    for (const step of plan) step(engine);
    return engine.finish();
  });
}
