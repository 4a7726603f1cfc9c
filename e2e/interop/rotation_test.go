// SPDX-License-Identifier: Apache-2.0

package interop

import (
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/signer/keys"
	"github.com/hallmark-dev/hallmark/signer/trustroot"
)

// TestRotation replaces every key of a deployment at once. What was signed
// before stays valid, with certificates long dead, and nothing new can be made
// with the old keys.
func TestRotation(t *testing.T) {
	t.Parallel()
	for _, kind := range logKinds {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			host, rotation := newRegistry(t), time.Now().Add(-time.Hour)
			before, after := newDeployment(t, kind, rotation.Add(-time.Hour)), newDeployment(t, kind, rotation)
			after.now = time.Now()
			rootDoc := writeRoot(t, rotated(before.material, after.material, rotation))
			for _, tt := range []struct {
				name   string
				signer *deployment
				at     time.Time
				accept bool
				says   []string
			}{
				{"old keys, before", before, rotation.Add(-30 * time.Minute), true, accepted},
				{"new keys, after", after, time.Now(), true, accepted},
				{"old keys, after", before, rotation.Add(30 * time.Minute), false, []string{"threshold not met", "validity period"}},
			} {
				img := push(t, host)
				tt.signer.now = tt.at
				attach(t, img, tt.signer.sign(t, workflow, img.digest, attest.PredicateSignature, "{}"))
				for _, c := range cosigns() {
					t.Run(tt.name+"/"+c.version, func(t *testing.T) {
						out, ok := c.verify(t, "verify", rootDoc, workflow, img.ref)
						c.expect(t, tt.accept, tt.says, out, ok)
					})
				}
			}
		})
	}
}

// rotated closes every window of the old material and adds the new.
func rotated(old, young trustroot.Material, at time.Time) trustroot.Material {
	for _, logs := range [][]trustroot.Log{old.Logs, old.CertificateLogs} {
		for i := range logs {
			logs[i].End = at
		}
	}
	for _, authorities := range [][]trustroot.Authority{old.CertificateAuthorities, old.TimestampAuthorities} {
		for i := range authorities {
			authorities[i].End = at
		}
	}
	return trustroot.Material{
		CertificateAuthorities: append(old.CertificateAuthorities, young.CertificateAuthorities...),
		CertificateLogs:        append(old.CertificateLogs, young.CertificateLogs...),
		Logs:                   append(old.Logs, young.Logs...),
		TimestampAuthorities:   append(old.TimestampAuthorities, young.TimestampAuthorities...),
	}
}

// TestClosedWindow uses one key after its window has closed, as a thief would.
// Stock verifiers notice, except for the key of a Rekor v2 log: its entries
// have no time that could be compared. A stolen log key has to be taken out of
// the trusted root, together with everything logged under it; our own verifier
// compares the timestamp.
func TestClosedWindow(t *testing.T) {
	t.Parallel()
	host, closed := newRegistry(t), time.Now().Add(-time.Hour)
	for _, tt := range []struct {
		name   string
		close  func(*trustroot.Material)
		accept bool
		says   []string
	}{
		{"certificate authority", func(m *trustroot.Material) { m.CertificateAuthorities[0].End = closed }, false, []string{"leaf certificate verification failed"}},
		{"certificate log", func(m *trustroot.Material) { m.CertificateLogs[0].End = closed }, false, []string{"only able to verify 0 SCT entries"}},
		{"time-stamping authority", func(m *trustroot.Material) { m.TimestampAuthorities[0].End = closed }, false, []string{"after the validity period end"}},
		{"transparency log", func(m *trustroot.Material) { m.Logs[1].End = closed }, true, accepted},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := newDeployment(t, keys.ECDSAP256, closed.Add(-time.Hour))
			tt.close(&d.material)
			d.now = time.Now()
			img := push(t, host)
			attach(t, img, d.sign(t, workflow, img.digest, attest.PredicateSignature, "{}"))
			rootDoc := writeRoot(t, d.material)
			for _, c := range cosigns() {
				out, ok := c.verify(t, "verify", rootDoc, workflow, img.ref)
				c.expect(t, tt.accept, tt.says, out, ok)
			}
		})
	}
}
