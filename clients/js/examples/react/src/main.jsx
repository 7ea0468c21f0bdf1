import { SignedOut, createClient } from "@authority/client";
import { StrictMode, useState } from "react";
import { createRoot } from "react-dom/client";
import { SessionProvider, useSession } from "./session.jsx";

const API = import.meta.env.VITE_API_URL; // https://orders.example/v1
const client = createClient({ pattern: "tmb", apis: [API] }); // once, outside of components

function App() {
  const { state, user, reason } = useSession();
  if (state === "loading") return <p>One moment…</p>;
  if (state === "offline") return <p>The server cannot be reached.</p>;
  if (state === "signed-out")
    return (
      <>
        <p>{reason ? `Your session has ended: ${reason}.` : "You are not signed in."}</p>
        <button onClick={() => client.signIn()}>Sign in</button>
      </>
    );
  return (
    <>
      <p>Hello, {user.name ?? user.sub}!</p>
      <Orders />
      <SignOut />
    </>
  );
}

function Orders() {
  const [orders, setOrders] = useState([]);
  const [fault, setFault] = useState("");
  async function load() {
    try {
      const answer = await client.fetch(`${API}/orders`);
      if (!answer.ok) throw new Error(`the API answered ${answer.status}`);
      setOrders(await answer.json());
      setFault("");
    } catch (error) {
      // With SignedOut the session is over, and SessionProvider has heard of it.
      if (!(error instanceof SignedOut)) setFault(error.message);
    }
  }
  return (
    <section>
      <button onClick={load}>Load orders</button>
      <ul>{orders.map(({ id, text }) => <li key={id}>{text}</li>)}</ul>
      <p role="alert">{fault}</p>
    </section>
  );
}

function SignOut() {
  const [fault, setFault] = useState("");
  return (
    <>
      <button onClick={() => client.signOut().catch(() => setFault("You are still signed in: try again."))}>Sign out</button>
      <p role="alert">{fault}</p>
    </>
  );
}

createRoot(document.getElementById("app")).render(
  <StrictMode>
    <SessionProvider client={client}>
      <App />
    </SessionProvider>
  </StrictMode>,
);
