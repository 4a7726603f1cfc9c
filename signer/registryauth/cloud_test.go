// SPDX-License-Identifier: Apache-2.0

package registryauth

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
)

// TestCloudHosts: what looks like a cloud's registry and is not, gets no token
// of the cloud (CVE-2025-27403).
func TestCloudHosts(t *testing.T) {
	makers := map[string]func(string) error{
		"aws":    func(h string) error { _, err := NewAWS(h); return err },
		"google": func(h string) error { _, err := NewGoogle(h); return err },
		"azure":  func(h string) error { _, err := NewAzure(h, nil); return err },
	}
	good := map[string]string{
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com":       "aws",
		"123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com": "aws",
		"123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn":      "aws",
		"123456789012.dkr-ecr.eu-west-1.on.aws":                 "aws",
		"europe-west3-docker.pkg.dev":                           "google",
		"eu.gcr.io":                                             "google",
		"gcr.io":                                                "google",
		"acmeregistry.azurecr.io":                               "azure",
		"acme-h4sh.azurecr.cn":                                  "azure",
	}
	hosts := []string{
		"acmeregistry.azurecr.io.evil.example", "evil.example/acmeregistry.azurecr.io", "acmeregistry-azurecr.io", "acmeregistryazurecr.io", "a.b.azurecr.io", "acmeregistry.azurecr.io:5000", "acmeregistry.azurecr.io\n",
		"gcr.io.evil.example", "evilgcr.io", "evil.gcr.io", "docker.pkg.dev", "x-docker.pkg.dev.evil.example", "x.y-docker.pkg.dev", "gcr.io:5000",
		"123456789012.dkr.ecr.eu-central-1.amazonaws.com.evil.example", "evil.123456789012.dkr.ecr.eu-central-1.amazonaws.com", "12345678901.dkr.ecr.eu-central-1.amazonaws.com",
		"123456789012.dkr.ecr.evil.example.amazonaws.com", "123456789012.dkr.ecr.eu-central-1.amazonaws.com:5000", "public.ecr.aws", "registry.example", "",
	}
	for host := range good {
		hosts = append(hosts, host)
	}
	for _, host := range hosts {
		for name, maker := range makers {
			if err := maker(host); (err == nil) != (good[host] == name) {
				t.Errorf("%s for %q: %v", name, host, err)
			}
		}
	}
}

// recorder is a cloud's endpoint: it keeps what it was asked, and answers.
type recorder struct {
	mu     sync.Mutex
	asked  []string
	answer http.HandlerFunc
}

func (r *recorder) serve(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked = append(r.asked, req.Method+" "+req.URL.Path)
		r.answer(w, req)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestAWS(t *testing.T) {
	end := time.Now().Add(12 * time.Hour).Truncate(time.Second)
	r := &recorder{answer: func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("X-Amz-Target") != "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken" || !strings.Contains(req.Header.Get("Authorization"), "/eu-central-1/ecr/aws4_request") {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_, _ = fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":%q,"expiresAt":%d,"proxyEndpoint":"https://123456789012.dkr.ecr.eu-central-1.amazonaws.com"}]}`,
			base64.StdEncoding.EncodeToString([]byte("AWS:token")), end.Unix())
	}}
	t.Setenv("AWS_ENDPOINT_URL_ECR", r.serve(t))
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hush")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	// A shared configuration that would run a program is not looked at.
	t.Setenv("AWS_CONFIG_FILE", write(t, "[default]\nregion = us-east-1\ncredential_process = /bin/false\n", 0o600))
	const host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
	source, err := NewAWS(host)
	if err != nil {
		t.Fatal(err)
	}
	got, until, err := source.Credentials(t.Context())
	if err != nil || got != (authn.AuthConfig{Username: "AWS", Password: "token"}) || !until.Equal(end) {
		t.Errorf("%+v, %v, %v", got, until, err)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"denied": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"__type":"AccessDeniedException","message":"User: arn is not authorized"}`))
		},
		"nothing": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"authorizationData":[]}`)) },
		"no user": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`{"authorizationData":[{"authorizationToken":"aHVzaA==","expiresAt":1}]}`))
		},
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`<html>`)) },
	} {
		r.answer = answer
		got, _, err := source.Credentials(t.Context())
		if err == nil || got != (authn.AuthConfig{}) || !strings.Contains(err.Error(), "ecr:GetAuthorizationToken") || strings.Contains(err.Error(), "hush") || strings.ContainsRune(err.Error(), '\n') {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	source, err = NewAWS(host)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := source.Credentials(t.Context()); err == nil {
		t.Error("credentials without an identity")
	}
}

func TestGoogle(t *testing.T) {
	fail := false
	r := &recorder{answer: func(w http.ResponseWriter, req *http.Request) {
		w.Header().Set("Metadata-Flavor", "Google")
		switch {
		case req.Header.Get("Metadata-Flavor") != "Google" || fail:
			w.WriteHeader(http.StatusNotFound)
		case strings.HasSuffix(req.URL.Path, "/token"):
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"access_token":"token","expires_in":3599,"token_type":"Bearer"}`))
		default:
			_, _ = w.Write([]byte("acme"))
		}
	}}
	t.Setenv("GCE_METADATA_HOST", strings.TrimPrefix(r.serve(t), "http://"))
	t.Setenv("GOOGLE_APPLICATION_CREDENTIALS", "")
	t.Setenv("HOME", t.TempDir())
	source, err := NewGoogle("europe-west3-docker.pkg.dev")
	if err != nil {
		t.Fatal(err)
	}
	fail = true
	if _, _, err := source.Credentials(t.Context()); err == nil || !strings.Contains(err.Error(), "artifactregistry.writer") || strings.ContainsRune(err.Error(), '\n') {
		t.Errorf("metadata service refuses: %v", err)
	}
	fail = false
	got, end, err := source.Credentials(t.Context())
	if err != nil || got != (authn.AuthConfig{Username: "oauth2accesstoken", Password: "token"}) || time.Until(end) < 50*time.Minute || time.Until(end) > time.Hour {
		t.Errorf("%+v, %v, %v", got, end, err)
	}
}

// toServer sends what is meant for an https host to a test server.
type toServer struct {
	server string
	hosts  []string
}

func (s *toServer) RoundTrip(req *http.Request) (*http.Response, error) {
	s.hosts = append(s.hosts, req.URL.Scheme+"://"+req.URL.Host)
	u, err := url.Parse(s.server)
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.URL.Scheme, req.URL.Host = u.Scheme, u.Host
	return http.DefaultTransport.RoundTrip(req)
}

func TestAzure(t *testing.T) {
	end := time.Now().Add(3 * time.Hour).Truncate(time.Second)
	refresh := "h." + base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"exp":%d}`, end.Unix())) + ".s"
	identity := &recorder{answer: func(w http.ResponseWriter, req *http.Request) {
		if req.Header.Get("X-IDENTITY-HEADER") != "hush" || req.URL.Query().Get("resource") != "https://containerregistry.azure.net" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprintf(w, `{"access_token":"entra","expires_on":"%d","resource":"r","token_type":"Bearer"}`, time.Now().Add(time.Hour).Unix())
	}}
	registry := &recorder{answer: func(w http.ResponseWriter, req *http.Request) {
		_ = req.ParseForm()
		if req.PostForm.Get("grant_type") != "access_token" || req.PostForm.Get("service") != "acmeregistry.azurecr.io" || req.PostForm.Get("access_token") != "entra" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(w, `{"refresh_token":%q}`, refresh)
	}}
	t.Setenv("IDENTITY_ENDPOINT", identity.serve(t))
	t.Setenv("IDENTITY_HEADER", "hush")
	for _, name := range []string{"AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_CLIENT_SECRET"} {
		t.Setenv(name, "")
	}
	transport := &toServer{server: registry.serve(t)}
	source, err := NewAzure("acmeregistry.azurecr.io", transport)
	if err != nil {
		t.Fatal(err)
	}
	got, until, err := source.Credentials(t.Context())
	if err != nil || got != (authn.AuthConfig{IdentityToken: refresh}) || !until.Equal(end) {
		t.Errorf("%+v, %v, %v", got, until, err)
	}
	if fmt.Sprint(transport.hosts) != "[https://acmeregistry.azurecr.io]" || fmt.Sprint(registry.asked) != "[POST /oauth2/exchange]" {
		t.Errorf("exchanged at %v, %v", transport.hosts, registry.asked)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"denied":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) },
		"nothing":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"access_token":"entra"}`)) },
		"not JSON": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`entra`)) },
		"endless":  func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) },
		"redirects": func(w http.ResponseWriter, req *http.Request) {
			http.Redirect(w, req, "https://evil.example/", http.StatusTemporaryRedirect)
		},
		"hangs up": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		registry.answer = answer
		got, _, err := source.Credentials(t.Context())
		if err == nil || got != (authn.AuthConfig{}) || !strings.Contains(err.Error(), "AcrPush") || strings.Contains(err.Error(), "entra:") {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for _, host := range transport.hosts {
		if host != "https://acmeregistry.azurecr.io" {
			t.Errorf("the token went to %s", host)
		}
	}
}

func TestEndOf(t *testing.T) {
	for _, token := range []string{"", "opaque", "a.b.c", "a." + base64.RawURLEncoding.EncodeToString([]byte(`{"exp":"x"}`)) + ".c"} {
		if d := time.Until(endOf(token)); d > exchangeLife || d < exchangeLife-time.Minute {
			t.Errorf("%q ends in %s", token, d)
		}
	}
}
