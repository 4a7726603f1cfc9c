// SPDX-License-Identifier: Apache-2.0

package verifier_test

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hallmark-dev/hallmark/attest"
	"github.com/hallmark-dev/hallmark/policy"
	"github.com/hallmark-dev/hallmark/verifier"
)

// wantRefusal fails unless err is a *Refusal with the reason and the fact is nothing.
func wantRefusal(t *testing.T, fact policy.Fact, err error, want verifier.Reason) {
	t.Helper()
	var refusal *verifier.Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("fact %+v, error %v, want a refusal for %q", fact, err, want)
	}
	if refusal.Reason != want {
		t.Errorf("refused for %q (%s), want %q", refusal.Reason, refusal.Detail, want)
	}
	if fact.Bound || fact.SAN != "" || fact.Bundle != "" {
		t.Errorf("refused, but there is a fact: %+v", fact)
	}
}

// TestBadSigning makes bundles that are whole but were made wrongly: by a careless or hostile signer, CA, log or timestamp authority.
func TestBadSigning(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	empty, late := "", signedAt.Add(20*time.Minute)
	about := func(d attest.Digest) []byte { return statement(t, d, attest.PredicateSignature, "{}") }
	cases := map[string]struct {
		s    signing
		want verifier.Reason
	}{
		"another digest":               {signing{payload: about(otherImage)}, verifier.ReasonOtherArtifact},
		"payload is no statement":      {signing{payload: []byte(`{"hello":"world"}`)}, verifier.ReasonStatement},
		"payload is no JSON":           {signing{payload: []byte(`hello`)}, verifier.ReasonStatement},
		"predicate type twice":         {signing{payload: bytes.Replace(about(image), []byte(`"predicateType"`), []byte(`"predicateType":"https://slsa.dev/provenance/v1","predicateType"`), 1)}, verifier.ReasonStatement},
		"no name":                      {signing{payload: about(image), sans: []asn1.RawValue{}}, verifier.ReasonUnverified},
		"empty name":                   {signing{payload: about(image), sans: []asn1.RawValue{uri("")}}, verifier.ReasonUnverified},
		"two URIs":                     {signing{payload: about(image), sans: []asn1.RawValue{uri(ciSAN), uri("https://github.com/evil/x")}}, verifier.ReasonCertificate},
		"URI and e-mail":               {signing{payload: about(image), sans: []asn1.RawValue{uri(ciSAN), email("mallory@evil.example")}}, verifier.ReasonCertificate},
		"URI and host":                 {signing{payload: about(image), sans: []asn1.RawValue{uri(ciSAN), dns("evil.example")}}, verifier.ReasonCertificate},
		"e-mail that looks like a URI": {signing{payload: about(image), sans: []asn1.RawValue{email(ciSAN)}}, verifier.ReasonCertificate},
		"URI in another spelling":      {signing{payload: about(image), sans: []asn1.RawValue{uri("HTTPS://github.com/acme/app")}}, verifier.ReasonCertificate},
		"URI without scheme":           {signing{payload: about(image), sans: []asn1.RawValue{uri("//github.com/acme/app")}}, verifier.ReasonCertificate},
		"no issuer":                    {signing{payload: about(image), issuer: &empty}, verifier.ReasonCertificate},
		"two issuers":                  {signing{payload: about(image), template: secondIssuer}, verifier.ReasonCertificate},
		"an authority's certificate":   {signing{payload: about(image), template: makeCA}, verifier.ReasonCertificate},
		"certificate for anything":     {signing{payload: about(image), template: func(c *x509.Certificate) { c.ExtKeyUsage = nil }}, verifier.ReasonCertificate},
		"certificate for encryption":   {signing{payload: about(image), template: func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }}, verifier.ReasonCertificate},
		"no SCT":                       {signing{payload: about(image), noSCT: true}, verifier.ReasonUnverified},
		"expired intermediate":         {signing{payload: about(image), issuedBy: l.expired}, verifier.ReasonUnverified},
		"expired intermediate, v1":     {signing{payload: about(image), issuedBy: l.expired, v1: true}, verifier.ReasonUnverified},
		"foreign intermediate":         {signing{payload: about(image), issuedBy: newAuthority(t, "other", nil, start, end, x509.ExtKeyUsageCodeSigning)}, verifier.ReasonUnverified},
		"v2 without token":             {signing{payload: about(image), noTSA: true}, verifier.ReasonUnverified},
		"token after the leaf":         {signing{payload: about(image), at: late, from: signedAt, to: signedAt.Add(10 * time.Minute)}, verifier.ReasonUnverified},
		"token after the leaf, v1":     {signing{payload: about(image), v1: true, at: late, loggedAt: signedAt, from: signedAt, to: signedAt.Add(10 * time.Minute)}, verifier.ReasonUnverified},
		"logged after the leaf":        {signing{payload: about(image), v1: true, loggedAt: late}, verifier.ReasonUnverified},
		"token before the leaf":        {signing{payload: about(image), at: signedAt, from: signedAt.Add(time.Minute), to: signedAt.Add(10 * time.Minute)}, verifier.ReasonUnverified},
		"before the authorities":       {signing{payload: about(image), at: start.Add(-time.Hour)}, verifier.ReasonUnverified},
		"from the future":              {signing{payload: about(image), at: now.Add(time.Hour)}, verifier.ReasonTime},
		"from the future, v1":          {signing{payload: about(image), v1: true, noTSA: true, at: now.Add(time.Hour)}, verifier.ReasonTime},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			fact, err := c.Facts(image, l.sign(t, tc.s).encode(t))
			wantRefusal(t, fact, err, tc.want)
		})
	}
}

func secondIssuer(c *x509.Certificate) {
	for i, ext := range c.ExtraExtensions {
		if ext.Id.Equal(asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}) {
			c.ExtraExtensions[i] = pkix.Extension{Id: ext.Id, Value: []byte("https://evil.example")}
		}
	}
}

func makeCA(c *x509.Certificate) {
	c.IsCA, c.BasicConstraintsValid = true, true
	c.KeyUsage |= x509.KeyUsageCertSign
}

// TestClock: proven times decide, whatever the own clock says, up to the tolerance.
func TestClock(t *testing.T) {
	l := newLab(t)
	bundle := l.sign(t, signing{payload: statement(t, image, attest.PredicateSignature, "{}")}).encode(t)
	for _, tc := range []struct {
		off  time.Duration // of the clock, against the time of signing
		fact bool
	}{{0, true}, {-10 * time.Minute, true}, {10 * time.Minute, true}, {365 * 24 * time.Hour, true}, {-16 * time.Minute, false}, {-365 * 24 * time.Hour, false}} {
		c, err := verifier.NewCrypto(newRoot(t, l), verifier.WithClock(func() time.Time { return signedAt.Add(tc.off) }))
		must(t, err)
		fact, err := c.Facts(image, bundle)
		if tc.fact != (err == nil) {
			t.Errorf("clock off by %v: %v", tc.off, err)
		}
		if err != nil {
			wantRefusal(t, fact, err, verifier.ReasonTime)
		}
	}
}

// TestGrafts puts valid parts of one bundle into another. B is as good as A in every respect.
func TestGrafts(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	payload := statement(t, image, attest.PredicateSignature, "{}")
	cases := map[string]struct {
		v1    bool
		graft func(a *parts, b parts)
		want  verifier.Reason
	}{
		"signature":             {false, func(a *parts, b parts) { a.sig = b.sig }, verifier.ReasonUnverified},
		"certificate":           {false, func(a *parts, b parts) { a.cert = b.cert }, verifier.ReasonUnverified},
		"entry":                 {false, func(a *parts, b parts) { a.entries = b.entries }, verifier.ReasonUnverified},
		"entry's body":          {false, func(a *parts, b parts) { a.entries[0].body = b.entries[0].body }, verifier.ReasonLogEntry},
		"timestamp":             {false, func(a *parts, b parts) { a.tokens = b.tokens }, verifier.ReasonUnverified},
		"second timestamp":      {false, func(a *parts, b parts) { a.tokens = append(a.tokens, b.tokens[0]) }, verifier.ReasonTime},
		"same timestamp twice":  {false, func(a *parts, _ parts) { a.tokens = append(a.tokens, a.tokens[0]) }, verifier.ReasonTime},
		"v1 signature":          {true, func(a *parts, b parts) { a.sig = b.sig }, verifier.ReasonUnverified},
		"v1 certificate":        {true, func(a *parts, b parts) { a.cert = b.cert }, verifier.ReasonUnverified},
		"v1 entry":              {true, func(a *parts, b parts) { a.entries = b.entries }, verifier.ReasonUnverified},
		"v1 body":               {true, func(a *parts, b parts) { a.entries[0].body = b.entries[0].body }, verifier.ReasonUnverified},
		"v1 SET":                {true, func(a *parts, b parts) { a.entries[0].set = b.entries[0].set }, verifier.ReasonUnverified},
		"v1 timestamp":          {true, func(a *parts, b parts) { a.tokens = b.tokens }, verifier.ReasonTime},
		"v1 second entry":       {true, func(a *parts, b parts) { a.entries = append(a.entries, b.entries[0]) }, verifier.ReasonUnverified},
		"v1 proof and promise":  {true, func(a *parts, b parts) { b.entries[0].body = a.entries[0].body; a.entries = b.entries }, verifier.ReasonUnverified},
		"payload of another":    {false, func(a *parts, _ parts) { a.payload = statement(t, image, attest.PredicateSignature, `{"x":1}`) }, verifier.ReasonUnverified},
		"everything but entry":  {false, func(a *parts, b parts) { b.entries = a.entries; *a = b }, verifier.ReasonUnverified},
		"everything but v1 one": {true, func(a *parts, b parts) { b.entries = a.entries; *a = b }, verifier.ReasonUnverified},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			a, b := l.sign(t, signing{payload: payload, v1: tc.v1}), l.sign(t, signing{payload: payload, v1: tc.v1})
			tc.graft(&a, b)
			fact, err := c.Facts(image, a.encode(t))
			wantRefusal(t, fact, err, tc.want)
		})
	}
}

// TestEntries damages log entries in ways that keep every signature in them valid.
func TestEntries(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	payload := statement(t, image, attest.PredicateSignature, "{}")
	other := statement(t, otherImage, attest.PredicateSignature, "{}")
	cases := map[string]struct {
		v1   bool
		edit func(p *parts)
		want verifier.Reason
	}{
		"none":               {false, func(p *parts) { p.entries = nil }, verifier.ReasonLogEntry},
		"root hash":          {false, func(p *parts) { p.entries[0].root = bytes.Repeat([]byte{7}, 32) }, verifier.ReasonLogEntry},
		"tree size":          {false, func(p *parts) { p.entries[0].size++ }, verifier.ReasonLogEntry},
		"index of the proof": {false, func(p *parts) { p.entries[0].proofIndex-- }, verifier.ReasonLogEntry},
		"both indexes":       {false, func(p *parts) { p.entries[0].proofIndex--; p.entries[0].index-- }, verifier.ReasonUnverified},
		"kind":               {false, func(p *parts) { p.entries[0].kind, p.entries[0].version = "dsse", "0.0.1" }, verifier.ReasonLogEntry},
		"unknown kind":       {false, func(p *parts) { p.entries[0].kind = "rekord" }, verifier.ReasonLogEntry},
		"unproven time":      {false, func(p *parts) { p.entries[0].integrated = signedAt.Unix() }, verifier.ReasonLogEntry},
		"unknown log":        {false, func(p *parts) { p.entries[0].logID = bytes.Repeat([]byte{7}, 32) }, verifier.ReasonUnverified},
		"the other log's id": {false, func(p *parts) { p.entries[0].logID = l.logID(t, l.v1) }, verifier.ReasonUnverified},
		"v1 without proof": {true, func(p *parts) {
			p.mediaType = "application/vnd.dev.sigstore.bundle+json;version=0.1"
			p.entries[0].checkpoint = ""
		}, verifier.ReasonMalformed},
		"v1 without promise":     {true, func(p *parts) { p.entries[0].set = nil }, verifier.ReasonLogEntry},
		"v1 time":                {true, func(p *parts) { p.entries[0].integrated++ }, verifier.ReasonUnverified},
		"v1 global index":        {true, func(p *parts) { p.entries[0].index++ }, verifier.ReasonUnverified},
		"v1 tree size":           {true, func(p *parts) { p.entries[0].size++ }, verifier.ReasonUnverified},
		"v1 twice in one log":    {true, func(p *parts) { p.entries = append(p.entries, l.v1.append(t, p.v1Body(t), signedAt)) }, verifier.ReasonUnverified},
		"second entry of no log": {true, func(p *parts) { e := p.entries[0]; e.logID = shortLogID; p.entries = append(p.entries, e) }, verifier.ReasonUnverified},
		"v1 body in the v2 log":  {false, func(p *parts) { p.entries[0] = l.v2.append(t, p.v1Body(t), time.Time{}) }, verifier.ReasonUnverified},
		"v2 body in the v1 log":  {true, func(p *parts) { p.entries[0] = l.v1.append(t, p.v2Body(), time.Time{}) }, verifier.ReasonLogEntry},
		"v2 body of another, v1 log": {true, func(p *parts) {
			p.entries[0] = l.v1.append(t, l.sign(t, signing{payload: other}).v2Body(), time.Time{})
		}, verifier.ReasonLogEntry},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := l.sign(t, signing{payload: payload, v1: tc.v1})
			tc.edit(&p)
			fact, err := c.Facts(image, p.encode(t))
			wantRefusal(t, fact, err, tc.want)
		})
	}
}

const bundleV01 = "application/vnd.dev.sigstore.bundle+json;version=0.1"

// inV1 logs a body where it does not belong, as one tree with two faces would: sigstore-go 1.3.0 takes such an entry without comparing
// it with the bundle at all.
func (l *lab) inV1(t testing.TB, body loggable) entry {
	e := l.v1.append(t, body, time.Time{})
	e.index = e.proofIndex
	return e
}

// TestCovers compares the entries of one good bundle with another. The other checks would refuse such entries as well; this one must
// not depend on them.
func TestCovers(t *testing.T) {
	l := newLab(t)
	payload := statement(t, image, attest.PredicateSignature, "{}")
	for name, s := range map[string]signing{
		"v2": {payload: payload}, "v1": {payload: payload, v1: true}, "message, v2": {blob: imageBytes}, "message, v1": {blob: imageBytes, v1: true},
	} {
		a, b := l.sign(t, s), l.sign(t, s)
		if err := verifier.CheckCovers(a.encode(t), a.encode(t)); err != nil {
			t.Errorf("%s: its own entry: %v", name, err)
		}
		if err := verifier.CheckCovers(a.encode(t), b.encode(t)); err == nil {
			t.Errorf("%s: another signature's entry is taken", name)
		}
		c := a.clone()
		c.sig = b.sig
		if err := verifier.CheckCovers(c.encode(t), a.encode(t)); err == nil {
			t.Errorf("%s: an entry with another signature is taken", name)
		}
		c = a.clone()
		c.cert = b.cert
		if err := verifier.CheckCovers(c.encode(t), a.encode(t)); err == nil {
			t.Errorf("%s: an entry with another certificate is taken", name)
		}
		c = a.clone()
		c.payload, c.digest = append(c.payload, ' '), append([]byte{1}, c.digest[1:]...)
		if s.payload == nil {
			c.payload = nil
		}
		if err := verifier.CheckCovers(c.encode(t), a.encode(t)); err == nil {
			t.Errorf("%s: an entry with another content is taken", name)
		}
	}
}

// TestEarliestTimeCounts: a later timestamp does not make old evidence newer.
func TestEarliestTimeCounts(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	payload := statement(t, image, attest.PredicateSignature, "{}")
	for _, s := range []signing{
		{payload: payload, v1: true, at: signedAt.Add(5 * time.Minute), loggedAt: signedAt, from: signedAt, to: signedAt.Add(10 * time.Minute)},
		{payload: payload, v1: true, at: signedAt, loggedAt: signedAt.Add(5 * time.Minute), from: signedAt, to: signedAt.Add(10 * time.Minute)},
	} {
		fact, err := c.Facts(image, l.sign(t, s).encode(t))
		must(t, err)
		if !fact.SignedAt.Equal(signedAt) {
			t.Errorf("signed at %s, logged at %s: fact says %s", s.at, s.loggedAt, fact.SignedAt)
		}
	}
}

func (l *lab) logID(t testing.TB, log *memoryLog) []byte {
	id := sha256.Sum256(spki(t, log.key.Public()))
	return id[:]
}

// TestWindows takes keys and authorities out of use before the signature was made, or lets them in afterwards.
func TestWindows(t *testing.T) {
	l := newLab(t)
	payload := statement(t, image, attest.PredicateSignature, "{}")
	ended := object{"start": start.Format(time.RFC3339), "end": signedAt.Add(-2 * time.Minute).Format(time.RFC3339)} // SCTs are a minute older than the signature
	later := object{"start": signedAt.Add(time.Minute).Format(time.RFC3339)}
	for list, want := range map[string]verifier.Reason{
		"tlogs": verifier.ReasonLogEntry, "ctlogs": verifier.ReasonUnverified,
		"certificateAuthorities": verifier.ReasonUnverified, "timestampAuthorities": verifier.ReasonUnverified,
	} {
		for name, window := range map[string]object{"ended": ended, "later": later} {
			t.Run(list+" "+name, func(t *testing.T) {
				c := newCrypto(t, l, func(o object) {
					for _, a := range as[[]object](t, o[list]) {
						if key, isLog := a["publicKey"].(object); isLog {
							key["validFor"] = window
						} else {
							a["validFor"] = window
						}
					}
				})
				fact, err := c.Facts(image, l.sign(t, signing{payload: payload}).encode(t))
				wantRefusal(t, fact, err, want)
			})
		}
	}
}

// TestForm gives bundles that are wrong as documents.
func TestForm(t *testing.T) {
	l := newLab(t)
	c := newCrypto(t, l)
	payload := statement(t, image, attest.PredicateSignature, "{}")
	good := string(l.sign(t, signing{payload: payload}).encode(t))
	with := func(edit func(p *parts)) string {
		p := l.sign(t, signing{payload: payload})
		edit(&p)
		return string(p.encode(t))
	}
	cases := map[string]struct {
		bundle string
		want   verifier.Reason
	}{
		"empty":              {"", verifier.ReasonMalformed},
		"null":               {"null", verifier.ReasonMalformed},
		"not JSON":           {"hello", verifier.ReasonMalformed},
		"empty object":       {"{}", verifier.ReasonMalformed},
		"cut":                {good[:len(good)-1], verifier.ReasonMalformed},
		"trailing":           {good + "{}", verifier.ReasonMalformed},
		"unknown member":     {strings.Replace(good, "{", `{"note":"hi",`, 1), verifier.ReasonMalformed},
		"member twice":       {strings.Replace(good, "{", `{"mediaType":"x",`, 1), verifier.ReasonMalformed},
		"member twice, null": {strings.Replace(good, "{", `{"mediaType":null,`, 1), verifier.ReasonMalformed},
		"case variant":       {strings.Replace(good, "{", `{"MediaType":"x",`, 1), verifier.ReasonMalformed},
		"two spellings":      {strings.Replace(good, "{", `{"media_type":"x",`, 1), verifier.ReasonMalformed},
		"message as well":    {strings.Replace(good, "{", `{"messageSignature":{},`, 1), verifier.ReasonMalformed},
		"deep":               {strings.Replace(good, "{", `{"x":`+strings.Repeat("[", 64)+strings.Repeat("]", 64)+`,`, 1), verifier.ReasonMalformed},
		"other media type":   {with(func(p *parts) { p.mediaType = "application/vnd.dev.sigstore.bundle.v0.9+json" }), verifier.ReasonMalformed},
		"other payload":      {with(func(p *parts) { p.payloadIs = "application/json" }), verifier.ReasonStatement},
		"two signatures":     {strings.Replace(good, `"signatures":[`, `"signatures":[{"sig":"AAAA"},`, 1), verifier.ReasonMalformed},
		"a key":              {withKey(good), verifier.ReasonKeyMode},
		"too large":          {good + strings.Repeat(" ", verifier.MaxBundleBytes), verifier.ReasonTooLarge},
		"thousand entries":   {with(func(p *parts) { p.entries = many(p.entries[0]) }), verifier.ReasonTooLarge},
		"thousand tokens":    {with(func(p *parts) { p.tokens = many(p.tokens[0]) }), verifier.ReasonTooLarge},
		"long proof":         {with(func(p *parts) { p.entries[0].hashes = many(p.entries[0].root) }), verifier.ReasonTooLarge},
		"large certificate":  {with(func(p *parts) { p.cert = make([]byte, 1<<17) }), verifier.ReasonTooLarge},
		"large checkpoint":   {with(func(p *parts) { p.entries[0].checkpoint += strings.Repeat("x\n", 1<<16) }), verifier.ReasonTooLarge},
		"large token":        {with(func(p *parts) { p.tokens[0] = make([]byte, 1<<17) }), verifier.ReasonTooLarge},
		"large body":         {with(func(p *parts) { p.entries[0].body = make([]byte, 1<<17) }), verifier.ReasonTooLarge},
		"large signature":    {with(func(p *parts) { p.sig = make([]byte, 1<<17) }), verifier.ReasonTooLarge},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			fact, err := c.Facts(image, []byte(tc.bundle))
			wantRefusal(t, fact, err, tc.want)
		})
	}
	if _, err := c.Facts(image, []byte(good)); err != nil {
		t.Errorf("the bundle that all of these were made from: %v", err)
	}
	if _, err := c.Facts("", []byte(good)); err == nil {
		t.Error("an empty digest was accepted")
	}
}

func many[T any](one T) []T {
	all := make([]T, 1000)
	for i := range all {
		all[i] = one
	}
	return all
}

// withKey replaces the certificate by a key hint.
func withKey(bundle string) string {
	at := strings.Index(bundle, `"certificate":{"rawBytes":"`)
	to := at + strings.Index(bundle[at:], "}") + 1
	return bundle[:at] + `"publicKey":{"hint":"production"}` + bundle[to:]
}
