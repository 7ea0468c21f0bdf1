import "@angular/compiler"; // this test has no build step of Angular's
import { provideHttpClient } from "@angular/common/http";
import { createApplication } from "@angular/platform-browser";
import { provideRouter } from "@angular/router";
import { OidcSecurityService, provideAuth } from "angular-auth-oidc-client";
import { firstValueFrom } from "rxjs";

// docs: the app
const application = await createApplication({
  providers: [
    provideHttpClient(),
    provideRouter([]),
    provideAuth({
      config: {
        authority: settings.issuer,
        clientId: settings.clientId,
        redirectUrl: `${settings.home}/`,
        postLogoutRedirectUri: `${settings.home}/`,
        scope: "openid profile email offline_access",
        responseType: "code",
        useRefreshToken: true,
        silentRenew: true,
      },
    }),
  ],
});
const oidc = application.injector.get(OidcSecurityService);
const { isAuthenticated, userData } = await firstValueFrom(oidc.checkAuth());
// docs: end
window.app = {
  isAuthenticated,
  userData,
  signIn: () => oidc.authorize(),
  refreshToken: () => firstValueFrom(oidc.getRefreshToken()),
  refresh: () => firstValueFrom(oidc.forceRefreshSession()).then(({ isAuthenticated }) => isAuthenticated),
  signOut: () => firstValueFrom(oidc.logoffAndRevokeTokens()).then(() => true),
};
