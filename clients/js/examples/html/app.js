import { SignedOut, createClient } from "/client.js";

const client = createClient({ pattern: "bff" });
const byId = (id) => document.getElementById(id);

function show(user, reason) {
  const signedOut = reason ? `Your session has ended: ${reason}.` : "You are not signed in.";
  byId("who").textContent = user ? `Hello, ${user.name ?? user.sub}!` : signedOut;
  byId("sign-in").hidden = Boolean(user);
  byId("signed-in").hidden = !user;
}

/** Does what a button is for, and shows what went wrong. */
async function attempt(work) {
  byId("fault").textContent = "";
  try {
    await work();
  } catch (error) {
    // With SignedOut the session is over, and onChange has told us.
    if (!(error instanceof SignedOut)) byId("fault").textContent = error.message;
  }
}

async function start() {
  show(await client.session());
}

byId("sign-in").onclick = () => client.signIn();
byId("sign-out").onclick = () => attempt(() => client.signOut());
byId("load").onclick = () =>
  attempt(async () => {
    const answer = await client.fetch("/api/orders");
    if (!answer.ok) throw new Error(`the API answered ${answer.status}`);
    const orders = await answer.json();
    byId("orders").replaceChildren(
      ...orders.map(({ text }) => Object.assign(document.createElement("li"), { textContent: text })),
    );
  });
client.onChange((change, reason) => {
  byId("orders").replaceChildren();
  if (change === "changed") attempt(start); // another user has signed in in another tab
  else show(null, reason);
});
attempt(start);
