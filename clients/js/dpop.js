// Proofs of possession (DPoP, RFC 9449) with a key that no script can read. See dpop.d.ts for what each function promises.

const utf8 = (text) => new TextEncoder().encode(text);
const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
const hash = async (text) => base64url(await crypto.subtle.digest("SHA-256", utf8(text)));
/** How far this browser's clock may be from the server's before it is corrected, in milliseconds. */
const TOLERANCE = 5000;

/** The key pair of this origin and name, made by the first tab that needs it. */
async function stored(name, make) {
  const database = await new Promise((resolve, reject) => {
    const opening = indexedDB.open("dpop", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore("keys");
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  // A transaction does not wait for a key to be made. So it is made before, and the first one that is written counts.
  const transact = (mode, pair) =>
    new Promise((resolve, reject) => {
      const transaction = database.transaction("keys", mode);
      const keys = transaction.objectStore("keys");
      const found = keys.get(name);
      if (pair) found.onsuccess = () => found.result ?? keys.put(pair, name);
      transaction.oncomplete = () => resolve(found.result ?? pair);
      transaction.onabort = () => reject(transaction.error);
    });
  try {
    return (await transact("readonly")) ?? (await transact("readwrite", await make()));
  } finally {
    database.close();
  }
}

async function load(name) {
  if (!globalThis.crypto?.subtle) throw new TypeError("DPoP needs WebCrypto, which browsers have on https pages only");
  let made;
  const make = () => (made ??= crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign"]));
  // Without storage, the key lives as long as the page.
  const { privateKey, publicKey } = await stored(name, make).catch(make);
  const { crv, kty, x, y } = await crypto.subtle.exportKey("jwk", publicKey);
  const jwk = { crv, kty, x, y }; // in the order of RFC 7638
  return { privateKey, jwk, thumbprint: await hash(JSON.stringify(jwk)) };
}

/** Why the server did not accept the proof, if that is what it says. */
async function refusal(answer) {
  if (answer.status === 401) return /\bDPoP\b.*?\berror="?(\w+)/is.exec(answer.headers.get("WWW-Authenticate"))?.[1];
  return answer.status === 400 ? (await answer.clone().json().catch(() => null))?.error : undefined;
}

export function createDpop({ name = "default" } = {}) {
  /** By origin: the newest nonce, and how much the server's clock is ahead of ours. */
  const servers = new Map();
  let loading;

  const key = () =>
    (loading ??= load(name).catch((error) => {
      loading = undefined;
      throw error;
    }));

  function server(url) {
    const { origin } = new URL(url, globalThis.location?.href);
    if (!servers.has(origin)) servers.set(origin, { ahead: 0 });
    return servers.get(origin);
  }

  async function proof({ method, url, accessToken, nonce = server(url).nonce }) {
    const { privateKey, jwk } = await key();
    const { origin, pathname } = new URL(url, globalThis.location?.href);
    const claims = {
      jti: crypto.randomUUID(),
      htm: method,
      htu: origin + pathname,
      iat: Math.floor((Date.now() + server(url).ahead) / 1000),
      ath: accessToken && (await hash(accessToken)),
      nonce,
    };
    const parts = [{ typ: "dpop+jwt", alg: "ES256", jwk }, claims];
    const signed = parts.map((part) => base64url(utf8(JSON.stringify(part)))).join(".");
    const signature = await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, privateKey, utf8(signed));
    return `${signed}.${base64url(signature)}`;
  }

  /** Takes the server's clock if ours is wrong; answers whether it was. A page may read `Date` of its own origin. */
  function correct(server, headers) {
    const ahead = Date.parse(headers.get("Date")) - Date.now();
    if (!(Math.abs(ahead - server.ahead) > TOLERANCE)) return false;
    server.ahead = ahead;
    return true;
  }

  async function call(input, init = {}, { accessToken, method, url } = {}) {
    const send = async (source) => {
      const request = new Request(source, { redirect: "error", ...init });
      const about = { method: method ?? request.method, url: url ?? request.url, accessToken };
      if (accessToken) request.headers.set("Authorization", `DPoP ${accessToken}`);
      request.headers.set("DPoP", await proof(about));
      const answer = await fetch(request);
      const nonce = answer.headers.get("DPoP-Nonce");
      if (nonce) server(about.url).nonce = nonce;
      return { answer, nonce, from: server(about.url) };
    };
    const { answer, nonce, from } = await send(input instanceof Request ? input.clone() : input);
    const error = await refusal(answer);
    // A stream cannot be sent again.
    if (!["use_dpop_nonce", "invalid_dpop_proof"].includes(error) || init.body instanceof ReadableStream) return answer;
    const isCorrected = correct(from, answer.headers);
    if (!(error === "use_dpop_nonce" ? nonce : isCorrected)) return answer;
    await answer.body?.cancel();
    return (await send(input)).answer;
  }

  return { proof, fetch: call, thumbprint: async () => (await key()).thumbprint };
}
