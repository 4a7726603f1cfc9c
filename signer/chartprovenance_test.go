// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

// chartWorld is a world with a log of provenance files. A signature in it is a
// text with a number: no two are the same.
type chartWorld struct {
	*world
	key    *ecdsa.PrivateKey
	report attest.ChartReport
	made   int
	logged []signer.LoggedProvenance
	given  map[string]bool // files that somebody was given
	// earlier are keys that were rotated.
	earlier []signer.ProvenanceRing

	signatures map[attest.Digest]signer.ImageSignatures
}

func (w *chartWorld) provenanceKeys() signer.ProvenanceKeys {
	return signer.ProvenanceKeys{Current: w, Earlier: w.earlier}
}

func newChartWorld(t *testing.T) *chartWorld {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w := &chartWorld{world: newWorld(t), key: key, given: map[string]bool{}, report: attest.ChartReport{Name: "app", Version: "1.2.3", Message: "name: app\n"}}
	w.policy = strings.NewReplacer("[sign, attest]", "[sign, attest, chart-provenance]", "[image]", "[image, chart]").Replace(testPolicy)
	return w
}

func (w *chartWorld) service() *signer.Service {
	return w.startWith(func(cfg *signer.Config) {
		cfg.Evidence = nothingProven{} // a rule that requires some wants a source
		cfg.Charts = &signer.Charts{Reader: w, Registry: w, Images: w, Provenance: &signer.ProvenanceFiles{Keys: w.provenanceKeys, Log: w, Tokens: w}}
	})
}

// nothingProven is a registry without evidence.
type nothingProven struct{}

func (nothingProven) Gather(context.Context, oci.Artifact, policy.Needs) (signer.Gathered, error) {
	return signer.Gathered{}, nil
}

func (w *chartWorld) Read(_ context.Context, archive []byte, q attest.ChartQuestion) (r attest.ChartReport, err error) {
	err = w.do("reader", func() error {
		if string(archive) != "archive" {
			return fmt.Errorf("%w: it is %q", attest.ErrChart, archive)
		}
		r = w.report
		if !q.Render {
			r.Images = nil
		}
		return nil
	})
	return r, err
}

func (w *chartWorld) ChartArchive(context.Context, oci.Artifact, int64) ([]byte, error) {
	return []byte("archive"), nil
}

func (w *chartWorld) Central(host string) error {
	if host != "registry.example" {
		return oci.ErrForeignRegistry
	}
	return nil
}

func (w *chartWorld) Signatures(_ context.Context, a oci.Artifact) (signer.ImageSignatures, error) {
	return w.signatures[a.Digest], nil
}

func (w *chartWorld) ClearSign(text string, _ time.Time) (file []byte, err error) {
	err = w.do("pgp", func() error {
		w.made++
		file = fmt.Appendf(nil, "%s|%d", text, w.made)
		return nil
	})
	return file, err
}

func (w *chartWorld) Rejoin(text string, armoured []byte, _ time.Time) ([]byte, error) {
	if !strings.HasPrefix(string(armoured), text+"|") {
		return nil, errors.New("over another text")
	}
	return armoured, nil
}

func (w *chartWorld) Fingerprint() string      { return "FINGERPRINT" }
func (w *chartWorld) Ring() []byte             { return []byte("ring") }
func (w *chartWorld) Public() crypto.PublicKey { return w.key.Public() }

func (w *chartWorld) AppendProvenance(_ context.Context, file, _ []byte, _ oci.Artifact) (e attest.LogEntry, err error) {
	err = w.do("chart log", func() error {
		e.LogIndex = int64(len(w.logged)) + 7
		w.logged = append(w.logged, signer.LoggedProvenance{Armoured: file, Entry: e})
		return nil
	})
	return e, err
}

func (w *chartWorld) ProvenanceSignatures(_ context.Context, _ attest.Digest, ring []byte) (all []signer.LoggedProvenance, err error) {
	err = w.do("chart log", func() error {
		for _, e := range w.earlier {
			if earlier, ok := e.(earlierKey); ok && earlier.ring == string(ring) {
				all = append(all, earlier.logged...)
				return nil
			}
		}
		all = append(all, w.logged...)
		return nil
	})
	return all, err
}

func (w *chartWorld) UseToken(_ context.Context, use signer.TokenUse, request string) error {
	return w.do("tokens", func() error { return w.count(use, request) })
}

func chartRequest(change ...func(*signer.ChartRequest)) signer.ChartRequest {
	req := signer.ChartRequest{Token: "good", Repository: "registry.example/acme/charts/app", FileName: "app-1.2.3.tgz", Archive: []byte("archive")}
	for _, c := range change {
		c(&req)
	}
	return req
}

// ask asks once, and survives a power cut.
func (w *chartWorld) ask(s *signer.Service) (r signer.ChartReceipt, err error, cut bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(powerCut); !ok {
				panic(p)
			}
			cut = true
		}
	}()
	r, err = s.ChartProvenance(w.t.Context(), chartRequest())
	if err == nil {
		w.given[r.Provenance] = true
	}
	return r, err, false
}

// The power fails before and after every call: nobody ever has a file that is
// not in the log, the log has one of each chart, and the next request gets it.
func TestChartProvenanceSurvivesPowerCuts(t *testing.T) {
	total := 0
	for cutAt := 1; ; cutAt++ {
		finished := false
		for _, after := range []bool{false, true} {
			w := newChartWorld(t)
			s := w.service()
			w.cutAt, w.after = cutAt, after
			_, _, cut := w.ask(s)
			finished = finished || !cut
			first, err, _ := w.ask(w.service())
			if err != nil {
				t.Fatalf("cut at %d (%v): the next request: %v", cutAt, after, err)
			}
			again, err, _ := w.ask(w.service())
			if err != nil || again.Provenance != first.Provenance || !again.Repeated || again.LogIndex != first.LogIndex {
				t.Fatalf("cut at %d (%v): %+v is not %+v: %v", cutAt, after, again, first, err)
			}
			if len(w.logged) != 1 || len(w.given) != 1 || !w.given[string(w.logged[0].Armoured)] {
				t.Fatalf("cut at %d (%v): the log has %d files, %d were given away", cutAt, after, len(w.logged), len(w.given))
			}
			signed := false
			for _, ev := range w.audit {
				signed = signed || (ev.Action == signer.ActionChartProvenance && ev.Decision == signer.DecisionSigned && ev.LogIndex == first.LogIndex && ev.Rule == "acme")
			}
			if !signed {
				t.Fatalf("cut at %d: no record: %+v", cutAt, w.audit)
			}
			total++
		}
		if finished {
			break
		}
	}
	if total < 10 {
		t.Errorf("only %d cuts", total)
	}
}

// Nothing leaves when the log or the audit record fails, and refusals are
// recorded.
func TestChartProvenanceRefusals(t *testing.T) {
	down := errors.New("down")
	for name, tc := range map[string]struct {
		world   func(*chartWorld)
		request func(*signer.ChartRequest)
		is      error
		says    string
	}{
		"no log":             {world: func(w *chartWorld) { w.down["chart log"] = down }, is: down},
		"no audit":           {world: func(w *chartWorld) { w.down["audit"] = down }, is: down},
		"no key":             {world: func(w *chartWorld) { w.down["pgp"] = down }, is: down},
		"no count of tokens": {world: func(w *chartWorld) { w.down["tokens"] = down }, is: down},
		"no reader":          {world: func(w *chartWorld) { w.down["reader"] = down }, is: down},
		"a stranger":         {request: func(r *signer.ChartRequest) { r.Token = "bad" }, says: "token refused"},
		"no chart":           {request: func(r *signer.ChartRequest) { r.Archive = []byte("x") }, is: attest.ErrChart},
		"too large":          {request: func(r *signer.ChartRequest) { r.Archive = make([]byte, signer.MaxChartBytes+1) }, is: attest.ErrChart},
		"no name":            {request: func(r *signer.ChartRequest) { r.FileName = "" }, is: signer.ErrBadRequest},
		"another registry":   {request: func(r *signer.ChartRequest) { r.Repository = "other.example/acme/charts/app" }, is: oci.ErrForeignRegistry},
		"another name":       {request: func(r *signer.ChartRequest) { r.Repository = "registry.example/acme/charts/payments" }, is: signer.ErrBadRequest},
		"another repository": {request: func(r *signer.ChartRequest) { r.Repository = "registry.example/other/app" }, says: "repository"},
		"a reference": {request: func(r *signer.ChartRequest) {
			r.Repository = "registry.example/acme/app@sha256:" + strings.Repeat("a", 64)
		}, is: oci.ErrBadReference},
		"a rule to sign only": {world: func(w *chartWorld) { w.policy = strings.Replace(w.policy, ", chart-provenance", "", 1) }, says: "action"},
		"an unsigned image": {world: func(w *chartWorld) {
			w.policy += "  require: {chartImages: {}}\n"
			w.policy = strings.Replace(strings.Replace(w.policy, "[sign, attest, chart-provenance]", "[chart-provenance]", 1), "  predicateTypes: [https://spdx.dev/Document]\n", "", 1)
			w.report.Images = []attest.ChartImage{{Reference: "other.example/x:1", Canonical: "other.example/x:1", Places: []string{"x"}}}
			w.report.Renders = []attest.ChartRender{{Values: "defaults", Manifests: 1}}
		}, says: "other.example/x:1 is not signed (it is not in the central registry)"},
	} {
		w := newChartWorld(t)
		if tc.world != nil {
			tc.world(w)
		}
		req := chartRequest()
		if tc.request != nil {
			tc.request(&req)
		}
		r, err := w.service().ChartProvenance(t.Context(), req)
		if err == nil || (tc.is != nil && !errors.Is(err, tc.is)) || !strings.Contains(err.Error(), tc.says) || r.Provenance != "" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
		if len(w.logged) > 0 {
			t.Errorf("%s: it is in the log", name)
		}
		if w.down["audit"] == nil && len(w.audit) == 0 {
			t.Errorf("%s: no record", name)
		}
	}
	bare := newWorld(t).start()
	if _, err := bare.ChartProvenance(t.Context(), chartRequest()); !errors.Is(err, signer.ErrNoCharts) {
		t.Errorf("without a reader: %v", err)
	}
}
