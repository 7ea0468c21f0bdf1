// In development Vite serves the pages and passes /auth on to the token-mediating backend: one origin, as in production.
import { defineConfig } from "vite";

export default defineConfig({
  server: { port: 5173, strictPort: true, proxy: { "/auth": "http://localhost:8083" } },
});
