import { createRoot } from "react-dom/client";
import { AuthProvider, useAuth } from "react-oidc-context";

// docs: the app
const oidcConfig = {
  authority: settings.issuer,
  client_id: settings.clientId,
  redirect_uri: `${settings.home}/`,
  post_logout_redirect_uri: `${settings.home}/`,
  scope: "openid profile email offline_access",
  onSigninCallback: () => history.replaceState(null, "", "/"),
};

function App() {
  const auth = useAuth();
  window.app = auth; // for the test
  if (auth.isLoading) return <p>Loading…</p>;
  if (auth.error) return <p id="error">{auth.error.message}</p>;
  if (!auth.isAuthenticated) return <button id="in" onClick={() => auth.signinRedirect()}>Sign in</button>;
  return (
    <>
      <p id="email">{auth.user.profile.email}</p>
      <button id="out" onClick={() => auth.signoutRedirect()}>Sign out</button>
    </>
  );
}

createRoot(document.getElementById("root")).render(<AuthProvider {...oidcConfig}><App /></AuthProvider>);
// docs: end
