// Who is signed in, for all components below <SessionProvider>.
import { createContext, useContext, useEffect, useState } from "react";

const Session = createContext(null);

/** `{ state, user, reason }`; `state` is `loading`, `signed-in`, `signed-out` or `offline`. */
export const useSession = () => useContext(Session);

export function SessionProvider({ client, children }) {
  const [session, setSession] = useState({ state: "loading", user: null });
  useEffect(() => {
    let isGone = false;
    const set = (next) => isGone || setSession(next);
    const look = () =>
      client.session().then(
        (user) => set({ state: user ? "signed-in" : "signed-out", user }),
        // The backend cannot be reached: a user who was signed in still is.
        () => set((known) => ({ ...known, state: known.user ? "signed-in" : "offline" })),
      );
    look();
    const stop = client.onChange((change, reason) =>
      change === "changed" ? look() : set({ state: "signed-out", user: null, reason }),
    );
    window.addEventListener("online", look);
    return () => {
      isGone = true;
      stop();
      window.removeEventListener("online", look);
    };
  }, [client]);
  return <Session.Provider value={session}>{children}</Session.Provider>;
}
