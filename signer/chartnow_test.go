// SPDX-License-Identifier: Apache-2.0

package signer_test

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/attest/oci"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/signer"
)

const chartPolicy = `
apiVersion: hallmark.dev/v1alpha1
kind: SigningPolicy
rules:
- name: charts
  identity: github
  actions: [sign]
  kinds: [chart]
  repositories: [acme/]
  conditions:
  - {name: own-repository, expression: claims.repository == "acme/app", message: sign your own repository}
  require: {chartImages: {}}
`

// The images of the chart: what tags lead to, and their digests.
const (
	web      = "registry.example/acme/web:1"
	debugger = "registry.example/acme/debug:1"
)

var webDigest, movedDigest, debugDigest = attest.DigestOf([]byte("web")), attest.DigestOf([]byte("moved")), attest.DigestOf([]byte("debug"))

// imagesWorld is a world with one chart, theImage, and the images that it refers
// to. Revocations are its own, too.
type imagesWorld struct {
	*gatedWorld
	began   time.Time
	tags    map[string]attest.Digest
	signed  map[attest.Digest]signer.ImageSignatures
	gone    map[attest.Digest]string
	failing string // why it cannot be rendered with its defaults
}

func newImagesWorld(t *testing.T) *imagesWorld {
	t.Helper()
	signed := signer.ImageSignatures{By: []string{workflow}}
	return &imagesWorld{
		gatedWorld: &gatedWorld{world: newWorld(t)}, began: time.Now(), tags: map[string]attest.Digest{web: webDigest, debugger: debugDigest},
		signed: map[attest.Digest]signer.ImageSignatures{webDigest: signed, debugDigest: signed}, gone: map[attest.Digest]string{},
	}
}

func (w *imagesWorld) service(text string) *signer.Service {
	return w.startGated(text, func(cfg *signer.Config) {
		cfg.Registry, cfg.Evidence, cfg.Revocations = w, w, w
		cfg.Charts = &signer.Charts{Reader: w, Registry: w, Images: w}
	})
}

// Resolve knows the chart and what tags lead to.
func (w *imagesWorld) Resolve(ctx context.Context, ref string) (oci.Artifact, error) {
	if digest, ok := w.tags[ref]; ok {
		return oci.Artifact{Registry: "registry.example", Repository: "acme/x", Digest: digest, Kind: oci.KindImage}, nil
	}
	a, err := w.world.Resolve(ctx, ref)
	a.Kind = oci.KindChart
	return a, err
}

// Gather gives statements the times of their order in the log, and says that
// those about images are the service's own.
func (w *imagesWorld) Gather(ctx context.Context, subject oci.Artifact, needs policy.Needs) (signer.Gathered, error) {
	found, err := w.gatedWorld.Gather(ctx, subject, needs)
	for i := range found.Documents {
		d := &found.Documents[i]
		d.At, d.Author = w.began.Add(time.Duration(d.LogIndex)*time.Second), d.Signer
	}
	return found, err
}

func (w *imagesWorld) Revoked(_ context.Context, _ signer.Principal, digest attest.Digest) (string, bool) {
	reason, is := w.gone[digest]
	return reason, is
}

func (w *imagesWorld) RevokedKey(context.Context, crypto.PublicKey) (string, bool) { return "", false }

// Read renders a web server, and with values a debugger besides.
func (w *imagesWorld) Read(_ context.Context, _ []byte, q attest.ChartQuestion) (attest.ChartReport, error) {
	image := func(ref string) attest.ChartImage {
		return attest.ChartImage{Reference: ref, Canonical: ref, Places: []string{"Pod/p"}}
	}
	r := attest.ChartReport{Name: "app", Version: "1.0.0", Renders: []attest.ChartRender{{Values: "defaults", Operation: "install", Manifests: 1}}}
	if w.failing == "" {
		r.Images = append(r.Images, image(web))
	} else {
		if !q.HasValues() && !q.Anyway {
			return r, fmt.Errorf("%w: %s", attest.ErrChart, w.failing)
		}
		r.Renders[0] = attest.ChartRender{Values: "defaults", Operation: "install", Failed: true, Problem: w.failing}
	}
	if q.HasValues() {
		r.Renders = append(r.Renders, attest.ChartRender{Values: "given", Digest: webDigest, Operation: "install", Manifests: 1})
		r.Images = append(r.Images, image(debugger))
	}
	slices.SortFunc(r.Images, func(a, b attest.ChartImage) int { return strings.Compare(a.Reference, b.Reference) })
	return r, nil
}

func (w *imagesWorld) ChartArchive(context.Context, oci.Artifact, int64) ([]byte, error) {
	return []byte("archive"), nil
}

func (w *imagesWorld) Central(string) error { return nil }

func (w *imagesWorld) Signatures(_ context.Context, a oci.Artifact) (signer.ImageSignatures, error) {
	return w.signed[a.Digest], nil
}

// attested are the newest statement's images, in short, and how many there are.
func (w *imagesWorld) attested() (images string, statements int) {
	w.t.Helper()
	for _, e := range w.logs[0].entries {
		st, err := attest.ParseStatement(e.Payload)
		if err != nil {
			w.t.Fatal(err)
		}
		if st.PredicateType != attest.PredicateChartImages {
			continue
		}
		statements++
		said, err := attest.ReadEvidence(st.PredicateType, st.Predicate)
		if err != nil {
			w.t.Fatal(err)
		}
		var all []string
		for _, i := range said.ChartImages.Images {
			all = append(all, fmt.Sprintf("%s signed=%v revoked=%q", strings.TrimPrefix(i.Reference, "registry.example/acme/"), i.Signed, i.Revoked))
		}
		images = strings.Join(all, ", ")
	}
	return images, statements
}

// What was attested of a chart's images counts only while it is so. Each step
// goes on where the one before it has ended.
func TestChartImagesOfToday(t *testing.T) {
	w := newImagesWorld(t)
	s := w.service(chartPolicy)
	given := attest.ChartQuestion{Set: []string{"debug=true"}}
	for _, step := range []struct {
		name       string
		happens    func()
		asks       *attest.ChartQuestion // for a statement, before the signature
		says       string                // of the refusal; "" if it is signed
		images     string
		statements int
	}{
		{"the first time", nil, nil, "", `web:1 signed=true revoked=""`, 1},
		{"once more", nil, nil, "", `web:1 signed=true revoked=""`, 1},
		{"revoked since", func() { w.gone[webDigest] = "it was revoked on Monday: a hole" }, nil,
			web + " is revoked (it was revoked on Monday: a hole)", `web:1 signed=false revoked="it was revoked on Monday: a hole"`, 2},
		{"still revoked", nil, nil, "is revoked", `web:1 signed=false revoked="it was revoked on Monday: a hole"`, 2},
		{"the revocation is withdrawn", func() { delete(w.gone, webDigest) }, nil, "", `web:1 signed=false revoked="it was revoked on Monday: a hole"`, 2},
		{"the tag leads elsewhere", func() { w.tags[web] = movedDigest }, nil, web + " is not signed (no signature of this service is attached to it)", `web:1 signed=false revoked=""`, 3},
		{"and that is signed", func() { w.signed[movedDigest] = w.signed[webDigest] }, nil, "", `web:1 signed=true revoked=""`, 4},
		{"who signed it is revoked", func() { w.signed[movedDigest] = signer.ImageSignatures{Revoked: "the runner was taken over"} }, nil,
			web + " is revoked (the runner was taken over)", `web:1 signed=false revoked="the runner was taken over"`, 5},
		{"with values, at last signed by somebody else", func() { w.signed[movedDigest] = signer.ImageSignatures{By: []string{"key release"}} }, &given,
			"", `debug:1 signed=true revoked="", web:1 signed=true revoked=""`, 6},
		{"an image of those values is revoked", func() { w.gone[debugDigest] = "a hole" }, nil, debugger + " is revoked (a hole)",
			`debug:1 signed=false revoked="a hole", web:1 signed=true revoked=""`, 7},
		{"and its tag leads to another", func() { w.tags[debugger] = movedDigest }, nil, "", `debug:1 signed=true revoked="", web:1 signed=true revoked=""`, 8},
		{"the tag is gone", func() { delete(w.tags, debugger) }, nil, debugger + " is not signed (", `debug:1 signed=false revoked="", web:1 signed=true revoked=""`, 9},
		{"the job takes its values back", nil, &attest.ChartQuestion{}, "", `web:1 signed=true revoked=""`, 10},
	} {
		if step.happens != nil {
			step.happens()
		}
		if step.asks != nil {
			if _, err := s.ChartImages(t.Context(), goodRequest(), *step.asks); err != nil {
				t.Fatalf("%s: %v", step.name, err)
			}
		}
		before := len(w.logs[0].entries)
		x, err := s.DryRun(t.Context(), goodRequest())
		if err != nil || x.Allowed != (step.says == "") || !strings.Contains(strings.Join(x.Reasons, "\n"), step.says) {
			t.Errorf("%s: dry run: %+v, %v", step.name, x, err)
		}
		if len(w.logs[0].entries) != before {
			t.Errorf("%s: a dry run attests", step.name)
		}
		_, err = s.Sign(t.Context(), goodRequest())
		if (err == nil) != (step.says == "") || (err != nil && !strings.Contains(err.Error(), step.says)) {
			t.Errorf("%s: %v, want %q", step.name, err, step.says)
		}
		if images, n := w.attested(); images != step.images || n != step.statements {
			t.Errorf("%s: %d statements, the newest %s; want %d, %s", step.name, n, images, step.statements, step.images)
		}
	}
}

// Values that a job has given do not stand for the chart's own, unless the
// policy says so.
func TestChartWithoutDefaults(t *testing.T) {
	for _, tc := range []struct{ values, says string }{
		{"{}", "it cannot be rendered with its default values: say who"}, {"{values: defaults}", "say who"}, {"{values: any}", ""},
	} {
		w := newImagesWorld(t)
		w.failing = "say who"
		s := w.service(strings.Replace(chartPolicy, "chartImages: {}", "chartImages: "+tc.values, 1))
		if _, err := s.Sign(t.Context(), goodRequest()); err == nil || !strings.Contains(err.Error(), "say who") {
			t.Errorf("%s: before anybody gave values: %v", tc.values, err)
		}
		if _, err := s.ChartImages(t.Context(), goodRequest(), attest.ChartQuestion{Set: []string{"who=me"}}); err != nil {
			t.Fatal(err)
		}
		_, err := s.Sign(t.Context(), goodRequest())
		if (err == nil) != (tc.says == "") || (err != nil && !strings.Contains(err.Error(), tc.says)) {
			t.Errorf("%s: %v, want %q", tc.values, err, tc.says)
		}
	}
}
