// The client of the app that this page belongs to.

import { createClient } from "/client.js";
import { createDpop } from "/dpop.js";

export const { pattern, api, tokenEndpoint } = document.documentElement.dataset;
export const client = createClient({
  pattern,
  apis: [api],
  ...(tokenEndpoint && { dpop: createDpop(), tokenEndpoint }),
});
