// passport-openidconnect, which has no PKCE: its app is registered with --no-pkce.
import assert from "node:assert/strict";
import express from "express";
import session from "express-session";
import passport from "passport";
import OpenIDConnectStrategy from "passport-openidconnect";
import { Person } from "../person.mjs";

const { ISSUER, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI, PORT, URL: home, EMAIL } = process.env;

// docs: the strategy
passport.use(new OpenIDConnectStrategy({
  issuer: ISSUER,
  authorizationURL: `${ISSUER}/oauth/authorize`,
  tokenURL: `${ISSUER}/oauth/token`,
  userInfoURL: `${ISSUER}/oauth/userinfo`,
  clientID: CLIENT_ID,
  clientSecret: CLIENT_SECRET,
  callbackURL: REDIRECT_URI,
  scope: ["profile", "email"],
  nonce: true, // demanded of an app without PKCE
}, (issuer, profile, done) => done(null, profile)));
// docs: end
passport.serializeUser((user, done) => done(null, user));
passport.deserializeUser((user, done) => done(null, user));
const app = express();
app.use(session({ secret: crypto.randomUUID(), resave: false, saveUninitialized: false }), passport.session());
app.get("/login", passport.authenticate("openidconnect"));
app.get("/callback", passport.authenticate("openidconnect", { successRedirect: "/" }));
app.get("/", (request, response) => response.json(request.user));
const server = app.listen(PORT, "127.0.0.1");

const { page } = await new Person().signIn(`${home}/login`);
assert.equal(JSON.parse(page).emails[0].value, EMAIL);
server.close();
server.closeAllConnections();
