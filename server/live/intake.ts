/**
 * How many bytes of unfinished messages the runtime holds for a connection. It tells only of whole
 * messages; the rest is what has arrived since, by the system's count, and was not told.
 *
 * @module
 */

/** What a look at a connection finds. */
export class Intake {
  #received: number | undefined;
  #told = 0;
  #held = 0;
  #messages = 0;

  /** A whole message came. */
  message(bytes: number): void {
    this.#told += bytes;
    this.#messages++;
  }

  /**
   * Looks at the connection.
   *
   * @param received bytes that have arrived on its socket, by the system's count, if it tells
   * @returns bytes that are held: some less when messages came since the last look, and some more
   * by the headers of frames and by pings
   */
  look(received: number | undefined): number {
    if (received === undefined) return 0;
    // Before the first look there was a handshake, and whatever else was asked on its connection.
    const more = received - (this.#received ?? received);
    const told = this.#told;
    const anyMessage = this.#messages > 0;
    this.#received = received;
    this.#told = 0;
    this.#messages = 0;
    // What was held before the last look was part of a message that has been told of since.
    this.#held = anyMessage
      ? Math.max(0, Math.min(more, this.#held + more - told))
      : this.#held + more;
    return this.#held;
  }
}
