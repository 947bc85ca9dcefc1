/**
 * How an Iceberg REST catalog is reached.
 *
 * @module
 */

/** Who the gateway is to a catalog that wants to know by OAuth2's client credentials. */
export interface OAuth2Options {
  /** The client's id. */
  readonly clientId: string;
  /** The client's secret. */
  readonly clientSecret: string;
  /** What it asks for, such as `PRINCIPAL_ROLE:ALL`; `catalog` unless given. */
  readonly scope?: string;
  /** Where tokens are given out; the catalog's own `/v1/oauth/tokens` unless given. */
  readonly tokenUri?: string;
}

/** How an Iceberg REST catalog is reached. */
export interface RestCatalogOptions {
  /** Its address, that is what stands before `/v1`: `https://catalog.example.com/iceberg`. */
  readonly uri: string;
  /** The warehouse in it, where it has several. */
  readonly warehouse?: string;
  /** What follows `/v1/` in its paths, unless the catalog says it itself. */
  readonly prefix?: string;
  /** A token that does not expire while it is used. */
  readonly token?: string;
  /** How tokens are asked for; instead of `token`. */
  readonly oauth2?: OAuth2Options;
  /** Further headers of every request to the catalog. */
  readonly headers?: Readonly<Record<string, string>>;
  /** A request that is not answered for so long has failed, in milliseconds; 30,000 unless given. */
  readonly timeoutMs?: number;
}

/** An address without its last slash, and without the `/v1` that some write behind it. */
function plainUri(name: string, uri: string): string {
  const url = URL.canParse(uri) ? new URL(uri) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new TypeError(`The ${name} of a REST catalog is an http or https address`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    throw new TypeError(`The ${name} of a REST catalog has no name, password, query or fragment`);
  }
  return url.href.replace(/\/+$/, "");
}

/**
 * Holds options to their form.
 *
 * @param options the options
 * @returns the same, addresses without a slash behind them
 * @throws {TypeError} when they are none; it names no secret
 */
export function checkRestOptions(options: RestCatalogOptions): RestCatalogOptions {
  const { oauth2, token, timeoutMs = 1 } = options;
  if (oauth2 !== undefined && token !== undefined) {
    throw new TypeError("A REST catalog is given a token or oauth2, not both");
  }
  if (!(timeoutMs > 0)) throw new TypeError("timeoutMs is a number of milliseconds above 0");
  const uri = plainUri("uri", options.uri).replace(/\/v1$/, "");
  if (oauth2 === undefined) return { ...options, uri };
  if (oauth2.clientId === "" || oauth2.clientSecret === "") {
    throw new TypeError("oauth2 is a clientId and a clientSecret");
  }
  const tokenUri = plainUri("tokenUri", oauth2.tokenUri ?? `${uri}/v1/oauth/tokens`);
  return { ...options, uri, oauth2: { ...oauth2, tokenUri } };
}
