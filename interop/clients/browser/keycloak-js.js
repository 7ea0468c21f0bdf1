import Keycloak from "keycloak-js";

// docs: the app
const keycloak = new Keycloak({ oidcProvider: settings.issuer, clientId: settings.clientId });
const signedIn = await keycloak.init({
  pkceMethod: "S256",
  responseMode: "query",
  checkLoginIframe: false, // a page of Keycloak's own
});
// docs: end
window.app = {
  signedIn,
  signIn: () => keycloak.login({ redirectUri: `${settings.home}/`, scope: "profile email" }),
  claims: () => keycloak.idTokenParsed,
  userinfo: () => keycloak.loadUserInfo(),
  signOut: () => keycloak.logout({ redirectUri: `${settings.home}/` }),
};
