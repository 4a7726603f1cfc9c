// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/hallmark-dev/hallmark/signer/keys/pgp"
)

// chartDeployment is a deployment whose charts have these members.
func chartDeployment(t *testing.T, charts string) string {
	t.Helper()
	dir := newDeployment(t)
	setCharts(t, dir, charts)
	for _, path := range []string{"keys/charts-pgp.key", "keys/charts-pgp.pub", "certs/charts-pgp.gpg", "trust/pubring.gpg"} {
		if err := os.Remove(filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// setCharts gives charts other members.
func setCharts(t *testing.T, dir, charts string) {
	t.Helper()
	config := filepath.Join(dir, configName)
	before, after, ok := strings.Cut(readFile(t, config), "charts:\n")
	if !ok {
		t.Fatal("the configuration has no charts")
	}
	for strings.HasPrefix(after, "  ") {
		_, after, _ = strings.Cut(after, "\n")
	}
	writeFile(t, config, before+"charts:\n  "+strings.ReplaceAll(charts, "\n", "\n  ")+"\n"+after)
}

// listed are the keys as keys list prints them.
func listed(t *testing.T, dir string) map[string]keyState {
	t.Helper()
	out, _ := runs(t, 0, "keys", "list", "--dir", dir, "-o", "json")
	var answer struct{ Keys []keyState }
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatal(err)
	}
	all := map[string]keyState{}
	for _, k := range answer.Keys {
		all[k.Name] = k
	}
	return all
}

// inRing are the fingerprints of the ring that is published.
func inRing(t *testing.T, dir string) []string {
	t.Helper()
	prints, err := pgp.Fingerprints([]byte(readFile(t, filepath.Join(dir, "trust", keyringName))))
	if err != nil {
		t.Fatal(err)
	}
	return prints
}

// secretKey is a key that somebody has made elsewhere, and its fingerprint.
func secretKey(t *testing.T, birth time.Time, change func(*packet.Config)) (file, fingerprint string) {
	t.Helper()
	c := &packet.Config{Algorithm: packet.PubKeyAlgoECDSA, Curve: packet.CurveNistP256, Time: func() time.Time { return birth }}
	if change != nil {
		change(c)
	}
	e, err := openpgp.NewEntity("Acme release", "", "release@acme.example", c)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.EncryptPrivateKeys([]byte("open sesame"), nil); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := e.SerializePrivateWithoutSigning(&out, nil); err != nil {
		t.Fatal(err)
	}
	file = writeFile(t, filepath.Join(t.TempDir(), "secret.gpg"), out.String())
	return file, fmt.Sprintf("%X", e.PrimaryKey.Fingerprint)
}

// TestChartAlgorithm: a key is of the configured algorithm when it is made, keys
// list says what it is, and another algorithm takes a rotation.
func TestChartAlgorithm(t *testing.T) {
	dir := chartDeployment(t, "pgpKey: file\nalgorithm: rsa-3072")
	runs(t, 0, "keys", "create", "--dir", dir)
	first := listed(t, dir)[keyCharts]
	if first.Algorithm != "rsa-3072" || len(first.Fingerprint) != 40 || listed(t, dir)["ca"].Algorithm != "ecdsa-p256" {
		t.Errorf("%+v", first)
	}
	if prints := inRing(t, dir); !slices.Equal(prints, []string{first.Fingerprint}) {
		t.Errorf("the ring has %v", prints)
	}
	table, _ := runs(t, 0, "keys", "list", "--dir", dir)
	if !strings.Contains(table, "ALGORITHM") || !strings.Contains(table, first.Fingerprint) {
		t.Error(table)
	}
	setCharts(t, dir, "pgpKey: file\nalgorithm: ecdsa-p256")
	_, words := runs(t, 0, "keys", "create", "--dir", dir)
	if !strings.Contains(words, "the OpenPGP key is rsa-3072") || !strings.Contains(words, "keys rotate charts-pgp") {
		t.Errorf("it says %q", words)
	}
	if again := listed(t, dir)[keyCharts]; again != first {
		t.Errorf("%+v, was %+v", again, first)
	}

	// The rotation: both are in the ring at once, the old one signs until it ends.
	runs(t, 0, "keys", "rotate", kindCharts, "--dir", dir, "--wait", "1h")
	says(t, exitNo, "is published already", "keys", "rotate", kindCharts, "--dir", dir)
	all := listed(t, dir)
	next := all["charts-pgp-2"]
	if next.Algorithm != "ecdsa-p256" || all[keyCharts] != first {
		t.Errorf("%+v", all)
	}
	if prints := inRing(t, dir); !slices.Equal(prints, []string{first.Fingerprint, next.Fingerprint}) {
		t.Errorf("the ring has %v", prints)
	}
	out, _ := runs(t, 0, "keys", "status", "--dir", dir)
	if !strings.Contains(out, "is used from") {
		t.Error(out)
	}

	// A backup has all of it.
	to := filepath.Join(t.TempDir(), "backup")
	runs(t, 0, "backup", "--dir", dir, "--to", to)
	for _, name := range []string{"keys/charts-pgp.key", "keys/charts-pgp-2.key", "certs/charts-pgp.gpg", "certs/charts-pgp-2.gpg", "trust/pubring.gpg"} {
		if readFile(t, filepath.Join(to, name)) != readFile(t, filepath.Join(dir, name)) {
			t.Errorf("%s is not in the backup", name)
		}
	}

	// A revoked key is in the ring no more; Helm knows no list.
	runs(t, 0, "revoke", "key", first.Hint, "--reason", "stolen", "--dir", dir)
	if prints := inRing(t, dir); !slices.Equal(prints, []string{next.Fingerprint}) {
		t.Errorf("after the revocation the ring has %v", prints)
	}
	runs(t, 0, "revoke", "key", next.Hint, "--reason", "stolen too", "--since", time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "--dir", dir)
	if exists(filepath.Join(dir, "trust", keyringName)) {
		t.Error("there is a ring of revoked keys")
	}
	runs(t, 0, "revoke", "withdraw", "key", "sha256:"+strings.ToLower(hexOfHint(t, first.Hint)), "--dir", dir)
	if prints := inRing(t, dir); !slices.Equal(prints, []string{first.Fingerprint}) {
		t.Errorf("after the withdrawal the ring has %v", prints)
	}
}

func hexOfHint(t *testing.T, hint string) string {
	t.Helper()
	value, err := keyValue(hint)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(value, "sha256:")
}

// TestImport: the key of before keeps its fingerprint, as the first key or in the
// place of another.
func TestImport(t *testing.T) {
	birth := time.Date(2021, 3, 4, 5, 6, 7, 0, time.UTC)
	file, first := secretKey(t, birth, nil)
	dir := chartDeployment(t, "pgpKey: file")
	words := writeFile(t, filepath.Join(t.TempDir(), "passphrase"), "open sesame\n")
	says(t, exitUsage, "protected by one", "keys", "import", kindCharts, "--dir", dir, "--file", file)
	t.Setenv(passphraseVariable, "wrong")
	says(t, exitUsage, "wrong passphrase", "keys", "import", kindCharts, "--dir", dir, "--file", file)
	t.Setenv(passphraseVariable, "")
	for _, name := range []string{"keys/charts-pgp.key", "keys/charts-pgp.pub", "certs/charts-pgp.gpg", "trust/pubring.gpg"} {
		if exists(filepath.Join(dir, name)) {
			t.Errorf("after refusals there is %s", name)
		}
	}
	if out, _ := runs(t, 0, "keys", "import", kindCharts, "--dir", dir, "--file", file, "--passphrase", words); !strings.Contains(out, first) {
		t.Errorf("it says %q", out)
	}
	key := listed(t, dir)[keyCharts]
	if key.Fingerprint != first || !slices.Equal(inRing(t, dir), []string{first}) {
		t.Errorf("%+v", key)
	}
	certificate, err := readChartCertificate(dir, keyCharts)
	if err != nil || certificate.Identity() != (pgp.Identity{UserID: "Acme release <release@acme.example>", Created: birth}) {
		t.Errorf("%+v, %v", certificate.Identity(), err)
	}
	// keys create leaves it alone, and the service takes it.
	before := readFile(t, chartCertificate(dir, keyCharts))
	runs(t, 0, "keys", "create", "--dir", dir)
	if readFile(t, chartCertificate(dir, keyCharts)) != before {
		t.Error("keys create certified it anew")
	}
	says(t, exitNo, "keys rotate charts-pgp --import", "keys", "import", kindCharts, "--dir", dir, "--file", file, "--passphrase", words)
	says(t, exitUsage, "the same key as "+first, "keys", "rotate", kindCharts, "--dir", dir, "--import", file, "--passphrase", words)

	// Another in its place.
	another, second := secretKey(t, birth.AddDate(1, 0, 0), nil)
	runs(t, 0, "keys", "rotate", kindCharts, "--dir", dir, "--wait", "0s", "--import", another, "--passphrase", words)
	if prints := inRing(t, dir); !slices.Equal(prints, []string{first, second}) {
		t.Errorf("the ring has %v", prints)
	}
	cfg, err := readConfig(filepath.Join(dir, configName))
	if err != nil {
		t.Fatal(err)
	}
	password, err := cfg.password()
	if err != nil {
		t.Fatal(err)
	}
	gone, err := newRevoked(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	keys, err := newChartKeys(t.Context(), cfg, chartWiring{password: password, gone: gone, logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	if set := keys.keys(); set.Current.Fingerprint() != first || len(set.Earlier) != 0 {
		t.Errorf("%s signs before its time", set.Current.Fingerprint())
	}
	care := newTender(cfg, password, slog.New(slog.DiscardHandler))
	for n := range 3 { // published, active, done
		if err := care.tend(t.Context(), time.Now().Add(time.Duration(n)*time.Second)); err != nil {
			t.Fatal(err)
		}
	}
	if err := keys.look(t.Context()); err != nil {
		t.Fatal(err)
	}
	set := keys.keys()
	if set.Current.Fingerprint() != second || len(set.Earlier) != 1 || set.Earlier[0].Fingerprint() != first {
		t.Errorf("%s signs, before it %d", set.Current.Fingerprint(), len(set.Earlier))
	}
	// Both, or one alone.
	if string(keys.ring("")) != readFile(t, cfg.path("trust", keyringName)) || string(keys.ring(first)) != readFile(t, chartCertificate(dir, keyCharts)) || keys.ring("AB") != nil {
		t.Error("the ring that is served is another")
	}
	// The private half of the one before may be destroyed.
	if err := os.Remove(filepath.Join(dir, "keys", "charts-pgp.key")); err != nil {
		t.Fatal(err)
	}
	runs(t, 0, "keys", "create", "--dir", dir)
	if _, err := newChartKeys(t.Context(), cfg, chartWiring{password: password, gone: gone, logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Error(err)
	}
	if prints := inRing(t, dir); !slices.Equal(prints, []string{first, second}) {
		t.Errorf("without the old private half the ring has %v", prints)
	}
	// A replica to which the next key was not copied says so, and goes on.
	third, _ := secretKey(t, birth.AddDate(2, 0, 0), nil)
	runs(t, 0, "keys", "rotate", kindCharts, "--dir", dir, "--wait", "1h", "--import", third, "--passphrase", words)
	if err := os.Remove(filepath.Join(dir, "keys", "charts-pgp-3.key")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := keys.look(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot follow the rotation") || keys.ready(t.Context()) == nil {
			t.Errorf("without the next key: %v", err)
		}
	}
	if keys.keys().Current.Fingerprint() != second {
		t.Error("another key signs")
	}
}

// TestImportIsRefused: what cannot be kept is refused before anything is written,
// and what the configuration mends is not.
func TestImportIsRefused(t *testing.T) {
	dir := chartDeployment(t, "pgpKey: file")
	words := writeFile(t, filepath.Join(t.TempDir(), "passphrase"), "open sesame\n")
	birth := time.Now().AddDate(-3, 0, 0).UTC().Truncate(time.Second)
	expired, first := secretKey(t, birth, func(c *packet.Config) { c.KeyLifetimeSecs = 3600 })
	says(t, exitNo, "has expired at", "keys", "import", kindCharts, "--dir", dir, "--file", expired, "--passphrase", words)
	weak, _ := secretKey(t, birth, func(c *packet.Config) { c.Algorithm, c.RSABits = packet.PubKeyAlgoRSA, 2048 })
	says(t, exitNo, "RSA key of 2048 bits", "keys", "import", kindCharts, "--dir", dir, "--file", weak, "--passphrase", words)
	future, _ := secretKey(t, time.Now().AddDate(1, 0, 0), nil)
	says(t, exitNo, "which is to come", "keys", "import", kindCharts, "--dir", dir, "--file", future, "--passphrase", words)
	says(t, exitNo, "cannot be imported", "keys", "import", kindCharts, "--dir", dir, "--file", filepath.Join(dir, configName), "--passphrase", words)
	says(t, exitUsage, "takes charts-pgp", "keys", "import", "ca", "--dir", dir, "--file", expired)
	says(t, exitUsage, "--file is compulsory", "keys", "import", kindCharts, "--dir", dir)
	says(t, exitUsage, "--import is for charts-pgp", "keys", "rotate", "ca", "--dir", dir, "--import", expired)
	says(t, exitNo, "not in use yet", "keys", "rotate", kindCharts, "--dir", dir)
	if exists(filepath.Join(dir, "keys", "charts-pgp.key")) || exists(chartCertificate(dir, keyCharts)) {
		t.Error("something was written")
	}
	setCharts(t, dir, "pgpKey: file\nexpires: never\nuserID: Acme <a@acme.example>")
	runs(t, 0, "keys", "import", kindCharts, "--dir", dir, "--file", expired, "--passphrase", words)
	if c, err := readChartCertificate(dir, keyCharts); err != nil || c.Fingerprint() != first || !c.Identity().Expires.IsZero() || c.Identity().UserID != "Acme <a@acme.example>" {
		t.Errorf("%+v, %v", c.Identity(), err)
	}
	kms := chartDeployment(t, "pgpKey: hashivault://charts")
	says(t, exitUsage, "imported into a file", "keys", "import", kindCharts, "--dir", kms, "--file", expired)
	none := chartDeployment(t, "timeout: 10s")
	says(t, exitNo, "there is no OpenPGP key", "keys", "rotate", kindCharts, "--dir", none)
}
