// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/e2e/stock"
	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

// plain are the two cosigns without a flag for a log: all that an entry of a v1
// log needs.
func plain() []cosign {
	return []cosign{{version: stock.CosignV2}, {version: stock.CosignV3}}
}

// TestV1 is what stock verifiers make of bundles with an entry of the v1 log,
// which is what the service writes by default, and of damage to them.
func TestV1(t *testing.T) {
	t.Parallel()
	hosts := map[string]string{"referrers": newRegistry(t), "fallback tag": stock.Registry(t).Host}
	d, stranger := newDeployment(t, keys.ECDSAP256, time.Now()).useV1(), newDeployment(t, keys.ECDSAP256, time.Now()).useV1()
	untrusted := d.material
	untrusted.Logs = stranger.material.Logs
	for _, tt := range []struct {
		name   string
		root   trustroot.Material
		who    identity
		change func(t *testing.T, img image, b *attest.Bundle)
		accept bool
		says   []string
	}{
		{"signer", d.material, workflow, nil, true, accepted},
		{"another branch", d.material, identity{strings.Replace(workflow.san, "main", "fork", 1), workflow.issuer}, nil, false, []string{"expected SAN value"}},
		{"another issuer", d.material, identity{workflow.san, "https://gitlab.example"}, nil, false, []string{"expected issuer value"}},
		{"log entry of another signature", d.material, workflow, func(t *testing.T, img image, b *attest.Bundle) {
			b.Entry = d.sign(t, workflow, img.digest, attest.PredicateSignature, `{"other":true}`).Entry
		}, false, []string{"transparency log"}},
		{"another time", d.material, workflow, func(_ *testing.T, _ image, b *attest.Bundle) {
			b.Entry.IntegratedTime++
		}, false, []string{"not enough verified log entries", "threshold not met"}},
		{"log not trusted", untrusted, workflow, nil, false, []string{"log entries", "threshold not met"}},
		{"another deployment", stranger.material, workflow, nil, false, []string{"not enough verified log entries", "leaf certificate verification failed", "threshold not met"}},
	} {
		for layout, host := range hosts {
			t.Run(tt.name+"/"+layout, func(t *testing.T) {
				img := push(t, host)
				b := d.sign(t, workflow, img.digest, attest.PredicateSignature, "{}")
				if tt.change != nil {
					tt.change(t, img, &b)
				}
				attach(t, img, b)
				rootDoc := writeRoot(t, tt.root)
				for _, c := range plain() {
					out, ok := c.verify(t, "verify", rootDoc, tt.who, img.ref)
					c.expect(t, tt.accept, tt.says, out, ok)
				}
			})
		}
	}
}

// TestV1BothLogs attaches two bundles, one of each log, as the service does with
// bundleLog both: every version reads the one that it can. An SBOM beside them
// is nobody's signature.
func TestV1BothLogs(t *testing.T) {
	t.Parallel()
	d := newDeployment(t, keys.ECDSAP256, time.Now())
	img := push(t, newRegistry(t))
	v2 := d.sign(t, workflow, img.digest, attest.PredicateSignature, "{}")
	d.useV1()
	attach(t, img, v2, d.sign(t, workflow, img.digest, attest.PredicateSignature, "{}"), d.sign(t, attestor, img.digest, "https://spdx.dev/Document", `{"spdxVersion":"SPDX-2.3"}`))
	rootDoc := writeRoot(t, d.material)
	for _, c := range plain() {
		out, ok := c.verify(t, "verify", rootDoc, workflow, img.ref)
		c.expect(t, true, accepted, out, ok)
		out, ok = c.verify(t, "verify-attestation", rootDoc, attestor, img.ref, "--type", "spdxjson")
		c.expect(t, true, accepted, out, ok)
	}
}

// TestV1ClosedWindow: an entry of a v1 log has a time, and stock verifiers
// compare it with the window of the log's key. (They cannot for v2, see
// TestClosedWindow.)
func TestV1ClosedWindow(t *testing.T) {
	t.Parallel()
	closed := time.Now().Add(-time.Hour)
	d := newDeployment(t, keys.ECDSAP256, closed.Add(-time.Hour)).useV1()
	host := newRegistry(t)
	for i := range d.material.Logs {
		d.material.Logs[i].End = closed
	}
	rootDoc := writeRoot(t, d.material)
	for _, tt := range []struct {
		name   string
		at     time.Time
		accept bool
		says   []string
	}{
		{"before", closed.Add(-30 * time.Minute), true, accepted},
		{"after", closed.Add(30 * time.Minute), false, []string{"log entries", "threshold not met"}},
	} {
		d.now = tt.at
		img := push(t, host)
		attach(t, img, d.sign(t, workflow, img.digest, attest.PredicateSignature, "{}"))
		for _, c := range plain() {
			t.Run(tt.name+"/"+c.version, func(t *testing.T) {
				out, ok := c.verify(t, "verify", rootDoc, workflow, img.ref)
				c.expect(t, tt.accept, tt.says, out, ok)
			})
		}
	}
}
