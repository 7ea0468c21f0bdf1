// Who is signed in.
import { onMounted, onUnmounted, reactive, readonly } from "vue";
import { client } from "./client.js";

/** `{ state, user, reason }`; `state` is `loading`, `signed-in`, `signed-out` or `offline`. */
export function useSession() {
  const session = reactive({ state: "loading", user: null, reason: undefined });
  const set = (next) => Object.assign(session, { reason: undefined }, next);
  const look = () =>
    client.session().then(
      (user) => set({ state: user ? "signed-in" : "signed-out", user }),
      // The backend cannot be reached: a user who was signed in still is.
      () => set({ state: session.user ? "signed-in" : "offline" }),
    );
  let stop;
  onMounted(() => {
    stop = client.onChange((change, reason) => (change === "changed" ? look() : set({ state: "signed-out", user: null, reason })));
    window.addEventListener("online", look);
    look();
  });
  onUnmounted(() => {
    stop();
    window.removeEventListener("online", look);
  });
  return readonly(session);
}
