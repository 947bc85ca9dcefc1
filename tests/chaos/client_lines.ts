/**
 * Lines of a process's output.
 *
 * @module
 */

/** Turns bytes of UTF-8 into whole lines; what follows the last newline is dropped. */
export class TextLineStream extends TransformStream<Uint8Array, string> {
  /** Makes one. */
  constructor() {
    const decoder = new TextDecoder();
    let rest = "";
    super({
      transform(chunk, controller) {
        const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) controller.enqueue(line);
      },
    });
  }
}
