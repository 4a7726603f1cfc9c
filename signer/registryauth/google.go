// SPDX-License-Identifier: Apache-2.0

package registryauth

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"
)

const (
	googleScope = "https://www.googleapis.com/auth/cloud-platform"
	// googleUser is the user name that Google's registries take a token under.
	googleUser = "oauth2accesstoken"
)

// googleHost is a registry of Google: Artifact Registry, or what took over the
// names of Container Registry.
var googleHost = regexp.MustCompile(`^([a-z0-9-]{1,40}-docker\.pkg\.dev|((us|eu|asia)\.)?gcr\.io)$`)

// Google is a Source of tokens for Artifact Registry, which live for an hour,
// by application default credentials: the file that
// GOOGLE_APPLICATION_CREDENTIALS names (workload identity federation, too), or
// the service account of the machine or pod. gcloud is not run.
type Google struct {
	mu     sync.Mutex // guards tokens
	tokens oauth2.TokenSource
}

// NewGoogle makes the source for a host, which must be Google's.
func NewGoogle(host string) (*Google, error) {
	if !googleHost.MatchString(host) {
		return nil, fmt.Errorf("%s is not a registry of Google (hint: LOCATION-docker.pkg.dev)", host)
	}
	return new(Google), nil
}

// Credentials implements Source.
func (g *Google) Credentials(ctx context.Context) (authn.AuthConfig, time.Time, error) {
	token, err := g.ask(ctx)
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("ask Google for a token: %w (hint: give the machine or pod a service account with the role artifactregistry.writer, or set GOOGLE_APPLICATION_CREDENTIALS)", because(err))
	}
	return authn.AuthConfig{Username: googleUser, Password: token.AccessToken}, token.Expiry, nil
}

func (g *Google) ask(ctx context.Context) (*oauth2.Token, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tokens == nil {
		// The source keeps this context, and asks with it for as long as it lives.
		ctx := context.WithValue(context.WithoutCancel(ctx), oauth2.HTTPClient, &http.Client{Timeout: askTimeout})
		credentials, err := google.FindDefaultCredentials(ctx, googleScope)
		if err != nil {
			return nil, err
		}
		g.tokens = credentials.TokenSource
	}
	return g.tokens.Token()
}
