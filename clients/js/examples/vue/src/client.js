// The client of this app. Its access tokens are bound to a key of this browser.
import { createClient } from "@authority/client";
import { createDpop } from "@authority/client/dpop";

export const API = import.meta.env.VITE_API_URL; // https://orders.example/v1

export const client = createClient({
  pattern: "spa",
  apis: [API],
  dpop: createDpop(),
  tokenEndpoint: import.meta.env.VITE_TOKEN_ENDPOINT, // https://aa.example/oauth/token
});
