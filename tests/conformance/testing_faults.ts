/**
 * Adapters that fail: whose calls are lost, or their answers, whose writes arrive late, and whose
 * process ends, after which nothing that it waits for comes any more.
 *
 * @module
 */

import { type DatabaseAdapter, DestinationError, type ObjectStore } from "@lakesync/adapters";

/** What decides what happens to a call. */
export interface Fate {
  /** Waits before a call arrives. */
  pause(): Promise<void>;
  /** What happens to the next call. */
  next(call: string): "arrives" | "lost" | "answer lost" | "late";
}

/** A process, whose adapters give no answers after its end. */
export class TestProcess {
  isDead = false;

  /**
   * An adapter as this process has it.
   *
   * @param adapter what is behind it
   * @param fate what happens to its calls
   */
  adapter(adapter: DatabaseAdapter, fate: Fate): DatabaseAdapter {
    return new Proxy(adapter, {
      get: (_, name) => {
        const member = Reflect.get(adapter, name);
        if (typeof member !== "function" || name === "close") return member;
        return async (...given: unknown[]) => {
          if (this.isDead) return await never();
          const what = fate.next(String(name));
          if (what === "lost" || what === "late") return await this.#fails();
          await fate.pause();
          try {
            const answer = await member.apply(adapter, given);
            if (what === "answer lost") return await this.#fails();
            return this.isDead ? await never() : answer;
          } catch (error) {
            if (this.isDead) await never();
            throw error;
          }
        };
      },
    });
  }

  /**
   * An object store as this process has it.
   *
   * @param store what is behind it
   * @param fate what happens to its calls
   */
  objects(store: ObjectStore, fate: Fate): ObjectStore {
    const call = async <T>(name: string, act: () => Promise<T>): Promise<T> => {
      if (this.isDead) return await never();
      const what = fate.next(name);
      if (what === "lost") return await this.#fails();
      if (what === "late") {
        void fate.pause().then(() => fate.pause()).then(act).catch(() => {});
        return await this.#fails();
      }
      await fate.pause();
      const answer = await act();
      if (what === "answer lost") return await this.#fails();
      return this.isDead ? await never() : answer;
    };
    return {
      putObject: (key, bytes) => call("put", () => store.putObject(key, bytes)),
      createObject: (key, bytes) => call("create", () => store.createObject(key, bytes)),
      getObject: (key, range) => call("get", () => store.getObject(key, range)),
      headObject: (key) => call("head", () => store.headObject(key)),
      async *listObjects(folder) {
        yield* await call("list", () => Array.fromAsync(store.listObjects(folder)));
      },
      deleteObject: (key) => call("delete", () => store.deleteObject(key)),
      deleteObjects: (keys) => call("delete", () => store.deleteObjects(keys)),
    };
  }

  #fails(): Promise<never> {
    return this.isDead ? never() : Promise.reject(lost());
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}

function lost(): DestinationError {
  return new DestinationError("later", "The connection is lost");
}
