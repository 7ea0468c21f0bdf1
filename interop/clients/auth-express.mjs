// Auth.js in an Express app: @auth/express.
import assert from "node:assert/strict";
import express from "express";
import { ExpressAuth } from "@auth/express";
import { Person } from "../person.mjs";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, PORT, URL: home, EMAIL } = process.env;

// docs: the app
const app = express();
app.set("trust proxy", true);
app.use("/auth", ExpressAuth({
  secret: crypto.randomUUID(),
  providers: [
    { id: "aa", name: "Sign in", type: "oidc", issuer: ISSUER, clientId: CLIENT_ID, clientSecret: CLIENT_SECRET },
  ],
}));
// docs: end
app.get("/", (request, response) => response.send("home"));
const server = app.listen(PORT, "127.0.0.1");

const person = new Person();
const { csrfToken } = await (await person.go(`${home}/auth/csrf`)).json();
const body = new URLSearchParams({ csrfToken, callbackUrl: home });
const start = await person.go(`${home}/auth/signin/aa`, { method: "POST", body });
const { at } = await person.signIn(start.headers.get("location"));
assert.equal(at.href, `${home}/`);
const { user } = await (await person.go(`${home}/auth/session`)).json();
assert.equal(user.email, EMAIL);
server.close();
server.closeAllConnections();
