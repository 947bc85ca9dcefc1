/**
 * How much waits to be sent over all live connections of a server. A connection begins its next
 * page only when there is room for it, and otherwise waits for its turn: users first who hold least,
 * among them first come first served, and the last part of the room is for users who hold nothing.
 * One that takes nothing while others wait is ended; what its socket holds until it is really gone
 * still counts for its user, and in all once such bytes are more than a second budget.
 *
 * @module
 */

/** Bytes that may wait in all connections together before a page is begun. */
export const MAX_WAITING_BYTES: number = 64 * 1024 * 1024;

/** Room that a page holds while it is read, as its size is not known yet. */
const PAGE_BYTES: number = 8 * 1024 * 1024;

/** With more than so many bytes in its own socket a connection begins no page. */
const MAX_OWN_BYTES = 1024 * 1024;

/** With more than this share of all bytes in the sockets of a user none of them begins a page. */
const USER_SHARE = 1 / 4;

/** This share of the room is for users in whose sockets nothing waits. */
const RESERVED_SHARE = 1 / 4;

/** How long a connection may take nothing while others wait for room, in milliseconds. */
const STALL_MS = 3_000;

/** Bytes that a slow reader takes in that time at least; the runtime tells only of whole messages. */
const SLOW_BYTES = 96 * 1024;

/** How often sockets are looked at while somebody waits, in milliseconds; they tell nothing. */
const LOOK_MS = 10;

/** A connection, as far as the budget has to do with it. */
export interface Sender {
  /** Whose it is. */
  readonly user: string;
  /** Bytes that wait in its socket. */
  buffered(): number;
  /** Bytes that its peer has taken since it is there, as far as the system tells. */
  taken?(): number;
  /** Ends it because it does not read. */
  overflow(): void;
}

/** What a budget stands on. */
export interface SendBudgetOptions {
  /** How many bytes there are. */
  readonly bytes?: number;
  /** The room that a page holds while it is read. */
  readonly pageBytes?: number;
  /** Whether none may be begun beside so many pages, whatever room there is; they wait. */
  readonly isHeld?: (pages: number) => boolean;
  /** The clock, in milliseconds. */
  readonly now: () => number;
  /** Calls back once after a time in milliseconds. */
  readonly setTimer: (ms: number, callback: () => void) => void;
}

interface Load {
  bytes: number;
  /** When bytes last left, or the first came. */
  movedMs: number;
  /** What its peer had taken then. */
  taken: number;
  /** Whether it was ended and is not gone yet. */
  ended: boolean;
}

interface Waiter {
  readonly sender: Sender;
  readonly begin: (end: () => void) => void;
}

/** The bytes that may wait in all connections of a server together. */
export class SendBudget {
  readonly #options: SendBudgetOptions;
  readonly #max: number;
  readonly #pageBytes: number;
  /** The connections whose sockets were not empty when they were last looked at. */
  readonly #loads = new Map<Sender, Load>();
  /** Who waits, by user: a page for one costs no look at all the others. */
  readonly #waiting = new Map<string, readonly Waiter[]>();
  readonly #userBytes = new Map<string, number>();
  #bytes = 0;
  /** Bytes in sockets that were ended and are not gone yet. */
  #lost = 0;
  #pages = 0;
  #looking = false;

  constructor(options: SendBudgetOptions) {
    this.#options = options;
    this.#max = options.bytes ?? MAX_WAITING_BYTES;
    this.#pageBytes = options.pageBytes ?? PAGE_BYTES;
  }

  /**
   * Asks to begin a page.
   *
   * @returns what must be called when the page was sent or given up; at once when there is room
   */
  turn(sender: Sender): (() => void) | Promise<() => void> {
    if (this.#waiting.size === 0) {
      if (this.#hasRoom(sender)) return this.#begin(sender);
      this.#look();
      if (this.#hasRoom(sender)) return this.#begin(sender);
    }
    const { promise, resolve } = Promise.withResolvers<() => void>();
    const before = this.#waiting.get(sender.user) ?? [];
    this.#waiting.set(sender.user, [...before, { sender, begin: resolve }]);
    this.#beginWaiting();
    if (this.#waiting.size > 0) this.#keepLooking();
    return promise;
  }

  /**
   * Counts what a connection has just been sent. Answers wait for no turn, so whoever holds most
   * is ended when they come to twice the budget.
   */
  sent(sender: Sender): void {
    this.#count(sender);
    if (this.#bytes <= 2 * this.#max) return;
    this.#look();
    const most = [...this.#loads].sort(([, a], [, b]) => b.bytes - a.bytes);
    for (const [holder, load] of most) {
      if (this.#bytes <= 2 * this.#max) return;
      this.#end(holder, load);
    }
  }

  /** The connection is gone. */
  left(sender: Sender): void {
    this.#set(sender, 0);
    this.#giveUp(sender);
    this.#beginWaiting();
  }

  #giveUp(sender: Sender): void {
    const waiting = this.#waiting.get(sender.user);
    if (waiting === undefined) return;
    this.#setWaiting(sender.user, waiting.filter((waiter) => waiter.sender !== sender));
    for (const waiter of waiting) if (waiter.sender === sender) waiter.begin(() => {});
  }

  #setWaiting(user: string, waiting: readonly Waiter[]): void {
    this.#waiting.delete(user);
    if (waiting.length > 0) this.#waiting.set(user, waiting);
  }

  #hasRoom(sender: Sender): boolean {
    return this.#options.isHeld?.(this.#pages) !== true && this.#hasUserRoom(sender.user) &&
      this.#hasOwnRoom(sender);
  }

  #hasUserRoom(user: string): boolean {
    const userBytes = this.#userBytes.get(user) ?? 0;
    const room = userBytes === 0 ? this.#max : this.#max * (1 - RESERVED_SHARE);
    return this.#bytesWithPage <= room && userBytes <= this.#max * USER_SHARE;
  }

  #hasOwnRoom(sender: Sender): boolean {
    return (this.#loads.get(sender)?.bytes ?? 0) <= MAX_OWN_BYTES;
  }

  /** What there would be with one page more. */
  get #bytesWithPage(): number {
    const bytes = this.#bytes + Math.max(0, this.#lost - this.#max);
    return bytes + (this.#pages + 1) * this.#pageBytes;
  }

  #begin({ user }: Sender): () => void {
    this.#pages++;
    this.#addUser(user, this.#pageBytes);
    let open = true;
    return () => {
      if (!open) return;
      open = false;
      this.#pages--;
      this.#addUser(user, -this.#pageBytes);
      this.#beginWaiting();
    };
  }

  /** Begins the pages there is room for; one whose own sockets are full holds up no other. */
  #beginWaiting(): void {
    if (this.#waiting.size === 0) return;
    while (this.#bytesWithPage <= this.#max && this.#options.isHeld?.(this.#pages) !== true) {
      const next = this.#nextWaiting();
      if (next === undefined) return;
      const { user } = next.sender;
      const waiting = this.#waiting.get(user) ?? [];
      this.#setWaiting(user, waiting.filter((waiter) => waiter !== next));
      next.begin(this.#begin(next.sender));
    }
  }

  /** Of the user who holds least, and of those who hold as much the one who was not served for longest. */
  #nextWaiting(): Waiter | undefined {
    let next: Waiter | undefined;
    let least = Infinity;
    for (const [user, waiting] of this.#waiting) {
      const bytes = this.#userBytes.get(user) ?? 0;
      if (bytes >= least || !this.#hasUserRoom(user)) continue;
      const waiter = waiting.find(({ sender }) => this.#hasOwnRoom(sender));
      if (waiter === undefined) continue;
      next = waiter;
      least = bytes;
      if (bytes === 0) break;
    }
    return next;
  }

  #count(sender: Sender): void {
    this.#set(sender, sender.buffered());
  }

  #set(sender: Sender, bytes: number): void {
    const load = this.#loads.get(sender) ??
      { bytes: 0, movedMs: this.#options.now(), taken: sender.taken?.() ?? 0, ended: false };
    const more = bytes - load.bytes;
    if (more < 0) this.#moved(sender, load);
    load.bytes = bytes;
    if (load.ended) this.#lost += more;
    else this.#bytes += more;
    this.#addUser(sender.user, more);
    if (bytes > 0) this.#loads.set(sender, load);
    else this.#loads.delete(sender);
  }

  #addUser(user: string, more: number): void {
    const bytes = (this.#userBytes.get(user) ?? 0) + more;
    if (bytes > 0) this.#userBytes.set(user, bytes);
    else this.#userBytes.delete(user);
  }

  #look(): void {
    for (const sender of [...this.#loads.keys()]) this.#count(sender);
  }

  #keepLooking(): void {
    if (this.#looking) return;
    this.#looking = true;
    this.#options.setTimer(LOOK_MS, () => {
      this.#looking = false;
      this.#look();
      this.#beginWaiting();
      if (this.#waiting.size === 0) return;
      this.#endStalled();
      if (this.#waiting.size > 0) this.#keepLooking();
    });
  }

  #endStalled(): void {
    const beforeMs = this.#options.now() - STALL_MS;
    for (const [sender, load] of [...this.#loads]) {
      if (load.movedMs > beforeMs) continue;
      if ((sender.taken?.() ?? 0) - load.taken >= SLOW_BYTES) this.#moved(sender, load);
      else this.#end(sender, load);
    }
    this.#beginWaiting();
  }

  #moved(sender: Sender, load: Load): void {
    load.movedMs = this.#options.now();
    load.taken = sender.taken?.() ?? 0;
  }

  #end(sender: Sender, load: Load): void {
    if (load.ended) return;
    load.ended = true;
    this.#bytes -= load.bytes;
    this.#lost += load.bytes;
    this.#giveUp(sender);
    sender.overflow();
  }
}
