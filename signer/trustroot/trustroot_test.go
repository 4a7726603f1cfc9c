// SPDX-License-Identifier: Apache-2.0

package trustroot

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

var epoch = time.Date(2026, 3, 4, 5, 6, 7, 800_000_000, time.UTC)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newP256(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

// newChain makes a root and one certificate under it.
func newChain(t testing.TB, name string, ca bool, usage x509.ExtKeyUsage) []*x509.Certificate {
	t.Helper()
	key := newP256(t)
	tmpl := x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: epoch, NotAfter: epoch.AddDate(10, 0, 0),
		Subject: pkix.Name{Organization: []string{"acme <&>"}, CommonName: name + " root"}, BasicConstraintsValid: true, IsCA: true, KeyUsage: x509.KeyUsageCertSign,
	}
	top := certify(t, &tmpl, &tmpl, key.Public(), key)
	tmpl.Subject.CommonName = name
	tmpl.IsCA = ca
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{usage}
	return []*x509.Certificate{certify(t, &tmpl, top, newP256(t).Public(), key), top}
}

func certify(t testing.TB, tmpl, parent *x509.Certificate, pub crypto.PublicKey, key crypto.Signer) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, tmpl, parent, pub, key)
	check(t, err)
	cert, err := x509.ParseCertificate(der)
	check(t, err)
	return cert
}

func parseURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	check(t, err)
	return u
}

func newDeployment(t testing.TB) Deployment {
	t.Helper()
	return Deployment{
		Origin:  parseURL(t, "https://hallmark.example:9443/base"),
		CAChain: newChain(t, "issuing", true, x509.ExtKeyUsageCodeSigning), TSAChain: newChain(t, "tsa", false, x509.ExtKeyUsageTimeStamping),
		CT: newP256(t).Public(), LogV1: newP256(t).Public(), LogV2: newP256(t).Public(), Start: epoch,
	}
}

func keyID(t *testing.T, key crypto.PublicKey) []byte {
	t.Helper()
	spki, err := x509.MarshalPKIXPublicKey(key)
	check(t, err)
	sum := sha256.Sum256(spki)
	return sum[:]
}

func TestTrustedRootIsReadBySigstore(t *testing.T) {
	d := newDeployment(t)
	doc, err := TrustedRoot(d.Material())
	check(t, err)
	got, err := root.NewTrustedRootFromJSON(doc)
	check(t, err)
	start := epoch.Truncate(time.Second)

	if len(got.RekorLogs()) != 2 {
		t.Fatalf("logs %v", got.RekorLogs())
	}
	for _, key := range []crypto.PublicKey{d.LogV1, d.LogV2} {
		log := got.RekorLogs()[hex.EncodeToString(keyID(t, key))]
		if log == nil || log.BaseURL != d.Origin.String() || !log.ValidityPeriodStart.Equal(start) || !log.ValidityPeriodEnd.IsZero() || cryptoutils.EqualKeys(key, log.PublicKey) != nil {
			t.Errorf("log %+v", log)
		}
	}
	ct, ok := got.CTLogs()[hex.EncodeToString(keyID(t, d.CT))]
	if !ok || cryptoutils.EqualKeys(d.CT, ct.PublicKey) != nil || !ct.ValidityPeriodStart.Equal(start) {
		t.Errorf("certificate logs %v", got.CTLogs())
	}
	ca, ok := got.FulcioCertificateAuthorities()[0].(*root.FulcioCertificateAuthority)
	if !ok || !ca.Root.Equal(d.CAChain[1]) || len(ca.Intermediates) != 1 || !ca.Intermediates[0].Equal(d.CAChain[0]) || !ca.ValidityPeriodStart.Equal(start) {
		t.Errorf("certificate authorities %+v", got.FulcioCertificateAuthorities())
	}
	tsa, ok := got.TimestampingAuthorities()[0].(*root.SigstoreTimestampingAuthority)
	if !ok || !tsa.Root.Equal(d.TSAChain[1]) || !tsa.Leaf.Equal(d.TSAChain[0]) || tsa.URI != "https://hallmark.example:9443/base/api/v1/timestamp" {
		t.Errorf("time-stamping authorities %+v", got.TimestampingAuthorities())
	}
	if !bytes.Contains(doc, []byte(`"acme <&>"`)) {
		t.Error("text is escaped for HTML")
	}
}

func TestTrustedRootIsDeterministic(t *testing.T) {
	m := newDeployment(t).Material()
	first, err := TrustedRoot(m)
	check(t, err)
	m.Logs[0].Start = m.Logs[0].Start.In(time.FixedZone("elsewhere", 3600))
	second, err := TrustedRoot(m)
	check(t, err)
	if !bytes.Equal(first, second) {
		t.Error("one material, two files")
	}
	m.Logs[0].Start = m.Logs[0].Start.Add(time.Second)
	third, err := TrustedRoot(m)
	check(t, err)
	if bytes.Equal(first, third) {
		t.Error("two materials, one file")
	}
}

// TestEd25519KeyID holds the id against one computed by hand: it depends on
// the origin and not on the port or the path of the log's URL.
func TestEd25519KeyID(t *testing.T) {
	key, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	d := newDeployment(t)
	d.LogV2 = key
	d.Origin = parseURL(t, "https://log.hallmark.example:8443/v2")
	doc, err := TrustedRoot(d.Material())
	check(t, err)
	got, err := root.NewTrustedRootFromJSON(doc)
	check(t, err)
	id := sha256.Sum256(append([]byte("log.hallmark.example\n\x01"), key...))
	log, ok := got.RekorLogs()[hex.EncodeToString(id[:])]
	if !ok || !key.Equal(log.PublicKey) || log.BaseURL != d.Origin.String() {
		t.Errorf("logs %v, want id %x", got.RekorLogs(), id)
	}
}

// TestRotation is what a rotation does to the file: another item, and an end
// on the old one.
func TestRotation(t *testing.T) {
	m := newDeployment(t).Material()
	next := newDeployment(t)
	next.Start = epoch.AddDate(1, 0, 0)
	end := next.Start.Add(time.Hour)
	m.CertificateLogs[0].End = end
	m.CertificateAuthorities[0].End, m.TimestampAuthorities[0].End = end, end
	n := next.Material()
	m.CertificateLogs = append(m.CertificateLogs, n.CertificateLogs...)
	m.CertificateAuthorities = append(m.CertificateAuthorities, n.CertificateAuthorities...)
	m.TimestampAuthorities = append(m.TimestampAuthorities, n.TimestampAuthorities...)
	v1, v2 := m.Logs[0], m.Logs[1]
	m = m.WithLogs([]Log{{URL: v1.URL, Key: v1.Key, Window: n.Logs[0].Window}, n.Logs[0]}) // the window of a known key is not touched

	doc, err := TrustedRoot(m)
	check(t, err)
	got, err := root.NewTrustedRootFromJSON(doc)
	check(t, err)
	if len(got.RekorLogs()) != 3 || len(got.CTLogs()) != 2 || len(got.FulcioCertificateAuthorities()) != 2 || len(got.TimestampingAuthorities()) != 2 {
		t.Fatal("an item is missing")
	}
	want := end.Truncate(time.Second)
	for i, fulcio := range got.FulcioCertificateAuthorities() {
		ca, ok := fulcio.(*root.FulcioCertificateAuthority)
		if !ok || (i == 0) != ca.ValidityPeriodEnd.Equal(want) || (i == 1) != ca.ValidityPeriodEnd.IsZero() {
			t.Errorf("authority %d ends %s", i, ca.ValidityPeriodEnd)
		}
	}
	for i, key := range []crypto.PublicKey{v1.Key, n.Logs[0].Key, v2.Key} {
		start := epoch.Truncate(time.Second)
		if i == 1 {
			start = next.Start.Truncate(time.Second)
		}
		if !sameKey(m.Logs[i].Key, key) {
			t.Errorf("log %d has another's place", i)
		}
		log := got.RekorLogs()[hex.EncodeToString(keyID(t, key))]
		if log == nil || !log.ValidityPeriodStart.Equal(start) || !log.ValidityPeriodEnd.IsZero() {
			t.Errorf("log %d: %+v, want it from %s on", i, log, start)
		}
		if !m.HasLog(key) {
			t.Errorf("log %d is not known", i)
		}
	}
	if m.HasLog(n.Logs[1].Key) {
		t.Error("a log that nobody added is known")
	}
	config := parsedConfig(t, m, URLs{Operator: "hallmark.example", Logs: []LogURL{{"https://hallmark.example", 1, n.Logs[0].Key}}})
	if start := config.RekorLogURLs()[0].ValidityPeriodStart; !start.Equal(next.Start.Truncate(time.Second)) {
		t.Errorf("log is offered from %s, want the new key's start", start)
	}
}

func parsedConfig(t *testing.T, m Material, u URLs) *root.SigningConfig {
	t.Helper()
	doc, err := SigningConfig(m, u)
	check(t, err)
	config, err := root.NewSigningConfigFromJSON(doc)
	check(t, err)
	return config
}

func TestTrustedRootRefuses(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	ed, _, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	for _, tt := range []struct {
		name   string
		change func(*Material)
		says   string
	}{
		{"no log", func(m *Material) { m.Logs = nil }, "no transparency log"},
		{"two logs with one key", func(m *Material) { m.Logs = append(m.Logs, m.Logs[0]) }, "needs its own key"},
		{"RSA log", func(m *Material) { m.Logs[0].Key = rsaKey.Public() }, "ECDSA P-256 or Ed25519"},
		{"P-384 log", func(m *Material) { m.Logs[0].Key = p384.Public() }, "not P-256"},
		{"no key", func(m *Material) { m.Logs[0].Key = nil }, "key is <nil>"},
		{"nil key", func(m *Material) { m.Logs[0].Key = (*ecdsa.PublicKey)(nil) }, "not P-256"},
		{"short key", func(m *Material) { m.Logs[0].Key = ed25519.PublicKey("short") }, "5 bytes"},
		{"Ed25519 certificate log", func(m *Material) { m.CertificateLogs[0].Key = ed }, "not ECDSA P-256"},
		{"log without URL", func(m *Material) { m.Logs[0].URL = &url.URL{} }, "absolute URL"},
		{"log with nil URL", func(m *Material) { m.Logs[0].URL = nil }, "absolute URL"},
		{"origin in upper case", func(m *Material) { m.Logs[0].URL = &url.URL{Scheme: "https", Host: "Hallmark.example"} }, "lower case"},
		{"origin with a plus sign", func(m *Material) { m.Logs[0].URL = &url.URL{Scheme: "https", Host: "a+b"} }, "origin"},
		{"log without start", func(m *Material) { m.Logs[0].Start = time.Time{} }, "no start"},
		{"authority without start", func(m *Material) { m.TimestampAuthorities[0].Start = time.Time{} }, "no start"},
		{"window that ends first", func(m *Material) { m.CertificateAuthorities[0].End = epoch.Add(-time.Hour) }, "before it starts"},
		{"no chain", func(m *Material) { m.CertificateAuthorities[0].Chain = nil }, "no certificates"},
		{"chain upside down", func(m *Material) {
			c := m.CertificateAuthorities[0].Chain
			m.CertificateAuthorities[0].Chain = []*x509.Certificate{c[1], c[0]}
		}, "not signed by"},
		{"foreign root", func(m *Material) {
			m.CertificateAuthorities[0].Chain = []*x509.Certificate{m.CertificateAuthorities[0].Chain[0], m.TimestampAuthorities[0].Chain[1]}
		}, "not signed by"},
		{"TSA chain as CA", func(m *Material) { m.CertificateAuthorities[0].Chain = m.TimestampAuthorities[0].Chain }, "not a CA"},
		{"CA chain as TSA", func(m *Material) { m.TimestampAuthorities[0].Chain = m.CertificateAuthorities[0].Chain }, "timeStamping"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newDeployment(t).Material()
			tt.change(&m)
			doc, err := TrustedRoot(m)
			if err == nil || doc != nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want %q", err, tt.says)
			}
		})
	}
}

func TestSigningConfig(t *testing.T) {
	m := newDeployment(t).Material()
	all := URLs{
		Operator: "hallmark.example", CA: "https://hallmark.example", OIDC: "https://issuer.example",
		Logs: []LogURL{{"https://hallmark.example", 1, m.Logs[0].Key}, {"https://log.hallmark.example", 2, m.Logs[1].Key}},
		TSA:  "https://hallmark.example/api/v1/timestamp",
	}
	config := parsedConfig(t, m, all)
	if urls := config.RekorLogURLs(); len(urls) != 2 || urls[0].MajorAPIVersion != 2 {
		t.Errorf("logs %+v, want version 2 first", urls)
	}
	for _, tt := range []struct {
		name     string
		services []root.Service
		url      string
		version  uint32
	}{
		{"CA", config.FulcioCertificateAuthorityURLs(), all.CA, 1},
		{"OIDC", config.OIDCProviderURLs(), all.OIDC, 1},
		{"log", config.RekorLogURLs(), "https://log.hallmark.example", 2},
		{"TSA", config.TimestampAuthorityURLs(), all.TSA, 1},
	} {
		// What stock clients do with the file.
		got, err := root.SelectService(tt.services, []uint32{1, 2}, epoch)
		if err != nil || got.URL != tt.url || got.MajorAPIVersion != tt.version || got.Operator != all.Operator {
			t.Errorf("%s: %+v, %v", tt.name, got, err)
		}
		if _, err := root.SelectService(tt.services, []uint32{1, 2}, epoch.Add(-time.Hour)); err == nil {
			t.Errorf("%s is offered before its start", tt.name)
		}
	}
	for version, url := range map[uint32]string{1: all.Logs[0].URL, 2: all.Logs[1].URL} {
		logs, err := root.SelectServices(config.RekorLogURLs(), config.RekorLogURLsConfig(), []uint32{version}, epoch)
		if err != nil || len(logs) != 1 || logs[0].URL != url {
			t.Errorf("a client of version %d writes to %v, %v", version, logs, err)
		}
	}
	tsas, err := root.SelectServices(config.TimestampAuthorityURLs(), config.TimestampAuthorityURLsConfig(), []uint32{1}, epoch)
	if err != nil || len(tsas) != 1 {
		t.Errorf("TSA selector: %v, %v", tsas, err)
	}

	some := parsedConfig(t, m, URLs{Operator: "hallmark.example", TSA: all.TSA})
	if len(some.FulcioCertificateAuthorityURLs()) != 0 || len(some.RekorLogURLs()) != 0 || len(some.TimestampAuthorityURLs()) != 1 {
		t.Errorf("services that are not offered: %v", some)
	}
}

func TestSigningConfigRefuses(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*Material, *URLs)
		says   string
	}{
		{"no operator", func(_ *Material, u *URLs) { u.Operator = "" }, "no operator"},
		{"relative URL", func(_ *Material, u *URLs) { u.TSA = "/api/v1/timestamp" }, "absolute URL"},
		{"broken URL", func(_ *Material, u *URLs) { u.TSA = "https://%zz" }, "time-stamping"},
		{"no key", func(m *Material, _ *URLs) { m.TimestampAuthorities = nil }, "no key in use"},
		{"log of an unknown key", func(m *Material, u *URLs) {
			u.Logs = []LogURL{{"https://hallmark.example", 1, m.CertificateLogs[0].Key}}
		}, "no key in use"},
		{"log of version 3", func(m *Material, u *URLs) {
			u.Logs = []LogURL{{"https://hallmark.example", 3, m.Logs[0].Key}}
		}, "neither of version 1 nor"},
		{"log of version 2 without time", func(m *Material, u *URLs) {
			u.Logs, u.TSA = []LogURL{{"https://hallmark.example", 2, m.Logs[0].Key}}, ""
		}, "without a time-stamping authority"},
		{"past key only", func(m *Material, _ *URLs) { m.TimestampAuthorities[0].End = epoch.Add(time.Hour) }, "no key in use"},
	} {
		m := newDeployment(t).Material()
		u := URLs{Operator: "hallmark.example", TSA: "https://hallmark.example/api/v1/timestamp"}
		tt.change(&m, &u)
		if doc, err := SigningConfig(m, u); err == nil || doc != nil || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: error %v, want %q", tt.name, err, tt.says)
		}
	}
}

func TestFilesAreJSONWithoutEmptyLists(t *testing.T) {
	m := newDeployment(t).Material()
	m.CertificateAuthorities, m.CertificateLogs = nil, nil // key mode
	doc, err := TrustedRoot(m)
	check(t, err)
	var members map[string]json.RawMessage
	check(t, json.Unmarshal(doc, &members))
	for _, absent := range []string{"certificateAuthorities", "ctlogs"} {
		if _, ok := members[absent]; ok {
			t.Errorf("member %s of nothing", absent)
		}
	}
	if _, err := root.NewTrustedRootFromJSON(doc); err != nil {
		t.Error(err)
	}
}
