// In development Vite serves the pages and passes /auth on to the refresh-cookie backend: one origin, as in production.
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [vue()],
  server: { port: 5173, strictPort: true, proxy: { "/auth": "http://localhost:8084" } },
});
