// The browser's side of the three patterns: who is signed in, calls that carry what they need, one refresh for all
// tabs. Tokens are in memory alone. See index.d.ts for what each function promises.

/** No user is signed in, or not any more. */
export class SignedOut extends Error {
  name = "SignedOut";
}

const sleep = (ms) => new Promise((resume) => setTimeout(resume, ms));
/** How long other tabs may take to hand over a token that they have, in milliseconds. */
const HAND_OVER = 150;

export function createClient(options) {
  const { pattern, backend = "", apis = [], name = `${pattern}-client`, timeout = 10_000, dpop, tokenEndpoint } = options;
  if (dpop && !tokenEndpoint) throw new TypeError("dpop needs tokenEndpoint: the address that proofs are made for");
  const home = new URL(backend || "/", globalThis.location?.href);
  const targets = (pattern === "bff" ? [new URL("/api/", home)] : apis).map((api) => new URL(api, home));
  const listeners = new Set();
  let held, csrf, who, pending, channel, leave, isOpen, arrived, following, leaving, key;
  const locks = globalThis.navigator?.locks;

  // Good is what has not been refused and has not expired; fresh is what need not be replaced yet. A token from the
  // future means that the clock was set back: its age is not known.
  const good = (refused) => held && held.value !== refused && Date.now() < held.until && Date.now() >= held.since;
  const fresh = (refused) => good(refused) && Date.now() < held.renew;

  function forget(tell, why = "signed_out", reason) {
    const was = held || csrf || who;
    held = csrf = who = undefined;
    if (tell) channel?.postMessage({ out: 1, why, reason });
    if (was || reason) for (const listener of listeners) listener(why, reason);
  }

  const unfollow = () => {
    following?.abort();
    following = undefined;
  };

  // Hears of the session's end. Of all tabs the one that holds the lock reads the stream.
  function follow() {
    if (following || !globalThis.EventSource) return;
    const { signal } = (following = new AbortController());
    const read = () =>
      new Promise((done) => {
        let source, timer;
        const begin = () => {
          source = new EventSource(new URL("/auth/events", home), { withCredentials: true });
          source.addEventListener("ended", ({ data }) => over(JSON.parse(data).reason));
          source.addEventListener("check", () => token(held?.value).catch(() => {}));
          // After an answer that is an error a browser does not try again by itself.
          source.onerror = () => source.readyState === 2 && (timer = setTimeout(begin, 5000));
        };
        signal.addEventListener("abort", () => {
          clearTimeout(timer);
          source.close();
          done();
        });
        begin();
      });
    (locks ? locks.request(`${name}-events`, { signal }, read) : read()).catch(() => {});
  }

  async function over(reason) {
    if (leaving) return; // it is this tab that signs out, and it will say so
    unfollow();
    if (reason === "superseded") {
      // The app was opened again in this browser: its cookie is that of the next session in a moment.
      await sleep(1000);
      if (await session().catch(() => who)) return follow();
    }
    // Without a reason it was ended by this browser itself.
    forget(true, reason ? "ended" : "signed_out", reason);
  }

  function open() {
    if (isOpen) return;
    isOpen = true;
    if (globalThis.BroadcastChannel) {
      channel = new BroadcastChannel(name);
      channel.onmessage = ({ data }) => {
        if (data.left) unfollow();
        if (data.out) forget(false, data.why, data.reason);
        else if (data.token) {
          if (data.token.key !== key) return; // bound to a key that is not ours
          held = data.token;
          arrived?.();
        }
        else if (data.ask && fresh(data.refused)) channel.postMessage({ token: held });
        else if (data.who && who && data.who !== who) forget(false, "changed");
      };
    }
    locks?.request(`${name}-here`, { mode: "shared" }, () => new Promise((done) => (leave = done)));
  }

  // A page in the back/forward cache must hold nothing open, and believe nothing when it comes back.
  function close() {
    channel?.close();
    leave?.();
    unfollow();
    channel = leave = held = isOpen = undefined;
  }
  const back = ({ persisted }) => {
    open();
    if (persisted && who) session().catch(() => {});
  };

  const alone = async () => {
    const held = (await locks?.query().catch(() => null))?.held;
    return !globalThis.BroadcastChannel || held?.filter((lock) => lock.name === `${name}-here`).length < 2;
  };

  // Where there are no Web Locks: a lease in localStorage, which holds a random number and no token.
  async function leased(work) {
    const key = `${name}-lease`;
    const me = String(Math.random());
    for (let lease; !lease?.startsWith(me); lease = localStorage.getItem(key)) {
      const taken = Number(localStorage.getItem(key)?.split(" ")[1]) - Date.now();
      if (taken > 0 && taken <= 2 * timeout) await sleep(30);
      else localStorage.setItem(key, `${me} ${Date.now() + 2 * timeout}`);
      await sleep(20);
    }
    try {
      return await work();
    } finally {
      localStorage.removeItem(key);
    }
  }
  const locked = (work) => {
    if (locks) return locks.request(name, { signal: AbortSignal.timeout(2 * timeout) }, work);
    return globalThis.localStorage ? leased(work) : work();
  };

  // The backend passes the proof on, so it is made for the request that the backend makes.
  async function prove(url, init) {
    key ??= await dpop.thumbprint();
    return dpop.fetch(url, init, { method: "POST", url: tokenEndpoint });
  }

  /** Asks the backend. 401 means that the session is over; anything else that is no success is a fault. */
  async function ask(path, { method = "GET", headers = {}, again = pattern === "spa" } = {}) {
    if (method !== "GET") {
      if (pattern === "spa" && !csrf && !(await session())) throw new SignedOut("no user is signed in");
      Object.assign(headers, pattern === "spa" ? { "X-CSRF-Token": csrf } : { "X-CSRF": "1" });
    }
    const signal = AbortSignal.timeout(timeout);
    const send = dpop && /token|refresh|session/.test(path) ? prove : fetch;
    const answer = await send(new URL(path, home), { method, headers, signal, credentials: "include", cache: "no-store" });
    if (answer.status === 401) {
      forget(true);
      throw new SignedOut("the session has ended");
    }
    if (answer.status === 403 && method !== "GET" && again) {
      csrf = undefined; // another tab has signed in anew
      return ask(path, { method, headers, again: false });
    }
    if (!answer.ok) throw Object.assign(new Error(`the backend answered ${answer.status}`), { status: answer.status });
    return answer.json();
  }

  /** Keeps the token, if there is one, and answers whether it did. With `dpop`, a bearer token is not kept. */
  function hold({ access_token: value, expires_in, token_type = "" }, since) {
    if (!value || (dpop && token_type.toLowerCase() === "bearer")) return false;
    const life = expires_in * 1000;
    held = { value, since, until: since + life, renew: since + life - Math.min(life / 5, 300_000), key };
    channel?.postMessage({ token: held });
    return true;
  }

  async function refresh(refused) {
    if (fresh(refused)) return;
    if (dpop) key ??= await dpop.thumbprint();
    if (!(await alone())) {
      channel?.postMessage({ ask: 1, refused });
      await Promise.race([new Promise((resume) => (arrived = resume)), sleep(HAND_OVER)]);
      if (fresh(refused)) return;
    }
    const since = Date.now();
    const headers = refused ? { Authorization: `Bearer ${refused}` } : {};
    const answer = await (pattern === "spa" ? ask("/auth/refresh", { method: "POST", headers }) : ask("/auth/token", { headers }));
    if (!hold(answer, since) && answer.access_token) throw new Error("the token is not bound to the key of dpop");
  }

  async function token(refused) {
    if (fresh(refused)) return held.value;
    pending ??= locked(() => refresh(refused)).finally(() => (pending = undefined));
    // One that is still good need not wait for the next.
    if (good(refused)) pending.catch(() => {});
    else await pending;
    if (!held) throw new SignedOut("the session has ended");
    return held.value;
  }

  async function session() {
    const since = Date.now();
    try {
      const answer = await ask(pattern === "tmb" ? "/auth/session" : "/auth/me");
      if (answer.logged_in === false) {
        forget(true);
        return null;
      }
      const user = answer.user ?? answer;
      if (who && who !== user.sub) forget(false, "changed");
      who = user.sub;
      csrf = answer.csrf_token;
      hold(answer, since);
      channel?.postMessage({ who });
      follow();
      return user;
    } catch (error) {
      if (error instanceof SignedOut) return null;
      throw error;
    }
  }

  // A caller that gives up stops waiting; what all tabs wait for goes on.
  const abortable = (work, signal) =>
    new Promise((resolve, reject) => {
      const stop = () => reject(signal.reason);
      if (signal.aborted) stop();
      signal.addEventListener("abort", stop);
      work.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
    });

  async function call(input, init = {}) {
    const source = input instanceof Request ? input : new URL(input, home);
    const url = new URL(source.url ?? source);
    const within = ({ origin, pathname }) =>
      url.origin === origin && `${url.pathname}/`.startsWith(pathname.endsWith("/") ? pathname : `${pathname}/`);
    if (!targets.some(within)) return fetch(source, init); // what is not ours gets nothing of ours
    const credentials = pattern === "bff" ? "include" : "omit";
    const settings = { redirect: "error", ...init, credentials };
    const send = (source, name, value) => {
      const request = new Request(source, settings);
      request.headers.set(name, value);
      return fetch(request);
    };
    const present = (source, accessToken) =>
      dpop ? dpop.fetch(source, settings, { accessToken }) : send(source, "Authorization", `Bearer ${accessToken}`);
    if (pattern === "bff") {
      const answer = await send(source, "X-CSRF", "1");
      if (answer.status !== 401) return answer;
      forget(true);
      throw new SignedOut("the session has ended");
    }
    const signal = init.signal ?? source.signal ?? new AbortController().signal;
    const used = await abortable(token(), signal);
    const spare = source instanceof Request ? source.clone() : source;
    const answer = await present(source, used);
    if (answer.status !== 401 || init.body instanceof ReadableStream) return answer;
    // Perhaps the session has ended since, or keys were changed: one more try, with another token.
    const next = await abortable(token(used), signal);
    await answer.body?.cancel();
    return present(spare, next);
  }

  async function signOut({ everywhere = false } = {}) {
    let url;
    leaving = true;
    try {
      const all = everywhere && pattern === "spa" ? "-all" : "";
      url = (await ask(`/auth/logout${all}`, { method: "POST" })).logout_url;
    } catch (error) {
      if (!(error instanceof SignedOut)) throw error;
    } finally {
      leaving = false;
    }
    channel?.postMessage({ out: 1, left: 1 }); // before another tab takes this one's place at the stream
    unfollow();
    forget();
    if (everywhere && url) location.assign(url);
  }

  open();
  globalThis.addEventListener?.("pagehide", close);
  globalThis.addEventListener?.("pageshow", back);
  return {
    session,
    fetch: call,
    token: () => token(),
    signOut,
    signIn: (to = location.pathname + location.search + location.hash) =>
      location.assign(new URL(`/auth/login?return_to=${encodeURIComponent(to)}`, home)),
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    close: () => {
      globalThis.removeEventListener?.("pagehide", close);
      globalThis.removeEventListener?.("pageshow", back);
      close();
    },
  };
}
