/** What a proof is made for. */
export interface ProofOptions {
  /** The request's method, as it is sent (`htm`). */
  method: string;
  /** The request's URL (`htu`); query and fragment are left out. */
  url: string | URL;
  /** The access token that the request carries; the proof has its hash (`ath`). */
  accessToken?: string;
  /** The server's nonce; the newest that this origin has given, if left out. */
  nonce?: string;
}

/** What a request proves besides what it says itself. */
export interface FetchOptions {
  /** Sent as `Authorization: DPoP …`, and proved. */
  accessToken?: string;
  /** The method to prove, if a backend passes the proof on with another request than this one. */
  method?: string;
  /** The URL to prove, if a backend passes the proof on with another request than this one. Nonces belong to its origin. */
  url?: string | URL;
}

export interface DpopOptions {
  /** Tells several keys of one origin apart; `default` if left out. Tabs with the same name share one key. */
  name?: string;
}

export interface Dpop {
  /** A DPoP proof (RFC 9449 §4.2): a JWT of the type `dpop+jwt`, signed with ES256, in compact serialization. */
  proof(options: ProofOptions): Promise<string>;
  /**
   * `fetch` with a proof, and with the access token if there is one.
   *
   * Remembers each `DPoP-Nonce`. A request is sent once more, with a new proof, when the server answers
   * `use_dpop_nonce`; or `invalid_dpop_proof`, if its `Date` shows that this browser's clock is wrong. A body that is a
   * stream cannot be sent again: then the server's answer is returned. Redirects are errors unless `redirect` says
   * otherwise.
   */
  fetch(input: string | URL | Request, init?: RequestInit, options?: FetchOptions): Promise<Response>;
  /** The key's thumbprint (RFC 7638, SHA-256): `dpop_jkt` of an authorization request, `cnf.jkt` of a token. */
  thumbprint(): Promise<string>;
}

/**
 * A key of this browser, by which tokens can be bound to it (DPoP, RFC 9449).
 *
 * It is an ES256 key that no script can read, kept in IndexedDB: one for each origin and name, shared by all tabs, and
 * made when it is first needed. Where IndexedDB cannot be used, each page has a key of its own until it is closed. Every
 * function rejects with a `TypeError` where there is no WebCrypto: on pages that are neither `https` nor `localhost`.
 */
export function createDpop(options?: DpopOptions): Dpop;
