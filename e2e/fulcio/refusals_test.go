// SPDX-License-Identifier: Apache-2.0

package fulcio

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/internal/devissuer"
	"github.com/hallmark-dev/hallmark/internal/lab"
	"github.com/hallmark-dev/hallmark/signer"
	"github.com/hallmark-dev/hallmark/signer/store"
	"github.com/hallmark-dev/hallmark/signer/store/sqlite"
)

// TestRefusals: who gets no certificate reads why in cosign's own output, and
// an auditor reads it in the record.
func TestRefusals(t *testing.T) {
	j := start(t, lab.Options{})
	image := j.PushSmall(t, "acme/app", "refused")
	before := j.sizes(t)
	for name, tc := range map[string]struct{ token, says string }{
		"pull request":           {j.token(t, "event_name=pull_request_target"), "not a pull request or a comment"},
		"another organisation":   {j.token(t, "repository_owner_id=1002"), "no rule admits this identity"},
		"self-hosted runner":     {j.token(t, "runner_environment=self-hosted"), "self-hosted one keeps what earlier jobs left"},
		"a person":               {j.token(t, "email=alice@acme.example", "email_verified=true"), "human_token"},
		"a token for signing":    {j.Token(t, devissuer.GitHub), "wrong_audience"},
		"somebody else's issuer": {strings.Join(forgedIssuer(t), "."), "unknown_issuer"},
	} {
		for version, args := range map[string][]string{
			stock.CosignV2: urls(j), stock.CosignV3: {"--signing-config", j.signingConfig(t, 2), "--trusted-root", j.TrustedRoot()},
		} {
			r := j.run(t, version, j.env, append(append([]string{"sign", "--yes", "--identity-token", tc.token}, args...), image)...)
			if r.Code == 0 || !strings.Contains(r.Stderr, tc.says) || strings.Contains(r.Stdout+r.Stderr, tc.token) {
				t.Errorf("%s, %s: exit code %d: %s", name, version, r.Code, r.Stderr)
			}
		}
	}
	// And the other way round: a token for certificates has nothing signed.
	if r := j.Hallmark(t, j.token(t), "sign", image); r.Code != 1 || !strings.Contains(r.Stderr, "wrong_audience") {
		t.Errorf("hallmark sign with a token for certificates: %d %s", r.Code, r.Stderr)
	}
	if after := j.sizes(t); after != before {
		t.Errorf("the logs grew from %v to %v", before, after)
	}
	args := append([]string{"sign", "--yes", "--identity-token", j.token(t)}, urls(j)...)
	if r := j.run(t, stock.CosignV2, j.env, append(args, image)...); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	decided := map[string]int{}
	for _, ev := range j.events(t) {
		if ev.Action == signer.ActionCertificate && strings.Contains(strings.Join(ev.Reasons, ""), "no rule admits") {
			decided["strangers"] = 1 // one row a minute, however often they ask
		} else if ev.Action == signer.ActionCertificate {
			decided[ev.Decision+" "+ev.Stage]++
			if ev.Decision == signer.DecisionIssued && (ev.Serial == "" || ev.PublicKey == "" || ev.Requester.SAN != workflow || ev.Rule == "") {
				t.Errorf("recorded %+v", ev)
			}
		}
	}
	for what, want := range map[string]int{"refused policy": 4, "strangers": 1, "refused authenticate": 6, "granted ": 1, "issued ": 1} {
		if decided[what] != want {
			t.Errorf("%d records %q, want %d: %v", decided[what], what, want, decided)
		}
	}
}

// forgedIssuer are the parts of a good token whose payload names another issuer.
func forgedIssuer(t *testing.T) []string {
	t.Helper()
	other := lab.Lab{Issuer: newIssuer(t)}
	return strings.Split(mint(t, &other, audience), ".")
}

func newIssuer(t *testing.T) *devissuer.Issuer {
	t.Helper()
	key, err := devissuer.NewKey()
	check(t, err)
	issuer, err := devissuer.New(key, "http://127.0.0.1:1")
	check(t, err)
	return issuer
}

// events ends the service and reads its record.
func (j *job) events(t *testing.T) []store.Event {
	t.Helper()
	j.Stop(t)
	db, err := sqlite.OpenReadOnly(t.Context(), filepath.Join(j.Dir, "hallmark.db"))
	check(t, err)
	events, err := db.Events(context.Background(), store.EventQuery{})
	check(t, errors.Join(err, db.Close()))
	return events
}

// TestOff: without the member fulcio there is no such API, no second authority
// and nothing that tells clients of one.
func TestOff(t *testing.T) {
	l := lab.Start(t, lab.Options{})
	for _, path := range []string{"/api/v2/signingCert", "/api/v1/signingCert", "/api/v2/trustBundle", "/api/v2/configuration", "/api/v1/rootCert"} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			req, err := http.NewRequestWithContext(t.Context(), method, l.URL+path, strings.NewReader("{}"))
			check(t, err)
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer "+mint(t, l, audience))
			resp, err := http.DefaultClient.Do(req)
			check(t, err)
			_ = resp.Body.Close() // the status is the answer
			if resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %s", method, path, resp.Status)
			}
		}
	}
	if config := string(get(t, l.URL+"/hallmark/v1/signing_config.json")); strings.Contains(config, "caUrls") || strings.Contains(config, "oidcUrls") {
		t.Errorf("signing config: %s", config)
	}
	if root := string(get(t, l.URL+"/hallmark/v1/trusted_root.json")); strings.Count(root, `"uri": "`+l.URL+`"`) != 1 {
		t.Errorf("trusted root: %s", root)
	}
}
