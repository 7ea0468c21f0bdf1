import { UserManager } from "oidc-client-ts";

// docs: the app
const manager = new UserManager({
  authority: settings.issuer,
  client_id: settings.clientId,
  redirect_uri: `${settings.home}/`,
  post_logout_redirect_uri: `${settings.home}/`,
  scope: "openid profile email offline_access",
  loadUserInfo: true,
});
if (new URLSearchParams(location.search).has("code")) {
  await manager.signinCallback();
  history.replaceState(null, "", "/");
}
// docs: end
window.app = {
  signIn: () => manager.signinRedirect(),
  user: () => manager.getUser(),
  refresh: () => manager.signinSilent(),
  revoke: () => manager.revokeTokens(["refresh_token"]),
  signOut: () => manager.signoutRedirect(),
};
