// Shows where the tokens of this pattern are: looks everywhere that a script can look.

import { client, pattern, tokenEndpoint } from "/page.js";

const byId = (id) => document.getElementById(id);
const say = (id, text) => (byId(id).textContent = text);

const HIDDEN = {
  bff: "The cookie bff_session: a random number. It is HttpOnly, so only the browser itself reads it, and it goes to this backend alone.",
  tmb: "The cookie tmb_session: a random number. It is HttpOnly, so only the browser itself reads it, and it goes to this backend alone.",
  spa: "Two cookies, both HttpOnly: spa_session says who you are, sealed by the backend; spa_rt is the refresh token, sealed too, and goes to /auth/refresh alone.",
};
const BACKEND = {
  bff: "Both tokens, encrypted in its session store, under a hash of the random number.",
  tmb: "The refresh token, encrypted in its session store, under a hash of the random number.",
  spa: "Nothing about you: one key, with which it seals the cookies.",
};

const KEY = tokenEndpoint
  ? "in IndexedDB. A script can use it while the page is open, and cannot copy it; without it, the application token is worth nothing."
  : "none: a copy of the application token works anywhere.";

async function stored() {
  const databases = (await indexedDB.databases?.()) ?? [];
  const caches = (await window.caches?.keys()) ?? [];
  const names = [
    ...Object.keys(localStorage), ...Object.keys(sessionStorage), ...databases.map(({ name }) => (name === "dpop" ? "the key of this browser" : name)), ...caches,
  ];
  return names.length ? names.join(", ") : "nothing";
}

// The middle of a token can be read by anybody who has it; it cannot be changed.
function claims(token) {
  const middle = token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/");
  return JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(middle), (c) => c.charCodeAt(0))));
}

async function look() {
  say("cookies", document.cookie || "nothing: document.cookie is empty");
  say("storage", await stored());
  say("key", KEY);
  if (pattern === "bff") return say("token", "nothing: it never comes here");
  try {
    const token = await client.token();
    const { aud, scope, exp, sid, cnf } = claims(token);
    const left = Math.max(0, Math.round(exp - Date.now() / 1000));
    const shown = document.createElement("pre");
    shown.textContent = `${token.slice(0, 12)}…\n\nfor        ${aud}\nallows     ${scope}\nsession    ${sid}\nexpires in ${left} s${cnf ? `\nbound to   the key ${cnf.jkt.slice(0, 12)}…` : ""}`;
    byId("token").replaceChildren("in this page's memory, gone when it is closed:", shown);
  } catch {
    say("token", "none: no user is signed in here");
  }
  return undefined;
}

async function start() {
  document.querySelector(`[data-row="${pattern}"]`).classList.add("here");
  say("hidden", HIDDEN[pattern]);
  say("backend", BACKEND[pattern]);
  // On one's own machine the three run side by side, on neighbouring ports.
  const places = ["bff", "tmb", "spa"];
  if (location.hostname === "localhost") {
    const first = Number(location.port) - places.indexOf(pattern);
    const link = (name, place) => Object.assign(document.createElement("a"), { href: `http://localhost:${first + place}/where`, textContent: name.toUpperCase() });
    byId("others").replaceChildren("The same page in each: ", ...places.flatMap((name, place) => [link(name, place), " "]));
  }
  const person = await client.session().catch(() => null);
  byId("person").replaceChildren(person ? person.name || person.email || person.sub || "yes" : "no one: ");
  if (!person) byId("person").append(Object.assign(document.createElement("a"), { href: "/auth/login?return_to=/where", textContent: "sign in" }));
  for (;;) {
    await look();
    await new Promise((resume) => setTimeout(resume, 1000));
  }
}

start();
