// SPDX-License-Identifier: Apache-2.0

package registryauth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/google/go-containerregistry/pkg/authn"
)

const (
	// acrScope is what the token from Microsoft Entra is for: registries, and
	// nothing else of the subscription.
	acrScope = "https://containerregistry.azure.net/.default"
	// maxExchange bounds the registry's answer.
	maxExchange = 64 << 10
	// exchangeLife is how long a refresh token is kept that does not say when it
	// ends; the registry gives three hours.
	exchangeLife = time.Hour
)

// acrHost is a registry of Azure and the cloud that it is in.
var acrHost = regexp.MustCompile(`^[a-z0-9-]{5,80}\.azurecr\.(io|cn|us)$`)

// Azure is a Source of refresh tokens of an Azure container registry, which
// live for three hours, for whoever Azure says that this process is: workload
// identity (AKS), the variables of a service principal, or a managed identity.
// The az program is not run.
//
// The registry gets a token from Microsoft Entra to exchange, so it must be the
// one that is configured: a token that is handed to whatever an image's name
// says is how it gets stolen (CVE-2025-27403).
type Azure struct {
	host string
	http http.RoundTripper

	mu         sync.Mutex // guards credential
	credential azcore.TokenCredential
}

// NewAzure makes the source for a host, which must be Azure's. The transport is
// the registry client's for that host.
func NewAzure(host string, transport http.RoundTripper) (*Azure, error) {
	if !acrHost.MatchString(host) {
		return nil, fmt.Errorf("%s is not a registry of Azure (hint: NAME.azurecr.io)", host)
	}
	return &Azure{host: host, http: transport}, nil
}

// Credentials implements Source.
func (a *Azure) Credentials(ctx context.Context) (authn.AuthConfig, time.Time, error) {
	token, err := a.token(ctx)
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("ask Azure for a token: %w (hint: give the machine or pod an identity with the role AcrPush on the registry)", because(err))
	}
	refresh, err := a.exchange(ctx, token)
	if err != nil {
		return authn.AuthConfig{}, time.Time{}, fmt.Errorf("exchange Azure's token at the registry: %w (hint: the identity needs the role AcrPush, and the registry must take Microsoft Entra tokens)", err)
	}
	return authn.AuthConfig{IdentityToken: refresh}, endOf(refresh), nil
}

func (a *Azure) token(ctx context.Context) (string, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.credential == nil {
		credential, err := azureIdentity(a.host)
		if err != nil {
			return "", err
		}
		a.credential = credential
	}
	token, err := a.credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{acrScope}})
	return token.Token, err
}

// exchange hands the token to the registry for one of its own:
// https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md
func (a *Azure) exchange(ctx context.Context, token string) (string, error) {
	form := url.Values{"grant_type": {"access_token"}, "service": {a.host}, "access_token": {token}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+a.host+"/oauth2/exchange", strings.NewReader(form.Encode()))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	client := http.Client{Transport: a.http, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("it redirects")
	}}
	resp, err := client.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) {
			err = ue.Err
		}
		return "", because(err)
	}
	defer func() { _ = resp.Body.Close() }() // read below
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("it answers %s", resp.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxExchange+1))
	if err != nil {
		return "", because(err)
	}
	var answer struct {
		RefreshToken string `json:"refresh_token"`
	}
	// The answer holds a token: it may not get into the message.
	if len(raw) > maxExchange || json.Unmarshal(raw, &answer) != nil || answer.RefreshToken == "" {
		return "", errors.New("its answer has no refresh token")
	}
	return answer.RefreshToken, nil
}

// endOf reads when a refresh token ends, only to know when to ask for the next.
func endOf(token string) time.Time {
	var claims struct {
		Expiry int64 `json:"exp"`
	}
	parts := strings.Split(token, ".")
	if len(parts) == 3 {
		if payload, err := base64.RawURLEncoding.DecodeString(parts[1]); err == nil && json.Unmarshal(payload, &claims) == nil && claims.Expiry > 0 {
			return time.Unix(claims.Expiry, 0)
		}
	}
	return time.Now().Add(exchangeLife)
}

// azureIdentity chains the identities that need no program and no person. What
// is not set up is left out; what is and fails ends the chain.
func azureIdentity(host string) (azcore.TokenCredential, error) {
	options := azcore.ClientOptions{Cloud: azureCloud(host)}
	var chain []azcore.TokenCredential
	workload, err := azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{ClientOptions: options})
	if err == nil {
		chain = append(chain, workload)
	}
	principal, err := azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{ClientOptions: options})
	if err == nil {
		chain = append(chain, principal)
	}
	managed := azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
	if id := os.Getenv("AZURE_CLIENT_ID"); id != "" {
		managed.ID = azidentity.ClientID(id)
	}
	machine, err := azidentity.NewManagedIdentityCredential(&managed)
	if err != nil {
		return nil, err
	}
	return azidentity.NewChainedTokenCredential(append(chain, machine), nil)
}

// azureCloud is the cloud of a registry's name, which says where Microsoft Entra
// is.
func azureCloud(host string) cloud.Configuration {
	switch {
	case strings.HasSuffix(host, ".cn"):
		return cloud.AzureChina
	case strings.HasSuffix(host, ".us"):
		return cloud.AzureGovernment
	}
	return cloud.AzurePublic
}
