/**
 * Why a server that was asked did not answer, for people.
 *
 * @module
 */

const CERTIFICATE = /invalid peer certificate: ([\w ]+)/;

function messagesOf(error: unknown): string {
  const messages: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) messages.push(at.message);
  return messages.join("\n");
}

/**
 * Says why an address gave no answer, as far as the runtime tells.
 *
 * @param url the address
 * @param cause what `fetch` threw
 * @returns a message that says what to do
 */
export function whyUnanswered(url: string, cause: unknown): string {
  const messages = messagesOf(cause);
  const certificate = CERTIFICATE.exec(messages);
  if (certificate !== null) {
    return `The certificate of ${url} is not trusted (${certificate[1]}), is the address the one ` +
      "that it names? DENO_CERT=ca.pem trusts a CA of your own";
  }
  if (messages.includes("invalid HTTP version")) return `${url} does not speak HTTP, is it https?`;
  return `${url} does not answer, is the server running?`;
}
