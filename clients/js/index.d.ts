import type { Dpop } from "./dpop.js";

/** No user is signed in, or not any more: send the user to `client.signIn()`. */
export class SignedOut extends Error {
  name: "SignedOut";
}

/** What every client is told. With DPoP there is more: {@link WithDpop}. */
export interface Options {
  /**
   * Where the tokens are.
   *
   * `bff`: all of them in the backend. `tmb`: the refresh token in the backend, the access token in this page. `spa`: the
   * refresh token in an HttpOnly cookie, the access token in this page.
   */
  pattern: "bff" | "tmb" | "spa";
  /** The backend's URL; the page's own origin if left out. */
  backend?: string;
  /**
   * The APIs that may see the access token, as URLs; everything below them counts (`tmb` and `spa`).
   *
   * Requests to any other address go out unchanged. With `bff` it is what is below the backend's `/api/`.
   */
  apis?: string[];
  /** Tells the clients of several apps at one origin apart; `<pattern>-client` if left out. */
  name?: string;
  /** How long the backend may take to answer, in milliseconds; 10,000 if left out. */
  timeout?: number;
}

/** What a client with DPoP (RFC 9449) is told besides {@link Options}. The backend has to pass the proofs on. */
export interface WithDpop {
  pattern: "tmb" | "spa";
  /** From `createDpop()` of `./dpop`: access tokens are bound to its key, and requests to APIs prove it. */
  dpop: Dpop;
  /**
   * The authority's token endpoint, for which the proofs of a refresh are made (`htu`).
   *
   * The page sends them to its backend, which passes the header `DPoP` on to that address.
   */
  tokenEndpoint: string;
}

/** What a client without DPoP is told: nothing of {@link WithDpop}. */
export interface WithoutDpop {
  dpop?: undefined;
  tokenEndpoint?: string;
}

export interface User {
  sub: string;
  name?: string;
  email?: string;
}

/**
 * What has become of the session.
 *
 * `signed_out`: the user has signed out, here or in another tab, or a call found that there is no session. `ended`: the
 * session has ended elsewhere, on the page of the user's sessions for example; the backend said so at once, and why.
 * `changed`: another user has signed in in another tab; what is on this page is not theirs, so ask `session()` again.
 */
export type Change = "signed_out" | "ended" | "changed";

/** Why a session has ended, as the authority names it. There may be others. */
export type Reason =
  | "signed_out"
  | "logged_out_by_provider"
  | "signed_in_again"
  | "revoked_by_user"
  | "revoked_by_app"
  | "revoked_by_operator"
  | "reuse"
  | "superseded"
  | "password_changed"
  | "account_closed"
  | "factors_reset"
  | "user_disabled"
  | "client_disabled"
  | "client_changed"
  | (string & {});

export interface Client {
  /** Who is signed in; `null` if no user is. Rejects when the backend cannot be reached: that says nothing. */
  session(): Promise<User | null>;
  /**
   * `fetch` with what the pattern needs: the CSRF header, or an access token that is good (and a proof, with `dpop`).
   *
   * After a 401 of the API it tries once more with another token (not when `body` is a stream, which cannot be sent
   * again). Redirects are errors unless `redirect` says otherwise. Aborting `signal` gives up this call alone.
   *
   * @throws {SignedOut} when there is no session any more. A network fault is thrown as `fetch` throws it.
   */
  fetch(input: string | URL | Request, init?: RequestInit): Promise<Response>;
  /**
   * An access token that is good for a moment (`tmb` and `spa`). Do not keep it.
   *
   * With `dpop` it is of no use without a proof: send it with `dpop.fetch`.
   *
   * @throws {SignedOut} when there is no session any more.
   */
  token(): Promise<string>;
  /** Leaves for the sign-in page; comes back to `returnTo`, a local path (this page, if left out). */
  signIn(returnTo?: string): void;
  /** Signs out, in all tabs. `everywhere`: leaves for the provider's page, which ends the sign-in of all apps. */
  signOut(options?: { everywhere?: boolean }): Promise<void>;
  /**
   * Calls `listener` when the session changes; answers how to stop that.
   *
   * After `session()` has found a user, one stream for all tabs of the browser tells of the end at once. It may come
   * after a call has found it out: then `signed_out` is followed by `ended` with the reason.
   */
  onChange(listener: (change: Change, reason?: Reason) => void): () => void;
  /** Lets go of everything. For tests, and for pages that make several clients. */
  close(): void;
}

/**
 * Makes a client. Make one for each app, when the page loads, outside of components.
 *
 * @throws {TypeError} when `dpop` is given without `tokenEndpoint`.
 */
export function createClient(options: Options & (WithDpop | WithoutDpop)): Client;
