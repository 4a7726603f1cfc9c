// SPDX-License-Identifier: Apache-2.0

package identity_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/identity"
)

// FuzzAuthenticate: no text but a minted token is accepted, not even another
// spelling of one, and everything else is a refusal, never a failure.
func FuzzAuthenticate(f *testing.F) {
	c := newCI(f)
	a := c.authenticator(f, "github")
	minted := map[string]bool{}
	for _, cl := range []claims{c.githubClaims(), c.githubClaims().with("ref_protected", "false"), c.githubClaims().with("aud", "x")} {
		token := sign(f, cl)
		minted[token] = true
		f.Add(token)
		f.Add(token + "\n")
		f.Add(strings.Replace(token, ".", ".\r\n", 1))
		f.Add(token[:len(token)-2])
		f.Add(strings.Replace(token, ".", "..", 1))
	}
	f.Add(b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(`{}`)) + ".")
	f.Add("..")
	f.Fuzz(func(t *testing.T, token string) {
		p, err := a.Authenticate(context.Background(), token)
		var no *signer.Unauthenticated
		switch {
		case err == nil && !minted[token]:
			t.Fatalf("accepted %q as %s", token, p.SAN)
		case err != nil && !errors.As(err, &no):
			t.Fatalf("undecided: %v", err)
		}
	})
}

var digits = regexp.MustCompile(`^[0-9]+$`)

// FuzzClaims: whatever a correctly signed payload says, an accepted one holds
// the rules, and nothing of it was changed in reading.
func FuzzClaims(f *testing.F) {
	c := newCI(f)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // signs fifty times faster than RSA
	if err != nil {
		f.Fatal(err)
	}
	c.publish(public("e", &ec.PublicKey))
	a := c.authenticator(f, "github", func(cfg *identity.Config) { cfg.Sources[0].Algorithms = []string{"ES256"} })
	base, err := json.Marshal(c.githubClaims())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(base)
	f.Add(bytes.Replace(base, []byte(`"acme/app"`), []byte(`"acme/app","REPOSITORY":"evil/app"`), 1))
	f.Add(bytes.Replace(base, []byte(`"run_id":"9876543210"`), []byte(`"run_id":9876543210`), 1))
	f.Add(bytes.Replace(base, []byte(`build.yaml@`), []byte(`b%23.yml@refs/heads/a.yaml@`), 1))
	f.Add(bytes.Replace(base, []byte(`@refs/tags/v1`), []byte(`@refs/tags/v1#`), 1))
	f.Add(bytes.Replace(base, []byte(`1750000300`), []byte(`1.7500003e9`), 1))
	f.Add(append(bytes.Clone(base), "{}"...))
	f.Fuzz(func(t *testing.T, payload []byte) {
		p, err := a.Authenticate(t.Context(), signBytes(t, jose.ES256, ec, payload, map[string]any{"kid": "e"}))
		if err != nil {
			return
		}
		wantExact(t, p, payload)
		if aud, ok := p.Claims["aud"].(string); ok && aud != audience {
			t.Errorf("audience %q", aud)
		}
		if p.Claims["iss"] != c.URL || p.Issuer != c.URL {
			t.Errorf("issuer %v", p.Claims["iss"])
		}
		for name := range p.Claims {
			if strings.EqualFold(name, "email") || strings.EqualFold(name, "email_verified") {
				t.Errorf("accepted a token with %s", name)
			}
		}
		for _, id := range []string{p.Extensions.SourceRepositoryIdentifier, p.Extensions.SourceRepositoryOwnerIdentifier} {
			if !digits.MatchString(id) {
				t.Errorf("id %q", id)
			}
		}
		wantURI(t, p)
		workflow, ok := p.Claims["job_workflow_ref"].(string)
		if back, err := url.PathUnescape(p.SAN); !ok || err != nil || back != "https://ci.example/"+workflow {
			t.Errorf("SAN %q is not of the workflow %v", p.SAN, p.Claims["job_workflow_ref"])
		}
	})
}

// wantExact compares with a plain decoding of the same bytes: it must find the
// same members and the same digits.
func wantExact(t *testing.T, p signer.Principal, payload []byte) {
	t.Helper()
	var plain map[string]any
	dec := json.NewDecoder(bytes.NewReader(payload))
	dec.UseNumber()
	if err := dec.Decode(&plain); err != nil {
		t.Fatalf("accepted what encoding/json does not read: %v", err)
	}
	want, _ := json.Marshal(plain)
	if got, _ := json.Marshal(p.Claims); !bytes.Equal(got, want) {
		t.Errorf("claims\n got %s\nwant %s", got, want)
	}
}

// wantURI checks that the certificate's URI is the job's workflow under the
// configured base, in a form that a certificate returns unchanged.
func wantURI(t *testing.T, p signer.Principal) {
	t.Helper()
	u, err := url.Parse(p.SAN)
	if err != nil || u.String() != p.SAN || u.Host != "ci.example" || u.Scheme != "https" || u.User != nil {
		t.Fatalf("SAN %q: %v", p.SAN, err)
	}
	claimed, _ := p.Claims["job_workflow_ref"].(string)
	if back, err := url.PathUnescape(p.SAN); err != nil || back != "https://ci.example/"+claimed {
		t.Errorf("SAN %q is not of %q", p.SAN, claimed)
	}
	if strings.Count(p.SAN, "@refs/") > 1 || strings.Contains(p.SAN, "/../") {
		t.Errorf("SAN %q can be read in two ways", p.SAN)
	}
	if !strings.Contains(p.SAN, "/.github/workflows/") {
		t.Errorf("SAN %q is no workflow", p.SAN)
	}
}
