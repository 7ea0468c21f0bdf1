// A front end under development: Vite serves it and proxies /auth and /api to the backend. The browser sees one origin,
// so cookies and CSRF checks are those of production. Start the BFF with BFF_PUBLIC_URL=http://localhost:5173.
const backend = process.env.BACKEND ?? "http://localhost:8082";

export default {
  server: {
    port: 5173,
    strictPort: true,
    // Host and Origin are passed on unchanged, WebSockets too, and nothing is buffered.
    proxy: { "/auth": { target: backend }, "/api": { target: backend, ws: true } },
  },
};
