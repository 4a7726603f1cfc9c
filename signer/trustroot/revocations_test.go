// SPDX-License-Identifier: Apache-2.0

package trustroot

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/verifier/trust"
)

// TestRevocationsAreRead: what is written here the verifier reads, and denies.
func TestRevocationsAreRead(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	since := epoch.Add(-time.Hour)
	list := Revocations{}.Reissued(epoch)
	for _, r := range []Revocation{
		{Kind: RevokedDigest, Value: digest, Reason: "malware"},
		{Kind: RevokedIdentity, Value: "https://github.com/acme/*", Reason: "stolen", Since: &since},
		{Kind: RevokedKey, Value: digest, Reason: "lost"},
	} {
		r.Revoked = epoch
		before := list.Version
		var err error
		list, err = list.With(r, epoch)
		check(t, err)
		if list.Version <= before {
			t.Errorf("version %d after %d", list.Version, before)
		}
	}
	doc, err := list.Encode()
	check(t, err)
	again, err := ParseRevocations(doc)
	check(t, err)
	if len(again.Revocations) != 3 || again.Version != list.Version {
		t.Errorf("read %+v", again)
	}
	read, err := trust.ParseRevocations(doc)
	check(t, err)
	if r, revoked := read.Digest(digest); !revoked || r.Reason != "malware" {
		t.Errorf("the digest: %v %t", r, revoked)
	}
	if _, revoked := read.Identity("https://github.com/acme/app/.github/workflows/a.yml@refs/heads/main", since); !revoked {
		t.Error("the identity is not revoked at its beginning")
	}
	if _, revoked := read.Identity("https://github.com/acme/app", since.Add(-time.Second)); revoked {
		t.Error("the identity is revoked before its beginning")
	}
	without, found := list.Without(RevokedDigest, digest, epoch)
	if !found || len(without.Revocations) != 2 || without.Version <= list.Version {
		t.Errorf("withdrawn: %t %+v", found, without)
	}
}

// TestRevocationRefuses what is already so, or would be read wrongly.
func TestRevocationRefuses(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for name, r := range map[string]Revocation{
		"no reason":            {Kind: RevokedDigest, Value: digest},
		"two lines":            {Kind: RevokedDigest, Value: digest, Reason: "a\nb"},
		"a tag":                {Kind: RevokedDigest, Value: "latest", Reason: "r"},
		"sha512":               {Kind: RevokedDigest, Value: "sha512:" + strings.Repeat("ab", 64), Reason: "r"},
		"upper case":           {Kind: RevokedKey, Value: strings.ToUpper(digest), Reason: "r"},
		"a digest since":       {Kind: RevokedDigest, Value: digest, Reason: "r", Since: &epoch},
		"everybody":            {Kind: RevokedIdentity, Value: "https://github.com/*", Reason: "r"},
		"a pattern":            {Kind: RevokedIdentity, Value: "https://github.com/*/app", Reason: "r"},
		"a name":               {Kind: RevokedIdentity, Value: "alice", Reason: "r"},
		"an unknown kind":      {Kind: "builder", Value: "x", Reason: "r"},
		"a very long identity": {Kind: RevokedIdentity, Value: "https://a/" + strings.Repeat("b", 2000), Reason: "r"},
	} {
		r.Revoked = epoch
		if _, err := (Revocations{}).With(r, epoch); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	first := Revocation{Kind: RevokedIdentity, Value: "https://github.com/acme/app", Reason: "r", Revoked: epoch, Since: &epoch}
	list, err := (Revocations{}).With(first, epoch)
	check(t, err)
	if _, err := list.With(first, epoch); !errors.Is(err, ErrRevoked) {
		t.Errorf("twice: %v", err)
	}
	first.Since = nil // all, not only since: that is more
	if _, err := list.With(first, epoch); err != nil {
		t.Errorf("more: %v", err)
	}
}

// TestFullRevocations: a list that is full, of lines or of bytes, takes no more;
// what it has is still known to be there, and verifiers read it.
func TestFullRevocations(t *testing.T) {
	for name, text := range map[string]string{"lines": "r", "bytes": strings.Repeat("r", maxRevocationText)} {
		line := func(i int) Revocation {
			return Revocation{Kind: RevokedDigest, Value: fmt.Sprintf("sha256:%064x", i), Reason: text, Revoked: epoch}
		}
		list, err := (Revocations{}).With(line(0), epoch)
		check(t, err)
		one, err := list.Encode()
		check(t, err)
		list.Revocations = append(list.Revocations, line(1))
		two, err := list.Encode()
		check(t, err)
		for n := min(maxRevocations, maxRevocationsFile/(len(two)-len(one))) - 2; len(list.Revocations) < n; {
			list.Revocations = append(list.Revocations, line(len(list.Revocations)))
		}
		for err == nil {
			var next Revocations
			if next, err = list.With(line(len(list.Revocations)), epoch); err == nil {
				list = next
			}
		}
		if !strings.Contains(err.Error(), "are the most that verifiers read") {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := list.With(line(len(list.Revocations)-1), epoch); !errors.Is(err, ErrRevoked) {
			t.Errorf("%s: the last one again: %v", name, err)
		}
		doc, err := list.Reissued(epoch.Add(time.Hour)).Encode()
		check(t, err)
		if read, err := trust.ParseRevocations(doc); err != nil || len(read.All()) != len(list.Revocations) {
			t.Errorf("%s: verifiers: %v", name, err)
		}
	}
}

// TestLegacyTargets has every key once, under the names that old clients know.
func TestLegacyTargets(t *testing.T) {
	m := newDeployment(t).Material()
	targets, err := m.LegacyTargets()
	check(t, err)
	got := map[string]string{}
	for _, l := range targets {
		if !strings.HasPrefix(string(l.Content), "-----BEGIN ") || got[l.Name] != "" {
			t.Errorf("%s: %q", l.Name, l.Content)
		}
		got[l.Name] = l.Usage
	}
	for name, usage := range map[string]string{
		"fulcio_v1.crt.pem": "Fulcio", "fulcio_intermediate_v1.crt.pem": "Fulcio", "rekor.pub": "Rekor", "rekor_2.pub": "Rekor",
		"ctfe.pub": "CTFE", "tsa_leaf.crt.pem": "TSA", "tsa_root.crt.pem": "TSA",
	} {
		if got[name] != usage {
			t.Errorf("%s has usage %q, want %q", name, got[name], usage)
		}
	}
	if len(got) != 7 {
		t.Errorf("%d targets: %v", len(got), got)
	}
}

// TestRotatedMaterial: a new authority is added once, an old one is ended and
// never forgotten.
func TestRotatedMaterial(t *testing.T) {
	a, b := newDeployment(t), newDeployment(t)
	m, other := a.Material(), b.Material()
	for range 2 {
		m = m.WithCertificateAuthority(other.CertificateAuthorities[0])
		m = m.WithTimestampAuthority(other.TimestampAuthorities[0])
		m = m.WithCertificateLog(other.CertificateLogs[0])
	}
	if len(m.CertificateAuthorities) != 2 || len(m.TimestampAuthorities) != 2 || len(m.CertificateLogs) != 2 {
		t.Fatalf("%d, %d, %d", len(m.CertificateAuthorities), len(m.TimestampAuthorities), len(m.CertificateLogs))
	}
	end := epoch.Add(time.Hour)
	ended := m.Ended(a.CAChain[0].PublicKey, end).Ended(a.CT, end).Ended(a.TSAChain[0].PublicKey, end).Ended(a.CT, end.Add(time.Hour))
	for i, w := range []Window{ended.CertificateAuthorities[0].Window, ended.CertificateLogs[0].Window, ended.TimestampAuthorities[0].Window} {
		if !w.End.Equal(end) {
			t.Errorf("window %d ends %s", i, w.End)
		}
	}
	if !ended.CertificateAuthorities[1].End.IsZero() || !m.CertificateAuthorities[0].End.IsZero() {
		t.Error("the wrong window ended")
	}
	doc, err := TrustedRoot(ended)
	check(t, err)
	if _, err := Parse(doc); err != nil {
		t.Error(err)
	}
}
