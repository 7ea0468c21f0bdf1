// A front end under development: Vite serves it, and passes what is the backend's to the backend. The browser sees one
// origin, so cookies, CSRF and CSP are those of production. Start the BFF with BFF_PUBLIC_URL=http://localhost:5173.
const backend = process.env.BACKEND ?? "http://localhost:8082";

export default {
  server: {
    port: 5173,
    strictPort: true,
    // The Host and Origin of the browser go along; WebSockets pass, and nothing is buffered.
    proxy: { "/auth": { target: backend }, "/api": { target: backend, ws: true } },
  },
};
