/**
 * Whether all devices agree about one state of the gateways. A look asks one device after the other
 * and takes time, in which the run goes on: what it has found counts before it is over.
 *
 * @module
 */

/** What is looked at. */
export interface AgreementSettings<D> {
  /** The time, in milliseconds. */
  readonly nowMs: () => number;
  /** Stands for what the gateways have committed; "" while that cannot be told. */
  readonly heads: () => Promise<string>;
  /** Who has to agree; undefined while it is too early to ask them. */
  readonly devices: () => readonly D[] | undefined;
  /** Whether a device holds what the gateways have, and has nothing to do. */
  readonly isSettled: (device: D) => Promise<boolean>;
}

/** Follows from look to look who has settled. */
export class Agreement<D> {
  readonly #settings: AgreementSettings<D>;
  readonly #settledMs = new Map<D, number>();
  #agreed: { readonly heads: string; readonly sinceMs: number } | undefined;
  #looking = false;

  /** @param settings what is looked at */
  constructor(settings: AgreementSettings<D>) {
    this.#settings = settings;
  }

  /**
   * When the first of the looks began in which all have agreed about the state that the gateways
   * still have, in milliseconds; undefined as soon as one does not.
   */
  get sinceMs(): number | undefined {
    return this.#agreed?.sinceMs;
  }

  /** When each device settled that is settled now, in milliseconds. */
  get settledMs(): ReadonlyMap<D, number> {
    return this.#settledMs;
  }

  /** Looks once, unless a look is under way. */
  async look(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      await this.#look();
    } finally {
      this.#looking = false;
    }
  }

  async #look(): Promise<void> {
    const { nowMs, heads, devices, isSettled } = this.#settings;
    const sinceMs = nowMs();
    const before = await heads();
    if (this.#agreed?.heads !== before) this.#agreed = undefined;
    const asked = devices();
    let all = before !== "" && asked !== undefined;
    for (const device of asked ?? []) {
      if (await isSettled(device)) {
        if (!this.#settledMs.has(device)) this.#settledMs.set(device, nowMs());
      } else {
        this.#settledMs.delete(device);
        this.#agreed = undefined;
        all = false;
      }
    }
    if (before !== await heads()) all = false;
    if (!all) this.#agreed = undefined;
    else this.#agreed ??= { heads: before, sinceMs };
  }
}
