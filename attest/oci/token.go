// SPDX-License-Identifier: Apache-2.0

package oci

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/sync/singleflight"
)

const (
	// maxTokenAnswer bounds the answer of a token service.
	maxTokenAnswer = 64 << 10
	// defaultTokenLife is the life of a token whose answer does not say
	// (distribution specification, token authentication).
	defaultTokenLife = 60 * time.Second
	// maxTokenLife bounds how long credentials that were taken back keep
	// working here.
	maxTokenLife = 5 * time.Minute
	// tokenMargin is how long before its end a token is no longer used, so
	// that it does not expire on the way.
	tokenMargin = 5 * time.Second
	// maxTokens bounds the tokens kept; there is one per repository and scope.
	maxTokens = 1024
	// tokenTimeout bounds getting a token. The request is made for everybody
	// who waits for the token, so no caller's deadline ends it.
	tokenTimeout = 10 * time.Second
)

// Actions of a token scope.
const (
	pull     = "pull"
	pullPush = "pull,push"
)

// target is what a request is about: a repository, and what is to be done.
type target struct {
	registry   Registry
	repository string
	actions    string
}

func (t target) key() string { return t.registry.Host + "/" + t.repository + " " + t.actions }

// String and RegistryStr make a target an authn.Resource.
func (t target) String() string { return t.registry.Host + "/" + t.repository }

// RegistryStr returns the host that credentials are for.
func (t target) RegistryStr() string { return t.registry.Host }

// tokens knows which Authorization header a request needs. Registries say so
// in the answer to a request that has none: their challenge is remembered per
// host, the header it leads to per target until it expires. So a warm client
// asks nobody.
type tokens struct {
	transports map[string]http.RoundTripper // by the registry's host
	keychain   authn.Keychain
	flight     singleflight.Group

	mu         sync.Mutex // guards the maps
	challenges map[string]challenge
	headers    map[string]header
}

// header is an Authorization header and when to stop using it.
type header struct {
	value string
	until time.Time
}

func newTokens(transports map[string]http.RoundTripper, keychain authn.Keychain) *tokens {
	return &tokens{transports: transports, keychain: keychain, challenges: make(map[string]challenge), headers: make(map[string]header)}
}

// header returns the Authorization header for t, "" for none. It makes
// requests only if the registry is known to want a token and none is at hand.
func (k *tokens) header(ctx context.Context, t target) (string, error) {
	ch, challenged, value, usable := k.known(t)
	if !challenged || usable {
		return value, nil
	}
	// Many requests may want the same token at once. One gets it for all, and
	// the others are not hurt if the first one gives up.
	result := k.flight.DoChan(t.key(), func() (any, error) {
		if _, _, value, usable := k.known(t); usable {
			return value, nil // somebody got it since we looked
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tokenTimeout)
		defer cancel()
		h, err := k.obtain(ctx, t, ch)
		if err != nil {
			k.forget(t) // the next request is challenged anew
			return "", err
		}
		k.remember(t, h)
		return h.value, nil
	})
	select {
	case r := <-result:
		if r.Err != nil {
			return "", r.Err
		}
		value, _ := r.Val.(string)
		return value, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// known returns what is known of a target: the challenge of its registry, and
// the header that meets it as long as it is usable.
func (k *tokens) known(t target) (ch challenge, challenged bool, value string, usable bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	ch, challenged = k.challenges[t.registry.Host]
	h, cached := k.headers[t.key()]
	if challenged && cached && time.Now().Before(h.until) {
		return ch, true, h.value, true
	}
	return ch, challenged, "", false
}

func (k *tokens) remember(t target, h header) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.headers) >= maxTokens {
		clear(k.headers) // rare, and costs one request per repository in use
	}
	k.headers[t.key()] = h
}

// forget forgets a challenge that could not be met. It may have been somebody
// else's, or the registry's on a bad day: held against every request from now
// on, it would shut the registry out.
func (k *tokens) forget(t target) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.challenges, t.registry.Host)
}

// refused takes note of a challenge: used did not do.
func (k *tokens) refused(t target, used string, ch challenge) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.challenges[t.registry.Host] = ch
	if k.headers[t.key()].value == used {
		delete(k.headers, t.key())
	}
}

// obtain meets a challenge.
func (k *tokens) obtain(ctx context.Context, t target, ch challenge) (header, error) {
	cred, err := k.credentials(ctx, t)
	if err != nil {
		return header{}, fmt.Errorf("%w: credentials for %s: %w", ErrDenied, t, err)
	}
	now := time.Now()
	switch {
	case cred.RegistryToken != "":
		return header{"Bearer " + cred.RegistryToken, now.Add(maxTokenLife)}, nil
	case ch.scheme == "basic":
		return header{basic(cred), now.Add(maxTokenLife)}, nil
	}
	realm, err := checkRealm(t.registry, ch.params["realm"])
	if err != nil {
		return header{}, err
	}
	token, life, err := k.request(ctx, t, realm, ch.params["service"], cred)
	if err != nil {
		return header{}, err
	}
	return header{"Bearer " + token, now.Add(min(life, maxTokenLife) - tokenMargin)}, nil
}

func (k *tokens) credentials(ctx context.Context, t target) (authn.AuthConfig, error) {
	if k.keychain == nil {
		return authn.AuthConfig{}, nil
	}
	a, err := authn.Resolve(ctx, k.keychain, t)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	cfg, err := authn.Authorization(ctx, a)
	if err != nil || cfg == nil {
		return authn.AuthConfig{}, err
	}
	return *cfg, nil
}

// basic returns a Basic Authorization header, "" without credentials.
func basic(cred authn.AuthConfig) string {
	switch {
	case cred.Username != "" || cred.Password != "":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(cred.Username+":"+cred.Password))
	case cred.Auth != "":
		return "Basic " + cred.Auth
	}
	return ""
}

// checkRealm accepts a token service on the registry's own host or the one
// configured for it, by the registry's own scheme: the credentials go there.
func checkRealm(r Registry, realm string) (*url.URL, error) {
	u, err := url.Parse(realm)
	if err != nil || realm == "" || u.User != nil || u.Opaque != "" {
		return nil, fmt.Errorf("%w: token realm %s of %s is not a URL", ErrRejected, quote(realm), r.Host)
	}
	if u.Scheme != r.scheme() || (u.Host != r.Host && (r.TokenHost == "" || u.Host != r.TokenHost)) {
		return nil, fmt.Errorf("%w: %s wants its token fetched from %s (hint: configure that host as the registry's token host if it is)",
			ErrForeignRegistry, r.Host, quote(u.Scheme+"://"+u.Host))
	}
	return u, nil
}

// request asks the token service, with the GET of the Docker token
// specification or, for identity tokens, the POST of its OAuth2 variant.
func (k *tokens) request(ctx context.Context, t target, realm *url.URL, service string, cred authn.AuthConfig) (string, time.Duration, error) {
	object := "token for " + t.String()
	scope := "repository:" + t.repository + ":" + t.actions
	var req *http.Request
	var err error
	if cred.IdentityToken != "" {
		form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {cred.IdentityToken}, "client_id": {userAgent}, "service": {service}, "scope": {scope}}
		req, err = http.NewRequestWithContext(ctx, http.MethodPost, realm.String(), strings.NewReader(form.Encode()))
		if err == nil {
			req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
	} else {
		u := *realm
		query := u.Query()
		query.Set("service", service)
		query.Set("scope", scope)
		u.RawQuery = query.Encode()
		req, err = http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if h := basic(cred); err == nil && h != "" {
			req.Header.Set("Authorization", h)
		}
	}
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w: %w", object, ErrRejected, err)
	}
	req.Header.Set("User-Agent", userAgent)
	client := &http.Client{Transport: k.transports[t.registry.Host], CheckRedirect: func(*http.Request, []*http.Request) error {
		return fmt.Errorf("%w: the token service redirects", ErrForeignRegistry)
	}}
	resp, err := client.Do(req)
	if err != nil {
		return "", 0, netError(object, err)
	}
	defer closeBody(resp)
	if err := plain(resp); err != nil {
		return "", 0, fmt.Errorf("%s: %w", object, err)
	}
	if resp.StatusCode != http.StatusOK {
		err := statusError(object, resp)
		if errors.Is(err, ErrNotFound) {
			// Not "the manifest is not there", which is an answer.
			return "", 0, fmt.Errorf("%s: %w: %d from its token service", object, ErrRejected, resp.StatusCode)
		}
		return "", 0, err
	}
	return readToken(object, resp.Body)
}

func readToken(object string, body io.Reader) (string, time.Duration, error) {
	b, err := readAll(object, body, maxTokenAnswer)
	if err != nil {
		return "", 0, err
	}
	var answer struct {
		Token       string `json:"token"`
		AccessToken string `json:"access_token"`
		ExpiresIn   int64  `json:"expires_in"`
	}
	// The answer holds a token: neither it nor the decoder's words about it
	// may get into the message.
	if json.Unmarshal(b, &answer) != nil {
		return "", 0, fmt.Errorf("%s: %w: the answer is not JSON", object, ErrRejected)
	}
	token := answer.Token
	if token == "" {
		token = answer.AccessToken
	}
	if token == "" || strings.ContainsAny(token, "\r\n") {
		return "", 0, fmt.Errorf("%s: %w: the answer has no token", object, ErrRejected)
	}
	life := defaultTokenLife
	if answer.ExpiresIn > 0 && answer.ExpiresIn < int64(maxTokenLife/time.Second) {
		life = time.Duration(answer.ExpiresIn) * time.Second
	} else if answer.ExpiresIn > 0 {
		life = maxTokenLife
	}
	return token, life, nil
}
