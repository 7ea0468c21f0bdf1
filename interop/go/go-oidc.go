// go-oidc with golang.org/x/oauth2, as Debian has them.
package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/coreos/go-oidc"
	"golang.org/x/oauth2"
)

func main() {
	ctx := context.Background()
	// docs: the client
	provider, err := oidc.NewProvider(ctx, os.Getenv("ISSUER"))
	check(err)
	config := oauth2.Config{
		ClientID:     os.Getenv("CLIENT_ID"),
		ClientSecret: os.Getenv("CLIENT_SECRET"),
		RedirectURL:  os.Getenv("REDIRECT_URI"),
		Endpoint:     provider.Endpoint(),
		Scopes:       []string{oidc.ScopeOpenID, "email", oidc.ScopeOfflineAccess},
	}
	idTokens := provider.Verifier(&oidc.Config{ClientID: config.ClientID})
	state, nonce, verifier := random(), random(), random()
	digest := sha256.Sum256([]byte(verifier))
	signIn := config.AuthCodeURL(state, oidc.Nonce(nonce),
		oauth2.SetAuthURLParam("code_challenge", base64.RawURLEncoding.EncodeToString(digest[:])),
		oauth2.SetAuthURLParam("code_challenge_method", "S256"))
	// docs: end
	callback := personSignsIn(signIn)
	must(callback.Get("state") == state, "the state is another")
	// docs: the callback
	token, err := config.Exchange(ctx, callback.Get("code"), oauth2.SetAuthURLParam("code_verifier", verifier))
	check(err)
	idToken, err := idTokens.Verify(ctx, token.Extra("id_token").(string))
	check(err)
	user, err := provider.UserInfo(ctx, config.TokenSource(ctx, token))
	check(err)
	// docs: end
	must(idToken.Nonce == nonce, "the nonce is another")
	check(idToken.VerifyAccessToken(token.AccessToken))
	must(user.Subject == idToken.Subject && user.Email == os.Getenv("EMAIL"), "another user")

	for i := 0; i < 2; i++ {
		token.Expiry = time.Now().Add(-time.Minute)
		newer, err := config.TokenSource(ctx, token).Token()
		check(err)
		must(newer.RefreshToken != token.RefreshToken && newer.AccessToken != token.AccessToken, "not refreshed")
		token = newer
	}
}

func random() string {
	bytes := make([]byte, 32)
	_, err := rand.Read(bytes)
	check(err)
	return base64.RawURLEncoding.EncodeToString(bytes)
}

// personSignsIn fills in the sign-in page in a new browser, and returns the parameters of the callback.
func personSignsIn(address string) url.Values {
	jar, err := cookiejar.New(nil)
	check(err)
	browser := http.Client{Jar: jar, CheckRedirect: func(request *http.Request, _ []*http.Request) error {
		if strings.HasPrefix(request.URL.String(), os.Getenv("REDIRECT_URI")) {
			return http.ErrUseLastResponse
		}
		return nil
	}}
	page, err := browser.Get(address)
	check(err)
	defer page.Body.Close()
	text := new(strings.Builder)
	check(page.Write(text))
	form := url.Values{"email": {os.Getenv("EMAIL")}, "password": {os.Getenv("PASSWORD")}}
	hidden := regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	for _, field := range hidden.FindAllStringSubmatch(text.String(), -1) {
		form.Set(field[1], html.UnescapeString(field[2]))
	}
	answer, err := browser.PostForm(page.Request.URL.ResolveReference(&url.URL{Path: "/login"}).String(), form)
	check(err)
	defer answer.Body.Close()
	location, err := answer.Location()
	check(err)
	return location.Query()
}

func check(err error) {
	if err != nil {
		must(false, err.Error())
	}
}

func must(holds bool, otherwise string) {
	if !holds {
		fmt.Fprintln(os.Stderr, otherwise)
		os.Exit(1)
	}
}
